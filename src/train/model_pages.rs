//! `models/MODELS.md`: one section for each model, written from the manifest alone.

use std::fmt::Write;

use super::benchmark::{SURVEYS, rows_of};
use super::pretrain::TEFF_RANGE_K;
use super::report::{decimals, measurement_table};
use crate::model::manifest::{Accuracy, Kind, Manifest, Measurement, ModelEntry};
use crate::result::Label;

/// The text of `models/MODELS.md`.
pub fn pages(manifest: &Manifest) -> String {
    let mut text = String::from(
        "# Models\n\nOne section for each model: what it is for, its accuracy by survey, its limits. `specola evaluate --real DIR --report models/` \
         measures the models and writes this file and most of the tables in [report](report). Rows named \"recorded when it was made\" \
         and \"5-fold\" come from the training itself (`specola pretrain`):\n\n\
         | file | content | command |\n|---|---|---|\n\
         | [accuracy.md](report/accuracy.md) | accuracy on labelled stars, error models, calibration | `specola evaluate` |\n\
         | [routes.md](report/routes.md) | the models side by side on the same spectra | `specola evaluate` |\n\
         | [ood.md](report/ood.md) | false alarms, and detection of injected anomalies | `specola evaluate` |\n\
         | [posteriors.md](report/posteriors.md) | calibration of the densities of the normalising flow | `specola evaluate` |\n\
         | [training.md](report/training.md) | what `specola pretrain` measured when it made the models | `specola evaluate` |\n\
         | [calspec.md](report/calspec.md) | labels of CALSPEC stars from Gaia XP coefficients, beside the literature | `specola evaluate` |\n\
         | [experiments.md](report/experiments.md) | experiments behind the choices of design | `specola experiment` |\n\n\
         Teff is in K, log g in dex of cm/s², [Fe/H] and [α/Fe] in dex, RV in km/s. N is the number of spectra. The offset is the mean of \
         predicted − reference label, σ its standard deviation, both after 3 σ clipping. s.e. is the bootstrap standard error of σ; whole stars or \
         clusters are resampled. Simulated stars lie near grid nodes that no network was trained on.\n",
    );
    let (default, others): (Vec<_>, Vec<_>) = manifest.models.iter().partition(|entry| entry.name == manifest.default);
    default.iter().for_each(|entry| page(&mut text, entry, true));
    others.iter().for_each(|entry| page(&mut text, entry, false));
    text
}

fn page(text: &mut String, entry: &ModelEntry, is_default: bool) {
    let default = if is_default { " (default)" } else { "" };
    let _ = write!(text, "\n## {}{default}\n\n{}\n", entry.title(), purpose(entry));
    accuracy(text, entry);
    let _ = write!(text, "\nLimits:\n\n{}", limits(entry).iter().map(|l| format!("- {l}\n")).collect::<String>());
    let labels: Vec<&str> = entry.labels.iter().map(|l| l.name()).collect();
    let _ = write!(text, "\nOrigin:\n\n- Labels: {}.\n- Trained on {}.\n", labels.join(", "), entry.trained_on);
    if !entry.recipe.is_empty() {
        let _ = writeln!(text, "- Preprocessing: `{}`.", entry.recipe);
    }
    let megabytes = entry.bytes as f64 / 1e6;
    let _ = write!(
        text,
        "- Made by `{}`.\n- {megabytes:.1} MB, SHA-256 `{}`, licence {}.\n",
        entry.command, entry.sha256, entry.license
    );
}

/// True for a predictor trained on synthetic spectra alone.
fn is_synthetic(entry: &ModelEntry) -> bool {
    entry.trained_on.contains("no real star")
}

fn purpose(entry: &ModelEntry) -> &'static str {
    match entry.kind {
        Kind::Predictor if is_synthetic(entry) => {
            "Predicts the same labels as the default model, without real stars in its training. It is the base for fine-tuning on \
             labels from another source, and the control for all that real stars add."
        }
        Kind::Predictor => {
            "Predicts Teff, log g, [Fe/H], [α/Fe] and the radial velocity of A, F, G and K stars from low-resolution optical spectra."
        }
        Kind::XpPredictor => "Predicts Teff, log g, [Fe/H] and [α/Fe] of stars from Gaia XP spectra.",
        Kind::XpPosterior => {
            "Draws Teff, log g, [Fe/H] and [α/Fe] of a star from their joint density, given its Gaia XP spectrum."
        }
        Kind::Emulator => {
            "Gives the synthetic spectrum at given labels. The page and `specola predict --check-fit` compare it with the observed \
             spectrum."
        }
        Kind::EncoderPair => {
            "Embeds optical and Gaia XP spectra in one space. It finds similar spectra, predicts the spectrum in the other \
             survey and ranks spectra by anomaly score. With `--model` it also predicts labels."
        }
        Kind::Index => {
            "Holds embeddings of simulated stars with known labels, in which the page and `specola retrieve` search."
        }
    }
}

fn limits(entry: &ModelEntry) -> Vec<String> {
    let mut limits: Vec<String> = Vec::new();
    if !entry.label_range.is_empty() {
        let range =
            |(label, low, high): &(Label, f64, f64)| format!("{} {low} to {high} {}", label.symbol(), label.unit());
        let ranges: Vec<String> = entry.label_range.iter().map(|r| range(r).trim().to_string()).collect();
        limits.push(format!(
            "Predicted labels outside the training range are flagged `grid_edge`: {}.",
            ranges.join(", ")
        ));
    }
    if !entry.label_range.is_empty() && entry.kind == Kind::Predictor {
        let (low, high) = TEFF_RANGE_K;
        limits.push(match is_synthetic(entry) {
            true => format!("Its accuracy is measured for {low:.0}–{high:.0} K. Do not use it for hot stars or M dwarfs; most of them are flagged."),
            false => format!("Its accuracy is measured for {low:.0}–{high:.0} K, and on A stars to 10,000 K, where the errors are larger. Do not use it for hotter stars or M dwarfs; most of them are flagged."),
        });
    }
    let more: &[&str] = match entry.kind {
        Kind::Predictor if is_synthetic(entry) => &[
            "Real spectra differ from synthetic ones. On real stars its offsets are larger than those of the default model, and its \
             errors are too small ([accuracy.md](report/accuracy.md)).",
        ],
        Kind::Predictor => &[
            "Its labels are on the scale of the Gaia benchmark stars and SPOCS II, [α/Fe] on Hypatia's. Labels of LAMOST's pipeline are on another scale ([accuracy.md](report/accuracy.md) has the difference).",
            "Above 7200 K its labels rest on the scale of LAMOST's pipeline and of MILES: there are no benchmark stars.",
            "On simulated stars `lrs-mlp-synthetic` has a smaller σ ([routes.md](report/routes.md)).",
            "It does not accept Gaia XP spectra; `xp-mlp` predicts from them.",
        ],
        Kind::XpPredictor => &[
            "Its labels are on the scale of APOGEE DR17. `alpha_fe` is APOGEE's [α/M].",
            "It gives no [Fe/H] and [α/Fe] of hot stars, because APOGEE gives none.",
            "Fainter stars than G = 15 are real stars with noise added.",
            "It gives no radial velocity.",
        ],
        Kind::XpPosterior => &[
            "The prior is the sample of APOGEE stars: mostly giants of the disc, and few below [Fe/H] −1.",
            "Its draws are shifted and widened, never narrowed, until their ranks are right on validation stars; `recalibration` in the manifest has the changes.",
            "On test stars the ranks of a label whose p is below 0.05 are not quite uniform: its intervals hold about the share of stars that they should, but the middle of the draws is some hundredths of σ off.",
        ],
        Kind::Emulator => &["Its residuals are larger below 4500 K and for carbon-rich stars.", "The grid is 1D LTE."],
        Kind::EncoderPair => &[
            "No star of its training has two real spectra: a real one is paired with one that is made at its labels.",
            "For Gaia XP spectra `xp-mlp` is more accurate.",
            "Its densities are too narrow on real stars ([posteriors.md](report/posteriors.md)).",
            "It gives no radial velocity.",
        ],
        Kind::Index => &[
            "The stars are simulated. Their labels lie within the grid, and optical neighbours of a real star share the differences between real and synthetic spectra.",
        ],
    };
    limits.extend(more.iter().map(ToString::to_string));
    limits
}

/// Writes the accuracy by survey. For a model without labels it writes the measurements for all of its spectra.
fn accuracy(text: &mut String, entry: &ModelEntry) {
    let rows: Vec<(&str, Accuracy)> = SURVEYS
        .into_iter()
        .flat_map(|(survey, name)| {
            Label::ALL
                .into_iter()
                .flat_map(move |label| rows_of(entry, label, survey).into_iter().map(move |a| (name, a)))
        })
        .collect();
    if rows.is_empty() {
        let is_overall = |m: &&Measurement| m.subject.is_empty() || m.subject == "all";
        let measurements: Vec<Measurement> = entry.measurements.iter().filter(is_overall).cloned().collect();
        text.push_str("\nRecorded when it was made:\n\n");
        measurement_table(text, &measurements);
        return;
    }
    text.push_str(
        "\n| survey | label | stars | N | offset | σ ± s.e. | test spectra |\n|---|---|---|---|---|---|---|\n",
    );
    for (survey, a) in rows {
        let (d, stars) = (decimals(a.label), if a.simulated { "simulated" } else { "real" });
        let se = a.sigma_se.map_or(String::new(), |se| format!(" ± {se:.d$}"));
        let label = a.label.symbol();
        let _ = writeln!(
            text,
            "| {survey} | {label} | {stars} | {} | {:+.d$} | {:.d$}{se} | {} |",
            a.n, a.bias, a.sigma, a.on
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_md_follows_from_the_shipped_manifest() {
        let manifest = Manifest::parse(include_bytes!("../../models/manifest.json")).expect("the shipped manifest");
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/models/MODELS.md");
        let text = pages(&manifest);
        if std::env::var_os("SPECOLA_WRITE_MODELS_MD").is_some() {
            std::fs::write(file, &text).expect("models/MODELS.md is writable");
        }
        assert_eq!(std::fs::read_to_string(file).expect("models/MODELS.md"), text, "write it with `specola evaluate`");
    }
}
