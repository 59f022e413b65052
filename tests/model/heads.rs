//! Regression heads, adapters and flows with `PyTorch`'s weights, compared with `PyTorch`'s outputs (`tests/golden`).

use crate::support::golden::{Io, assert_near, device, distance, values, weights};
use burn::module::{LoraAdapter, Module, Param, Reparameterization};
use burn::tensor::activation::{gelu, relu};
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use specola::nn::decoder::{Decoder, DecoderConfig};
use specola::nn::flow::{Flow, FlowConfig, FlowKind};
use specola::nn::lora::LoraConfig;
use specola::nn::residual_head::ResidualHeadConfig;
use specola::nn::state_dict::{StateDict, count_parameters};
use specola::nn::weights::Tensors;
use specola::nn::{Mlp, MlpConfig};

fn bn_config() -> MlpConfig {
    MlpConfig::new(vec![72, 32, 16, 8, 1]).with_batch_norm(true)
}

fn bn_head(device: &Device) -> Mlp {
    bn_config().load(&weights("mlp_bn_tiny"), "", device).expect("the network")
}

#[cfg_attr(test, test)]
pub(crate) fn heads_match_pytorch() {
    let (device, io) = (device(), Io::new("mlp_tiny_io"));
    let head = bn_head(&device);
    assert_near(head.forward(io.tensor("x", &device)), &io.numbers("out_bn_f64"), 5e-6);
    assert_near(head.forward(io.tensor("x_standardised", &device)), &io.numbers("out_bn_standardised_input"), 5e-6);
}

/// Compares the derivatives by each input with `PyTorch`'s autograd, with and without `BatchNorm` (docs/model-spec.md
/// §4.3).
#[cfg_attr(test, test)]
pub(crate) fn slopes_match_pytorch() {
    let (device, io) = (device(), Io::new("mlp_tiny_io"));
    assert_near(bn_head(&device).gradients(io.tensor("x", &device), 0), &io.numbers("saliency_bn_f64"), 5e-6);
    let plain =
        MlpConfig::new(vec![72, 32, 16, 8, 1]).load(&weights("mlp_plain_tiny"), "", &device).expect("the network");
    assert_near(plain.gradients(io.tensor("x", &device), 0), &io.numbers("saliency_plain_f64"), 5e-6);
    assert!(io.numbers("saliency_bn_f64").iter().any(|v| v.abs() > 1e-3), "the saliency is not all zero");
}

#[cfg_attr(test, test)]
pub(crate) fn heads_have_the_published_parameter_counts() {
    for (input, batch_norm, expected) in
        [(768, true, 1_348_353), (1462, true, 2_059_009), (343, true, 913_153), (1462, false, 2_055_809)]
    {
        let config = MlpConfig::new(vec![input, 1024, 512, 64, 1]).with_batch_norm(batch_norm);
        assert_eq!(count_parameters(&config.init(&Device::flex()).array_specs("")), expected);
    }
    let device = Device::flex();
    let base = MlpConfig::new(vec![1462, 1024, 512, 64, 1]).init(&device);
    assert_eq!(count_parameters(&LoraConfig::new().init(&base, &device).array_specs("")), 588_544);
    assert_eq!(
        count_parameters(&LoraConfig::new().with_output_layer(true).init(&base, &device).array_specs("")),
        596_864
    );
    assert_eq!(count_parameters(&ResidualHeadConfig::new(1462).init(&device).array_specs("")), 562_177);
}

fn array<const D: usize>(tensors: &Tensors, name: &str, device: &Device) -> Tensor<D> {
    let shape: [usize; D] = tensors.shape(name).expect(name).try_into().expect("D axes");
    Tensor::from_data(TensorData::new(tensors.get(name, &shape).expect(name).to_vec(), shape), device)
}

fn linear(tensors: &Tensors, layer: &str, x: Tensor<2>) -> Tensor<2> {
    let device = x.device();
    x.matmul(array::<2>(tensors, &format!("{layer}.weight"), &device).transpose())
        + array::<1>(tensors, &format!("{layer}.bias"), &device).unsqueeze_dim(0)
}

fn batch_norm(tensors: &Tensors, layer: &str, x: Tensor<2>) -> Tensor<2> {
    let device = x.device();
    let parameter = |part: &str| array::<1>(tensors, &format!("{layer}.{part}"), &device).unsqueeze_dim::<2>(0);
    (x - parameter("running_mean")) / (parameter("running_var") + 1e-5).sqrt() * parameter("weight") + parameter("bias")
}

/// The reversed order of norm and activation gives another output.
#[cfg_attr(test, test)]
pub(crate) fn batch_norm_comes_before_relu_in_heads_and_after_gelu_in_decoders() {
    let (device, io) = (Device::flex(), Io::new("mlp_tiny_io"));
    let (head, x) = (weights("mlp_bn_tiny"), io.tensor::<2>("x", &device));
    let wrong = [0, 4, 8].iter().fold(x.clone(), |x, i| {
        batch_norm(&head, &format!("network.{}", i + 1), relu(linear(&head, &format!("network.{i}"), x)))
    });
    let wrong = values(linear(&head, "network.12", wrong));
    assert!(distance(&wrong, &io.numbers("out_bn_f64")) > 0.01);
    assert_near(bn_head(&device).forward(x), &io.numbers("out_bn_f64"), 5e-6);

    let (model, io) = (weights("clip_pr_tiny"), Io::new("clip_pr_tiny_io"));
    let embedding = io.tensor::<2>("gaia", &device);
    let layer_name = |i: usize| format!("lamost_lrs_cross_decoder.decoder.{i}");
    let wrong = [0, 4, 8].iter().fold(embedding.clone(), |x, i| {
        gelu(batch_norm(&model, &layer_name(i + 2), linear(&model, &layer_name(*i), x)))
    });
    let wrong = values(linear(&model, &layer_name(12), wrong));
    assert!(distance(&wrong, &io.numbers("lamost_from_gaia_f64")) > 0.01);
    let decoder: Decoder = DecoderConfig::new(vec![16, 64, 64, 64, 52]).init(&device);
    let decoder = decoder.load(&model, "lamost_lrs_cross_decoder.", &device).expect("the decoder");
    assert_near(decoder.forward(embedding), &io.numbers("lamost_from_gaia_f64"), 5e-5);
}

/// Compares the running statistics after one step with `PyTorch`'s, which add the unbiased variance of the batch.
#[cfg_attr(test, test)]
pub(crate) fn batch_statistics_match_pytorch() {
    let device = Device::flex().autodiff();
    let (data, io) = (Io::new("train_data"), Io::new("train_full_bn_train_frozenprebias_tiny"));
    let head = bn_config().load(&weights("mlp_bn_tiny"), "", &device).expect("the network");
    let batch = data.tensor::<2>("X", &device).narrow(0, 0, 8);
    assert_near(head.forward(batch), &io.numbers("pred_step1"), 1e-5);
    let mut trained = Tensors::default();
    head.valid().store(&mut trained, "").expect("stored");
    for layer in [1, 5, 9] {
        for part in ["running_mean", "running_var"] {
            let name = format!("network.{layer}.{part}");
            let got: Vec<f64> = trained
                .get(&name, trained.shape(&name).expect("stored"))
                .expect("stored")
                .iter()
                .map(|v| f64::from(*v))
                .collect();
            assert!(distance(&got, &io.numbers(&format!("buf1::{name}"))) < 1e-5, "{name}");
        }
    }
    let frozen = bn_config().load(&weights("mlp_bn_tiny"), "", &device).expect("the network").with_frozen_statistics();
    assert_near(
        frozen.forward(Io::new("mlp_tiny_io").tensor("x", &device)),
        &Io::new("mlp_tiny_io").numbers("out_bn_f64"),
        5e-6,
    );
}

#[cfg_attr(test, test)]
pub(crate) fn residual_head_matches_pytorch() {
    let (device, io) = (device(), Io::new("mlp_residual_tiny_io"));
    let head = ResidualHeadConfig::new(72).with_hidden(12).init(&device);
    let head = head.load(&weights("mlp_residual_head_tiny"), "", &device).expect("the head");
    let x: Tensor<2> = io.tensor("x", &device);
    assert_near(head.forward(x.clone()), &io.numbers("head_out"), 5e-6);
    assert_near(bn_head(&device).forward(x.clone()) + head.forward(x), &io.numbers("out_f64"), 5e-6);
}

#[cfg_attr(test, test)]
pub(crate) fn lora_matches_pytorch() {
    let device = device();
    for (name, output_layer) in [("mlp_lora_all4", true), ("mlp_lora_hidden3", false)] {
        let io = Io::new(&format!("{name}_tiny_io"));
        let base = bn_head(&device);
        let config = LoraConfig::new().with_rank(4).with_alpha(8.0).with_output_layer(output_layer);
        let lora = config.init(&base, &device);
        let x: Tensor<2> = io.tensor("x", &device);
        assert_near(lora.forward(&base, x.clone()), &values(base.forward(x.clone())), 1e-9);
        let lora = lora.load(&weights(&format!("{name}_tiny")), "", &device).expect(name);
        assert_near(lora.forward(&base, x.clone()), &io.numbers("unmerged_f64"), 5e-6);
        assert_near(lora.forward(&base, x), &io.numbers("merged"), 5e-6);
    }
}

/// burn multiplies B·A out and adds it to the weights; Specola applies A and B to the activations.
#[cfg_attr(test, test)]
pub(crate) fn lora_matches_burn() {
    let device = Device::flex();
    device.seed(7);
    let random = |rows, columns| Tensor::<2>::random([rows, columns], Distribution::Default, &device);
    let base = MlpConfig::new(vec![12, 4]).init(&device);
    let (a, b, x) = (random(12, 3), random(3, 4), random(5, 12));
    let mut weights = Tensors::default();
    weights.insert_tensor("network.0.lora_A", a.clone().transpose()).expect("stored");
    weights.insert_tensor("network.0.lora_B", b.clone().transpose()).expect("stored");
    let ours = LoraConfig::new().with_rank(3).with_alpha(6.0).with_output_layer(true).init(&base, &device);
    let ours = ours.load(&weights, "", &device).expect("the adapters");
    let theirs = LoraAdapter { a: Param::from_tensor(a), b: Param::from_tensor(b), scale: 2.0 };
    let mut stored = Tensors::default();
    base.store(&mut stored, "").expect("stored");
    let weight = array::<2>(&stored, "network.0.weight", &device).transpose();
    let expected =
        x.clone().matmul(theirs.apply(weight)) + array::<1>(&stored, "network.0.bias", &device).unsqueeze_dim(0);
    assert_near(ours.forward(&base, x), &values(expected), 1e-5);
}

fn flow(name: &str, kind: FlowKind, features: usize, device: &Device) -> Flow {
    let config = FlowConfig::new(kind, features, 24).with_hidden(10);
    config.init(device).load(&weights(name), "net.", device).expect(name)
}

fn repeat(x: Tensor<2>, times: usize) -> Tensor<2> {
    let [n, width] = x.dims();
    x.unsqueeze_dim::<3>(1).expand([n, times, width]).reshape([n * times, width])
}

#[cfg_attr(test, test)]
pub(crate) fn flows_match_pytorch() {
    let device = device();
    for (name, kind, features) in [
        ("maf1d_tiny", FlowKind::Maf, 1),
        ("maf3d_tiny", FlowKind::Maf, 3),
        ("nsf1d_tiny", FlowKind::Nsf, 1),
        ("nsf3d_tiny", FlowKind::Nsf, 3),
    ] {
        let io = Io::new(&format!("{name}_io"));
        let flow = flow(name, kind, features, &device);
        let x: Tensor<2> = io.tensor("x", &device);
        assert_near(flow.embed_context(x.clone()), &io.numbers("embedded_context"), 1e-5);
        let theta = io.tensor::<2>("theta", &device).unsqueeze_dim::<3>(0).expand([3, 6, features]);
        let theta = theta.reshape([18, features]);
        assert_near(flow.log_prob(theta.clone(), repeat(x.clone(), 6)), &io.numbers("log_prob_f64"), 2e-4);
        assert_near(flow.noise(theta, repeat(x.clone(), 6)).0, &io.numbers("noise_f64"), 1e-4);
        let z = io.tensor::<2>("z", &device).unsqueeze_dim::<3>(0).expand([3, 8, features]).reshape([24, features]);
        let (samples, log_det) = flow.inverse(z, repeat(x.clone(), 8));
        assert_near(samples.clone(), &io.numbers("samples_from_z_f64"), 1e-4);
        assert_near(log_det.clone(), &io.numbers("inverse_logabsdet_f64"), 2e-4);
        let (noise, forward_log_det) = flow.noise(samples, repeat(x, 8));
        assert_near(noise, &io.numbers("z").repeat(3), 2e-3);
        assert_near(forward_log_det + log_det, &[0.0; 24], 2e-3);
    }
}

/// Compares the median and standard deviation of samples with those of 2,000 samples by `sbi` from the same posterior.
/// They agree within the sampling noise.
#[cfg_attr(test, test)]
pub(crate) fn flow_samples_match_sbi() {
    let device = Device::flex();
    device.seed(11);
    for (name, kind) in [("sbi_maf_0233", FlowKind::Maf), ("sbi_nsf_0233", FlowKind::Nsf)] {
        let io = Io::new(&format!("{name}_io"));
        let flow = flow(name, kind, 1, &device);
        let x: Tensor<2> = io.tensor::<1>("x", &device).unsqueeze_dim(0);
        let theta: Tensor<2> = io.tensor("theta", &device);
        assert_near(flow.log_prob(theta, repeat(x.clone(), 4)), &io.numbers("posterior_log_prob"), 2e-4);
        let mut samples = values(flow.sample(x, 4000));
        samples.sort_by(f64::total_cmp);
        let (median, std) = (io.numbers("posterior_median_2000")[0], io.numbers("posterior_std_2000")[0]);
        assert!((samples[2000] - median).abs() < 0.15 * std, "{name}: {} instead of {median}", samples[2000]);
        let mean = samples.iter().sum::<f64>() / 4000.0;
        let spread = (samples.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 4000.0).sqrt();
        assert!((spread / std - 1.0).abs() < 0.15, "{name}: {spread} instead of {std}");
    }
}

#[cfg_attr(test, test)]
pub(crate) fn full_size_flows_have_the_published_parameter_counts() {
    for (kind, expected) in [(FlowKind::Maf, 107_404), (FlowKind::Nsf, 103_138)] {
        let flow = FlowConfig::new(kind, 1, 768).init(&Device::flex());
        assert_eq!(count_parameters(&flow.array_specs("")), expected, "{kind:?}");
    }
}

/// A flow with initial weights is invertible, and its density integrates to one.
#[cfg_attr(test, test)]
pub(crate) fn untrained_flow_is_a_normalised_density() {
    let device = Device::flex();
    device.seed(3);
    for kind in [FlowKind::Maf, FlowKind::Nsf] {
        let flow = FlowConfig::new(kind, 1, 4).with_hidden(8).init(&device);
        let grid: Vec<f32> = (0..2001).map(|i| -10.0 + 0.01 * i as f32).collect();
        let theta = Tensor::<2>::from_data(TensorData::new(grid, [2001, 1]), &device);
        let density = flow.log_prob(theta, Tensor::ones([2001, 4], &device)).exp();
        let total: f64 = values(density).iter().sum::<f64>() * 0.01;
        assert!((total - 1.0).abs() < 1e-3, "{kind:?}: {total}");
        let flow = FlowConfig::new(kind, 5, 4).with_hidden(8).init(&device);
        let z = Tensor::<2>::random([50, 5], Distribution::Normal(0.0, 1.0), &device);
        let x = Tensor::<2>::ones([50, 4], &device);
        let (theta, _) = flow.inverse(z.clone(), x.clone());
        assert_near(flow.noise(theta, x).0, &values(z), 1e-3);
    }
}
