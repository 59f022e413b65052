//! Teaching through the engine's session: the shipped model, trainers in this process in place of workers, and a label that
//! is the depth of a line.

mod support;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use pollster::block_on;

use specola::engine::reading_message::{ReadingEvent, ReadingRequest};
use specola::engine::teach_message::{TeachEvent, TeachOrder, TeachRequest};
use specola::engine::teaching::TrainerLink;
use specola::engine::trainer::{Order, Report, Trainer};
use specola::engine::{Event, ForHost, Request};
use specola::model::store::{Folder, Store};
use specola::result::teach::{BakeOff, Cut, Remark, Settings, Strategy};
use specola::result::{Flag, Label, ModelCard, Prediction};
use specola::task::fit::Modeller;
use specola::task::predict::Predictor;
use support::bench::Bench;

const STARS: usize = 30;

/// How far one answer of the network may differ between batches of different size.
const ROUNDING: f64 = 1e-5;

fn predictor() -> Predictor {
    model("lrs-mlp-synthetic")
}

fn cards() -> Vec<ModelCard> {
    ["lrs-mlp-synthetic", "lrs-mlp"].map(|name| model(name).entry().card()).into()
}

fn model(name: &str) -> Predictor {
    let store = Store::new(Folder::new(concat!(env!("CARGO_MANIFEST_DIR"), "/models")));
    let manifest = block_on(store.manifest()).expect("the shipped models");
    let entry = manifest.get(name).expect("a shipped model");
    let weights = block_on(store.weights(entry, |_, _| {})).expect("its weights");
    Predictor::new(entry, &weights, &burn::tensor::Device::flex()).expect("the model")
}

fn modeller() -> Result<Modeller, String> {
    block_on(Modeller::fetch(&Store::new(Folder::new(concat!(env!("CARGO_MANIFEST_DIR"), "/models"))), |_, _| {}))
}

/// How deep Mg b is in star `i`: what is to be learned.
fn depth(i: usize) -> f64 {
    0.1 + 0.6 * ((i * 17) % STARS) as f64 / STARS as f64
}

/// The spectrum of star `i`.
fn star(i: usize) -> String {
    let lines = [(4102.9, 0.5), (4341.7, 0.5), (4862.7, 0.5), (5184.0, depth(i)), (5270.0, 0.2)];
    let mut csv = String::from("wavelength_vac_aa,flux,ivar\n");
    for k in 0..1600 {
        let wave = 3900.0 + 1.1 * f64::from(k);
        let deep: f64 = lines.iter().map(|(at, depth)| depth * (-((wave - at) / 4.0_f64).powi(2)).exp()).sum();
        let ripple = 0.01 * (f64::from(k) * (1.3 + 0.01 * i as f64)).sin();
        csv += &format!("{wave:.2},{:.3},0.01\n", 1000.0 * (1.0 - deep + ripple));
    }
    csv
}

/// A trainer in this process: what the session sent it, and itself.
struct Hand {
    number: u32,
    orders: Rc<RefCell<VecDeque<Order>>>,
    trainer: Trainer,
}

struct Link(Rc<RefCell<VecDeque<Order>>>);

impl TrainerLink for Link {
    fn send(&self, order: &Order) {
        self.0.borrow_mut().push_back(order.clone());
    }
}

/// A session with spectra, a table of labels and trainers.
struct School {
    bench: Bench,
    hands: Vec<Hand>,
}

impl School {
    fn new(trainers: u32, table: &str) -> Self {
        let mut bench = Bench::new();
        bench.session.model(Ok(predictor()));
        let stars: Vec<(String, String)> = (0..STARS).map(|i| (format!("star-{i}.csv"), star(i))).collect();
        let mut files: Vec<(&str, &str)> = stars.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        files.push(("labels.csv", table));
        bench.open(1, &files);
        let mut school = Self { bench, hands: Vec::new() };
        (0..trainers).for_each(|number| school.hire(number));
        school
    }

    fn hire(&mut self, number: u32) {
        let orders = Rc::new(RefCell::new(VecDeque::new()));
        self.bench.session.trainer(number, Box::new(Link(orders.clone())));
        self.hands.push(Hand { number, orders, trainer: Trainer::new(predictor()) });
    }

    fn ask(&mut self, request: TeachRequest) {
        self.bench.ask(Request::Teaching(request));
    }

    /// Fetches what the session wants; true when it wanted something.
    fn fetch(&mut self) -> bool {
        if self.bench.session.for_host() == Some(ForHost::FetchEmulatorToTeach) {
            block_on(self.bench.session.modeller(modeller()));
            return true;
        }
        let Some(name) = self.bench.session.wanted() else { return false };
        block_on(self.bench.session.fetched(Ok(model(&name))));
        true
    }

    /// One round of everybody's work; the reports that came of it are handed over unless `hold` keeps them.
    fn round(&mut self, held: Option<&mut Vec<(u32, Report)>>) -> bool {
        let mut works = self.fetch();
        works |= block_on(self.bench.session.step());
        let mut reports = Vec::new();
        for hand in &mut self.hands {
            while let Some(order) = hand.orders.borrow_mut().pop_front() {
                if let Order::Begin { base: Some(base), .. } = &order
                    && hand.trainer.base() != base
                {
                    hand.trainer.change(model(base));
                }
                hand.trainer.order(order);
            }
            let mut tell = |report| reports.push((hand.number, report));
            works |= block_on(hand.trainer.step(&mut tell));
        }
        works |= !reports.is_empty();
        match held {
            Some(held) => held.extend(reports),
            None => {
                for (number, report) in reports {
                    block_on(self.bench.session.report(number, report));
                }
            }
        }
        works
    }

    fn finish(&mut self) -> Vec<Event> {
        while self.round(None) {}
        self.bench.heard.take()
    }
}

fn table() -> String {
    let rows: String = (0..STARS).map(|i| format!("star-{i},{},{}\n", depth(i), i / 2)).collect();
    format!("id,feh,pair\n{rows}")
}

fn order(strategies: &[Strategy]) -> TeachOrder {
    TeachOrder {
        base: None,
        target: "feh".into(),
        groups: Some("pair".into()),
        strategies: strategies.to_vec(),
        settings: Settings { epochs: 12, hidden: 32, ..Settings::default() },
        folds: 3,
        seeds: vec![1],
        cut: None,
        is_curve: false,
    }
}

fn teaching(events: Vec<Event>) -> Vec<TeachEvent> {
    events
        .into_iter()
        .filter_map(|event| match event {
            Event::Teaching(event) => Some(event),
            _ => None,
        })
        .collect()
}

fn feh(p: &Prediction) -> f64 {
    p.get(Label::Feh).expect("[Fe/H]").value
}

fn last_verdict(events: &[TeachEvent]) -> &BakeOff {
    let found = events.iter().rev().find_map(|event| match event {
        TeachEvent::Compared(bake_off) => Some(bake_off),
        _ => None,
    });
    found.expect("a verdict")
}

fn predictions(events: &[Event]) -> Vec<(u32, &Prediction)> {
    let found = events.iter().filter_map(|event| match event {
        Event::Predicted { spectrum, prediction } => Some((*spectrum, &**prediction)),
        _ => None,
    });
    found.collect()
}

#[test]
fn strategies_are_compared_by_two_trainers_and_the_taught_model_answers_until_undone() {
    let mut school = School::new(2, &table());
    let first = school.finish();
    let shipped: Vec<(u32, Prediction)> = predictions(&first).into_iter().map(|(i, p)| (i, p.clone())).collect();
    assert_eq!(shipped.len(), STARS);
    let columns = teaching(first).into_iter().find_map(|event| match event {
        TeachEvent::Columns(columns) => Some(columns),
        _ => None,
    });
    let columns = columns.expect("what the table offers");
    let told: Vec<_> = columns.iter().map(|c| (c.name.as_str(), c.numbers, c.distinct)).collect();
    assert_eq!(told, [("feh", 30, 30), ("pair", 30, 15)]);

    school.ask(TeachRequest::Compare(Box::new(order(&[Strategy::ZeroShot, Strategy::Residual]))));
    let events = teaching(school.finish());
    let Some(TeachEvent::Begun { spectra, trainings: 6, .. }) =
        events.iter().find(|e| matches!(e, TeachEvent::Begun { .. }))
    else {
        panic!("not begun: {events:?}");
    };
    assert_eq!(spectra.len(), STARS);
    assert!(events.iter().any(|e| matches!(e, TeachEvent::Epoch { .. })));
    assert_eq!(events.last(), Some(&TeachEvent::Ended { cancelled: false }));
    let bake_off = last_verdict(&events);
    assert_eq!(bake_off.truth, (0..STARS).map(depth).collect::<Vec<_>>());
    let sigma = |strategy| {
        let score = bake_off.scores.iter().find(|s| s.strategy == strategy).expect("a score");
        (score.regimes[0].sigma.value.hypot(score.regimes[0].bias.value), score.out_of_fold.iter().flatten().count())
    };
    let ((before, all), (after, all_after)) = (sigma(Strategy::ZeroShot), sigma(Strategy::Residual));
    assert_eq!((all, all_after), (STARS, STARS));
    assert!(after < 0.5 * before, "taught {after}, shipped {before}");
    // What zero-shot says is what the shipped model says.
    let zero = &bake_off.scores.iter().find(|s| s.strategy == Strategy::ZeroShot).expect("a score").out_of_fold;
    for (row, spectrum) in spectra.iter().enumerate() {
        let said = shipped.iter().find(|(id, _)| id == spectrum).map(|(_, p)| feh(p)).expect("an answer");
        assert!((zero[row].expect("out of fold") - said).abs() < 1e-4);
    }

    school.ask(TeachRequest::Adopt { strategy: Strategy::Residual });
    let events = school.finish();
    let taught: Vec<(u32, Prediction)> = predictions(&events).into_iter().map(|(i, p)| (i, p.clone())).collect();
    assert_eq!(taught.len(), STARS);
    let off = |answers: &[(u32, Prediction)]| {
        let sum: f64 = answers.iter().map(|(i, p)| (feh(p) - depth(*i as usize)).powi(2)).sum();
        (sum / answers.len() as f64).sqrt()
    };
    assert!(off(&taught) < 0.5 * off(&shipped), "{} {}", off(&taught), off(&shipped));
    for ((_, now), (_, then)) in taught.iter().zip(&shipped) {
        assert!(now.flags.contains(&Flag::Taught));
        let before = now.taught.as_ref().and_then(|t| t.before).expect("what the shipped model says");
        assert!((before - feh(then)).abs() < ROUNDING);
    }
    let in_use = teaching(events).into_iter().find_map(|event| match event {
        TeachEvent::InUse { card, file, sha256 } => Some((card, file, sha256)),
        _ => None,
    });
    let (card, file, sha256) = in_use.expect("an adapter in use");
    assert_eq!((card.target.as_str(), card.labels.n), ("feh", STARS));

    // The label is the depth of Mg b: with more flux in that line what was taught rises less than what was shipped, over
    // all stars.
    let slopes_of = |school: &mut School, star: usize| {
        let request = ReadingRequest::Saliency { spectrum: taught[star].0, target: "feh".into() };
        school.bench.ask(Request::Reading(request));
        let salient = |event| match event {
            Event::Reading(ReadingEvent::Salient { saliency, .. }) => saliency.ok(),
            _ => None,
        };
        school.finish().into_iter().find_map(salient).expect("slopes")
    };
    let slopes = slopes_of(&mut school, 7);
    let (by, before) = slopes.before.clone().expect("those of the shipped model");
    assert!(by.starts_with("lrs-mlp-synthetic") && slopes.by.contains("feh"), "{by}, {}", slopes.by);
    let line = |slope: &[f32]| -> f64 {
        let wave = specola::preprocess::grid::model_wave_vac_aa();
        wave.iter().zip(slope).map(|(w, s)| (-((w - 5184.0) / 4.0).powi(2)).exp() * f64::from(*s)).sum()
    };
    let change = |star: usize| {
        let slopes = slopes_of(&mut school, star);
        line(&slopes.slope) - slopes.before.map_or(f64::NAN, |(_, before)| line(&before))
    };
    let changes: Vec<f64> = (0..STARS).map(change).collect();
    let mean = changes.iter().sum::<f64>() / STARS as f64;
    assert!(mean < -0.1, "{mean}");

    school.ask(TeachRequest::Forget);
    let events = school.finish();
    let again: Vec<(u32, Prediction)> = predictions(&events).into_iter().map(|(i, p)| (i, p.clone())).collect();
    let shipped_slopes = slopes_of(&mut school, 7);
    assert!(shipped_slopes.before.is_none() && shipped_slopes.slope == before && shipped_slopes.by == by);
    for ((_, now), (_, then)) in again.iter().zip(&shipped) {
        assert!((feh(now) - feh(then)).abs() < ROUNDING && now.taught.is_none() && now.flags == then.flags);
    }

    // As it came with a session, if it is the one.
    let load = |sha256: &str| Request::Teaching(TeachRequest::Load { sha256: Some(sha256.into()) });
    school.bench.session.request(load("00"), vec![file.clone()]);
    let told = teaching(school.finish());
    assert!(matches!(&told[..], [TeachEvent::Failed(why)] if why.contains("not the one that was saved")), "{told:?}");
    school.bench.session.request(load(&sha256), vec![file.clone()]);
    let restored = predictions(&school.finish()).into_iter().map(|(i, p)| (i, p.clone())).collect::<Vec<_>>();
    assert!(restored == taught, "the same to the last bit");
    school.ask(TeachRequest::Forget);
    school.finish();

    // On a page that has never had the emulator it waits for that, and is asked for again when it could not be had.
    let mut fresh = School::new(0, &table());
    fresh.finish();
    for emulator in [Err("there is no network".into()), modeller()] {
        fresh.bench.session.request(load(&sha256), vec![file.clone()]);
        assert!(teaching(fresh.bench.finish()).is_empty(), "it waits");
        assert_eq!(fresh.bench.session.for_host(), Some(ForHost::FetchEmulatorToTeach));
        let is_there = emulator.is_ok();
        block_on(fresh.bench.session.modeller(emulator));
        let events = fresh.finish();
        let failed = TeachEvent::Failed("there is no network".into());
        assert_eq!(teaching(events.clone()).contains(&failed), !is_there);
        let now: Vec<(u32, Prediction)> = predictions(&events).into_iter().map(|(i, p)| (i, p.clone())).collect();
        assert!(now == if is_there { taught.clone() } else { Vec::new() }, "the same to the last bit, or nothing");
    }

    // The saved file, dropped again among networks, answers as before.
    school.bench.session.request(Request::Networks { paths: vec!["kept.safetensors".into()] }, vec![file]);
    let events = school.finish();
    let loaded: Vec<(u32, Prediction)> = predictions(&events).into_iter().map(|(i, p)| (i, p.clone())).collect();
    assert!(loaded == taught, "the same to the last bit");
    school.bench.session.request(Request::Teaching(TeachRequest::Load { sha256: None }), vec![b"no adapter".to_vec()]);
    let told = teaching(school.finish());
    assert!(matches!(&told[..], [TeachEvent::Failed(why)] if why.contains("no adapter of Specola")), "{told:?}");
}

/// Another model than that which answers is taught, answers for what it was taught and for as long as its adapter is in use,
/// and is fetched again when its adapter is dropped on a page that has never had it.
#[test]
fn another_base_is_fetched_taught_and_left_again() {
    let mut school = School::new(1, &table());
    let first: Vec<Prediction> = predictions(&school.finish()).into_iter().map(|(_, p)| p.clone()).collect();
    let shipped: Vec<f64> = first.iter().map(feh).collect();
    school.bench.session.offer(cards());
    let cut = Some(Cut { column: "pair".into(), at: 7.0 });
    let order = TeachOrder { base: Some("lrs-mlp".into()), cut, ..order(&[Strategy::ZeroShot, Strategy::Residual]) };
    school.ask(TeachRequest::Compare(Box::new(order)));
    let told = teaching(school.finish());
    let regimes = &last_verdict(&told).scores[0].regimes;
    let parts: Vec<(&str, usize)> = regimes.iter().map(|r| (r.regime.as_str(), r.n)).collect();
    assert_eq!(parts[parts.len() - 2..], [("pair < 7", 14), ("pair ≥ 7", 16)]);
    school.ask(TeachRequest::Adopt { strategy: Strategy::Residual });
    let events = school.finish();
    let taught: Vec<(u32, Prediction)> = predictions(&events).into_iter().map(|(i, p)| (i, p.clone())).collect();
    assert!(taught.len() == STARS && taught.iter().all(|(_, p)| p.model.starts_with("lrs-mlp 2 + feh")));
    let file = teaching(events).into_iter().find_map(|event| match event {
        TeachEvent::InUse { file, .. } => Some(file),
        _ => None,
    });
    let file = file.expect("an adapter in use");
    // What was not taught stays as the shipped model says.
    for ((_, now), then) in taught.iter().zip(&first) {
        for label in [Label::Teff, Label::Logg, Label::AlphaFe, Label::Rv] {
            let (now, then) = (now.get(label).expect("a label"), then.get(label).expect("a label"));
            let scale = then.value.abs().max(1.0);
            assert!((now.value - then.value).abs() < ROUNDING * scale && now.error == then.error, "{label:?}");
        }
    }
    // What it was before it was taught is what that model says.
    let other = model("lrs-mlp");
    let zero = &last_verdict(&told).scores[0].out_of_fold;
    for ((_, now), zero) in taught.iter().zip(zero) {
        let before = now.taught.as_ref().and_then(|t| t.before).expect("what that model says");
        assert!((before - zero.expect("out of fold")).abs() < 1e-4);
        assert!(now.model_sha256 != other.entry().sha256, "the adapter's own");
    }
    school.ask(TeachRequest::Forget);
    let again: Vec<f64> = predictions(&school.finish()).iter().map(|(_, p)| feh(p)).collect();
    assert!(again.iter().zip(&shipped).all(|(now, then)| (now - then).abs() < ROUNDING));

    let mut fresh = School::new(0, &table());
    fresh.finish();
    fresh.bench.session.request(Request::Networks { paths: vec!["kept.safetensors".into()] }, vec![file.clone()]);
    let told = teaching(fresh.finish());
    let is_refused =
        |told: &[TeachEvent]| matches!(told, [TeachEvent::Failed(why)] if why.contains("belongs to lrs-mlp"));
    assert!(is_refused(&told), "nobody offers its model: {told:?}");
    fresh.bench.session.offer(cards());
    fresh.bench.session.request(Request::Networks { paths: vec!["kept.safetensors".into()] }, vec![file]);
    let events = fresh.finish();
    let loaded: Vec<(u32, Prediction)> = predictions(&events).into_iter().map(|(i, p)| (i, p.clone())).collect();
    assert!(loaded == taught, "the same to the last bit");

    // One that cannot be fetched ends in words.
    let mut school = School::new(1, &table());
    school.finish();
    school.bench.session.offer(cards());
    school.ask(TeachRequest::Compare(Box::new(TeachOrder {
        base: Some("lrs-mlp".into()),
        ..self::order(&[Strategy::ZeroShot])
    })));
    assert_eq!(school.bench.session.wanted().as_deref(), Some("lrs-mlp"));
    assert_eq!(school.bench.session.wanted(), None, "asked for once");
    block_on(school.bench.session.fetched(Err("no way there".into())));
    let told = teaching(school.finish());
    assert!(matches!(&told[..], [.., TeachEvent::Failed(why)] if why == "no way there"), "{told:?}");
}

#[test]
fn what_was_learned_before_a_stop_counts_and_late_reports_do_not_mix() {
    let mut school = School::new(1, &table());
    school.finish();
    let settings = Settings { epochs: 500, patience: 500, hidden: 32, ..Settings::default() };
    let long = TeachOrder { settings, ..order(&[Strategy::ZeroShot, Strategy::Residual]) };
    school.ask(TeachRequest::Compare(Box::new(long)));
    let is_under_way = |school: &School| {
        let epochs = school
            .bench
            .heard
            .borrow()
            .iter()
            .filter(|e| matches!(e, Event::Teaching(TeachEvent::Epoch { .. })))
            .count();
        epochs > 5
    };
    while !is_under_way(&school) {
        assert!(school.round(None), "it came to an end by itself");
    }
    school.bench.heard.take();
    school.ask(TeachRequest::Stop);
    let told = teaching(school.bench.heard.take());
    assert_eq!(told, [TeachEvent::Ended { cancelled: true }], "at once");
    let mut held = Vec::new();
    while school.round(Some(&mut held)) {}
    assert!(!held.is_empty(), "the stopped training has its say");

    // Another comparison began before it came.
    school.ask(TeachRequest::Compare(Box::new(order(&[Strategy::ZeroShot]))));
    while !school.bench.heard.borrow().iter().any(|e| matches!(e, Event::Teaching(TeachEvent::Begun { .. }))) {
        school.round(None);
    }
    for (number, report) in held {
        block_on(school.bench.session.report(number, report));
    }
    let told = teaching(school.finish());
    let bake_off = last_verdict(&told);
    assert_eq!(bake_off.scores.iter().map(|s| s.strategy).collect::<Vec<_>>(), [Strategy::ZeroShot]);
    assert_eq!(told.last(), Some(&TeachEvent::Ended { cancelled: false }));
}

#[test]
fn what_is_stopped_is_not_put_into_use() {
    let mut school = School::new(1, &table());
    school.finish();
    school.ask(TeachRequest::Compare(Box::new(order(&[Strategy::Residual]))));
    assert!(teaching(school.finish()).iter().any(|event| matches!(event, TeachEvent::Compared(_))));
    // In the middle of its training; then, when it was finished but not yet heard of.
    for rounds in [3, 1000] {
        school.ask(TeachRequest::Adopt { strategy: Strategy::Residual });
        let mut held = Vec::new();
        for _ in 0..rounds {
            school.round(Some(&mut held));
        }
        school.ask(TeachRequest::Stop);
        for (number, report) in held {
            block_on(school.bench.session.report(number, report));
        }
        let events = teaching(school.finish());
        assert!(!events.iter().any(|event| matches!(event, TeachEvent::InUse { .. })), "{rounds}: {events:?}");
    }
    school.ask(TeachRequest::Adopt { strategy: Strategy::Residual });
    let events = teaching(school.finish());
    assert!(events.iter().any(|event| matches!(event, TeachEvent::InUse { .. })), "{events:?}");
}

#[test]
fn what_is_said_of_forgotten_spectra_ends_with_a_word() {
    let mut school = School::new(1, &table());
    school.finish();
    school.ask(TeachRequest::Compare(Box::new(order(&[Strategy::Residual]))));
    for _ in 0..3 {
        school.round(None);
    }
    school.bench.ask(Request::Clear);
    let events = school.finish();
    let at = events.iter().position(|event| matches!(event, Event::Cleared)).expect("the word");
    let after = &events[at + 1..];
    assert!(
        !after.iter().any(|e| matches!(e, Event::Found { .. } | Event::Tables { .. } | Event::Teaching(_))),
        "{after:?}"
    );
}

#[test]
fn a_trainer_that_is_lost_leaves_its_work_to_the_others() {
    let mut school = School::new(2, &table());
    school.finish();
    school.ask(TeachRequest::Compare(Box::new(order(&[Strategy::ZeroShot, Strategy::Residual]))));
    while !school.bench.heard.borrow().iter().any(|e| matches!(e, Event::Teaching(TeachEvent::Trained { .. }))) {
        school.round(None);
    }
    school.hands.remove(1);
    school.ask(TeachRequest::TrainerLost { trainer: 1 });
    let told = teaching(school.finish());
    let bake_off = last_verdict(&told);
    for score in &bake_off.scores {
        assert_eq!(score.out_of_fold.iter().flatten().count(), STARS, "{:?}", score.strategy);
    }
    // And when the last one goes, it ends in words.
    school.ask(TeachRequest::Compare(Box::new(order(&[Strategy::Residual]))));
    while !school.bench.heard.borrow().iter().any(|e| matches!(e, Event::Teaching(TeachEvent::Begun { .. }))) {
        school.round(None);
    }
    school.hands.clear();
    school.ask(TeachRequest::TrainerLost { trainer: 0 });
    let told = teaching(school.finish());
    assert_eq!(told.last(), Some(&TeachEvent::Ended { cancelled: true }));
}

/// Without an emulator the network alone is gone by, and that is said.
#[test]
fn teaching_goes_on_without_an_emulator() {
    let mut school = School::new(1, &table());
    school.finish();
    school.ask(TeachRequest::Compare(Box::new(order(&[Strategy::Residual]))));
    assert!(teaching(school.bench.finish()).is_empty(), "it waits for the emulator");
    assert_eq!(school.bench.session.for_host(), Some(ForHost::FetchEmulatorToTeach));
    block_on(school.bench.session.modeller(Err("there is no network".into())));
    let events = teaching(school.finish());
    let said = events.iter().find_map(|event| match event {
        TeachEvent::Begun { remarks, .. } => Some(remarks.clone()),
        _ => None,
    });
    let said = said.expect("it begins");
    assert!(said.contains(&Remark::NoEmulator { why: "there is no network".into() }), "{said:?}");
    assert_eq!(events.last(), Some(&TeachEvent::Ended { cancelled: false }));
    school.ask(TeachRequest::Adopt { strategy: Strategy::Residual });
    let card = teaching(school.finish()).into_iter().find_map(|event| match event {
        TeachEvent::InUse { card, .. } => Some(card),
        _ => None,
    });
    assert_eq!(card.expect("an adapter in use").emulator, None);
}

#[test]
fn labels_that_teach_nothing_are_refused_in_words() {
    let same: String = (0..STARS).map(|i| format!("star-{i},0.5\n")).collect();
    let mut school = School::new(1, &format!("id,feh\n{same}"));
    school.finish();
    school.ask(TeachRequest::Compare(Box::new(TeachOrder { groups: None, ..order(&[Strategy::Residual]) })));
    let told = teaching(school.finish());
    let Some(TeachEvent::Refused(remarks)) = told.last() else { panic!("{told:?}") };
    assert!(remarks.iter().any(|r| matches!(r, Remark::Constant { n: STARS, .. })), "{remarks:?}");
}

/// In the middle of a landscape is what was taught: its error there is that of its answers, which the session gives by another
/// way. Adapters of no use at first move as those do that are.
#[test]
fn the_loss_is_looked_at_around_what_was_taught() {
    let mut school = School::new(2, &table());
    school.finish();
    let settings = Settings { epochs: 12, hidden: 32, rank: 8, closed_form: false, ..Settings::default() };
    school.ask(TeachRequest::Survey { strategy: Strategy::Lora });
    let told = teaching(school.finish());
    assert!(matches!(&told[..], [TeachEvent::Failed(why)] if why.contains("compare strategies first")), "{told:?}");
    let strategies = [Strategy::ZeroShot, Strategy::Residual, Strategy::Lora];
    school.ask(TeachRequest::Compare(Box::new(TeachOrder { settings, ..order(&strategies) })));
    school.finish();
    for strategy in [Strategy::Residual, Strategy::Lora] {
        school.ask(TeachRequest::Adopt { strategy });
        let events = school.finish();
        let answers = predictions(&events).into_iter().map(|(i, p)| (feh(p) - depth(i as usize)).powi(2));
        let squares: Vec<f64> = answers.collect();
        let mse = squares.iter().sum::<f64>() / squares.len() as f64;
        school.ask(TeachRequest::Survey { strategy });
        let told = teaching(school.finish());
        assert!(told.iter().any(|e| matches!(e, TeachEvent::Surveying { done: 210, total: 441 })));
        assert!(!told.iter().any(|e| matches!(e, TeachEvent::Epoch { .. })), "its losses are known already");
        let Some(TeachEvent::Landscape(found)) = told.last() else { panic!("no landscape of {strategy:?}") };
        assert_eq!((found.strategy, found.spectra, found.mse.len()), (strategy, STARS, 441));
        let centre = found.centre().expect("a centre");
        assert!((centre - mse).abs() < 5e-3 * mse, "{strategy:?}: {centre} in the middle, {mse} of its answers");
        let highest = found.mse.iter().copied().fold(0.0, f64::max);
        assert!(highest > 1.01 * centre, "{strategy:?}: {highest} at most, {centre} in the middle");
    }
    school.ask(TeachRequest::Survey { strategy: Strategy::ZeroShot });
    let told = teaching(school.finish());
    assert!(matches!(&told[..], [TeachEvent::Failed(why)] if why.contains("nothing is taught")), "{told:?}");

    // Told to stop, it says no more, and the next one begins.
    school.ask(TeachRequest::Survey { strategy: Strategy::Residual });
    let is_under_way = |e: &Event| matches!(e, Event::Teaching(TeachEvent::Surveying { done: 21.., .. }));
    while !school.bench.heard.borrow().iter().any(is_under_way) {
        assert!(school.round(None), "it came to an end by itself");
    }
    school.bench.heard.take();
    school.ask(TeachRequest::Stop);
    let told = teaching(school.finish());
    assert!(told.is_empty(), "{told:?}");
    school.ask(TeachRequest::Adopt { strategy: Strategy::Residual });
    assert!(teaching(school.finish()).iter().any(|e| matches!(e, TeachEvent::InUse { .. })));
}
