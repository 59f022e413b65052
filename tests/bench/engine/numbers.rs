//! Pseudo-random numbers seeded by a name, equal to those of `../numbers.js`: all engines have the same weights and
//! inputs.

use specola::nn::state_dict::ArraySpec;
use specola::nn::weights::Tensors;

/// Numbers `first` to `first + count` of the sequence of a name: values in `[-1, 1)`, times `scale`, plus `shift`.
pub(crate) fn pseudo_random(name: &str, first: usize, count: usize, scale: f64, shift: f32) -> Vec<f32> {
    let seed = name.bytes().fold(0x811c_9dc5_u32, |hash, b| (hash ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let value = |i: usize| {
        let mut x = (i as u32).wrapping_mul(0x9e37_79b1) ^ seed;
        x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
        x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
        x ^= x >> 16;
        ((x >> 8) as f32 / 8_388_608.0 - 1.0) * scale as f32 + shift
    };
    (first..first + count).map(value).collect()
}

/// Inserts the pseudo-random array of a network by its `PyTorch` name and shape.
pub(crate) fn weights(tensors: &mut Tensors, ArraySpec { name, shape, .. }: &ArraySpec) {
    let count = shape.iter().product();
    let is_norm = ["ln1.weight", "ln2.weight", "layernorm.weight"].iter().any(|end| name.ends_with(end));
    let values = match shape[..] {
        [_, input] => pseudo_random(name, 0, count, (3.0 / input as f64).sqrt(), 0.0),
        _ => pseudo_random(name, 0, count, 0.1, if is_norm { 1.0 } else { 0.0 }),
    };
    tensors.insert(name, shape, values);
}
