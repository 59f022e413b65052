//! One transform of a neural spline flow: some features go through splines shaped by the others and by the context.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor};

use super::permutation::{columns, inverse};
use super::spline;
use crate::model::weights::WeightsError;
use crate::nn::keyed::{Keyed, Transfer, indices};

/// Splines on every other feature.
#[derive(Module, Debug)]
pub(super) struct Coupling {
    #[module(skip)]
    kept: Vec<usize>,
    #[module(skip)]
    changed: Vec<usize>,
    conditioner: Conditioner,
    hidden: usize,
}

#[derive(Module, Debug)]
// A handful exist at a time, and a box would only add an indirection.
#[allow(clippy::large_enum_variant)]
enum Conditioner {
    /// Of a single feature: of the context only.
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
    /// The `i`-th coupling of a flow: even ones change the features 0, 2, 4 …, odd ones the others.
    pub(super) fn new(i: usize, features: usize, context: usize, hidden: usize, device: &Device) -> Self {
        let linear = |input, output| LinearConfig::new(input, output).init(device);
        let (changed, kept): (Vec<usize>, Vec<usize>) =
            (0..features).partition(|feature| features == 1 || feature % 2 == i % 2);
        let out = changed.len() * spline::NUMBERS;
        let conditioner = if features == 1 {
            Conditioner::Context(vec![linear(context, hidden), linear(hidden, hidden), linear(hidden, out)])
        } else {
            let block = |_| Block {
                first: linear(hidden, hidden),
                second: linear(hidden, hidden),
                context: linear(context, hidden),
            };
            Conditioner::Residual(Residual {
                initial: linear(kept.len() + context, hidden),
                blocks: (0..2).map(block).collect(),
                last: linear(hidden, out),
            })
        };
        Self { kept, changed, conditioner, hidden }
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
        let (n, device, changed) = (y.dims()[0], y.device(), self.changed.len());
        let kept = (!self.kept.is_empty()).then(|| y.clone().select(1, columns(&self.kept, &device)));
        let raw = match (&self.conditioner, &kept) {
            (Conditioner::Residual(network), Some(kept)) => {
                let width = context.dims()[1];
                network.forward(kept.clone(), context.expand([n, width]))
            }
            (Conditioner::Residual(_), None) => return (y, None),
            (Conditioner::Context(layers), _) => layers.iter().enumerate().fold(context, |x, (i, layer)| {
                let x = layer.forward(x);
                if i + 1 == layers.len() { x } else { relu(x) }
            }),
        };
        let value = y.select(1, columns(&self.changed, &device)).reshape([n * changed]);
        // One context for all rows gives one row of splines.
        let raw = raw.expand([n, changed * spline::NUMBERS]);
        let (out, log_det) = spline(value, raw.reshape([n * changed, spline::NUMBERS]), self.hidden);
        let out = out.reshape([n, changed]);
        let parts = kept.into_iter().chain([out]).collect();
        let order: Vec<usize> = self.kept.iter().chain(&self.changed).copied().collect();
        let z = Tensor::cat(parts, 1).select(1, columns(&inverse(&order), &device));
        (z, Some(log_det.reshape([n, changed]).sum_dim(1).squeeze_dim(1)))
    }

    pub(super) fn exchange(&mut self, at: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        let features = self.kept.len() + self.changed.len();
        let (kept, changed) = (self.kept.clone(), self.changed.clone());
        indices(&mut self.kept, features, &format!("{at}identity_features"), transfer)?;
        indices(&mut self.changed, features, &format!("{at}transform_features"), transfer)?;
        if let Some(&twice) = self.kept.iter().find(|i| self.changed.contains(i)) {
            (self.kept, self.changed) = (kept, changed);
            let name = format!("{at}identity_features");
            return Err(WeightsError::Index { name, index: twice as f32, end: features });
        }
        let at = format!("{at}transform_net.");
        match &mut self.conditioner {
            Conditioner::Context(layers) => {
                for (i, layer) in layers.iter_mut().enumerate() {
                    layer.exchange(&format!("{at}spline_predictor.{}.", 2 * i), transfer)?;
                }
                Ok(())
            }
            Conditioner::Residual(network) => network.exchange(&at, transfer),
        }
    }
}

impl Residual {
    fn forward(&self, kept: Tensor<2>, context: Tensor<2>) -> Tensor<2> {
        let h = self.initial.forward(Tensor::cat(vec![kept, context.clone()], 1));
        let h = self.blocks.iter().fold(h, |h, block| {
            let t = block.second.forward(relu(block.first.forward(relu(h.clone()))));
            // A gated unit of (t, context): the second half, through a sigmoid, gates the first.
            h + t * sigmoid(block.context.forward(context.clone()))
        });
        self.last.forward(h)
    }

    fn exchange(&mut self, at: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        self.initial.exchange(&format!("{at}initial_layer."), transfer)?;
        for (i, block) in self.blocks.iter_mut().enumerate() {
            let at = format!("{at}blocks.{i}.");
            block.first.exchange(&format!("{at}linear_layers.0."), transfer)?;
            block.second.exchange(&format!("{at}linear_layers.1."), transfer)?;
            block.context.exchange(&format!("{at}context_layer."), transfer)?;
        }
        self.last.exchange(&format!("{at}final_layer."), transfer)
    }
}
