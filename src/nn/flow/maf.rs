//! One transform of a masked autoregressive flow: each feature scaled and shifted by what came before it.

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{softplus, tanh};
use burn::tensor::{Device, Tensor, TensorData};

use crate::model::weights::WeightsError;
use crate::nn::keyed::{Keyed, Slot, Transfer, parameter, turned};

/// Least scale.
const EPSILON: f64 = 1e-3;

/// z = softplus(u)·y + shift, (u, shift) from a masked network (MADE) of y and of the context.
#[derive(Module, Debug)]
pub(super) struct MaskedAffine {
    initial: Masked,
    context: Linear,
    blocks: Vec<Masked>,
    last: Masked,
}

/// A linear layer some of whose weights are held at zero.
#[derive(Module, Debug)]
struct Masked {
    linear: Linear,
    /// `[in, out]`, zeros and ones.
    mask: Tensor<2>,
    #[module(skip)]
    degrees: Vec<usize>,
}

impl Masked {
    /// An output sees the inputs of lower degree; hidden ones also those of its own.
    fn new(inputs: &[usize], degrees: Vec<usize>, is_last: bool, device: &Device) -> Self {
        let sees = |i: usize, o: usize| if is_last { o > i } else { o >= i };
        let values: Vec<f32> =
            inputs.iter().flat_map(|&i| degrees.iter().map(move |&o| f32::from(u8::from(sees(i, o))))).collect();
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

    fn exchange(&mut self, at: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        self.linear.exchange(at, transfer)?;
        // The mask follows from the degrees, but the file's own is what its weights were trained with.
        let mut mask = Param::from_tensor(self.mask.clone());
        let name = format!("{at}mask");
        match transfer {
            Transfer::List(slots) => {
                let [input, output] = self.mask.dims();
                slots.push(Slot { name, shape: vec![output, input], is_parameter: false });
            }
            _ => turned(&mut mask, &name, transfer)?,
        }
        self.mask = mask.val().set_require_grad(false);
        if let Transfer::Store(tensors) = transfer {
            let degrees = self.degrees.iter().map(|d| *d as f32).collect();
            tensors.insert(&format!("{at}degrees"), &[self.degrees.len()], degrees);
        }
        Ok(())
    }
}

/// tanh, which beyond ±20 is ±1 to the last bit: on GPUs the exponentials that it is made of overflow at some 44, and
/// the first steps of an inversion go further.
fn bounded_tanh(x: Tensor<2>) -> Tensor<2> {
    tanh(x.clamp(-20.0, 20.0))
}

impl MaskedAffine {
    pub(super) fn new(features: usize, context: usize, hidden: usize, device: &Device) -> Self {
        let inputs: Vec<usize> = (1..=features).collect();
        let before = features.saturating_sub(1);
        let degrees: Vec<usize> = (0..hidden).map(|i| i % before.max(1) + before.min(1)).collect();
        let outputs = inputs.iter().flat_map(|d| [*d, *d]).collect();
        Self {
            initial: Masked::new(&inputs, degrees.clone(), false, device),
            context: LinearConfig::new(context, hidden).init(device),
            blocks: (0..2).map(|_| Masked::new(&degrees, degrees.clone(), false, device)).collect(),
            last: Masked::new(&degrees, outputs, true, device),
        }
    }

    /// Scale and shift, each `[n, features]`.
    fn shape(&self, y: Tensor<2>, context: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let [n, features] = y.dims();
        let t = bounded_tanh(self.initial.forward(y) + bounded_tanh(self.context.forward(context)));
        let t = self.blocks.iter().fold(t, |t, block| bounded_tanh(block.forward(t)));
        let pairs = self.last.forward(t).reshape([n, features, 2]);
        let part = |i: usize| pairs.clone().narrow(2, i, 1).squeeze_dim::<2>(2);
        (softplus(part(0), 1.0) + EPSILON, part(1))
    }

    pub(super) fn forward(&self, y: Tensor<2>, context: Tensor<2>) -> (Tensor<2>, Option<Tensor<1>>) {
        let (scale, shift) = self.shape(y.clone(), context);
        let log_det = scale.clone().log().sum_dim(1).squeeze_dim(1);
        (y * scale + shift, Some(log_det))
    }

    /// A feature needs those before it, so each pass settles one more. The first pass depends on the context only: one
    /// context for all rows makes it one row.
    pub(super) fn inverse(&self, z: Tensor<2>, context: Tensor<2>) -> (Tensor<2>, Option<Tensor<1>>) {
        let features = z.dims()[1];
        let mut y = Tensor::zeros([context.dims()[0], features], &z.device());
        let mut log_det = None;
        for _ in 0..features {
            let (scale, shift) = self.shape(y, context.clone());
            y = (z.clone() - shift) / scale.clone();
            log_det = Some(-scale.log().sum_dim(1).squeeze_dim::<1>(1));
        }
        (y, log_det)
    }

    pub(super) fn exchange(&mut self, at: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        let at = format!("{at}autoregressive_net.");
        self.initial.exchange(&format!("{at}initial_layer."), transfer)?;
        turned(&mut self.context.weight, &format!("{at}context_layer.weight"), transfer)?;
        if let Some(bias) = &mut self.context.bias {
            parameter(bias, &format!("{at}context_layer.bias"), transfer)?;
        }
        for (i, block) in self.blocks.iter_mut().enumerate() {
            block.exchange(&format!("{at}blocks.{i}.linear."), transfer)?;
        }
        self.last.exchange(&format!("{at}final_layer."), transfer)
    }
}
