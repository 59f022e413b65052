//! The residual from the emulator spectrum at the predicted labels corresponds to the errors of the labels.

use burn::tensor::Device;
use pollster::block_on;
use specola::model::emulator::{EMULATOR_LABELS, EMULATOR_RESOLVING_POWER, Emulator, with_default_labels};
use specola::model::manifest::Kind;
use specola::model::store::{Folder, Store};
use specola::nn::weights::Tensors;
use specola::result::Label;
use specola::spectrum::{Frame, Medium, Meta, Source, Sourced, Spectrum};
use specola::task::emulator_residual::{BINS, LABEL_STEPS};
use specola::task::predict::Predictor;
use specola::task::synthetic_model::SyntheticModel;

fn store() -> Store<Folder> {
    Store::new(Folder::new(concat!(env!("CARGO_MANIFEST_DIR"), "/models")))
}

fn predictor() -> Predictor {
    let manifest = block_on(store().manifest()).expect("the shipped models");
    let entry = manifest.get("lrs-mlp-synthetic").expect("a shipped model");
    let weights = block_on(store().weights(entry, |_, _| {})).expect("its weights");
    Predictor::new(entry, &weights, &Device::flex()).expect("the model")
}

fn emulator() -> Emulator {
    let manifest = block_on(store().manifest()).expect("the shipped models");
    let entry = manifest.models.iter().find(|m| m.kind == Kind::Emulator).expect("the emulator");
    let weights = block_on(store().weights(entry, |_, _| {})).expect("its weights");
    Emulator::load(&Tensors::parse(&weights).expect("its arrays")).expect("the emulator")
}

/// The emulator's spectrum in the rest frame, at the emulator's resolving power.
fn star(emulator: &Emulator, labels: &[f64; EMULATOR_LABELS]) -> Spectrum {
    let mut meta = Meta::unknown("star", "made");
    meta.medium = Sourced::new(Medium::Vacuum, Source::File);
    meta.frame = Sourced::new(Frame::Rest, Source::File);
    meta.resolving_power = Some(Sourced::new(EMULATOR_RESOLVING_POWER, Source::File));
    Spectrum::new(meta, emulator.wave_vac_aa(), emulator.flux(labels), None, None).expect("a spectrum")
}

fn rms(values: impl Iterator<Item = f64> + Clone) -> f64 {
    (values.clone().map(|v| v * v).sum::<f64>() / values.count() as f64).sqrt()
}

#[test]
fn residual_corresponds_to_the_label_errors() {
    let (predictor, emulator) = (predictor(), emulator());
    let inputs = block_on(predictor.inputs(&[&star(&emulator, &with_default_labels(5500.0, 4.0, -0.3, 0.1).0)], None));
    assert_eq!(inputs[0].as_ref().expect("an input").emulator_residual, None, "no emulator is set yet");
    let synthetic = block_on(SyntheticModel::fetch(&store(), |_, _| {})).expect("the emulator");
    for truth in [[5600.0, 4.3, -0.4, 0.1], [4800.0, 2.6, -0.2, 0.05], [6300.0, 4.1, -0.9, 0.2]] {
        let [teff_k, logg, feh, alpha_fe] = truth;
        let (labels, _) = with_default_labels(teff_k, logg, feh, alpha_fe);
        let star = star(&emulator, &labels);
        let prediction = block_on(predictor.predict(&[&star])).remove(0).expect("an answer");
        let predicted = |label| prediction.get(label).expect("a label").value;
        let (predicted_labels, _) = with_default_labels(
            predicted(Label::Teff),
            predicted(Label::Logg),
            predicted(Label::Feh),
            predicted(Label::AlphaFe),
        );
        let input = block_on(predictor.inputs(&[&star], Some(&synthetic))).remove(0).expect("an input");
        let residual = input.emulator_residual.expect("labels inside of the grid");
        let label_errors: Vec<f64> =
            (0..EMULATOR_LABELS).map(|i| (labels[i] - predicted_labels[i]) / LABEL_STEPS[i]).collect();
        let expected = |bin: usize| {
            (0..EMULATOR_LABELS)
                .map(|i| label_errors[i] * f64::from(residual.changes_per_step[i * BINS + bin]))
                .sum::<f64>()
        };
        let difference = |bin: usize| f64::from(residual.difference[bin]);
        let (total, remaining) = (rms((0..BINS).map(difference)), rms((0..BINS).map(|b| difference(b) - expected(b))));
        println!(
            "{truth:?}: label errors {label_errors:.2?} steps, residual {total:.5}, unexplained {remaining:.5}; {:?}",
            residual.colour
        );
        assert!(remaining < 0.6 * total, "{truth:?}: {remaining} of {total} is unexplained");
        assert!(residual.colour.expect("all pixels are covered").abs() < 0.1);
    }
}
