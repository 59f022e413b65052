//! Simulation-based calibration (SBC) of a pair's flow: the rank of a star's true label among draws of its posterior.
//!
//! The stars come from the distribution of the training set, near nodes outside it. If the densities are right, the
//! ranks are uniform (Talts et al. 2018). Every star has its own draws, because shared draws would correlate the errors
//! of the ranks.

use std::fmt::Write;

use anyhow::{Context, Result};
use pollster::block_on;
use rayon::prelude::*;

use super::benchmark_sets::BenchmarkSet;
use super::error_calibration::{WITHIN_ONE_SIGMA, distance_from_uniform, kolmogorov};
use super::evaluate::truth;
use super::grid_sampler::RequiredParts;
use super::pairs::Pairs;
use crate::result::Label;
use crate::spectrum::Spectrum;
use crate::task::predict::Predictor;
use crate::task::similarity::encoder_set::EncoderSet;
use crate::task::similarity::encoders::{BATCH, EncoderInput};

/// Number of draws from each posterior.
const DRAWS: usize = 200;

/// Ranks of one label, as fractions of draws below the true value.
pub struct Ranks {
    /// Title of the stars.
    pub on: String,
    /// The label.
    pub label: Label,
    /// One rank per star, 0–1.
    pub fractions: Vec<f64>,
}

impl Ranks {
    /// Kolmogorov–Smirnov distance from uniform, and the probability of at least this distance by chance.
    pub fn uniformity(&self) -> (f64, f64) {
        let distance = distance_from_uniform(&self.fractions);
        (distance, kolmogorov(distance, self.fractions.len()))
    }

    fn fraction_within(&self, interval: f64) -> f64 {
        let inside = self.fractions.iter().filter(|p| (**p - 0.5).abs() <= interval / 2.0).count();
        inside as f64 / self.fractions.len().max(1) as f64
    }
}

/// Ranks of `n` simulated stars.
pub fn simulated(encoder_set: &EncoderSet, held_out: &Pairs, n: usize) -> Result<Vec<Ranks>> {
    let stars = held_out.of_step(0, n, RequiredParts::Lrs)?;
    let labelled_inputs: Vec<_> = stars
        .into_iter()
        .map(|p| {
            (
                EncoderInput::lrs(p.lrs, Some(p.snr)).input(),
                [p.parameters[0], p.parameters[1], p.parameters[2], p.parameters[3]],
            )
        })
        .collect();
    ranks(encoder_set, "held-out simulated stars, LAMOST-like and DESI-like", &labelled_inputs)
}

/// Ranks of the optical spectra of a benchmark set.
pub fn of_set(encoder_set: &EncoderSet, predictor: &Predictor, set: &BenchmarkSet) -> Result<Vec<Ranks>> {
    let mut labelled_inputs = Vec::new();
    for chunk in set.spectra.chunks(BATCH) {
        let chunk: Vec<&Spectrum> = chunk.iter().collect();
        for (spectrum, encoded) in chunk.iter().zip(block_on(encoder_set.encode(predictor, &chunk))) {
            let row = set.table.id.iter().position(|id| *id == spectrum.meta.id);
            let (Ok(encoded), Some(row)) = (encoded, row) else { continue };
            let labels = [Label::Teff, Label::Logg, Label::Feh, Label::AlphaFe];
            let labels = labels.map(|label| truth(&set.table, label, row).unwrap_or(f64::NAN));
            labelled_inputs.push((encoded.input.input(), labels));
        }
    }
    ranks(encoder_set, &set.name, &labelled_inputs)
}

/// Ranks from inputs and labels; the labels are in the order of the flow, NaN if unknown.
fn ranks(encoder_set: &EncoderSet, on: &str, labelled_inputs: &[(Vec<f32>, [f64; 4])]) -> Result<Vec<Ranks>> {
    let pair = encoder_set.encoders().pair();
    let star = |(i, (input, labels)): (usize, &(Vec<f32>, [f64; 4]))| -> Result<[f64; 4]> {
        let embedding = block_on(pair.embed_lrs(&[input]))?.pop().context("the encoder returned no embedding")?;
        let draws = block_on(pair.posterior(&embedding, DRAWS, 1 + i as u64))?.context("the pair has no flow")?;
        let rank = |j: usize| {
            let below = draws.iter().filter(|draw| draw.get(j).is_some_and(|v| f64::from(*v) < labels[j])).count();
            if labels[j].is_nan() { f64::NAN } else { (below as f64 + 0.5) / (DRAWS as f64 + 1.0) }
        };
        Ok([0, 1, 2, 3].map(rank))
    };
    let all = labelled_inputs.par_iter().enumerate().map(star).collect::<Result<Vec<_>>>()?;
    let labels = pair.posterior_labels().iter().filter_map(|name| Label::from_name(name)).take(4);
    Ok(labels
        .enumerate()
        .map(|(j, label)| Ranks {
            on: on.into(),
            label,
            fractions: all.iter().map(|row| row[j]).filter(|v| v.is_finite()).collect(),
        })
        .collect())
}

/// The ranks as a table of Markdown.
pub fn table(title: &str, all: &[Ranks]) -> String {
    let mut page = format!(
        "\n## Simulation-based calibration of the flow of {title}\n\nRanks of the true labels among {DRAWS} draws of each star's posterior: \
         Kolmogorov–Smirnov distance from uniform with its p-value, and the fraction of stars in the central intervals.\n\n\
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
            ranks.fractions.len(),
            ranks.fraction_within(WITHIN_ONE_SIGMA),
            ranks.fraction_within(0.95)
        );
    }
    page
}
