//! One forward pass of a transformer on two workers: each computes half of the tokens of every spectrum.
//!
//! All layers except the attention process each token alone. The attention needs only the keys and values of the other
//! tokens. The workers therefore exchange keys and values once per block; both hold all weights. No sum is split, so
//! the result equals the undivided pass. It pays for a single spectrum; several spectra are better distributed whole.
//!
//! Only the benchmark uses it so far, so it is compiled with the feature `token-parallel` alone.

use std::ops::Range;
use std::rc::Rc;

use burn::tensor::{Tensor, TensorData};
use thiserror::Error;

/// Error of the exchange with the partner; it is permanent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum PartnerError {
    #[error("the other half of the network sent nothing for {0} s; compute without a partner")]
    Timeout(u32),
    #[error("a message of {count} numbers is longer than the buffer of {capacity}; send fewer spectra at once")]
    TooLong { count: usize, capacity: usize },
    #[error("the shared memory of the two halves cannot be read or written; compute without a partner")]
    Data,
}

/// Connection to the worker that computes the other half of the tokens.
pub trait Partner {
    /// Sends numbers to the partner without waiting for their receipt.
    fn send(&self, numbers: &[f32]) -> Result<(), PartnerError>;

    /// Receives the next `count` numbers from the partner; blocks until they arrive.
    fn receive(&self, count: usize) -> Result<Vec<f32>, PartnerError>;
}

/// The half of the tokens that this worker computes, and its partner. CPU only: reading numbers back blocks.
#[derive(Clone)]
pub struct TokenHalf {
    /// Whether this worker computes the first half.
    pub is_first: bool,
    /// The worker that computes the other half.
    pub partner: Rc<dyn Partner>,
}

impl TokenHalf {
    /// Indices of the tokens that this worker computes, of `tokens` in all.
    pub(super) fn range(&self, tokens: usize) -> Range<usize> {
        let middle = tokens / 2;
        if self.is_first { 0..middle } else { middle..tokens }
    }

    /// Sends the results of this worker's tokens.
    pub(super) fn send(&self, own: &Tensor<3>) -> Result<(), PartnerError> {
        let data = own.clone().into_data();
        self.partner.send(data.as_slice().map_err(|_| PartnerError::Data)?)
    }

    /// Joins the results of this worker's tokens with the partner's `others`, in the order of the tokens.
    ///
    /// # Shapes
    /// `[batch, tokens here, width]` → `[batch, tokens here + others, width]`
    pub(super) fn gather(&self, own: Tensor<3>, others: usize) -> Result<Tensor<3>, PartnerError> {
        let [batch, _, width] = own.dims();
        let numbers = TensorData::new(self.partner.receive(batch * others * width)?, [batch, others, width]);
        let received = Tensor::from_data(numbers, &own.device());
        Ok(Tensor::cat(if self.is_first { vec![own, received] } else { vec![received, own] }, 1))
    }
}
