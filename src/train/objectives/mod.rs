//! Training objectives, one network per file: batches and loss.

use burn::tensor::{Device, Tensor, TensorData};

pub mod alignment;
pub mod autoencoder;
pub mod emulator;
pub mod masked;
pub mod posterior;
pub mod regression;
pub mod xp_labels;

/// Steps from this number on are never trained. Their batches are for checks.
pub const HELD_OUT_STEP: usize = 1 << 40;

/// Rows of `width` numbers as a tensor.
fn tensor(values: Vec<f32>, width: usize, device: &Device) -> Tensor<2> {
    let n = values.len() / width.max(1);
    Tensor::from_data(TensorData::new(values, [n, width]), device)
}
