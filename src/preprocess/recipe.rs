//! Specola's own recipe: any optical spectrum to the 1462 numbers that the shipped networks take in.
//!
//! [`Opened::new`] does, once, what does not depend on the star's velocity: checks, masked pixels, resolving power, S/N.
//! [`Opened::at_velocity`] then puts the spectrum on the grid in the star's rest frame and divides the continuum out. It
//! is called twice: at 0 km/s for the network that measures the velocity, then at that velocity for the others.
//!
//! The same functions normalise the simulated spectra that the networks are trained on ([`normalise`]).

use std::sync::OnceLock;

use thiserror::Error;

use super::grid::{self, C_KMS, FIT_PIXELS, MARGIN_BLUE, MODEL_PIXELS};
use super::polynomial::PolynomialBasis;
use super::resample::{Kernel, linear, resample, running_mean};
use super::snr::{self, SNR_RANGE_AA, median_step_dex};
use super::{resolution, stats};
use crate::result::{Flag, LedgerEntry, Snr};
use crate::spectrum::{Frame, Known, MIN_PIXELS, Medium, Meta, Source, Spectrum, Survey};

/// Name of this recipe in the manifest; it changes whenever its numbers do.
pub const NAME: &str = "specola-lrs-1";

/// Resolving power that sharper spectra are brought to.
pub const MODEL_RESOLVING_POWER: f64 = 1800.0;

/// Resolving powers that the networks were trained for.
const TRAINED_RESOLVING_POWERS: std::ops::RangeInclusive<f64> = 1450.0..=2300.0;

/// Degree of the continuum's polynomial and number of times it is lifted above the lines.
const CONTINUUM_DEGREE: usize = 5;
const CONTINUUM_LIFTS: usize = 10;

/// σ of the running mean that the normalised flux is divided by, pixels (about ±70 Å): it takes away what the polynomial
/// leaves, in which real and synthetic spectra differ most.
const RUNNING_MEAN_PIXELS: f64 = 60.0;

/// Normalised flux outside of this is a spike or a hole, not a line.
const FLUX_LIMITS: (f64, f64) = (0.0, 1.6);

/// Smallest part of 4000–5599 Å that must be there, unmasked: 100 Å or so, as the networks have seen in training.
const LEAST_COVERAGE: f64 = 0.06;

/// Below this S/N a pixel of the grid, by the file's own errors, there is nothing to answer from: the networks have seen 10
/// and more.
const LEAST_SNR: f64 = 1.0;

/// Below this part the answer is marked as resting on an incomplete spectrum.
const FULL_COVERAGE: f64 = 0.9;

/// Masked runs longer than this are left out of the model's input instead of being bridged, log10 λ (20 pixels, 22 Å).
const LONGEST_BRIDGE_DEX: f64 = 20.0 * grid::STEP_DEX;

/// Why no network can answer for a spectrum.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)]
pub enum Refusal {
    #[error(
        "this model takes optical spectra, and none of {survey}; leave the model to Specola, choose the encoder pair (`specola models` lists it), or give a LAMOST, SDSS or DESI spectrum of the star"
    )]
    NoModel { survey: &'static str },
    #[error(
        "only {percent:.0} % of 4000–5599 Å (vacuum) is there and unmasked, of which the model needs 6 %; this spectrum spans {first:.0}–{last:.0} Å. Use one that covers the range, or check the unit of its wavelengths"
    )]
    Coverage { percent: f64, first: f64, last: f64 },
    #[error(
        "pixels are {width:.1} Å wide near 4800 Å; the model needs 5 Å or better. Use a spectrum of higher resolution"
    )]
    TooCoarse { width: f64 },
    #[error(
        "the flux is zero or negative over most of 4000–5599 Å; there is no continuum to divide by. Was the sky subtracted twice, or the wrong column read?"
    )]
    NoContinuum,
    #[error(
        "its S/N is {snr:.1} a pixel of 69 km/s: noise alone. Stack it with other exposures of the star, or leave it out"
    )]
    Noise { snr: f64 },
}

/// A spectrum made ready for the grid.
#[derive(Debug, Clone)]
pub struct Opened {
    pub(super) log10: Vec<f64>,
    flux: Vec<f64>,
    pub(super) kernel: Kernel,
    /// Resolving power that it has on the grid.
    pub resolving_power: f64,
    /// Masked stretches too long to bridge, log10 λ.
    gaps: Vec<(f64, f64)>,
    /// S/N a model pixel.
    pub snr: Option<Snr>,
    /// Velocity frame of the spectrum's wavelengths.
    pub frame: Frame,
    /// Remarks that the preprocessing gives rise to.
    pub flags: Vec<Flag>,
    /// What was done.
    pub ledger: Vec<LedgerEntry>,
}

/// The model's input and how it came about.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Input of the networks, `[1462]`; NaN where the spectrum has nothing.
    pub norm: Vec<f32>,
    /// Part of the model's pixels that are there.
    pub coverage: f64,
    /// The fitted continuum on the fitting grid, flux unit, `[1626]`; rest-frame wavelengths of it are
    /// [`grid::fit_wave_vac_aa`].
    pub continuum: Vec<f64>,
    /// All that the flux was divided by, flux unit, `[1462]`.
    pub divisor: Vec<f64>,
    /// Pixels of the fitting grid that the spectrum reaches.
    pub covered: std::ops::Range<usize>,
    /// Ledger of this step.
    pub ledger: Vec<LedgerEntry>,
}

/// Flags and ledger as they grow.
#[derive(Default)]
struct Log {
    flags: Vec<Flag>,
    ledger: Vec<LedgerEntry>,
}

impl Log {
    fn note(&mut self, step: &str, did: String, assumed: bool) {
        self.ledger.push(LedgerEntry { step: step.into(), did, assumed });
    }
}

fn is_guess(source: Source) -> bool {
    matches!(source, Source::Assumed | Source::Estimated)
}

impl Opened {
    /// Checks a spectrum, bridges its masked pixels, settles its resolving power and S/N.
    pub fn new(spectrum: &Spectrum) -> Result<Self, Refusal> {
        let survey = spectrum.meta.survey;
        if survey == Survey::GaiaXp {
            return Err(Refusal::NoModel { survey: survey.name() });
        }
        let (from, to) = SNR_RANGE_AA;
        let wave = spectrum.wave_vac_aa();
        let (first, last) = (wave[0], wave[wave.len() - 1]);
        let mut log = Log::default();
        note_origin(&spectrum.meta, &mut log);

        let step_dex = median_step_dex(wave, from.max(first), to.min(last)).unwrap_or(f64::INFINITY);
        let inside: Vec<usize> = (0..spectrum.len()).filter(|&i| (from..=to).contains(&wave[i])).collect();
        let masked = inside.iter().filter(|&&i| spectrum.masked()[i]).count();
        let spanned = ((to.min(last) - from.max(first)) / (to - from)).max(0.0);
        let coverage = spanned * (1.0 - masked as f64 / inside.len().max(1) as f64);
        if coverage < LEAST_COVERAGE || inside.len() < MIN_PIXELS {
            return Err(Refusal::Coverage { percent: 100.0 * coverage, first, last });
        }
        let width_aa = 4800.0 * (10f64.powf(step_dex) - 1.0);
        if width_aa > 5.0 {
            return Err(Refusal::TooCoarse { width: width_aa });
        }
        log.note("mask", format!("{masked} of {} pixels in 4000–5599 Å masked", inside.len()), false);
        if masked as f64 > 0.05 * inside.len() as f64 {
            log.flags.push(Flag::ManyMasked);
        }
        if coverage < FULL_COVERAGE {
            log.note("coverage", format!("{:.0} % of 4000–5599 Å is there: errors grow", 100.0 * coverage), false);
            log.flags.push(Flag::PartialCoverage);
        }

        let good: Vec<usize> = (0..spectrum.len()).filter(|&i| !spectrum.masked()[i]).collect();
        let log10: Vec<f64> = good.iter().map(|&i| wave[i].log10()).collect();
        let longest = LONGEST_BRIDGE_DEX.max(3.0 * step_dex);
        let (kernel, resolving_power) = settle_resolution(spectrum, step_dex, &mut log);
        let snr = settle_snr(spectrum, &mut log);
        if let Some(Known { value: snr, source: Source::File }) = snr
            && snr < LEAST_SNR
        {
            return Err(Refusal::Noise { snr });
        }
        Ok(Self {
            kernel,
            resolving_power,
            snr,
            frame: spectrum.meta.frame.value,
            gaps: log10.windows(2).filter(|w| w[1] - w[0] > longest).map(|w| (w[0], w[1])).collect(),
            flux: good.iter().map(|&i| spectrum.flux()[i]).collect(),
            log10,
            flags: log.flags,
            ledger: log.ledger,
        })
    }

    /// The measured pixels of the whole spectrum: log10 λ and flux as observed.
    pub fn samples(&self) -> (&[f64], &[f64]) {
        (&self.log10, &self.flux)
    }

    /// The model's input with a radial velocity taken out.
    pub fn at_velocity(&self, rv_kms: f64) -> Result<Prepared, Refusal> {
        let shift = (1.0 + rv_kms / C_KMS).log10();
        let target: Vec<f64> = fit_log10().iter().map(|x| x + shift).collect();
        let flux = resample(&self.log10, &self.flux, &target, self.kernel);
        let (first, last) = (self.log10[0], self.log10[self.log10.len() - 1]);
        let from = target.partition_point(|x| *x < first);
        let to = target.partition_point(|x| *x <= last);
        let mut normalised = normalise(&flux, from..to).ok_or(Refusal::NoContinuum)?;
        for (value, x) in normalised.norm.iter_mut().zip(&target[MARGIN_BLUE..]) {
            if self.gaps.iter().any(|(a, b)| x > a && x < b) {
                *value = f32::NAN;
            }
        }
        let there = normalised.norm.iter().filter(|v| v.is_finite()).count();

        let mut log = Log::default();
        log.note("velocity", format!("{rv_kms:+.1} km/s taken out"), false);
        let how = match self.kernel {
            Kernel::Linear => "interpolated",
            Kernel::Box => "averaged",
            Kernel::Gaussian(_) => "smoothed",
        };
        log.note(
            "grid",
            format!("{how} onto pixels of 1e-4 dex; {there} of the model's {MODEL_PIXELS} are there, the others count as average"),
            false,
        );
        let degree = degree_for(to - from);
        log.note(
            "continuum",
            format!("polynomial of degree {degree} lifted {CONTINUUM_LIFTS} times, then running mean (σ {RUNNING_MEAN_PIXELS:.0} pixels) divided out"),
            false,
        );
        if normalised.clipped > 0 {
            let (low, high) = FLUX_LIMITS;
            log.note(
                "spikes",
                format!("{} pixels outside {low}–{high} of the continuum cut", normalised.clipped),
                false,
            );
        }
        Ok(Prepared {
            norm: normalised.norm,
            coverage: there as f64 / MODEL_PIXELS as f64,
            continuum: normalised.continuum,
            divisor: normalised.divisor,
            covered: from..to,
            ledger: log.ledger,
        })
    }
}

/// What the file says of itself: class, medium, frame.
fn note_origin(meta: &Meta, log: &mut Log) {
    if let Some(class) = meta.class.as_deref().filter(|c| !c.trim().eq_ignore_ascii_case("star")) {
        log.note("class", format!("the survey's pipeline says {}: not a star", class.trim()), false);
        log.flags.push(Flag::NotStar);
    }
    let source = meta.medium.source;
    let did = match meta.medium.value {
        Medium::Air => format!("air ({}) converted to vacuum", source.name()),
        Medium::Vacuum => format!("vacuum ({}) kept", source.name()),
    };
    log.note("wavelengths", did, is_guess(source));
    if is_guess(source) {
        log.flags.push(Flag::MediumAssumed);
    }
    let source = meta.frame.source;
    let did = match meta.frame.value {
        Frame::Rest => {
            format!(
                "at the star's rest ({}); what velocity is left is measured and taken out, and no RV is given",
                source.name()
            )
        }
        other => format!("{} ({}); the radial velocity is measured and taken out", other.name(), source.name()),
    };
    log.note("frame", did, is_guess(source));
    if is_guess(source) || meta.frame.value == Frame::Topocentric {
        log.flags.push(Flag::FrameAssumed);
    }
}

/// The kernel that brings the spectrum to a resolving power that the networks know, and what it has then.
fn settle_resolution(spectrum: &Spectrum, step_dex: f64, log: &mut Log) -> (Kernel, f64) {
    let known = spectrum.meta.resolving_power.unwrap_or_else(|| {
        resolution::estimate(spectrum)
            .map_or(Known::new(MODEL_RESOLVING_POWER, Source::Assumed), |r| Known::new(r, Source::Estimated))
    });
    if is_guess(known.source) {
        log.flags.push(Flag::ResolutionEstimated);
    }
    let (value, source) = (known.value, known.source.name());
    let (low, high) = (*TRAINED_RESOLVING_POWERS.start(), *TRAINED_RESOLVING_POWERS.end());
    let kernel = if value > high {
        Kernel::to_resolution(value, MODEL_RESOLVING_POWER, step_dex)
    } else {
        Kernel::without_change(step_dex)
    };
    let did = match kernel {
        Kernel::Gaussian(_) => format!("R {value:.0} ({source}) smoothed to {MODEL_RESOLVING_POWER:.0}"),
        _ if value < low => {
            format!("R {value:.0} ({source}) is below what the model was trained for, {low:.0}–{high:.0}")
        }
        _ => format!("R {value:.0} ({source}) kept; the model takes {low:.0}–{high:.0}"),
    };
    if value < low {
        log.flags.push(Flag::ResolutionLow);
    }
    log.note("resolution", did, is_guess(known.source));
    (kernel, if matches!(kernel, Kernel::Gaussian(_)) { MODEL_RESOLVING_POWER } else { value })
}

fn settle_snr(spectrum: &Spectrum, log: &mut Log) -> Option<Snr> {
    let snr = snr::estimate(spectrum);
    match snr {
        Some(Known { value, source: Source::Estimated }) => {
            let did = format!(
                "{value:.0} per pixel of 69 km/s, estimated from the scatter between pixels: the file has no errors"
            );
            log.note("S/N", did, true);
            log.flags.push(Flag::SnrEstimated);
        }
        Some(Known { value, .. }) => {
            log.note("S/N", format!("{value:.0} per pixel of 69 km/s (median over 4000–5599 Å)"), false);
        }
        None => log.note("S/N", "cannot be told from so few pixels".into(), true),
    }
    if snr.is_some_and(|s| s.value < 10.0) {
        log.flags.push(Flag::LowSnr);
    }
    snr
}

/// What [`normalise`] gives.
pub struct Normalised {
    /// Input of the networks, `[1462]`; NaN for pixels that are not covered.
    pub norm: Vec<f32>,
    /// Continuum, `[1626]`; beyond the covered pixels it goes on level.
    pub continuum: Vec<f64>,
    /// Continuum times running mean, `[1462]`; NaN for pixels that are not covered.
    pub divisor: Vec<f64>,
    /// Pixels of the model grid that were cut.
    pub clipped: usize,
}

/// Degree of the continuum for a part of the fitting grid: equally stiff for every length.
fn degree_for(pixels: usize) -> usize {
    (CONTINUUM_DEGREE * pixels).div_ceil(FIT_PIXELS).max(1)
}

/// Divides the continuum out of a flux on the fitting grid (`[1626]`) and cuts the model grid from it (`[1462]`).
/// `covered` are the pixels that the spectrum reaches. `None` without a positive continuum or anything covered.
pub fn normalise(flux: &[f64], covered: std::ops::Range<usize>) -> Option<Normalised> {
    let seen = flux.get(covered.clone()).filter(|seen| seen.len() >= MIN_PIXELS)?;
    let partial;
    let basis = if covered.len() == FIT_PIXELS {
        full_basis()
    } else {
        partial = PolynomialBasis::new(&fit_wave()[covered.clone()], degree_for(covered.len()));
        &partial
    };
    let mut upper = stats::median_filter_7(seen);
    for _ in 0..CONTINUUM_LIFTS {
        let fit = basis.fit(&upper);
        for (u, f) in upper.iter_mut().zip(fit) {
            *u = u.max(f);
        }
    }
    let fitted = basis.fit(&upper);
    let scale = fitted.iter().map(|c| c.abs()).sum::<f64>() / fitted.len() as f64;
    let positive = fitted.iter().filter(|c| **c > 1e-3 * scale).count();
    if scale.is_nan() || scale <= 0.0 || 10 * positive < 9 * fitted.len() {
        return None;
    }
    let mut continuum = linear(&fit_log10()[covered.clone()], &fitted, fit_log10());
    continuum.iter_mut().for_each(|c| *c = c.max(1e-3 * scale));
    let ratio: Vec<f64> = covered.clone().map(|i| (flux[i] / continuum[i]).clamp(-1.0, 3.0)).collect();
    let mut level = vec![f64::NAN; FIT_PIXELS];
    let mut divisor = vec![f64::NAN; FIT_PIXELS];
    for ((i, ratio), mean) in covered.zip(&ratio).zip(running_mean(&ratio, RUNNING_MEAN_PIXELS)) {
        (level[i], divisor[i]) = (ratio / mean, continuum[i] * mean);
    }
    let (low, high) = FLUX_LIMITS;
    let model = &level[MARGIN_BLUE..MARGIN_BLUE + MODEL_PIXELS];
    Some(Normalised {
        divisor: divisor[MARGIN_BLUE..MARGIN_BLUE + MODEL_PIXELS].to_vec(),
        norm: model.iter().map(|v| v.clamp(low, high) as f32).collect(),
        clipped: model.iter().filter(|v| **v < low || **v > high).count(),
        continuum,
    })
}

fn fit_log10() -> &'static [f64] {
    static GRID: OnceLock<Vec<f64>> = OnceLock::new();
    GRID.get_or_init(grid::fit_log10)
}

fn fit_wave() -> &'static [f64] {
    static GRID: OnceLock<Vec<f64>> = OnceLock::new();
    GRID.get_or_init(grid::fit_wave_vac_aa)
}

fn full_basis() -> &'static PolynomialBasis {
    static BASIS: OnceLock<PolynomialBasis> = OnceLock::new();
    BASIS.get_or_init(|| PolynomialBasis::new(fit_wave(), CONTINUUM_DEGREE))
}
