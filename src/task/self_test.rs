//! Self-test of a compute device: small fixed computations compared with another device's results.
//!
//! Browsers, drivers and shader compilers can make a GPU compute wrong numbers without an error. So the operations of
//! the networks are tested before the first prediction: a matrix product, a softmax, a layer norm, and a training step.

use burn::nn::LayerNormConfig;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};

use super::finetune::{TrainStep, TrainableModel};
use crate::nn::MlpConfig;
use crate::nn::weights::{Tensors, WeightsError};

/// Largest difference between two devices, relative to the largest number. In single precision, correct devices differ
/// by some 1e-6.
pub const TOLERANCE: f32 = 1e-4;

/// Widths of the trained network.
const WIDTHS: [usize; 3] = [24, 16, 4];

/// Number of rows of every input.
const ROWS: usize = 8;

/// Learning rate of the step: `AdamW` changes every weight by about this value, whatever the size of the gradient.
const RATE: f64 = 1e-2;

/// Name and results of each computation.
pub type TestResults = Vec<(&'static str, Vec<f32>)>;

/// `count` numbers between −1 and 1, the same on every device: a sine with an irrational step; `seed` sets its phase.
pub fn test_values(seed: u32, count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i as f64 * 0.754_877_666 + f64::from(seed) * 1.3).sin()) as f32).collect()
}

/// Runs all computations on a device. The error names the computation without a result.
pub async fn compute(device: &Device) -> Result<TestResults, String> {
    let fixed = |seed, rows, columns| {
        Tensor::<2>::from_data(TensorData::new(test_values(seed, rows * columns), [rows, columns]), device)
    };
    let [input, hidden, _] = WIDTHS;
    let product = fixed(1, ROWS, input).matmul(fixed(2, input, hidden));
    let norm = LayerNormConfig::new(hidden).init(device);
    let mut results = vec![
        ("a matrix product", read(product.clone()).await),
        ("a softmax", read(softmax(product.clone(), 1)).await),
        ("a layer norm", read(norm.forward(product)).await),
    ];
    let (loss, after) = training_step(&device.clone().autodiff()).map_err(|error| error.to_string())?;
    results.push(("the loss of a training step", read(loss).await));
    results.push(("a training step", read(after).await));
    let read = |(name, results): (_, Option<Vec<f32>>)| {
        results.map(|results| (name, results)).ok_or_else(|| format!("the device returned no data for {name}"))
    };
    results.into_iter().map(read).collect()
}

/// One training step: the loss before it, and the network's output after it.
fn training_step(device: &Device) -> Result<(Tensor<1>, Tensor<2>), WeightsError> {
    let mut weights = Tensors::default();
    for (i, w) in WIDTHS.windows(2).enumerate() {
        let key = 2 * i;
        let spread = (w[0] as f32).sqrt();
        let values = test_values(3 + i as u32, w[0] * w[1]).into_iter().map(|v| v / spread).collect();
        weights.insert(&format!("network.{key}.weight"), &[w[1], w[0]], values);
        weights.insert(&format!("network.{key}.bias"), &[w[1]], test_values(5 + i as u32, w[1]));
    }
    let network = MlpConfig::new(WIDTHS.to_vec()).load(&weights, "", device)?;
    let fixed = |seed, columns| {
        Tensor::<2>::from_data(TensorData::new(test_values(seed, ROWS * columns), [ROWS, columns]), device)
    };
    let (x, y) = (fixed(7, WIDTHS[0]), fixed(8, WIDTHS[2]));
    let mut train_step = TrainStep::new(TrainableModel::full(network), 1e-4);
    let loss = train_step.step(x.clone(), y, RATE);
    Ok((loss.inner(), train_step.trained_model().forward(x.inner())))
}

async fn read<const D: usize>(tensor: Tensor<D>) -> Option<Vec<f32>> {
    tensor.into_data_async().await.ok()?.try_to_vec().ok()
}

/// Compares two devices' results. The error names the first difference and its size.
pub fn compare(got: &TestResults, expected: &TestResults) -> Result<(), String> {
    for ((name, got), (_, expected)) in got.iter().zip(expected) {
        agree(name, got, expected)?;
    }
    if got.len() == expected.len() { Ok(()) } else { Err("some computations are missing".into()) }
}

/// Checks that results agree within [`TOLERANCE`] times the largest expected number. `name` is the name of the
/// computation.
pub fn agree(name: &str, got: &[f32], expected: &[f32]) -> Result<(), String> {
    let scale = expected.iter().fold(f32::MIN_POSITIVE, |m, w| m.max(w.abs()));
    let differences = got.iter().zip(expected).map(|(g, w)| if g.is_nan() { f32::INFINITY } else { (g - w).abs() });
    let relative_difference = differences.fold(0.0, f32::max) / scale;
    if got.len() == expected.len() && relative_difference <= TOLERANCE {
        return Ok(());
    }
    Err(format!("{name} is wrong: relative difference {relative_difference:.1e}, limit {TOLERANCE:.0e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_agrees_with_itself_and_every_wrong_number_is_found() {
        let expected = pollster::block_on(compute(&Device::flex())).expect("numbers");
        assert_eq!(expected.len(), 5);
        compare(&expected, &expected).expect("the same");
        for i in 0..expected.len() {
            for wrong in [f32::NAN, expected[i].1[0] + 1.0] {
                let mut got = expected.clone();
                got[i].1[0] = wrong;
                assert!(compare(&got, &expected).expect_err("wrong").contains(expected[i].0));
            }
        }
        assert!(compare(&expected[..4].to_vec(), &expected).is_err());
    }

    #[test]
    fn training_step_changes_the_output() {
        let got = pollster::block_on(compute(&Device::flex())).expect("numbers");
        let device = Device::flex().autodiff();
        let (loss, after) = training_step(&device).expect("a step");
        assert!(loss.into_data().try_to_vec::<f32>().expect("a loss")[0] > 0.1);
        assert_eq!(after.dims(), [ROWS, WIDTHS[2]]);
        // A row of a softmax sums to one. A row of a layer norm has a mean of zero.
        let [_, hidden, _] = WIDTHS;
        assert!((got[1].1[..hidden].iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(got[2].1[..hidden].iter().sum::<f32>().abs() < 1e-4);
    }
}
