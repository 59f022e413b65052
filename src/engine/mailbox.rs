//! Shared memory of two workers that compute one forward pass together ([`Half`](crate::nn::half::Half)).
//!
//! A worker cannot go back to its event loop in the middle of a layer to hear its partner: what is handed over lies in a
//! `SharedArrayBuffer`, and `Atomics` say when. A browser gives such memory only to pages whose host sends the headers of
//! cross-origin isolation. Specola's own page works from any host, so it has one worker for its networks and none of this;
//! a page around the engine that has such a host can have both, as the benchmark's does.

use std::cell::Cell;

use js_sys::{Atomics, Float32Array, Int32Array, SharedArrayBuffer};
use wasm_bindgen::JsValue;

use crate::nn::half::{Partner, PartnerError};

/// Numbers before the first letter: how many letters each half has written, and nothing else in their cache lines.
const HEAD: u32 = 32;

/// Letters in the buffer, two of each half in turns: the partner may still be reading the last one, but not the one before,
/// or it would not have written what has been taken from it since.
const LETTERS: u32 = 4;

/// Looks at the partner's count before the worker is put to sleep: waking up takes longer than most waits.
const LOOKS: u32 = 2000;

/// How long to wait for the partner, s.
const PATIENCE_SECS: u32 = 20;

/// One half's end of the shared memory. Both must be new when a pass begins that follows an error.
#[derive(Debug)]
pub struct Mailbox {
    counts: Int32Array,
    letters: Float32Array,
    is_first: bool,
    given: Cell<i32>,
    taken: Cell<i32>,
}

impl Mailbox {
    /// The end of the first or the second half; the buffer is all zeros when the first end is made, and nobody else's. A
    /// quarter of it has room for the keys and values of half of the tokens: 2 MB for a spectrum in the published encoder.
    pub fn new(buffer: &SharedArrayBuffer, is_first: bool) -> Self {
        let letters = Float32Array::new(buffer);
        Self {
            counts: Int32Array::new(buffer),
            letters: letters.subarray(HEAD.min(letters.length()), letters.length()),
            is_first,
            given: Cell::new(0),
            taken: Cell::new(0),
        }
    }

    /// Where the `number`th letter of a half lies.
    fn letter(&self, of_first: bool, number: i32, count: usize) -> Result<Float32Array, PartnerError> {
        let room = self.letters.length() / LETTERS;
        if count > room as usize {
            return Err(PartnerError::Room { numbers: count, room: room as usize });
        }
        let at = room * (2 * u32::from(of_first) + (number & 1) as u32);
        Ok(self.letters.subarray(at, at + count as u32))
    }

    /// Waits until the partner has written more than `taken` letters.
    fn wait(&self, taken: i32) -> Result<(), PartnerError> {
        let theirs = count_of(!self.is_first);
        let is_there = || Atomics::load(&self.counts, theirs).map(|count| count != taken).map_err(unusable);
        for _ in 0..LOOKS {
            if is_there()? {
                return Ok(());
            }
        }
        let patience_ms = f64::from(PATIENCE_SECS) * 1e3;
        Atomics::wait_with_timeout(&self.counts, theirs, taken, patience_ms).map_err(unusable)?;
        if is_there()? { Ok(()) } else { Err(PartnerError::Silent(PATIENCE_SECS)) }
    }
}

/// Where a half's count lies: in a cache line of its own.
fn count_of(first: bool) -> u32 {
    if first { 0 } else { HEAD / 2 }
}

fn unusable(_: JsValue) -> PartnerError {
    PartnerError::Numbers
}

impl Partner for Mailbox {
    fn give(&self, numbers: &[f32]) -> Result<(), PartnerError> {
        let given = self.given.get();
        self.letter(self.is_first, given, numbers.len())?.copy_from(numbers);
        self.given.set(given.wrapping_add(1));
        let mine = count_of(self.is_first);
        Atomics::store(&self.counts, mine, self.given.get()).map_err(unusable)?;
        Atomics::notify(&self.counts, mine).map_err(unusable)?;
        Ok(())
    }

    fn take(&self, count: usize) -> Result<Vec<f32>, PartnerError> {
        let taken = self.taken.get();
        let letter = self.letter(!self.is_first, taken, count)?;
        self.wait(taken)?;
        self.taken.set(taken.wrapping_add(1));
        Ok(letter.to_vec())
    }
}
