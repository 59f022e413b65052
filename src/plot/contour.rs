//! Contour lines over a grid of points.

/// Segments of the contour line at `level`, over heights `[x][y]` at the coordinates `x` and `y`.
///
/// A segment is straight within a cell. Cells with a height that is not finite have none.
pub(super) fn contour(x: &[f64], y: &[f64], heights: &[f64], level: f64) -> Vec<[(f64, f64); 2]> {
    let mut segments = Vec::new();
    let height = |i: usize, j: usize| heights.get(i * y.len() + j).copied().unwrap_or(f64::NAN);
    for i in 1..x.len() {
        for j in 1..y.len() {
            let corners = [(i - 1, j - 1), (i, j - 1), (i, j), (i - 1, j)];
            if corners.iter().any(|(i, j)| !height(*i, *j).is_finite()) {
                continue;
            }
            let crossing = |k: usize| {
                let ((i, j), (m, n)) = (corners[k], corners[(k + 1) % 4]);
                let (from, to) = (height(i, j) - level, height(m, n) - level);
                let fraction = from / (from - to);
                let interpolate = |a: f64, b: f64| a + (b - a) * fraction;
                ((from < 0.0) != (to < 0.0)).then(|| (interpolate(x[i], x[m]), interpolate(y[j], y[n])))
            };
            // Two crossings, or four at a saddle point; the pairs are consecutive, in either orientation.
            let crossings: Vec<(f64, f64)> = (0..4).filter_map(crossing).collect();
            segments.extend(crossings.chunks_exact(2).map(|pair| [pair[0], pair[1]]));
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_around_a_cone_is_a_circle() {
        let steps: Vec<f64> = (0..41).map(|i| f64::from(i) * 0.1 - 2.0).collect();
        let mut heights: Vec<f64> = steps.iter().flat_map(|x| steps.iter().map(move |y| x.hypot(*y))).collect();
        let circle = contour(&steps, &steps, &heights, 1.23);
        assert!(circle.iter().flatten().all(|(x, y)| (x.hypot(*y) - 1.23).abs() < 0.002));
        let length: f64 = circle.iter().map(|[a, b]| (a.0 - b.0).hypot(a.1 - b.1)).sum();
        assert!((length - std::f64::consts::TAU * 1.23).abs() < 0.01, "closed and nothing twice: {length}");
        // The corner at x = −2 lies outside the circle, so its missing height loses no segment; a hole on the circle
        // opens it.
        heights[0] = f64::NAN;
        assert_eq!(contour(&steps, &steps, &heights, 1.23).len(), circle.len());
        heights[8 * 41 + 20] = f64::NAN;
        assert!(contour(&steps, &steps, &heights, 1.23).len() < circle.len());
        assert!(contour(&steps, &steps, &[], 1.23).is_empty() && contour(&[], &[], &[], 0.0).is_empty());
    }
}
