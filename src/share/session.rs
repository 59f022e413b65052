//! Session file, `.specola`: a zip archive with the results and curves of the page, restored exactly.
//!
//! The first entry is `specola-session.cbor`, the [`Contents`]. The entry `curves/N.cbor` is the [`SpectrumView`] of
//! result N, if stored. CBOR (RFC 8949) names its fields, so later versions can read earlier files; numbers keep every
//! bit. If an adapter was active when the session was saved, `adapter.safetensors` is that adapter, and the contents
//! have its hash. `results.ecsv` is for people and other programs; Specola does not read it.

use std::collections::BTreeSet;
use std::fmt::Formatter;
use std::io::{Cursor, Read, Seek, Write};
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::{Record, ecsv};
use crate::result::{Label, SpectrumView};

/// Version of the layout that this program writes and reads.
pub const FORMAT: u32 = 1;

const CONTENTS: &str = "specola-session.cbor";
const TABLE: &str = "results.ecsv";
const ADAPTER: &str = "adapter.safetensors";

/// Largest number of results, and of parts that were not used.
const MAX_ENTRIES: usize = 500_000;

/// Largest unpacked size of the contents, bytes.
const MAX_CONTENTS: u64 = 256 << 20;

/// Largest unpacked size of the curves of a result, bytes.
const MAX_CURVES: u64 = 64 << 20;

/// Largest unpacked size of the adapter, bytes; no adapter is as large.
const MAX_ADAPTER: u64 = 64 << 20;

/// Reason why a session file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum SessionError {
    #[error(
        "this is not a session file of Specola ({0}): such a file is a zip archive whose first entry is {CONTENTS}"
    )]
    NotASession(String),
    #[error("this session file has layout {0}, this version reads {FORMAT}; open it with a newer Specola")]
    Format(u32),
    #[error("{part} of the session file cannot be read: {why}; save the session again")]
    Part { part: String, why: String },
    #[error("{part} of the session file is larger than {} MiB when unpacked, so it is not read", .limit >> 20)]
    TooLarge { part: String, limit: u64 },
    #[error("the session file cannot be written: {0}")]
    Write(String),
}

/// Content of a session, without the curves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contents {
    /// Version of the layout.
    pub format: u32,
    /// Program and version that wrote it.
    pub software: String,
    /// The results, in the order of the table.
    #[serde(deserialize_with = "list")]
    pub records: Vec<Record>,
    /// Files and parts of files that were not used, with the reasons.
    #[serde(deserialize_with = "list")]
    pub skipped: Vec<(String, String)>,
    /// Index of the selected result.
    pub selected: Option<usize>,
    /// SHA-256 of the active adapter, lower-case hexadecimal.
    pub adapter_sha256: Option<String>,
}

/// A session file that is written curve by curve.
pub struct Writer {
    zip: ZipWriter<Cursor<Vec<u8>>>,
    n_with_curves: usize,
}

impl Writer {
    /// Begins a session file with its results. The active adapter is given as its hash and its file.
    pub fn new(
        records: &[Record],
        mut skipped: Vec<(String, String)>,
        selected: Option<usize>,
        adapter: Option<(&str, &[u8])>,
    ) -> Result<Self, SessionError> {
        skipped.truncate(MAX_ENTRIES);
        let software = format!("Specola {}", env!("CARGO_PKG_VERSION"));
        let table = ecsv::table(records, &Label::ALL);
        let adapter_sha256 = adapter.map(|(sha256, _)| sha256.to_owned());
        let contents =
            Contents { format: FORMAT, software, records: records.to_vec(), skipped, selected, adapter_sha256 };
        let mut writer = Self { zip: ZipWriter::new(Cursor::new(Vec::new())), n_with_curves: 0 };
        writer.put(CONTENTS, &cbor(&contents)?)?;
        writer.put(TABLE, table.as_bytes())?;
        if let Some((_, file)) = adapter {
            writer.put(ADAPTER, file)?;
        }
        Ok(writer)
    }

    /// Adds the curves of a result.
    pub fn curves(&mut self, result: usize, view: &SpectrumView) -> Result<(), SessionError> {
        self.n_with_curves += 1;
        self.put(&entry(result), &cbor(view)?)
    }

    /// Ends the file. Returns it, with the number of results that have curves.
    pub fn finish(self) -> Result<(Vec<u8>, usize), SessionError> {
        let bytes = self.zip.finish().map_err(|e| SessionError::Write(e.to_string()))?.into_inner();
        Ok((bytes, self.n_with_curves))
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), SessionError> {
        let failed = |e: &dyn std::fmt::Display| SessionError::Write(e.to_string());
        // Curves hardly shrink, so the fastest level is enough.
        let options = SimpleFileOptions::default().compression_level(Some(1));
        self.zip.start_file(name, options).map_err(|e| failed(&e))?;
        self.zip.write_all(bytes).map_err(|e| failed(&e))
    }
}

/// An opened session file. Curves are unpacked on demand.
#[derive(Debug)]
pub struct Session {
    /// Its results.
    pub contents: Contents,
    zip: ZipArchive<Cursor<Vec<u8>>>,
    curve_numbers: BTreeSet<usize>,
}

impl Session {
    /// Opens a session file.
    pub fn open(bytes: Vec<u8>) -> Result<Self, SessionError> {
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| SessionError::NotASession(e.to_string()))?;
        if zip.index_for_name(CONTENTS).is_none() {
            return Err(SessionError::NotASession(format!("it has no {CONTENTS}")));
        }
        let contents: Contents = read(&mut zip, CONTENTS, MAX_CONTENTS)?;
        if contents.format != FORMAT {
            return Err(SessionError::Format(contents.format));
        }
        let number = |name: &str| name.strip_prefix("curves/")?.strip_suffix(".cbor")?.parse().ok();
        let curve_numbers = zip.file_names().flatten().filter_map(|name| number(&name)).collect();
        Ok(Self { contents, zip, curve_numbers })
    }

    /// True when the first bytes of a file may be those of a session file.
    pub fn has_signature(bytes: &[u8]) -> bool {
        bytes.starts_with(b"PK\x03\x04") && bytes.get(30..30 + CONTENTS.len()) == Some(CONTENTS.as_bytes())
    }

    /// Number of results that have curves in the file.
    pub fn n_with_curves(&self) -> usize {
        self.curve_numbers.len()
    }

    /// Hash and file of the adapter that was active; `None` when there was none. The caller must check that the file
    /// has the hash.
    pub fn adapter(&mut self) -> Result<Option<(String, Vec<u8>)>, SessionError> {
        let Some(sha256) = self.contents.adapter_sha256.clone() else { return Ok(None) };
        bytes_of(&mut self.zip, ADAPTER, MAX_ADAPTER).map(|file| Some((sha256, file)))
    }

    /// The curves of a result; `None` when the file has none.
    pub fn curves(&mut self, result: usize) -> Result<Option<SpectrumView>, SessionError> {
        if !self.curve_numbers.contains(&result) {
            return Ok(None);
        }
        read(&mut self.zip, &entry(result), MAX_CURVES).map(Some)
    }
}

/// A list of at most [`MAX_ENTRIES`] entries. An entry takes far more memory than its shortest form in the file.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct List<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut Formatter) -> std::fmt::Result {
            write!(f, "a list of at most {MAX_ENTRIES} entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = entries.next_element()? {
                if list.len() == MAX_ENTRIES {
                    return Err(A::Error::invalid_length(list.len() + 1, &self));
                }
                list.push(entry);
            }
            Ok(list)
        }
    }
    deserializer.deserialize_seq(List(PhantomData))
}

fn entry(result: usize) -> String {
    format!("curves/{result}.cbor")
}

fn cbor<T: Serialize>(value: &T) -> Result<Vec<u8>, SessionError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|e| SessionError::Write(e.to_string()))?;
    Ok(bytes)
}

fn read<T: DeserializeOwned>(
    zip: &mut ZipArchive<impl Read + Seek>,
    part: &str,
    limit: u64,
) -> Result<T, SessionError> {
    let bytes = bytes_of(zip, part, limit)?;
    let failed = |why: String| SessionError::Part { part: part.into(), why };
    ciborium::from_reader(bytes.as_slice()).map_err(|e| failed(e.to_string()))
}

fn bytes_of(zip: &mut ZipArchive<impl Read + Seek>, part: &str, limit: u64) -> Result<Vec<u8>, SessionError> {
    let failed = |why: String| SessionError::Part { part: part.into(), why };
    let file = zip.by_name(part).map_err(|e| failed(e.to_string()))?;
    let mut bytes = Vec::new();
    // Limits the bytes that are really unpacked: the size that the file states may be false.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| failed(e.to_string()))?;
    if bytes.len() as u64 > limit {
        return Err(SessionError::TooLarge { part: part.into(), limit });
    }
    Ok(bytes)
}
