//! Training of the emulator: principal components of the nodes' spectra, then a network from labels to coefficients.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use serde::Serialize;

use super::grid::{Grid, PARAMETERS, Seds};
use super::objectives::emulator::{EmulatorMlp, EmulatorNodes, Nodes};
use super::pca;
use super::training_loop::{self, Progress, Schedule};
use crate::model::emulator::{Basis, EMULATOR_LABELS, Emulator, features};
use crate::nn::weights::Tensors;
use crate::stats::{median, quantile};

/// Size of the emulator and length of its training.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EmulatorPlan {
    /// Number of components of flux over continuum.
    pub lines: usize,
    /// Number of components of the continuum.
    pub continuum: usize,
    /// Number of components of the spectral energy distribution.
    pub sed: usize,
    /// Widths of the network's hidden layers.
    pub hidden: Vec<usize>,
    /// Nodes in one training step.
    pub batch: usize,
    /// Steps, learning rate and seed.
    pub schedule: Schedule,
}

impl EmulatorPlan {
    /// The plan of the shipped emulator.
    pub fn shipped(steps: usize, seed: u64) -> Self {
        let schedule = Schedule {
            steps,
            warmup: steps / 20,
            rate: 2e-3,
            weight_decay: 1e-4,
            beta_2: 0.999,
            clip: None,
            every: 500,
            seed,
        };
        Self { lines: 100, continuum: 10, sed: 30, hidden: vec![256; 3], batch: 512, schedule }
    }
}

/// Trains the emulator. `nodes` are the training nodes and the held-out nodes for the check loss. Returns the arrays of
/// the model file.
pub fn fit(
    grid: &Grid,
    seds: &Seds,
    nodes: (&[usize], &[usize]),
    plan: &EmulatorPlan,
    folder: &Path,
    device: &Device,
    on_progress: &mut dyn FnMut(Progress<'_>) -> Result<()>,
) -> Result<Tensors> {
    let (train, held_out) = nodes;
    let seed = plan.schedule.seed;
    let pixels = grid.log10_vac.len();
    let lines = train.iter().flat_map(|&i| grid.normalised(i).iter().copied()).collect();
    let (lines, lines_of) = pca::fit(lines, pixels, plan.lines, seed, device);
    let continuum = train.iter().flat_map(|&i| ln_relative(grid.continuum(i))).collect();
    let (continuum, continuum_of) = pca::fit(continuum, grid.continuum_points(), plan.continuum, seed + 1, device);
    let with_sed: Vec<usize> = train.iter().copied().filter(|&i| seds.get(i).is_some()).collect();
    ensure!(
        with_sed.len() > 1,
        "fewer than two training nodes have an energy distribution in sed.npz; use the sed.npz that belongs to this spectra.npz"
    );
    let sed = with_sed.iter().filter_map(|&i| seds.get(i)).flat_map(ln_relative).collect();
    let (sed, sed_of) = pca::fit(sed, seds.wave_nm.len(), plan.sed, seed + 2, device);

    let standard = standardisation(grid, train);
    let mut rows = with_sed.iter().zip(sed_of.chunks(sed.len())).peekable();
    let mut train_nodes = Nodes::default();
    let weights: [Vec<f32>; 3] = [&lines, &continuum, &sed].map(weights);
    for (n, &node) in train.iter().enumerate() {
        let of = |all: &[f32], basis: &Basis| all[n * basis.len()..(n + 1) * basis.len()].to_vec();
        let sed_coefficients = rows.next_if(|(i, _)| **i == node).map(|(_, c)| c.to_vec());
        push(
            &mut train_nodes,
            grid,
            node,
            &standard,
            &weights,
            [Some(of(&lines_of, &lines)), Some(of(&continuum_of, &continuum)), sed_coefficients],
        );
    }
    let mut check_nodes = Nodes::default();
    for &node in held_out {
        let coefficients = [
            Some(project(&lines, grid.normalised(node))),
            Some(project(&continuum, &ln_relative(grid.continuum(node)))),
            seds.get(node).map(|flux| project(&sed, &ln_relative(flux))),
        ];
        push(&mut check_nodes, grid, node, &standard, &weights, coefficients);
    }
    let mut widths = vec![EMULATOR_LABELS];
    widths.extend(&plan.hidden);
    widths.push(train_nodes.k);
    let objective = EmulatorNodes { train: train_nodes, held_out: check_nodes, batch: plan.batch, seed };
    let recipe = serde_json::to_string(plan)?;
    let start = |device: &Device| Ok(EmulatorMlp::new(&widths, device));
    let network = training_loop::run(&objective, start, &plan.schedule, &recipe, folder, device, on_progress)?;
    let mut tensors = Tensors::default();
    network.store(&mut tensors)?;
    Emulator::store_bases(&mut tensors, &standard, &lines, &continuum, &sed);
    Ok(tensors)
}

/// ln of a positive curve over its mean.
pub fn ln_relative(flux: &[f32]) -> Vec<f32> {
    let mean = flux.iter().map(|f| f64::from(*f)).sum::<f64>() / flux.len().max(1) as f64;
    flux.iter().map(|f| (f64::from(*f).max(1e-30) / mean).ln() as f32).collect()
}

fn standardisation(grid: &Grid, nodes: &[usize]) -> [(f32, f32); PARAMETERS] {
    std::array::from_fn(|j| {
        let values: Vec<f64> = nodes.iter().map(|&i| f64::from(features(&grid.parameters[i])[j])).collect();
        let (mean, std) = crate::stats::mean_and_std(&values);
        // A label that all nodes share has no information. A scale of 1 avoids a huge input where a star's label
        // differs.
        (mean as f32, if std > 1e-4 { std as f32 } else { 1.0 })
    })
}

/// Coefficients of a curve by projection; the components are orthogonal.
fn project(basis: &Basis, curve: &[f32]) -> Vec<f32> {
    let component = |c: &[f32]| {
        let projection: f32 = c.iter().zip(curve.iter().zip(&basis.mean)).map(|(c, (v, m))| c * (v - m)).sum();
        projection / c.iter().map(|c| c * c).sum::<f32>()
    };
    basis.components.chunks_exact(basis.mean.len()).map(component).collect()
}

/// Weights of the coefficients in the loss: proportional to the length of each component, with a sum of 1 for each
/// block.
///
/// The squared length would measure the error in flux; equal weights would ignore it. The length lies between both, so
/// that the fit does not sacrifice the fine structure of lines for the coarse structure.
fn weights(basis: &Basis) -> Vec<f32> {
    let lengths = basis.components.chunks_exact(basis.mean.len()).map(|c| c.iter().map(|v| v * v).sum::<f32>().sqrt());
    let lengths: Vec<f32> = lengths.collect();
    let all: f32 = lengths.iter().sum();
    lengths.iter().map(|l| l / all).collect()
}

fn push(
    to: &mut Nodes,
    grid: &Grid,
    node: usize,
    standard: &[(f32, f32)],
    weights: &[Vec<f32>; 3],
    coefficients: [Option<Vec<f32>>; 3],
) {
    let labels = features(&grid.parameters[node]);
    to.labels.extend(labels.iter().zip(standard).map(|(v, (mean, scale))| (v - mean) / scale));
    to.k = weights.iter().map(Vec::len).sum();
    for (weights, coefficients) in weights.iter().zip(coefficients) {
        match coefficients {
            Some(coefficients) => {
                to.weights.extend(weights);
                to.targets.extend(coefficients);
            }
            None => {
                to.weights.extend(weights.iter().map(|_| 0.0));
                to.targets.extend(weights.iter().map(|_| 0.0));
            }
        }
    }
}

/// Error of the emulator on held-out nodes in one region of the labels. Each value is the median over nodes of the rms
/// over wavelength.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegionError {
    /// The region of the labels, as text.
    pub region: String,
    /// Number of nodes in the region.
    pub n: usize,
    /// Error of flux over continuum at R = 5000.
    pub lines: f64,
    /// Error of flux over continuum, smoothed to R ≈ 1800.
    pub lines_1800: f64,
    /// The 95th percentile over nodes of `lines_1800`.
    pub lines_1800_worst: f64,
    /// Relative error of the continuum's shape.
    pub continuum: f64,
    /// Relative error of the shape of the spectral energy distribution; NaN without one.
    pub sed: f64,
}

/// Measures the emulator on held-out nodes: on all, and by Teff, log g, [Fe/H] and [C/Fe].
pub fn measure(emulator: &Emulator, grid: &Grid, seds: &Seds, held_out: &[usize]) -> Vec<RegionError> {
    use rayon::prelude::*;
    let node_errors: Vec<[f64; 4]> = held_out
        .par_iter()
        .map(|&node| {
            let predicted = emulator.spectrum(&grid.parameters[node]);
            let lines: Vec<f64> =
                predicted.lines.iter().zip(grid.normalised(node)).map(|(a, b)| f64::from(a - b)).collect();
            let rms_of_ln = |predicted: &[f32], expected: &[f32]| {
                let expected = ln_relative(expected);
                let residuals: Vec<f64> = predicted.iter().zip(&expected).map(|(a, b)| f64::from(a.ln() - b)).collect();
                rms(&residuals)
            };
            let sed = seds.get(node).map_or(f64::NAN, |flux| rms_of_ln(&predicted.sed, flux));
            [rms(&lines), rms(&smoothed(&lines)), rms_of_ln(&predicted.continuum, grid.continuum(node)), sed]
        })
        .collect();
    type InRegion = fn(&[f64; PARAMETERS]) -> bool;
    let regions: [(&str, InRegion); 9] = [
        ("all", |_| true),
        ("Teff < 4500 K", |p| p[0] < 4500.0),
        ("4500–5500 K", |p| (4500.0..5500.0).contains(&p[0])),
        ("5500–6500 K", |p| (5500.0..6500.0).contains(&p[0])),
        ("Teff ≥ 6500 K", |p| p[0] >= 6500.0),
        ("giants (log g < 3.5)", |p| p[1] < 3.5),
        ("dwarfs (log g ≥ 3.5)", |p| p[1] >= 3.5),
        ("[Fe/H] < −1", |p| p[2] < -1.0),
        ("[C/Fe] > 0.4", |p| p[4] > 0.4),
    ];
    let region_error = |(region, is_inside): (&str, InRegion)| {
        let chosen: Vec<&[f64; 4]> = held_out
            .iter()
            .zip(&node_errors)
            .filter(|(node, _)| is_inside(&grid.parameters[**node]))
            .map(|(_, e)| e)
            .collect();
        let median_of = |j: usize| median(&mut chosen.iter().map(|e| e[j]).collect()).unwrap_or(f64::NAN);
        RegionError {
            region: region.into(),
            n: chosen.len(),
            lines: median_of(0),
            lines_1800: median_of(1),
            lines_1800_worst: quantile(chosen.iter().map(|e| e[1]), 0.95).unwrap_or(f64::NAN),
            continuum: median_of(2),
            sed: median_of(3),
        }
    };
    regions.into_iter().map(region_error).collect()
}

/// The errors as a Markdown table.
pub fn table(errors: &[RegionError]) -> String {
    let mut page = String::from(
        "| region | nodes | lines, R 5000 | lines, R 1800 | 95 % of nodes | continuum | energy distribution |\n|---|---|---|---|---|---|---|\n",
    );
    for e in errors {
        let _ = writeln!(
            page,
            "| {} | {} | {:.4} | {:.4} | {:.4} | {:.4} | {:.4} |",
            e.region, e.n, e.lines, e.lines_1800, e.lines_1800_worst, e.continuum, e.sed
        );
    }
    page
}

fn rms(values: &[f64]) -> f64 {
    (values.iter().map(|v| v * v).sum::<f64>() / values.len().max(1) as f64).sqrt()
}

/// Smooths from R = 5000 to about R = 1800: a Gaussian of FWHM 2.5 Å on the grid's pixels of 0.3 Å.
fn smoothed(values: &[f64]) -> Vec<f64> {
    let sigma = 2.5 / 2.355 / 0.3;
    let taps: Vec<f64> = (-12..=12).map(|k| (-0.5 * (f64::from(k) / sigma).powi(2)).exp()).collect();
    let all: f64 = taps.iter().sum();
    values.windows(taps.len()).map(|w| w.iter().zip(&taps).map(|(v, t)| v * t).sum::<f64>() / all).collect()
}

/// Reads the emulator from a published model file.
pub fn parse(file: &[u8]) -> Result<Emulator> {
    Emulator::load(&Tensors::parse(file)?)
        .context("cannot read an emulator from this file; make an emulator with `specola pretrain emulator`")
}
