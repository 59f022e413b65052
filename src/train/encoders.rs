//! Pretraining of the encoder pair: the XP auto-encoder, the masked LRS transformer, and their alignment.
//!
//! Each stage writes its weights into the work folder as `NAME.safetensors`. The alignment reads the weights of both
//! encoders.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use serde::Serialize;

use super::grid_sampler::RequiredParts;
use super::objectives::HELD_OUT_STEP;
use super::objectives::alignment::{Alignment, AlignmentRows, EncoderModules, Variants};
use super::objectives::autoencoder::ReconstructionObjective;
use super::objectives::masked::MaskedObjective;
use super::pairs::Pairs;
use super::training_loop::{self, Progress, Schedule};
use crate::model::encoders::{Size, Variant};
use crate::nn::clip::Clip;
use crate::nn::state_dict::StateDict;
use crate::nn::weights::Tensors;
use crate::preprocess::grid::MODEL_PIXELS;
use crate::result::specclip::Modality;
use crate::whole_file;

/// Held-out pairs for the check loss during training.
const CHECK_PAIRS: usize = 256;

/// Metadata entry with the seed of a stage.
const SEED: &str = "seed";

/// A training stage of the encoder pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairStage {
    /// The XP auto-encoder.
    XpEncoder,
    /// The masked LRS transformer.
    LrsEncoder,
    /// Projection heads and decoders of all variants.
    Clip,
}

impl PairStage {
    /// Name of the subcommand that trains the stage, and of its files.
    pub fn name(self) -> &'static str {
        match self {
            Self::XpEncoder => "xp-encoder",
            Self::LrsEncoder => "lrs-encoder",
            Self::Clip => "clip",
        }
    }

    /// File with the weights of the stage.
    pub fn file(self, work: &Path) -> PathBuf {
        work.join(format!("{}.safetensors", self.name()))
    }
}

/// Sizes, batch and schedule of one stage.
#[derive(Debug, Clone, Serialize)]
pub struct EncoderPlan {
    /// The stage.
    pub stage: PairStage,
    /// Sizes of the networks.
    pub size: Size,
    /// Spectra or pairs per step.
    pub batch: usize,
    /// Steps, learning rate and seed.
    pub schedule: Schedule,
}

impl EncoderPlan {
    /// A plan with the default rates. The rates of the shipped sizes are higher than those of the papers, because the
    /// networks are smaller and the runs shorter.
    pub fn new(stage: PairStage, size: Size, steps: usize, batch: usize, seed: u64) -> Self {
        let is_paper = size == Size::Paper;
        let (rate, weight_decay, beta_2, clip) = match stage {
            PairStage::XpEncoder => (if is_paper { 1e-4 } else { 1e-3 }, 0.01, 0.999, Some(1.0)),
            PairStage::LrsEncoder => (if is_paper { 1e-5 } else { 1e-3 }, 0.1, 0.95, Some(1.0)),
            PairStage::Clip => (if is_paper { 1e-4 } else { 5e-4 }, 0.05, 0.999, None),
        };
        let every = (steps / 20).clamp(1, 100);
        let schedule = Schedule { steps, warmup: (steps / 20).max(1), rate, weight_decay, beta_2, clip, every, seed };
        Self { stage, size, batch, schedule }
    }

    /// Trains the stage, or resumes it, and writes its weights. No stage trains on the stars of `held_out`.
    pub fn run(
        &self,
        pairs: &Pairs,
        held_out: &Pairs,
        work: &Path,
        device: &Device,
        on_progress: &mut dyn FnMut(Progress<'_>) -> Result<()>,
    ) -> Result<()> {
        let (recipe, folder) = (serde_json::to_string(self)?, work.join(self.stage.name()));
        let check_pairs = |required| held_out.of_step(HELD_OUT_STEP, CHECK_PAIRS, required);
        let mut tensors = Tensors::default();
        match self.stage {
            PairStage::XpEncoder => {
                let held_out = check_pairs(RequiredParts::Xp)?.into_iter().flat_map(|p| p.xp).collect();
                let objective = ReconstructionObjective { pairs, held_out, batch: self.batch };
                let start = |device: &Device| Ok(self.size.xp().init(device));
                let network =
                    training_loop::run(&objective, start, &self.schedule, &recipe, &folder, device, on_progress)?;
                network.store(&mut tensors, "")?;
            }
            PairStage::LrsEncoder => {
                let config = self.size.lrs();
                let objective = MaskedObjective {
                    pairs,
                    modality: Modality::Lrs,
                    held_out: AlignmentRows::of(&check_pairs(RequiredParts::Lrs)?).lrs,
                    masking: self.size.masking(),
                    tokens: config.tokens.count(MODEL_PIXELS),
                    batch: self.batch,
                };
                let start = |device: &Device| Ok(config.init(device));
                let network =
                    training_loop::run(&objective, start, &self.schedule, &recipe, &folder, device, on_progress)?;
                network.store(&mut tensors, "")?;
            }
            PairStage::Clip => {
                let encoders = read_encoders(work, self.size, self.schedule.seed, device)?;
                let objective = Alignment {
                    pairs,
                    losses: Vec::new(),
                    held_out: AlignmentRows::of(&check_pairs(RequiredParts::Both)?),
                    encoders: encoders.clone(),
                    device: device.clone(),
                    batch: self.batch,
                };
                let start = |device: &Device| Ok(Variants::new(self.size, &encoders, device));
                let network =
                    training_loop::run(&objective, start, &self.schedule, &recipe, &folder, device, on_progress)?;
                for (variant, clip) in Variant::ALL.into_iter().zip(&network.all) {
                    clip.store(&mut tensors, &format!("{}.", variant.name()))?;
                }
            }
        }
        let file = self.stage.file(work);
        whole_file::write(&file, &tensors.to_f32_file_with(&[(SEED, &self.schedule.seed.to_string())])?)
            .with_context(|| format!("writing {}", file.display()))
    }
}

/// Reads both encoders from the work folder. Stages of another seed were trained on stars that this one holds out, and are
/// refused.
pub fn read_encoders(work: &Path, size: Size, seed: u64, device: &Device) -> Result<EncoderModules> {
    let read = |stage: PairStage| weights(&stage.file(work), stage, seed);
    Ok(EncoderModules {
        lrs: size.lrs().init(device).load(&read(PairStage::LrsEncoder)?, "", device)?,
        xp: size.xp().init(device).load(&read(PairStage::XpEncoder)?, "", device)?,
    })
}

/// Reads a variant of the aligned pair from the work folder; refuses one of another seed.
pub fn read_aligned(work: &Path, size: Size, variant: Variant, seed: u64, device: &Device) -> Result<Clip> {
    let tensors = weights(&PairStage::Clip.file(work), PairStage::Clip, seed)?;
    Ok(size.clip(variant).init(device).load(&tensors, &format!("{}.", variant.name()), device)?)
}

fn weights(file: &Path, stage: PairStage, seed: u64) -> Result<Tensors> {
    let name = stage.name();
    let bytes = std::fs::read(file)
        .with_context(|| format!("reading {}; run `specola pretrain {name}` first", file.display()))?;
    let tensors = Tensors::parse(&bytes).with_context(|| file.display().to_string())?;
    let trained_with = Tensors::metadata(&bytes, SEED)?;
    ensure!(
        trained_with.as_deref().is_none_or(|trained| trained == seed.to_string()),
        "{} was trained with the seed {}, this run has {seed}; use that seed, or another work folder",
        file.display(),
        trained_with.unwrap_or_default()
    );
    Ok(tensors)
}
