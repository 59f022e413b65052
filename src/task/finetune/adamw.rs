//! `AdamW` with `PyTorch`'s constants, in one pass over arrays in the CPU's memory.
//!
//! burn's version passes over an array once for each of its fifteen operations. For a network as small as Specola's,
//! these passes take half of a training step.

use burn::optim::{AdamW as BurnAdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, Optimizer};
use burn::tensor::{DType, Device, Tensor, TensorData};

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;

/// `PyTorch`'s value; burn's is a thousand times larger.
const EPSILON: f32 = 1e-8;

/// `AdamW` as in `PyTorch`: weight decay applies to all trained arrays, biases included.
pub fn adamw(weight_decay: f32) -> AdamW {
    let config = AdamWConfig::new().with_beta_1(BETA_1).with_beta_2(BETA_2).with_epsilon(EPSILON);
    AdamW { burn_adamw: config.with_weight_decay(weight_decay).build(), weight_decay }
}

/// The optimiser of [`adamw`].
#[derive(Clone)]
pub struct AdamW {
    /// burn's version, for arrays on another device.
    burn_adamw: BurnAdamW,
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
            return self.burn_adamw.step(rate, weights, gradient, state);
        }
        let zeros = || TensorData::zeros::<f32, _>(weights.shape());
        let (time, mut first, mut second) = match state.map(|state| state.momentum) {
            Some(previous) => (previous.time + 1, previous.moment_1.into_data(), previous.moment_2.into_data()),
            None => (1, zeros(), zeros()),
        };
        let (mut weights, gradient) = (weights.into_data(), gradient.into_data());
        let decay = (1.0 - rate * f64::from(self.weight_decay)) as f32;
        let corrected = |beta: f32| 1.0 - f64::from(beta).powi(time as i32);
        // One division and one square root per weight, as in PyTorch.
        let step = (rate / corrected(BETA_1)) as f32;
        let root = corrected(BETA_2).sqrt().recip() as f32;
        let arrays = f32_values(&mut weights).iter_mut().zip(gradient.as_slice::<f32>().unwrap_or_default());
        for ((weight, gradient), (first, second)) in
            arrays.zip(f32_values(&mut first).iter_mut().zip(f32_values(&mut second).iter_mut()))
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
        BurnAdamW::to_device(state, device)
    }
}

/// The values of an `f32` array.
fn f32_values(data: &mut TensorData) -> &mut [f32] {
    data.as_mut_slice().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_burns_adamw() {
        let device = Device::flex();
        let array = |seed: usize| {
            let values = (0..1003).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect();
            Tensor::<1>::from_data(TensorData::new::<f32, _>(values, [1003]), &device)
        };
        let burn_adamw = AdamWConfig::new().with_epsilon(EPSILON).with_weight_decay(0.01).build();
        let adamw_in_place = AdamW { burn_adamw: burn_adamw.clone(), weight_decay: 0.01 };
        let (mut a, mut b) = ((array(0), None), (array(0), None));
        for step in 1..6 {
            let rate = 1e-3 * step as f64;
            a = adamw_in_place.step(rate, a.0, array(step), a.1);
            b = burn_adamw.step(rate, b.0, array(step), b.1);
        }
        let max_difference =
            |a: Tensor<1>, b: Tensor<1>| (a - b).abs().max().into_data().as_slice::<f32>().expect("floats")[0];
        assert!(max_difference(a.0.clone(), array(0)) > 1e-3, "the weights changed");
        assert!(max_difference(a.0, b.0) <= 2e-7, "burn gives the same weights");
    }
}
