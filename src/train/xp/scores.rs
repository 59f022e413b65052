//! Accuracy and calibration of `xp-mlp` on test stars.

use super::super::error_calibration::interval;
use super::regressor::Scored;
use super::stars::{LABELS, XpStars};
use crate::model::manifest::{Accuracy, Measurement};
use crate::model::xp_regressor::{XP_LABELS, XpCalibration, XpConfig};
use crate::result::{Calibration, Label};
use crate::spectrum::Survey;
use crate::task::metrics::{Metrics, sigma_standard_error};

/// The stars of the headline figures: a median S/N per sample above this, APOGEE's error of Teff below 100 K, and
/// 3500–7200 K.
pub const TRIAL_SNR: f64 = 50.0;

/// A group of test stars.
struct StarGroup {
    name: &'static str,
    contains: fn(&XpStars, &Scored) -> bool,
}

fn label(stars: &XpStars, scored: &Scored, j: usize) -> f64 {
    f64::from(stars.labels[scored.star][j])
}

fn snr(s: &Scored) -> f64 {
    s.brightness.snr.unwrap_or(0.0)
}

/// True for the temperatures of the headline figures, with a good Teff.
fn is_cool(stars: &XpStars, s: &Scored) -> bool {
    (3500.0..7200.0).contains(&label(stars, s, 0)) && stars.teff_error[s.star] < 100.0
}

/// True for the stars of the headline figures.
pub fn is_trial(stars: &XpStars, s: &Scored) -> bool {
    snr(s) > TRIAL_SNR && is_cool(stars, s)
}

const STAR_GROUPS: [StarGroup; 8] = [
    StarGroup { name: "S/N > 50, 3500–7200 K", contains: is_trial },
    StarGroup { name: "the same, G < 13", contains: |t, s| is_trial(t, s) && t.g_mag[s.star] < 13.0 },
    StarGroup { name: "the same, dwarfs (log g ≥ 3.8)", contains: |t, s| is_trial(t, s) && label(t, s, 1) >= 3.8 },
    StarGroup { name: "the same, giants (log g < 3.8)", contains: |t, s| is_trial(t, s) && label(t, s, 1) < 3.8 },
    StarGroup { name: "the same, [Fe/H] < −1", contains: |t, s| is_trial(t, s) && label(t, s, 2) < -1.0 },
    StarGroup { name: "S/N ≤ 50, 3500–7200 K", contains: |t, s| snr(s) <= TRIAL_SNR && is_cool(t, s) },
    StarGroup { name: "above 7200 K", contains: |t, s| label(t, s, 0) >= 7200.0 },
    StarGroup { name: "below 3500 K", contains: |t, s| label(t, s, 0) < 3500.0 },
];

/// Accuracy of each label in each group; the headline figures come first.
pub fn accuracy(stars: &XpStars, scored: &[Scored]) -> Vec<Accuracy> {
    let mut rows = Vec::new();
    for group in &STAR_GROUPS {
        let inside: Vec<&Scored> = scored.iter().filter(|s| (group.contains)(stars, s)).collect();
        for (j, quantity) in LABELS.into_iter().enumerate() {
            let pairs: Vec<(f64, f64)> = inside
                .iter()
                .map(|s| (label(stars, s, j), s.estimate.values[j]))
                .filter(|(truth, _)| truth.is_finite())
                .collect();
            if pairs.len() < 20 {
                continue;
            }
            let residuals: Vec<f64> = pairs.iter().map(|(truth, value)| value - truth).collect();
            let groups: Vec<String> = (0..residuals.len()).map(|i| i.to_string()).collect();
            let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
            let on = format!("APOGEE stars never trained on, {}", group.name);
            rows.push(Accuracy {
                sigma_se: Some(sigma_standard_error(&residuals, &groups, 1)),
                ..Accuracy::of(quantity, &on, Survey::GaiaXp, false, &Metrics::of(&pairs))
            });
        }
    }
    rows
}

/// Residuals of a label in units of its error with a factor of the calibration.
fn pulls<'a>(
    stars: &XpStars,
    scored: impl Iterator<Item = &'a Scored>,
    config: &XpConfig,
    j: usize,
    factors: fn(&XpCalibration) -> &[f64; XP_LABELS],
) -> Vec<f64> {
    let pull = |s: &Scored| {
        let factor = factors(config.calibration(s.brightness)?)[j];
        Some((s.estimate.values[j] - label(stars, s, j)) / (factor * s.estimate.errors[j]))
    };
    scored.filter_map(pull).filter(|p| p.is_finite()).collect()
}

/// Calibration curve of each label over all test stars.
pub fn calibration(stars: &XpStars, scored: &[Scored], config: &XpConfig) -> Vec<Calibration> {
    let of = |(j, quantity): (usize, Label)| {
        let pulls = pulls(stars, scored.iter(), config, j, |c| &c.error_factors);
        Calibration::of(quantity, "APOGEE stars never trained on", Survey::GaiaXp, false, &pulls)
    };
    LABELS.into_iter().enumerate().filter_map(of).collect()
}

/// Ranges of G for the coverage.
const G_RANGES: [(&str, f32, f32); 4] =
    [("all", 0.0, 99.0), ("G < 12", 0.0, 12.0), ("G 12–13.5", 12.0, 13.5), ("G ≥ 13.5", 13.5, 99.0)];

/// Fractions of test stars within the 68.27 % and the 95 % interval, overall and by G. The binomial interval of each fraction
/// stands in its name.
pub fn coverage(stars: &XpStars, scored: &[Scored], config: &XpConfig) -> Vec<Measurement> {
    let mut all = Vec::new();
    for (j, quantity) in LABELS.into_iter().enumerate() {
        for (range, low, high) in G_RANGES {
            let inside = scored.iter().filter(|s| (low..high).contains(&stars.g_mag[s.star]));
            type Factors = fn(&XpCalibration) -> &[f64; XP_LABELS];
            let intervals: [(f64, Factors); 2] = [(68.27, |c| &c.error_factors), (95.0, |c| &c.error_factors_95)];
            for (expected, factors) in intervals {
                let pulls = pulls(stars, inside.clone(), config, j, factors);
                let n_inside = pulls.iter().filter(|p| p.abs() <= 1.0).count();
                let (from, to) = interval(n_inside, pulls.len());
                all.push(Measurement {
                    quantity: format!(
                        "share of {} within the {expected} % interval (95 % interval of the share {from:.3}–{to:.3})",
                        quantity.symbol()
                    ),
                    subject: range.into(),
                    data_set: "APOGEE stars never trained on".into(),
                    n: pulls.len(),
                    value: n_inside as f64 / pulls.len().max(1) as f64,
                });
            }
        }
    }
    all
}
