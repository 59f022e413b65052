//! The transfer study's tables: a network is taught by a few stars of a [`Case`] and asked about all the others.

use std::fmt::Write;
use std::rc::Rc;

use anyhow::Result;

use super::findings::findings;
use super::transfer_case::Case;
use crate::result::Label;
use crate::result::teach::{Metrics, Settings, Sight, Strategy, Task};
use crate::task::metrics::mean_and_std;
use crate::task::predict::Predictor;
use crate::task::teach::bake_off::metrics;
use crate::task::teach::classroom::Classroom;
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
    /// Ways of teaching to compare, by their names in [`WAYS`]; all without any.
    pub ways: Vec<String>,
    /// The command that this is, for the page.
    pub command: String,
}

/// Ways of teaching that a table compares, as commands call them and as tables do.
pub const WAYS: [(&str, &str); 7] = [
    ("zero-shot", "Zero-shot"),
    ("closed-form", "Closed form alone"),
    ("residual", "Residual, flux"),
    ("residual-embedding", "Residual, embedding"),
    ("lora", "LoRA"),
    ("full", "Full"),
    ("scratch", "From scratch"),
];

/// A way of teaching, and its name in tables.
#[derive(Debug, Clone)]
pub(super) struct Variant {
    name: String,
    pub(super) strategy: Strategy,
    settings: Settings,
}

impl Variant {
    #[cfg(test)]
    pub(super) fn plain(strategy: Strategy) -> Self {
        Self { name: strategy.title().into(), strategy, settings: Settings::default() }
    }

    /// True for what only stands in the table to be compared with.
    pub(super) fn is_closed_form_alone(&self) -> bool {
        self.settings.closed_form && self.settings.epochs == 0
    }
}

/// What one way of teaching is worth with so many labels.
pub(super) struct Row {
    pub(super) label: Label,
    pub(super) n: usize,
    pub(super) variant: Variant,
    /// One entry a seed: figures by regime, all stars first.
    runs: Vec<Vec<(String, Metrics)>>,
    /// The pass that was kept, by seed.
    kept: Vec<f64>,
}

impl Row {
    /// Teaches with every seed.
    fn measure(room: &Rc<Classroom>, variant: &Variant, n: usize, seeds: &[u64]) -> Result<Self> {
        let (mut runs, mut kept) = (Vec::new(), Vec::new());
        for &seed in seeds {
            let (figures, best) = taught(room, variant, n, seed)?;
            runs.push(figures);
            kept.push(best as f64);
        }
        let label = room.lesson.label().unwrap_or(Label::Feh);
        Ok(Self { label, n, variant: variant.clone(), runs, kept })
    }

    #[cfg(test)]
    pub(super) fn new(label: Label, n: usize, variant: Variant, runs: Vec<Vec<(String, Metrics)>>) -> Self {
        Self { label, n, variant, runs, kept: Vec::new() }
    }

    /// Its name in tables.
    pub(super) fn name(&self) -> &str {
        &self.variant.name
    }

    /// A figure of a regime, one a seed; `None` where a seed lacks the regime.
    pub(super) fn figures(&self, regime: &str, figure: fn(&Metrics) -> f64) -> Option<Vec<f64>> {
        let of = |run: &Vec<(String, Metrics)>| run.iter().find(|(name, _)| name == regime).map(|(_, m)| figure(m));
        self.runs.iter().map(of).collect()
    }

    fn cell(&self, regime: &str, figure: fn(&Metrics) -> f64, decimals: usize) -> String {
        self.figures(regime, figure).map_or_else(|| "–".into(), |values| over_seeds(&values, decimals))
    }
}

/// Mean and standard error of a figure over seeds.
pub(super) fn over_seeds(values: &[f64], decimals: usize) -> String {
    let (mean, std) = mean_and_std(values);
    let error = std / ((values.len() as f64 - 1.0).max(1.0)).sqrt();
    format!("{mean:.decimals$} ± {error:.decimals$}")
}

/// Teaches `n` stars and asks about all groups of stars that none of them belongs to; figures by regime.
fn taught(room: &Rc<Classroom>, variant: &Variant, n: usize, seed: u64) -> Result<(Vec<(String, Metrics)>, usize)> {
    let split = Split::hold_out(&room.lesson, 0.0, Some(n), variant.settings.validation, seed);
    let task = Task { strategy: variant.strategy, fold: None, seed, labels: Some(n) };
    let mut training = Training::new(room.clone(), task, split, &variant.settings)?;
    while pollster::block_on(training.advance())? != Progress::Done {}
    let went = pollster::block_on(training.outcome())?;
    Ok((metrics(&room.lesson, &went.rows, &went.values, &room.lesson.regimes()), went.best_epoch))
}

fn variants(Comparison { settings, ways, .. }: &Comparison) -> Vec<Variant> {
    let of = |(way, name): (&str, &str)| {
        let (strategy, settings) = match way {
            "zero-shot" => (Strategy::ZeroShot, settings.clone()),
            "closed-form" => (Strategy::Residual, Settings { epochs: 0, ..settings.clone() }),
            "residual-embedding" => (Strategy::Residual, Settings { sight: Sight::Embedding, ..settings.clone() }),
            "lora" => (Strategy::Lora, settings.clone()),
            "full" => (Strategy::Full, settings.clone()),
            // At the papers' own rate a network from random weights learns nothing (their A.3).
            "scratch" => (Strategy::Scratch, Settings { rate: Some(1e-3), ..settings.clone() }),
            _ => (Strategy::Residual, settings.clone()),
        };
        Variant { name: name.into(), strategy, settings }
    };
    let is_wanted = |way: &str| {
        (ways.is_empty() || ways.iter().any(|w| w == way)) && (settings.closed_form || way != "closed-form")
    };
    WAYS.into_iter().filter(|(way, _)| is_wanted(way)).map(of).collect()
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

/// What sets a comparison apart from the usual one, for a heading.
fn manner(what: &Comparison) -> String {
    let settings = &what.settings;
    let how = match (*settings == Settings::paper(), settings.closed_form) {
        (true, _) => ", with the study's own settings",
        (_, false) => ", without the closed form",
        _ => "",
    };
    let ways: Vec<String> = variants(what).into_iter().map(|variant| variant.name.to_lowercase()).collect();
    let ways = if what.ways.is_empty() { String::new() } else { format!(": {}", ways.join(" and ")) };
    format!("{how}{ways}")
}

/// Strategies by number of labelled stars: a section of Markdown.
pub fn transfer(predictor: &Predictor, case: &Case, what: &Comparison, say: &mut dyn FnMut(&str)) -> Result<String> {
    let variants = variants(what);
    let mut page = format!(
        "### {}{}\n\n`{}` prints:\n\n\
         {} is taught by few stars. {} Mean and standard error of {} seeds. σ after 3 σ clipping, R² without; metal-poor is [Fe/H] < −1. {}\n",
        case.title,
        manner(what),
        what.command,
        predictor.entry().title(),
        case.about,
        what.seeds.len(),
        how(&what.settings)
    );
    let mut rows = Vec::new();
    for &label in &what.labels {
        let room = case.classroom(predictor, label)?;
        let decimals = if label == Label::Teff { 0 } else { 3 };
        let unit = if label.unit().is_empty() { String::new() } else { format!(", {}", label.unit()) };
        let _ = write!(page, "\n**{}{unit}** ({} stars)\n\n", label.symbol(), room.lesson.len());
        page.push_str("| labels | taught | σ | offset | R² | R² metal-poor | R² metal-rich | pass kept |\n|---|---|---|---|---|---|---|---|\n");
        let sizes = if label == Label::AlphaFe { &what.alpha_sizes } else { &what.sizes };
        for &n in sizes {
            for variant in &variants {
                let row = Row::measure(&room, variant, n, &what.seeds)?;
                let line = format!(
                    "| {n} | {} | {} | {} | {} | {} | {} | {:.0} |",
                    variant.name,
                    row.cell("all", |m| m.sigma, decimals),
                    row.cell("all", |m| m.bias, decimals),
                    row.cell("all", |m| m.r2, 3),
                    row.cell("[Fe/H] < −1", |m| m.r2, 3),
                    row.cell("[Fe/H] ≥ −1", |m| m.r2, 3),
                    mean_and_std(&row.kept).0,
                );
                say(&format!("{} {line}", label.symbol()));
                let _ = writeln!(page, "{line}");
                rows.push(row);
            }
        }
    }
    page.push_str(&findings(&rows));
    Ok(page)
}

/// The study's ablations on [Fe/H]: rank of LoRA and width of the residual head (A.2), learning rate from scratch (A.3).
/// Without the closed-form step, which would hide what they do.
pub fn ablation(predictor: &Predictor, case: &Case, what: &Comparison, say: &mut dyn FnMut(&str)) -> Result<String> {
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
        "### Ablations, {}\n\n`{}` prints:\n\n{} is taught [Fe/H]. {} Mean and standard error of {} seeds. {}\n",
        case.title,
        what.command,
        predictor.entry().title(),
        case.about,
        what.seeds.len(),
        how(&settings)
    );
    let room = case.classroom(predictor, Label::Feh)?;
    for (title, column, variants) in tables {
        let _ = write!(
            page,
            "\n**{title}**\n\n| labels | {column} | σ, dex | R² | R² metal-poor | pass kept |\n|---|---|---|---|---|---|\n"
        );
        for &n in &what.sizes {
            for variant in &variants {
                let row = Row::measure(&room, variant, n, &what.seeds)?;
                let line = format!(
                    "| {n} | {} | {} | {} | {} | {:.0} |",
                    variant.name,
                    row.cell("all", |m| m.sigma, 3),
                    row.cell("all", |m| m.r2, 3),
                    row.cell("[Fe/H] < −1", |m| m.r2, 3),
                    mean_and_std(&row.kept).0,
                );
                say(&format!("{title}: {line}"));
                let _ = writeln!(page, "{line}");
            }
        }
    }
    Ok(page)
}
