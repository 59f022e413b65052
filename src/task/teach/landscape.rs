//! The loss around a network's weights, θ + αδ + βη, along two random directions (MODEL_SPEC §4.2).
//!
//! Directions are normalised filter by filter (Li et al. 2018), so that wide valleys and large weights are not taken for
//! each other: a row of a matrix gets the length of the weights' row, and vectors (biases, norms) do not move.

use burn::tensor::{Device, Tensor};

use crate::model::weights::{Tensors, WeightsError};
use crate::nn::flow::standard_normal;
use crate::nn::keyed::Keyed;

/// A random direction, normalised by filters. `weights` are in PyTorch's layout, one filter a row.
pub fn direction(weights: &Tensors, seed: u64) -> Result<Tensors, WeightsError> {
    let mut raw = Tensors::default();
    for (i, name) in weights.names().enumerate() {
        let shape = weights.shape(name)?;
        let n = shape.iter().product();
        raw.insert(name, shape, standard_normal(seed.wrapping_mul(0x1_0000).wrapping_add(i as u64), n));
    }
    filter_normalised(&raw, weights)
}

/// Each row of each matrix scaled to the length of the weights' row; all else zero.
pub fn filter_normalised(direction: &Tensors, weights: &Tensors) -> Result<Tensors, WeightsError> {
    let length = |row: &[f32]| row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let mut normalised = Tensors::default();
    for name in weights.names() {
        let shape = weights.shape(name)?.to_vec();
        let (theta, delta) = (weights.get(name, &shape)?, direction.get(name, &shape)?);
        let values = match shape.as_slice() {
            [_, width] if *width > 0 => {
                let rows = theta.chunks(*width).zip(delta.chunks(*width));
                rows.flat_map(|(theta, delta)| {
                    let scale = length(theta) / length(delta).max(f64::MIN_POSITIVE);
                    delta.iter().map(move |d| (f64::from(*d) * scale) as f32)
                })
                .collect()
            }
            _ => vec![0.0; theta.len()],
        };
        normalised.insert(name, &shape, values);
    }
    Ok(normalised)
}

/// The loss at every pair of `steps`: `[α][β]`.
///
/// `network` gives shape and those arrays that stay, `weights` the centre and the arrays that move, all named under `prefix`.
pub async fn surface<N: Keyed>(
    network: &N,
    prefix: &str,
    weights: &Tensors,
    [delta, eta]: [&Tensors; 2],
    steps: &[f64],
    device: &Device,
    loss: impl Fn(&N) -> Tensor<1>,
) -> Result<Vec<Vec<f64>>, WeightsError> {
    let mut rows = Vec::with_capacity(steps.len());
    for alpha in steps {
        let mut row = Vec::with_capacity(steps.len());
        for beta in steps {
            let mut moved = weights.clone();
            for name in delta.names() {
                let shape = weights.shape(name)?;
                let (theta, delta, eta) = (weights.get(name, shape)?, delta.get(name, shape)?, eta.get(name, shape)?);
                let at = |i: usize| f64::from(theta[i]) + alpha * f64::from(delta[i]) + beta * f64::from(eta[i]);
                moved.insert(name, shape, (0..theta.len()).map(|i| at(i) as f32).collect());
            }
            let there = network.clone().loaded(&moved, prefix, device)?;
            let value = loss(&there).into_data_async().await.ok().and_then(|data| data.try_to_vec::<f32>().ok());
            let value =
                value.and_then(|v| v.first().copied()).ok_or_else(|| WeightsError::Device("the loss".into()))?;
            row.push(f64::from(value));
        }
        rows.push(row);
    }
    Ok(rows)
}
