//! A multilayer perceptron from vectors (embeddings, or flux itself) to labels (MODEL_SPEC §3.1).

use anyhow::Result;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::RngExt;

use super::super::steps::{Lesson, rng_of};
use super::tensor;
use crate::model::regressor::Regressor;
use crate::nn::{Mlp, MlpConfig};
use crate::task::metrics::mean_and_std;

/// Vectors and labels in physical units.
#[derive(Debug, Clone, Default)]
pub struct Labelled {
    /// `[n][width]`.
    pub inputs: Vec<f32>,
    /// Numbers of an input.
    pub width: usize,
    /// `[n][labels]`.
    pub targets: Vec<f32>,
    /// Labels of a target.
    pub labels: usize,
}

impl Labelled {
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

    /// These rows only.
    pub fn rows(&self, rows: &[usize]) -> Self {
        let inputs = rows.iter().flat_map(|&row| self.input(row)).copied().collect();
        let target = |row: &usize| self.targets[row * self.labels..(row + 1) * self.labels].iter();
        Self { inputs, targets: rows.iter().flat_map(target).copied().collect(), ..*self }
    }

    /// The same rows with these labels only.
    pub fn columns(&self, labels: &[usize]) -> Self {
        let target = |row: usize| labels.iter().map(move |j| self.targets[row * self.labels + j]);
        let targets = (0..self.len()).flat_map(target).collect();
        Self { inputs: self.inputs.clone(), width: self.width, targets, labels: labels.len() }
    }

    /// A network for these data: what it standardises by, and first weights.
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
        let small = |values: Vec<f64>| values.iter().map(|v| *v as f32).collect::<Vec<f32>>();
        Regressor {
            mlp: MlpConfig::new(widths.clone()).with_dropout(dropout).init(device),
            widths,
            input_mean: small(means),
            input_scale: scale.max(1e-6) as f32,
            output_mean: small(output_mean),
            output_scale: output_scale.iter().map(|s| s.max(1e-6) as f32).collect(),
        }
    }
}

/// The lesson.
pub struct Regression {
    /// Learned from.
    pub train: Labelled,
    /// Held out.
    pub held_out: Labelled,
    /// What stands around the network.
    pub standard: Regressor,
    /// Rows a step.
    pub batch: usize,
    /// Seed of their order.
    pub seed: u64,
}

impl Regression {
    fn rows(&self, data: &Labelled, rows: impl Iterator<Item = usize>) -> (Vec<f32>, Vec<f32>) {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for row in rows {
            self.standard.standardise_into(data.input(row), &mut x);
            for (j, target) in data.targets[row * data.labels..(row + 1) * data.labels].iter().enumerate() {
                y.push((target - self.standard.output_mean[j]) / self.standard.output_scale[j]);
            }
        }
        (x, y)
    }

    fn off(&self, network: &Mlp, (x, y): (Vec<f32>, Vec<f32>), device: &Device) -> Tensor<1> {
        let (width, labels) = (self.train.width, self.train.labels);
        (network.forward(tensor(x, width, device)) - tensor(y, labels, device)).powi_scalar(2).mean()
    }

    /// The trained network between its standardisations.
    pub fn finished(&self, network: Mlp) -> Regressor {
        Regressor { mlp: network.valid(), ..self.standard.clone() }
    }
}

impl Lesson for Regression {
    type Network = Mlp;
    type Batch = (Vec<f32>, Vec<f32>);

    fn batch(&self, step: usize) -> Result<Self::Batch> {
        let mut rng = rng_of(self.seed, step, 0);
        let n = self.train.len();
        Ok(self.rows(&self.train, (0..self.batch).map(|_| rng.random_range(0..n))))
    }

    fn loss(&self, network: &Mlp, batch: Self::Batch, device: &Device) -> Tensor<1> {
        self.off(network, batch, device)
    }

    fn check(&self, network: &Mlp, device: &Device) -> Result<f64> {
        let all = self.rows(&self.held_out, 0..self.held_out.len());
        Ok(f64::from(self.off(network, all, device).into_scalar::<f32>()))
    }
}
