//! The loss around a network's weights, θ + αδ + βη, along two random directions (docs/model-spec.md §4.2).
//!
//! Directions are normalised filter by filter (Li et al. 2018), so that the width of a valley does not depend on the
//! scale of the weights. A row of a direction's matrix gets the length of the same row of the weights. Vectors (biases,
//! norms) do not move.

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};

use crate::nn::flow::standard_normal;
use crate::nn::state_dict::StateDict;
use crate::nn::weights::{Tensors, WeightsError};

/// A random direction, normalised by filters. `weights` are in `PyTorch`'s layout, one filter per row.
pub fn direction(weights: &Tensors, seed: u64) -> Result<Tensors, WeightsError> {
    let mut raw = Tensors::default();
    for (i, name) in weights.names().enumerate() {
        let shape = weights.shape(name)?;
        let n = shape.iter().product();
        raw.insert(name, shape, standard_normal(seed.wrapping_mul(0x1_0000).wrapping_add(i as u64), n));
    }
    filter_normalised(&raw, weights)
}

/// Scales each row of each matrix to the length of the same row of the weights; all other arrays become zero.
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

/// A network whose weights move in a plane of two directions, all on its device.
#[derive(Debug)]
pub struct WeightPlane<N> {
    centre: N,
    /// δ and η of each array, in the order in which the network's arrays are visited.
    directions: Vec<[Tensor<1>; 2]>,
}

impl<N: StateDict> WeightPlane<N> {
    /// A plane through `centre`. Arrays that a direction lacks do not move.
    pub fn new(centre: N, directions: [&Tensors; 2], device: &Device) -> Result<Self, WeightsError> {
        let tensors = |direction: &Tensors| {
            let mut complete = direction.clone();
            for spec in centre.array_specs("") {
                if direction.shape(&spec.name).is_err() {
                    complete.insert(&spec.name, &spec.shape, vec![0.0; spec.shape.iter().product()]);
                }
            }
            let mut arrays = ParameterCollector(Vec::new());
            centre.clone().load(&complete, "", device)?.visit(&mut arrays);
            Ok::<_, WeightsError>(arrays.0)
        };
        let (delta, eta) = (tensors(directions[0])?, tensors(directions[1])?);
        let directions = delta.into_iter().zip(eta).map(|(delta, eta)| [delta, eta]).collect();
        Ok(Self { centre, directions })
    }

    /// The network at θ + αδ + βη.
    pub fn at(&self, alpha: f64, beta: f64) -> N {
        self.centre.clone().map(&mut Displacement { by: [alpha, beta], directions: self.directions.iter() })
    }
}

/// Collects a network's arrays.
struct ParameterCollector(Vec<Tensor<1>>);

impl ModuleVisitor for ParameterCollector {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().flatten(0, D - 1));
    }
}

/// Moves a network's arrays.
struct Displacement<'a> {
    by: [f64; 2],
    directions: std::slice::Iter<'a, [Tensor<1>; 2]>,
}

impl ModuleMapper for Displacement<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some([delta, eta]) = self.directions.next() else { return param };
        let theta = param.val();
        let shift = delta.clone() * self.by[0] + eta.clone() * self.by[1];
        let moved = theta.clone() + shift.reshape(theta.dims());
        Param::initialized(param.id, moved)
    }
}
