//! Stars between the nodes of the grid.
//!
//! A star is a node whose labels are moved a little; its spectrum is the node's own, multiplied by what the emulator says that
//! the move changes. So the emulator's error enters only through the difference between near-by labels, and a star that is
//! not moved is the node itself. A node without an energy distribution takes the emulator's.

use rand::{Rng, RngExt};

use super::emulator::ln_relative;
use super::grid::{GRID_RESOLVING_POWER, Grid, PARAMETERS, Seds};
use super::simulate::Star;
use crate::model::emulator::{EMULATOR_RANGES, Emulator, stretched};
use crate::preprocess::resample::FWHM_OVER_SIGMA;

/// Largest moves of the labels: half the typical distance to the next node or so.
const MOVES: [f64; PARAMETERS] = [150.0, 0.25, 0.15, 0.06, 0.08, 0.08, 0.1];

/// Nodes, and the emulator between them.
pub struct Population<'a> {
    /// The nodes' spectra.
    pub grid: &'a Grid,
    /// Their energy distributions.
    pub seds: &'a Seds,
    /// What lies between.
    pub emulator: &'a Emulator,
    /// The nodes that stars are made from.
    pub nodes: Vec<usize>,
}

/// What of a star is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// What an optical survey sees.
    Lrs,
    /// What Gaia's prisms see.
    Xp,
    /// Both.
    Both,
}

/// A star, at rest and without dust; what was not wanted is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// The node that it was made from.
    pub node: usize,
    /// Its labels: teff, logg, feh, alpha_fe, c_fe, n_fe, vmic.
    pub parameters: [f64; PARAMETERS],
    /// Flux on the grid's pixels, R = 5000, mean 1.
    pub flux: Vec<f64>,
    /// Energy distribution on the grid's bins, mean about 1.
    pub sed: Vec<f64>,
}

impl Population<'_> {
    /// A star near this node.
    pub fn near(&self, node: usize, want: Want, rng: &mut impl Rng) -> Drawn {
        let own = self.grid.parameters[node];
        let moved: [f64; PARAMETERS] = std::array::from_fn(|j| {
            // No move leaves the grid.
            let (low, high) = EMULATOR_RANGES[j];
            (own[j] + MOVES[j] * rng.random_range(-1.0..1.0)).clamp(low.min(own[j]), high.max(own[j]))
        });
        let Drawn { mut flux, mut sed, .. } = self.node(node, want);
        let (before, after) = (self.emulator.coefficients(&own), self.emulator.coefficients(&moved));
        if want != Want::Xp {
            let ([lines, continuum], [lines_then, continuum_then]) =
                (self.emulator.optical(&before), self.emulator.optical(&after));
            let tilt: Vec<f32> = continuum_then.iter().zip(&continuum).map(|(a, b)| a / b).collect();
            let tilt = stretched(&tilt, flux.len());
            for ((f, tilt), (after, before)) in flux.iter_mut().zip(tilt).zip(lines_then.iter().zip(&lines)) {
                // Where the emulator sees no light a ratio says nothing.
                *f *= tilt * f64::from((after / before.max(0.02)).clamp(0.3, 3.0));
            }
        }
        if want != Want::Lrs {
            let (before, after) = (self.emulator.sed(&before), self.emulator.sed(&after));
            sed.iter_mut().zip(after.iter().zip(&before)).for_each(|(f, (a, b))| *f *= f64::from(a / b));
        }
        Drawn { node, parameters: moved, flux, sed }
    }

    /// The node itself.
    pub fn node(&self, node: usize, want: Want) -> Drawn {
        let parameters = self.grid.parameters[node];
        let sed = match (want, self.seds.get(node)) {
            (Want::Lrs, _) => Vec::new(),
            (_, Some(flux)) => ln_relative(flux).into_iter().map(|v| f64::from(v.exp())).collect(),
            (_, None) => {
                self.emulator.sed(&self.emulator.coefficients(&parameters)).into_iter().map(f64::from).collect()
            }
        };
        let flux = if want == Want::Xp { Vec::new() } else { self.grid.flux(node) };
        Drawn { node, parameters, flux, sed }
    }

    /// The star as a spectrograph takes it in.
    pub fn star<'s>(&'s self, drawn: &'s Drawn) -> Star<'s> {
        let sigma_dex = 1.0 / GRID_RESOLVING_POWER / FWHM_OVER_SIGMA / std::f64::consts::LN_10;
        Star { log10: &self.grid.log10_vac, flux: &drawn.flux, sigma_dex: Box::new(move |_| sigma_dex) }
    }
}
