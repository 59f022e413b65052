//! `specola pretrain xp-mlp`: labels of Gaia XP spectra, from real stars.

use std::path::PathBuf;

use anyhow::Result;
use burn::tensor::Device;
use clap::Args;

use super::super::RunOutcome;
use super::RunReporter;
use crate::model::manifest::{Kind, ModelEntry};
use crate::model::publish::publish;
use crate::model::xp_regressor::XpRegressor;
use crate::nn::weights::Tensors;
use crate::train::xp::regressor::{XpPlan, calibrate, estimate, label_ranges, train};
use crate::train::xp::scores;
use crate::train::xp::stars::{LABELS, Part, XpStars};

/// The network xp-mlp: labels of Gaia XP spectra, trained on real stars with APOGEE labels
#[derive(Debug, Args)]
pub(super) struct XpMlp {
    /// Real XP spectra with labels, `gaia_xp_apogee.npz`
    #[arg(long, value_name = "FILE")]
    apogee: PathBuf,
    /// Folder for checkpoints and loss curves; a stopped run resumes from them
    #[arg(long, value_name = "DIR", default_value = "target/pretrain")]
    work: PathBuf,
    /// Folder to publish the model in
    #[arg(short, long, value_name = "DIR", default_value = "models")]
    output: PathBuf,
    /// Principal components of the spectra that the networks see
    #[arg(long, default_value_t = 120)]
    components: usize,
    /// Networks, whose predictions are averaged
    #[arg(long, default_value_t = 4)]
    members: usize,
    /// Training steps of each network
    #[arg(long, default_value_t = 6000)]
    steps: usize,
    /// Spectra per step
    #[arg(long, default_value_t = 256)]
    batch: usize,
    /// Highest learning rate
    #[arg(long, default_value_t = 1e-3)]
    rate: f64,
    /// Dropout after each hidden layer
    #[arg(long, default_value_t = 0.05)]
    dropout: f64,
    /// Seed of the split and of all other random numbers
    #[arg(long, default_value_t = 20261121)]
    seed: u64,
}

impl XpMlp {
    /// Trains, calibrates, measures and publishes the model.
    pub(super) fn run(&self) -> Result<RunOutcome> {
        let stars = XpStars::read(&self.apogee, self.seed)?;
        let plan = XpPlan {
            components: self.components,
            members: self.members.max(1),
            steps: self.steps,
            batch: self.batch,
            rate: self.rate,
            dropout: self.dropout,
            work: self.work.clone(),
            seed: self.seed,
        };
        let device = Device::flex();
        let mut reporter: Option<(usize, RunReporter)> = None;
        let trained = train(&stars, &plan, &device, &mut |member, progress| {
            if reporter.as_ref().is_none_or(|(of, _)| *of != member) {
                reporter = Some((member, RunReporter::new("xp-mlp", &plan.work, plan.steps)));
            }
            reporter.as_ref().map_or(Ok(()), |(_, reporter)| reporter.report(progress))
        })?;
        let mut tensors = Tensors::default();
        trained.store(&mut tensors)?;
        let file = tensors.to_f16_file()?;
        // Everything is measured with the weights as they are published.
        let published = XpRegressor::load(&Tensors::parse(&file)?, plan.members, &device)?;
        let config = calibrate(&published, &stars, self.seed, &device)?;
        let test = estimate(&published, &stars, &stars.rows(Part::Test, 0.0), 1.0, self.seed, &device)?;
        let entry = ModelEntry {
            name: "xp-mlp".into(),
            kind: Kind::XpPredictor,
            version: 1,
            modality: "xp".into(),
            labels: LABELS.to_vec(),
            recipe: "specola-xp-1".into(),
            trained_on: format!(
                "{} real Gaia DR3 XP spectra with labels of APOGEE DR17, with noise and reddening added",
                stars.rows(Part::Training, 0.0).len()
            ),
            command: self.command(),
            seed: self.seed,
            license: "MIT OR Apache-2.0".into(),
            accuracy: scores::accuracy(&stars, &test),
            calibration: scores::calibration(&stars, &test, &config),
            measurements: scores::coverage(&stars, &test, &config),
            label_range: label_ranges(&stars),
            networks: serde_json::to_string(&config)?,
            ..ModelEntry::default()
        };
        for row in &entry.accuracy {
            println!(
                "{} | {} | N {} | bias {:+.3} | σ {:.3} ± {:.3} | R² {:.3}",
                row.on,
                row.label.symbol(),
                row.n,
                row.bias,
                row.sigma,
                row.sigma_se.unwrap_or(f64::NAN),
                row.r2
            );
        }
        for m in &entry.measurements {
            println!("{} | {} | {} | {:.4}", m.quantity, m.subject, m.n, m.value);
        }
        publish(&self.output, &file, entry, "lrs-mlp")?;
        Ok(RunOutcome::Complete)
    }

    /// The command without the folders of this machine, as the manifest records it.
    fn command(&self) -> String {
        format!(
            "specola pretrain xp-mlp --apogee gaia_xp_apogee.npz --components {} --members {} --steps {} --batch {} --rate {} --dropout {} --seed {}",
            self.components, self.members, self.steps, self.batch, self.rate, self.dropout, self.seed
        )
    }
}
