//! Objective of the emulator's network: from labels to the coefficients of principal components.

use anyhow::Result;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;

use super::super::training_loop::{Objective, rng_of};
use crate::model::emulator::EMULATOR_LABELS;
use crate::nn::state_dict::StateDict;
use crate::nn::state_dict::Transfer;
use crate::nn::weights::{Tensors, WeightsError};

/// Multilayer perceptron with the activation `SiLU`, x·σ(x).
#[derive(Module, Debug)]
pub struct EmulatorMlp {
    layers: Vec<Linear>,
}

impl EmulatorMlp {
    /// A new network with `PyTorch`'s initialisation. `widths` are the layer widths from labels to coefficients.
    pub fn new(widths: &[usize], device: &Device) -> Self {
        Self { layers: widths.windows(2).map(|w| LinearConfig::new(w[0], w[1]).init(device)).collect() }
    }

    /// # Shapes
    /// `[batch, widths[0]]` → `[batch, widths[last]]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let last = self.layers.len().saturating_sub(1);
        self.layers.iter().enumerate().fold(x, |x, (i, layer)| {
            let y = layer.forward(x);
            if i == last { y } else { silu(y) }
        })
    }

    /// Adds the layers to `tensors` as `network.0`, `network.1` …
    pub fn store(&self, tensors: &mut Tensors) -> Result<(), WeightsError> {
        let mut layers = self.layers.clone();
        for (i, layer) in layers.iter_mut().enumerate() {
            layer.exchange(&format!("network.{i}."), &mut Transfer::Store(tensors))?;
        }
        Ok(())
    }
}

/// Grid nodes as training data: labels, coefficients, and the weight of each coefficient.
#[derive(Debug, Clone, Default)]
pub struct Nodes {
    /// Standardised labels, `[n][7]`.
    pub labels: Vec<f32>,
    /// Coefficients, `[n][k]`.
    pub targets: Vec<f32>,
    /// Weights, `[n][k]`; 0 where a node has no energy distribution.
    pub weights: Vec<f32>,
    /// Number of coefficients.
    pub k: usize,
}

impl Nodes {
    fn len(&self) -> usize {
        self.labels.len() / EMULATOR_LABELS
    }

    fn rows(&self, rows: &[usize]) -> Self {
        let pick = |all: &[f32], width: usize| {
            rows.iter().flat_map(|r| all[r * width..(r + 1) * width].iter().copied()).collect()
        };
        Self {
            labels: pick(&self.labels, EMULATOR_LABELS),
            targets: pick(&self.targets, self.k),
            weights: pick(&self.weights, self.k),
            k: self.k,
        }
    }

    fn tensors(self, device: &Device) -> (Tensor<2>, Tensor<2>, Tensor<2>) {
        let (n, k) = (self.len(), self.k);
        let tensor = |values, width| Tensor::from_data(TensorData::new(values, [n, width]), device);
        (tensor(self.labels, EMULATOR_LABELS), tensor(self.targets, k), tensor(self.weights, k))
    }
}

/// Training nodes and held-out nodes.
pub struct EmulatorNodes {
    /// Nodes for training.
    pub train: Nodes,
    /// Nodes for the check loss.
    pub held_out: Nodes,
    /// Nodes per step.
    pub batch: usize,
    /// Seed of the random choice of nodes.
    pub seed: u64,
}

fn weighted_squared_error(network: &EmulatorMlp, nodes: Nodes, device: &Device) -> Tensor<1> {
    let (x, y, w) = nodes.tensors(device);
    ((network.forward(x) - y).powi_scalar(2) * w.clone()).sum() / w.sum()
}

impl Objective for EmulatorNodes {
    type Network = EmulatorMlp;
    type Batch = Nodes;

    fn batch(&self, step: usize) -> Result<Nodes> {
        let mut rng = rng_of(self.seed, step, 0);
        let n = self.train.len();
        let rows: Vec<usize> = (0..self.batch).map(|_| rng.random_range(0..n)).collect();
        Ok(self.train.rows(&rows))
    }

    fn loss(&self, network: &EmulatorMlp, batch: Nodes, device: &Device) -> Tensor<1> {
        weighted_squared_error(network, batch, device)
    }

    fn check(&self, network: &EmulatorMlp, device: &Device) -> Result<f64> {
        Ok(f64::from(weighted_squared_error(network, self.held_out.clone(), device).into_scalar::<f32>()))
    }
}
