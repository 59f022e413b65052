//! A session file, `.specola`: one zip that holds the results and the curves of a page and reopens exactly.
//!
//! Its first entry is `specola-session.cbor`, the [`Contents`]; `curves/N.cbor` is the [`SpectrumView`] of result N, for
//! as many as were put in. CBOR (RFC 8949) because it names its fields, so that later versions read earlier files, and
//! keeps every bit of a number. `adapter.safetensors` is the adapter that answered when the session was saved, if one did;
//! the contents have its hash. `results.ecsv` is for people and other programs; Specola does not read it.

use std::collections::BTreeSet;
use std::io::{Cursor, Read, Seek, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::{Record, ecsv};
use crate::result::{Label, SpectrumView};

/// Version of the layout that this program writes and reads.
pub const FORMAT: u32 = 1;

const CONTENTS: &str = "specola-session.cbor";
const TABLE: &str = "results.ecsv";
const ADAPTER: &str = "adapter.safetensors";

/// Most bytes that the contents may unpack to.
const MAX_CONTENTS: u64 = 256 << 20;

/// Most bytes that the curves of one result may unpack to.
const MAX_CURVES: u64 = 64 << 20;

/// Most bytes that the adapter may unpack to: more than an adapter can have.
const MAX_ADAPTER: u64 = 64 << 20;

/// Why a session file cannot be used.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum SessionError {
    #[error("this is no session file of Specola ({0}); it is a zip that begins with {CONTENTS}")]
    Foreign(String),
    #[error("this session file has layout {0}, this version reads {FORMAT}; open it with a newer Specola")]
    Format(u32),
    #[error("{part} of the session file cannot be read: {why}; save the session again")]
    Part { part: String, why: String },
    #[error("{part} of the session file would unpack to more than {} MiB; it is not used", .limit >> 20)]
    TooLarge { part: String, limit: u64 },
    #[error("the session file cannot be written: {0}")]
    Write(String),
}

/// Everything in a session but the curves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contents {
    /// Version of the layout.
    pub format: u32,
    /// Program and version that wrote it.
    pub software: String,
    /// The results, in the order of the table.
    pub records: Vec<Record>,
    /// What was not used, and why.
    pub skipped: Vec<(String, String)>,
    /// Place of the result that was shown.
    pub selected: Option<usize>,
    /// SHA-256 of the adapter that answered, lower-case hexadecimal.
    pub adapter_sha256: Option<String>,
}

/// A session file being written, curve by curve.
pub struct Writer {
    zip: ZipWriter<Cursor<Vec<u8>>>,
    with_curves: usize,
}

impl Writer {
    /// Begins a session file with its results, and the adapter that answers, as its hash and its file.
    pub fn new(
        records: &[Record],
        skipped: Vec<(String, String)>,
        selected: Option<usize>,
        adapter: Option<(&str, &[u8])>,
    ) -> Result<Self, SessionError> {
        let software = format!("Specola {}", env!("CARGO_PKG_VERSION"));
        let table = ecsv::table(records, &Label::ALL);
        let adapter_sha256 = adapter.map(|(sha256, _)| sha256.to_owned());
        let contents =
            Contents { format: FORMAT, software, records: records.to_vec(), skipped, selected, adapter_sha256 };
        let mut writer = Self { zip: ZipWriter::new(Cursor::new(Vec::new())), with_curves: 0 };
        writer.put(CONTENTS, &cbor(&contents)?)?;
        writer.put(TABLE, table.as_bytes())?;
        if let Some((_, file)) = adapter {
            writer.put(ADAPTER, file)?;
        }
        Ok(writer)
    }

    /// Adds the curves of a result.
    pub fn curves(&mut self, result: usize, view: &SpectrumView) -> Result<(), SessionError> {
        self.with_curves += 1;
        self.put(&entry(result), &cbor(view)?)
    }

    /// The file, and how many results have their curves in it.
    pub fn finish(self) -> Result<(Vec<u8>, usize), SessionError> {
        let bytes = self.zip.finish().map_err(|e| SessionError::Write(e.to_string()))?.into_inner();
        Ok((bytes, self.with_curves))
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), SessionError> {
        let failed = |e: &dyn std::fmt::Display| SessionError::Write(e.to_string());
        self.zip.start_file(name, SimpleFileOptions::default()).map_err(|e| failed(&e))?;
        self.zip.write_all(bytes).map_err(|e| failed(&e))
    }
}

/// A session file that was opened. Curves are unpacked when they are asked for.
#[derive(Debug)]
pub struct Session {
    /// Its results.
    pub contents: Contents,
    zip: ZipArchive<Cursor<Vec<u8>>>,
    with_curves: BTreeSet<usize>,
}

impl Session {
    /// Opens a session file.
    pub fn open(bytes: Vec<u8>) -> Result<Self, SessionError> {
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| SessionError::Foreign(e.to_string()))?;
        if zip.index_for_name(CONTENTS).is_none() {
            return Err(SessionError::Foreign(format!("it has no {CONTENTS}")));
        }
        let contents: Contents = read(&mut zip, CONTENTS, MAX_CONTENTS)?;
        if contents.format != FORMAT {
            return Err(SessionError::Format(contents.format));
        }
        let number = |name: &str| name.strip_prefix("curves/")?.strip_suffix(".cbor")?.parse().ok();
        let with_curves = zip.file_names().flatten().filter_map(|name| number(&name)).collect();
        Ok(Self { contents, zip, with_curves })
    }

    /// True when these first bytes of a file may be those of a session file.
    pub fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(b"PK\x03\x04") && bytes.get(30..30 + CONTENTS.len()) == Some(CONTENTS.as_bytes())
    }

    /// How many results have their curves in the file.
    pub fn with_curves(&self) -> usize {
        self.with_curves.len()
    }

    /// The adapter that answered, as its hash and its file; `None` when none did. Whether the file has the hash is for those
    /// to find out who use it.
    pub fn adapter(&mut self) -> Result<Option<(String, Vec<u8>)>, SessionError> {
        let Some(sha256) = self.contents.adapter_sha256.clone() else { return Ok(None) };
        bytes_of(&mut self.zip, ADAPTER, MAX_ADAPTER).map(|file| Some((sha256, file)))
    }

    /// The curves of a result; `None` when they were left out.
    pub fn curves(&mut self, result: usize) -> Result<Option<SpectrumView>, SessionError> {
        if !self.with_curves.contains(&result) {
            return Ok(None);
        }
        read(&mut self.zip, &entry(result), MAX_CURVES).map(Some)
    }
}

fn entry(result: usize) -> String {
    format!("curves/{result}.cbor")
}

fn cbor<T: Serialize>(what: &T) -> Result<Vec<u8>, SessionError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(what, &mut bytes).map_err(|e| SessionError::Write(e.to_string()))?;
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
    // Not the size that the file claims: what comes out of it.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| failed(e.to_string()))?;
    if bytes.len() as u64 > limit {
        return Err(SessionError::TooLarge { part: part.into(), limit });
    }
    Ok(bytes)
}
