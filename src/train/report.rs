//! Tables in `models/report`: measured accuracy of the shipped models, and experiments.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;

use super::error_calibration;
use super::evaluate::{
    EvaluatedSpectrum, LabelScore, RepeatScore, VARIABLE_KMS, VelocityScore, join, predict_files, read_table,
    repeat_visit_scores, score, text, truth, velocities,
};
use super::head_comparison;
use super::pretrain::{TEFF_RANGE_K, in_teff_range};
use crate::model::calibration::ErrorRegime;
use crate::model::manifest::{Kind, Manifest, Measurement, ModelEntry};
use crate::read::LabelTable;
use crate::result::Label;
use crate::task::predict::Predictor;

/// Introduction of the file of experiments.
const EXPERIMENTS: &str = "# Experiments\n\nEach section names the command that reproduces it. `--report models/report/experiments.md` writes the \
     section into this file.";

/// Inserts a section, which begins with its heading `## …`, into the file of experiments. It replaces the section of
/// the same heading, or is appended. An empty file also gets the introduction.
pub fn with_section(file: &str, section: &str) -> String {
    let heading = section.lines().next().unwrap_or_default();
    let (mut parts, mut is_placed) = (Vec::new(), false);
    for part in format!("\n{}", if file.trim().is_empty() { EXPERIMENTS } else { file }).split("\n## ") {
        let part_text = if parts.is_empty() { part.trim().to_string() } else { format!("## {}", part.trim()) };
        if part_text.lines().next() == Some(heading) && !parts.is_empty() {
            parts.push(section.trim().to_string());
            is_placed = true;
        } else {
            parts.push(part_text);
        }
    }
    if !is_placed {
        parts.push(section.trim().to_string());
    }
    format!("{}\n", parts.join("\n\n"))
}

/// A file that `specola evaluate` writes.
pub fn file(title: &str, body: &str) -> String {
    format!("# {title}\n\nMade by `specola evaluate --real DIR --report models/`.\n{body}")
}

/// Body of `accuracy.md`: the table `by_survey`, then every predictor on the real spectra of a folder. The folder has
/// `miles.npz`, `lamost_lrs.npz`, `sdss_templates.npz` and their label tables.
pub fn accuracy<'p>(
    manifest: &Manifest,
    by_survey: &str,
    loaded: impl Fn(&ModelEntry) -> Result<&'p Predictor>,
    real: &Path,
) -> Result<String> {
    let mut page = String::from(
        "\nN is the number of spectra. The offset is the mean of predicted − catalogue, σ its standard deviation, both after 3 σ clipping. \
         s.e. is the bootstrap standard error of σ; whole stars or clusters are resampled. R² is without clipping. The error is the median \
         predicted error. The pull is σ of (predicted − catalogue) / predicted error; it is 1 where the errors are right.\n",
    );
    page.push_str(by_survey);
    for entry in manifest.predictors() {
        let predictor = loaded(entry)?;
        predictor_section(&mut page, entry);
        let (miles, table) = measure(predictor, real, "miles")?;
        miles_tables(&mut page, entry, &miles, &table);
        let (lamost, table) = measure(predictor, real, "lamost_lrs")?;
        lamost_tables(&mut page, predictor, &lamost, &table);
        sdss_table(&mut page, predictor, real)?;
    }
    Ok(page)
}

/// Body of `training.md`: measurements recorded in the training of the emulator and the encoders and in the making of
/// the index.
pub fn training(manifest: &Manifest) -> String {
    let mut page = String::new();
    for entry in manifest.models.iter().filter(|m| m.kind != Kind::Predictor) {
        model_section(&mut page, entry);
    }
    page
}

fn measure(predictor: &Predictor, real: &Path, name: &str) -> Result<(Vec<EvaluatedSpectrum>, LabelTable)> {
    let table = read_table(&real.join(format!("{name}_labels.csv")))?;
    let predictions = predict_files(predictor, &[real.join(format!("{name}.npz"))])?;
    Ok((join(predictions, &table), table))
}

/// Section of a model other than a predictor: measurements recorded when it was made.
fn model_section(page: &mut String, entry: &ModelEntry) {
    section_head(page, entry);
    page.push_str("Recorded when it was made:\n\n");
    measurement_table(page, &head_comparison::other_measurements(&entry.measurements));
    page.push_str(&head_comparison::table(&entry.measurements));
    if !entry.accuracy.is_empty() {
        page.push_str("\nLabels of its heads. ");
        accuracy_table(page, entry);
    }
}

fn predictor_section(page: &mut String, entry: &ModelEntry) {
    section_head(page, entry);
    accuracy_table(page, entry);
    catalogue_scatter(page, entry);
    error_table(page, entry);
    if !entry.measurements.is_empty() {
        page.push_str("\nError calibration, on stars used neither for the network nor for the error model, and other measurements:\n\n");
        measurement_table(page, &entry.measurements);
    }
}

pub(super) fn measurement_table(page: &mut String, measurements: &[Measurement]) {
    page.push_str("| quantity | of | on | N | value |\n|---|---|---|---|---|\n");
    for Measurement { quantity, subject, data_set, n, value } in measurements {
        let _ = writeln!(page, "| {quantity} | {subject} | {data_set} | {n} | {value:.4} |");
    }
}

fn section_head(page: &mut String, entry: &ModelEntry) {
    let labels: Vec<&str> = entry.labels.iter().map(|l| l.name()).collect();
    let recipe = match entry.recipe.as_str() {
        "" => String::new(),
        recipe => format!("- preprocessing `{recipe}`\n"),
    };
    let _ = write!(
        page,
        "\n## {}\n\n- {} {}\n- trained on {}\n{recipe}- made by `{}`\n- {:.1} MB, sha256 `{}`, {}\n\n",
        entry.title(),
        match entry.kind {
            Kind::Predictor | Kind::XpPredictor | Kind::XpPosterior => "predicts",
            Kind::Emulator => "gives spectra of",
            Kind::EncoderPair => "embeds spectra; its heads predict",
            Kind::Index => "holds reference spectra with their",
        },
        labels.join(", "),
        entry.trained_on,
        entry.command,
        entry.bytes as f64 / 1e6,
        entry.sha256,
        entry.license
    );
}

/// Scatter between catalogues of the same MILES stars (Gaia benchmark stars v3 and SPOCS II against the compilation),
/// in K or dex. A perfect model would show this scatter.
const CATALOGUE_SIGMA: [(Label, f64); 3] = [(Label::Teff, 85.0), (Label::Logg, 0.17), (Label::Feh, 0.08)];

/// The contribution of the catalogues to the cross-validated scatter, and the choices made on these stars.
fn catalogue_scatter(page: &mut String, entry: &ModelEntry) {
    let parts = CATALOGUE_SIGMA.iter().filter_map(|(label, catalogue)| {
        let accuracy = entry.accuracy.iter().find(|a| a.label == *label && a.sigma_se.is_some())?;
        let d = decimals(*label);
        let network_sigma = (accuracy.sigma.powi(2) - catalogue.powi(2)).max(0.0).sqrt();
        Some(format!(
            "{} {:.d$}, of which {catalogue:.d$} from the catalogues and {network_sigma:.d$} from the network",
            label.symbol(),
            accuracy.sigma
        ))
    });
    let parts: Vec<String> = parts.collect();
    if !parts.is_empty() {
        let _ = write!(
            page,
            "\nCatalogues of the same stars differ, so part of the scatter comes from them: {}. Against the two sources with the smallest \
             errors, the benchmark stars (GBSv3) and SPOCS II, σ is far smaller than against the compilation.\n\n\
             Weight of the grid, changes of the flux at random and the signature of LAMOST's flux calibration were chosen on these folds, in \
             five trials; learning rate, epochs and draws were not changed after the first.\n",
            parts.join("; ")
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

/// The stars of an error regime, in words.
fn regime_name(regime: &ErrorRegime) -> String {
    let mut limits: Vec<String> =
        regime.survey.map(|survey| format!("in {} spectra", survey.name())).into_iter().collect();
    limits.extend(regime.teff_above.map(|limit| format!("Teff ≥ {limit:.0} K")));
    limits.extend(regime.feh_below.map(|limit| format!("[Fe/H] < {limit}")));
    limits.extend(regime.logg_below.map(|limit| format!("log g < {limit}")));
    match limits.is_empty() {
        true => "all others".into(),
        false => limits.join(", "),
    }
}

fn error_table(page: &mut String, entry: &ModelEntry) {
    page.push_str(
        "\nError model: σ² = floor² + (noise / S/N)². For incomplete spectra σ is multiplied by coverage^−p. Between exposures of one star, `exposure` replaces the floor.\n\n",
    );
    page.push_str("| label | stars with | floor | noise | exposure | N | p |\n|---|---|---|---|---|---|---|\n");
    for e in &entry.errors {
        let d = decimals(e.label);
        for r in &e.regimes {
            let which = regime_name(r);
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

fn miles_tables(page: &mut String, entry: &ModelEntry, evaluated: &[EvaluatedSpectrum], table: &LabelTable) {
    let chosen: Vec<&EvaluatedSpectrum> =
        evaluated.iter().filter(|j| truth(table, Label::Teff, j.row).is_some_and(in_teff_range)).collect();
    let group = |j: &EvaluatedSpectrum| match text(table, "cluster", j.row) {
        "" => j.id.clone(),
        cluster => cluster.to_string(),
    };
    let (low, high) = TEFF_RANGE_K;
    let use_note = if entry.name.contains("synthetic") {
        "none used in training"
    } else {
        "**used in training**: quote the cross-validated figures above"
    };
    let _ = write!(page, "\n### MILES, {low:.0}–{high:.0} K ({use_note})\n\n");
    label_table(page, &score(&chosen, table, group));
    for (name, is_metal_poor) in [("[Fe/H] < −1", true), ("[Fe/H] ≥ −1", false)] {
        let part: Vec<&EvaluatedSpectrum> = chosen
            .iter()
            .copied()
            .filter(|j| truth(table, Label::Feh, j.row).is_some_and(|feh| (feh < -1.0) == is_metal_poor))
            .collect();
        let _ = write!(page, "\n{name}:\n\n");
        label_table(page, &score(&part, table, group));
    }
}

fn lamost_tables(page: &mut String, predictor: &Predictor, evaluated: &[EvaluatedSpectrum], table: &LabelTable) {
    let star = |j: &EvaluatedSpectrum| text(table, "star_group", j.row).to_string();
    for (name, is_dr1) in [("LAMOST DR1, labels of its own pipeline", true), ("Other LAMOST labels", false)] {
        let part: Vec<&EvaluatedSpectrum> = evaluated
            .iter()
            .filter(|j| text(table, "label_source", j.row).contains("DR1") == is_dr1)
            .filter(|j| truth(table, Label::Teff, j.row).is_some_and(in_teff_range))
            .collect();
        let scores = score(&part, table, star);
        if !scores.is_empty() {
            let _ = write!(
                page,
                "\n### {name} ({:.0}–{:.0} K; agreement between pipelines)\n\n",
                TEFF_RANGE_K.0, TEFF_RANGE_K.1
            );
            label_table(page, &scores);
        }
    }
    velocity_line(page, &velocities(evaluated, table, "star_group", "snrg"));
    page.push_str("\n### LAMOST repeat visits\n\nSpectra of one star from different visits, S/N ≥ 30, without stars whose header velocities differ by more than 20 km/s.\n\n");
    page.push_str("Visits of one star differ by noise, calibration and line spread. Compare their scatter with the exposure part of the predicted error. The total error also has the part that all visits share.\n\n");
    page.push_str(
        "| label | stars | visits | scatter | exposure part | ratio | total error |\n|---|---|---|---|---|---|---|\n",
    );
    let (scores, pulls) = repeat_visit_scores(predictor, evaluated, table, "star_group");
    for RepeatScore { label, stars, visits, scatter, error, exposure_error, ratio_to_exposure } in scores {
        let d = decimals(label);
        let _ = writeln!(
            page,
            "| {} | {stars} | {visits} | {scatter:.d$} | {exposure_error:.d$} | {ratio_to_exposure:.2} | {error:.d$} |",
            label.symbol()
        );
    }
    page.push_str("\nCalibration with the exposure part scaled to the visits of all *other* stars:\n\n");
    measurement_table(
        page,
        &error_calibration::measurements("all labels", "independent differences between visits", &pulls),
    );
}

fn velocity_line(page: &mut String, score: &VelocityScore) {
    let VelocityScore { metrics: m, excluded } = score;
    let _ = write!(
        page,
        "\n### RV on LAMOST\n\nReference: the catalogue, else the redshift of the header; catalogued S/N > 30.\n\n\
         N {}, offset {:+.1} km/s, σ {:.1} km/s. {excluded} spectra are left out: stars whose header velocities differ by more than \
         {VARIABLE_KMS:.0} km/s, and headers with an impossible velocity.\n",
        m.n, m.bias, m.sigma
    );
}

/// The templates have no individual labels, only a metallicity bin and mean parameters.
fn sdss_table(page: &mut String, predictor: &Predictor, real: &Path) -> Result<()> {
    let mut table = read_table(&real.join("sdss_templates.csv"))?;
    let bins: Vec<Option<f64>> =
        table.texts.get("feh_bin").map_or(Vec::new(), |c| c.iter().map(|v| v.trim().parse().ok()).collect());
    table.labels.entry("feh").or_insert(bins);
    let evaluated = join(predict_files(predictor, &[real.join("sdss_templates.npz")])?, &table);
    let chosen: Vec<&EvaluatedSpectrum> =
        evaluated.iter().filter(|j| truth(&table, Label::Teff, j.row).is_some_and(in_teff_range)).collect();
    page.push_str("\n### SDSS templates\n\nCo-added spectra of dwarfs; their [Fe/H] is known to a bin of 0.5 dex.\n\n");
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
    use super::{EXPERIMENTS, with_section};

    #[test]
    fn a_section_replaces_the_one_of_the_same_heading() {
        let first = with_section("", "## One\n\nold\n");
        assert_eq!(first, format!("{EXPERIMENTS}\n\n## One\n\nold\n"));
        let both = with_section(&first, "## Two\n\ntwo\n");
        let new = with_section(&both, "## One\n\nnew\n");
        assert_eq!(new, both.replace("old", "new"));
        assert_eq!(with_section(&new, "## One\n\nnew\n"), new);
        let introduced = first.replace("## One", "In words.\n\n## One");
        assert_eq!(with_section(&introduced, "## One\n\nold\n"), introduced);
    }
}
