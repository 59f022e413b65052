//! Catalogue labels, smoothed over like stars.
//!
//! A few hundred stars carry the errors of the catalogues that their labels come from, and a network with two million
//! weights learns those by heart. What a network from synthesis gets wrong, on the other hand, changes slowly from star to
//! star: it can be seen by averaging its residuals over stars of about the same labels. The mean of both, the label that
//! the catalogue gives and the one that the stars around it agree on, is what fine-tuning learns from.

use super::dataset::Dataset;
use crate::preprocess::stats::median;
use crate::task::metrics::mean_and_std;

/// Width of the neighbourhood, in standard deviations of each label over all stars: wide enough for some ten stars.
const BANDWIDTH: f64 = 0.45;

/// How many stars the mean residual of all counts for, where few are near.
const PRIOR_STARS: f64 = 0.3;

/// Part of the catalogue's own label in what is learned from.
const CATALOGUE: f64 = 0.5;

/// Replaces each row's targets by the mean of the catalogue's label and the smoothed one. `predicted` are the labels that
/// the network gives before it is fine-tuned, one list a row.
pub fn smooth_targets(data: &mut Dataset, predicted: &[Vec<f64>]) {
    let k = data.k;
    let (stars, answers) = data.by_star(predicted);
    let place = |star: usize| stars.binary_search(&star).unwrap_or_default();
    let scales: Vec<f64> =
        (0..k).map(|j| mean_and_std(&answers.iter().map(|a| a[j]).collect::<Vec<_>>()).1 * BANDWIDTH).collect();
    let nearness = |a: &[f64], b: &[f64]| {
        let square: f64 = a.iter().zip(b).zip(&scales).map(|((a, b), scale)| ((a - b) / scale).powi(2)).sum();
        (-square / 2.0).exp()
    };
    let mut learned = vec![vec![None; k]; stars.len()];
    for j in 0..k {
        let mut residuals = vec![None; stars.len()];
        for row in (0..data.len()).filter(|row| data.weights[row * k + j] > 0.0) {
            let star = place(data.star[row]);
            residuals[star] = Some(f64::from(data.targets[row * k + j]) - answers[star][j]);
        }
        let known: Vec<(usize, f64)> =
            residuals.iter().enumerate().filter_map(|(star, residual)| Some((star, (*residual)?))).collect();
        let values = clipped(known.iter().map(|(_, residual)| *residual).collect());
        let (mean, _) = mean_and_std(&values);
        for &(star, residual) in &known {
            let (mut sum, mut weight) = (PRIOR_STARS * mean, PRIOR_STARS);
            for ((other, _), value) in known.iter().zip(&values) {
                let near = nearness(&answers[star], &answers[*other]);
                sum += near * value;
                weight += near;
            }
            learned[star][j] = Some(answers[star][j] + CATALOGUE * residual + (1.0 - CATALOGUE) * sum / weight);
        }
    }
    for row in 0..data.len() {
        let star = place(data.star[row]);
        for j in (0..k).filter(|j| data.weights[row * k + j] > 0.0) {
            if let Some(value) = learned[star][j] {
                data.targets[row * k + j] = value as f32;
            }
        }
    }
}

/// Values pulled in to three standard deviations about their median: one wrong label does not move its neighbours.
pub(super) fn clipped(values: Vec<f64>) -> Vec<f64> {
    let centre = median(&mut values.clone()).unwrap_or_default();
    let (_, std) = mean_and_std(&crate::task::metrics::sigma_clip(&values, 3.0, 5));
    values.into_iter().map(|v| v.clamp(centre - 3.0 * std, centre + 3.0 * std)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stars along a line whose network is 0.3 off on one half and right on the other; every label has ±0.1 of noise.
    #[test]
    fn offsets_stay_and_noise_is_halved() {
        let n = 400;
        let truth = |i: usize| i as f64 / n as f64 * 20.0 - 10.0;
        let noise = |i: usize| if (i * 7919).is_multiple_of(2) { 0.1 } else { -0.1 };
        let mut data = Dataset { k: 1, snr: vec![100.0; n], ..Dataset::default() };
        let mut predicted = Vec::new();
        for i in 0..n {
            data.star.push(i);
            data.targets.push((truth(i) + noise(i)) as f32);
            data.weights.push(1.0);
            predicted.push(vec![truth(i) - if i < n / 2 { 0.3 } else { 0.0 }]);
        }
        let before = data.targets.clone();
        smooth_targets(&mut data, &predicted);
        // Away from the step, whose two sides smooth into each other.
        for i in (0..100).chain(300..400) {
            let (was, is) = (f64::from(before[i]) - truth(i), f64::from(data.targets[i]) - truth(i));
            assert!((is - was / 2.0).abs() < 0.02, "star {i}: off by {was:.3} before, {is:.3} after");
        }
    }

    #[test]
    fn labels_that_are_not_known_stay_so() {
        let mut data = Dataset { k: 2, star: vec![0, 1], snr: vec![50.0; 2], ..Dataset::default() };
        data.targets = vec![1.0, 0.0, 2.0, 5.0];
        data.weights = vec![1.0, 0.0, 1.0, 1.0];
        smooth_targets(&mut data, &[vec![1.0, 3.0], vec![2.0, 4.0]]);
        assert_eq!(data.targets[1], 0.0);
        assert_eq!(data.weights, [1.0, 0.0, 1.0, 1.0]);
        assert!((data.targets[3] - 5.0).abs() < 1e-6, "the only star's neighbourhood is itself");
    }
}
