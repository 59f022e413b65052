//! Named arrays in the safetensors format: 16- or 32-bit floats in the file, 32-bit in memory.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use thiserror::Error;

use super::checksum::{self, Damaged};

/// Error of a weights file.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum WeightsError {
    #[error("this is not a safetensors file ({0}); download it again")]
    Container(#[from] safetensors::SafeTensorError),
    #[error(transparent)]
    Damaged(#[from] Damaged),
    #[error("array `{0}` is missing; the weights belong to another network or version")]
    Missing(String),
    #[error(
        "array `{name}` has shape {found:?}, but the network needs {expected:?}; the weights belong to another network or version"
    )]
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("array `{name}` has data type {dtype:?}; supported are F16, BF16, F32, F64 and I64")]
    Type { name: String, dtype: Dtype },
    #[error(
        "array `{name}` contains the invalid or repeated index {index}; indices must be distinct integers from 0 to {end} − 1. The file is damaged"
    )]
    Index { name: String, index: f32, end: usize },
    #[error("array `{0}` could not be read back from the device")]
    Device(String),
    #[error("array `{0}` contains numbers that are not finite; the file is damaged")]
    NotFinite(String),
}

fn first_eight(b: &[u8]) -> [u8; 8] {
    [b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]
}

/// Named arrays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tensors {
    arrays: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Tensors {
    /// Reads a safetensors file; compares it with its checksum, if it has one.
    pub fn parse(bytes: &[u8]) -> Result<Self, WeightsError> {
        checksum::check(bytes)?;
        let file = SafeTensors::deserialize(bytes)?;
        let mut arrays = BTreeMap::new();
        for (name, view) in file.iter() {
            let data = view.data();
            let values: Vec<f32> = match view.dtype() {
                Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
                Dtype::F16 => data.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
                Dtype::BF16 => data.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
                Dtype::F64 => data.chunks_exact(8).map(|b| f64::from_le_bytes(first_eight(b)) as f32).collect(),
                // Feature orders and batch counts: small integers, so the conversion is exact.
                Dtype::I64 => data.chunks_exact(8).map(|b| i64::from_le_bytes(first_eight(b)) as f32).collect(),
                dtype => return Err(WeightsError::Type { name: name.into(), dtype }),
            };
            if values.iter().any(|v| !v.is_finite()) {
                return Err(WeightsError::NotFinite(name.into()));
            }
            arrays.insert(name.to_string(), (view.shape().to_vec(), values));
        }
        Ok(Self { arrays })
    }

    /// The contents of a safetensors file with all arrays as 16-bit floats.
    pub fn to_f16_file(&self) -> Result<Vec<u8>, WeightsError> {
        let halves: Vec<(&String, &[usize], Vec<u8>)> = self
            .arrays
            .iter()
            .map(|(name, (shape, values))| {
                (name, shape.as_slice(), values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect())
            })
            .collect();
        let views: Result<Vec<_>, _> = halves
            .iter()
            .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F16, shape.to_vec(), bytes)?)))
            .collect();
        Ok(safetensors::serialize(views.map_err(WeightsError::Container)?, None)?)
    }

    /// An entry of a safetensors file's metadata; `None` if it is absent.
    pub fn metadata(bytes: &[u8], key: &str) -> Result<Option<String>, WeightsError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        Ok(header.metadata().as_ref().and_then(|entries| entries.get(key)).cloned())
    }

    /// The contents of a safetensors file with all arrays as 32-bit floats and a checksum.
    pub fn to_f32_file(&self) -> Result<Vec<u8>, WeightsError> {
        self.to_f32_file_with(&[])
    }

    /// The contents of a safetensors file with all arrays as 32-bit floats, with these metadata entries and a checksum.
    pub fn to_f32_file_with(&self, metadata: &[(&str, &str)]) -> Result<Vec<u8>, WeightsError> {
        let floats: Vec<(&String, &[usize], Vec<u8>)> = self
            .arrays
            .iter()
            .map(|(name, (shape, values))| {
                (name, shape.as_slice(), values.iter().flat_map(|v| v.to_le_bytes()).collect())
            })
            .collect();
        let views: Result<Vec<_>, _> = floats
            .iter()
            .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.to_vec(), bytes)?)))
            .collect();
        Ok(checksum::serialize(views.map_err(WeightsError::Container)?, metadata)?)
    }

    /// Values of an array, which must have this shape.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<&[f32], WeightsError> {
        let (found, values) = self.arrays.get(name).ok_or_else(|| WeightsError::Missing(name.into()))?;
        if found != shape {
            let (name, found, expected) = (name.into(), found.clone(), shape.to_vec());
            return Err(WeightsError::Shape { name, found, expected });
        }
        Ok(values)
    }

    /// Names of all arrays in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// Shape of an array.
    pub fn shape(&self, name: &str) -> Result<&[usize], WeightsError> {
        Ok(&self.arrays.get(name).ok_or_else(|| WeightsError::Missing(name.into()))?.0)
    }

    /// Adds an array.
    pub fn insert(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        self.arrays.insert(name.into(), (shape.to_vec(), values));
    }

    /// Adds the values of a tensor. Reading them back blocks.
    pub fn insert_tensor<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> Result<(), WeightsError> {
        let shape: Vec<usize> = tensor.dims().to_vec();
        let values = tensor.into_data().try_to_vec::<f32>().map_err(|_| WeightsError::Device(name.into()))?;
        self.insert(name, &shape, values);
        Ok(())
    }

    /// Element-wise mean of several sets with the same arrays; `None` for an empty list.
    pub fn mean(sets: &[Self]) -> Option<Self> {
        let mut mean = sets.first()?.clone();
        let n = sets.len() as f32;
        for (name, (_, values)) in &mut mean.arrays {
            for (i, value) in values.iter_mut().enumerate() {
                *value = sets.iter().filter_map(|s| s.arrays.get(name)?.1.get(i)).sum::<f32>() / n;
            }
        }
        Some(mean)
    }
}
