//! Figures of benchmark results: time against the number of spectra, labels and index entries.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use specola::plot::{Chart, Drawable, Mark, Paint, Plot, range_of};

/// A row of the results.
#[derive(Debug, Deserialize)]
struct Row {
    case: String,
    engine: String,
    threads: u32,
    median_ms: Option<f64>,
}

/// File name; prefix and suffix around the number in the names of the cases; labels of the axes.
const CURVES: [(&str, &str, &str, &str, &str); 3] = [
    (
        "time-spectra",
        "end-to-end-",
        "",
        "spectra (dark: dropped on the page, orange: command line)",
        "time until all are answered, log10 s",
    ),
    (
        "time-labels",
        "finetune-",
        "-residual",
        "labels (dark: page, orange: native)",
        "200 passes over them, residual head, log10 s",
    ),
    ("time-index", "retrieval-", "", "entries of the index (dark: page, orange: native)", "a search, log10 s"),
];

/// The engines in the figures: page and command line.
const ENGINES: [&str; 2] = ["specola-cpu", "specola-native"];

/// Draws each curve into a folder. A curve with fewer than two points is skipped.
pub(crate) fn draw(results: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let rows: Vec<Row> = serde_json::from_slice(&fs::read(results)?)?;
    for (file, prefix, suffix, x_label, y_label) in CURVES {
        let points = |engine: &str| -> Vec<(f64, f64)> {
            let rows_of_engine = rows.iter().filter(|row| row.engine == engine && row.threads == 1);
            let mut points: Vec<_> = rows_of_engine
                .filter_map(|row| {
                    let n: f64 = row.case.strip_prefix(prefix)?.strip_suffix(suffix)?.parse().ok()?;
                    Some((n, (row.median_ms? / 1e3).log10()))
                })
                .collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            points
        };
        let curves = ENGINES.map(points);
        let all: Vec<(f64, f64)> = curves.iter().flatten().copied().collect();
        let (low, high) = all.iter().fold((f64::INFINITY, 0.0_f64), |(l, h), p| (l.min(p.0), h.max(p.0)));
        if high <= low {
            continue;
        }
        let paints = [Paint::Data, Paint::Continuum];
        let marks = curves.into_iter().zip(paints).flat_map(|(points, paint)| {
            let discs = Mark::Points { at: points.clone(), paint, radius_px: 3.0, is_filled: true };
            [Mark::Curve { points, paint }, discs]
        });
        let plot = Plot {
            x_label: x_label.into(),
            y_label: y_label.into(),
            x_range: (low * 0.8, high * 1.25),
            y_range: range_of(all.iter().map(|p| p.1)),
            is_x_log: true,
            share: 1.0,
            marks: marks.collect(),
        };
        fs::write(folder.join(format!("{file}.svg")), Chart { plots: vec![plot] }.to_svg(120.0, 80.0))?;
    }
    Ok(())
}
