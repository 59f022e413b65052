//! Training with burn's gradients and optimiser, compared with `PyTorch` (`tests/golden/train_*.npz`): predictions,
//! losses, gradients, weights and running statistics; the learning rate; the loss landscape; masked training.

use std::any::Any;
use std::collections::HashMap;

use crate::support::golden::{Io, assert_near, bytes, device, distance, values, weights};
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::{AdamWState, GradientsParams, Optimizer};
use burn::tensor::{Device, Tensor};
use specola::nn::lora::{Lora, LoraConfig};
use specola::nn::masked_transformer::MaskedTransformerConfig;
use specola::nn::masking::Masking;
use specola::nn::residual_head::{ResidualHead, ResidualHeadConfig};
use specola::nn::state_dict::StateDict;
use specola::nn::tokens::{SliceConfig, TokensConfig};
use specola::nn::weights::Tensors;
use specola::nn::{Mlp, MlpConfig};
use specola::task::finetune::loss_landscape::WeightPlane;
use specola::task::finetune::{
    AdamW, AdapterLayers, TrainStep, TrainableModel, WarmupCosine, adamw, loss_landscape, squared_error,
};

/// Tolerance of training in tests/golden/README.md.
const TOLERANCE: f64 = 1e-5;
/// Tolerance of gradients, relative to the largest gradient of the array.
const GRADIENT_TOLERANCE: f64 = 1e-4;
const LEARNING_RATE: f64 = 1e-3;
const WEIGHT_DECAY: f32 = 1e-4;

fn plain_head(device: &Device) -> Mlp {
    MlpConfig::new(vec![72, 32, 16, 8, 1]).load(&weights("mlp_plain_tiny"), "", device).expect("the network")
}

fn batch_norm_head(device: &Device) -> Mlp {
    let config = MlpConfig::new(vec![72, 32, 16, 8, 1]).with_batch_norm(true);
    config.load(&weights("mlp_bn_tiny"), "", device).expect("the network")
}

/// Rows 8k to 8k + 7 of the training data.
fn batch(step: usize, device: &Device) -> (Tensor<2>, Tensor<2>) {
    let data = Io::new("train_data");
    (data.tensor::<2>("X", device).narrow(0, 8 * step, 8), data.tensor::<2>("y", device).narrow(0, 8 * step, 8))
}

/// The arrays of a fixture under a prefix, as weights.
fn fixture_arrays(io: &Io, prefix: &str) -> Tensors {
    let mut tensors = Tensors::default();
    for name in io.names().filter_map(|name| name.strip_prefix(prefix)) {
        let full = format!("{prefix}{name}");
        let values = io.numbers(&full).iter().map(|v| *v as f32).collect();
        tensors.insert(name, &io.shape(&full), values);
    }
    tensors
}

/// Trained arrays of a model, by `PyTorch`'s names.
fn trained_arrays(model: &TrainableModel) -> Tensors {
    let mut tensors = Tensors::default();
    match model.adapter() {
        None => StateDict::store(model.base(), &mut tensors, ""),
        Some(AdapterLayers::Lora(lora)) => StateDict::store(lora, &mut tensors, ""),
        Some(AdapterLayers::Residual(head)) => StateDict::store(head, &mut tensors, "head."),
    }
    .expect("stored");
    tensors
}

/// Compares every array of the fixture under `prefix`, and gradients relative to their largest number. An array with a
/// name ending in an entry of `undetermined` needs only to exist.
#[track_caller]
fn assert_close(label: &str, got: &Tensors, io: &Io, prefix: &str, tolerance: f64, undetermined: &[&str]) {
    let is_relative = tolerance != TOLERANCE;
    let mut compared = 0;
    for name in io.names().filter_map(|n| n.strip_prefix(prefix)).filter(|n| !n.ends_with("num_batches_tracked")) {
        let expected = io.numbers(&format!("{prefix}{name}"));
        let shape = io.shape(&format!("{prefix}{name}"));
        let found = got.get(name, &shape).unwrap_or_else(|e| panic!("{label}: {e}"));
        let found: Vec<f64> = found.iter().map(|v| f64::from(*v)).collect();
        let scale = if is_relative { expected.iter().fold(0.0f64, |m, w| m.max(w.abs())) } else { 1.0 };
        if undetermined.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let difference = distance(&found, &expected);
        assert!(
            difference <= tolerance * scale,
            "{label}: {prefix}{name} differs by {difference:.1e}, scale {scale:.1e}"
        );
        compared += 1;
    }
    assert!(compared > 0, "{label}: no {prefix}");
}

/// Replaces the parameters of a network by their gradients.
struct Gradients(GradientsParams);

impl ModuleMapper for Gradients {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let value = param.val();
        let gradient = self.0.get::<D>(param.id).unwrap_or_else(|| value.zeros_like().inner());
        Param::initialized(param.id, Tensor::from_inner(gradient))
    }
}

fn gradients(model: &TrainableModel, x: Tensor<2>, y: Tensor<2>) -> Tensors {
    let loss = squared_error(model.forward(x), y);
    let gradients = GradientsParams::from_grads(loss.backward(), model);
    trained_arrays(&model.clone().map(&mut Gradients(gradients)))
}

/// Compares ten training steps of a model from `make_model` with every result in the fixture. Arrays in `undetermined`
/// consist of rounding errors and are not compared.
fn assert_trains_as_pytorch(
    name: &str,
    make_model: impl Fn() -> TrainableModel,
    learning_rate: f64,
    undetermined: &[&str],
) {
    let device = Device::flex().autodiff();
    let io = Io::new(name);
    let has = |prefix: &str| io.names().any(|n| n.starts_with(prefix));
    let compare = |model: &TrainableModel, prefix: &str| {
        if has(prefix) {
            assert_close(name, &trained_arrays(model), &io, prefix, TOLERANCE, undetermined);
        }
    };
    if has("grad1::") {
        // A new model for each comparison: a forward pass changes the running statistics.
        let (x, y) = batch(0, &device);
        assert_close(name, &gradients(&make_model(), x.clone(), y), &io, "grad1::", GRADIENT_TOLERANCE, undetermined);
        assert_near(make_model().forward(x), &io.numbers("pred_step1"), TOLERANCE);
    }
    let mut train_step = TrainStep::new(make_model(), WEIGHT_DECAY);
    for step in 0..10 {
        let (x, y) = batch(step, &device);
        let loss = values(train_step.step(x, y, learning_rate))[0];
        let expected = io.numbers("losses_f64")[step];
        assert!((loss - expected).abs() < TOLERANCE, "{name}: loss {loss} instead of {expected} at step {step}");
        if step == 0 {
            compare(&train_step.trained_model(), "after1::");
            compare(&train_step.trained_model(), "buf1::");
        }
    }
    compare(&train_step.trained_model(), "after10::");
    compare(&train_step.trained_model(), "buf10::");
    if undetermined.is_empty() {
        let output = train_step.trained_model().forward(batch(0, &Device::flex()).0);
        assert_near(output, &io.numbers("eval_out_after_f64"), TOLERANCE);
    }
}

#[cfg_attr(test, test)]
pub(crate) fn plain_network_trains_as_in_pytorch() {
    let device = Device::flex().autodiff();
    assert_trains_as_pytorch("train_full_plain_tiny", || TrainableModel::full(plain_head(&device)), LEARNING_RATE, &[]);
    assert_trains_as_pytorch("train_full_plain_paperlr_tiny", || TrainableModel::full(plain_head(&device)), 1e-5, &[]);
}

/// With batch statistics, with running statistics, and with batch statistics and no bias before a norm.
#[cfg_attr(test, test)]
pub(crate) fn specclip_head_trains_as_in_pytorch() {
    let device = Device::flex().autodiff();
    let frozen = || TrainableModel::full(batch_norm_head(&device).with_frozen_statistics());
    assert_trains_as_pytorch("train_full_bn_eval_tiny", frozen, LEARNING_RATE, &[]);
    let frozen_biases = || TrainableModel::full(batch_norm_head(&device).map(&mut FreezeBiases(0)));
    assert_trains_as_pytorch("train_full_bn_train_frozenprebias_tiny", frozen_biases, LEARNING_RATE, &[]);
    // The gradient of a bias before a norm is rounding noise. Adam turns it into full steps, and the running means
    // follow.
    let undetermined = ["network.0.bias", "network.4.bias", "network.8.bias", "running_mean"];
    assert_trains_as_pytorch(
        "train_full_bn_train_tiny",
        || TrainableModel::full(batch_norm_head(&device)),
        LEARNING_RATE,
        &undetermined,
    );
}

/// Freezes the first three vectors of a network: the biases of its hidden layers.
struct FreezeBiases(usize);

impl ModuleMapper for FreezeBiases {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D != 1 || self.0 == 3 {
            return param;
        }
        self.0 += 1;
        param.set_require_grad(false)
    }
}

fn lora(base: &Mlp, device: &Device) -> Lora {
    let config = LoraConfig::new().with_rank(4).with_alpha(8.0).with_output_layer(true);
    let initial = fixture_arrays(&Io::new("train_lora_all4_tiny"), "init::");
    config.init(base, device).load(&initial, "", device).expect("the adapters")
}

fn residual_head(device: &Device) -> ResidualHead {
    let head = ResidualHeadConfig::new(72).with_hidden(12).init(device);
    head.load(&fixture_arrays(&Io::new("train_residual_tiny"), "init::"), "head.", device).expect("the head")
}

#[cfg_attr(test, test)]
pub(crate) fn adapters_train_as_in_pytorch_with_a_fixed_base() {
    let device = Device::flex().autodiff();
    let adapted = || {
        TrainableModel::adapted(batch_norm_head(&device), AdapterLayers::Lora(lora(&batch_norm_head(&device), &device)))
    };
    assert_trains_as_pytorch("train_lora_all4_tiny", adapted, LEARNING_RATE, &[]);
    let residual =
        || TrainableModel::adapted(batch_norm_head(&device), AdapterLayers::Residual(residual_head(&device)));
    assert_trains_as_pytorch("train_residual_tiny", residual, LEARNING_RATE, &[]);

    for make_model in [&adapted as &dyn Fn() -> TrainableModel, &residual] {
        let mut train_step = TrainStep::new(make_model(), WEIGHT_DECAY);
        let (x, y) = batch(0, &device);
        train_step.step(x, y, LEARNING_RATE);
        let mut base = Tensors::default();
        StateDict::store(train_step.trained_model().base(), &mut base, "").expect("stored");
        let initial = weights("mlp_bn_tiny");
        for spec in train_step.trained_model().base().array_specs("") {
            assert_eq!(
                base.get(&spec.name, &spec.shape).ok(),
                initial.get(&spec.name, &spec.shape).ok(),
                "{}",
                spec.name
            );
        }
    }
}

/// Losses of ten steps and predictions of the trained networks on the device under test, which may not allow blocking
/// reads.
#[cfg_attr(test, test)]
pub(crate) fn ten_steps_match_pytorch_losses() {
    let (device, with_gradients) = (device(), device().autodiff());
    let base = || batch_norm_head(&with_gradients);
    let models = [
        ("train_full_plain_tiny", TrainableModel::full(plain_head(&with_gradients))),
        ("train_lora_all4_tiny", TrainableModel::adapted(base(), AdapterLayers::Lora(lora(&base(), &with_gradients)))),
        (
            "train_residual_tiny",
            TrainableModel::adapted(base(), AdapterLayers::Residual(residual_head(&with_gradients))),
        ),
    ];
    for (name, model) in models {
        let io = Io::new(name);
        let mut train_step = TrainStep::new(model, WEIGHT_DECAY);
        for (step, expected) in io.numbers("losses_f64").into_iter().take(10).enumerate() {
            let (x, y) = batch(step, &with_gradients);
            assert_near(train_step.step(x, y, LEARNING_RATE).inner(), &[expected], TOLERANCE);
        }
        assert_near(
            train_step.trained_model().forward(batch(0, &device).0),
            &io.numbers("eval_out_after_f64"),
            TOLERANCE,
        );
    }
}

/// Dropout applies to a fully trained network, not to the frozen base of an adapter.
#[cfg_attr(test, test)]
pub(crate) fn adapter_base_has_no_dropout() {
    let device = Device::flex().autodiff();
    let config = MlpConfig::new(vec![72, 32, 16, 8, 1]).with_batch_norm(true).with_dropout(0.5);
    let base = || config.load(&weights("mlp_bn_tiny"), "", &device).expect("the network");
    let x = batch(0, &device).0;
    let adapted = TrainableModel::adapted(base(), AdapterLayers::Lora(lora(&base(), &device)));
    assert_near(adapted.forward(x), &Io::new("train_lora_all4_tiny").numbers("pred_step1"), TOLERANCE);
}

/// The network with the weights W + (α/r)·B·A, as `PyTorch` merged them, gives the output of the adapted network.
#[cfg_attr(test, test)]
pub(crate) fn merged_weights_equal_the_adapted_network() {
    let device = Device::flex();
    for name in ["mlp_lora_all4", "mlp_lora_hidden3"] {
        let io = Io::new(&format!("{name}_tiny_io"));
        let config = MlpConfig::new(vec![72, 32, 16, 8, 1]).with_batch_norm(true);
        let merged = config.load(&weights(&format!("{name}_merged_tiny")), "", &device).expect("the network");
        assert_near(merged.forward(io.tensor("x", &device)), &io.numbers("unmerged_f64"), 5e-6);
    }
}

/// burn's optimiser, applied array by array, has `PyTorch`'s first and second moments after ten steps.
#[cfg_attr(test, test)]
pub(crate) fn optimiser_moments_match_pytorch() {
    let device = Device::flex().autodiff();
    for (name, mut model) in [
        ("train_full_plain_tiny", TrainableModel::full(plain_head(&device))),
        (
            "train_lora_all4_tiny",
            TrainableModel::adapted(
                batch_norm_head(&device),
                AdapterLayers::Lora(lora(&batch_norm_head(&device), &device)),
            ),
        ),
        (
            "train_residual_tiny",
            TrainableModel::adapted(batch_norm_head(&device), AdapterLayers::Residual(residual_head(&device))),
        ),
    ] {
        let mut array_optimiser = ArrayOptimiser {
            optimiser: adamw(WEIGHT_DECAY),
            gradients: GradientsParams::new(),
            states: HashMap::new(),
        };
        for step in 0..10 {
            let (x, y) = batch(step, &device);
            let loss = squared_error(model.forward(x), y);
            array_optimiser.gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = model.map(&mut array_optimiser);
        }
        let io = Io::new(name);
        assert_close(name, &trained_arrays(&model), &io, "after10::", TOLERANCE, &[]);
        for (is_second, prefix) in [(false, "exp_avg10::"), (true, "exp_avg_sq10::")] {
            let moments = model.clone().map(&mut Moments { states: &array_optimiser.states, is_second });
            assert_close(name, &trained_arrays(&moments), &io, prefix, GRADIENT_TOLERANCE, &[]);
        }
    }
}

/// The optimiser's state of every array.
type States = HashMap<ParamId, Box<dyn Any>>;

/// One step of the optimiser on every array that has a gradient.
struct ArrayOptimiser {
    optimiser: AdamW,
    gradients: GradientsParams,
    states: States,
}

impl ModuleMapper for ArrayOptimiser {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return param };
        let state = self.states.remove(&param.id).and_then(|s| s.downcast::<AdamWState<D>>().ok()).map(|s| *s);
        let (stepped, state) = self.optimiser.step(LEARNING_RATE, param.val().inner(), gradient, state);
        self.states.insert(param.id, Box::new(state.expect("a state")));
        Param::initialized(param.id, Tensor::from_inner(stepped).require_grad())
    }
}

/// Replaces arrays by their first or second moment.
struct Moments<'a> {
    states: &'a States,
    is_second: bool,
}

impl ModuleMapper for Moments<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(state) = self.states.get(&param.id).and_then(|s| s.downcast_ref::<AdamWState<D>>()) else {
            return param;
        };
        let moment = if self.is_second { &state.momentum.moment_2 } else { &state.momentum.moment_1 };
        Param::initialized(param.id, Tensor::from_inner(moment.clone()))
    }
}

#[cfg_attr(test, test)]
pub(crate) fn learning_rate_matches_the_published_schedule() {
    let json: serde_json::Value = serde_json::from_slice(&bytes("lr_schedule.json")).expect("JSON");
    let schedule = WarmupCosine { peak: 1e-4, warmup: 1000, total: 10_000 };
    for pair in json["cosine_warmup"].as_array().expect("pairs") {
        let (step, expected) = (pair[0].as_u64().expect("a step"), pair[1].as_f64().expect("a rate"));
        let got = schedule.rate(step as usize);
        assert!((got - expected).abs() < 1e-15, "{got} instead of {expected} at step {step}");
    }
}

#[cfg_attr(test, test)]
pub(crate) fn loss_landscape_matches_numpy() {
    let (device, io) = (Device::flex(), Io::new("landscape_plain_tiny"));
    let (centre, delta, eta) =
        (weights("mlp_plain_tiny"), fixture_arrays(&io, "dir0::"), fixture_arrays(&io, "dir1::"));
    let data = Io::new("train_data");
    let (x, y) = (data.tensor::<2>("X", &device).narrow(0, 0, 16), data.tensor::<2>("y", &device).narrow(0, 0, 16));
    let plane = WeightPlane::new(plain_head(&device), [&delta, &eta], &device).expect("directions that fit");
    let (alpha, mse) = (io.numbers("alpha"), io.numbers("mse"));
    assert_eq!(mse.len(), alpha.len() * alpha.len());
    for (i, expected) in mse.into_iter().enumerate() {
        let network = plane.at(alpha[i / alpha.len()], alpha[i % alpha.len()]);
        let got = values(squared_error(network.forward(x.clone()), y.clone()))[0];
        assert!((got - expected).abs() < 1e-5 * expected.max(1.0), "{got} instead of {expected}");
    }

    // The directions of the fixture are normalised. A second normalisation changes nothing.
    for direction in [delta, eta, loss_landscape::direction(&centre, 3).expect("a direction")] {
        let renormalised = loss_landscape::filter_normalised(&direction, &centre).expect("normalised");
        for name in centre.names() {
            let shape = centre.shape(name).expect("its shape");
            let array = |t: &Tensors| t.get(name, shape).expect(name).iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            assert!(distance(&array(&renormalised), &array(&direction)) < 1e-6, "{name}");
            assert!(shape.len() > 1 || array(&direction).iter().all(|d| *d == 0.0), "{name} does not move");
        }
    }
}

/// Masked training of the encoder: six chunks of ten tokens are zeroed at `PyTorch`'s offsets. Compares loss and
/// gradients.
#[cfg_attr(test, test)]
pub(crate) fn masked_training_matches_pytorch_loss_and_gradients() {
    let (device, io) = (Device::flex().autodiff(), Io::new("lrs_mt_tiny_io"));
    let config = MaskedTransformerConfig::new(TokensConfig::Slices(SliceConfig::new()));
    let config = config.with_embed_dim(48).with_num_layers(2).with_num_heads(3);
    let network = config.init(&device).load(&weights("lrs_mt_tiny"), "", &device).expect("the network");
    let masking = Masking { chunks: 6, width: 10 };
    let offsets: Vec<usize> = io.numbers("mask_locs").iter().map(|o| *o as usize).collect();
    assert!(offsets.iter().all(|o| *o < masking.offsets(146)));
    let tokens = network.tokens(io.tensor("x", &device));
    let loss = network.masked_loss(masking.apply(tokens.clone(), &offsets), tokens);
    let expected = io.numbers("masked_loss")[0];
    let got = values(loss.clone().inner())[0];
    assert!((got - expected).abs() < 5e-5, "{got} instead of {expected}");
    let gradients = GradientsParams::from_grads(loss.backward(), &network);
    let mut found = Tensors::default();
    StateDict::store(&network.map(&mut Gradients(gradients)), &mut found, "").expect("stored");
    assert_close("masked training", &found, &io, "grad::", 5e-4, &[]);
}
