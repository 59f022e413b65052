//! What teaching is drawn as: losses, predicted against true, learning curves.

use std::collections::{BTreeMap, BTreeSet};

use leptos::prelude::*;

use super::plane::Plane;

use crate::plot::{Chart, Mark, Paint, Plot, Relief, range_of};
use crate::result::Label;
use crate::result::teach::{BakeOff, CurvePoint, Epoch, Landscape, Strategy, StrategyScore, Task};

/// The colour of a strategy, the same in every chart.
fn paint(strategy: Strategy) -> Paint {
    Paint::Series(match strategy {
        Strategy::ZeroShot => 4,
        Strategy::Residual => 0,
        Strategy::Lora => 1,
        Strategy::Full => 2,
        Strategy::Scratch => 3,
    })
}

/// Validation losses of all trainings (training losses where there is no validation), pass by pass.
pub fn losses(histories: &BTreeMap<Task, Vec<Epoch>>) -> Chart {
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
        marks: curves.into_iter().map(|(paint, through)| Mark::Curve { through, paint }).collect(),
    };
    Chart { plots: vec![plot] }
}

/// The same in words.
pub fn losses_in_words(histories: &BTreeMap<Task, Vec<Epoch>>) -> String {
    let epochs = histories.values().flatten().map(|e| e.epoch).max().unwrap_or(0);
    format!("Validation losses of {} trainings over up to {epochs} epochs", histories.len())
}

/// Which colour is which strategy.
#[component]
pub fn Key(strategies: Memo<BTreeSet<Strategy>>) -> impl IntoView {
    view! {
        <p class="chart-key">
            {move || strategies.get().into_iter().map(|s| view! {
                <span class=format!("key strategy-{}", s.name())>{s.title()}</span>
            }).collect_view()}
        </p>
    }
}

fn axis(target: &str, what: &str) -> String {
    match Label::from_name(target) {
        Some(label) if label.unit().is_empty() => format!("{} {what}", label.symbol()),
        Some(label) => format!("{} {what} ({})", label.symbol(), label.unit()),
        None => format!("{target} {what}"),
    }
}

/// Predicted against true while kept apart: before, as rims, and by a strategy, as discs; differences below. Point `i` is row
/// `i` of the lesson.
pub fn one_to_one(bake_off: &BakeOff, shown: Option<Strategy>) -> Chart {
    let of = |strategy| bake_off.scores.iter().find(|score| score.strategy == strategy);
    let points = |score: &StrategyScore| -> Vec<(f64, f64)> {
        let predicted = score.out_of_fold.iter().map(|v| v.unwrap_or(f64::NAN));
        bake_off.truth.iter().copied().zip(predicted).collect()
    };
    let before = of(Strategy::ZeroShot).map(points).unwrap_or_default();
    let after = shown.filter(|s| *s != Strategy::ZeroShot).and_then(of).map(points).unwrap_or_default();
    let both = || before.iter().chain(&after);
    let range = range_of(both().flat_map(|p| [p.0, p.1]));
    let difference = |points: &[(f64, f64)]| points.iter().map(|(x, y)| (*x, y - x)).collect::<Vec<_>>();
    let discs = |at: Vec<(f64, f64)>| Mark::Points { at, paint: Paint::Series(0), radius_px: 3.0, is_filled: true };
    let rims = |at: Vec<(f64, f64)>| Mark::Points { at, paint: Paint::Label, radius_px: 3.0, is_filled: false };
    let largest = both().map(|p| (p.1 - p.0).abs()).filter(|d| d.is_finite()).fold(1e-9, f64::max) * 1.1;
    let (below_before, below_after) = (difference(&before), difference(&after));
    let x_label = axis(&bake_off.target, "in the table");
    Chart {
        plots: vec![
            Plot {
                x_label: x_label.clone(),
                y_label: "predicted".into(),
                x_range: range,
                y_range: range,
                is_x_log: false,
                share: 0.64,
                marks: vec![Mark::Diagonal, rims(before), discs(after)],
            },
            Plot {
                x_label,
                y_label: "predicted − table".into(),
                x_range: range,
                y_range: (-largest, largest),
                is_x_log: false,
                share: 0.36,
                marks: vec![Mark::Level(0.0), rims(below_before), discs(below_after)],
            },
        ],
    }
}

/// [α/Fe] against [Fe/H]: the tables' and the taught model's stars as discs, the shipped model's as rims. Point `i` is star
/// `i` of the plane.
pub fn abundances(plane: &Plane) -> Chart {
    let points = |of: &[[f64; 2]], paint, radius_px, is_filled| {
        let at: Vec<(f64, f64)> = of.iter().map(|p| (p[0], p[1])).collect();
        Mark::Points { at, paint, radius_px, is_filled }
    };
    let all = || [&plane.shipped, &plane.taught, &plane.table].into_iter().flatten();
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
            points(&plane.taught, Paint::Series(0), 3.0, true),
        ],
    };
    Chart { plots: vec![plot] }
}

/// σ against the number of labels, a curve a strategy.
pub fn learning_curve(points: &[CurvePoint], target: &str) -> Chart {
    let strategies: BTreeSet<Strategy> = points.iter().map(|p| p.strategy).collect();
    let of = |strategy| points.iter().filter(move |p| p.strategy == strategy);
    let marks = strategies.into_iter().flat_map(|strategy| {
        let through: Vec<(f64, f64)> = of(strategy).map(|p| (p.labels as f64, p.total.value)).collect();
        let bars = of(strategy).map(|p| (p.labels as f64, p.total.value, p.total.error)).collect();
        let paint = paint(strategy);
        [
            Mark::Bars { at: bars, paint },
            Mark::Curve { through: through.clone(), paint },
            Mark::Points { at: through, paint, radius_px: 3.0, is_filled: true },
        ]
    });
    let (fewest, most) = points.iter().fold((usize::MAX, 1), |(l, h), p| (l.min(p.labels), h.max(p.labels)));
    let (_, high) = range_of(points.iter().map(|p| p.total.value + p.total.error));
    let plot = Plot {
        x_label: "Labels learned from".into(),
        y_label: axis(target, "σ and offset together,"),
        x_range: (fewest.min(most) as f64 * 0.9, most as f64 * 1.1),
        y_range: (0.0, high),
        is_x_log: true,
        share: 1.0,
        marks: marks.collect(),
    };
    Chart { plots: vec![plot] }
}

/// The error around what was taught: a map with lines at round errors, and its key below. The disc is the lowest point, the rim
/// what was taught.
pub fn landscape(found: &Landscape) -> Chart {
    // As the field draws it: by the logarithm, which is the same for the square and its root.
    let heights: Vec<f64> = found.mse.iter().map(|mse| mse.max(1e-12).log10()).collect();
    let finite = || heights.iter().copied().filter(|h| h.is_finite());
    let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let Some(((alpha, beta, lowest), centre)) = found.lowest().zip(found.centre()).filter(|_| high > low) else {
        return Chart::default();
    };
    let rms = |height: f64| 10f64.powf(height / 2.0);
    let decades = rms(low).log10().floor() as i32..=rms(high).log10().ceil() as i32;
    let round = decades.flat_map(|d| [1.0, 2.0, 5.0].map(|m| 2.0 * (f64::from(d) + f64::log10(m))));
    let levels: Vec<f64> = round.filter(|level| (low..high).contains(level)).collect();
    let relief = Relief { x: found.steps.clone(), y: found.steps.clone(), heights, range: (low, high) };
    let spot = |at, mse: f64, is_filled| {
        // Light where the map is dark, as its lines are.
        let paint = Paint::Ramp(if mse.log10() < (low + high) / 2.0 { 255 } else { 0 });
        Mark::Points { at: vec![at], paint, radius_px: if is_filled { 3.0 } else { 6.0 }, is_filled }
    };
    let edge = found.steps.last().copied().unwrap_or(1.0) * (1.0 + 1.0 / (found.steps.len().max(2) - 1) as f64);
    let key: Vec<f64> = (0..64).map(|k| low + (high - low) * f64::from(k) / 63.0).collect();
    let strip = Relief { x: key.iter().map(|h| rms(*h)).collect(), y: vec![0.5], heights: key, range: (low, high) };
    Chart {
        plots: vec![
            Plot {
                x_label: "α, along a random direction of the weights".into(),
                y_label: "β, along another".into(),
                x_range: (-edge, edge),
                y_range: (-edge, edge),
                is_x_log: false,
                share: 0.84,
                marks: vec![
                    Mark::Map(relief.clone()),
                    Mark::Contours(relief, levels),
                    spot((0.0, 0.0), centre, false),
                    spot((alpha, beta), lowest, true),
                ],
            },
            Plot {
                x_label: axis(&found.target, "rms error"),
                y_label: String::new(),
                x_range: (rms(low), rms(high)),
                y_range: (0.0, 1.0),
                is_x_log: true,
                share: 0.16,
                marks: vec![Mark::Map(strip)],
            },
        ],
    }
}
