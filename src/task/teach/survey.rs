//! The loss around what was taught, point by point: it can be stopped at any moment.

use burn::tensor::{Device, Tensor};

use super::classroom::{TeachError, values};
use super::landscape::{Surroundings, direction};
use super::{Adapter, Pupil, squared_error};
use crate::nn::Mlp;
use crate::nn::keyed::{Keyed, parameters};
use crate::nn::lora::Lora;
use crate::nn::residual_head::ResidualHead;
use crate::result::teach::Landscape;

/// Most spectra over which the loss is taken: more cost time and change the picture little.
const MAX_ROWS: usize = 400;

/// What is taught, with room around it.
#[derive(Debug)]
enum Around {
    Network(Surroundings<Mlp>),
    Lora(Mlp, Surroundings<Lora>),
    Residual(Surroundings<ResidualHead>),
}

/// The loss in the plane of two directions, as far as it is known.
#[derive(Debug)]
pub struct Survey {
    around: Around,
    x: Tensor<2>,
    y: Tensor<2>,
    /// From square standardised units to those of the label.
    unit: f64,
    found: Landscape,
}

/// As many of the rows as are looked at, evenly spread.
pub(super) fn thinned(rows: &[usize]) -> Vec<usize> {
    let n = rows.len().min(MAX_ROWS);
    (0..n).map(|k| rows[k * rows.len() / n]).collect()
}

/// A network with two directions drawn by a seed.
async fn surroundings<N: Keyed>(network: &N, seed: u64, device: &Device) -> Result<Surroundings<N>, TeachError> {
    let weights = parameters(network, "").await?;
    let [delta, eta] = [2 * seed, 2 * seed + 1].map(|seed| direction(&weights, seed));
    Ok(Surroundings::new(network.clone(), [&delta?, &eta?], device)?)
}

impl Survey {
    /// Around a pupil: its adapter if it has one, else all of it (MODEL_SPEC §4.2: what is trained moves).
    pub(super) async fn of_pupil(
        pupil: &Pupil,
        rows: (Tensor<2>, Tensor<2>),
        scale: f32,
        found: Landscape,
    ) -> Result<Self, TeachError> {
        let (device, seed) = (rows.0.device(), found.seed);
        let around = match pupil.adapter() {
            None => Around::Network(surroundings(pupil.base(), seed, &device).await?),
            Some(Adapter::Lora(lora)) => Around::Lora(pupil.base().clone(), surroundings(lora, seed, &device).await?),
            Some(Adapter::Residual(head)) => return Self::of_head(head, rows, scale, found).await,
        };
        Ok(Self { around, x: rows.0, y: rows.1, unit: f64::from(scale).powi(2), found })
    }

    /// Around a residual head, whose targets are what the network beside it leaves.
    pub(super) async fn of_head(
        head: &ResidualHead,
        (x, y): (Tensor<2>, Tensor<2>),
        scale: f32,
        found: Landscape,
    ) -> Result<Self, TeachError> {
        let around = Around::Residual(surroundings(head, found.seed, &x.device()).await?);
        Ok(Self { around, x, y, unit: f64::from(scale).powi(2), found })
    }

    /// Points that are known, and points in all.
    pub fn progress(&self) -> (u32, u32) {
        (self.found.mse.len() as u32, self.found.points() as u32)
    }

    /// Finds the loss at the next point; gives the landscape when all are known.
    pub async fn advance(&mut self) -> Result<Option<Landscape>, TeachError> {
        let steps = &self.found.steps;
        let next = self.found.mse.len();
        if let (Some(alpha), Some(beta)) = (steps.get(next / steps.len().max(1)), steps.get(next % steps.len().max(1)))
        {
            let x = self.x.clone();
            let output = match &self.around {
                Around::Network(network) => network.at(*alpha, *beta).forward(x),
                Around::Lora(base, lora) => lora.at(*alpha, *beta).forward(base, x),
                Around::Residual(head) => head.at(*alpha, *beta).forward(x),
            };
            let loss = values(squared_error(output, self.y.clone())).await?;
            self.found.mse.push(f64::from(loss[0]) * self.unit);
        }
        let is_whole = self.found.mse.len() == self.found.points();
        Ok(is_whole.then(|| self.found.clone()))
    }
}
