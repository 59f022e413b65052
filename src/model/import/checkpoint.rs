//! A checkpoint: what it holds, and the network that is made from it.

use std::io::{Read, Seek};

use half::{bf16, f16};

use super::container::{self, Contents, Stored};
use super::error::ImportError;
use super::network::NetworkConfig;
use super::tree::Type;
use crate::model::weights::Tensors;
use crate::nn::keyed::{Slot, count_parameters};

/// What a pickle of `sbi` holds besides its flow, under which names: the labels' units, and the bounds of a box prior.
pub(super) const BESIDE_THE_FLOW: [(&str, &[&str]); 6] = [
    ("means", &["mean"]),
    ("means", &["means"]),
    ("stds", &["std"]),
    ("stds", &["stds"]),
    ("prior_low", &["inference", "_prior", "base_dist", "low"]),
    ("prior_high", &["inference", "_prior", "base_dist", "high"]),
];

/// An opened checkpoint; its tensors are read when they are asked for.
#[derive(Debug)]
pub struct Checkpoint<R> {
    reader: R,
    contents: Contents,
}

/// A network and its weights.
#[derive(Debug)]
pub struct Imported {
    /// Which network, of which size.
    pub network: NetworkConfig,
    /// Number of trained values.
    pub parameters: usize,
    /// Its weights under PyTorch's names, and for a flow of `sbi` also `means` and `stds` of the labels, and where its
    /// prior is a box, `prior_low` and `prior_high` in units of (label − mean) / std.
    pub tensors: Tensors,
    /// What is in the file that is not done as there.
    pub remarks: Vec<String>,
}

impl<R: Read + Seek> Checkpoint<R> {
    /// Opens a checkpoint: a file, or bytes in a [`std::io::Cursor`].
    pub fn open(mut reader: R) -> Result<Self, ImportError> {
        let contents = container::open(&mut reader)?;
        Ok(Self { reader, contents })
    }

    /// Names and shapes of all tensors of the network in the file.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.contents.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape.as_slice()))
    }

    /// Shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.contents.tensors.get(name).map(|tensor| tensor.shape.as_slice())
    }

    /// A whole number among the hyper-parameters, by the names on the way to it.
    pub(super) fn setting(&self, path: &[&str]) -> Option<usize> {
        let tree = self.contents.tree.as_ref()?;
        tree.int(tree.at(path)?).and_then(|n| usize::try_from(n).ok())
    }

    /// Which network this is, by the names and shapes of its tensors.
    pub fn network(&self) -> Result<NetworkConfig, ImportError> {
        NetworkConfig::recognise(self)
    }

    /// The numbers of a tensor that must have this shape.
    pub fn read(&mut self, name: &str, expected: &[usize]) -> Result<Vec<f32>, ImportError> {
        let stored = self.contents.tensors.get(name);
        let stored = stored.ok_or_else(|| ImportError::Missing { name: name.into(), expected: expected.to_vec() })?;
        if stored.shape != expected {
            let (found, expected) = (stored.shape.clone(), expected.to_vec());
            return Err(ImportError::Shape { name: name.into(), found, expected });
        }
        let values = numbers(&mut self.reader, stored)?;
        if values.iter().any(|v| !v.is_finite()) {
            let problem = "holds numbers that are not finite".to_string();
            return Err(ImportError::Tensor { name: name.into(), problem });
        }
        Ok(values)
    }

    /// These arrays and no others; `progress` is told the share done, 0 to 1.
    pub fn arrays(&mut self, slots: &[Slot], mut progress: impl FnMut(f64)) -> Result<Tensors, ImportError> {
        // All names and shapes first: a wrong file is refused before half a gigabyte of it is read.
        for Slot { name, shape, .. } in slots {
            match self.shape(name) {
                Some(found) if found == shape => {}
                Some(found) => {
                    let (name, found, expected) = (name.clone(), found.to_vec(), shape.clone());
                    return Err(ImportError::Shape { name, found, expected });
                }
                None => return Err(ImportError::Missing { name: name.clone(), expected: shape.clone() }),
            }
        }
        let mut tensors = Tensors::default();
        for (i, slot) in slots.iter().enumerate() {
            tensors.insert(&slot.name, &slot.shape, self.read(&slot.name, &slot.shape)?);
            progress((i + 1) as f64 / slots.len() as f64);
        }
        Ok(tensors)
    }

    /// The network with its weights; `progress` is told the share done, 0 to 1.
    pub fn import(&mut self, mut progress: impl FnMut(f64)) -> Result<Imported, ImportError> {
        let network = self.network()?;
        let slots = network.slots();
        let mut tensors = self.arrays(&slots, &mut progress)?;
        if matches!(network, NetworkConfig::Flow(_)) {
            for (name, path) in BESIDE_THE_FLOW {
                if let Some(values) = self.beside(name, path)? {
                    tensors.insert(name, &[values.len()], values);
                }
            }
        }
        let remarks = self.unknown_prior(&tensors).into_iter().collect();
        Ok(Imported { parameters: count_parameters(&slots), network, tensors, remarks })
    }

    /// Numbers that stand beside a flow: plain ones, or a tensor.
    fn beside(&mut self, name: &str, path: &[&str]) -> Result<Option<Vec<f32>>, ImportError> {
        let Some((tree, id)) = self.contents.tree.as_ref().and_then(|tree| Some((tree, tree.at(path)?))) else {
            return Ok(None);
        };
        match (tree.numbers(id), self.shape(name).map(<[usize]>::to_vec)) {
            (Some(values), _) => Ok(Some(values)),
            (None, Some(shape)) => self.read(name, &shape).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// A remark on a prior that rejects samples in a way that is not done here. The usual one rejects none.
    fn unknown_prior(&self, tensors: &Tensors) -> Option<String> {
        let tree = self.contents.tree.as_ref()?;
        let (module, name) = tree.class_of(tree.at(&["inference", "_prior"])?)?;
        let is_known = name == "ImproperEmpirical" || tensors.shape("prior_low").is_ok();
        (!is_known).then(|| format!("its prior, {module}.{name}, is not known here: no sample is rejected by it"))
    }
}

fn numbers(reader: &mut (impl Read + Seek), stored: &Stored) -> Result<Vec<f32>, ImportError> {
    let size = stored.dtype.size();
    let count: usize = stored.shape.iter().product();
    if count == 0 {
        return Ok(Vec::new());
    }
    let reach: u64 = stored.shape.iter().zip(&stored.stride).map(|(d, s)| (*d as u64 - 1) * s).sum();
    let data = container::bytes(reader, stored.start + stored.offset * size, (reach + 1) * size)?;
    let all = decode(&data, stored.dtype);
    let mut next = 1;
    let in_order = stored.shape.iter().zip(&stored.stride).rev().all(|(d, s)| {
        let here = *d == 1 || *s == next;
        next *= *d as u64;
        here
    });
    if in_order {
        return Ok(all);
    }
    let place = |mut i: usize| {
        stored.shape.iter().zip(&stored.stride).rev().fold(0, |at, (d, s)| {
            let step = (i % d) as u64 * s;
            i /= d;
            at + step
        })
    };
    Ok((0..count).filter_map(|i| all.get(place(i) as usize).copied()).collect())
}

fn decode(data: &[u8], dtype: Type) -> Vec<f32> {
    match dtype {
        Type::F32 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Type::F64 => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
        Type::F16 => data.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        Type::BF16 => data.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        Type::I64 => data.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f32).collect(),
        Type::I32 => data.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b) as f32).collect(),
        Type::U8 => data.iter().map(|b| f32::from(*b)).collect(),
    }
}
