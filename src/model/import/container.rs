//! Where in a file its tensors lie: PyTorch's zip, its older form, a pickle with tensors inside, safetensors.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use zip::{CompressionMethod, ZipArchive};

use super::error::ImportError;
use super::tree::{Described, Place, Tree, Type};

/// Most bytes of a pickle; the published ones have a few hundred kilobytes.
const MAX_PICKLE: u64 = 128 << 20;
/// Most bytes of a safetensors header.
const MAX_HEADER: u64 = 64 << 20;
/// What PyTorch's older form begins with: a pickled magic number.
const LEGACY: [u8; 14] = [0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// A tensor in a file.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) dtype: Type,
    /// Where its storage begins, in bytes of the file.
    pub(super) start: u64,
    /// First number of the tensor in its storage.
    pub(super) offset: u64,
    pub(super) shape: Vec<usize>,
    pub(super) stride: Vec<u64>,
}

/// What is in a file.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) tensors: BTreeMap<String, Stored>,
    /// The pickle; safetensors files have none.
    pub(super) tree: Option<Tree>,
}

/// A storage: kind, where it begins in the file, and how many numbers it has.
type Storage = (Type, u64, u64);

pub(super) fn open(reader: &mut (impl Read + Seek)) -> Result<Contents, ImportError> {
    let length = reader.seek(SeekFrom::End(0))?;
    let head = bytes(reader, 0, 16.min(length))?;
    match head.as_slice() {
        [b'P', b'K', 3, 4, ..] => zip(reader),
        [0x80, ..] if head.starts_with(&LEGACY) => legacy(reader, length),
        [0x80, 2..=5, ..] => plain(reader, length),
        [_, _, _, _, _, _, _, _, b'{', ..] => safetensors(reader, length),
        _ => Err(ImportError::Unknown),
    }
}

/// A part of the file, which must have it: memory is asked for only after that is known.
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

fn limit(part: &'static str, bytes: u64, limit: u64) -> Result<(), ImportError> {
    if bytes > limit { Err(ImportError::TooLarge { part, bytes, limit }) } else { Ok(()) }
}

fn zip(reader: &mut (impl Read + Seek)) -> Result<Contents, ImportError> {
    let mut places = BTreeMap::new();
    let mut pickle = None;
    {
        let mut archive = ZipArchive::new(&mut *reader)?;
        for i in 0..archive.len() {
            let file = archive.by_index_raw(i)?;
            // PyTorch never compresses: the numbers lie in the file as they are.
            let stored = file.compression() == CompressionMethod::Stored && file.size() == file.compressed_size();
            let (Some(start), true) = (file.data_start(), stored && !file.encrypted()) else { continue };
            let name = file.name()?;
            let Some((_, name)) = name.split_once('/') else { continue };
            match name.strip_prefix("data/") {
                Some(key) => drop(places.insert(key.to_string(), (start, file.size()))),
                None if name == "data.pkl" => pickle = Some((start, file.size())),
                None if name == "byteorder" && file.size() == 3 => return Err(ImportError::BigEndian),
                None => {}
            }
        }
    }
    let (start, size) = pickle.ok_or(ImportError::NoPickle)?;
    limit("data.pkl", size, MAX_PICKLE)?;
    let (tree, _) = Tree::read(bytes(reader, start, size)?, 0)?;
    let storage = |tensor: &Described| -> Option<Storage> {
        let Place::Key(key, n) = &tensor.place else { return None };
        let (start, size) = *places.get(key)?;
        let dtype = tensor.dtype?;
        (n.checked_mul(dtype.size())? <= size).then_some((dtype, start, *n))
    };
    Ok(Contents { tensors: place_all(&tree, storage)?, tree: Some(tree) })
}

/// A pickle whose tensors are whole torch files of the older form, as `sbi` writes.
fn plain(reader: &mut (impl Read + Seek), length: u64) -> Result<Contents, ImportError> {
    limit("the pickle", length, MAX_PICKLE)?;
    let (tree, _) = Tree::read(bytes(reader, 0, length)?, 0)?;
    let inside = |range: &Range<usize>| {
        let blob = tree.bytes().get(range.clone())?;
        let (_, inner, storages) = legacy_parts(blob, blob.len() as u64).ok()?;
        let (dtype, key, n) = inner.root_storage()?;
        let (start, found) = storages.get(&key)?;
        (n == *found).then_some((dtype, range.start as u64 + start, n))
    };
    // Many tensors may name one of them.
    let known = RefCell::new(BTreeMap::new());
    let storage = |tensor: &Described| {
        let Place::Embedded(range) = &tensor.place else { return None };
        *known.borrow_mut().entry((range.start, range.end)).or_insert_with(|| inside(range))
    };
    Ok(Contents { tensors: place_all(&tree, storage)?, tree: Some(tree) })
}

fn legacy(reader: &mut (impl Read + Seek), length: u64) -> Result<Contents, ImportError> {
    limit("the checkpoint", length, 8 * MAX_PICKLE)?;
    let (_, tree, storages) = legacy_parts(&bytes(reader, 0, length)?, length)?;
    let storage = |tensor: &Described| {
        let Place::Key(key, n) = &tensor.place else { return None };
        let (start, found) = *storages.get(key)?;
        (*n == found).then_some((tensor.dtype?, start, *n))
    };
    Ok(Contents { tensors: place_all(&tree, storage)?, tree: Some(tree) })
}

/// Magic number, protocol, system, value, keys; then for each key its count and its numbers.
#[allow(clippy::type_complexity)]
fn legacy_parts(file: &[u8], length: u64) -> Result<(usize, Tree, BTreeMap<String, (u64, u64)>), ImportError> {
    let mut at = 0;
    for _ in 0..3 {
        let mut nodes = Vec::new();
        (_, at) = super::pickle::read(file, at, &mut nodes)?;
    }
    // The numbers follow the pickles: only as much as these need is kept.
    let mut nodes = Vec::new();
    let (_, value_end) = super::pickle::read(file, at, &mut nodes)?;
    let (tree, _) = Tree::read(file[at..value_end].to_vec(), 0)?;
    let (_, keys_end) = super::pickle::read(file, value_end, &mut nodes)?;
    let (keys, _) = Tree::read(file[value_end..keys_end].to_vec(), 0)?;
    let sizes = tree.storage_types();
    let mut next = keys_end as u64;
    let mut storages = BTreeMap::new();
    let broken = |at: u64| ImportError::Pickle { at: at as usize, problem: "a storage ends too early" };
    for id in keys.members(keys.root).unwrap_or_default() {
        let key = keys.text(*id).unwrap_or_default().to_string();
        let count = file.get(next as usize..).and_then(|rest| rest.first_chunk::<8>()).ok_or_else(|| broken(next))?;
        let (count, start) = (u64::from_le_bytes(*count), next + 8);
        let Some(dtype) = sizes.get(&key) else { return Err(broken(next)) };
        let end = count.checked_mul(dtype.size()).and_then(|n| n.checked_add(start)).filter(|end| *end <= length);
        next = end.ok_or_else(|| broken(start))?;
        storages.insert(key, (start, count));
    }
    Ok((keys_end, tree, storages))
}

/// The tensors of the network in a tree, each with its place in the file.
fn place_all(
    tree: &Tree,
    storage: impl Fn(&Described) -> Option<Storage>,
) -> Result<BTreeMap<String, Stored>, ImportError> {
    let mut described = ["state_dict", "model_state_dict"]
        .iter()
        .find_map(|key| tree.at(&[key]).map(|dict| tree.tensors(dict)))
        .or_else(|| tree.at(&["inference", "_neural_net"]).map(|net| tree.module_tensors(net)))
        .unwrap_or_else(|| tree.tensors(tree.root));
    for (name, path) in super::checkpoint::BESIDE_THE_FLOW {
        if let Some(tensor) = tree.at(path).and_then(|id| tree.tensor(id)) {
            described.insert(name.to_string(), tensor);
        }
    }
    let mut tensors = BTreeMap::new();
    for (name, tensor) in described {
        let bad = |problem: &str| ImportError::Tensor { name: name.clone(), problem: problem.into() };
        let (dtype, start, n) = storage(&tensor).ok_or_else(|| bad("has no numbers in this file"))?;
        if !fits(&tensor.shape, &tensor.stride, tensor.offset, n) {
            return Err(bad(&format!("claims shape {:?} on {n} numbers", tensor.shape)));
        }
        let Described { offset, shape, stride, .. } = tensor;
        tensors.insert(name, Stored { dtype, start, offset, shape, stride });
    }
    Ok(tensors)
}

/// Whether all numbers of a tensor are in its storage, and not more of them than the storage has.
fn fits(shape: &[usize], stride: &[u64], offset: u64, n: u64) -> bool {
    if shape.len() != stride.len() || shape.len() > 8 {
        return false;
    }
    if shape.contains(&0) {
        return shape.len() == 1;
    }
    let count = shape.iter().try_fold(1u64, |all, d| all.checked_mul(*d as u64));
    let last = shape.iter().zip(stride).try_fold(offset, |at, (d, s)| at.checked_add(s.checked_mul(*d as u64 - 1)?));
    matches!((count, last), (Some(count), Some(last)) if count <= n && last < n)
}

fn safetensors(reader: &mut (impl Read + Seek), length: u64) -> Result<Contents, ImportError> {
    let bad = |problem: &str| ImportError::Header(problem.into());
    let head = bytes(reader, 0, 8)?;
    let size = head.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
    limit("the safetensors header", size, MAX_HEADER)?;
    let header: serde_json::Value =
        serde_json::from_slice(&bytes(reader, 8, size)?).map_err(|e| bad(&e.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, entry) in header.as_object().ok_or_else(|| bad("no object"))? {
        if name == "__metadata__" {
            continue;
        }
        let dtype = match entry["dtype"].as_str() {
            Some("F16") => Type::F16,
            Some("BF16") => Type::BF16,
            Some("F32") => Type::F32,
            Some("F64") => Type::F64,
            Some("I64") => Type::I64,
            Some("I32") => Type::I32,
            Some("U8" | "BOOL") => Type::U8,
            _ => return Err(bad(&format!("tensor {name} has a type that is not used here"))),
        };
        let list = |value: &serde_json::Value| -> Option<Vec<u64>> {
            value.as_array()?.iter().map(serde_json::Value::as_u64).collect()
        };
        let shape = list(&entry["shape"]).ok_or_else(|| bad(&format!("tensor {name} has no shape")))?;
        let shape: Vec<usize> = shape.into_iter().map(|d| d as usize).collect();
        let ends = list(&entry["data_offsets"]).unwrap_or_default();
        let [from, to] = ends[..] else { return Err(bad(&format!("tensor {name} has no data_offsets"))) };
        let mut next = 1u64;
        let mut stride = vec![1; shape.len()];
        for (stride, d) in stride.iter_mut().zip(&shape).rev() {
            *stride = next;
            next = next.saturating_mul((*d as u64).max(1));
        }
        let inside = from <= to && to.checked_add(8 + size).is_some_and(|end| end <= length);
        if !inside || !fits(&shape, &stride, 0, (to - from) / dtype.size()) {
            let problem = format!("claims shape {shape:?} on {} bytes", to.saturating_sub(from));
            return Err(ImportError::Tensor { name: name.clone(), problem });
        }
        tensors.insert(name.clone(), Stored { dtype, start: 8 + size + from, offset: 0, shape, stride });
    }
    Ok(Contents { tensors, tree: None })
}
