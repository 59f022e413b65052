//! Output of results: the file or stream, and the format.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::share;
use crate::whole_file::WholeFile;

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

/// Output stream or file. A file is written beside its path, and [`finish`](Output::finish) puts it in its place. An
/// earlier file is unchanged until then. It stays if the run fails, even if it is one of the inputs.
pub(super) enum Output {
    /// Standard output, a pipe or a device.
    Stream(BufWriter<Box<dyn Write>>),
    /// A file.
    File(WholeFile, PathBuf),
}

/// Opens standard output (for `-` or `None`) or a file. Call it before the work: what cannot be written is refused at
/// once.
pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Output> {
    let Some(path) = path.filter(|path| path.as_os_str() != "-") else {
        return Ok(Output::Stream(BufWriter::new(Box::new(io::stdout()))));
    };
    let cannot = || format!("cannot write {}", path.display());
    if path.exists() && !path.is_file() && !path.is_dir() {
        let stream = File::options().write(true).open(path).with_context(cannot)?;
        return Ok(Output::Stream(BufWriter::new(Box::new(stream))));
    }
    Ok(Output::File(WholeFile::create(path).with_context(cannot)?, path.to_owned()))
}

impl Output {
    /// Completes the output; puts a file in its place.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Stream(mut to) => Ok(to.flush()?),
            Self::File(file, path) => file.finish().with_context(|| format!("cannot write {}", path.display())),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stream(to) => to.write(bytes),
            Self::File(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(to) => to.flush(),
            Self::File(file, _) => file.flush(),
        }
    }
}

/// True when the program that reads the output has closed it.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|e| e.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
