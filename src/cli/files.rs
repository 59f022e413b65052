//! Reads spectra from FILE arguments. Folders are searched. Files are read on all cores, a few at a time as their size
//! allows, and passed on in the order of the arguments. Files with many spectra, which may be larger than the memory, are
//! read in parts.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;

use super::{RunOutcome, print_message};
use crate::read::{self, Contents, ListedParts, LoadedPart, MAX_FILE_BYTES, Parts, ReadError, XpBatch, XpBatches};
use crate::spectrum::Spectrum;

/// The message about a file of more than [`MAX_FILE_BYTES`].
const TOO_LARGE: &str = "it is larger than 1 GiB; split it";

/// Largest number of files whose spectra are passed on together.
const FILES_AT_ONCE: usize = 64;

/// Largest size of the files whose spectra are passed on together, bytes, unless one alone is larger; and of their spectra.
const BYTES_AT_ONCE: u64 = 64 << 20;

/// Largest number of batches or parts of rows that are read and passed on together: some hundred spectra, which keep all
/// cores busy.
const BATCHES_AT_ONCE: usize = 4;

/// Largest number of files of an archive that are read and passed on together.
const ENTRIES_AT_ONCE: usize = 128;

/// Size from which parts are not collected further, bytes.
const PART_BYTES_AT_ONCE: usize = 16 << 20;

/// A spectrum and its file, as the user named it.
pub(super) struct LoadedSpectrum {
    pub file: String,
    pub spectrum: Spectrum,
}

/// Progress and outcome of reading; prints a message for each unreadable file.
pub(super) struct ImportReport {
    bar: ProgressBar,
    outcome: RunOutcome,
}

impl ImportReport {
    /// Runs `job` while the progress bar is hidden.
    pub(super) fn suspended<T>(&self, job: impl FnOnce() -> T) -> T {
        self.bar.suspend(job)
    }

    /// Prints a message about a file.
    pub(super) fn warn(&self, file: &str, message: &str) {
        self.bar.suspend(|| print_message(&format!("{file}: {message}")));
    }

    fn failed(&mut self, file: &str, why: &str) {
        self.outcome = RunOutcome::Partial;
        self.warn(file, why);
    }

    /// The spectra of a file; the parts that could not be read are reported.
    fn spectra(&mut self, file: &str, contents: Contents) -> impl Iterator<Item = LoadedSpectrum> {
        for skipped in contents.skipped {
            self.failed(&format!("{file}: {}", skipped.part), &skipped.reason);
        }
        for (name, _) in contents.labels {
            let item = if name == file { name } else { format!("{file}: {name}") };
            self.failed(&item, &ReadError::LabelTable.to_string());
        }
        let file = file.to_owned();
        contents.spectra.into_iter().map(move |spectrum| LoadedSpectrum { file: file.clone(), spectrum })
    }
}

/// Reads the files of `paths` and passes their spectra to `on_spectra` in parts, in order. Unreadable files are
/// reported and skipped.
pub(super) fn for_each_part(
    paths: &[PathBuf],
    mut on_spectra: impl FnMut(Vec<LoadedSpectrum>, &ImportReport) -> anyhow::Result<()>,
) -> anyhow::Result<RunOutcome> {
    let files: Vec<FileToRead> = paths.iter().flat_map(|p| walk(p)).collect();
    let mut report = ImportReport { bar: progress_bar(files.len()), outcome: RunOutcome::Complete };
    for part in parts(&files) {
        let mut loaded = Vec::new();
        // A few at a time, because a packed file may give far more than its own size.
        for few in part.chunks(2 * rayon::current_num_threads()) {
            let opened: Vec<Result<OpenedFile, String>> = few.par_iter().map(open).collect();
            for (entry, opened) in few.iter().zip(opened) {
                let file = entry.path.display().to_string();
                match opened {
                    Ok(OpenedFile::Contents(contents)) => loaded.extend(report.spectra(&file, contents)),
                    Ok(OpenedFile::InParts(parts)) => {
                        on_spectra(std::mem::take(&mut loaded), &report)?;
                        read_parts(&file, parts, &mut report, &mut on_spectra)?;
                    }
                    Err(why) => report.failed(&file, &why),
                }
            }
            if loaded.iter().map(|l| l.spectrum.bytes() as u64).sum::<u64>() > BYTES_AT_ONCE {
                on_spectra(std::mem::take(&mut loaded), &report)?;
            }
        }
        on_spectra(loaded, &report)?;
        report.bar.inc(part.len() as u64);
    }
    report.bar.finish_and_clear();
    Ok(report.outcome)
}

/// Cuts the files into parts that are read at the same time.
fn parts(files: &[FileToRead]) -> Vec<&[FileToRead]> {
    let (mut parts, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (i, file) in files.iter().enumerate() {
        let size = std::fs::metadata(&file.path).map_or(0, |m| m.len());
        if i > begin && (i - begin == FILES_AT_ONCE || bytes + size > BYTES_AT_ONCE) {
            parts.push(&files[begin..i]);
            (begin, bytes) = (i, 0);
        }
        bytes += size;
    }
    // Without files, the one part is empty.
    parts.push(&files[begin..]);
    parts
}

/// A file to read, or the reason why a folder could not be listed.
struct FileToRead {
    path: PathBuf,
    problem: Option<String>,
}

impl FileToRead {
    fn new(path: &Path, problem: Option<String>) -> Self {
        Self { path: path.to_owned(), problem }
    }
}

/// Files of a path: the file itself, or all files below the folder in the order of their names. Inside folders, hidden
/// files, linked folders, pipes and devices are left out.
fn walk(path: &Path) -> Vec<FileToRead> {
    if !path.is_dir() {
        return vec![FileToRead::new(path, None)];
    }
    let entries = std::fs::read_dir(path).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(e) => return vec![FileToRead::new(path, Some(format!("cannot list the folder: {e}")))],
    };
    entries.retain(|e| !e.file_name().to_string_lossy().starts_with('.'));
    entries.sort_by_key(|e| e.file_name());
    let is_wanted = |p: &Path| if p.is_dir() { !p.is_symlink() } else { p.is_file() };
    entries.iter().map(|e| e.path()).filter(|p| is_wanted(p)).flat_map(|p| walk(&p)).collect()
}

/// A file: its contents, or a file to be read in parts.
enum OpenedFile {
    Contents(Contents),
    InParts(PartReader),
}

/// A file with many spectra.
enum PartReader {
    Parts { parts: Box<Parts<File>>, next: usize },
    Xp(XpBatches<'static>),
}

/// A part that is read on another core.
enum Part {
    Loaded(LoadedPart),
    Xp(XpBatch),
}

impl PartReader {
    /// The next parts, which are read together; none at the end.
    ///
    /// # Errors
    ///
    /// A message, if the rest of the file is lost.
    fn next_parts(&mut self) -> Result<Vec<Part>, String> {
        let mut round = Vec::new();
        match self {
            Self::Parts { parts, next } => {
                let most = if parts.rows_from(0).is_some() { BATCHES_AT_ONCE } else { ENTRIES_AT_ONCE };
                let mut size = 0;
                while *next < parts.len() && round.len() < most && size < PART_BYTES_AT_ONCE {
                    let part = parts.load(*next);
                    *next += 1;
                    size += part.size();
                    round.push(Part::Loaded(part));
                }
            }
            Self::Xp(table) => {
                while round.len() < 2 * BATCHES_AT_ONCE {
                    let batch = table.next_batch().map_err(|why| {
                        format!("cannot read it from line {} on: {why}; download the file again", table.line())
                    })?;
                    let Some(batch) = batch else { break };
                    round.push(Part::Xp(batch));
                }
            }
        }
        Ok(round)
    }
}

impl Part {
    fn read(&self, file: &str) -> Result<Contents, ReadError> {
        match self {
            Self::Loaded(part) => Ok(part.read()),
            Self::Xp(batch) => batch.read(file),
        }
    }
}

fn open(entry: &FileToRead) -> Result<OpenedFile, String> {
    if let Some(problem) = &entry.problem {
        return Err(problem.clone());
    }
    let name = entry.path.display().to_string();
    if is_stdin(&entry.path) {
        return Ok(OpenedFile::Contents(read_bytes(io::stdin().lock(), "stdin", None)?));
    }
    if read::spectra_name(&name).is_some_and(|spectra| Path::new(&spectra).is_file()) {
        // This file holds the wavelengths of other spectra, and is read together with them.
        return Ok(OpenedFile::Contents(Contents::default()));
    }
    let file = File::open(&entry.path).map_err(|e| format!("cannot open it: {e}"))?;
    if file.metadata().is_ok_and(|m| m.is_file()) {
        if let Some(mut parts) = Parts::open(&name, file).map_err(|e| e.to_string())? {
            while !parts.check().map_err(|e| e.to_string())? {}
            return Ok(OpenedFile::InParts(PartReader::Parts { parts: Box::new(parts), next: 0 }));
        }
        // A file that cannot be unpacked gets its message from the reader of all formats.
        if let Some(table) = File::open(&entry.path).and_then(XpBatches::open).ok().flatten() {
            return Ok(OpenedFile::InParts(PartReader::Xp(table)));
        }
    }
    let file = File::open(&entry.path).map_err(|e| format!("cannot open it: {e}"))?;
    if file.metadata().is_ok_and(|m| m.len() > MAX_FILE_BYTES) {
        return Err(TOO_LARGE.into());
    }
    let sampling = read::sampling_name(&name).and_then(|sampling| std::fs::read(sampling).ok());
    Ok(OpenedFile::Contents(read_bytes(file, &name, sampling.as_deref())?))
}

/// True for `-`, standard input.
fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Reads a stream to its end, or up to the limit: a device may have no end.
fn read_bytes(stream: impl Read, name: &str, sampling: Option<&[u8]>) -> Result<Contents, String> {
    let mut bytes = Vec::new();
    stream.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| format!("cannot read it: {e}"))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(TOO_LARGE.into());
    }
    read::read_with_sampling(name, &bytes, sampling).map_err(|e| e.to_string())
}

/// Reads a file in parts: one thread loads and unpacks them, the others read the parts and process the spectra.
fn read_parts(
    file: &str,
    mut parts: PartReader,
    report: &mut ImportReport,
    on_spectra: &mut impl FnMut(Vec<LoadedSpectrum>, &ImportReport) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        let loading = scope.spawn(move || -> Result<(), String> {
            loop {
                let round = parts.next_parts()?;
                // The receiver stops early after an error of the output.
                if round.is_empty() || sender.send(round).is_err() {
                    return Ok(());
                }
            }
        });
        let mut has_parts = false;
        let mut listed = ListedParts::default();
        for round in &receiver {
            has_parts = true;
            let contents: Vec<Result<Contents, ReadError>> = round.par_iter().map(|part| part.read(file)).collect();
            drop(round);
            let mut loaded = Vec::new();
            for contents in contents {
                match contents {
                    Ok(mut contents) => {
                        listed.limit(&mut contents);
                        loaded.extend(report.spectra(file, contents));
                    }
                    Err(why) => report.failed(file, &why.to_string()),
                }
            }
            on_spectra(loaded, report)?;
        }
        if let Some(rest) = listed.rest() {
            report.failed(&format!("{file}: {}", rest.part), &rest.reason);
        }
        // Without a receiver, a failed output stops the loading.
        drop(receiver);
        match loading.join() {
            Ok(Ok(())) if has_parts => {}
            Ok(Ok(())) => report.failed(file, "the table has no rows; export it again"),
            Ok(Err(why)) => report.failed(file, &why),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        Ok(())
    })
}

/// A progress bar on a terminal, hidden otherwise.
fn progress_bar(files: usize) -> ProgressBar {
    if files < 2 || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} files, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(files as u64).with_style(style)
}
