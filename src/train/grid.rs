//! The synthetic grid of spectra that pretraining draws from.
//!
//! Layout of `spectra.npz`: `labels` `[n, 7]` (teff, logg, feh, alpha_fe …), `wavelength_air_aa` `[6001]`,
//! `normalised_flux_x10000` `[n, 6001]` (u16, R = 5000), `continuum_wavelength_aa` `[361]`, `continuum` `[n, 361]`.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::read;
use crate::result::Label;
use crate::spectrum::air_vacuum::air_to_vacuum_aa;

/// Resolving power of the grid's spectra.
pub const GRID_RESOLVING_POWER: f64 = 5000.0;

/// The grid, in memory.
pub struct Grid {
    /// One row a node, in the order of [`Grid::LABELS`].
    pub labels: Vec<[f64; 4]>,
    /// log10 of the vacuum wavelengths, `[6001]`.
    pub log10_vac: Vec<f64>,
    normalised: Vec<f32>,
    continuum_wave_aa: Vec<f64>,
    continuum: Vec<f32>,
    pixels: usize,
}

impl Grid {
    /// The labels that are learned from it.
    pub const LABELS: [Label; 4] = [Label::Teff, Label::Logg, Label::Feh, Label::AlphaFe];

    /// Reads `spectra.npz`.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("reading the training grid {}", path.display()))?;
        let files = read::arrays(&bytes)?;
        let array = |name: &str| -> Result<(Vec<usize>, Vec<f64>)> {
            let file = files
                .iter()
                .find(|f| f.name == name)
                .with_context(|| format!("no array `{name}` in {}", path.display()))?;
            let array = file.array()?;
            let values = array
                .numbers(0, array.shape.iter().product())
                .with_context(|| format!("array `{name}` does not hold numbers"))?;
            Ok((array.shape, values))
        };
        let (shape, labels) = array("labels")?;
        let Some((n, columns)) = <[usize; 2]>::try_from(shape.clone()).ok().filter(|s| s[1] >= 4).map(|s| (s[0], s[1]))
        else {
            bail!("`labels` has shape {shape:?}, expected [n, 4 or more]: teff, logg, feh, alpha_fe …");
        };
        let wave = array("wavelength_air_aa")?.1;
        let (_, flux) = array("normalised_flux_x10000")?;
        let (_, continuum) = array("continuum")?;
        let continuum_wave_aa = array("continuum_wavelength_aa")?.1;
        ensure!(flux.len() == n * wave.len(), "the flux does not fit the labels and wavelengths");
        ensure!(continuum.len() == n * continuum_wave_aa.len(), "the continuum does not fit");
        Ok(Self {
            labels: labels.chunks(columns).map(|row| [row[0], row[1], row[2], row[3]]).collect(),
            log10_vac: wave.iter().map(|w| air_to_vacuum_aa(*w).log10()).collect(),
            normalised: flux.iter().map(|v| (*v / 1e4) as f32).collect(),
            continuum: continuum.iter().map(|v| *v as f32).collect(),
            continuum_wave_aa,
            pixels: wave.len(),
        })
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True without nodes.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Absolute flux of a node on the grid's pixels, scaled to a mean of 1.
    pub fn flux(&self, node: usize) -> Vec<f64> {
        let k = self.continuum_wave_aa.len();
        let levels = &self.continuum[node * k..(node + 1) * k];
        let lines = &self.normalised[node * self.pixels..(node + 1) * self.pixels];
        let mean = levels.iter().map(|c| f64::from(*c)).sum::<f64>() / k as f64;
        // Both axes are uniform in air wavelength, so the continuum's place is a matter of arithmetic.
        let per_pixel = (k - 1) as f64 / (self.pixels - 1) as f64;
        lines
            .iter()
            .enumerate()
            .map(|(i, line)| {
                let at = i as f64 * per_pixel;
                let (j, t) = (at as usize, at.fract());
                let (a, b) = (f64::from(levels[j]), f64::from(levels[(j + 1).min(k - 1)]));
                f64::from(*line) * (a + (b - a) * t) / mean
            })
            .collect()
    }
}
