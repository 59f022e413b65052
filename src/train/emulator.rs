//! Making the emulator: principal components of the nodes, then a network from labels to their coefficients.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use serde::Serialize;

use super::components;
use super::grid::{Grid, PARAMETERS, Seds};
use super::lessons::emulator::{Emulation, Nodes, Smooth};
use super::steps::{self, Progress, Schedule};
use crate::model::emulator::{Basis, EMULATOR_LABELS, Emulator, features};
use crate::model::weights::Tensors;
use crate::preprocess::stats::median;

/// How large the emulator is and how long it learns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EmulatorPlan {
    /// Components of flux over continuum.
    pub lines: usize,
    /// Components of the continuum.
    pub continuum: usize,
    /// Components of the energy distribution.
    pub sed: usize,
    /// Widths of the network's hidden layers.
    pub hidden: Vec<usize>,
    /// Rows a step.
    pub batch: usize,
    /// Steps, rates and seed.
    pub schedule: Schedule,
}

impl EmulatorPlan {
    /// The shipped emulator.
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

/// Learns from these nodes; `held_out` are watched. Gives the file's arrays.
pub fn fit(
    grid: &Grid,
    seds: &Seds,
    nodes: (&[usize], &[usize]),
    plan: &EmulatorPlan,
    folder: &Path,
    device: &Device,
    tell: &mut dyn FnMut(Progress<'_>) -> Result<()>,
) -> Result<Tensors> {
    let (train, held_out) = nodes;
    let seed = plan.schedule.seed;
    let pixels = grid.log10_vac.len();
    let lines = train.iter().flat_map(|&i| grid.normalised(i).iter().copied()).collect();
    let (lines, lines_of) = components::of(lines, pixels, plan.lines, seed, device);
    let continuum = train.iter().flat_map(|&i| ln_relative(grid.continuum(i))).collect();
    let (continuum, continuum_of) =
        components::of(continuum, grid.continuum_points(), plan.continuum, seed + 1, device);
    let with_sed: Vec<usize> = train.iter().copied().filter(|&i| seds.get(i).is_some()).collect();
    ensure!(with_sed.len() > 1, "no node of the grid has an energy distribution; give the sed.npz of the same grid");
    let sed = with_sed.iter().filter_map(|&i| seds.get(i)).flat_map(ln_relative).collect();
    let (sed, sed_of) = components::of(sed, seds.wave_nm.len(), plan.sed, seed + 2, device);

    let standard = standardisation(grid, train);
    let mut rows = with_sed.iter().zip(sed_of.chunks(sed.len())).peekable();
    let mut train_nodes = Nodes::default();
    let weights: [Vec<f32>; 3] = [&lines, &continuum, &sed].map(weights);
    for (n, &node) in train.iter().enumerate() {
        let of = |all: &[f32], basis: &Basis| all[n * basis.len()..(n + 1) * basis.len()].to_vec();
        let own = rows.next_if(|(i, _)| **i == node).map(|(_, c)| c.to_vec());
        push(
            &mut train_nodes,
            grid,
            node,
            &standard,
            &weights,
            [Some(of(&lines_of, &lines)), Some(of(&continuum_of, &continuum)), own],
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
    let lesson = Emulation { train: train_nodes, held_out: check_nodes, batch: plan.batch, seed };
    let recipe = serde_json::to_string(plan)?;
    let start = |device: &Device| Ok(Smooth::new(&widths, device));
    let network = steps::run(&lesson, start, &plan.schedule, &recipe, folder, device, tell)?;
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
        let (mean, std) = crate::task::metrics::mean_and_std(&values);
        // A label that all nodes share tells nothing, and must not be blown up when a star's differs.
        (mean as f32, if std > 1e-4 { std as f32 } else { 1.0 })
    })
}

/// Coefficients of a curve: components are orthogonal.
fn project(basis: &Basis, curve: &[f32]) -> Vec<f32> {
    let component = |c: &[f32]| {
        let along: f32 = c.iter().zip(curve.iter().zip(&basis.mean)).map(|(c, (v, m))| c * (v - m)).sum();
        along / c.iter().map(|c| c * c).sum::<f32>()
    };
    basis.components.chunks_exact(basis.mean.len()).map(component).collect()
}

/// How much each coefficient counts: as the length of its component, in between the flux's own measure (its square) and
/// equal shares, so that the fine structure of lines is not given up for the coarse. Each block counts 1 in all.
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

/// How far the emulator is from nodes that it has not seen, in one region of labels: medians over nodes of the rms over
/// wavelength.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegionError {
    /// Which labels.
    pub region: String,
    /// Nodes in it.
    pub n: usize,
    /// Of flux over continuum at R = 5000.
    pub lines: f64,
    /// The same smoothed to R ≈ 1800.
    pub lines_1800: f64,
    /// The 95th percentile over nodes of `lines_1800`.
    pub lines_1800_worst: f64,
    /// Of the continuum's shape, relative.
    pub continuum: f64,
    /// Of the energy distribution's shape, relative; NaN without one.
    pub sed: f64,
}

/// Measures the emulator on held-out nodes, by temperature, gravity and metallicity, and on all.
pub fn measure(emulator: &Emulator, grid: &Grid, seds: &Seds, held_out: &[usize]) -> Vec<RegionError> {
    use rayon::prelude::*;
    let off: Vec<[f64; 4]> = held_out
        .par_iter()
        .map(|&node| {
            let got = emulator.spectrum(&grid.parameters[node]);
            let lines: Vec<f64> = got.lines.iter().zip(grid.normalised(node)).map(|(a, b)| f64::from(a - b)).collect();
            let ratio = |got: &[f32], want: &[f32]| {
                let want = ln_relative(want);
                let off: Vec<f64> = got.iter().zip(&want).map(|(a, b)| f64::from(a.ln() - b)).collect();
                rms(&off)
            };
            let sed = seds.get(node).map_or(f64::NAN, |flux| ratio(&got.sed, flux));
            [rms(&lines), rms(&smoothed(&lines)), ratio(&got.continuum, grid.continuum(node)), sed]
        })
        .collect();
    type Keep = fn(&[f64; PARAMETERS]) -> bool;
    let regions: [(&str, Keep); 9] = [
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
    let of = |(region, keep): (&str, Keep)| {
        let chosen: Vec<&[f64; 4]> =
            held_out.iter().zip(&off).filter(|(node, _)| keep(&grid.parameters[**node])).map(|(_, o)| o).collect();
        let middle = |j: usize| median(&mut chosen.iter().map(|o| o[j]).collect()).unwrap_or(f64::NAN);
        let mut sorted: Vec<f64> = chosen.iter().map(|o| o[1]).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        RegionError {
            region: region.into(),
            n: chosen.len(),
            lines: middle(0),
            lines_1800: middle(1),
            lines_1800_worst: sorted.get((0.95 * sorted.len() as f64) as usize).copied().unwrap_or(f64::NAN),
            continuum: middle(2),
            sed: middle(3),
        }
    };
    regions.into_iter().map(of).collect()
}

/// The measure as a Markdown table.
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

/// To about R = 1800 from 5000: a Gaussian of FWHM 2.5 Å on the grid's pixels of 0.3 Å.
fn smoothed(values: &[f64]) -> Vec<f64> {
    let sigma = 2.5 / 2.355 / 0.3;
    let taps: Vec<f64> = (-12..=12).map(|k| (-0.5 * (f64::from(k) / sigma).powi(2)).exp()).collect();
    let all: f64 = taps.iter().sum();
    values.windows(taps.len()).map(|w| w.iter().zip(&taps).map(|(v, t)| v * t).sum::<f64>() / all).collect()
}

/// The emulator in a published file.
pub fn parse(file: &[u8]) -> Result<Emulator> {
    Emulator::load(&Tensors::parse(file)?).context("the file is no emulator; make one with `specola pretrain emulator`")
}
