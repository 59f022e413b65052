//! Pairs of simulated spectra: the same star as an optical survey and as Gaia see it. Made batch by batch from a seed, in
//! rayon's threads, and never written to disk.

use anyhow::{Result, ensure};
use rand::{Rng, RngExt};
use rayon::prelude::*;

use super::grid::PARAMETERS;
use super::population::{Drawn, Population, Want};
use super::simulate::{observe, survey_like};
use super::simulate_desi::{self, desi_like};
use super::simulate_xp::{self, colour_excess, gaia_like};
use super::steps::rng_of;

/// The optical survey that a spectrum is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Optical {
    /// Three in four like LAMOST, one like DESI.
    Mixed,
    /// LAMOST.
    Lamost,
    /// DESI's blue arm.
    Desi,
}

/// A star in two surveys; a spectrum that was not wanted is empty.
#[derive(Debug, Clone, Default)]
pub struct Pair {
    /// Node that the star was made from.
    pub node: usize,
    /// teff, logg, feh, alpha_fe, c_fe, n_fe, vmic.
    pub parameters: [f64; PARAMETERS],
    /// E(B−V), mag.
    pub ebv_mag: f64,
    /// Whether the optical spectrum is like DESI's.
    pub is_desi: bool,
    /// S/N a pixel of the optical spectrum.
    pub snr: f64,
    /// G, mag.
    pub g_mag: f64,
    /// The recipe's output for the optical spectrum, `[1462]`; NaN where there is nothing.
    pub lrs: Vec<f32>,
    /// Input of the XP encoder, `[343]`.
    pub xp: Vec<f32>,
}

/// Where pairs come from.
pub struct Pairs<'a> {
    /// The stars.
    pub population: Population<'a>,
    /// The optical survey.
    pub optical: Optical,
    /// Whether stars lie between the nodes, or are the nodes themselves.
    pub between: bool,
    /// Seed of everything random.
    pub seed: u64,
}

impl Pairs<'_> {
    /// `n` stars of a step: always the same of one step.
    pub fn of_step(&self, step: usize, n: usize, want: Want) -> Result<Vec<Pair>> {
        (0..n).into_par_iter().map(|i| self.example(step, i, None, want)).collect()
    }

    /// One star of each node.
    pub fn of_nodes(&self, nodes: &[usize], step: usize, want: Want) -> Result<Vec<Pair>> {
        nodes.par_iter().enumerate().map(|(i, &node)| self.example(step, i, Some(node), want)).collect()
    }

    fn example(&self, step: usize, i: usize, node: Option<usize>, want: Want) -> Result<Pair> {
        let mut rng = rng_of(self.seed, step, i);
        ensure!(!self.population.nodes.is_empty(), "there is no node to make stars from");
        // An observation may fail (no flux left at 550 nm); another star takes its place.
        for _ in 0..20 {
            let node = node.unwrap_or_else(|| {
                let nodes = &self.population.nodes;
                nodes[rng.random_range(0..nodes.len().max(1))]
            });
            let drawn = if self.between {
                self.population.near(node, want, &mut rng)
            } else {
                self.population.node(node, want)
            };
            if let Some(pair) = self.observed(&drawn, want, &mut rng) {
                return Ok(pair);
            }
        }
        ensure!(false, "no observation of a star of the grid succeeded in twenty tries; is the grid the right one?");
        Ok(Pair::default())
    }

    fn observed(&self, drawn: &Drawn, want: Want, rng: &mut impl Rng) -> Option<Pair> {
        let ebv_mag = colour_excess(rng);
        let mut pair = Pair {
            node: drawn.node,
            parameters: drawn.parameters,
            ebv_mag,
            snr: f64::NAN,
            g_mag: f64::NAN,
            ..Pair::default()
        };
        if want != Want::Xp {
            let star = self.population.star(drawn);
            let is_desi = match self.optical {
                Optical::Mixed => rng.random_bool(0.25),
                Optical::Lamost => false,
                Optical::Desi => true,
            };
            // What the velocity network leaves: some 10 km/s, more at low S/N.
            let width: f64 = if rng.random_bool(0.9) { 12.0 } else { 40.0 };
            let left = width * (rng.random::<f64>() + rng.random::<f64>() - 1.0) * 1.7;
            pair.is_desi = is_desi;
            let norm = if is_desi {
                let how = desi_like(left, ebv_mag, rng);
                pair.snr = how.snr;
                simulate_desi::observe(&star, &how, rng)?
            } else {
                let mut how = survey_like(0.0, left, rng);
                how.ebv_mag = ebv_mag;
                pair.snr = how.snr;
                observe(&star, &how, rng)?
            };
            if !norm.iter().any(|v| v.is_finite()) {
                return None;
            }
            pair.lrs = norm;
        }
        if want != Want::Lrs {
            let how = gaia_like(ebv_mag, rng);
            pair.g_mag = how.g_mag;
            pair.xp = simulate_xp::observe(&self.population.seds.wave_nm, &drawn.sed, &how, rng)?;
        }
        Some(pair)
    }
}
