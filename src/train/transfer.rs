//! Tables after Zhao et al. 2026 (arXiv:2602.15021): a network is fine-tuned on a few stars of a
//! [`TransferCase`] and evaluated on all others.

use std::fmt::Write;
use std::rc::Rc;

use anyhow::Result;

use super::claims::claims_table;
use super::transfer_case::TransferCase;
use crate::result::Label;
use crate::result::finetune::{HeadInput, Metrics, Settings, Strategy, TrainingRun};
use crate::stats::mean_and_std;
use crate::task::finetune::cross_validation::metrics;
use crate::task::finetune::feature_cache::FeatureCache;
use crate::task::finetune::split::Split;
use crate::task::finetune::training::{Progress, Training};

/// The strategies, labels and settings that a table compares.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Labels for fine-tuning.
    pub labels: Vec<Label>,
    /// Numbers of labelled stars; [α/Fe] has its own numbers.
    pub sizes: Vec<usize>,
    /// Numbers of labelled stars for [α/Fe], which few stars have.
    pub alpha_sizes: Vec<usize>,
    /// Seeds of splits and training runs.
    pub seeds: Vec<u64>,
    /// Settings of the fine-tuning; those of the study are [`Settings::zhao2026`].
    pub settings: Settings,
    /// Names of the strategies to compare, from [`STRATEGIES`]; empty for all.
    pub strategies: Vec<String>,
    /// The command line, printed in the section.
    pub command: String,
}

/// Strategies: their names on the command line and in tables.
pub const STRATEGIES: [(&str, &str); 8] = [
    ("zero-shot", "Zero-shot"),
    ("linear", "Linear correction"),
    ("gp", "GP correction"),
    ("residual", "Residual, flux"),
    ("residual-embedding", "Residual, embedding"),
    ("lora", "LoRA"),
    ("full", "Full"),
    ("scratch", "From scratch"),
];

/// A strategy with its settings, and its name in tables.
#[derive(Debug, Clone)]
pub(super) struct Variant {
    name: String,
    pub(super) strategy: Strategy,
    settings: Settings,
}

impl Variant {
    #[cfg(test)]
    pub(super) fn with_default_settings(strategy: Strategy) -> Self {
        Self { name: strategy.title().into(), strategy, settings: Settings::default() }
    }
}

/// Results of one strategy for one label and number of labels.
pub(super) struct Row {
    pub(super) label: Label,
    pub(super) n: usize,
    pub(super) variant: Variant,
    /// Metrics by subset, all stars first; one entry per seed.
    runs: Vec<Vec<(String, Metrics)>>,
    /// Best epoch, one entry per seed.
    best_epochs: Vec<f64>,
}

impl Row {
    /// Fine-tunes with every seed.
    fn measure(features: &Rc<FeatureCache>, variant: &Variant, n: usize, seeds: &[u64]) -> Result<Self> {
        let (mut runs, mut best_epochs) = (Vec::new(), Vec::new());
        for &seed in seeds {
            let (figures, best) = finetune(features, variant, n, seed)?;
            runs.push(figures);
            best_epochs.push(best as f64);
        }
        let label = features.labelled_set.label().unwrap_or(Label::Feh);
        Ok(Self { label, n, variant: variant.clone(), runs, best_epochs })
    }

    #[cfg(test)]
    pub(super) fn new(label: Label, n: usize, variant: Variant, runs: Vec<Vec<(String, Metrics)>>) -> Self {
        Self { label, n, variant, runs, best_epochs: Vec::new() }
    }

    /// Name of the strategy in tables.
    pub(super) fn name(&self) -> &str {
        &self.variant.name
    }

    /// A metric of a subset, one value per seed; `None` where a seed lacks the subset.
    pub(super) fn figures(&self, subset: &str, figure: fn(&Metrics) -> f64) -> Option<Vec<f64>> {
        let of = |run: &Vec<(String, Metrics)>| run.iter().find(|(name, _)| name == subset).map(|(_, m)| figure(m));
        self.runs.iter().map(of).collect()
    }

    fn cell(&self, subset: &str, figure: fn(&Metrics) -> f64, decimals: usize) -> String {
        self.figures(subset, figure).map_or_else(|| "–".into(), |values| over_seeds(&values, decimals))
    }
}

/// Mean and standard error over seeds, as text.
pub(super) fn over_seeds(values: &[f64], decimals: usize) -> String {
    let (mean, std) = mean_and_std(values);
    let error = std / ((values.len() as f64 - 1.0).max(1.0)).sqrt();
    format!("{mean:.decimals$} ± {error:.decimals$}")
}

/// Fine-tunes on `n` stars, and evaluates on all groups without a training star. Returns the metrics by subset, and the
/// best epoch.
fn finetune(
    features: &Rc<FeatureCache>,
    variant: &Variant,
    n: usize,
    seed: u64,
) -> Result<(Vec<(String, Metrics)>, usize)> {
    let split = Split::hold_out(&features.labelled_set, 0.0, Some(n), variant.settings.validation, seed);
    let task = TrainingRun { strategy: variant.strategy, fold: None, seed, n_labels: Some(n) };
    let mut training = Training::new(features.clone(), task, split, &variant.settings)?;
    while pollster::block_on(training.advance())? != Progress::Done {}
    let outcome = pollster::block_on(training.outcome())?;
    Ok((
        metrics(&features.labelled_set, &outcome.rows, &outcome.values, &features.labelled_set.subsets()),
        outcome.best_epoch,
    ))
}

fn variants(Comparison { settings, strategies, .. }: &Comparison) -> Vec<Variant> {
    let of = |(name, title): (&str, &str)| {
        let (strategy, settings) = match name {
            "zero-shot" => (Strategy::ZeroShot, settings.clone()),
            "linear" => (Strategy::Linear, settings.clone()),
            "gp" => (Strategy::Gp, settings.clone()),
            "residual-embedding" => {
                (Strategy::Residual, Settings { head_input: HeadInput::Embedding, ..settings.clone() })
            }
            "lora" => (Strategy::Lora, settings.clone()),
            "full" => (Strategy::Full, settings.clone()),
            // At the papers' own learning rate a network from random weights learns nothing (their A.3).
            "scratch" => (Strategy::Scratch, Settings { learning_rate: Some(1e-3), ..settings.clone() }),
            _ => (Strategy::Residual, settings.clone()),
        };
        Variant { name: title.into(), strategy, settings }
    };
    let is_selected = |name: &str| strategies.is_empty() || strategies.iter().any(|s| s == name);
    STRATEGIES.into_iter().filter(|(name, _)| is_selected(name)).map(of).collect()
}

/// The settings as a sentence.
fn settings_sentence(settings: &Settings) -> String {
    let Settings { epochs, patience, validation, .. } = settings;
    let rate = settings
        .learning_rate
        .map_or("each strategy's own learning rate".into(), |rate| format!("learning rate {rate:.0e}"));
    let first =
        if settings.start_from_gp { "Gradient steps start from the GP correction; " } else { "Gradient steps: " };
    let percent = 100.0 * validation;
    format!(
        "{first}{rate}, at most {epochs} epochs, patience {patience} epochs, {percent:.0} % of the labels for validation."
    )
}

/// Deviations of a comparison from the default settings and strategies, for a heading.
fn heading_suffix(comparison: &Comparison) -> String {
    let settings = &comparison.settings;
    let settings_note = match (*settings == Settings::zhao2026(), settings.start_from_gp) {
        (true, _) => ", with the settings of the study",
        (_, true) => ", from the GP correction",
        _ => "",
    };
    let strategies: Vec<String> = variants(comparison).into_iter().map(|variant| variant.name).collect();
    let strategies =
        if comparison.strategies.is_empty() { String::new() } else { format!(": {}", strategies.join(" and ")) };
    format!("{settings_note}{strategies}")
}

/// Compares strategies by number of labelled stars. Returns a section of Markdown.
pub fn transfer(case: &TransferCase, comparison: &Comparison, log: &mut dyn FnMut(&str)) -> Result<String> {
    let variants = variants(comparison);
    let mut page = format!(
        "## {}{}\n\n`{}` prints:\n\n\
         Fine-tuning of {} with few labels. {} Mean and standard error of {} seeds. σ after 3 σ clipping, R² without; metal-poor is [Fe/H] < −1. {}\n",
        case.title,
        heading_suffix(comparison),
        comparison.command,
        case.base.entry.title(),
        case.description,
        comparison.seeds.len(),
        settings_sentence(&comparison.settings)
    );
    let mut rows = Vec::new();
    for &label in &comparison.labels {
        let features = case.feature_cache(label)?;
        let decimals = if label == Label::Teff { 0 } else { 3 };
        let unit = if label.unit().is_empty() { String::new() } else { format!(", {}", label.unit()) };
        let _ = write!(page, "\n**{}{unit}** ({} stars)\n\n", label.symbol(), features.labelled_set.len());
        page.push_str("| labels | strategy | σ | offset | R² | R² metal-poor | R² metal-rich | best epoch |\n|---|---|---|---|---|---|---|---|\n");
        let sizes = if label == Label::AlphaFe { &comparison.alpha_sizes } else { &comparison.sizes };
        for &n in sizes {
            for variant in &variants {
                let row = Row::measure(&features, variant, n, &comparison.seeds)?;
                let line = format!(
                    "| {n} | {} | {} | {} | {} | {} | {} | {:.0} |",
                    variant.name,
                    row.cell("all", |m| m.sigma, decimals),
                    row.cell("all", |m| m.bias, decimals),
                    row.cell("all", |m| m.r2, 3),
                    row.cell("[Fe/H] < −1", |m| m.r2, 3),
                    row.cell("[Fe/H] ≥ −1", |m| m.r2, 3),
                    mean_and_std(&row.best_epochs).0,
                );
                log(&format!("{} {line}", label.symbol()));
                let _ = writeln!(page, "{line}");
                rows.push(row);
            }
        }
    }
    page.push_str(&claims_table(&rows));
    Ok(page)
}

/// The study's ablations on [Fe/H]: rank of `LoRA` and width of the residual head (A.2), learning rate from scratch
/// (A.3).
pub fn ablation(case: &TransferCase, comparison: &Comparison, log: &mut dyn FnMut(&str)) -> Result<String> {
    let settings = comparison.settings.clone();
    let mut tables: Vec<(&str, &str, Vec<Variant>)> = Vec::new();
    let ranks = [8, 32, 128, 256].map(|rank| Variant {
        name: rank.to_string(),
        strategy: Strategy::Lora,
        settings: Settings { lora_rank: rank, lora_alpha: 2.0 * rank as f64, ..settings.clone() },
    });
    tables.push(("A.2, rank of LoRA (α = 2r)", "rank", ranks.into()));
    let widths = [48, 96, 192, 384, 768].map(|hidden| Variant {
        name: hidden.to_string(),
        strategy: Strategy::Residual,
        settings: Settings { head_width: hidden, ..settings.clone() },
    });
    tables.push(("A.2, width of the residual head", "width", widths.into()));
    let rates = [1e-5, 1e-4, 1e-3].map(|rate| Variant {
        name: format!("{rate:.0e}"),
        strategy: Strategy::Scratch,
        settings: Settings { learning_rate: Some(rate), ..settings.clone() },
    });
    tables.push(("A.3, learning rate from scratch", "learning rate", rates.into()));

    let mut page = format!(
        "## Ablations, {}\n\n`{}` prints:\n\nFine-tuning of {} for [Fe/H]. {} Mean and standard error of {} seeds. {}\n",
        case.title,
        comparison.command,
        case.base.entry.title(),
        case.description,
        comparison.seeds.len(),
        settings_sentence(&settings)
    );
    let features = case.feature_cache(Label::Feh)?;
    for (title, column, variants) in tables {
        let _ = write!(
            page,
            "\n**{title}**\n\n| labels | {column} | σ, dex | R² | R² metal-poor | best epoch |\n|---|---|---|---|---|---|\n"
        );
        for &n in &comparison.sizes {
            for variant in &variants {
                let row = Row::measure(&features, variant, n, &comparison.seeds)?;
                let line = format!(
                    "| {n} | {} | {} | {} | {} | {:.0} |",
                    variant.name,
                    row.cell("all", |m| m.sigma, 3),
                    row.cell("all", |m| m.r2, 3),
                    row.cell("[Fe/H] < −1", |m| m.r2, 3),
                    mean_and_std(&row.best_epochs).0,
                );
                log(&format!("{title}: {line}"));
                let _ = writeln!(page, "{line}");
            }
        }
    }
    Ok(page)
}
