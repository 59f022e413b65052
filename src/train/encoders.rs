//! Pretraining of the encoder pair: the XP auto-encoder, the masked LRS transformer, and their alignment.
//!
//! Each stage leaves its weights in the work folder as `NAME.safetensors`, which the next one reads.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn::tensor::Device;
use serde::Serialize;

use super::lessons::HELD_OUT_STEP;
use super::lessons::alignment::{Alignment, Encoders, Rows, Variants};
use super::lessons::autoencoder::Rebuilding;
use super::lessons::masked::Masked;
use super::pairs::Pairs;
use super::population::Want;
use super::steps::{self, Progress, Schedule};
use crate::model::encoders::{Size, Variant};
use crate::model::weights::Tensors;
use crate::nn::clip::Clip;
use crate::nn::keyed::Keyed;
use crate::preprocess::grid::MODEL_PIXELS;

/// Held-out pairs that are watched during training.
const WATCHED: usize = 256;

/// A network of the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The XP auto-encoder.
    XpEncoder,
    /// The masked LRS transformer.
    LrsEncoder,
    /// Heads and decoders of all variants.
    Clip,
}

impl Stage {
    /// The subcommand that trains it, and the name of its files.
    pub fn name(self) -> &'static str {
        match self {
            Stage::XpEncoder => "xp-encoder",
            Stage::LrsEncoder => "lrs-encoder",
            Stage::Clip => "clip",
        }
    }

    /// Where it leaves its weights.
    pub fn file(self, work: &Path) -> PathBuf {
        work.join(format!("{}.safetensors", self.name()))
    }
}

/// How large, how long, how many at a time.
#[derive(Debug, Clone, Serialize)]
pub struct EncoderPlan {
    /// Which network.
    pub stage: Stage,
    /// Of which sizes.
    pub size: Size,
    /// Spectra or pairs a step.
    pub batch: usize,
    /// Steps, rates and seed.
    pub schedule: Schedule,
}

impl EncoderPlan {
    /// The shipped sizes' rates, which are higher than the papers': the networks are smaller and the runs shorter.
    pub fn new(stage: Stage, size: Size, steps: usize, batch: usize, seed: u64) -> Self {
        let paper = size == Size::Paper;
        let (rate, weight_decay, beta_2, clip) = match stage {
            Stage::XpEncoder => (if paper { 1e-4 } else { 1e-3 }, 0.01, 0.999, Some(1.0)),
            Stage::LrsEncoder => (if paper { 1e-5 } else { 1e-3 }, 0.1, 0.95, Some(1.0)),
            Stage::Clip => (if paper { 1e-4 } else { 5e-4 }, 0.05, 0.999, None),
        };
        let every = (steps / 20).clamp(1, 100);
        let schedule = Schedule { steps, warmup: (steps / 20).max(1), rate, weight_decay, beta_2, clip, every, seed };
        Self { stage, size, batch, schedule }
    }

    /// Trains the stage, or goes on with it, and leaves its weights. `held_out` are stars that no stage learns from.
    pub fn run(
        &self,
        pairs: &Pairs,
        held_out: &Pairs,
        work: &Path,
        device: &Device,
        tell: &mut dyn FnMut(Progress<'_>) -> Result<()>,
    ) -> Result<()> {
        let (recipe, folder) = (serde_json::to_string(self)?, work.join(self.stage.name()));
        let watched = |want| held_out.of_step(HELD_OUT_STEP, WATCHED, want);
        let mut tensors = Tensors::default();
        match self.stage {
            Stage::XpEncoder => {
                let held_out = watched(Want::Xp)?.into_iter().flat_map(|p| p.xp).collect();
                let lesson = Rebuilding { pairs, held_out, batch: self.batch };
                let start = |device: &Device| Ok(self.size.xp().init(device));
                let network = steps::run(&lesson, start, &self.schedule, &recipe, &folder, device, tell)?;
                network.store(&mut tensors, "")?;
            }
            Stage::LrsEncoder => {
                let config = self.size.lrs();
                let lesson = Masked {
                    pairs,
                    held_out: Rows::of(&watched(Want::Lrs)?).lrs,
                    masking: self.size.masking(),
                    tokens: config.tokens.count(MODEL_PIXELS),
                    batch: self.batch,
                };
                let start = |device: &Device| Ok(config.init(device));
                let network = steps::run(&lesson, start, &self.schedule, &recipe, &folder, device, tell)?;
                network.store(&mut tensors, "")?;
            }
            Stage::Clip => {
                let encoders = self.encoders(work, device)?;
                let lesson = Alignment {
                    pairs,
                    held_out: Rows::of(&watched(Want::Both)?),
                    encoders: encoders.clone(),
                    device: device.clone(),
                    batch: self.batch,
                };
                let start = |device: &Device| Ok(Variants::new(self.size, &encoders, device));
                let network = steps::run(&lesson, start, &self.schedule, &recipe, &folder, device, tell)?;
                for (variant, clip) in Variant::ALL.into_iter().zip(&network.all) {
                    clip.store(&mut tensors, &format!("{}.", variant.name()))?;
                }
            }
        }
        let file = self.stage.file(work);
        std::fs::write(&file, tensors.to_f32_file()?).with_context(|| format!("writing {}", file.display()))
    }

    fn encoders(&self, work: &Path, device: &Device) -> Result<Encoders> {
        let read = |stage: Stage| weights(&stage.file(work), stage);
        Ok(Encoders {
            lrs: self.size.lrs().init(device).loaded(&read(Stage::LrsEncoder)?, "", device)?,
            xp: self.size.xp().init(device).loaded(&read(Stage::XpEncoder)?, "", device)?,
        })
    }
}

/// A variant of the aligned pair from the work folder.
pub fn aligned(work: &Path, size: Size, variant: Variant, device: &Device) -> Result<Clip> {
    let tensors = weights(&Stage::Clip.file(work), Stage::Clip)?;
    Ok(size.clip(variant).init(device).loaded(&tensors, &format!("{}.", variant.name()), device)?)
}

fn weights(file: &Path, stage: Stage) -> Result<Tensors> {
    let name = stage.name();
    let bytes = std::fs::read(file)
        .with_context(|| format!("reading {}; run `specola pretrain {name}` first", file.display()))?;
    Tensors::parse(&bytes).with_context(|| file.display().to_string())
}
