//! CALSPEC stars from their Gaia XP coefficients: predicted labels beside the literature.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pollster::block_on;

use super::evaluate::{read_spectra, read_table, text};
use super::report::decimals;
use crate::result::{Flag, Label, Prediction};
use crate::spectrum::Spectrum;
use crate::task::xp_model::XpModel;

/// The columns of the labels in the table of the stars.
const LITERATURE: [(Label, &str); 4] =
    [(Label::Teff, "hyp_teff"), (Label::Logg, "hyp_logg"), (Label::Feh, "hyp_feh"), (Label::AlphaFe, "hyp_alpha_fe")];

/// A CALSPEC star.
pub struct CalspecStar {
    /// Name of the star, its spectral type and V magnitude, as the table gives them.
    pub name: String,
    spectral_type: String,
    v_mag: String,
    /// Labels from the literature, in the order Teff, log g, [Fe/H], [α/Fe].
    pub literature: [Option<f64>; 4],
    /// Labels from the coefficients.
    pub prediction: Prediction,
}

/// Predicts every spectrum of the files `calspec/*_xp_continuous.csv` in the folder of real sets, without the same star
/// twice. Labels from the literature are in `calspec/labels.csv`.
pub fn stars(real: &Path, model: &XpModel) -> Result<Vec<CalspecStar>> {
    let folder = real.join("calspec");
    let table = read_table(&folder.join("labels.csv"))?;
    let entries = std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let is_coefficients = |path: &PathBuf| path.to_string_lossy().ends_with("_xp_continuous.csv");
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(is_coefficients).collect();
    files.sort();
    let mut spectra: Vec<Spectrum> = Vec::new();
    for file in &files {
        spectra.extend(read_spectra(file)?);
    }
    let predictions = block_on(model.predict(&spectra.iter().collect::<Vec<_>>()));
    let mut stars: Vec<CalspecStar> = Vec::new();
    for (spectrum, prediction) in spectra.iter().zip(predictions) {
        let id = &spectrum.meta.id;
        let row = table.id.iter().position(|known| known == id).with_context(|| format!("{id} has no labels"))?;
        let cell = |column: &str| text(&table, column, row).to_string();
        if stars.iter().all(|star| star.name != cell("star")) {
            stars.push(CalspecStar {
                name: cell("star"),
                spectral_type: cell("sptype"),
                v_mag: cell("V"),
                literature: LITERATURE.map(|(_, column)| cell(column).parse().ok()),
                prediction: prediction?,
            });
        }
    }
    stars.sort_by_key(|star| star.literature[0].is_none());
    Ok(stars)
}

/// Body of `calspec.md`.
pub fn body(stars: &[CalspecStar]) -> String {
    let mut page = String::from(
        "\nCALSPEC standard stars (Bohlin et al. 2014) whose Gaia DR3 XP spectra are given as coefficients. Specola samples the spectra and \
         predicts their labels. Literature: Hypatia catalogue (Hinkel et al. 2014). No CALSPEC star was chosen or left out by its result; hot stars \
         have no labels there, and their spectral type says what to expect.\n\n\
         | star | type | V | Teff, K | literature | log g | literature | [Fe/H] | literature | [α/Fe] | literature | flags |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for star in stars {
        let _ = write!(page, "| {} | {} | {} |", star.name, star.spectral_type, star.v_mag);
        for ((label, _), literature) in LITERATURE.iter().zip(star.literature) {
            let d = decimals(*label).min(2);
            let predicted = star.prediction.get(*label);
            let predicted = predicted.map_or("–".into(), |e| format!("{:.d$} ± {:.d$}", e.value, e.error));
            let literature = literature.map_or(String::new(), |v| format!("{v:.d$}"));
            let _ = write!(page, " {predicted} | {literature} |");
        }
        let flags: Vec<&str> = star.prediction.flags.iter().copied().map(Flag::code).collect();
        let _ = writeln!(page, " {} |", flags.join(", "));
    }
    page
}
