//! Scan of the loss around the trained weights, one point at a time; it can stop after any point.

use burn::tensor::{Device, Tensor};

use super::feature_cache::{FinetuneError, values};
use super::loss_landscape::{WeightPlane, direction};
use super::{AdapterLayers, TrainableModel, squared_error};
use crate::nn::Mlp;
use crate::nn::lora::Lora;
use crate::nn::residual_head::ResidualHead;
use crate::nn::state_dict::{StateDict, parameters};
use crate::result::finetune::Landscape;

/// Largest number of spectra in the loss: more spectra take longer and change the result little.
const MAX_ROWS: usize = 400;

/// The trained weights, with a plane through them.
#[derive(Debug)]
enum TrainableWeights {
    Network(WeightPlane<Mlp>),
    Lora(Mlp, WeightPlane<Lora>),
    Residual(WeightPlane<ResidualHead>),
}

/// A scan of the loss in a plane of two directions.
#[derive(Debug)]
pub struct LandscapeScan {
    plane: TrainableWeights,
    x: Tensor<2>,
    y: Tensor<2>,
    /// Factor from squared standardised units to the squared unit of the label.
    unit: f64,
    landscape: Landscape,
}

/// At most [`MAX_ROWS`] of the rows, evenly spaced.
pub(super) fn subsample(rows: &[usize]) -> Vec<usize> {
    let n = rows.len().min(MAX_ROWS);
    (0..n).map(|k| rows[k * rows.len() / n]).collect()
}

/// A plane through a network's weights, its two directions drawn from `seed`.
async fn random_plane<N: StateDict>(network: &N, seed: u64, device: &Device) -> Result<WeightPlane<N>, FinetuneError> {
    let weights = parameters(network, "").await?;
    let [delta, eta] = [2 * seed, 2 * seed + 1].map(|seed| direction(&weights, seed));
    Ok(WeightPlane::new(network.clone(), [&delta?, &eta?], device)?)
}

impl LandscapeScan {
    /// A scan around a model: around its adapter if it has an adapter, else around all of its weights
    /// (docs/model-spec.md §4.2: the trained weights move).
    pub(super) async fn around_model(
        model: &TrainableModel,
        rows: (Tensor<2>, Tensor<2>),
        scale: f32,
        landscape: Landscape,
    ) -> Result<Self, FinetuneError> {
        let (device, seed) = (rows.0.device(), landscape.seed);
        let plane = match model.adapter() {
            None => TrainableWeights::Network(random_plane(model.base(), seed, &device).await?),
            Some(AdapterLayers::Lora(lora)) => {
                TrainableWeights::Lora(model.base().clone(), random_plane(lora, seed, &device).await?)
            }
            Some(AdapterLayers::Residual(head)) => return Self::around_head(head, rows, scale, landscape).await,
        };
        Ok(Self { plane, x: rows.0, y: rows.1, unit: f64::from(scale).powi(2), landscape })
    }

    /// A scan around a residual head; its targets are the residuals of the base network.
    pub(super) async fn around_head(
        head: &ResidualHead,
        (x, y): (Tensor<2>, Tensor<2>),
        scale: f32,
        landscape: Landscape,
    ) -> Result<Self, FinetuneError> {
        let plane = TrainableWeights::Residual(random_plane(head, landscape.seed, &x.device()).await?);
        Ok(Self { plane, x, y, unit: f64::from(scale).powi(2), landscape })
    }

    /// Points done and points in all.
    pub fn progress(&self) -> (u32, u32) {
        (self.landscape.mse.len() as u32, self.landscape.points() as u32)
    }

    /// Computes the loss at the next point; gives the landscape after the last point.
    pub async fn advance(&mut self) -> Result<Option<Landscape>, FinetuneError> {
        let steps = &self.landscape.steps;
        let next = self.landscape.mse.len();
        if let (Some(alpha), Some(beta)) = (steps.get(next / steps.len().max(1)), steps.get(next % steps.len().max(1)))
        {
            let x = self.x.clone();
            let output = match &self.plane {
                TrainableWeights::Network(network) => network.at(*alpha, *beta).forward(x),
                TrainableWeights::Lora(base, lora) => lora.at(*alpha, *beta).forward(base, x),
                TrainableWeights::Residual(head) => head.at(*alpha, *beta).forward(x),
            };
            let loss = values(squared_error(output, self.y.clone())).await?;
            self.landscape.mse.push(f64::from(loss[0]) * self.unit);
        }
        let is_complete = self.landscape.mse.len() == self.landscape.points();
        Ok(is_complete.then(|| self.landscape.clone()))
    }
}
