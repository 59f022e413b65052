//! Output of results: the file or stream, and the format.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::share;

/// Format of a table of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON object a line.
    Json,
    /// A format that page and command line share.
    Table(share::Format),
}

impl Format {
    /// Parses the value of `--format`.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        if name == "json" {
            return Ok(Self::Json);
        }
        let table = share::Format::ALL.into_iter().find(|f| f.name() == name).map(Format::Table);
        table.ok_or_else(|| "the formats are csv, json, ecsv, votable and fits".into())
    }
}

/// Output stream or file. A file is written under a temporary name next to its path, and [`finish`](Output::finish)
/// renames it. An earlier file is unchanged until then. It stays if the run fails, even if it is one of the inputs.
pub(super) struct Output {
    to: BufWriter<Box<dyn Write>>,
    /// Temporary and final path.
    temporary: Option<(PathBuf, PathBuf)>,
}

/// Opens standard output (for `-` or `None`) or a file.
pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Output> {
    let Some(path) = path.filter(|path| path.as_os_str() != "-") else {
        return Ok(Output { to: BufWriter::new(Box::new(io::stdout())), temporary: None });
    };
    let cannot = || format!("cannot write {}", path.display());
    // Links are followed. A pipe or a device has no temporary file.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if target.exists() && !target.is_file() {
        let file = File::options().write(true).open(&target).with_context(cannot)?;
        return Ok(Output { to: BufWriter::new(Box::new(file)), temporary: None });
    }
    let name = target.file_name().with_context(cannot)?.to_string_lossy().into_owned();
    let temporary = target.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let file = File::create(&temporary).with_context(cannot)?;
    Ok(Output { to: BufWriter::new(Box::new(file)), temporary: Some((temporary, target)) })
}

impl Output {
    /// Completes the output; gives a file its final name.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        self.to.flush()?;
        if let Some((temporary, target)) = self.temporary.take() {
            fs::rename(&temporary, &target).with_context(|| format!("cannot write {}", target.display()))?;
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
    /// Removes an incomplete file.
    fn drop(&mut self) {
        if let Some((temporary, _)) = self.temporary.take() {
            let _ = fs::remove_file(temporary);
        }
    }
}

/// True when the program that reads the output has closed it.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|e| e.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
