//! The models in `models/` on spectra with known labels.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use pollster::block_on;
use specola::model::store::{Folder, Store};
use specola::plot::SaliencyCurves;
use specola::preprocess::grid;
use specola::result::diagnostics::ModelFit;
use specola::result::{Flag, Label, Prediction};
use specola::spectrum::{Medium, Meta, Source, Sourced, Spectrum};
use specola::task::predict::{PredictError, Predictor};
use specola::task::saliency::saliency;
use specola::task::synthetic_model::SyntheticModel;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(crate) fn predictors() -> Vec<Predictor> {
    let store = Store::new(Folder::new(project("models")));
    let manifest = block_on(store.manifest()).expect("the manifest");
    let load = |entry| {
        let weights = block_on(store.weights(entry, |_, _| {})).expect("weights");
        Predictor::new(entry, &weights, &Device::flex()).expect("a model")
    };
    manifest.predictors().map(load).collect()
}

pub(crate) fn predict(model: &Predictor, spectrum: &Spectrum) -> Result<Prediction, PredictError> {
    block_on(model.predict(&[spectrum])).pop().expect("one answer for one spectrum")
}

pub(crate) fn read(path: &Path) -> Spectrum {
    let bytes = std::fs::read(path).expect("the file");
    specola::read::read(&path.to_string_lossy(), &bytes).expect("a spectrum").spectra.remove(0)
}

/// The samples are nodes of the synthetic grid with known labels. The limit is five errors instead of three: an error
/// is a mean over all types of stars, and log g of a faint F star is less precise than of most stars.
#[test]
fn sample_labels_are_within_five_errors() {
    let index = std::fs::read(project("www/samples/index.json")).expect("the list of samples");
    let samples: serde_json::Value = serde_json::from_slice(&index).expect("JSON");
    for model in predictors() {
        for sample in samples.as_array().expect("a list") {
            let file = sample["file"].as_str().expect("a name");
            let got = predict(&model, &read(&project("www/samples").join(file))).expect("an answer");
            for label in Label::ALL {
                let (estimate, truth) = (got.get(label).expect("a label"), sample["truth"][label.name()].as_f64());
                let deviation = (estimate.value - truth.expect("a number")) / estimate.error;
                println!(
                    "{} {file} {}: {:.3} ± {:.3}, {deviation:+.1} σ",
                    got.model,
                    label.name(),
                    estimate.value,
                    estimate.error
                );
                assert!(deviation.abs() < 5.0, "{file} {}: {deviation:.1} σ from the truth", label.name());
            }
        }
    }
}

fn synthetic_model() -> SyntheticModel {
    block_on(SyntheticModel::fetch(&Store::new(Folder::new(project("models"))), |_, _| {})).expect("the emulator")
}

/// The samples are nodes of the emulator's grid with noise of known σ. At the true labels χ² is near that of noise,
/// though carbon, nitrogen and microturbulence of the nodes are not the usual ones. At other labels χ² is larger.
#[test]
fn sample_spectra_fit_at_their_true_labels_only() {
    let index = std::fs::read(project("www/samples/index.json")).expect("the list of samples");
    let samples: serde_json::Value = serde_json::from_slice(&index).expect("JSON");
    let (synthetic_model, models) = (synthetic_model(), predictors());
    for sample in samples.as_array().expect("a list") {
        let file = sample["file"].as_str().expect("a name");
        let star = read(&project("www/samples").join(file));
        let model = &models[0];
        let mut prediction = predict(model, &star).expect("an answer");
        let mut fit = |teff_offset_k: f64, feh_offset: f64| {
            for estimate in &mut prediction.estimates {
                let truth = sample["truth"][estimate.label.name()].as_f64().expect("a number");
                let offset = match estimate.label {
                    Label::Teff => teff_offset_k,
                    Label::Feh => feh_offset,
                    _ => 0.0,
                };
                estimate.value = truth + offset;
            }
            let rest_frame = block_on(model.rest_frame(None, &[&star])).remove(0).expect("at rest");
            synthetic_model.check_fit(&rest_frame, &star, &prediction).expect("labels")
        };
        let at_truth = fit(0.0, 0.0);
        let chi2 = |fit: &ModelFit| fit.chi2_red.expect("the sample has errors");
        let (cool, rich) = (fit(-900.0, 0.0), fit(0.0, 1.4));
        println!(
            "{file}: χ² {:.3}, rms {:.4}, excess residual {:.2}; 900 K too cool χ² {:.1}, excess residual {:.2}; \
             1.4 dex too metal-rich χ² {:.1}, excess residual {:.2}",
            chi2(&at_truth),
            at_truth.rms,
            at_truth.excess_residual,
            chi2(&cool),
            cool.excess_residual,
            chi2(&rich),
            rich.excess_residual
        );
        assert!((0.8..2.0).contains(&chi2(&at_truth)) && !at_truth.is_poor, "{file}: {}", chi2(&at_truth));
        assert!(at_truth.pixels > 1400 && at_truth.is_inside);
        assert!(cool.is_poor && chi2(&cool) > 2.0 * chi2(&at_truth), "{file}: {}", cool.excess_residual);
        assert!(!fit(3000.0, 0.0).is_inside);
    }
}

#[test]
fn saliency_matches_finite_differences_and_peaks_on_lines() {
    check_saliency(&[("the halo sample".to_string(), read(&project("www/samples/halo-star.fits.gz")))]);
}

/// Compares the saliency of [Fe/H] of metal-poor stars with finite differences of the network's output, and the
/// strongest features with known lines.
pub(crate) fn check_saliency(stars: &[(String, Spectrum)]) {
    const STEP: f32 = 1e-4;
    let wave: Vec<f32> = grid::model_wave_vac_aa().iter().map(|w| *w as f32).collect();
    for model in predictors() {
        for (name, star) in stars {
            let salient =
                block_on(saliency(&model, None, star, "feh")).expect("at rest").expect("a label of the model");
            let norm = block_on(model.rest_frame_flux(&[star])).remove(0).expect("at rest").norm;
            let column = model.outputs().iter().position(|l| *l == Label::Feh).expect("[Fe/H]");
            let network = model.label_network();
            let gradient_norm = salient.gradient.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>().sqrt();
            for seed in 0..4u32 {
                let direction: Vec<f32> =
                    (0..norm.len()).map(|i| ((i as f32 * 12.9898 + seed as f32) * 78.233).sin()).collect();
                let shifted = |by: f32| -> Vec<f32> { norm.iter().zip(&direction).map(|(x, t)| x + by * t).collect() };
                let (up, down) = (shifted(STEP), shifted(-STEP));
                let predictions = block_on(network.predict(&[&up, &down], model.device())).expect("answers");
                let got = (predictions[0][column] - predictions[1][column]) / (2.0 * f64::from(STEP));
                let expected: f64 = salient.gradient.iter().zip(&direction).map(|(s, t)| f64::from(s * t)).sum();
                assert!((got - expected).abs() < 0.03 * gradient_norm, "{name}: {got} and {expected}, {gradient_norm}");
            }
            let features = SaliencyCurves::of(&wave, &norm, &salient).features;
            let descriptions: Vec<String> = features
                .iter()
                .map(|f| format!("{} {:.0} Å ({:+.4})", f.line.map_or("?", |l| l.name), f.wave_vac_aa, f.slope))
                .collect();
            println!("{} on {name}: {}", model.entry().name, descriptions.join(", "));
            let count_on =
                |lines: &[&str]| features.iter().filter(|f| f.line.is_some_and(|l| lines.contains(&l.name))).count();
            let on_known_lines = count_on(&["Hβ", "Hγ", "Hδ", "Mg b", "Ca I", "Fe I", "Fe II"]);
            assert!(on_known_lines * 2 > features.len() && count_on(&["Hβ"]) > 0, "{}", descriptions.join(", "));
        }
        assert!(block_on(saliency(&model, None, &stars[0].1, "rv")).expect("at rest").is_none());
    }
}

/// A Doppler shift of the spectrum changes the predicted RV and no other label.
#[test]
fn doppler_shift_changes_only_the_rv() {
    let star = read(&project("www/samples/g-dwarf.fits.gz"));
    for model in predictors() {
        let predict_at = |rv_kms: f64| {
            let wave = star.wave_vac_aa().iter().map(|w| w * (1.0 + rv_kms / 299_792.458)).collect();
            let ivar = star.ivar().map(<[f64]>::to_vec);
            let shifted = Spectrum::new(star.meta.clone(), wave, star.flux().to_vec(), ivar, None).expect("a spectrum");
            predict(&model, &shifted).expect("an answer")
        };
        let (at_rest, in_motion) = (predict_at(0.0), predict_at(150.0));
        let change = |label: Label| {
            let (a, b) = (at_rest.get(label).expect("a label"), in_motion.get(label).expect("a label"));
            (b.value - a.value, a.error)
        };
        let (rv, e_rv) = change(Label::Rv);
        // Both velocities have this error.
        assert!((rv - 150.0).abs() < 2.0 * e_rv * 2f64.sqrt(), "RV changes by {rv:.1} ± {e_rv:.1}");
        for label in [Label::Teff, Label::Logg, Label::Feh, Label::AlphaFe] {
            let (difference, error) = change(label);
            assert!(
                difference.abs() < error,
                "{} changes by {difference:.3} where its error is {error:.3}",
                label.name()
            );
        }
    }
}

#[test]
fn spectra_outside_the_grid_are_flagged_or_refused() {
    let model = predictors().remove(0);
    let wave: Vec<f64> = (0..2000).map(|i| 10f64.powf(3.59 + 1e-4 * f64::from(i))).collect();
    let meta = || Meta { medium: Sourced::new(Medium::Vacuum, Source::File), ..Meta::unknown("test", "test") };
    let spectrum = |flux: &dyn Fn(f64) -> f64| {
        let flux = wave.iter().map(|w| flux(*w)).collect();
        Spectrum::new(meta(), wave.clone(), flux, Some(vec![1e4; wave.len()]), None).expect("a spectrum")
    };
    // Broad emission lines, as of a quasar.
    let quasar =
        spectrum(&|w| 1.0 + 2.0 * (-((w - 4700.0) / 40.0).powi(2)).exp() + (-((w - 5200.0) / 25.0).powi(2)).exp());
    let got = predict(&model, &quasar).expect("an answer");
    assert!(got.flags.contains(&Flag::OutOfTraining), "{:?}", got.flags);
    assert!(predict(&model, &spectrum(&|_| -1.0)).is_err(), "negative flux has no continuum");
    let red: Vec<f64> = (0..500).map(|i| 6000.0 + f64::from(i)).collect();
    let red = Spectrum::new(meta(), red, vec![1.0; 500], None, None).expect("a spectrum");
    let refusal = predict(&model, &red).expect_err("nothing of the model's range").to_string();
    assert!(refusal.contains("4000–5599"), "{refusal}");
}
