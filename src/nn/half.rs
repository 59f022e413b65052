//! One forward pass by two: each computes half of the tokens of every spectrum.
//!
//! All of a transformer but its attention looks at one token at a time, and attention wants of the other tokens nothing but
//! their keys and values. So those are what the two hand each other, once a block; the weights both have. No sum is divided:
//! the numbers are those of the undivided pass. For a single spectrum; several are better dealt out whole.

use std::ops::Range;
use std::rc::Rc;

use burn::tensor::{Tensor, TensorData};
use thiserror::Error;

/// Why a partner is of no use; after one of these it stays so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum PartnerError {
    #[error("nothing has come from the other half of the network for {0} s; compute it without a partner")]
    Silent(u32),
    #[error(
        "{numbers} numbers shall be handed over where {room} have room; make more room, or take fewer spectra at once"
    )]
    Room { numbers: usize, room: usize },
    #[error("the numbers of the other half cannot be read or written; compute it without a partner")]
    Numbers,
}

/// Who computes the other half at the same time, elsewhere.
pub trait Partner {
    /// Hands over numbers; does not wait until they are taken.
    fn give(&self, numbers: &[f32]) -> Result<(), PartnerError>;

    /// The next numbers that were handed over here, `count` of them; waits for them.
    fn take(&self, count: usize) -> Result<Vec<f32>, PartnerError>;
}

/// Which half is computed here, and who computes the other. On the CPU: reading numbers back blocks.
#[derive(Clone)]
pub struct Half {
    /// Whether it is the first half.
    pub is_first: bool,
    /// Who computes the other.
    pub partner: Rc<dyn Partner>,
}

impl Half {
    /// Those of so many tokens that are computed here.
    pub(super) fn part(&self, tokens: usize) -> Range<usize> {
        let middle = tokens / 2;
        if self.is_first { 0..middle } else { middle..tokens }
    }

    /// Hands over what was made of the tokens here.
    pub(super) fn give(&self, mine: &Tensor<3>) -> Result<(), PartnerError> {
        let data = mine.clone().into_data();
        self.partner.give(data.as_slice().map_err(|_| PartnerError::Numbers)?)
    }

    /// What was made of the tokens here and of the partner's `others`, in the order of the tokens.
    ///
    /// # Shapes
    /// `[batch, tokens here, width]` → `[batch, tokens here + others, width]`
    pub(super) fn whole(&self, mine: Tensor<3>, others: usize) -> Result<Tensor<3>, PartnerError> {
        let [batch, _, width] = mine.dims();
        let numbers = TensorData::new(self.partner.take(batch * others * width)?, [batch, others, width]);
        let theirs = Tensor::from_data(numbers, &mine.device());
        Ok(Tensor::cat(if self.is_first { vec![mine, theirs] } else { vec![theirs, mine] }, 1))
    }
}
