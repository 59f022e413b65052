//! PyTorch's weights and numbers from `tests/golden`.

use burn::tensor::{Device, Tensor, TensorData};
use specola::model::weights::Tensors;
use specola::read::npy::ArrayFile;

pub fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))).expect("the golden file")
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

#[track_caller]
pub fn near<const D: usize>(got: Tensor<D>, want: &[f64], tolerance: f64) {
    let distance = distance(&values(got), want);
    assert!(distance < tolerance, "{distance} away, allowed {tolerance}");
}
