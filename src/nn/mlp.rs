//! The regression network of both papers: linear layers with ReLU and dropout between (MODEL_SPEC §3.1).
//!
//! The published heads have BatchNorm between each hidden layer and its ReLU; our own have none.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::apply;
use super::batch_norm::{BatchNorm, BatchNormConfig};
use super::keyed::{Keyed, Transfer};
use crate::model::weights::{Tensors, WeightsError};

/// Configuration of an [`Mlp`].
#[derive(Config, Debug)]
pub struct MlpConfig {
    /// Width of every layer, input first: `[1462, 1024, 512, 64, 1]` in the papers.
    pub widths: Vec<usize>,
    /// Dropout after each hidden layer, while training.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// BatchNorm after each hidden layer, before its ReLU, as in the published heads.
    #[config(default = false)]
    pub batch_norm: bool,
}

/// Linear → (BatchNorm →) ReLU → dropout for each hidden layer, then one linear layer.
#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    norms: Vec<BatchNorm>,
    dropout: Dropout,
}

impl MlpConfig {
    /// A network with burn's Kaiming-uniform weights.
    pub fn init(&self, device: &Device) -> Mlp {
        let layers = self.widths.windows(2).map(|w| LinearConfig::new(w[0], w[1]).init(device)).collect();
        let hidden = self.widths.get(1..self.widths.len().saturating_sub(1)).unwrap_or_default();
        let normed = if self.batch_norm { hidden } else { &[] };
        Mlp {
            layers,
            norms: normed.iter().map(|width| BatchNormConfig::new(*width).init(device)).collect(),
            dropout: DropoutConfig::new(self.dropout).init(),
        }
    }

    /// A network with the weights stored under `{prefix}network.` in PyTorch's layout: linear layers at 0, 2, 4 … without
    /// BatchNorm, at 0, 4, 8 … with it.
    ///
    /// The widths of the configuration must be those of the file.
    pub fn load(&self, tensors: &Tensors, prefix: &str, device: &Device) -> Result<Mlp, WeightsError> {
        self.init(device).loaded(tensors, prefix, device)
    }
}

impl Mlp {
    /// # Shapes
    /// `[batch, widths[0]]` → `[batch, widths[last]]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.forward_with(x, |_, layer, x| apply(layer, x))
    }

    /// What the first linear layer alone makes of the input.
    ///
    /// # Shapes
    /// `[batch, widths[0]]` → `[batch, widths[1]]`
    pub fn first(&self, x: Tensor<2>) -> Tensor<2> {
        self.layers.first().map_or_else(|| x.clone(), |layer| apply(layer, x.clone()))
    }

    /// The forward pass with each linear layer done by `linear(index, layer, input)`: where an adapter comes in.
    ///
    /// # Shapes
    /// `[batch, widths[0]]` → `[batch, widths[last]]`
    pub fn forward_with(&self, x: Tensor<2>, linear: impl Fn(usize, &Linear, Tensor<2>) -> Tensor<2>) -> Tensor<2> {
        let last = self.layers.len().saturating_sub(1);
        self.layers.iter().enumerate().fold(x, |x, (i, layer)| {
            let y = linear(i, layer, x);
            if i == last {
                return y;
            }
            let y = self.norms.get(i).map_or_else(|| y.clone(), |norm| norm.forward(y.clone()));
            self.dropout.forward(relu(y))
        })
    }

    /// What comes out of the first `depth` hidden layers, as when answering.
    ///
    /// # Shapes
    /// `[batch, widths[0]]` → `[batch, widths[depth]]`
    pub fn embed(&self, x: Tensor<2>, depth: usize) -> Tensor<2> {
        self.activations(&x, depth).pop().unwrap_or(x)
    }

    /// What comes out of each of the first `depth` hidden layers, as when answering.
    fn activations(&self, x: &Tensor<2>, depth: usize) -> Vec<Tensor<2>> {
        let mut activations: Vec<Tensor<2>> = Vec::new();
        for (i, layer) in self.layers.iter().take(depth).enumerate() {
            let y = apply(layer, activations.last().unwrap_or(x).clone());
            activations.push(relu(self.norms.get(i).map_or_else(|| y.clone(), |norm| norm.forward(y.clone()))));
        }
        activations
    }

    /// The derivative by what goes into hidden layer `to`, from that by what comes out of the last of these.
    fn back(&self, activations: &[Tensor<2>], slope: Tensor<2>, to: usize) -> Tensor<2> {
        (to..activations.len()).rev().fold(slope, |slope, i| {
            // An activation is positive just where its ReLU lets the derivative through.
            let slope = activations[i].clone().sign() * slope;
            let slope = self.norms.get(i).map_or_else(|| slope.clone(), |norm| slope.clone() * norm.slope());
            slope.matmul(self.layers[i].weight.val().transpose())
        })
    }

    /// The last layer's weights for one output, `[1, widths[last - 1]]`.
    fn output_slope(&self, output: usize) -> Option<Tensor<2>> {
        self.layers.last().map(|last| last.weight.val().narrow(1, output, 1).transpose())
    }

    /// How one output changes with each input, as when answering.
    ///
    /// Worked back through the layers by hand: what differentiates for itself is as large as all else of the engine, and the
    /// page waits for that.
    ///
    /// # Shapes
    /// `[batch, widths[0]]` → `[batch, widths[0]]`
    pub fn slopes(&self, x: Tensor<2>, output: usize) -> Tensor<2> {
        let activations = self.activations(&x, self.layers.len().saturating_sub(1));
        self.output_slope(output).map_or(x, |slope| self.back(&activations, slope, 0))
    }

    /// How something changes with each input that changes so with what [`Mlp::embed`] gives.
    ///
    /// # Shapes
    /// `[batch, widths[0]]`, `[batch, widths[depth]]` → `[batch, widths[0]]`
    pub fn slopes_through(&self, x: Tensor<2>, depth: usize, slope: Tensor<2>) -> Tensor<2> {
        self.back(&self.activations(&x, depth), slope, 0)
    }

    /// The same for something that changes so with what [`Mlp::contributions`] gives.
    ///
    /// # Shapes
    /// `[batch, widths[0]]`, `[batch, widths[1]]` → `[batch, widths[0]]`
    pub fn slopes_through_contributions(&self, x: Tensor<2>, output: usize, slope: Tensor<2>) -> Tensor<2> {
        let activations = self.activations(&x, self.layers.len().saturating_sub(1));
        let (Some(last), Some(first)) = (self.output_slope(output), activations.get(..1)) else { return x };
        // Between two kinks of the ReLUs the output's derivative by the first layer is constant.
        self.back(first, self.back(&activations, last, 1) * slope, 0)
    }

    /// This network with other weights in its linear layers.
    pub(super) fn with_weights(mut self, change: impl Fn(usize, Tensor<2>) -> Tensor<2>) -> Self {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            layer.weight = layer.weight.clone().map(|weight| change(i, weight));
        }
        self
    }

    /// What each unit of the first hidden layer contributes to one output: its value times the output's derivative by it.
    /// Of networks without BatchNorm.
    ///
    /// # Shapes
    /// `[batch, widths[0]]` → `[batch, widths[1]]`
    pub fn contributions(&self, x: Tensor<2>, output: usize) -> Tensor<2> {
        let activations = self.activations(&x, self.layers.len().saturating_sub(1));
        let (Some(last), Some(first)) = (self.output_slope(output), activations.first()) else { return x };
        first.clone() * self.back(&activations, last, 1)
    }

    /// This network with BatchNorm held at its running statistics also while training: the base of an adapter.
    pub fn with_frozen_statistics(mut self) -> Self {
        self.norms.iter_mut().for_each(|norm| norm.uses_batch = false);
        self
    }

    /// This network as the base of an adapter: no weight is trained, statistics are held, nothing is dropped.
    pub fn frozen(self) -> Self {
        let mut frozen = self.with_frozen_statistics().no_grad();
        frozen.dropout = DropoutConfig::new(0.0).init();
        frozen
    }

    /// Width of every layer, input first.
    pub fn widths(&self) -> Vec<usize> {
        let shapes = self.layers.iter().map(|layer| layer.weight.lazy_shape().dims::<2>());
        shapes.enumerate().flat_map(|(i, [a, b])| if i == 0 { vec![a, b] } else { vec![b] }).collect()
    }

    /// Where linear layer `i` stands in PyTorch's `Sequential`.
    pub(super) fn position(&self, i: usize) -> usize {
        i * if self.norms.is_empty() { 2 } else { 4 }
    }

    /// Adds the weights to `tensors` under `{prefix}network.`, in PyTorch's layout.
    pub fn store(&self, tensors: &mut Tensors, prefix: &str) -> Result<(), WeightsError> {
        Keyed::store(self, tensors, prefix)
    }
}

impl Keyed for Mlp {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        for i in 0..self.layers.len() {
            let position = self.position(i);
            self.layers[i].exchange(&format!("{prefix}network.{position}."), transfer)?;
            if let Some(norm) = self.norms.get_mut(i) {
                norm.exchange(&format!("{prefix}network.{}.", position + 1), transfer)?;
            }
        }
        Ok(())
    }
}
