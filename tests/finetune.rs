//! Fine-tuning of a small network with known errors, so that the possible gain is known.
#![cfg(feature = "cli")]

use std::rc::Rc;

use burn::tensor::Device;
use pollster::block_on;
use specola::model::calibration::Subspace;
use specola::model::manifest::ModelEntry;
use specola::model::regressor::Regressor;
use specola::model::weights::Tensors;
use specola::nn::flow::standard_normal;
use specola::preprocess::conditioning;
use specola::preprocess::grid::MODEL_PIXELS;
use specola::result::Label;
use specola::result::finetune::{Cell, HeadInput, LabelWarning, Settings, Strategy, SubsetCut, Task, TrainingOutcome};
use specola::task::emulator_residual::{BINS, EmulatorResidual};
use specola::task::finetune::adapter::{self, Adapter, AdapterError};
use specola::task::finetune::cross_validation::{Plan, comparison, learning_curve, metrics};
use specola::task::finetune::feature_cache::FeatureCache;
use specola::task::finetune::labelled_set::{LabelledSet, LabelledSpectrum};
use specola::task::finetune::split::{Split, folds};
use specola::task::finetune::training::{Progress, Training};
use specola::task::metrics::Metrics;
use specola::task::predict::{LabelInput, Predictor};

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
        recipe: conditioning::NAME.into(),
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

/// Spectra that vary along three components, with the amplitude of each.
fn stars(n: usize) -> Vec<(LabelInput, [f64; 3])> {
    let patterns: Vec<Vec<f32>> = (0..3).map(|k| standard_normal(500 + k, MODEL_PIXELS)).collect();
    (0..n)
        .map(|i| {
            let z = standard_normal(9000 + i as u64, 3);
            let noise = standard_normal(70_000 + i as u64, MODEL_PIXELS);
            let norm = (0..MODEL_PIXELS)
                .map(|p| 1.0 + 0.05 * (0..3).map(|k| z[k] * patterns[k][p]).sum::<f32>() + 0.01 * noise[p])
                .collect();
            let input = LabelInput { norm, snr: Some(100.0), coverage: 1.0, emulator_residual: None };
            (input, [f64::from(z[0]), f64::from(z[1]), f64::from(z[2])])
        })
        .collect()
}

fn example(i: usize, input: &LabelInput, value: Cell) -> LabelledSpectrum {
    LabelledSpectrum { id: format!("star{i}"), group: String::new(), input: input.clone(), value, feh: None, cut: None }
}

/// A labelled set in which [Fe/H] is a straight line through what the network says, and a bend of its own, and noise.
fn offset_set(n: usize) -> LabelledSet {
    let (network, stars) = (predictor(3), stars(n));
    let inputs: Vec<&[f32]> = stars.iter().map(|(s, _)| s.norm.as_slice()).collect();
    let answers = block_on(network.label_network().predict(&inputs, &Device::flex())).expect("answers");
    let noise = standard_normal(4, n);
    let examples = stars.iter().zip(&answers).enumerate().map(|(i, ((input, z), answer))| {
        let value = 0.8 * answer[2] + 0.3 + 0.15 * z[0] + 0.02 * f64::from(noise[i]);
        LabelledSpectrum {
            feh: Some(value),
            cut: Some(z[1]),
            ..example(i, input, Cell::Number(value.clamp(-6.0, 1.4)))
        }
    });
    LabelledSet::new("feh", examples.collect()).expect("a valid labelled set").0
}

fn quick() -> Settings {
    Settings { epochs: 40, patience: 8, lora_rank: 8, lora_alpha: 16.0, head_width: 16, ..Settings::default() }
}

fn cache(labelled_set: LabelledSet) -> Rc<FeatureCache> {
    Rc::new(block_on(FeatureCache::new(&predictor(3), labelled_set, &Device::flex())).expect("a feature cache"))
}

fn run(mut training: Training) -> TrainingOutcome {
    while block_on(training.advance()).expect("a step") != Progress::Done {}
    block_on(training.outcome()).expect("an outcome")
}

fn train(cache: &Rc<FeatureCache>, strategy: Strategy, settings: &Settings) -> Training {
    let split = Split::hold_out(&cache.labelled_set, 0.5, None, settings.validation, 1);
    let task = Task { strategy, fold: None, seed: 1, labels: None };
    Training::new(cache.clone(), task, split, settings).expect("a training")
}

fn rms(labelled_set: &LabelledSet, outcome: &TrainingOutcome) -> f64 {
    let off = outcome.rows.iter().zip(&outcome.values).map(|(row, value)| value - labelled_set.values[*row as usize]);
    (off.map(|d| d * d).sum::<f64>() / outcome.rows.len() as f64).sqrt()
}

/// The Gaussian-process correction removes nearly all of the error here; a few gradient steps alone remove a part.
#[test]
fn every_strategy_learns_an_offset() {
    let cache = cache(offset_set(120));
    let before = rms(&cache.labelled_set, &run(train(&cache, Strategy::ZeroShot, &quick())));
    let direct = cache.base_predictions().expect("it is a label of the network");
    let own: f64 = direct.iter().zip(&cache.labelled_set.values).map(|(p, t)| (p - t).powi(2)).sum::<f64>();
    assert!((before / (own / 120.0).sqrt() - 1.0).abs() < 0.3, "zero-shot is the network as it is");
    for strategy in [Strategy::Residual, Strategy::Lora, Strategy::Full] {
        for gp_correction in [true, false] {
            let slow = Settings { learning_rate: Some(1e-3), patience: 40, epochs: 150, gp_correction, ..quick() };
            let settings = if gp_correction { quick() } else { slow };
            let outcome = run(train(&cache, strategy, &settings));
            let after = rms(&cache.labelled_set, &outcome);
            println!(
                "{}, GP correction {gp_correction}: {before:.3} → {after:.3}, kept {}",
                strategy.name(),
                outcome.best_epoch
            );
            let share = if gp_correction { 0.2 } else { 0.8 };
            assert!(after < share * before, "{}: {before:.3} → {after:.3}", strategy.name());
        }
    }
    let embedding = Settings { head_input: HeadInput::Embedding, ..quick() };
    assert!(rms(&cache.labelled_set, &run(train(&cache, Strategy::Residual, &embedding))) < 0.5 * before);
    let scratch = run(train(&cache, Strategy::Scratch, &quick()));
    let losses: Vec<f64> = scratch.history.iter().map(|e| e.train_loss).collect();
    assert!(losses[losses.len() - 1] < 0.5 * losses[0], "{losses:?}");
}

/// The same seed gives identical numbers, also when other trainings run in between.
#[test]
fn training_depends_only_on_its_seed() {
    let cache = cache(offset_set(60));
    let alone = run(train(&cache, Strategy::Lora, &quick()));
    let (mut one, mut other) = (train(&cache, Strategy::Lora, &quick()), train(&cache, Strategy::Full, &quick()));
    while block_on(one.advance()).expect("a step") != Progress::Done {
        block_on(other.advance()).expect("a step");
    }
    assert_eq!(block_on(one.outcome()).expect("an outcome"), alone);
    assert_eq!(alone.history.len() - 1, alone.history.last().expect("a pass").epoch);
}

#[test]
fn cancelled_training_keeps_the_best_model() {
    let cache = cache(offset_set(80));
    let settings =
        Settings { gp_correction: false, learning_rate: Some(2e-3), patience: 1000, epochs: 1000, ..quick() };
    let mut training = train(&cache, Strategy::Full, &settings);
    let mut best = f64::INFINITY;
    while training.history().len() < 12 {
        if let Progress::Epoch(epoch) = block_on(training.advance()).expect("a step") {
            best = best.min(epoch.validation_loss.expect("a validation loss"));
        }
    }
    training.cancel();
    assert_eq!(block_on(training.advance()).expect("a step"), Progress::Done);
    let outcome = block_on(training.outcome()).expect("an outcome");
    assert!(outcome.cancelled);
    let kept = outcome.history.iter().find(|e| e.epoch == outcome.best_epoch).expect("its pass");
    assert_eq!(kept.validation_loss, Some(best));
    // The exported model is the best one: its predictions of the validation rows have that loss.
    let rows = training.split().validation.clone();
    let answers = block_on(training.predictions(&rows)).expect("answers");
    let square: f64 =
        rows.iter().zip(&answers).map(|(i, a)| ((a - cache.labelled_set.values[*i]) / 0.5).powi(2)).sum::<f64>();
    assert!((square / rows.len() as f64 / best - 1.0).abs() < 1e-3, "{square} {best}");
}

#[test]
fn diverging_loss_is_an_error_and_the_best_model_stays() {
    let cache = cache(offset_set(60));
    let settings = Settings {
        learning_rate: Some(1.0),
        weight_decay: 1.0,
        epochs: 5000,
        patience: 5000,
        gp_correction: false,
        ..quick()
    };
    let mut training = train(&cache, Strategy::Full, &settings);
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
        Training::new(cache.clone(), training.task(), training.split().clone(), &Settings { batch: 0, ..quick() })
            .is_err()
    );
}

/// A label that the network does not predict; the error is compared with the labels' standard deviation.
#[test]
fn new_label_gets_a_new_output() {
    let examples = stars(150).into_iter().enumerate().map(|(i, (input, z))| {
        let value = Cell::Number(7.0 + 2.0 * z[1] - z[2]);
        example(i, &input, value)
    });
    let labelled_set = LabelledSet::new("age", examples.collect()).expect("a labelled set").0;
    let spread = labelled_set.statistics().std;
    let cache = cache(labelled_set);
    assert!(cache.base_predictions().is_none());
    for strategy in [Strategy::Residual, Strategy::Lora, Strategy::Full] {
        let outcome = run(train(&cache, strategy, &quick()));
        let after = rms(&cache.labelled_set, &outcome);
        assert!(after < 0.6 * spread, "{}: {spread:.3} → {after:.3}", strategy.name());
    }
}

#[test]
fn label_warnings_have_their_texts() {
    let stars = stars(30);
    let labelled_set = |target: &str, value: &dyn Fn(usize) -> Cell| {
        let examples = stars.iter().enumerate().map(|(i, (input, _))| example(i, input, value(i))).collect();
        LabelledSet::new(target, examples)
    };
    let number = |i: usize| Cell::Number(0.05 * i as f64 - 1.0);
    let said = |warnings: &[LabelWarning]| warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    // Fatal warnings.
    let three = labelled_set("feh", &|i| if i < 3 { number(i) } else { Cell::Missing }).expect_err("three rows");
    assert!(said(&three).contains("only 3 spectra with a usable value of [Fe/H]; give 10 or more"), "{}", said(&three));
    let text = labelled_set("feh", &|_| Cell::parse("G2V")).expect_err("text");
    assert!(said(&text).contains("text in place of a number (“G2V”)"), "{}", said(&text));
    let nothing = labelled_set("feh", &|_| Cell::Number(f64::NAN)).expect_err("NaN");
    assert!(said(&nothing).contains("30 spectra without a value"), "{}", said(&nothing));
    let constant = labelled_set("feh", &|_| Cell::Number(-0.5)).expect_err("one class");
    assert!(said(&constant).contains("all 30 values of [Fe/H] are -0.5"), "{}", said(&constant));
    let kelvin = labelled_set("feh", &|i| Cell::Number(5000.0 + i as f64)).expect_err("Teff in the [Fe/H] column");
    assert!(said(&kelvin).contains("They look like Teff"), "{}", said(&kelvin));
    let logarithm = labelled_set("teff", &|i| Cell::Number(3.7 + 0.001 * i as f64)).expect_err("log Teff");
    assert!(said(&logarithm).contains("outside of 2000 to 100000 K"), "{}", said(&logarithm));
    let velocity = labelled_set("rv", &number).expect_err("not this network's");
    assert!(said(&velocity).contains("cannot be fine-tuned"), "{}", said(&velocity));
    let mut one: Vec<LabelledSpectrum> = stars.iter().enumerate().map(|(i, (s, _))| example(i, s, number(i))).collect();
    one.iter_mut().for_each(|e| e.group = "NGC 188".into());
    let one = LabelledSet::new("feh", one).expect_err("one group");
    assert!(said(&one).contains("all spectra are of one group (NGC 188)"), "{}", said(&one));
    // Warnings that are not fatal.
    let (kept, slips) =
        labelled_set("feh", &|i| if i == 4 { Cell::Number(5700.0) } else { number(i) }).expect("a labelled set");
    assert_eq!(kept.len(), 29);
    assert!(said(&slips).contains("left out: star4"), "{}", said(&slips));
    let (_, far) =
        labelled_set("age", &|i| if i == 4 { Cell::Number(500.0) } else { number(i) }).expect("a labelled set");
    assert!(said(&far).contains("star4. They are used; check them"), "{}", said(&far));
    let mut twice: Vec<LabelledSpectrum> =
        stars.iter().enumerate().map(|(i, (s, _))| example(i / 2, s, number(i))).collect();
    twice[1].group = "elsewhere".into();
    let (twice, warnings) = LabelledSet::new("feh", twice).expect("a labelled set");
    assert!(said(&warnings).contains("their values differ"), "{}", said(&warnings));
    assert_eq!(twice.groups[0], twice.groups[1]);
    let (_, few) = labelled_set("feh", &|i| if i < 12 { number(i) } else { Cell::Missing }).expect("a labelled set");
    assert!(said(&few).contains("12 labels are few"), "{}", said(&few));
}

#[test]
fn groups_stay_on_one_side() {
    let mut labelled_set = offset_set(90);
    labelled_set.groups.iter_mut().enumerate().for_each(|(i, g)| *g = format!("cluster {}", i / 7));
    let side = |rows: &[usize], name: &str| rows.iter().any(|i| labelled_set.groups[*i] == name);
    for seed in 0..20 {
        let fold = folds(&labelled_set, 5, seed);
        for f in 0..5 {
            let split = Split::of_fold(&labelled_set, &fold, Some(f), None, 0.2, seed);
            assert_eq!(split.n_labels() + split.test.len(), 90);
            assert!(
                !split.test.is_empty() && !split.validation.is_empty() && split.train.len() > split.validation.len()
            );
            for group in &labelled_set.groups {
                let sides =
                    [&split.train, &split.validation, &split.test].into_iter().filter(|s| side(s, group)).count();
                assert_eq!(sides, 1, "{group} with seed {seed}");
            }
        }
        let split = Split::hold_out(&labelled_set, 0.3, Some(25), 0.2, seed);
        assert_eq!(split.n_labels(), 25);
        assert!(split.test.iter().all(|i| !side(&split.train, &labelled_set.groups[*i])));
        assert!(split.validation.iter().all(|i| !side(&split.train, &labelled_set.groups[*i])));
        let rest = Split::hold_out(&labelled_set, 0.0, Some(25), 0.2, seed);
        let learned = [rest.train.clone(), rest.validation.clone()].concat();
        let free = (0..90).filter(|i| !side(&learned, &labelled_set.groups[*i])).collect::<Vec<_>>();
        assert_eq!((learned.len(), rest.test), (25, free));
    }
}

/// Metrics of the cross-validation equal those of its predictions, and the recommendation follows from them.
#[test]
fn cross_validation_measures_and_recommends() {
    let labelled_set = offset_set(100).with_cut(Some(SubsetCut { column: "age".into(), at: -0.5 }));
    let (below, above) = labelled_set.cut_values.iter().partition::<Vec<f64>, _>(|v| **v < -0.5);
    let cache = cache(labelled_set);
    let plan = Plan {
        strategies: vec![Strategy::ZeroShot, Strategy::Residual, Strategy::Scratch],
        seeds: vec![1, 2],
        ..Plan::default()
    };
    let settings = Settings { epochs: 10, ..quick() };
    let outcome = |task: &Task| {
        let split = plan.split(&cache.labelled_set, task, &settings);
        run(Training::new(cache.clone(), *task, split, &settings).expect("a training"))
    };
    let tasks = plan.tasks(&cache.labelled_set);
    assert_eq!(tasks.len(), 3 * 5 * 2);
    let outcomes: Vec<TrainingOutcome> = tasks.iter().map(outcome).collect();
    let report = comparison(&cache.labelled_set, &outcomes, &cache.labelled_set.subsets());
    let names: Vec<&str> = report.scores[0].subsets.iter().map(|r| r.subset.as_str()).collect();
    assert_eq!(names, ["all", "age < −0.5", "age ≥ −0.5"]);
    let counts: Vec<usize> = report.scores[0].subsets.iter().map(|r| r.n).collect();
    assert_eq!(counts[1..], [below.len(), above.len()]);
    for score in &report.scores {
        assert!(score.out_of_fold.iter().all(Option::is_some));
        let one: Vec<(f64, f64)> = outcomes
            .iter()
            .filter(|o| o.task.strategy == score.strategy && o.task.seed == 1)
            .flat_map(|o| o.rows.iter().zip(&o.values).map(|(r, v)| (cache.labelled_set.values[*r as usize], *v)))
            .collect();
        let own = Metrics::of(&one);
        let all = &score.subsets[0];
        assert_eq!(all.n, 100);
        assert!((all.sigma.value / own.sigma - 1.0).abs() < 0.3 && all.sigma.error > 0.0);
    }
    let choice = report.recommendation.expect("a choice");
    assert_eq!(choice.strategy, Strategy::Residual, "{}", choice.reason);
    assert!(choice.reason.contains("% below the shipped network"), "{}", choice.reason);

    let points = Plan::learning_curve(&cache.labelled_set, vec![Strategy::Residual], 5, vec![1]);
    assert_eq!(points.labels, [10, 25, 50, 80]);
    let settings = Settings { epochs: 0, ..settings };
    let outcomes: Vec<TrainingOutcome> = points
        .tasks(&cache.labelled_set)
        .iter()
        .map(|task| {
            run(Training::new(cache.clone(), *task, points.split(&cache.labelled_set, task, &settings), &settings)
                .expect("ok"))
        })
        .collect();
    let curve = learning_curve(&cache.labelled_set, &outcomes);
    assert_eq!(curve.iter().map(|p| p.labels).collect::<Vec<_>>(), [10, 25, 50, 80]);
    assert!(curve[3].sigma.value < curve[0].sigma.value, "{curve:?}");
}

/// The same labelled set held against an emulator, which says something of most stars.
fn with_residuals(mut labelled_set: LabelledSet) -> LabelledSet {
    for (i, input) in labelled_set.inputs.iter_mut().enumerate().filter(|(i, _)| i % 7 != 3) {
        let wave = |k: usize, bin: usize| 0.01 * (0.02 * (k + 1) as f32 * bin as f32 + 0.7 * i as f32).sin();
        let mut difference: Vec<f32> = (0..BINS).map(|bin| wave(3, bin)).collect();
        difference[i] = f32::NAN;
        let slopes = (0..7).flat_map(|k| (0..BINS).map(move |bin| 0.01 * (0.03 * (k + 2) as f32 * bin as f32).cos()));
        let colour = (i % 5 != 0).then_some(0.01 * (i as f64).sin());
        input.emulator_residual =
            Some(EmulatorResidual { difference, slopes: slopes.collect(), expected_rms: 0.02, colour });
    }
    LabelledSet { emulator: Some("made 1".into()), ..labelled_set }
}

fn finetuned(strategy: Strategy, head_input: HeadInput) -> (Adapter, Vec<u8>) {
    finetuned_with(&cache(offset_set(60)), strategy, head_input)
}

fn finetuned_with(cache: &Rc<FeatureCache>, strategy: Strategy, head_input: HeadInput) -> (Adapter, Vec<u8>) {
    let settings = Settings { epochs: 4, head_input, ..quick() };
    let mut training = train(cache, strategy, &settings);
    while block_on(training.advance()).expect("a step") != Progress::Done {}
    let outcome = block_on(training.outcome()).expect("an outcome");
    let figures = metrics(&cache.labelled_set, &outcome.rows, &outcome.values, &cache.labelled_set.subsets());
    let finetuned = training.trained_model().expect("a trained model");
    let card = adapter::card(cache, training.split(), &finetuned, &settings, figures, "a test set");
    let rows: Vec<usize> = (0..40).collect();
    let (exported, file) = block_on(Adapter::export(card, &finetuned, &predictor(3))).expect("exported");
    let inputs: Vec<&LabelInput> = rows.iter().map(|i| &cache.labelled_set.inputs[*i]).collect();
    let now = block_on(training.predictions(&rows)).expect("answers");
    assert_eq!(block_on(exported.predict(&predictor(3), &inputs)).expect("answers"), now, "{}", strategy.name());
    let opened = block_on(Adapter::open(&file, &predictor(3))).expect("opened");
    assert_eq!(block_on(opened.predict(&predictor(3), &inputs)).expect("answers"), now, "{}", strategy.name());
    assert_eq!((opened.card(), opened.sha256()), (exported.card(), exported.sha256()));
    (opened, file)
}

#[test]
fn saved_adapter_predicts_bit_for_bit_as_before() {
    for strategy in Strategy::ALL {
        finetuned(strategy, HeadInput::Flux);
    }
    let (refined, file) = finetuned_with(&cache(with_residuals(offset_set(60))), Strategy::Lora, HeadInput::Flux);
    assert_eq!(refined.card().emulator.as_deref(), Some("made 1"));
    let refused = refined.check_emulator(None).expect_err("no emulator is loaded");
    assert!(refused.to_string().contains("needs the emulator made 1"), "{refused}");
    // The card must name the emulator that the arrays need.
    let mut silent = file.clone();
    let from = br#"\"emulator\":\"made 1\""#;
    let at = silent.windows(from.len()).position(|w| w == from).expect("it is in the card");
    let mut with = br#"\"emulator\":null"#.to_vec();
    with.resize(from.len(), b' ');
    silent[at..at + from.len()].copy_from_slice(&with);
    assert!(matches!(block_on(Adapter::open(&silent, &predictor(3))), Err(AdapterError::Card(_))));
    let (adapter, file) = finetuned(Strategy::Residual, HeadInput::Embedding);
    assert!(adapter.card().error > 0.0 && adapter.card().metrics[0].0 == "all");
    // Another network of the same shape.
    let refused = block_on(Adapter::open(&file, &predictor(4))).expect_err("another base");
    assert!(matches!(refused, AdapterError::OtherBase { .. }));
    assert!(refused.to_string().contains("choose that model"), "{refused}");
}

/// Gradients of fine-tuned models against finite differences. The network computes in f32 and its ReLUs have kinks, hence
/// the step and the tolerance.
#[test]
fn gradients_match_finite_differences() {
    const STEP: f32 = 1e-4;
    let base = predictor(3);
    let (star, _) = stars(40).swap_remove(33);
    let every = Strategy::ALL.map(|strategy| (strategy, HeadInput::Flux)).into_iter();
    for (strategy, head_input) in every.chain([(Strategy::Residual, HeadInput::Embedding)]) {
        let (adapter, _) = finetuned(strategy, head_input);
        let slopes = block_on(adapter.slopes(&base, &star)).expect("slopes");
        let size = slopes.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>().sqrt();
        for seed in 0..6 {
            let towards = standard_normal(100 + seed, MODEL_PIXELS);
            let moved = |by: f32| {
                let norm = star.norm.iter().zip(&towards).map(|(x, t)| x + by * t).collect();
                LabelInput { norm, ..star.clone() }
            };
            let (up, down) = (moved(STEP), moved(-STEP));
            let answers = block_on(adapter.predict(&base, &[&up, &down])).expect("answers");
            let got = (answers[0] - answers[1]) / (2.0 * f64::from(STEP));
            let want: f64 = slopes.iter().zip(&towards).map(|(s, t)| f64::from(s * t)).sum();
            assert!((got - want).abs() < 0.03 * size, "{} {head_input:?}: {got} and {want}, {size}", strategy.name());
        }
    }
}

#[test]
fn invalid_adapters_are_rejected() {
    let (_, file) = finetuned_with(&cache(with_residuals(offset_set(60))), Strategy::Residual, HeadInput::Flux);
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
    assert!(said.contains("layout 1") && said.contains("fine-tune it again"), "{said}");
    text("\\\"head_width\\\":16", "\\\"head_width\\\":99");
    text("\\\"head_width\\\":16", "\\\"head_width\\\":-1");
    text("\\\"residual\\\"", "\\\"resirual\\\"");
    text("closed_form.weights", "closed_form.weighty");
    // A number in the arrays that is not finite.
    let mut other = file.clone();
    let end = other.len();
    other[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(open(&other).expect_err("not finite").to_string().contains("not finite"));
    // No changed byte makes the reader panic.
    for i in (0..file.len().min(6000)).step_by(13) {
        let mut other = file.clone();
        other[i] ^= 0x55;
        let _ = open(&other);
    }
}
