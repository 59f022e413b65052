//! Linear correction of each output of a fine-tuned network.
//!
//! A network trained on noisy spectra biases its predictions towards common labels: metal-poor stars come out too
//! metal-rich. A straight line for each label, fitted to the training stars, removes most of this bias. The line is
//! absorbed into the network's output mean and scale, so it adds no part to the model.

use super::dataset::Dataset;
use super::label_smoothing::clipped;
use crate::model::regressor::Regressor;
use crate::stats::mean_and_std;

/// Fewest stars for the fit of a line.
const MIN_STARS: usize = 30;

/// The network with its outputs corrected. `data` are observations of stars with catalogue labels. `predicted` has the
/// network's predictions, one list per row of `data`.
pub fn correct_bias(mut network: Regressor, data: &Dataset, predicted: &[Vec<f64>]) -> Regressor {
    let (stars, predictions) = data.by_star(predicted);
    let row_of: Vec<usize> = stars.iter().filter_map(|star| data.star.iter().position(|s| s == star)).collect();
    for j in 0..data.k {
        let pairs: Vec<(f64, f64)> = row_of
            .iter()
            .zip(&predictions)
            .filter(|(row, _)| data.weights[**row * data.k + j] > 0.0)
            .map(|(row, prediction)| (prediction[j], f64::from(data.targets[row * data.k + j])))
            .collect();
        if pairs.len() < MIN_STARS {
            continue;
        }
        let residuals = clipped(pairs.iter().map(|(prediction, truth)| truth - prediction).collect());
        let (mean_prediction, std_prediction) =
            mean_and_std(&pairs.iter().map(|(prediction, _)| *prediction).collect::<Vec<_>>());
        let (mean_residual, _) = mean_and_std(&residuals);
        let covariance =
            pairs.iter().zip(&residuals).map(|((prediction, _), r)| (prediction - mean_prediction) * r).sum::<f64>();
        let slope = covariance / pairs.len() as f64 / (std_prediction * std_prediction);
        // y + mean_residual + slope (y − mean_prediction), for y = output · scale + mean.
        let (scale, mean) = (f64::from(network.output_scale[j]), f64::from(network.output_mean[j]));
        network.output_scale[j] = (scale * (1.0 + slope)) as f32;
        network.output_mean[j] = (mean + mean_residual + slope * (mean - mean_prediction)) as f32;
    }
    network
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::MlpConfig;
    use crate::preprocess::grid::MODEL_PIXELS;
    use burn::tensor::Device;

    #[test]
    fn biased_predictions_are_corrected() {
        let device = Device::flex();
        let widths = vec![MODEL_PIXELS, 2];
        let network = Regressor {
            mlp: MlpConfig::new(widths.clone()).init(&device),
            widths,
            input_mean: vec![1.0; MODEL_PIXELS],
            input_scale: 1.0,
            output_mean: vec![10.0, 0.0],
            output_scale: vec![2.0, 1.0],
        };
        // Normalised outputs of the network, one per star, and a catalogue whose labels follow y · 1.25 − 3.
        let outputs: Vec<f32> = (0..200).map(|i| (i as f32 - 80.0) / 50.0).collect();
        let mut data = Dataset { k: 2, ..Dataset::default() };
        let mut predicted = Vec::new();
        for (i, output) in outputs.iter().enumerate() {
            let prediction = f64::from(output * 2.0 + 10.0);
            data.star.push(i);
            data.snr.push(100.0);
            // One label is far off.
            let truth = prediction * 1.25 - 3.0 + if i == 100 { 50.0 } else { 0.0 };
            data.targets.extend([truth as f32, 0.0]);
            data.weights.extend([1.0, if i < 5 { 1.0 } else { 0.0 }]);
            predicted.push(vec![prediction, 3.0]);
        }
        let corrected = correct_bias(network, &data, &predicted);
        for output in [-1.5_f32, 0.0, 2.0] {
            let (value, expected) =
                (corrected.in_units(&[output, 0.5])[0], f64::from(output * 2.0 + 10.0) * 1.25 - 3.0);
            assert!((value - expected).abs() < 0.05, "{value} for {expected}");
        }
        assert_eq!(corrected.in_units(&[0.0, 0.5])[1], 0.5, "five stars are too few for a fit");
    }
}
