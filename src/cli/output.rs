//! Where results go and how a table's cells are written.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

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

/// Where results go. A file is written beside its place and put there by [`finish`](Output::finish): what stood there is
/// whole until then, and stays if anything fails, were it one of the inputs.
pub(super) struct Output {
    to: BufWriter<Box<dyn Write>>,
    /// What is written, and its place.
    fresh: Option<(PathBuf, PathBuf)>,
}

/// Opens standard output (`-` or nothing) or a file.
pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Output> {
    let Some(path) = path.filter(|path| path.as_os_str() != "-") else {
        return Ok(Output { to: BufWriter::new(Box::new(io::stdout())), fresh: None });
    };
    let cannot = || format!("cannot write {}", path.display());
    // A link stays one, and what is no file (a pipe, /dev/null) is written to as it is.
    let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if place.exists() && !place.is_file() {
        let file = File::options().write(true).open(&place).with_context(cannot)?;
        return Ok(Output { to: BufWriter::new(Box::new(file)), fresh: None });
    }
    let name = place.file_name().with_context(cannot)?.to_string_lossy().into_owned();
    let fresh = place.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let file = File::create(&fresh).with_context(cannot)?;
    Ok(Output { to: BufWriter::new(Box::new(file)), fresh: Some((fresh, place)) })
}

impl Output {
    /// All is written.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        self.to.flush()?;
        if let Some((fresh, place)) = self.fresh.take() {
            fs::rename(&fresh, &place).with_context(|| format!("cannot write {}", place.display()))?;
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Drop for Output {
    /// Something failed: the file is not whole.
    fn drop(&mut self) {
        if let Some((fresh, _)) = self.fresh.take() {
            let _ = fs::remove_file(fresh);
        }
    }
}

/// True when the reader of our output has gone, which is its right.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|e| e.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
