//! A plane to look at embeddings in: their two principal directions.
//!
//! Each survey's directions are centred at their own mean, because what sets two surveys apart would else be the first axis;
//! the axes are those of both together, over the part that they share, so that one star lies at about one place in both. The
//! plane is that of the index it was made from; spectra that come later are projected into it and do not move it.

use super::axes::{dot, normalise, orthonormalise};
use super::index::{Index, Rows};
use crate::result::catalogue::Modality;

/// Rows that the axes are found from; of more, every second, third ….
const MOST_ROWS: usize = 10_000;

/// Rounds of the iteration at most, and the turn of both axes in a round at which it ends.
const ROUNDS: usize = 2_000;
const TURN: f64 = 1e-12;

/// The plane.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    means: [Vec<f64>; 2],
    axes: [Vec<f64>; 2],
    /// Part of the variance along each axis.
    pub variance: [f64; 2],
}

impl Plane {
    /// The principal plane of an index; `None` of fewer than three entries.
    pub fn of(index: &Index) -> Option<Self> {
        let shared = index.about.shared.min(index.about.width);
        let stride = index.len().div_ceil(MOST_ROWS).max(1);
        let part = |rows: &Rows| -> Vec<Vec<f64>> {
            (0..rows.len()).step_by(stride).map(|row| direction(&rows.unit(row), shared)).collect()
        };
        let mut sets = [part(&index.lrs), part(&index.xp)];
        let means = [mean(&sets[0], shared), mean(&sets[1], shared)];
        for (set, mean) in sets.iter_mut().zip(&means) {
            set.iter_mut().for_each(|row| row.iter_mut().zip(mean).for_each(|(v, m)| *v -= m));
        }
        let rows: Vec<Vec<f64>> = sets.into_iter().flatten().collect();
        if rows.len() < 3 || shared < 2 {
            return None;
        }
        let covariance = covariance(&rows, shared);
        let total: f64 = (0..shared).map(|i| covariance[i * shared + i]).sum();
        if total <= 0.0 {
            return None;
        }
        let (axes, lengths) = two_axes(&covariance, shared);
        Some(Self { means, axes, variance: lengths.map(|l| l / total) })
    }

    /// Where an embedding lies, whatever its length.
    pub fn project(&self, modality: Modality, embedding: &[f32]) -> [f32; 2] {
        let mean = &self.means[usize::from(modality == Modality::Xp)];
        let row = direction(embedding, mean.len());
        [0, 1].map(|i| row.iter().zip(mean).zip(&self.axes[i]).map(|((v, m), a)| (v - m) * a).sum::<f64>() as f32)
    }
}

/// The first `shared` numbers, at length 1.
fn direction(embedding: &[f32], shared: usize) -> Vec<f64> {
    let mut row: Vec<f64> = embedding.iter().take(shared).map(|v| f64::from(*v)).collect();
    row.resize(shared, 0.0);
    normalise(&mut row);
    row
}

fn mean(rows: &[Vec<f64>], width: usize) -> Vec<f64> {
    let mut mean = vec![0.0; width];
    rows.iter().for_each(|row| mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / rows.len() as f64));
    mean
}

fn covariance(rows: &[Vec<f64>], width: usize) -> Vec<f64> {
    let mut sums = vec![0.0; width * width];
    for row in rows {
        for (line, a) in sums.chunks_exact_mut(width).zip(row) {
            line.iter_mut().zip(row).for_each(|(sum, b)| *sum += a * b);
        }
    }
    sums.iter_mut().for_each(|sum| *sum /= rows.len() as f64);
    sums
}

/// The two leading eigenvectors of a symmetric matrix and their eigenvalues, by orthogonal iteration with one direction more
/// than is wanted. Each vector's largest component is positive.
fn two_axes(matrix: &[f64], n: usize) -> ([Vec<f64>; 2], [f64; 2]) {
    let m = n.min(6);
    // Any start that is not orthogonal to what is sought.
    let mut axes: Vec<Vec<f64>> =
        (0..m).map(|k| (0..n).map(|i| ((i * (2 * k + 3) + 5 * k) as f64 * 0.7548).sin()).collect()).collect();
    orthonormalise(&mut axes);
    for _ in 0..ROUNDS {
        let mut next: Vec<Vec<f64>> = axes.iter().map(|axis| product(matrix, axis)).collect();
        orthonormalise(&mut next);
        let turn = next.iter().zip(&axes).take(2).map(|(a, b)| 1.0 - dot(a, b).abs()).fold(0.0, f64::max);
        axes = next;
        if turn < TURN {
            break;
        }
    }
    axes.truncate(2);
    for axis in &mut axes {
        let largest = axis.iter().copied().fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
        axis.iter_mut().for_each(|v| *v *= largest.signum());
    }
    let lengths = [0, 1].map(|k| axes.get(k).map_or(0.0, |axis| dot(axis, &product(matrix, axis))));
    let mut axes = axes.into_iter();
    let mut next = || axes.next().unwrap_or_else(|| vec![0.0; n]);
    ([next(), next()], lengths)
}

fn product(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    matrix.chunks_exact(vector.len()).map(|row| dot(row, vector)).collect()
}
