//! Oddities that were planted, and how well they are found.

use std::fmt::Write;

use anyhow::{Context, Result};
use pollster::block_on;
use rand::{Rng, RngExt};

use super::pairs::{Pair, Pairs};
use super::population::Want;
use super::reference;
use super::steps::rng_of;
use crate::preprocess::grid::{C_KMS, STEP_DEX, model_wave_vac_aa};
use crate::result::catalogue::Modality;
use crate::retrieve::oddity::{Usual, overall};
use crate::task::likes::Kit;
use crate::task::likes::encode::{Encoded, Seen};
use crate::task::likes::library::Library;

/// What is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Binary,
    Emission,
    WrongVelocity,
    Step,
    Swapped,
}

impl Kind {
    /// Those that can be told from the optical spectrum.
    pub(super) const OPTICAL: [(Kind, &'static str); 4] = [
        (Kind::Binary, "two spectra summed, 100–300 km/s apart, 35–65 % of the light each"),
        (Kind::Emission, "Hβ, Hγ, Hδ in emission, Hβ 0.3–1 above the spectrum"),
        (Kind::WrongVelocity, "150–500 km/s left in the wavelengths"),
        (Kind::Step, "a step of 10–30 % of the flux"),
    ];
    const SWAPPED: (Kind, &'static str) = (Kind::Swapped, "XP spectrum of another star");
}

/// Flux shifted by a velocity; what comes from beyond the ends is not there.
fn shifted(flux: &[f32], kms: f64) -> Vec<f32> {
    let by = (1.0 + kms / C_KMS).log10() / STEP_DEX;
    let at = |i: usize| {
        let from = i as f64 - by;
        let (low, part) = (from.floor(), from.fract().rem_euclid(1.0) as f32);
        let get = |k: f64| if k < 0.0 { f32::NAN } else { flux.get(k as usize).copied().unwrap_or(f32::NAN) };
        (1.0 - part) * get(low) + part * if part > 0.0 { get(low + 1.0) } else { 0.0 }
    };
    (0..flux.len()).map(at).collect()
}

/// Either side of 0, this far.
fn either(rng: &mut impl Rng, range: std::ops::Range<f64>) -> f64 {
    let size: f64 = rng.random_range(range);
    if rng.random_bool(0.5) { size } else { -size }
}

/// The optical and the XP spectrum with something wrong.
pub(super) fn plant(
    kind: Kind,
    own: (&[f32], &[f32]),
    other: (&[f32], &[f32]),
    rng: &mut impl Rng,
) -> (Vec<f32>, Vec<f32>) {
    let (lrs, xp) = own;
    let sum = |a: &[f32], b: &[f32], w: f32| a.iter().zip(b).map(|(a, b)| w * a + (1.0 - w) * b).collect::<Vec<f32>>();
    match kind {
        Kind::Binary => {
            let share = rng.random_range(0.35..0.65) as f32;
            let second = shifted(other.0, either(rng, 100.0..300.0));
            (sum(lrs, &second, share), sum(xp, other.1, share))
        }
        Kind::Emission => {
            let (height, sigma): (f64, f64) = (rng.random_range(0.3..1.0), rng.random_range(2.5..6.0));
            let lines = [(4862.69, 1.0), (4341.69, 0.5), (4102.9, 0.3)];
            let added = |wave: f64| {
                lines.iter().map(|(at, part)| part * height * (-0.5 * ((wave - at) / sigma).powi(2)).exp()).sum::<f64>()
            };
            let with = lrs.iter().zip(model_wave_vac_aa()).map(|(f, wave)| (f + added(wave) as f32).min(1.6));
            (with.collect(), xp.to_vec())
        }
        Kind::WrongVelocity => (shifted(lrs, either(rng, 150.0..500.0)), xp.to_vec()),
        Kind::Step => {
            let (at, factor) = (rng.random_range(4300.0..5300.0), 1.0 + either(rng, 0.1..0.3));
            // Level on the whole, as the recipe leaves every spectrum.
            let red = (5599.0 - at) / 1600.0;
            let level = 1.0 - red + red * factor;
            let with = lrs
                .iter()
                .zip(model_wave_vac_aa())
                .map(|(f, wave)| (f64::from(*f) * if wave > at { factor } else { 1.0 } / level).clamp(0.0, 1.6) as f32);
            (with.collect(), xp.to_vec())
        }
        Kind::Swapped => (lrs.to_vec(), other.1.to_vec()),
    }
}

/// Cross, reconstruction and neighbour score and the largest excess; −∞ where there is none.
type Scores = [f64; 4];

fn scores(library: &Library, usual: &Usual, lrs: &Encoded, xp: Option<&Encoded>) -> Scores {
    let cross = xp.and_then(|xp| lrs.cross(xp, &usual.floors)).map(|v| usual.cross.score(v));
    let rebuilt = lrs.reconstruction(&usual.floors).map(|v| usual.reconstruction(Modality::Lrs).score(v));
    let alone = library.neighbour_score(Modality::Lrs, &lrs.embedding, "");
    let value = |s: Option<crate::result::likes::Score>| s.map_or(f64::NEG_INFINITY, |s| s.value);
    [value(cross), value(rebuilt), value(alone), overall([cross, rebuilt, alone])]
}

/// Area under the ROC curve: how often a planted one scores higher than a usual one, equals half.
pub(super) fn area(usual: &[f64], planted: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> =
        usual.iter().map(|v| (*v, false)).chain(planted.iter().map(|v| (*v, true))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut ranks = 0.0;
    let mut from = 0;
    while from < all.len() {
        let to = from + all[from..].iter().take_while(|(v, _)| *v == all[from].0).count();
        // Of equals each has the mean rank.
        let rank = (from + to + 1) as f64 / 2.0;
        ranks += rank * all[from..to].iter().filter(|(_, is_planted)| *is_planted).count() as f64;
        from = to;
    }
    let (m, n) = (planted.len() as f64, usual.len() as f64);
    (ranks - m * (m + 1.0) / 2.0) / (m * n)
}

/// Plants oddities in simulated pairs and in real spectra, and prints how well each score finds them.
pub fn planted(kit: Kit, pairs: &Pairs, n: usize, real: Vec<Seen>, say: &mut dyn FnMut(&str)) -> Result<String> {
    let usual = kit.index.usual.clone().context("the index says nothing of what is usual; make it anew")?;
    let Kit { encoders, index } = kit;
    let library = Library::new(vec![index]);
    let mut page = format!(
        "\n### Planted oddities\n\nArea under the ROC curve, {n} simulated pairs as they are against {n} with something wrong:\n\n| what | cross | reconstruction | neighbour | overall |\n|---|---|---|---|---|\n"
    );
    let stars = pairs.of_step(0, n, Want::Both)?;
    let of_pairs = |stars: Vec<Pair>| -> Result<Vec<Scores>> {
        let both = reference::encode(&encoders, stars)?;
        Ok(both.iter().map(|b| scores(&library, &usual, &b.lrs, Some(&b.xp))).collect())
    };
    let plain = of_pairs(stars.clone())?;
    for (k, (kind, name)) in Kind::OPTICAL.into_iter().chain([Kind::SWAPPED]).enumerate() {
        let odd = stars.iter().enumerate().map(|(i, star)| {
            let other = &stars[(i + n / 2 + 1) % n];
            let mut rng = rng_of(pairs.seed, k, i);
            let (lrs, xp) = plant(kind, (&star.lrs, &star.xp), (&other.lrs, &other.xp), &mut rng);
            Pair { lrs, xp, ..star.clone() }
        });
        row(&mut page, name, &plain, &of_pairs(odd.collect())?, 0);
        say(name);
    }
    let n = real.len();
    let _ = write!(
        page,
        "\nThe same in {n} LAMOST spectra, which have no XP spectrum beside them:\n\n| what | reconstruction | neighbour | overall |\n|---|---|---|---|\n"
    );
    let of_seen = |seen: Vec<Seen>| -> Result<Vec<Scores>> {
        let encoded = block_on(encoders.encode(seen))?;
        Ok(encoded.iter().map(|e| scores(&library, &usual, e, None)).collect())
    };
    let plain = of_seen(real.clone())?;
    for (k, (kind, name)) in Kind::OPTICAL.into_iter().enumerate() {
        let odd = real.iter().enumerate().map(|(i, seen)| {
            let mut rng = rng_of(pairs.seed, 10 + k, i);
            let (flux, _) = plant(kind, (&seen.flux, &[]), (&real[(i + n / 2 + 1) % n].flux, &[]), &mut rng);
            Seen { flux, ..seen.clone() }
        });
        row(&mut page, name, &plain, &of_seen(odd.collect())?, 1);
    }
    Ok(page)
}

fn row(page: &mut String, name: &str, plain: &[Scores], odd: &[Scores], from: usize) {
    let _ = write!(page, "| {name} |");
    for score in from..4 {
        let column = |all: &[Scores]| all.iter().map(|s| s[score]).collect::<Vec<f64>>();
        let _ = write!(page, " {:.3} |", area(&column(plain), &column(odd)));
    }
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// sklearn.metrics.roc_auc_score([0, 0, 0, 1, 1], [1, 2, 3, 2, 4]) = 0.75.
    #[test]
    fn areas_are_scikit_learns() {
        assert!((area(&[1.0, 2.0, 3.0], &[2.0, 4.0]) - 0.75).abs() < 1e-12);
        assert_eq!(area(&[1.0, 1.0], &[1.0]), 0.5);
    }

    #[test]
    fn a_shift_of_one_pixel_moves_by_one() {
        let kms = (10f64.powf(STEP_DEX) - 1.0) * C_KMS;
        let flux: Vec<f32> = (0..20).map(|i| (i * i) as f32).collect();
        let moved = shifted(&flux, kms * 1.0000001);
        assert!(moved[0].is_nan() && (moved[7] - 36.0).abs() < 0.01, "{moved:?}");
    }
}
