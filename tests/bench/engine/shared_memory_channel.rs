//! Shared memory of two workers that compute a forward pass together
//! ([`TokenHalf`](specola::nn::token_parallel::TokenHalf)).
//!
//! A worker cannot return to its event loop in the middle of a layer, so it cannot receive messages there. The two
//! workers therefore exchange data through a `SharedArrayBuffer`, and signal with `Atomics`. Browsers allow shared
//! memory only on pages whose host sends the headers of cross-origin isolation. The benchmark's page has such a host.

use std::cell::Cell;

use js_sys::{Atomics, Float32Array, Int32Array, SharedArrayBuffer};
use wasm_bindgen::JsValue;

use specola::nn::token_parallel::{Partner, PartnerError};

/// Length of the header, 32-bit numbers. It holds the number of messages that each half has written, and each number
/// has its own cache lines.
const HEADER_LEN: u32 = 32;

/// Message buffers: two for each half, used in turn. The partner may still be reading the last message, but not the one
/// before it: otherwise the partner would not have written the messages received since.
const N_BUFFERS: u32 = 4;

/// Checks of the partner's count before the worker sleeps. Waking up takes longer than most waits.
const SPIN_COUNT: u32 = 2000;

/// Longest wait for the partner, s.
const TIMEOUT_SECS: u32 = 20;

/// One half's end of the shared memory. After an error, a new pass needs two new ends.
#[derive(Debug)]
pub(crate) struct SharedMemoryChannel {
    counts: Int32Array,
    buffers: Float32Array,
    is_first: bool,
    n_sent: Cell<i32>,
    n_received: Cell<i32>,
}

impl SharedMemoryChannel {
    /// Creates the end of the first or the second half. The buffer must be all zeros when the first end is created, and
    /// only these two ends may use it. Each quarter of it must hold the keys and values of half of the tokens (2 MB for
    /// a spectrum in the published encoder).
    pub(crate) fn new(buffer: &SharedArrayBuffer, is_first: bool) -> Self {
        let buffers = Float32Array::new(buffer);
        Self {
            counts: Int32Array::new(buffer),
            buffers: buffers.subarray(HEADER_LEN.min(buffers.length()), buffers.length()),
            is_first,
            n_sent: Cell::new(0),
            n_received: Cell::new(0),
        }
    }

    /// Buffer of message `number` of a half.
    fn buffer_of(&self, of_first: bool, number: i32, count: usize) -> Result<Float32Array, PartnerError> {
        let capacity = self.buffers.length() / N_BUFFERS;
        if count > capacity as usize {
            return Err(PartnerError::TooLong { count, capacity: capacity as usize });
        }
        let at = capacity * (2 * u32::from(of_first) + (number & 1) as u32);
        Ok(self.buffers.subarray(at, at + count as u32))
    }

    /// Waits until the partner has written more than `n_received` messages.
    fn wait(&self, n_received: i32) -> Result<(), PartnerError> {
        let partner_index = count_index(!self.is_first);
        let has_arrived =
            || Atomics::load(&self.counts, partner_index).map(|count| count != n_received).map_err(unusable);
        for _ in 0..SPIN_COUNT {
            if has_arrived()? {
                return Ok(());
            }
        }
        let timeout_ms = f64::from(TIMEOUT_SECS) * 1e3;
        Atomics::wait_with_timeout(&self.counts, partner_index, n_received, timeout_ms).map_err(unusable)?;
        if has_arrived()? { Ok(()) } else { Err(PartnerError::Timeout(TIMEOUT_SECS)) }
    }
}

/// Position of a half's count, in its own cache line.
fn count_index(first: bool) -> u32 {
    if first { 0 } else { HEADER_LEN / 2 }
}

fn unusable(_: JsValue) -> PartnerError {
    PartnerError::Data
}

impl Partner for SharedMemoryChannel {
    fn send(&self, numbers: &[f32]) -> Result<(), PartnerError> {
        let n_sent = self.n_sent.get();
        self.buffer_of(self.is_first, n_sent, numbers.len())?.copy_from(numbers);
        self.n_sent.set(n_sent.wrapping_add(1));
        let own_index = count_index(self.is_first);
        Atomics::store(&self.counts, own_index, self.n_sent.get()).map_err(unusable)?;
        Atomics::notify(&self.counts, own_index).map_err(unusable)?;
        Ok(())
    }

    fn receive(&self, count: usize) -> Result<Vec<f32>, PartnerError> {
        let n_received = self.n_received.get();
        let buffer = self.buffer_of(!self.is_first, n_received, count)?;
        self.wait(n_received)?;
        self.n_received.set(n_received.wrapping_add(1));
        Ok(buffer.to_vec())
    }
}
