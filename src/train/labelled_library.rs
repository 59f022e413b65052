//! Labelled real stars from a bundle of spectra and a label table.

use std::path::Path;

use anyhow::{Context, Result};

use super::dataset::LibraryEntry;
use super::grid::Grid;
use crate::read::{self, LabelTable};
use crate::spectrum::Spectrum;

/// Line spread of MILES, FWHM in Å (Falcón-Barroso et al. 2011).
pub const MILES_FWHM_AA: f64 = 2.5;

/// Spectra with at least one label. The three lists have the same order.
pub struct LabelledLibrary {
    /// The spectra, as a user would load them.
    pub spectra: Vec<Spectrum>,
    /// The same stars as input of simulated observations.
    pub stars: Vec<LibraryEntry>,
    /// Source of each star's labels, from the column `label_source`; empty if unknown.
    pub sources: Vec<String>,
}

/// Reads a bundle and its label table, and joins them by id. The group of a star is the column `cluster`, or the star
/// itself where that is empty.
pub fn read_labelled(bundle: &Path, labels: &Path) -> Result<LabelledLibrary> {
    let bytes = std::fs::read(bundle).with_context(|| format!("reading {}", bundle.display()))?;
    let contents = read::read(&bundle.to_string_lossy(), &bytes).with_context(|| bundle.display().to_string())?;
    let table = std::fs::read(labels).with_context(|| format!("reading {}", labels.display()))?;
    let table = LabelTable::read(&table).with_context(|| labels.display().to_string())?;
    let mut joined = LabelledLibrary { spectra: Vec::new(), stars: Vec::new(), sources: Vec::new() };
    for spectrum in contents.spectra {
        let id = spectrum.meta.id.clone();
        let labels = Grid::LABELS.map(|label| table.get(&id, label.name()).unwrap_or(f64::NAN));
        if labels.iter().all(|l| l.is_nan()) {
            continue;
        }
        let row = table.id.iter().position(|i| *i == id);
        let text = |column: &str| row.and_then(|row| table.texts.get(column)?.get(row)).map(|c| c.trim().to_string());
        let cluster = text("cluster");
        let good: Vec<usize> = (0..spectrum.len()).filter(|&i| !spectrum.masked()[i]).collect();
        joined.sources.push(text("label_source").unwrap_or_default());
        joined.stars.push(LibraryEntry {
            group: cluster.filter(|c| !c.is_empty()).unwrap_or_else(|| id.clone()),
            id,
            log10: good.iter().map(|&i| spectrum.wave_vac_aa()[i].log10()).collect(),
            flux: good.iter().map(|&i| spectrum.flux()[i]).collect(),
            fwhm_aa: MILES_FWHM_AA,
            labels,
        });
        joined.spectra.push(spectrum);
    }
    Ok(joined)
}
