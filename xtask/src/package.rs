//! `cargo xtask package`: the files of a release, in `target/package`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::{Compression, write::GzEncoder};
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::page;
use crate::run::{cargo, command, output, root, run, target_dir};

/// Files of the repository in the archive of the native program.
const DOCUMENTS: [&str; 5] = ["README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE-APACHE", "LICENSE-MIT"];

/// Builds and packs the page as `zip`, or the native program with its models as `tar.gz` (`zip` on Windows).
pub(crate) fn package(is_page: bool) -> Result<()> {
    let id = output(cargo().args(["pkgid", "--package", "specola"])).context("cargo does not tell the version")?;
    let version = id.rsplit(['#', '@']).next().unwrap_or_default();
    let (folder, files) = if is_page {
        (format!("specola-page-{version}"), files(&page::build()?, "")?)
    } else {
        run(cargo().args(["build", "--locked", "--release", "--bin", "specola"]))?;
        let program = format!("specola{}", std::env::consts::EXE_SUFFIX);
        let mut all = vec![(target_dir().join("release").join(&program), program)];
        all.extend(DOCUMENTS.map(|name| (root().join(name), name.into())));
        all.extend(files(&root().join("models"), "models/")?);
        let rustc = output(command("rustc").arg("-vV")).context("rustc does not tell its target")?;
        let target = rustc.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
        (format!("specola-{version}-{target}"), all)
    };
    let is_zip = is_page || cfg!(windows);
    let path = target_dir().join("package").join(format!("{folder}.{}", if is_zip { "zip" } else { "tar.gz" }));
    fs::create_dir_all(target_dir().join("package"))?;
    let archive = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    if is_zip {
        let mut zip = ZipWriter::new(archive);
        for (file, name) in files {
            zip.start_file(format!("{folder}/{name}"), SimpleFileOptions::default())?;
            std::io::copy(&mut File::open(file)?, &mut zip)?;
        }
        zip.finish()?;
    } else {
        let mut tar = tar::Builder::new(GzEncoder::new(archive, Compression::best()));
        files.iter().try_for_each(|(file, name)| tar.append_path_with_name(file, format!("{folder}/{name}")))?;
        tar.into_inner()?.finish()?;
    }
    println!("{}", path.display());
    Ok(())
}

/// All files below a folder, with their names after `prefix`.
fn files(folder: &Path, prefix: &str) -> Result<Vec<(PathBuf, String)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        all.extend(if path.is_dir() { files(&path, &format!("{name}/"))? } else { vec![(path, name)] });
    }
    all.sort();
    Ok(all)
}
