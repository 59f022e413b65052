//! `specola pretrain xp-posterior`: joint density of the labels of Gaia XP spectra, from real stars.

use std::path::PathBuf;

use anyhow::{Context, Result};
use burn::tensor::Device;
use clap::Args;
use pollster::block_on;

use super::super::RunOutcome;
use crate::model::manifest::{Kind, ModelEntry};
use crate::model::publish::publish;
use crate::model::store::{Folder, Store};
use crate::model::xp_regressor::XpComponents;
use crate::nn::weights::Tensors;
use crate::task::xp_model::{RECIPE_NAME, XpModel};
use crate::train::xp::posterior::{PosteriorPlan, finish};
use crate::train::xp::stars::{LABELS, XpStars};

/// The flow xp-posterior: joint density of the labels of Gaia XP spectra, on the principal components of xp-mlp
#[derive(Debug, Args)]
pub(super) struct MakeXpPosterior {
    /// Real XP spectra with labels, `gaia_xp_apogee.npz`
    #[arg(long, value_name = "FILE")]
    apogee: PathBuf,
    /// Folder for checkpoints; a stopped run resumes from them
    #[arg(long, value_name = "DIR", default_value = "target/pretrain")]
    work: PathBuf,
    /// Folder with the published xp-mlp, to publish the flow in
    #[arg(short, long, value_name = "DIR", default_value = "models")]
    output: PathBuf,
    /// Training steps of each flow
    #[arg(long, default_value_t = 3000)]
    steps: usize,
    /// Seed of the split (that of xp-mlp) and of all other random numbers
    #[arg(long, default_value_t = 20261121)]
    seed: u64,
}

impl MakeXpPosterior {
    /// Trains all flows, calibrates and publishes the joint one.
    pub(super) fn run(&self) -> Result<RunOutcome> {
        let stars = XpStars::read(&self.apogee, self.seed)?;
        let store = Store::new(Folder::new(&self.output));
        let manifest = block_on(store.manifest())?;
        let xp_mlp = XpModel::entry_in(&manifest).with_context(|| {
            format!("no xp-mlp in {}; make it with `specola pretrain xp-mlp`", self.output.display())
        })?;
        let components = XpComponents::load(&Tensors::parse(&block_on(store.weights(xp_mlp, |_, _| {}))?)?)?;
        let plan = PosteriorPlan { steps: self.steps, work: self.work.clone(), seed: self.seed };
        let done = finish(&stars, &components, &plan, &Device::flex(), &mut |line| eprintln!("{line}"))?;
        let mut tensors = Tensors::default();
        done.posterior.store(&mut tensors)?;
        for m in &done.measurements {
            println!("{} | {} | {} | {} | {:.4}", m.quantity, m.subject, m.data_set, m.n, m.value);
        }
        println!("changes: {}", serde_json::to_string(&done.config.recalibration)?);
        let entry = ModelEntry {
            name: "xp-posterior".into(),
            kind: Kind::XpPosterior,
            version: 1,
            modality: "xp".into(),
            labels: LABELS.to_vec(),
            recipe: RECIPE_NAME.into(),
            trained_on: "the training stars of xp-mlp that have all four labels".into(),
            command: format!(
                "specola pretrain xp-posterior --apogee gaia_xp_apogee.npz --steps {} --seed {}",
                self.steps, self.seed
            ),
            seed: self.seed,
            license: "MIT OR Apache-2.0".into(),
            measurements: done.measurements,
            networks: serde_json::to_string(&done.config)?,
            ..ModelEntry::default()
        };
        publish(&self.output, &tensors.to_f16_file()?, entry, "lrs-mlp")?;
        Ok(RunOutcome::Complete)
    }
}
