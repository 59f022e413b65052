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
use super::brightness::BrightnessRange;
use super::stars::{LABELS, Part, XpStars};
use crate::model::xp_regressor::{
    LowSnrCalibration, Projected, XP_LABELS, XpBrightness, XpCalibration, XpComponents, XpConfig, XpEstimate,
    XpRegressor,
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

/// Number of ranges of brightness of the calibration, with the same number of validation stars in each.
const BRIGHTNESS_RANGES: usize = 6;

/// Limits of S/N per sample below which there are too few real stars for a calibration, and factors on the errors of
/// brighter stars, which replace them.
const LOW_SNR_LIMITS: [f64; 2] = [8.0, 15.0];
const NOISE_FACTORS: [f32; 3] = [4.0, 8.0, 16.0];

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

/// Principal components of the shapes of some stars, those with a high S/N.
pub fn components(stars: &XpStars, rows: &[usize], n: usize, seed: u64, device: &Device) -> Result<XpComponents> {
    let shapes: Vec<f32> = rows
        .iter()
        .filter(|&&i| stars.snr[i] >= MIN_SNR_OF_COMPONENTS)
        .filter_map(|&i| XpFeatures::of(stars.flux(i), stars.sigma(i)))
        .flat_map(|features| features.shape)
        .collect();
    ensure!(
        shapes.len() > n * XP_PIXELS,
        "{} training stars with S/N ≥ {MIN_SNR_OF_COMPONENTS} are too few for {n} components",
        shapes.len() / XP_PIXELS
    );
    let (basis, _) = pca::fit(shapes, XP_PIXELS, n, seed, device);
    // The file holds 16-bit floats; the networks learn from the components as they are stored.
    let lengths = basis.components.chunks_exact(XP_PIXELS).map(|c| c.iter().map(|v| v * v).sum::<f32>().sqrt());
    let scale: Vec<f32> = lengths.collect();
    let direction = |(c, length): (&[f32], &f32)| c.iter().map(|v| stored(v / length)).collect::<Vec<f32>>();
    Ok(XpComponents {
        mean: basis.mean.iter().map(|v| stored(*v)).collect(),
        directions: basis.components.chunks_exact(XP_PIXELS).zip(&scale).flat_map(direction).collect(),
        scale: scale.iter().map(|v| stored(*v)).collect(),
    })
}

/// A number as the file of the weights holds it.
fn stored(v: f32) -> f32 {
    f16::from_f32(v).to_f32()
}

/// Components and standardisation of the labels, without networks.
fn standardisation(stars: &XpStars, rows: &[usize], plan: &XpPlan, device: &Device) -> Result<XpRegressor> {
    let components = components(stars, rows, plan.components, plan.seed, device)?;
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
        // Steps of 50 K and 0.05 dex.
        let steps = if j == 0 { 0.02 } else { 20.0 };
        (label, (low * steps).round() / steps, (high * steps).round() / steps)
    };
    LABELS.into_iter().enumerate().map(range).collect()
}

/// A star's estimate with what it is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Scored {
    /// Index of the star.
    pub star: usize,
    /// Brightness of the spectrum.
    pub brightness: XpBrightness,
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
    let mut projected: Vec<(usize, XpBrightness, Projected)> = Vec::new();
    for &star in rows {
        let (mut flux, mut sigma) = (stars.flux(star).to_vec(), stars.sigma(star).to_vec());
        add_noise(&mut flux, &mut sigma, noise_factor, &mut rng);
        let Some(features) = XpFeatures::of(&flux, &sigma) else { continue };
        let snr = median(&mut flux.iter().zip(&sigma).map(|(f, s)| f64::from(f / s)).collect());
        let mean = f64::from(flux.iter().sum::<f32>() / flux.len() as f32 * stars.unit[star]);
        projected.push((star, XpBrightness::of(mean, snr), regressor.components.project(&features)));
    }
    let mut scored = Vec::new();
    for batch in projected.chunks(1024) {
        let inputs: Vec<Projected> = batch.iter().map(|(_, _, p)| p.clone()).collect();
        let estimates = block_on(regressor.predict(&inputs, device)).context("the device returned no predictions")?;
        scored.extend(batch.iter().zip(estimates).map(|((star, brightness, p), estimate)| Scored {
            star: *star,
            brightness: *brightness,
            estimate,
            distance: p.distance,
            residual: p.residual,
        }));
    }
    Ok(scored)
}

/// Calibrates errors and limits on the validation stars, in ranges of brightness. Fainter stars have larger errors than
/// brighter ones of the same S/N, because they are farther away and more reddened. So bright stars with noise added
/// replace real ones only where there are too few.
pub fn calibrate(regressor: &XpRegressor, stars: &XpStars, seed: u64, device: &Device) -> Result<XpConfig> {
    let rows = stars.rows(Part::Validation, 0.0);
    let observed = estimate(regressor, stars, &rows, 1.0, seed, device)?;
    let lowest_snr = LOW_SNR_LIMITS[LOW_SNR_LIMITS.len() - 1];
    let bright: Vec<&Scored> = observed.iter().filter(|s| s.brightness.snr.is_none_or(|v| v >= lowest_snr)).collect();
    let mut calibration = Vec::new();
    for range in BrightnessRange::divide(bright, BRIGHTNESS_RANGES, |s| s.brightness) {
        calibration.push(calibrate_range(stars, &range.members, range.g_below, range.snr_at_limit)?);
    }
    let mut noisy = Vec::new();
    for (i, factor) in NOISE_FACTORS.into_iter().enumerate() {
        noisy.extend(estimate(regressor, stars, &rows, factor, seed + 1 + i as u64, device)?);
    }
    let mut low = 0.0;
    let mut low_snr = Vec::new();
    for snr_below in LOW_SNR_LIMITS {
        let is_inside = |s: &&Scored| s.brightness.snr.is_some_and(|snr| snr >= low && snr < snr_below);
        let range: Vec<&Scored> = observed.iter().chain(&noisy).filter(is_inside).collect();
        let calibration = calibrate_range(stars, &range, f64::MAX, 0.0)?;
        low_snr.push(LowSnrCalibration { snr_below, calibration });
        low = snr_below;
    }
    let training = stars.rows(Part::Training, MIN_SNR);
    let teff_with_composition =
        training.iter().filter(|&&i| stars.labels[i][2].is_finite()).map(|&i| f64::from(stars.labels[i][0]));
    Ok(XpConfig {
        members: regressor.members.len(),
        max_teff_of_composition: quantile(teff_with_composition, INLIERS).unwrap_or(f64::NAN),
        calibration,
        low_snr,
    })
}

fn calibrate_range(stars: &XpStars, range: &[&Scored], g_below: f64, snr_at_limit: f64) -> Result<XpCalibration> {
    ensure!(range.len() >= 50, "{} validation spectra are too few for a range of the calibration", range.len());
    let limit = |of: fn(&Scored) -> f64| quantile(range.iter().map(|s| of(s)), INLIERS).unwrap_or(f64::NAN);
    let within = |fraction: f64| -> [f64; XP_LABELS] {
        std::array::from_fn(|j| {
            let pull =
                |s: &&Scored| (s.estimate.values[j] - f64::from(stars.labels[s.star][j])).abs() / s.estimate.errors[j];
            quantile(range.iter().map(pull), fraction).unwrap_or(f64::NAN)
        })
    };
    Ok(XpCalibration {
        g_below,
        snr_at_limit,
        error_factors: within(WITHIN_ONE_SIGMA),
        error_factors_95: within(0.95),
        max_distance: limit(|s| s.distance),
        max_residual: limit(|s| s.residual),
    })
}
