//! Charts of fine-tuning: losses, predicted against true labels, abundances, learning curves, loss landscapes.

use std::collections::{BTreeMap, BTreeSet};

use leptos::prelude::*;

use super::abundance_plane::AbundancePlane;

use crate::plot::{Chart, Heatmap, Mark, Paint, Plot, range_of};
use crate::result::Label;
use crate::result::finetune::{CurvePoint, Epoch, Landscape, Strategy, StrategyComparison, StrategyScore, TrainingRun};

/// The colour of a strategy, the same in every chart.
fn paint(strategy: Strategy) -> Paint {
    Paint::Series(match strategy {
        Strategy::ZeroShot => 4,
        Strategy::Linear => 6,
        Strategy::Gp => 5,
        Strategy::Residual => 0,
        Strategy::Lora => 1,
        Strategy::Full => 2,
        Strategy::Scratch => 3,
    })
}

/// Validation loss of all training runs against epoch; the training loss where there is no validation set.
pub(super) fn losses(histories: &BTreeMap<TrainingRun, Vec<Epoch>>) -> Chart {
    let loss = |epoch: &Epoch| epoch.validation_loss.unwrap_or(epoch.train_loss).max(1e-12).log10();
    let curves: Vec<(Paint, Vec<(f64, f64)>)> = histories
        .iter()
        .map(|(task, epochs)| (paint(task.strategy), epochs.iter().map(|e| (e.epoch as f64, loss(e))).collect()))
        .collect();
    let all = || curves.iter().flat_map(|(_, points)| points);
    let last = all().map(|p| p.0).fold(5.0, f64::max);
    let plot = Plot {
        x_label: "Epoch".into(),
        y_label: "log10 of the validation loss".into(),
        x_range: (0.0, last),
        y_range: range_of(all().map(|p| p.1)),
        is_x_log: false,
        share: 1.0,
        marks: curves.into_iter().map(|(paint, points)| Mark::Curve { points, paint }).collect(),
    };
    Chart { plots: vec![plot] }
}

/// Text for screen readers that describes [`losses`].
pub(super) fn describe_losses(histories: &BTreeMap<TrainingRun, Vec<Epoch>>) -> String {
    let epochs = histories.values().flatten().map(|e| e.epoch).max().unwrap_or(0);
    format!("Validation losses of {} training runs over up to {epochs} epochs", histories.len())
}

/// Legend: the colour of each strategy.
#[component]
pub(super) fn StrategyLegend(strategies: Memo<BTreeSet<Strategy>>) -> impl IntoView {
    view! {
        <p class="chart-key">
            {move || strategies.get().into_iter().map(|s| view! {
                <span class=format!("key strategy-{}", s.name())>{s.title()}</span>
            }).collect_view()}
        </p>
    }
}

fn axis_label(target: &str, quantity: &str) -> String {
    match Label::from_name(target) {
        Some(label) if label.unit().is_empty() => format!("{} {quantity}", label.symbol()),
        Some(label) => format!("{} {quantity} ({})", label.symbol(), label.unit()),
        None => format!("{target} {quantity}"),
    }
}

/// Cross-validated predictions against true labels, with the differences below. Circles: the shipped model; discs: the
/// strategy `shown`. Point `i` is row `i` of the labelled set.
pub(super) fn predicted_versus_table(comparison: &StrategyComparison, shown: Option<Strategy>) -> Chart {
    let of = |strategy| comparison.scores.iter().find(|score| score.strategy == strategy);
    let points = |score: &StrategyScore| -> Vec<(f64, f64)> {
        let predicted = score.out_of_fold.iter().map(|v| v.unwrap_or(f64::NAN));
        comparison.truth.iter().copied().zip(predicted).collect()
    };
    let shipped = of(Strategy::ZeroShot).map(points).unwrap_or_default();
    let finetuned = shown.filter(|s| *s != Strategy::ZeroShot).and_then(of).map(points).unwrap_or_default();
    let both = || shipped.iter().chain(&finetuned);
    let range = range_of(both().flat_map(|p| [p.0, p.1]));
    let difference = |points: &[(f64, f64)]| points.iter().map(|(x, y)| (*x, y - x)).collect::<Vec<_>>();
    let discs = |at: Vec<(f64, f64)>| Mark::Points { at, paint: Paint::Series(0), radius_px: 3.0, is_filled: true };
    let circles = |at: Vec<(f64, f64)>| Mark::Points { at, paint: Paint::Label, radius_px: 3.0, is_filled: false };
    let largest = both().map(|p| (p.1 - p.0).abs()).filter(|d| d.is_finite()).fold(1e-9, f64::max) * 1.1;
    let (shipped_differences, finetuned_differences) = (difference(&shipped), difference(&finetuned));
    let x_label = axis_label(&comparison.target, "in the table");
    Chart {
        plots: vec![
            Plot {
                x_label: x_label.clone(),
                y_label: "predicted".into(),
                x_range: range,
                y_range: range,
                is_x_log: false,
                share: 0.64,
                marks: vec![Mark::Diagonal, circles(shipped), discs(finetuned)],
            },
            Plot {
                x_label,
                y_label: "predicted − table".into(),
                x_range: range,
                y_range: (-largest, largest),
                is_x_log: false,
                share: 0.36,
                marks: vec![Mark::Level(0.0), circles(shipped_differences), discs(finetuned_differences)],
            },
        ],
    }
}

/// [α/Fe] against [Fe/H]: discs for the tables and the fine-tuned model, circles for the shipped model. Point `i` is
/// star `i` of `plane`.
pub(super) fn abundances(plane: &AbundancePlane) -> Chart {
    let points = |of: &[[f64; 2]], paint, radius_px, is_filled| {
        let at: Vec<(f64, f64)> = of.iter().map(|p| (p[0], p[1])).collect();
        Mark::Points { at, paint, radius_px, is_filled }
    };
    let all = || [&plane.shipped, &plane.finetuned, &plane.table].into_iter().flatten();
    let plot = Plot {
        x_label: format!("{} (dex)", Label::Feh.symbol()),
        y_label: format!("{} (dex)", Label::AlphaFe.symbol()),
        x_range: range_of(all().map(|p| p[0])),
        y_range: range_of(all().map(|p| p[1])),
        is_x_log: false,
        share: 1.0,
        marks: vec![
            points(&plane.table, Paint::Series(1), 2.5, true),
            points(&plane.shipped, Paint::Label, 3.0, false),
            points(&plane.finetuned, Paint::Series(0), 3.0, true),
        ],
    };
    Chart { plots: vec![plot] }
}

/// Total error against the number of training labels, one curve per strategy.
pub(super) fn learning_curve(points: &[CurvePoint], target: &str) -> Chart {
    let strategies: BTreeSet<Strategy> = points.iter().map(|p| p.strategy).collect();
    let of = |strategy| points.iter().filter(move |p| p.strategy == strategy);
    let marks = strategies.into_iter().flat_map(|strategy| {
        let means: Vec<(f64, f64)> = of(strategy).map(|p| (p.n_labels as f64, p.total.value)).collect();
        let bars = of(strategy).map(|p| (p.n_labels as f64, p.total.value, p.total.error)).collect();
        let paint = paint(strategy);
        [
            Mark::Bars { at: bars, paint },
            Mark::Curve { points: means.clone(), paint },
            Mark::Points { at: means, paint, radius_px: 3.0, is_filled: true },
        ]
    });
    let (fewest, most) = points.iter().fold((usize::MAX, 1), |(l, h), p| (l.min(p.n_labels), h.max(p.n_labels)));
    let (_, high) = range_of(points.iter().map(|p| p.total.value + p.total.error));
    let plot = Plot {
        x_label: "Number of training labels".into(),
        y_label: axis_label(target, "total error"),
        x_range: (fewest.min(most) as f64 * 0.9, most as f64 * 1.1),
        y_range: (0.0, high),
        is_x_log: true,
        share: 1.0,
        marks: marks.collect(),
    };
    Chart { plots: vec![plot] }
}

/// Map of the rms error with contours at round values and a colour bar below. The disc marks the lowest point, the
/// circle the fine-tuned weights.
pub(super) fn landscape(landscape: &Landscape) -> Chart {
    // log10 of the mean squared error, as usual for loss landscapes. It is twice log10 of the rms error.
    let heights: Vec<f64> = landscape.mse.iter().map(|mse| mse.max(1e-12).log10()).collect();
    let finite = || heights.iter().copied().filter(|h| h.is_finite());
    let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let Some(((alpha, beta, lowest), centre)) = landscape.lowest().zip(landscape.centre()).filter(|_| high > low)
    else {
        return Chart::default();
    };
    let rms = |height: f64| 10f64.powf(height / 2.0);
    let decades = rms(low).log10().floor() as i32..=rms(high).log10().ceil() as i32;
    let round = decades.flat_map(|d| [1.0, 2.0, 5.0].map(|m| 2.0 * (f64::from(d) + f64::log10(m))));
    let levels: Vec<f64> = round.filter(|level| (low..high).contains(level)).collect();
    let map = Heatmap { x: landscape.steps.clone(), y: landscape.steps.clone(), heights, range: (low, high) };
    let marker = |at, mse: f64, is_filled| {
        // Light where the map is dark, like the contours.
        let paint = Paint::Ramp(if mse.log10() < (low + high) / 2.0 { 255 } else { 0 });
        Mark::Points { at: vec![at], paint, radius_px: if is_filled { 3.0 } else { 6.0 }, is_filled }
    };
    let edge = landscape.steps.last().copied().unwrap_or(1.0) * (1.0 + 1.0 / (landscape.steps.len().max(2) - 1) as f64);
    let colour_bar_values: Vec<f64> = (0..64).map(|k| low + (high - low) * f64::from(k) / 63.0).collect();
    let colour_bar = Heatmap {
        x: colour_bar_values.iter().map(|h| rms(*h)).collect(),
        y: vec![0.5],
        heights: colour_bar_values,
        range: (low, high),
    };
    Chart {
        plots: vec![
            Plot {
                x_label: "α, step along random direction 1".into(),
                y_label: "β, step along random direction 2".into(),
                x_range: (-edge, edge),
                y_range: (-edge, edge),
                is_x_log: false,
                share: 0.84,
                marks: vec![
                    Mark::Map(map.clone()),
                    Mark::Contours(map, levels),
                    marker((0.0, 0.0), centre, false),
                    marker((alpha, beta), lowest, true),
                ],
            },
            Plot {
                x_label: axis_label(&landscape.target, "rms error"),
                y_label: String::new(),
                x_range: (rms(low), rms(high)),
                y_range: (0.0, 1.0),
                is_x_log: true,
                share: 0.16,
                marks: vec![Mark::Map(colour_bar)],
            },
        ],
    }
}
