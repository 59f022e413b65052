//! The reading of a spectrum through the engine's session: the model spectrum and the slopes are what the tasks give when they
//! are asked directly, and the emulator is fetched only when somebody asks for it.
#![cfg(feature = "cli")]

mod support;

use burn::tensor::Device;
use pollster::block_on;
use specola::engine::reading_message::{ReadingEvent, ReadingRequest};
use specola::engine::{Event, ForHost, Request};
use specola::model::store::{Folder, Store};
use specola::task::fit::Modeller;
use specola::task::predict::Predictor;
use specola::task::saliency::saliency;
use support::bench::Bench;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/www/samples/halo-star.fits.gz");

fn store() -> Store<Folder> {
    Store::new(Folder::new(concat!(env!("CARGO_MANIFEST_DIR"), "/models")))
}

fn predictor() -> Predictor {
    let manifest = block_on(store().manifest()).expect("the shipped models");
    let entry = manifest.default_model().expect("a default");
    let weights = block_on(store().weights(entry, |_, _| {})).expect("its weights");
    Predictor::new(entry, &weights, &Device::flex()).expect("the model")
}

fn modeller() -> Modeller {
    block_on(Modeller::fetch(&store(), |_, _| {})).expect("the emulator")
}

/// A session with the sample answered, and its number.
fn dropped() -> (Bench, u32) {
    let mut bench = Bench::new();
    bench.session.model(Ok(predictor()));
    let file = std::fs::read(SAMPLE).expect("the sample");
    bench.session.request(Request::Open { job: 1, paths: vec!["halo-star.fits.gz".into()], columns: None }, vec![file]);
    let answered = bench.finish().into_iter().find_map(|event| match event {
        Event::Predicted { spectrum, .. } => Some(spectrum),
        _ => None,
    });
    (bench, answered.expect("an answer"))
}

fn said(bench: &mut Bench) -> Vec<ReadingEvent> {
    let reading = |event| match event {
        Event::Reading(event) => Some(event),
        _ => None,
    };
    bench.finish().into_iter().filter_map(reading).collect()
}

fn ask(bench: &mut Bench, request: ReadingRequest) -> Vec<ReadingEvent> {
    bench.ask(Request::Reading(request));
    said(bench)
}

#[test]
fn the_emulator_is_fetched_once_and_when_asked_for_and_its_spectrum_is_the_tasks() {
    let (mut bench, spectrum) = dropped();
    assert_eq!(bench.session.for_host(), None, "nothing is fetched for an answer alone");
    assert!(ask(&mut bench, ReadingRequest::Fit { spectrum }).is_empty());
    assert_eq!(bench.session.for_host(), Some(ForHost::FetchEmulator));
    block_on(bench.session.modeller(Err("there is no network".into())));
    let events = said(&mut bench);
    let [ReadingEvent::Fitted { fit: Err(why), .. }] = &events[..] else { panic!("it should be said") };
    assert_eq!(why, "there is no network");
    let again = ask(&mut bench, ReadingRequest::Fit { spectrum });
    assert!(again.is_empty());
    assert_eq!(bench.session.for_host(), Some(ForHost::FetchEmulator), "it is tried again");
    bench.ask(Request::Reading(ReadingRequest::Fit { spectrum }));
    assert_eq!(bench.session.for_host(), None, "it is on its way already");
    block_on(bench.session.modeller(Ok(modeller())));
    let events = said(&mut bench);
    let [ReadingEvent::Fitted { spectrum: of, fit: Ok(fit) }] = &events[..] else { panic!("no model spectrum") };
    assert_eq!(*of, spectrum);

    let predictor = predictor();
    let star =
        specola::read::read(SAMPLE, &std::fs::read(SAMPLE).expect("the sample")).expect("read").spectra.remove(0);
    let answer = block_on(predictor.predict(&[&star])).remove(0).expect("an answer");
    let direct = block_on(modeller().fit(&predictor, &star, &answer)).expect("at rest").expect("labels");
    assert!(**fit == direct, "the session's is the task's");
    let chi2 = fit.chi2_red.expect("the file has errors");
    assert!(chi2 < 2.0 && !fit.is_poor && fit.is_inside, "χ² {chi2}");
    assert_eq!((fit.flux.len(), fit.sigma.len()), (1462, 1462));
}

#[test]
fn slopes_need_no_emulator_and_what_cannot_be_told_is_said() {
    let (mut bench, spectrum) = dropped();
    let events = ask(&mut bench, ReadingRequest::Saliency { spectrum, target: "feh".into() });
    let [ReadingEvent::Salient { saliency: Ok(got), .. }] = &events[..] else { panic!("no slopes") };
    assert_eq!(bench.session.for_host(), None);
    let star =
        specola::read::read(SAMPLE, &std::fs::read(SAMPLE).expect("the sample")).expect("read").spectra.remove(0);
    let direct = block_on(saliency(&predictor(), &star, "feh")).expect("at rest").expect("a label");
    assert_eq!((&got.target, &got.by), (&direct.target, &direct.by));
    assert!(got.slope.iter().zip(&direct.slope).all(|(a, b)| a.to_bits() == b.to_bits()));

    for (target, id, hint) in [("ca_fe", spectrum, "choose another label"), ("feh", spectrum + 9, "drop it again")] {
        let events = ask(&mut bench, ReadingRequest::Saliency { spectrum: id, target: target.into() });
        let [ReadingEvent::Salient { saliency: Err(why), .. }] = &events[..] else { panic!("it should be refused") };
        assert!(why.contains(hint), "{why}");
    }
    bench.ask(Request::Reading(ReadingRequest::Fit { spectrum }));
    bench.ask(Request::Clear);
    block_on(bench.session.modeller(Ok(modeller())));
    assert!(said(&mut bench).is_empty(), "what was forgotten is not answered");
}
