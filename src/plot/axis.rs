//! Positions of the ticks of an axis.

/// Ticks at multiples of 1, 2 or 5 times a power of ten: about `target` ticks between `low` and `high`.
///
/// Empty if the range is not finite or has zero extent.
pub fn ticks(low: f64, high: f64, target: usize) -> Vec<f64> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 || target == 0 {
        return Vec::new();
    }
    let step = step(span / target as f64);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// Number of decimals that distinguishes neighbouring ticks.
pub fn decimals_for(ticks: &[f64]) -> usize {
    match ticks {
        [a, b, ..] => (-((b - a).abs().log10() + 1e-9).floor()).clamp(0.0, 9.0) as usize,
        [only] if only.fract() == 0.0 => 0,
        _ => 2,
    }
}

fn step(approximate_step: f64) -> f64 {
    let power = 10f64.powf(approximate_step.log10().floor());
    let factor = match approximate_step / power {
        r if r < 1.5 => 1.0,
        r if r < 3.5 => 2.0,
        r if r < 7.5 => 5.0,
        _ => 10.0,
    };
    factor * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(3690.0, 9100.0, 6), [4000.0, 5000.0, 6000.0, 7000.0, 8000.0, 9000.0]);
        assert_eq!(ticks(0.0, 1.0, 5).len(), 6);
        assert!(ticks(1.0, 1.0, 5).is_empty());
        assert!(ticks(f64::NAN, 1.0, 5).is_empty());
    }

    #[test]
    fn decimals_follow_the_step() {
        assert_eq!(decimals_for(&[0.0, 0.2]), 1);
        assert_eq!(decimals_for(&[0.0, 1000.0]), 0);
        assert_eq!(decimals_for(&[0.0, 0.05]), 2);
        assert_eq!(decimals_for(&[0.0, 1.0]), 0);
    }
}
