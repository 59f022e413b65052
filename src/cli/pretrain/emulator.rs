//! `specola pretrain emulator`: spectra of any labels.

use anyhow::Result;
use clap::Args;

use super::super::RunOutcome;
use super::{EncoderRunArgs, RunReporter};
use crate::model::manifest::{Figure, Kind, ModelEntry};
use crate::model::publish::publish;
use crate::model::weights::Tensors;
use crate::train::emulator::{EmulatorPlan, RegionError, fit, measure, parse, table};

/// The emulator of the grid: labels to spectra and energy distributions
#[derive(Debug, Args)]
pub(super) struct MakeEmulator {
    #[command(flatten)]
    common: EncoderRunArgs,
    /// Steps of training
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
        // Measures the shipped precision, 16 bits.
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
            figures: errors.iter().flat_map(figures).collect(),
            ..ModelEntry::default()
        };
        publish(&self.common.output, &file, entry, "lrs-mlp")?;
        Ok(RunOutcome::Complete)
    }
}

fn figures(error: &RegionError) -> impl Iterator<Item = Figure> + use<> {
    let figure = |what: &str, value: f64| Figure {
        what: what.into(),
        of: error.region.clone(),
        on: "held-out nodes".into(),
        n: error.n,
        value,
    };
    [
        figure("median rms of flux over continuum, R 5000", error.lines),
        figure("median rms of flux over continuum, R 1800", error.lines_1800),
        figure("95th percentile of it", error.lines_1800_worst),
        figure("median rms of the continuum's shape", error.continuum),
        figure("median rms of the energy distribution's shape", error.sed),
    ]
    .into_iter()
    .filter(|f| f.value.is_finite())
}
