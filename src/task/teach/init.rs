//! First weights.

use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::model::weights::{Tensors, WeightsError};
use crate::nn::keyed::Keyed;

/// A network with weights that depend on the seed alone: U(±1/√inputs) as PyTorch draws them, and zeros where an adapter must not
/// change anything yet. A device's own generator is shared with whatever else runs on it.
pub(super) fn fresh<N: Keyed>(
    network: N,
    seed: u64,
    is_zero: fn(&str) -> bool,
    device: &Device,
) -> Result<N, WeightsError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xf2e5);
    let mut arrays = Tensors::default();
    let mut bound = 0.0f32;
    for slot in network.slots("") {
        let n = slot.shape.iter().product();
        // A bias stands behind its matrix and has the same bound.
        if let &[_, inputs] = slot.shape.as_slice() {
            bound = (inputs.max(1) as f32).sqrt().recip();
        }
        let silent = is_zero(&slot.name);
        let values = (0..n).map(|_| if silent { 0.0 } else { rng.random_range(-bound..=bound) }).collect();
        arrays.insert(&slot.name, &slot.shape, values);
    }
    network.loaded(&arrays, "", device)
}
