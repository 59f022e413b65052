//! Figures of the report: predicted against known labels, calibration curves, histograms of ranks.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::plot::{Chart, Drawable, Mark, Paint, Plot, range_of};
use crate::result::{Label, gaussian_coverage};
use crate::train::benchmark::RoutePredictions;
use crate::train::benchmark_sets::BenchmarkSet;
use crate::train::sbc::Ranks;

/// Largest number of points in a plot: enough to show the distribution, in small files.
const MAX_POINTS: usize = 40;

/// Bins of a histogram of ranks.
const BINS: usize = 20;

/// Size of a plot, mm.
const PLOT_MM: (f64, f64) = (70.0, 46.0);

/// Known value, predicted value, and predicted error.
type FigureTriple = (f64, f64, f64);

fn chart(plots: Vec<Plot>) -> Option<Chart> {
    (!plots.is_empty()).then_some(Chart { plots })
}

fn plot(x: String, y: String, x_range: (f64, f64), y_range: (f64, f64), marks: Vec<Mark>) -> Plot {
    Plot { x_label: x, y_label: y, x_range, y_range, is_x_log: false, share: 1.0, marks }
}

fn with_unit(label: Label) -> String {
    if label.unit().is_empty() { label.symbol().into() } else { format!("{} ({})", label.symbol(), label.unit()) }
}

/// Plots of predicted against known labels.
fn one_to_one(predictions: &RoutePredictions, set: &BenchmarkSet) -> Option<Chart> {
    let reference = if set.is_simulated { "true" } else { "catalogue" };
    let of = |label: Label| {
        let all = predictions.triples(set, label);
        let step = all.len().div_ceil(MAX_POINTS).max(1);
        let at: Vec<(f64, f64)> =
            all.iter().step_by(step).map(|(true_value, predicted, _)| (*true_value, *predicted)).collect();
        let range = range_of(at.iter().flat_map(|(x, y)| [*x, *y]));
        let points = Mark::Points { at, paint: Paint::Data, radius_px: 1.8, is_filled: true };
        let name = with_unit(label);
        let (x, y) = (format!("{reference} {name}"), format!("predicted {name}"));
        (all.len() > 2).then(|| plot(x, y, range, range, vec![line((range.0, range.0), (range.1, range.1)), points]))
    };
    chart(Label::ALL.into_iter().filter_map(of).collect())
}

/// Calibration curves, one per label: share of residuals within k errors, against the share of a Gaussian.
fn calibration(predictions: &RoutePredictions, set: &BenchmarkSet) -> Option<Chart> {
    let of = |(i, label): (usize, Label)| {
        let pulls: Vec<f64> =
            predictions.triples(set, label).iter().map(|(t, p, e): &FigureTriple| ((p - t) / e).abs()).collect();
        let share = |k: f64| pulls.iter().filter(|p| **p <= k).count() as f64 / pulls.len().max(1) as f64;
        let points = (0..=30).map(|i| 0.1 * f64::from(i)).map(|k| (gaussian_coverage(k), share(k))).collect();
        (pulls.len() > 2).then_some(Mark::Curve { points, paint: Paint::Series(i) })
    };
    let curves: Vec<Mark> = Label::ALL.into_iter().enumerate().filter_map(of).collect();
    let (x, y) = ("expected share within k errors".into(), "measured share within k errors".into());
    let marks = [line((0.0, 0.0), (1.0, 1.0))].into_iter().chain(curves).collect();
    chart(vec![plot(x, y, (0.0, 1.0), (0.0, 1.0), marks)])
}

/// Reference line. A solid line is one stroke of the SVG; a dashed line would be a hundred.
fn line(from: (f64, f64), to: (f64, f64)) -> Mark {
    Mark::Curve { points: vec![from, to], paint: Paint::Sigma }
}

/// Histograms of ranks, normalised to 1 for a uniform distribution.
fn histograms(all: &[Ranks]) -> Option<Chart> {
    let of = |ranks: &Ranks| {
        let mut counts = [0usize; BINS];
        ranks.fractions.iter().for_each(|p| counts[((p * BINS as f64) as usize).min(BINS - 1)] += 1);
        let per = ranks.fractions.len().max(1) as f64 / BINS as f64;
        let edge = |i: usize| i as f64 / BINS as f64;
        let step = |(i, n): (usize, &usize)| [(edge(i), *n as f64 / per), (edge(i + 1), *n as f64 / per)];
        let points: Vec<(f64, f64)> = counts.iter().enumerate().flat_map(step).collect();
        let top = points.iter().map(|p| p.1).fold(1.5, f64::max) * 1.06;
        let (distance, p) = ranks.uniformity();
        let x = format!("rank of {} (K–S {distance:.3}, p = {p:.2})", ranks.label.symbol());
        let marks = vec![line((0.0, 1.0), (1.0, 1.0)), Mark::Curve { points, paint: Paint::Data }];
        plot(x, "density".into(), (0.0, 1.0), (0.0, top), marks)
    };
    chart(all.iter().map(of).collect())
}

/// Shortens an SVG: removes default attributes, and states the font once instead of in every text.
fn lean(svg: &str) -> String {
    const FONT: &str = " font-family=\"Helvetica, Arial, sans-serif\"";
    let svg = svg.replace(" opacity=\"1\"", "").replace(" stroke=\"none\" stroke-width=\"1\"", "").replace(FONT, "");
    svg.replacen("<svg", &format!("<svg{FONT}"), 1)
}

/// Draws all figures into a folder, whose earlier figures are deleted. Returns the sections that show them: accuracy,
/// and ranks of the posteriors. `shown` are the predictions to draw, each with a word for its file names.
pub(super) fn draw(
    folder: &Path,
    sets: &[BenchmarkSet],
    shown: &[(&str, &RoutePredictions)],
    ranks: &[Ranks],
) -> Result<[String; 2]> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    for entry in std::fs::read_dir(folder)?.flatten() {
        if entry.path().extension().is_some_and(|e| e == "svg") {
            std::fs::remove_file(entry.path()).with_context(|| format!("deleting {}", entry.path().display()))?;
        }
    }
    let section = |heading: &str, charts: Vec<(String, String, Option<Chart>)>| -> Result<String> {
        let mut page = format!("\n{heading}\n\n");
        for (name, about, chart) in charts {
            let Some(chart) = chart else { continue };
            let path = folder.join(format!("{name}.svg"));
            let svg = chart.to_svg(PLOT_MM.0, PLOT_MM.1 * chart.plots.len() as f64);
            std::fs::write(&path, lean(&svg)).with_context(|| format!("writing {}", path.display()))?;
            let _ = writeln!(
                page,
                "<img src=\"figures/{name}.svg\" width=\"250\" align=\"top\" alt=\"{about}\" title=\"{about}\">"
            );
        }
        Ok(page)
    };
    let of = |what: &str, draw: fn(&RoutePredictions, &BenchmarkSet) -> Option<Chart>| {
        let one = |(word, predictions): &(&str, &RoutePredictions)| {
            let set = &sets[predictions.set_index];
            (format!("{what}-{word}"), format!("{what}: {}, {}", predictions.model, set.name), draw(predictions, set))
        };
        shown.iter().map(one).collect::<Vec<_>>()
    };
    let which: Vec<String> = shown.iter().map(|(_, a)| format!("{} on {}", a.model, sets[a.set_index].name)).collect();
    let which = which.join("; ");
    let one_to_one = section(
        &format!("Predicted against known labels, at most {MAX_POINTS} stars a plot. From left: {which}."),
        of("one-to-one", one_to_one),
    )?;
    let calibration = section(
        &format!(
            "Calibration: fraction of residuals within k errors against that of a Gaussian, k from 0 to 3. Below the straight line the errors are too small. Teff blue, log g orange, [Fe/H] green, [α/Fe] red, RV grey. From left: {which}."
        ),
        of("calibration", calibration),
    )?;
    let name = ranks.first().map_or(String::new(), |r| format!("ranks: {}", r.on));
    let ranks = section(
        "Ranks of the true labels among samples from the flow. The histogram is flat if the posteriors are calibrated.",
        vec![("ranks".into(), name, histograms(ranks))],
    )?;
    Ok([format!("\n## Figures\n{one_to_one}{calibration}"), ranks])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_ranks_make_a_flat_histogram() {
        let fractions = (0..400).map(|i| (f64::from(i) + 0.5) / 400.0).collect();
        let ranks = Ranks { on: "stars".into(), label: Label::Teff, fractions };
        let chart = histograms(&[ranks]).expect("a chart");
        let Some(Mark::Curve { points, .. }) = chart.plots[0].marks.last() else { panic!("no curve") };
        assert!(points.len() == 2 * BINS && points.iter().all(|p| (p.1 - 1.0).abs() < 1e-9));
        assert!(chart.plots[0].x_label.contains("p = 1.00"), "{}", chart.plots[0].x_label);
    }
}
