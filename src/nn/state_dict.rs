//! State dictionaries: conversion between the parameters of modules and named arrays in `PyTorch`'s layout.
//!
//! Each network lists the names of its parameters once. Loading, storing, the expected shapes of a checkpoint and the
//! parameter count all use this list.

use burn::module::{Module, Param, RunningState};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor, TensorData};

use crate::nn::weights::{Tensors, WeightsError};

/// Name and shape of one array of a network, which a checkpoint must contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArraySpec {
    /// Key in the checkpoint.
    pub name: String,
    /// Shape in `PyTorch`'s layout.
    pub shape: Vec<usize>,
    /// Training changes a parameter but not a buffer (running statistics, masks).
    pub is_parameter: bool,
}

/// Operation on all arrays of a network.
#[derive(Debug)]
pub enum Transfer<'a> {
    /// Replaces the network's arrays; shapes must agree.
    Load(&'a Tensors, &'a Device),
    /// Adds the network's arrays to the list. Reading them back blocks, so WebGPU cannot do it.
    Store(&'a mut Tensors),
    /// Lists names and shapes without reading an array.
    List(&'a mut Vec<ArraySpec>),
    /// Collects the parameters on their device, without reading them back.
    Collect(&'a mut Vec<DeviceParameter>),
}

/// A parameter on its device, in `PyTorch`'s layout.
#[derive(Debug)]
pub struct DeviceParameter {
    name: String,
    shape: Vec<usize>,
    values: Tensor<1>,
}

/// A network with named arrays.
pub trait StateDict: Module {
    /// Applies `transfer` to all arrays under `prefix` (empty, or ending in a dot).
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError>;

    /// This network with the arrays of `tensors` under `prefix`.
    fn load(mut self, tensors: &Tensors, prefix: &str, device: &Device) -> Result<Self, WeightsError> {
        self.exchange(prefix, &mut Transfer::Load(tensors, device))?;
        Ok(self)
    }

    /// Adds all arrays to `tensors` under `prefix`.
    fn store(&self, tensors: &mut Tensors, prefix: &str) -> Result<(), WeightsError> {
        self.clone().exchange(prefix, &mut Transfer::Store(tensors))
    }

    /// Names and shapes of all arrays under `prefix`.
    fn array_specs(&self, prefix: &str) -> Vec<ArraySpec> {
        let mut specs = Vec::new();
        // Listing reads no array, so nothing can be missing.
        let _ = self.clone().exchange(prefix, &mut Transfer::List(&mut specs));
        specs
    }
}

/// All parameters of a network under `prefix`, without buffers.
///
/// Reads them back asynchronously, since WebGPU does not allow a blocking read.
pub async fn parameters<N: StateDict>(network: &N, prefix: &str) -> Result<Tensors, WeightsError> {
    let mut collected = Vec::new();
    network.clone().exchange(prefix, &mut Transfer::Collect(&mut collected))?;
    let mut tensors = Tensors::default();
    for DeviceParameter { name, shape, values } in collected {
        let data = values.into_data_async().await.ok().and_then(|data| data.try_to_vec::<f32>().ok());
        let Some(values) = data else { return Err(WeightsError::Device(name)) };
        tensors.insert(&name, &shape, values);
    }
    Ok(tensors)
}

/// Number of trainable values in a list of arrays.
pub fn count_parameters(specs: &[ArraySpec]) -> usize {
    specs.iter().filter(|spec| spec.is_parameter).map(|spec| spec.shape.iter().product::<usize>()).sum()
}

/// Transfers a parameter with the same layout in `PyTorch` and burn.
pub(crate) fn parameter<const D: usize>(
    value: &mut Param<Tensor<D>>,
    name: &str,
    transfer: &mut Transfer<'_>,
) -> Result<(), WeightsError> {
    match transfer {
        Transfer::Load(tensors, device) => {
            let shape: [usize; D] = value.lazy_shape().dims();
            let data = TensorData::new(tensors.get(name, &shape)?.to_vec(), shape);
            *value = Param::from_tensor(Tensor::from_data(data, *device));
        }
        Transfer::Store(tensors) => tensors.insert_tensor(name, value.val())?,
        Transfer::List(specs) => {
            specs.push(ArraySpec { name: name.into(), shape: value.lazy_shape().to_vec(), is_parameter: true });
        }
        Transfer::Collect(collected) => {
            let values = value.val();
            collected.push(DeviceParameter {
                name: name.into(),
                shape: values.dims().to_vec(),
                values: values.flatten(0, D - 1),
            });
        }
    }
    Ok(())
}

/// Transfers a weight matrix: (out, in) in `PyTorch`, (in, out) in burn.
pub(crate) fn transposed(
    value: &mut Param<Tensor<2>>,
    name: &str,
    transfer: &mut Transfer<'_>,
) -> Result<(), WeightsError> {
    let [input, output] = value.lazy_shape().dims();
    match transfer {
        Transfer::Load(tensors, device) => {
            let stored = tensors.get(name, &[output, input])?;
            let values = (0..input * output).map(|k| stored[k % output * input + k / output]).collect::<Vec<f32>>();
            *value = Param::from_tensor(Tensor::from_data(TensorData::new(values, [input, output]), *device));
        }
        Transfer::Store(tensors) => tensors.insert_tensor(name, value.val().transpose())?,
        Transfer::List(specs) => {
            specs.push(ArraySpec { name: name.into(), shape: vec![output, input], is_parameter: true });
        }
        Transfer::Collect(collected) => {
            let values = value.val().transpose().reshape([input * output]);
            collected.push(DeviceParameter { name: name.into(), shape: vec![output, input], values });
        }
    }
    Ok(())
}

/// Transfers a buffer, which is not trained.
pub(crate) fn buffer<const D: usize>(
    value: &mut Tensor<D>,
    name: &str,
    transfer: &mut Transfer<'_>,
) -> Result<(), WeightsError> {
    let shape = value.dims();
    match transfer {
        Transfer::Load(tensors, device) => {
            *value = Tensor::from_data(TensorData::new(tensors.get(name, &shape)?.to_vec(), shape), *device);
        }
        Transfer::Store(tensors) => tensors.insert_tensor(name, value.clone())?,
        Transfer::List(specs) => {
            specs.push(ArraySpec { name: name.into(), shape: shape.to_vec(), is_parameter: false });
        }
        Transfer::Collect(_) => {}
    }
    Ok(())
}

/// Transfers running statistics.
pub(crate) fn running_statistics(
    value: &mut RunningState<Tensor<1>>,
    name: &str,
    transfer: &mut Transfer<'_>,
) -> Result<(), WeightsError> {
    let mut tensor = value.value();
    buffer(&mut tensor, name, transfer)?;
    if matches!(transfer, Transfer::Load(..)) {
        *value = RunningState::new(tensor);
    }
    Ok(())
}

/// Transfers feature indices: distinct and each below `end`.
pub(crate) fn indices(
    value: &mut [usize],
    end: usize,
    name: &str,
    transfer: &mut Transfer<'_>,
) -> Result<(), WeightsError> {
    match transfer {
        Transfer::Load(tensors, _) => {
            let stored = tensors.get(name, &[value.len()])?;
            let mut used = vec![false; end];
            for (value, &index) in value.iter_mut().zip(stored) {
                let is_valid = index >= 0.0 && index.fract() == 0.0 && (index as usize) < end;
                if !is_valid || std::mem::replace(&mut used[index as usize], true) {
                    return Err(WeightsError::Index { name: name.into(), index, end });
                }
                *value = index as usize;
            }
        }
        Transfer::Store(tensors) => {
            tensors.insert(name, &[value.len()], value.iter().map(|i| *i as f32).collect());
        }
        Transfer::List(specs) => {
            specs.push(ArraySpec { name: name.into(), shape: vec![value.len()], is_parameter: false });
        }
        Transfer::Collect(_) => {}
    }
    Ok(())
}

impl StateDict for Linear {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        transposed(&mut self.weight, &format!("{prefix}weight"), transfer)?;
        match &mut self.bias {
            Some(bias) => parameter(bias, &format!("{prefix}bias"), transfer),
            None => Ok(()),
        }
    }
}

impl StateDict for LayerNorm {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        parameter(&mut self.gamma, &format!("{prefix}weight"), transfer)?;
        match &mut self.beta {
            Some(beta) => parameter(beta, &format!("{prefix}bias"), transfer),
            None => Ok(()),
        }
    }
}
