//! `models/MODELS.md`: what every shipped model is and what it was measured to be worth.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;

use super::coverage;
use super::evaluate::{
    Judged, LabelScore, RepeatScore, VARIABLE_KMS, VelocityScore, join, predict_files, read_table, repeats, score,
    text, truth, velocities,
};
use super::head_table;
use super::pretrain::{TEFF_RANGE_K, in_teff_range};
use crate::model::manifest::{Figure, Kind, Manifest, ModelEntry};
use crate::read::LabelTable;
use crate::result::Label;
use crate::task::predict::Predictor;

/// Where the page's part begins that experiments write and [`write`] does not.
pub const EXPERIMENTS: &str = "\n## Experiments\n";

/// A page with an experiment's section, which begins with its heading `### …`: in the place of the section of the same
/// heading, else at the end.
pub fn with_section(page: &str, section: &str) -> String {
    let heading = section.lines().next().unwrap_or_default();
    let (models, experiments) = page.split_once(EXPERIMENTS).unwrap_or((page, ""));
    let (mut kept, mut is_placed) = (Vec::new(), false);
    for part in format!("\n{experiments}").split("\n### ") {
        let whole = if kept.is_empty() { part.trim().to_string() } else { format!("### {}", part.trim()) };
        if whole.lines().next() == Some(heading) && !kept.is_empty() {
            kept.push(section.trim().to_string());
            is_placed = true;
        } else {
            kept.push(whole);
        }
    }
    if !is_placed {
        kept.push(section.trim().to_string());
    }
    kept.retain(|part| !part.is_empty());
    format!("{}\n{EXPERIMENTS}\n{}\n", models.trim_end(), kept.join("\n\n"))
}

/// Measures every model on the real spectra of a folder (`miles.npz`, `lamost_lrs.npz`, `sdss_templates.npz` and their
/// label tables) and writes the page; `measured` is what was measured across models and stands first.
pub fn write<'p>(
    manifest: &Manifest,
    measured: &str,
    loaded: impl Fn(&ModelEntry) -> Result<&'p Predictor>,
    real: &Path,
) -> Result<String> {
    let mut page = String::from(
        "# Models\n\nMade by `specola evaluate --real DIR --report models/MODELS.md`, which measures every shipped model on real stars. \
         Figures: N, mean offset (predicted − catalogue) and σ after 3 σ clipping, the bootstrap standard error of σ (whole stars or clusters \
         drawn anew), R² without clipping, the median predicted error, and the pull: σ of (predicted − catalogue) / predicted error, 1 where \
         the errors are right.\n",
    );
    page.push_str(measured);
    for entry in manifest.predictors() {
        let predictor = loaded(entry)?;
        describe(&mut page, entry);
        let (miles, table) = measure(predictor, real, "miles")?;
        miles_tables(&mut page, entry, &miles, &table);
        let (lamost, table) = measure(predictor, real, "lamost_lrs")?;
        lamost_tables(&mut page, predictor, &lamost, &table);
        sdss_table(&mut page, predictor, real)?;
    }
    for entry in manifest.models.iter().filter(|m| m.kind != Kind::Predictor) {
        describe_other(&mut page, entry);
    }
    Ok(page)
}

fn measure(predictor: &Predictor, real: &Path, name: &str) -> Result<(Vec<Judged>, LabelTable)> {
    let table = read_table(&real.join(format!("{name}_labels.csv")))?;
    let answers = predict_files(predictor, &[real.join(format!("{name}.npz"))])?;
    Ok((join(answers, &table), table))
}

/// A model that no real spectrum with labels can judge: what was measured when it was made.
fn describe_other(page: &mut String, entry: &ModelEntry) {
    head(page, entry);
    page.push_str("Recorded when it was made:\n\n");
    figure_table(page, &head_table::others(&entry.figures));
    page.push_str(&head_table::table(&entry.figures));
    if !entry.accuracy.is_empty() {
        page.push_str("\nLabels of its heads. ");
        accuracy_table(page, entry);
    }
}

fn describe(page: &mut String, entry: &ModelEntry) {
    head(page, entry);
    accuracy_table(page, entry);
    what_remains(page, entry);
    error_table(page, entry);
    if !entry.figures.is_empty() {
        page.push_str(
            "\nWhether the errors are right, on stars that neither the network nor the errors were fitted to:\n\n",
        );
        figure_table(page, &entry.figures);
    }
}

fn figure_table(page: &mut String, figures: &[Figure]) {
    page.push_str("| what | of | on | N | value |\n|---|---|---|---|---|\n");
    for Figure { what, of, on, n, value } in figures {
        let _ = writeln!(page, "| {what} | {of} | {on} | {n} | {value:.4} |");
    }
}

fn head(page: &mut String, entry: &ModelEntry) {
    let labels: Vec<&str> = entry.labels.iter().map(|l| l.name()).collect();
    let recipe = match entry.recipe.as_str() {
        "" => String::new(),
        recipe => format!("- behind the preprocessing `{recipe}`\n"),
    };
    let _ = write!(
        page,
        "\n## {}\n\n- {} {}\n- trained on {}\n{recipe}- made by `{}`\n- {:.1} MB, sha256 `{}`, {}\n\n",
        entry.title(),
        match entry.kind {
            Kind::Predictor => "predicts",
            Kind::Emulator => "gives spectra of",
            Kind::EncoderPair => "embeds spectra; its heads predict",
            Kind::Index => "holds look-alikes with their",
        },
        labels.join(", "),
        entry.trained_on,
        entry.command,
        entry.bytes as f64 / 1e6,
        entry.sha256,
        entry.license
    );
}

/// Scatter between catalogues of the same MILES stars (Gaia benchmark stars v3 and SPOCS II against the compilation): what a
/// perfect model would show.
const CATALOGUE_SIGMA: [(Label, f64); 3] = [(Label::Teff, 85.0), (Label::Logg, 0.17), (Label::Feh, 0.08)];

/// How much of a cross-validated scatter is the catalogue's, and what was chosen on these stars.
fn what_remains(page: &mut String, entry: &ModelEntry) {
    let left = CATALOGUE_SIGMA.iter().filter_map(|(label, catalogue)| {
        let found = entry.accuracy.iter().find(|a| a.label == *label && a.sigma_se.is_some())?;
        let d = decimals(*label);
        let own = (found.sigma.powi(2) - catalogue.powi(2)).max(0.0).sqrt();
        Some(format!(
            "{} {:.d$} of which {catalogue:.d$} are the catalogue's and {own:.d$} are left",
            label.symbol(),
            found.sigma
        ))
    });
    let left: Vec<String> = left.collect();
    if !left.is_empty() {
        let _ = write!(
            page,
            "\nCatalogues of the same stars differ among themselves, so not all of the scatter is the network's: {}. Against the \
             two sources with the smallest errors, benchmark stars and SPOCS II, it is far smaller than against the compilation.\n\n\
             Looked at to choose the recipe (length of fine-tuning, members, weights of labels, augmentation): these folds, the LAMOST \
             DR1 values and the repeats below.\n",
            left.join("; ")
        );
    }
}

fn accuracy_table(page: &mut String, entry: &ModelEntry) {
    page.push_str(
        "Recorded when it was trained:\n\n| label | on | N | offset | σ ± s.e. | R² |\n|---|---|---|---|---|---|\n",
    );
    for a in &entry.accuracy {
        let d = decimals(a.label);
        let se = a.sigma_se.map_or(String::new(), |se| format!(" ± {se:.d$}"));
        let _ = writeln!(
            page,
            "| {} | {} | {} | {:+.d$} | {:.d$}{se} | {:.3} |",
            a.label.symbol(),
            a.on,
            a.n,
            a.bias,
            a.sigma,
            a.r2
        );
    }
}

fn error_table(page: &mut String, entry: &ModelEntry) {
    page.push_str(
        "\nErrors of its predictions, σ² = floor² + (noise / S/N)², times coverage^−p for incomplete spectra; between exposures of one star `exposure` takes the place of the floor:\n\n",
    );
    page.push_str("| label | for | floor | noise | exposure | stars | p |\n|---|---|---|---|---|---|---|\n");
    for e in &entry.errors {
        let d = decimals(e.label);
        for r in &e.regimes {
            let which = r.feh_below.map_or("all others".into(), |cut| format!("[Fe/H] < {cut}"));
            let _ = writeln!(
                page,
                "| {} | {which} | {:.d$} | {:.d$} | {:.d$} | {} | {:.2} |",
                e.label.symbol(),
                r.floor,
                r.noise,
                r.exposure,
                r.n,
                e.coverage_power
            );
        }
    }
}

fn miles_tables(page: &mut String, entry: &ModelEntry, judged: &[Judged], table: &LabelTable) {
    let chosen: Vec<&Judged> =
        judged.iter().filter(|j| truth(table, Label::Teff, j.row).is_some_and(in_teff_range)).collect();
    let group = |j: &Judged| match text(table, "cluster", j.row) {
        "" => j.id.clone(),
        cluster => cluster.to_string(),
    };
    let (low, high) = TEFF_RANGE_K;
    let seen = if entry.name.contains("synthetic") {
        "none of them seen in training"
    } else {
        "**seen in training**: the cross-validated figures above are the ones to quote"
    };
    let _ = write!(page, "\n### MILES, {low:.0}–{high:.0} K ({seen})\n\n");
    label_table(page, &score(&chosen, table, group));
    for (name, keep) in [("[Fe/H] < −1", true), ("[Fe/H] ≥ −1", false)] {
        let part: Vec<&Judged> = chosen
            .iter()
            .copied()
            .filter(|j| truth(table, Label::Feh, j.row).is_some_and(|feh| (feh < -1.0) == keep))
            .collect();
        let _ = write!(page, "\n{name}:\n\n");
        label_table(page, &score(&part, table, group));
    }
}

fn lamost_tables(page: &mut String, predictor: &Predictor, judged: &[Judged], table: &LabelTable) {
    let star = |j: &Judged| text(table, "star_group", j.row).to_string();
    for (name, wanted) in [("LAMOST DR1, its own pipeline's values", true), ("other LAMOST labels", false)] {
        let part: Vec<&Judged> = judged
            .iter()
            .filter(|j| text(table, "label_source", j.row).contains("DR1") == wanted)
            .filter(|j| truth(table, Label::Teff, j.row).is_some_and(in_teff_range))
            .collect();
        let scores = score(&part, table, star);
        if !scores.is_empty() {
            let _ =
                write!(page, "\n### {name} ({:.0}–{:.0} K; agreement, not truth)\n\n", TEFF_RANGE_K.0, TEFF_RANGE_K.1);
            label_table(page, &scores);
        }
    }
    velocity_line(page, &velocities(judged, table, "star_group", "snrg"));
    page.push_str("\n### LAMOST repeats (the same star on different visits, S/N ≥ 30; stars whose header velocities differ by more than 20 km/s left out)\n\n");
    page.push_str("Visits of one star differ by noise, calibration and line spread, so the scatter belongs beside that part of the predicted error; the whole error also holds what is wrong for all visits alike.\n\n");
    page.push_str(
        "| label | stars | visits | scatter | exposure part | ratio | whole error |\n|---|---|---|---|---|---|---|\n",
    );
    let (scores, pulls) = repeats(predictor, judged, table, "star_group");
    for RepeatScore { label, stars, visits, scatter, error, exposure_error, ratio_to_exposure } in scores {
        let d = decimals(label);
        let _ = writeln!(
            page,
            "| {} | {stars} | {visits} | {scatter:.d$} | {exposure_error:.d$} | {ratio_to_exposure:.2} | {error:.d$} |",
            label.symbol()
        );
    }
    page.push_str("\nWith the exposure part stretched by what all *other* stars' visits ask for:\n\n");
    figure_table(page, &coverage::figures("all labels", "independent differences between visits", &pulls));
}

fn velocity_line(page: &mut String, score: &VelocityScore) {
    let VelocityScore { metrics: m, apart } = score;
    let _ = write!(
        page,
        "\n### RV on LAMOST (catalogue, else the header's redshift; catalogued S/N > 30)\n\n\
         N {}, offset {:+.1} km/s, σ {:.1} km/s; {apart} spectra apart: stars whose header velocities differ by more than \
         {VARIABLE_KMS:.0} km/s, and headers with a velocity that no star has.\n",
        m.n, m.bias, m.sigma
    );
}

/// The templates have no labels of their own but a metallicity bin and mean parameters.
fn sdss_table(page: &mut String, predictor: &Predictor, real: &Path) -> Result<()> {
    let mut table = read_table(&real.join("sdss_templates.csv"))?;
    let bins: Vec<Option<f64>> =
        table.texts.get("feh_bin").map_or(Vec::new(), |c| c.iter().map(|v| v.trim().parse().ok()).collect());
    table.labels.entry("feh").or_insert(bins);
    let judged = join(predict_files(predictor, &[real.join("sdss_templates.npz")])?, &table);
    let chosen: Vec<&Judged> =
        judged.iter().filter(|j| truth(&table, Label::Teff, j.row).is_some_and(in_teff_range)).collect();
    page.push_str("\n### SDSS templates (co-added dwarfs; [Fe/H] known by bins of 0.5 dex)\n\n");
    label_table(page, &score(&chosen, &table, |j| j.id.clone()));
    Ok(())
}

fn label_table(page: &mut String, scores: &[LabelScore]) {
    page.push_str("| label | N | offset | σ ± s.e. | R² | error | pull |\n|---|---|---|---|---|---|---|\n");
    for LabelScore { label, metrics: m, sigma_se, error, pull } in scores {
        let d = decimals(*label);
        let _ = writeln!(
            page,
            "| {} | {} | {:+.d$} | {:.d$} ± {sigma_se:.d$} | {:.3} | {error:.d$} | {pull:.2} |",
            label.symbol(),
            m.n,
            m.bias,
            m.sigma,
            m.r2
        );
    }
}

pub(super) fn decimals(label: Label) -> usize {
    match label {
        Label::Teff => 0,
        Label::Rv => 1,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::with_section;

    #[test]
    fn a_section_takes_the_place_of_its_own() {
        let page = "# Models\n\n## a\n\n### MILES\n\nkept\n";
        let first = with_section(page, "### One\n\nold\n");
        assert_eq!(first, "# Models\n\n## a\n\n### MILES\n\nkept\n\n## Experiments\n\n### One\n\nold\n");
        let both = with_section(&first, "### Two\n\ntwo\n");
        let new = with_section(&both, "### One\n\nnew\n");
        assert_eq!(new, both.replace("old", "new"));
        assert_eq!(with_section(&new, "### One\n\nnew\n"), new);
        let introduced = first.replace("### One", "In words.\n\n### One");
        assert_eq!(with_section(&introduced, "### One\n\nold\n"), introduced);
    }
}
