//! Simulation-based calibration of a pair's flow: where the true label of a star stands among draws of its posterior.
//!
//! Over stars drawn from the distribution that the flow has learned from, but near nodes that it has not, the ranks are
//! uniform where the densities are right (Talts et al. 2018). Every star has draws of its own: the same for all would make
//! the ranks of all stars err alike.

use std::fmt::Write;

use anyhow::{Context, Result};
use pollster::block_on;
use rayon::prelude::*;

use super::cases::Case;
use super::coverage::{WITHIN_ONE_SIGMA, distance_from_uniform, kolmogorov};
use super::evaluate::truth;
use super::pairs::Pairs;
use super::population::Want;
use crate::result::Label;
use crate::spectrum::Spectrum;
use crate::task::likes::encode::{BATCH, Seen};
use crate::task::likes::labels::Reader;
use crate::task::predict::Predictor;

/// Draws of each posterior.
const DRAWS: usize = 200;

/// Ranks of one label, as shares of draws that lie below the truth.
pub struct Ranks {
    /// Which stars.
    pub on: String,
    /// Which label.
    pub label: Label,
    /// One a star, in 0–1.
    pub shares: Vec<f64>,
}

impl Ranks {
    /// Kolmogorov and Smirnov's distance from uniform, and the probability of one as large by chance.
    pub fn uniformity(&self) -> (f64, f64) {
        let distance = distance_from_uniform(&self.shares);
        (distance, kolmogorov(distance, self.shares.len()))
    }

    fn inside(&self, share: f64) -> f64 {
        let inside = self.shares.iter().filter(|p| (**p - 0.5).abs() <= share / 2.0).count();
        inside as f64 / self.shares.len().max(1) as f64
    }
}

/// Ranks of `n` simulated stars.
pub fn simulated(reader: &Reader, held_out: &Pairs, n: usize) -> Result<Vec<Ranks>> {
    let stars = held_out.of_step(0, n, Want::Lrs)?;
    let known: Vec<_> = stars
        .into_iter()
        .map(|p| {
            (
                Seen::lrs(p.lrs, Some(p.snr)).input(),
                [p.parameters[0], p.parameters[1], p.parameters[2], p.parameters[3]],
            )
        })
        .collect();
    of(reader, "held-out simulated stars, LAMOST-like and DESI-like", &known)
}

/// Ranks of a case's optical spectra.
pub fn of_case(reader: &Reader, predictor: &Predictor, case: &Case) -> Result<Vec<Ranks>> {
    let mut known = Vec::new();
    for some in case.spectra.chunks(BATCH) {
        let some: Vec<&Spectrum> = some.iter().collect();
        for (spectrum, encoded) in some.iter().zip(block_on(reader.encode(predictor, &some))) {
            let row = case.table.id.iter().position(|id| *id == spectrum.meta.id);
            let (Ok(encoded), Some(row)) = (encoded, row) else { continue };
            let labels = [Label::Teff, Label::Logg, Label::Feh, Label::AlphaFe];
            let labels = labels.map(|label| truth(&case.table, label, row).unwrap_or(f64::NAN));
            known.push((encoded.seen.input(), labels));
        }
    }
    of(reader, &case.name, &known)
}

/// Of inputs and labels in the order of the flow's; NaN where not known.
fn of(reader: &Reader, on: &str, known: &[(Vec<f32>, [f64; 4])]) -> Result<Vec<Ranks>> {
    let pair = reader.encoders().pair();
    let star = |(i, (input, labels)): (usize, &(Vec<f32>, [f64; 4]))| -> Result<[f64; 4]> {
        let embedding = block_on(pair.embed_lrs(&[input]))?.pop().context("no embedding came back")?;
        let draws = block_on(pair.posterior(&embedding, DRAWS, 1 + i as u64))?.context("the pair has no flow")?;
        let share = |j: usize| {
            let below = draws.iter().filter(|draw| draw.get(j).is_some_and(|v| f64::from(*v) < labels[j])).count();
            if labels[j].is_nan() { f64::NAN } else { (below as f64 + 0.5) / (DRAWS as f64 + 1.0) }
        };
        Ok([0, 1, 2, 3].map(share))
    };
    let all = known.par_iter().enumerate().map(star).collect::<Result<Vec<_>>>()?;
    let labels = pair.posterior_labels().iter().filter_map(|name| Label::from_name(name)).take(4);
    Ok(labels
        .enumerate()
        .map(|(j, label)| Ranks {
            on: on.into(),
            label,
            shares: all.iter().map(|row| row[j]).filter(|v| v.is_finite()).collect(),
        })
        .collect())
}

/// What the ranks say, as a table.
pub fn table(title: &str, all: &[Ranks]) -> String {
    let mut page = format!(
        "\n### Simulation-based calibration of the flow of {title}\n\nRanks of the true labels among {DRAWS} draws of each star's posterior: \
         Kolmogorov–Smirnov distance from uniform with its p-value, and the share of stars in the central intervals.\n\n\
         | label | on | N | K–S | p | in 68.27 % | in 95 % |\n|---|---|---|---|---|---|---|\n"
    );
    for ranks in all {
        let (distance, p) = ranks.uniformity();
        let p = if p < 1e-3 { format!("{p:.0e}") } else { format!("{p:.3}") };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {distance:.3} | {p} | {:.3} | {:.3} |",
            ranks.label.symbol(),
            ranks.on,
            ranks.shares.len(),
            ranks.inside(WITHIN_ONE_SIGMA),
            ranks.inside(0.95)
        );
    }
    page
}
