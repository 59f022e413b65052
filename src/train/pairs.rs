//! Pairs of simulated spectra: the same star in an optical survey and in Gaia XP. Each batch is simulated from a seed,
//! in rayon's threads, and never written to disk.

use anyhow::{Result, ensure};
use rand::{Rng, RngExt};
use rayon::prelude::*;

use super::grid::PARAMETERS;
use super::grid_sampler::{Population, RequiredParts, SimulatedStar};
use super::simulate::{observe, survey_like};
use super::simulate_desi::{self, desi_like};
use super::simulate_xp::{self, colour_excess, gaia_like};
use super::training_loop::rng_of;

/// The optical survey that the simulation represents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpticalSurvey {
    /// LAMOST for three stars of four, DESI for one.
    Mixed,
    /// LAMOST.
    Lamost,
    /// DESI's blue arm.
    Desi,
}

/// A star in two surveys. A spectrum that the caller does not need is empty.
#[derive(Debug, Clone, Default)]
pub struct Pair {
    /// Index of the node of the star.
    pub node: usize,
    /// Labels: teff, logg, feh, `alpha_fe`, `c_fe`, `n_fe`, vmic.
    pub parameters: [f64; PARAMETERS],
    /// E(B−V), mag.
    pub ebv_mag: f64,
    /// True if the optical spectrum represents DESI.
    pub is_desi: bool,
    /// S/N per pixel of the optical spectrum; NaN without one.
    pub snr: f64,
    /// G magnitude; NaN without an XP spectrum.
    pub g_mag: f64,
    /// Normalised optical spectrum after preprocessing, `[1462]`; NaN where it has no flux.
    pub lrs: Vec<f32>,
    /// Input of the XP encoder, `[343]`.
    pub xp: Vec<f32>,
}

/// Generator of pairs.
pub struct Pairs<'a> {
    /// Population of the stars.
    pub population: Population<'a>,
    /// The optical survey.
    pub optical: OpticalSurvey,
    /// True for stars between the nodes; false for stars at the nodes themselves.
    pub is_between_nodes: bool,
    /// Seed of all random numbers.
    pub seed: u64,
}

impl Pairs<'_> {
    /// `n` stars of a training step. The same step always gives the same stars.
    pub fn of_step(&self, step: usize, n: usize, required: RequiredParts) -> Result<Vec<Pair>> {
        (0..n).into_par_iter().map(|i| self.simulate(step, i, None, required)).collect()
    }

    /// One star at each node of a list.
    pub fn of_nodes(&self, nodes: &[usize], step: usize, required: RequiredParts) -> Result<Vec<Pair>> {
        nodes.par_iter().enumerate().map(|(i, &node)| self.simulate(step, i, Some(node), required)).collect()
    }

    fn simulate(&self, step: usize, i: usize, node: Option<usize>, required: RequiredParts) -> Result<Pair> {
        let mut rng = rng_of(self.seed, step, i);
        ensure!(!self.population.nodes.is_empty(), "the grid has no nodes for the simulation");
        // A simulation may fail (no flux at 550 nm); another star then takes its place.
        for _ in 0..20 {
            let node = node.unwrap_or_else(|| {
                let nodes = &self.population.nodes;
                nodes[rng.random_range(0..nodes.len().max(1))]
            });
            let simulated = if self.is_between_nodes {
                self.population.near(node, required, &mut rng)
            } else {
                self.population.node(node, required)
            };
            if let Some(pair) = self.observe_pair(&simulated, required, &mut rng) {
                return Ok(pair);
            }
        }
        ensure!(
            false,
            "20 simulated observations of grid stars failed; check that the grid covers the wavelengths of the survey"
        );
        Ok(Pair::default())
    }

    fn observe_pair(&self, simulated: &SimulatedStar, required: RequiredParts, rng: &mut impl Rng) -> Option<Pair> {
        let ebv_mag = colour_excess(rng);
        let mut pair = Pair {
            node: simulated.node,
            parameters: simulated.parameters,
            ebv_mag,
            snr: f64::NAN,
            g_mag: f64::NAN,
            ..Pair::default()
        };
        if required != RequiredParts::Xp {
            let star = self.population.star(simulated);
            let is_desi = match self.optical {
                OpticalSurvey::Mixed => rng.random_bool(0.25),
                OpticalSurvey::Lamost => false,
                OpticalSurvey::Desi => true,
            };
            // Error of the velocity network: some 10 km/s, more at low S/N.
            let width: f64 = if rng.random_bool(0.9) { 12.0 } else { 40.0 };
            let residual_rv_kms = width * (rng.random::<f64>() + rng.random::<f64>() - 1.0) * 1.7;
            pair.is_desi = is_desi;
            let norm = if is_desi {
                let conditions = desi_like(residual_rv_kms, ebv_mag, rng);
                pair.snr = conditions.snr;
                simulate_desi::observe(&star, &conditions, rng)?
            } else {
                let mut conditions = survey_like(0.0, residual_rv_kms, rng);
                conditions.ebv_mag = ebv_mag;
                pair.snr = conditions.snr;
                observe(&star, &conditions, rng)?
            };
            if !norm.iter().any(|v| v.is_finite()) {
                return None;
            }
            pair.lrs = norm;
        }
        if required != RequiredParts::Lrs {
            let conditions = gaia_like(ebv_mag, rng);
            pair.g_mag = conditions.g_mag;
            pair.xp = simulate_xp::observe(&self.population.seds.wave_nm, &simulated.sed, &conditions, rng)?;
        }
        Some(pair)
    }
}
