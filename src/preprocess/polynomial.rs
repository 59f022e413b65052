//! Polynomial least squares as a projection.
//!
//! The continuum is fitted a dozen times on the same wavelengths. The fitted values of a linear least-squares problem are
//! a projection of the data on the span of the kept singular vectors, so the basis is made once and every fit is two
//! thin matrix products.

/// An orthonormal basis of (a part of) the polynomials of one degree on given abscissae.
#[derive(Debug, Clone)]
pub struct PolynomialBasis {
    /// Orthonormal columns, each as long as the abscissae.
    columns: Vec<Vec<f64>>,
}

impl PolynomialBasis {
    /// All polynomials up to `degree`. `x` need not be centred: the basis is built on [−1, 1].
    pub fn new(x: &[f64], degree: usize) -> Self {
        let (first, last) = (x.first().copied().unwrap_or(0.0), x.last().copied().unwrap_or(1.0));
        let (mid, half) = (0.5 * (first + last), 0.5 * (last - first).abs().max(f64::MIN_POSITIVE));
        let t: Vec<f64> = x.iter().map(|x| (x - mid) / half).collect();
        let mut columns: Vec<Vec<f64>> = Vec::with_capacity(degree + 1);
        for power in 0..=degree {
            // t · (previous column) spans the same as t^power and stays well conditioned.
            let mut column = match columns.last() {
                Some(previous) => previous.iter().zip(&t).map(|(p, t)| p * t).collect(),
                None => vec![1.0; t.len()],
            };
            orthonormalise(&mut column, &columns);
            if power < t.len() {
                columns.push(column);
            }
        }
        Self { columns }
    }

    /// The polynomials that `numpy.polyfit` keeps: singular vectors of the Vandermonde matrix in **raw** `x`, its columns
    /// scaled to unit length, whose singular value exceeds `rcond` times the largest (MODEL_SPEC §1.5).
    pub fn truncated(x: &[f64], degree: usize, rcond: f64) -> Self {
        let mut vandermonde: Vec<Vec<f64>> =
            (0..=degree).map(|power| x.iter().map(|x| x.powi(power as i32)).collect()).collect();
        for column in &mut vandermonde {
            let norm = dot(column, column).sqrt();
            column.iter_mut().for_each(|v| *v /= norm);
        }
        let left = one_sided_jacobi(vandermonde);
        let norms: Vec<f64> = left.iter().map(|c| dot(c, c).sqrt()).collect();
        let largest = norms.iter().copied().fold(0.0, f64::max);
        let columns = left
            .into_iter()
            .zip(norms)
            .filter(|(_, norm)| *norm > rcond * largest)
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
            let weight = dot(column, y);
            for (f, c) in fitted.iter_mut().zip(column) {
                *f += weight * c;
            }
        }
        fitted
    }
}

/// Four sums side by side, none of which waits for another: the continuum's fits are little else.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut sums = [0.0; 4];
    for (a, b) in a.0.iter().zip(b.0) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest: f64 = a.1.iter().zip(b.1).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// Gram–Schmidt against orthonormal `columns`, twice: once is not enough for nearly parallel vectors.
fn orthonormalise(column: &mut [f64], columns: &[Vec<f64>]) {
    for _ in 0..2 {
        for done in columns {
            let along = dot(column, done);
            for (v, d) in column.iter_mut().zip(done) {
                *v -= along * d;
            }
        }
    }
    let norm = dot(column, column).sqrt();
    if norm > 0.0 {
        column.iter_mut().for_each(|v| *v /= norm);
    }
}

/// Rotates the columns of a matrix until they are orthogonal: they are then its left singular vectors times its singular
/// values. One-sided Jacobi finds small singular values to full relative accuracy, which a bidiagonalisation does not.
fn one_sided_jacobi(mut a: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    for _sweep in 0..60 {
        let mut rotated = false;
        for i in 0..a.len() {
            for j in i + 1..a.len() {
                let (left, right) = a.split_at_mut(j);
                let (ai, aj) = (&mut left[i], &mut right[0]);
                let (p, q, r) = (dot(ai, ai), dot(aj, aj), dot(ai, aj));
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

    /// The figures that MODEL_SPEC §1.5 gives for a LAMOST blue arm.
    #[test]
    fn thirty_two_bit_wavelengths_leave_four_of_six_singular_vectors() {
        let x: Vec<f64> = (0..1876).map(|i| 10f64.powf(3.5683 + 1e-4 * f64::from(i))).collect();
        let n = x.len() as f64;
        assert_eq!(PolynomialBasis::truncated(&x, 5, n * f64::from(f32::EPSILON)).rank(), 4);
        assert_eq!(PolynomialBasis::truncated(&x, 5, n * f64::EPSILON).rank(), 6);
    }
}
