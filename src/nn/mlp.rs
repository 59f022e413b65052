//! The papers' regression network: linear layers with ReLU and dropout between (MODEL_SPEC §3.1, without BatchNorm).

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};

use crate::model::weights::{Tensors, WeightsError};

/// Configuration of an [`Mlp`].
#[derive(Config, Debug)]
pub struct MlpConfig {
    /// Width of every layer, input first: `[1462, 1024, 512, 64, 1]` in the papers.
    pub widths: Vec<usize>,
    /// Dropout after each hidden layer, while training.
    #[config(default = 0.0)]
    pub dropout: f64,
}

/// Linear → ReLU → dropout for each hidden layer, then one linear layer.
#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    dropout: Dropout,
}

impl MlpConfig {
    /// A network with burn's Kaiming-uniform weights.
    pub fn init(&self, device: &Device) -> Mlp {
        let layers = self.widths.windows(2).map(|w| LinearConfig::new(w[0], w[1]).init(device)).collect();
        Mlp { layers, dropout: DropoutConfig::new(self.dropout).init() }
    }

    /// A network with the weights stored under `{prefix}network.{0, 2, 4 …}` in PyTorch's layout (out, in).
    ///
    /// The widths of the configuration must be those of the file.
    pub fn load(&self, tensors: &Tensors, prefix: &str, device: &Device) -> Result<Mlp, WeightsError> {
        let mut network = self.init(device);
        for (i, (layer, width)) in network.layers.iter_mut().zip(self.widths.windows(2)).enumerate() {
            let name = format!("{prefix}network.{}", 2 * i);
            let weight = tensors.get(&format!("{name}.weight"), &[width[1], width[0]])?;
            let bias = tensors.get(&format!("{name}.bias"), &[width[1]])?;
            // PyTorch keeps (out, in), burn (in, out).
            let turned = (0..width[0] * width[1]).map(|k| weight[k % width[1] * width[0] + k / width[1]]).collect();
            let weight = Tensor::from_data(TensorData::new::<f32, _>(turned, [width[0], width[1]]), device);
            layer.weight = Param::from_tensor(weight);
            let bias = Tensor::from_data(TensorData::new(bias.to_vec(), [width[1]]), device);
            layer.bias = Some(Param::from_tensor(bias));
        }
        Ok(network)
    }
}

impl Mlp {
    /// # Shapes
    /// `[batch, widths[0]]` → `[batch, widths[last]]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let last = self.layers.len().saturating_sub(1);
        self.layers.iter().enumerate().fold(x, |x, (i, layer)| {
            let y = layer.forward(x);
            if i == last { y } else { self.dropout.forward(relu(y)) }
        })
    }

    /// Adds the weights to `tensors` under `{prefix}network.{0, 2, 4 …}`, in PyTorch's layout.
    pub fn store(&self, tensors: &mut Tensors, prefix: &str) -> Result<(), WeightsError> {
        for (i, layer) in self.layers.iter().enumerate() {
            let name = format!("{prefix}network.{}", 2 * i);
            tensors.insert_tensor(&format!("{name}.weight"), layer.weight.val().transpose())?;
            if let Some(bias) = &layer.bias {
                tensors.insert_tensor(&format!("{name}.bias"), bias.val())?;
            }
        }
        Ok(())
    }
}
