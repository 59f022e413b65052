//! Linear algebra of small dense problems: Gram–Schmidt, principal directions, Cholesky factorisation.

/// Dot product, summed in order.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Dot product with four independent partial sums, which the processor adds in parallel; its rounding differs from that
/// of [`dot`]. Most of the time of a continuum fit is spent here.
pub fn dot_unrolled(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut sums = [0.0; 4];
    for (a, b) in a.0.iter().zip(b.0) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + dot(a.1, b.1)
}

/// Scales a vector to length 1; a zero vector stays unchanged.
pub fn normalise(vector: &mut [f64]) {
    scale_to_unit(vector, dot);
}

fn scale_to_unit(vector: &mut [f64], dot: fn(&[f64], &[f64]) -> f64) {
    let norm = dot(vector, vector).sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|v| *v /= norm);
    }
}

/// One pass of Gram–Schmidt: subtracts the projections on an orthonormal `basis`.
fn subtract_projections(vector: &mut [f64], basis: &[Vec<f64>], dot: fn(&[f64], &[f64]) -> f64) {
    for axis in basis {
        let projection = dot(vector, axis);
        vector.iter_mut().zip(axis).for_each(|(v, a)| *v -= projection * a);
    }
}

/// Makes a long vector orthogonal to an orthonormal `basis` and scales it to length 1 (Gram–Schmidt, two passes: a
/// single pass leaves mostly rounding error of a vector that nearly lies in the span of the basis).
pub fn orthonormalise_against(vector: &mut [f64], basis: &[Vec<f64>]) {
    subtract_projections(vector, basis, dot_unrolled);
    subtract_projections(vector, basis, dot_unrolled);
    scale_to_unit(vector, dot_unrolled);
}

/// Orthonormalises vectors in their order, also in two passes. Each pass ends with length 1, so that a vector which
/// nearly vanishes in the first does not lose its digits in the second.
pub fn orthonormalise(vectors: &mut [Vec<f64>]) {
    for i in 0..vectors.len() {
        let (basis, rest) = vectors.split_at_mut(i);
        for _ in 0..2 {
            subtract_projections(&mut rest[0], basis, dot);
            normalise(&mut rest[0]);
        }
    }
}

/// Leading principal directions of centred rows and the variances along them, by orthogonal iteration.
pub fn principal_directions(rows: &[Vec<f64>], count: usize, iterations: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
    let width = rows.first().map_or(0, Vec::len);
    let mut basis = start_directions(count.min(width), width);
    orthonormalise(&mut basis);
    let mut variances = vec![0.0; basis.len()];
    for _ in 0..iterations {
        let mut next = vec![vec![0.0; width]; basis.len()];
        variances.fill(0.0);
        for row in rows {
            for ((next, direction), variance) in next.iter_mut().zip(&basis).zip(&mut variances) {
                let projection = dot(row, direction);
                *variance += projection * projection / rows.len() as f64;
                next.iter_mut().zip(row).for_each(|(v, r)| *v += projection * r);
            }
        }
        orthonormalise(&mut next);
        basis = next;
    }
    (basis, variances)
}

/// Vectors from which an orthogonal iteration starts: any that are not orthogonal to the directions it looks for.
pub fn start_directions(count: usize, width: usize) -> Vec<Vec<f64>> {
    let start = |k: usize| (0..width).map(|i| ((i * (2 * k + 3) + 5 * k) as f64 * 0.7548).sin()).collect();
    (0..count).map(start).collect()
}

/// A symmetric matrix, stored in full, row by row.
pub struct SymmetricMatrix {
    /// Number of rows.
    pub n: usize,
    /// The elements.
    pub values: Vec<f64>,
}

impl SymmetricMatrix {
    /// The matrix whose lower half `value` gives by row and column.
    pub fn of(n: usize, value: impl Fn(usize, usize) -> f64) -> Self {
        let mut values = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                values[i * n + j] = value(i, j);
                values[j * n + i] = values[i * n + j];
            }
        }
        Self { n, values }
    }

    /// Lower Cholesky factor; `None` where the matrix is not positive definite.
    pub fn factor(mut self) -> Option<CholeskyFactor> {
        let n = self.n;
        for i in 0..n {
            let (above, below) = self.values.split_at_mut(i * n);
            let row = &mut below[..n];
            for j in 0..=i {
                let row_j = if j == i { None } else { Some(&above[j * n..j * n + j + 1]) };
                match row_j {
                    Some(row_j) => {
                        let dot: f64 = row[..j].iter().zip(row_j).map(|(a, b)| a * b).sum();
                        row[j] = (row[j] - dot) / row_j[j];
                    }
                    None => {
                        let remainder = row[i] - row[..i].iter().map(|v| v * v).sum::<f64>();
                        if remainder.is_nan() || remainder <= 0.0 {
                            return None;
                        }
                        row[i] = remainder.sqrt();
                    }
                }
            }
        }
        Some(CholeskyFactor { n, values: self.values })
    }
}

/// The lower triangular factor L of a matrix L·Lᵀ.
pub struct CholeskyFactor {
    n: usize,
    values: Vec<f64>,
}

impl CholeskyFactor {
    fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.n..i * self.n + i + 1]
    }

    /// L⁻¹ b.
    pub fn forward(&self, b: &[f64]) -> Vec<f64> {
        let mut x: Vec<f64> = Vec::with_capacity(self.n);
        for (i, b) in b.iter().enumerate() {
            let row = self.row(i);
            let dot: f64 = row.iter().zip(&x).map(|(l, x)| l * x).sum();
            x.push((b - dot) / row[i]);
        }
        x
    }

    /// (L·Lᵀ)⁻¹ b.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = self.forward(b);
        for i in (0..self.n).rev() {
            let row = self.row(i);
            x[i] /= row[i];
            let value = x[i];
            x.iter_mut().zip(&row[..i]).for_each(|(x, l)| *x -= l * value);
        }
        x
    }

    /// Diagonal of (L·Lᵀ)⁻¹.
    pub fn inverse_diagonal(&self) -> Vec<f64> {
        let mut unit = vec![0.0; self.n];
        (0..self.n)
            .map(|i| {
                unit[i] = 1.0;
                let column = self.forward(&unit);
                unit[i] = 0.0;
                column.iter().map(|v| v * v).sum()
            })
            .collect()
    }

    /// A column of (L·Lᵀ)⁻¹.
    pub fn column(&self, i: usize) -> Vec<f64> {
        let mut unit = vec![0.0; self.n];
        unit[i] = 1.0;
        self.solve(&unit)
    }

    /// Natural logarithm of the determinant of L·Lᵀ.
    pub fn log_determinant(&self) -> f64 {
        2.0 * (0..self.n).map(|i| self.row(i)[i].ln()).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors that differ by 1e-9: one pass would leave them 1e-7 from orthogonal.
    #[test]
    fn nearly_parallel_vectors_become_orthonormal() {
        let vector = |k: usize| (0..50).map(|i| 1.0 + 1e-9 * ((i * (k + 1)) as f64 * 0.37).sin()).collect();
        let mut vectors: Vec<Vec<f64>> = (0..4).map(vector).collect();
        orthonormalise(&mut vectors);
        for i in 0..4 {
            for j in 0..4 {
                let expected = f64::from(u8::from(i == j));
                assert!((dot(&vectors[i], &vectors[j]) - expected).abs() < 1e-14, "{i} {j}");
            }
        }
    }

    /// Reference values from `numpy.linalg`.
    #[test]
    fn solutions_match_numpy() {
        let values = [[4.0, 1.0, 0.5], [1.0, 3.0, -0.7], [0.5, -0.7, 2.0]];
        let factor = SymmetricMatrix::of(3, |i, j| values[i][j]).factor().expect("it is positive definite");
        let is_close = |got: &[f64], expected: &[f64]| got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
        let x = factor.solve(&[1.0, 2.0, 3.0]);
        assert!(is_close(&x, &[-0.31145777299623456, 1.2399139322216246, 2.0118343195266273]), "{x:?}");
        assert!(is_close(&factor.inverse_diagonal(), &[0.29639591178052715, 0.4168908015061861, 0.591715976331361]));
        assert!((factor.column(1)[1] - 0.4168908015061861).abs() < 1e-12);
        assert!((factor.log_determinant() - 2.922623801733353).abs() < 1e-12);
        assert!(
            SymmetricMatrix::of(2, |i, j| if i == j { 1.0 } else { 2.0 }).factor().is_none(),
            "not positive definite"
        );
        assert!(SymmetricMatrix::of(1, |_, _| f64::NAN).factor().is_none());
    }
}
