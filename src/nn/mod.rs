//! Neural networks, one per file: configuration → `init` → forward pass. Names and numbers follow `PyTorch`
//! (see [`state_dict`]).

use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

pub mod autoencoder;
pub mod batch_norm;
pub mod checksum;
pub mod clip;
pub mod cross_attention;
pub mod decoder;
#[cfg(feature = "gpu")]
mod small_batch_matmul;
pub mod flow;
mod gelu;
#[cfg(feature = "token-parallel")]
pub mod token_parallel;
pub mod state_dict;
pub mod lora;
pub mod masked_transformer;
pub mod masking;
mod mlp;
pub mod projection;
pub mod residual_head;
pub mod self_attention;
pub mod tokens;
pub mod tower;
pub mod weights;

pub use mlp::{Mlp, MlpConfig};

/// Output of a linear layer.
///
/// # Shapes
/// `[rows, in]` → `[rows, out]`
fn apply(layer: &Linear, x: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "gpu")]
    if let Some(y) =
        layer.bias.as_ref().and_then(|bias| small_batch_matmul::linear(&x, &layer.weight.val(), &bias.val()))
    {
        return y;
    }
    layer.forward(x)
}

/// A linear layer with normally distributed initial weights and zero bias.
fn linear(input: usize, output: usize, std: f64, device: &Device) -> Linear {
    let mut linear =
        LinearConfig::new(input, output).with_initializer(Initializer::Normal { mean: 0.0, std }).init(device);
    linear.bias = Some(Initializer::Zeros.init([output], device));
    linear
}
