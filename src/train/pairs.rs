//! Pairs of spectra: the same star in an optical survey and in Gaia XP. Each batch follows from a seed; it is made in
//! rayon's threads, and never written to disk.
//!
//! A pair has at most one real side, and the other side is made at the real star's labels ([`Origin`]).

use anyhow::{Result, ensure};
use rand::{Rng, RngExt};
use rayon::prelude::*;

use super::grid::PARAMETERS;
use super::grid_sampler::{Population, RequiredParts, SimulatedStar};
use super::real_stars::{ObservedXp, RealStars};
use super::simulate::{observe, survey_like};
use super::simulate_desi::{self, desi_like};
use super::simulate_xp::{self, colour_excess, gaia_like};
use super::training_loop::rng_of;
use super::xp::stars::Part;

/// Teff range of real stars in pairs, K: the synthetic grid describes cooler and hotter ones badly.
pub const REAL_TEFF_RANGE_K: [f64; 2] = [4000.0, 7400.0];

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

/// Origin of the spectra of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// No side is real. The XP spectrum is that of the empirical emulator where there are real stars of these labels, else
    /// of the synthetic grid.
    #[default]
    Simulated,
    /// A real XP spectrum, and the synthetic grid's optical spectrum at APOGEE's labels.
    RealXp,
    /// A real LAMOST spectrum, and the empirical emulator's XP spectrum at the labels of LAMOST's pipeline.
    RealLrs,
}

/// A star in two surveys. A spectrum that the caller does not need is empty.
#[derive(Debug, Clone, Default)]
pub struct Pair {
    /// Origin of the spectra.
    pub origin: Origin,
    /// Labels: teff, logg, feh, `alpha_fe`, `c_fe`, `n_fe`, vmic; NaN where a real star's is unknown.
    pub parameters: [f64; PARAMETERS],
    /// E(B−V), mag; NaN where unknown.
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

/// Real stars among the pairs.
#[derive(Clone, Copy)]
pub struct RealShare<'a> {
    /// The stars.
    pub stars: &'a RealStars,
    /// Part of the stars.
    pub part: Part,
    /// Fraction of pairs with a real XP spectrum.
    pub xp: f64,
    /// Fraction of pairs with a real LAMOST spectrum.
    pub lrs: f64,
}

/// Fractions of training pairs with a real XP and a real LAMOST spectrum.
const TRAINING_SHARES: (f64, f64) = (0.6, 0.15);

impl<'a> RealShare<'a> {
    /// Shares for training.
    pub fn training(stars: &'a RealStars, part: Part) -> Self {
        let (xp, lrs) = TRAINING_SHARES;
        Self { stars, part, xp, lrs }
    }

    /// No real spectra among the pairs; the XP spectra are those of the empirical emulator.
    pub fn none(stars: &'a RealStars, part: Part) -> Self {
        Self { stars, part, xp: 0.0, lrs: 0.0 }
    }
}

/// Generator of pairs.
pub struct Pairs<'a> {
    /// Population of the simulated stars.
    pub population: Population<'a>,
    /// Real stars; without them, XP spectra are simulated from the synthetic grid.
    pub real: Option<RealShare<'a>>,
    /// The optical survey.
    pub optical: OpticalSurvey,
    /// True for stars between the nodes; false for stars at the nodes themselves.
    pub is_between_nodes: bool,
    /// Seed of all random numbers.
    pub seed: u64,
}

/// Attempts to make a pair. One may fail, for example without flux at 550 nm; another star then takes its place.
const ATTEMPTS: usize = 20;

impl Pairs<'_> {
    /// `n` stars of a training step. The same step always gives the same stars.
    pub fn of_step(&self, step: usize, n: usize, required: RequiredParts) -> Result<Vec<Pair>> {
        let rows = self.real_rows(required);
        (0..n).into_par_iter().map(|i| self.any(step, i, &rows, required)).collect()
    }

    /// One simulated star at each node of a list.
    pub fn of_nodes(&self, nodes: &[usize], step: usize, required: RequiredParts) -> Result<Vec<Pair>> {
        let of = |(i, &node): (usize, &usize)| {
            let mut rng = rng_of(self.seed, step, i);
            self.attempts(&mut rng, |rng| self.simulated(node, required, rng))
        };
        nodes.par_iter().enumerate().map(of).collect()
    }

    /// Pairs with the XP spectra of these stars as they are, and simulated optical spectra at their labels. Stars outside
    /// [`REAL_TEFF_RANGE_K`] are left out.
    pub fn of_real_xp(&self, rows: &[usize], step: usize) -> Vec<Pair> {
        let Some(real) = self.real else { return Vec::new() };
        let of = |&row: &usize| {
            let mut rng = rng_of(self.seed, step, row);
            self.real_xp(real.stars.measured_xp(row)?, RequiredParts::Both, &mut rng)
        };
        rows.par_iter().filter_map(of).collect()
    }

    fn real_rows(&self, required: RequiredParts) -> RealRows {
        let Some(real) = self.real else { return RealRows::default() };
        let (mut xp, mut lrs) = (Vec::new(), Vec::new());
        if required != RequiredParts::Lrs && real.xp > 0.0 {
            // The XP encoder learns from all stars; a pair needs labels within the synthetic grid.
            xp = real.stars.xp_rows(real.part, required == RequiredParts::Both);
        }
        if required != RequiredParts::Xp && real.lrs > 0.0 {
            let all = real.stars.lamost.iter().enumerate();
            lrs = all.filter(|(_, star)| star.part == real.part).map(|(i, _)| i).collect();
        }
        RealRows { xp, lrs }
    }

    fn attempts(&self, rng: &mut impl Rng, mut make: impl FnMut(&mut dyn Rng) -> Option<Pair>) -> Result<Pair> {
        let pair = (0..ATTEMPTS).find_map(|_| make(rng));
        ensure!(
            pair.is_some(),
            "{ATTEMPTS} observations of stars failed; check that the grid covers the wavelengths of the survey"
        );
        Ok(pair.unwrap_or_default())
    }

    /// A pair of random origin.
    fn any(&self, step: usize, i: usize, rows: &RealRows, required: RequiredParts) -> Result<Pair> {
        ensure!(!self.population.nodes.is_empty(), "the grid has no nodes for the simulation");
        let mut rng = rng_of(self.seed, step, i);
        self.attempts(&mut rng, |mut rng| {
            let (mut xp, mut lrs) = self.real.map_or((0.0, 0.0), |real| (real.xp, real.lrs));
            (xp, lrs) = (if rows.xp.is_empty() { 0.0 } else { xp }, if rows.lrs.is_empty() { 0.0 } else { lrs });
            let choice = if xp + lrs > 0.0 { rng.random::<f64>() } else { 1.0 };
            match self.real {
                Some(real) if choice < xp => {
                    let observed = real.stars.observed_xp(rows.xp[rng.random_range(0..rows.xp.len())], &mut rng)?;
                    self.real_xp(observed, required, rng)
                }
                Some(real) if choice < xp + lrs => {
                    self.real_lrs(real.stars, rows.lrs[rng.random_range(0..rows.lrs.len())], required, rng)
                }
                _ => {
                    let nodes = &self.population.nodes;
                    self.simulated(nodes[rng.random_range(0..nodes.len())], required, rng)
                }
            }
        })
    }

    fn simulated(&self, node: usize, required: RequiredParts, mut rng: &mut dyn Rng) -> Option<Pair> {
        let star = if self.is_between_nodes {
            self.population.near(node, required, &mut rng)
        } else {
            self.population.node(node, required)
        };
        let ebv_mag = colour_excess(&mut rng);
        let mut pair = Pair { ebv_mag, parameters: star.parameters, snr: f64::NAN, g_mag: f64::NAN, ..Pair::default() };
        if required != RequiredParts::Xp {
            self.observe_optical(&star, &mut pair, rng)?;
        }
        if required != RequiredParts::Lrs {
            let [teff, logg, feh, alpha_fe, ..] = star.parameters;
            // Without real spectra among the pairs, they are for reference.
            let labels = [teff, logg, feh, alpha_fe];
            let emulated = self.real.and_then(|real| real.stars.emulated_xp(labels, real.xp > 0.0, &mut rng));
            match emulated {
                Some(xp) => (pair.xp, pair.ebv_mag, pair.g_mag) = (xp.flux, xp.ebv_mag, xp.g_mag),
                None => {
                    let conditions = gaia_like(ebv_mag, &mut rng);
                    pair.g_mag = conditions.g_mag;
                    pair.xp = simulate_xp::observe(&self.population.seds.wave_nm, &star.sed, &conditions, &mut rng)?;
                }
            }
        }
        Some(pair)
    }

    fn real_xp(&self, xp: ObservedXp, required: RequiredParts, rng: &mut dyn Rng) -> Option<Pair> {
        let mut parameters = [f64::NAN; PARAMETERS];
        parameters[..xp.labels.len()].copy_from_slice(&xp.labels);
        let mut pair = Pair {
            origin: Origin::RealXp,
            parameters,
            ebv_mag: xp.ebv_mag,
            snr: f64::NAN,
            g_mag: xp.g_mag,
            xp: xp.flux,
            ..Pair::default()
        };
        if required != RequiredParts::Xp {
            let [low, high] = REAL_TEFF_RANGE_K;
            if !(low..=high).contains(&xp.labels[0]) {
                return None;
            }
            let star = self.population.at(xp.labels, RequiredParts::Lrs)?;
            pair.parameters = star.parameters;
            self.observe_optical(&star, &mut pair, rng)?;
        }
        Some(pair)
    }

    fn real_lrs(&self, stars: &RealStars, i: usize, required: RequiredParts, mut rng: &mut dyn Rng) -> Option<Pair> {
        let star = &stars.lamost[i];
        let lrs = star.spectrum.normalise_at_rv(star.rv_kms + residual_rv_kms(&mut rng)).ok()?.norm;
        let [teff, logg, feh] = star.labels;
        let mut parameters = [f64::NAN; PARAMETERS];
        parameters[..3].copy_from_slice(&star.labels);
        let mut pair = Pair {
            origin: Origin::RealLrs,
            parameters,
            ebv_mag: f64::NAN,
            snr: star.snr,
            g_mag: f64::NAN,
            lrs,
            ..Pair::default()
        };
        if required != RequiredParts::Lrs {
            let xp = stars.emulated_xp([teff, logg, feh, f64::NAN], true, &mut rng)?;
            pair.parameters[..xp.labels.len()].copy_from_slice(&xp.labels);
            (pair.xp, pair.ebv_mag, pair.g_mag) = (xp.flux, xp.ebv_mag, xp.g_mag);
        }
        Some(pair)
    }

    /// Adds a simulated optical spectrum to a pair.
    fn observe_optical(&self, star: &SimulatedStar, pair: &mut Pair, mut rng: &mut dyn Rng) -> Option<()> {
        let intrinsic = self.population.star(star);
        pair.is_desi = match self.optical {
            OpticalSurvey::Mixed => rng.random_bool(0.25),
            OpticalSurvey::Lamost => false,
            OpticalSurvey::Desi => true,
        };
        let residual_rv_kms = residual_rv_kms(&mut rng);
        // Reddening hardly changes a spectrum divided by its continuum.
        let ebv_mag = if pair.ebv_mag.is_finite() { pair.ebv_mag.max(0.0) } else { 0.0 };
        let lrs = if pair.is_desi {
            let conditions = desi_like(residual_rv_kms, ebv_mag, &mut rng);
            pair.snr = conditions.snr;
            simulate_desi::observe(&intrinsic, &conditions, &mut rng)?
        } else {
            let mut conditions = survey_like(0.0, residual_rv_kms, &mut rng);
            conditions.ebv_mag = ebv_mag;
            pair.snr = conditions.snr;
            observe(&intrinsic, &conditions, &mut rng)?
        };
        pair.lrs = lrs;
        pair.lrs.iter().any(|v| v.is_finite()).then_some(())
    }
}

/// Rows of the real stars that may be drawn.
#[derive(Default)]
struct RealRows {
    xp: Vec<usize>,
    lrs: Vec<usize>,
}

/// Error of the velocity network: some 10 km/s, more at low S/N.
fn residual_rv_kms(rng: &mut impl Rng) -> f64 {
    let width: f64 = if rng.random_bool(0.9) { 12.0 } else { 40.0 };
    width * (rng.random::<f64>() + rng.random::<f64>() - 1.0) * 1.7
}
