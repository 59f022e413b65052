//! `specola evaluate`: accuracy of a model on labelled spectra.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use pollster::block_on;

use super::pretrain::TrainingGrid;
use super::pretrain::encoders::{emulator_in, pairs_of};
use super::{ModelsDir, RunOutcome, output};
use crate::model::manifest::ModelEntry;
use crate::model::publish::write_manifest;
use crate::spectrum::Survey;
use crate::task::predict::Predictor;
use crate::task::similarity::EncoderBundle;
use crate::task::similarity::encoder_set::EncoderSet;
use crate::task::similarity::encoders::EncoderInput;
use crate::train::benchmark::{self, Answers, Route};
use crate::train::benchmark_sets::Case;
use crate::train::evaluate::{EvaluatedSpectrum, join, predict_files, read_table, score};
use crate::train::grid_sampler::RequiredParts;
use crate::train::{model_pages, ood_evaluation, report, sbc};

mod figures;

/// Added to the seed of simulated test stars.
const STREAM: u64 = 60;

/// Stars of the simulation-based calibration.
const SBC_STARS: usize = 2000;

/// Stars of the reference set of the last hidden layer.
const REFERENCE_STARS: usize = 3000;

/// Largest number of spectra of a set that get an injected anomaly.
const INJECTED: usize = 400;

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
    /// Folder of the synthetic grid, for simulated spectra of surveys that have no labelled real ones [default: `grid` next
    /// to the folder of real sets]
    #[arg(long, value_name = "DIR", requires = "real")]
    grid: Option<PathBuf>,
    /// Folder for the report on the standard sets: MODELS.md, and tables and figures in `report`. The accuracies by survey go
    /// into the models' manifest
    #[arg(long, value_name = "DIR", requires = "real")]
    report: Option<PathBuf>,
    #[command(flatten)]
    models: ModelsDir,
}

impl Evaluate {
    /// Prints scores as JSON, or writes the page.
    pub(super) fn run(&self) -> Result<RunOutcome> {
        if let (Some(real), Some(path)) = (&self.real, &self.report) {
            return self.report(real, report_folder(path));
        }
        let (_, predictor) = self.models.load(self.model.as_deref())?;
        let table = read_table(self.labels.as_deref().context("give the labels with --labels")?)?;
        let evaluated = join(predict_files(&predictor, &self.spectra)?, &table);
        let all: Vec<&EvaluatedSpectrum> = evaluated.iter().collect();
        let mut out = output::open(None)?;
        writeln!(out, "{}", serde_json::to_string_pretty(&score(&all, &table, |j| j.id.clone()))?)?;
        out.finish()?;
        Ok(RunOutcome::Complete)
    }

    /// Measures every model on every set.
    fn report(&self, real: &Path, folder: &Path) -> Result<RunOutcome> {
        let mut say = |line: &str| eprintln!("{line}");
        let store = self.models.store();
        let mut manifest = block_on(store.manifest())?;
        let grid = self.grid.clone().unwrap_or_else(|| real.parent().unwrap_or(real).join("grid"));
        let seed = manifest.default_model().map_or(0, |model| model.seed);
        let training_grid = TrainingGrid::read(&grid.join("spectra.npz"), &grid.join("sed.npz"), seed)
            .context("simulated spectra need the synthetic grid; give its folder with --grid")?;
        let emulator = emulator_in(store.source().path())?;
        let pairs = |nodes: &[usize], stream: u64| pairs_of(&training_grid, &emulator, nodes.to_vec(), seed + stream);
        let held_out = pairs(&training_grid.held_out, STREAM);
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
        let reader =
            EncoderSet::new(block_on(EncoderBundle::fetch(&store, None, |_, _, _| {})).map_err(|why| anyhow!(why))?);
        let mut routes: Vec<Route> = loaded.iter().map(Route::Flux).collect();
        routes.push(Route::Embedding(&reader, default));
        let all = benchmark::answers(&routes, &cases, &mut say);
        benchmark::record(&mut manifest, &cases, &all);

        let mut flow = sbc::simulated(&reader, &pairs(&training_grid.held_out, STREAM + 1), SBC_STARS)?;
        say("simulation-based calibration of the flow: done");
        let of = |model: &str, case: usize| all.iter().find(|a| a.model == model && a.case == case);
        let (pair, synthetic) = (reader.encoders().entry().name.as_str(), "lrs-mlp-synthetic");
        let shown = [
            ("lamost", of(&manifest.default, 1)),
            ("miles-synthetic-only", of(synthetic, 0)),
            ("desi-simulated", of(&manifest.default, 3)),
            ("xp-simulated", of(pair, 4)),
        ];
        let shown: Vec<(&str, &Answers)> = shown.into_iter().filter_map(|(word, a)| Some((word, a?))).collect();
        let [figures, rank_figure] = figures::draw(&folder.join("report/figures"), &cases, &shown, &flow)?;
        flow.extend(sbc::of_case(&reader, default, &cases[0])?);

        let known = pairs(&training_grid.train, STREAM + 2).of_step(0, REFERENCE_STARS, RequiredParts::Lrs)?;
        let known: Vec<EncoderInput> = known.into_iter().map(|p| EncoderInput::lrs(p.lrs, Some(p.snr))).collect();
        let sets = [&cases[2], &cases[1]].map(|case| ood_evaluation::plain(default, case, INJECTED));
        let found = ood_evaluation::planted(default, &reader, &known, sets.into(), seed + STREAM)?;
        say("injected anomalies: done");

        let of_entry = |entry: &ModelEntry| {
            loaded
                .iter()
                .find(|p| p.entry().name == entry.name)
                .with_context(|| format!("{} is not loaded", entry.name))
        };
        let accuracy = report::accuracy(&manifest, &benchmark::table(&manifest), of_entry, real)?;
        let tables = [
            ("accuracy", "Accuracy on labelled stars", accuracy + &figures),
            ("routes", "Models side by side", benchmark::comparison(&manifest, &cases, &all)),
            ("ood", "Spectra unlike the training set", benchmark::false_alarms(&cases, &all) + &found),
            ("posteriors", "Posteriors", sbc::table(&reader.encoders().title(), &flow) + &rank_figure),
            ("training", "Measured when the models were made", report::training(&manifest)),
        ];
        let mut files = vec![(folder.join("MODELS.md"), model_pages::pages(&manifest))];
        files.extend(
            tables.map(|(name, title, body)| (folder.join(format!("report/{name}.md")), report::file(title, &body))),
        );
        for (path, text) in files {
            std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        write_manifest(store.source().path(), &manifest).context("writing the manifest")?;
        Ok(RunOutcome::Complete)
    }
}

/// The folder of a report: the given one, or the one that holds the given page.
fn report_folder(path: &Path) -> &Path {
    match path.extension() {
        Some(extension) if extension == "md" => path.parent().unwrap_or(Path::new("")),
        _ => path,
    }
}
