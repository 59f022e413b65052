//! The regression network of both papers: linear layers, with `ReLU` and dropout between them (docs/model-spec.md §3.1).
//!
//! The published heads have `BatchNorm` between each hidden layer and its `ReLU`; Specola's own networks have none.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::apply;
use super::batch_norm::{BatchNorm, BatchNormConfig};
use super::state_dict::{StateDict, Transfer};
use crate::nn::weights::{Tensors, WeightsError};

/// Configuration of an [`Mlp`].
#[derive(Config, Debug)]
pub struct MlpConfig {
    /// Width of every layer, input first: `[1462, 1024, 512, 64, 1]` in the papers.
    pub widths: Vec<usize>,
    /// Dropout after each hidden layer, while training.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// `BatchNorm` after each hidden layer, before its `ReLU`, as in the published heads.
    #[config(default = false)]
    pub batch_norm: bool,
}

/// Linear → (`BatchNorm` →) `ReLU` → dropout for each hidden layer, then one linear layer.
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
        let norm_widths = if self.batch_norm { hidden } else { &[] };
        Mlp {
            layers,
            norms: norm_widths.iter().map(|width| BatchNormConfig::new(*width).init(device)).collect(),
            dropout: DropoutConfig::new(self.dropout).init(),
        }
    }

    /// A network with the weights stored under `{prefix}network.` in `PyTorch`'s layout.
    ///
    /// Linear layers have the indices 0, 2, 4 … without `BatchNorm`, and 0, 4, 8 … with `BatchNorm`. The configuration and
    /// the file must have the same widths.
    pub fn load(&self, tensors: &Tensors, prefix: &str, device: &Device) -> Result<Mlp, WeightsError> {
        self.init(device).load(tensors, prefix, device)
    }
}

impl Mlp {
    /// Forward pass.
    ///
    /// # Shapes
    /// `[batch, widths[0]]` → `[batch, widths[last]]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.forward_with(x, |_, layer, x| apply(layer, x))
    }

    /// Output of the first linear layer alone.
    ///
    /// # Shapes
    /// `[batch, widths[0]]` → `[batch, widths[1]]`
    pub fn first(&self, x: Tensor<2>) -> Tensor<2> {
        self.layers.first().map_or_else(|| x.clone(), |layer| apply(layer, x.clone()))
    }

    /// Forward pass in which `linear(index, layer, input)` computes each linear layer; adapters use it.
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

    /// Activations of hidden layer `depth`, computed as in prediction.
    ///
    /// # Shapes
    /// `[batch, widths[0]]` → `[batch, widths[depth]]`
    pub fn embed(&self, x: Tensor<2>, depth: usize) -> Tensor<2> {
        self.activations(&x, depth).pop().unwrap_or(x)
    }

    /// Activations of each of the first `depth` hidden layers, computed as in prediction.
    fn activations(&self, x: &Tensor<2>, depth: usize) -> Vec<Tensor<2>> {
        let mut activations: Vec<Tensor<2>> = Vec::new();
        for (i, layer) in self.layers.iter().take(depth).enumerate() {
            let y = apply(layer, activations.last().unwrap_or(x).clone());
            activations.push(relu(self.norms.get(i).map_or_else(|| y.clone(), |norm| norm.forward(y.clone()))));
        }
        activations
    }

    /// Back-propagates a derivative: from the output of the last layer in `activations` to the input of the network.
    fn backpropagate(&self, activations: &[Tensor<2>], gradient: Tensor<2>) -> Tensor<2> {
        (0..activations.len()).rev().fold(gradient, |gradient, i| {
            // An activation is positive exactly where its ReLU passes the derivative.
            let gradient = activations[i].clone().sign() * gradient;
            let gradient =
                self.norms.get(i).map_or_else(|| gradient.clone(), |norm| gradient.clone() * norm.gradient());
            gradient.matmul(self.layers[i].weight.val().transpose())
        })
    }

    /// The last layer's weights for one output, `[1, widths[last - 1]]`.
    fn output_gradient(&self, output: usize) -> Option<Tensor<2>> {
        self.layers.last().map(|last| last.weight.val().narrow(1, output, 1).transpose())
    }

    /// Derivative of one output with respect to each input, computed as in prediction.
    ///
    /// The back-propagation is explicit. An autodiff backend is as large as the rest of the engine, and the page waits
    /// for the download.
    ///
    /// # Shapes
    /// `[batch, widths[0]]` → `[batch, widths[0]]`
    pub fn gradients(&self, x: Tensor<2>, output: usize) -> Tensor<2> {
        let activations = self.activations(&x, self.layers.len().saturating_sub(1));
        self.output_gradient(output).map_or(x, |gradient| self.backpropagate(&activations, gradient))
    }

    /// Derivative of a quantity with respect to each input, from its derivative `gradient` with respect to
    /// [`Mlp::embed`].
    ///
    /// # Shapes
    /// `[batch, widths[0]]`, `[batch, widths[depth]]` → `[batch, widths[0]]`
    pub fn gradients_through_embedding(&self, x: Tensor<2>, depth: usize, gradient: Tensor<2>) -> Tensor<2> {
        self.backpropagate(&self.activations(&x, depth), gradient)
    }

    /// This network with changed weights in its linear layers.
    pub(super) fn with_weights(mut self, change: impl Fn(usize, Tensor<2>) -> Tensor<2>) -> Self {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            layer.weight = layer.weight.clone().map(|weight| change(i, weight));
        }
        self
    }

    /// This network with `BatchNorm` fixed to its running statistics, also while training: for the base of an adapter.
    pub fn with_frozen_statistics(mut self) -> Self {
        self.norms.iter_mut().for_each(|norm| norm.uses_batch_statistics = false);
        self
    }

    /// This network as the base of an adapter: frozen weights, fixed statistics, no dropout.
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

    /// Index of linear layer `i` in `PyTorch`'s `Sequential`.
    pub(super) fn position(&self, i: usize) -> usize {
        i * if self.norms.is_empty() { 2 } else { 4 }
    }

    /// Adds the weights to `tensors` under `{prefix}network.`, in `PyTorch`'s layout.
    pub fn store(&self, tensors: &mut Tensors, prefix: &str) -> Result<(), WeightsError> {
        StateDict::store(self, tensors, prefix)
    }
}

impl StateDict for Mlp {
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
