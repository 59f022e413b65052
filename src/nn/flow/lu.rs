//! An invertible linear map, stored as its triangular factors: y = L(Ux) + b.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::activation::softplus;
use burn::tensor::{Device, Tensor, TensorData};

use crate::nn::state_dict::{Transfer, parameter};
use crate::nn::weights::WeightsError;

/// Smallest diagonal entry of U.
const EPSILON: f64 = 1e-3;

/// LU-factorised linear map: L has ones on its diagonal, U has softplus(·) + 1e-3.
#[derive(Module, Debug)]
pub(super) struct LuLinear {
    lower: Param<Tensor<1>>,
    upper: Param<Tensor<1>>,
    diagonal: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
}

impl LuLinear {
    /// The identity map.
    pub(super) fn new(features: usize, device: &Device) -> Self {
        let entries = features * features.saturating_sub(1) / 2;
        let unit_diagonal = (1.0 - EPSILON).exp_m1().ln();
        Self {
            lower: Initializer::Zeros.init([entries], device),
            upper: Initializer::Zeros.init([entries], device),
            diagonal: Initializer::Constant { value: unit_diagonal }.init([features], device),
            bias: Initializer::Zeros.init([features], device),
        }
    }

    fn diagonal(&self) -> Tensor<1> {
        softplus(self.diagonal.val(), 1.0) + EPSILON
    }

    /// L and U, `[features, features]`: the entries fill their triangle row by row, zeros fill the rest.
    fn factors(&self) -> (Tensor<2>, Tensor<2>) {
        let diagonal = self.diagonal();
        let (features, entries) = (diagonal.dims()[0], self.lower.lazy_shape().dims::<1>()[0]);
        let device = diagonal.device();
        let fill_triangle = |entries_and_diagonal: Tensor<1>, is_in_triangle: fn(usize, usize) -> bool| {
            let mut next = 0;
            let mut indices = Vec::with_capacity(features * features);
            for (row, column) in (0..features * features).map(|i| (i / features, i % features)) {
                indices.push(if row == column {
                    entries + row
                } else if is_in_triangle(row, column) {
                    next += 1;
                    next - 1
                } else {
                    entries + features
                } as i32);
            }
            let indices = Tensor::from_data(TensorData::new(indices, [features * features]), &device);
            let values = Tensor::cat(vec![entries_and_diagonal, Tensor::zeros([1], &device)], 0);
            values.select(0, indices).reshape([features, features])
        };
        let ones = Tensor::ones([features], &device);
        (
            fill_triangle(Tensor::cat(vec![self.lower.val(), ones], 0), |row, column| column < row),
            fill_triangle(Tensor::cat(vec![self.upper.val(), diagonal], 0), |row, column| column > row),
        )
    }

    pub(super) fn forward(&self, y: Tensor<2>) -> (Tensor<2>, Option<Tensor<1>>) {
        let n = y.dims()[0];
        let (lower, upper) = self.factors();
        let z = y.matmul(upper.transpose()).matmul(lower.transpose()) + self.bias.val().unsqueeze_dim(0);
        (z, Some(self.diagonal().log().sum().expand([n])))
    }

    pub(super) fn inverse(&self, z: Tensor<2>) -> (Tensor<2>, Option<Tensor<1>>) {
        let [n, features] = z.dims();
        let (lower, upper) = self.factors();
        let v = substitute(lower, z - self.bias.val().unsqueeze_dim(0), (0..features).collect());
        let y = substitute(upper, v, (0..features).rev().collect());
        (y, Some(-self.diagonal().log().sum().expand([n])))
    }

    pub(super) fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        parameter(&mut self.lower, &format!("{prefix}lower_entries"), transfer)?;
        parameter(&mut self.upper, &format!("{prefix}upper_entries"), transfer)?;
        parameter(&mut self.diagonal, &format!("{prefix}unconstrained_upper_diag"), transfer)?;
        parameter(&mut self.bias, &format!("{prefix}bias"), transfer)
    }
}

/// Solves T x = y for each row y; T is triangular, and `order` is the order of its unknowns.
fn substitute(triangle: Tensor<2>, y: Tensor<2>, order: Vec<usize>) -> Tensor<2> {
    let mut x = y.zeros_like();
    let n = y.dims()[0];
    for i in order {
        let row = triangle.clone().narrow(0, i, 1);
        let solved_terms = x.clone().matmul(row.clone().transpose());
        let value = (y.clone().narrow(1, i, 1) - solved_terms) / row.narrow(1, i, 1);
        x = x.slice_assign([0..n, i..i + 1], value);
    }
    x
}
