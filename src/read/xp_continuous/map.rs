//! The linear map from the coefficients of an XP continuous spectrum to its samples.
//!
//! The flux at 336, 338 … 1020 nm is a sum of 55 basis functions of BP and 55 of RP. `GaiaXPy`'s configuration has the
//! functions, sampled. Between 635 and 643 nm, where BP and RP overlap, their weight changes linearly. The file
//! `models/gaiaxpy/map.bin` holds the functions; `make_map.py` beside it wrote it, and LICENSE beside it applies. It is part of
//! the program, so that reading a file needs no other.

use std::ops::Range;
use std::sync::LazyLock;

use super::super::gaia_xp::ARCHIVE_SAMPLES;

/// Number of basis functions of each prism.
pub(super) const N_BASES: usize = 55;

/// Number of correlations between the coefficients of a prism: a triangle without its diagonal.
pub(super) const N_CORRELATIONS: usize = N_BASES * (N_BASES - 1) / 2;

/// The functions of both prisms as decimal numbers of three bytes, in three planes.
static PACKED: &[u8] = include_bytes!("../../../models/gaiaxpy/map.bin");

/// Decimal exponents of the packed numbers.
const SCALES: [f64; 8] = [1e-28, 1e-27, 1e-26, 1e-25, 1e-24, 1e-23, 1e-22, 1e-21];

/// Samples that are computed at once; their basis functions fit into the processor's first cache.
const BLOCK: usize = 32;

/// The maps of BP and RP.
pub(super) static MAPS: LazyLock<[PrismMap; 2]> = LazyLock::new(|| {
    let (bp, rp) = (0..154, 150..ARCHIVE_SAMPLES);
    let n_bp = bp.len() * N_BASES;
    // Samples at 636 … 642 nm have both prisms.
    let rp_weight = |sample: usize| ((336.0 + 2.0 * sample as f64 - 635.0) / 8.0).clamp(0.0, 1.0);
    [PrismMap::unpack(bp, 0, |i| 1.0 - rp_weight(i)), PrismMap::unpack(rp, n_bp, rp_weight)]
});

/// The basis functions of one prism.
pub(super) struct PrismMap {
    /// Samples of the archive's grid in which the prism has weight.
    samples: Range<usize>,
    /// The functions one after the other, at these samples, times the weight of the prism, W m⁻² nm⁻¹.
    bases: Vec<f64>,
}

impl PrismMap {
    /// Reads the functions of one prism; the first number is at `start`.
    fn unpack(samples: Range<usize>, start: usize, weight: impl Fn(usize) -> f64) -> Self {
        let plane = PACKED.len() / 3;
        let number = |i: usize| {
            let packed = u32::from_le_bytes([PACKED[i], PACKED[plane + i], PACKED[2 * plane + i], 0]);
            let magnitude = f64::from(packed & 0xf_ffff) * SCALES[(packed >> 20 & 7) as usize];
            if packed >> 23 == 1 { -magnitude } else { magnitude }
        };
        let n = samples.len();
        let bases = (0..N_BASES * n).map(|i| number(start + i) * weight(samples.start + i % n)).collect();
        Self { samples, bases }
    }

    /// A basis function at a block of the prism's samples.
    fn basis(&self, function: usize, block: &Range<usize>) -> &[f64] {
        let start = function * self.samples.len();
        &self.bases[start + block.start..start + block.end]
    }

    /// The prism's samples in blocks: indices into its samples, and into the grid.
    fn blocks(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let (first, n) = (self.samples.start, self.samples.len());
        (0..n).step_by(BLOCK).map(move |start| {
            let end = (start + BLOCK).min(n);
            (start..end, first + start..first + end)
        })
    }

    /// Adds the prism's part of the flux, W m⁻² nm⁻¹. `coefficients` has [`N_BASES`] numbers.
    pub(super) fn add_flux(&self, coefficients: &[f64], flux: &mut [f64]) {
        for (block, grid) in self.blocks() {
            for (k, coefficient) in coefficients.iter().enumerate() {
                add_scaled(*coefficient, self.basis(k, &block), &mut flux[grid.clone()]);
            }
        }
    }

    /// Adds the prism's part of the variance of the flux.
    ///
    /// `errors` has the errors of the [`N_BASES`] coefficients, `correlations` the rows of the lower triangle of their
    /// correlation matrix without its diagonal ([`N_CORRELATIONS`] numbers); none counts as 0.
    pub(super) fn add_variance(&self, errors: &[f64], correlations: Option<&[f64]>, variance: &mut [f64]) {
        for (block, grid) in self.blocks() {
            let variance = &mut variance[grid];
            let mut row = 0;
            for (k, error) in errors.iter().enumerate() {
                // The variance is Σ_k eₖmₖ (eₖmₖ + 2 Σ_{l<k} rₖₗ eₗmₗ).
                let mut sum = [0.0; BLOCK];
                let sum = &mut sum[..block.len()];
                for (l, correlation) in correlations.iter().flat_map(|r| &r[row..row + k]).enumerate() {
                    add_scaled(2.0 * correlation * errors[l], self.basis(l, &block), sum);
                }
                row += k;
                let basis = self.basis(k, &block);
                add_scaled(*error, basis, sum);
                variance.iter_mut().zip(basis.iter().zip(sum)).for_each(|(v, (m, s))| *v += error * m * *s);
            }
        }
    }
}

fn add_scaled(factor: f64, values: &[f64], to: &mut [f64]) {
    to.iter_mut().zip(values).for_each(|(to, value)| *to += factor * value);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sample, flux and error, from `GaiaXPy`'s `calibrate()`: `models/gaiaxpy/make_map.py --fixture`.
    const GAIAXPY: [(usize, f64, f64); 5] = [
        (0, -2.7334065290862655e-17, 6.864897360910045e-17),
        (100, 1.6433087306075644e-16, 3.2477398066069818e-18),
        (151, 2.8711086280780917e-16, 1.8784395145008322e-18),
        (200, 3.3006372746942913e-16, 4.619019054163647e-18),
        (342, 4.743036909140496e-16, 5.26724525208319e-17),
    ];

    #[test]
    fn flux_and_error_are_those_of_gaiaxpy() {
        let (mut flux, mut variance) = ([0.0; ARCHIVE_SAMPLES], [0.0; ARCHIVE_SAMPLES]);
        let errors: Vec<f64> = (0..N_BASES).map(|k| 5.0 + (k as f64).sin()).collect();
        let correlation = |i: usize, j: usize| 0.3 * (i as f64 - 2.0 * j as f64).cos() * 0.5f64.powi((i - j) as i32);
        let correlations: Vec<f64> =
            (0..N_BASES).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| correlation(i, j)).collect();
        for (map, (scale, phase)) in MAPS.iter().zip([(1e4, 0.7), (2e4, 0.4)]) {
            let coefficient = |k: usize| scale * (phase * k as f64).cos() / (1.0 + k as f64).powi(2);
            let coefficients: Vec<f64> = (0..N_BASES).map(coefficient).collect();
            map.add_flux(&coefficients, &mut flux);
            map.add_variance(&errors, Some(&correlations), &mut variance);
        }
        for (i, expected_flux, expected_error) in GAIAXPY {
            assert!((flux[i] / expected_flux - 1.0).abs() < 1e-9, "{i}: {} {expected_flux}", flux[i]);
            let error = variance[i].sqrt();
            assert!((error / expected_error - 1.0).abs() < 1e-9, "{i}: {error} {expected_error}");
        }
    }
}
