//! Training of `xp-posterior`: flows from real XP spectra to the joint density of APOGEE's labels, and their
//! calibration.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::tensor::Device;
use pollster::block_on;
use rayon::prelude::*;

use super::super::error_calibration::{distance_from_uniform, interval, kolmogorov};
use super::super::objectives::posterior::Posterior;
use super::super::objectives::regression::LabelledVectors;
use super::super::training_loop::{self, LossPoint, Progress, Schedule, rng_of};
use super::augment::augment;
use super::brightness::BrightnessRange;
use super::regressor::MIN_SNR;
use super::stars::{LABELS, Part, XpStars};
use crate::model::manifest::Measurement;
use crate::model::xp_posterior::{DrawChange, Recalibration, XpPosterior, XpPosteriorConfig, median_and_spread};
use crate::model::xp_regressor::{Projected, XP_LABELS, XpBrightness, XpComponents, XpRegressor};
use crate::nn::flow::{Flow, FlowConfig, FlowKind};
use crate::preprocess::xp_features::XpFeatures;
use crate::stats::quantile;

/// Each training star appears once as observed, and this many times with noise and reddening added.
const CHANGED_COPIES: usize = 4;

/// Width of the flows' hidden layers, and number of transforms.
const HIDDEN: usize = 128;
const TRANSFORMS: usize = 3;

/// Draws from the posterior of a star for its ranks.
const DRAWS: usize = 400;

/// Number of ranges of brightness of the recalibration, with the same number of validation stars in each.
const BRIGHTNESS_RANGES: usize = 4;

/// Settings of a training.
#[derive(Debug, Clone)]
pub struct PosteriorPlan {
    /// Steps of each flow.
    pub steps: usize,
    /// Folder for checkpoints.
    pub work: PathBuf,
    /// Seed of all random numbers.
    pub seed: u64,
}

/// A flow on one kind of input.
struct Trained {
    flow: Flow,
    config: FlowConfig,
    /// −log q of validation stars, mean.
    loss: f64,
}

/// The shipped density with its measurements.
pub struct FinishedPosterior {
    /// The flow and its input.
    pub posterior: XpPosterior,
    /// Its configuration.
    pub config: XpPosteriorConfig,
    /// Losses of all flows, and the calibration of the shipped flow.
    pub measurements: Vec<Measurement>,
}

/// Trains MAF and NSF flows: joint and for each label on the components, joint on the shape itself. The joint flow on
/// the components with the smaller loss is calibrated.
pub fn finish(
    stars: &XpStars,
    components: &XpComponents,
    plan: &PosteriorPlan,
    device: &Device,
    log: &mut dyn FnMut(&str),
) -> Result<FinishedPosterior> {
    let is_labelled = |&i: &usize| stars.labels[i].iter().all(|v| v.is_finite());
    let train: Vec<usize> = stars.rows(Part::Training, MIN_SNR).into_iter().filter(is_labelled).collect();
    let validation: Vec<usize> = stars.rows(Part::Validation, MIN_SNR).into_iter().filter(is_labelled).collect();
    let on_components = |features: &XpFeatures| components.project(features).input;
    let on_shape = |features: &XpFeatures| {
        let snr = components.project(features).input.split_off(components.len());
        features.shape.iter().copied().chain(snr).collect()
    };
    type Input<'a> = (&'static str, &'a (dyn Fn(&XpFeatures) -> Vec<f32> + Sync));
    let inputs: [Input; 2] = [("principal components", &on_components), ("the shape itself", &on_shape)];
    let mut measurements = Vec::new();
    let mut best: Option<Trained> = None;
    for (input_name, input) in inputs {
        let train_set = vectors(stars, &train, CHANGED_COPIES, plan.seed, input);
        let check_set = vectors(stars, &validation, 0, plan.seed, input);
        for kind in [FlowKind::Nsf, FlowKind::Maf] {
            let kind_name = if kind == FlowKind::Nsf { "NSF" } else { "MAF" };
            let all: Vec<usize> = (0..XP_LABELS).collect();
            // The joint flow decides between the inputs.
            let n_singles = if input_name == inputs[0].0 { XP_LABELS } else { 0 };
            let singles = (0..n_singles).map(|j| (LABELS[j].symbol(), vec![j]));
            for (name, labels) in [("all labels", all)].into_iter().chain(singles) {
                let folder = format!("flow-{kind_name}-{input_name}-{name}").replace([' ', '/', '[', ']'], "-");
                let trained = train_flow(kind, &train_set, &check_set, &labels, &folder, plan, device)?;
                log(&format!("{kind_name} on {input_name}, {name}: −log q {:.4}", trained.loss));
                measurements.push(Measurement {
                    quantity: "mean −log q of validation stars (labels in network units)".into(),
                    subject: format!("{kind_name} of {name} on {input_name}"),
                    data_set: "APOGEE stars of the validation part".into(),
                    n: check_set.len(),
                    value: trained.loss,
                });
                let is_candidate = labels.len() == XP_LABELS && input_name == inputs[0].0;
                if is_candidate && best.as_ref().is_none_or(|b| trained.loss < b.loss) {
                    best = Some(trained);
                }
            }
        }
    }
    let best = best.context("no flow was trained")?;
    let posterior = XpPosterior { components: components.clone(), flow: best.flow };
    let validation = project(stars, &validation, components);
    let mut config = XpPosteriorConfig { flow: best.config, recalibration: Vec::new() };
    config.recalibration = recalibration(&posterior, stars, &validation, device)?;
    let test: Vec<usize> = stars.rows(Part::Test, MIN_SNR).into_iter().filter(is_labelled).collect();
    let test = project(stars, &test, components);
    measurements.extend(calibration(&posterior, &config, stars, &test, device)?);
    Ok(FinishedPosterior { posterior, config, measurements })
}

/// Inputs and labels: stars as observed, and `copies` changed copies of each.
fn vectors(
    stars: &XpStars,
    rows: &[usize],
    copies: usize,
    seed: u64,
    input: &(dyn Fn(&XpFeatures) -> Vec<f32> + Sync),
) -> LabelledVectors {
    let of_star = |&star: &usize| -> Vec<(Vec<f32>, [f32; XP_LABELS])> {
        let label = |j: usize| XpRegressor::network_label(j, stars.labels[star][j]);
        let labels = std::array::from_fn(label);
        (0..=copies)
            .filter_map(|copy| {
                let (flux, sigma) = match copy {
                    0 => (stars.flux(star).to_vec(), stars.sigma(star).to_vec()),
                    _ => augment(stars.flux(star), stars.sigma(star), &mut rng_of(seed, star, copy)),
                };
                Some((input(&XpFeatures::of(&flux, &sigma)?), labels))
            })
            .collect()
    };
    let all: Vec<(Vec<f32>, [f32; XP_LABELS])> = rows.par_iter().flat_map_iter(of_star).collect();
    LabelledVectors {
        width: all.first().map_or(0, |(x, _)| x.len()),
        targets: all.iter().flat_map(|(_, y)| *y).collect(),
        inputs: all.into_iter().flat_map(|(x, _)| x).collect(),
        labels: XP_LABELS,
    }
}

fn train_flow(
    kind: FlowKind,
    train_set: &LabelledVectors,
    check_set: &LabelledVectors,
    labels: &[usize],
    folder: &str,
    plan: &PosteriorPlan,
    device: &Device,
) -> Result<Trained> {
    let objective = Posterior {
        train: train_set.columns(labels),
        held_out: check_set.columns(labels),
        batch: 256,
        seed: plan.seed,
    };
    let schedule = Schedule {
        steps: plan.steps,
        warmup: plan.steps / 20,
        rate: 1e-3,
        weight_decay: 1e-2,
        beta_2: 0.999,
        clip: Some(5.0),
        every: plan.steps,
        seed: plan.seed,
    };
    let config = FlowConfig::new(kind, labels.len(), train_set.width).with_hidden(HIDDEN).with_transforms(TRANSFORMS);
    let recipe = format!("{folder} {config} {} {schedule:?}", train_set.len());
    let mut last: Option<LossPoint> = None;
    let mut report = |progress: Progress<'_>| {
        if let Progress::Checkpoint(points) = progress {
            last = points.last().copied();
        }
        Ok(())
    };
    let start = |device: &Device| Ok(objective.start(&config, device));
    let folder = plan.work.join(folder);
    let flow = training_loop::run(&objective, start, &schedule, &recipe, &folder, device, &mut report)?.valid();
    // A resumed run that was complete reports no checkpoint.
    let loss = last.map(|point| point.held_out);
    let loss = loss.map_or_else(|| training_loop::Objective::check(&objective, &flow, device), Ok)?;
    Ok(Trained { flow, config, loss })
}

/// A star and its projection.
struct ProjectedStar {
    star: usize,
    brightness: XpBrightness,
    projected: Projected,
}

fn project(stars: &XpStars, rows: &[usize], components: &XpComponents) -> Vec<ProjectedStar> {
    let of = |&star: &usize| {
        let features = XpFeatures::of(stars.flux(star), stars.sigma(star))?;
        let mean = stars.flux(star).iter().sum::<f32>() / stars.flux(star).len() as f32 * stars.unit[star];
        let brightness = XpBrightness::of(f64::from(mean), Some(f64::from(stars.snr[star])));
        Some(ProjectedStar { star, brightness, projected: components.project(&features) })
    };
    rows.iter().filter_map(of).collect()
}

/// Place of a star's label among its draws, for each label; NaN for an unknown one.
#[derive(Clone, Copy)]
struct Place {
    /// Fraction of the draws below the label.
    rank: [f64; XP_LABELS],
    /// (label − median of the draws) / half their central 68.27 % interval; Teff in log10.
    pull: [f64; XP_LABELS],
}

fn places(
    posterior: &XpPosterior,
    stars: &XpStars,
    all: &[&ProjectedStar],
    change: impl Fn(XpBrightness) -> DrawChange + Sync,
    device: &Device,
) -> Result<Vec<Place>> {
    let place_of = |p: &&ProjectedStar| -> Result<Place> {
        let draws = block_on(posterior.draw(&p.projected, DRAWS, p.star as u64, &change(p.brightness), device));
        let draws = draws.context("the device returned no draws")?;
        let truth = stars.labels[p.star].map(f64::from);
        let rank = |j: usize| {
            let below = draws.iter().filter(|d| d[j] < truth[j]).count();
            if truth[j].is_nan() { f64::NAN } else { (below as f64 + 0.5) / (DRAWS as f64 + 1.0) }
        };
        let pull = |j: usize| {
            let unit = |v: f64| if j == 0 { v.log10() } else { v };
            let (median, spread) = median_and_spread(draws.iter().map(|d| unit(d[j])))?;
            Some((unit(truth[j]) - median) / spread)
        };
        Ok(Place { rank: std::array::from_fn(rank), pull: std::array::from_fn(|j| pull(j).unwrap_or(f64::NAN)) })
    };
    all.par_iter().map(place_of).collect()
}

/// Steps of the search for the widening, from 1 to its largest value. Draws are never narrowed: the validation stars are
/// too few to show that the tails allow it.
const WIDENING_STEPS: usize = 9;
const MAX_WIDENING: f64 = 1.8;

/// For each label and range of brightness: the shift that brings the median rank of the validation stars to ½, then the
/// factor with which their ranks come closest to uniform.
fn recalibration(
    posterior: &XpPosterior,
    stars: &XpStars,
    validation: &[ProjectedStar],
    device: &Device,
) -> Result<Vec<Recalibration>> {
    ensure!(validation.len() >= 50 * BRIGHTNESS_RANGES, "{} validation stars are too few", validation.len());
    let all: Vec<&ProjectedStar> = validation.iter().collect();
    let mut recalibrations = Vec::new();
    for range in BrightnessRange::divide(all, BRIGHTNESS_RANGES, |p| p.brightness) {
        let unchanged = places(posterior, stars, &range.members, |_| DrawChange::NONE, device)?;
        let shift = |j: usize| quantile(unchanged.iter().map(|p| p.pull[j]), 0.5).unwrap_or(0.0);
        let shifts = std::array::from_fn(shift);
        let mut best = [(f64::INFINITY, 1.0); XP_LABELS];
        for step in 0..WIDENING_STEPS {
            let factor = 1.0 + (MAX_WIDENING - 1.0) * step as f64 / (WIDENING_STEPS - 1) as f64;
            let change = DrawChange { shifts, factors: [factor; XP_LABELS] };
            let places = places(posterior, stars, &range.members, |_| change, device)?;
            for (j, best) in best.iter_mut().enumerate() {
                // The distance of |rank − ½| from uniform is a matter of the width alone.
                let folded: Vec<f64> = places.iter().map(|p| 2.0 * (p.rank[j] - 0.5).abs()).collect();
                let distance = distance_from_uniform(&folded);
                if distance < best.0 {
                    *best = (distance, factor);
                }
            }
        }
        let change = DrawChange { shifts, factors: best.map(|b| b.1) };
        recalibrations.push(Recalibration { g_below: range.g_below, snr_at_limit: range.snr_at_limit, change });
    }
    Ok(recalibrations)
}

/// Ranges of G for the coverage.
const G_RANGES: [(&str, f32, f32); 4] =
    [("all", 0.0, 99.0), ("G < 12", 0.0, 12.0), ("G 12–13.5", 12.0, 13.5), ("G ≥ 13.5", 13.5, 99.0)];

/// Simulation-based calibration on the test stars: uniformity of the ranks, and shares within central intervals.
fn calibration(
    posterior: &XpPosterior,
    config: &XpPosteriorConfig,
    stars: &XpStars,
    test: &[ProjectedStar],
    device: &Device,
) -> Result<Vec<Measurement>> {
    let all: Vec<&ProjectedStar> = test.iter().collect();
    let places = places(posterior, stars, &all, |brightness| config.change(brightness), device)?;
    let ranks: Vec<[f64; XP_LABELS]> = places.iter().map(|p| p.rank).collect();
    let mut measurements = Vec::new();
    for (j, label) in LABELS.into_iter().enumerate() {
        for (range, low, high) in G_RANGES {
            let inside: Vec<f64> = test
                .iter()
                .zip(&ranks)
                .filter(|(p, r)| (low..high).contains(&stars.g_mag[p.star]) && r[j].is_finite())
                .map(|(_, r)| r[j])
                .collect();
            let measurement = |quantity: String, value: f64| Measurement {
                quantity,
                subject: range.into(),
                data_set: "APOGEE stars never trained on".into(),
                n: inside.len(),
                value,
            };
            let distance = distance_from_uniform(&inside);
            let p = kolmogorov(distance, inside.len());
            measurements
                .push(measurement(format!("K–S distance of the ranks of {} from uniform", label.symbol()), distance));
            measurements.push(measurement(format!("p of that distance, {}", label.symbol()), p));
            for (name, fraction) in [("68.27", 0.6827), ("95", 0.95)] {
                let n_inside = inside.iter().filter(|r| (**r - 0.5).abs() <= fraction / 2.0).count();
                let (from, to) = interval(n_inside, inside.len());
                measurements.push(measurement(
                    format!(
                        "share of {} in the central {name} % (95 % interval of the share {from:.3}–{to:.3})",
                        label.symbol()
                    ),
                    n_inside as f64 / inside.len().max(1) as f64,
                ));
            }
        }
    }
    let scatter = |j: usize| quantile(ranks.iter().map(|r| r[j]), 0.5).unwrap_or(f64::NAN);
    for (j, label) in LABELS.into_iter().enumerate() {
        measurements.push(Measurement {
            quantity: format!("median rank of {} (½ is right)", label.symbol()),
            subject: "all".into(),
            data_set: "APOGEE stars never trained on".into(),
            n: ranks.len(),
            value: scatter(j),
        });
    }
    Ok(measurements)
}
