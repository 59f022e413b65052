//! `specola pretrain heads`: measures the aligned encoders, trains label heads on them and publishes the pair.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::super::RunOutcome;
use super::encoders::{Encoder, pairs_of};
use crate::model::encoders::Variant;
use crate::model::manifest::{Kind, ModelEntry};
use crate::model::publish::publish;
use crate::preprocess::conditioning;
use crate::train::grid::Grid;
use crate::train::heads::{HeadsPlan, finish};
use crate::train::labelled_library::read_labelled;
use crate::train::pairs::RealShare;
use crate::train::real_stars::RealStars;
use crate::train::xp::stars::Part;

/// Variants of the alignment.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum VariantName {
    /// Contrastive loss alone
    Base,
    /// With decoders
    Pr,
    /// With decoders, and embeddings split into shared and private parts
    Split,
}

/// Label heads on the aligned encoders; measures every variant and publishes one
#[derive(Debug, Args)]
pub(super) struct Heads {
    #[command(flatten)]
    encoder: Encoder,
    /// Variant to publish
    #[arg(long, value_enum, default_value = "pr")]
    variant: VariantName,
    /// Number of simulated stars to train the heads on
    #[arg(long, default_value_t = 20_000)]
    stars: usize,
    /// Number of held-out simulated pairs to measure on
    #[arg(long, default_value_t = 10_000)]
    pairs: usize,
    /// Labelled real stars to measure on, never to train on, miles.npz
    #[arg(long, value_name = "FILE", requires = "labels")]
    library: Option<PathBuf>,
    /// Labels of the real stars, CSV
    #[arg(long, value_name = "FILE", requires = "library")]
    labels: Option<PathBuf>,
}

impl Heads {
    pub(super) fn run(&self) -> Result<RunOutcome> {
        let (encoder, common) = (&self.encoder, &self.encoder.common);
        let (training_grid, emulator, stars) = (common.read()?, encoder.emulator()?, common.real_stars()?);
        let variant = match self.variant {
            VariantName::Base => Variant::Base,
            VariantName::Pr => Variant::Pr,
            VariantName::Split => Variant::Split,
        };
        let plan = HeadsPlan {
            size: encoder.size.size(),
            variant,
            stars: self.stars,
            pairs: self.pairs,
            steps: encoder.steps.unwrap_or(1500),
            work: common.work.clone(),
            seed: common.seed,
        };
        let of = |nodes: &[usize], stream: u64, share| {
            pairs_of(&training_grid, &emulator, nodes.to_vec(), common.seed + stream, share)
        };
        let train_share = stars.as_ref().map(|stars| RealShare::training(stars, Part::Training));
        let train_pairs = of(&training_grid.train, 2, train_share);
        let test_share = stars.as_ref().map(|stars| RealShare::none(stars, Part::Test));
        let held_out = of(&training_grid.held_out, 3, test_share);
        let real = self.library.as_ref().zip(self.labels.as_ref());
        let real = real.map(|(library, labels)| read_labelled(library, labels)).transpose()?;
        let mut log = |line: &str| eprintln!("{line}");
        let done = finish(&plan, &train_pairs, &held_out, real.as_ref(), &common.device(), &mut log)?;
        for m in &done.measurements {
            println!("{} | {} | {} | {} | {:.4}", m.quantity, m.subject, m.data_set, m.n, m.value);
        }
        let library = if real.is_some() { " --library miles.npz --labels miles_labels.csv" } else { "" };
        let stage = |name: &str| std::fs::read_to_string(common.work.join(format!("{name}.command")));
        let mut commands: Vec<String> =
            ["xp-encoder", "lrs-encoder", "clip"].into_iter().filter_map(|name| stage(name).ok()).collect();
        commands.push(format!(
            "specola pretrain heads {}{library} --variant {} --stars {} --pairs {} --steps {} --seed {}",
            common.data_options(),
            variant.name(),
            self.stars,
            self.pairs,
            plan.steps,
            common.seed
        ));
        let entry = ModelEntry {
            name: format!("lrs-xp-{}", variant.name()),
            kind: Kind::EncoderPair,
            version: 2,
            modality: "lrs+xp".into(),
            labels: Grid::LABELS.to_vec(),
            recipe: conditioning::RECIPE_NAME.into(),
            trained_on: trained_on(training_grid.train.len(), stars.as_ref()),
            command: commands.join(" && "),
            seed: common.seed,
            license: "MIT OR Apache-2.0".into(),
            accuracy: done.accuracy,
            measurements: done.measurements,
            networks: serde_json::to_string(&done.config)?,
            ..ModelEntry::default()
        };
        publish(&common.output, &done.tensors.to_f16_file()?, entry, "lrs-mlp")?;
        Ok(RunOutcome::Complete)
    }
}

/// What the encoders have seen, for the manifest.
fn trained_on(nodes: usize, real: Option<&RealStars>) -> String {
    let simulated =
        format!("simulated LAMOST-like, DESI-like and Gaia-XP-like spectra of stars near {nodes} grid nodes (1D LTE)");
    let Some(real) = real else { return format!("{simulated}; no real star") };
    let lamost = real.lamost.iter().filter(|star| star.part == Part::Training).count();
    format!(
        "{simulated}; {} real Gaia DR3 XP spectra with labels of APOGEE DR17, paired with simulated optical spectra; {lamost} real LAMOST DR10 spectra with labels of LAMOST's pipeline, paired with XP spectra of an emulator fitted to the real ones",
        real.xp_rows(Part::Training, true).len()
    )
}
