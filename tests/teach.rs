//! Teaching a network a label: on a small network whose answers are off by what is known, so that it is known what
//! teaching can gain.
#![cfg(feature = "cli")]

use std::rc::Rc;

use burn::tensor::Device;
use pollster::block_on;
use specola::model::calibration::Subspace;
use specola::model::manifest::ModelEntry;
use specola::model::regressor::Regressor;
use specola::model::weights::Tensors;
use specola::nn::flow::standard_normal;
use specola::preprocess::grid::MODEL_PIXELS;
use specola::preprocess::recipe;
use specola::result::Label;
use specola::result::teach::{Cell, Cut, Outcome, Remark, Settings, Sight, Strategy, Task};
use specola::task::discrepancy::{BINS, Discrepancy};
use specola::task::metrics::Metrics;
use specola::task::predict::{LabelInput, Predictor};
use specola::task::teach::adapter::{self, Adapter, AdapterError};
use specola::task::teach::bake_off::{Plan, curve, metrics, verdict};
use specola::task::teach::classroom::Classroom;
use specola::task::teach::lesson::{Example, Lesson};
use specola::task::teach::split::{Split, folds};
use specola::task::teach::training::{Progress, Training};

/// A network of four labels with random weights, [Fe/H] between −2 and 1 or so.
fn predictor(seed: u64) -> Predictor {
    let device = Device::flex();
    let regressor = |widths: &[usize], seed: u64| {
        let mut tensors = Tensors::default();
        for (i, w) in widths.windows(2).enumerate() {
            let scale = (2.0 / w[0] as f32).sqrt();
            let weights = standard_normal(seed + i as u64, w[0] * w[1]).into_iter().map(|z| z * scale).collect();
            tensors.insert(&format!("network.{}.weight", 2 * i), &[w[1], w[0]], weights);
            tensors.insert(&format!("network.{}.bias", 2 * i), &[w[1]], vec![0.05; w[1]]);
        }
        let outputs = widths[widths.len() - 1];
        tensors.insert("input_mean", &[MODEL_PIXELS], vec![1.0; MODEL_PIXELS]);
        tensors.insert("input_scale", &[1], vec![0.1]);
        tensors.insert("output_mean", &[outputs], vec![-0.5; outputs]);
        tensors.insert("output_scale", &[outputs], vec![0.5; outputs]);
        Regressor::load(&tensors, "", &device).expect("a network")
    };
    let entry = ModelEntry {
        name: "small".into(),
        version: 1,
        labels: Label::ALL.to_vec(),
        recipe: recipe::NAME.into(),
        sha256: format!("{seed:064x}"),
        max_distance: 1.0,
        ..ModelEntry::default()
    };
    let known = Subspace::new(vec![1.0; MODEL_PIXELS], vec![vec![0.0; MODEL_PIXELS]]);
    Predictor::from_parts(
        &entry,
        regressor(&[MODEL_PIXELS, 8, 1], 99),
        regressor(&[MODEL_PIXELS, 48, 32, 16, 4], seed * 1000),
        known,
        &device,
    )
}

/// Spectra of stars that differ in three ways, and how much in each.
fn stars(n: usize) -> Vec<(LabelInput, [f64; 3])> {
    let patterns: Vec<Vec<f32>> = (0..3).map(|k| standard_normal(500 + k, MODEL_PIXELS)).collect();
    (0..n)
        .map(|i| {
            let z = standard_normal(9000 + i as u64, 3);
            let noise = standard_normal(70_000 + i as u64, MODEL_PIXELS);
            let norm = (0..MODEL_PIXELS)
                .map(|p| 1.0 + 0.05 * (0..3).map(|k| z[k] * patterns[k][p]).sum::<f32>() + 0.01 * noise[p])
                .collect();
            let input = LabelInput { norm, snr: Some(100.0), coverage: 1.0, discrepancy: None };
            (input, [f64::from(z[0]), f64::from(z[1]), f64::from(z[2])])
        })
        .collect()
}

fn example(i: usize, input: &LabelInput, value: Cell) -> Example {
    Example { id: format!("star{i}"), group: String::new(), input: input.clone(), value, feh: None, cut: None }
}

/// A lesson in which [Fe/H] is a straight line through what the network says, and a bend of its own, and noise.
fn shifted(n: usize) -> Lesson {
    let (network, stars) = (predictor(3), stars(n));
    let inputs: Vec<&[f32]> = stars.iter().map(|(s, _)| s.norm.as_slice()).collect();
    let answers = block_on(network.label_network().predict(&inputs, &Device::flex())).expect("answers");
    let noise = standard_normal(4, n);
    let examples = stars.iter().zip(&answers).enumerate().map(|(i, ((input, z), answer))| {
        let value = 0.8 * answer[2] + 0.3 + 0.15 * z[0] + 0.02 * f64::from(noise[i]);
        Example { feh: Some(value), cut: Some(z[1]), ..example(i, input, Cell::Number(value.clamp(-6.0, 1.4))) }
    });
    Lesson::new("feh", examples.collect()).expect("a sound lesson").0
}

fn quick() -> Settings {
    Settings { epochs: 40, patience: 8, rank: 8, alpha: 16.0, hidden: 16, ..Settings::default() }
}

fn room(lesson: Lesson) -> Rc<Classroom> {
    Rc::new(block_on(Classroom::new(&predictor(3), lesson, &Device::flex())).expect("a classroom"))
}

fn run(mut training: Training) -> Outcome {
    while block_on(training.advance()).expect("a step") != Progress::Done {}
    block_on(training.outcome()).expect("an outcome")
}

fn train(room: &Rc<Classroom>, strategy: Strategy, settings: &Settings) -> Training {
    let split = Split::hold_out(&room.lesson, 0.5, None, settings.validation, 1);
    let task = Task { strategy, fold: None, seed: 1, labels: None };
    Training::new(room.clone(), task, split, settings).expect("a training")
}

fn rms(lesson: &Lesson, outcome: &Outcome) -> f64 {
    let off = outcome.rows.iter().zip(&outcome.values).map(|(row, value)| value - lesson.values[*row as usize]);
    (off.map(|d| d * d).sum::<f64>() / outcome.rows.len() as f64).sqrt()
}

/// The closed-form step takes nearly all of the error here; without it a few steps take a part.
#[test]
fn every_strategy_learns_a_shift() {
    let room = room(shifted(120));
    let before = rms(&room.lesson, &run(train(&room, Strategy::ZeroShot, &quick())));
    let direct = room.before().expect("it is a label of the network");
    let own: f64 = direct.iter().zip(&room.lesson.values).map(|(p, t)| (p - t).powi(2)).sum::<f64>();
    assert!((before / (own / 120.0).sqrt() - 1.0).abs() < 0.3, "zero-shot is the network as it is");
    for strategy in [Strategy::Residual, Strategy::Lora, Strategy::Full] {
        for closed_form in [true, false] {
            let slow = Settings { rate: Some(1e-3), patience: 40, epochs: 150, closed_form, ..quick() };
            let settings = if closed_form { quick() } else { slow };
            let outcome = run(train(&room, strategy, &settings));
            let after = rms(&room.lesson, &outcome);
            println!(
                "{}, closed form {closed_form}: {before:.3} → {after:.3}, kept {}",
                strategy.name(),
                outcome.best_epoch
            );
            let share = if closed_form { 0.2 } else { 0.8 };
            assert!(after < share * before, "{}: {before:.3} → {after:.3}", strategy.name());
        }
    }
    let embedding = Settings { sight: Sight::Embedding, ..quick() };
    assert!(rms(&room.lesson, &run(train(&room, Strategy::Residual, &embedding))) < 0.5 * before);
    let scratch = run(train(&room, Strategy::Scratch, &quick()));
    let losses: Vec<f64> = scratch.history.iter().map(|e| e.train_loss).collect();
    assert!(losses[losses.len() - 1] < 0.5 * losses[0], "{losses:?}");
}

/// The same seed gives the same numbers to the last bit, also when it is interrupted and others run between.
#[test]
fn trainings_depend_on_their_seed_alone() {
    let room = room(shifted(60));
    let alone = run(train(&room, Strategy::Lora, &quick()));
    let (mut one, mut other) = (train(&room, Strategy::Lora, &quick()), train(&room, Strategy::Full, &quick()));
    while block_on(one.advance()).expect("a step") != Progress::Done {
        block_on(other.advance()).expect("a step");
    }
    assert_eq!(block_on(one.outcome()).expect("an outcome"), alone);
    assert_eq!(alone.history.len() - 1, alone.history.last().expect("a pass").epoch);
}

#[test]
fn cancelling_keeps_the_best_so_far() {
    let room = room(shifted(80));
    let settings = Settings { closed_form: false, rate: Some(2e-3), patience: 1000, epochs: 1000, ..quick() };
    let mut training = train(&room, Strategy::Full, &settings);
    let mut best = f64::INFINITY;
    while training.history().len() < 12 {
        if let Progress::Epoch(epoch) = block_on(training.advance()).expect("a step") {
            best = best.min(epoch.validation_loss.expect("a validation part"));
        }
    }
    training.cancel();
    assert_eq!(block_on(training.advance()).expect("a step"), Progress::Done);
    let outcome = block_on(training.outcome()).expect("an outcome");
    assert!(outcome.cancelled);
    let kept = outcome.history.iter().find(|e| e.epoch == outcome.best_epoch).expect("its pass");
    assert_eq!(kept.validation_loss, Some(best));
    // What answers is that network: its answers for the validation part have that loss.
    let rows = training.split().validation.clone();
    let answers = block_on(training.answers(&rows)).expect("answers");
    let square: f64 = rows.iter().zip(&answers).map(|(i, a)| ((a - room.lesson.values[*i]) / 0.5).powi(2)).sum::<f64>();
    assert!((square / rows.len() as f64 / best - 1.0).abs() < 1e-3, "{square} {best}");
}

#[test]
fn a_loss_that_blows_up_is_said_and_the_best_stays() {
    let room = room(shifted(60));
    let settings =
        Settings { rate: Some(1.0), weight_decay: 1.0, epochs: 5000, patience: 5000, closed_form: false, ..quick() };
    let mut training = train(&room, Strategy::Full, &settings);
    for _ in 0..400 {
        match block_on(training.advance()) {
            Ok(Progress::Done) => break,
            Ok(_) => {}
            Err(why) => {
                assert!(why.to_string().contains("lower the learning rate"), "{why}");
                break;
            }
        }
    }
    training.cancel();
    let outcome = block_on(training.outcome()).expect("an outcome");
    assert!(outcome.values.iter().all(|v| v.is_finite()));
    assert!(
        Training::new(room.clone(), training.task(), training.split().clone(), &Settings { batch: 0, ..quick() })
            .is_err()
    );
}

/// A label that the network has never heard of, and for comparison the spread of the labels.
#[test]
fn a_new_label_is_learned_by_a_new_output() {
    let examples = stars(150).into_iter().enumerate().map(|(i, (input, z))| {
        let value = Cell::Number(7.0 + 2.0 * z[1] - z[2]);
        example(i, &input, value)
    });
    let lesson = Lesson::new("age", examples.collect()).expect("a lesson").0;
    let spread = lesson.statistics().std;
    let room = room(lesson);
    assert!(room.before().is_none());
    for strategy in [Strategy::Residual, Strategy::Lora, Strategy::Full] {
        let outcome = run(train(&room, strategy, &quick()));
        let after = rms(&room.lesson, &outcome);
        assert!(after < 0.6 * spread, "{}: {spread:.3} → {after:.3}", strategy.name());
    }
}

#[test]
fn wrong_labels_each_get_their_message() {
    let stars = stars(30);
    let lesson = |target: &str, value: &dyn Fn(usize) -> Cell| {
        let examples = stars.iter().enumerate().map(|(i, (input, _))| example(i, input, value(i))).collect();
        Lesson::new(target, examples)
    };
    let number = |i: usize| Cell::Number(0.05 * i as f64 - 1.0);
    let said = |remarks: &[Remark]| remarks.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    // What cannot be learned from.
    let three = lesson("feh", &|i| if i < 3 { number(i) } else { Cell::Missing }).expect_err("three rows");
    assert!(said(&three).contains("only 3 spectra with a usable value of [Fe/H]; give 10 or more"), "{}", said(&three));
    let text = lesson("feh", &|_| Cell::parse("G2V")).expect_err("text");
    assert!(said(&text).contains("text in place of a number (“G2V”)"), "{}", said(&text));
    let nothing = lesson("feh", &|_| Cell::Number(f64::NAN)).expect_err("NaN");
    assert!(said(&nothing).contains("30 spectra without a value"), "{}", said(&nothing));
    let constant = lesson("feh", &|_| Cell::Number(-0.5)).expect_err("one class");
    assert!(said(&constant).contains("all 30 values of [Fe/H] are -0.5"), "{}", said(&constant));
    let kelvin = lesson("feh", &|i| Cell::Number(5000.0 + i as f64)).expect_err("Teff in the [Fe/H] column");
    assert!(said(&kelvin).contains("They look like Teff"), "{}", said(&kelvin));
    let logarithm = lesson("teff", &|i| Cell::Number(3.7 + 0.001 * i as f64)).expect_err("log Teff");
    assert!(said(&logarithm).contains("outside of 2000 to 100000 K"), "{}", said(&logarithm));
    let velocity = lesson("rv", &number).expect_err("not this network's");
    assert!(said(&velocity).contains("cannot be taught"), "{}", said(&velocity));
    let mut one: Vec<Example> = stars.iter().enumerate().map(|(i, (s, _))| example(i, s, number(i))).collect();
    one.iter_mut().for_each(|e| e.group = "NGC 188".into());
    let one = Lesson::new("feh", one).expect_err("one group");
    assert!(said(&one).contains("all spectra are of one group (NGC 188)"), "{}", said(&one));
    // What is left out or only remarked.
    let (kept, slips) = lesson("feh", &|i| if i == 4 { Cell::Number(5700.0) } else { number(i) }).expect("a lesson");
    assert_eq!(kept.len(), 29);
    assert!(said(&slips).contains("left out: star4"), "{}", said(&slips));
    let (_, far) = lesson("age", &|i| if i == 4 { Cell::Number(500.0) } else { number(i) }).expect("a lesson");
    assert!(said(&far).contains("star4. They are used; check them"), "{}", said(&far));
    let mut twice: Vec<Example> = stars.iter().enumerate().map(|(i, (s, _))| example(i / 2, s, number(i))).collect();
    twice[1].group = "elsewhere".into();
    let (twice, remarks) = Lesson::new("feh", twice).expect("a lesson");
    assert!(said(&remarks).contains("their values differ"), "{}", said(&remarks));
    assert_eq!(twice.groups[0], twice.groups[1]);
    let (_, few) = lesson("feh", &|i| if i < 12 { number(i) } else { Cell::Missing }).expect("a lesson");
    assert!(said(&few).contains("12 labels are few"), "{}", said(&few));
}

#[test]
fn groups_stay_on_one_side() {
    let mut lesson = shifted(90);
    lesson.groups.iter_mut().enumerate().for_each(|(i, g)| *g = format!("cluster {}", i / 7));
    let side = |rows: &[usize], name: &str| rows.iter().any(|i| lesson.groups[*i] == name);
    for seed in 0..20 {
        let fold = folds(&lesson, 5, seed);
        for f in 0..5 {
            let split = Split::of_fold(&lesson, &fold, Some(f), None, 0.2, seed);
            assert_eq!(split.n_labels() + split.test.len(), 90);
            assert!(
                !split.test.is_empty() && !split.validation.is_empty() && split.train.len() > split.validation.len()
            );
            for group in &lesson.groups {
                let sides =
                    [&split.train, &split.validation, &split.test].into_iter().filter(|s| side(s, group)).count();
                assert_eq!(sides, 1, "{group} with seed {seed}");
            }
        }
        let held = Split::hold_out(&lesson, 0.3, Some(25), 0.2, seed);
        assert_eq!(held.n_labels(), 25);
        assert!(held.test.iter().all(|i| !side(&held.train, &lesson.groups[*i])));
        assert!(held.validation.iter().all(|i| !side(&held.train, &lesson.groups[*i])));
        let rest = Split::hold_out(&lesson, 0.0, Some(25), 0.2, seed);
        let learned = [rest.train.clone(), rest.validation.clone()].concat();
        let free = (0..90).filter(|i| !side(&learned, &lesson.groups[*i])).collect::<Vec<_>>();
        assert_eq!((learned.len(), rest.test), (25, free));
    }
}

/// Figures of the bake-off against those of the predictions that it reports, and its choice against the figures.
#[test]
fn a_bake_off_measures_and_recommends() {
    let lesson = shifted(100).with_cut(Some(Cut { column: "age".into(), at: -0.5 }));
    let (below, above) = lesson.cut_values.iter().partition::<Vec<f64>, _>(|v| **v < -0.5);
    let room = room(lesson);
    let plan = Plan {
        strategies: vec![Strategy::ZeroShot, Strategy::Residual, Strategy::Scratch],
        seeds: vec![1, 2],
        ..Plan::default()
    };
    let settings = Settings { epochs: 10, ..quick() };
    let outcome = |task: &Task| {
        let split = plan.split(&room.lesson, task, &settings);
        run(Training::new(room.clone(), *task, split, &settings).expect("a training"))
    };
    let tasks = plan.tasks(&room.lesson);
    assert_eq!(tasks.len(), 3 * 5 * 2);
    let outcomes: Vec<Outcome> = tasks.iter().map(outcome).collect();
    let report = verdict(&room.lesson, &outcomes, &room.lesson.regimes());
    let names: Vec<&str> = report.scores[0].regimes.iter().map(|r| r.regime.as_str()).collect();
    assert_eq!(names, ["all", "age < −0.5", "age ≥ −0.5"]);
    let counts: Vec<usize> = report.scores[0].regimes.iter().map(|r| r.n).collect();
    assert_eq!(counts[1..], [below.len(), above.len()]);
    for score in &report.scores {
        assert!(score.out_of_fold.iter().all(Option::is_some));
        let one: Vec<(f64, f64)> = outcomes
            .iter()
            .filter(|o| o.task.strategy == score.strategy && o.task.seed == 1)
            .flat_map(|o| o.rows.iter().zip(&o.values).map(|(r, v)| (room.lesson.values[*r as usize], *v)))
            .collect();
        let own = Metrics::of(&one);
        let all = &score.regimes[0];
        assert_eq!(all.n, 100);
        assert!((all.sigma.value / own.sigma - 1.0).abs() < 0.3 && all.sigma.error > 0.0);
    }
    let choice = report.recommendation.expect("a choice");
    assert_eq!(choice.strategy, Strategy::Residual, "{}", choice.reason);
    assert!(choice.reason.contains("% below the shipped network"), "{}", choice.reason);

    let points = Plan::learning_curve(&room.lesson, vec![Strategy::Residual], 5, vec![1]);
    assert_eq!(points.labels, [10, 25, 50, 80]);
    let settings = Settings { epochs: 0, ..settings };
    let outcomes: Vec<Outcome> = points
        .tasks(&room.lesson)
        .iter()
        .map(|task| {
            run(Training::new(room.clone(), *task, points.split(&room.lesson, task, &settings), &settings).expect("ok"))
        })
        .collect();
    let curve = curve(&room.lesson, &outcomes);
    assert_eq!(curve.iter().map(|p| p.labels).collect::<Vec<_>>(), [10, 25, 50, 80]);
    assert!(curve[3].sigma.value < curve[0].sigma.value, "{curve:?}");
}

/// The same lesson held against an emulator, which says something of most stars.
fn held(mut lesson: Lesson) -> Lesson {
    for (i, input) in lesson.inputs.iter_mut().enumerate().filter(|(i, _)| i % 7 != 3) {
        let wave = |k: usize, bin: usize| 0.01 * (0.02 * (k + 1) as f32 * bin as f32 + 0.7 * i as f32).sin();
        let mut difference: Vec<f32> = (0..BINS).map(|bin| wave(3, bin)).collect();
        difference[i] = f32::NAN;
        let slopes = (0..7).flat_map(|k| (0..BINS).map(move |bin| 0.01 * (0.03 * (k + 2) as f32 * bin as f32).cos()));
        let colour = (i % 5 != 0).then_some(0.01 * (i as f64).sin());
        input.discrepancy = Some(Discrepancy { difference, slopes: slopes.collect(), usual: 0.02, colour });
    }
    Lesson { emulator: Some("made 1".into()), ..lesson }
}

fn taught(strategy: Strategy, sight: Sight) -> (Adapter, Vec<u8>) {
    taught_in(&room(shifted(60)), strategy, sight)
}

fn taught_in(room: &Rc<Classroom>, strategy: Strategy, sight: Sight) -> (Adapter, Vec<u8>) {
    let settings = Settings { epochs: 4, sight, ..quick() };
    let mut training = train(room, strategy, &settings);
    while block_on(training.advance()).expect("a step") != Progress::Done {}
    let outcome = block_on(training.outcome()).expect("an outcome");
    let figures = metrics(&room.lesson, &outcome.rows, &outcome.values, &room.lesson.regimes());
    let taught = training.taught().expect("it is taught");
    let card = adapter::card(room, training.split(), &taught, &settings, figures, "a test part");
    let rows: Vec<usize> = (0..40).collect();
    let (sealed, file) = block_on(Adapter::seal(card, &taught, &predictor(3))).expect("sealed");
    let inputs: Vec<&LabelInput> = rows.iter().map(|i| &room.lesson.inputs[*i]).collect();
    let now = block_on(training.answers(&rows)).expect("answers");
    assert_eq!(block_on(sealed.answer(&predictor(3), &inputs)).expect("answers"), now, "{}", strategy.name());
    let opened = block_on(Adapter::open(&file, &predictor(3))).expect("opened");
    assert_eq!(block_on(opened.answer(&predictor(3), &inputs)).expect("answers"), now, "{}", strategy.name());
    assert_eq!((opened.card(), opened.sha256()), (sealed.card(), sealed.sha256()));
    (opened, file)
}

#[test]
fn what_is_saved_answers_bit_by_bit_as_before() {
    for strategy in Strategy::ALL {
        taught(strategy, Sight::Flux);
    }
    let (refined, file) = taught_in(&room(held(shifted(60))), Strategy::Lora, Sight::Flux);
    assert_eq!(refined.card().emulator.as_deref(), Some("made 1"));
    let refused = refined.is_answered_by(None).expect_err("no emulator is there");
    assert!(refused.to_string().contains("goes by the emulator made 1"), "{refused}");
    // The card must tell what the arrays need.
    let mut silent = file.clone();
    let from = br#"\"emulator\":\"made 1\""#;
    let at = silent.windows(from.len()).position(|w| w == from).expect("it is in the card");
    let mut with = br#"\"emulator\":null"#.to_vec();
    with.resize(from.len(), b' ');
    silent[at..at + from.len()].copy_from_slice(&with);
    assert!(matches!(block_on(Adapter::open(&silent, &predictor(3))), Err(AdapterError::Card(_))));
    let (adapter, file) = taught(Strategy::Residual, Sight::Embedding);
    assert!(adapter.card().error > 0.0 && adapter.card().metrics[0].0 == "all");
    // Another network of the same shape.
    let refused = block_on(Adapter::open(&file, &predictor(4))).expect_err("another base");
    assert!(matches!(refused, AdapterError::OtherBase { .. }));
    assert!(refused.to_string().contains("choose that model"), "{refused}");
}

/// The slopes of whatever was taught, closed form and all, against differences of its answers. The network's numbers are f32
/// and its ReLUs have kinks, hence the step and the tolerance.
#[test]
fn slopes_are_differences_of_answers() {
    const STEP: f32 = 1e-4;
    let base = predictor(3);
    let (star, _) = stars(40).swap_remove(33);
    let every = Strategy::ALL.map(|strategy| (strategy, Sight::Flux)).into_iter();
    for (strategy, sight) in every.chain([(Strategy::Residual, Sight::Embedding)]) {
        let (adapter, _) = taught(strategy, sight);
        let slopes = block_on(adapter.slopes(&base, &star)).expect("slopes");
        let size = slopes.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>().sqrt();
        for seed in 0..6 {
            let towards = standard_normal(100 + seed, MODEL_PIXELS);
            let moved = |by: f32| {
                let norm = star.norm.iter().zip(&towards).map(|(x, t)| x + by * t).collect();
                LabelInput { norm, ..star.clone() }
            };
            let (up, down) = (moved(STEP), moved(-STEP));
            let answers = block_on(adapter.answer(&base, &[&up, &down])).expect("answers");
            let got = (answers[0] - answers[1]) / (2.0 * f64::from(STEP));
            let want: f64 = slopes.iter().zip(&towards).map(|(s, t)| f64::from(s * t)).sum();
            assert!((got - want).abs() < 0.03 * size, "{} {sight:?}: {got} and {want}, {size}", strategy.name());
        }
    }
}

#[test]
fn hostile_adapters_are_refused() {
    let (_, file) = taught_in(&room(held(shifted(60))), Strategy::Residual, Sight::Flux);
    let predictor = predictor(3);
    let open = |bytes: &[u8]| block_on(Adapter::open(bytes, &predictor));
    for cut in [0, 7, 8, 40, file.len() / 2, file.len() - 1] {
        assert!(open(&file[..cut]).is_err(), "cut at {cut}");
    }
    assert!(open(&[0xff; 64]).is_err());
    let text = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let (from, mut other) = (from.as_bytes(), file.clone());
        let at = other.windows(from.len()).position(|w| w == from).expect("it is in the header");
        other[at..at + from.len()].copy_from_slice(to.as_bytes());
        open(&other).expect_err("changed").to_string()
    };
    let said = text("\\\"format\\\":2", "\\\"format\\\":9");
    assert!(said.contains("layout 9") && said.contains("update Specola"), "{said}");
    let said = text("\\\"format\\\":2", "\\\"format\\\":1");
    assert!(said.contains("layout 1") && said.contains("teach it anew"), "{said}");
    text("\\\"hidden\\\":16", "\\\"hidden\\\":99");
    text("\\\"hidden\\\":16", "\\\"hidden\\\":-1");
    text("\\\"residual\\\"", "\\\"resirual\\\"");
    text("closed_form.weights", "closed_form.weighty");
    // A number that is none, somewhere in the arrays.
    let mut other = file.clone();
    let end = other.len();
    other[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(open(&other).expect_err("not finite").to_string().contains("not finite"));
    // Whatever is changed, nothing panics.
    for i in (0..file.len().min(6000)).step_by(13) {
        let mut other = file.clone();
        other[i] ^= 0x55;
        let _ = open(&other);
    }
}
