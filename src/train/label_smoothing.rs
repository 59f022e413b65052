//! Smoothing of catalogue labels over stars with similar labels.
//!
//! A few hundred stars carry the errors of their source catalogues, and a network with two million weights memorises
//! these errors. The error of a network trained on synthetic spectra, in contrast, varies slowly with the labels. The
//! mean residual over stars of similar labels measures it. Fine-tuning therefore uses the mean of the catalogue's label
//! and the smoothed label.

use super::dataset::Dataset;
use crate::stats::mean_and_std;
use crate::stats::median;

/// Width of the neighbourhood, in standard deviations of each label over all stars. It contains about ten stars.
const BANDWIDTH: f64 = 0.45;

/// Weight of the mean residual of all stars, in stars. It matters where few stars are near.
const PRIOR_STARS: f64 = 0.3;

/// Fraction of the catalogue's own label in the target.
const CATALOGUE_WEIGHT: f64 = 0.5;

/// Replaces each row's targets by the mean of the catalogue's label and the smoothed label. `predicted` has the
/// predictions of the network before fine-tuning, one list per row.
pub fn smooth_targets(data: &mut Dataset, predicted: &[Vec<f64>]) {
    let k = data.k;
    let (stars, predictions) = data.by_star(predicted);
    let star_row = |star: usize| stars.binary_search(&star).unwrap_or_default();
    let scales: Vec<f64> =
        (0..k).map(|j| mean_and_std(&predictions.iter().map(|a| a[j]).collect::<Vec<_>>()).1 * BANDWIDTH).collect();
    let kernel = |a: &[f64], b: &[f64]| {
        let square: f64 = a.iter().zip(b).zip(&scales).map(|((a, b), scale)| ((a - b) / scale).powi(2)).sum();
        (-square / 2.0).exp()
    };
    let mut smoothed = vec![vec![None; k]; stars.len()];
    for j in 0..k {
        let mut residuals = vec![None; stars.len()];
        for row in (0..data.len()).filter(|row| data.weights[row * k + j] > 0.0) {
            let star = star_row(data.star[row]);
            residuals[star] = Some(f64::from(data.targets[row * k + j]) - predictions[star][j]);
        }
        let star_residuals: Vec<(usize, f64)> =
            residuals.iter().enumerate().filter_map(|(star, residual)| Some((star, (*residual)?))).collect();
        let values = clipped(star_residuals.iter().map(|(_, residual)| *residual).collect());
        let (mean, _) = mean_and_std(&values);
        for &(star, residual) in &star_residuals {
            let (mut sum, mut weight) = (PRIOR_STARS * mean, PRIOR_STARS);
            for ((other, _), value) in star_residuals.iter().zip(&values) {
                let kernel_weight = kernel(&predictions[star], &predictions[*other]);
                sum += kernel_weight * value;
                weight += kernel_weight;
            }
            smoothed[star][j] =
                Some(predictions[star][j] + CATALOGUE_WEIGHT * residual + (1.0 - CATALOGUE_WEIGHT) * sum / weight);
        }
    }
    for row in 0..data.len() {
        let star = star_row(data.star[row]);
        for j in (0..k).filter(|j| data.weights[row * k + j] > 0.0) {
            if let Some(value) = smoothed[star][j] {
                data.targets[row * k + j] = value as f32;
            }
        }
    }
}

/// Values clipped to three standard deviations about their median, so that one wrong label does not affect its
/// neighbours.
pub(super) fn clipped(values: Vec<f64>) -> Vec<f64> {
    let centre = median(&mut values.clone()).unwrap_or_default();
    let (_, std) = mean_and_std(&crate::stats::sigma_clip(&values, 3.0, 5));
    values.into_iter().map(|v| v.clamp(centre - 3.0 * std, centre + 3.0 * std)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stars along a line. The network is 0.3 too low on one half and exact on the other; every label has noise of
    /// ±0.1.
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
        // The test avoids the step, where both sides smooth into each other.
        for i in (0..100).chain(300..400) {
            let (error_before, error_after) = (f64::from(before[i]) - truth(i), f64::from(data.targets[i]) - truth(i));
            assert!(
                (error_after - error_before / 2.0).abs() < 0.02,
                "star {i}: off by {error_before:.3} before, {error_after:.3} after"
            );
        }
    }

    #[test]
    fn unknown_labels_stay_unknown() {
        let mut data = Dataset { k: 2, star: vec![0, 1], snr: vec![50.0; 2], ..Dataset::default() };
        data.targets = vec![1.0, 0.0, 2.0, 5.0];
        data.weights = vec![1.0, 0.0, 1.0, 1.0];
        smooth_targets(&mut data, &[vec![1.0, 3.0], vec![2.0, 4.0]]);
        assert_eq!(data.targets[1], 0.0);
        assert_eq!(data.weights, [1.0, 0.0, 1.0, 1.0]);
        assert!((data.targets[3] - 5.0).abs() < 1e-6, "the only star's neighbourhood is itself");
    }
}
