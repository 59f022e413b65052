//! How far two samples of stars are from the same distribution (MODEL_SPEC §4.1).

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::result::teach::Distance;

/// Most stars of a sample that are compared: the work grows with their square.
const MOST: usize = 300;

/// Permutations that chance is judged by.
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
    let across: f64 = a.iter().flat_map(|p| b.iter().map(move |q| kernel(p, q))).sum();
    Some(within(a) + within(b) - 2.0 * across / (a.len() * b.len()) as f64)
}

/// [`mmd_squared`] of a sample from a reference, and how often chance alone gives as much: both are shuffled together and
/// parted anew, over and over. Of large samples so many are drawn. Points that are not finite are left out.
///
/// The stars of the two count as independent. Where they are the same stars, p errs to the high side.
pub fn distance(sample: &[[f64; 2]], reference: &[[f64; 2]], seed: u64) -> Option<Distance> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut some = |all: &[[f64; 2]]| {
        let mut finite: Vec<[f64; 2]> = all.iter().copied().filter(|p| p.iter().all(|v| v.is_finite())).collect();
        if finite.len() > MOST {
            finite.shuffle(&mut rng);
            finite.truncate(MOST);
        }
        finite
    };
    let (sample, reference) = (some(sample), some(reference));
    let found = mmd_squared(&sample, &reference)?;
    let (n, all) = (sample.len(), [sample, reference].concat());
    let kernels: Vec<Vec<f64>> = all.iter().map(|p| all.iter().map(|q| kernel(p, q)).collect()).collect();
    let mut order: Vec<usize> = (0..all.len()).collect();
    let mut as_far = 0;
    for _ in 0..PERMUTATIONS {
        order.shuffle(&mut rng);
        let (a, b) = order.split_at(n);
        let sum = |rows: &[usize], columns: &[usize]| -> f64 {
            rows.iter().map(|i| columns.iter().map(|j| kernels[*i][*j]).sum::<f64>()).sum()
        };
        // Every point is alike itself, which is none of the sample's likeness.
        let within = |s: &[usize]| (sum(s, s) - s.len() as f64) / (s.len() * (s.len() - 1)) as f64;
        let shuffled = within(a) + within(b) - 2.0 * sum(a, b) / (a.len() * b.len()) as f64;
        as_far += usize::from(shuffled >= found - 1e-12);
    }
    let p_value = (1 + as_far) as f64 / (1 + PERMUTATIONS) as f64;
    Some(Distance { mmd_squared: found, p_value, n })
}

#[cfg(test)]
mod tests {
    use super::{distance, mmd_squared};

    /// Numbers of a NumPy transcription of the definition.
    #[test]
    fn it_is_numpys() {
        let a = [[-0.5, 0.1], [-1.2, 0.3], [0.1, 0.0], [-2.0, 0.4]];
        let b = [[-0.4, 0.2], [-1.0, 0.25], [0.3, -0.1]];
        assert!((mmd_squared(&a, &b).expect("a number") - -0.31527958890816815).abs() < 1e-12);
        assert!(mmd_squared(&a[..1], &b).is_none());
        assert!(mmd_squared(&[[f64::NAN, 0.0]; 3], &b).is_none());
    }

    /// How often chance is as far apart, against all partings of the points counted by NumPy: 31 of 35, 2 of 252, 68 of 252.
    #[test]
    fn chance_is_judged_as_by_all_partings() {
        let a = [[-0.5, 0.1], [-1.2, 0.3], [0.1, 0.0], [-2.0, 0.4]];
        let b = [[-0.4, 0.2], [-1.0, 0.25], [0.3, -0.1]];
        let poor = [[-1.4, 0.4], [-1.6, 0.35], [-1.8, 0.42], [-1.5, 0.3], [-1.9, 0.38]];
        let rich = [[-0.1, 0.05], [0.0, 0.02], [-0.3, 0.1], [0.2, 0.0], [-0.2, 0.12]];
        let both = [rich[0], rich[1], [-1.35, 0.45], [-1.55, 0.4], [-1.75, 0.47]];
        for (sample, reference, mmd_squared, p_value) in [
            (&a[..], &b[..], -0.31527958890816815, 31.0 / 35.0),
            (&poor, &rich, 1.6772013542944997, 2.0 / 252.0),
            (&poor, &both, 0.15555968664996755, 68.0 / 252.0),
        ] {
            let found = distance(sample, reference, 1).expect("a distance");
            assert!((found.mmd_squared - mmd_squared).abs() < 1e-12, "{found:?}");
            assert!((found.p_value - p_value).abs() < 0.06, "{found:?}, {p_value}");
            assert_eq!(found.n, sample.len());
        }
        let many = [[0.0, 0.0]; 1000];
        assert_eq!(distance(&many, &many, 1).map(|d| (d.n, d.p_value)), Some((300, 1.0)));
        assert!(distance(&[[f64::NAN, 0.0]; 5], &rich, 1).is_none());
    }
}
