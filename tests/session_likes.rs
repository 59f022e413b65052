//! Look-alikes through the engine's session: a small pair of encoders as it was initialised, the shipped velocity network, and
//! stars as text. What the session says is held against what the encoders give when they are asked directly.
#![cfg(feature = "cli")]

mod support;

use burn::tensor::Device;
use pollster::block_on;
use specola::engine::likes_message::{LikesEvent, LikesRequest};
use specola::engine::{Event, ForHost, Request};
use specola::model::encoders::{EncoderPair, Size, Variant};
use specola::model::manifest::{Kind, ModelEntry};
use specola::model::store::{Folder, Store};
use specola::nn::clip::Clip;
use specola::result::catalogue::Modality;
use specola::result::likes::{LabelRule, LikesView, MatchedBy, SearchOptions, Star};
use specola::retrieve::index::{Bits, Index};
use specola::retrieve::oddity::{Floors, Quantiles, Usual};
use specola::retrieve::thumbnail;
use specola::task::likes::Kit;
use specola::task::likes::encode::{Encoded, Encoders, Seen, prepare};
use specola::task::predict::Predictor;
use support::bench::Bench;

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

/// Star `i` as an optical survey sees it.
fn lrs(i: usize) -> String {
    let depth = 0.1 + 0.1 * i as f64;
    let lines = [(4102.9, 0.5), (4341.7, 0.5), (4862.7, 0.5), (5184.0, depth), (5270.0, 0.2)];
    let mut csv = String::from("wavelength_vac_aa,flux,ivar\n");
    for k in 0..1600 {
        let wave = 3900.0 + 1.1 * f64::from(k);
        let deep: f64 = lines.iter().map(|(at, depth)| depth * (-((wave - at) / 4.0_f64).powi(2)).exp()).sum();
        let ripple = 0.01 * (f64::from(k) * (1.3 + 0.1 * i as f64)).sin();
        csv += &format!("{wave:.2},{:.3},0.01\n", 1000.0 * (1.0 - deep + ripple));
    }
    csv
}

/// The same as Gaia's prisms see it.
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

/// What the encoders make of the files, asked directly.
fn direct(encoders: &Encoders) -> Vec<Encoded> {
    let spectra: Vec<_> = files()
        .iter()
        .map(|(path, text)| specola::read::read(path, text.as_bytes()).expect("a spectrum").spectra.remove(0))
        .collect();
    let seen = block_on(prepare(&predictor(), &spectra.iter().collect::<Vec<_>>()));
    block_on(encoders.encode(seen.into_iter().map(|s| s.expect("seen")).collect())).expect("encoded")
}

/// A shipped index: the first two stars under other names, and what is usual.
fn index(encoders: &Encoders) -> Index {
    let mut index = Index::new(encoders.about("shipped", "a test", vec!["teff".into()]), Bits::Eight);
    for i in 0..24 {
        let wobble =
            |n: usize| (0..n).map(move |k| 1.0 + 0.2 * ((k * (i + 2)) as f32 * 0.01).sin()).collect::<Vec<f32>>();
        let xp = Seen::xp(wobble(343));
        let both = block_on(encoders.encode(vec![Seen::lrs(wobble(1462), None), xp])).expect("encoded");
        for e in both {
            let rows = index.rows_mut(e.seen.modality);
            rows.push(&format!("grid-{i}"), &e.embedding, &[5000.0 + 50.0 * i as f32], &e.seen.flux).expect("an entry");
        }
    }
    let q = Quantiles::of(&[0.001, 0.5, 1.0, 2.0, 3.0]).expect("quantiles");
    let floors = Floors {
        lrs_rebuilt: vec![0.1; 1462],
        xp_rebuilt: vec![0.1; 343],
        lrs_from_xp: vec![0.1; 1462],
        xp_from_lrs: vec![0.1; 343],
    };
    let (reconstruction, neighbour) = ([q.clone(), q.clone()], [q.clone(), q.clone()]);
    index.usual = Some(Usual { floors, cross: q, reconstruction, neighbour });
    index
}

fn clip() -> Clip {
    Size::Tiny.clip(Variant::Pr).init(&Device::flex())
}

/// A session with dropped stars, whose encoders have not arrived.
fn dropped() -> Bench {
    let mut bench = Bench::new();
    bench.session.model(Ok(predictor()));
    let files = files();
    bench.open(1, &files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>());
    bench.finish();
    bench
}

fn ask(bench: &mut Bench, request: LikesRequest) -> Vec<LikesEvent> {
    bench.ask(Request::Likes(request));
    let likes = |event| match event {
        Event::Likes(event) => Some(event),
        _ => None,
    };
    bench.finish().into_iter().filter_map(likes).collect()
}

fn search(bench: &mut Bench, queries: Vec<Star>, options: SearchOptions) -> LikesView {
    match ask(bench, LikesRequest::Search { queries, options }).pop() {
        Some(LikesEvent::Found(view)) => *view,
        _ => panic!("nothing was found"),
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// What a job said of its answers: how many there are, how many were told to be, and whether it is over.
fn answers(said: &[Event]) -> (usize, Option<u32>, bool) {
    let predicted = said.iter().filter(|e| matches!(e, Event::Predicted { .. })).count();
    let told = said.iter().rev().find_map(|e| match e {
        Event::Progress { spectra_done, .. } => Some(*spectra_done),
        _ => None,
    });
    (predicted, told, said.iter().any(|e| matches!(e, Event::Done { .. })))
}

#[test]
fn a_job_ends_when_its_gaia_xp_spectra_are_answered_too() {
    let mut bench = Bench::new();
    bench.session.model(Ok(predictor()));
    let files = files();
    bench.open(1, &files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>());
    assert_eq!(answers(&bench.finish()), (STARS, Some(STARS as u32), false), "the encoders are not there");
    let clip = clip();
    let kit = Kit { encoders: encoders(&clip, "aa"), index: index(&encoders(&clip, "aa")) };
    bench.session.kit(Ok(kit));
    assert_eq!(answers(&bench.finish()), (2, Some(STARS as u32 + 2), true));
}

#[test]
fn spectra_that_wait_for_the_encoders_can_be_given_up() {
    let mut bench = dropped();
    assert_eq!(bench.session.for_host(), Some(ForHost::FetchKit));
    bench.ask(Request::Cancel { job: 1 });
    let said = bench.finish();
    let refused = |e: &&Event| matches!(e, Event::Refused { why, .. } if why.contains("cancelled"));
    assert_eq!(said.iter().filter(refused).count(), 2, "{said:?}");
    assert!(matches!(said.last(), Some(Event::Done { job: 1, cancelled: true })));
    assert_eq!(bench.session.for_host(), Some(ForHost::StopFetching), "nobody else waits for them");
}

#[test]
fn encoders_that_cannot_be_had_end_the_wait() {
    let mut bench = dropped();
    bench.session.kit(Err("the weights are not there; reload".into()));
    let said = bench.finish();
    let refused = |e: &&Event| matches!(e, Event::Refused { why, .. } if why == "the weights are not there; reload");
    assert_eq!(said.iter().filter(refused).count(), 2, "{said:?}");
    assert!(matches!(said.last(), Some(Event::Done { job: 1, cancelled: false })));
}

#[test]
fn look_alikes_are_those_of_the_encoders() {
    let clip = clip();
    let (own, kit) =
        (encoders(&clip, "aa"), Kit { encoders: encoders(&clip, "aa"), index: index(&encoders(&clip, "aa")) });
    let (want, shipped) = (direct(&own), kit.index.clone());
    let mut bench = dropped();
    assert_eq!(
        bench.session.for_host(),
        Some(ForHost::FetchKit),
        "Gaia XP spectra among the dropped are answered by it"
    );
    assert!(ask(&mut bench, LikesRequest::Open).is_empty());
    assert_eq!(bench.session.for_host(), None, "nothing is fetched twice");
    bench.session.kit(Ok(kit));
    let said: Vec<Event> = bench.finish();
    assert!(matches!(&said[0], Event::Likes(LikesEvent::Ready(card)) if card.indices.len() == 1 && card.translates));
    let all = (STARS + 2) as u32;
    let is_last =
        |e: &Event| matches!(e, Event::Likes(LikesEvent::Embedding { done, total }) if *done == all && *total == all);
    assert!(said.iter().any(is_last));
    assert!(said.iter().any(|e| matches!(e, Event::Predicted { .. })), "the Gaia XP spectra have their answers");

    // Spectra are numbered in the order of the files.
    let view = search(&mut bench, vec![Star::Dropped(2)], SearchOptions { top: 40, ..SearchOptions::default() });
    assert_eq!((view.neighbours.len(), view.searched), (STARS - 1 + 24, STARS as u32 + 24));
    assert!(view.neighbours.windows(2).all(|w| w[0].similarity >= w[1].similarity));
    for n in &view.neighbours {
        let (other, tolerance) = match n.star {
            Star::Dropped(id) => (want[id as usize].embedding.clone(), 1e-4),
            Star::Indexed { row, .. } => (shipped.lrs.unit(row as usize), 1e-4),
        };
        assert!(n.star != Star::Dropped(2) && (n.similarity - cosine(&want[2].embedding, &other)).abs() < tolerance);
        assert_eq!(n.labels[0].is_some(), matches!(n.star, Star::Indexed { .. }));
    }
    let beside = view.beside.expect("of its own survey");
    assert!(beside == view.thumbnail && beside.flux.len() == 122 && beside.wave_vac_aa.len() == 122);

    let rule = LabelRule::Within { label: "teff".into(), low: 5200.0, high: 5400.0 };
    let options = SearchOptions { rule: Some(rule), top: 40, in_other: true };
    let across = search(&mut bench, vec![Star::Dropped(0), Star::Dropped(1)], options);
    assert_eq!(across.neighbours.len(), 5);
    for n in &across.neighbours {
        let Star::Indexed { row, modality: Modality::Xp, index: 0 } = n.star else { panic!("an XP row") };
        assert!((4..=8).contains(&row));
        let mean =
            0.5 * [0, 1].map(|i: usize| cosine(&want[i].embedding, &shipped.xp.unit(row as usize))).iter().sum::<f64>();
        assert!((n.similarity - mean).abs() < 1e-4);
    }
    let predicted = thumbnail::of(Modality::Xp, want[0].across.as_ref().expect("translates"));
    let shown = across.beside.expect("predicted").flux;
    assert!(shown.iter().zip(&predicted).all(|(a, b)| (a - b).abs() < 1e-3 * (1.0 + b.abs())));

    let from_index = search(
        &mut bench,
        vec![Star::Indexed { index: 0, modality: Modality::Xp, row: 3 }],
        SearchOptions { top: 1, in_other: true, rule: None },
    );
    assert!(from_index.labels == [Some(5150.0)] && from_index.beside.is_some());
    let mixed = vec![Star::Dropped(0), Star::Dropped(STARS as u32)];
    let said = ask(&mut bench, LikesRequest::Search { queries: mixed, options: SearchOptions::default() });
    assert!(matches!(&said[..], [LikesEvent::Failed(why)] if why.contains("one survey")));
}

#[test]
fn translations_stand_beside_what_was_observed() {
    let clip = clip();
    let own = encoders(&clip, "aa");
    let (want, index) = (direct(&own), index(&own));
    let mut bench = dropped();
    ask(&mut bench, LikesRequest::Translate { spectrum: 1, partner: None });
    bench.session.kit(Ok(Kit { encoders: own, index }));
    let said = bench.finish();
    let translated = said.into_iter().find_map(|event| match event {
        Event::Likes(LikesEvent::Translated(t)) => Some(t),
        _ => None,
    });
    let t = translated.expect("translated once the encoders are there");
    assert_eq!((t.from, t.to, t.flux.len(), t.wave_vac_aa[107]), (Modality::Lrs, Modality::Xp, 343, 5500.0));
    let seen = t.observed.expect("the same name in the other survey");
    assert_eq!((seen.spectrum, seen.matched_by, seen.pixels), (STARS as u32 + 1, MatchedBy::Id, 343));
    let (flux, across) = (&want[STARS + 1].seen.flux, want[1].across.as_ref().expect("across"));
    let off = flux.iter().zip(across).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / 343.0;
    assert!((seen.mean_absolute - off).abs() < 1e-3 * off, "{} {off}", seen.mean_absolute);
    assert!(seen.weighted_rms.is_some_and(|rms| rms > 1.0));

    let by_hand = ask(&mut bench, LikesRequest::Translate { spectrum: 0, partner: Some(STARS as u32 + 1) });
    assert!(matches!(&by_hand[..], [LikesEvent::Translated(t)]
        if t.observed.as_ref().is_some_and(|o| o.matched_by == MatchedBy::Hand)));

    let Some(LikesEvent::Oddities(odd)) = ask(&mut bench, LikesRequest::Oddities).pop() else { panic!("oddities") };
    assert_eq!(odd.len(), STARS + 2);
    assert!(odd.windows(2).all(|w| w[0].overall >= w[1].overall));
    assert!(odd.iter().all(|o| o.reconstruction.is_some() && o.neighbour.is_some()));
    assert_eq!(odd.iter().filter(|o| o.cross.is_some()).count(), 4, "two stars were seen by both surveys");
    let Some(LikesEvent::Map(map)) = ask(&mut bench, LikesRequest::Map).pop() else { panic!("a map") };
    assert_eq!((map.x.len(), map.stars.len(), map.labels[0].len()), (48 + STARS + 2, 48 + STARS + 2, 48 + STARS + 2));
    assert!(map.x.iter().chain(&map.y).all(|v| v.is_finite()));
}

#[test]
fn indices_are_added_saved_and_refused() {
    let clip = clip();
    let kit = |sha| Kit { encoders: encoders(&clip, sha), index: index(&encoders(&clip, sha)) };
    let mut bench = dropped();
    ask(&mut bench, LikesRequest::Open);
    bench.session.kit(Ok(kit("aa")));
    bench.finish();
    let Some(LikesEvent::Saved { file, spectra }) = ask(&mut bench, LikesRequest::Save).pop() else { panic!("a file") };
    assert_eq!(spectra as usize, STARS + 2);
    let add = |bench: &mut Bench, file: Vec<u8>| {
        let request = Request::Likes(LikesRequest::AddIndex { name: "mine".into() });
        bench.session.request(request, vec![file]);
        bench.finish()
    };
    let said = add(&mut bench, file);
    assert!(matches!(&said[..], [Event::Likes(LikesEvent::Ready(card))] if card.indices[1].lrs as usize == STARS));
    // An entry of the query's own name is the query, whichever index it is in.
    let view = search(&mut bench, vec![Star::Dropped(2)], SearchOptions { top: 80, ..SearchOptions::default() });
    assert!(view.neighbours.len() == 24 + 2 * (STARS - 1) && view.neighbours.iter().all(|n| n.id != "star-2"));
    let other = kit("bb").index.to_file().expect("a file");
    let said = add(&mut bench, other);
    assert!(
        matches!(&said[..], [Event::Likes(LikesEvent::Failed(why))] if why.contains("mine") && why.contains("specola embed"))
    );
    ask(&mut bench, LikesRequest::ForgetIndices);
    bench.ask(Request::Clear);
    bench.finish();
    let Some(LikesEvent::Map(map)) = ask(&mut bench, LikesRequest::Map).pop() else { panic!("a map") };
    assert_eq!(map.x.len(), 48, "only the shipped index is left");
}

#[test]
fn stopping_ends_the_download_and_what_waits() {
    let clip = clip();
    let mut bench = dropped();
    ask(&mut bench, LikesRequest::Map);
    assert_eq!(bench.session.for_host(), Some(ForHost::FetchKit));
    assert_eq!(ask(&mut bench, LikesRequest::Stop), [LikesEvent::Stopped]);
    assert_eq!(bench.session.for_host(), Some(ForHost::StopFetching));
    bench.session.kit(Ok(Kit { encoders: encoders(&clip, "aa"), index: index(&encoders(&clip, "aa")) }));
    assert!(bench.finish().is_empty(), "what comes too late is not used");
    let said = ask(&mut bench, LikesRequest::Time { entries: 500, width: 32, queries: 3 });
    assert!(matches!(&said[..], [LikesEvent::Timed(t)] if t.entries == 500 && t.check > 0));
    ask(&mut bench, LikesRequest::Open);
    assert_eq!(bench.session.for_host(), Some(ForHost::FetchKit));
    bench.session.kit(Err("no network".into()));
    let said = bench.finish();
    assert!(matches!(&said[..], [Event::Likes(LikesEvent::Failed(why))] if why == "no network"));
}
