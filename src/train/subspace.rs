//! The subspace that known spectra span, by orthogonal iteration.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::dataset::Dataset;
use crate::model::calibration::Subspace;
use crate::preprocess::grid::MODEL_PIXELS;

/// Directions kept.
const DIRECTIONS: usize = 32;

/// Principal directions of the complete rows with S/N above 60, up to 6000 of them.
pub fn of(data: &Dataset, seed: u64) -> Subspace {
    let rows: Vec<&[f32]> = (0..data.len())
        .filter(|&i| data.snr[i] > 60.0 && data.coverage[i] >= 1.0)
        .take(6000)
        .map(|i| data.input(i))
        .collect();
    let n = rows.len().max(1) as f32;
    let mut mean = vec![0f32; MODEL_PIXELS];
    rows.iter().for_each(|row| mean.iter_mut().zip(*row).for_each(|(m, x)| *m += x / n));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut directions: Vec<Vec<f32>> =
        (0..DIRECTIONS).map(|_| (0..MODEL_PIXELS).map(|_| StandardNormal.sample(&mut rng)).collect()).collect();
    for _ in 0..12 {
        orthonormalise(&mut directions);
        directions = directions
            .par_iter()
            .map(|direction| {
                let mut next = vec![0f32; MODEL_PIXELS];
                for row in &rows {
                    let along: f32 = row.iter().zip(&mean).zip(direction).map(|((x, m), d)| (x - m) * d).sum();
                    next.iter_mut().zip(row.iter().zip(&mean)).for_each(|(v, (x, m))| *v += along * (x - m));
                }
                next
            })
            .collect();
    }
    orthonormalise(&mut directions);
    Subspace::new(mean, directions)
}

fn orthonormalise(directions: &mut [Vec<f32>]) {
    for i in 0..directions.len() {
        let (done, rest) = directions.split_at_mut(i);
        let current = &mut rest[0];
        for d in done {
            let along: f32 = current.iter().zip(d.iter()).map(|(a, b)| a * b).sum();
            current.iter_mut().zip(d.iter()).for_each(|(v, b)| *v -= along * b);
        }
        let norm = current.iter().map(|v| v * v).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        current.iter_mut().for_each(|v| *v /= norm);
    }
}
