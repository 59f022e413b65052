//! Pretraining of the shipped predictors: on the synthetic grid, then on real stars.
//!
//! 1. The velocity network and the label network are trained on simulated observations of the grid's nodes; one node in
//!    ten is held out. Together they are **`lrs-mlp-synthetic`**, which uses no real star.
//! 2. The label network is trained further on the grid corrected by real stars and on real stars: **`lrs-mlp`**
//!    ([`real_training`]). The velocity network stays as it is.
//!
//! Each stage writes its weights into the work folder, and is skipped if they exist. So an interrupted run can be
//! resumed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::dataset::{Dataset, DatasetUse, LibraryEntry};
use super::errors::{self, Residual};
use super::grid::Grid;
use super::pca;
use super::real_training::{self, RealPlan};
use super::train_regressor::{self, TrainConfig, initial_network};
use crate::model::calibration::{ErrorKind, ErrorModel, Subspace};
use crate::model::manifest::{Accuracy, Kind, ModelEntry};
use crate::model::publish::publish;
use crate::model::regressor::Regressor;
use crate::nn::weights::Tensors;
use crate::preprocess::conditioning;
use crate::result::Label;
use crate::spectrum::Survey;
use crate::stats::quantile;
use crate::task::metrics::Metrics;
use crate::whole_file;

/// Widths of the hidden layers, as in the papers.
pub const HIDDEN: [usize; 3] = [1024, 512, 64];

/// Teff range of the stated accuracy, K. Both the grid and the labels are reliable there.
pub const TEFF_RANGE_K: (f64, f64) = (4200.0, 7200.0);

/// Labels of the label network, in the order of its outputs.
pub(super) const NETWORK_LABELS: [Label; 4] = Grid::LABELS;

/// Data, folders and amount of training.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `spectra.npz` of the synthetic grid.
    pub grid: PathBuf,
    /// Real stars; without them the run makes only the synthetic model.
    pub real: Option<RealPlan>,
    /// Folder for the weights of the stages.
    pub work: PathBuf,
    /// Folder of the published models.
    pub models: PathBuf,
    /// Amount of training of the velocity network on simulated nodes.
    pub rv: TrainingAmount,
    /// Amount of training of the label network on simulated nodes.
    pub labels: TrainingAmount,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Command line for the manifest.
    pub command: String,
}

/// Amount of data and length of training.
#[derive(Debug, Clone, Copy)]
pub struct TrainingAmount {
    /// Simulated observations of each star.
    pub draws: usize,
    /// Number of passes over the data.
    pub epochs: usize,
}

/// Runs all stages whose weights are missing, and publishes the models. `log` gets a line for each step.
pub fn run(plan: &Plan, log: &mut dyn FnMut(&str)) -> Result<()> {
    std::fs::create_dir_all(&plan.work)?;
    check_work_folder(plan)?;
    let device = Device::flex();
    let grid = Grid::read(&plan.grid)?;
    let (train, held_out) = split_nodes(grid.len(), plan.seed);
    log(&format!("grid: {} training nodes, {} held-out nodes", train.len(), held_out.len()));

    let rv = stage(plan, "rv", &device, log, |log| {
        let data = Dataset::of_grid(&grid, &train, plan.rv.draws, DatasetUse::Velocity, plan.seed + 1);
        log(&format!("rv: {} simulated spectra", data.len()));
        let start = initial_network(&data, &HIDDEN, &device);
        Ok(train_regressor::train(
            &start,
            &data,
            &synthetic_config(plan.rv, plan.seed),
            progress("rv", plan.rv.epochs, log),
        )?)
    })?;
    let labels = stage(plan, "labels-synthetic", &device, log, |log| {
        let data = Dataset::of_grid(&grid, &train, plan.labels.draws, DatasetUse::Labels, plan.seed + 2);
        log(&format!("labels: {} simulated spectra", data.len()));
        let start = initial_network(&data, &HIDDEN, &device);
        Ok(train_regressor::train(
            &start,
            &data,
            &synthetic_config(plan.labels, plan.seed),
            progress("labels", plan.labels.epochs, log),
        )?)
    })?;
    let training_subspace =
        pca::training_subspace(&Dataset::of_grid(&grid, &train, 3, DatasetUse::Labels, plan.seed + 9), plan.seed);

    let check = Dataset::of_grid(&grid, &held_out, 4, DatasetUse::Labels, plan.seed + 3);
    let check_rv = Dataset::of_grid(&grid, &held_out, 4, DatasetUse::Velocity, plan.seed + 4);
    let mut residuals = residuals_of(&labels, &check, &device)?;
    residuals.insert(Label::Rv, velocity_residuals(&rv, &check_rv, &device)?);
    let synthetic = ModelEntry {
        trained_on: format!(
            "synthetic spectra of {} grid nodes (1D LTE) with simulated resolution, velocity, noise and calibration errors; no real star",
            train.len()
        ),
        accuracy: accuracy_of(&residuals, &check, &check_rv, "held-out synthetic nodes, S/N 10–300"),
        errors: residuals.iter().map(|(label, r)| errors::fit(*label, r)).collect(),
        max_distance: quantile(distances(&training_subspace, &check), 0.999).unwrap_or(f64::NAN),
        ..entry("lrs-mlp-synthetic", plan)
    };
    for a in &synthetic.accuracy {
        log(&format!(
            "synthetic, held-out nodes: {} σ {:.4} bias {:+.4} R² {:.4}",
            a.label.symbol(),
            a.sigma,
            a.bias,
            a.r2
        ));
    }
    publish(&plan.models, &bundle(&rv, &labels, &training_subspace)?, synthetic.clone(), default_name(plan))?;

    match &plan.real {
        None => Ok(()),
        Some(real) => {
            real_training::run(plan, real, &Synthetic { grid, nodes: train, rv, labels, entry: synthetic }, log)
        }
    }
}

/// What the stages without real stars give.
pub(super) struct Synthetic {
    pub grid: Grid,
    /// The training nodes.
    pub nodes: Vec<usize>,
    pub rv: Regressor,
    pub labels: Regressor,
    pub entry: ModelEntry,
}

/// Refuses a work folder with stages of another command: they would be taken for this one's.
fn check_work_folder(plan: &Plan) -> Result<()> {
    let path = plan.work.join("mlp.command");
    match std::fs::read_to_string(&path) {
        Ok(earlier) => ensure!(
            earlier == plan.command,
            "{} has stages of another command, `{earlier}`; choose another folder with --work, or delete this one",
            plan.work.display()
        ),
        Err(_) => whole_file::write(&path, plan.command.as_bytes())?,
    }
    Ok(())
}

/// Reads a trained network from the work folder, or trains it and writes it there.
pub(super) fn stage(
    plan: &Plan,
    name: &str,
    device: &Device,
    log: &mut dyn FnMut(&str),
    train: impl FnOnce(&mut dyn FnMut(&str)) -> Result<Regressor>,
) -> Result<Regressor> {
    let path = plan.work.join(format!("{name}.safetensors"));
    if let Ok(bytes) = std::fs::read(&path) {
        log(&format!("{name}: read from {}", path.display()));
        return as_shipped(&bytes, device);
    }
    let started = std::time::Instant::now();
    let trained = train(log).with_context(|| format!("training {name}"))?;
    let bytes = file_of(&trained)?;
    whole_file::write(&path, &bytes)?;
    log(&format!("{name}: done in {:.1} min", started.elapsed().as_secs_f64() / 60.0));
    as_shipped(&bytes, device)
}

fn file_of(network: &Regressor) -> Result<Vec<u8>> {
    let mut tensors = Tensors::default();
    network.store(&mut tensors, "")?;
    Ok(tensors.to_f16_file()?)
}

/// Reads a network from the bytes of its file, so that the measured network is the shipped one.
fn as_shipped(file: &[u8], device: &Device) -> Result<Regressor> {
    Ok(Regressor::load(&Tensors::parse(file)?, "", device)?)
}

pub(super) fn progress<'a>(name: &'a str, epochs: usize, log: &'a mut dyn FnMut(&str)) -> impl FnMut(usize, f64) + 'a {
    move |epoch, loss| log(&format!("{name}: epoch {}/{epochs}, loss {loss:.5}", epoch + 1))
}

pub(super) fn synthetic_config(amount: TrainingAmount, seed: u64) -> TrainConfig {
    TrainConfig {
        epochs: amount.epochs,
        batch: 256,
        lr: 1e-3,
        weight_decay: 1e-2,
        dropout: 0.1,
        line_depth: 0.1,
        ripple: 0.0,
        blank: 0.3,
        seed,
    }
}

/// Splits the nodes into training nodes and held-out nodes (one in ten). The split depends only on the seed, so all
/// commands share it.
pub fn split_nodes(n: usize, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let mut nodes: Vec<usize> = (0..n).collect();
    nodes.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let held_out = nodes.split_off(n - n / 10);
    (nodes, held_out)
}

/// Indices of the stars with Teff in the grid's range, 3900–7600 K.
pub(super) fn grid_range(stars: &[LibraryEntry]) -> Vec<usize> {
    (0..stars.len()).filter(|&i| (3900.0..=7600.0).contains(&stars[i].labels[0])).collect()
}

pub(super) fn predict_all(network: &Regressor, data: &Dataset, device: &Device) -> Result<Vec<Vec<f64>>> {
    let rows: Vec<usize> = (0..data.len()).collect();
    let mut predictions = Vec::with_capacity(rows.len());
    for chunk in rows.chunks(512) {
        let inputs: Vec<&[f32]> = chunk.iter().map(|&i| data.input(i)).collect();
        predictions.extend(
            pollster::block_on(network.predict(&inputs, device)).context("the device returned no predictions")?,
        );
    }
    Ok(predictions)
}

pub(super) fn residuals_of(
    network: &Regressor,
    data: &Dataset,
    device: &Device,
) -> Result<BTreeMap<Label, Vec<Residual>>> {
    let predictions = predict_all(network, data, device)?;
    ensure!(data.k == NETWORK_LABELS.len(), "the data have {} labels, expected {}", data.k, NETWORK_LABELS.len());
    let mut all = BTreeMap::new();
    for (j, label) in NETWORK_LABELS.into_iter().enumerate() {
        // A finite S/N also for spectra without noise.
        let label_residuals = (0..data.len()).filter(|i| data.weights[i * data.k + j] > 0.0).map(|i| Residual {
            star: data.star[i],
            snr: f64::from(data.snr[i]).min(1000.0),
            value: predictions[i][j] - f64::from(data.targets[i * data.k + j]),
            kind: ErrorKind {
                survey: Survey::Miles,
                teff_k: predictions[i][0],
                logg: predictions[i][1],
                feh: predictions[i][2],
            },
            coverage: f64::from(data.coverage[i]),
        });
        all.insert(label, label_residuals.collect());
    }
    Ok(all)
}

/// Residuals of velocities within ±400 km/s, in km/s.
pub(super) fn velocity_residuals(network: &Regressor, data: &Dataset, device: &Device) -> Result<Vec<Residual>> {
    let predictions = predict_all(network, data, device)?;
    Ok((0..data.len())
        .filter(|&i| data.targets[i].abs() <= 400.0)
        .map(|i| Residual {
            star: data.star[i],
            snr: f64::from(data.snr[i]).min(1000.0),
            value: predictions[i][0] - f64::from(data.targets[i]),
            kind: ErrorKind { survey: Survey::Miles, teff_k: f64::NAN, logg: f64::NAN, feh: f64::NAN },
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
    let of_label = |(&label, residuals): (&Label, &Vec<Residual>)| match NETWORK_LABELS.iter().position(|l| *l == label)
    {
        Some(j) => {
            let truth = (0..labels.len()).map(|i| f64::from(labels.targets[i * labels.k + j]));
            accuracy(label, truth, residuals, on)
        }
        None => velocity_accuracy(residuals, velocities, on),
    };
    residuals.iter().map(of_label).collect()
}

/// Accuracy of velocities within ±400 km/s, for the residuals of [`velocity_residuals`].
pub(super) fn velocity_accuracy(residuals: &[Residual], data: &Dataset, on: &str) -> Accuracy {
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

pub(super) fn distances(training_subspace: &Subspace, data: &Dataset) -> Vec<f64> {
    (0..data.len()).map(|i| training_subspace.distance(data.input(i), Some(f64::from(data.snr[i])))).collect()
}

pub(super) fn bundle(rv: &Regressor, labels: &Regressor, training_subspace: &Subspace) -> Result<Vec<u8>> {
    let mut tensors = Tensors::default();
    rv.store(&mut tensors, "rv.")?;
    labels.store(&mut tensors, "labels.")?;
    // Arrays of the training subspace; the prefix stays, because existing files have it.
    training_subspace.store(&mut tensors, "known.");
    Ok(tensors.to_f16_file()?)
}

pub(super) fn default_name(plan: &Plan) -> &'static str {
    if plan.real.is_some() { "lrs-mlp" } else { "lrs-mlp-synthetic" }
}

/// Manifest entry with the fields that both models share.
pub(super) fn entry(name: &str, plan: &Plan) -> ModelEntry {
    ModelEntry {
        name: name.into(),
        kind: Kind::Predictor,
        version: 1,
        modality: "lrs".into(),
        labels: Label::ALL.to_vec(),
        recipe: conditioning::RECIPE_NAME.into(),
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
