//! PyTorch's weights and numbers from `tests/golden`.

use burn::tensor::{Device, Tensor, TensorData};
use specola::model::weights::Tensors;
use specola::read::npy::ArrayFile;

#[cfg(not(target_family = "wasm"))]
pub fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))).expect("the golden file")
}

/// In a browser there are no files: they are in the program.
#[cfg(target_family = "wasm")]
pub fn bytes(name: &str) -> Vec<u8> {
    super::golden_files::FILES
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("no file {name}"))
        .1
        .to_vec()
}

pub fn weights(name: &str) -> Tensors {
    Tensors::parse(&bytes(&format!("{name}.safetensors"))).expect("weights")
}

/// The arrays of one `.npz`.
pub struct Io(Vec<ArrayFile>);

impl Io {
    pub fn new(name: &str) -> Self {
        Self(specola::read::arrays(&bytes(&format!("{name}.npz"))).expect("an npz"))
    }

    fn file(&self, name: &str) -> &ArrayFile {
        self.0.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no array {name}"))
    }

    /// Names of all arrays.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|f| f.name.as_str())
    }

    /// Axes of an array.
    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.file(name).array().expect("an array").shape
    }

    pub fn numbers(&self, name: &str) -> Vec<f64> {
        let array = self.file(name).array().expect("an array");
        array.numbers(0, array.shape.iter().product()).expect("numbers")
    }

    pub fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let shape = self.file(name).array().expect("an array").shape;
        let shape: [usize; D] = shape.try_into().expect("so many axes");
        let values: Vec<f32> = self.numbers(name).iter().map(|v| *v as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    let values: Vec<f32> = tensor.into_data().try_to_vec().expect("numbers");
    values.into_iter().map(f64::from).collect()
}

/// Largest difference.
pub fn distance(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(a, b)| if a.is_nan() { f64::INFINITY } else { (a - b).abs() }).fold(0.0, f64::max)
}

/// The device that is checked.
#[cfg(not(target_family = "wasm"))]
pub fn device() -> Device {
    Device::flex()
}

#[cfg(target_family = "wasm")]
pub use in_browser::{device, near};

/// In a browser the device may be a GPU, whose numbers can only be waited for: comparisons are noted, and made when the
/// check has run.
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
        static NOTED: RefCell<Vec<Comparison>> = const { RefCell::new(Vec::new()) };
    }

    pub fn device() -> Device {
        DEVICE.with_borrow(|device| device.as_ref().map_or_else(Device::flex, |(device, _)| device.clone()))
    }

    /// Runs a check on a device with so many times the usual tolerances, and gives what is further off.
    pub async fn check(check: fn(), device: &Device, slack: f64) -> Vec<String> {
        DEVICE.set(Some((device.clone(), slack)));
        check();
        DEVICE.set(None);
        let mut off = Vec::new();
        for comparison in NOTED.take() {
            off.extend(comparison.await);
        }
        off
    }

    #[track_caller]
    pub fn near<const D: usize>(got: Tensor<D>, want: &[f64], tolerance: f64) {
        let (want, at) = (want.to_vec(), Location::caller());
        let tolerance = tolerance * DEVICE.with_borrow(|device| device.as_ref().map_or(1.0, |(_, slack)| *slack));
        let comparison = async move {
            let got: Vec<f32> = got.into_data_async().await.expect("data").try_to_vec().expect("numbers");
            let got: Vec<f64> = got.into_iter().map(f64::from).collect();
            let distance = distance(&got, &want);
            // Said and not panicked: a panic would end the other checks.
            (distance >= tolerance).then(|| format!("{at}: {distance} away, allowed {tolerance}"))
        };
        NOTED.with_borrow_mut(|noted| noted.push(Box::pin(comparison)));
    }
}

#[cfg(not(target_family = "wasm"))]
#[track_caller]
pub fn near<const D: usize>(got: Tensor<D>, want: &[f64], tolerance: f64) {
    let distance = distance(&values(got), want);
    assert!(distance < tolerance, "{distance} away, allowed {tolerance}");
}
