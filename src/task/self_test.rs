//! Whether a device can be trusted: small fixed computations whose numbers are compared with another device's.
//!
//! Browsers, drivers and shader compilers have made GPUs answer wrongly without a word. What the networks are made of is
//! therefore tried before any answer is taken from one: a matrix product, a softmax, a layer norm, and a training step.

use burn::nn::LayerNormConfig;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};

use super::teach::{Pupil, Teacher};
use crate::model::weights::{Tensors, WeightsError};
use crate::nn::MlpConfig;

/// Largest difference between two devices, relative to the largest number. In single precision they differ by some 1e-6.
pub const TOLERANCE: f32 = 1e-4;

/// Widths of the network that is trained.
const WIDTHS: [usize; 3] = [24, 16, 4];

/// Rows of every input.
const ROWS: usize = 8;

/// Learning rate of the step: AdamW moves every weight by about as much, whatever the gradient's size.
const RATE: f64 = 1e-2;

/// Numbers of one computation, by its name for people.
pub type Numbers = Vec<(&'static str, Vec<f32>)>;

/// `count` numbers between −1 and 1, the same everywhere: a sine at an irrational step, each `seed` at another phase.
pub fn ripple(seed: u32, count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i as f64 * 0.754_877_666 + f64::from(seed) * 1.3).sin()) as f32).collect()
}

/// Computes everything on a device; the text says what it gave no numbers for.
pub async fn compute(device: &Device) -> Result<Numbers, String> {
    let fixed = |seed, rows, columns| {
        Tensor::<2>::from_data(TensorData::new(ripple(seed, rows * columns), [rows, columns]), device)
    };
    let [input, hidden, _] = WIDTHS;
    let product = fixed(1, ROWS, input).matmul(fixed(2, input, hidden));
    let norm = LayerNormConfig::new(hidden).init(device);
    let mut numbers = vec![
        ("a matrix product", read(product.clone()).await),
        ("a softmax", read(softmax(product.clone(), 1)).await),
        ("a layer norm", read(norm.forward(product)).await),
    ];
    let (loss, after) = learn(&device.clone().autodiff()).map_err(|why| why.to_string())?;
    numbers.push(("the loss of a training step", read(loss).await));
    numbers.push(("a training step", read(after).await));
    let read = |(what, numbers): (_, Option<Vec<f32>>)| {
        numbers.map(|numbers| (what, numbers)).ok_or_else(|| format!("it gave no numbers for {what}"))
    };
    numbers.into_iter().map(read).collect()
}

/// One step of training: the loss before it, and what the network says after it.
fn learn(device: &Device) -> Result<(Tensor<1>, Tensor<2>), WeightsError> {
    let mut weights = Tensors::default();
    for (i, w) in WIDTHS.windows(2).enumerate() {
        let key = 2 * i;
        let spread = (w[0] as f32).sqrt();
        let values = ripple(3 + i as u32, w[0] * w[1]).into_iter().map(|v| v / spread).collect();
        weights.insert(&format!("network.{key}.weight"), &[w[1], w[0]], values);
        weights.insert(&format!("network.{key}.bias"), &[w[1]], ripple(5 + i as u32, w[1]));
    }
    let network = MlpConfig::new(WIDTHS.to_vec()).load(&weights, "", device)?;
    let fixed =
        |seed, columns| Tensor::<2>::from_data(TensorData::new(ripple(seed, ROWS * columns), [ROWS, columns]), device);
    let (x, y) = (fixed(7, WIDTHS[0]), fixed(8, WIDTHS[2]));
    let mut teacher = Teacher::new(Pupil::full(network), 1e-4);
    let loss = teacher.step(x.clone(), y, RATE);
    Ok((loss.inner(), teacher.taught().forward(x.inner())))
}

async fn read<const D: usize>(tensor: Tensor<D>) -> Option<Vec<f32>> {
    tensor.into_data_async().await.ok()?.try_to_vec().ok()
}

/// Whether two devices computed the same; if not, the text says what differs and by how much.
pub fn compare(got: &Numbers, want: &Numbers) -> Result<(), String> {
    for ((what, got), (_, want)) in got.iter().zip(want) {
        agree(what, got, want)?;
    }
    if got.len() == want.len() { Ok(()) } else { Err("it left computations out".into()) }
}

/// Whether numbers agree within [`TOLERANCE`] of the largest.
pub fn agree(what: &str, got: &[f32], want: &[f32]) -> Result<(), String> {
    let scale = want.iter().fold(f32::MIN_POSITIVE, |m, w| m.max(w.abs()));
    let off = got.iter().zip(want).map(|(g, w)| if g.is_nan() { f32::INFINITY } else { (g - w).abs() });
    let off = off.fold(0.0, f32::max) / scale;
    if got.len() == want.len() && off <= TOLERANCE {
        return Ok(());
    }
    Err(format!("{what} came out wrong, by {off:.1e} of its size where {TOLERANCE:.0e} is allowed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_agrees_with_itself_and_every_wrong_number_is_found() {
        let want = pollster::block_on(compute(&Device::flex())).expect("numbers");
        assert_eq!(want.len(), 5);
        compare(&want, &want).expect("the same");
        for i in 0..want.len() {
            for wrong in [f32::NAN, want[i].1[0] + 1.0] {
                let mut got = want.clone();
                got[i].1[0] = wrong;
                assert!(compare(&got, &want).expect_err("wrong").contains(want[i].0));
            }
        }
        assert!(compare(&want[..4].to_vec(), &want).is_err());
    }

    #[test]
    fn the_training_step_changes_the_answers() {
        let got = pollster::block_on(compute(&Device::flex())).expect("numbers");
        let device = Device::flex().autodiff();
        let (loss, after) = learn(&device).expect("a step");
        assert!(loss.into_data().try_to_vec::<f32>().expect("a loss")[0] > 0.1);
        assert_eq!(after.dims(), [ROWS, WIDTHS[2]]);
        // A row of a softmax sums to one, a layer norm's has the mean nought.
        let [_, hidden, _] = WIDTHS;
        assert!((got[1].1[..hidden].iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(got[2].1[..hidden].iter().sum::<f32>().abs() < 1e-4);
    }
}
