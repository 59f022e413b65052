//! One coupling transform of a neural spline flow.
//!
//! Splines transform one half of the features. The other half and the context determine the shapes of the splines.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor};

use super::permutation::{columns, inverse};
use super::spline;
use crate::nn::state_dict::{StateDict, Transfer, indices};
use crate::nn::weights::WeightsError;

/// Coupling transform with splines on every second feature.
#[derive(Module, Debug)]
pub(super) struct Coupling {
    #[module(skip)]
    identity: Vec<usize>,
    #[module(skip)]
    transformed: Vec<usize>,
    conditioner: Conditioner,
    hidden: usize,
}

#[derive(Module, Debug)]
// Few of these exist at a time; a `Box` would only add an indirection.
#[allow(clippy::large_enum_variant, reason = "a network is loaded once and not moved in a hot loop")]
enum Conditioner {
    /// For a flow of one feature: the context alone determines the spline.
    Context(Vec<Linear>),
    Residual(Residual),
}

#[derive(Module, Debug)]
struct Residual {
    initial: Linear,
    blocks: Vec<Block>,
    last: Linear,
}

#[derive(Module, Debug)]
struct Block {
    first: Linear,
    second: Linear,
    context: Linear,
}

impl Coupling {
    /// The `i`-th coupling of a flow: even `i` transform the features 0, 2, 4 …, odd `i` the features 1, 3, 5 ….
    pub(super) fn new(i: usize, features: usize, context: usize, hidden: usize, device: &Device) -> Self {
        let linear = |input, output| LinearConfig::new(input, output).init(device);
        let (transformed, identity): (Vec<usize>, Vec<usize>) =
            (0..features).partition(|feature| features == 1 || feature % 2 == i % 2);
        let out = transformed.len() * spline::PARAMETERS;
        let conditioner = if features == 1 {
            Conditioner::Context(vec![linear(context, hidden), linear(hidden, hidden), linear(hidden, out)])
        } else {
            let block = |_| Block {
                first: linear(hidden, hidden),
                second: linear(hidden, hidden),
                context: linear(context, hidden),
            };
            Conditioner::Residual(Residual {
                initial: linear(identity.len() + context, hidden),
                blocks: (0..2).map(block).collect(),
                last: linear(hidden, out),
            })
        };
        Self { identity, transformed, conditioner, hidden }
    }

    pub(super) fn forward(&self, y: Tensor<2>, context: Tensor<2>) -> (Tensor<2>, Option<Tensor<1>>) {
        self.apply(y, context, spline::forward)
    }

    pub(super) fn inverse(&self, z: Tensor<2>, context: Tensor<2>) -> (Tensor<2>, Option<Tensor<1>>) {
        self.apply(z, context, spline::inverse)
    }

    fn apply(
        &self,
        y: Tensor<2>,
        context: Tensor<2>,
        spline: fn(Tensor<1>, Tensor<2>, usize) -> (Tensor<1>, Tensor<1>),
    ) -> (Tensor<2>, Option<Tensor<1>>) {
        let (n, device, n_transformed) = (y.dims()[0], y.device(), self.transformed.len());
        let identity = (!self.identity.is_empty()).then(|| y.clone().select(1, columns(&self.identity, &device)));
        let raw = match (&self.conditioner, &identity) {
            (Conditioner::Residual(network), Some(identity)) => {
                let width = context.dims()[1];
                network.forward(identity.clone(), context.expand([n, width]))
            }
            (Conditioner::Residual(_), None) => return (y, None),
            (Conditioner::Context(layers), _) => layers.iter().enumerate().fold(context, |x, (i, layer)| {
                let x = layer.forward(x);
                if i + 1 == layers.len() { x } else { relu(x) }
            }),
        };
        let value = y.select(1, columns(&self.transformed, &device)).reshape([n * n_transformed]);
        // One context row for all rows gives one row of spline parameters.
        let raw = raw.expand([n, n_transformed * spline::PARAMETERS]);
        let (out, log_det) = spline(value, raw.reshape([n * n_transformed, spline::PARAMETERS]), self.hidden);
        let out = out.reshape([n, n_transformed]);
        let parts = identity.into_iter().chain([out]).collect();
        let order: Vec<usize> = self.identity.iter().chain(&self.transformed).copied().collect();
        let z = Tensor::cat(parts, 1).select(1, columns(&inverse(&order), &device));
        (z, Some(log_det.reshape([n, n_transformed]).sum_dim(1).squeeze_dim(1)))
    }

    pub(super) fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        let features = self.identity.len() + self.transformed.len();
        let (identity, transformed) = (self.identity.clone(), self.transformed.clone());
        indices(&mut self.identity, features, &format!("{prefix}identity_features"), transfer)?;
        indices(&mut self.transformed, features, &format!("{prefix}transform_features"), transfer)?;
        if let Some(&repeated) = self.identity.iter().find(|i| self.transformed.contains(i)) {
            (self.identity, self.transformed) = (identity, transformed);
            let name = format!("{prefix}identity_features");
            return Err(WeightsError::Index { name, index: repeated as f32, end: features });
        }
        let prefix = format!("{prefix}transform_net.");
        match &mut self.conditioner {
            Conditioner::Context(layers) => {
                for (i, layer) in layers.iter_mut().enumerate() {
                    layer.exchange(&format!("{prefix}spline_predictor.{}.", 2 * i), transfer)?;
                }
                Ok(())
            }
            Conditioner::Residual(network) => network.exchange(&prefix, transfer),
        }
    }
}

impl Residual {
    fn forward(&self, identity: Tensor<2>, context: Tensor<2>) -> Tensor<2> {
        let h = self.initial.forward(Tensor::cat(vec![identity, context.clone()], 1));
        let h = self.blocks.iter().fold(h, |h, block| {
            let update = block.second.forward(relu(block.first.forward(relu(h.clone()))));
            // Gated linear unit: the sigmoid of the context's projection multiplies `update`.
            h + update * sigmoid(block.context.forward(context.clone()))
        });
        self.last.forward(h)
    }

    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        self.initial.exchange(&format!("{prefix}initial_layer."), transfer)?;
        for (i, block) in self.blocks.iter_mut().enumerate() {
            let prefix = format!("{prefix}blocks.{i}.");
            block.first.exchange(&format!("{prefix}linear_layers.0."), transfer)?;
            block.second.exchange(&format!("{prefix}linear_layers.1."), transfer)?;
            block.context.exchange(&format!("{prefix}context_layer."), transfer)?;
        }
        self.last.exchange(&format!("{prefix}final_layer."), transfer)
    }
}
