//! Training: reduction of the error by each strategy, seeds, cancelling, divergence, new labels, gradients.

use pollster::block_on;
use specola::nn::flow::standard_normal;
use specola::preprocess::grid::MODEL_PIXELS;
use specola::result::finetune::{Cell, HeadInput, Settings, Strategy};
use specola::task::finetune::labelled_set::LabelledSet;
use specola::task::finetune::training::{Progress, Training};
use specola::task::predict::LabelInput;

use crate::small_network::*;

/// Settings with which gradient steps alone converge.
fn gradient_steps() -> Settings {
    Settings { learning_rate: Some(1e-3), patience: 40, epochs: 150, ..quick() }
}

/// The closed forms remove nearly all of the error of this set, which is a linear function of the prediction plus a
/// smooth term. Gradient steps remove a part.
#[test]
fn every_strategy_reduces_an_offset() {
    let cache = cache(offset_set(120));
    let before = rms(&cache.labelled_set, &run(train(&cache, Strategy::ZeroShot, &quick())));
    let direct = cache.base_predictions().expect("it is a label of the network");
    let square: f64 = direct.iter().zip(cache.labelled_set.values()).map(|(p, t)| (p - t).powi(2)).sum::<f64>();
    assert!((before / (square / 120.0).sqrt() - 1.0).abs() < 0.3, "zero-shot is the network as it is");
    let from_gp = Settings { start_from_gp: true, ..quick() };
    let embedding = Settings { head_input: HeadInput::Embedding, ..gradient_steps() };
    for (strategy, settings, fraction) in [
        (Strategy::Linear, quick(), 0.2),
        (Strategy::Gp, quick(), 0.2),
        (Strategy::Residual, gradient_steps(), 0.8),
        (Strategy::Residual, embedding, 0.5),
        (Strategy::Lora, gradient_steps(), 0.8),
        (Strategy::Full, gradient_steps(), 0.8),
        (Strategy::Residual, from_gp.clone(), 0.2),
        (Strategy::Lora, from_gp.clone(), 0.2),
        (Strategy::Full, from_gp, 0.2),
    ] {
        let outcome = run(train(&cache, strategy, &settings));
        let after = rms(&cache.labelled_set, &outcome);
        let name = format!("{}, from the GP correction: {}", strategy.name(), settings.start_from_gp);
        println!("{name}: {before:.3} → {after:.3}, best epoch {}", outcome.best_epoch);
        assert!(after < fraction * before, "{name}: {before:.3} → {after:.3}");
        assert_eq!(outcome.history.is_empty(), !strategy.has_gradient_steps(), "{name}");
    }
    let scratch = run(train(&cache, Strategy::Scratch, &quick()));
    let losses: Vec<f64> = scratch.history.iter().map(|e| e.train_loss).collect();
    assert!(losses[losses.len() - 1] < 0.5 * losses[0], "{losses:?}");
}

/// Without the switch, a strategy has no part that its name does not say: before the first step its predictions are
/// those of the shipped network, and the adapter has no GP correction.
#[test]
fn strategies_start_from_the_shipped_network() {
    let cache = cache(offset_set(60));
    let settings = Settings { epochs: 0, ..quick() };
    let zero_shot = run(train(&cache, Strategy::ZeroShot, &settings));
    for strategy in [Strategy::Residual, Strategy::Lora, Strategy::Full] {
        let outcome = run(train(&cache, strategy, &settings));
        let largest = outcome.values.iter().zip(&zero_shot.values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(largest < 1e-5, "{}: {largest}", strategy.name());
        let from_gp = run(train(&cache, strategy, &Settings { start_from_gp: true, ..settings.clone() }));
        let gp = run(train(&cache, Strategy::Gp, &settings));
        let largest = from_gp.values.iter().zip(&gp.values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(largest < 1e-5, "{}: {largest} from the GP correction", strategy.name());
    }
}

/// The same seed gives identical numbers, also when other trainings run in between.
#[test]
fn training_depends_only_on_its_seed() {
    let cache = cache(offset_set(60));
    let uninterrupted = run(train(&cache, Strategy::Lora, &quick()));
    let (mut training, mut other) = (train(&cache, Strategy::Lora, &quick()), train(&cache, Strategy::Full, &quick()));
    while block_on(training.advance()).expect("a step") != Progress::Done {
        block_on(other.advance()).expect("a step");
    }
    assert_eq!(block_on(training.outcome()).expect("an outcome"), uninterrupted);
    assert_eq!(uninterrupted.history.len() - 1, uninterrupted.history.last().expect("a pass").epoch);
}

#[test]
fn cancelled_training_keeps_the_best_model() {
    let cache = cache(offset_set(80));
    let settings = Settings { learning_rate: Some(2e-3), patience: 1000, epochs: 1000, ..quick() };
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
    assert!(outcome.is_cancelled);
    let best_epoch = outcome.history.iter().find(|e| e.epoch == outcome.best_epoch).expect("its pass");
    assert_eq!(best_epoch.validation_loss, Some(best));
    // The exported model is the best one: its predictions of the validation rows have that loss.
    let rows = training.split().validation.clone();
    let predictions = block_on(training.predictions(&rows)).expect("answers");
    let square: f64 = rows
        .iter()
        .zip(&predictions)
        .map(|(i, a)| ((a - cache.labelled_set.spectra[*i].value) / 0.5).powi(2))
        .sum::<f64>();
    assert!((square / rows.len() as f64 / best - 1.0).abs() < 1e-3, "{square} {best}");
}

#[test]
fn diverging_loss_is_an_error_and_the_best_model_stays() {
    let cache = cache(offset_set(60));
    let settings = Settings { learning_rate: Some(1.0), weight_decay: 1.0, epochs: 5000, patience: 5000, ..quick() };
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
    let candidates = stars(150).into_iter().enumerate().map(|(i, (input, z))| {
        let value = Cell::Number(7.0 + 2.0 * z[1] - z[2]);
        label_candidate(i, &input, value)
    });
    let labelled_set = LabelledSet::new("age", candidates.collect()).expect("a labelled set").0;
    let label_std = labelled_set.statistics().std;
    let cache = cache(labelled_set);
    assert!(cache.base_predictions().is_none());
    for strategy in [Strategy::Linear, Strategy::Gp, Strategy::Residual, Strategy::Lora, Strategy::Full] {
        let outcome = run(train(&cache, strategy, &quick()));
        let after = rms(&cache.labelled_set, &outcome);
        assert!(after < 0.6 * label_std, "{}: {label_std:.3} → {after:.3}", strategy.name());
    }
}

/// The network computes in f32 and its `ReLUs` have kinks, which set the step and the tolerance.
#[test]
fn gradients_match_finite_differences() {
    const STEP: f32 = 1e-4;
    let base = predictor(3);
    let (star, _) = stars(40).swap_remove(33);
    let cases = Strategy::ALL.map(|strategy| (strategy, HeadInput::Flux)).into_iter();
    for (strategy, head_input) in cases.chain([(Strategy::Residual, HeadInput::Embedding)]) {
        let (adapter, _) = finetuned(strategy, head_input);
        let gradients = block_on(adapter.gradients(&base, &star)).expect("gradients");
        let norm = gradients.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>().sqrt();
        for seed in 0..6 {
            let direction = standard_normal(100 + seed, MODEL_PIXELS);
            let shifted = |by: f32| {
                let norm = star.norm.iter().zip(&direction).map(|(x, t)| x + by * t).collect();
                LabelInput { norm, ..star.clone() }
            };
            let (up, down) = (shifted(STEP), shifted(-STEP));
            let predictions = block_on(adapter.predict(&base, &[&up, &down])).expect("answers");
            let got = (predictions[0] - predictions[1]) / (2.0 * f64::from(STEP));
            let expected: f64 = gradients.iter().zip(&direction).map(|(s, t)| f64::from(s * t)).sum();
            assert!(
                (got - expected).abs() < 0.03 * norm,
                "{} {head_input:?}: {got} and {expected}, {norm}",
                strategy.name()
            );
        }
    }
}
