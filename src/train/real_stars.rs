//! Real stars in the training of the encoder pair: Gaia XP spectra with APOGEE's labels, and LAMOST spectra with those of
//! LAMOST's pipeline. No star here has both spectra, so the missing one is made at the star's labels.

use std::path::Path;

use anyhow::{Result, ensure};
use rand::{Rng, RngExt};
use rayon::prelude::*;

use super::evaluate::{HEADER_RV, number, read_spectra, read_table, truth};
use super::xp::augment::{add_noise, augment};
use super::xp::emulator::XpEmulator;
use super::xp::stars::{Part, XpStars};
use crate::model::manifest::Measurement;
use crate::model::xp_regressor::XP_LABELS;
use crate::preprocess::conditioning::ConditionedSpectrum;
use crate::preprocess::snr::estimate;
use crate::preprocess::xp::{XP_PIXELS, grid_nm, normalise};
use crate::result::Label;
use crate::stats::median;

/// Lowest median S/N per sample of an XP spectrum.
const MIN_SNR: f32 = 5.0;

/// Lowest flux at 550 nm, relative to the mean flux.
const MIN_FLUX_AT_550: f64 = 0.05;

/// Lowest S/N per pixel of a LAMOST spectrum.
const MIN_LAMOST_SNR: f64 = 15.0;

/// Differences of ln Teff, log g, [Fe/H] and [α/M] that count the same.
const UNITS: [f64; XP_LABELS] = [0.03, 0.3, 0.15, 0.08];

/// Number of stars of similar labels, from which one is drawn; and their largest distance in [`UNITS`].
const NEIGHBOURS: usize = 8;
const MAX_DISTANCE: f64 = 2.0;

/// A LAMOST spectrum with its labels.
#[derive(Debug, Clone)]
pub struct LamostStar {
    /// Use of the star.
    pub part: Part,
    /// The spectrum.
    pub spectrum: ConditionedSpectrum,
    /// S/N per pixel.
    pub snr: f64,
    /// Teff in K, log g and [Fe/H] in dex.
    pub labels: [f64; 3],
    /// Radial velocity in km/s.
    pub rv_kms: f64,
}

/// An XP spectrum, real or made.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedXp {
    /// Flux relative to 550 nm, `[343]`.
    pub flux: Vec<f32>,
    /// Teff in K, log g, [Fe/H] and [α/M] in dex; NaN where unknown.
    pub labels: [f64; XP_LABELS],
    /// E(B−V) in mag; NaN where unknown.
    pub ebv_mag: f64,
    /// G magnitude before noise was added.
    pub g_mag: f64,
}

/// The stars, and the emulator fitted to them.
#[derive(Debug, Clone)]
pub struct RealStars {
    /// Stars with XP spectra.
    pub xp: XpStars,
    /// Stars with LAMOST spectra.
    pub lamost: Vec<LamostStar>,
    emulator: XpEmulator,
    /// E(B−V) of each star with an XP spectrum, mag; NaN where unknown.
    ebv_mag: Vec<f64>,
}

impl RealStars {
    /// Reads `gaia_xp_apogee.npz`, `lamost_dr10.npz` and `lamost_dr10_labels.csv` of a folder, and fits the emulator to
    /// the training stars of `seed`.
    pub fn read(real: &Path, seed: u64) -> Result<Self> {
        Self::new(XpStars::read(&real.join("gaia_xp_apogee.npz"), seed)?, read_lamost(real, seed)?)
    }

    /// Fits the emulator to the training stars among those with XP spectra.
    pub fn new(xp: XpStars, lamost: Vec<LamostStar>) -> Result<Self> {
        let (emulator, ebv_mag) = XpEmulator::fit(&xp, &xp.rows(Part::Training, MIN_SNR))?;
        Ok(Self { xp, lamost, emulator, ebv_mag })
    }

    /// Rows of XP spectra of a part. `has_labels`: only stars with all labels.
    pub fn xp_rows(&self, part: Part, has_labels: bool) -> Vec<usize> {
        let mut rows = self.xp.rows(part, MIN_SNR);
        rows.retain(|&i| !has_labels || self.ebv_mag[i].is_finite());
        rows
    }

    /// A real XP spectrum, with noise and reddening added at random.
    pub fn observed_xp(&self, star: usize, rng: &mut impl Rng) -> Option<ObservedXp> {
        let (flux, _) = augment(self.xp.flux(star), self.xp.sigma(star), rng);
        self.xp_of(star, &flux, self.xp.labels[star].map(f64::from))
    }

    /// A real XP spectrum as it is.
    pub fn measured_xp(&self, star: usize) -> Option<ObservedXp> {
        self.xp_of(star, self.xp.flux(star), self.xp.labels[star].map(f64::from))
    }

    /// The XP spectrum of a star of these labels from the emulator, with reddening and noise of a random training star of
    /// similar labels; `is_changed`: with more noise and dust at random, as for training. Unknown [α/M] (NaN) is that
    /// star's. `None` where too few stars are similar.
    pub fn emulated_xp(&self, labels: [f64; XP_LABELS], is_changed: bool, rng: &mut impl Rng) -> Option<ObservedXp> {
        let star = self.neighbour(labels, rng)?;
        let own = self.xp.labels[star].map(f64::from);
        let labels: [f64; XP_LABELS] = std::array::from_fn(|j| if labels[j].is_finite() { labels[j] } else { own[j] });
        let mut flux: Vec<f32> =
            self.emulator.flux(&labels, self.ebv_mag[star]).into_iter().map(|f| f as f32).collect();
        let relative = self.xp.sigma(star).iter().zip(self.xp.flux(star)).map(|(s, f)| s / f.max(0.02));
        let mut sigma: Vec<f32> = relative.zip(&flux).map(|(r, f)| r * f).collect();
        // √2 times the error: noise of one error is added to a spectrum without noise.
        add_noise(&mut flux, &mut sigma, std::f32::consts::SQRT_2, rng);
        if is_changed {
            flux = augment(&flux, &sigma, rng).0;
        }
        self.xp_of(star, &flux, labels)
    }

    fn xp_of(&self, star: usize, flux: &[f32], labels: [f64; XP_LABELS]) -> Option<ObservedXp> {
        let flux: Vec<f64> = flux.iter().map(|f| f64::from(*f)).collect();
        let flux = normalise(&grid_nm(), &flux).ok()?;
        // The flux at 550 nm divides; where it is mostly noise, so is the result.
        let mean = flux.iter().sum::<f64>() / XP_PIXELS as f64;
        if !(mean > 0.0 && 1.0 / mean >= MIN_FLUX_AT_550) {
            return None;
        }
        let (ebv_mag, g_mag) = (self.ebv_mag[star], f64::from(self.xp.g_mag[star]));
        Some(ObservedXp { flux: flux.iter().map(|v| *v as f32).collect(), labels, ebv_mag, g_mag })
    }

    /// A random one of the nearest training stars.
    fn neighbour(&self, labels: [f64; XP_LABELS], rng: &mut impl Rng) -> Option<usize> {
        let distance = |i: usize| -> f64 {
            let own = self.xp.labels[i].map(f64::from);
            let differences = (0..XP_LABELS).filter(|&j| labels[j].is_finite()).map(|j| {
                let difference = if j == 0 { (own[0] / labels[0]).ln() } else { own[j] - labels[j] };
                (difference / UNITS[j]).powi(2)
            });
            differences.sum()
        };
        let is_candidate = |&i: &usize| self.xp.part[i] == Part::Training && self.ebv_mag[i].is_finite();
        let mut near: Vec<(f64, usize)> = (0..self.xp.len())
            .filter(is_candidate)
            .map(|i| (distance(i), i))
            .filter(|(distance, _)| *distance <= MAX_DISTANCE * MAX_DISTANCE)
            .collect();
        if near.len() < NEIGHBOURS {
            return None;
        }
        near.sort_by(|a, b| a.0.total_cmp(&b.0));
        Some(near[rng.random_range(0..NEIGHBOURS)].1)
    }

    /// Median absolute residual of the emulator on the validation stars, each with its own E(B−V), in two wavelength
    /// ranges.
    pub fn emulator_accuracy(&self) -> Vec<Measurement> {
        let rows = self.xp_rows(Part::Validation, true);
        let residuals = |star: &usize| {
            let flux = self.xp.flux(*star);
            let mean = f64::from(flux.iter().sum::<f32>()) / XP_PIXELS as f64;
            let expected = self.emulator.flux(&self.xp.labels[*star].map(f64::from), self.ebv_mag[*star]);
            flux.iter().zip(expected).map(|(f, e)| (f64::from(*f) / mean / e - 1.0).abs()).collect::<Vec<f64>>()
        };
        let all: Vec<Vec<f64>> = rows.par_iter().map(residuals).collect();
        // 336–418 nm and 420–1020 nm.
        [("336–418 nm", 0..42), ("420–1020 nm", 42..XP_PIXELS)]
            .map(|(range, samples)| Measurement {
                quantity: format!("median absolute relative residual, {range}"),
                subject: "emulator of XP spectra".into(),
                data_set: "APOGEE stars of the validation part".into(),
                n: rows.len(),
                value: median(&mut all.iter().flat_map(|r| r[samples.clone()].iter().copied()).collect())
                    .unwrap_or(f64::NAN),
            })
            .to_vec()
    }
}

/// The LAMOST spectra that have labels, velocity and enough S/N.
fn read_lamost(real: &Path, seed: u64) -> Result<Vec<LamostStar>> {
    let path = real.join("lamost_dr10.npz");
    let spectra = read_spectra(&path)?;
    let table = read_table(&real.join("lamost_dr10_labels.csv"))?;
    let star = |spectrum: &crate::spectrum::Spectrum| -> Option<LamostStar> {
        let id = &spectrum.meta.id;
        let row = table.id.iter().position(|i| i == id)?;
        let [teff, logg, feh] = [Label::Teff, Label::Logg, Label::Feh].map(|label| truth(&table, label, row));
        let snr = estimate(spectrum)?.value;
        Some(LamostStar {
            part: Part::of(id, seed),
            spectrum: ConditionedSpectrum::new(spectrum).ok().filter(|_| snr >= MIN_LAMOST_SNR)?,
            snr,
            labels: [teff?, logg?, feh?],
            rv_kms: number(&table, HEADER_RV, row)?,
        })
    };
    let stars: Vec<LamostStar> = spectra.par_iter().filter_map(star).collect();
    ensure!(!stars.is_empty(), "no spectrum of {} has labels and a velocity", path.display());
    Ok(stars)
}
