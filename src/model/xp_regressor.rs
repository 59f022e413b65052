//! An ensemble of networks from a Gaia XP spectrum to stellar parameters with errors.
//!
//! The input is the projection of the spectrum on principal components of the training spectra, scaled to unit
//! variance, and three S/N values. Components beyond the first hold mostly a few per mille of the flux, and most of
//! what the spectrum says of gravity and composition; a network on the flux itself learns them last. Each member
//! predicts each label and its standard deviation; the ensemble is the mixture of the members.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::nn::weights::{Tensors, WeightsError};
use crate::nn::{Mlp, MlpConfig};
use crate::preprocess::xp::XP_PIXELS;
use crate::preprocess::xp_features::{XP_BANDS, XpFeatures};

/// Number of labels: Teff, log g, [Fe/H], [α/M].
pub const XP_LABELS: usize = 4;

/// log10 S/N at the centre of the network's S/N inputs, and their scale.
const LOG_SNR: (f32, f32) = (1.7, 0.5);

/// Error of a shape that the components do not describe, added in quadrature to the error from noise.
const SHAPE_ERROR_FLOOR: f32 = 0.01;

/// Limits of the natural logarithm of a standardised error. Outside, the training has no gradient.
pub const LOG_SIGMA_RANGE: (f32, f32) = (-4.0, 2.0);

/// Principal components of the shapes of spectra ([`XpFeatures::shape`]).
#[derive(Debug, Clone, PartialEq)]
pub struct XpComponents {
    /// Mean shape, `[343]`.
    pub mean: Vec<f32>,
    /// Orthonormal directions, `[k][343]`, flattened.
    pub directions: Vec<f32>,
    /// Standard deviation along each direction, `[k]`.
    pub scale: Vec<f32>,
}

/// Projection of a spectrum on the components.
#[derive(Debug, Clone, PartialEq)]
pub struct Projected {
    /// Input of the networks: the k coefficients with unit variance, then three S/N values.
    pub input: Vec<f32>,
    /// Root mean square of the coefficients: about 1 for a typical training spectrum.
    pub distance: f64,
    /// Root mean square of the shape's residual from the components, in units of its error; NaN without errors.
    pub residual: f64,
}

impl XpComponents {
    /// Loads the arrays under `components.`.
    pub fn load(tensors: &Tensors) -> Result<Self, WeightsError> {
        let name = "components.directions";
        let &[k, pixels] = tensors.shape(name)? else { return Err(WeightsError::Missing(name.into())) };
        if pixels != XP_PIXELS {
            let (name, found) = (name.into(), vec![k, pixels]);
            return Err(WeightsError::Shape { name, found, expected: vec![k, XP_PIXELS] });
        }
        Ok(Self {
            mean: tensors.get("components.mean", &[XP_PIXELS])?.to_vec(),
            directions: tensors.get(name, &[k, XP_PIXELS])?.to_vec(),
            scale: tensors.get("components.scale", &[k])?.to_vec(),
        })
    }

    /// Adds the arrays to `tensors`.
    pub fn store(&self, tensors: &mut Tensors) {
        tensors.insert("components.mean", &[XP_PIXELS], self.mean.clone());
        tensors.insert("components.directions", &[self.len(), XP_PIXELS], self.directions.clone());
        tensors.insert("components.scale", &[self.len()], self.scale.clone());
    }

    /// Number of components.
    pub fn len(&self) -> usize {
        self.scale.len()
    }

    /// True without components.
    pub fn is_empty(&self) -> bool {
        self.scale.is_empty()
    }

    /// Width of a network's input.
    pub fn input_width(&self) -> usize {
        self.len() + XP_BANDS
    }

    /// Projects a spectrum. Unknown S/N counts as 50.
    pub fn project(&self, features: &XpFeatures) -> Projected {
        let mut rest: Vec<f32> = features.shape.iter().zip(&self.mean).map(|(x, m)| x - m).collect();
        let mut input = Vec::with_capacity(self.input_width());
        for (direction, scale) in self.directions.chunks_exact(XP_PIXELS).zip(&self.scale) {
            let coefficient: f32 = rest.iter().zip(direction).map(|(r, d)| r * d).sum();
            rest.iter_mut().zip(direction).for_each(|(r, d)| *r -= coefficient * d);
            input.push(coefficient / scale);
        }
        let rms = |values: &[f32]| {
            (values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt()
        };
        let in_errors = |(r, s): (&f32, &f32)| r / s.hypot(SHAPE_ERROR_FLOOR);
        let residuals: Vec<f32> = rest.iter().zip(&features.sigma).map(in_errors).collect();
        let (distance, residual) = (rms(&input), if residuals.is_empty() { f64::NAN } else { rms(&residuals) });
        let snr = features.log_snr.iter().map(|v| if v.is_nan() { 0.0 } else { (v - LOG_SNR.0) / LOG_SNR.1 });
        input.extend(snr);
        Projected { input, distance, residual }
    }
}

/// Labels and their errors, for one spectrum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct XpEstimate {
    /// Teff in K, log g, [Fe/H] and [α/M] in dex.
    pub values: [f64; XP_LABELS],
    /// Standard deviations in the same units.
    pub errors: [f64; XP_LABELS],
}

/// Settings of an [`XpRegressor`] that its weights do not show, stored in the manifest's `networks`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct XpConfig {
    /// Number of members.
    pub members: usize,
    /// Highest Teff of training stars with [Fe/H], K: no composition is given above it.
    pub max_teff_of_composition: f64,
    /// Calibration in ranges of brightness, brightest first.
    pub calibration: Vec<XpCalibration>,
    /// Calibration of spectra with a lower S/N than nearly all real stars of the training, lowest first. It is measured
    /// on brighter stars with noise added, and precedes `calibration`.
    pub low_snr: Vec<LowSnrCalibration>,
}

/// Calibration of spectra below a median S/N per sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LowSnrCalibration {
    /// Upper limit of the S/N.
    pub snr_below: f64,
    /// The calibration.
    #[serde(flatten)]
    pub calibration: XpCalibration,
}

/// Calibration on validation stars in a range of brightness.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct XpCalibration {
    /// Upper limit of the magnitude ([`XpBrightness::g_mag`]).
    pub g_below: f64,
    /// Median S/N per sample of stars at this limit, for spectra whose flux has no absolute unit.
    pub snr_at_limit: f64,
    /// Factor on the error of each label, with which 68.27 % of the stars lie within one error.
    pub error_factors: [f64; XP_LABELS],
    /// Factor on the error of each label, with which 95 % of the stars lie within it.
    pub error_factors_95: [f64; XP_LABELS],
    /// Largest [`Projected::distance`] of a spectrum like those of the training set.
    pub max_distance: f64,
    /// Largest [`Projected::residual`] of a spectrum like those of the training set.
    pub max_residual: f64,
}

/// Brightness of a spectrum, on which its errors depend: fainter stars are farther away and more reddened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct XpBrightness {
    /// Gaia's G, from the mean flux; `None` where the flux is not in W m⁻² nm⁻¹.
    pub g_mag: Option<f64>,
    /// Median S/N per sample; `None` without errors.
    pub snr: Option<f64>,
}

/// Mean flux on the XP grid of a star with G = 0, W m⁻² nm⁻¹: the median over the stars of the training, whose G
/// scatters by 0.2 mag about it.
const FLUX_OF_G_0: f64 = 2.39e-11;

/// Mean fluxes of stars from G = 0 to 23; outside, the flux has another unit.
const ABSOLUTE_FLUX: std::ops::Range<f64> = 1e-20..2e-11;

impl XpBrightness {
    /// Brightness from the mean flux on the XP grid and the S/N.
    pub fn of(mean_flux: f64, snr: Option<f64>) -> Self {
        let g_mag = ABSOLUTE_FLUX.contains(&mean_flux).then(|| -2.5 * (mean_flux / FLUX_OF_G_0).log10());
        Self { g_mag, snr }
    }

    /// True for a spectrum brighter than a limit: in G, or without G in S/N. A spectrum without both counts as one with
    /// S/N 50.
    pub fn is_brighter(&self, g_limit: f64, snr_at_limit: f64) -> bool {
        self.g_mag.map_or_else(|| self.snr.unwrap_or(50.0) > snr_at_limit, |g| g < g_limit)
    }
}

impl XpConfig {
    /// Calibration for a brightness.
    pub fn calibration(&self, brightness: XpBrightness) -> Option<&XpCalibration> {
        let low = self.low_snr.iter().find(|low| brightness.snr.is_some_and(|snr| snr < low.snr_below));
        if let Some(low) = low {
            return Some(&low.calibration);
        }
        let is_in = |c: &&XpCalibration| brightness.is_brighter(c.g_below, c.snr_at_limit);
        self.calibration.iter().find(is_in).or(self.calibration.last())
    }
}

/// The ensemble.
#[derive(Debug, Clone)]
pub struct XpRegressor {
    /// Principal components for the input.
    pub components: XpComponents,
    /// The networks.
    pub members: Vec<Mlp>,
    /// Widths of their layers, input first.
    pub widths: Vec<usize>,
    /// Mean of log10 Teff, log g, [Fe/H], [α/M] in training.
    pub output_mean: [f32; XP_LABELS],
    /// Their standard deviations.
    pub output_scale: [f32; XP_LABELS],
}

impl XpRegressor {
    /// Loads `members` networks and their components.
    pub fn load(tensors: &Tensors, members: usize, device: &Device) -> Result<Self, WeightsError> {
        let components = XpComponents::load(tensors)?;
        let mut widths = vec![components.input_width()];
        while let Ok(&[out, _]) = tensors.shape(&format!("members.0.network.{}.weight", 2 * (widths.len() - 1))) {
            widths.push(out);
        }
        let layout = MlpConfig::new(widths.clone());
        let member = |i: usize| layout.load(tensors, &format!("members.{i}."), device);
        let four = |name: &str| -> Result<[f32; XP_LABELS], WeightsError> {
            let values = tensors.get(name, &[XP_LABELS])?;
            Ok(std::array::from_fn(|i| values[i]))
        };
        if widths.len() < 2 || widths.last() != Some(&(2 * XP_LABELS)) {
            return Err(WeightsError::Missing("members.0.network.0.weight".into()));
        }
        Ok(Self {
            components,
            members: (0..members).map(member).collect::<Result<_, _>>()?,
            widths,
            output_mean: four("output_mean")?,
            output_scale: four("output_scale")?,
        })
    }

    /// Adds all arrays to `tensors`.
    pub fn store(&self, tensors: &mut Tensors) -> Result<(), WeightsError> {
        self.components.store(tensors);
        tensors.insert("output_mean", &[XP_LABELS], self.output_mean.to_vec());
        tensors.insert("output_scale", &[XP_LABELS], self.output_scale.to_vec());
        for (i, member) in self.members.iter().enumerate() {
            member.clone().valid().store(tensors, &format!("members.{i}."))?;
        }
        Ok(())
    }

    /// A label as the networks have it: log10 of Teff, the others unchanged.
    pub fn network_label(j: usize, label: f32) -> f32 {
        if j == 0 { label.log10() } else { label }
    }

    /// Labels of a star in units of the networks' outputs.
    pub fn standardised(&self, labels: &[f32; XP_LABELS]) -> [f32; XP_LABELS] {
        std::array::from_fn(|j| (Self::network_label(j, labels[j]) - self.output_mean[j]) / self.output_scale[j])
    }

    /// Labels of projected spectra, in order. The errors are those of the networks, without [`XpCalibration::error_factors`].
    ///
    /// `None` if the device returns no result.
    pub async fn predict(&self, spectra: &[Projected], device: &Device) -> Option<Vec<XpEstimate>> {
        let (n, width) = (spectra.len(), self.components.input_width());
        if n == 0 {
            return Some(Vec::new());
        }
        let inputs: Vec<f32> = spectra.iter().flat_map(|s| &s.input).copied().collect();
        let x = Tensor::<2>::from_data(TensorData::new(inputs, [n, width]), device);
        let mut mixtures = vec![Mixture::default(); n];
        for member in &self.members {
            let outputs: Vec<f32> = member.forward(x.clone()).into_data_async().await.ok()?.try_to_vec().ok()?;
            mixtures.iter_mut().zip(outputs.chunks_exact(2 * XP_LABELS)).for_each(|(m, row)| m.add(row));
        }
        Some(mixtures.iter().map(|mixture| self.in_units(mixture)).collect())
    }

    fn in_units(&self, mixture: &Mixture) -> XpEstimate {
        let moments: [(f64, f64); XP_LABELS] = std::array::from_fn(|j| {
            let (mean, sigma) = mixture.moments(j, self.members.len());
            let scale = f64::from(self.output_scale[j]);
            (mean * scale + f64::from(self.output_mean[j]), sigma * scale)
        });
        let (mut values, mut errors) = (moments.map(|m| m.0), moments.map(|m| m.1));
        values[0] = 10f64.powf(values[0]);
        errors[0] *= values[0] * std::f64::consts::LN_10;
        XpEstimate { values, errors }
    }
}

/// Sums over the members, of standardised means, their squares and variances.
#[derive(Debug, Clone, Default)]
struct Mixture {
    mean: [f64; XP_LABELS],
    square: [f64; XP_LABELS],
}

impl Mixture {
    fn add(&mut self, row: &[f32]) {
        for j in 0..XP_LABELS {
            let (mean, log_sigma) = (f64::from(row[j]), row[XP_LABELS + j]);
            let sigma = f64::from(log_sigma.clamp(LOG_SIGMA_RANGE.0, LOG_SIGMA_RANGE.1)).exp();
            self.mean[j] += mean;
            self.square[j] += mean * mean + sigma * sigma;
        }
    }

    /// Mean and standard deviation of the mixture of `n` Gaussians.
    fn moments(&self, j: usize, n: usize) -> (f64, f64) {
        let mean = self.mean[j] / n as f64;
        (mean, (self.square[j] / n as f64 - mean * mean).max(0.0).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components() -> XpComponents {
        // Two orthonormal directions: the first and the last half of the samples.
        let length = |n: usize| 1.0 / (n as f32).sqrt();
        let half = |is_in: fn(usize) -> bool, n| (0..XP_PIXELS).map(move |i| if is_in(i) { length(n) } else { 0.0 });
        XpComponents {
            mean: vec![1.0; XP_PIXELS],
            directions: half(|i| i < 171, 171).chain(half(|i| i >= 171, 172)).collect(),
            scale: vec![2.0, 0.5],
        }
    }

    #[test]
    fn a_spectrum_in_the_span_has_no_residual() {
        let shape: Vec<f32> = (0..XP_PIXELS).map(|i| if i < 171 { 1.1 } else { 0.8 }).collect();
        let projected =
            components().project(&XpFeatures { shape, sigma: vec![0.0; XP_PIXELS], log_snr: [1.7, 2.2, f32::NAN] });
        let expected = [0.1 * 171f32.sqrt() / 2.0, -0.2 * 172f32.sqrt() / 0.5, 0.0, 1.0, 0.0];
        assert!(projected.input.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{projected:?}");
        assert!(projected.residual < 1e-3, "{}", projected.residual);
        let rms = ((expected[0].powi(2) + expected[1].powi(2)) / 2.0).sqrt();
        assert!((projected.distance - f64::from(rms)).abs() < 1e-4);
    }

    /// Reference values from a `NumPy` transcription: features, projection, two networks with weights 0.3 sin(0.37 k +
    /// phase), and their mixture.
    #[test]
    fn estimates_match_numpy() {
        let device = Device::flex();
        let wave = |n: usize, phase: f64| (0..n).map(|k| (0.3 * (0.37 * k as f64 + phase).sin()) as f32).collect();
        let mut tensors = Tensors::default();
        let components = XpComponents { mean: vec![3.25; XP_PIXELS], ..components() };
        let empty = XpRegressor {
            components,
            members: Vec::new(),
            widths: Vec::new(),
            output_mean: [3.7, 2.5, -0.3, 0.1],
            output_scale: [0.1, 1.0, 0.4, 0.1],
        };
        empty.store(&mut tensors).expect("the arrays are on this device");
        for member in 0..2 {
            for (layer, (input, output)) in [(5, 7), (7, 8)].into_iter().enumerate() {
                let name = format!("members.{member}.network.{}", 2 * layer);
                let (m, l) = (member as f64, layer as f64);
                tensors.insert(&format!("{name}.weight"), &[output, input], wave(output * input, m + l));
                tensors.insert(&format!("{name}.bias"), &[output], wave(output, m - l));
            }
        }
        let regressor = XpRegressor::load(&tensors, 2, &device).expect("all arrays");
        let flux: Vec<f32> =
            (0..XP_PIXELS).map(|i| i as f32).map(|i| 1.0 + 0.5 * (0.05 * i).sin() + 0.002 * i).collect();
        let sigma: Vec<f32> = flux.iter().map(|f| 0.02 * f).collect();
        let features = XpFeatures::of(&flux, &sigma).expect("a positive mean");
        let projected = regressor.components.project(&features);
        let got = pollster::block_on(regressor.predict(&[projected], &device)).expect("a CPU")[0];
        let (values, errors) =
            ([8476.987333, -0.693024, 0.913900, -0.075302], [10345.280410, 5.339445, 0.298498, 0.747417]);
        for j in 0..XP_LABELS {
            assert!((got.values[j] / values[j] - 1.0).abs() < 1e-3, "{j}: {} {}", got.values[j], values[j]);
            assert!((got.errors[j] / errors[j] - 1.0).abs() < 1e-3, "{j}: {} {}", got.errors[j], errors[j]);
        }
    }

    #[test]
    fn weights_survive_the_file_and_the_mixture_is_wider_than_its_members() {
        let device = Device::flex();
        device.seed(3);
        let widths = vec![5, 7, 8];
        let regressor = XpRegressor {
            components: components(),
            members: (0..3).map(|_| MlpConfig::new(widths.clone()).init(&device)).collect(),
            widths: widths.clone(),
            output_mean: [3.7, 2.5, -0.3, 0.1],
            output_scale: [0.1, 1.0, 0.4, 0.1],
        };
        let mut tensors = Tensors::default();
        regressor.store(&mut tensors).expect("the arrays are on this device");
        let file = tensors.to_f32_file().expect("finite weights");
        let loaded = XpRegressor::load(&Tensors::parse(&file).expect("a file"), 3, &device).expect("its own file");
        assert_eq!(loaded.widths, widths);
        let shape: Vec<f32> = (0..XP_PIXELS).map(|i| (i as f32 / 50.0).sin()).collect();
        let spectrum =
            components().project(&XpFeatures { shape, sigma: vec![0.0; XP_PIXELS], log_snr: [1.0, 2.0, 2.0] });
        let predict = |regressor: &XpRegressor| {
            pollster::block_on(regressor.predict(std::slice::from_ref(&spectrum), &device)).expect("a CPU")[0]
        };
        assert_eq!(predict(&regressor), predict(&loaded));
        let single = |i: usize| XpRegressor { members: vec![regressor.members[i].clone()], ..regressor.clone() };
        let estimates = [0, 1, 2].map(|i| predict(&single(i)));
        let all = predict(&regressor);
        for j in 1..XP_LABELS {
            let mean = estimates.iter().map(|e| e.values[j]).sum::<f64>() / 3.0;
            let variance =
                estimates.iter().map(|e| e.errors[j].powi(2) + (e.values[j] - mean).powi(2)).sum::<f64>() / 3.0;
            assert!((all.values[j] - mean).abs() < 1e-6 && (all.errors[j] - variance.sqrt()).abs() < 1e-6);
        }
        assert!(XpRegressor::load(&Tensors::parse(&file).expect("a file"), 4, &device).is_err(), "three members");
    }
}
