//! How far two samples of stars are from the same distribution (MODEL_SPEC §4.1).

/// γ of the kernel exp(−γ‖x − y‖²), in raw dex.
const GAMMA: f64 = 2.0;

/// Unbiased MMD² of two samples of ([Fe/H], [α/Fe]); it may be negative. `None` with fewer than two points in either.
pub fn mmd_squared(a: &[[f64; 2]], b: &[[f64; 2]]) -> Option<f64> {
    if a.len() < 2 || b.len() < 2 || a.iter().chain(b).flatten().any(|v| !v.is_finite()) {
        return None;
    }
    let kernel = |p: &[f64; 2], q: &[f64; 2]| (-GAMMA * ((p[0] - q[0]).powi(2) + (p[1] - q[1]).powi(2))).exp();
    let within = |s: &[[f64; 2]]| {
        let sum: f64 = (0..s.len()).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| kernel(&s[i], &s[j])).sum();
        2.0 * sum / (s.len() * (s.len() - 1)) as f64
    };
    let across: f64 = a.iter().flat_map(|p| b.iter().map(move |q| kernel(p, q))).sum();
    Some(within(a) + within(b) - 2.0 * across / (a.len() * b.len()) as f64)
}

#[cfg(test)]
mod tests {
    use super::mmd_squared;

    /// Numbers of a NumPy transcription of the definition.
    #[test]
    fn it_is_numpys() {
        let a = [[-0.5, 0.1], [-1.2, 0.3], [0.1, 0.0], [-2.0, 0.4]];
        let b = [[-0.4, 0.2], [-1.0, 0.25], [0.3, -0.1]];
        assert!((mmd_squared(&a, &b).expect("a number") - -0.31527958890816815).abs() < 1e-12);
        assert!(mmd_squared(&a[..1], &b).is_none());
        assert!(mmd_squared(&[[f64::NAN, 0.0]; 3], &b).is_none());
    }
}
