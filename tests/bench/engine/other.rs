//! What is not a network: preprocessing, and searching an index.

use specola::engine::{MadeUp, time_search};
use specola::preprocess::recipe::Opened;
use specola::spectrum::{Meta, Spectrum};

use crate::numbers::made;

/// Spectra that differ from each other; more are these again.
const DIFFERENT: usize = 128;

/// Pixels of a LAMOST spectrum, and its grid: log10 of the first wavelength in Å, and the step.
const PIXELS: usize = 3909;
const LOG10_FIRST: f64 = 3.5682;
const LOG10_STEP: f64 = 1e-4;

/// Spectra as they come from a survey's files, to be brought to the model's input.
pub struct Preprocessing {
    spectra: Vec<Spectrum>,
    count: usize,
}

impl Preprocessing {
    pub fn new(count: usize) -> Result<Self, String> {
        let spectra: Result<Vec<_>, _> = (0..DIFFERENT.min(count)).map(star).collect();
        Ok(Self { spectra: spectra?, count })
    }

    /// A few numbers of each spectrum's result.
    pub fn run(&self) -> Result<Vec<f32>, String> {
        let all = self.spectra.iter().cycle().take(self.count);
        let norm = |star: &Spectrum| Ok(Opened::new(star)?.at_velocity(0.0)?.norm[700]);
        all.map(|star| norm(star).map_err(|why: specola::preprocess::recipe::Refusal| why.to_string())).collect()
    }
}

/// A slope with a few broad lines and noise.
fn star(i: usize) -> Result<Spectrum, String> {
    let wave: Vec<f64> = (0..PIXELS).map(|k| 10f64.powf(LOG10_FIRST + LOG10_STEP * k as f64)).collect();
    let noise = made("noise", i * PIXELS, PIXELS, 0.02, 1.0);
    let lines = [4102.9, 4341.7, 4862.7, 5176.0, 5270.0, 6564.6];
    let flux = wave.iter().zip(noise).map(|(w, noise)| {
        let depth: f64 = lines.iter().map(|line| 0.5 * (-((w - line) / 4.0).powi(2)).exp()).sum();
        1000.0 * (1.3 - w / 15_000.0) * (1.0 - depth.min(0.9)) * f64::from(noise)
    });
    Spectrum::new(Meta::unknown(i.to_string(), "made"), wave.clone(), flux.collect(), Some(vec![0.01; PIXELS]), None)
        .map_err(|why| why.to_string())
}

/// An index of made-up entries, searched as the page searches its own.
pub struct Search {
    kept: Option<MadeUp>,
    entries: u32,
    width: u32,
    queries: u32,
}

impl Search {
    pub fn new(entries: u32, width: u32, queries: u32) -> Self {
        let mut kept = None;
        time_search(&mut kept, entries, width, 0);
        Self { kept, entries, width, queries }
    }

    /// A number that depends on all that was found.
    pub fn run(&mut self) -> Vec<f32> {
        vec![time_search(&mut self.kept, self.entries, self.width, self.queries).check as f32]
    }
}
