//! A star that is the emulator's own spectrum, held against the emulator at what the network says of it: the difference is that
//! of the labels.

use std::sync::Arc;

use burn::tensor::Device;
use pollster::block_on;
use specola::model::emulator::{EMULATOR_LABELS, EMULATOR_RESOLVING_POWER, Emulator, usual_labels};
use specola::model::manifest::Kind;
use specola::model::store::{Folder, Store};
use specola::model::weights::Tensors;
use specola::result::Label;
use specola::spectrum::{Frame, Known, Medium, Meta, Source, Spectrum};
use specola::task::discrepancy::{BINS, STEPS};
use specola::task::fit::Modeller;
use specola::task::predict::Predictor;

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

/// The emulator's star at rest, seen at its own resolving power.
fn star(emulator: &Emulator, labels: &[f64; EMULATOR_LABELS]) -> Spectrum {
    let mut meta = Meta::unknown("star", "made");
    meta.medium = Known::new(Medium::Vacuum, Source::File);
    meta.frame = Known::new(Frame::Rest, Source::File);
    meta.resolving_power = Some(Known::new(EMULATOR_RESOLVING_POWER, Source::File));
    Spectrum::new(meta, emulator.wave_vac_aa(), emulator.flux(labels), None, None).expect("a spectrum")
}

fn rms(values: impl Iterator<Item = f64> + Clone) -> f64 {
    (values.clone().map(|v| v * v).sum::<f64>() / values.count() as f64).sqrt()
}

#[test]
fn a_difference_is_laid_to_the_labels_that_are_wrong() {
    let (mut predictor, emulator) = (predictor(), emulator());
    let nothing = block_on(predictor.inputs_to_refine(&[&star(&emulator, &usual_labels(5500.0, 4.0, -0.3, 0.1).0)]));
    assert_eq!(nothing[0].as_ref().expect("an input").discrepancy, None, "there is no emulator yet");
    predictor.emulate(Arc::new(block_on(Modeller::fetch(&store(), |_, _| {})).expect("the emulator")));
    for truth in [[5600.0, 4.3, -0.4, 0.1], [4800.0, 2.6, -0.2, 0.05], [6300.0, 4.1, -0.9, 0.2]] {
        let [teff_k, logg, feh, alpha_fe] = truth;
        let (labels, _) = usual_labels(teff_k, logg, feh, alpha_fe);
        let star = star(&emulator, &labels);
        let answer = block_on(predictor.predict(&[&star])).remove(0).expect("an answer");
        let said = |label| answer.get(label).expect("a label").value;
        let (told, _) = usual_labels(said(Label::Teff), said(Label::Logg), said(Label::Feh), said(Label::AlphaFe));
        let input = block_on(predictor.inputs_to_refine(&[&star])).remove(0).expect("an input");
        let found = input.discrepancy.expect("it lies inside the grid");
        let wrong: Vec<f64> = (0..EMULATOR_LABELS).map(|i| (labels[i] - told[i]) / STEPS[i]).collect();
        let expected =
            |bin: usize| (0..EMULATOR_LABELS).map(|i| wrong[i] * f64::from(found.slopes[i * BINS + bin])).sum::<f64>();
        let difference = |bin: usize| f64::from(found.difference[bin]);
        let (all, left) = (rms((0..BINS).map(difference)), rms((0..BINS).map(|b| difference(b) - expected(b))));
        println!("{truth:?}: wrong by {wrong:.2?} steps, {all:.5} of which {left:.5} are left; {:?}", found.colour);
        assert!(left < 0.6 * all, "{truth:?}: {left} of {all} are left");
        assert!(found.colour.expect("all pixels are there").abs() < 0.1);
    }
}
