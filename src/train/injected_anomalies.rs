//! Injected anomalies, and how well the anomaly scores detect them.

use std::fmt::Write;

use anyhow::{Context, Result};
use pollster::block_on;
use rand::{Rng, RngExt};

use super::grid_sampler::RequiredParts;
use super::pairs::{Pair, Pairs};
use super::reference_index;
use super::training_loop::rng_of;
use crate::preprocess::grid::{C_KMS, STEP_DEX, model_wave_vac_aa};
use crate::result::specclip::Modality;
use crate::similarity::anomaly::{ReferenceStats, overall};
use crate::task::similarity::EncoderBundle;
use crate::task::similarity::encoders::{Encoded, EncoderInput};
use crate::task::similarity::index_set::IndexSet;

/// Kind of an injected anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnomalyKind {
    /// Sum of two spectra, 100–300 km/s apart.
    Binary,
    /// Balmer lines in emission.
    Emission,
    /// Uncorrected velocity of 150–500 km/s.
    WrongVelocity,
    /// Flux step of 10–30 %.
    Step,
    /// XP spectrum of another star.
    Swapped,
}

impl AnomalyKind {
    /// Anomalies that are visible in the optical spectrum.
    pub(super) const OPTICAL: [(Self, &'static str); 4] = [
        (Self::Binary, "two spectra summed, 100–300 km/s apart, 35–65 % of the light each"),
        (Self::Emission, "Hβ, Hγ, Hδ in emission, Hβ 0.3–1 above the spectrum"),
        (Self::WrongVelocity, "a velocity of 150–500 km/s left uncorrected"),
        (Self::Step, "a flux step of 10–30 %"),
    ];
    const SWAPPED: (Self, &'static str) = (Self::Swapped, "XP spectrum of another star");
}

/// Flux shifted by a velocity in km/s. Pixels from beyond the ends are NaN.
fn shifted(flux: &[f32], kms: f64) -> Vec<f32> {
    let shift_pixels = (1.0 + kms / C_KMS).log10() / STEP_DEX;
    let at = |i: usize| {
        let from = i as f64 - shift_pixels;
        let (low, part) = (from.floor(), from.fract().rem_euclid(1.0) as f32);
        let get = |k: f64| if k < 0.0 { f32::NAN } else { flux.get(k as usize).copied().unwrap_or(f32::NAN) };
        (1.0 - part) * get(low) + part * if part > 0.0 { get(low + 1.0) } else { 0.0 }
    };
    (0..flux.len()).map(at).collect()
}

/// A random value from `range` with a random sign.
fn with_random_sign(rng: &mut impl Rng, range: std::ops::Range<f64>) -> f64 {
    let size: f64 = rng.random_range(range);
    if rng.random_bool(0.5) { size } else { -size }
}

/// Injects an anomaly into a star's optical and XP spectrum. `other` are the spectra of a second star.
pub(super) fn inject(
    kind: AnomalyKind,
    star: (&[f32], &[f32]),
    other: (&[f32], &[f32]),
    rng: &mut impl Rng,
) -> (Vec<f32>, Vec<f32>) {
    let (lrs, xp) = star;
    let sum = |a: &[f32], b: &[f32], w: f32| a.iter().zip(b).map(|(a, b)| w * a + (1.0 - w) * b).collect::<Vec<f32>>();
    match kind {
        AnomalyKind::Binary => {
            let fraction = rng.random_range(0.35..0.65) as f32;
            let second = shifted(other.0, with_random_sign(rng, 100.0..300.0));
            (sum(lrs, &second, fraction), sum(xp, other.1, fraction))
        }
        AnomalyKind::Emission => {
            let (height, sigma): (f64, f64) = (rng.random_range(0.3..1.0), rng.random_range(2.5..6.0));
            // Hβ, Hγ, Hδ: vacuum wavelengths in Å, and heights relative to Hβ.
            let lines = [(4862.69, 1.0), (4341.69, 0.5), (4102.9, 0.3)];
            let added = |wave: f64| {
                lines.iter().map(|(at, part)| part * height * (-0.5 * ((wave - at) / sigma).powi(2)).exp()).sum::<f64>()
            };
            // Preprocessing clips the flux at 1.6, so higher values cannot occur.
            let changed_flux = lrs.iter().zip(model_wave_vac_aa()).map(|(f, wave)| (f + added(wave) as f32).min(1.6));
            (changed_flux.collect(), xp.to_vec())
        }
        AnomalyKind::WrongVelocity => (shifted(lrs, with_random_sign(rng, 150.0..500.0)), xp.to_vec()),
        AnomalyKind::Step => {
            let (at, factor) = (rng.random_range(4300.0..5300.0), 1.0 + with_random_sign(rng, 0.1..0.3));
            // The mean level stays 1, because preprocessing gives every spectrum this level.
            let red = (5599.0 - at) / 1600.0;
            let level = 1.0 - red + red * factor;
            // Clipped to 0–1.6, as in preprocessing.
            let changed_flux = lrs
                .iter()
                .zip(model_wave_vac_aa())
                .map(|(f, wave)| (f64::from(*f) * if wave > at { factor } else { 1.0 } / level).clamp(0.0, 1.6) as f32);
            (changed_flux.collect(), xp.to_vec())
        }
        AnomalyKind::Swapped => (lrs.to_vec(), other.1.to_vec()),
    }
}

/// Cross, reconstruction, neighbour and overall score; −∞ where a score is not available.
type Scores = [f64; 4];

fn scores(index_set: &IndexSet, reference_stats: &ReferenceStats, lrs: &Encoded, xp: Option<&Encoded>) -> Scores {
    let cross = xp.and_then(|xp| lrs.cross(xp, &reference_stats.noise_floors)).map(|v| reference_stats.cross.score(v));
    let reconstruction = lrs
        .reconstruction_error(&reference_stats.noise_floors)
        .map(|v| reference_stats.reconstruction(Modality::Lrs).score(v));
    let neighbour = index_set.neighbour_score(Modality::Lrs, &lrs.embedding, "");
    let value = |s: Option<crate::result::similarity::Score>| s.map_or(f64::NEG_INFINITY, |s| s.value);
    [value(cross), value(reconstruction), value(neighbour), overall([cross, reconstruction, neighbour])]
}

/// Area under the ROC curve: the probability that an anomalous spectrum scores higher than a normal one. A tie counts
/// half.
pub(super) fn roc_auc(normal: &[f64], injected: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> =
        normal.iter().map(|v| (*v, false)).chain(injected.iter().map(|v| (*v, true))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut ranks = 0.0;
    let mut from = 0;
    while from < all.len() {
        let to = from + all[from..].iter().take_while(|(v, _)| *v == all[from].0).count();
        // Tied values share their mean rank.
        let rank = (from + to + 1) as f64 / 2.0;
        ranks += rank * all[from..to].iter().filter(|(_, is_injected)| *is_injected).count() as f64;
        from = to;
    }
    let (m, n) = (injected.len() as f64, normal.len() as f64);
    (ranks - m * (m + 1.0) / 2.0) / (m * n)
}

/// Injects anomalies into simulated pairs and into real spectra. Returns tables of the area under the ROC curve by
/// score.
pub fn evaluate_injected(
    encoder_bundle: EncoderBundle,
    pairs: &Pairs,
    n: usize,
    real: Vec<EncoderInput>,
    log: &mut dyn FnMut(&str),
) -> Result<String> {
    let reference_stats = encoder_bundle.index.reference_stats.clone().context(
        "the index has no reference statistics for anomaly scores; make it again with `specola pretrain index`",
    )?;
    let EncoderBundle { encoders, index } = encoder_bundle;
    let index_set = IndexSet::new(vec![index]);
    let mut page = format!(
        "\n## Injected anomalies\n\nArea under the ROC curve, {n} normal simulated pairs against {n} with an injected anomaly:\n\n| anomaly | cross | reconstruction | neighbour | overall |\n|---|---|---|---|---|\n"
    );
    let stars = pairs.of_step(0, n, RequiredParts::Both)?;
    let of_pairs = |stars: Vec<Pair>| -> Result<Vec<Scores>> {
        let both = reference_index::encode(&encoders, stars)?;
        Ok(both.iter().map(|b| scores(&index_set, &reference_stats, &b.lrs, Some(&b.xp))).collect())
    };
    let normal = of_pairs(stars.clone())?;
    for (k, (kind, name)) in AnomalyKind::OPTICAL.into_iter().chain([AnomalyKind::SWAPPED]).enumerate() {
        let injected = stars.iter().enumerate().map(|(i, star)| {
            let other = &stars[(i + n / 2 + 1) % n];
            let mut rng = rng_of(pairs.seed, k, i);
            let (lrs, xp) = inject(kind, (&star.lrs, &star.xp), (&other.lrs, &other.xp), &mut rng);
            Pair { lrs, xp, ..star.clone() }
        });
        write_row(&mut page, name, &normal, &of_pairs(injected.collect())?, 0);
        log(name);
    }
    let n = real.len();
    let _ = write!(
        page,
        "\nThe same for {n} LAMOST spectra without an XP spectrum:\n\n| anomaly | reconstruction | neighbour | overall |\n|---|---|---|---|\n"
    );
    let of_inputs = |input: Vec<EncoderInput>| -> Result<Vec<Scores>> {
        let encoded = block_on(encoders.encode(input))?;
        Ok(encoded.iter().map(|e| scores(&index_set, &reference_stats, e, None)).collect())
    };
    let normal = of_inputs(real.clone())?;
    for (k, (kind, name)) in AnomalyKind::OPTICAL.into_iter().enumerate() {
        let injected = real.iter().enumerate().map(|(i, input)| {
            let mut rng = rng_of(pairs.seed, 10 + k, i);
            let (flux, _) = inject(kind, (&input.flux, &[]), (&real[(i + n / 2 + 1) % n].flux, &[]), &mut rng);
            EncoderInput { flux, ..input.clone() }
        });
        write_row(&mut page, name, &normal, &of_inputs(injected.collect())?, 1);
    }
    Ok(page)
}

fn write_row(page: &mut String, name: &str, normal: &[Scores], injected: &[Scores], from: usize) {
    let _ = write!(page, "| {name} |");
    for score in from..4 {
        let column = |all: &[Scores]| all.iter().map(|s| s[score]).collect::<Vec<f64>>();
        let _ = write!(page, " {:.3} |", roc_auc(&column(normal), &column(injected)));
    }
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference: `sklearn.metrics.roc_auc_score`([0, 0, 0, 1, 1], [1, 2, 3, 2, 4]) = 0.75.
    #[test]
    fn roc_auc_is_scikit_learns() {
        assert!((roc_auc(&[1.0, 2.0, 3.0], &[2.0, 4.0]) - 0.75).abs() < 1e-12);
        assert_eq!(roc_auc(&[1.0, 1.0], &[1.0]), 0.5);
    }

    #[test]
    fn a_shift_of_one_pixel_moves_by_one() {
        let kms = (10f64.powf(STEP_DEX) - 1.0) * C_KMS;
        let flux: Vec<f32> = (0..20).map(|i| (i * i) as f32).collect();
        let shifted_flux = shifted(&flux, kms * 1.0000001);
        assert!(shifted_flux[0].is_nan() && (shifted_flux[7] - 36.0).abs() < 0.01, "{shifted_flux:?}");
    }
}
