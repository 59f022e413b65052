//! One key map for both directions: parameters between modules and named arrays in PyTorch's layout.
//!
//! Each network says once which of its parameters has which name. From that one list come loading, storing, the
//! expected shapes of a checkpoint and the count of parameters.

use burn::module::{Module, Param, RunningState};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor, TensorData};

use crate::model::weights::{Tensors, WeightsError};

/// One array of a network: what a checkpoint must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its key.
    pub name: String,
    /// Its shape in PyTorch's layout.
    pub shape: Vec<usize>,
    /// A parameter is trained, a buffer (running statistics, masks) is not.
    pub is_parameter: bool,
}

/// What a walk over a network's arrays does.
#[derive(Debug)]
pub enum Transfer<'a> {
    /// Replaces the network's arrays by these; shapes must agree.
    Load(&'a Tensors, &'a Device),
    /// Adds the network's arrays; reading them back blocks, so not on WebGPU.
    Store(&'a mut Tensors),
    /// Lists the arrays without touching them.
    List(&'a mut Vec<Slot>),
    /// Holds the parameters without reading them back.
    Hold(&'a mut Vec<Held>),
}

/// A parameter still on its device, in PyTorch's layout.
#[derive(Debug)]
pub struct Held {
    name: String,
    shape: Vec<usize>,
    values: Tensor<1>,
}

/// A network whose arrays have names.
pub trait Keyed: Module {
    /// Walks over all arrays under `prefix` (empty, or ending in a dot).
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError>;

    /// This network with the arrays under `prefix`.
    fn loaded(mut self, tensors: &Tensors, prefix: &str, device: &Device) -> Result<Self, WeightsError> {
        self.exchange(prefix, &mut Transfer::Load(tensors, device))?;
        Ok(self)
    }

    /// Adds all arrays to `tensors` under `prefix`.
    fn store(&self, tensors: &mut Tensors, prefix: &str) -> Result<(), WeightsError> {
        self.clone().exchange(prefix, &mut Transfer::Store(tensors))
    }

    /// Names and shapes of all arrays under `prefix`.
    fn slots(&self, prefix: &str) -> Vec<Slot> {
        let mut slots = Vec::new();
        // Listing reads no array, so nothing can be missing.
        let _ = self.clone().exchange(prefix, &mut Transfer::List(&mut slots));
        slots
    }
}

/// All parameters of a network under `prefix`, read back without blocking, which WebGPU does not allow. Buffers are left out.
pub async fn parameters<N: Keyed>(network: &N, prefix: &str) -> Result<Tensors, WeightsError> {
    let mut held = Vec::new();
    network.clone().exchange(prefix, &mut Transfer::Hold(&mut held))?;
    let mut tensors = Tensors::default();
    for Held { name, shape, values } in held {
        let data = values.into_data_async().await.ok().and_then(|data| data.try_to_vec::<f32>().ok());
        let Some(values) = data else { return Err(WeightsError::Device(name)) };
        tensors.insert(&name, &shape, values);
    }
    Ok(tensors)
}

/// Number of trained values in a list of arrays.
pub fn count_parameters(slots: &[Slot]) -> usize {
    slots.iter().filter(|s| s.is_parameter).map(|s| s.shape.iter().product::<usize>()).sum()
}

/// A trained array that has the same layout here and there.
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
        Transfer::List(slots) => {
            slots.push(Slot { name: name.into(), shape: value.lazy_shape().to_vec(), is_parameter: true });
        }
        Transfer::Hold(held) => {
            let values = value.val();
            held.push(Held { name: name.into(), shape: values.dims().to_vec(), values: values.flatten(0, D - 1) });
        }
    }
    Ok(())
}

/// A trained matrix, (out, in) in PyTorch and (in, out) in burn.
pub(crate) fn turned(
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
        Transfer::List(slots) => {
            slots.push(Slot { name: name.into(), shape: vec![output, input], is_parameter: true });
        }
        Transfer::Hold(held) => {
            let values = value.val().transpose().reshape([input * output]);
            held.push(Held { name: name.into(), shape: vec![output, input], values });
        }
    }
    Ok(())
}

/// An array that is not trained.
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
        Transfer::List(slots) => {
            slots.push(Slot { name: name.into(), shape: shape.to_vec(), is_parameter: false });
        }
        Transfer::Hold(_) => {}
    }
    Ok(())
}

/// Running statistics.
pub(crate) fn running(
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

/// Indices of features, each below `end`.
pub(crate) fn indices(
    value: &mut [usize],
    end: usize,
    name: &str,
    transfer: &mut Transfer<'_>,
) -> Result<(), WeightsError> {
    match transfer {
        Transfer::Load(tensors, _) => {
            let stored = tensors.get(name, &[value.len()])?;
            let mut seen = vec![false; end];
            for (value, &index) in value.iter_mut().zip(stored) {
                let fits = index >= 0.0 && index.fract() == 0.0 && (index as usize) < end;
                if !fits || std::mem::replace(&mut seen[index as usize], true) {
                    return Err(WeightsError::Index { name: name.into(), index, end });
                }
                *value = index as usize;
            }
        }
        Transfer::Store(tensors) => {
            tensors.insert(name, &[value.len()], value.iter().map(|i| *i as f32).collect());
        }
        Transfer::List(slots) => {
            slots.push(Slot { name: name.into(), shape: vec![value.len()], is_parameter: false });
        }
        Transfer::Hold(_) => {}
    }
    Ok(())
}

impl Keyed for Linear {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        turned(&mut self.weight, &format!("{prefix}weight"), transfer)?;
        match &mut self.bias {
            Some(bias) => parameter(bias, &format!("{prefix}bias"), transfer),
            None => Ok(()),
        }
    }
}

impl Keyed for LayerNorm {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        parameter(&mut self.gamma, &format!("{prefix}weight"), transfer)?;
        match &mut self.beta {
            Some(beta) => parameter(beta, &format!("{prefix}bias"), transfer),
            None => Ok(()),
        }
    }
}
