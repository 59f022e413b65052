//! Workloads without a network: preprocessing, and the search of an index.

use specola::preprocess::conditioning::{ConditionedSpectrum, PreprocessError};
use specola::similarity::synthetic_index::SyntheticIndex;
use specola::spectrum::{Meta, Spectrum};

use crate::numbers::pseudo_random;

/// Number of different spectra, which are used in turn.
const N_DIFFERENT: usize = 128;

/// Pixels of a LAMOST spectrum, and its grid: log10 of the first wavelength in Å, and the step.
const PIXELS: usize = 3909;
const LOG10_FIRST: f64 = 3.5682;
const LOG10_STEP: f64 = 1e-4;

/// Preprocessing of survey spectra to the model's input.
pub(crate) struct Preprocessing {
    spectra: Vec<Spectrum>,
    count: usize,
}

impl Preprocessing {
    pub(crate) fn new(count: usize) -> Result<Self, String> {
        let spectra: Result<Vec<_>, _> = (0..N_DIFFERENT.min(count)).map(star).collect();
        Ok(Self { spectra: spectra?, count })
    }

    /// One pixel of each normalised spectrum.
    pub(crate) fn run(&self) -> Result<Vec<f32>, String> {
        let spectra = self.spectra.iter().cycle().take(self.count);
        let norm = |star: &Spectrum| Ok(ConditionedSpectrum::new(star)?.normalise_at_rv(0.0)?.norm[700]);
        spectra.map(|star| norm(star).map_err(|why: PreprocessError| why.to_string())).collect()
    }
}

/// A synthetic spectrum: a slope with broad lines and noise.
fn star(i: usize) -> Result<Spectrum, String> {
    let wave: Vec<f64> = (0..PIXELS).map(|k| 10f64.powf(LOG10_FIRST + LOG10_STEP * k as f64)).collect();
    let noise = pseudo_random("noise", i * PIXELS, PIXELS, 0.02, 1.0);
    let lines = [4102.9, 4341.7, 4862.7, 5176.0, 5270.0, 6564.6];
    let flux = wave.iter().zip(noise).map(|(w, noise)| {
        let depth: f64 = lines.iter().map(|line| 0.5 * (-((w - line) / 4.0).powi(2)).exp()).sum();
        1000.0 * (1.3 - w / 15_000.0) * (1.0 - depth.min(0.9)) * f64::from(noise)
    });
    Spectrum::new(Meta::unknown(i.to_string(), "made"), wave.clone(), flux.collect(), Some(vec![0.01; PIXELS]), None)
        .map_err(|why| why.to_string())
}

/// An index of synthetic embeddings with the search of the page.
pub(crate) struct Search {
    index: SyntheticIndex,
    queries: u32,
}

impl Search {
    pub(crate) fn new(entries: u32, width: u32, queries: u32) -> Self {
        Self { index: SyntheticIndex::new(entries, width), queries }
    }

    /// A checksum of the neighbours.
    pub(crate) fn run(&self) -> Vec<f32> {
        vec![self.index.search(self.queries) as f32]
    }
}
