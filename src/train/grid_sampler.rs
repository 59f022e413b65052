//! Simulated stars near the nodes of the grid.
//!
//! A star is a node with slightly changed labels. Its spectrum is the node's own spectrum, multiplied by the ratio of
//! the emulator's spectra at the new and at the old labels. So the emulator's error enters only through the difference
//! between similar labels, and a star with unchanged labels is exactly the node. A node without an energy distribution
//! takes that of the emulator.

use rand::{Rng, RngExt};

use super::emulator::ln_relative;
use super::grid::{GRID_RESOLVING_POWER, Grid, PARAMETERS, Seds};
use super::simulate::IntrinsicSpectrum;
use crate::model::emulator::{EMULATOR_RANGES, Emulator, resampled};
use crate::spectrum::FWHM_OVER_SIGMA;

/// Largest changes of the labels teff (K), logg, feh, `alpha_fe`, `c_fe`, `n_fe` (dex) and vmic (km/s): about half the
/// typical distance to the next node.
const MAX_OFFSETS: [f64; PARAMETERS] = [150.0, 0.25, 0.15, 0.06, 0.08, 0.08, 0.1];

/// The grid's nodes with the emulator, as a population of stars.
pub struct Population<'a> {
    /// Spectra of the nodes.
    pub grid: &'a Grid,
    /// Spectral energy distributions of the nodes.
    pub seds: &'a Seds,
    /// Emulator of spectra at labels between the nodes.
    pub emulator: &'a Emulator,
    /// Indices of the nodes from which stars are made.
    pub nodes: Vec<usize>,
}

/// Spectra of a star that the caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequiredParts {
    /// Flux for an optical survey.
    Lrs,
    /// Energy distribution for Gaia XP.
    Xp,
    /// Both.
    Both,
}

/// A simulated star, at rest and without dust. A spectrum that the caller does not need is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatedStar {
    /// Index of its node.
    pub node: usize,
    /// Its labels: teff, logg, feh, `alpha_fe`, `c_fe`, `n_fe`, vmic.
    pub parameters: [f64; PARAMETERS],
    /// Flux on the grid's pixels, R = 5000, mean 1.
    pub flux: Vec<f64>,
    /// Spectral energy distribution on the grid's bins, mean about 1.
    pub sed: Vec<f64>,
}

impl Population<'_> {
    /// A random star near a node.
    pub fn near(&self, node: usize, required: RequiredParts, rng: &mut impl Rng) -> SimulatedStar {
        let node_labels = self.grid.parameters[node];
        let shifted: [f64; PARAMETERS] = std::array::from_fn(|j| {
            // The labels stay inside the grid.
            let (low, high) = EMULATOR_RANGES[j];
            (node_labels[j] + MAX_OFFSETS[j] * rng.random_range(-1.0..1.0))
                .clamp(low.min(node_labels[j]), high.max(node_labels[j]))
        });
        self.moved(node, shifted, required)
    }

    /// The node that is most similar to these labels, moved to them. Labels outside the grid are moved to its edge.
    /// `c_fe`, `n_fe` and vmic are the node's.
    pub fn at(&self, labels: [f64; 4], required: RequiredParts) -> Option<SimulatedStar> {
        let distance = |node: usize| -> f64 {
            let own = self.grid.parameters[node];
            (0..labels.len()).map(|j| ((own[j] - labels[j]) / MAX_OFFSETS[j]).powi(2)).sum()
        };
        let node = self.nodes.iter().copied().min_by(|a, b| distance(*a).total_cmp(&distance(*b)))?;
        let own = self.grid.parameters[node];
        let moved: [f64; PARAMETERS] = std::array::from_fn(|j| match labels.get(j) {
            Some(label) => label.clamp(EMULATOR_RANGES[j].0, EMULATOR_RANGES[j].1),
            None => own[j],
        });
        Some(self.moved(node, moved, required))
    }

    /// A node, changed to other labels.
    fn moved(&self, node: usize, labels: [f64; PARAMETERS], required: RequiredParts) -> SimulatedStar {
        let node_labels = self.grid.parameters[node];
        let SimulatedStar { mut flux, mut sed, .. } = self.node(node, required);
        let (before, after) = (self.emulator.coefficients(&node_labels), self.emulator.coefficients(&labels));
        if required != RequiredParts::Xp {
            let ([lines, continuum], [lines_after, continuum_after]) =
                (self.emulator.optical(&before), self.emulator.optical(&after));
            let tilt: Vec<f32> = continuum_after.iter().zip(&continuum).map(|(a, b)| a / b).collect();
            let tilt = resampled(&tilt, flux.len());
            for ((f, tilt), (after, before)) in flux.iter_mut().zip(tilt).zip(lines_after.iter().zip(&lines)) {
                // Where the emulator's flux is near zero, the ratio is meaningless; limits keep it finite.
                *f *= tilt * f64::from((after / before.max(0.02)).clamp(0.3, 3.0));
            }
        }
        if required != RequiredParts::Lrs {
            let (before, after) = (self.emulator.sed(&before), self.emulator.sed(&after));
            sed.iter_mut().zip(after.iter().zip(&before)).for_each(|(f, (a, b))| *f *= f64::from(a / b));
        }
        SimulatedStar { node, parameters: labels, flux, sed }
    }

    /// The star at the node itself, with unchanged labels.
    pub fn node(&self, node: usize, required: RequiredParts) -> SimulatedStar {
        let parameters = self.grid.parameters[node];
        let sed = match (required, self.seds.get(node)) {
            (RequiredParts::Lrs, _) => Vec::new(),
            (_, Some(flux)) => ln_relative(flux).into_iter().map(|v| f64::from(v.exp())).collect(),
            (_, None) => {
                self.emulator.sed(&self.emulator.coefficients(&parameters)).into_iter().map(f64::from).collect()
            }
        };
        let flux = if required == RequiredParts::Xp { Vec::new() } else { self.grid.flux(node) };
        SimulatedStar { node, parameters, flux, sed }
    }

    /// The star as input of a simulated observation.
    pub fn star<'s>(&'s self, simulated: &'s SimulatedStar) -> IntrinsicSpectrum<'s> {
        let sigma_dex = 1.0 / GRID_RESOLVING_POWER / FWHM_OVER_SIGMA / std::f64::consts::LN_10;
        IntrinsicSpectrum {
            log10: &self.grid.log10_vac,
            flux: &simulated.flux,
            sigma_dex: Box::new(move |_| sigma_dex),
        }
    }
}
