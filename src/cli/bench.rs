//! `specola bench`: computing times of the program on this machine.

use std::cell::RefCell;
use std::hint::black_box;
use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use burn::tensor::Device;
use pollster::block_on;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::files::{LoadedSpectrum, for_each_part};
use super::predict::predict_all;
use super::similarity::{EncoderTools, OutputFormat};
use super::{ModelsDir, RunOutcome, finetune, output};
use crate::model::emulator::{EMULATOR_RESOLVING_POWER, Emulator, with_default_labels};
use crate::result::Label;
use crate::result::finetune::{Cell, Settings, Strategy, TrainingRun};
use crate::spectrum::FWHM_OVER_SIGMA;
use crate::spectrum::Spectrum;
use crate::stats::median;
use crate::task::finetune::feature_cache::FeatureCache;
use crate::task::finetune::labelled_set::{LabelCandidate, LabelledSet};
use crate::task::finetune::split::Split;
use crate::task::finetune::training::Training;
use crate::task::pipeline::Pipeline;
use crate::task::predict::{LabelInput, Predictor};
use crate::task::similarity::encoders::{self, prepare};
use crate::train::simulate::{self, IntrinsicSpectrum, survey_like};

/// Number of simulated stars, also the size of the labelled set.
const N_STARS: usize = 100;

/// Smallest number of runs of a case, also of a slow case.
const MIN_RUNS: usize = 3;

/// Measure computing times on this machine: opening the model, reading, predicting, embedding, fine-tuning
#[derive(Debug, clap::Args)]
pub(super) struct Bench {
    /// Spectra to read, predict and embed [default: 100 simulated LAMOST-like spectra]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Time per case, s; each case runs at least three times
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    seconds: f64,
    /// Format of the results
    #[arg(long, value_enum, default_value = "csv")]
    format: OutputFormat,
    #[command(flatten)]
    models: ModelsDir,
}

impl Bench {
    pub(super) fn run(&self) -> anyhow::Result<RunOutcome> {
        let allowed = 0.0..=86_400.0;
        ensure!(allowed.contains(&self.seconds), "--seconds must lie between 0 and 86400");
        let (stars, feh) = simulate_stars(self.models.emulator()?.emulator())?;
        let mut out = output::open(None)?;
        if self.format == OutputFormat::Csv {
            writeln!(out, "case,spectra,runs,ms_median,ms_fastest,spectra_per_s")?;
        }

        let pipeline = Pipeline::new(Arc::new(self.models.load(None)?.1));
        self.time(&mut out, "open the model", 0, || self.models.load(None))?;
        let mut outcome = RunOutcome::Complete;
        let spectra = if self.files.is_empty() {
            let loaded = |spectrum: &Spectrum| LoadedSpectrum { file: "simulated".into(), spectrum: spectrum.clone() };
            stars.iter().map(loaded).collect()
        } else {
            let start = Instant::now();
            let (spectra, read) = self.read()?;
            self.write(&mut out, "read", spectra.len(), &[start.elapsed()])?;
            outcome = read;
            spectra
        };
        self.time(&mut out, "predict one", 1, || Ok(predict_all(&pipeline, &spectra[..1], false)))?;
        self.time(&mut out, "predict all", spectra.len(), || Ok(predict_all(&pipeline, &spectra, false)))?;
        let tools = EncoderTools::load(&self.models, None)?;
        self.time(&mut out, "embed all", spectra.len(), || {
            spectra.chunks(encoders::BATCH).try_for_each(|batch| {
                let batch: Vec<&Spectrum> = batch.iter().map(|loaded| &loaded.spectrum).collect();
                let input = block_on(prepare(&tools.predictor, &batch)).into_iter().flatten().collect();
                black_box(block_on(tools.bundle.encoders.encode(input))?);
                anyhow::Ok(())
            })
        })?;

        let predictor = pipeline.predictor();
        let stars: Vec<&Spectrum> = stars.iter().collect();
        let label_inputs: Result<Vec<LabelInput>, _> = block_on(predictor.inputs(&stars)).into_iter().collect();
        let features = cache_features(predictor, label_inputs?, &feh)?;
        let settings = Settings::default();
        for strategy in [Strategy::Residual, Strategy::Lora, Strategy::Full] {
            self.time(&mut out, &format!("fine-tune, {}", strategy.name()), N_STARS, || {
                let task = TrainingRun { strategy, fold: None, seed: settings.seed, n_labels: None };
                let split = Split::hold_out(&features.labelled_set, 0.0, None, settings.validation, settings.seed);
                finetune::run(Training::new(features.clone(), task, split, &settings)?)
            })?;
        }
        Ok(outcome)
    }

    /// Reads the user's own spectra.
    fn read(&self) -> anyhow::Result<(Vec<LoadedSpectrum>, RunOutcome)> {
        let spectra = RefCell::new(Vec::new());
        let outcome = for_each_part(&self.files, |part, _| {
            spectra.borrow_mut().extend(part);
            Ok(())
        })?;
        let spectra = spectra.into_inner();
        if spectra.is_empty() {
            bail!("none of the files holds a spectrum");
        }
        Ok((spectra, outcome))
    }

    /// Runs a case once to warm up, then repeats it for the given time, and writes the times of the runs.
    fn time<T>(
        &self,
        out: &mut dyn Write,
        case: &str,
        spectra: usize,
        mut run: impl FnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<()> {
        black_box(run()?);
        let (case_start, mut durations) = (Instant::now(), Vec::new());
        while durations.len() < MIN_RUNS || case_start.elapsed().as_secs_f64() < self.seconds {
            let start = Instant::now();
            black_box(run()?);
            durations.push(start.elapsed());
        }
        self.write(out, case, spectra, &durations)
    }

    fn write(&self, out: &mut dyn Write, case: &str, spectra: usize, durations: &[Duration]) -> anyhow::Result<()> {
        let mut ms: Vec<f64> = durations.iter().map(|t| 1e3 * t.as_secs_f64()).collect();
        let (runs, fastest_ms) = (ms.len(), ms.iter().copied().fold(f64::INFINITY, f64::min));
        let median_ms = median(&mut ms).unwrap_or(f64::NAN);
        let per_second = (spectra > 0).then(|| 1e3 * spectra as f64 / median_ms);
        match self.format {
            OutputFormat::Csv => {
                let per_second = per_second.map_or(String::new(), |rate| format!("{rate:.1}"));
                writeln!(out, "\"{case}\",{spectra},{runs},{median_ms:.3},{fastest_ms:.3},{per_second}")?;
            }
            OutputFormat::Json => {
                let line = json!({
                    "case": case, "spectra": spectra, "runs": runs,
                    "ms_median": median_ms, "ms_fastest": fastest_ms, "spectra_per_s": per_second,
                });
                writeln!(out, "{line}")?;
            }
        }
        // A case may take long, so the user sees each result at once.
        Ok(out.flush()?)
    }
}

/// Simulates LAMOST-like spectra of stars between the grid's nodes. Returns them with their [Fe/H].
fn simulate_stars(emulator: &Emulator) -> anyhow::Result<(Vec<Spectrum>, Vec<f64>)> {
    let log10: Vec<f64> = emulator.wave_vac_aa().iter().map(|w| w.log10()).collect();
    let sigma_dex = 1.0 / EMULATOR_RESOLVING_POWER / FWHM_OVER_SIGMA / std::f64::consts::LN_10;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut stars = Vec::new();
    for _ in 0..N_STARS {
        let (teff_k, feh) = (rng.random_range(4500.0..7000.0), rng.random_range(-2.0..0.4));
        let (labels, _) = with_default_labels(teff_k, rng.random_range(1.5..4.8), feh, rng.random_range(0.0..0.4));
        let flux = emulator.flux(&labels);
        let star = IntrinsicSpectrum { log10: &log10, flux: &flux, sigma_dex: Box::new(move |_| sigma_dex) };
        let rv_kms = rng.random_range(-200.0..200.0);
        let conditions = survey_like(rv_kms, 0.0, &mut rng);
        let spectrum = simulate::spectrum(&star, &conditions, &mut rng);
        stars.push((spectrum.context("the emulator's spectrum is invalid")?, feh));
    }
    Ok(stars.into_iter().unzip())
}

/// Features of the simulated stars, labelled with their [Fe/H].
fn cache_features(predictor: &Predictor, inputs: Vec<LabelInput>, feh: &[f64]) -> anyhow::Result<Rc<FeatureCache>> {
    let labelled_spectrum = |(i, (input, feh)): (usize, (LabelInput, &f64))| LabelCandidate {
        id: format!("star {i}"),
        group: String::new(),
        input,
        value: Cell::Number(*feh),
        feh: Some(*feh),
        cut: None,
    };
    let labelled_spectra = inputs.into_iter().zip(feh).enumerate().map(labelled_spectrum).collect();
    let labelled_set = LabelledSet::new(Label::Feh.name(), labelled_spectra);
    let (labelled_set, _) = labelled_set.ok().context("the simulated stars cannot be used for training")?;
    Ok(Rc::new(block_on(FeatureCache::new(predictor, labelled_set, &Device::flex()))?))
}
