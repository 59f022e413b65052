//! Initial weights.

use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::nn::state_dict::StateDict;
use crate::nn::weights::{Tensors, WeightsError};

/// A network with initial weights that depend only on `seed`: U(±1/√inputs) as in `PyTorch`, and zeros where `is_zero`
/// holds.
///
/// The device's own generator is not used: other computations share it.
pub(super) fn seeded_init<N: StateDict>(
    network: N,
    seed: u64,
    is_zero: fn(&str) -> bool,
    device: &Device,
) -> Result<N, WeightsError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xf2e5);
    let mut arrays = Tensors::default();
    let mut bound = 0.0f32;
    for spec in network.array_specs("") {
        let n = spec.shape.iter().product();
        // A bias follows its matrix and has the same bound.
        if let &[_, inputs] = spec.shape.as_slice() {
            bound = (inputs.max(1) as f32).sqrt().recip();
        }
        let is_zeroed = is_zero(&spec.name);
        let values = (0..n).map(|_| if is_zeroed { 0.0 } else { rng.random_range(-bound..=bound) }).collect();
        arrays.insert(&spec.name, &spec.shape, values);
    }
    network.load(&arrays, "", device)
}
