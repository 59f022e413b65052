//! Order statistics that forgive what real spectra contain.

/// Median of the finite values (they are reordered); the mean of the middle two for an even count. `None` without one.
pub fn median(values: &mut Vec<f64>) -> Option<f64> {
    values.retain(|v| v.is_finite());
    let n = values.len();
    if n == 0 {
        return None;
    }
    let (below, upper, _) = values.select_nth_unstable_by(n / 2, f64::total_cmp);
    let upper = *upper;
    if n % 2 == 1 {
        return Some(upper);
    }
    below.iter().copied().max_by(f64::total_cmp).map(|lower| 0.5 * (lower + upper))
}

/// Median of seven neighbours, zeros beyond the ends (`scipy.signal.medfilt`).
pub fn median_filter_7(flux: &[f64]) -> Vec<f64> {
    let at = |i: isize| usize::try_from(i).ok().and_then(|i| flux.get(i)).copied().unwrap_or(0.0);
    (0..flux.len() as isize)
        .map(|i| {
            let mut window: [f64; 7] = std::array::from_fn(|k| at(i + k as isize - 3));
            window.sort_unstable_by(f64::total_cmp);
            window[3]
        })
        .collect()
}
