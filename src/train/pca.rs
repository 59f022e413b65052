//! Principal components by orthogonal iteration: of curves, and of the training spectra.

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::dataset::Dataset;
use crate::linalg::orthonormalise;
use crate::model::calibration::Subspace;
use crate::model::emulator::Basis;
use crate::preprocess::grid::MODEL_PIXELS;

/// Number of iterations. The tenth changes the subspace by less than storage in 16 bits does.
const ITERATIONS: usize = 10;

/// Principal components of `n` curves (`[n][points]`, flattened), with matrix products on a device. Returns the mean, the `k` leading components and the
/// coefficients `[n][k]`. The coefficients have unit variance; the length of each component is the standard deviation
/// along it.
pub fn fit(curves: Vec<f32>, points: usize, k: usize, seed: u64, device: &Device) -> (Basis, Vec<f32>) {
    let n = curves.len() / points.max(1);
    let k = k.min(points).min(n.saturating_sub(1)).max(1);
    let x = Tensor::<2>::from_data(TensorData::new(curves, [n, points]), device);
    let mean = x.clone().mean_dim(0);
    let x = x - mean.clone();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut directions: Vec<f32> = (0..k * points).map(|_| StandardNormal.sample(&mut rng)).collect();
    for _ in 0..ITERATIONS {
        orthonormalise_rows(&mut directions, points);
        let d = Tensor::<2>::from_data(TensorData::new(directions, [k, points]), device);
        directions = numbers(d.matmul(x.clone().transpose()).matmul(x.clone()));
    }
    orthonormalise_rows(&mut directions, points);
    let d = Tensor::<2>::from_data(TensorData::new(directions.clone(), [k, points]), device);
    let mut coefficients = numbers(x.matmul(d.transpose()));
    for (j, direction) in directions.chunks_exact_mut(points).enumerate() {
        let along_direction = coefficients.iter_mut().skip(j).step_by(k);
        let square = along_direction.map(|c| c.powi(2)).sum::<f32>();
        let scale = (square / n as f32).sqrt().max(1e-9);
        direction.iter_mut().for_each(|v| *v *= scale);
        coefficients.iter_mut().skip(j).step_by(k).for_each(|c| *c /= scale);
    }
    (Basis { mean: numbers(mean), components: directions }, coefficients)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().unwrap_or_default()
}

/// Orthonormalises rows of `points` values. After a product with the data all rows lean towards the first.
fn orthonormalise_rows(rows: &mut [f32], points: usize) {
    let mut vectors: Vec<Vec<f64>> =
        rows.chunks_exact(points).map(|row| row.iter().map(|v| f64::from(*v)).collect()).collect();
    orthonormalise(&mut vectors);
    rows.iter_mut().zip(vectors.iter().flatten()).for_each(|(v, exact)| *v = *exact as f32);
}

/// Number of directions of the training subspace.
const SUBSPACE_DIRECTIONS: usize = 32;

/// Iterations for the training subspace.
const SUBSPACE_ITERATIONS: usize = 12;

/// Mean and principal directions of the complete training spectra with S/N > 60, of at most 6000 spectra.
///
/// These spectra fill too much memory for [`fit`], which copies them to a device.
pub fn training_subspace(data: &Dataset, seed: u64) -> Subspace {
    let rows: Vec<&[f32]> = (0..data.len())
        .filter(|&i| data.snr[i] > 60.0 && data.coverage[i] >= 1.0)
        .take(6000)
        .map(|i| data.input(i))
        .collect();
    let n = rows.len().max(1) as f32;
    let mut mean = vec![0f32; MODEL_PIXELS];
    rows.iter().for_each(|row| mean.iter_mut().zip(*row).for_each(|(m, x)| *m += x / n));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut directions: Vec<f32> =
        (0..SUBSPACE_DIRECTIONS * MODEL_PIXELS).map(|_| StandardNormal.sample(&mut rng)).collect();
    for _ in 0..SUBSPACE_ITERATIONS {
        orthonormalise_rows(&mut directions, MODEL_PIXELS);
        let product = |direction: &[f32]| {
            let mut next = vec![0f32; MODEL_PIXELS];
            for row in &rows {
                let projection: f32 = row.iter().zip(&mean).zip(direction).map(|((x, m), d)| (x - m) * d).sum();
                next.iter_mut().zip(row.iter().zip(&mean)).for_each(|(v, (x, m))| *v += projection * (x - m));
            }
            next
        };
        directions = directions.par_chunks_exact(MODEL_PIXELS).flat_map_iter(product).collect();
    }
    orthonormalise_rows(&mut directions, MODEL_PIXELS);
    Subspace::new(mean, directions.chunks_exact(MODEL_PIXELS).map(<[f32]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Curves from two known orthogonal shapes: the basis spans them, and the coefficients are their amplitudes.
    #[test]
    fn two_shapes_are_found_with_their_amplitudes() {
        let points = 64;
        let phase = |i: usize| std::f32::consts::TAU * i as f32 / points as f32;
        let amplitude = |row: usize| (((row * 37) % 101) as f32 / 50.0 - 1.0, ((row * 53) % 97) as f32 / 96.0 - 0.5);
        let curve = |row: usize| {
            let (a, b) = amplitude(row);
            (0..points).map(move |i| 1.0 + a * phase(i).sin() + b * (2.0 * phase(i)).cos())
        };
        let curves: Vec<f32> = (0..300).flat_map(curve).collect();
        let (basis, coefficients) = fit(curves.clone(), points, 2, 1, &Device::flex());
        assert_eq!((basis.len(), coefficients.len()), (2, 600));
        for row in [0, 17, 299] {
            let reconstruction = basis.curve(&coefficients[2 * row..2 * row + 2]);
            let largest =
                reconstruction.iter().zip(&curves[row * points..]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(largest < 1e-4, "{largest}");
        }
        // Surplus components beyond the two shapes are orthogonal too.
        let (many, _) = fit(curves, points, 12, 1, &Device::flex());
        let row = |i: usize| &many.components[i * points..(i + 1) * points];
        for i in 0..12 {
            for j in 0..i {
                let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
                let cosine = dot(row(i), row(j)) / (dot(row(i), row(i)) * dot(row(j), row(j))).sqrt();
                assert!(cosine.abs() < 1e-3, "{i} {j}: {cosine}");
            }
        }
        let spread: f32 = coefficients.iter().step_by(2).map(|c| c * c).sum::<f32>() / 300.0;
        assert!((spread - 1.0).abs() < 1e-3, "{spread}");
    }
}
