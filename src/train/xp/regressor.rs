//! Training of `xp-mlp`: an ensemble of networks from real XP spectra to APOGEE's labels.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::tensor::Device;
use half::f16;
use pollster::block_on;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::super::error_calibration::WITHIN_ONE_SIGMA;
use super::super::objectives::xp_labels::{XpLabels, XpRows};
use super::super::pca;
use super::super::training_loop::{self, Progress, Schedule};
use super::augment::add_noise;
use super::stars::{LABELS, Part, XpStars};
use crate::model::xp_regressor::{
    Projected, XP_LABELS, XpCalibration, XpComponents, XpConfig, XpEstimate, XpRegressor,
};
use crate::nn::MlpConfig;
use crate::preprocess::xp::XP_PIXELS;
use crate::preprocess::xp_features::XpFeatures;
use crate::result::Label;
use crate::stats::{mean_and_std, median, quantile, quantiles};

/// Lowest median S/N per sample of a training star.
pub const MIN_SNR: f32 = 5.0;

/// Lowest median S/N per sample of a star whose shape defines the components.
const MIN_SNR_OF_COMPONENTS: f32 = 30.0;

/// Widths of the hidden layers.
const HIDDEN: [usize; 3] = [512, 256, 128];

/// Factors on the errors of validation stars, for the calibration of faint stars.
const NOISE_FACTORS: [f32; 3] = [1.0, 4.0, 12.0];

/// Limits of the S/N ranges of the calibration.
const SNR_LIMITS: [f64; 8] = [8.0, 15.0, 30.0, 50.0, 75.0, 100.0, 150.0, f64::MAX];

/// Number of spectra in a range of S/N for which they are calibrated as observed. Below, brighter stars with noise added
/// complete the range.
const ENOUGH_OBSERVED: usize = 100;

/// Fraction of validation stars that are not flagged as unlike the training set.
const INLIERS: f64 = 0.995;

/// Settings of a training.
#[derive(Debug, Clone)]
pub struct XpPlan {
    /// Number of principal components.
    pub components: usize,
    /// Number of networks.
    pub members: usize,
    /// Steps of each network.
    pub steps: usize,
    /// Spectra per step.
    pub batch: usize,
    /// Highest learning rate.
    pub rate: f64,
    /// Dropout after each hidden layer.
    pub dropout: f64,
    /// Folder for checkpoints.
    pub work: PathBuf,
    /// Seed of all random numbers.
    pub seed: u64,
}

/// Trains the ensemble. A stopped run resumes from its checkpoints.
pub fn train(
    stars: &XpStars,
    plan: &XpPlan,
    device: &Device,
    on_progress: &mut dyn FnMut(usize, Progress<'_>) -> Result<()>,
) -> Result<XpRegressor> {
    let rows = stars.rows(Part::Training, MIN_SNR);
    let mut regressor = standardisation(stars, &rows, plan, device)?;
    let check_rows = stars.rows(Part::Validation, MIN_SNR);
    let held_out = XpRows::of(stars, &check_rows, &regressor);
    let schedule = Schedule {
        steps: plan.steps,
        warmup: plan.steps / 20,
        rate: plan.rate,
        weight_decay: 1e-2,
        beta_2: 0.999,
        clip: Some(1.0),
        every: (plan.steps / 10).max(1),
        seed: plan.seed,
    };
    let mut members = Vec::new();
    for member in 0..plan.members {
        let seed = plan.seed + member as u64;
        let objective = XpLabels {
            stars,
            rows: &rows,
            standardisation: &regressor,
            held_out: held_out.clone(),
            batch: plan.batch,
            seed,
        };
        let layout = MlpConfig::new(regressor.widths.clone()).with_dropout(plan.dropout);
        let schedule = Schedule { seed, ..schedule.clone() };
        let recipe = format!("xp-mlp {} {layout} {} {schedule:?}", rows.len(), plan.batch);
        let folder = plan.work.join(format!("xp-mlp-{member}"));
        let mut report = |progress: Progress<'_>| on_progress(member, progress);
        let start = |device: &Device| Ok(layout.init(device));
        members.push(training_loop::run(&objective, start, &schedule, &recipe, &folder, device, &mut report)?.valid());
    }
    regressor.members = members;
    Ok(regressor)
}

/// Components and standardisation of the labels, without networks.
fn standardisation(stars: &XpStars, rows: &[usize], plan: &XpPlan, device: &Device) -> Result<XpRegressor> {
    let shapes: Vec<f32> = rows
        .iter()
        .filter(|&&i| stars.snr[i] >= MIN_SNR_OF_COMPONENTS)
        .filter_map(|&i| XpFeatures::of(stars.flux(i), stars.sigma(i)))
        .flat_map(|features| features.shape)
        .collect();
    ensure!(
        shapes.len() > plan.components * XP_PIXELS,
        "{} training stars with S/N ≥ {MIN_SNR_OF_COMPONENTS} are too few for {} components",
        shapes.len() / XP_PIXELS,
        plan.components
    );
    let (basis, _) = pca::fit(shapes, XP_PIXELS, plan.components, plan.seed, device);
    // The file holds 16-bit floats; the networks learn from the components as they are stored.
    let stored = |v: f32| f16::from_f32(v).to_f32();
    let lengths = basis.components.chunks_exact(XP_PIXELS).map(|c| c.iter().map(|v| v * v).sum::<f32>().sqrt());
    let scale: Vec<f32> = lengths.collect();
    let direction = |(c, length): (&[f32], &f32)| c.iter().map(|v| stored(v / length)).collect::<Vec<f32>>();
    let components = XpComponents {
        mean: basis.mean.iter().map(|v| stored(*v)).collect(),
        directions: basis.components.chunks_exact(XP_PIXELS).zip(&scale).flat_map(direction).collect(),
        scale: scale.iter().map(|v| stored(*v)).collect(),
    };
    let mut widths = vec![components.input_width()];
    widths.extend(HIDDEN);
    widths.push(2 * XP_LABELS);
    let moments: [(f64, f64); XP_LABELS] = std::array::from_fn(|j| {
        let values = rows.iter().map(|&i| XpRegressor::network_label(j, stars.labels[i][j]));
        mean_and_std(&values.filter(|v| v.is_finite()).map(f64::from).collect::<Vec<_>>())
    });
    Ok(XpRegressor {
        components,
        members: Vec::new(),
        widths,
        output_mean: moments.map(|m| stored(m.0 as f32)),
        output_scale: moments.map(|m| stored(m.1.max(1e-6) as f32)),
    })
}

/// Range of each label among the training stars, without the outermost 0.1 %.
pub fn label_ranges(stars: &XpStars) -> Vec<(Label, f64, f64)> {
    let rows = stars.rows(Part::Training, MIN_SNR);
    let range = |(j, label): (usize, Label)| {
        let values = rows.iter().map(|&i| f64::from(stars.labels[i][j]));
        let [low, high] = quantiles(values, [0.001, 0.999]).unwrap_or([f64::NAN; 2]);
        let unit = if j == 0 { 50.0 } else { 0.05 };
        (label, (low / unit).round() * unit, (high / unit).round() * unit)
    };
    LABELS.into_iter().enumerate().map(range).collect()
}

/// A star's estimate with what it is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Scored {
    /// Index of the star.
    pub star: usize,
    /// Median S/N per sample.
    pub snr: f64,
    /// Labels and errors from the networks.
    pub estimate: XpEstimate,
    /// [`Projected::distance`] and [`Projected::residual`].
    pub distance: f64,
    /// See `distance`.
    pub residual: f64,
}

/// Estimates for stars; `noise_factor` makes them fainter (1: as observed).
pub fn estimate(
    regressor: &XpRegressor,
    stars: &XpStars,
    rows: &[usize],
    noise_factor: f32,
    seed: u64,
    device: &Device,
) -> Result<Vec<Scored>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut projected: Vec<(usize, f64, Projected)> = Vec::new();
    for &star in rows {
        let (mut flux, mut sigma) = (stars.flux(star).to_vec(), stars.sigma(star).to_vec());
        add_noise(&mut flux, &mut sigma, noise_factor, &mut rng);
        let Some(features) = XpFeatures::of(&flux, &sigma) else { continue };
        let snr = median(&mut flux.iter().zip(&sigma).map(|(f, s)| f64::from(f / s)).collect()).unwrap_or(0.0);
        projected.push((star, snr, regressor.components.project(&features)));
    }
    let mut scored = Vec::new();
    for batch in projected.chunks(1024) {
        let inputs: Vec<Projected> = batch.iter().map(|(_, _, p)| p.clone()).collect();
        let estimates = block_on(regressor.predict(&inputs, device)).context("the device returned no predictions")?;
        scored.extend(batch.iter().zip(estimates).map(|((star, snr, p), estimate)| Scored {
            star: *star,
            snr: *snr,
            estimate,
            distance: p.distance,
            residual: p.residual,
        }));
    }
    Ok(scored)
}

/// Calibrates errors and limits on the validation stars. Real faint stars have larger errors than bright stars with noise
/// added: they are farther away and more reddened. So noise is added only where there are too few real ones.
pub fn calibrate(regressor: &XpRegressor, stars: &XpStars, seed: u64, device: &Device) -> Result<XpConfig> {
    let rows = stars.rows(Part::Validation, 0.0);
    let mut by_noise = Vec::new();
    for (i, factor) in NOISE_FACTORS.into_iter().enumerate() {
        by_noise.push(estimate(regressor, stars, &rows, factor, seed + i as u64, device)?);
    }
    let mut low = 0.0;
    let mut calibration = Vec::new();
    for snr_below in SNR_LIMITS {
        let is_inside = |s: &&Scored| s.snr >= low && s.snr < snr_below;
        let mut range: Vec<&Scored> = by_noise[0].iter().filter(is_inside).collect();
        if range.len() < ENOUGH_OBSERVED {
            range.extend(by_noise[1..].iter().flatten().filter(is_inside));
        }
        ensure!(range.len() >= 50, "only {} validation spectra have S/N {low} to {snr_below}", range.len());
        let limit = |of: fn(&Scored) -> f64| quantile(range.iter().map(|s| of(s)), INLIERS).unwrap_or(f64::NAN);
        let within = |fraction: f64| -> [f64; XP_LABELS] {
            std::array::from_fn(|j| {
                let pulls = range
                    .iter()
                    .map(|s| (s.estimate.values[j] - f64::from(stars.labels[s.star][j])).abs() / s.estimate.errors[j]);
                quantile(pulls, fraction).unwrap_or(f64::NAN)
            })
        };
        calibration.push(XpCalibration {
            snr_below,
            error_factors: within(WITHIN_ONE_SIGMA),
            error_factors_95: within(0.95),
            max_distance: limit(|s| s.distance),
            max_residual: limit(|s| s.residual),
        });
        low = snr_below;
    }
    let training = stars.rows(Part::Training, MIN_SNR);
    let teff_with_composition =
        training.iter().filter(|&&i| stars.labels[i][2].is_finite()).map(|&i| f64::from(stars.labels[i][0]));
    Ok(XpConfig {
        members: regressor.members.len(),
        max_teff_of_composition: quantile(teff_with_composition, INLIERS).unwrap_or(f64::NAN),
        calibration,
    })
}
