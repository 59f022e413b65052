//! Exact nearest neighbours by cosine.
//!
//! Within a survey whole embeddings are compared, across surveys their first `shared` numbers (MODEL_SPEC §5). A vector
//! without a direction has similarity 0 with all. Equals stand in the order of their rows. An example set's similarity is the
//! mean of its members'.

use super::index::{Codes, Rows, UNIT, to_sixteen};

/// Fewer products than this are added up before they leave the vector registers.
const LANES: usize = 16;

/// What to look for.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Embeddings, as whole numbers of length [`UNIT`] over the compared part, and that length as it came out.
    members: Vec<(Vec<i16>, f64)>,
}

impl Query {
    /// One star, or several as an example set; of each embedding the first `compared` numbers count.
    pub fn new<'a>(embeddings: impl IntoIterator<Item = &'a [f32]>, compared: usize) -> Self {
        let member = |embedding: &[f32]| {
            let codes: Vec<i16> = to_sixteen(&embedding[..compared.min(embedding.len())]).collect();
            let norm = codes.iter().map(|c| f64::from(*c).powi(2)).sum::<f64>().sqrt();
            (codes, norm)
        };
        Self { members: embeddings.into_iter().map(member).collect() }
    }

    fn compared(&self) -> usize {
        self.members.iter().map(|(codes, _)| codes.len()).min().unwrap_or(0)
    }
}

/// A row that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Its number.
    pub row: usize,
    /// Cosine, −1 to 1.
    pub similarity: f64,
}

/// Lengths of the rows' compared parts: made once for many searches.
#[derive(Debug, Clone, PartialEq)]
pub struct Norms {
    compared: usize,
    norms: Vec<f32>,
}

impl Norms {
    /// Of the first `compared` numbers of each row.
    pub fn of(rows: &Rows, compared: usize) -> Self {
        let (mut norms, compared) = (Vec::with_capacity(rows.len()), compared.min(rows.width));
        extend(&mut norms, rows, compared);
        Self { compared, norms }
    }

    /// Takes in rows that were added since, and those from `row` on anew.
    pub fn update(&mut self, rows: &Rows, row: usize) {
        self.norms.truncate(row);
        extend(&mut self.norms, rows, self.compared);
    }
}

fn extend(norms: &mut Vec<f32>, rows: &Rows, compared: usize) {
    let from = norms.len();
    match &rows.codes {
        Codes::Eight(codes) => norms.extend(row_parts(codes, rows.width, compared).skip(from).map(norm)),
        Codes::Sixteen(codes) => norms.extend(row_parts(codes, rows.width, compared).skip(from).map(norm)),
    }
}

fn norm<T: Copy + Into<f64>>(row: &[T]) -> f32 {
    row.iter().map(|c| Into::<f64>::into(*c).powi(2)).sum::<f64>().sqrt() as f32
}

/// The first `compared` numbers of each row.
fn row_parts<T>(codes: &[T], width: usize, compared: usize) -> impl Iterator<Item = &[T]> {
    codes.chunks_exact(width.max(1)).map(move |row| &row[..compared.min(row.len())])
}

/// The `top` rows most like a query, most alike first, of those that are `wanted`.
pub fn nearest(rows: &Rows, norms: &Norms, query: &Query, top: usize, wanted: impl Fn(usize) -> bool) -> Vec<Hit> {
    if query.members.is_empty() || query.compared() != norms.compared {
        return Vec::new();
    }
    match &rows.codes {
        Codes::Eight(codes) => scan(row_parts(codes, rows.width, norms.compared), norms, query, top, wanted),
        Codes::Sixteen(codes) => scan(row_parts(codes, rows.width, norms.compared), norms, query, top, wanted),
    }
}

fn scan<'a, T: Copy + Into<i32> + 'a>(
    rows: impl Iterator<Item = &'a [T]>,
    norms: &Norms,
    query: &Query,
    top: usize,
    wanted: impl Fn(usize) -> bool,
) -> Vec<Hit> {
    let mut best: Vec<Hit> = Vec::new();
    let members = query.members.len() as f64;
    for (row, (codes, own)) in rows.zip(&norms.norms).enumerate() {
        let cosine = |(member, norm): &(Vec<i16>, f64)| {
            let lengths = norm * f64::from(*own);
            if lengths > 0.0 { f64::from(dot(codes, member)) / lengths } else { 0.0 }
        };
        let similarity = query.members.iter().map(cosine).sum::<f64>() / members;
        // Later rows stand behind equals.
        if (best.len() < top || best.last().is_some_and(|last| similarity > last.similarity)) && wanted(row) {
            let at = best.partition_point(|hit| hit.similarity >= similarity);
            best.insert(at, Hit { row, similarity });
            best.truncate(top);
        }
    }
    best
}

/// Product of a row and a query. No sum leaves 32 bits: the query's length is [`UNIT`], a row's at most that or 128 √width.
// A browser that has no such instructions cannot run the engine's networks either.
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

/// Hits in several sets of rows as one list: most alike first, equals in the order of the sets. Each comes with its set.
pub fn merge(sets: Vec<Vec<Hit>>, top: usize) -> Vec<(usize, Hit)> {
    let mut all: Vec<(usize, Hit)> =
        sets.into_iter().enumerate().flat_map(|(set, hits)| hits.into_iter().map(move |hit| (set, hit))).collect();
    // Stable, so that equals stay in order.
    all.sort_by(|(_, a), (_, b)| b.similarity.total_cmp(&a.similarity));
    all.truncate(top);
    all
}

/// The width up to which a sum cannot leave 32 bits.
pub const MAX_WIDTH: usize = {
    let widest = i32::MAX as f64 / (UNIT as f64 * 128.0);
    (widest * widest) as usize
};
