//! A downstream head: from an embedding to a stellar parameter (docs/model-spec.md §3.1, §3.4).

use std::io::{Read, Seek};

use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;
use thiserror::Error;

use crate::model::import::{Checkpoint, ImportError, NetworkConfig};
use crate::nn::Mlp;
use crate::nn::flow::{Flow, standard_normal};
use crate::nn::state_dict::StateDict;
use crate::nn::weights::WeightsError;
use crate::result::specclip::Method;
use crate::stats::median;

/// Number of samples for the median and standard deviation of a flow, as in the published code.
pub const SAMPLES: usize = 10_000;

/// Seed of the samples, which makes the estimate of a spectrum reproducible.
///
/// The published code sets no seed, so its estimates vary: the median by 1 % of the error, the error by 1 % or more.
///
/// Half of the samples are random draws, the other half their mirror images about the centre of the flow's normal
/// distribution. The medians are therefore the medians of the posterior itself, and the fixed seed does not shift the
/// mean of a survey.
pub const SEED: u64 = 0x5bec_c11b;

/// Largest number of batches of [`SAMPLES`] draws, until as many draws lie within the bounds of the prior.
const MAX_BATCHES: u64 = 20;

/// Error of a head.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum HeadError {
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error("the file does not contain an {0} head; download it again")]
    Kind(&'static str),
    #[error("the head has {0} outputs instead of one; it is not a published head")]
    Outputs(usize),
    #[error(
        "the head needs embeddings of width {found}; this model has width {expected}. The head belongs to another model"
    )]
    Width { found: usize, expected: usize },
    #[error("the file has no mean and std for the conversion of its samples to physical units; download it again")]
    Units,
    #[error("mean and std have {found} values; the embedding has {expected}. Download the file again")]
    Stats { found: usize, expected: usize },
    #[error("the file is not a mean-and-std file of a head ({0}); download it again")]
    StatsFile(#[from] serde_json::Error),
}

/// Estimate: value, and standard deviation of a flow; `None` if the numbers are not finite.
pub type HeadEstimate = Option<(f64, Option<f64>)>;

/// Mean and standard deviation of each element of the embedding.
#[derive(Debug, Deserialize)]
struct Stats {
    mean: Vec<f32>,
    std: Vec<f32>,
}

/// A downstream head with its weights.
#[derive(Debug)]
pub struct Head {
    network: Network,
    device: Device,
}

#[derive(Debug)]
// Few of these exist at a time; a `Box` would only add an indirection.
#[allow(clippy::large_enum_variant, reason = "a network is loaded once and not moved in a hot loop")]
enum Network {
    /// MLP on the standardised embedding. If the folder has no statistics, the input is the raw embedding, as in the
    /// published code.
    Mlp(Mlp, Option<[Tensor<2>; 2]>),
    /// Flow on the raw embedding.
    Flow(Flow, Units),
}

/// Conversion of samples to units: θ = sample · std + mean. `bounds` are the limits of the prior, if it has any.
#[derive(Debug)]
struct Units {
    mean: f64,
    std: f64,
    bounds: Option<[f64; 2]>,
}

impl Head {
    /// Loads a head for embeddings of width `width`; `stats` is the content of an MLP's statistics file.
    ///
    /// Also returns remarks on features of the file that Specola does not reproduce.
    pub fn load<R: Read + Seek>(
        file: R,
        stats: Option<&[u8]>,
        method: Method,
        width: usize,
        device: &Device,
    ) -> Result<(Self, Vec<String>), HeadError> {
        let imported = Checkpoint::open(file)?.import(|_| {})?;
        let check_width =
            |found| if found == width { Ok(()) } else { Err(HeadError::Width { found, expected: width }) };
        let network = match (&imported.network, method) {
            (NetworkConfig::Mlp(config), Method::Mlp) => {
                check_width(config.widths.first().copied().unwrap_or(0))?;
                let outputs = config.widths.last().copied().unwrap_or(0);
                if outputs != 1 {
                    return Err(HeadError::Outputs(outputs));
                }
                let stats = stats.map(|bytes| standardisation(bytes, width, device)).transpose()?;
                Network::Mlp(config.load(&imported.tensors, "", device)?, stats)
            }
            (NetworkConfig::Flow(file), Method::Sbi) => {
                check_width(file.flow.context)?;
                if file.flow.features != 1 {
                    return Err(HeadError::Outputs(file.flow.features));
                }
                let scalar = |name: &str| imported.tensors.get(name, &[1]).ok().map(|v| f64::from(v[0]));
                let (Some(mean), Some(std)) = (scalar("means"), scalar("stds")) else { return Err(HeadError::Units) };
                let bounds = scalar("prior_low").zip(scalar("prior_high")).map(|(low, high)| [low, high]);
                let flow = file.flow.init(device).load(&imported.tensors, &file.prefix, device)?;
                Network::Flow(flow, Units { mean, std, bounds })
            }
            (_, method) => return Err(HeadError::Kind(method.name())),
        };
        Ok((Self { network, device: device.clone() }, imported.remarks))
    }

    /// Estimates for a batch of embeddings, in the same order. `None` if the device returns no result.
    pub async fn predict(&self, embeddings: &[Vec<f32>]) -> Option<Vec<HeadEstimate>> {
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
                let values = read_values(mlp.forward(x)).await?;
                Some(values.into_iter().map(|v| v.is_finite().then(|| (f64::from(v), None))).collect())
            }
            Network::Flow(flow, units) => {
                let mut estimates = Vec::with_capacity(embeddings.len());
                for row in embeddings {
                    estimates
                        .push(units.summarise(self.samples(flow, units, matrix(std::slice::from_ref(row))).await?));
                }
                Some(estimates)
            }
        }
    }

    /// The first [`SAMPLES`] draws within the bounds of the prior, in the flow's own units; fewer if almost all draws
    /// lie outside.
    async fn samples(&self, flow: &Flow, units: &Units, x: Tensor<2>) -> Option<Vec<f32>> {
        let mut samples = Vec::with_capacity(SAMPLES);
        for batch in 0..MAX_BATCHES {
            let half = standard_normal(SEED.wrapping_add(batch), SAMPLES / 2);
            let z: Vec<f32> = half.into_iter().flat_map(|z| [z, -z]).collect();
            let z = Tensor::<2>::from_data(TensorData::new(z, [SAMPLES, 1]), &self.device);
            let draws = read_values(flow.inverse(z, x.clone()).0).await?;
            let is_within_prior =
                |t: &f32| units.bounds.is_none_or(|[low, high]| (low..=high).contains(&f64::from(*t)));
            samples.extend(draws.into_iter().filter(is_within_prior).take(SAMPLES - samples.len()));
            if samples.len() == SAMPLES {
                break;
            }
        }
        Some(samples)
    }
}

impl Units {
    /// Median and population standard deviation, in physical units.
    fn summarise(&self, samples: Vec<f32>) -> HeadEstimate {
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

async fn read_values(tensor: Tensor<2>) -> Option<Vec<f32>> {
    tensor.into_data_async().await.ok()?.try_to_vec().ok()
}

fn standardisation(bytes: &[u8], width: usize, device: &Device) -> Result<[Tensor<2>; 2], HeadError> {
    let Stats { mean, std } = serde_json::from_slice(bytes)?;
    if let Some(found) = [mean.len(), std.len()].into_iter().find(|n| *n != width) {
        return Err(HeadError::Stats { found, expected: width });
    }
    Ok([mean, std].map(|values| Tensor::from_data(TensorData::new(values, [1, width]), device)))
}
