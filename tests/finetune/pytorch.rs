//! A whole training run, from the seed to the losses of 50 steps, against `PyTorch`
//! (`tests/golden/finetune_losses.json`, made by `tests/golden/finetune_losses.py`).
//!
//! Initial weights and order of the rows come from the seed. To make the fixture anew, run this test with
//! `SPECOLA_EXPORT` set to a folder: it writes what `PyTorch` starts from there, and the script does the rest.

use std::path::Path;

use pollster::block_on;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use specola::nn::state_dict::parameters;
use specola::nn::weights::Tensors;
use specola::result::finetune::{Settings, Strategy};
use specola::task::finetune::adapter::{self, Adapter};
use specola::task::finetune::training::{Progress, Training};

use crate::small_network::*;

const STRATEGIES: [Strategy; 3] = [Strategy::Residual, Strategy::Lora, Strategy::Full];

/// Largest difference of a loss, in squared standard deviations of the label.
const TOLERANCE: f64 = 1e-4;

/// Two steps an epoch, 25 epochs; no augmentation, no early end.
fn settings(epochs: usize) -> Settings {
    Settings { learning_rate: Some(1e-3), epochs, patience: 1000, batch: 16, noise: 0.0, line_depth: 0.0, ..quick() }
}

const EPOCHS: usize = 25;

fn training(strategy: Strategy, epochs: usize) -> Training {
    train(&cache(offset_set(80)), strategy, &settings(epochs))
}

/// Writes inputs, targets, order of the rows, the base network and the initial weights of a strategy.
fn export(strategy: Strategy, folder: &Path) {
    let (predictor, cache) = (predictor(3), cache(offset_set(80)));
    let training = training(strategy, 0);
    let split = training.split().clone();
    let network = predictor.label_network();
    let rows = [split.train.clone(), split.validation.clone()].concat();
    let inputs: Vec<&[f32]> = rows.iter().map(|i| cache.labelled_set.spectra[*i].input.norm.as_slice()).collect();
    let mut tensors = block_on(parameters(&network.mlp, "base.")).expect("the base network");
    let x = network.standardised(&inputs);
    tensors.insert("x", &[rows.len(), x.len() / rows.len()], x);
    let output = predictor.output_index(cache.labelled_set.label()).expect("an output");
    let (mean, scale) = (network.output_mean[output], network.output_scale[output]);
    let y = rows.iter().map(|i| (cache.labelled_set.spectra[*i].value as f32 - mean) / scale).collect();
    tensors.insert("y", &[rows.len(), 1], y);
    tensors.insert("output", &[1], vec![output as f32]);
    // The training's own stream of random numbers.
    let mut rng = ChaCha8Rng::seed_from_u64(training.task().seed ^ 0x7e4c);
    let mut order = split.train.clone();
    for epoch in 0..EPOCHS {
        order.shuffle(&mut rng);
        let positions = order.iter().map(|i| rows.iter().position(|row| row == i).expect("a row") as f32).collect();
        tensors.insert(&format!("order.{epoch}"), &[order.len()], positions);
    }
    let file = |tensors: &Tensors| tensors.to_f32_file_with(&[]).expect("a file");
    std::fs::write(folder.join("data.safetensors"), file(&tensors)).expect("it can be written");
    let model = training.trained_model().expect("the initial model");
    let card = adapter::card(&cache, &split, &model, &settings(0), Vec::new(), "nothing");
    let (_, adapter) = block_on(Adapter::export(card, &model, &predictor)).expect("an adapter");
    std::fs::write(folder.join(format!("{}.safetensors", strategy.name())), adapter).expect("it can be written");
}

fn losses(strategy: Strategy) -> Vec<(f64, f64)> {
    let mut training = training(strategy, EPOCHS);
    while block_on(training.advance()).expect("a step") != Progress::Done {}
    let losses = training.history().iter().map(|e| (e.train_loss, e.validation_loss.expect("a validation loss")));
    losses.collect()
}

#[test]
fn losses_of_fifty_steps_equal_those_of_pytorch() {
    if let Some(folder) = std::env::var_os("SPECOLA_EXPORT") {
        STRATEGIES.into_iter().for_each(|strategy| export(strategy, Path::new(&folder)));
    }
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/finetune_losses.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(golden).expect("the fixture")).expect("JSON");
    for strategy in STRATEGIES {
        let expected = &golden[strategy.name()];
        let found = losses(strategy);
        assert_eq!(found.len(), EPOCHS + 1);
        for (epoch, (train, validation)) in found.iter().enumerate() {
            for (name, found) in [("train", train), ("validation", validation)] {
                let expected = expected[name][epoch].as_f64().expect("a loss");
                assert!(
                    (found - expected).abs() < TOLERANCE,
                    "{}, {name} loss of epoch {epoch}: {found}, PyTorch {expected}",
                    strategy.name()
                );
            }
        }
        assert!(found[EPOCHS].0 < 0.7 * found[0].0, "{}: {}", strategy.name(), json!(found));
    }
}
