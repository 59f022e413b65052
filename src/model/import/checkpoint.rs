//! A checkpoint: its contents, and the network that it stores.

use std::io::{Read, Seek};

use half::{bf16, f16};

use super::container::{self, Contents, StoredTensor};
use super::error::ImportError;
use super::network::NetworkConfig;
use super::tree::DataType;
use crate::nn::state_dict::{ArraySpec, count_parameters};
use crate::nn::weights::Tensors;

/// Entries of a pickle of `sbi` besides its flow, with their paths: scaling of the labels and bounds of a box prior.
pub(super) const EXTRA_FLOW_ENTRIES: [(&str, &[&str]); 6] = [
    ("means", &["mean"]),
    ("means", &["means"]),
    ("stds", &["std"]),
    ("stds", &["stds"]),
    ("prior_low", &["inference", "_prior", "base_dist", "low"]),
    ("prior_high", &["inference", "_prior", "base_dist", "high"]),
];

/// An opened checkpoint; it reads each tensor on demand.
#[derive(Debug)]
pub struct Checkpoint<R> {
    reader: R,
    contents: Contents,
}

/// A network and its weights.
#[derive(Debug)]
pub struct Imported {
    /// Type and size of the network.
    pub network: NetworkConfig,
    /// Number of trainable values.
    pub parameters: usize,
    /// Weights under `PyTorch`'s names.
    ///
    /// For a flow of `sbi`, also `means` and `stds` of the labels. For a box prior, also `prior_low` and `prior_high`
    /// in units of (label − mean) / std.
    pub tensors: Tensors,
    /// Features of the file that Specola does not reproduce.
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

    /// An integer among the hyper-parameters, by its path.
    pub(super) fn hyper_parameter(&self, path: &[&str]) -> Option<usize> {
        let tree = self.contents.tree.as_ref()?;
        tree.int(tree.at(path)?).and_then(|n| usize::try_from(n).ok())
    }

    /// The network of this checkpoint, recognised by the names and shapes of its tensors.
    pub fn network(&self) -> Result<NetworkConfig, ImportError> {
        NetworkConfig::recognise(self)
    }

    /// Values of a tensor, which must have this shape.
    pub fn read(&mut self, name: &str, expected: &[usize]) -> Result<Vec<f32>, ImportError> {
        let stored = self.contents.tensors.get(name);
        let stored = stored.ok_or_else(|| ImportError::Missing { name: name.into(), expected: expected.to_vec() })?;
        if stored.shape != expected {
            let (found, expected) = (stored.shape.clone(), expected.to_vec());
            return Err(ImportError::Shape { name: name.into(), found, expected });
        }
        let values = read_values(&mut self.reader, stored)?;
        if values.iter().any(|v| !v.is_finite()) {
            let problem = "contains numbers that are not finite".to_string();
            return Err(ImportError::Tensor { name: name.into(), problem });
        }
        Ok(values)
    }

    /// These arrays and no others; `progress` receives the completed fraction, 0 to 1.
    pub fn arrays(&mut self, specs: &[ArraySpec], mut progress: impl FnMut(f64)) -> Result<Tensors, ImportError> {
        // Check all names and shapes first, to reject a wrong file before reading half a gigabyte of it.
        for ArraySpec { name, shape, .. } in specs {
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
        for (i, spec) in specs.iter().enumerate() {
            tensors.insert(&spec.name, &spec.shape, self.read(&spec.name, &spec.shape)?);
            progress((i + 1) as f64 / specs.len() as f64);
        }
        Ok(tensors)
    }

    /// The network with its weights; `progress` receives the completed fraction, 0 to 1.
    pub fn import(&mut self, mut progress: impl FnMut(f64)) -> Result<Imported, ImportError> {
        let network = self.network()?;
        let specs = network.array_specs();
        let mut tensors = self.arrays(&specs, &mut progress)?;
        if matches!(network, NetworkConfig::Flow(_)) {
            for (name, path) in EXTRA_FLOW_ENTRIES {
                if let Some(values) = self.extra_values(name, path)? {
                    tensors.insert(name, &[values.len()], values);
                }
            }
        }
        let remarks = self.unknown_prior(&tensors).into_iter().collect();
        Ok(Imported { parameters: count_parameters(&specs), network, tensors, remarks })
    }

    /// Additional values of a flow's file, stored as plain numbers or as a tensor.
    fn extra_values(&mut self, name: &str, path: &[&str]) -> Result<Option<Vec<f32>>, ImportError> {
        let Some((tree, id)) = self.contents.tree.as_ref().and_then(|tree| Some((tree, tree.at(path)?))) else {
            return Ok(None);
        };
        match (tree.numbers(id), self.shape(name).map(<[usize]>::to_vec)) {
            (Some(values), _) => Ok(Some(values)),
            (None, Some(shape)) => self.read(name, &shape).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// A remark if the prior may reject samples but is not supported. The usual prior rejects none.
    fn unknown_prior(&self, tensors: &Tensors) -> Option<String> {
        let tree = self.contents.tree.as_ref()?;
        let (module, name) = tree.class_of(tree.at(&["inference", "_prior"])?)?;
        let is_known = name == "ImproperEmpirical" || tensors.shape("prior_low").is_ok();
        (!is_known).then(|| format!("the prior {module}.{name} is not supported; no samples are rejected"))
    }
}

fn read_values(reader: &mut (impl Read + Seek), stored: &StoredTensor) -> Result<Vec<f32>, ImportError> {
    let size = stored.dtype.size();
    let count: usize = stored.shape.iter().product();
    if count == 0 {
        return Ok(Vec::new());
    }
    let last_offset: u64 = stored.shape.iter().zip(&stored.stride).map(|(d, s)| (*d as u64 - 1) * s).sum();
    let data = container::bytes(reader, stored.start + stored.offset * size, (last_offset + 1) * size)?;
    let values = decode(&data, stored.dtype);
    let mut contiguous_stride = 1;
    let is_contiguous = stored.shape.iter().zip(&stored.stride).rev().all(|(d, s)| {
        let is_contiguous_axis = *d == 1 || *s == contiguous_stride;
        contiguous_stride *= *d as u64;
        is_contiguous_axis
    });
    if is_contiguous {
        return Ok(values);
    }
    let storage_offset = |mut i: usize| {
        stored.shape.iter().zip(&stored.stride).rev().fold(0, |offset_sum, (d, s)| {
            let step = (i % d) as u64 * s;
            i /= d;
            offset_sum + step
        })
    };
    Ok((0..count).filter_map(|i| values.get(storage_offset(i) as usize).copied()).collect())
}

fn decode(data: &[u8], dtype: DataType) -> Vec<f32> {
    match dtype {
        DataType::F32 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        DataType::F64 => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
        DataType::F16 => data.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        DataType::BF16 => data.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        DataType::I64 => data.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f32).collect(),
        DataType::I32 => data.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b) as f32).collect(),
        DataType::U8 => data.iter().map(|b| f32::from(*b)).collect(),
    }
}
