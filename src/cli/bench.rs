//! `specola bench`: how long this machine takes for what the program does.

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

use super::files::{LoadedFiles, for_each_part};
use super::predict::predict_all;
use super::similarity::{Form, Tools};
use super::{ModelsDir, RunOutcome, finetune, output};
use crate::model::emulator::{EMULATOR_RESOLVING_POWER, Emulator, usual_labels};
use crate::preprocess::resample::FWHM_OVER_SIGMA;
use crate::preprocess::stats::median;
use crate::result::Label;
use crate::result::finetune::{Cell, Settings, Strategy, Task};
use crate::spectrum::Spectrum;
use crate::task::finetune::feature_cache::FeatureCache;
use crate::task::finetune::labelled_set::{LabelledSet, LabelledSpectrum};
use crate::task::finetune::split::Split;
use crate::task::finetune::training::Training;
use crate::task::pipeline::Pipeline;
use crate::task::predict::{LabelInput, Predictor};
use crate::task::similarity::encoders::{self, prepare};
use crate::task::synthetic_model::SyntheticModel;
use crate::train::simulate::{self, IntrinsicSpectrum, survey_like};

/// Simulated stars, also the size of the labelled set.
const STARS: usize = 100;

/// Fewest runs of a case, however long they take.
const FEWEST_RUNS: usize = 3;

/// Time this machine: opening the model, reading, predicting, embedding, fine-tuning
#[derive(Debug, clap::Args)]
pub(super) struct Bench {
    /// Spectra to read, predict and embed [default: 100 simulated LAMOST-like spectra]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Time for each case, s; each case runs three times or more
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    seconds: f64,
    /// Form of the results
    #[arg(long, value_enum, default_value = "csv")]
    format: Form,
    #[command(flatten)]
    models: ModelsDir,
}

impl Bench {
    pub(super) fn run(&self) -> anyhow::Result<RunOutcome> {
        let a_day = 0.0..=86_400.0;
        ensure!(a_day.contains(&self.seconds), "--seconds takes a number of seconds, such as 2");
        let synthetic_model = self.models.emulator()?;
        let (stars, feh) = made_up(synthetic_model.emulator())?;
        let mut out = output::open(None)?;
        if self.format == Form::Csv {
            writeln!(out, "case,spectra,runs,ms_median,ms_fastest,spectra_per_s")?;
        }

        let pipeline = Pipeline::new(Arc::new(self.models.load(None)?.1));
        self.time(&mut out, "open the model", 0, || self.models.load(None))?;
        let mut outcome = RunOutcome::Complete;
        let spectra = if self.files.is_empty() {
            let loaded = |spectrum: &Spectrum| LoadedFiles { file: "made up".into(), spectrum: spectrum.clone() };
            stars.iter().map(loaded).collect()
        } else {
            let start = Instant::now();
            let (spectra, read) = self.read()?;
            self.write(&mut out, "read", spectra.len(), &[start.elapsed()])?;
            outcome = read;
            spectra
        };
        self.time(&mut out, "answer one", 1, || Ok(predict_all(&pipeline, &spectra[..1], false)))?;
        self.time(&mut out, "answer all", spectra.len(), || Ok(predict_all(&pipeline, &spectra, false)))?;
        let tools = Tools::load(&self.models, None)?;
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
        let held = || Ok(block_on(predictor.inputs(&stars, Some(&synthetic_model))));
        self.time(&mut out, "hold against the emulator", STARS, held)?;
        let room = classroom(predictor, &synthetic_model, held()?.into_iter().collect::<Result<_, _>>()?, &feh)?;
        let settings = Settings::default();
        for strategy in [Strategy::Residual, Strategy::Lora, Strategy::Full] {
            self.time(&mut out, &format!("teach, {}", strategy.name()), STARS, || {
                let task = Task { strategy, fold: None, seed: settings.seed, labels: None };
                let split = Split::hold_out(&room.labelled_set, 0.0, None, settings.validation, settings.seed);
                finetune::run(Training::new(room.clone(), task, split, &settings)?)
            })?;
        }
        Ok(outcome)
    }

    /// The user's own spectra.
    fn read(&self) -> anyhow::Result<(Vec<LoadedFiles>, RunOutcome)> {
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

    /// Runs a case once to warm up, then until its time is over, and writes what it took.
    fn time<T>(
        &self,
        out: &mut dyn Write,
        case: &str,
        spectra: usize,
        mut run: impl FnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<()> {
        black_box(run()?);
        let (begun, mut took) = (Instant::now(), Vec::new());
        while took.len() < FEWEST_RUNS || begun.elapsed().as_secs_f64() < self.seconds {
            let start = Instant::now();
            black_box(run()?);
            took.push(start.elapsed());
        }
        self.write(out, case, spectra, &took)
    }

    fn write(&self, out: &mut dyn Write, case: &str, spectra: usize, took: &[Duration]) -> anyhow::Result<()> {
        let mut ms: Vec<f64> = took.iter().map(|t| 1e3 * t.as_secs_f64()).collect();
        let (runs, fastest) = (ms.len(), ms.iter().copied().fold(f64::INFINITY, f64::min));
        let middle = median(&mut ms).unwrap_or(f64::NAN);
        let per_second = (spectra > 0).then(|| 1e3 * spectra as f64 / middle);
        match self.format {
            Form::Csv => {
                let per_second = per_second.map_or(String::new(), |rate| format!("{rate:.1}"));
                writeln!(out, "\"{case}\",{spectra},{runs},{middle:.3},{fastest:.3},{per_second}")?;
            }
            Form::Json => {
                let line = json!({
                    "case": case, "spectra": spectra, "runs": runs,
                    "ms_median": middle, "ms_fastest": fastest, "spectra_per_s": per_second,
                });
                writeln!(out, "{line}")?;
            }
        }
        // A case may take a while: who waits sees the one before.
        Ok(out.flush()?)
    }
}

/// Stars between the grid's nodes as LAMOST would see them, and their [Fe/H].
fn made_up(emulator: &Emulator) -> anyhow::Result<(Vec<Spectrum>, Vec<f64>)> {
    let log10: Vec<f64> = emulator.wave_vac_aa().iter().map(|w| w.log10()).collect();
    let sigma_dex = 1.0 / EMULATOR_RESOLVING_POWER / FWHM_OVER_SIGMA / std::f64::consts::LN_10;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut stars = Vec::new();
    for _ in 0..STARS {
        let (teff_k, feh) = (rng.random_range(4500.0..7000.0), rng.random_range(-2.0..0.4));
        let (labels, _) = usual_labels(teff_k, rng.random_range(1.5..4.8), feh, rng.random_range(0.0..0.4));
        let flux = emulator.flux(&labels);
        let star = IntrinsicSpectrum { log10: &log10, flux: &flux, sigma_dex: Box::new(move |_| sigma_dex) };
        let rv_kms = rng.random_range(-200.0..200.0);
        let circumstances = survey_like(rv_kms, 0.0, &mut rng);
        let input = simulate::spectrum(&star, &circumstances, &mut rng);
        stars.push((input.context("the emulator's spectrum is no spectrum")?, feh));
    }
    Ok(stars.into_iter().unzip())
}

/// The made-up stars with their [Fe/H], before the network.
fn classroom(
    predictor: &Predictor,
    emulator: &SyntheticModel,
    inputs: Vec<LabelInput>,
    feh: &[f64],
) -> anyhow::Result<Rc<FeatureCache>> {
    let example = |(i, (input, feh)): (usize, (LabelInput, &f64))| LabelledSpectrum {
        id: format!("star {i}"),
        group: String::new(),
        input,
        value: Cell::Number(*feh),
        feh: Some(*feh),
        cut: None,
    };
    let examples = inputs.into_iter().zip(feh).enumerate().map(example).collect();
    let labelled_set = LabelledSet::new(Label::Feh.name(), examples);
    let (labelled_set, _) = labelled_set.ok().context("the made-up stars cannot be learned from")?;
    let labelled_set = labelled_set.with_emulator(Some(emulator.title().into()));
    Ok(Rc::new(block_on(FeatureCache::new(predictor, labelled_set, &Device::flex()))?))
}
