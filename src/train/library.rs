//! Labelled real stars.

use std::path::Path;

use anyhow::{Context, Result};

use super::dataset::LibraryStar;
use super::grid::Grid;
use crate::read::{self, LabelTable};
use crate::spectrum::Spectrum;

/// MILES's line spread, Å FWHM (Falcón-Barroso et al. 2011).
pub const MILES_FWHM_AA: f64 = 2.5;

/// The pair of (true, predicted)-ready stars of a bundle: spectra that have at least one label.
pub struct Labelled {
    /// The spectra as a user would drop them.
    pub spectra: Vec<Spectrum>,
    /// The same stars for simulation.
    pub stars: Vec<LibraryStar>,
    /// Where each star's labels come from, the `label_source` column; empty where it is not said.
    pub sources: Vec<String>,
}

/// Reads a bundle and its label table and joins them by id. Groups: the `cluster` column if filled, else the star.
pub fn read_labelled(bundle: &Path, labels: &Path) -> Result<Labelled> {
    let bytes = std::fs::read(bundle).with_context(|| format!("reading {}", bundle.display()))?;
    let contents = read::read(&bundle.to_string_lossy(), &bytes).with_context(|| bundle.display().to_string())?;
    let table = std::fs::read(labels).with_context(|| format!("reading {}", labels.display()))?;
    let table = LabelTable::read(&table).with_context(|| labels.display().to_string())?;
    let mut joined = Labelled { spectra: Vec::new(), stars: Vec::new(), sources: Vec::new() };
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
        joined.stars.push(LibraryStar {
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
