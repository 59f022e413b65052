//! Flags of `xp-mlp` on Gaia XP spectra that differ from those of its training: more dust than its stars have, and blends
//! of two stars.

use std::fmt::Write;

use pollster::block_on;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::extinction::transmission;
use super::stars::{Part, XpStars};
use crate::preprocess::xp::grid_nm;
use crate::result::{Flag, Label, Prediction};
use crate::spectrum::Spectrum;
use crate::stats::median;
use crate::task::xp_model::XpModel;

/// E(B−V) that is added, mag.
const ADDED_EBV_MAG: [f64; 3] = [0.5, 1.5, 3.0];

/// Smallest difference in Teff between the stars of a blend, K.
const MIN_TEFF_DIFFERENCE_K: f32 = 1000.0;

/// Share of flagged spectra, and the error of Teff, for test stars as observed and changed. A section of Markdown.
pub fn flagged(model: &XpModel, stars: &XpStars, seed: u64) -> String {
    let is_usable = |&i: &usize| stars.snr[i] >= 50.0 && (3500.0..7200.0).contains(&stars.labels[i][0]);
    let rows: Vec<usize> = stars.rows(Part::Test, 0.0).into_iter().filter(is_usable).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut cases = vec![("as observed".to_string(), changed(stars, &rows, |_, flux| flux))];
    for ebv_mag in ADDED_EBV_MAG {
        let dust: Vec<f64> = grid_nm().into_iter().map(|nm| transmission(nm, ebv_mag)).collect();
        let redden = |_, flux: Vec<f64>| flux.iter().zip(&dust).map(|(f, d)| f * d).collect();
        cases.push((format!("E(B−V) {ebv_mag} mag more"), changed(stars, &rows, redden)));
    }
    let blend = |star: usize, flux: Vec<f64>| {
        let other = (0..1000).map(|_| rows[rng.random_range(0..rows.len())]);
        let is_different = |i: &usize| (stars.labels[*i][0] - stars.labels[star][0]).abs() > MIN_TEFF_DIFFERENCE_K;
        let Some(other) = other.into_iter().find(is_different) else { return flux };
        // Equal mean flux.
        let mean = |values: &[f32]| values.iter().map(|v| f64::from(*v)).sum::<f64>();
        let scale = mean(stars.flux(star)) / mean(stars.flux(other)) * f64::from(stars.unit[star]);
        flux.iter().zip(stars.flux(other)).map(|(a, b)| a + scale * f64::from(*b)).collect()
    };
    let name = format!("blended with another star of equal mean flux, > {MIN_TEFF_DIFFERENCE_K:.0} K hotter or cooler");
    cases.push((name, changed(stars, &rows, blend)));
    let title = model.entry().title();
    let mut page = format!(
        "\n## Gaia XP spectra unlike the training set\n\nTest stars of APOGEE, S/N > 50, 3500–7200 K: share with each flag of {title}, and median absolute error of Teff (of the first star, in blends).\n\n| spectra | N | `out_of_training` | `grid_edge` | `hot_star` | no flag | Teff error |\n|---|---|---|---|---|---|---|\n"
    );
    for (name, spectra) in cases {
        let _ = writeln!(page, "{}", row(model, stars, &name, &spectra));
    }
    page
}

/// Spectra with changed flux; the errors stay the same part of the flux.
fn changed(
    stars: &XpStars,
    rows: &[usize],
    mut change: impl FnMut(usize, Vec<f64>) -> Vec<f64>,
) -> Vec<(usize, Spectrum)> {
    let of = |&star: &usize| {
        let spectrum = stars.spectrum(star, &star.to_string())?;
        let flux = change(star, spectrum.flux().to_vec());
        let relative =
            |(i, new): (usize, &f64)| spectrum.ivar().map_or(1.0, |ivar| ivar[i] * (spectrum.flux()[i] / new).powi(2));
        let ivar = flux.iter().enumerate().map(relative).collect();
        let wave_aa = spectrum.wave_vac_aa().to_vec();
        Some((star, Spectrum::new(spectrum.meta.clone(), wave_aa, flux, Some(ivar), None).ok()?))
    };
    rows.iter().filter_map(of).collect()
}

fn row(model: &XpModel, stars: &XpStars, name: &str, spectra: &[(usize, Spectrum)]) -> String {
    let all: Vec<&Spectrum> = spectra.iter().map(|(_, spectrum)| spectrum).collect();
    let predictions: Vec<(usize, Prediction)> = spectra
        .iter()
        .zip(block_on(model.predict(&all)))
        .filter_map(|((star, _), prediction)| Some((*star, prediction.ok()?)))
        .collect();
    let n = predictions.len().max(1) as f64;
    let share = |holds: &dyn Fn(&Prediction) -> bool| predictions.iter().filter(|(_, p)| holds(p)).count() as f64 / n;
    let flag = |flag: Flag| share(&|p: &Prediction| p.flags.contains(&flag));
    let error = |(star, p): &(usize, Prediction)| {
        p.get(Label::Teff).map(|e| (e.value - f64::from(stars.labels[*star][0])).abs())
    };
    let teff_error = median(&mut predictions.iter().filter_map(error).collect()).unwrap_or(f64::NAN);
    format!(
        "| {name} | {} | {:.3} | {:.3} | {:.3} | {:.3} | {teff_error:.0} K |",
        predictions.len(),
        flag(Flag::OutOfTraining),
        flag(Flag::GridEdge),
        flag(Flag::HotStar),
        share(&|p: &Prediction| p.flags.is_empty())
    )
}
