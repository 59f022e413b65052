//! Reference weights and outputs of `PyTorch` from `tests/golden`.

use burn::tensor::{Device, Tensor, TensorData};
use specola::nn::weights::Tensors;
use specola::read::npy::ArrayFile;

#[cfg(not(target_family = "wasm"))]
pub(crate) fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))).expect("the golden file")
}

/// A browser has no files. The program includes them.
#[cfg(target_family = "wasm")]
pub fn bytes(name: &str) -> Vec<u8> {
    super::golden_files::FILES
        .iter()
        .find(|(file, _)| *file == name)
        .unwrap_or_else(|| panic!("no file {name}"))
        .1
        .to_vec()
}

pub(crate) fn weights(name: &str) -> Tensors {
    Tensors::parse(&bytes(&format!("{name}.safetensors"))).expect("weights")
}

/// The arrays of one `.npz`.
pub(crate) struct Io(Vec<ArrayFile>);

impl Io {
    pub(crate) fn new(name: &str) -> Self {
        Self(specola::read::arrays(&bytes(&format!("{name}.npz"))).expect("an npz"))
    }

    fn file(&self, name: &str) -> &ArrayFile {
        self.0.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no array {name}"))
    }

    /// Names of all arrays.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|f| f.name.as_str())
    }

    /// Shape of an array.
    pub(crate) fn shape(&self, name: &str) -> Vec<usize> {
        self.file(name).array().expect("an array").shape
    }

    pub(crate) fn numbers(&self, name: &str) -> Vec<f64> {
        let array = self.file(name).array().expect("an array");
        array.numbers(0, array.shape.iter().product()).expect("numbers")
    }

    pub(crate) fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let shape = self.file(name).array().expect("an array").shape;
        let shape: [usize; D] = shape.try_into().expect("D axes");
        let values: Vec<f32> = self.numbers(name).iter().map(|v| *v as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    let values: Vec<f32> = tensor.into_data().try_to_vec().expect("numbers");
    values.into_iter().map(f64::from).collect()
}

/// Largest absolute difference; infinite if a number is NaN.
pub(crate) fn distance(got: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    got.iter().zip(expected).map(|(a, b)| if a.is_nan() { f64::INFINITY } else { (a - b).abs() }).fold(0.0, f64::max)
}

/// The device under test.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn device() -> Device {
    Device::flex()
}

#[cfg(target_family = "wasm")]
pub use in_browser::{assert_near, device};

/// Comparisons in a browser. The results of a GPU must be awaited there, so that comparisons are stored during a check
/// and evaluated afterwards.
#[cfg(target_family = "wasm")]
pub mod in_browser {
    use std::cell::RefCell;
    use std::panic::Location;
    use std::pin::Pin;

    use burn::tensor::{Device, Tensor};

    use super::distance;

    type Comparison = Pin<Box<dyn Future<Output = Option<String>>>>;

    thread_local! {
        static DEVICE: RefCell<Option<(Device, f64)>> = const { RefCell::new(None) };
        static COMPARISONS: RefCell<Vec<Comparison>> = const { RefCell::new(Vec::new()) };
    }

    pub fn device() -> Device {
        DEVICE.with_borrow(|device| device.as_ref().map_or_else(Device::flex, |(device, _)| device.clone()))
    }

    /// Runs a check on a device with the tolerances multiplied by `slack`. Returns the texts of failed comparisons.
    pub async fn check(check: fn(), device: &Device, slack: f64) -> Vec<String> {
        DEVICE.set(Some((device.clone(), slack)));
        check();
        DEVICE.set(None);
        let mut failures = Vec::new();
        for comparison in COMPARISONS.take() {
            failures.extend(comparison.await);
        }
        failures
    }

    #[track_caller]
    pub fn assert_near<const D: usize>(got: Tensor<D>, expected: &[f64], tolerance: f64) {
        let (expected, location) = (expected.to_vec(), Location::caller());
        let tolerance = tolerance * DEVICE.with_borrow(|device| device.as_ref().map_or(1.0, |(_, slack)| *slack));
        let comparison = async move {
            let got: Vec<f32> = got.into_data_async().await.expect("data").try_to_vec().expect("numbers");
            let got: Vec<f64> = got.into_iter().map(f64::from).collect();
            let distance = distance(&got, &expected);
            // No panic: it would end the other checks.
            (distance >= tolerance).then(|| format!("{location}: {distance} away, allowed {tolerance}"))
        };
        COMPARISONS.with_borrow_mut(|comparisons| comparisons.push(Box::pin(comparison)));
    }
}

#[cfg(not(target_family = "wasm"))]
#[track_caller]
pub(crate) fn assert_near<const D: usize>(got: Tensor<D>, expected: &[f64], tolerance: f64) {
    let distance = distance(&values(got), expected);
    assert!(distance < tolerance, "{distance} away, allowed {tolerance}");
}
