//! Arrays of a `.npz` file by name.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::read;

/// The arrays of one file.
pub(super) struct Arrays {
    files: Vec<read::ArrayFile>,
    path: PathBuf,
}

impl Arrays {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self { files: read::arrays(&bytes).with_context(|| path.display().to_string())?, path: path.into() })
    }

    fn file(&self, name: &str) -> Result<&read::ArrayFile> {
        let file = self.files.iter().find(|f| f.name == name);
        file.with_context(|| format!("no array `{name}` in {}", self.path.display()))
    }

    /// Shape and numbers of an array.
    pub(super) fn get(&self, name: &str) -> Result<(Vec<usize>, Vec<f64>)> {
        let array = self.file(name)?.array()?;
        let values = array
            .numbers(0, array.shape.iter().product())
            .with_context(|| format!("array `{name}` of {} does not hold numbers", self.path.display()))?;
        Ok((array.shape, values))
    }

    /// Numbers of an array, which must have this shape.
    pub(super) fn of_shape(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>> {
        let (found, values) = self.get(name)?;
        ensure!(found == shape, "`{name}` of {} has shape {found:?}, expected {shape:?}", self.path.display());
        Ok(values)
    }

    /// Strings or integers of an array, as text without loss of digits.
    pub(super) fn words(&self, name: &str) -> Result<Vec<String>> {
        let words = self.file(name)?.array()?.words();
        words.with_context(|| format!("array `{name}` of {} holds neither text nor integers", self.path.display()))
    }
}
