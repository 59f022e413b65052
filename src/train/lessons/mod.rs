//! What is taught, one network a file: examples and loss of each.

use burn::tensor::{Device, Tensor, TensorData};

pub mod alignment;
pub mod autoencoder;
pub mod emulator;
pub mod masked;
pub mod posterior;
pub mod regression;

/// Steps from here on are never trained: their examples are for checking.
pub const HELD_OUT_STEP: usize = 1 << 40;

/// Rows of `width` numbers as a tensor.
fn tensor(values: Vec<f32>, width: usize, device: &Device) -> Tensor<2> {
    let n = values.len() / width.max(1);
    Tensor::from_data(TensorData::new(values, [n, width]), device)
}
