//! Specola's own preprocessing: from any optical spectrum to the 1462 input values of Specola's networks.
//!
//! [`ConditionedSpectrum::new`] does the steps that do not depend on the star's radial velocity: checks, masked pixels,
//! resolving power, S/N. [`ConditionedSpectrum::normalise_at_rv`] then resamples the spectrum to the grid in the star's
//! rest frame and divides by the continuum. It runs twice: at 0 km/s for the network that measures the radial velocity,
//! then at the measured velocity for the other networks.
//!
//! The same code ([`normalise`]) normalises the simulated training spectra.

use std::sync::OnceLock;

use thiserror::Error;

use super::grid::{self, C_KMS, FIT_PIXELS, MARGIN_BLUE, MODEL_PIXELS};
use super::polynomial::PolynomialBasis;
use super::resample::{ResamplingKernel, linear, resample, running_mean};
use super::resolution;
use super::snr::{self, SNR_RANGE_AA, median_step_dex};
use crate::result::{Flag, FlagSet, ProcessingStep, Snr};
use crate::spectrum::{Frame, MIN_PIXELS, Medium, Meta, Source, Sourced, Spectrum, Survey};
use crate::stats;

/// Name of this recipe in the manifest. The name changes whenever the output values of the recipe change.
pub const RECIPE_NAME: &str = "specola-lrs-1";

/// Resolving power to which spectra of higher resolving power are smoothed.
pub const MODEL_RESOLVING_POWER: f64 = 1800.0;

/// Range of resolving powers of the training spectra.
const TRAINING_RESOLVING_POWERS: std::ops::RangeInclusive<f64> = 1450.0..=2300.0;

/// Degree of the continuum polynomial, and number of iterations that lift the fit above the lines.
const CONTINUUM_DEGREE: usize = 5;
const CONTINUUM_ITERATIONS: usize = 10;

/// σ of the running mean by which the normalised flux is divided, pixels (about ±70 Å).
///
/// The division removes the residuals of the polynomial fit, in which real and synthetic spectra differ most.
const RUNNING_MEAN_PIXELS: f64 = 60.0;

/// Range of the normalised flux; values outside it are artefacts (spikes or holes), not lines.
const FLUX_LIMITS: (f64, f64) = (0.0, 1.6);

/// Minimum fraction of 4000–5599 Å that must be covered and unmasked: about 100 Å, as in the training spectra.
const MIN_COVERAGE: f64 = 0.06;

/// Minimum S/N per grid pixel, by the errors in the file; below it no prediction is possible. The networks were trained
/// at S/N of 10 and more.
const MIN_SNR: f64 = 1.0;

/// Below this covered fraction the prediction gets the flag [`Flag::PartialCoverage`].
const FULL_COVERAGE: f64 = 0.9;

/// Longest run of masked pixels that is interpolated, in log10 λ (20 pixels, 22 Å). Longer gaps become NaN in the
/// model's input.
const MAX_BRIDGED_GAP_DEX: f64 = 20.0 * grid::STEP_DEX;

/// The reason why a spectrum cannot be preprocessed for a network.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum PreprocessError {
    #[error(
        "this model does not accept {survey} spectra. Let Specola select the model, choose the encoder pair (see `specola models`), or use a LAMOST, SDSS or DESI spectrum of the star"
    )]
    NoModel { survey: &'static str },
    #[error(
        "the spectrum covers only {percent:.0} % of 4000–5599 Å (vacuum) with unmasked pixels; the model needs at least 6 %. The spectrum spans {first:.0}–{last:.0} Å. Use a spectrum that covers the range, or check the wavelength unit"
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
        "the flux is the same in all unmasked pixels of 4000–5599 Å; there is nothing to measure. Was the wrong column read?"
    )]
    Constant,
    #[error(
        "the S/N per pixel of 69 km/s is {snr:.1}, too low for a prediction. Stack several exposures of the star, or exclude the spectrum"
    )]
    Noise { snr: f64 },
}

/// A spectrum that passed the checks, ready for resampling to the grid.
#[derive(Debug, Clone)]
pub struct ConditionedSpectrum {
    pub(super) log10: Vec<f64>,
    flux: Vec<f64>,
    pub(super) kernel: ResamplingKernel,
    /// Resolving power of the resampled spectrum.
    pub resolving_power: f64,
    /// Start and end of the gaps that are too long to interpolate, log10 λ.
    gaps: Vec<(f64, f64)>,
    /// S/N per pixel of the model grid.
    pub snr: Option<Snr>,
    /// Survey of the spectrum.
    pub survey: Survey,
    /// Velocity frame of the spectrum's wavelengths.
    pub frame: Frame,
    /// Flags set by the preprocessing.
    pub flags: FlagSet,
    /// The steps taken so far.
    pub processing_history: Vec<ProcessingStep>,
}

/// The model's input, with the continuum and the processing history.
#[derive(Debug, Clone)]
pub struct PreparedInput {
    /// Input of the networks, `[1462]`; NaN where the spectrum has no data.
    pub norm: Vec<f32>,
    /// Fraction of the model's pixels that are not NaN.
    pub coverage: f64,
    /// The fitted continuum on the fitting grid, in flux units, `[1626]`. Its rest-frame wavelengths are
    /// [`grid::fit_wave_vac_aa`].
    pub continuum: Vec<f64>,
    /// Divisor of the flux: continuum times running mean, in flux units, `[1462]`.
    pub divisor: Vec<f64>,
    /// Pixels of the fitting grid that the spectrum covers.
    pub covered: std::ops::Range<usize>,
    /// Processing history of this step.
    pub processing_history: Vec<ProcessingStep>,
}

/// Flags and processing history, collected during the preprocessing.
#[derive(Default)]
struct StepLog {
    flags: FlagSet,
    processing_history: Vec<ProcessingStep>,
}

impl StepLog {
    fn note(&mut self, step: &str, description: String, is_assumed: bool) {
        self.processing_history.push(ProcessingStep { step: step.into(), description, is_assumed });
    }
}

fn is_uncertain(source: Source) -> bool {
    matches!(source, Source::Assumed | Source::Estimated)
}

impl ConditionedSpectrum {
    /// Checks a spectrum, removes its masked pixels, and determines resolving power and S/N.
    pub fn new(spectrum: &Spectrum) -> Result<Self, PreprocessError> {
        let survey = spectrum.meta.survey;
        if survey == Survey::GaiaXp {
            return Err(PreprocessError::NoModel { survey: survey.name() });
        }
        let (from, to) = SNR_RANGE_AA;
        let wave = spectrum.wave_vac_aa();
        let (first, last) = (wave[0], wave[wave.len() - 1]);
        let mut log = StepLog::default();
        check_metadata(&spectrum.meta, &mut log);

        let step_dex = median_step_dex(wave, from.max(first), to.min(last)).unwrap_or(f64::INFINITY);
        let inside: Vec<usize> = (0..spectrum.len()).filter(|&i| (from..=to).contains(&wave[i])).collect();
        let masked = inside.iter().filter(|&&i| spectrum.masked()[i]).count();
        let span_fraction = ((to.min(last) - from.max(first)) / (to - from)).max(0.0);
        let coverage = span_fraction * (1.0 - masked as f64 / inside.len().max(1) as f64);
        if coverage < MIN_COVERAGE || inside.len() < MIN_PIXELS {
            return Err(PreprocessError::Coverage { percent: 100.0 * coverage, first, last });
        }
        let unmasked = inside.iter().filter(|&&i| !spectrum.masked()[i]);
        let unmasked: Vec<f64> = unmasked.map(|&i| spectrum.flux()[i]).collect();
        if stats::is_constant(&unmasked) {
            return Err(PreprocessError::Constant);
        }
        let width_aa = 4800.0 * (10f64.powf(step_dex) - 1.0);
        if width_aa > 5.0 {
            return Err(PreprocessError::TooCoarse { width: width_aa });
        }
        log.note("mask", format!("{masked} of {} pixels in 4000–5599 Å masked", inside.len()), false);
        if masked as f64 > 0.05 * inside.len() as f64 {
            log.flags.insert(Flag::ManyMasked);
        }
        if coverage < FULL_COVERAGE {
            log.note(
                "coverage",
                format!("{:.0} % of 4000–5599 Å covered; the errors are larger", 100.0 * coverage),
                false,
            );
            log.flags.insert(Flag::PartialCoverage);
        }

        let good: Vec<usize> = (0..spectrum.len()).filter(|&i| !spectrum.masked()[i]).collect();
        let log10: Vec<f64> = good.iter().map(|&i| wave[i].log10()).collect();
        let max_gap_dex = MAX_BRIDGED_GAP_DEX.max(3.0 * step_dex);
        let (kernel, resolving_power) = choose_kernel(spectrum, step_dex, &mut log);
        let snr = estimate_snr(spectrum, &mut log);
        if let Some(Sourced { value: snr, source: Source::File }) = snr
            && snr < MIN_SNR
        {
            return Err(PreprocessError::Noise { snr });
        }
        Ok(Self {
            kernel,
            resolving_power,
            snr,
            survey,
            frame: spectrum.meta.frame.value,
            gaps: log10.windows(2).filter(|w| w[1] - w[0] > max_gap_dex).map(|w| (w[0], w[1])).collect(),
            flux: good.iter().map(|&i| spectrum.flux()[i]).collect(),
            log10,
            flags: log.flags,
            processing_history: log.processing_history,
        })
    }

    /// The unmasked pixels of the whole spectrum: log10 λ and observed flux.
    pub fn samples(&self) -> (&[f64], &[f64]) {
        (&self.log10, &self.flux)
    }

    /// The model's input, with the spectrum shifted to the rest frame of a star at radial velocity `rv_kms`, km/s.
    pub fn normalise_at_rv(&self, rv_kms: f64) -> Result<PreparedInput, PreprocessError> {
        let shift = (1.0 + rv_kms / C_KMS).log10();
        let target: Vec<f64> = fit_log10().iter().map(|x| x + shift).collect();
        let flux = resample(&self.log10, &self.flux, &target, self.kernel);
        let (first, last) = (self.log10[0], self.log10[self.log10.len() - 1]);
        let from = target.partition_point(|x| *x < first);
        let to = target.partition_point(|x| *x <= last);
        let mut normalised = normalise(&flux, from..to).ok_or(PreprocessError::NoContinuum)?;
        for (value, x) in normalised.norm.iter_mut().zip(&target[MARGIN_BLUE..]) {
            if self.gaps.iter().any(|(a, b)| x > a && x < b) {
                *value = f32::NAN;
            }
        }
        let n_valid = normalised.norm.iter().filter(|v| v.is_finite()).count();

        let mut log = StepLog::default();
        log.note("velocity", format!("shifted to the rest frame with RV {rv_kms:+.1} km/s"), false);
        let missing = if n_valid < MODEL_PIXELS { ", the missing ones take the training mean" } else { "" };
        log.note(
            "grid",
            format!("resampled to Δlog₁₀λ = 10⁻⁴; {n_valid} of {MODEL_PIXELS} model pixels covered{missing}"),
            false,
        );
        let degree = degree_for(to - from);
        log.note(
            "continuum",
            format!("flux divided by a polynomial of degree {degree} ({CONTINUUM_ITERATIONS} upper-envelope iterations), then by its Gaussian running mean (σ {RUNNING_MEAN_PIXELS:.0} pixels)"),
            false,
        );
        if normalised.clipped > 0 {
            let (low, high) = FLUX_LIMITS;
            log.note(
                "spikes",
                format!("{} pixels outside {low}–{high} × continuum clipped", normalised.clipped),
                false,
            );
        }
        Ok(PreparedInput {
            norm: normalised.norm,
            coverage: n_valid as f64 / MODEL_PIXELS as f64,
            continuum: normalised.continuum,
            divisor: normalised.divisor,
            covered: from..to,
            processing_history: log.processing_history,
        })
    }
}

/// Logs class, medium and velocity frame, and sets their flags.
fn check_metadata(meta: &Meta, log: &mut StepLog) {
    if let Some(class) = meta.class.as_deref().filter(|c| !c.trim().eq_ignore_ascii_case("star")) {
        log.note("class", format!("class of the survey pipeline: {}, not a star", class.trim()), false);
        log.flags.insert(Flag::NotStar);
    }
    let source = meta.medium.source;
    let description = match meta.medium.value {
        Medium::Air => format!("air ({}) converted to vacuum", source.name()),
        Medium::Vacuum => format!("vacuum ({}), unchanged", source.name()),
    };
    log.note("wavelengths", description, is_uncertain(source));
    if is_uncertain(source) {
        log.flags.insert(Flag::MediumAssumed);
    }
    let source = meta.frame.source;
    let description = match meta.frame.value {
        Frame::Rest => {
            format!(
                "rest frame of the star ({}); the spectrum is shifted by the measured residual velocity, and no RV is reported",
                source.name()
            )
        }
        other => {
            format!("{} ({}); the spectrum is shifted to rest by the measured velocity", other.name(), source.name())
        }
    };
    log.note("frame", description, is_uncertain(source));
    if is_uncertain(source) || meta.frame.value == Frame::Topocentric {
        log.flags.insert(Flag::FrameAssumed);
    }
}

/// The kernel that brings the spectrum to a resolving power within the training range, and the resulting resolving
/// power.
fn choose_kernel(spectrum: &Spectrum, step_dex: f64, log: &mut StepLog) -> (ResamplingKernel, f64) {
    let resolving_power = spectrum.meta.resolving_power.unwrap_or_else(|| {
        resolution::estimate(spectrum)
            .map_or(Sourced::new(MODEL_RESOLVING_POWER, Source::Assumed), |r| Sourced::new(r, Source::Estimated))
    });
    if is_uncertain(resolving_power.source) {
        log.flags.insert(Flag::ResolutionEstimated);
    }
    let (value, source) = (resolving_power.value, resolving_power.source.name());
    let (low, high) = (*TRAINING_RESOLVING_POWERS.start(), *TRAINING_RESOLVING_POWERS.end());
    let kernel = if value > high {
        ResamplingKernel::to_resolution(value, MODEL_RESOLVING_POWER, step_dex)
    } else {
        ResamplingKernel::at_same_resolution(step_dex)
    };
    let description = match kernel {
        ResamplingKernel::Gaussian(_) => format!("R {value:.0} ({source}) smoothed to {MODEL_RESOLVING_POWER:.0}"),
        _ if value < low => {
            format!("R {value:.0} ({source}) is below the training range {low:.0}–{high:.0}")
        }
        _ => format!("R {value:.0} ({source}), unchanged; training range {low:.0}–{high:.0}"),
    };
    if value < low {
        log.flags.insert(Flag::ResolutionLow);
    }
    log.note("resolution", description, is_uncertain(resolving_power.source));
    (kernel, if matches!(kernel, ResamplingKernel::Gaussian(_)) { MODEL_RESOLVING_POWER } else { value })
}

fn estimate_snr(spectrum: &Spectrum, log: &mut StepLog) -> Option<Snr> {
    let snr = snr::estimate(spectrum);
    match snr {
        Some(Sourced { value, source: Source::Estimated }) => {
            let description = format!(
                "{value:.0} per pixel of 69 km/s, estimated from the scatter between pixels: the file has no errors"
            );
            log.note("S/N", description, true);
            log.flags.insert(Flag::SnrEstimated);
        }
        Some(Sourced { value, .. }) => {
            log.note("S/N", format!("{value:.0} per pixel of 69 km/s (median over 4000–5599 Å)"), false);
        }
        None => log.note("S/N", "unknown: too few pixels for an estimate".into(), true),
    }
    if snr.is_some_and(|s| s.value < 10.0) {
        log.flags.insert(Flag::LowSnr);
    }
    snr
}

/// Result of [`normalise`].
pub struct NormalisedFlux {
    /// Input of the networks, `[1462]`; NaN for pixels that are not covered.
    pub norm: Vec<f32>,
    /// Continuum, `[1626]`; constant beyond the covered pixels.
    pub continuum: Vec<f64>,
    /// Continuum times running mean, `[1462]`; NaN for pixels that are not covered.
    pub divisor: Vec<f64>,
    /// Number of pixels of the model grid whose flux was clipped.
    pub clipped: usize,
}

/// Degree of the continuum polynomial for a part of the fitting grid. It is proportional to the length, so that every
/// fit is equally stiff.
fn degree_for(pixels: usize) -> usize {
    (CONTINUUM_DEGREE * pixels).div_ceil(FIT_PIXELS).max(1)
}

/// Divides a flux on the fitting grid (`[1626]`) by its continuum, and returns the part on the model grid (`[1462]`).
///
/// `covered` are the pixels of the fitting grid that the spectrum covers. `None` if there is no positive continuum, or
/// if fewer than [`MIN_PIXELS`] pixels are covered.
pub fn normalise(flux: &[f64], covered: std::ops::Range<usize>) -> Option<NormalisedFlux> {
    let covered_flux = flux.get(covered.clone()).filter(|covered_flux| covered_flux.len() >= MIN_PIXELS)?;
    let partial;
    let basis = if covered.len() == FIT_PIXELS {
        full_basis()
    } else {
        partial = PolynomialBasis::new(&fit_wave()[covered.clone()], degree_for(covered.len()));
        &partial
    };
    let mut upper = stats::median_filter_7(covered_flux);
    for _ in 0..CONTINUUM_ITERATIONS {
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
    let mut normalised = vec![f64::NAN; FIT_PIXELS];
    let mut divisor = vec![f64::NAN; FIT_PIXELS];
    for ((i, ratio), mean) in covered.zip(&ratio).zip(running_mean(&ratio, RUNNING_MEAN_PIXELS)) {
        (normalised[i], divisor[i]) = (ratio / mean, continuum[i] * mean);
    }
    let (low, high) = FLUX_LIMITS;
    let on_model_grid = &normalised[MARGIN_BLUE..MARGIN_BLUE + MODEL_PIXELS];
    Some(NormalisedFlux {
        divisor: divisor[MARGIN_BLUE..MARGIN_BLUE + MODEL_PIXELS].to_vec(),
        norm: on_model_grid.iter().map(|v| v.clamp(low, high) as f32).collect(),
        clipped: on_model_grid.iter().filter(|v| **v < low || **v > high).count(),
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
