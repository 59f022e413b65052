//! AdamW with PyTorch's constants, in one pass over the arrays where they lie in the CPU's memory.
//!
//! burn's own goes over an array once for each of its fifteen operations, and half a step of a network as small as ours is
//! spent there.

use burn::optim::{AdamW as Plain, AdamWConfig, AdamWState, AdaptiveMomentumState, Optimizer};
use burn::tensor::{DType, Device, Tensor, TensorData};

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;

/// PyTorch's; burn's is a thousand times larger.
const EPSILON: f32 = 1e-8;

/// AdamW as PyTorch has it: it decays every taught array, biases included.
pub fn adamw(weight_decay: f32) -> AdamW {
    let config = AdamWConfig::new().with_beta_1(BETA_1).with_beta_2(BETA_2).with_epsilon(EPSILON);
    AdamW { plain: config.with_weight_decay(weight_decay).build(), weight_decay }
}

/// The optimiser of [`adamw`].
#[derive(Clone)]
pub struct AdamW {
    /// For arrays that lie elsewhere.
    plain: Plain,
    weight_decay: f32,
}

impl Optimizer for AdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: f64,
        weights: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let device = weights.device();
        if device != Device::flex() || weights.dtype() != DType::F32 || gradient.dtype() != DType::F32 {
            return self.plain.step(rate, weights, gradient, state);
        }
        let none = || TensorData::zeros::<f32, _>(weights.shape());
        let (time, mut first, mut second) = match state.map(|state| state.momentum) {
            Some(known) => (known.time + 1, known.moment_1.into_data(), known.moment_2.into_data()),
            None => (1, none(), none()),
        };
        let (mut weights, gradient) = (weights.into_data(), gradient.into_data());
        let decay = (1.0 - rate * f64::from(self.weight_decay)) as f32;
        let corrected = |beta: f32| 1.0 - f64::from(beta).powi(time as i32);
        // One quotient and one root a weight, as PyTorch has it.
        let step = (rate / corrected(BETA_1)) as f32;
        let root = corrected(BETA_2).sqrt().recip() as f32;
        let arrays = numbers(&mut weights).iter_mut().zip(gradient.as_slice::<f32>().unwrap_or_default());
        for ((weight, gradient), (first, second)) in
            arrays.zip(numbers(&mut first).iter_mut().zip(numbers(&mut second).iter_mut()))
        {
            *first = *first * BETA_1 + gradient * (1.0 - BETA_1);
            *second = *second * BETA_2 + gradient * gradient * (1.0 - BETA_2);
            *weight = *weight * decay - step * *first / (second.sqrt() * root + EPSILON);
        }
        let [weights, moment_1, moment_2] = [weights, first, second].map(|data| Tensor::from_data(data, &device));
        let momentum = AdaptiveMomentumState { time, moment_1, moment_2, max_moment_2: None };
        (weights, Some(AdamWState { momentum }))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        Plain::to_device(state, device)
    }
}

/// The numbers of an array that is known to be of `f32`.
fn numbers(data: &mut TensorData) -> &mut [f32] {
    data.as_mut_slice().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_gives_what_burns_many_give() {
        let device = Device::flex();
        let made = |seed: usize| {
            let values = (0..1003).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect();
            Tensor::<1>::from_data(TensorData::new::<f32, _>(values, [1003]), &device)
        };
        let plain = AdamWConfig::new().with_epsilon(EPSILON).with_weight_decay(0.01).build();
        let ours = AdamW { plain: plain.clone(), weight_decay: 0.01 };
        let (mut a, mut b) = ((made(0), None), (made(0), None));
        for step in 1..6 {
            let rate = 1e-3 * step as f64;
            a = ours.step(rate, a.0, made(step), a.1);
            b = plain.step(rate, b.0, made(step), b.1);
        }
        let off = |a: Tensor<1>, b: Tensor<1>| (a - b).abs().max().into_data().as_slice::<f32>().expect("floats")[0];
        assert!(off(a.0.clone(), made(0)) > 1e-3, "it moved");
        assert!(off(a.0, b.0) <= 2e-7, "and to the same place");
    }
}
