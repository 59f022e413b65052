//! A normalising flow from embeddings to the density of labels (neural posterior estimation, docs/model-spec.md §3.4).

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use rand::RngExt;

use super::super::training_loop::{Objective, rng_of};
use super::regression::LabelledVectors;
use super::tensor;
use crate::nn::flow::{Flow, FlowConfig};

/// The training objective: the mean of −log q(θ | x).
pub struct Posterior {
    /// Rows for training.
    pub train: LabelledVectors,
    /// Rows for the check loss.
    pub held_out: LabelledVectors,
    /// Rows per step.
    pub batch: usize,
    /// Seed of the random choice of rows.
    pub seed: u64,
}

impl Posterior {
    /// A newly initialised flow, with the standardisation of the training rows.
    pub fn start(&self, config: &FlowConfig, device: &Device) -> Flow {
        let moments = |values: &[f32], width: usize| {
            let rows = tensor(values.to_vec(), width, device);
            let std = rows.clone().var(0).sqrt().clamp_min(1e-6).squeeze_dim::<1>(0);
            [rows.mean_dim(0).squeeze_dim::<1>(0), std]
        };
        let (x, theta) = (&self.train.inputs, &self.train.targets);
        config.init(device).with_standardisation(moments(x, self.train.width), moments(theta, self.train.labels))
    }

    fn negative_log_likelihood(
        network: &Flow,
        data: &LabelledVectors,
        rows: impl Iterator<Item = usize>,
        device: &Device,
    ) -> Tensor<1> {
        let (mut x, mut theta) = (Vec::new(), Vec::new());
        for row in rows {
            x.extend(data.input(row));
            theta.extend(&data.targets[row * data.labels..(row + 1) * data.labels]);
        }
        let (x, theta) = (tensor(x, data.width, device), tensor(theta, data.labels, device));
        -network.log_prob(theta, x).mean()
    }
}

impl Objective for Posterior {
    type Network = Flow;
    type Batch = Vec<usize>;

    fn batch(&self, step: usize) -> Result<Vec<usize>> {
        let mut rng = rng_of(self.seed, step, 0);
        Ok((0..self.batch).map(|_| rng.random_range(0..self.train.len())).collect())
    }

    fn loss(&self, network: &Flow, rows: Vec<usize>, device: &Device) -> Tensor<1> {
        Self::negative_log_likelihood(network, &self.train, rows.into_iter(), device)
    }

    fn check(&self, network: &Flow, device: &Device) -> Result<f64> {
        Ok(f64::from(
            Self::negative_log_likelihood(network, &self.held_out, 0..self.held_out.len(), device).into_scalar::<f32>(),
        ))
    }
}
