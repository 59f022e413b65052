//! Evaluation of the flags for spectra unlike the training set. Anomalies are injected into simulated and real spectra.
//! The tables compare two scores of the default network, and the flags themselves.

use std::fmt::Write;

use anyhow::{Context, Result};
use burn::tensor::{Tensor, TensorData};
use pollster::block_on;

use super::benchmark_sets::BenchmarkSet;
use super::injected_anomalies::{AnomalyKind, inject, roc_auc};
use super::training_loop::rng_of;
use crate::linalg::{CholeskyFactor, SymmetricMatrix};
use crate::spectrum::Spectrum;
use crate::stats::quantile;
use crate::task::predict::Predictor;
use crate::task::similarity::encoder_set::EncoderSet;
use crate::task::similarity::encoders::{BATCH, EncoderInput, prepare};

/// Added to the diagonal of the covariance, as a fraction of the mean variance.
const RIDGE: f64 = 1e-3;

/// Distribution of the last hidden layer over training-like spectra.
struct HiddenLayerDistribution {
    mean: Vec<f64>,
    covariance: CholeskyFactor,
}

fn last_hidden(predictor: &Predictor, input: &[EncoderInput]) -> Result<Vec<Vec<f64>>> {
    let network = predictor.label_network();
    let depth = network.widths.len().saturating_sub(2);
    let mut all = Vec::with_capacity(input.len());
    for chunk in input.chunks(256) {
        let flux: Vec<&[f32]> = chunk.iter().map(|s| s.flux.as_slice()).collect();
        let x = TensorData::new(network.standardised(&flux), [chunk.len(), network.input_mean.len()]);
        let y = network.mlp.embed(Tensor::from_data(x, predictor.device()), depth);
        let width = y.dims()[1].max(1);
        let values = y.into_data().try_to_vec::<f32>().ok().context("cannot read the result from the device")?;
        all.extend(values.chunks(width).map(|row| row.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>()));
    }
    Ok(all)
}

impl HiddenLayerDistribution {
    fn of(rows: &[Vec<f64>]) -> Result<Self> {
        let (n, width) = (rows.len().max(1) as f64, rows.first().map_or(0, Vec::len));
        let mean: Vec<f64> = (0..width).map(|j| rows.iter().map(|r| r[j]).sum::<f64>() / n).collect();
        let entry = |i: usize, j: usize| rows.iter().map(|r| (r[i] - mean[i]) * (r[j] - mean[j])).sum::<f64>() / n;
        let trace = (0..width).map(|i| entry(i, i)).sum::<f64>() / width.max(1) as f64;
        let covariance = SymmetricMatrix::of(width, |i, j| entry(i, j) + if i == j { RIDGE * trace } else { 0.0 });
        Ok(Self {
            covariance: covariance.factor().context("the covariance of the hidden layer is not positive definite")?,
            mean,
        })
    }

    /// Mahalanobis distance.
    fn distance(&self, row: &[f64]) -> f64 {
        let centred: Vec<f64> = row.iter().zip(&self.mean).map(|(v, m)| v - m).collect();
        self.covariance.forward(&centred).iter().map(|v| v * v).sum::<f64>().sqrt()
    }
}

/// Scores and flags of one spectrum.
struct OodScore {
    reconstruction: f64,
    hidden: f64,
    is_flagged: [bool; 2],
}

struct OodScorer<'a> {
    predictor: &'a Predictor,
    encoder_set: &'a EncoderSet,
    hidden: HiddenLayerDistribution,
}

impl OodScorer<'_> {
    fn score(&self, input: Vec<EncoderInput>, snr: &[f64]) -> Result<Vec<OodScore>> {
        let hidden = last_hidden(self.predictor, &input)?;
        let reconstruction: Vec<f64> =
            input.iter().zip(snr).map(|(s, snr)| self.predictor.distance(&s.flux, Some(*snr))).collect();
        let encoded = block_on(self.encoder_set.encoders().encode(input))?;
        let limit = self.predictor.entry().max_distance;
        let ood_score = |((encoded, reconstruction), hidden): ((_, f64), Vec<f64>)| OodScore {
            reconstruction,
            hidden: self.hidden.distance(&hidden),
            is_flagged: [reconstruction > limit, self.encoder_set.is_out_of_distribution(encoded, "")],
        };
        Ok(encoded.iter().zip(reconstruction).zip(hidden).map(ood_score).collect())
    }
}

/// A set for injection: its name, normal spectra at rest, and the S/N of each.
pub type NormalSet = (String, Vec<EncoderInput>, Vec<f64>);

/// The first `max_count` spectra of a benchmark set that preprocessing accepts.
pub fn normal_set(predictor: &Predictor, set: &BenchmarkSet, max_count: usize) -> NormalSet {
    let (mut encoder_inputs, mut snr) = (Vec::new(), Vec::new());
    for chunk in set.spectra.chunks(BATCH) {
        let chunk: Vec<&Spectrum> = chunk.iter().collect();
        let inputs = block_on(predictor.inputs(&chunk)).into_iter().flatten();
        for (encoder_input, input) in block_on(prepare(predictor, &chunk)).into_iter().flatten().zip(inputs) {
            encoder_inputs.push(encoder_input);
            snr.push(input.snr.unwrap_or(30.0));
        }
        if encoder_inputs.len() >= max_count {
            break;
        }
    }
    encoder_inputs.truncate(max_count);
    snr.truncate(max_count);
    (set.name.clone(), encoder_inputs, snr)
}

/// Injects anomalies into every set. `training_like` are spectra similar to the training set of the network. Returns a
/// section of Markdown.
pub fn evaluate_injected(
    predictor: &Predictor,
    encoder_set: &EncoderSet,
    training_like: &[EncoderInput],
    sets: Vec<NormalSet>,
    seed: u64,
) -> Result<String> {
    let scorer = OodScorer {
        predictor,
        encoder_set,
        hidden: HiddenLayerDistribution::of(&last_hidden(predictor, training_like)?)?,
    };
    let (flux, pair) = (predictor.entry().title(), encoder_set.encoders().title());
    let mut page = format!(
        "\n## Detection of injected anomalies\n\nAnomalies injected into normal spectra. Two scores: the distance of the spectrum from the training \
         subspace of {flux}, which sets its flag, and the Mahalanobis distance of its last hidden layer from that of {} training-like spectra, which \
         sets none. The table gives the area under the ROC curve (0.5 is chance); in brackets the fraction detected at a false-alarm rate of \
         1 %. The last two columns give the fraction that each flag detects.\n\n\
         | in | anomaly | N | subspace | hidden layer | {flux} flags | {pair} flags |\n|---|---|---|---|---|---|---|\n",
        training_like.len()
    );
    let mut sums = String::new();
    for (set, (name, input, snr)) in sets.into_iter().enumerate() {
        let n = input.len();
        let normal = scorer.score(input.clone(), &snr)?;
        let flagged_fraction = |scored: &[OodScore], which: usize| {
            scored.iter().filter(|t| t.is_flagged[which]).count() as f64 / scored.len().max(1) as f64
        };
        let _ = writeln!(
            page,
            "| {name} | none | {n} | – | – | {:.3} | {:.3} |",
            flagged_fraction(&normal, 0),
            flagged_fraction(&normal, 1)
        );
        let mut all_detected = Vec::new();
        for (k, (kind, description)) in AnomalyKind::OPTICAL.into_iter().enumerate() {
            let injected = input.iter().enumerate().map(|(i, star)| {
                let other = &input[(i + n / 2 + 1) % n];
                let (flux, _) = inject(kind, (&star.flux, &[]), (&other.flux, &[]), &mut rng_of(seed, 10 * set + k, i));
                EncoderInput { flux, ..star.clone() }
            });
            let injected = scorer.score(injected.collect(), &snr)?;
            let column =
                |scored: &[OodScore], value: fn(&OodScore) -> f64| scored.iter().map(value).collect::<Vec<f64>>();
            let scores: [fn(&OodScore) -> f64; 2] = [|t| t.reconstruction, |t| t.hidden];
            let [reconstruction, hidden] = scores.map(|value| {
                let (normal, injected) = (column(&normal, value), column(&injected, value));
                let limit = quantile(normal.iter().copied(), 0.99).unwrap_or(f64::NAN);
                let detected = injected.iter().filter(|v| **v > limit).count() as f64 / injected.len().max(1) as f64;
                (format!("{:.3} ({detected:.2})", roc_auc(&normal, &injected)), detected)
            });
            all_detected.push([reconstruction.1, hidden.1]);
            let _ = writeln!(
                page,
                "| {name} | {description} | {n} | {} | {} | {:.3} | {:.3} |",
                reconstruction.0,
                hidden.0,
                flagged_fraction(&injected, 0),
                flagged_fraction(&injected, 1)
            );
        }
        let mean = |which: usize| all_detected.iter().map(|c| c[which]).sum::<f64>() / all_detected.len().max(1) as f64;
        let _ = write!(
            sums,
            "\nFraction of all anomalies in {name} detected at a false-alarm rate of 1 %: subspace {:.2}, hidden layer {:.2}.\n",
            mean(0),
            mean(1)
        );
    }
    page.push_str(&sums);
    page.push_str(
        "\nThe hidden layer sets no flag. To set one, it would have to detect more anomalies than the subspace, on real spectra too.\n",
    );
    Ok(page)
}
