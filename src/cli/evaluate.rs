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
use crate::model::store::MANIFEST;
use crate::spectrum::Survey;
use crate::task::predict::Predictor;
use crate::task::similarity::EncoderBundle;
use crate::task::similarity::encoder_set::EncoderSet;
use crate::task::similarity::encoders::EncoderInput;
use crate::task::xp_model::XpModel;
use crate::train::benchmark::{self, Route, RoutePredictions};
use crate::train::benchmark_sets::BenchmarkSet;
use crate::train::evaluate::{EvaluatedSpectrum, join, predict_files, read_table, score};
use crate::train::grid_sampler::RequiredParts;
use crate::train::xp::stars::XpStars;
use crate::train::xp::unusual;
use crate::train::{calspec, model_pages, ood_evaluation, report, sbc};
use crate::whole_file;

mod figures;

/// Offset of the seed for simulated test stars.
const SEED_OFFSET: u64 = 60;

/// Number of stars for the simulation-based calibration.
const SBC_STARS: usize = 2000;

/// Number of stars in the reference set of the last hidden layer.
const REFERENCE_STARS: usize = 3000;

/// Largest number of spectra in a set that get an injected anomaly.
const INJECTED: usize = 400;

/// Measure the accuracy of a model on spectra with known labels
#[derive(Debug, Args)]
pub(super) struct Evaluate {
    /// Model to measure [default: the manifest's]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Spectra
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "labels", required_unless_present = "real")]
    spectra: Vec<PathBuf>,
    /// Labels of the spectra, CSV, joined by id
    #[arg(long, value_name = "TABLE", requires = "spectra")]
    labels: Option<PathBuf>,
    /// Folder of the standard real sets: measure every model on all of them
    #[arg(long, value_name = "DIR", requires = "report", conflicts_with = "spectra")]
    real: Option<PathBuf>,
    /// Folder of the synthetic grid, for simulated spectra of surveys without labelled real spectra [default: `grid`
    /// next to the folder of real sets]
    #[arg(long, value_name = "DIR", requires = "real")]
    grid: Option<PathBuf>,
    /// Folder for the report on the standard sets: MODELS.md, and tables and figures in `report`. The manifest of the
    /// models gets the accuracies by survey
    #[arg(long, value_name = "DIR", requires = "real")]
    report: Option<PathBuf>,
    #[command(flatten)]
    models: ModelsDir,
}

impl Evaluate {
    /// Prints scores as JSON, or writes the report.
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

    /// Measures every model on every set, and writes the report.
    fn report(&self, real: &Path, folder: &Path) -> Result<RunOutcome> {
        let mut log = |line: &str| eprintln!("{line}");
        let store = self.models.store();
        std::fs::create_dir_all(folder.join("report")).with_context(|| format!("making {}", folder.display()))?;
        let manifest_file = store.source().path().join(MANIFEST);
        let _lock = whole_file::lock(&manifest_file, || log("waiting for another run that changes the manifest"))
            .with_context(|| manifest_file.display().to_string())?;
        let mut manifest = block_on(store.manifest())?;
        let grid = self.grid.clone().unwrap_or_else(|| real.parent().unwrap_or(real).join("grid"));
        let seed = manifest.default_model().map_or(0, |model| model.seed);
        let training_grid = TrainingGrid::read(&grid.join("spectra.npz"), &grid.join("sed.npz"), seed)
            .context("simulated spectra need the synthetic grid; give its folder with --grid")?;
        let emulator = emulator_in(store.source().path())?;
        let pairs =
            |nodes: &[usize], stream: u64| pairs_of(&training_grid, &emulator, nodes.to_vec(), seed + stream, None);
        let held_out = pairs(&training_grid.held_out, SEED_OFFSET);
        let simulated = |survey| BenchmarkSet::simulated(&held_out.population, survey, seed + SEED_OFFSET);
        let xp_stars = XpStars::read(&real.join("gaia_xp_apogee.npz"), seed)?;
        let sets = vec![
            BenchmarkSet::standard(real, "miles", "MILES, real stars", Survey::Miles)?,
            BenchmarkSet::standard(
                real,
                "lamost_lrs",
                "LAMOST, real stars, its own pipeline's labels",
                Survey::LamostLrs,
            )?,
            simulated(Survey::LamostLrs)?,
            simulated(Survey::Desi)?,
            BenchmarkSet::apogee(&xp_stars),
        ];

        let loaded: Vec<Predictor> =
            manifest.predictors().map(|entry| Ok(self.models.load(Some(&entry.name))?.1)).collect::<Result<_>>()?;
        let default = loaded.iter().find(|p| p.entry().name == manifest.default).context("no default model")?;
        let encoder_set =
            EncoderSet::new(block_on(EncoderBundle::fetch(&store, None, |_, _, _| {})).map_err(|why| anyhow!(why))?);
        let mut routes: Vec<Route> = loaded.iter().map(Route::Flux).collect();
        routes.push(Route::Embedding(&encoder_set, default));
        let all = benchmark::predict_all(&routes, &sets, &mut log);
        benchmark::record(&mut manifest, &sets, &all);

        let mut flow = sbc::simulated(&encoder_set, &pairs(&training_grid.held_out, SEED_OFFSET + 1), SBC_STARS)?;
        log("simulation-based calibration of the flow: done");
        let of = |model: &str, index: usize| all.iter().find(|a| a.model == model && a.set_index == index);
        let (pair, synthetic) = (encoder_set.encoders().entry().name.as_str(), "lrs-mlp-synthetic");
        let shown = [
            ("lamost", of(&manifest.default, 1)),
            ("miles-synthetic-only", of(synthetic, 0)),
            ("desi-simulated", of(&manifest.default, 3)),
            ("xp-apogee", of(pair, 4)),
        ];
        let shown: Vec<(&str, &RoutePredictions)> =
            shown.into_iter().filter_map(|(word, a)| Some((word, a?))).collect();
        let [figures, rank_figure] = figures::draw(&folder.join("report/figures"), &sets, &shown, &flow)?;
        flow.extend(sbc::of_set(&encoder_set, default, &sets[0])?);

        let training_like =
            pairs(&training_grid.train, SEED_OFFSET + 2).of_step(0, REFERENCE_STARS, RequiredParts::Lrs)?;
        let training_like: Vec<EncoderInput> =
            training_like.into_iter().map(|p| EncoderInput::lrs(p.lrs, Some(p.snr))).collect();
        let normal_sets = [&sets[2], &sets[1]].map(|set| ood_evaluation::normal_set(default, set, INJECTED));
        let anomalies = ood_evaluation::evaluate_injected(
            default,
            &encoder_set,
            &training_like,
            normal_sets.into(),
            seed + SEED_OFFSET,
        )?;
        log("injected anomalies: done");
        let xp_model = block_on(XpModel::fetch(&store, |_, _| {})).map_err(|why| anyhow!(why))?;
        let unusual_xp = unusual::flagged(&xp_model, &xp_stars, seed + SEED_OFFSET);

        let of_entry = |entry: &ModelEntry| {
            loaded
                .iter()
                .find(|p| p.entry().name == entry.name)
                .with_context(|| format!("{} is not loaded", entry.name))
        };
        let accuracy = report::accuracy(&manifest, &benchmark::table(&manifest), of_entry, real)?;
        let tables = [
            ("accuracy", "Accuracy on labelled stars", accuracy + &figures),
            ("routes", "Models side by side", benchmark::comparison(&manifest, &sets, &all)),
            ("ood", "Spectra unlike the training set", benchmark::false_alarms(&sets, &all) + &anomalies + &unusual_xp),
            ("posteriors", "Posteriors", sbc::table(&encoder_set.encoders().title(), &flow) + &rank_figure),
            ("training", "Measured when the models were made", report::training(&manifest)),
            ("calspec", "CALSPEC stars from Gaia XP coefficients", calspec::body(&calspec::stars(real, &xp_model)?)),
        ];
        let mut files = vec![(folder.join("MODELS.md"), model_pages::pages(&manifest))];
        files.extend(
            tables.map(|(name, title, body)| (folder.join(format!("report/{name}.md")), report::file(title, &body))),
        );
        for (path, text) in files {
            whole_file::write(&path, text.as_bytes()).with_context(|| format!("writing {}", path.display()))?;
        }
        write_manifest(store.source().path(), &manifest).context("writing the manifest")?;
        Ok(RunOutcome::Complete)
    }
}

/// Folder of a report: the given folder, or the folder of the given file.
fn report_folder(path: &Path) -> &Path {
    match path.extension() {
        Some(extension) if extension == "md" => path.parent().unwrap_or(Path::new("")),
        _ => path,
    }
}
