//! Networks, one a file: configuration → `init` → forward. Names and numbers are PyTorch's (see [`keyed`]).

use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

pub mod autoencoder;
pub mod batch_norm;
pub mod clip;
pub mod cross_attention;
pub mod decoder;
#[cfg(feature = "gpu")]
mod few_rows;
pub mod flow;
mod gelu;
pub mod half;
pub mod keyed;
pub mod lora;
pub mod masked_transformer;
pub mod masking;
mod mlp;
pub mod projection;
pub mod residual_head;
pub mod self_attention;
pub mod tokens;
pub mod tower;

pub use mlp::{Mlp, MlpConfig};

/// What a linear layer makes of rows.
///
/// # Shapes
/// `[rows, in]` → `[rows, out]`
fn apply(layer: &Linear, x: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "gpu")]
    if let Some(y) = layer.bias.as_ref().and_then(|bias| few_rows::linear(&x, &layer.weight.val(), &bias.val())) {
        return y;
    }
    layer.forward(x)
}

/// A linear layer with normal weights and no bias at first.
fn linear(input: usize, output: usize, std: f64, device: &Device) -> Linear {
    let mut linear =
        LinearConfig::new(input, output).with_initializer(Initializer::Normal { mean: 0.0, std }).init(device);
    linear.bias = Some(Initializer::Zeros.init([output], device));
    linear
}
