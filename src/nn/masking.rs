//! Masked training of the transformers: the network reconstructs runs of zeroed tokens from their neighbours
//! (docs/model-spec.md §2.1).

use burn::tensor::{Tensor, TensorData};

use super::masked_transformer::MaskedTransformer;

/// Masking pattern: one run of zeroed tokens in each of `chunks` equal segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Masking {
    /// Number of segments; 6 in the published models.
    pub chunks: usize,
    /// Number of tokens per run; published: 10 for LAMOST, 20 for XP.
    pub width: usize,
}

impl Masking {
    /// Number of possible offsets of a run within its segment, for `tokens` tokens in all: valid offsets lie below it.
    pub fn offsets(self, tokens: usize) -> usize {
        (tokens / self.chunks.max(1)).saturating_sub(self.width).max(1)
    }

    /// The tokens with one zeroed run per segment, at these offsets within the segments.
    ///
    /// # Shapes
    /// `[batch, tokens, width]` → `[batch, tokens, width]`
    pub fn apply(self, tokens: Tensor<3>, offsets: &[usize]) -> Tensor<3> {
        let n = tokens.dims()[1];
        let mut mask = vec![1f32; n];
        for (i, offset) in offsets.iter().take(self.chunks).enumerate() {
            let start = (i * n / self.chunks + offset).min(n);
            mask[start..(start + self.width).min(n)].fill(0.0);
        }
        let mask = Tensor::<3>::from_data(TensorData::new(mask, [1, n, 1]), &tokens.device());
        tokens * mask
    }
}

impl MaskedTransformer {
    /// Mean square error of the reconstruction over the numbers that masking changed.
    ///
    /// Numbers that were zero before the masking do not count.
    ///
    /// # Shapes
    /// `[batch, tokens, token width]` twice → `[1]`
    pub fn masked_loss(&self, masked: Tensor<3>, unmasked: Tensor<3>) -> Tensor<1> {
        let weight = masked.clone().not_equal(unmasked.clone()).float();
        let reconstruction = self.reconstruct(self.forward(masked));
        let squares = ((reconstruction - unmasked) * weight.clone()).powi_scalar(2);
        squares.mean() / weight.mean()
    }
}
