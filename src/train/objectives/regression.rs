//! Objective of a label head: a multilayer perceptron from vectors (embeddings, or the flux itself) to labels
//! (docs/model-spec.md §3.1).

use anyhow::Result;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::RngExt;

use super::super::training_loop::{Objective, rng_of};
use super::tensor;
use crate::model::regressor::Regressor;
use crate::nn::{Mlp, MlpConfig};
use crate::stats::mean_and_std;

/// Input vectors, with labels in physical units.
#[derive(Debug, Clone, Default)]
pub struct LabelledVectors {
    /// Inputs, `[n][width]`.
    pub inputs: Vec<f32>,
    /// Length of an input vector.
    pub width: usize,
    /// Labels, `[n][labels]`.
    pub targets: Vec<f32>,
    /// Number of labels.
    pub labels: usize,
}

impl LabelledVectors {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.targets.len() / self.labels.max(1)
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The input of a row.
    pub fn input(&self, row: usize) -> &[f32] {
        &self.inputs[row * self.width..(row + 1) * self.width]
    }

    /// A subset of the rows.
    pub fn rows(&self, rows: &[usize]) -> Self {
        let inputs = rows.iter().flat_map(|&row| self.input(row)).copied().collect();
        let target = |row: &usize| self.targets[row * self.labels..(row + 1) * self.labels].iter();
        Self { inputs, targets: rows.iter().flat_map(target).copied().collect(), ..*self }
    }

    /// The same rows with a subset of the labels.
    pub fn columns(&self, labels: &[usize]) -> Self {
        let target = |row: usize| labels.iter().map(move |j| self.targets[row * self.labels + j]);
        let targets = (0..self.len()).flat_map(target).collect();
        Self { inputs: self.inputs.clone(), width: self.width, targets, labels: labels.len() }
    }

    /// A newly initialised network, with the standardisation of these data.
    pub fn regressor(&self, hidden: &[usize], dropout: f64, device: &Device) -> Regressor {
        let column = |all: &[f32], i: usize, width: usize| -> Vec<f64> {
            all.iter().skip(i).step_by(width).map(|v| f64::from(*v)).collect()
        };
        let inputs = (0..self.width).map(|i| mean_and_std(&column(&self.inputs, i, self.width)));
        let (means, stds): (Vec<f64>, Vec<f64>) = inputs.unzip();
        let scale = (stds.iter().map(|s| s * s).sum::<f64>() / self.width.max(1) as f64).sqrt();
        let outputs = (0..self.labels).map(|i| mean_and_std(&column(&self.targets, i, self.labels)));
        let (output_mean, output_scale): (Vec<f64>, Vec<f64>) = outputs.unzip();
        let mut widths = vec![self.width];
        widths.extend(hidden);
        widths.push(self.labels);
        let to_f32 = |values: Vec<f64>| values.iter().map(|v| *v as f32).collect::<Vec<f32>>();
        Regressor {
            mlp: MlpConfig::new(widths.clone()).with_dropout(dropout).init(device),
            widths,
            input_mean: to_f32(means),
            input_scale: scale.max(1e-6) as f32,
            output_mean: to_f32(output_mean),
            output_scale: output_scale.iter().map(|s| s.max(1e-6) as f32).collect(),
        }
    }
}

/// The training objective: mean squared error of standardised labels.
pub struct Regression {
    /// Rows for training.
    pub train: LabelledVectors,
    /// Rows for the check loss.
    pub held_out: LabelledVectors,
    /// Standardisation of inputs and labels; its weights are not used.
    pub initial_network: Regressor,
    /// Rows per step.
    pub batch: usize,
    /// Seed of the random choice of rows.
    pub seed: u64,
}

impl Regression {
    fn rows(&self, data: &LabelledVectors, rows: impl Iterator<Item = usize>) -> (Vec<f32>, Vec<f32>) {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for row in rows {
            self.initial_network.standardise_into(data.input(row), &mut x);
            for (j, target) in data.targets[row * data.labels..(row + 1) * data.labels].iter().enumerate() {
                y.push((target - self.initial_network.output_mean[j]) / self.initial_network.output_scale[j]);
            }
        }
        (x, y)
    }

    fn mean_squared_error(&self, network: &Mlp, (x, y): (Vec<f32>, Vec<f32>), device: &Device) -> Tensor<1> {
        let (width, labels) = (self.train.width, self.train.labels);
        (network.forward(tensor(x, width, device)) - tensor(y, labels, device)).powi_scalar(2).mean()
    }

    /// The trained network with the standardisation.
    pub fn to_regressor(&self, network: Mlp) -> Regressor {
        Regressor { mlp: network.valid(), ..self.initial_network.clone() }
    }
}

impl Objective for Regression {
    type Network = Mlp;
    type Batch = (Vec<f32>, Vec<f32>);

    fn batch(&self, step: usize) -> Result<Self::Batch> {
        let mut rng = rng_of(self.seed, step, 0);
        let n = self.train.len();
        Ok(self.rows(&self.train, (0..self.batch).map(|_| rng.random_range(0..n))))
    }

    fn loss(&self, network: &Mlp, batch: Self::Batch, device: &Device) -> Tensor<1> {
        self.mean_squared_error(network, batch, device)
    }

    fn check(&self, network: &Mlp, device: &Device) -> Result<f64> {
        let all = self.rows(&self.held_out, 0..self.held_out.len());
        Ok(f64::from(self.mean_squared_error(network, all, device).into_scalar::<f32>()))
    }
}
