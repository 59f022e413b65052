//! Similar spectra in a session of the engine: a small encoder pair with initial weights, the shipped velocity network,
//! and stars as text. The results of the session are compared with those of the encoders.

use crate::support::driver::SessionDriver;
use crate::support::xp::untrained_model;
use burn::tensor::Device;
use pollster::block_on;
use specola::engine::HostRequest;
use specola::engine::protocol::{Event, Request, SimilarityEvent, SimilarityRequest, SpectraEvent, SpectraRequest};
use specola::model::encoders::{EncoderPair, Size, Variant};
use specola::model::manifest::{Kind, ModelEntry};
use specola::model::store::{Folder, Store};
use specola::nn::clip::Clip;
use specola::result::similarity::{LabelFilter, MatchedBy, SearchOptions, SimilarityView, StarRef};
use specola::result::specclip::Modality;
use specola::similarity::anomaly::{NoiseFloors, Quantiles, ReferenceStats};
use specola::similarity::index::{Bits, Index};
use specola::similarity::thumbnail;
use specola::task::predict::Predictor;
use specola::task::similarity::EncoderBundle;
use specola::task::similarity::encoders::{Encoded, EncoderInput, Encoders, prepare};

const STARS: usize = 6;

fn predictor() -> Predictor {
    let store = Store::new(Folder::new(concat!(env!("CARGO_MANIFEST_DIR"), "/models")));
    let manifest = block_on(store.manifest()).expect("the shipped models");
    let entry = manifest.get("lrs-mlp-synthetic").expect("a shipped model");
    let weights = block_on(store.weights(entry, |_, _| {})).expect("its weights");
    Predictor::new(entry, &weights, &Device::flex()).expect("the model")
}

fn encoders(clip: &Clip, sha256: &str) -> Encoders {
    let widths = Size::Tiny.clip(Variant::Pr).lrs_head.widths;
    let pair = EncoderPair::new(clip.clone(), &widths, &Device::flex());
    let entry = ModelEntry {
        name: "tiny".into(),
        version: 1,
        kind: Kind::EncoderPair,
        sha256: sha256.into(),
        ..ModelEntry::default()
    };
    Encoders::from_parts(pair, entry)
}

/// Optical spectrum of star `i`.
fn lrs(i: usize) -> String {
    let depth = 0.1 + 0.1 * i as f64;
    let lines = [(4102.9, 0.5), (4341.7, 0.5), (4862.7, 0.5), (5184.0, depth), (5270.0, 0.2)];
    let mut csv = String::from("wavelength_vac_aa,flux,ivar\n");
    for k in 0..1600 {
        let wave = 3900.0 + 1.1 * f64::from(k);
        let depth: f64 = lines.iter().map(|(at, depth)| depth * (-((wave - at) / 4.0_f64).powi(2)).exp()).sum();
        let ripple = 0.01 * (f64::from(k) * (1.3 + 0.1 * i as f64)).sin();
        csv += &format!("{wave:.2},{:.3},0.01\n", 1000.0 * (1.0 - depth + ripple));
    }
    csv
}

/// Gaia XP spectrum of star `i`.
fn xp(i: usize) -> String {
    let mut csv = String::from("wavelength_vac_aa,flux,ivar\n");
    for k in 0..343 {
        let wave = 3360.0 + 20.0 * f64::from(k);
        let flux = (-((wave - 5000.0 - 300.0 * i as f64) / 3000.0).powi(2)).exp();
        csv += &format!("{wave},{flux:.6},1e6\n");
    }
    csv
}

fn files() -> Vec<(String, String)> {
    let optical = (0..STARS).map(|i| (format!("lrs/star-{i}.csv"), lrs(i)));
    let prisms = (0..2).map(|i| (format!("xp/star-{i}.csv"), xp(i)));
    optical.chain(prisms).collect()
}

/// The files, encoded without a session.
fn encode_directly(encoders: &Encoders) -> Vec<Encoded> {
    let spectra: Vec<_> = files()
        .iter()
        .map(|(path, text)| specola::read::read(path, text.as_bytes()).expect("a spectrum").spectra.remove(0))
        .collect();
    let input = block_on(prepare(&predictor(), &spectra.iter().collect::<Vec<_>>()));
    block_on(encoders.encode(input.into_iter().map(|s| s.expect("seen")).collect())).expect("encoded")
}

/// A shipped index of 24 synthetic spectra per survey, with reference statistics.
fn index(encoders: &Encoders) -> Index {
    let mut index = Index::new(encoders.index_metadata("shipped", "a test", vec!["teff".into()]), Bits::Eight);
    for i in 0..24 {
        let sine_flux =
            |n: usize| (0..n).map(move |k| 1.0 + 0.2 * ((k * (i + 2)) as f32 * 0.01).sin()).collect::<Vec<f32>>();
        let xp = EncoderInput::xp(sine_flux(343));
        let encoded = block_on(encoders.encode(vec![EncoderInput::lrs(sine_flux(1462), None), xp])).expect("encoded");
        for e in encoded {
            let rows = index.rows_mut(e.input.modality);
            rows.push(&format!("grid-{i}"), &e.embedding, &[5000.0 + 50.0 * i as f32], &e.input.flux)
                .expect("an entry");
        }
    }
    let quantiles = Quantiles::of(&[0.001, 0.5, 1.0, 2.0, 3.0]).expect("quantiles");
    let noise_floors = NoiseFloors {
        lrs_reconstruction: vec![0.1; 1462],
        xp_reconstruction: vec![0.1; 343],
        lrs_from_xp: vec![0.1; 1462],
        xp_from_lrs: vec![0.1; 343],
    };
    let (reconstruction, neighbour) = ([quantiles.clone(), quantiles.clone()], [quantiles.clone(), quantiles.clone()]);
    index.reference_stats = Some(ReferenceStats { noise_floors, cross: quantiles, reconstruction, neighbour });
    index
}

fn clip() -> Clip {
    Size::Tiny.clip(Variant::Pr).init(&Device::flex())
}

/// A session with the stars, before the encoders are loaded.
fn session_with_stars() -> SessionDriver {
    let mut driver = SessionDriver::new();
    driver.session.set_model(Ok(predictor()));
    let files = files();
    driver.open(1, &files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>());
    driver.finish();
    driver
}

fn ask(driver: &mut SessionDriver, request: SimilarityRequest) -> Vec<SimilarityEvent> {
    driver.ask(Request::Similarity(request));
    let similarity_event = |event| match event {
        Event::Similarity(event) => Some(event),
        _ => None,
    };
    driver.finish().into_iter().filter_map(similarity_event).collect()
}

fn search(driver: &mut SessionDriver, queries: Vec<StarRef>, options: SearchOptions) -> SimilarityView {
    match ask(driver, SimilarityRequest::Search { queries, options }).pop() {
        Some(SimilarityEvent::SearchResult(view)) => *view,
        _ => panic!("nothing was found"),
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Progress of a job: the number of predictions, the number in the last progress event, and whether the job is done.
fn job_progress(events: &[Event]) -> (usize, Option<u32>, bool) {
    let predicted = events.iter().filter(|e| matches!(e, Event::Spectra(SpectraEvent::Predicted { .. }))).count();
    let reported = events.iter().rev().find_map(|e| match e {
        Event::Spectra(SpectraEvent::Progress { spectra_done, .. }) => Some(*spectra_done),
        _ => None,
    });
    (predicted, reported, events.iter().any(|e| matches!(e, Event::Spectra(SpectraEvent::Done { .. }))))
}

#[test]
fn jobs_end_after_their_gaia_xp_spectra() {
    let mut driver = SessionDriver::new();
    driver.session.set_model(Ok(predictor()));
    let files = files();
    driver.open(1, &files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>());
    assert_eq!(job_progress(&driver.finish()), (STARS, Some(STARS as u32), false), "their model is not loaded");
    driver.session.set_xp_model(Ok(untrained_model()));
    assert_eq!(job_progress(&driver.finish()), (2, Some(STARS as u32 + 2), true));
}

#[test]
fn jobs_that_wait_for_the_xp_model_can_be_cancelled() {
    let mut driver = session_with_stars();
    assert_eq!(driver.session.host_request(), Some(HostRequest::FetchXpModel));
    driver.ask(Request::Spectra(SpectraRequest::Cancel { job: 1 }));
    let events = driver.finish();
    let refused = |e: &&Event| matches!(e, Event::Spectra(SpectraEvent::NotPredicted { reason: why, .. }) if why.contains("cancelled"));
    assert_eq!(events.iter().filter(refused).count(), 2, "{events:?}");
    assert!(matches!(events.last(), Some(Event::Spectra(SpectraEvent::Done { job: 1, cancelled: true }))));
    driver.session.set_xp_model(Ok(untrained_model()));
    assert_eq!(job_progress(&driver.finish()), (0, None, false), "nothing waits for it any more");
}

#[test]
fn an_unavailable_xp_model_ends_the_job() {
    let mut driver = session_with_stars();
    driver.session.set_xp_model(Err("the weights are not there; reload".into()));
    let events = driver.finish();
    let refused = |e: &&Event| matches!(e, Event::Spectra(SpectraEvent::NotPredicted { reason: why, .. }) if why == "the weights are not there; reload");
    assert_eq!(events.iter().filter(refused).count(), 2, "{events:?}");
    assert!(matches!(events.last(), Some(Event::Spectra(SpectraEvent::Done { job: 1, cancelled: false }))));
}

#[test]
fn search_results_match_the_encoders() {
    let clip = clip();
    let (direct_encoders, bundle) = (
        encoders(&clip, "aa"),
        EncoderBundle { encoders: encoders(&clip, "aa"), index: index(&encoders(&clip, "aa")) },
    );
    let (expected, shipped) = (encode_directly(&direct_encoders), bundle.index.clone());
    let mut driver = session_with_stars();
    assert_eq!(driver.session.host_request(), Some(HostRequest::FetchXpModel), "two spectra need it");
    for _ in 0..2 {
        assert!(ask(&mut driver, SimilarityRequest::Start).is_empty());
    }
    assert_eq!(driver.session.host_request(), Some(HostRequest::FetchEncoders));
    assert_eq!(driver.session.host_request(), None, "nothing is fetched twice");
    driver.session.set_encoders(Ok(bundle));
    let events: Vec<Event> = driver.finish();
    assert!(
        matches!(&events[0], Event::Similarity(SimilarityEvent::Ready(card)) if card.indices.len() == 1 && card.can_translate)
    );
    let all = (STARS + 2) as u32;
    let is_last = |e: &Event| matches!(e, Event::Similarity(SimilarityEvent::Embedding { done, total }) if *done == all && *total == all);
    assert!(events.iter().any(is_last));

    // Spectra are numbered in the order of the files.
    let view = search(&mut driver, vec![StarRef::User(2)], SearchOptions { n_results: 40, ..SearchOptions::default() });
    assert_eq!((view.neighbours.len(), view.searched), (STARS - 1 + 24, STARS as u32 + 24));
    assert!(view.neighbours.windows(2).all(|w| w[0].similarity >= w[1].similarity));
    for n in &view.neighbours {
        let (other, tolerance) = match n.star {
            StarRef::User(id) => (expected[id as usize].embedding.clone(), 1e-4),
            StarRef::Indexed { row, .. } => (shipped.lrs.unit(row as usize), 1e-4),
        };
        assert!(
            n.star != StarRef::User(2) && (n.similarity - cosine(&expected[2].embedding, &other)).abs() < tolerance
        );
        assert_eq!(n.labels[0].is_some(), matches!(n.star, StarRef::Indexed { .. }));
    }
    let query_thumbnail = view.query_thumbnail.expect("a spectrum of the survey");
    assert!(
        query_thumbnail == view.thumbnail
            && query_thumbnail.flux.len() == 122
            && query_thumbnail.wave_vac_aa.len() == 122
    );

    let label_filter = LabelFilter::Within { label: "teff".into(), low: 5200.0, high: 5400.0 };
    let options = SearchOptions { label_filter: Some(label_filter), n_results: 40, in_other_survey: true };
    let translated = search(&mut driver, vec![StarRef::User(0), StarRef::User(1)], options);
    assert_eq!(translated.neighbours.len(), 5);
    for n in &translated.neighbours {
        let StarRef::Indexed { row, modality: Modality::Xp, index: 0 } = n.star else { panic!("an XP row") };
        assert!((4..=8).contains(&row));
        let mean = 0.5
            * [0, 1].map(|i: usize| cosine(&expected[i].embedding, &shipped.xp.unit(row as usize))).iter().sum::<f64>();
        assert!((n.similarity - mean).abs() < 1e-4);
    }
    let predicted = thumbnail::of(Modality::Xp, expected[0].translated.as_ref().expect("translates"));
    let shown = translated.query_thumbnail.expect("predicted").flux;
    assert!(shown.iter().zip(&predicted).all(|(a, b)| (a - b).abs() < 1e-3 * (1.0 + b.abs())));

    let from_index = search(
        &mut driver,
        vec![StarRef::Indexed { index: 0, modality: Modality::Xp, row: 3 }],
        SearchOptions { n_results: 1, in_other_survey: true, label_filter: None },
    );
    assert!(from_index.labels == [Some(5150.0)] && from_index.query_thumbnail.is_some());
    let mixed = vec![StarRef::User(0), StarRef::User(STARS as u32)];
    let events = ask(&mut driver, SimilarityRequest::Search { queries: mixed, options: SearchOptions::default() });
    assert!(matches!(&events[..], [SimilarityEvent::Failed(why)] if why.contains("one survey")));
}

#[test]
fn translations_are_compared_with_the_observed_spectrum() {
    let clip = clip();
    let direct_encoders = encoders(&clip, "aa");
    let (expected, index) = (encode_directly(&direct_encoders), index(&direct_encoders));
    let mut driver = session_with_stars();
    ask(&mut driver, SimilarityRequest::Translate { spectrum: 1, partner: None });
    driver.session.set_encoders(Ok(EncoderBundle { encoders: direct_encoders, index }));
    let events = driver.finish();
    let translated = events.into_iter().find_map(|event| match event {
        Event::Similarity(SimilarityEvent::Translated(translation)) => Some(translation),
        _ => None,
    });
    let translation = translated.expect("translated once the encoders are there");
    assert_eq!(
        (translation.from, translation.to, translation.flux.len(), translation.wave_vac_aa[107]),
        (Modality::Lrs, Modality::Xp, 343, 5500.0)
    );
    let input = translation.observed.expect("the same name in the other survey");
    assert_eq!((input.spectrum, input.matched_by, input.pixels), (STARS as u32 + 1, MatchedBy::Id, 343));
    let (flux, translated) = (&expected[STARS + 1].input.flux, expected[1].translated.as_ref().expect("translated"));
    let difference = flux.iter().zip(translated).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / 343.0;
    assert!((input.mean_absolute - difference).abs() < 1e-3 * difference, "{} {difference}", input.mean_absolute);
    assert!(input.weighted_rms.is_some_and(|rms| rms > 1.0));

    let named_by_user = ask(&mut driver, SimilarityRequest::Translate { spectrum: 0, partner: Some(STARS as u32 + 1) });
    assert!(matches!(&named_by_user[..], [SimilarityEvent::Translated(translation)]
        if translation.observed.as_ref().is_some_and(|o| o.matched_by == MatchedBy::User)));

    let Some(SimilarityEvent::Anomalies(anomalies)) = ask(&mut driver, SimilarityRequest::Anomalies).pop() else {
        panic!("no anomalies")
    };
    assert_eq!(anomalies.len(), STARS + 2);
    assert!(anomalies.windows(2).all(|w| w[0].overall >= w[1].overall));
    assert!(anomalies.iter().all(|o| o.reconstruction.is_some() && o.neighbour.is_some()));
    assert_eq!(anomalies.iter().filter(|o| o.cross.is_some()).count(), 4, "two stars have spectra of both surveys");
    let Some(SimilarityEvent::Map(map)) = ask(&mut driver, SimilarityRequest::Map).pop() else { panic!("a map") };
    assert_eq!((map.x.len(), map.stars.len(), map.labels[0].len()), (48 + STARS + 2, 48 + STARS + 2, 48 + STARS + 2));
    assert!(map.x.iter().chain(&map.y).all(|v| v.is_finite()));
}

#[test]
fn indices_are_added_saved_and_refused() {
    let clip = clip();
    let bundle = |sha| EncoderBundle { encoders: encoders(&clip, sha), index: index(&encoders(&clip, sha)) };
    let mut driver = session_with_stars();
    ask(&mut driver, SimilarityRequest::Start);
    driver.session.set_encoders(Ok(bundle("aa")));
    driver.finish();
    let Some(SimilarityEvent::IndexSaved { file, spectra }) = ask(&mut driver, SimilarityRequest::SaveIndex).pop()
    else {
        panic!("a file")
    };
    assert_eq!(spectra as usize, STARS + 2);
    let add = |driver: &mut SessionDriver, file: Vec<u8>| {
        let request = Request::Similarity(SimilarityRequest::AddIndex { name: "mine".into() });
        driver.session.request(request, vec![file]);
        driver.finish()
    };
    let events = add(&mut driver, file);
    assert!(
        matches!(&events[..], [Event::Similarity(SimilarityEvent::Ready(card))] if card.indices[1].lrs as usize == STARS)
    );
    // An entry with the name of the query is the query, in any index.
    let view = search(&mut driver, vec![StarRef::User(2)], SearchOptions { n_results: 80, ..SearchOptions::default() });
    assert!(view.neighbours.len() == 24 + 2 * (STARS - 1) && view.neighbours.iter().all(|n| n.id != "star-2"));
    let other = bundle("bb").index.to_file().expect("a file");
    let events = add(&mut driver, other);
    assert!(
        matches!(&events[..], [Event::Similarity(SimilarityEvent::Failed(why))] if why.contains("mine") && why.contains("specola embed"))
    );
    ask(&mut driver, SimilarityRequest::RemoveIndices);
    driver.ask(Request::Spectra(SpectraRequest::Clear));
    driver.finish();
    let Some(SimilarityEvent::Map(map)) = ask(&mut driver, SimilarityRequest::Map).pop() else { panic!("a map") };
    assert_eq!(map.x.len(), 48, "only the shipped index is left");
}

#[test]
fn stop_ends_the_download_and_waiting_requests() {
    let clip = clip();
    let mut driver = session_with_stars();
    assert_eq!(driver.session.host_request(), Some(HostRequest::FetchXpModel));
    ask(&mut driver, SimilarityRequest::Map);
    assert_eq!(driver.session.host_request(), Some(HostRequest::FetchEncoders));
    assert_eq!(ask(&mut driver, SimilarityRequest::Stop), [SimilarityEvent::Stopped]);
    assert_eq!(driver.session.host_request(), Some(HostRequest::StopFetchingEncoders));
    driver
        .session
        .set_encoders(Ok(EncoderBundle { encoders: encoders(&clip, "aa"), index: index(&encoders(&clip, "aa")) }));
    assert!(driver.finish().is_empty(), "encoders after a stop are not used");
    ask(&mut driver, SimilarityRequest::Start);
    assert_eq!(driver.session.host_request(), Some(HostRequest::FetchEncoders));
    driver.session.set_encoders(Err("no network".into()));
    let events = driver.finish();
    assert!(matches!(&events[..], [Event::Similarity(SimilarityEvent::Failed(why))] if why == "no network"));
}
