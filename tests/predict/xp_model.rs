//! The model for Gaia XP spectra: errors by S/N, composition only where the training had it, flags, refusals.

use burn::tensor::Device;
use pollster::block_on;
use specola::model::xp_regressor::XpConfig;
use specola::result::{Flag, Label, Prediction};
use specola::spectrum::Spectrum;
use specola::task::xp_model::{XpModel, XpPredictError};

use crate::support::xp::untrained_entry;

/// A smooth XP spectrum with this flux at its peak and this S/N in each sample, as the reader gives it.
fn spectrum_of(peak: f64, snr: f64, to_nm: u32) -> Spectrum {
    let mut csv = String::from("wavelength_vac_nm,flux,sigma\n");
    for nm in (336..=to_nm).step_by(2) {
        let flux = peak * (-((f64::from(nm) - 620.0) / 250.0).powi(2)).exp();
        csv += &format!("{nm},{flux:e},{:e}\n", flux / snr);
    }
    specola::read::read("star.csv", csv.as_bytes()).expect("a spectrum").spectra.remove(0)
}

/// A star of about G = 13.5.
fn spectrum(snr: f64, to_nm: u32) -> Spectrum {
    spectrum_of(1e-16, snr, to_nm)
}

fn model(change: impl FnOnce(&mut XpConfig)) -> XpModel {
    let (mut entry, file) = untrained_entry();
    let mut config: XpConfig = serde_json::from_str(&entry.networks).expect("its configuration");
    change(&mut config);
    entry.networks = serde_json::to_string(&config).expect("numbers");
    XpModel::new(&entry, &file, &Device::flex()).expect("its own file")
}

fn predict(model: &XpModel, spectrum: &Spectrum) -> Prediction {
    block_on(model.predict(&[spectrum])).remove(0).expect("a prediction")
}

/// The flux in W m⁻² nm⁻¹ decides; without a unit, the S/N. A low S/N precedes both.
#[test]
fn errors_are_calibrated_by_brightness() {
    let (raw, calibrated) = (model(|c| (c.calibration, c.low_snr) = (Vec::new(), Vec::new())), model(|_| {}));
    let bright_faint_low = [(1e-14, 80.0, 1.0), (1e-16, 80.0, 2.0), (1e-14, 8.0, 3.0)];
    let without_unit = [(1.0, 120.0, 1.0), (1.0, 80.0, 2.0), (1.0, 8.0, 3.0)];
    for (peak, snr, factor) in bright_faint_low.into_iter().chain(without_unit) {
        let spectrum = spectrum_of(peak, snr, 1020);
        let (raw, calibrated) = (predict(&raw, &spectrum), predict(&calibrated, &spectrum));
        assert!((calibrated.snr.expect("an S/N").value / snr - 1.0).abs() < 1e-6);
        for label in [Label::Teff, Label::Logg, Label::Feh, Label::AlphaFe] {
            let (raw, calibrated) = (raw.get(label).expect("a label"), calibrated.get(label).expect("a label"));
            assert_eq!(raw.value, calibrated.value);
            assert!((calibrated.error / raw.error - factor).abs() < 1e-9, "{label:?} at {peak:e}, S/N {snr}");
        }
    }
}

#[test]
fn hot_stars_have_no_composition() {
    let teff = predict(&model(|_| {}), &spectrum(80.0, 1020)).get(Label::Teff).expect("a Teff").value;
    let hot = predict(&model(|c| c.max_teff_of_composition = teff - 1.0), &spectrum(80.0, 1020));
    assert!(hot.get(Label::Logg).is_some() && hot.get(Label::Feh).is_none() && hot.get(Label::AlphaFe).is_none());
    assert!(hot.processing_history.iter().any(|step| step.description.contains("no [Fe/H]")));
    assert!(hot.flags.contains(&Flag::HotStar) && !hot.has_measured_accuracy());
}

#[test]
fn spectra_unlike_the_training_set_are_flagged() {
    let flags = |change: fn(&mut XpConfig)| predict(&model(change), &spectrum(80.0, 1020)).flags;
    assert!(!flags(|_| {}).contains(&Flag::OutOfTraining));
    assert!(flags(|c| c.calibration[1].max_distance = 1e-3).contains(&Flag::OutOfTraining));
    assert!(flags(|c| c.calibration[1].max_residual = 1e-3).contains(&Flag::OutOfTraining));
    let faint = predict(&model(|_| {}), &spectrum(5.0, 1020));
    assert!(faint.flags.contains(&Flag::LowSnr));
}

#[test]
fn spectra_from_coefficients_without_correlations_are_flagged() {
    let mut spectrum = spectrum(80.0, 1020);
    assert!(!predict(&model(|_| {}), &spectrum).flags.contains(&Flag::CorrelationsMissing));
    spectrum.meta.errors_lack_correlations = true;
    assert!(predict(&model(|_| {}), &spectrum).flags.contains(&Flag::CorrelationsMissing));
}

#[test]
fn an_incomplete_spectrum_is_refused_and_the_others_are_predicted() {
    let (whole, cut) = (spectrum(80.0, 1020), spectrum(80.0, 900));
    let predictions = block_on(model(|_| {}).predict(&[&cut, &whole]));
    assert!(matches!(&predictions[0], Err(XpPredictError::Spectrum(why)) if why.to_string().contains("336–1020 nm")));
    assert_eq!(predictions[1].as_ref(), Ok(&predict(&model(|_| {}), &whole)));
}
