//! The figures beside MODELS.md: predicted against known, shares within the errors, ranks.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::plot::{Chart, Drawing, Mark, Paint, Plot, range_of};
use crate::result::{Label, gaussian_share};
use crate::train::cases::Case;
use crate::train::ranks::Ranks;
use crate::train::surveys::Answers;

/// Points in a plot: so many show the shape, and the files stay small.
const MOST_POINTS: usize = 40;

/// Bins of a histogram of ranks.
const BINS: usize = 20;

/// Size of a plot, mm.
const PLOT_MM: (f64, f64) = (70.0, 46.0);

/// Known, predicted, and predicted error.
type Triple = (f64, f64, f64);

fn chart(plots: Vec<Plot>) -> Option<Chart> {
    (!plots.is_empty()).then_some(Chart { plots })
}

fn plot(x: String, y: String, x_range: (f64, f64), y_range: (f64, f64), marks: Vec<Mark>) -> Plot {
    Plot { x_label: x, y_label: y, x_range, y_range, is_x_log: false, share: 1.0, marks }
}

fn with_unit(label: Label) -> String {
    if label.unit().is_empty() { label.symbol().into() } else { format!("{} ({})", label.symbol(), label.unit()) }
}

/// Predicted against known.
fn one_to_one(answers: &Answers, case: &Case) -> Option<Chart> {
    let known = if case.is_simulated { "true" } else { "catalogue" };
    let of = |label: Label| {
        let all = answers.triples(case, label);
        let step = all.len().div_ceil(MOST_POINTS).max(1);
        let at: Vec<(f64, f64)> = all.iter().step_by(step).map(|(known, told, _)| (*known, *told)).collect();
        let range = range_of(at.iter().flat_map(|(x, y)| [*x, *y]));
        let points = Mark::Points { at, paint: Paint::Data, radius_px: 1.8, is_filled: true };
        let name = with_unit(label);
        let (x, y) = (format!("{known} {name}"), format!("predicted {name}"));
        (all.len() > 2).then(|| plot(x, y, range, range, vec![line((range.0, range.0), (range.1, range.1)), points]))
    };
    chart(Label::ALL.into_iter().filter_map(of).collect())
}

/// Share of residuals within k errors, against that of a Gaussian: a curve a label.
fn calibration(answers: &Answers, case: &Case) -> Option<Chart> {
    let of = |(i, label): (usize, Label)| {
        let pulls: Vec<f64> =
            answers.triples(case, label).iter().map(|(t, p, e): &Triple| ((p - t) / e).abs()).collect();
        let share = |k: f64| pulls.iter().filter(|p| **p <= k).count() as f64 / pulls.len().max(1) as f64;
        let through = (0..=30).map(|i| 0.1 * f64::from(i)).map(|k| (gaussian_share(k), share(k))).collect();
        (pulls.len() > 2).then_some(Mark::Curve { through, paint: Paint::Series(i) })
    };
    let curves: Vec<Mark> = Label::ALL.into_iter().enumerate().filter_map(of).collect();
    let (x, y) = ("share that k errors should hold".into(), "share that they hold".into());
    let marks = [line((0.0, 0.0), (1.0, 1.0))].into_iter().chain(curves).collect();
    chart(vec![plot(x, y, (0.0, 1.0), (0.0, 1.0), marks)])
}

/// What should be: one stroke, where dashes would be a hundred.
fn line(from: (f64, f64), to: (f64, f64)) -> Mark {
    Mark::Curve { through: vec![from, to], paint: Paint::Sigma }
}

/// Histograms of ranks, 1 where uniform.
fn histograms(all: &[Ranks]) -> Option<Chart> {
    let of = |ranks: &Ranks| {
        let mut counts = [0usize; BINS];
        ranks.shares.iter().for_each(|p| counts[((p * BINS as f64) as usize).min(BINS - 1)] += 1);
        let per = ranks.shares.len().max(1) as f64 / BINS as f64;
        let edge = |i: usize| i as f64 / BINS as f64;
        let step = |(i, n): (usize, &usize)| [(edge(i), *n as f64 / per), (edge(i + 1), *n as f64 / per)];
        let through: Vec<(f64, f64)> = counts.iter().enumerate().flat_map(step).collect();
        let top = through.iter().map(|p| p.1).fold(1.5, f64::max) * 1.06;
        let (distance, p) = ranks.uniformity();
        let x = format!("rank of {} (K–S {distance:.3}, p = {p:.2})", ranks.label.symbol());
        let marks = vec![line((0.0, 1.0), (1.0, 1.0)), Mark::Curve { through, paint: Paint::Data }];
        plot(x, "density".into(), (0.0, 1.0), (0.0, top), marks)
    };
    chart(all.iter().map(of).collect())
}

/// An SVG without what says nothing: what is so anyway, and the font in every word.
fn lean(svg: &str) -> String {
    const FONT: &str = " font-family=\"Helvetica, Arial, sans-serif\"";
    let svg = svg.replace(" opacity=\"1\"", "").replace(" stroke=\"none\" stroke-width=\"1\"", "").replace(FONT, "");
    svg.replacen("<svg", &format!("<svg{FONT}"), 1)
}

/// Draws all figures into a folder, which keeps nothing else, and gives the section that shows them. `shown` are the answers
/// to draw with a word for file names.
pub(super) fn draw(folder: &Path, cases: &[Case], shown: &[(&str, &Answers)], ranks: &[Ranks]) -> Result<String> {
    if folder.is_dir() {
        std::fs::remove_dir_all(folder).with_context(|| format!("clearing {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let mut page = String::from("\n## Figures\n");
    let mut section = |heading: &str, charts: Vec<(String, String, Option<Chart>)>| -> Result<()> {
        let _ = write!(page, "\n{heading}\n\n");
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
        Ok(())
    };
    let of = |what: &str, draw: fn(&Answers, &Case) -> Option<Chart>| {
        let one = |(word, answers): &(&str, &Answers)| {
            let case = &cases[answers.case];
            (format!("{what}-{word}"), format!("{what}: {}, {}", answers.model, case.name), draw(answers, case))
        };
        shown.iter().map(one).collect::<Vec<_>>()
    };
    let which: Vec<String> = shown.iter().map(|(_, a)| format!("{} on {}", a.model, cases[a.case].name)).collect();
    let which = which.join("; ");
    section(
        &format!("Predicted against known, at most {MOST_POINTS} stars a plot. From left: {which}."),
        of("one-to-one", one_to_one),
    )?;
    section(
        &format!(
            "Share of residuals within k errors against that of a Gaussian, k from 0 to 3; below the straight line errors are too small. Teff blue, log g orange, [Fe/H] green, [α/Fe] red, RV grey. From left: {which}."
        ),
        of("calibration", calibration),
    )?;
    let name = ranks.first().map_or(String::new(), |r| format!("ranks: {}", r.on));
    section(
        "Ranks of the true labels among draws of the flow: flat where the densities are right.",
        vec![("ranks".into(), name, histograms(ranks))],
    )?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_ranks_make_a_flat_histogram() {
        let shares = (0..400).map(|i| (f64::from(i) + 0.5) / 400.0).collect();
        let ranks = Ranks { on: "stars".into(), label: Label::Teff, shares };
        let chart = histograms(&[ranks]).expect("a chart");
        let Some(Mark::Curve { through, .. }) = chart.plots[0].marks.last() else { panic!("no curve") };
        assert!(through.len() == 2 * BINS && through.iter().all(|p| (p.1 - 1.0).abs() < 1e-9));
        assert!(chart.plots[0].x_label.contains("p = 1.00"), "{}", chart.plots[0].x_label);
    }
}
