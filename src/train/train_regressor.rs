//! Training of a [`Regressor`] on a [`Dataset`].

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::dataset::Dataset;
use crate::model::regressor::Regressor;
use crate::nn::MlpConfig;
use crate::nn::weights::{Tensors, WeightsError};
use crate::preprocess::grid::MODEL_PIXELS;
use crate::task::finetune::{adamw, smooth_curve};

/// Settings of a training.
#[derive(Debug, Clone)]
pub struct TrainConfig {
    /// Passes over the data.
    pub epochs: usize,
    /// Rows per step.
    pub batch: usize,
    /// Highest learning rate. It rises over the first 5 % of the steps and then falls along a cosine.
    pub lr: f64,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Dropout after each hidden layer.
    pub dropout: f64,
    /// Relative change of line depths (σ), correlated over 4–80 pixels. It represents errors of synthetic spectra.
    pub line_depth: f32,
    /// Relative change of the flux (σ), correlated over 30–150 pixels (33–165 Å). It represents errors of the flux
    /// calibration that the continuum does not remove.
    pub ripple: f32,
    /// Probability that a range of 5–100 pixels of a spectrum is blanked.
    pub blank: f64,
    /// Seed of all random numbers.
    pub seed: u64,
}

/// A newly initialised network, with the standardisation of its training data.
pub fn initial_network(data: &Dataset, hidden: &[usize], device: &Device) -> Regressor {
    let (mut mean, mut square, mut count) =
        (vec![0f64; MODEL_PIXELS], vec![0f64; MODEL_PIXELS], vec![0f64; MODEL_PIXELS]);
    for row in 0..data.len() {
        for (i, x) in data.input(row).iter().enumerate().filter(|(_, x)| x.is_finite()) {
            mean[i] += f64::from(*x);
            square[i] += f64::from(x * x);
            count[i] += 1.0;
        }
    }
    let mut variance = 0.0;
    for i in 0..MODEL_PIXELS {
        mean[i] /= count[i].max(1.0);
        variance += (square[i] / count[i].max(1.0) - mean[i] * mean[i]) / MODEL_PIXELS as f64;
    }
    let (mut output_mean, mut output_scale) = (vec![0f32; data.k], vec![1f32; data.k]);
    for j in 0..data.k {
        let values: Vec<f64> = (0..data.len())
            .filter(|i| data.weights[i * data.k + j] > 0.0)
            .map(|i| f64::from(data.targets[i * data.k + j]))
            .collect();
        let (m, s) = crate::stats::mean_and_std(&values);
        (output_mean[j], output_scale[j]) = (m as f32, s.max(1e-6) as f32);
    }
    let mut widths = vec![MODEL_PIXELS];
    widths.extend(hidden);
    widths.push(data.k);
    Regressor {
        mlp: MlpConfig::new(widths.clone()).init(device),
        widths,
        input_mean: mean.iter().map(|m| *m as f32).collect(),
        input_scale: variance.max(1e-12).sqrt() as f32,
        output_mean,
        output_scale,
    }
}

/// Trains the network's weights; its standardisation stays. Returns the mean of the weights over the last third of the
/// epochs, which varies less than the last weights. `report` gets the epoch and the mean training loss.
pub fn train(
    start: &Regressor,
    data: &Dataset,
    config: &TrainConfig,
    mut report: impl FnMut(usize, f64),
) -> Result<Regressor, WeightsError> {
    let inference_device = Device::flex();
    let device = inference_device.clone().autodiff();
    device.seed(config.seed);
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let mut weights = Tensors::default();
    start.store(&mut weights, "")?;
    let layout = MlpConfig::new(start.widths.clone()).with_dropout(config.dropout);
    let mut network = layout.load(&weights, "", &device)?;
    let mut optimiser: ModuleOptimizer = adamw(config.weight_decay).into();

    let line_depth_curves = random_curves(config.line_depth, LINE_DEPTH_PIXELS, &mut rng);
    let ripples = random_curves(config.ripple, RIPPLE_PIXELS, &mut rng);
    let mut order: Vec<usize> = (0..data.len()).collect();
    let steps_per_epoch = data.len() / config.batch;
    let total = (steps_per_epoch * config.epochs).max(1) as f64;
    let mut averaged: Vec<Tensors> = Vec::new();
    for epoch in 0..config.epochs {
        order.shuffle(&mut rng);
        let mut sum = 0.0;
        for (step, rows) in order.chunks_exact(config.batch).enumerate() {
            let (x, y, w) = batch(start, data, rows, config, [&line_depth_curves, &ripples], &mut rng);
            let x = Tensor::<2>::from_data(TensorData::new(x, [rows.len(), MODEL_PIXELS]), &device);
            let y = Tensor::<2>::from_data(TensorData::new(y, [rows.len(), data.k]), &device);
            let w = Tensor::<2>::from_data(TensorData::new(w, [rows.len(), data.k]), &device);
            let residual = network.forward(x) - y;
            // Pseudo-Huber loss: quadratic to one standard deviation and linear beyond, so that a wrong label does not
            // dominate.
            let loss = (((residual.clone() * residual + 1.0).sqrt() - 1.0) * w.clone()).sum() / w.sum();
            sum += f64::from(loss.clone().into_scalar::<f32>());
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            let progress = (epoch * steps_per_epoch + step) as f64 / total;
            let rate = config.lr
                * (progress / 0.05).min(1.0)
                * (0.01 + 0.495 * (1.0 + (std::f64::consts::PI * progress).cos()));
            network = optimiser.step(rate, network, gradients);
        }
        report(epoch, sum / steps_per_epoch.max(1) as f64);
        if 3 * epoch + 3 >= 2 * config.epochs {
            let mut snapshot = Tensors::default();
            network.valid().store(&mut snapshot, "")?;
            averaged.push(snapshot);
        }
    }
    let mean = Tensors::mean(&averaged).unwrap_or(weights);
    Ok(Regressor { mlp: layout.with_dropout(0.0).load(&mean, "", &inference_device)?, ..start.clone() })
}

/// Standardised inputs, standardised targets and weights of some rows. The inputs get new random distortions in every
/// epoch.
fn batch(
    network: &Regressor,
    data: &Dataset,
    rows: &[usize],
    config: &TrainConfig,
    [line_depth_curves, ripples]: [&[Vec<f32>]; 2],
    rng: &mut ChaCha8Rng,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let mut x = Vec::with_capacity(rows.len() * MODEL_PIXELS);
    let (mut y, mut w) = (Vec::with_capacity(rows.len() * data.k), Vec::with_capacity(rows.len() * data.k));
    let mut augmented = vec![0f32; MODEL_PIXELS];
    for &row in rows {
        augmented.copy_from_slice(data.input(row));
        if let Some(curve) = line_depth_curves.get(rng.random_range(0..line_depth_curves.len().max(1))) {
            let strength: f32 = rng.random_range(0.0..1.5);
            for (v, d) in augmented.iter_mut().zip(curve) {
                *v = 1.0 - (1.0 - *v) * (1.0 + strength * d);
            }
        }
        if !ripples.is_empty() {
            let strength: f32 = rng.random_range(0.0..1.5);
            let ripple = &ripples[rng.random_range(0..ripples.len())];
            augmented.iter_mut().zip(ripple).for_each(|(v, r)| *v *= 1.0 + strength * r);
        }
        if rng.random_bool(config.blank) {
            let width = rng.random_range(5..100);
            let from = rng.random_range(0..MODEL_PIXELS - width);
            augmented[from..from + width].fill(f32::NAN);
        }
        network.standardise_into(&augmented, &mut x);
        for j in 0..data.k {
            let i = row * data.k + j;
            y.push((data.targets[i] - network.output_mean[j]) / network.output_scale[j]);
            w.push(data.weights[i]);
        }
    }
    (x, y, w)
}

/// Correlation lengths of changes of line depths and of the flux: the smallest in pixels, and the largest over it.
const LINE_DEPTH_PIXELS: (f64, f64) = (4.0, 20.0);
const RIPPLE_PIXELS: (f64, f64) = (30.0, 5.0);

/// Smooth random curves with standard deviation `sigma`, each correlated over its own length.
fn random_curves(sigma: f32, (shortest, ratio): (f64, f64), rng: &mut ChaCha8Rng) -> Vec<Vec<f32>> {
    if sigma <= 0.0 {
        return Vec::new();
    }
    (0..2048)
        .map(|_| {
            let width: f64 = shortest * ratio.powf(rng.random());
            let knots: Vec<f64> =
                (0..(MODEL_PIXELS as f64 / width) as usize + 3).map(|_| StandardNormal.sample(rng)).collect();
            smooth_curve(width, &knots).map(|v| sigma * v as f32).collect()
        })
        .collect()
}
