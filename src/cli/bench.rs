//! `specola bench`: how long this machine takes for what the program does.

use std::cell::RefCell;
use std::hint::black_box;
use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use burn::tensor::Device;
use pollster::block_on;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::files::{Loaded, for_each_part};
use super::likes::{Form, Tools};
use super::predict::answer_all;
use super::{ModelsDir, Outcome, finetune, output};
use crate::model::emulator::{EMULATOR_RESOLVING_POWER, Emulator, usual_labels};
use crate::preprocess::resample::FWHM_OVER_SIGMA;
use crate::preprocess::stats::median;
use crate::result::Label;
use crate::result::teach::{Cell, Settings, Strategy, Task};
use crate::spectrum::Spectrum;
use crate::task::likes::encode::{self, prepare};
use crate::task::predict::{LabelInput, Predictor};
use crate::task::teach::classroom::Classroom;
use crate::task::teach::lesson::{Example, Lesson};
use crate::task::teach::split::Split;
use crate::task::teach::training::Training;
use crate::train::simulate::{self, Star, survey_like};

/// Made-up stars: as many labels as teaching has.
const STARS: usize = 100;

/// Fewest runs of a case, however long they take.
const FEWEST_RUNS: usize = 3;

/// Time what the program does here: opening the model, reading, answering, embedding, teaching
#[derive(Debug, clap::Args)]
pub(super) struct Bench {
    /// Spectra to read, answer and embed [default: 100 made-up stars as LAMOST would see them]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Time for each case, s; none runs fewer than three times
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    seconds: f64,
    /// Form of the results
    #[arg(long, value_enum, default_value = "csv")]
    format: Form,
    #[command(flatten)]
    models: ModelsDir,
}

impl Bench {
    pub(super) fn run(&self) -> anyhow::Result<Outcome> {
        let a_day = 0.0..=86_400.0;
        ensure!(a_day.contains(&self.seconds), "--seconds takes a number of seconds, such as 2");
        let modeller = self.models.emulator()?;
        let (stars, feh) = made_up(modeller.emulator())?;
        let mut out = output::open(None)?;
        if self.format == Form::Csv {
            writeln!(out, "case,spectra,runs,ms_median,ms_fastest,spectra_per_s")?;
        }

        let mut predictor = self.models.load(None)?.1;
        self.time(&mut out, "open the model", 0, || self.models.load(None))?;
        let mut outcome = Outcome::Complete;
        let spectra = if self.files.is_empty() {
            let loaded = |spectrum: &Spectrum| Loaded { file: "made up".into(), spectrum: spectrum.clone() };
            stars.iter().map(loaded).collect()
        } else {
            let start = Instant::now();
            let (spectra, read) = self.read()?;
            self.write(&mut out, "read", spectra.len(), &[start.elapsed()])?;
            outcome = read;
            spectra
        };
        self.time(&mut out, "answer one", 1, || Ok(answer_all(&predictor, &spectra[..1])))?;
        self.time(&mut out, "answer all", spectra.len(), || Ok(answer_all(&predictor, &spectra)))?;
        let tools = Tools::load(&self.models, None)?;
        self.time(&mut out, "embed all", spectra.len(), || {
            spectra.chunks(encode::BATCH).try_for_each(|batch| {
                let batch: Vec<&Spectrum> = batch.iter().map(|loaded| &loaded.spectrum).collect();
                let seen = block_on(prepare(&tools.predictor, &batch)).into_iter().flatten().collect();
                black_box(block_on(tools.kit.encoders.encode(seen))?);
                anyhow::Ok(())
            })
        })?;

        predictor.emulate(modeller);
        let stars: Vec<&Spectrum> = stars.iter().collect();
        let held = || Ok(block_on(predictor.inputs_to_refine(&stars)));
        self.time(&mut out, "hold against the emulator", STARS, held)?;
        let room = classroom(&predictor, held()?.into_iter().collect::<Result<_, _>>()?, &feh)?;
        let settings = Settings::default();
        for strategy in [Strategy::Residual, Strategy::Lora, Strategy::Full] {
            self.time(&mut out, &format!("teach, {}", strategy.name()), STARS, || {
                let task = Task { strategy, fold: None, seed: settings.seed, labels: None };
                let split = Split::hold_out(&room.lesson, 0.0, None, settings.validation, settings.seed);
                finetune::run(Training::new(room.clone(), task, split, &settings)?)
            })?;
        }
        Ok(outcome)
    }

    /// The user's own spectra.
    fn read(&self) -> anyhow::Result<(Vec<Loaded>, Outcome)> {
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
        let star = Star { log10: &log10, flux: &flux, sigma_dex: Box::new(move |_| sigma_dex) };
        let rv_kms = rng.random_range(-200.0..200.0);
        let circumstances = survey_like(rv_kms, 0.0, &mut rng);
        let seen = simulate::spectrum(&star, &circumstances, &mut rng);
        stars.push((seen.context("the emulator's spectrum is no spectrum")?, feh));
    }
    Ok(stars.into_iter().unzip())
}

/// The made-up stars with their [Fe/H], before the network.
fn classroom(predictor: &Predictor, inputs: Vec<LabelInput>, feh: &[f64]) -> anyhow::Result<Rc<Classroom>> {
    let example = |(i, (input, feh)): (usize, (LabelInput, &f64))| Example {
        id: format!("star {i}"),
        group: String::new(),
        input,
        value: Cell::Number(*feh),
        feh: Some(*feh),
        cut: None,
    };
    let examples = inputs.into_iter().zip(feh).enumerate().map(example).collect();
    let lesson = Lesson::new(Label::Feh.name(), examples);
    let (lesson, _) = lesson.ok().context("the made-up stars cannot be learned from")?;
    let lesson = lesson.held_against(predictor.modeller().map(|m| m.title().into()));
    Ok(Rc::new(block_on(Classroom::new(predictor, lesson, &Device::flex()))?))
}
