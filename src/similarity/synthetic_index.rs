//! An index of synthetic embeddings for timing searches: for benchmarks only, not for the product.

use super::index::{Bits, Rows};
use super::search::{Norms, QueryVector, nearest};
use crate::result::specclip::Modality;

/// Number of neighbours per query.
const TOP: usize = 10;

/// Step between the rows that serve as queries.
const QUERY_STRIDE: usize = 97;

/// Index of 8-bit embeddings from a linear congruential generator, with their norms.
#[derive(Debug)]
pub struct SyntheticIndex {
    rows: Rows,
    norms: Norms,
    width: usize,
}

impl SyntheticIndex {
    /// Generates `entries` embeddings of `width` numbers, 1 to 4096.
    pub fn new(entries: u32, width: u32) -> Self {
        let width = (width as usize).clamp(1, 4096);
        let mut rows = Rows::new(Modality::Lrs, width, 0, Bits::Eight);
        let mut state = 1u32;
        let mut row = vec![0f32; width];
        for _ in 0..entries {
            for v in &mut row {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *v = (state >> 8) as f32 / (1 << 23) as f32 - 1.0;
            }
            // The row has the width of the index, so this cannot fail.
            let _ = rows.push("", &row, &[], &[]);
        }
        Self { norms: Norms::of(&rows, width), rows, width }
    }

    /// Memory of embeddings and norms, bytes.
    pub fn bytes(&self) -> u64 {
        (self.rows.bytes() + 4 * self.rows.len()) as u64
    }

    /// Searches the ten nearest rows of each of `queries` rows; returns the sum of their positions, a checksum.
    pub fn search(&self, queries: u32) -> u64 {
        let row_of = |query: usize| query * QUERY_STRIDE % self.rows.len().max(1);
        let sum_of = |query: usize| {
            let vector = self.rows.unit(row_of(query));
            let query = QueryVector::new([vector.as_slice()], self.width);
            nearest(&self.rows, &self.norms, &query, TOP, |_| true).iter().map(|hit| hit.row as u64).sum::<u64>()
        };
        (0..queries as usize).map(sum_of).sum()
    }
}
