//! Access to a pickle's tree: entries of dictionaries, attributes of objects, tensors and the locations of their
//! numbers.

use std::collections::BTreeMap;
use std::ops::Range;

use super::error::ImportError;
use super::pickle::{self, Id, Node};

/// Largest number of visited tensors and modules in a file, since a hostile file may repeat one module many times.
const MAX_VISITS: usize = 200_000;
const MAX_DEPTH: usize = 40;
/// Most axes of a tensor. One tuple of a hostile file may be the shape of every tensor, so it is measured before it is
/// copied; so are names.
const MAX_AXES: usize = 8;
/// Longest name of a tensor, with the names of its modules, and longest key of a storage, bytes.
const MAX_NAME: usize = 400;

/// Data type of numbers in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataType {
    F16,
    BF16,
    F32,
    F64,
    I64,
    I32,
    U8,
}

impl DataType {
    pub(super) fn size(self) -> u64 {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::U8 => 1,
        }
    }

    fn of_storage(name: &str) -> Option<Self> {
        Some(match name {
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::BF16,
            "FloatStorage" => Self::F32,
            "DoubleStorage" => Self::F64,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ByteStorage" | "BoolStorage" => Self::U8,
            _ => return None,
        })
    }
}

/// Location of a tensor's numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Location {
    /// Key of a storage in the container, and its count of numbers.
    Key(String, u64),
    /// An embedded torch file, as a range of bytes in the pickle.
    Embedded(Range<usize>),
}

/// Description of a tensor in a pickle.
#[derive(Debug, Clone)]
pub(super) struct TensorEntry {
    /// Set for `Location::Key`; an embedded file has its own data type.
    pub(super) dtype: Option<DataType>,
    pub(super) location: Location,
    pub(super) offset: u64,
    pub(super) shape: Vec<usize>,
    pub(super) stride: Vec<u64>,
}

/// A pickle and its parsed values.
#[derive(Debug)]
pub(super) struct Tree {
    bytes: Vec<u8>,
    nodes: Vec<Node>,
    pub(super) root: Id,
}

impl Tree {
    /// Parses the pickle at `start`; also returns its end.
    pub(super) fn read(bytes: Vec<u8>, start: usize) -> Result<(Self, usize), ImportError> {
        let mut nodes = Vec::new();
        let (root, end) = pickle::read(&bytes, start, &mut nodes)?;
        Ok((Self { bytes, nodes, root }, end))
    }

    fn node(&self, id: Id) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.node(id)? {
            Node::Text(range) => std::str::from_utf8(self.bytes.get(range.clone())?).ok(),
            _ => None,
        }
    }

    /// A text that is not too long for a name.
    fn name(&self, id: Id) -> Option<&str> {
        self.text(id).filter(|name| name.len() <= MAX_NAME)
    }

    pub(super) fn int(&self, id: Id) -> Option<i64> {
        match self.node(id)? {
            Node::Int(number) => Some(*number),
            _ => None,
        }
    }

    fn bytes_of(&self, id: Id) -> Option<Range<usize>> {
        match self.node(id)? {
            Node::Bytes(range) => Some(range.clone()),
            _ => None,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Members of a tuple or list.
    pub(super) fn members(&self, id: Id) -> Option<&[Id]> {
        match self.node(id)? {
            Node::Tuple(ids) | Node::List(ids) => Some(ids),
            _ => None,
        }
    }

    /// Entries of a dictionary or of a dictionary-like object.
    pub(super) fn items(&self, id: Id) -> &[(Id, Id)] {
        match self.node(id) {
            Some(Node::Dict(items) | Node::Object { items, .. }) => items,
            _ => &[],
        }
    }

    fn entry(&self, id: Id, key: &str) -> Option<Id> {
        self.items(id).iter().rev().find(|(k, _)| self.text(*k) == Some(key)).map(|(_, value)| *value)
    }

    /// An entry of a dictionary, an attribute of an object or a submodule of a module.
    pub(super) fn get(&self, id: Id, key: &str) -> Option<Id> {
        if let Some(value) = self.entry(id, key) {
            return Some(value);
        }
        let state = self.state(id)?;
        self.entry(state, key).or_else(|| self.entry(self.entry(state, "_modules")?, key))
    }

    /// The value at a path from the root, by repeated [`Self::get`].
    pub(super) fn at(&self, path: &[&str]) -> Option<Id> {
        path.iter().try_fold(self.root, |id, key| self.get(id, key))
    }

    /// State of an object.
    fn state(&self, id: Id) -> Option<Id> {
        match self.node(id)? {
            Node::Object { state, .. } => *state,
            _ => None,
        }
    }

    /// Module and name of a class.
    fn class(&self, id: Id) -> Option<(&str, &str)> {
        match self.node(id)? {
            Node::Class(module, name) => {
                let text = |range: &Range<usize>| std::str::from_utf8(self.bytes.get(range.clone())?).ok();
                Some((text(module)?, text(name)?))
            }
            _ => None,
        }
    }

    /// Function and arguments of the call that created an object.
    fn call(&self, id: Id) -> Option<((&str, &str), &[Id])> {
        match self.node(id)? {
            Node::Object { class, args, .. } => Some((self.class(*class)?, self.members(*args)?)),
            _ => None,
        }
    }

    /// The tensor in a node, or `None` if the node is no tensor.
    pub(super) fn tensor(&self, mut id: Id) -> Option<TensorEntry> {
        for _ in 0..4 {
            let ((module, name), args) = self.call(id)?;
            match (module, name) {
                ("torch._utils", "_rebuild_parameter") => id = *args.first()?,
                ("torch._utils", "_rebuild_tensor_v2") => return self.tensor_entry(args),
                _ => return None,
            }
        }
        None
    }

    fn tensor_entry(&self, args: &[Id]) -> Option<TensorEntry> {
        let [storage, offset, shape, stride, ..] = args else { return None };
        let unsigned = |id: &Id| self.int(*id).and_then(|n| u64::try_from(n).ok());
        let (location, dtype) = self.location(*storage)?;
        let axes = |id: &Id| self.members(*id).filter(|members| members.len() <= MAX_AXES);
        Some(TensorEntry {
            dtype,
            location,
            offset: unsigned(offset)?,
            shape: axes(shape)?.iter().map(|n| Some(unsigned(n)? as usize)).collect::<Option<_>>()?,
            stride: axes(stride)?.iter().map(unsigned).collect::<Option<_>>()?,
        })
    }

    fn location(&self, storage: Id) -> Option<(Location, Option<DataType>)> {
        if let Some(Node::Persistent(id)) = self.node(storage) {
            let (dtype, key, n) = self.storage_ref(*id)?;
            return Some((Location::Key(key, n), Some(dtype)));
        }
        let (("torch.storage", "_load_from_bytes"), args) = self.call(storage)? else { return None };
        Some((Location::Embedded(self.bytes_of(*args.first()?)?), None))
    }

    /// Data type, key and count of numbers from ('storage', class, key, device, count).
    pub(super) fn storage_ref(&self, id: Id) -> Option<(DataType, String, u64)> {
        let [_, class, key, _, n, ..] = self.members(id)? else { return None };
        let dtype = DataType::of_storage(self.class(*class)?.1)?;
        Some((dtype, self.name(*key)?.to_string(), u64::try_from(self.int(*n)?).ok()?))
    }

    /// Data type of every storage in the tree, by key.
    pub(super) fn storage_types(&self) -> BTreeMap<String, DataType> {
        let type_of = |node: &Node| match node {
            Node::Persistent(id) => self.storage_ref(*id).map(|(dtype, key, _)| (key, dtype)),
            _ => None,
        };
        self.nodes.iter().filter_map(type_of).collect()
    }

    /// Storage of the root, if the root is a persistent id.
    pub(super) fn root_storage(&self) -> Option<(DataType, String, u64)> {
        match self.node(self.root)? {
            Node::Persistent(id) => self.storage_ref(*id),
            _ => None,
        }
    }

    /// All tensors of a dictionary.
    pub(super) fn tensors(&self, dict: Id) -> BTreeMap<String, TensorEntry> {
        let named_tensor = |(key, value): &(Id, Id)| Some((self.name(*key)?.to_string(), self.tensor(*value)?));
        self.items(dict).iter().take(MAX_VISITS).filter_map(named_tensor).collect()
    }

    /// All parameters and buffers of a module and of its submodules, under `PyTorch`'s names.
    pub(super) fn module_tensors(&self, module: Id) -> BTreeMap<String, TensorEntry> {
        let mut found = BTreeMap::new();
        let mut pending = vec![(module, String::new(), 0)];
        let mut visits = 0;
        while let Some((module, prefix, depth)) = pending.pop() {
            visits += 1;
            let Some(state) = self.state(module).filter(|_| visits < MAX_VISITS && depth < MAX_DEPTH) else { continue };
            // Every examined entry counts, since one dictionary may occur in thousands of modules.
            visits += self.items(state).len();
            for group in ["_parameters", "_buffers"] {
                let Some(dict) = self.entry(state, group) else { continue };
                visits += self.items(dict).len();
                if visits < MAX_VISITS {
                    found.extend(
                        self.tensors(dict).into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)),
                    );
                }
            }
            let children = self.entry(state, "_modules").map(|dict| self.items(dict)).unwrap_or_default();
            for (name, child) in children.iter().take(MAX_VISITS - visits.min(MAX_VISITS)) {
                if let Some(name) = self.name(*name).filter(|name| prefix.len() + name.len() < MAX_NAME) {
                    pending.push((*child, format!("{prefix}{name}."), depth + 1));
                }
            }
            if pending.len() > MAX_VISITS {
                break;
            }
        }
        found
    }

    /// The class of an object, with its module.
    pub(super) fn class_of(&self, id: Id) -> Option<(&str, &str)> {
        match self.node(id)? {
            Node::Object { class, .. } => self.class(*class),
            _ => None,
        }
    }

    /// A number, the members of a list of numbers, or the values of a small `NumPy` array or scalar.
    pub(super) fn numbers(&self, id: Id) -> Option<Vec<f32>> {
        let number = |id: &Id| match self.node(*id)? {
            Node::Int(number) => Some(*number as f32),
            Node::Float(number) => Some(*number as f32),
            _ => None,
        };
        if let Some(number) = number(&id) {
            return Some(vec![number]);
        }
        if let Some(members) = self.members(id) {
            return members.iter().map(number).collect();
        }
        let ((_, function), args) = self.call(id)?;
        let (dtype, bytes) = match (function, args) {
            ("_reconstruct", _) => match self.members(self.state(id)?)? {
                [_, _, dtype, _, bytes] => (dtype, bytes),
                _ => return None,
            },
            ("scalar", [dtype, bytes]) => (dtype, bytes),
            _ => return None,
        };
        let kind = self.text(*self.call(*dtype)?.1.first()?)?;
        let data = self.bytes.get(self.bytes_of(*bytes)?)?;
        match kind {
            "f4" => Some(data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
            "f8" => Some(data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect()),
            _ => None,
        }
    }
}
