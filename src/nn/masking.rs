//! Masked training of the transformers: stretches of tokens are set to zero and must be told from their neighbours
//! (MODEL_SPEC §2.1).

use burn::tensor::{Tensor, TensorData};

use super::masked_transformer::MaskedTransformer;

/// Which tokens are zeroed: one stretch in each of `chunks` equal segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Masking {
    /// Number of segments; 6 as published.
    pub chunks: usize,
    /// Tokens of a stretch; 10 as published for LAMOST, 20 for XP.
    pub width: usize,
}

impl Masking {
    /// The offsets that a stretch can have within its segment of `tokens` tokens: 0 to below this.
    pub fn offsets(self, tokens: usize) -> usize {
        (tokens / self.chunks.max(1)).saturating_sub(self.width).max(1)
    }

    /// The tokens with one stretch zeroed a segment, at these offsets within the segments.
    ///
    /// # Shapes
    /// `[batch, tokens, width]` → the same
    pub fn apply(self, tokens: Tensor<3>, offsets: &[usize]) -> Tensor<3> {
        let n = tokens.dims()[1];
        let mut kept = vec![1f32; n];
        for (i, offset) in offsets.iter().take(self.chunks).enumerate() {
            let start = (i * n / self.chunks + offset).min(n);
            kept[start..(start + self.width).min(n)].fill(0.0);
        }
        let kept = Tensor::<3>::from_data(TensorData::new(kept, [1, n, 1]), &tokens.device());
        tokens * kept
    }
}

impl MaskedTransformer {
    /// Mean square error of the rebuilt tokens where masking changed a number. A zero that was zero before does not count.
    ///
    /// # Shapes
    /// `[batch, tokens, token width]` twice → `[1]`
    pub fn masked_loss(&self, masked: Tensor<3>, whole: Tensor<3>) -> Tensor<1> {
        let counts = masked.clone().not_equal(whole.clone()).float();
        let rebuilt = self.reconstruct(self.forward(masked));
        let square = ((rebuilt - whole) * counts.clone()).powi_scalar(2);
        square.mean() / counts.mean()
    }
}
