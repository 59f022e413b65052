//! The models in `models/` on real stars.

use pollster::block_on;
use specola::model::store::{Folder, Store};
use specola::preprocess::xp::grid_nm;
use specola::result::{Flag, Label};
use specola::spectrum::{Meta, Spectrum, Survey};
use specola::task::metrics::Metrics;
use specola::task::xp_model::XpModel;
use specola::train::calspec;
use specola::train::xp::stars::{Part, XpStars};

use crate::shipped_models::{check_saliency, predict, predictors, read};
use crate::support::real_spectra;

/// The network predicts a low metallicity for B stars and M dwarfs. Lines outside of its range identify them.
/// Metal-poor stars are not flagged.
#[test]
#[ignore = "reads real spectra: cargo xtask test --real DIR"]
fn hot_stars_and_m_dwarfs_are_flagged_and_metal_poor_stars_are_not() {
    let real = real_spectra();
    let bytes = std::fs::read(real.join("miles.npz")).expect("MILES");
    let library = specola::read::read("miles.npz", &bytes).expect("the bundle").spectra;
    let model = &predictors()[0];
    let is_flagged = |id: &str| {
        let star = library.iter().find(|star| star.meta.id == id).expect("the star");
        let got = predict(model, star).expect("an answer");
        let note = got
            .processing_history
            .iter()
            .find(|entry| entry.step == "spectral-type check")
            .map(|entry| entry.description.as_str());
        println!("{id}: {note:?}");
        assert_eq!(note.is_some(), got.flags.contains(&Flag::OutOfTraining), "{id}: {note:?}");
        note.is_some()
    };
    // HD 149382, HD 205021: B stars; HD 95735: M2 V.
    for id in ["m0608V", "m0800V", "m0398V"] {
        assert!(is_flagged(id), "{id}");
    }
    // BD+09 2190, a metal-poor F star; HD 201091, K5 V; HD 105262, a metal-poor A giant of 8542 K.
    for id in ["m0348V", "m0788V", "m0430V"] {
        assert!(!is_flagged(id), "{id}");
    }
}

/// HD 122563, a giant, and BD+20 3603, a dwarf.
#[test]
#[ignore = "reads real spectra: cargo xtask test --real DIR"]
fn saliency_of_metal_poor_stars_peaks_on_lines() {
    let bytes = std::fs::read(real_spectra().join("miles.npz")).expect("the bundle");
    let spectra = specola::read::read("miles.npz", &bytes).expect("spectra").spectra;
    let stars = spectra.into_iter().filter(|s| ["m0493V", "m0649V"].contains(&s.meta.id.as_str()));
    check_saliency(&stars.map(|s| (s.meta.id.clone(), s)).collect::<Vec<_>>());
}

/// A solar twin at R 32,000, and the spectrum smoothed to R 1800 and written as text: Teff 5.8 kK, log g 4.4, [Fe/H]
/// 0.0.
#[test]
#[ignore = "reads real spectra: cargo xtask test --real DIR"]
fn resolution_does_not_change_the_labels() {
    let real = real_spectra();
    let high_resolution = read(&real.join("files/other1d/HARPS.Archive_18Sco_R32K.fits"));
    let wave = high_resolution.wave_vac_aa();
    let low_resolution: Vec<f64> = wave
        .iter()
        .map(|centre| {
            let sigma = centre * (1800f64.powi(-2) - 32_000f64.powi(-2)).sqrt() / 2.354_82;
            let weights: Vec<f64> = wave.iter().map(|w| (-0.5 * ((w - centre) / sigma).powi(2)).exp()).collect();
            weights.iter().zip(high_resolution.flux()).map(|(w, f)| w * f).sum::<f64>() / weights.iter().sum::<f64>()
        })
        .collect();
    let mut text = String::from("wavelength_vac,flux\n");
    wave.iter().zip(&low_resolution).for_each(|(w, f)| text.push_str(&format!("{w},{f}\n")));
    let low_resolution = specola::read::read("soft.csv", text.as_bytes()).expect("a spectrum").spectra.remove(0);
    for model in predictors() {
        let (high_resolution, low_resolution) = (
            predict(&model, &high_resolution).expect("an answer"),
            predict(&model, &low_resolution).expect("an answer"),
        );
        for (label, truth) in [(Label::Teff, 5800.0), (Label::Logg, 4.4), (Label::Feh, 0.0)] {
            let (a, b) = (high_resolution.get(label).expect("a label"), low_resolution.get(label).expect("a label"));
            println!(
                "{} {}: {:.3} ± {:.3} at R 32,000, {:.3} at R 1800",
                high_resolution.model,
                label.name(),
                a.value,
                a.error,
                b.value
            );
            assert!((a.value - b.value).abs() < a.error, "{} depends on the resolution", label.name());
            assert!((a.value - truth).abs() < 2.0 * a.error, "{} is not the star's", label.name());
        }
    }
}

/// Solar analogues among the CALSPEC stars: from coefficients to labels.
#[test]
#[ignore = "reads real spectra: cargo xtask test --real DIR"]
fn labels_of_calspec_stars_from_coefficients_agree_with_the_literature() {
    let store = Store::new(Folder::new(concat!(env!("CARGO_MANIFEST_DIR"), "/models")));
    let model = block_on(XpModel::fetch(&store, |_, _| {})).expect("the shipped model");
    let stars = calspec::stars(&real_spectra(), &model).expect("the stars");
    println!("{}", calspec::body(&stars));
    let mut compared = 0;
    for star in &stars {
        for (label, literature) in
            [Label::Teff, Label::Logg, Label::Feh, Label::AlphaFe].into_iter().zip(star.literature)
        {
            let Some(literature) = literature else { continue };
            let estimate = star.prediction.get(label).expect("a label");
            let difference = (estimate.value - literature) / estimate.error;
            assert!(difference.abs() < 3.0, "{} {}: {difference:.1} errors", star.name, label.symbol());
            compared += 1;
        }
    }
    assert!(stars.len() >= 10 && compared >= 8, "{} stars, {compared} labels", stars.len());
}

/// Stars that the model for Gaia XP spectra was not trained on, read as a user's spectra: S/N > 50, 3500–7200 K.
#[test]
#[ignore = "reads real spectra: cargo xtask test --real DIR"]
fn labels_of_gaia_xp_stars_agree_with_apogee() {
    let store = Store::new(Folder::new(concat!(env!("CARGO_MANIFEST_DIR"), "/models")));
    let model = block_on(XpModel::fetch(&store, |_, _| {})).expect("the shipped model");
    let stars = XpStars::read(&real_spectra().join("gaia_xp_apogee.npz"), model.entry().seed).expect("the stars");
    let rows = stars.rows(Part::Test, 50.0);
    let rows: Vec<usize> = rows
        .into_iter()
        .filter(|&i| (3500.0..7200.0).contains(&stars.labels[i][0]) && stars.teff_error[i] < 100.0)
        .collect();
    let wave: Vec<f64> = grid_nm().into_iter().map(|nm| 10.0 * nm).collect();
    let spectrum = |&i: &usize| {
        let mut meta = Meta::unknown(i.to_string(), "a Gaia XP spectrum");
        meta.survey = Survey::GaiaXp;
        let flux = stars.flux(i).iter().map(|f| f64::from(f * stars.unit[i])).collect();
        let ivar = stars.sigma(i).iter().map(|s| f64::from(s * stars.unit[i]).powi(-2)).collect();
        Spectrum::new(meta, wave.clone(), flux, Some(ivar), None).expect("a spectrum")
    };
    let spectra: Vec<Spectrum> = rows.iter().map(spectrum).collect();
    let predictions = block_on(model.predict(&spectra.iter().collect::<Vec<_>>()));
    // The limits are those that a small network on principal components missed.
    for (j, (label, limit)) in [(Label::Teff, 95.0), (Label::Logg, 0.215), (Label::Feh, 0.115), (Label::AlphaFe, 0.043)]
        .into_iter()
        .enumerate()
    {
        let pairs: Vec<(f64, f64)> = rows
            .iter()
            .zip(&predictions)
            .filter_map(|(&i, p)| Some((f64::from(stars.labels[i][j]), p.as_ref().ok()?.get(label)?.value)))
            .collect();
        let metrics = Metrics::of(&pairs);
        println!("{}: N {}, offset {:.3}, σ {:.3}", label.symbol(), metrics.n, metrics.bias, metrics.sigma);
        assert!(metrics.n > 3500 && metrics.sigma < limit && metrics.bias.abs() < 0.3 * limit, "{}", label.symbol());
    }
    let flagged = predictions.iter().flatten().filter(|p| p.flags.contains(&Flag::OutOfTraining)).count();
    assert!(flagged < predictions.len() / 50, "{flagged} of {} are flagged", predictions.len());
}
