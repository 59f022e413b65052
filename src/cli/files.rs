//! From FILE arguments to spectra: folders are walked, files are read on all cores, a few at a time, and handed on in
//! the order in which they were named.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;

use super::{Outcome, say};
use crate::read::{self, ReadError};
use crate::spectrum::Spectrum;

/// Files that are in memory together.
const FILES_AT_ONCE: usize = 64;

/// A spectrum and the file it came from, as the user named it.
pub(super) struct Loaded {
    pub file: String,
    pub spectrum: Spectrum,
}

/// Counts what was done and reports what was not.
pub(super) struct Report {
    bar: ProgressBar,
    outcome: Outcome,
}

impl Report {
    /// Runs `job` while the progress bar is out of its way.
    pub(super) fn aside<T>(&self, job: impl FnOnce() -> T) -> T {
        self.bar.suspend(job)
    }

    /// A line about a file.
    pub(super) fn remark(&self, file: &str, what: &str) {
        self.bar.suspend(|| say(&format!("{file}: {what}")));
    }

    fn failed(&mut self, file: &str, why: &str) {
        self.outcome = Outcome::Partial;
        self.remark(file, why);
    }
}

/// Reads what `paths` name and gives it to `take` in parts, in order. What cannot be read is reported and passed over.
pub(super) fn for_each_part(
    paths: &[PathBuf],
    mut take: impl FnMut(Vec<Loaded>, &Report) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let files: Vec<Found> = paths.iter().flat_map(|p| walk(p)).collect();
    let mut report = Report { bar: progress_bar(files.len()), outcome: Outcome::Complete };
    for part in files.chunks(FILES_AT_ONCE) {
        let contents: Vec<Result<read::Contents, String>> = part.par_iter().map(read_one).collect();
        let mut loaded = Vec::new();
        for (found, contents) in part.iter().zip(contents) {
            let file = found.path.display().to_string();
            match contents {
                Ok(contents) => {
                    for skipped in contents.skipped {
                        report.failed(&format!("{file}: {}", skipped.what), &skipped.why);
                    }
                    for (name, _) in contents.labels {
                        let which = if name == file { name } else { format!("{file}: {name}") };
                        report.failed(&which, &ReadError::LabelTable.to_string());
                    }
                    loaded.extend(contents.spectra.into_iter().map(|spectrum| Loaded { file: file.clone(), spectrum }));
                }
                Err(why) => report.failed(&file, &why),
            }
        }
        take(loaded, &report)?;
        report.bar.inc(part.len() as u64);
    }
    report.bar.finish_and_clear();
    Ok(report.outcome)
}

/// A file to read, or why a folder could not be walked.
struct Found {
    path: PathBuf,
    problem: Option<String>,
}

impl Found {
    fn new(path: &Path, problem: Option<String>) -> Self {
        Self { path: path.to_owned(), problem }
    }
}

/// The files that a path names: itself, or all below it in the order of their names. Of what is in folders, hidden files,
/// linked folders, pipes and devices are left out.
fn walk(path: &Path) -> Vec<Found> {
    if !path.is_dir() {
        return vec![Found::new(path, None)];
    }
    let entries = std::fs::read_dir(path).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(e) => return vec![Found::new(path, Some(format!("cannot list the folder: {e}")))],
    };
    entries.retain(|e| !e.file_name().to_string_lossy().starts_with('.'));
    entries.sort_by_key(|e| e.file_name());
    let is_wanted = |p: &Path| if p.is_dir() { !p.is_symlink() } else { p.is_file() };
    entries.iter().map(|e| e.path()).filter(|p| is_wanted(p)).flat_map(|p| walk(&p)).collect()
}

fn read_one(found: &Found) -> Result<read::Contents, String> {
    if let Some(problem) = &found.problem {
        return Err(problem.clone());
    }
    let name = found.path.display().to_string();
    if read::spectra_name(&name).is_some_and(|spectra| Path::new(&spectra).is_file()) {
        // It is read together with the spectra that it belongs to.
        return Ok(read::Contents::default());
    }
    let bytes = std::fs::read(&found.path).map_err(|e| format!("cannot open it: {e}"))?;
    let sampling = read::sampling_name(&name).and_then(|sampling| std::fs::read(sampling).ok());
    read::read_beside(&name, &bytes, sampling.as_deref()).map_err(|e| e.to_string())
}

/// A bar on a terminal, nothing in a pipe.
fn progress_bar(files: usize) -> ProgressBar {
    if files < 2 || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} files, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(files as u64).with_style(style)
}
