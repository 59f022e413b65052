//! Cases of the transfer study: a network, and labelled stars to fine-tune it on.

use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result};
use burn::tensor::Device;
use pollster::block_on;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::objectives::regression::{LabelledVectors, Regression};
use super::pretrain::NETWORK_LABELS;
use super::training_loop::{self, Schedule};
use crate::model::manifest::ModelEntry;
use crate::model::regressor::Regressor;
use crate::nn::MlpConfig;
use crate::result::Label;
use crate::result::finetune::Cell;
use crate::task::finetune::feature_cache::{BaseNetwork, FeatureCache};
use crate::task::finetune::labelled_set::{LabelCandidate, LabelledSet};
use crate::task::predict::LabelInput;

pub mod desi;
pub mod lamost;
pub mod miles;
pub mod xp;

/// Dropout in the training of a base network.
const DROPOUT: f64 = 0.1;

/// A star of a case, with its labels.
struct CaseStar {
    id: String,
    group: String,
    input: LabelInput,
    /// Labels in the order of [`NETWORK_LABELS`]; NaN if unknown.
    labels: [f64; 4],
}

/// A case of the transfer study.
pub struct TransferCase {
    /// Title for headings, for example "Synthetic → MILES".
    pub title: &'static str,
    /// Training and test stars, in one or two sentences.
    pub description: String,
    /// The network to fine-tune.
    pub base: BaseNetwork,
    stars: Vec<CaseStar>,
}

impl TransferCase {
    /// The stars with a label, and the hidden layers of the network for their spectra.
    pub fn feature_cache(&self, label: Label) -> Result<Rc<FeatureCache>> {
        let column = |of: Label| NETWORK_LABELS.iter().position(|l| *l == of).unwrap_or_default();
        let (column, feh) = (column(label), column(Label::Feh));
        let examples = self.stars.iter().filter(|star| star.labels[column].is_finite()).map(|star| LabelCandidate {
            id: star.id.clone(),
            group: star.group.clone(),
            input: star.input.clone(),
            value: Cell::Number(star.labels[column]),
            feh: Some(star.labels[feh]).filter(|v| v.is_finite()),
            cut: None,
        });
        let labelled_set = LabelledSet::new(label.name(), examples.collect());
        let (labelled_set, _) = labelled_set
            .map_err(|r| anyhow::anyhow!(r.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
        Ok(Rc::new(block_on(FeatureCache::of_network(&self.base, labelled_set, &Device::flex()))?))
    }
}

/// Training of a base network.
struct BaseTraining<'a> {
    name: &'a str,
    hidden: &'a [usize],
    outputs: &'a [Label],
    steps: usize,
    batch: usize,
    seed: u64,
    /// Folder for checkpoints, from which a stopped training resumes.
    work: &'a Path,
}

impl BaseTraining<'_> {
    /// Trains a network on labelled vectors; a tenth of them is for the check loss.
    fn run(&self, vectors: &LabelledVectors, log: &mut dyn FnMut(&str)) -> Result<BaseNetwork> {
        let device = Device::flex();
        let mut rows: Vec<usize> = (0..vectors.len()).collect();
        rows.shuffle(&mut ChaCha8Rng::seed_from_u64(self.seed));
        let check = rows.split_off(rows.len() - rows.len() / 10);
        let train = vectors.rows(&rows);
        device.seed(self.seed);
        let initial_network = train.regressor(self.hidden, DROPOUT, &device);
        let widths = initial_network.widths.clone();
        let (batch, seed) = (self.batch, self.seed);
        let objective = Regression { train, held_out: vectors.rows(&check), initial_network, batch, seed };
        let schedule = Schedule {
            steps: self.steps,
            warmup: self.steps / 20,
            rate: 1e-3,
            weight_decay: 1e-2,
            beta_2: 0.999,
            clip: Some(1.0),
            every: (self.steps / 10).max(1),
            seed,
        };
        let recipe = format!("{} {} {widths:?} {schedule:?}", self.name, vectors.len());
        let start = |device: &Device| Ok(MlpConfig::new(widths.clone()).with_dropout(DROPOUT).init(device));
        let folder = self.work.join(format!("transfer-{}", self.name));
        let mut report = |progress: training_loop::Progress<'_>| -> Result<()> {
            log(&format!("{}: {progress:?}", self.name));
            Ok(())
        };
        let network = training_loop::run(&objective, start, &schedule, &recipe, &folder, &device, &mut report)
            .with_context(|| format!("training {}", self.name))?;
        let entry = ModelEntry {
            name: self.name.into(),
            version: 1,
            labels: self.outputs.to_vec(),
            seed,
            ..ModelEntry::default()
        };
        let network: Regressor = objective.to_regressor(network);
        Ok(BaseNetwork { entry, network, outputs: self.outputs.to_vec() })
    }
}
