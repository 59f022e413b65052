//! `specola pretrain emulator`: the network that computes spectra from labels.

use anyhow::Result;
use clap::Args;

use super::super::RunOutcome;
use super::{EncoderRunArgs, RunReporter};
use crate::model::manifest::{Kind, Measurement, ModelEntry};
use crate::model::publish::publish;
use crate::nn::weights::Tensors;
use crate::train::emulator::{EmulatorPlan, RegionError, fit, measure, parse, table};

/// The emulator of the grid: computes spectra and energy distributions from labels
#[derive(Debug, Args)]
pub(super) struct MakeEmulator {
    #[command(flatten)]
    common: EncoderRunArgs,
    /// Training steps
    #[arg(long, default_value_t = 12_000)]
    steps: usize,
}

impl MakeEmulator {
    pub(super) fn run(&self) -> Result<RunOutcome> {
        let training_grid = self.common.read()?;
        let plan = EmulatorPlan::shipped(self.steps, self.common.seed);
        let reporter = RunReporter::new("emulator", &self.common.work, self.steps);
        let folder = self.common.work.join("emulator");
        let nodes = (training_grid.train.as_slice(), training_grid.held_out.as_slice());
        let device = self.common.device();
        let tensors: Tensors =
            fit(&training_grid.grid, &training_grid.seds, nodes, &plan, &folder, &device, &mut |p| reporter.report(p))?;
        // Measures the network at its shipped precision, 16 bits.
        let file = tensors.to_f16_file()?;
        let errors = measure(&parse(&file)?, &training_grid.grid, &training_grid.seds, &training_grid.held_out);
        print!("{}", table(&errors));
        let entry = ModelEntry {
            name: "grid-emulator".into(),
            kind: Kind::Emulator,
            version: 1,
            modality: "labels".into(),
            labels: crate::train::grid::Grid::LABELS.to_vec(),
            trained_on: format!(
                "{} nodes of the synthetic grid (1D LTE), the energy distributions of those that have one",
                training_grid.train.len()
            ),
            command: format!(
                "specola pretrain emulator --grid spectra.npz --sed sed.npz --steps {} --seed {}",
                self.steps, self.common.seed
            ),
            seed: self.common.seed,
            license: "MIT OR Apache-2.0".into(),
            measurements: errors.iter().flat_map(measurements).collect(),
            ..ModelEntry::default()
        };
        publish(&self.common.output, &file, entry, "lrs-mlp")?;
        Ok(RunOutcome::Complete)
    }
}

fn measurements(error: &RegionError) -> impl Iterator<Item = Measurement> + use<> {
    let measurement = |quantity: &str, value: f64| Measurement {
        quantity: quantity.into(),
        subject: error.region.clone(),
        data_set: "held-out nodes".into(),
        n: error.n,
        value,
    };
    [
        measurement("median rms of flux over continuum, R 5000", error.lines),
        measurement("median rms of flux over continuum, R 1800", error.lines_1800),
        measurement("95th percentile of it", error.lines_1800_worst),
        measurement("median rms of the continuum's shape", error.continuum),
        measurement("median rms of the energy distribution's shape", error.sed),
    ]
    .into_iter()
    .filter(|m| m.value.is_finite())
}
