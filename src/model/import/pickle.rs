//! Parser of Python's pickle format. It builds a tree and never executes code.
//!
//! Each operation adds at most one node, and there is a limit on their number. A class is stored as its name, a call as a
//! record of its function and arguments.

use std::collections::HashMap;
use std::ops::Range;

use super::error::ImportError;

/// Largest number of nodes of a pickle; the published pickles have some thousand. A node takes 64 bytes, and an operation one
/// byte of the file.
const MAX_NODES: usize = 2_000_000;

/// Index of a node in its tree.
pub(super) type Id = u32;

/// A node: one value of the pickle.
#[derive(Debug)]
pub(super) enum Node {
    /// None, True, False, or an integer beyond 64 bits; tensors of a checkpoint need none of them.
    Other,
    Int(i64),
    Float(f64),
    /// Range of bytes in the file.
    Text(Range<usize>),
    Bytes(Range<usize>),
    Tuple(Vec<Id>),
    /// A list or a set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// Module and name, as ranges of bytes in the file.
    Class(Range<usize>, Range<usize>),
    /// Record of a call or of a class's `__new__`, with the state and the items for the object.
    Object {
        class: Id,
        args: Id,
        state: Option<Id>,
        items: Vec<(Id, Id)>,
    },
    Persistent(Id),
}

/// State of the parser.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: &'a mut Vec<Node>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

/// Parses one pickle that begins at `start`; returns its value and its end. Adds its nodes to `nodes`.
pub(super) fn read(bytes: &[u8], start: usize, nodes: &mut Vec<Node>) -> Result<(Id, usize), ImportError> {
    let mut reader = Reader { bytes, at: start, nodes, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    loop {
        if let Some(root) = reader.step()? {
            return Ok((root, reader.at));
        }
    }
}

impl Reader<'_> {
    fn error<T>(&self, problem: &'static str) -> Result<T, ImportError> {
        Err(ImportError::Pickle { at: self.at, problem })
    }

    fn take(&mut self, n: u64) -> Result<Range<usize>, ImportError> {
        let end = usize::try_from(n).ok().and_then(|n| self.at.checked_add(n)).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else { return self.error("it ends too early") };
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    /// A little-endian integer of `n` ≤ 8 bytes.
    fn number(&mut self, n: usize) -> Result<u64, ImportError> {
        let range = self.take(n as u64)?;
        Ok(self.bytes[range].iter().rev().fold(0, |number, b| number << 8 | u64::from(*b)))
    }

    fn line(&mut self) -> Result<Range<usize>, ImportError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(n) = rest.iter().position(|b| *b == b'\n') else { return self.error("a name does not end") };
        let range = self.take(n as u64)?;
        self.at += 1;
        Ok(range)
    }

    fn add(&mut self, node: Node) -> Result<Id, ImportError> {
        if self.nodes.len() >= MAX_NODES {
            return self.error("it has too many values");
        }
        let id = self.nodes.len() as Id;
        self.nodes.push(node);
        Ok(id)
    }

    fn push(&mut self, node: Node) -> Result<(), ImportError> {
        let id = self.add(node)?;
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, ImportError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.pop() {
            Some(id) if self.stack.len() >= floor => Ok(id),
            _ => self.error("a value is missing"),
        }
    }

    fn top(&self) -> Result<Id, ImportError> {
        self.stack.last().copied().map_or_else(|| self.error("a value is missing"), Ok)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, ImportError> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => self.error("a mark is missing"),
        }
    }

    fn pairs(&self, ids: &[Id]) -> Result<Vec<(Id, Id)>, ImportError> {
        if ids.len() % 2 == 1 {
            return self.error("a key has no value");
        }
        Ok(ids.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
    }

    fn tuple(&mut self, n: usize) -> Result<(), ImportError> {
        let mut ids = (0..n).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        ids.reverse();
        self.push(Node::Tuple(ids))
    }

    fn append(&mut self, ids: Vec<Id>) -> Result<(), ImportError> {
        let top = self.top()? as usize;
        // The target may be a list-like object; its members are not needed.
        if let Some(Node::List(list)) = self.nodes.get_mut(top) {
            list.extend(ids);
        }
        Ok(())
    }

    fn set_items(&mut self, pairs: Vec<(Id, Id)>) -> Result<(), ImportError> {
        let top = self.top()? as usize;
        match self.nodes.get_mut(top) {
            Some(Node::Dict(items) | Node::Object { items, .. }) => items.extend(pairs),
            _ => return self.error("an item is assigned to an object that is not a dictionary"),
        }
        Ok(())
    }

    fn call(&mut self) -> Result<(), ImportError> {
        let args = self.pop()?;
        let class = self.pop()?;
        self.push(Node::Object { class, args, state: None, items: Vec::new() })
    }

    fn put(&mut self, key: u64) -> Result<(), ImportError> {
        let top = self.top()?;
        self.memo.insert(key as u32, top);
        Ok(())
    }

    fn get(&mut self, key: u64) -> Result<(), ImportError> {
        let Some(id) = self.memo.get(&(key as u32)) else {
            return self.error("a reference to an undefined memo entry");
        };
        self.stack.push(*id);
        Ok(())
    }

    /// A signed little-endian integer of any length; integers beyond 64 bits are not needed.
    fn long(&mut self, n: u64) -> Result<(), ImportError> {
        let range = self.take(n)?;
        let bytes = &self.bytes[range];
        if bytes.len() > 8 {
            return self.push(Node::Other);
        }
        let number = bytes.iter().rev().fold(0u64, |number, b| number << 8 | u64::from(*b));
        let unused = 64 - 8 * bytes.len() as u32;
        let number = if unused == 64 { 0 } else { ((number << unused) as i64) >> unused };
        self.push(Node::Int(number))
    }

    /// Executes one operation; returns the value after the last operation.
    fn step(&mut self) -> Result<Option<Id>, ImportError> {
        let operation = self.number(1)? as u8;
        match operation {
            0x80 => {
                self.take(1)?;
            }
            0x95 => {
                self.take(8)?;
            }
            b'N' | 0x88 | 0x89 => self.push(Node::Other)?,
            b'K' => self.int(1)?,
            b'M' => self.int(2)?,
            b'J' => {
                let number = self.number(4)? as u32 as i32;
                self.push(Node::Int(number.into()))?;
            }
            0x8a => {
                let n = self.number(1)?;
                self.long(n)?;
            }
            0x8b => {
                let n = self.number(4)?;
                self.long(n)?;
            }
            b'G' => {
                let range = self.take(8)?;
                let bits = self.bytes[range].iter().fold(0u64, |bits, b| bits << 8 | u64::from(*b));
                self.push(Node::Float(f64::from_bits(bits)))?;
            }
            0x8c | b'U' => self.text(1)?,
            b'X' | b'T' => self.text(4)?,
            0x8d => self.text(8)?,
            b'C' => self.raw(1)?,
            b'B' => self.raw(4)?,
            0x8e | 0x96 => self.raw(8)?,
            b')' => self.push(Node::Tuple(Vec::new()))?,
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b']' | 0x8f => self.push(Node::List(Vec::new()))?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b'(' => self.marks.push(self.stack.len()),
            b't' => {
                let ids = self.pop_to_mark()?;
                self.push(Node::Tuple(ids))?;
            }
            b'l' | 0x91 => {
                let ids = self.pop_to_mark()?;
                self.push(Node::List(ids))?;
            }
            b'd' => {
                let ids = self.pop_to_mark()?;
                let pairs = self.pairs(&ids)?;
                self.push(Node::Dict(pairs))?;
            }
            b'a' => {
                let id = self.pop()?;
                self.append(vec![id])?;
            }
            b'e' | 0x90 => {
                let ids = self.pop_to_mark()?;
                self.append(ids)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(vec![(key, value)])?;
            }
            b'u' => {
                let ids = self.pop_to_mark()?;
                let pairs = self.pairs(&ids)?;
                self.set_items(pairs)?;
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            0x94 => self.put(self.memo.len() as u64)?,
            b'q' => {
                let key = self.number(1)?;
                self.put(key)?;
            }
            b'r' => {
                let key = self.number(4)?;
                self.put(key)?;
            }
            b'h' => {
                let key = self.number(1)?;
                self.get(key)?;
            }
            b'j' => {
                let key = self.number(4)?;
                self.get(key)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Node::Class(module, name))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let [Some(Node::Text(module)), Some(Node::Text(name))] =
                    [module, name].map(|id| self.nodes.get(id as usize))
                else {
                    return self.error("a class has no name");
                };
                let class = Node::Class(module.clone(), name.clone());
                self.push(class)?;
            }
            b'R' | 0x81 => self.call()?,
            0x92 => {
                let _keywords = self.pop()?;
                self.call()?;
            }
            b'b' => {
                let new = self.pop()?;
                let top = self.top()? as usize;
                if let Some(Node::Object { state, .. }) = self.nodes.get_mut(top) {
                    *state = Some(new);
                }
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))?;
            }
            b'.' => return self.pop().map(Some),
            _ => {
                self.at -= 1;
                return self.error("an unsupported opcode");
            }
        }
        Ok(None)
    }

    fn int(&mut self, n: usize) -> Result<(), ImportError> {
        let number = self.number(n)? as i64;
        self.push(Node::Int(number))
    }

    fn text(&mut self, width: usize) -> Result<(), ImportError> {
        let n = self.number(width)?;
        let range = self.take(n)?;
        self.push(Node::Text(range))
    }

    fn raw(&mut self, width: usize) -> Result<(), ImportError> {
        let n = self.number(width)?;
        let range = self.take(n)?;
        self.push(Node::Bytes(range))
    }
}
