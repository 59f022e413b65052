//! Diagnostics of a spectrum in a session of the engine. The synthetic spectrum and the saliency equal those of the
//! tasks. The emulator is fetched only on request.

use crate::support::driver::SessionDriver;
use burn::tensor::Device;
use pollster::block_on;
use specola::engine::HostRequest;
use specola::engine::protocol::{DiagnosticsEvent, DiagnosticsRequest, Event, Request, SpectraEvent, SpectraRequest};
use specola::model::store::{Folder, Store};
use specola::task::predict::Predictor;
use specola::task::saliency::saliency;
use specola::task::synthetic_model::SyntheticModel;
use specola::task::xp_posterior::XpPosteriorModel;

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

fn synthetic_model() -> SyntheticModel {
    block_on(SyntheticModel::fetch(&store(), |_, _| {})).expect("the emulator")
}

/// A session with the predicted sample, and the number of its spectrum.
fn session_with_sample() -> (SessionDriver, u32) {
    let mut driver = SessionDriver::new();
    driver.session.set_model(Ok(predictor()));
    let file = std::fs::read(SAMPLE).expect("the sample");
    driver.session.request(
        Request::Spectra(SpectraRequest::Open { job: 1, paths: vec!["halo-star.fits.gz".into()], columns: None }),
        vec![file],
    );
    let spectrum = driver.finish().into_iter().find_map(|event| match event {
        Event::Spectra(SpectraEvent::Predicted { spectrum, .. }) => Some(spectrum),
        _ => None,
    });
    (driver, spectrum.expect("an answer"))
}

fn diagnostics_events(driver: &mut SessionDriver) -> Vec<DiagnosticsEvent> {
    let of_diagnostics = |event| match event {
        Event::Diagnostics(event) => Some(event),
        _ => None,
    };
    driver.finish().into_iter().filter_map(of_diagnostics).collect()
}

fn ask(driver: &mut SessionDriver, request: DiagnosticsRequest) -> Vec<DiagnosticsEvent> {
    driver.ask(Request::Diagnostics(request));
    diagnostics_events(driver)
}

#[test]
fn emulator_is_fetched_on_request_and_its_spectrum_matches_the_task() {
    let (mut driver, spectrum) = session_with_sample();
    assert_eq!(driver.session.host_request(), None, "a prediction needs no emulator");
    assert!(ask(&mut driver, DiagnosticsRequest::CheckFit { spectrum }).is_empty());
    assert_eq!(driver.session.host_request(), Some(HostRequest::FetchEmulator));
    driver.session.set_emulator(Err("there is no network".into()));
    let events = diagnostics_events(&mut driver);
    let [DiagnosticsEvent::Fit { fit: Err(why), .. }] = &events[..] else { panic!("no error") };
    assert_eq!(why, "there is no network");
    let events = ask(&mut driver, DiagnosticsRequest::CheckFit { spectrum });
    assert!(events.is_empty());
    assert_eq!(driver.session.host_request(), Some(HostRequest::FetchEmulator), "the fetch is repeated");
    driver.ask(Request::Diagnostics(DiagnosticsRequest::CheckFit { spectrum }));
    assert_eq!(driver.session.host_request(), None, "the fetch is under way");
    driver.session.set_emulator(Ok(synthetic_model()));
    let events = diagnostics_events(&mut driver);
    let [DiagnosticsEvent::Fit { spectrum: fitted_spectrum, fit: Ok(fit) }] = &events[..] else {
        panic!("no model spectrum")
    };
    assert_eq!(*fitted_spectrum, spectrum);

    let predictor = predictor();
    let star =
        specola::read::read(SAMPLE, &std::fs::read(SAMPLE).expect("the sample")).expect("read").spectra.remove(0);
    let prediction = block_on(predictor.predict(&[&star])).remove(0).expect("an answer");
    let direct = {
        let rest_frame = block_on(predictor.rest_frame(None, &[&star])).remove(0).expect("at rest");
        synthetic_model().check_fit(&rest_frame, &star, &prediction).expect("labels")
    };
    assert!(**fit == direct, "the session gives the fit of the task");
    let chi2 = fit.chi2_red.expect("the file has errors");
    assert!(chi2 < 2.0 && !fit.is_poor && fit.is_inside, "χ² {chi2}");
    assert_eq!((fit.flux.len(), fit.sigma.len()), (1462, 1462));
}

#[test]
fn saliency_needs_no_emulator_and_unknown_labels_are_refused() {
    let (mut driver, spectrum) = session_with_sample();
    let events = ask(&mut driver, DiagnosticsRequest::Saliency { spectrum, target: "feh".into() });
    let [DiagnosticsEvent::Saliency { saliency: Ok(got), .. }] = &events[..] else { panic!("no saliency") };
    assert_eq!(driver.session.host_request(), None);
    let star =
        specola::read::read(SAMPLE, &std::fs::read(SAMPLE).expect("the sample")).expect("read").spectra.remove(0);
    let direct = block_on(saliency(&predictor(), None, &star, "feh")).expect("at rest").expect("a label");
    assert_eq!((&got.target, &got.model), (&direct.target, &direct.model));
    assert!(got.gradient.iter().zip(&direct.gradient).all(|(a, b)| a.to_bits() == b.to_bits()));

    for (target, id, hint) in [("ca_fe", spectrum, "choose another label"), ("feh", spectrum + 9, "drop it again")] {
        let events = ask(&mut driver, DiagnosticsRequest::Saliency { spectrum: id, target: target.into() });
        let [DiagnosticsEvent::Saliency { saliency: Err(why), .. }] = &events[..] else { panic!("not refused") };
        assert!(why.contains(hint), "{why}");
    }
    driver.ask(Request::Diagnostics(DiagnosticsRequest::CheckFit { spectrum }));
    driver.ask(Request::Spectra(SpectraRequest::Clear));
    driver.session.set_emulator(Ok(synthetic_model()));
    assert!(diagnostics_events(&mut driver).is_empty(), "a cleared spectrum has no event");
}

/// The flow is fetched on request, and its draws equal those of the task.
#[test]
fn draws_of_the_joint_density_equal_those_of_the_task() {
    let xp = concat!(env!("CARGO_MANIFEST_DIR"), "/www/samples/gaia-xp.csv.gz");
    let mut driver = SessionDriver::new();
    driver.session.set_model(Ok(predictor()));
    let file = std::fs::read(xp).expect("the sample");
    let spectra = specola::read::read("gaia-xp.csv.gz", &file).expect("a spectrum").spectra;
    let open = SpectraRequest::Open { job: 1, paths: vec!["gaia-xp.csv.gz".into()], columns: None };
    driver.session.request(Request::Spectra(open), vec![file]);
    driver.finish();
    assert_eq!(driver.session.host_request(), Some(HostRequest::FetchXpModel));
    let request = DiagnosticsRequest::Posterior { spectrum: 0 };
    assert!(ask(&mut driver, request.clone()).is_empty());
    assert_eq!(driver.session.host_request(), Some(HostRequest::FetchXpPosterior));
    driver.session.set_xp_posterior(Err("no network".into()));
    let events = diagnostics_events(&mut driver);
    assert!(
        matches!(&events[..], [DiagnosticsEvent::Posterior { spectrum: 0, draws: Err(why) }] if why == "no network")
    );
    ask(&mut driver, request);
    let fetch = || block_on(XpPosteriorModel::fetch(&store(), |_, _| {})).expect("the shipped density");
    driver.session.set_xp_posterior(Ok(fetch()));
    let events = diagnostics_events(&mut driver);
    let [DiagnosticsEvent::Posterior { spectrum: 0, draws: Ok(draws) }] = &events[..] else { panic!("{events:?}") };
    let expected = block_on(fetch().draw(&spectra[0], draws.draws.len(), 1)).expect("draws");
    assert_eq!(draws.draws.len(), 1000);
    assert!(draws.draws.iter().zip(&expected).all(|(a, b)| *a == b.map(|v| v as f32)));
}
