//! Directions in a space of many dimensions.

/// Product of two vectors.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Brings a vector to length 1; one without a direction stays.
pub(super) fn normalise(row: &mut [f64]) {
    let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
    if norm > 0.0 {
        row.iter_mut().for_each(|v| *v /= norm);
    }
}

/// Makes vectors orthonormal in their order.
pub(crate) fn orthonormalise(axes: &mut [Vec<f64>]) {
    for i in 0..axes.len() {
        let (done, rest) = axes.split_at_mut(i);
        // Twice: what one pass leaves of a faint direction is mostly rounding.
        for _ in 0..2 {
            for axis in done.iter() {
                let along = dot(&rest[0], axis);
                rest[0].iter_mut().zip(axis).for_each(|(v, a)| *v -= along * a);
            }
            normalise(&mut rest[0]);
        }
    }
}

/// Leading principal directions of centred rows and the variances along them, by orthogonal iteration.
pub(crate) fn principal(rows: &[Vec<f64>], directions: usize, rounds: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
    let width = rows.first().map_or(0, Vec::len);
    // Any start that is not orthogonal to what is sought.
    let start = |k: usize| (0..width).map(|i| ((i * (2 * k + 3) + 5 * k) as f64 * 0.7548).sin()).collect();
    let mut basis: Vec<Vec<f64>> = (0..directions.min(width)).map(start).collect();
    orthonormalise(&mut basis);
    let mut variances = vec![0.0; basis.len()];
    for _ in 0..rounds {
        let mut next = vec![vec![0.0; width]; basis.len()];
        variances.fill(0.0);
        for row in rows {
            for ((next, direction), variance) in next.iter_mut().zip(&basis).zip(&mut variances) {
                let along = dot(row, direction);
                *variance += along * along / rows.len() as f64;
                next.iter_mut().zip(row).for_each(|(v, r)| *v += along * r);
            }
        }
        orthonormalise(&mut next);
        basis = next;
    }
    (basis, variances)
}
