//! Where results go and how a table's cells are written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;

use crate::share;

/// Forms that a table of results is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON object a line.
    Json,
    /// A file of the formats that page and command line share.
    Table(share::Format),
}

impl Format {
    /// For clap.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        if name == "json" {
            return Ok(Format::Json);
        }
        let known = share::Format::ALL.into_iter().find(|f| f.name() == name).map(Format::Table);
        known.ok_or_else(|| "the formats are csv, json, ecsv, votable and fits".into())
    }
}

/// Opens standard output (`-` or nothing) or a file.
pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Box<dyn Write>> {
    match path {
        None => Ok(Box::new(BufWriter::new(io::stdout()))),
        Some(path) if path.as_os_str() == "-" => Ok(Box::new(BufWriter::new(io::stdout()))),
        Some(path) => {
            let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(Box::new(BufWriter::new(file)))
        }
    }
}

/// True when the reader of our output has gone, which is its right.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|e| e.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
