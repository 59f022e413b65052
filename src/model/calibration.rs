//! What a prediction is worth: errors by S/N, and whether a spectrum looks like those the network knows.

use serde::{Deserialize, Serialize};

use super::weights::{Tensors, WeightsError};
use crate::result::Label;

/// Error of one label, σ² = floor² + (noise / S/N)², fitted on spectra that were not trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorModel {
    /// Which label.
    pub label: Label,
    /// One a regime; the first whose condition holds applies.
    pub regimes: Vec<Regime>,
    /// σ grows as the part of the model's pixels that are there to minus this power.
    pub coverage_power: f64,
}

/// Errors for a part of the labels' range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Regime {
    /// Applies to predicted [Fe/H] below this; `None` to all that is left.
    pub feh_below: Option<f64>,
    /// Error at infinite S/N, in the label's unit: what the labels themselves and the synthesis are worth.
    pub floor: f64,
    /// Error that noise adds, times S/N a model pixel.
    pub noise: f64,
    /// The part of `floor` that another exposure of the same star would change: calibration, line spread, sky.
    pub exposure: f64,
    /// Number of stars that it was measured on.
    pub n: usize,
}

impl ErrorModel {
    /// One standard deviation at a S/N, when `coverage` of the model's pixels are there; with no S/N known, as at 30.
    pub fn sigma(&self, feh: f64, snr: Option<f64>, coverage: f64) -> f64 {
        let snr = snr.unwrap_or(30.0).max(1.0);
        let full = self.regime(feh).map_or(f64::NAN, |r| r.floor.hypot(r.noise / snr));
        full * coverage.clamp(0.01, 1.0).powf(-self.coverage_power)
    }

    /// The part of [`sigma`](Self::sigma) that differs between two exposures of one star.
    pub fn sigma_exposure(&self, feh: f64, snr: f64) -> f64 {
        self.regime(feh).map_or(f64::NAN, |r| r.exposure.hypot(r.noise / snr.max(1.0)))
    }

    fn regime(&self, feh: f64) -> Option<&Regime> {
        self.regimes.iter().find(|r| r.feh_below.is_none_or(|cut| feh < cut)).or(self.regimes.last())
    }
}

/// A linear subspace of normalised spectra: how far a spectrum is from it tells whether it is of a kind that was trained.
#[derive(Debug, Clone)]
pub struct Subspace {
    mean: Vec<f32>,
    /// Orthonormal directions, `[k][1462]`.
    directions: Vec<Vec<f32>>,
}

impl Subspace {
    /// From a mean spectrum and orthonormal directions.
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

    /// Root mean square of what the subspace cannot describe, in units of the continuum, with the part that white noise
    /// of this S/N makes taken away in quadrature. Missing pixels (NaN) are filled with what the subspace expects there.
    pub fn distance(&self, norm: &[f32], snr: Option<f64>) -> f64 {
        let there: Vec<usize> = (0..norm.len()).filter(|&i| norm[i].is_finite()).collect();
        let mut centred: Vec<f64> =
            norm.iter().zip(&self.mean).map(|(x, m)| if x.is_finite() { f64::from(x - m) } else { 0.0 }).collect();
        let mut described = self.project(&centred);
        if there.len() < norm.len() {
            for _ in 0..30 {
                (0..norm.len()).filter(|&i| norm[i].is_nan()).for_each(|i| centred[i] = described[i]);
                described = self.project(&centred);
            }
        }
        // A robust mean square: isolated spikes are a matter of the mask, not of the star.
        let mut squares: Vec<f64> = there.iter().map(|&i| (centred[i] - described[i]).powi(2)).collect();
        squares.sort_unstable_by(f64::total_cmp);
        let kept = &squares[..squares.len() - squares.len() / 50];
        let mean = kept.iter().sum::<f64>() / kept.len().max(1) as f64;
        let noise = snr.map_or(0.0, |s| 1.0 / s.max(1.0));
        (mean - noise * noise).max(0.0).sqrt()
    }

    fn project(&self, centred: &[f64]) -> Vec<f64> {
        let mut described = vec![0.0; centred.len()];
        for direction in &self.directions {
            let along: f64 = centred.iter().zip(direction).map(|(c, d)| c * f64::from(*d)).sum();
            described.iter_mut().zip(direction).for_each(|(v, d)| *v += along * f64::from(*d));
        }
        described
    }
}
