//! Robust statistics: order statistics, clipping, scales.

/// Median of the finite values; for an even count, the mean of the middle two. `None` without a finite value.
///
/// The function removes non-finite elements from `values` and reorders the rest.
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

/// True if all values are equal.
pub fn is_constant(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

/// The `fraction`-quantile of the finite values, by linear interpolation between the sorted values (`NumPy`'s default).
/// `None` without a finite value.
pub fn quantile(values: impl IntoIterator<Item = f64>, fraction: f64) -> Option<f64> {
    quantiles(values, [fraction]).map(|[value]| value)
}

/// Several quantiles of the same values; see [`quantile`].
pub fn quantiles<const N: usize>(values: impl IntoIterator<Item = f64>, fractions: [f64; N]) -> Option<[f64; N]> {
    let mut sorted: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    Some(fractions.map(|fraction| {
        let position = fraction * last as f64;
        let (low, part) = (position.floor() as usize, position.fract());
        sorted[low] + part * (sorted[(low + 1).min(last)] - sorted[low])
    }))
}

/// Sigma clipping as in astropy's `sigma_clip`: the values within `limit` population standard deviations of the median,
/// after at most `max_iterations` iterations.
pub fn sigma_clip(values: &[f64], limit: f64, max_iterations: usize) -> Vec<f64> {
    let mut clipped = values.to_vec();
    for _ in 0..max_iterations {
        let Some(centre) = median(&mut clipped.clone()) else { break };
        let (_, std) = mean_and_std(&clipped);
        let n_before = clipped.len();
        clipped.retain(|v| (v - centre).abs() <= limit * std);
        if clipped.len() == n_before {
            break;
        }
    }
    clipped
}

/// Tukey's biweight scale, as in the papers' tables. 0 for equal values; NaN where fewer than three values are within
/// six robust standard deviations (median absolute deviation / 0.6745) of the median.
pub fn biweight(values: &[f64]) -> f64 {
    let Some(centre) = median(&mut values.to_vec()) else { return f64::NAN };
    let differences: Vec<f64> = values.iter().map(|v| v - centre).collect();
    let mut deviations: Vec<f64> = differences.iter().map(|d| d.abs()).collect();
    let mut scale = median(&mut deviations).unwrap_or(0.0) / 0.6745;
    if scale < 1e-20 {
        scale = differences.iter().map(|d| d.abs()).sum::<f64>() / values.len() as f64 / 0.8;
    }
    if scale < 1e-20 {
        return 0.0;
    }
    let (mut n_used, mut numerator, mut denominator) = (0, 0.0, 0.0);
    for d in &differences {
        let u2 = (d / (6.0 * scale)).powi(2);
        if u2 <= 1.0 {
            n_used += 1;
            numerator += d * d * (1.0 - u2).powi(4);
            denominator += (1.0 - u2) * (1.0 - 5.0 * u2);
        }
    }
    if n_used < 3 {
        return f64::NAN;
    }
    (values.len() as f64 * numerator / (denominator * (denominator - 1.0))).max(0.0).sqrt()
}

/// Mean and population standard deviation.
pub fn mean_and_std(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
}

/// Running median over seven pixels, with zeros beyond the ends (as `scipy.signal.medfilt`).
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference values from `numpy.quantile`.
    #[test]
    fn quantiles_match_numpy() {
        let values = [3.0, f64::NAN, 1.0, 4.0, 1.5, 9.0];
        let got = quantiles(values, [0.0, 0.16, 0.5, 0.84, 1.0]).expect("finite values");
        let expected = [1.0, 1.32, 3.0, 5.8, 9.0];
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
        assert_eq!(median(&mut values.to_vec()), quantile(values, 0.5));
        assert_eq!(quantile([f64::NAN], 0.5), None);
    }

    /// Reference values from a `NumPy` transcription of the papers' formula.
    #[test]
    fn biweight_matches_the_papers() {
        assert!((biweight(&[1.0, 2.0, 3.0, 4.0, 5.0]) - 1.7350488113630949).abs() < 1e-9);
        assert!((biweight(&[0.1, -0.3, 0.2, 0.05, -0.12, 9.0]) - 0.24797713956312475).abs() < 1e-9);
        assert_eq!(biweight(&[2.0; 7]), 0.0);
        assert!(biweight(&[]).is_nan());
    }
}
