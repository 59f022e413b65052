//! Training with burn's gradients and optimiser against PyTorch's (`tests/golden/train_*.npz`): predictions, losses, gradients,
//! weights and running statistics; the learning rate; the loss around the weights; masked training.
#![cfg(any(feature = "cli", feature = "gpu"))]

#[cfg(not(target_family = "wasm"))]
mod support;

use std::any::Any;
use std::collections::HashMap;

#[cfg(target_family = "wasm")]
use crate::support;
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::{AdamWState, GradientsParams, Optimizer};
use burn::tensor::{Device, Tensor};
use specola::model::weights::Tensors;
use specola::nn::keyed::Keyed;
use specola::nn::lora::{Lora, LoraConfig};
use specola::nn::masked_transformer::MaskedTransformerConfig;
use specola::nn::masking::Masking;
use specola::nn::residual_head::{ResidualHead, ResidualHeadConfig};
use specola::nn::tokens::{SliceConfig, TokensConfig};
use specola::nn::{Mlp, MlpConfig};
use specola::task::teach::landscape::Surroundings;
use specola::task::teach::{AdamW, Adapter, Pupil, Teacher, WarmupCosine, adamw, landscape, squared_error};
use support::golden::{Io, bytes, device, distance, near, values, weights};

/// Training's tolerance in golden/README.md; gradients relative to their largest.
const TOLERANCE: f64 = 1e-5;
const GRADIENT: f64 = 1e-4;
const RATE: f64 = 1e-3;
const DECAY: f32 = 1e-4;

fn plain(device: &Device) -> Mlp {
    MlpConfig::new(vec![72, 32, 16, 8, 1]).load(&weights("mlp_plain_tiny"), "", device).expect("the network")
}

fn normed(device: &Device) -> Mlp {
    let config = MlpConfig::new(vec![72, 32, 16, 8, 1]).with_batch_norm(true);
    config.load(&weights("mlp_bn_tiny"), "", device).expect("the network")
}

/// Rows 8k to 8k + 7 of the training data.
fn batch(k: usize, device: &Device) -> (Tensor<2>, Tensor<2>) {
    let data = Io::new("train_data");
    (data.tensor::<2>("X", device).narrow(0, 8 * k, 8), data.tensor::<2>("y", device).narrow(0, 8 * k, 8))
}

/// The arrays under these prefixes of a fixture, as weights.
fn stored(io: &Io, prefix: &str) -> Tensors {
    let mut tensors = Tensors::default();
    for name in io.names().filter_map(|name| name.strip_prefix(prefix)) {
        let full = format!("{prefix}{name}");
        let values = io.numbers(&full).iter().map(|v| *v as f32).collect();
        tensors.insert(name, &io.shape(&full), values);
    }
    tensors
}

/// What is taught of a pupil, by PyTorch's names.
fn taught(pupil: &Pupil) -> Tensors {
    let mut tensors = Tensors::default();
    match pupil.adapter() {
        None => Keyed::store(pupil.base(), &mut tensors, ""),
        Some(Adapter::Lora(lora)) => Keyed::store(lora, &mut tensors, ""),
        Some(Adapter::Residual(head)) => Keyed::store(head, &mut tensors, "head."),
    }
    .expect("stored");
    tensors
}

/// Every array of the fixture under `prefix` is there, gradients within a share of their largest number. Those whose name
/// ends like one of `undetermined` need only be there.
#[track_caller]
fn agree(what: &str, got: &Tensors, io: &Io, prefix: &str, tolerance: f64, undetermined: &[&str]) {
    let is_relative = tolerance != TOLERANCE;
    let mut compared = 0;
    for name in io.names().filter_map(|n| n.strip_prefix(prefix)).filter(|n| !n.ends_with("num_batches_tracked")) {
        let want = io.numbers(&format!("{prefix}{name}"));
        let shape = io.shape(&format!("{prefix}{name}"));
        let found = got.get(name, &shape).unwrap_or_else(|e| panic!("{what}: {e}"));
        let found: Vec<f64> = found.iter().map(|v| f64::from(*v)).collect();
        let scale = if is_relative { want.iter().fold(0.0f64, |m, w| m.max(w.abs())) } else { 1.0 };
        if undetermined.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let off = distance(&found, &want);
        assert!(off <= tolerance * scale, "{what}: {prefix}{name} is {off:.1e} off, {scale:.1e} large");
        compared += 1;
    }
    assert!(compared > 0, "{what}: no {prefix}");
}

/// A network's parameters replaced by their gradients.
struct Gradients(GradientsParams);

impl ModuleMapper for Gradients {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let value = param.val();
        let gradient = self.0.get::<D>(param.id).unwrap_or_else(|| value.zeros_like().inner());
        Param::initialized(param.id, Tensor::from_inner(gradient))
    }
}

fn gradients(pupil: &Pupil, x: Tensor<2>, y: Tensor<2>) -> Tensors {
    let loss = squared_error(pupil.forward(x), y);
    let gradients = GradientsParams::from_grads(loss.backward(), pupil);
    taught(&pupil.clone().map(&mut Gradients(gradients)))
}

/// Ten steps of what `make` makes, with everything that the fixture holds compared on the way, but for arrays that rounding
/// errors decide.
fn learns_as_pytorch(name: &str, make: impl Fn() -> Pupil, rate: f64, undetermined: &[&str]) {
    let device = Device::flex().autodiff();
    let io = Io::new(name);
    let has = |prefix: &str| io.names().any(|n| n.starts_with(prefix));
    let compare = |what: &Pupil, prefix: &str| {
        if has(prefix) {
            agree(name, &taught(what), &io, prefix, TOLERANCE, undetermined);
        }
    };
    if has("grad1::") {
        // Of pupils of their own: a forward pass moves running statistics.
        let (x, y) = batch(0, &device);
        agree(name, &gradients(&make(), x.clone(), y), &io, "grad1::", GRADIENT, undetermined);
        near(make().forward(x), &io.numbers("pred_step1"), TOLERANCE);
    }
    let mut teacher = Teacher::new(make(), DECAY);
    for k in 0..10 {
        let (x, y) = batch(k, &device);
        let loss = values(teacher.step(x, y, rate))[0];
        let want = io.numbers("losses_f64")[k];
        assert!((loss - want).abs() < TOLERANCE, "{name}: loss {loss} instead of {want} at step {k}");
        if k == 0 {
            compare(&teacher.taught(), "after1::");
            compare(&teacher.taught(), "buf1::");
        }
    }
    compare(&teacher.taught(), "after10::");
    compare(&teacher.taught(), "buf10::");
    if undetermined.is_empty() {
        let answer = teacher.taught().forward(batch(0, &Device::flex()).0);
        near(answer, &io.numbers("eval_out_after_f64"), TOLERANCE);
    }
}

#[cfg_attr(test, test)]
pub(crate) fn all_of_a_plain_network_learns_as_in_pytorch() {
    let device = Device::flex().autodiff();
    learns_as_pytorch("train_full_plain_tiny", || Pupil::full(plain(&device)), RATE, &[]);
    learns_as_pytorch("train_full_plain_paperlr_tiny", || Pupil::full(plain(&device)), 1e-5, &[]);
}

/// With a batch's statistics, with the running ones, and with the batch's where no bias stands before a norm.
#[cfg_attr(test, test)]
pub(crate) fn all_of_a_published_head_learns_as_in_pytorch() {
    let device = Device::flex().autodiff();
    let frozen = || Pupil::full(normed(&device).with_frozen_statistics());
    learns_as_pytorch("train_full_bn_eval_tiny", frozen, RATE, &[]);
    let held = || Pupil::full(normed(&device).map(&mut HoldBiases(0)));
    learns_as_pytorch("train_full_bn_train_frozenprebias_tiny", held, RATE, &[]);
    // A bias before a norm has no gradient but rounding errors, which Adam turns into whole steps; means follow.
    let undetermined = ["network.0.bias", "network.4.bias", "network.8.bias", "running_mean"];
    learns_as_pytorch("train_full_bn_train_tiny", || Pupil::full(normed(&device)), RATE, &undetermined);
}

/// Holds the first three vectors of a network: the biases of its hidden layers.
struct HoldBiases(usize);

impl ModuleMapper for HoldBiases {
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
    let first = stored(&Io::new("train_lora_all4_tiny"), "init::");
    config.init(base, device).loaded(&first, "", device).expect("the adapters")
}

fn residual_head(device: &Device) -> ResidualHead {
    let head = ResidualHeadConfig::new(72).with_hidden(12).init(device);
    head.loaded(&stored(&Io::new("train_residual_tiny"), "init::"), "head.", device).expect("the head")
}

#[cfg_attr(test, test)]
pub(crate) fn adapters_learn_as_in_pytorch_and_their_base_stays() {
    let device = Device::flex().autodiff();
    let adapted = || Pupil::adapted(normed(&device), Adapter::Lora(lora(&normed(&device), &device)));
    learns_as_pytorch("train_lora_all4_tiny", adapted, RATE, &[]);
    let residual = || Pupil::adapted(normed(&device), Adapter::Residual(residual_head(&device)));
    learns_as_pytorch("train_residual_tiny", residual, RATE, &[]);

    for make in [&adapted as &dyn Fn() -> Pupil, &residual] {
        let mut teacher = Teacher::new(make(), DECAY);
        let (x, y) = batch(0, &device);
        teacher.step(x, y, RATE);
        let mut base = Tensors::default();
        Keyed::store(teacher.taught().base(), &mut base, "").expect("stored");
        let before = weights("mlp_bn_tiny");
        for slot in teacher.taught().base().slots("") {
            assert_eq!(
                base.get(&slot.name, &slot.shape).ok(),
                before.get(&slot.name, &slot.shape).ok(),
                "{}",
                slot.name
            );
        }
    }
}

/// The same on the device that is checked, which may be one that nobody may wait for: the losses of ten steps, and what the
/// taught networks answer.
#[cfg_attr(test, test)]
pub(crate) fn ten_steps_have_pytorchs_losses() {
    let (device, with_gradients) = (device(), device().autodiff());
    let base = || normed(&with_gradients);
    let pupils = [
        ("train_full_plain_tiny", Pupil::full(plain(&with_gradients))),
        ("train_lora_all4_tiny", Pupil::adapted(base(), Adapter::Lora(lora(&base(), &with_gradients)))),
        ("train_residual_tiny", Pupil::adapted(base(), Adapter::Residual(residual_head(&with_gradients)))),
    ];
    for (name, pupil) in pupils {
        let io = Io::new(name);
        let mut teacher = Teacher::new(pupil, DECAY);
        for (k, want) in io.numbers("losses_f64").into_iter().take(10).enumerate() {
            let (x, y) = batch(k, &with_gradients);
            near(teacher.step(x, y, RATE).inner(), &[want], TOLERANCE);
        }
        near(teacher.taught().forward(batch(0, &device).0), &io.numbers("eval_out_after_f64"), TOLERANCE);
    }
}

/// Dropout belongs to a network that is taught itself, not to one that an adapter stands on.
#[cfg_attr(test, test)]
pub(crate) fn nothing_is_dropped_under_an_adapter() {
    let device = Device::flex().autodiff();
    let config = MlpConfig::new(vec![72, 32, 16, 8, 1]).with_batch_norm(true).with_dropout(0.5);
    let base = || config.load(&weights("mlp_bn_tiny"), "", &device).expect("the network");
    let x = batch(0, &device).0;
    let adapted = Pupil::adapted(base(), Adapter::Lora(lora(&base(), &device)));
    near(adapted.forward(x), &Io::new("train_lora_all4_tiny").numbers("pred_step1"), TOLERANCE);
}

/// W + (α/r)·B·A, multiplied out by PyTorch, is the adapted network.
#[cfg_attr(test, test)]
pub(crate) fn merged_adapters_are_the_adapted_network() {
    let device = Device::flex();
    for name in ["mlp_lora_all4", "mlp_lora_hidden3"] {
        let io = Io::new(&format!("{name}_tiny_io"));
        let config = MlpConfig::new(vec![72, 32, 16, 8, 1]).with_batch_norm(true);
        let merged = config.load(&weights(&format!("{name}_merged_tiny")), "", &device).expect("the network");
        near(merged.forward(io.tensor("x", &device)), &io.numbers("unmerged_f64"), 5e-6);
    }
}

/// PyTorch's first and second moments after ten steps, from burn's optimiser taken array by array.
#[cfg_attr(test, test)]
pub(crate) fn the_optimisers_moments_are_pytorchs() {
    let device = Device::flex().autodiff();
    for (name, mut pupil) in [
        ("train_full_plain_tiny", Pupil::full(plain(&device))),
        ("train_lora_all4_tiny", Pupil::adapted(normed(&device), Adapter::Lora(lora(&normed(&device), &device)))),
        ("train_residual_tiny", Pupil::adapted(normed(&device), Adapter::Residual(residual_head(&device)))),
    ] {
        let mut steps = Steps { optimiser: adamw(DECAY), gradients: GradientsParams::new(), states: HashMap::new() };
        for k in 0..10 {
            let (x, y) = batch(k, &device);
            let loss = squared_error(pupil.forward(x), y);
            steps.gradients = GradientsParams::from_grads(loss.backward(), &pupil);
            pupil = pupil.map(&mut steps);
        }
        let io = Io::new(name);
        agree(name, &taught(&pupil), &io, "after10::", TOLERANCE, &[]);
        for (second, prefix) in [(false, "exp_avg10::"), (true, "exp_avg_sq10::")] {
            let moments = pupil.clone().map(&mut Moments { states: &steps.states, second });
            agree(name, &taught(&moments), &io, prefix, GRADIENT, &[]);
        }
    }
}

/// The optimiser's state of every array.
type States = HashMap<ParamId, Box<dyn Any>>;

/// One step of the optimiser on every array that has a gradient.
struct Steps {
    optimiser: AdamW,
    gradients: GradientsParams,
    states: States,
}

impl ModuleMapper for Steps {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return param };
        let state = self.states.remove(&param.id).and_then(|s| s.downcast::<AdamWState<D>>().ok()).map(|s| *s);
        let (stepped, state) = self.optimiser.step(RATE, param.val().inner(), gradient, state);
        self.states.insert(param.id, Box::new(state.expect("a state")));
        Param::initialized(param.id, Tensor::from_inner(stepped).require_grad())
    }
}

/// Arrays replaced by their first or second moment.
struct Moments<'a> {
    states: &'a States,
    second: bool,
}

impl ModuleMapper for Moments<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(state) = self.states.get(&param.id).and_then(|s| s.downcast_ref::<AdamWState<D>>()) else {
            return param;
        };
        let moment = if self.second { &state.momentum.moment_2 } else { &state.momentum.moment_1 };
        Param::initialized(param.id, Tensor::from_inner(moment.clone()))
    }
}

#[cfg_attr(test, test)]
pub(crate) fn the_learning_rate_is_the_published_one() {
    let json: serde_json::Value = serde_json::from_slice(&bytes("lr_schedule.json")).expect("JSON");
    let schedule = WarmupCosine { peak: 1e-4, warmup: 1000, total: 10_000 };
    for pair in json["cosine_warmup"].as_array().expect("pairs") {
        let (step, want) = (pair[0].as_u64().expect("a step"), pair[1].as_f64().expect("a rate"));
        let got = schedule.rate(step as usize);
        assert!((got - want).abs() < 1e-15, "{got} instead of {want} at step {step}");
    }
}

#[cfg_attr(test, test)]
pub(crate) fn the_loss_around_the_weights_is_numpys() {
    let (device, io) = (Device::flex(), Io::new("landscape_plain_tiny"));
    let (centre, delta, eta) = (weights("mlp_plain_tiny"), stored(&io, "dir0::"), stored(&io, "dir1::"));
    let data = Io::new("train_data");
    let (x, y) = (data.tensor::<2>("X", &device).narrow(0, 0, 16), data.tensor::<2>("y", &device).narrow(0, 0, 16));
    let around = Surroundings::new(plain(&device), [&delta, &eta], &device).expect("directions that fit");
    let (steps, mse) = (io.numbers("alpha"), io.numbers("mse"));
    assert_eq!(mse.len(), steps.len() * steps.len());
    for (i, want) in mse.into_iter().enumerate() {
        let network = around.at(steps[i / steps.len()], steps[i % steps.len()]);
        let got = values(squared_error(network.forward(x.clone()), y.clone()))[0];
        assert!((got - want).abs() < 1e-5 * want.max(1.0), "{got} instead of {want}");
    }

    // The fixture's directions are normalised already: to normalise them again changes nothing.
    for direction in [delta, eta, landscape::direction(&centre, 3).expect("a direction")] {
        let again = landscape::filter_normalised(&direction, &centre).expect("normalised");
        for name in centre.names() {
            let shape = centre.shape(name).expect("its shape");
            let of = |t: &Tensors| t.get(name, shape).expect(name).iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            assert!(distance(&of(&again), &of(&direction)) < 1e-6, "{name}");
            assert!(shape.len() > 1 || of(&direction).iter().all(|d| *d == 0.0), "{name} does not move");
        }
    }
}

/// The encoder's own training: six stretches of ten tokens zeroed at PyTorch's offsets, loss and gradients.
#[cfg_attr(test, test)]
pub(crate) fn masked_training_has_pytorchs_loss_and_gradients() {
    let (device, io) = (Device::flex().autodiff(), Io::new("lrs_mt_tiny_io"));
    let config = MaskedTransformerConfig::new(TokensConfig::Slices(SliceConfig::new()));
    let config = config.with_embed_dim(48).with_num_layers(2).with_num_heads(3);
    let network = config.init(&device).loaded(&weights("lrs_mt_tiny"), "", &device).expect("the network");
    let masking = Masking { chunks: 6, width: 10 };
    let offsets: Vec<usize> = io.numbers("mask_locs").iter().map(|o| *o as usize).collect();
    assert!(offsets.iter().all(|o| *o < masking.offsets(146)));
    let tokens = network.tokens(io.tensor("x", &device));
    let loss = network.masked_loss(masking.apply(tokens.clone(), &offsets), tokens);
    let want = io.numbers("masked_loss")[0];
    let got = values(loss.clone().inner())[0];
    assert!((got - want).abs() < 5e-5, "{got} instead of {want}");
    let gradients = GradientsParams::from_grads(loss.backward(), &network);
    let mut found = Tensors::default();
    Keyed::store(&network.map(&mut Gradients(gradients)), &mut found, "").expect("stored");
    agree("masked training", &found, &io, "grad::", 5e-4, &[]);
}
