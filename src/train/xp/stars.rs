//! Real Gaia XP spectra with APOGEE labels, `gaia_xp_apogee.npz`.
//!
//! Arrays: `wavelength_nm` `[343]`; flux as `flux_min`, `flux_max` `[n]` and `flux_u16` `[n, 343]`, in units of `medflux` `[n]`; σ = `err_min` ·
//! exp(`err_log1000_u16` / 1000) in the same unit; `gaiaedr3_source_id`, `gaiaedr3_phot_g_mean_mag`, `ak_targ` `[n]`; `teff`,
//! `logg`, `fe_h`, `alpha_m` and `…_err` `[n]`. The spectra are as observed, with the reddening of each star.

use std::path::Path;

use anyhow::{Result, ensure};

use super::super::arrays::Arrays;
use crate::model::store::sha256_hex;
use crate::model::xp_regressor::XP_LABELS;
use crate::preprocess::xp::{XP_PIXELS, grid_nm};
use crate::result::Label;
use crate::spectrum::{Medium, Meta, Source, Sourced, Spectrum, Survey};
use crate::stats::median;

/// Labels in the order of the network; [α/M] of APOGEE stands in the column of [α/Fe].
pub const LABELS: [Label; XP_LABELS] = [Label::Teff, Label::Logg, Label::Feh, Label::AlphaFe];

/// Names of the labels in the file.
const NAMES: [&str; XP_LABELS] = ["teff", "logg", "fe_h", "alpha_m"];

/// Largest error of a label that is used: relative for Teff, in dex for the others.
const MAX_LABEL_ERROR: [f32; XP_LABELS] = [0.06, 0.2, 0.1, 0.1];

/// Use of a star.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// 70 % of the stars: the networks are trained on them.
    Training,
    /// 10 %: choices and the calibration of errors.
    Validation,
    /// 20 %: accuracy, and nothing else.
    Test,
}

impl Part {
    /// Part of a star: a hash of seed and Gaia's source id, so that both spectra of a star are in one part.
    pub fn of(source_id: &str, seed: u64) -> Self {
        let hash = sha256_hex(format!("{seed}:{source_id}").as_bytes());
        // The first eight hexadecimal digits give 32 bits.
        let fraction = u32::from_str_radix(&hash[..8], 16).map_or(0.0, |bits| f64::from(bits) / 2f64.powi(32));
        match fraction {
            f if f < 0.7 => Self::Training,
            f if f < 0.8 => Self::Validation,
            _ => Self::Test,
        }
    }
}

/// The stars, in the order of the file.
#[derive(Debug, Clone, Default)]
pub struct XpStars {
    /// Gaia's source id of each star.
    pub source_id: Vec<String>,
    /// Flux on the XP grid in units of the star's median, `[n][343]`, flattened.
    flux: Vec<f32>,
    /// Errors of the flux, `[n][343]`, flattened.
    sigma: Vec<f32>,
    /// Use of each star.
    pub part: Vec<Part>,
    /// Teff in K, log g, [Fe/H] and [α/M] in dex; NaN where unknown or too uncertain.
    pub labels: Vec<[f32; XP_LABELS]>,
    /// Error of Teff as APOGEE gives it, K.
    pub teff_error: Vec<f32>,
    /// G magnitude.
    pub g_mag: Vec<f32>,
    /// APOGEE's estimate of the extinction in the K band, mag; NaN where unknown, and some values are far off.
    pub a_k_mag: Vec<f32>,
    /// Unit of the flux: the star's median flux, W m⁻² nm⁻¹.
    pub unit: Vec<f32>,
    /// Median S/N per sample.
    pub snr: Vec<f32>,
}

impl XpStars {
    /// Reads the file and divides the stars into parts.
    pub fn read(path: &Path, seed: u64) -> Result<Self> {
        let arrays = Arrays::read(path)?;
        let wave = arrays.of_shape("wavelength_nm", &[XP_PIXELS])?;
        ensure!(
            wave.iter().zip(grid_nm()).all(|(a, b)| (a - b).abs() < 0.01),
            "`wavelength_nm` of {} is not 336, 338 … 1020 nm",
            path.display()
        );
        let source_id = arrays.words("gaiaedr3_source_id")?;
        let n = source_id.len();
        let column = |name: &str| -> Result<Vec<f32>> {
            Ok(arrays.of_shape(name, &[n])?.into_iter().map(|v| v as f32).collect())
        };
        let (low, high) = (column("flux_min")?, column("flux_max")?);
        let err_min = arrays.of_shape("err_min", &[])?[0];
        let unit = |i: usize| (high[i / XP_PIXELS] - low[i / XP_PIXELS]) / 65535.0;
        let flux = arrays.of_shape("flux_u16", &[n, XP_PIXELS])?;
        let flux: Vec<f32> =
            flux.into_iter().enumerate().map(|(i, v)| low[i / XP_PIXELS] + unit(i) * v as f32).collect();
        let sigma = arrays.of_shape("err_log1000_u16", &[n, XP_PIXELS])?;
        let sigma: Vec<f32> = sigma.into_iter().map(|v| (err_min * (v / 1000.0).exp()) as f32).collect();
        let mut labels = vec![[(f32::NAN, f32::NAN); XP_LABELS]; n];
        for (j, name) in NAMES.into_iter().enumerate() {
            let (values, errors) = (column(name)?, column(&format!("{name}_err"))?);
            labels.iter_mut().zip(values.into_iter().zip(errors)).for_each(|(star, label)| star[j] = label);
        }
        let g_mag = column("gaiaedr3_phot_g_mean_mag")?;
        let a_k_mag = column("ak_targ")?;
        Ok(Self { a_k_mag, ..Self::new(&source_id, (flux, sigma, column("medflux")?), &labels, g_mag, seed) })
    }

    /// Stars from their arrays: ids `[n]`; flux and errors `[n][343]` with their unit `[n]` in W m⁻² nm⁻¹; labels with
    /// their errors `[n]`; G `[n]`. Labels with errors above 6 % (Teff), 0.2 dex (log g) or 0.1 dex (composition) count as unknown.
    pub fn new(
        source_id: &[String],
        (flux, sigma, unit): (Vec<f32>, Vec<f32>, Vec<f32>),
        labels: &[[(f32, f32); XP_LABELS]],
        g_mag: Vec<f32>,
        seed: u64,
    ) -> Self {
        let usable = |j: usize, (value, error): (f32, f32)| {
            let unit = if j == 0 { value } else { 1.0 };
            if error / unit <= MAX_LABEL_ERROR[j] { value } else { f32::NAN }
        };
        let snr_of = |(flux, sigma): (&[f32], &[f32])| {
            let ratio = flux.iter().zip(sigma).map(|(f, s)| f64::from(f / s));
            median(&mut ratio.collect()).unwrap_or(0.0) as f32
        };
        Self {
            source_id: source_id.to_vec(),
            part: source_id.iter().map(|id| Part::of(id, seed)).collect(),
            labels: labels.iter().map(|star| std::array::from_fn(|j| usable(j, star[j]))).collect(),
            teff_error: labels.iter().map(|star| star[0].1).collect(),
            snr: flux.chunks_exact(XP_PIXELS).zip(sigma.chunks_exact(XP_PIXELS)).map(snr_of).collect(),
            a_k_mag: vec![f32::NAN; flux.len() / XP_PIXELS],
            flux,
            sigma,
            g_mag,
            unit,
        }
    }

    /// Number of spectra.
    pub fn len(&self) -> usize {
        self.part.len()
    }

    /// True without spectra.
    pub fn is_empty(&self) -> bool {
        self.part.is_empty()
    }

    /// Flux of a star in units of its median, `[343]`.
    pub fn flux(&self, star: usize) -> &[f32] {
        &self.flux[star * XP_PIXELS..(star + 1) * XP_PIXELS]
    }

    /// Errors of the flux, `[343]`.
    pub fn sigma(&self, star: usize) -> &[f32] {
        &self.sigma[star * XP_PIXELS..(star + 1) * XP_PIXELS]
    }

    /// A star's spectrum as a user would load it; `None` if it has no flux.
    pub fn spectrum(&self, star: usize, id: &str) -> Option<Spectrum> {
        let mut meta = Meta::unknown(id, "gaia_xp_apogee.npz");
        meta.survey = Survey::GaiaXp;
        meta.medium = Sourced::new(Medium::Vacuum, Source::File);
        let unit = f64::from(self.unit[star]);
        let wave_aa = grid_nm().into_iter().map(|nm| 10.0 * nm).collect();
        let flux = self.flux(star).iter().map(|f| f64::from(*f) * unit).collect();
        let ivar = self.sigma(star).iter().map(|s| (f64::from(*s) * unit).powi(-2)).collect();
        Spectrum::new(meta, wave_aa, flux, Some(ivar), None).ok()
    }

    /// Stars of a part with at least this median S/N per sample.
    pub fn rows(&self, part: Part, min_snr: f32) -> Vec<usize> {
        (0..self.len()).filter(|&i| self.part[i] == part && self.snr[i] >= min_snr).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_from_seed_and_id() {
        // Python's hashlib: int(sha256(b"7:4295806720").hexdigest()[:8], 16) / 2**32 is 0.614.
        assert_eq!(Part::of("4295806720", 7), Part::Training);
        let parts: Vec<Part> = (0..10_000).map(|i| Part::of(&i.to_string(), 1)).collect();
        let share = |part| parts.iter().filter(|p| **p == part).count() as f64 / 1e4;
        for (part, expected) in [(Part::Training, 0.7), (Part::Validation, 0.1), (Part::Test, 0.2)] {
            assert!((share(part) - expected).abs() < 0.02, "{part:?} {}", share(part));
        }
    }
}
