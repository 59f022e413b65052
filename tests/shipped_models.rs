//! The models in `models/` on spectra whose labels are known from elsewhere.
#![cfg(feature = "cli")]

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use pollster::block_on;
use specola::model::store::{Folder, Store};
use specola::plot::SlopeCurves;
use specola::preprocess::grid;
use specola::result::reading::ModelFit;
use specola::result::{Flag, Label, Prediction};
use specola::spectrum::{Known, Medium, Meta, Source, Spectrum};
use specola::task::fit::Modeller;
use specola::task::predict::{NoPrediction, Predictor};
use specola::task::saliency::saliency;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn predictors() -> Vec<Predictor> {
    let store = Store::new(Folder::new(project("models")));
    let manifest = block_on(store.manifest()).expect("the manifest");
    let load = |entry| {
        let weights = block_on(store.weights(entry, |_, _| {})).expect("weights");
        Predictor::new(entry, &weights, &Device::flex()).expect("a model")
    };
    manifest.predictors().map(load).collect()
}

fn answer(model: &Predictor, spectrum: &Spectrum) -> Result<Prediction, NoPrediction> {
    block_on(model.predict(&[spectrum])).pop().expect("one answer for one spectrum")
}

fn read(path: &Path) -> Spectrum {
    let bytes = std::fs::read(path).expect("the file");
    specola::read::read(&path.to_string_lossy(), &bytes).expect("a spectrum").spectra.remove(0)
}

/// Folder of real spectra beside the project, if it is there.
fn real() -> Option<PathBuf> {
    let folder = std::env::var_os("SPECOLA_REAL").map_or_else(|| project("../shared/data/real"), PathBuf::from);
    if !folder.is_dir() {
        println!("real spectra are not at hand: this test did nothing");
        return None;
    }
    Some(folder)
}

/// The samples are nodes of the synthetic grid, whose labels are known. Within five errors and not three: an error is a mean
/// over all kinds of stars, and the gravity of a faint F star is harder to tell than most.
#[test]
fn the_samples_true_labels_lie_within_five_errors() {
    let index = std::fs::read(project("www/samples/index.json")).expect("the list of samples");
    let samples: serde_json::Value = serde_json::from_slice(&index).expect("JSON");
    for model in predictors() {
        for sample in samples.as_array().expect("a list") {
            let file = sample["file"].as_str().expect("a name");
            let got = answer(&model, &read(&project("www/samples").join(file))).expect("an answer");
            for label in Label::ALL {
                let (estimate, truth) = (got.get(label).expect("a label"), sample["truth"][label.name()].as_f64());
                let off = (estimate.value - truth.expect("a number")) / estimate.error;
                println!(
                    "{} {file} {}: {:.3} ± {:.3}, {off:+.1} σ",
                    got.model,
                    label.name(),
                    estimate.value,
                    estimate.error
                );
                assert!(off.abs() < 5.0, "{file} {}: {off:.1} σ from the truth", label.name());
            }
        }
    }
}

/// Stars that the network takes for metal-poor ones are told by lines outside of its range; a metal-poor one is not.
#[test]
fn hot_stars_and_m_dwarfs_are_flagged_and_metal_poor_stars_are_not() {
    let Some(real) = real() else { return };
    let bytes = std::fs::read(real.join("miles.npz")).expect("MILES");
    let library = specola::read::read("miles.npz", &bytes).expect("the bundle").spectra;
    let model = &predictors()[0];
    let is_flagged = |id: &str| {
        let star = library.iter().find(|star| star.meta.id == id).expect("the star");
        let got = answer(model, star).expect("an answer");
        let note = got.ledger.iter().find(|entry| entry.step == "kind of star").map(|entry| entry.did.as_str());
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

fn modeller() -> Modeller {
    block_on(Modeller::fetch(&Store::new(Folder::new(project("models"))), |_, _| {})).expect("the emulator")
}

/// The samples are nodes of the emulator's grid with noise of known size: at the truth χ² is near that of noise (carbon, nitrogen
/// and microturbulence are the nodes' own, not the usual ones), and with another star's answer it is not.
#[test]
fn the_model_spectrum_of_a_sample_fits_at_its_true_labels_and_at_no_other() {
    let index = std::fs::read(project("www/samples/index.json")).expect("the list of samples");
    let samples: serde_json::Value = serde_json::from_slice(&index).expect("JSON");
    let (modeller, models) = (modeller(), predictors());
    for sample in samples.as_array().expect("a list") {
        let file = sample["file"].as_str().expect("a name");
        let star = read(&project("www/samples").join(file));
        let model = &models[0];
        let mut at = answer(model, &star).expect("an answer");
        let mut fit = |teff_off: f64, feh_off: f64| {
            for estimate in &mut at.estimates {
                let truth = sample["truth"][estimate.label.name()].as_f64().expect("a number");
                let off = match estimate.label {
                    Label::Teff => teff_off,
                    Label::Feh => feh_off,
                    _ => 0.0,
                };
                estimate.value = truth + off;
            }
            block_on(modeller.fit(model, &star, &at)).expect("at rest").expect("labels")
        };
        let right = fit(0.0, 0.0);
        let chi2 = |fit: &ModelFit| fit.chi2_red.expect("the sample has errors");
        let (cool, rich) = (fit(-900.0, 0.0), fit(0.0, 1.4));
        println!(
            "{file}: χ² {:.3}, rms {:.4}, misfit {:.2}; 900 K too cool χ² {:.1}, misfit {:.2}; 1.4 dex too metal-rich χ² {:.1}, misfit {:.2}",
            chi2(&right),
            right.rms,
            right.misfit,
            chi2(&cool),
            cool.misfit,
            chi2(&rich),
            rich.misfit
        );
        assert!((0.8..2.0).contains(&chi2(&right)) && !right.is_poor, "{file}: {}", chi2(&right));
        assert!(right.pixels > 1400 && right.is_inside);
        assert!(cool.is_poor && chi2(&cool) > 2.0 * chi2(&right), "{file}: {}", cool.misfit);
        assert!(!fit(3000.0, 0.0).is_inside);
    }
}

/// What the shipped models read [Fe/H] of a metal-poor star from: slopes are differences of answers, and the strongest sit on
/// lines.
#[test]
fn slopes_of_the_shipped_models_are_differences_of_answers_and_sit_on_lines() {
    const STEP: f32 = 1e-4;
    let mut stars = vec![("the halo sample".to_string(), read(&project("www/samples/halo-star.fits.gz")))];
    if let Some(real) = real() {
        let bytes = std::fs::read(real.join("miles.npz")).expect("the bundle");
        let spectra = specola::read::read("miles.npz", &bytes).expect("spectra").spectra;
        // HD 122563, a giant, and BD+20 3603, a dwarf.
        let known = spectra.into_iter().filter(|s| ["m0493V", "m0649V"].contains(&s.meta.id.as_str()));
        stars.extend(known.map(|s| (s.meta.id.clone(), s)));
    }
    let wave: Vec<f32> = grid::model_wave_vac_aa().iter().map(|w| *w as f32).collect();
    for model in predictors() {
        for (name, star) in &stars {
            let found = block_on(saliency(&model, star, "feh")).expect("at rest").expect("a label of the model");
            let norm = block_on(model.at_rest(&[star])).remove(0).expect("at rest").norm;
            let column = model.outputs().iter().position(|l| *l == Label::Feh).expect("[Fe/H]");
            let network = model.label_network();
            let size = found.slope.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>().sqrt();
            for seed in 0..4u32 {
                let towards: Vec<f32> =
                    (0..norm.len()).map(|i| ((i as f32 * 12.9898 + seed as f32) * 78.233).sin()).collect();
                let moved = |by: f32| -> Vec<f32> { norm.iter().zip(&towards).map(|(x, t)| x + by * t).collect() };
                let (up, down) = (moved(STEP), moved(-STEP));
                let answers = block_on(network.predict(&[&up, &down], model.device())).expect("answers");
                let got = (answers[0][column] - answers[1][column]) / (2.0 * f64::from(STEP));
                let want: f64 = found.slope.iter().zip(&towards).map(|(s, t)| f64::from(s * t)).sum();
                assert!((got - want).abs() < 0.03 * size, "{name}: {got} and {want}, {size}");
            }
            let features = SlopeCurves::of(&wave, &norm, &found).features;
            let said: Vec<String> = features
                .iter()
                .map(|f| format!("{} {:.0} Å ({:+.4})", f.line.map_or("?", |l| l.name), f.wave_vac_aa, f.slope))
                .collect();
            println!("{} on {name}: {}", model.entry().name, said.join(", "));
            let is_on =
                |lines: &[&str]| features.iter().filter(|f| f.line.is_some_and(|l| lines.contains(&l.name))).count();
            let known = is_on(&["Hβ", "Hγ", "Hδ", "Mg b", "Ca I", "Fe I", "Fe II"]);
            assert!(known * 2 > features.len() && is_on(&["Hβ"]) > 0, "{}", said.join(", "));
        }
        assert!(block_on(saliency(&model, &stars[0].1, "rv")).expect("at rest").is_none());
    }
}

/// The Doppler shift of a whole spectrum goes into RV and into nothing else.
#[test]
fn a_shifted_spectrum_changes_its_velocity_alone() {
    let star = read(&project("www/samples/g-dwarf.fits.gz"));
    for model in predictors() {
        let at = |rv_kms: f64| {
            let wave = star.wave_vac_aa().iter().map(|w| w * (1.0 + rv_kms / 299_792.458)).collect();
            let ivar = star.ivar().map(<[f64]>::to_vec);
            let moved = Spectrum::new(star.meta.clone(), wave, star.flux().to_vec(), ivar, None).expect("a spectrum");
            answer(&model, &moved).expect("an answer")
        };
        let (still, moving) = (at(0.0), at(150.0));
        let change = |label: Label| {
            let (a, b) = (still.get(label).expect("a label"), moving.get(label).expect("a label"));
            (b.value - a.value, a.error)
        };
        let (rv, e_rv) = change(Label::Rv);
        assert!((rv - 150.0).abs() < 2.0 * e_rv, "RV changes by {rv:.1}");
        for label in [Label::Teff, Label::Logg, Label::Feh, Label::AlphaFe] {
            let (off, error) = change(label);
            assert!(off.abs() < error, "{} changes by {off:.3} where its error is {error:.3}", label.name());
        }
    }
}

#[test]
fn what_is_no_star_of_the_grid_is_flagged_or_refused() {
    let model = predictors().remove(0);
    let wave: Vec<f64> = (0..2000).map(|i| 10f64.powf(3.59 + 1e-4 * f64::from(i))).collect();
    let meta = || Meta { medium: Known::new(Medium::Vacuum, Source::File), ..Meta::unknown("test", "test") };
    let spectrum = |flux: &dyn Fn(f64) -> f64| {
        let flux = wave.iter().map(|w| flux(*w)).collect();
        Spectrum::new(meta(), wave.clone(), flux, Some(vec![1e4; wave.len()]), None).expect("a spectrum")
    };
    // Broad emission lines, as of a quasar.
    let quasar =
        spectrum(&|w| 1.0 + 2.0 * (-((w - 4700.0) / 40.0).powi(2)).exp() + (-((w - 5200.0) / 25.0).powi(2)).exp());
    let got = answer(&model, &quasar).expect("an answer");
    assert!(got.flags.contains(&Flag::OutOfTraining), "{:?}", got.flags);
    assert!(answer(&model, &spectrum(&|_| -1.0)).is_err(), "negative flux has no continuum");
    let red: Vec<f64> = (0..500).map(|i| 6000.0 + f64::from(i)).collect();
    let red = Spectrum::new(meta(), red, vec![1.0; 500], None, None).expect("a spectrum");
    let refusal = answer(&model, &red).expect_err("nothing of the model's range").to_string();
    assert!(refusal.contains("4000–5599"), "{refusal}");
}

/// A solar twin at R 32,000, and the same smoothed to R 1800 and written as text: Teff 5.8 kK, log g 4.4, [Fe/H] 0.0.
#[test]
fn resolution_does_not_change_the_answer() {
    let Some(real) = real() else { return };
    let sharp = read(&real.join("files/other1d/HARPS.Archive_18Sco_R32K.fits"));
    let wave = sharp.wave_vac_aa();
    let soft: Vec<f64> = wave
        .iter()
        .map(|at| {
            let sigma = at * (1800f64.powi(-2) - 32_000f64.powi(-2)).sqrt() / 2.354_82;
            let weights: Vec<f64> = wave.iter().map(|w| (-0.5 * ((w - at) / sigma).powi(2)).exp()).collect();
            weights.iter().zip(sharp.flux()).map(|(w, f)| w * f).sum::<f64>() / weights.iter().sum::<f64>()
        })
        .collect();
    let mut text = String::from("wavelength_vac,flux\n");
    wave.iter().zip(&soft).for_each(|(w, f)| text.push_str(&format!("{w},{f}\n")));
    let soft = specola::read::read("soft.csv", text.as_bytes()).expect("a spectrum").spectra.remove(0);
    for model in predictors() {
        let (sharp, soft) = (answer(&model, &sharp).expect("an answer"), answer(&model, &soft).expect("an answer"));
        for (label, truth) in [(Label::Teff, 5800.0), (Label::Logg, 4.4), (Label::Feh, 0.0)] {
            let (a, b) = (sharp.get(label).expect("a label"), soft.get(label).expect("a label"));
            println!(
                "{} {}: {:.3} ± {:.3} at R 32,000, {:.3} at R 1800",
                sharp.model,
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
