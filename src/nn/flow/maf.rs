//! One transform of a masked autoregressive flow: earlier features set the scale and shift of each feature.

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{softplus, tanh};
use burn::tensor::{Device, Tensor, TensorData};

use crate::nn::state_dict::{ArraySpec, StateDict, Transfer, parameter, transposed};
use crate::nn::weights::WeightsError;

/// Smallest scale.
const EPSILON: f64 = 1e-3;

/// Masked affine transform z = softplus(u)·y + shift.
///
/// A masked network (MADE) computes u and the shift from y and the context.
#[derive(Module, Debug)]
pub(super) struct MaskedAffine {
    initial: Masked,
    context: Linear,
    blocks: Vec<Masked>,
    last: Masked,
}

/// A linear layer with a fixed mask, which sets part of its weights to zero.
#[derive(Module, Debug)]
struct Masked {
    linear: Linear,
    /// `[in, out]`, zeros and ones.
    mask: Tensor<2>,
    #[module(skip)]
    degrees: Vec<usize>,
}

impl Masked {
    /// Masked layer: an output depends on inputs of lower degree; a hidden output also on inputs of its own degree.
    fn new(inputs: &[usize], degrees: Vec<usize>, is_last: bool, device: &Device) -> Self {
        let is_connected = |i: usize, o: usize| if is_last { o > i } else { o >= i };
        let values: Vec<f32> = inputs
            .iter()
            .flat_map(|&i| degrees.iter().map(move |&o| f32::from(u8::from(is_connected(i, o)))))
            .collect();
        let shape = [inputs.len(), degrees.len()];
        Self {
            linear: LinearConfig::new(shape[0], shape[1]).init(device),
            mask: Tensor::from_data(TensorData::new(values, shape), device),
            degrees,
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = x.matmul(self.linear.weight.val() * self.mask.clone());
        match &self.linear.bias {
            Some(bias) => y + bias.val().unsqueeze_dim(0),
            None => y,
        }
    }

    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        self.linear.exchange(prefix, transfer)?;
        // The mask follows from the degrees, but a file's own mask is the mask of its training.
        let mut mask = Param::from_tensor(self.mask.clone());
        let name = format!("{prefix}mask");
        match transfer {
            Transfer::List(specs) => {
                let [input, output] = self.mask.dims();
                specs.push(ArraySpec { name, shape: vec![output, input], is_parameter: false });
            }
            _ => transposed(&mut mask, &name, transfer)?,
        }
        self.mask = mask.val().set_require_grad(false);
        if let Transfer::Store(tensors) = transfer {
            let degrees = self.degrees.iter().map(|d| *d as f32).collect();
            tensors.insert(&format!("{prefix}degrees"), &[self.degrees.len()], degrees);
        }
        Ok(())
    }
}

/// tanh with its argument clamped to ±20, where tanh is ±1 to the last bit.
///
/// GPUs compute tanh from exponentials, which overflow near an argument of 44. The first steps of an inversion exceed
/// this value.
fn bounded_tanh(x: Tensor<2>) -> Tensor<2> {
    tanh(x.clamp(-20.0, 20.0))
}

impl MaskedAffine {
    pub(super) fn new(features: usize, context: usize, hidden: usize, device: &Device) -> Self {
        let inputs: Vec<usize> = (1..=features).collect();
        let max_degree = features.saturating_sub(1);
        let degrees: Vec<usize> = (0..hidden).map(|i| i % max_degree.max(1) + max_degree.min(1)).collect();
        let outputs = inputs.iter().flat_map(|d| [*d, *d]).collect();
        Self {
            initial: Masked::new(&inputs, degrees.clone(), false, device),
            context: LinearConfig::new(context, hidden).init(device),
            blocks: (0..2).map(|_| Masked::new(&degrees, degrees.clone(), false, device)).collect(),
            last: Masked::new(&degrees, outputs, true, device),
        }
    }

    /// Scale and shift, each `[n, features]`.
    fn scale_and_shift(&self, y: Tensor<2>, context: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let [n, features] = y.dims();
        let h = bounded_tanh(self.initial.forward(y) + bounded_tanh(self.context.forward(context)));
        let h = self.blocks.iter().fold(h, |h, block| bounded_tanh(block.forward(h)));
        let pairs = self.last.forward(h).reshape([n, features, 2]);
        let part = |i: usize| pairs.clone().narrow(2, i, 1).squeeze_dim::<2>(2);
        (softplus(part(0), 1.0) + EPSILON, part(1))
    }

    pub(super) fn forward(&self, y: Tensor<2>, context: Tensor<2>) -> (Tensor<2>, Option<Tensor<1>>) {
        let (scale, shift) = self.scale_and_shift(y.clone(), context);
        let log_det = scale.clone().log().sum_dim(1).squeeze_dim(1);
        (y * scale + shift, Some(log_det))
    }

    /// Inverts the transform in one pass per feature, since each feature depends on the features before it.
    ///
    /// The first pass depends on the context only; one context row for all rows makes it a pass over one row.
    pub(super) fn inverse(&self, z: Tensor<2>, context: Tensor<2>) -> (Tensor<2>, Option<Tensor<1>>) {
        let features = z.dims()[1];
        let mut y = Tensor::zeros([context.dims()[0], features], &z.device());
        let mut log_det = None;
        for _ in 0..features {
            let (scale, shift) = self.scale_and_shift(y, context.clone());
            y = (z.clone() - shift) / scale.clone();
            log_det = Some(-scale.log().sum_dim(1).squeeze_dim::<1>(1));
        }
        (y, log_det)
    }

    pub(super) fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        let prefix = format!("{prefix}autoregressive_net.");
        self.initial.exchange(&format!("{prefix}initial_layer."), transfer)?;
        transposed(&mut self.context.weight, &format!("{prefix}context_layer.weight"), transfer)?;
        if let Some(bias) = &mut self.context.bias {
            parameter(bias, &format!("{prefix}context_layer.bias"), transfer)?;
        }
        for (i, block) in self.blocks.iter_mut().enumerate() {
            block.exchange(&format!("{prefix}blocks.{i}.linear."), transfer)?;
        }
        self.last.exchange(&format!("{prefix}final_layer."), transfer)
    }
}
