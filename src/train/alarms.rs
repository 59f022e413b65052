//! Whether the flags for spectra unlike the training set find what is wrong with a spectrum: oddities planted in simulated
//! and in real spectra, by what the default network could tell them by and by what raises the flags.

use std::fmt::Write;

use anyhow::{Context, Result};
use burn::tensor::{Tensor, TensorData};
use pollster::block_on;

use super::cases::Case;
use super::coverage::quantile;
use super::oddities::{Kind, area, plant};
use super::steps::rng_of;
use crate::spectrum::Spectrum;
use crate::task::cholesky::{Factor, Square};
use crate::task::likes::encode::{BATCH, Seen, prepare};
use crate::task::likes::labels::Reader;
use crate::task::predict::Predictor;

/// Added to the diagonal of the covariance, as a part of its mean.
const RIDGE: f64 = 1e-3;

/// Values of the network's last hidden layer among spectra that it knows.
struct Hidden {
    mean: Vec<f64>,
    covariance: Factor,
}

fn last_hidden(predictor: &Predictor, seen: &[Seen]) -> Result<Vec<Vec<f64>>> {
    let network = predictor.label_network();
    let depth = network.widths.len().saturating_sub(2);
    let mut all = Vec::with_capacity(seen.len());
    for some in seen.chunks(256) {
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
struct Told {
    rebuilt: f64,
    hidden: f64,
    is_flagged: [bool; 2],
}

struct Judge<'a> {
    predictor: &'a Predictor,
    reader: &'a Reader,
    hidden: Hidden,
}

impl Judge<'_> {
    fn tell(&self, seen: Vec<Seen>, snr: &[f64]) -> Result<Vec<Told>> {
        let hidden = last_hidden(self.predictor, &seen)?;
        let rebuilt: Vec<f64> =
            seen.iter().zip(snr).map(|(s, snr)| self.predictor.distance(&s.flux, Some(*snr))).collect();
        let encoded = block_on(self.reader.encoders().encode(seen))?;
        let limit = self.predictor.entry().max_distance;
        let one = |((encoded, rebuilt), hidden): ((_, f64), Vec<f64>)| Told {
            rebuilt,
            hidden: self.hidden.distance(&hidden),
            is_flagged: [rebuilt > limit, self.reader.is_far(encoded, "")],
        };
        Ok(encoded.iter().zip(rebuilt).zip(hidden).map(one).collect())
    }
}

/// A set that oddities are planted in: its name, spectra at rest, and the S/N of each.
pub type Plain = (String, Vec<Seen>, Vec<f64>);

/// The first `most` spectra of a case that preprocessing takes.
pub fn plain(predictor: &Predictor, case: &Case, most: usize) -> Plain {
    let (mut seen, mut snr) = (Vec::new(), Vec::new());
    for some in case.spectra.chunks(BATCH) {
        let some: Vec<&Spectrum> = some.iter().collect();
        let inputs = block_on(predictor.inputs(&some)).into_iter().flatten();
        for (seen_, input) in block_on(prepare(predictor, &some)).into_iter().flatten().zip(inputs) {
            seen.push(seen_);
            snr.push(input.snr.unwrap_or(30.0));
        }
        if seen.len() >= most {
            break;
        }
    }
    seen.truncate(most);
    snr.truncate(most);
    (case.name.clone(), seen, snr)
}

/// Plants oddities in every set; `known` are spectra like those that the network has learned from.
pub fn planted(predictor: &Predictor, reader: &Reader, known: &[Seen], sets: Vec<Plain>, seed: u64) -> Result<String> {
    let judge = Judge { predictor, reader, hidden: Hidden::of(&last_hidden(predictor, known)?)? };
    let (flux, pair) = (predictor.entry().title(), reader.encoders().title());
    let mut page = format!(
        "\n### What the flags find\n\nOddities planted in spectra with nothing wrong. Area under the ROC curve (0.5 is chance) of {flux}'s distance \
         from the subspace of known spectra, which raises its flag, and of Mahalanobis's distance of its last hidden layer from that of {} spectra like those of \
         its training, which raises none; in brackets the share that a limit catches which 1 % of the spectra with nothing wrong pass. Then the share that each flag catches.\n\n\
         | in | what | N | subspace | hidden layer | {flux} flags | {pair} flags |\n|---|---|---|---|---|---|---|\n",
        known.len()
    );
    let mut sums = String::new();
    for (set, (name, seen, snr)) in sets.into_iter().enumerate() {
        let n = seen.len();
        let plain = judge.tell(seen.clone(), &snr)?;
        let share = |told: &[Told], which: usize| {
            told.iter().filter(|t| t.is_flagged[which]).count() as f64 / told.len().max(1) as f64
        };
        let _ =
            writeln!(page, "| {name} | nothing | {n} | – | – | {:.3} | {:.3} |", share(&plain, 0), share(&plain, 1));
        let mut all_caught = Vec::new();
        for (k, (kind, what)) in Kind::OPTICAL.into_iter().enumerate() {
            let odd = seen.iter().enumerate().map(|(i, own)| {
                let other = &seen[(i + n / 2 + 1) % n];
                let (flux, _) = plant(kind, (&own.flux, &[]), (&other.flux, &[]), &mut rng_of(seed, 10 * set + k, i));
                Seen { flux, ..own.clone() }
            });
            let odd = judge.tell(odd.collect(), &snr)?;
            let column = |told: &[Told], value: fn(&Told) -> f64| told.iter().map(value).collect::<Vec<f64>>();
            let areas: [fn(&Told) -> f64; 2] = [|t| t.rebuilt, |t| t.hidden];
            let [rebuilt, hidden] = areas.map(|value| {
                let (usual, odd) = (column(&plain, value), column(&odd, value));
                let limit = quantile(usual.clone(), 0.99);
                let caught = odd.iter().filter(|v| **v > limit).count() as f64 / odd.len().max(1) as f64;
                (format!("{:.3} ({caught:.2})", area(&usual, &odd)), caught)
            });
            all_caught.push([rebuilt.1, hidden.1]);
            let _ = writeln!(
                page,
                "| {name} | {what} | {n} | {} | {} | {:.3} | {:.3} |",
                rebuilt.0,
                hidden.0,
                share(&odd, 0),
                share(&odd, 1)
            );
        }
        let mean = |which: usize| all_caught.iter().map(|c| c[which]).sum::<f64>() / all_caught.len().max(1) as f64;
        let _ = write!(
            sums,
            "\nOf all that was planted in {name}, at that limit: subspace {:.2}, hidden layer {:.2}.\n",
            mean(0),
            mean(1)
        );
    }
    page.push_str(&sums);
    page.push_str(
        "\nA flag from the hidden layer is shipped only if it catches more than the subspace does on real spectra too.\n",
    );
    Ok(page)
}
