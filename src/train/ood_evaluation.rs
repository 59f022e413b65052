//! Whether the flags for spectra unlike the training set find what is wrong with a spectrum: oddities planted in simulated
//! and in real spectra, by what the default network could tell them by and by what raises the flags.

use std::fmt::Write;

use anyhow::{Context, Result};
use burn::tensor::{Tensor, TensorData};
use pollster::block_on;

use super::benchmark_sets::Case;
use super::coverage::quantile;
use super::injected_anomalies::{Kind, area, plant};
use super::training_loop::rng_of;
use crate::spectrum::Spectrum;
use crate::task::cholesky::{Factor, Square};
use crate::task::predict::Predictor;
use crate::task::similarity::encoder_set::EncoderSet;
use crate::task::similarity::encoders::{BATCH, EncoderInput, prepare};

/// Added to the diagonal of the covariance, as a part of its mean.
const RIDGE: f64 = 1e-3;

/// Values of the network's last hidden layer among spectra that it knows.
struct Hidden {
    mean: Vec<f64>,
    covariance: Factor,
}

fn last_hidden(predictor: &Predictor, input: &[EncoderInput]) -> Result<Vec<Vec<f64>>> {
    let network = predictor.label_network();
    let depth = network.widths.len().saturating_sub(2);
    let mut all = Vec::with_capacity(input.len());
    for some in input.chunks(256) {
        let flux: Vec<&[f32]> = some.iter().map(|s| s.flux.as_slice()).collect();
        let x = TensorData::new(network.standardised(&flux), [some.len(), network.input_mean.len()]);
        let y = network.mlp.embed(Tensor::from_data(x, predictor.device()), depth);
        let width = y.dims()[1].max(1);
        let values = y.into_data().try_to_vec::<f32>().ok().context("the device gave no answer")?;
        all.extend(values.chunks(width).map(|row| row.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>()));
    }
    Ok(all)
}

impl Hidden {
    fn of(rows: &[Vec<f64>]) -> Result<Self> {
        let (n, width) = (rows.len().max(1) as f64, rows.first().map_or(0, Vec::len));
        let mean: Vec<f64> = (0..width).map(|j| rows.iter().map(|r| r[j]).sum::<f64>() / n).collect();
        let entry = |i: usize, j: usize| rows.iter().map(|r| (r[i] - mean[i]) * (r[j] - mean[j])).sum::<f64>() / n;
        let trace = (0..width).map(|i| entry(i, i)).sum::<f64>() / width.max(1) as f64;
        let covariance = Square::of(width, |i, j| entry(i, j) + if i == j { RIDGE * trace } else { 0.0 });
        Ok(Self { covariance: covariance.factor().context("the hidden layer has no covariance")?, mean })
    }

    /// Mahalanobis's distance.
    fn distance(&self, row: &[f64]) -> f64 {
        let centred: Vec<f64> = row.iter().zip(&self.mean).map(|(v, m)| v - m).collect();
        self.covariance.forward(&centred).iter().map(|v| v * v).sum::<f64>().sqrt()
    }
}

/// A spectrum by all that could tell it from others.
struct OodFeatures {
    reconstruction: f64,
    hidden: f64,
    is_flagged: [bool; 2],
}

struct OodScores<'a> {
    predictor: &'a Predictor,
    reader: &'a EncoderSet,
    hidden: Hidden,
}

impl OodScores<'_> {
    fn tell(&self, input: Vec<EncoderInput>, snr: &[f64]) -> Result<Vec<OodFeatures>> {
        let hidden = last_hidden(self.predictor, &input)?;
        let reconstruction: Vec<f64> =
            input.iter().zip(snr).map(|(s, snr)| self.predictor.distance(&s.flux, Some(*snr))).collect();
        let encoded = block_on(self.reader.encoders().encode(input))?;
        let limit = self.predictor.entry().max_distance;
        let one = |((encoded, reconstruction), hidden): ((_, f64), Vec<f64>)| OodFeatures {
            reconstruction,
            hidden: self.hidden.distance(&hidden),
            is_flagged: [reconstruction > limit, self.reader.is_out_of_distribution(encoded, "")],
        };
        Ok(encoded.iter().zip(reconstruction).zip(hidden).map(one).collect())
    }
}

/// A set that oddities are planted in: its name, spectra at rest, and the S/N of each.
pub type Plain = (String, Vec<EncoderInput>, Vec<f64>);

/// The first `most` spectra of a case that preprocessing takes.
pub fn plain(predictor: &Predictor, case: &Case, most: usize) -> Plain {
    let (mut encoder_inputs, mut snr) = (Vec::new(), Vec::new());
    for some in case.spectra.chunks(BATCH) {
        let some: Vec<&Spectrum> = some.iter().collect();
        let inputs = block_on(predictor.inputs(&some, None)).into_iter().flatten();
        for (encoder_input, input) in block_on(prepare(predictor, &some)).into_iter().flatten().zip(inputs) {
            encoder_inputs.push(encoder_input);
            snr.push(input.snr.unwrap_or(30.0));
        }
        if encoder_inputs.len() >= most {
            break;
        }
    }
    encoder_inputs.truncate(most);
    snr.truncate(most);
    (case.name.clone(), encoder_inputs, snr)
}

/// Plants oddities in every set; `known` are spectra like those that the network has learned from.
pub fn planted(
    predictor: &Predictor,
    reader: &EncoderSet,
    known: &[EncoderInput],
    sets: Vec<Plain>,
    seed: u64,
) -> Result<String> {
    let judge = OodScores { predictor, reader, hidden: Hidden::of(&last_hidden(predictor, known)?)? };
    let (flux, pair) = (predictor.entry().title(), reader.encoders().title());
    let mut page = format!(
        "\n## Detection of injected anomalies\n\nAnomalies injected into normal spectra. Two scores: the distance of the spectrum from the training \
         subspace of {flux}, which sets its flag, and the Mahalanobis distance of its last hidden layer from that of {} training-like spectra, which \
         sets none. The table gives the area under the ROC curve (0.5 is chance); in brackets the fraction detected at a false-alarm rate of \
         1 %. The last two columns give the fraction that each flag detects.\n\n\
         | in | anomaly | N | subspace | hidden layer | {flux} flags | {pair} flags |\n|---|---|---|---|---|---|---|\n",
        known.len()
    );
    let mut sums = String::new();
    for (set, (name, input, snr)) in sets.into_iter().enumerate() {
        let n = input.len();
        let plain = judge.tell(input.clone(), &snr)?;
        let share = |told: &[OodFeatures], which: usize| {
            told.iter().filter(|t| t.is_flagged[which]).count() as f64 / told.len().max(1) as f64
        };
        let _ = writeln!(page, "| {name} | none | {n} | – | – | {:.3} | {:.3} |", share(&plain, 0), share(&plain, 1));
        let mut all_caught = Vec::new();
        for (k, (kind, what)) in Kind::OPTICAL.into_iter().enumerate() {
            let odd = input.iter().enumerate().map(|(i, own)| {
                let other = &input[(i + n / 2 + 1) % n];
                let (flux, _) = plant(kind, (&own.flux, &[]), (&other.flux, &[]), &mut rng_of(seed, 10 * set + k, i));
                EncoderInput { flux, ..own.clone() }
            });
            let odd = judge.tell(odd.collect(), &snr)?;
            let column =
                |told: &[OodFeatures], value: fn(&OodFeatures) -> f64| told.iter().map(value).collect::<Vec<f64>>();
            let areas: [fn(&OodFeatures) -> f64; 2] = [|t| t.reconstruction, |t| t.hidden];
            let [reconstruction, hidden] = areas.map(|value| {
                let (reference_stats, odd) = (column(&plain, value), column(&odd, value));
                let limit = quantile(reference_stats.clone(), 0.99);
                let caught = odd.iter().filter(|v| **v > limit).count() as f64 / odd.len().max(1) as f64;
                (format!("{:.3} ({caught:.2})", area(&reference_stats, &odd)), caught)
            });
            all_caught.push([reconstruction.1, hidden.1]);
            let _ = writeln!(
                page,
                "| {name} | {what} | {n} | {} | {} | {:.3} | {:.3} |",
                reconstruction.0,
                hidden.0,
                share(&odd, 0),
                share(&odd, 1)
            );
        }
        let mean = |which: usize| all_caught.iter().map(|c| c[which]).sum::<f64>() / all_caught.len().max(1) as f64;
        let _ = write!(
            sums,
            "\nFraction of all anomalies in {name} detected at that rate: subspace {:.2}, hidden layer {:.2}.\n",
            mean(0),
            mean(1)
        );
    }
    page.push_str(&sums);
    page.push_str(
        "\nThe hidden layer would set a flag only if it detected more than the subspace on real spectra too.\n",
    );
    Ok(page)
}
