//! A downstream head: from an embedding to a parameter (MODEL_SPEC §3.1, §3.4).

use std::io::{Read, Seek};

use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;
use thiserror::Error;

use crate::model::import::{Checkpoint, ImportError, NetworkConfig};
use crate::model::weights::WeightsError;
use crate::nn::Mlp;
use crate::nn::flow::{Flow, standard_normal};
use crate::nn::keyed::Keyed;
use crate::preprocess::stats::median;
use crate::result::catalogue::Method;

/// Samples that a flow's median and deviation are taken from, as in the published code.
pub const SAMPLES: usize = 10_000;

/// Seed of the samples. The published code has none, so its flows answer a little differently each time (median by 1 % of
/// the error, error by 1 % or more); here the same spectrum gets the same answer.
///
/// Half of the samples are drawn, and the other half are their mirror images about the middle of the flow's normal
/// distribution. So medians are those of the posterior itself, and the one seed moves no survey's mean.
pub const SEED: u64 = 0x5bec_c11b;

/// How often [`SAMPLES`] are drawn until as many lie within a prior's bounds.
const ROUNDS: u64 = 20;

/// Why a head cannot be used.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum HeadError {
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error("it holds another kind of network than an {0} head is; download it again")]
    Kind(&'static str),
    #[error("it gives {0} parameters where one is expected; it is not one of the published heads")]
    Outputs(usize),
    #[error("it takes {found} numbers where the embedding has {expected}; it belongs to another model")]
    Width { found: usize, expected: usize },
    #[error("it has no mean and std to turn its samples into units; download it again")]
    Units,
    #[error("its mean and std are for {found} numbers where the embedding has {expected}; download it again")]
    Stats { found: usize, expected: usize },
    #[error("it is not the mean and std of a head ({0}); download it again")]
    StatsFile(#[from] serde_json::Error),
}

/// A value, and a flow's standard deviation; `None` where the numbers are not finite.
pub type Answer = Option<(f64, Option<f64>)>;

/// Mean and standard deviation of each number of the embedding.
#[derive(Debug, Deserialize)]
struct Stats {
    mean: Vec<f32>,
    std: Vec<f32>,
}

/// A head with its weights.
#[derive(Debug)]
pub struct Head {
    network: Network,
    device: Device,
}

#[derive(Debug)]
// A handful exist at a time, and a box would only add an indirection.
#[allow(clippy::large_enum_variant)]
enum Network {
    /// Of the standardised embedding; of the raw one where the folder has no statistics, as in the published code.
    Mlp(Mlp, Option<[Tensor<2>; 2]>),
    /// Of the raw embedding.
    Flow(Flow, Units),
}

/// θ = sample · std + mean, for samples within the bounds of the prior, if it has any.
#[derive(Debug)]
struct Units {
    mean: f64,
    std: f64,
    bounds: Option<[f64; 2]>,
}

impl Head {
    /// Reads a head that takes embeddings of `width` numbers. `stats` is the content of an MLP's statistics.
    ///
    /// Also gives what in its file is not done as there.
    pub fn load<R: Read + Seek>(
        file: R,
        stats: Option<&[u8]>,
        method: Method,
        width: usize,
        device: &Device,
    ) -> Result<(Self, Vec<String>), HeadError> {
        let imported = Checkpoint::open(file)?.import(|_| {})?;
        let of_width = |found| if found == width { Ok(()) } else { Err(HeadError::Width { found, expected: width }) };
        let network = match (&imported.network, method) {
            (NetworkConfig::Mlp(config), Method::Mlp) => {
                of_width(config.widths.first().copied().unwrap_or(0))?;
                let outputs = config.widths.last().copied().unwrap_or(0);
                if outputs != 1 {
                    return Err(HeadError::Outputs(outputs));
                }
                let stats = stats.map(|bytes| standardisation(bytes, width, device)).transpose()?;
                Network::Mlp(config.load(&imported.tensors, "", device)?, stats)
            }
            (NetworkConfig::Flow(file), Method::Sbi) => {
                of_width(file.flow.context)?;
                if file.flow.features != 1 {
                    return Err(HeadError::Outputs(file.flow.features));
                }
                let one = |name: &str| imported.tensors.get(name, &[1]).ok().map(|v| f64::from(v[0]));
                let (Some(mean), Some(std)) = (one("means"), one("stds")) else { return Err(HeadError::Units) };
                let bounds = one("prior_low").zip(one("prior_high")).map(|(low, high)| [low, high]);
                let flow = file.flow.init(device).loaded(&imported.tensors, &file.prefix, device)?;
                Network::Flow(flow, Units { mean, std, bounds })
            }
            (_, method) => return Err(HeadError::Kind(method.name())),
        };
        Ok((Self { network, device: device.clone() }, imported.remarks))
    }

    /// One answer an embedding, in the same order. `None` when the device gives nothing back.
    pub async fn answer(&self, embeddings: &[Vec<f32>]) -> Option<Vec<Answer>> {
        let width = embeddings.first().map_or(0, Vec::len);
        let matrix = |rows: &[Vec<f32>]| {
            Tensor::<2>::from_data(TensorData::new(rows.concat(), [rows.len(), width]), &self.device)
        };
        match &self.network {
            Network::Mlp(mlp, stats) => {
                let x = matrix(embeddings);
                let x = match stats {
                    Some([mean, std]) => (x - mean.clone()) / std.clone(),
                    None => x,
                };
                let values = numbers(mlp.forward(x)).await?;
                Some(values.into_iter().map(|v| v.is_finite().then(|| (f64::from(v), None))).collect())
            }
            Network::Flow(flow, units) => {
                let mut answers = Vec::with_capacity(embeddings.len());
                for row in embeddings {
                    answers.push(units.summarise(self.samples(flow, units, matrix(std::slice::from_ref(row))).await?));
                }
                Some(answers)
            }
        }
    }

    /// The first [`SAMPLES`] draws within the prior's bounds, in the flow's own units; fewer where next to none lie within.
    async fn samples(&self, flow: &Flow, units: &Units, x: Tensor<2>) -> Option<Vec<f32>> {
        let mut kept = Vec::with_capacity(SAMPLES);
        for round in 0..ROUNDS {
            let half = standard_normal(SEED.wrapping_add(round), SAMPLES / 2);
            let z: Vec<f32> = half.into_iter().flat_map(|z| [z, -z]).collect();
            let z = Tensor::<2>::from_data(TensorData::new(z, [SAMPLES, 1]), &self.device);
            let drawn = numbers(flow.inverse(z, x.clone()).0).await?;
            let within = |t: &f32| units.bounds.is_none_or(|[low, high]| (low..=high).contains(&f64::from(*t)));
            kept.extend(drawn.into_iter().filter(within).take(SAMPLES - kept.len()));
            if kept.len() == SAMPLES {
                break;
            }
        }
        Some(kept)
    }
}

impl Units {
    /// Median and population standard deviation, in units.
    fn summarise(&self, samples: Vec<f32>) -> Answer {
        if samples.len() < SAMPLES || samples.iter().any(|t| !t.is_finite()) {
            return None;
        }
        let mut theta: Vec<f64> = samples.into_iter().map(|t| f64::from(t) * self.std + self.mean).collect();
        let n = theta.len() as f64;
        let mean = theta.iter().sum::<f64>() / n;
        let std = (theta.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / n).sqrt();
        Some((median(&mut theta)?, Some(std)))
    }
}

async fn numbers(tensor: Tensor<2>) -> Option<Vec<f32>> {
    tensor.into_data_async().await.ok()?.try_to_vec().ok()
}

fn standardisation(bytes: &[u8], width: usize, device: &Device) -> Result<[Tensor<2>; 2], HeadError> {
    let Stats { mean, std } = serde_json::from_slice(bytes)?;
    if let Some(found) = [mean.len(), std.len()].into_iter().find(|n| *n != width) {
        return Err(HeadError::Stats { found, expected: width });
    }
    Ok([mean, std].map(|values| Tensor::from_data(TensorData::new(values, [1, width]), device)))
}
