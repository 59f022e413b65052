//! Maximum mean discrepancy (MMD) between two samples of stars (docs/model-spec.md §4.1).

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::result::finetune::Distance;

/// Largest number of compared stars of a sample: the cost grows with its square.
const MAX_STARS: usize = 300;

/// Permutations for the p-value.
const PERMUTATIONS: usize = 499;

/// γ of the kernel exp(−γ‖x − y‖²), in raw dex.
const GAMMA: f64 = 2.0;

fn kernel(p: &[f64; 2], q: &[f64; 2]) -> f64 {
    (-GAMMA * ((p[0] - q[0]).powi(2) + (p[1] - q[1]).powi(2))).exp()
}

/// Unbiased MMD² of two samples of ([Fe/H], [α/Fe]); it may be negative. `None` with fewer than two points in either.
pub fn mmd_squared(a: &[[f64; 2]], b: &[[f64; 2]]) -> Option<f64> {
    if a.len() < 2 || b.len() < 2 || a.iter().chain(b).flatten().any(|v| !v.is_finite()) {
        return None;
    }
    let within = |s: &[[f64; 2]]| {
        let sum: f64 = (0..s.len()).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| kernel(&s[i], &s[j])).sum();
        2.0 * sum / (s.len() * (s.len() - 1)) as f64
    };
    let between: f64 = a.iter().flat_map(|p| b.iter().map(move |q| kernel(p, q))).sum();
    Some(within(a) + within(b) - 2.0 * between / (a.len() * b.len()) as f64)
}

/// [`mmd_squared`] between a sample and a reference, with the p-value of a permutation test. Larger samples are thinned
/// to 300 stars at random. Points that are not finite are left out.
///
/// The test assumes independent stars. Where both samples hold the same stars, p is too high.
pub fn distance(sample: &[[f64; 2]], reference: &[[f64; 2]], seed: u64) -> Option<Distance> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut subsample = |all: &[[f64; 2]]| {
        let mut finite: Vec<[f64; 2]> = all.iter().copied().filter(|p| p.iter().all(|v| v.is_finite())).collect();
        if finite.len() > MAX_STARS {
            finite.shuffle(&mut rng);
            finite.truncate(MAX_STARS);
        }
        finite
    };
    let (sample, reference) = (subsample(sample), subsample(reference));
    let observed = mmd_squared(&sample, &reference)?;
    let (n, all) = (sample.len(), [sample, reference].concat());
    let kernels: Vec<Vec<f64>> = all.iter().map(|p| all.iter().map(|q| kernel(p, q)).collect()).collect();
    let mut order: Vec<usize> = (0..all.len()).collect();
    let mut n_at_least_as_large = 0;
    for _ in 0..PERMUTATIONS {
        order.shuffle(&mut rng);
        let (a, b) = order.split_at(n);
        let sum = |rows: &[usize], columns: &[usize]| -> f64 {
            rows.iter().map(|i| columns.iter().map(|j| kernels[*i][*j]).sum::<f64>()).sum()
        };
        // The unbiased estimate leaves out the kernel of each point with itself.
        let within = |s: &[usize]| (sum(s, s) - s.len() as f64) / (s.len() * (s.len() - 1)) as f64;
        let permuted = within(a) + within(b) - 2.0 * sum(a, b) / (a.len() * b.len()) as f64;
        n_at_least_as_large += usize::from(permuted >= observed - 1e-12);
    }
    let p_value = (1 + n_at_least_as_large) as f64 / (1 + PERMUTATIONS) as f64;
    Some(Distance { mmd_squared: observed, p_value, n })
}

#[cfg(test)]
mod tests {
    use super::{distance, mmd_squared};

    /// Reference value from a `NumPy` transcription of the definition.
    #[test]
    fn mmd_matches_numpy() {
        let a = [[-0.5, 0.1], [-1.2, 0.3], [0.1, 0.0], [-2.0, 0.4]];
        let b = [[-0.4, 0.2], [-1.0, 0.25], [0.3, -0.1]];
        assert!((mmd_squared(&a, &b).expect("a number") - -0.31527958890816815).abs() < 1e-12);
        assert!(mmd_squared(&a[..1], &b).is_none());
        assert!(mmd_squared(&[[f64::NAN, 0.0]; 3], &b).is_none());
    }

    /// The p-value is near the fraction of all permutations with at least this distance. `NumPy` counts 31 of 35, 2 of
    /// 252 and 68 of 252.
    #[test]
    fn p_value_matches_all_permutations() {
        let a = [[-0.5, 0.1], [-1.2, 0.3], [0.1, 0.0], [-2.0, 0.4]];
        let b = [[-0.4, 0.2], [-1.0, 0.25], [0.3, -0.1]];
        let poor = [[-1.4, 0.4], [-1.6, 0.35], [-1.8, 0.42], [-1.5, 0.3], [-1.9, 0.38]];
        let rich = [[-0.1, 0.05], [0.0, 0.02], [-0.3, 0.1], [0.2, 0.0], [-0.2, 0.12]];
        let mixed = [rich[0], rich[1], [-1.35, 0.45], [-1.55, 0.4], [-1.75, 0.47]];
        for (sample, reference, mmd_squared, p_value) in [
            (&a[..], &b[..], -0.31527958890816815, 31.0 / 35.0),
            (&poor, &rich, 1.6772013542944997, 2.0 / 252.0),
            (&poor, &mixed, 0.15555968664996755, 68.0 / 252.0),
        ] {
            let result = distance(sample, reference, 1).expect("a distance");
            assert!((result.mmd_squared - mmd_squared).abs() < 1e-12, "{result:?}");
            assert!((result.p_value - p_value).abs() < 0.06, "{result:?}, {p_value}");
            assert_eq!(result.n, sample.len());
        }
        let many = [[0.0, 0.0]; 1000];
        assert_eq!(distance(&many, &many, 1).map(|d| (d.n, d.p_value)), Some((300, 1.0)));
        assert!(distance(&[[f64::NAN, 0.0]; 5], &rich, 1).is_none());
    }
}
