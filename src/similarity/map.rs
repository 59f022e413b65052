//! Map of embeddings: their projection on the plane of their two principal directions.
//!
//! The embeddings of each survey are centred at their own mean. Otherwise the first axis would be the difference
//! between the surveys. Both surveys have the same axes, computed from the shared part of the embeddings, so a star has
//! about the same position in both. The index determines the plane; later spectra are projected onto it and do not
//! change it.

use super::index::{Index, Rows};
use crate::linalg::{dot, normalise, orthonormalise, start_directions};
use crate::result::specclip::Modality;

/// Largest number of rows in the computation of the axes; a larger index is subsampled to every second, third … row.
const MAX_ROWS: usize = 10_000;

/// Largest number of iterations, and the rotation of the axes per iteration (1 − |cosine|) below which the iteration
/// ends.
const MAX_ITERATIONS: usize = 2_000;
const TOLERANCE: f64 = 1e-12;

/// A projection plane for embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    means: [Vec<f64>; 2],
    axes: [Vec<f64>; 2],
    /// Fraction of the variance along each axis.
    pub variance: [f64; 2],
}

impl Plane {
    /// The principal plane of an index; `None` for fewer than three entries.
    pub fn of(index: &Index) -> Option<Self> {
        let shared = index.metadata.shared.min(index.metadata.width);
        let stride = index.len().div_ceil(MAX_ROWS).max(1);
        let subsample = |rows: &Rows| -> Vec<Vec<f64>> {
            (0..rows.len()).step_by(stride).map(|row| direction(&rows.unit(row), shared)).collect()
        };
        let mut sets = [subsample(&index.lrs), subsample(&index.xp)];
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
        let (axes, eigenvalues) = two_axes(&covariance, shared);
        Some(Self { means, axes, variance: eigenvalues.map(|l| l / total) })
    }

    /// Position of an embedding in the plane; its length has no effect.
    pub fn project(&self, modality: Modality, embedding: &[f32]) -> [f32; 2] {
        let mean = &self.means[usize::from(modality == Modality::Xp)];
        let row = direction(embedding, mean.len());
        [0, 1].map(|i| row.iter().zip(mean).zip(&self.axes[i]).map(|((v, m), a)| (v - m) * a).sum::<f64>() as f32)
    }
}

/// The first `shared` elements, scaled to length 1.
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

/// The two leading eigenvectors of a symmetric matrix and their eigenvalues.
///
/// Orthogonal iteration with up to six directions. The largest component of each vector is positive.
fn two_axes(matrix: &[f64], n: usize) -> ([Vec<f64>; 2], [f64; 2]) {
    let mut axes = start_directions(n.min(6), n);
    orthonormalise(&mut axes);
    for _ in 0..MAX_ITERATIONS {
        let mut next: Vec<Vec<f64>> = axes.iter().map(|axis| product(matrix, axis)).collect();
        orthonormalise(&mut next);
        let rotation = next.iter().zip(&axes).take(2).map(|(a, b)| 1.0 - dot(a, b).abs()).fold(0.0, f64::max);
        axes = next;
        if rotation < TOLERANCE {
            break;
        }
    }
    axes.truncate(2);
    for axis in &mut axes {
        let largest = axis.iter().copied().fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
        axis.iter_mut().for_each(|v| *v *= largest.signum());
    }
    let eigenvalues = [0, 1].map(|k| axes.get(k).map_or(0.0, |axis| dot(axis, &product(matrix, axis))));
    let mut axes = axes.into_iter();
    let mut next = || axes.next().unwrap_or_else(|| vec![0.0; n]);
    ([next(), next()], eigenvalues)
}

fn product(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    matrix.chunks_exact(vector.len()).map(|row| dot(row, vector)).collect()
}
