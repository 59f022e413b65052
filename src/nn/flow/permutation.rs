//! Permutation of features.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::nn::state_dict::{Transfer, indices};
use crate::nn::weights::WeightsError;

/// Permutation: out[j] = in[order[j]].
#[derive(Module, Debug)]
pub(super) struct Permutation {
    #[module(skip)]
    order: Vec<usize>,
}

impl Permutation {
    pub(super) fn reversed(features: usize) -> Self {
        Self { order: (0..features).rev().collect() }
    }

    pub(super) fn forward(&self, y: Tensor<2>) -> Tensor<2> {
        let columns = columns(&self.order, &y.device());
        y.select(1, columns)
    }

    pub(super) fn inverse(&self, z: Tensor<2>) -> Tensor<2> {
        let columns = columns(&inverse(&self.order), &z.device());
        z.select(1, columns)
    }

    pub(super) fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        let n = self.order.len();
        indices(&mut self.order, n, &format!("{prefix}_permutation"), transfer)
    }
}

/// The inverse permutation.
pub(super) fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    order.iter().enumerate().for_each(|(j, &i)| inverse[i] = j);
    inverse
}

/// Column numbers for `select`.
pub(super) fn columns(order: &[usize], device: &Device) -> Tensor<1, Int> {
    let numbers: Vec<i32> = order.iter().map(|i| *i as i32).collect();
    Tensor::from_data(TensorData::new(numbers, [order.len()]), device)
}
