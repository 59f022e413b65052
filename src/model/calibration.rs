//! Reliability of a prediction: errors as a function of S/N, and the distance of a spectrum from the training spectra.

use serde::{Deserialize, Serialize};

use crate::nn::weights::{Tensors, WeightsError};
use crate::result::Label;
use crate::spectrum::Survey;

/// Error of one label: σ² = floor² + (noise / S/N)², fitted on spectra outside the training set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorModel {
    /// The label.
    pub label: Label,
    /// Errors of kinds of spectra; the first that contains a spectrum applies.
    pub regimes: Vec<ErrorRegime>,
    /// Exponent p of σ ∝ coverage^−p, where coverage is the fraction of the model's pixels that are present.
    pub coverage_power: f64,
}

/// Error of one label for spectra of a survey, or for predicted labels in some range. A limit that is `None` contains
/// every spectrum.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorRegime {
    /// Survey of the spectra.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub survey: Option<Survey>,
    /// Lower limit of predicted Teff, K.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teff_above: Option<f64>,
    /// Upper limit of predicted log g.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logg_below: Option<f64>,
    /// Upper limit of predicted [Fe/H].
    pub feh_below: Option<f64>,
    /// Error at infinite S/N, in the label's unit: the errors of the training labels and of the synthesis.
    pub floor: f64,
    /// Error from photon noise times S/N per model pixel, in the label's unit.
    pub noise: f64,
    /// Scatter between exposures of the same star, a part of `floor`: calibration, line spread, sky.
    pub exposure: f64,
    /// Number of stars in the measurement.
    pub n: usize,
}

/// What selects the regime of an error: the survey of the spectrum, and the predicted labels (NaN if unknown).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorKind {
    /// Survey of the spectrum.
    pub survey: Survey,
    /// Predicted Teff, K.
    pub teff_k: f64,
    /// Predicted log g.
    pub logg: f64,
    /// Predicted [Fe/H].
    pub feh: f64,
}

impl ErrorKind {
    /// The kind of a spectrum with these predicted labels.
    pub fn of(survey: Survey, value: impl Fn(Label) -> Option<f64>) -> Self {
        let [teff_k, logg, feh] = [Label::Teff, Label::Logg, Label::Feh].map(|l| value(l).unwrap_or(f64::NAN));
        Self { survey, teff_k, logg, feh }
    }
}

impl ErrorRegime {
    /// True for a spectrum of this kind.
    pub fn contains(&self, kind: &ErrorKind) -> bool {
        self.survey.is_none_or(|survey| survey == kind.survey)
            && self.teff_above.is_none_or(|limit| kind.teff_k >= limit)
            && self.logg_below.is_none_or(|limit| kind.logg < limit)
            && self.feh_below.is_none_or(|limit| kind.feh < limit)
    }
}

impl ErrorModel {
    /// Standard deviation of the label at a S/N, for a fraction `coverage` of the model's pixels. An unknown S/N counts
    /// as 30.
    pub fn sigma(&self, kind: &ErrorKind, snr: Option<f64>, coverage: f64) -> f64 {
        let snr = snr.unwrap_or(30.0).max(1.0);
        let sigma_full_coverage = self.regime(kind).map_or(f64::NAN, |r| r.floor.hypot(r.noise / snr));
        sigma_full_coverage * coverage.clamp(0.01, 1.0).powf(-self.coverage_power)
    }

    /// Part of [`sigma`](Self::sigma) that differs between two exposures of one star.
    pub fn sigma_exposure(&self, kind: &ErrorKind, snr: f64) -> f64 {
        self.regime(kind).map_or(f64::NAN, |r| r.exposure.hypot(r.noise / snr.max(1.0)))
    }

    fn regime(&self, kind: &ErrorKind) -> Option<&ErrorRegime> {
        self.regimes.iter().find(|r| r.contains(kind)).or(self.regimes.last())
    }
}

/// Number of iterations that fill missing pixels with the flux of the subspace.
const FILL_ITERATIONS: usize = 30;

/// A linear subspace of normalised spectra; the distance of a spectrum from it shows whether similar spectra were in
/// the training set.
#[derive(Debug, Clone)]
pub struct Subspace {
    mean: Vec<f32>,
    /// Orthonormal directions, `[k][1462]`.
    directions: Vec<Vec<f32>>,
}

impl Subspace {
    /// Subspace with a mean spectrum and orthonormal directions.
    pub fn new(mean: Vec<f32>, directions: Vec<Vec<f32>>) -> Self {
        Self { mean, directions }
    }

    /// Loads `{prefix}mean` `[p]` and `{prefix}directions` `[k, p]`.
    pub fn load(tensors: &Tensors, prefix: &str) -> Result<Self, WeightsError> {
        let name = format!("{prefix}directions");
        let &[k, pixels] = tensors.shape(&name)? else {
            return Err(WeightsError::Missing(name));
        };
        let mean = tensors.get(&format!("{prefix}mean"), &[pixels])?.to_vec();
        let flat = tensors.get(&name, &[k, pixels])?;
        Ok(Self { mean, directions: flat.chunks(pixels.max(1)).map(<[f32]>::to_vec).collect() })
    }

    /// Adds the arrays to `tensors`.
    pub fn store(&self, tensors: &mut Tensors, prefix: &str) {
        tensors.insert(&format!("{prefix}mean"), &[self.mean.len()], self.mean.clone());
        let shape = [self.directions.len(), self.mean.len()];
        tensors.insert(&format!("{prefix}directions"), &shape, self.directions.concat());
    }

    /// Distance of a spectrum from the subspace: root mean square of the residual, in units of the continuum.
    ///
    /// The contribution of white noise at this S/N is subtracted in quadrature. The subspace predicts the flux of
    /// missing pixels (NaN).
    pub fn distance(&self, norm: &[f32], snr: Option<f64>) -> f64 {
        let valid: Vec<usize> = (0..norm.len()).filter(|&i| norm[i].is_finite()).collect();
        let mut centred: Vec<f64> =
            norm.iter().zip(&self.mean).map(|(x, m)| if x.is_finite() { f64::from(x - m) } else { 0.0 }).collect();
        let mut reconstruction = self.project(&centred);
        if valid.len() < norm.len() {
            for _ in 0..FILL_ITERATIONS {
                (0..norm.len()).filter(|&i| norm[i].is_nan()).for_each(|i| centred[i] = reconstruction[i]);
                reconstruction = self.project(&centred);
            }
        }
        // Robust mean square without the largest 2 %: isolated spikes do not come from the star; the mask deals with
        // them.
        let mut squares: Vec<f64> = valid.iter().map(|&i| (centred[i] - reconstruction[i]).powi(2)).collect();
        squares.sort_unstable_by(f64::total_cmp);
        let retained = &squares[..squares.len() - squares.len() / 50];
        let mean = retained.iter().sum::<f64>() / retained.len().max(1) as f64;
        let noise = snr.map_or(0.0, |s| 1.0 / s.max(1.0));
        (mean - noise * noise).max(0.0).sqrt()
    }

    fn project(&self, centred: &[f64]) -> Vec<f64> {
        let mut reconstruction = vec![0.0; centred.len()];
        for direction in &self.directions {
            let coefficient: f64 = centred.iter().zip(direction).map(|(c, d)| c * f64::from(*d)).sum();
            reconstruction.iter_mut().zip(direction).for_each(|(v, d)| *v += coefficient * f64::from(*d));
        }
        reconstruction
    }
}
