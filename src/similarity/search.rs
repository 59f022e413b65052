//! Exact nearest-neighbour search by cosine similarity.
//!
//! Within a survey, the search compares complete embeddings; between surveys, their first `shared` elements
//! (docs/model-spec.md §5). A vector without a direction has similarity 0 with all others. Equal similarities keep the
//! order of the rows. The similarity to a set of examples is the mean over its members.

use super::index::{Codes, Rows, UNIT, to_sixteen};

/// Number of partial sums of a dot product, which fill the vector registers.
const LANES: usize = 16;

/// Query of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryVector {
    /// Compared parts of the embeddings as integers of length [`UNIT`], each with its exact length after rounding.
    members: Vec<(Vec<i16>, f64)>,
}

impl QueryVector {
    /// Query with one embedding, or with several as a set of examples; the search compares their first `n_compared`
    /// elements.
    pub fn new<'a>(embeddings: impl IntoIterator<Item = &'a [f32]>, n_compared: usize) -> Self {
        let member = |embedding: &[f32]| {
            let codes: Vec<i16> = to_sixteen(&embedding[..n_compared.min(embedding.len())]).collect();
            let norm = codes.iter().map(|c| f64::from(*c).powi(2)).sum::<f64>().sqrt();
            (codes, norm)
        };
        Self { members: embeddings.into_iter().map(member).collect() }
    }

    fn n_compared(&self) -> usize {
        self.members.iter().map(|(codes, _)| codes.len()).min().unwrap_or(0)
    }
}

/// A row found by the search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Index of the row.
    pub row: usize,
    /// Cosine similarity, −1 to 1.
    pub similarity: f64,
}

/// Lengths of the rows' compared parts, computed once for many searches.
#[derive(Debug, Clone, PartialEq)]
pub struct Norms {
    n_compared: usize,
    norms: Vec<f32>,
}

impl Norms {
    /// Lengths of the first `n_compared` elements of each row.
    pub fn of(rows: &Rows, n_compared: usize) -> Self {
        let (mut norms, n_compared) = (Vec::with_capacity(rows.len()), n_compared.min(rows.width));
        extend(&mut norms, rows, n_compared);
        Self { n_compared, norms }
    }

    /// Adds the lengths of new rows, and recomputes the lengths from `row` on.
    pub fn update(&mut self, rows: &Rows, row: usize) {
        self.norms.truncate(row);
        extend(&mut self.norms, rows, self.n_compared);
    }
}

fn extend(norms: &mut Vec<f32>, rows: &Rows, n_compared: usize) {
    let from = norms.len();
    match &rows.codes {
        Codes::Eight(codes) => norms.extend(row_parts(codes, rows.width, n_compared).skip(from).map(norm)),
        Codes::Sixteen(codes) => norms.extend(row_parts(codes, rows.width, n_compared).skip(from).map(norm)),
    }
}

fn norm<T: Copy + Into<f64>>(row: &[T]) -> f32 {
    row.iter().map(|c| Into::<f64>::into(*c).powi(2)).sum::<f64>().sqrt() as f32
}

/// The first `n_compared` elements of each row.
fn row_parts<T>(codes: &[T], width: usize, n_compared: usize) -> impl Iterator<Item = &[T]> {
    codes.chunks_exact(width.max(1)).map(move |row| &row[..n_compared.min(row.len())])
}

/// The `top` rows most similar to a query, in decreasing order, among the rows that satisfy `filter`.
pub fn nearest(
    rows: &Rows,
    norms: &Norms,
    query: &QueryVector,
    top: usize,
    filter: impl Fn(usize) -> bool,
) -> Vec<Hit> {
    if query.members.is_empty() || query.n_compared() != norms.n_compared {
        return Vec::new();
    }
    match &rows.codes {
        Codes::Eight(codes) => scan(row_parts(codes, rows.width, norms.n_compared), norms, query, top, filter),
        Codes::Sixteen(codes) => scan(row_parts(codes, rows.width, norms.n_compared), norms, query, top, filter),
    }
}

fn scan<'a, T: Copy + Into<i32> + 'a>(
    rows: impl Iterator<Item = &'a [T]>,
    norms: &Norms,
    query: &QueryVector,
    top: usize,
    filter: impl Fn(usize) -> bool,
) -> Vec<Hit> {
    let mut best: Vec<Hit> = Vec::new();
    let members = query.members.len() as f64;
    for (row, (codes, row_norm)) in rows.zip(&norms.norms).enumerate() {
        let cosine = |(member, norm): &(Vec<i16>, f64)| {
            let norm_product = norm * f64::from(*row_norm);
            if norm_product > 0.0 { f64::from(dot(codes, member)) / norm_product } else { 0.0 }
        };
        let similarity = query.members.iter().map(cosine).sum::<f64>() / members;
        // A later row of equal similarity comes after an earlier row.
        if (best.len() < top || best.last().is_some_and(|last| similarity > last.similarity)) && filter(row) {
            let position = best.partition_point(|hit| hit.similarity >= similarity);
            best.insert(position, Hit { row, similarity });
            best.truncate(top);
        }
    }
    best
}

/// Dot product of a row and a query. No sum exceeds 32 bits: the query has length [`UNIT`], a 16-bit row at most that,
/// an 8-bit row at most 128·√width.
// A browser without these instructions cannot run the engine's networks either.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn dot<T: Copy + Into<i32>>(row: &[T], query: &[i16]) -> i32 {
    let ((a, a_rest), (b, b_rest)) = (row.as_chunks::<LANES>(), query.as_chunks::<LANES>());
    let mut sums = [0i32; LANES];
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            sums[i] = sums[i].wrapping_add(a[i].into().wrapping_mul(i32::from(b[i])));
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| (*a).into().wrapping_mul(i32::from(*b)));
    rest.chain(sums).fold(0, i32::wrapping_add)
}

/// Merges hits of several sets of rows, each with the index of its set.
///
/// Sorted by decreasing similarity; equal similarities keep the order of the sets.
pub fn merge(sets: Vec<Vec<Hit>>, top: usize) -> Vec<(usize, Hit)> {
    let mut all: Vec<(usize, Hit)> =
        sets.into_iter().enumerate().flat_map(|(set, hits)| hits.into_iter().map(move |hit| (set, hit))).collect();
    // A stable sort keeps equal similarities in order.
    all.sort_by(|(_, a), (_, b)| b.similarity.total_cmp(&a.similarity));
    all.truncate(top);
    all
}

/// Largest width at which a sum cannot exceed 32 bits.
pub const MAX_WIDTH: usize = {
    let widest = i32::MAX as f64 / (UNIT as f64 * 128.0);
    (widest * widest) as usize
};
