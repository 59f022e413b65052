//! Principal components of many curves, by orthogonal iteration on a device's matrix product.

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::model::emulator::Basis;

/// Rounds of the iteration; the tenth changes the subspace by less than 16-bit storage does.
const ROUNDS: usize = 10;

/// Mean, the `k` leading components, each as long as its coefficients' standard deviation, and the coefficients
/// (`[n][k]`, unit variance) of `n` curves (`[n][points]`, one after the other).
pub fn of(curves: Vec<f32>, points: usize, k: usize, seed: u64, device: &Device) -> (Basis, Vec<f32>) {
    let n = curves.len() / points.max(1);
    let k = k.min(points).min(n.saturating_sub(1)).max(1);
    let x = Tensor::<2>::from_data(TensorData::new(curves, [n, points]), device);
    let mean = x.clone().mean_dim(0);
    let x = x - mean.clone();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut directions: Vec<f32> = (0..k * points).map(|_| StandardNormal.sample(&mut rng)).collect();
    for _ in 0..ROUNDS {
        orthonormalise(&mut directions, points);
        let d = Tensor::<2>::from_data(TensorData::new(directions, [k, points]), device);
        directions = numbers(d.matmul(x.clone().transpose()).matmul(x.clone()));
    }
    orthonormalise(&mut directions, points);
    let d = Tensor::<2>::from_data(TensorData::new(directions.clone(), [k, points]), device);
    let mut coefficients = numbers(x.matmul(d.transpose()));
    for (j, direction) in directions.chunks_exact_mut(points).enumerate() {
        let own = coefficients.iter_mut().skip(j).step_by(k);
        let square = own.map(|c| c.powi(2)).sum::<f32>();
        let scale = (square / n as f32).sqrt().max(1e-9);
        direction.iter_mut().for_each(|v| *v *= scale);
        coefficients.iter_mut().skip(j).step_by(k).for_each(|c| *c /= scale);
    }
    (Basis { mean: numbers(mean), components: directions }, coefficients)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().unwrap_or_default()
}

/// Gram and Schmidt, row by row and each row twice: after a product with the data all rows lean towards the first, and what
/// one pass leaves of a faint one is mostly rounding error, which is not orthogonal to the others.
pub fn orthonormalise(rows: &mut [f32], points: usize) {
    for i in 0..rows.len() / points {
        let (done, rest) = rows.split_at_mut(i * points);
        let current = &mut rest[..points];
        for _ in 0..2 {
            for d in done.chunks_exact(points) {
                let along = dot(current, d) as f32;
                current.iter_mut().zip(d).for_each(|(v, b)| *v -= along * b);
            }
            let norm = (dot(current, current).sqrt() as f32).max(f32::MIN_POSITIVE);
            current.iter_mut().for_each(|v| *v /= norm);
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let part = |(a, b): (&[f32], &[f32])| f64::from(a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>());
    a.chunks(64).zip(b.chunks(64)).map(part).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Curves made of two known orthogonal shapes: the basis spans them, and the coefficients are their amplitudes.
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
        let (basis, coefficients) = of(curves.clone(), points, 2, 1, &Device::flex());
        assert_eq!((basis.len(), coefficients.len()), (2, 600));
        for row in [0, 17, 299] {
            let rebuilt = basis.curve(&coefficients[2 * row..2 * row + 2]);
            let off = rebuilt.iter().zip(&curves[row * points..]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-4, "{off}");
        }
        // Asked for more than there is, the rest is orthogonal all the same.
        let (many, _) = of(curves, points, 12, 1, &Device::flex());
        let row = |i: usize| &many.components[i * points..(i + 1) * points];
        for i in 0..12 {
            for j in 0..i {
                let cosine = dot(row(i), row(j)) / (dot(row(i), row(i)) * dot(row(j), row(j))).sqrt();
                assert!(cosine.abs() < 1e-3, "{i} {j}: {cosine}");
            }
        }
        let spread: f32 = coefficients.iter().step_by(2).map(|c| c * c).sum::<f32>() / 300.0;
        assert!((spread - 1.0).abs() < 1e-3, "{spread}");
    }
}
