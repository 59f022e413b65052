//! Location of the tensors in a file: `PyTorch`'s zip format, its legacy format, a pickle with embedded tensors,
//! safetensors.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use zip::{CompressionMethod, ZipArchive};

use super::error::ImportError;
use super::tree::{DataType, Location, TensorEntry, Tree};

/// Largest accepted size of a pickle, bytes; the published pickles have a few hundred kilobytes.
const MAX_PICKLE: u64 = 128 << 20;
/// Largest accepted size of a safetensors header, bytes.
const MAX_HEADER: u64 = 64 << 20;
/// First bytes of `PyTorch`'s legacy format: a pickled magic number.
const LEGACY: [u8; 14] = [0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// A tensor in a file.
#[derive(Debug, Clone)]
pub(super) struct StoredTensor {
    pub(super) dtype: DataType,
    /// Start of its storage, in bytes of the file.
    pub(super) start: u64,
    /// Index of the tensor's first number in its storage.
    pub(super) offset: u64,
    pub(super) shape: Vec<usize>,
    pub(super) stride: Vec<u64>,
}

/// Contents of a file.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) tensors: BTreeMap<String, StoredTensor>,
    /// The pickle; safetensors files have none.
    pub(super) tree: Option<Tree>,
}

/// A storage: data type, start in the file (bytes), count of numbers.
type Storage = (DataType, u64, u64);

pub(super) fn open(reader: &mut (impl Read + Seek)) -> Result<Contents, ImportError> {
    let length = reader.seek(SeekFrom::End(0))?;
    let head = bytes(reader, 0, 16.min(length))?;
    match head.as_slice() {
        [b'P', b'K', 3, 4, ..] => zip(reader),
        [0x80, ..] if head.starts_with(&LEGACY) => legacy(reader, length),
        [0x80, 2..=5, ..] => plain_pickle(reader, length),
        [_, _, _, _, _, _, _, _, b'{', ..] => safetensors(reader, length),
        _ => Err(ImportError::Unknown),
    }
}

/// Reads a range of the file. The memory grows only with bytes that the file has.
pub(super) fn bytes(reader: &mut (impl Read + Seek), start: u64, n: u64) -> Result<Vec<u8>, ImportError> {
    reader.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    reader.by_ref().take(n).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == n {
        Ok(bytes)
    } else {
        Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into())
    }
}

fn check_size(part: &'static str, bytes: u64, limit: u64) -> Result<(), ImportError> {
    if bytes > limit { Err(ImportError::TooLarge { part, bytes, limit }) } else { Ok(()) }
}

fn zip(reader: &mut (impl Read + Seek)) -> Result<Contents, ImportError> {
    let mut storage_ranges = BTreeMap::new();
    let mut pickle = None;
    {
        let mut archive = ZipArchive::new(&mut *reader)?;
        for i in 0..archive.len() {
            let file = archive.by_index_raw(i)?;
            // PyTorch never compresses, so the numbers lie in the file unchanged.
            let is_uncompressed =
                file.compression() == CompressionMethod::Stored && file.size() == file.compressed_size();
            let (Some(start), true) = (file.data_start(), is_uncompressed && !file.encrypted()) else { continue };
            let name = file.name()?;
            let Some((_, name)) = name.split_once('/') else { continue };
            match name.strip_prefix("data/") {
                Some(key) => drop(storage_ranges.insert(key.to_string(), (start, file.size()))),
                None if name == "data.pkl" => pickle = Some((start, file.size())),
                None if name == "byteorder" && file.size() == 3 => return Err(ImportError::BigEndian),
                None => {}
            }
        }
    }
    let (start, size) = pickle.ok_or(ImportError::NoPickle)?;
    check_size("data.pkl", size, MAX_PICKLE)?;
    let (tree, _) = Tree::read(bytes(reader, start, size)?, 0)?;
    let storage = |tensor: &TensorEntry| -> Option<Storage> {
        let Location::Key(key, n) = &tensor.location else { return None };
        let (start, size) = *storage_ranges.get(key)?;
        let dtype = tensor.dtype?;
        (n.checked_mul(dtype.size())? <= size).then_some((dtype, start, *n))
    };
    Ok(Contents { tensors: locate_tensors(&tree, storage)?, tree: Some(tree) })
}

/// Contents of a pickle with embedded tensors, each a file in `PyTorch`'s legacy format, as written by `sbi`.
fn plain_pickle(reader: &mut (impl Read + Seek), length: u64) -> Result<Contents, ImportError> {
    check_size("the pickle", length, MAX_PICKLE)?;
    let (tree, _) = Tree::read(bytes(reader, 0, length)?, 0)?;
    let embedded_storage = |range: &Range<usize>| {
        let blob = tree.bytes().get(range.clone())?;
        let (_, inner_tree, storages) = legacy_parts(blob, blob.len() as u64).ok()?;
        let (dtype, key, n) = inner_tree.root_storage()?;
        let (start, count) = storages.get(&key)?;
        (n == *count).then_some((dtype, range.start as u64 + start, n))
    };
    // Several tensors may refer to the same range.
    let cache = RefCell::new(BTreeMap::new());
    let storage = |tensor: &TensorEntry| {
        let Location::Embedded(range) = &tensor.location else { return None };
        *cache.borrow_mut().entry((range.start, range.end)).or_insert_with(|| embedded_storage(range))
    };
    Ok(Contents { tensors: locate_tensors(&tree, storage)?, tree: Some(tree) })
}

fn legacy(reader: &mut (impl Read + Seek), length: u64) -> Result<Contents, ImportError> {
    check_size("the checkpoint", length, 8 * MAX_PICKLE)?;
    let (_, tree, storages) = legacy_parts(&bytes(reader, 0, length)?, length)?;
    let storage = |tensor: &TensorEntry| {
        let Location::Key(key, n) = &tensor.location else { return None };
        let (start, count) = *storages.get(key)?;
        (*n == count).then_some((tensor.dtype?, start, *n))
    };
    Ok(Contents { tensors: locate_tensors(&tree, storage)?, tree: Some(tree) })
}

/// Parts of a file in the legacy format: magic number, protocol, system, value, keys.
///
/// The count and the numbers of each key follow.
#[allow(clippy::type_complexity, reason = "a private function with one caller")]
fn legacy_parts(file: &[u8], length: u64) -> Result<(usize, Tree, BTreeMap<String, (u64, u64)>), ImportError> {
    let mut at = 0;
    for _ in 0..3 {
        let mut nodes = Vec::new();
        (_, at) = super::pickle::read(file, at, &mut nodes)?;
    }
    // The numbers follow the pickles; the tree keeps only the bytes of its own pickle.
    let mut nodes = Vec::new();
    let (_, value_end) = super::pickle::read(file, at, &mut nodes)?;
    let (tree, _) = Tree::read(file[at..value_end].to_vec(), 0)?;
    let (_, keys_end) = super::pickle::read(file, value_end, &mut nodes)?;
    let (keys, _) = Tree::read(file[value_end..keys_end].to_vec(), 0)?;
    let sizes = tree.storage_types();
    let mut next = keys_end as u64;
    let mut storages = BTreeMap::new();
    let truncated = |at: u64| ImportError::Pickle { at: at as usize, problem: "a storage ends too early" };
    for id in keys.members(keys.root).unwrap_or_default() {
        let key = keys.text(*id).unwrap_or_default().to_string();
        let count =
            file.get(next as usize..).and_then(|rest| rest.first_chunk::<8>()).ok_or_else(|| truncated(next))?;
        let (count, start) = (u64::from_le_bytes(*count), next + 8);
        let Some(dtype) = sizes.get(&key) else { return Err(truncated(next)) };
        let end = count.checked_mul(dtype.size()).and_then(|n| n.checked_add(start)).filter(|end| *end <= length);
        next = end.ok_or_else(|| truncated(start))?;
        storages.insert(key, (start, count));
    }
    Ok((keys_end, tree, storages))
}

/// The tensors of the network in a tree, each with its location in the file.
fn locate_tensors(
    tree: &Tree,
    storage: impl Fn(&TensorEntry) -> Option<Storage>,
) -> Result<BTreeMap<String, StoredTensor>, ImportError> {
    let mut entries = ["state_dict", "model_state_dict"]
        .iter()
        .find_map(|key| tree.at(&[key]).map(|dict| tree.tensors(dict)))
        .or_else(|| tree.at(&["inference", "_neural_net"]).map(|net| tree.module_tensors(net)))
        .unwrap_or_else(|| tree.tensors(tree.root));
    for (name, path) in super::checkpoint::EXTRA_FLOW_ENTRIES {
        if let Some(tensor) = tree.at(path).and_then(|id| tree.tensor(id)) {
            entries.insert(name.to_string(), tensor);
        }
    }
    let mut tensors = BTreeMap::new();
    for (name, tensor) in entries {
        let error = |problem: &str| ImportError::Tensor { name: name.clone(), problem: problem.into() };
        let (dtype, start, count) = storage(&tensor).ok_or_else(|| error("has no data in this file"))?;
        if !fits(&tensor.shape, &tensor.stride, tensor.offset, count) {
            return Err(error(&format!(
                "has shape {:?}, which does not fit its storage of {count} numbers",
                tensor.shape
            )));
        }
        let TensorEntry { offset, shape, stride, .. } = tensor;
        tensors.insert(name, StoredTensor { dtype, start, offset, shape, stride });
    }
    Ok(tensors)
}

/// Whether the storage contains all numbers of a tensor, and the tensor has no more numbers than the storage.
fn fits(shape: &[usize], stride: &[u64], offset: u64, n: u64) -> bool {
    if shape.len() != stride.len() || shape.len() > 8 {
        return false;
    }
    if shape.contains(&0) {
        return shape.len() == 1;
    }
    let count = shape.iter().try_fold(1u64, |product, d| product.checked_mul(*d as u64));
    let last = shape
        .iter()
        .zip(stride)
        .try_fold(offset, |offset_sum, (d, s)| offset_sum.checked_add(s.checked_mul(*d as u64 - 1)?));
    matches!((count, last), (Some(count), Some(last)) if count <= n && last < n)
}

fn safetensors(reader: &mut (impl Read + Seek), length: u64) -> Result<Contents, ImportError> {
    let error = |problem: &str| ImportError::Header(problem.into());
    let head = bytes(reader, 0, 8)?;
    let size = head.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
    check_size("the safetensors header", size, MAX_HEADER)?;
    let header: serde_json::Value =
        serde_json::from_slice(&bytes(reader, 8, size)?).map_err(|e| error(&e.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, entry) in header.as_object().ok_or_else(|| error("no object"))? {
        if name == "__metadata__" {
            continue;
        }
        let dtype = match entry["dtype"].as_str() {
            Some("F16") => DataType::F16,
            Some("BF16") => DataType::BF16,
            Some("F32") => DataType::F32,
            Some("F64") => DataType::F64,
            Some("I64") => DataType::I64,
            Some("I32") => DataType::I32,
            Some("U8" | "BOOL") => DataType::U8,
            _ => return Err(error(&format!("tensor {name} has an unsupported data type"))),
        };
        let integers = |value: &serde_json::Value| -> Option<Vec<u64>> {
            value.as_array()?.iter().map(serde_json::Value::as_u64).collect()
        };
        let shape = integers(&entry["shape"]).ok_or_else(|| error(&format!("tensor {name} has no shape")))?;
        let shape: Vec<usize> = shape.into_iter().map(|d| d as usize).collect();
        let offsets = integers(&entry["data_offsets"]).unwrap_or_default();
        let [begin, end] = offsets[..] else { return Err(error(&format!("tensor {name} has no data_offsets"))) };
        let mut contiguous_stride = 1u64;
        let mut stride = vec![1; shape.len()];
        for (stride, d) in stride.iter_mut().zip(&shape).rev() {
            *stride = contiguous_stride;
            contiguous_stride = contiguous_stride.saturating_mul((*d as u64).max(1));
        }
        let is_inside = begin <= end && end.checked_add(8 + size).is_some_and(|end| end <= length);
        if !is_inside || !fits(&shape, &stride, 0, (end - begin) / dtype.size()) {
            let problem =
                format!("has shape {shape:?}, which does not fit its {} bytes of data", end.saturating_sub(begin));
            return Err(ImportError::Tensor { name: name.clone(), problem });
        }
        tensors.insert(name.clone(), StoredTensor { dtype, start: 8 + size + begin, offset: 0, shape, stride });
    }
    Ok(Contents { tensors, tree: None })
}
