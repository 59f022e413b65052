//! The models that Specola ships: trained on the synthetic grid, then on real stars.
//!
//! 1. The velocity network and the label network learn from simulated observations of the grid's nodes; one node in ten is
//!    held out. Together they are **`lrs-mlp-synthetic`**, which has seen no real star.
//! 2. The label network is fine-tuned on the labelled stars of a library, with survey-like noise and velocities added:
//!    **`lrs-mlp`**. The labels are smoothed over like stars first, and a straight line is put through each output last. Its accuracy and errors are measured by cross-validation, in which stars of one cluster are never on
//!    two sides. The velocity network stays as it is. [α/Fe], which few real stars have, is held where the synthetic
//!    network put it by showing simulated stars, with that label alone, beside the real ones.
//!
//! Each stage leaves its weights in the work folder and is skipped when they are there, so a run that was stopped goes on.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::coverage::quantile;
use super::dataset::{Dataset, LibraryStar, Purpose};
use super::errors::{self, Residual};
use super::fit::{FitConfig, fit, standardisation};
use super::folds::{coverage_of_folds, cross_validated, false_alarms, folds, write_out_of_fold};
use super::grid::Grid;
use super::library::read_labelled;
use super::smooth::smooth_targets;
use super::straighten::straighten;
use super::subspace;
use crate::model::calibration::{ErrorModel, Subspace};
use crate::model::manifest::{Accuracy, Kind, ModelEntry};
use crate::model::publish::publish;
use crate::model::regressor::Regressor;
use crate::model::weights::Tensors;
use crate::preprocess::recipe;
use crate::result::Label;
use crate::spectrum::{Spectrum, Survey};
use crate::task::metrics::Metrics;
use crate::task::predict::Predictor;

/// Widths of the papers' hidden layers.
pub const HIDDEN: [usize; 3] = [1024, 512, 64];

/// Range of Teff in which accuracy on MILES is stated, K: both the grid and the labels are sound there.
pub const TEFF_RANGE_K: (f64, f64) = (4200.0, 7200.0);

/// Labels that the label network gives, and the order of its outputs.
pub(super) const LABELS: [Label; 4] = Grid::LABELS;

/// Share of real stars that the flag for unlike spectra lets pass.
const FAR: f64 = 0.995;

/// How much each label of a real star counts in fine-tuning. In cross-validation on MILES gravities profit from less of it
/// than temperatures and metallicities do: σ(log g) rises again while the others still fall.
const REAL_WEIGHTS: [f32; 4] = [1.0, 0.3, 1.0, 0.5];

/// What to train from and how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `spectra.npz` of the synthetic grid.
    pub grid: PathBuf,
    /// A library of real stars and its labels; without it only the synthetic model is made.
    pub library: Option<(PathBuf, PathBuf)>,
    /// Where stages leave their weights.
    pub work: PathBuf,
    /// Where models are published.
    pub models: PathBuf,
    /// Observations simulated of each node for the velocity network, and passes over them.
    pub rv: Amount,
    /// The same for the label network.
    pub labels: Amount,
    /// The same of each real star, for each member of the average.
    pub real: Amount,
    /// Fine-tuned networks whose weights are averaged: steadier than one.
    pub members: usize,
    /// Folds of the cross-validation.
    pub folds: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// The command line, recorded in the manifest.
    pub command: String,
}

/// How much data and how long.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    /// Simulated observations of each star.
    pub draws: usize,
    /// Passes over them.
    pub epochs: usize,
}

/// Runs what is missing. `say` gets a line for each step.
pub fn run(plan: &Plan, say: &mut dyn FnMut(&str)) -> Result<()> {
    std::fs::create_dir_all(&plan.work)?;
    let device = Device::flex();
    let grid = Grid::read(&plan.grid)?;
    let (train, held_out) = split_nodes(grid.len(), plan.seed);
    say(&format!("grid: {} nodes to learn from, {} held out", train.len(), held_out.len()));

    let rv = stage(plan, "rv", &device, say, |say| {
        let data = Dataset::of_grid(&grid, &train, plan.rv.draws, Purpose::Velocity, plan.seed + 1);
        say(&format!("rv: {} simulated spectra", data.len()));
        let start = standardisation(&data, &HIDDEN, &device);
        Ok(fit(&start, &data, &synthetic_fit(plan.rv, plan.seed), progress("rv", plan.rv.epochs, say))?)
    })?;
    let labels = stage(plan, "labels-synthetic", &device, say, |say| {
        let data = Dataset::of_grid(&grid, &train, plan.labels.draws, Purpose::Labels, plan.seed + 2);
        say(&format!("labels: {} simulated spectra", data.len()));
        let start = standardisation(&data, &HIDDEN, &device);
        Ok(fit(&start, &data, &synthetic_fit(plan.labels, plan.seed), progress("labels", plan.labels.epochs, say))?)
    })?;
    let known = subspace::of(&Dataset::of_grid(&grid, &train, 3, Purpose::Labels, plan.seed + 9), plan.seed);

    let check = Dataset::of_grid(&grid, &held_out, 4, Purpose::Labels, plan.seed + 3);
    let check_rv = Dataset::of_grid(&grid, &held_out, 4, Purpose::Velocity, plan.seed + 4);
    let mut residuals = residuals_of(&labels, &check, &device)?;
    residuals.insert(Label::Rv, velocity_residuals(&rv, &check_rv, &device)?);
    let synthetic = ModelEntry {
        trained_on: format!(
            "synthetic spectra of {} grid nodes (1D LTE) with simulated resolution, velocity, noise and calibration errors; no real star",
            train.len()
        ),
        accuracy: accuracy_of(&residuals, &check, &check_rv, "held-out synthetic nodes, S/N 10–300"),
        errors: residuals.iter().map(|(label, r)| errors::fit(*label, r)).collect(),
        max_distance: quantile(distances(&known, &check), 0.999),
        ..entry("lrs-mlp-synthetic", plan)
    };
    for a in &synthetic.accuracy {
        say(&format!(
            "synthetic, held-out nodes: {} σ {:.4} bias {:+.4} R² {:.4}",
            a.label.symbol(),
            a.sigma,
            a.bias,
            a.r2
        ));
    }
    publish(&plan.models, &bundle(&rv, &labels, &known)?, synthetic.clone(), default_name(plan))?;

    let Some((spectra, table)) = &plan.library else { return Ok(()) };
    let library = read_labelled(spectra, table)?;
    let learned = grid_range(&library.stars);
    say(&format!("library: {} labelled stars in the grid's range", learned.len()));
    let replay = Dataset::of_grid(&grid, &train, 1, Purpose::Labels, plan.seed + 5).only(3);

    let fold_of = folds(&library.stars, &learned, plan.folds, plan.seed);
    let mut out_of_fold: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    let mut residuals: BTreeMap<Label, Vec<Residual>> = BTreeMap::new();
    let mut by_fold: Vec<BTreeMap<Label, Vec<Residual>>> = Vec::new();
    let mut far: Vec<Vec<f64>> = Vec::new();
    for fold in 0..plan.folds {
        let (inside, outside): (Vec<usize>, Vec<usize>) = learned.iter().partition(|s| fold_of[s] != fold);
        let tuned = stage(plan, &format!("labels-fold{fold}"), &device, say, |say| {
            fine_tune(plan, &labels, &library.stars, &inside, &replay, &format!("fold {fold}"), say)
        })?;
        let tuned = straightened(plan, tuned, &library.stars, &inside, &device)?;
        let predictor = Predictor::from_parts(&synthetic, rv.clone(), tuned.clone(), known.clone(), &device);
        let spectra: Vec<&Spectrum> = outside.iter().map(|&s| &library.spectra[s]).collect();
        for (star, prediction) in outside.iter().zip(pollster::block_on(predictor.predict(&spectra))) {
            let Ok(prediction) = prediction else { continue };
            let values = Label::ALL.map(|l| prediction.get(l).map_or(f64::NAN, |e| e.value));
            out_of_fold.insert(*star, values.to_vec());
        }
        let noisy = Dataset::of_library(&library.stars, &outside, 16, Purpose::Labels, plan.seed + 7);
        let of_fold = residuals_of(&tuned, &noisy, &device)?;
        for (label, more) in &of_fold {
            residuals.entry(*label).or_default().extend(more);
        }
        by_fold.push(of_fold);
        far.push(distances(&known, &noisy));
    }
    let moving = Dataset::of_library(&library.stars, &learned, 16, Purpose::Velocity, plan.seed + 8);
    let velocities = velocity_residuals(&rv, &moving, &device)?;
    let rv_accuracy = velocity_accuracy(&velocities, &moving, "MILES stars moved by up to 400 km/s, S/N 10–300");
    residuals.insert(Label::Rv, velocities);

    let tuned = stage(plan, "labels", &device, say, |say| {
        fine_tune(plan, &labels, &library.stars, &learned, &replay, "all", say)
    })?;
    let tuned = straightened(plan, tuned, &library.stars, &learned, &device)?;
    let on = format!("MILES {:.0}–{:.0} K, {}-fold by star and cluster", TEFF_RANGE_K.0, TEFF_RANGE_K.1, plan.folds);
    let real = ModelEntry {
        trained_on: format!(
            "lrs-mlp-synthetic, then {} labelled stars of the MILES library with survey-like noise and velocities added",
            learned.len()
        ),
        accuracy: cross_validated(&library, &out_of_fold, &on).into_iter().chain([rv_accuracy]).collect(),
        figures: coverage_of_folds(&by_fold, &library, &on).into_iter().chain([false_alarms(&far, FAR, &on)]).collect(),
        errors: residuals.iter().map(|(label, r)| errors::fit(*label, r)).collect(),
        max_distance: quantile(far.concat(), FAR),
        ..entry("lrs-mlp", plan)
    };
    for a in &real.accuracy {
        say(&format!("{on}: {} N {} σ {:.4} bias {:+.4} R² {:.4}", a.label.symbol(), a.n, a.sigma, a.bias, a.r2));
    }
    write_out_of_fold(&plan.work.join("out-of-fold.csv"), &library, &out_of_fold)?;
    publish(&plan.models, &bundle(&rv, &tuned, &known)?, real, default_name(plan))?;
    Ok(())
}

/// A trained network from the work folder, or trained and put there.
fn stage(
    plan: &Plan,
    name: &str,
    device: &Device,
    say: &mut dyn FnMut(&str),
    train: impl FnOnce(&mut dyn FnMut(&str)) -> Result<Regressor>,
) -> Result<Regressor> {
    let path = plan.work.join(format!("{name}.safetensors"));
    if let Ok(bytes) = std::fs::read(&path) {
        say(&format!("{name}: taken from {}", path.display()));
        return as_shipped(&bytes, device);
    }
    let began = std::time::Instant::now();
    let trained = train(say).with_context(|| format!("training {name}"))?;
    let bytes = file_of(&trained)?;
    std::fs::write(&path, &bytes)?;
    say(&format!("{name}: done in {:.1} min", began.elapsed().as_secs_f64() / 60.0));
    as_shipped(&bytes, device)
}

fn file_of(network: &Regressor) -> Result<Vec<u8>> {
    let mut tensors = Tensors::default();
    network.store(&mut tensors, "")?;
    Ok(tensors.to_f16_file()?)
}

/// A network from its file, so that what is measured is what is shipped.
fn as_shipped(file: &[u8], device: &Device) -> Result<Regressor> {
    Ok(Regressor::load(&Tensors::parse(file)?, "", device)?)
}

fn progress<'a>(name: &'a str, epochs: usize, say: &'a mut dyn FnMut(&str)) -> impl FnMut(usize, f64) + 'a {
    move |epoch, loss| say(&format!("{name}: epoch {}/{epochs}, loss {loss:.5}", epoch + 1))
}

pub(super) fn synthetic_fit(amount: Amount, seed: u64) -> FitConfig {
    FitConfig {
        epochs: amount.epochs,
        batch: 256,
        lr: 1e-3,
        weight_decay: 1e-2,
        dropout: 0.1,
        line_depth: 0.1,
        blank: 0.3,
        seed,
    }
}

/// Fine-tunes the label network on some stars of a library: the mean of several networks that start from the same weights
/// and see other noise.
fn fine_tune(
    plan: &Plan,
    start: &Regressor,
    stars: &[LibraryStar],
    chosen: &[usize],
    replay: &Dataset,
    name: &str,
    say: &mut dyn FnMut(&str),
) -> Result<Regressor> {
    let mut members = Vec::new();
    for member in 0..plan.members as u64 {
        let seed = plan.seed + 6 + 1000 * member;
        let mut data = Dataset::of_library(stars, chosen, plan.real.draws, Purpose::Labels, seed).weighed(REAL_WEIGHTS);
        let predicted = predict_all(start, &data, &Device::flex())?;
        smooth_targets(&mut data, &predicted);
        data.extend(replay.clone());
        let config = FitConfig {
            epochs: plan.real.epochs,
            batch: 128,
            lr: 3e-4,
            weight_decay: 1e-2,
            dropout: 0.1,
            line_depth: 0.05,
            blank: 0.3,
            seed: plan.seed + member,
        };
        let name = format!("{name}, member {}", member + 1);
        let mut weights = Tensors::default();
        fit(start, &data, &config, progress(&name, plan.real.epochs, say))?.store(&mut weights, "")?;
        members.push(weights);
    }
    let mean = Tensors::mean(&members).context("no member to average")?;
    Ok(Regressor::load(&mean, "", &Device::flex())?)
}

/// The fine-tuned network with a straight line through each output, fitted to the stars that it has learned from.
fn straightened(
    plan: &Plan,
    network: Regressor,
    stars: &[LibraryStar],
    chosen: &[usize],
    device: &Device,
) -> Result<Regressor> {
    let data = Dataset::of_library(stars, chosen, 16, Purpose::Labels, plan.seed + 10);
    let predicted = predict_all(&network, &data, device)?;
    as_shipped(&file_of(&straighten(network, &data, &predicted))?, device)
}

/// Nodes to learn from and one in ten that is held out, by seed; the same in every command.
pub fn split_nodes(n: usize, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let mut nodes: Vec<usize> = (0..n).collect();
    nodes.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let held_out = nodes.split_off(n - n / 10);
    (nodes, held_out)
}

/// Stars whose temperature and gravity the grid covers.
pub(super) fn grid_range(stars: &[LibraryStar]) -> Vec<usize> {
    (0..stars.len()).filter(|&i| (3900.0..=7600.0).contains(&stars[i].labels[0])).collect()
}

pub(super) fn predict_all(network: &Regressor, data: &Dataset, device: &Device) -> Result<Vec<Vec<f64>>> {
    let rows: Vec<usize> = (0..data.len()).collect();
    let mut answers = Vec::with_capacity(rows.len());
    for some in rows.chunks(512) {
        let inputs: Vec<&[f32]> = some.iter().map(|&i| data.input(i)).collect();
        answers.extend(pollster::block_on(network.predict(&inputs, device)).context("no answer from the device")?);
    }
    Ok(answers)
}

fn residuals_of(network: &Regressor, data: &Dataset, device: &Device) -> Result<BTreeMap<Label, Vec<Residual>>> {
    let answers = predict_all(network, data, device)?;
    ensure!(data.k == LABELS.len(), "the data have {} labels", data.k);
    let mut all = BTreeMap::new();
    for (j, label) in LABELS.into_iter().enumerate() {
        let one = (0..data.len()).filter(|i| data.weights[i * data.k + j] > 0.0).map(|i| Residual {
            star: data.star[i],
            snr: f64::from(data.snr[i]).min(1000.0),
            value: answers[i][j] - f64::from(data.targets[i * data.k + j]),
            feh: answers[i][2],
            coverage: f64::from(data.coverage[i]),
        });
        all.insert(label, one.collect());
    }
    Ok(all)
}

/// Residuals of velocities within ±400 km/s.
fn velocity_residuals(network: &Regressor, data: &Dataset, device: &Device) -> Result<Vec<Residual>> {
    let answers = predict_all(network, data, device)?;
    Ok((0..data.len())
        .filter(|&i| data.targets[i].abs() <= 400.0)
        .map(|i| Residual {
            star: data.star[i],
            snr: f64::from(data.snr[i]).min(1000.0),
            value: answers[i][0] - f64::from(data.targets[i]),
            feh: 0.0,
            coverage: f64::from(data.coverage[i]),
        })
        .collect())
}

fn accuracy_of(
    residuals: &BTreeMap<Label, Vec<Residual>>,
    labels: &Dataset,
    velocities: &Dataset,
    on: &str,
) -> Vec<Accuracy> {
    let of_label = |(&label, residuals): (&Label, &Vec<Residual>)| match LABELS.iter().position(|l| *l == label) {
        Some(j) => {
            let truth = (0..labels.len()).map(|i| f64::from(labels.targets[i * labels.k + j]));
            accuracy(label, truth, residuals, on)
        }
        None => velocity_accuracy(residuals, velocities, on),
    };
    residuals.iter().map(of_label).collect()
}

/// Accuracy of velocities within ±400 km/s, for the residuals of [`velocity_residuals`].
fn velocity_accuracy(residuals: &[Residual], data: &Dataset, on: &str) -> Accuracy {
    let truth = (0..data.len()).map(|i| f64::from(data.targets[i])).filter(|t| t.abs() <= 400.0);
    accuracy(Label::Rv, truth, residuals, on)
}

fn accuracy(label: Label, truth: impl Iterator<Item = f64>, residuals: &[Residual], on: &str) -> Accuracy {
    let pairs: Vec<(f64, f64)> = truth.zip(residuals).map(|(t, r)| (t, t + r.value)).collect();
    Accuracy::of(label, on, Survey::LamostLrs, on.contains("synthetic"), &Metrics::of(&pairs))
}

/// True inside [`TEFF_RANGE_K`].
pub fn in_teff_range(teff: f64) -> bool {
    (TEFF_RANGE_K.0..=TEFF_RANGE_K.1).contains(&teff)
}

fn distances(known: &Subspace, data: &Dataset) -> Vec<f64> {
    (0..data.len()).map(|i| known.distance(data.input(i), Some(f64::from(data.snr[i])))).collect()
}

fn bundle(rv: &Regressor, labels: &Regressor, known: &Subspace) -> Result<Vec<u8>> {
    let mut tensors = Tensors::default();
    rv.store(&mut tensors, "rv.")?;
    labels.store(&mut tensors, "labels.")?;
    known.store(&mut tensors, "known.");
    Ok(tensors.to_f16_file()?)
}

fn default_name(plan: &Plan) -> &'static str {
    if plan.library.is_some() { "lrs-mlp" } else { "lrs-mlp-synthetic" }
}

/// What both models share.
fn entry(name: &str, plan: &Plan) -> ModelEntry {
    ModelEntry {
        name: name.into(),
        kind: Kind::Predictor,
        version: 1,
        modality: "lrs".into(),
        labels: Label::ALL.to_vec(),
        recipe: recipe::NAME.into(),
        trained_on: String::new(),
        command: plan.command.clone(),
        seed: plan.seed,
        license: "MIT OR Apache-2.0".into(),
        bytes: 0,
        sha256: String::new(),
        chunks: Vec::new(),
        accuracy: Vec::new(),
        errors: Vec::<ErrorModel>::new(),
        max_distance: f64::INFINITY,
        label_range: vec![
            (Label::Teff, 3950.0, 7550.0),
            (Label::Logg, 0.0, 5.1),
            (Label::Feh, -3.3, 0.5),
            (Label::AlphaFe, -0.25, 0.6),
            (Label::Rv, -450.0, 450.0),
        ],
        ..ModelEntry::default()
    }
}
