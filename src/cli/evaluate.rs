//! `specola evaluate`: what a model is worth on labelled spectra.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use pollster::block_on;

use super::pretrain::Material;
use super::pretrain::encoders::{emulator_in, pairs_of};
use super::{ModelsDir, Outcome, output};
use crate::model::manifest::ModelEntry;
use crate::model::publish::write_manifest;
use crate::spectrum::Survey;
use crate::task::likes::Kit;
use crate::task::likes::encode::Seen;
use crate::task::likes::labels::Reader;
use crate::task::predict::Predictor;
use crate::train::cases::Case;
use crate::train::evaluate::{Judged, join, predict_files, read_table, score};
use crate::train::population::Want;
use crate::train::surveys::{self, Answers, Route};
use crate::train::{alarms, ranks, report};

mod figures;

/// Added to the seed of everything for simulated stars to measure on.
const STREAM: u64 = 60;

/// Stars whose ranks are taken.
const RANKED: usize = 2000;

/// Stars that the last hidden layer's values are known of.
const KNOWN: usize = 3000;

/// Spectra of each set that oddities are planted in, at most.
const PLANTED: usize = 400;

/// Measure a model on spectra with known labels
#[derive(Debug, Args)]
pub(super) struct Evaluate {
    /// Model to measure [default: the manifest's]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Spectra
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "labels", required_unless_present = "real")]
    spectra: Vec<PathBuf>,
    /// Their labels, CSV, joined by id
    #[arg(long, value_name = "TABLE", requires = "spectra")]
    labels: Option<PathBuf>,
    /// Folder of the standard real sets: measure every model on all of them
    #[arg(long, value_name = "DIR", requires = "report", conflicts_with = "spectra")]
    real: Option<PathBuf>,
    /// Folder of the synthetic grid, for simulated spectra of surveys that have no labelled real ones [default: `grid` beside
    /// the folder of real sets]
    #[arg(long, value_name = "DIR", requires = "real")]
    grid: Option<PathBuf>,
    /// Page to write what was measured on the standard sets; figures go into `figures` beside it, accuracies by survey into
    /// the models' manifest
    #[arg(long, value_name = "FILE", requires = "real")]
    report: Option<PathBuf>,
    #[command(flatten)]
    models: ModelsDir,
}

impl Evaluate {
    /// Prints scores as JSON, or writes the page.
    pub(super) fn run(&self) -> Result<Outcome> {
        if let (Some(real), Some(page)) = (&self.real, &self.report) {
            return self.report(real, page);
        }
        let (_, predictor) = self.models.load(self.model.as_deref())?;
        let table = read_table(self.labels.as_deref().context("give the labels with --labels")?)?;
        let judged = join(predict_files(&predictor, &self.spectra)?, &table);
        let all: Vec<&Judged> = judged.iter().collect();
        let mut out = output::open(None)?;
        writeln!(out, "{}", serde_json::to_string_pretty(&score(&all, &table, |j| j.id.clone()))?)?;
        out.finish()?;
        Ok(Outcome::Complete)
    }

    /// Measures every model on everything.
    fn report(&self, real: &Path, page: &Path) -> Result<Outcome> {
        let mut say = |line: &str| eprintln!("{line}");
        let store = self.models.store();
        let mut manifest = block_on(store.manifest())?;
        let grid = self.grid.clone().unwrap_or_else(|| real.parent().unwrap_or(real).join("grid"));
        let seed = manifest.default_model().map_or(0, |model| model.seed);
        let material = Material::read(&grid.join("spectra.npz"), &grid.join("sed.npz"), seed)
            .context("simulated spectra need the synthetic grid; give its folder with --grid")?;
        let emulator = emulator_in(store.source().path())?;
        let pairs = |nodes: &[usize], stream: u64| pairs_of(&material, &emulator, nodes.to_vec(), seed + stream);
        let held_out = pairs(&material.held_out, STREAM);
        let simulated = |survey| Case::simulated(&held_out.population, survey, seed + STREAM);
        let cases = vec![
            Case::standard(real, "miles", "MILES, real stars", Survey::Miles)?,
            Case::standard(real, "lamost_lrs", "LAMOST, real stars, its own pipeline's labels", Survey::LamostLrs)?,
            simulated(Survey::LamostLrs)?,
            simulated(Survey::Desi)?,
            simulated(Survey::GaiaXp)?,
        ];

        let loaded: Vec<Predictor> =
            manifest.predictors().map(|entry| Ok(self.models.load(Some(&entry.name))?.1)).collect::<Result<_>>()?;
        let default = loaded.iter().find(|p| p.entry().name == manifest.default).context("no default model")?;
        let reader = Reader::new(block_on(Kit::fetch(&store, None, |_, _, _| {})).map_err(|why| anyhow!(why))?);
        let mut routes: Vec<Route> = loaded.iter().map(Route::Flux).collect();
        routes.push(Route::Embedding(&reader, default));
        let all = surveys::answers(&routes, &cases, &mut say);
        surveys::record(&mut manifest, &cases, &all);

        let mut flow = ranks::simulated(&reader, &pairs(&material.held_out, STREAM + 1), RANKED)?;
        say("ranks of the flow: done");
        let of = |model: &str, case: usize| all.iter().find(|a| a.model == model && a.case == case);
        let (pair, synthetic) = (reader.encoders().entry().name.as_str(), "lrs-mlp-synthetic");
        let shown = [
            ("lamost", of(&manifest.default, 1)),
            ("miles-synthetic-only", of(synthetic, 0)),
            ("desi-simulated", of(&manifest.default, 3)),
            ("xp-simulated", of(pair, 4)),
        ];
        let shown: Vec<(&str, &Answers)> = shown.into_iter().filter_map(|(word, a)| Some((word, a?))).collect();
        let folder = page.parent().unwrap_or(Path::new("")).join("figures");
        let figures = figures::draw(&folder, &cases, &shown, &flow)?;
        flow.extend(ranks::of_case(&reader, default, &cases[0])?);

        let known = pairs(&material.train, STREAM + 2).of_step(0, KNOWN, Want::Lrs)?;
        let known: Vec<Seen> = known.into_iter().map(|p| Seen::lrs(p.lrs, Some(p.snr))).collect();
        let sets = [&cases[2], &cases[1]].map(|case| alarms::plain(default, case, PLANTED));
        let found = alarms::planted(default, &reader, &known, sets.into(), seed + STREAM)?;
        say("planted oddities: done");

        let measured = [
            surveys::table(&manifest),
            surveys::comparison(&manifest, &cases, &all),
            "\n## Spectra unlike the training set\n".into(),
            surveys::false_alarms(&cases, &all),
            found,
            "\n## Posteriors\n".into(),
            ranks::table(&reader.encoders().title(), &flow),
            figures,
        ];
        let of_entry = |entry: &ModelEntry| {
            loaded
                .iter()
                .find(|p| p.entry().name == entry.name)
                .with_context(|| format!("{} is not loaded", entry.name))
        };
        let mut text = report::write(&manifest, &measured.concat(), of_entry, real)?;
        // What `specola experiment` found stays as it is.
        let before = std::fs::read_to_string(page).unwrap_or_default();
        text.push_str(before.find(report::EXPERIMENTS).map_or("", |at| &before[at..]));
        std::fs::write(page, text).with_context(|| format!("writing {}", page.display()))?;
        write_manifest(store.source().path(), &manifest).context("writing the manifest")?;
        Ok(Outcome::Complete)
    }
}
