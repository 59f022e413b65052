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
use super::resample::{Kernel, divide_by_running_mean, linear, resample};
use super::snr::{self, SNR_RANGE_AA, median_step_dex};
use super::{resolution, stats};
use crate::result::{Flag, LedgerEntry, Snr};
use crate::spectrum::{Frame, Known, Medium, Source, Spectrum};

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

/// Smallest part of 4000–5599 Å that must be there, unmasked.
const LEAST_COVERAGE: f64 = 0.75;

/// Why no network can answer for a spectrum.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)]
pub enum Refusal {
    #[error(
        "only {percent:.0} % of 4000–5599 Å (vacuum) is there and unmasked, of which the model needs 75 %; this spectrum spans {first:.0}–{last:.0} Å. Use one that covers the range, or check the unit of its wavelengths"
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
}

/// A spectrum made ready for the grid.
#[derive(Debug, Clone)]
pub struct Opened {
    log10: Vec<f64>,
    flux: Vec<f64>,
    kernel: Kernel,
    /// S/N a model pixel.
    pub snr: Option<Snr>,
    /// Resolving power after this recipe.
    pub resolving_power: f64,
    /// True when the wavelengths are already at rest.
    pub at_rest: bool,
    /// Remarks that the preprocessing gives rise to.
    pub flags: Vec<Flag>,
    /// What was done.
    pub ledger: Vec<LedgerEntry>,
}

/// The model's input and how it came about.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Input of the networks, `[1462]`.
    pub norm: Vec<f32>,
    /// The fitted continuum on the fitting grid, flux unit, `[1626]`; rest-frame wavelengths of it are
    /// [`grid::fit_wave_vac_aa`].
    pub continuum: Vec<f64>,
    /// Ledger of this step.
    pub ledger: Vec<LedgerEntry>,
}

impl Opened {
    /// Checks a spectrum, bridges its masked pixels, settles its resolving power and S/N.
    pub fn new(spectrum: &Spectrum) -> Result<Self, Refusal> {
        let (from, to) = SNR_RANGE_AA;
        let wave = spectrum.wave_vac_aa();
        let (first, last) = (wave[0], wave[wave.len() - 1]);
        let mut flags = Vec::new();
        let mut ledger = Vec::new();
        let mut note =
            |step: &str, did: String, assumed: bool| ledger.push(LedgerEntry { step: step.into(), did, assumed });

        let meta = &spectrum.meta;
        if let Some(class) = meta.class.as_deref().filter(|c| !c.trim().eq_ignore_ascii_case("star")) {
            note("class", format!("the survey's pipeline says {}: not a star", class.trim()), false);
            flags.push(Flag::NotStar);
        }
        let how = |source: Source| format!("({})", source.name());
        let medium = meta.medium;
        let is_guess = |s: Source| matches!(s, Source::Assumed | Source::Estimated);
        note(
            "wavelengths",
            match medium.value {
                Medium::Air => format!("air {} converted to vacuum", how(medium.source)),
                Medium::Vacuum => format!("vacuum {} kept", how(medium.source)),
            },
            is_guess(medium.source),
        );
        if is_guess(medium.source) {
            flags.push(Flag::MediumAssumed);
        }
        let frame = meta.frame;
        note(
            "frame",
            match frame.value {
                Frame::Rest => format!("already at the star's rest {}", how(frame.source)),
                other => format!("{} {}: RV is measured and taken out", other.name(), how(frame.source)),
            },
            is_guess(frame.source),
        );
        if is_guess(frame.source) || frame.value == Frame::Topocentric {
            flags.push(Flag::FrameAssumed);
        }

        let step_dex = median_step_dex(wave, from.max(first), to.min(last)).unwrap_or(f64::INFINITY);
        let inside: Vec<usize> = (0..spectrum.len()).filter(|&i| (from..=to).contains(&wave[i])).collect();
        let masked = inside.iter().filter(|&&i| spectrum.masked()[i]).count();
        let spanned = ((to.min(last) - from.max(first)) / (to - from)).max(0.0);
        let coverage = spanned * (1.0 - masked as f64 / inside.len().max(1) as f64);
        if coverage < LEAST_COVERAGE || inside.is_empty() {
            return Err(Refusal::Coverage { percent: 100.0 * coverage, first, last });
        }
        let width_aa = 4800.0 * (10f64.powf(step_dex) - 1.0);
        if width_aa > 5.0 {
            return Err(Refusal::TooCoarse { width: width_aa });
        }

        let good: Vec<usize> = (0..spectrum.len()).filter(|&i| !spectrum.masked()[i]).collect();
        let log10: Vec<f64> = good.iter().map(|&i| wave[i].log10()).collect();
        let flux: Vec<f64> = good.iter().map(|&i| spectrum.flux()[i]).collect();
        note(
            "mask",
            match masked {
                0 => format!("none of the {} pixels in 4000–5599 Å masked", inside.len()),
                n => format!("{n} of {} pixels in 4000–5599 Å masked and bridged by straight lines", inside.len()),
            },
            false,
        );
        if masked as f64 > 0.05 * inside.len() as f64 {
            flags.push(Flag::ManyMasked);
        }

        let known = meta.resolving_power.or_else(|| {
            flags.push(Flag::ResolutionEstimated);
            resolution::estimate(spectrum).map(|r| Known::new(r, Source::Estimated))
        });
        let resolving_power = known.map_or(MODEL_RESOLVING_POWER, |r| r.value);
        let source = known.map_or(Source::Assumed, |r| r.source);
        let sharper = resolving_power > *TRAINED_RESOLVING_POWERS.end();
        let kernel = if sharper {
            Kernel::to_resolution(resolving_power, MODEL_RESOLVING_POWER, step_dex)
        } else {
            Kernel::without_change(step_dex)
        };
        if resolving_power < *TRAINED_RESOLVING_POWERS.start() {
            flags.push(Flag::ResolutionLow);
        }
        note(
            "resolution",
            match (sharper, kernel) {
                (true, Kernel::Gaussian(_)) => {
                    format!("R {resolving_power:.0} {} smoothed to {MODEL_RESOLVING_POWER:.0}", how(source))
                }
                _ if resolving_power < *TRAINED_RESOLVING_POWERS.start() => {
                    format!("R {resolving_power:.0} {} is below what the model was trained for (1450)", how(source))
                }
                _ => format!("R {resolving_power:.0} {} kept; the model takes 1450–2300", how(source)),
            },
            is_guess(source),
        );

        let snr = snr::estimate(spectrum);
        match snr {
            Some(snr) if snr.source == Source::Estimated => {
                note(
                    "S/N",
                    format!(
                        "{:.0} a pixel, estimated from the scatter between pixels: the file has no errors",
                        snr.value
                    ),
                    true,
                );
                flags.push(Flag::SnrEstimated);
            }
            Some(snr) => note("S/N", format!("{:.0} a 69 km/s pixel (median over 4000–5599 Å)", snr.value), false),
            None => note("S/N", "cannot be told from so few pixels".into(), true),
        }
        if snr.is_some_and(|s| s.value < 10.0) {
            flags.push(Flag::LowSnr);
        }
        Ok(Self {
            log10,
            flux,
            kernel,
            snr,
            resolving_power: if sharper { MODEL_RESOLVING_POWER } else { resolving_power },
            at_rest: frame.value == Frame::Rest,
            flags,
            ledger,
        })
    }

    /// The model's input with a radial velocity taken out.
    pub fn at_velocity(&self, rv_kms: f64) -> Result<Prepared, Refusal> {
        let shift = (1.0 + rv_kms / C_KMS).log10();
        let grid: Vec<f64> = fit_log10().iter().map(|x| x + shift).collect();
        let flux = resample(&self.log10, &self.flux, &grid, self.kernel);
        let (first, last) = (self.log10[0], self.log10[self.log10.len() - 1]);
        let from = grid.partition_point(|x| *x < first);
        let to = grid.partition_point(|x| *x <= last);
        let normalised = normalise(&flux, from..to).ok_or(Refusal::NoContinuum)?;
        let mut ledger =
            vec![LedgerEntry { step: "velocity".into(), did: format!("{rv_kms:+.1} km/s taken out"), assumed: false }];
        let missing = FIT_PIXELS - (to - from);
        ledger.push(LedgerEntry {
            step: "grid".into(),
            did: format!(
                "{} onto {FIT_PIXELS} pixels of 1e-4 dex, 3912–5688 Å{}",
                match self.kernel {
                    Kernel::Linear => "interpolated",
                    Kernel::Box => "averaged",
                    Kernel::Gaussian(_) => "smoothed",
                },
                if missing > 0 {
                    format!("; {missing} pixels beyond the spectrum's ends set to 1")
                } else {
                    String::new()
                }
            ),
            assumed: false,
        });
        ledger.push(LedgerEntry {
            step: "continuum".into(),
            did: format!(
                "polynomial of degree {CONTINUUM_DEGREE} lifted {CONTINUUM_LIFTS} times, then running mean (σ {RUNNING_MEAN_PIXELS:.0} pixels) divided out"
            ),
            assumed: false,
        });
        if normalised.clipped > 0 {
            ledger.push(LedgerEntry {
                step: "spikes".into(),
                did: format!(
                    "{} pixels outside {}–{} of the continuum cut",
                    normalised.clipped, FLUX_LIMITS.0, FLUX_LIMITS.1
                ),
                assumed: false,
            });
        }
        Ok(Prepared { norm: normalised.norm, continuum: normalised.continuum, ledger })
    }
}

/// What [`normalise`] gives.
pub struct Normalised {
    /// Input of the networks, `[1462]`.
    pub norm: Vec<f32>,
    /// Continuum, `[1626]`.
    pub continuum: Vec<f64>,
    /// Pixels of the model grid that were cut.
    pub clipped: usize,
}

/// Divides the continuum out of a flux on the fitting grid (`[1626]`) and cuts the model grid from it (`[1462]`).
/// `covered` are the pixels that the spectrum reaches; the others become 1. `None` without a positive continuum.
pub fn normalise(flux: &[f64], covered: std::ops::Range<usize>) -> Option<Normalised> {
    let seen = &flux[covered.clone()];
    let partial;
    let basis = if covered.len() == FIT_PIXELS {
        full_basis()
    } else {
        partial = PolynomialBasis::new(&fit_wave()[covered.clone()], CONTINUUM_DEGREE);
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
    let mut level = vec![1.0; FIT_PIXELS];
    level[covered].copy_from_slice(&divide_by_running_mean(&ratio, RUNNING_MEAN_PIXELS));
    let (low, high) = FLUX_LIMITS;
    let model = &level[MARGIN_BLUE..MARGIN_BLUE + MODEL_PIXELS];
    Some(Normalised {
        norm: model.iter().map(|v| v.clamp(low, high) as f32).collect(),
        clipped: model.iter().filter(|v| !(low..=high).contains(*v)).count(),
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
