//! The transfer study's tables on our own transfer case: a network that has seen only synthetic spectra is taught by
//! a few real stars and asked about all the others.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;

use anyhow::Result;
use burn::tensor::Device;

use super::library::Labelled;
use super::pretrain::{LABELS, TEFF_RANGE_K, in_teff_range};
use crate::result::Label;
use crate::result::teach::{Cell, Metrics, Settings, Sight, Strategy, Task};
use crate::spectrum::Spectrum;
use crate::task::metrics::mean_and_std;
use crate::task::predict::Predictor;
use crate::task::teach::bake_off::metrics;
use crate::task::teach::classroom::Classroom;
use crate::task::teach::lesson::{Example, Lesson};
use crate::task::teach::split::Split;
use crate::task::teach::training::{Progress, Training};

/// What to compare.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Labels to teach.
    pub labels: Vec<Label>,
    /// Numbers of labelled stars; [α/Fe] has its own.
    pub sizes: Vec<usize>,
    /// The same for [α/Fe], which few stars have.
    pub alpha_sizes: Vec<usize>,
    /// Seeds of splits and trainings.
    pub seeds: Vec<u64>,
    /// How to teach; the study's own are [`Settings::paper`].
    pub settings: Settings,
}

/// A way of teaching, and its name in tables.
struct Variant {
    name: String,
    strategy: Strategy,
    settings: Settings,
}

/// Mean and standard error of a figure over seeds.
fn over_seeds(values: &[f64], decimals: usize) -> String {
    let (mean, std) = mean_and_std(values);
    let error = std / ((values.len() as f64 - 1.0).max(1.0)).sqrt();
    format!("{mean:.decimals$} ± {error:.decimals$}")
}

/// The stars of a library that have a label, at the temperatures where labels are sound, before the network.
fn classroom(predictor: &Predictor, library: &Labelled, label: Label) -> Result<Rc<Classroom>> {
    let column = LABELS.iter().position(|l| *l == label).unwrap_or_default();
    let feh = LABELS.iter().position(|l| *l == Label::Feh).unwrap_or_default();
    let chosen: Vec<usize> = (0..library.stars.len()).filter(|i| in_teff_range(library.stars[*i].labels[0])).collect();
    let spectra: Vec<&Spectrum> = chosen.iter().map(|i| &library.spectra[*i]).collect();
    let inputs = pollster::block_on(predictor.inputs(&spectra));
    let examples = chosen.iter().zip(inputs).filter_map(|(i, input)| {
        let star = &library.stars[*i];
        let value = star.labels[column];
        let (id, group) = (star.id.clone(), star.group.clone());
        let feh = Some(star.labels[feh]).filter(|v| v.is_finite());
        value.is_finite().then_some(Example { id, group, input: input.ok()?, value: Cell::Number(value), feh })
    });
    let lesson = Lesson::new(label.name(), examples.collect());
    let (lesson, _) =
        lesson.map_err(|r| anyhow::anyhow!(r.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
    Ok(Rc::new(pollster::block_on(Classroom::new(predictor, lesson, &Device::flex()))?))
}

/// Teaches `n` stars and asks about all groups of stars that none of them belongs to; figures by regime.
fn taught(room: &Rc<Classroom>, variant: &Variant, n: usize, seed: u64) -> Result<(Vec<(String, Metrics)>, usize)> {
    let split = Split::hold_out(&room.lesson, 0.0, Some(n), variant.settings.validation, seed);
    let task = Task { strategy: variant.strategy, fold: None, seed, labels: Some(n) };
    let mut training = Training::new(room.clone(), task, split, &variant.settings)?;
    while pollster::block_on(training.advance())? != Progress::Done {}
    let went = pollster::block_on(training.outcome())?;
    Ok((metrics(&room.lesson, &went.rows, &went.values, &room.lesson.regimes(None)), went.best_epoch))
}

fn variants(settings: &Settings) -> Vec<Variant> {
    let of = |name: &str, strategy, settings: Settings| Variant { name: name.into(), strategy, settings };
    let mut all = vec![of("Zero-shot", Strategy::ZeroShot, settings.clone())];
    if settings.closed_form {
        all.push(of("Closed form alone", Strategy::Residual, Settings { epochs: 0, ..settings.clone() }));
    }
    let embedding = Settings { sight: Sight::Embedding, ..settings.clone() };
    all.push(of("Residual, flux", Strategy::Residual, settings.clone()));
    all.push(of("Residual, embedding", Strategy::Residual, embedding));
    all.push(of("LoRA", Strategy::Lora, settings.clone()));
    all.push(of("Full", Strategy::Full, settings.clone()));
    // At the papers' own rate a network from random weights learns nothing (their A.3).
    all.push(of("From scratch", Strategy::Scratch, Settings { rate: Some(1e-3), ..settings.clone() }));
    all
}

/// The settings in a sentence.
fn how(settings: &Settings) -> String {
    let Settings { epochs, patience, validation, .. } = settings;
    let rate =
        settings.rate.map_or("each strategy's own learning rate".into(), |rate| format!("learning rate {rate:.0e}"));
    let first = if settings.closed_form { "The closed-form step first; " } else { "No closed-form step; " };
    let part = 100.0 * validation;
    format!(
        "{first}{rate}, {epochs} passes at most, {patience} of patience, {part:.0} % of the labels decide which pass is kept."
    )
}

/// Strategies by number of labelled stars: Markdown.
pub fn transfer(
    predictor: &Predictor,
    library: &Labelled,
    what: &Comparison,
    say: &mut dyn FnMut(&str),
) -> Result<String> {
    let variants = variants(&what.settings);
    let mut page = format!(
        "### Synthetic → MILES: {}, taught by few stars\n\n\
         {:.0}–{:.0} K; asked about all stars and clusters that none of the labelled ones belongs to; mean and standard error of {} seeds. σ after 3 σ \
         clipping; metal-poor is [Fe/H] < −1. {}\n",
        predictor.entry().title(),
        TEFF_RANGE_K.0,
        TEFF_RANGE_K.1,
        what.seeds.len(),
        how(&what.settings)
    );
    for &label in &what.labels {
        let room = classroom(predictor, library, label)?;
        let decimals = if label == Label::Teff { 0 } else { 3 };
        let unit = if label.unit().is_empty() { String::new() } else { format!(", {}", label.unit()) };
        let _ = write!(page, "\n**{}{unit}** ({} stars)\n\n", label.symbol(), room.lesson.len());
        page.push_str("| labels | taught | σ | offset | R² | R² metal-poor | R² metal-rich | pass kept |\n|---|---|---|---|---|---|---|---|\n");
        let sizes = if label == Label::AlphaFe { &what.alpha_sizes } else { &what.sizes };
        for &n in sizes {
            for variant in &variants {
                let mut figures: BTreeMap<String, Vec<Metrics>> = BTreeMap::new();
                let mut kept = Vec::new();
                for &seed in &what.seeds {
                    let (regimes, best) = taught(&room, variant, n, seed)?;
                    kept.push(best as f64);
                    regimes.into_iter().for_each(|(name, m)| figures.entry(name).or_default().push(m));
                }
                let of = |name: &str, figure: fn(&Metrics) -> f64, decimals: usize| {
                    let values: Option<Vec<f64>> = figures.get(name).map(|all| all.iter().map(figure).collect());
                    values.map_or_else(|| "–".into(), |values| over_seeds(&values, decimals))
                };
                let line = format!(
                    "| {n} | {} | {} | {} | {} | {} | {} | {:.0} |",
                    variant.name,
                    of("all", |m| m.sigma, decimals),
                    of("all", |m| m.bias, decimals),
                    of("all", |m| m.r2, 3),
                    of("[Fe/H] < −1", |m| m.r2, 3),
                    of("[Fe/H] ≥ −1", |m| m.r2, 3),
                    mean_and_std(&kept).0,
                );
                say(&format!("{} {line}", label.symbol()));
                let _ = writeln!(page, "{line}");
            }
        }
    }
    Ok(page)
}

/// The study's ablations on [Fe/H]: rank of LoRA and width of the residual head (A.2), learning rate from scratch (A.3).
/// Without the closed-form step, which would hide what they do.
pub fn ablation(
    predictor: &Predictor,
    library: &Labelled,
    what: &Comparison,
    say: &mut dyn FnMut(&str),
) -> Result<String> {
    let settings = Settings { closed_form: false, ..what.settings.clone() };
    let mut tables: Vec<(&str, &str, Vec<Variant>)> = Vec::new();
    let ranks = [8, 32, 128, 256].map(|rank| Variant {
        name: rank.to_string(),
        strategy: Strategy::Lora,
        settings: Settings { rank, alpha: 2.0 * rank as f64, ..settings.clone() },
    });
    tables.push(("A.2, rank of LoRA (α = 2r)", "rank", ranks.into()));
    let widths = [48, 96, 192, 384, 768].map(|hidden| Variant {
        name: hidden.to_string(),
        strategy: Strategy::Residual,
        settings: Settings { hidden, ..settings.clone() },
    });
    tables.push(("A.2, width of the residual head", "hidden", widths.into()));
    let rates = [1e-5, 1e-4, 1e-3].map(|rate| Variant {
        name: format!("{rate:.0e}"),
        strategy: Strategy::Scratch,
        settings: Settings { rate: Some(rate), ..settings.clone() },
    });
    tables.push(("A.3, learning rate from scratch", "rate", rates.into()));

    let mut page = format!(
        "### Ablations of the transfer study on synthetic → MILES, {}\n\n[Fe/H], mean and standard error of {} seeds, without the closed-form step.\n",
        predictor.entry().title(),
        what.seeds.len()
    );
    let room = classroom(predictor, library, Label::Feh)?;
    for (title, column, variants) in tables {
        let _ = write!(page, "\n**{title}**\n\n| labels | {column} | σ, dex | R² |\n|---|---|---|---|\n");
        for &n in &what.sizes {
            for variant in &variants {
                let (mut sigma, mut r2) = (Vec::new(), Vec::new());
                for &seed in &what.seeds {
                    let (figures, _) = taught(&room, variant, n, seed)?;
                    if let Some((_, all)) = figures.first() {
                        sigma.push(all.sigma);
                        r2.push(all.r2);
                    }
                }
                let line = format!("| {n} | {} | {} | {} |", variant.name, over_seeds(&sigma, 3), over_seeds(&r2, 3));
                say(&format!("{title}: {line}"));
                let _ = writeln!(page, "{line}");
            }
        }
    }
    Ok(page)
}
