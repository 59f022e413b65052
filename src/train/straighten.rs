//! A straight line through each output of a fine-tuned network.
//!
//! A network that has seen noisy spectra pulls its answers towards what is common: metal-poor stars come out too metal-rich.
//! A line a label, fitted to the stars that it has learned from, takes most of that back. It goes into the network's
//! output scale, so nothing is added to the model.

use super::dataset::Dataset;
use super::smooth::clipped;
use crate::model::regressor::Regressor;
use crate::task::metrics::mean_and_std;

/// Fewest stars to put a line through.
const FEWEST: usize = 30;

/// The network with its outputs straightened. `data` are observations of stars with the catalogue's labels, `predicted` what
/// the network says of them, one list a row.
pub fn straighten(mut network: Regressor, data: &Dataset, predicted: &[Vec<f64>]) -> Regressor {
    let (stars, answers) = data.by_star(predicted);
    let row_of: Vec<usize> = stars.iter().filter_map(|star| data.star.iter().position(|s| s == star)).collect();
    for j in 0..data.k {
        let known: Vec<(f64, f64)> = row_of
            .iter()
            .zip(&answers)
            .filter(|(row, _)| data.weights[**row * data.k + j] > 0.0)
            .map(|(row, answer)| (answer[j], f64::from(data.targets[row * data.k + j])))
            .collect();
        if known.len() < FEWEST {
            continue;
        }
        let residuals = clipped(known.iter().map(|(answer, truth)| truth - answer).collect());
        let (mean_answer, std_answer) = mean_and_std(&known.iter().map(|(answer, _)| *answer).collect::<Vec<_>>());
        let (mean_residual, _) = mean_and_std(&residuals);
        let covariance = known.iter().zip(&residuals).map(|((answer, _), r)| (answer - mean_answer) * r).sum::<f64>();
        let slope = covariance / known.len() as f64 / (std_answer * std_answer);
        // y + mean_residual + slope (y − mean_answer), for y = output · scale + mean.
        let (scale, mean) = (f64::from(network.output_scale[j]), f64::from(network.output_mean[j]));
        network.output_scale[j] = (scale * (1.0 + slope)) as f32;
        network.output_mean[j] = (mean + mean_residual + slope * (mean - mean_answer)) as f32;
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
    fn answers_that_were_pulled_inward_are_put_right() {
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
        // Outputs of the network between its units, one a star, and a catalogue whose labels lie on y · 1.25 − 3.
        let outputs: Vec<f32> = (0..200).map(|i| (i as f32 - 80.0) / 50.0).collect();
        let mut data = Dataset { k: 2, ..Dataset::default() };
        let mut predicted = Vec::new();
        for (i, output) in outputs.iter().enumerate() {
            let answer = f64::from(output * 2.0 + 10.0);
            data.star.push(i);
            data.snr.push(100.0);
            // One label of ten is wrong by far.
            let truth = answer * 1.25 - 3.0 + if i == 100 { 50.0 } else { 0.0 };
            data.targets.extend([truth as f32, 0.0]);
            data.weights.extend([1.0, if i < 5 { 1.0 } else { 0.0 }]);
            predicted.push(vec![answer, 3.0]);
        }
        let straight = straighten(network, &data, &predicted);
        for output in [-1.5_f32, 0.0, 2.0] {
            let (is, should) = (straight.in_units(&[output, 0.5])[0], f64::from(output * 2.0 + 10.0) * 1.25 - 3.0);
            assert!((is - should).abs() < 0.05, "{is} for {should}");
        }
        assert_eq!(straight.in_units(&[0.0, 0.5])[1], 0.5, "five stars tell nothing");
    }
}
