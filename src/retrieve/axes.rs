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
