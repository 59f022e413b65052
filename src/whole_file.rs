//! Files that land whole: written beside their place, synced to the disk, then renamed. Whoever opens the path sees the
//! earlier file or the complete new one, also when the program is killed in between.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use same_file::Handle;
use tempfile::{Builder, NamedTempFile};

/// Most links that a path may lead through.
const MAX_LINKS: usize = 40;

/// Temporary files of this process that are not complete.
static PARTS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A file that is not yet in its place. It is removed when it is dropped before [`WholeFile::finish`].
pub struct WholeFile {
    /// `None` only while it is dropped.
    part: Option<BufWriter<NamedTempFile>>,
    target: PathBuf,
}

impl WholeFile {
    /// Begins the file `path`. Links are followed, and an earlier file keeps its permissions. Fails at once if the folder
    /// is missing or may not be changed, or if `path` is a folder.
    pub fn create(path: &Path) -> io::Result<Self> {
        let target = target_of(path)?;
        let not_a_file = || io::Error::new(io::ErrorKind::IsADirectory, "it is a folder");
        if target.is_dir() {
            return Err(not_a_file());
        }
        let name = target.file_name().ok_or_else(not_a_file)?.to_string_lossy().into_owned();
        let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no folder {}", folder.display())));
        }
        let earlier = fs::metadata(&target).ok();
        if earlier.as_ref().is_some_and(|m| m.permissions().readonly()) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is read-only"));
        }
        let prefix = format!(".{name}.");
        remove_abandoned(folder, &prefix);
        let mut builder = Builder::new();
        builder.prefix(&prefix).suffix(".part");
        // Unlike those of other temporary files, its readers are not only the user's own programs.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let part = builder.tempfile_in(folder)?;
        // Held until the file is closed: the part of a process that was killed has no lock. Some network disks have none.
        let _ = part.as_file().try_lock();
        if let Some(earlier) = earlier {
            part.as_file().set_permissions(earlier.permissions())?;
        }
        parts().push(part.path().to_owned());
        Ok(Self { part: Some(BufWriter::new(part)), target })
    }

    /// Puts the complete file in its place. A file with several hard links keeps them: its content is replaced, which a
    /// kill can interrupt.
    pub fn finish(mut self) -> io::Result<()> {
        let Some(part) = self.part.take() else { return Ok(()) };
        let part = part.into_inner().map_err(io::IntoInnerError::into_error)?;
        part.as_file().sync_all()?;
        let temporary = part.path().to_owned();
        let placed = match has_other_links(&self.target) {
            true => fs::copy(&temporary, &self.target).map(drop),
            false => part.persist(&self.target).map(drop).map_err(|e| e.error),
        };
        forget(&temporary);
        placed
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.as_mut().map_or(Ok(0), |part| part.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.part.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if let Some(part) = self.part.take() {
            // Dropping the temporary file itself removes it from the folder.
            forget(part.get_ref().path());
        }
    }
}

/// Writes a file of these bytes.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = WholeFile::create(path)?;
    file.write_all(bytes)?;
    file.finish()
}

/// Locks an existing file that is read, changed and written again, until the returned handle is dropped. `on_wait` is
/// called if another process holds the lock.
pub fn lock(path: &Path, on_wait: impl FnOnce()) -> io::Result<File> {
    let mut on_wait = Some(on_wait);
    loop {
        let file = File::open(path)?;
        if file.try_lock().is_err() {
            if let Some(on_wait) = on_wait.take() {
                on_wait();
            }
            file.lock()?;
        }
        // The process before may have put a new file in this place, and its lock is on the old one.
        if Handle::from_file(file.try_clone()?)? == Handle::from_path(path)? {
            return Ok(file);
        }
    }
}

/// Removes incomplete files of this name that killed processes left.
fn remove_abandoned(folder: &Path, prefix: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_part = name.to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(".part"));
        if is_part && File::open(entry.path()).is_ok_and(|part| part.try_lock().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Removes the incomplete files of this process; for the handler of a signal that ends it.
pub fn remove_parts() {
    parts().drain(..).for_each(|part| drop(fs::remove_file(part)));
}

fn parts() -> std::sync::MutexGuard<'static, Vec<PathBuf>> {
    PARTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn forget(part: &Path) {
    parts().retain(|p| p != part);
}

/// Where a path leads to; the file itself may be missing.
fn target_of(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("it leads through too many links"))
}

#[cfg(unix)]
fn has_other_links(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).is_ok_and(|m| m.nlink() > 1)
}

#[cfg(not(unix))]
fn has_other_links(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_incomplete_file_leaves_the_earlier_one_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        write(&path, b"first").unwrap();
        let mut file = WholeFile::create(&path).unwrap();
        file.write_all(b"sec").unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        drop(file);
        assert_eq!(names(folder.path()), ["out.csv"]);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        write(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
    }

    #[test]
    fn parts_of_killed_processes_are_removed_and_those_of_running_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let running = WholeFile::create(&path).unwrap();
        fs::write(folder.path().join(".out.csv.abc.part"), b"half").unwrap();
        fs::write(folder.path().join(".other.csv.abc.part"), b"half").unwrap();
        write(&path, b"whole").unwrap();
        let parts = names(folder.path());
        assert_eq!(parts.len(), 3, "{parts:?}");
        assert!(!parts.contains(&".out.csv.abc.part".to_string()));
        running.finish().unwrap();
        assert_eq!(names(folder.path()), [".other.csv.abc.part", "out.csv"]);
    }

    #[test]
    fn folders_and_missing_folders_are_refused_at_the_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |path: &Path| WholeFile::create(path).err().map(|e| e.kind());
        assert_eq!(refusal(folder.path()), Some(io::ErrorKind::IsADirectory));
        assert_eq!(refusal(&folder.path().join("no/out.csv")), Some(io::ErrorKind::NotFound));
        assert!(names(folder.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn permissions_and_links_are_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write(&at("a"), b"1").unwrap();
        fs::set_permissions(at("a"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("a", at("link")).unwrap();
        write(&at("link"), b"2").unwrap();
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert_eq!(fs::metadata(at("a")).unwrap().permissions().mode() & 0o777, 0o640);
        fs::hard_link(at("a"), at("twin")).unwrap();
        write(&at("a"), b"3").unwrap();
        assert_eq!(fs::read(at("twin")).unwrap(), b"3");
        // A link to a file that is not there yet.
        symlink("new", at("ahead")).unwrap();
        write(&at("ahead"), b"4").unwrap();
        assert_eq!(fs::read(at("new")).unwrap(), b"4");
        assert_eq!(names(folder.path()), ["a", "ahead", "link", "new", "twin"]);
    }

    #[test]
    fn a_lock_waits_for_the_file_that_is_in_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("count");
        write(&path, b"0").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _lock = lock(&path, || {}).unwrap();
                    let n: u32 = fs::read_to_string(&path).unwrap().parse().unwrap();
                    write(&path, (n + 1).to_string().as_bytes()).unwrap();
                });
            }
        });
        assert_eq!(fs::read_to_string(&path).unwrap(), "8");
    }
}
