//! `specola pretrain emulator`: spectra of any labels.

use anyhow::Result;
use clap::Args;

use super::super::Outcome;
use super::{Common, Teller};
use crate::model::manifest::{Figure, Kind, ModelEntry};
use crate::model::publish::publish;
use crate::model::weights::Tensors;
use crate::train::emulator::{EmulatorPlan, RegionError, fit, measure, parse, table};

/// The emulator of the grid: labels to spectra and energy distributions
#[derive(Debug, Args)]
pub(super) struct MakeEmulator {
    #[command(flatten)]
    common: Common,
    /// Steps of training
    #[arg(long, default_value_t = 12_000)]
    steps: usize,
}

impl MakeEmulator {
    pub(super) fn run(&self) -> Result<Outcome> {
        let material = self.common.read()?;
        let plan = EmulatorPlan::shipped(self.steps, self.common.seed);
        let teller = Teller::new("emulator", &self.common.work, self.steps);
        let folder = self.common.work.join("emulator");
        let nodes = (material.train.as_slice(), material.held_out.as_slice());
        let device = self.common.device();
        let tensors: Tensors =
            fit(&material.grid, &material.seds, nodes, &plan, &folder, &device, &mut |p| teller.hear(p))?;
        // What is measured is what is shipped: 16 bits.
        let file = tensors.to_f16_file()?;
        let errors = measure(&parse(&file)?, &material.grid, &material.seds, &material.held_out);
        print!("{}", table(&errors));
        let entry = ModelEntry {
            name: "grid-emulator".into(),
            kind: Kind::Emulator,
            version: 1,
            modality: "labels".into(),
            labels: crate::train::grid::Grid::LABELS.to_vec(),
            trained_on: format!(
                "{} nodes of the synthetic grid (1D LTE), the energy distributions of those that have one",
                material.train.len()
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
        Ok(Outcome::Complete)
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
