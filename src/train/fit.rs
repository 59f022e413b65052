//! Fitting a [`Regressor`] to a [`Dataset`].

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::dataset::Dataset;
use crate::model::regressor::Regressor;
use crate::model::weights::{Tensors, WeightsError};
use crate::nn::MlpConfig;
use crate::preprocess::grid::MODEL_PIXELS;
use crate::task::teach::{adamw, smooth_curve};

/// How to fit.
#[derive(Debug, Clone)]
pub struct FitConfig {
    /// Passes over the data.
    pub epochs: usize,
    /// Rows a step.
    pub batch: usize,
    /// Highest learning rate; it rises over the first 5 % of the steps and falls along a cosine.
    pub lr: f64,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Dropout after each hidden layer.
    pub dropout: f64,
    /// Lines are made deeper or shallower by this much (σ), alike over 4–80 pixels: what synthesis gets wrong.
    pub line_depth: f32,
    /// Chance that a stretch of 5–100 pixels is blanked.
    pub blank: f64,
    /// Seed of everything random.
    pub seed: u64,
}

/// A network's standardisation, from the data it will be fitted to.
pub fn standardisation(data: &Dataset, hidden: &[usize], device: &Device) -> Regressor {
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
        let known: Vec<f64> = (0..data.len())
            .filter(|i| data.weights[i * data.k + j] > 0.0)
            .map(|i| f64::from(data.targets[i * data.k + j]))
            .collect();
        let (m, s) = crate::task::metrics::mean_and_std(&known);
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

/// Fits the network's weights; its standardisation stays. Returns the mean of the weights over the last third of the
/// epochs, which is steadier than the last ones. `report` gets the epoch and the mean training loss.
pub fn fit(
    start: &Regressor,
    data: &Dataset,
    config: &FitConfig,
    mut report: impl FnMut(usize, f64),
) -> Result<Regressor, WeightsError> {
    let plain = Device::flex();
    let device = plain.clone().autodiff();
    device.seed(config.seed);
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let mut weights = Tensors::default();
    start.store(&mut weights, "")?;
    let layout = MlpConfig::new(start.widths.clone()).with_dropout(config.dropout);
    let mut network = layout.load(&weights, "", &device)?;
    let mut optimiser: ModuleOptimizer = adamw(config.weight_decay).into();

    let bank = line_depth_bank(config.line_depth, &mut rng);
    let mut order: Vec<usize> = (0..data.len()).collect();
    let steps_per_epoch = data.len() / config.batch;
    let total = (steps_per_epoch * config.epochs).max(1) as f64;
    let mut averaged: Vec<Tensors> = Vec::new();
    for epoch in 0..config.epochs {
        order.shuffle(&mut rng);
        let mut sum = 0.0;
        for (step, rows) in order.chunks_exact(config.batch).enumerate() {
            let (x, y, w) = batch(start, data, rows, config, &bank, &mut rng);
            let x = Tensor::<2>::from_data(TensorData::new(x, [rows.len(), MODEL_PIXELS]), &device);
            let y = Tensor::<2>::from_data(TensorData::new(y, [rows.len(), data.k]), &device);
            let w = Tensor::<2>::from_data(TensorData::new(w, [rows.len(), data.k]), &device);
            let off = network.forward(x) - y;
            // Pseudo-Huber: quadratic to one standard deviation, linear beyond, so that a wrong label does not rule.
            let loss = (((off.clone() * off + 1.0).sqrt() - 1.0) * w.clone()).sum() / w.sum();
            sum += f64::from(loss.clone().into_scalar::<f32>());
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            let done = (epoch * steps_per_epoch + step) as f64 / total;
            let rate =
                config.lr * (done / 0.05).min(1.0) * (0.01 + 0.495 * (1.0 + (std::f64::consts::PI * done).cos()));
            network = optimiser.step(rate, network, gradients);
        }
        report(epoch, sum / steps_per_epoch.max(1) as f64);
        if 3 * epoch + 3 >= 2 * config.epochs {
            let mut now = Tensors::default();
            network.valid().store(&mut now, "")?;
            averaged.push(now);
        }
    }
    let mean = Tensors::mean(&averaged).unwrap_or(weights);
    Ok(Regressor { mlp: layout.with_dropout(0.0).load(&mean, "", &plain)?, ..start.clone() })
}

/// Standardised inputs, targets and weights of some rows, with the inputs disturbed anew.
fn batch(
    network: &Regressor,
    data: &Dataset,
    rows: &[usize],
    config: &FitConfig,
    bank: &[Vec<f32>],
    rng: &mut ChaCha8Rng,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let mut x = Vec::with_capacity(rows.len() * MODEL_PIXELS);
    let (mut y, mut w) = (Vec::with_capacity(rows.len() * data.k), Vec::with_capacity(rows.len() * data.k));
    let mut disturbed = vec![0f32; MODEL_PIXELS];
    for &row in rows {
        disturbed.copy_from_slice(data.input(row));
        if let Some(deeper) = bank.get(rng.random_range(0..bank.len().max(1))) {
            let strength: f32 = rng.random_range(0.0..1.5);
            for (v, d) in disturbed.iter_mut().zip(deeper) {
                *v = 1.0 - (1.0 - *v) * (1.0 + strength * d);
            }
        }
        if rng.random_bool(config.blank) {
            let width = rng.random_range(5..100);
            let from = rng.random_range(0..MODEL_PIXELS - width);
            disturbed[from..from + width].fill(f32::NAN);
        }
        network.standardise_into(&disturbed, &mut x);
        for j in 0..data.k {
            let i = row * data.k + j;
            y.push((data.targets[i] - network.output_mean[j]) / network.output_scale[j]);
            w.push(data.weights[i]);
        }
    }
    (x, y, w)
}

/// Smooth random curves of unit strength `sigma`, each correlated over its own 4–80 pixels.
fn line_depth_bank(sigma: f32, rng: &mut ChaCha8Rng) -> Vec<Vec<f32>> {
    if sigma <= 0.0 {
        return Vec::new();
    }
    (0..2048)
        .map(|_| {
            let width: f64 = 4.0 * 20f64.powf(rng.random());
            let knots: Vec<f64> =
                (0..(MODEL_PIXELS as f64 / width) as usize + 3).map(|_| StandardNormal.sample(rng)).collect();
            smooth_curve(width, &knots).map(|v| sigma * v as f32).collect()
        })
        .collect()
}
