//! Symmetric systems of a few hundred unknowns, by Cholesky factors.

/// A symmetric matrix, all of it, row by row.
pub(crate) struct Square {
    pub n: usize,
    pub values: Vec<f64>,
}

impl Square {
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

    /// Its lower Cholesky factor; `None` where it is not positive definite.
    pub fn factor(mut self) -> Option<Factor> {
        let n = self.n;
        for i in 0..n {
            let (above, below) = self.values.split_at_mut(i * n);
            let row = &mut below[..n];
            for j in 0..=i {
                let of_j = if j == i { None } else { Some(&above[j * n..j * n + j + 1]) };
                match of_j {
                    Some(of_j) => {
                        let dot: f64 = row[..j].iter().zip(of_j).map(|(a, b)| a * b).sum();
                        row[j] = (row[j] - dot) / of_j[j];
                    }
                    None => {
                        let rest = row[i] - row[..i].iter().map(|v| v * v).sum::<f64>();
                        if rest.is_nan() || rest <= 0.0 {
                            return None;
                        }
                        row[i] = rest.sqrt();
                    }
                }
            }
        }
        Some(Factor { n, values: self.values })
    }
}

/// A lower triangle L of L·Lᵀ.
pub(crate) struct Factor {
    n: usize,
    values: Vec<f64>,
}

impl Factor {
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
            let at = x[i];
            x.iter_mut().zip(&row[..i]).for_each(|(x, l)| *x -= l * at);
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

    pub fn log_determinant(&self) -> f64 {
        2.0 * (0..self.n).map(|i| self.row(i)[i].ln()).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::Square;

    /// Numbers of `numpy.linalg`.
    #[test]
    fn solutions_are_numpys() {
        let values = [[4.0, 1.0, 0.5], [1.0, 3.0, -0.7], [0.5, -0.7, 2.0]];
        let factor = Square::of(3, |i, j| values[i][j]).factor().expect("it is positive definite");
        let near = |got: &[f64], want: &[f64]| got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12);
        let x = factor.solve(&[1.0, 2.0, 3.0]);
        assert!(near(&x, &[-0.31145777299623456, 1.2399139322216246, 2.0118343195266273]), "{x:?}");
        assert!(near(&factor.inverse_diagonal(), &[0.29639591178052715, 0.4168908015061861, 0.591715976331361]));
        assert!((factor.column(1)[1] - 0.4168908015061861).abs() < 1e-12);
        assert!((factor.log_determinant() - 2.922623801733353).abs() < 1e-12);
        assert!(Square::of(2, |i, j| if i == j { 1.0 } else { 2.0 }).factor().is_none(), "not positive definite");
        assert!(Square::of(1, |_, _| f64::NAN).factor().is_none());
    }
}
