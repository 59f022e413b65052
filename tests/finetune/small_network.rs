//! A small network with known errors, so that the possible gain is known, and labelled spectra for it.

use std::rc::Rc;

use burn::tensor::Device;
use pollster::block_on;
use specola::model::calibration::Subspace;
use specola::model::manifest::ModelEntry;
use specola::model::regressor::Regressor;
use specola::nn::flow::standard_normal;
use specola::nn::weights::Tensors;
use specola::preprocess::conditioning;
use specola::preprocess::grid::MODEL_PIXELS;
use specola::result::Label;
use specola::result::finetune::{Cell, HeadInput, Settings, Strategy, TrainingOutcome, TrainingRun};
use specola::task::finetune::adapter::{self, Adapter};
use specola::task::finetune::cross_validation::metrics;
use specola::task::finetune::feature_cache::FeatureCache;
use specola::task::finetune::labelled_set::{LabelCandidate, LabelledSet};
use specola::task::finetune::split::Split;
use specola::task::finetune::training::{Progress, Training};
use specola::task::predict::{LabelInput, Predictor};

/// A network of four labels with random weights. [Fe/H] is between about −2 and 1.
pub(crate) fn predictor(seed: u64) -> Predictor {
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
        recipe: conditioning::RECIPE_NAME.into(),
        sha256: format!("{seed:064x}"),
        max_distance: 1.0,
        ..ModelEntry::default()
    };
    let training_subspace = Subspace::new(vec![1.0; MODEL_PIXELS], vec![vec![0.0; MODEL_PIXELS]]);
    Predictor::from_parts(
        &entry,
        regressor(&[MODEL_PIXELS, 8, 1], 99),
        regressor(&[MODEL_PIXELS, 48, 32, 16, 4], seed * 1000),
        training_subspace,
        &device,
    )
}

/// Spectra that vary along three components, with the amplitude of each component.
pub(crate) fn stars(n: usize) -> Vec<(LabelInput, [f64; 3])> {
    let patterns: Vec<Vec<f32>> = (0..3).map(|k| standard_normal(500 + k, MODEL_PIXELS)).collect();
    (0..n)
        .map(|i| {
            let z = standard_normal(9000 + i as u64, 3);
            let noise = standard_normal(70_000 + i as u64, MODEL_PIXELS);
            let norm = (0..MODEL_PIXELS)
                .map(|p| 1.0 + 0.05 * (0..3).map(|k| z[k] * patterns[k][p]).sum::<f32>() + 0.01 * noise[p])
                .collect();
            let input = LabelInput { norm, snr: Some(100.0), coverage: 1.0 };
            (input, [f64::from(z[0]), f64::from(z[1]), f64::from(z[2])])
        })
        .collect()
}

pub(crate) fn label_candidate(i: usize, input: &LabelInput, value: Cell) -> LabelCandidate {
    LabelCandidate { id: format!("star{i}"), group: String::new(), input: input.clone(), value, feh: None, cut: None }
}

/// A labelled set. [Fe/H] is a linear function of the network's prediction, plus a term of the first component, plus
/// noise.
pub(crate) fn offset_set(n: usize) -> LabelledSet {
    let (network, stars) = (predictor(3), stars(n));
    let inputs: Vec<&[f32]> = stars.iter().map(|(s, _)| s.norm.as_slice()).collect();
    let predictions = block_on(network.label_network().predict(&inputs, &Device::flex())).expect("answers");
    let noise = standard_normal(4, n);
    let candidates = stars.iter().zip(&predictions).enumerate().map(|(i, ((input, z), prediction))| {
        let value = 0.8 * prediction[2] + 0.3 + 0.15 * z[0] + 0.02 * f64::from(noise[i]);
        LabelCandidate {
            feh: Some(value),
            cut: Some(z[1]),
            ..label_candidate(i, input, Cell::Number(value.clamp(-6.0, 1.4)))
        }
    });
    LabelledSet::new("feh", candidates.collect()).expect("a valid labelled set").0
}

pub(crate) fn quick() -> Settings {
    Settings { epochs: 40, patience: 8, lora_rank: 8, lora_alpha: 16.0, head_width: 16, ..Settings::default() }
}

pub(crate) fn cache(labelled_set: LabelledSet) -> Rc<FeatureCache> {
    Rc::new(block_on(FeatureCache::new(&predictor(3), labelled_set, &Device::flex())).expect("a feature cache"))
}

pub(crate) fn run(mut training: Training) -> TrainingOutcome {
    while block_on(training.advance()).expect("a step") != Progress::Done {}
    block_on(training.outcome()).expect("an outcome")
}

pub(crate) fn train(cache: &Rc<FeatureCache>, strategy: Strategy, settings: &Settings) -> Training {
    let split = Split::hold_out(&cache.labelled_set, 0.5, None, settings.validation, 1);
    let task = TrainingRun { strategy, fold: None, seed: 1, n_labels: None };
    Training::new(cache.clone(), task, split, settings).expect("a training")
}

pub(crate) fn rms(labelled_set: &LabelledSet, outcome: &TrainingOutcome) -> f64 {
    let errors =
        outcome.rows.iter().zip(&outcome.values).map(|(row, value)| value - labelled_set.spectra[*row as usize].value);
    (errors.map(|d| d * d).sum::<f64>() / outcome.rows.len() as f64).sqrt()
}

pub(crate) fn finetuned(strategy: Strategy, head_input: HeadInput) -> (Adapter, Vec<u8>) {
    finetuned_with(&cache(offset_set(60)), strategy, Settings { head_input, ..quick() })
}

pub(crate) fn finetuned_with(cache: &Rc<FeatureCache>, strategy: Strategy, settings: Settings) -> (Adapter, Vec<u8>) {
    let settings = Settings { epochs: 4, ..settings };
    let mut training = train(cache, strategy, &settings);
    while block_on(training.advance()).expect("a step") != Progress::Done {}
    let outcome = block_on(training.outcome()).expect("an outcome");
    let figures = metrics(&cache.labelled_set, &outcome.rows, &outcome.values, &cache.labelled_set.subsets());
    let finetuned = training.trained_model().expect("a trained model");
    let card = adapter::card(cache, training.split(), &finetuned, &settings, figures, "a test set");
    let rows: Vec<usize> = (0..40).collect();
    let (exported, file) = block_on(Adapter::export(card, &finetuned, &predictor(3))).expect("exported");
    let inputs: Vec<&LabelInput> = rows.iter().map(|i| &cache.labelled_set.spectra[*i].input).collect();
    let expected = block_on(training.predictions(&rows)).expect("answers");
    assert_eq!(block_on(exported.predict(&predictor(3), &inputs)).expect("answers"), expected, "{}", strategy.name());
    let opened = block_on(Adapter::open(&file, &predictor(3))).expect("opened");
    assert_eq!(block_on(opened.predict(&predictor(3), &inputs)).expect("answers"), expected, "{}", strategy.name());
    assert_eq!((opened.card(), opened.sha256()), (exported.card(), exported.sha256()));
    (opened, file)
}
