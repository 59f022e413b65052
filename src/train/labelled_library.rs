//! Labelled real stars from a bundle of spectra and a label table.

use std::path::Path;

use anyhow::Result;

use super::dataset::LibraryEntry;
use super::evaluate::{HEADER_RV, number, read_spectra, read_table};
use super::grid::Grid;
use crate::preprocess::grid::{C_KMS, fit_log10};
use crate::preprocess::snr::estimate;
use crate::result::Label;
use crate::spectrum::Spectrum;

/// Line spread of MILES, FWHM in Å (Falcón-Barroso et al. 2011).
pub const MILES_FWHM_AA: f64 = 2.5;

/// Line spread of LAMOST's low-resolution spectra between 4000 and 5600 Å, FWHM in Å (see
/// [`lamost_line_spread`](super::simulate::lamost_line_spread)).
pub const LAMOST_FWHM_AA: f64 = 3.2;

/// Side of the squares on the sky by which spectra of a survey are grouped, degrees. A square is about as large as a
/// field of LAMOST, so that spectra of one exposure are mostly in one group.
const FIELD_DEG: f64 = 5.0;

/// Spectra with at least one label. All lists have the same order.
#[derive(Default)]
pub struct LabelledLibrary {
    /// The spectra, as a user would load them.
    pub spectra: Vec<Spectrum>,
    /// The same stars as input of simulated observations.
    pub stars: Vec<LibraryEntry>,
    /// Source of each star's labels, from the column `label_source`; empty if unknown.
    pub sources: Vec<String>,
    /// Radial velocity of each spectrum, km/s; NaN if unknown.
    pub rv_kms: Vec<f64>,
}

impl LabelledLibrary {
    /// Labels of a star in the order of [`Label::ALL`]; NaN if unknown.
    pub fn truth(&self, star: usize) -> [f64; Label::ALL.len()] {
        let [teff, logg, feh, alpha_fe] = self.stars[star].labels;
        [teff, logg, feh, alpha_fe, self.rv_kms[star]]
    }
}

/// Reads a bundle and its label table, and joins them by id. The group of a star is the column `cluster`, or the star
/// itself where that is empty.
pub fn read_labelled(bundle: &Path, labels: &Path) -> Result<LabelledLibrary> {
    let table = read_table(labels)?;
    let mut joined = LabelledLibrary::default();
    for spectrum in read_spectra(bundle)? {
        let id = spectrum.meta.id.clone();
        let labels = Grid::LABELS.map(|label| table.get(&id, label.name()).unwrap_or(f64::NAN));
        if labels.iter().all(|l| l.is_nan()) {
            continue;
        }
        let row = table.id.iter().position(|i| *i == id);
        let text = |column: &str| row.and_then(|row| table.texts.get(column)?.get(row)).map(|c| c.trim().to_string());
        let cluster = text("cluster");
        let good: Vec<usize> = (0..spectrum.len()).filter(|&i| !spectrum.masked()[i]).collect();
        joined.rv_kms.push(f64::NAN);
        joined.sources.push(text("label_source").unwrap_or_default());
        joined.stars.push(LibraryEntry {
            group: cluster.filter(|c| !c.is_empty()).unwrap_or_else(|| id.clone()),
            id,
            log10: good.iter().map(|&i| spectrum.wave_vac_aa()[i].log10()).collect(),
            flux: good.iter().map(|&i| spectrum.flux()[i]).collect(),
            fwhm_aa: MILES_FWHM_AA,
            snr: f64::INFINITY,
            labels,
            label_errors: [0.0; 4],
        });
        joined.spectra.push(spectrum);
    }
    Ok(joined)
}

/// Reads spectra of LAMOST and the labels of its pipeline. Spectra without a header velocity are left out; the others
/// are shifted to rest by it. The group of a star is its square on the sky.
pub fn read_survey(bundle: &Path, labels: &Path) -> Result<LabelledLibrary> {
    let table = read_table(labels)?;
    let pixels = fit_log10();
    // A margin for the shift of the simulated observations.
    let range = pixels[0] - 3e-3..pixels[pixels.len() - 1] + 3e-3;
    let mut joined = LabelledLibrary::default();
    for spectrum in read_spectra(bundle)? {
        let id = spectrum.meta.id.clone();
        let row = table.id.iter().position(|i| *i == id);
        let cell = |column: &str| row.and_then(|row| number(&table, column, row));
        let (Some(rv_kms), Some(snr)) = (cell(HEADER_RV), estimate(&spectrum)) else { continue };
        let field = |column: &str| cell(column).map_or(f64::NAN, |deg| (deg / FIELD_DEG).floor());
        let shift = (1.0 + rv_kms / C_KMS).log10();
        let at_rest = |i: usize| spectrum.wave_vac_aa()[i].log10() - shift;
        let good: Vec<usize> =
            (0..spectrum.len()).filter(|&i| !spectrum.masked()[i] && range.contains(&at_rest(i))).collect();
        joined.stars.push(LibraryEntry {
            group: format!("field {} {}", field("ra"), field("dec")),
            id,
            log10: good.iter().map(|&i| at_rest(i)).collect(),
            flux: good.iter().map(|&i| spectrum.flux()[i]).collect(),
            fwhm_aa: LAMOST_FWHM_AA,
            snr: snr.value,
            labels: Grid::LABELS.map(|label| cell(label.name()).unwrap_or(f64::NAN)),
            label_errors: [0.0; 4],
        });
        joined.rv_kms.push(rv_kms);
        joined.sources.push("LASP".into());
        joined.spectra.push(spectrum);
    }
    Ok(joined)
}
