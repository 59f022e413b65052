//! Standard normal random numbers that are the same on every machine and in every thread.
//!
//! All users of a device share its generator, so its numbers depend on the other work of the device. The median of a
//! posterior must not depend on it.

/// `n` independent draws from N(0, 1): `SplitMix64` and the Box–Muller transform.
pub fn standard_normal(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed;
    // Uniform in (0, 1]: the logarithm needs a positive number.
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 + f64::EPSILON / 2.0
    };
    let pairs = (0..n.div_ceil(2)).flat_map(|_| {
        let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
        [(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]
    });
    pairs.take(n).collect()
}

#[cfg(test)]
mod tests {
    use super::standard_normal;

    /// Each moment agrees within four standard errors, and neighbours are uncorrelated.
    #[test]
    fn moments_and_tails_agree_with_a_normal_distribution() {
        let n = 100_000;
        let z: Vec<f64> = standard_normal(7, n).into_iter().map(f64::from).collect();
        let moment = |k: i32| z.iter().map(|z| z.powi(k)).sum::<f64>() / n as f64;
        let is_near =
            |value: f64, expected: f64, variance: f64| (value - expected).abs() < 4.0 * (variance / n as f64).sqrt();
        assert!(is_near(moment(1), 0.0, 1.0) && is_near(moment(2), 1.0, 2.0));
        assert!(is_near(moment(3), 0.0, 15.0) && is_near(moment(4), 3.0, 96.0));
        let tail_fraction = z.iter().filter(|z| z.abs() > 1.959_964).count() as f64 / n as f64;
        assert!(is_near(tail_fraction, 0.05, 0.05 * 0.95));
        let neighbour_correlation = z.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / n as f64;
        assert!(is_near(neighbour_correlation, 0.0, 1.0));
        assert_eq!(standard_normal(7, 3), standard_normal(7, 4)[..3]);
        assert_ne!(standard_normal(7, 4), standard_normal(8, 4));
    }
}
