//! Fine-tuning in a session of the engine: the shipped model, trainers in this process instead of workers, and a label
//! that is the depth of a line.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use pollster::block_on;

use crate::support::driver::SessionDriver;
use specola::engine::HostRequest;
use specola::engine::finetuning::TrainerLink;
use specola::engine::protocol::{
    DiagnosticsEvent, DiagnosticsRequest, Event, FinetuneEvent, FinetuneJob, FinetuneRequest, Request, SpecClipRequest,
    SpectraEvent, SpectraRequest,
};
use specola::engine::trainer::{Trainer, TrainerCommand, TrainerStatus};
use specola::model::store::{Folder, Store};
use specola::result::finetune::{LabelWarning, Settings, Strategy, StrategyComparison, SubsetCut};
use specola::result::{Flag, Label, ModelCard, Prediction};
use specola::task::predict::Predictor;

const STARS: usize = 30;

/// Largest difference of a prediction between batches of different size.
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

/// Depth of Mg b in star `i`: the label.
fn depth(i: usize) -> f64 {
    0.1 + 0.6 * ((i * 17) % STARS) as f64 / STARS as f64
}

/// The spectrum of star `i`.
fn star(i: usize) -> String {
    let lines = [(4102.9, 0.5), (4341.7, 0.5), (4862.7, 0.5), (5184.0, depth(i)), (5270.0, 0.2)];
    let mut csv = String::from("wavelength_vac_aa,flux,ivar\n");
    for k in 0..1600 {
        let wave = 3900.0 + 1.1 * f64::from(k);
        let depth: f64 = lines.iter().map(|(at, depth)| depth * (-((wave - at) / 4.0_f64).powi(2)).exp()).sum();
        let ripple = 0.01 * (f64::from(k) * (1.3 + 0.01 * i as f64)).sin();
        csv += &format!("{wave:.2},{:.3},0.01\n", 1000.0 * (1.0 - depth + ripple));
    }
    csv
}

/// A trainer in this process, and the commands that the session sent it.
struct LocalTrainer {
    number: u32,
    commands: Rc<RefCell<VecDeque<TrainerCommand>>>,
    trainer: Trainer,
}

struct Link(Rc<RefCell<VecDeque<TrainerCommand>>>);

impl TrainerLink for Link {
    fn send(&self, command: &TrainerCommand) {
        self.0.borrow_mut().push_back(command.clone());
    }
}

/// A session with spectra, a table of labels and trainers.
struct FinetuneSession {
    driver: SessionDriver,
    trainers: Vec<LocalTrainer>,
}

impl FinetuneSession {
    fn new(n_trainers: u32, table: &str) -> Self {
        let mut driver = SessionDriver::new();
        driver.session.set_model(Ok(predictor()));
        let stars: Vec<(String, String)> = (0..STARS).map(|i| (format!("star-{i}.csv"), star(i))).collect();
        let mut files: Vec<(&str, &str)> = stars.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        files.push(("labels.csv", table));
        driver.open(1, &files);
        let mut session = Self { driver, trainers: Vec::new() };
        (0..n_trainers).for_each(|number| session.add_trainer(number));
        session
    }

    fn add_trainer(&mut self, number: u32) {
        let commands = Rc::new(RefCell::new(VecDeque::new()));
        self.driver.session.connect_trainer(number, Box::new(Link(commands.clone())));
        self.trainers.push(LocalTrainer { number, commands, trainer: Trainer::new(predictor()) });
    }

    fn ask(&mut self, request: FinetuneRequest) {
        self.driver.ask(Request::Finetune(request));
    }

    /// Handles a request of the session to its host. True if there was a request.
    fn fetch(&mut self) -> bool {
        match self.driver.session.host_request() {
            Some(HostRequest::FetchBaseModel(name)) => {
                block_on(self.driver.session.add_base_model(Ok(model(&name))));
                true
            }
            _ => false,
        }
    }

    /// One step of the session and of each trainer. The reports of the trainers go to the session, or into `delayed`.
    fn round(&mut self, delayed: Option<&mut Vec<(u32, TrainerStatus)>>) -> bool {
        let mut is_busy = self.fetch();
        is_busy |= block_on(self.driver.session.step());
        let mut reports = Vec::new();
        for local in &mut self.trainers {
            while let Some(command) = local.commands.borrow_mut().pop_front() {
                if let TrainerCommand::Start { base: Some(base), .. } = &command
                    && local.trainer.base() != base
                {
                    local.trainer.set_predictor(model(base));
                }
                local.trainer.command(command);
            }
            let mut send = |report| reports.push((local.number, report));
            is_busy |= block_on(local.trainer.step(&mut send));
        }
        is_busy |= !reports.is_empty();
        match delayed {
            Some(delayed) => delayed.extend(reports),
            None => {
                for (number, report) in reports {
                    block_on(self.driver.session.trainer_status(number, report));
                }
            }
        }
        is_busy
    }

    fn finish(&mut self) -> Vec<Event> {
        while self.round(None) {}
        self.driver.events.take()
    }
}

fn table() -> String {
    let rows: String = (0..STARS).map(|i| format!("star-{i},{},{}\n", depth(i), i / 2)).collect();
    format!("id,feh,pair\n{rows}")
}

fn job(strategies: &[Strategy]) -> FinetuneJob {
    FinetuneJob {
        base: None,
        target: "feh".into(),
        groups: Some("pair".into()),
        strategies: strategies.to_vec(),
        settings: Settings { epochs: 12, head_width: 32, start_from_gp: true, ..Settings::default() },
        folds: 3,
        seeds: vec![1],
        subset_cut: None,
        is_learning_curve: false,
    }
}

fn finetune_events_of(events: Vec<Event>) -> Vec<FinetuneEvent> {
    events
        .into_iter()
        .filter_map(|event| match event {
            Event::Finetune(event) => Some(event),
            _ => None,
        })
        .collect()
}

fn feh(p: &Prediction) -> f64 {
    p.get(Label::Feh).expect("[Fe/H]").value
}

fn last_comparison(events: &[FinetuneEvent]) -> &StrategyComparison {
    let found = events.iter().rev().find_map(|event| match event {
        FinetuneEvent::Comparison(comparison) => Some(comparison),
        _ => None,
    });
    found.expect("a comparison")
}

fn predictions(events: &[Event]) -> Vec<(u32, &Prediction)> {
    let found = events.iter().filter_map(|event| match event {
        Event::Spectra(SpectraEvent::Predicted { spectrum, prediction }) => Some((*spectrum, &**prediction)),
        _ => None,
    });
    found.collect()
}

#[test]
fn finetuned_model_predicts_until_its_adapter_is_removed() {
    let mut session = FinetuneSession::new(2, &table());
    let first = session.finish();
    let shipped: Vec<(u32, Prediction)> = predictions(&first).into_iter().map(|(i, p)| (i, p.clone())).collect();
    assert_eq!(shipped.len(), STARS);
    let columns = finetune_events_of(first).into_iter().find_map(|event| match event {
        FinetuneEvent::Columns(columns) => Some(columns),
        _ => None,
    });
    let columns = columns.expect("columns of the table");
    let summary: Vec<_> = columns.iter().map(|c| (c.name.as_str(), c.numbers, c.distinct)).collect();
    assert_eq!(summary, [("feh", 30, 30), ("pair", 30, 15)]);

    session.ask(FinetuneRequest::Compare(Box::new(job(&[Strategy::ZeroShot, Strategy::Residual]))));
    let events = finetune_events_of(session.finish());
    let Some(FinetuneEvent::Started { spectra, n_runs: 6, .. }) =
        events.iter().find(|e| matches!(e, FinetuneEvent::Started { .. }))
    else {
        panic!("not begun: {events:?}");
    };
    assert_eq!(spectra.len(), STARS);
    assert!(events.iter().any(|e| matches!(e, FinetuneEvent::Epoch { .. })));
    assert_eq!(events.last(), Some(&FinetuneEvent::Finished { cancelled: false }));
    let comparison = last_comparison(&events);
    assert_eq!(comparison.truth, (0..STARS).map(depth).collect::<Vec<_>>());
    let sigma = |strategy| {
        let score = comparison.scores.iter().find(|s| s.strategy == strategy).expect("a score");
        (score.subsets[0].sigma.value.hypot(score.subsets[0].bias.value), score.out_of_fold.iter().flatten().count())
    };
    let ((before, all), (after, all_after)) = (sigma(Strategy::ZeroShot), sigma(Strategy::Residual));
    assert_eq!((all, all_after), (STARS, STARS));
    assert!(after < 0.5 * before, "fine-tuned {after}, shipped {before}");
    // Zero-shot predicts the values of the shipped model.
    let zero = &comparison.scores.iter().find(|s| s.strategy == Strategy::ZeroShot).expect("a score").out_of_fold;
    for (row, spectrum) in spectra.iter().enumerate() {
        let shipped_value = shipped.iter().find(|(id, _)| id == spectrum).map(|(_, p)| feh(p)).expect("an answer");
        assert!((zero[row].expect("out of fold") - shipped_value).abs() < 1e-4);
    }

    session.ask(FinetuneRequest::Apply { strategy: Strategy::Residual });
    let events = session.finish();
    let finetuned: Vec<(u32, Prediction)> = predictions(&events).into_iter().map(|(i, p)| (i, p.clone())).collect();
    assert_eq!(finetuned.len(), STARS);
    let rms_error = |answers: &[(u32, Prediction)]| {
        let sum: f64 = answers.iter().map(|(i, p)| (feh(p) - depth(*i as usize)).powi(2)).sum();
        (sum / answers.len() as f64).sqrt()
    };
    assert!(rms_error(&finetuned) < 0.5 * rms_error(&shipped), "{} {}", rms_error(&finetuned), rms_error(&shipped));
    for ((_, got), (_, original)) in finetuned.iter().zip(&shipped) {
        assert!(got.flags.contains(&Flag::FinetunedModel));
        let before = got.finetuned.as_ref().and_then(|t| t.shipped_value).expect("the shipped model's value");
        assert!((before - feh(original)).abs() < ROUNDING);
    }
    let in_use = finetune_events_of(events).into_iter().find_map(|event| match event {
        FinetuneEvent::AdapterApplied { card, file, sha256 } => Some((card, file, sha256)),
        _ => None,
    });
    let (card, file, sha256) = in_use.expect("an adapter in use");
    assert_eq!((card.target.as_str(), card.labels.n), ("feh", STARS));

    // The label is the depth of Mg b. On average over the stars, more flux in this line raises the prediction of the
    // fine-tuned model less than that of the shipped model.
    let slopes_of = |session: &mut FinetuneSession, star: usize| {
        let request = DiagnosticsRequest::Saliency { spectrum: finetuned[star].0, target: "feh".into() };
        session.driver.ask(Request::Diagnostics(request));
        let salient = |event| match event {
            Event::Diagnostics(DiagnosticsEvent::Saliency { saliency, .. }) => saliency.ok(),
            _ => None,
        };
        session.finish().into_iter().find_map(salient).expect("slopes")
    };
    let slopes = slopes_of(&mut session, 7);
    let (model, shipped_gradient) = slopes.shipped_gradient.clone().expect("the shipped model's slopes");
    assert!(model.starts_with("lrs-mlp-synthetic") && slopes.model.contains("feh"), "{model}, {}", slopes.model);
    let line = |slope: &[f32]| -> f64 {
        let wave = specola::preprocess::grid::model_wave_vac_aa();
        wave.iter().zip(slope).map(|(w, s)| (-((w - 5184.0) / 4.0).powi(2)).exp() * f64::from(*s)).sum()
    };
    let change = |star: usize| {
        let slopes = slopes_of(&mut session, star);
        line(&slopes.gradient) - slopes.shipped_gradient.map_or(f64::NAN, |(_, gradient)| line(&gradient))
    };
    let changes: Vec<f64> = (0..STARS).map(change).collect();
    let mean = changes.iter().sum::<f64>() / STARS as f64;
    assert!(mean < -0.1, "{mean}");

    session.ask(FinetuneRequest::RemoveAdapter);
    let events = session.finish();
    let restored_predictions: Vec<(u32, Prediction)> =
        predictions(&events).into_iter().map(|(i, p)| (i, p.clone())).collect();
    let shipped_slopes = slopes_of(&mut session, 7);
    assert!(
        shipped_slopes.shipped_gradient.is_none()
            && shipped_slopes.gradient == shipped_gradient
            && shipped_slopes.model == model
    );
    for ((_, got), (_, original)) in restored_predictions.iter().zip(&shipped) {
        assert!((feh(got) - feh(original)).abs() < ROUNDING && got.finetuned.is_none() && got.flags == original.flags);
    }

    // An adapter from a session file is loaded if its hash is that of the session.
    let load = |sha256: &str| Request::Finetune(FinetuneRequest::Load { sha256: Some(sha256.into()) });
    session.driver.session.request(load("00"), vec![file.clone()]);
    let finetune_events = finetune_events_of(session.finish());
    assert!(
        matches!(&finetune_events[..], [FinetuneEvent::Failed(why)] if why.contains("not the one that was saved")),
        "{finetune_events:?}"
    );
    session.driver.session.request(load(&sha256), vec![file.clone()]);
    let restored = predictions(&session.finish()).into_iter().map(|(i, p)| (i, p.clone())).collect::<Vec<_>>();
    assert!(restored == finetuned, "the same to the last bit");
    session.ask(FinetuneRequest::RemoveAdapter);
    session.finish();

    // The saved file, opened as a network, gives the same predictions.
    session
        .driver
        .session
        .request(Request::SpecClip(SpecClipRequest::Add { paths: vec!["kept.safetensors".into()] }), vec![file]);
    let events = session.finish();
    let loaded: Vec<(u32, Prediction)> = predictions(&events).into_iter().map(|(i, p)| (i, p.clone())).collect();
    assert!(loaded == finetuned, "the same to the last bit");
    session
        .driver
        .session
        .request(Request::Finetune(FinetuneRequest::Load { sha256: None }), vec![b"no adapter".to_vec()]);
    let finetune_events = finetune_events_of(session.finish());
    assert!(
        matches!(&finetune_events[..], [FinetuneEvent::Failed(why)] if why.contains("not a Specola adapter")),
        "{finetune_events:?}"
    );
}

/// A model other than the active one is fine-tuned. It predicts the fine-tuned label while its adapter is active. It is
/// fetched again when its adapter file is opened in a new session.
#[test]
fn another_base_model_is_fetched_and_finetuned() {
    let mut session = FinetuneSession::new(1, &table());
    let first: Vec<Prediction> = predictions(&session.finish()).into_iter().map(|(_, p)| p.clone()).collect();
    let shipped: Vec<f64> = first.iter().map(feh).collect();
    session.driver.session.set_base_models(cards());
    let subset_cut = Some(SubsetCut { column: "pair".into(), at: 7.0 });
    let job =
        FinetuneJob { base: Some("lrs-mlp".into()), subset_cut, ..job(&[Strategy::ZeroShot, Strategy::Residual]) };
    session.ask(FinetuneRequest::Compare(Box::new(job)));
    let finetune_events = finetune_events_of(session.finish());
    let subsets = &last_comparison(&finetune_events).scores[0].subsets;
    let parts: Vec<(&str, usize)> = subsets.iter().map(|r| (r.subset.as_str(), r.n)).collect();
    assert_eq!(parts[parts.len() - 2..], [("pair < 7", 14), ("pair ≥ 7", 16)]);
    session.ask(FinetuneRequest::Apply { strategy: Strategy::Residual });
    let events = session.finish();
    let finetuned: Vec<(u32, Prediction)> = predictions(&events).into_iter().map(|(i, p)| (i, p.clone())).collect();
    assert!(finetuned.len() == STARS && finetuned.iter().all(|(_, p)| p.model.starts_with("lrs-mlp 3 + feh")));
    let file = finetune_events_of(events).into_iter().find_map(|event| match event {
        FinetuneEvent::AdapterApplied { file, .. } => Some(file),
        _ => None,
    });
    let file = file.expect("an adapter in use");
    // The other labels keep the values of the active model.
    for ((_, got), original) in finetuned.iter().zip(&first) {
        for label in [Label::Teff, Label::Logg, Label::AlphaFe, Label::Rv] {
            let (got, original) = (got.get(label).expect("a label"), original.get(label).expect("a label"));
            let scale = original.value.abs().max(1.0);
            assert!((got.value - original.value).abs() < ROUNDING * scale && got.error == original.error, "{label:?}");
        }
    }
    // The value before fine-tuning is that of the base model.
    let other = model("lrs-mlp");
    let zero = &last_comparison(&finetune_events).scores[0].out_of_fold;
    for ((_, got), zero) in finetuned.iter().zip(zero) {
        let before = got.finetuned.as_ref().and_then(|t| t.shipped_value).expect("the base model's value");
        assert!((before - zero.expect("out of fold")).abs() < 1e-4);
        assert!(got.model_sha256 != other.entry().sha256, "the hash of the adapter");
    }
    session.ask(FinetuneRequest::RemoveAdapter);
    let restored_predictions: Vec<f64> = predictions(&session.finish()).iter().map(|(_, p)| feh(p)).collect();
    assert!(restored_predictions.iter().zip(&shipped).all(|(got, original)| (got - original).abs() < ROUNDING));

    let mut fresh = FinetuneSession::new(0, &table());
    fresh.finish();
    fresh.driver.session.request(
        Request::SpecClip(SpecClipRequest::Add { paths: vec!["kept.safetensors".into()] }),
        vec![file.clone()],
    );
    let finetune_events = finetune_events_of(fresh.finish());
    let is_refused = |events: &[FinetuneEvent]| matches!(events, [FinetuneEvent::Failed(why)] if why.contains("needs the base model lrs-mlp"));
    assert!(is_refused(&finetune_events), "its base model is unknown: {finetune_events:?}");
    fresh.driver.session.set_base_models(cards());
    fresh
        .driver
        .session
        .request(Request::SpecClip(SpecClipRequest::Add { paths: vec!["kept.safetensors".into()] }), vec![file]);
    let events = fresh.finish();
    let loaded: Vec<(u32, Prediction)> = predictions(&events).into_iter().map(|(i, p)| (i, p.clone())).collect();
    assert!(loaded == finetuned, "the same to the last bit");

    // A failed fetch ends with an error text.
    let mut session = FinetuneSession::new(1, &table());
    session.finish();
    session.driver.session.set_base_models(cards());
    session.ask(FinetuneRequest::Compare(Box::new(FinetuneJob {
        base: Some("lrs-mlp".into()),
        ..self::job(&[Strategy::ZeroShot])
    })));
    assert_eq!(session.driver.session.host_request(), Some(HostRequest::FetchBaseModel("lrs-mlp".into())));
    assert_ne!(
        session.driver.session.host_request(),
        Some(HostRequest::FetchBaseModel("lrs-mlp".into())),
        "asked for once"
    );
    block_on(session.driver.session.add_base_model(Err("no way there".into())));
    let finetune_events = finetune_events_of(session.finish());
    assert!(
        matches!(&finetune_events[..], [.., FinetuneEvent::Failed(why)] if why == "no way there"),
        "{finetune_events:?}"
    );
}

#[test]
fn late_reports_of_a_stopped_comparison_are_ignored() {
    let mut session = FinetuneSession::new(1, &table());
    session.finish();
    let settings = Settings { epochs: 500, patience: 500, head_width: 32, ..Settings::default() };
    let long = FinetuneJob { settings, ..job(&[Strategy::ZeroShot, Strategy::Residual]) };
    session.ask(FinetuneRequest::Compare(Box::new(long)));
    let is_under_way = |session: &FinetuneSession| {
        let epochs = session
            .driver
            .events
            .borrow()
            .iter()
            .filter(|e| matches!(e, Event::Finetune(FinetuneEvent::Epoch { .. })))
            .count();
        epochs > 5
    };
    while !is_under_way(&session) {
        assert!(session.round(None), "it ended without a stop");
    }
    session.driver.events.take();
    session.ask(FinetuneRequest::Stop);
    let finetune_events = finetune_events_of(session.driver.events.take());
    assert_eq!(finetune_events, [FinetuneEvent::Finished { cancelled: true }], "at once");
    let mut delayed = Vec::new();
    while session.round(Some(&mut delayed)) {}
    assert!(!delayed.is_empty(), "the stopped training reports");

    // Another comparison starts before the reports arrive.
    session.ask(FinetuneRequest::Compare(Box::new(job(&[Strategy::ZeroShot]))));
    while !session.driver.events.borrow().iter().any(|e| matches!(e, Event::Finetune(FinetuneEvent::Started { .. }))) {
        session.round(None);
    }
    for (number, report) in delayed {
        block_on(session.driver.session.trainer_status(number, report));
    }
    let finetune_events = finetune_events_of(session.finish());
    let comparison = last_comparison(&finetune_events);
    assert_eq!(comparison.scores.iter().map(|s| s.strategy).collect::<Vec<_>>(), [Strategy::ZeroShot]);
    assert_eq!(finetune_events.last(), Some(&FinetuneEvent::Finished { cancelled: false }));
}

#[test]
fn stopped_trainings_are_not_applied() {
    let mut session = FinetuneSession::new(1, &table());
    session.finish();
    session.ask(FinetuneRequest::Compare(Box::new(job(&[Strategy::Residual]))));
    assert!(finetune_events_of(session.finish()).iter().any(|event| matches!(event, FinetuneEvent::Comparison(_))));
    // A stop during training, and a stop after training, before the report arrives.
    for rounds in [3, 1000] {
        session.ask(FinetuneRequest::Apply { strategy: Strategy::Residual });
        let mut delayed = Vec::new();
        for _ in 0..rounds {
            session.round(Some(&mut delayed));
        }
        session.ask(FinetuneRequest::Stop);
        for (number, report) in delayed {
            block_on(session.driver.session.trainer_status(number, report));
        }
        let events = finetune_events_of(session.finish());
        assert!(
            !events.iter().any(|event| matches!(event, FinetuneEvent::AdapterApplied { .. })),
            "{rounds}: {events:?}"
        );
    }
    session.ask(FinetuneRequest::Apply { strategy: Strategy::Residual });
    let events = finetune_events_of(session.finish());
    assert!(events.iter().any(|event| matches!(event, FinetuneEvent::AdapterApplied { .. })), "{events:?}");
}

#[test]
fn no_event_of_spectra_follows_clear() {
    let mut session = FinetuneSession::new(1, &table());
    session.finish();
    session.ask(FinetuneRequest::Compare(Box::new(job(&[Strategy::Residual]))));
    for _ in 0..3 {
        session.round(None);
    }
    session.driver.ask(Request::Spectra(SpectraRequest::Clear));
    let events = session.finish();
    let cleared =
        events.iter().position(|event| matches!(event, Event::Spectra(SpectraEvent::Cleared))).expect("cleared");
    let after = &events[cleared + 1..];
    assert!(
        !after.iter().any(|e| matches!(
            e,
            Event::Spectra(SpectraEvent::Added { .. })
                | Event::Spectra(SpectraEvent::LabelTables { .. })
                | Event::Finetune(_)
        )),
        "{after:?}"
    );
}

#[test]
fn tasks_of_a_lost_trainer_go_to_the_others() {
    let mut session = FinetuneSession::new(2, &table());
    session.finish();
    session.ask(FinetuneRequest::Compare(Box::new(job(&[Strategy::ZeroShot, Strategy::Residual]))));
    while !session.driver.events.borrow().iter().any(|e| matches!(e, Event::Finetune(FinetuneEvent::Trained { .. }))) {
        session.round(None);
    }
    session.trainers.remove(1);
    session.ask(FinetuneRequest::TrainerLost { trainer: 1 });
    let finetune_events = finetune_events_of(session.finish());
    let comparison = last_comparison(&finetune_events);
    for score in &comparison.scores {
        assert_eq!(score.out_of_fold.iter().flatten().count(), STARS, "{:?}", score.strategy);
    }
    // Without a trainer the comparison ends.
    session.ask(FinetuneRequest::Compare(Box::new(job(&[Strategy::Residual]))));
    while !session.driver.events.borrow().iter().any(|e| matches!(e, Event::Finetune(FinetuneEvent::Started { .. }))) {
        session.round(None);
    }
    session.trainers.clear();
    session.ask(FinetuneRequest::TrainerLost { trainer: 0 });
    let finetune_events = finetune_events_of(session.finish());
    assert_eq!(finetune_events.last(), Some(&FinetuneEvent::Finished { cancelled: true }));
}

#[test]
fn constant_labels_are_refused() {
    let same: String = (0..STARS).map(|i| format!("star-{i},0.5\n")).collect();
    let mut session = FinetuneSession::new(1, &format!("id,feh\n{same}"));
    session.finish();
    session.ask(FinetuneRequest::Compare(Box::new(FinetuneJob { groups: None, ..job(&[Strategy::Residual]) })));
    let finetune_events = finetune_events_of(session.finish());
    let Some(FinetuneEvent::Refused(warnings)) = finetune_events.last() else { panic!("{finetune_events:?}") };
    assert!(warnings.iter().any(|r| matches!(r, LabelWarning::Constant { n: STARS, .. })), "{warnings:?}");
}

/// The centre of the loss landscape is the mean square error of the fine-tuned model's predictions. The loss rises away
/// from the centre, also for `LoRA`, which starts at zero.
#[test]
fn landscape_centre_is_the_error_of_the_finetuned_model() {
    let mut session = FinetuneSession::new(2, &table());
    session.finish();
    let settings = Settings { epochs: 12, head_width: 32, lora_rank: 8, ..Settings::default() };
    session.ask(FinetuneRequest::ScanLandscape { strategy: Strategy::Lora });
    let finetune_events = finetune_events_of(session.finish());
    assert!(
        matches!(&finetune_events[..], [FinetuneEvent::Failed(why)] if why.contains("compare strategies first")),
        "{finetune_events:?}"
    );
    let strategies = [Strategy::ZeroShot, Strategy::Residual, Strategy::Lora];
    session.ask(FinetuneRequest::Compare(Box::new(FinetuneJob { settings, ..job(&strategies) })));
    session.finish();
    for strategy in [Strategy::Residual, Strategy::Lora] {
        session.ask(FinetuneRequest::Apply { strategy });
        let events = session.finish();
        let answers = predictions(&events).into_iter().map(|(i, p)| (feh(p) - depth(i as usize)).powi(2));
        let squares: Vec<f64> = answers.collect();
        let mse = squares.iter().sum::<f64>() / squares.len() as f64;
        session.ask(FinetuneRequest::ScanLandscape { strategy });
        let finetune_events = finetune_events_of(session.finish());
        assert!(finetune_events.iter().any(|e| matches!(e, FinetuneEvent::Scanning { done: 210, total: 441 })));
        assert!(!finetune_events.iter().any(|e| matches!(e, FinetuneEvent::Epoch { .. })), "a scan trains nothing");
        let Some(FinetuneEvent::Landscape(found)) = finetune_events.last() else {
            panic!("no landscape of {strategy:?}")
        };
        assert_eq!((found.strategy, found.spectra, found.mse.len()), (strategy, STARS, 441));
        let centre = found.centre().expect("a centre");
        assert!((centre - mse).abs() < 5e-3 * mse, "{strategy:?}: {centre} at the centre, {mse} of its predictions");
        let highest = found.mse.iter().copied().fold(0.0, f64::max);
        assert!(highest > 1.01 * centre, "{strategy:?}: maximum {highest}, {centre} at the centre");
    }
    session.ask(FinetuneRequest::ScanLandscape { strategy: Strategy::ZeroShot });
    let finetune_events = finetune_events_of(session.finish());
    assert!(
        matches!(&finetune_events[..], [FinetuneEvent::Failed(why)] if why.contains("trains no weights")),
        "{finetune_events:?}"
    );

    // After a stop no event follows, and the next job starts.
    session.ask(FinetuneRequest::ScanLandscape { strategy: Strategy::Residual });
    let is_under_way = |e: &Event| matches!(e, Event::Finetune(FinetuneEvent::Scanning { done: 21.., .. }));
    while !session.driver.events.borrow().iter().any(is_under_way) {
        assert!(session.round(None), "it ended without a stop");
    }
    session.driver.events.take();
    session.ask(FinetuneRequest::Stop);
    let finetune_events = finetune_events_of(session.finish());
    assert!(finetune_events.is_empty(), "{finetune_events:?}");
    session.ask(FinetuneRequest::Apply { strategy: Strategy::Residual });
    assert!(finetune_events_of(session.finish()).iter().any(|e| matches!(e, FinetuneEvent::AdapterApplied { .. })));
}
