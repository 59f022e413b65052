//! The models in `models/` on real stars.

use specola::result::{Flag, Label};

use crate::shipped_models::{check_saliency, predict, predictors, read};
use crate::support::real_spectra;

/// The network predicts a low metallicity for hot stars and M dwarfs. Lines outside of its range identify them.
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
    // HD 149382, HD 205021, HD 105262: B stars; HD 95735: M2 V.
    for id in ["m0608V", "m0800V", "m0430V", "m0398V"] {
        assert!(is_flagged(id), "{id}");
    }
    // BD+09 2190, a metal-poor F star; HD 201091, K5 V.
    for id in ["m0348V", "m0788V"] {
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
