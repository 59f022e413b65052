//! Polynomial least-squares fits as projections.
//!
//! The continuum is fitted about twelve times on the same wavelengths. The fitted values of a linear least-squares
//! problem are the projection of the data on the span of the retained singular vectors. So the basis is computed once,
//! and each fit is two thin matrix products.

use crate::linalg::{dot_unrolled, orthonormalise_against};

/// An orthonormal basis of the polynomials up to a given degree, or of a subspace of them, on given abscissae.
#[derive(Debug, Clone)]
pub struct PolynomialBasis {
    /// Orthonormal columns, each as long as the abscissae.
    columns: Vec<Vec<f64>>,
}

impl PolynomialBasis {
    /// The basis of all polynomials up to `degree`. `x` need not be centred: the basis is built on [−1, 1].
    pub fn new(x: &[f64], degree: usize) -> Self {
        let (first, last) = (x.first().copied().unwrap_or(0.0), x.last().copied().unwrap_or(1.0));
        let (mid, half) = (0.5 * (first + last), 0.5 * (last - first).abs().max(f64::MIN_POSITIVE));
        let t: Vec<f64> = x.iter().map(|x| (x - mid) / half).collect();
        let mut columns: Vec<Vec<f64>> = Vec::with_capacity(degree + 1);
        for power in 0..=degree {
            // t · (previous column) spans the same space as t^power, and is better conditioned.
            let mut column = match columns.last() {
                Some(previous) => previous.iter().zip(&t).map(|(p, t)| p * t).collect(),
                None => vec![1.0; t.len()],
            };
            orthonormalise_against(&mut column, &columns);
            if power < t.len() {
                columns.push(column);
            }
        }
        Self { columns }
    }

    /// The basis that `numpy.polyfit` retains (docs/model-spec.md §1.5).
    ///
    /// It consists of singular vectors of the Vandermonde matrix in **raw** `x`, with columns scaled to unit length.
    /// The retained vectors are those with a singular value above `rcond` times the largest.
    pub fn truncated(x: &[f64], degree: usize, rcond: f64) -> Self {
        let mut vandermonde: Vec<Vec<f64>> =
            (0..=degree).map(|power| x.iter().map(|x| x.powi(power as i32)).collect()).collect();
        for column in &mut vandermonde {
            let norm = dot_unrolled(column, column).sqrt();
            column.iter_mut().for_each(|v| *v /= norm);
        }
        let scaled_vectors = one_sided_jacobi(vandermonde);
        let norms: Vec<f64> = scaled_vectors.iter().map(|c| dot_unrolled(c, c).sqrt()).collect();
        let max_norm = norms.iter().copied().fold(0.0, f64::max);
        let columns = scaled_vectors
            .into_iter()
            .zip(norms)
            .filter(|(_, norm)| *norm > rcond * max_norm)
            .map(|(column, norm)| column.into_iter().map(|v| v / norm).collect())
            .collect();
        Self { columns }
    }

    /// Number of polynomials in the basis.
    pub fn rank(&self) -> usize {
        self.columns.len()
    }

    /// The least-squares fit to `y` at the abscissae.
    pub fn fit(&self, y: &[f64]) -> Vec<f64> {
        let mut fitted = vec![0.0; y.len()];
        for column in &self.columns {
            let weight = dot_unrolled(column, y);
            for (f, c) in fitted.iter_mut().zip(column) {
                *f += weight * c;
            }
        }
        fitted
    }
}

/// Rotates the columns of a matrix until they are orthogonal (one-sided Jacobi). The columns are then the left singular
/// vectors, multiplied by the singular values.
///
/// One-sided Jacobi finds small singular values to full relative accuracy; bidiagonalisation does not.
fn one_sided_jacobi(mut a: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    for _sweep in 0..60 {
        let mut rotated = false;
        for i in 0..a.len() {
            for j in i + 1..a.len() {
                let (left, right) = a.split_at_mut(j);
                let (ai, aj) = (&mut left[i], &mut right[0]);
                let (p, q, r) = (dot_unrolled(ai, ai), dot_unrolled(aj, aj), dot_unrolled(ai, aj));
                if r.abs() <= 1e-15 * (p * q).sqrt() {
                    continue;
                }
                rotated = true;
                let zeta = (q - p) / (2.0 * r);
                let tan = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
                let cos = 1.0 / (1.0 + tan * tan).sqrt();
                let sin = cos * tan;
                for (u, v) in ai.iter_mut().zip(aj.iter_mut()) {
                    (*u, *v) = (cos * *u - sin * *v, sin * *u + cos * *v);
                }
            }
        }
        if !rotated {
            break;
        }
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polynomial_is_its_own_fit() {
        let x: Vec<f64> = (0..200).map(|i| 4000.0 + 8.0 * f64::from(i)).collect();
        let y: Vec<f64> = x.iter().map(|x| 3.0 - 2e-3 * x + 1e-7 * x * x - 3e-15 * x.powi(4)).collect();
        let fit = PolynomialBasis::new(&x, 5).fit(&y);
        assert!(fit.iter().zip(&y).all(|(f, y)| (f - y).abs() < 1e-10 * y.abs().max(1.0)));
    }

    /// The ranks that docs/model-spec.md §1.5 gives for a LAMOST blue arm.
    #[test]
    fn thirty_two_bit_wavelengths_leave_four_of_six_singular_vectors() {
        let x: Vec<f64> = (0..1876).map(|i| 10f64.powf(3.5683 + 1e-4 * f64::from(i))).collect();
        let n = x.len() as f64;
        assert_eq!(PolynomialBasis::truncated(&x, 5, n * f64::from(f32::EPSILON)).rank(), 4);
        assert_eq!(PolynomialBasis::truncated(&x, 5, n * f64::EPSILON).rank(), 6);
    }
}
