//! Small versions of the published networks with `PyTorch`'s weights, compared with `PyTorch`'s outputs (`tests/golden`).
//!
//! Each pitfall of the published code has its own test. The test compares with the right output, and shows that the
//! output of the mistaken code is far off.

use crate::support::golden::{Io, assert_near, device, distance, values, weights};
use burn::tensor::{Device, Tensor};
use specola::nn::autoencoder::{AutoencoderConfig, StatisticsConfig};
use specola::nn::clip::{Clip, ClipConfig, DecodersConfig, contrastive_loss, lrs_flux};
use specola::nn::masked_transformer::{MaskedTransformer, MaskedTransformerConfig};
use specola::nn::projection::{LrsProjectionConfig, XpProjectionConfig};
use specola::nn::state_dict::{StateDict, count_parameters};
use specola::nn::tokens::{SliceConfig, TokensConfig};

fn lrs_tiny(width: usize, heads: usize, positions: usize) -> MaskedTransformerConfig {
    MaskedTransformerConfig::lrs()
        .with_embed_dim(width)
        .with_num_layers(2)
        .with_num_heads(heads)
        .with_max_len(positions)
}

fn lrs_encoder(device: &Device) -> MaskedTransformer {
    let network = lrs_tiny(48, 3, 150).init(device);
    network.load(&weights("lrs_mt_tiny"), "", device).expect("the network")
}

#[cfg_attr(test, test)]
pub(crate) fn lrs_transformer_matches_pytorch() {
    let (device, io) = (device(), Io::new("lrs_mt_tiny_io"));
    let network = lrs_encoder(&device);
    let tokens = network.tokens(io.tensor("x", &device));
    assert_near(tokens.clone(), &io.numbers("tokens"), 5e-5);
    let embedding = network.forward(tokens.clone());
    assert_near(embedding.clone(), &io.numbers("embedding"), 5e-5);
    assert_near(network.reconstruct(embedding.clone().narrow(0, 0, 1)), &io.numbers("recon_s0"), 5e-5);
    assert_near(network.embed(io.tensor("x", &device)), &io.numbers("mean_embedding64"), 5e-5);
}

#[cfg_attr(test, test)]
pub(crate) fn attention_is_scaled_twice() {
    let (device, io) = (Device::flex(), Io::new("lrs_mt_tiny_io"));
    let got = values(lrs_encoder(&device).embed(io.tensor("x", &device)));
    assert!(distance(&got, &io.numbers("mean_embedding")) < 5e-5);
    assert!(distance(&got, &io.numbers("mean_embedding_if_single_scaled")) > 0.01);
}

#[cfg_attr(test, test)]
pub(crate) fn lrs_spectrum_has_146_tokens_without_its_last_two_pixels() {
    let device = Device::flex();
    let tokens = TokensConfig::Slices(SliceConfig::new());
    assert_eq!((tokens.count(1462), tokens.count(52), TokensConfig::Pixels.count(343)), (146, 5, 344));
    let x: Tensor<2> = Io::new("lrs_mt_tiny_io").tensor("x", &device);
    let x = tokens.forward(x);
    assert_eq!(x.dims(), [2, 146, 21]);
    assert_eq!(lrs_encoder(&device).forward(x).dims(), [2, 146, 48]);
    assert_eq!(TokensConfig::Pixels.forward(Tensor::ones([1, 343], &device)).dims(), [1, 344, 3]);
}

#[cfg_attr(test, test)]
pub(crate) fn short_spectra_have_as_many_tokens_as_counted() {
    for pixels in [2, 9, 10, 19, 20, 21, 30, 31] {
        let x = Tensor::<2>::ones([1, pixels], &Device::flex());
        let tokens = TokensConfig::Slices(SliceConfig::new());
        assert_eq!(tokens.forward(x).dims(), [1, tokens.count(pixels), 21]);
    }
}

#[cfg_attr(test, test)]
pub(crate) fn xp_transformer_matches_pytorch() {
    let (device, io) = (device(), Io::new("xp_mt_tiny_io"));
    let config = MaskedTransformerConfig::xp().with_embed_dim(24).with_num_layers(2).with_num_heads(3);
    let network = config.init(&device).load(&weights("xp_mt_tiny"), "", &device).expect("the network");
    let x: Tensor<2> = io.tensor("x", &device);
    let tokens = network.tokens(x.clone().narrow(0, 0, 1));
    assert_near(tokens.clone(), &io.numbers("tokens_s0"), 3e-5);
    let embedding = network.forward(tokens);
    assert_near(embedding.clone(), &io.numbers("embedding_s0"), 3e-5);
    assert_near(network.reconstruct(embedding), &io.numbers("recon_s0"), 3e-5);
    assert_near(network.embed(x), &io.numbers("mean_embedding64"), 3e-5);
}

#[cfg_attr(test, test)]
pub(crate) fn autoencoders_match_pytorch() {
    let device = device();
    for (name, config) in [
        ("xp_oae_tiny", AutoencoderConfig::new(StatisticsConfig::MeanStd, 343, 20).with_bottleneck_dim(48)),
        ("lrs_oae_tiny", AutoencoderConfig::new(StatisticsConfig::LogStd, 72, 16).with_bottleneck_dim(24)),
    ] {
        let io = Io::new(&format!("{name}_io"));
        let network = config.init(&device).load(&weights(name), "", &device).expect(name);
        let x: Tensor<2> = io.tensor("x", &device);
        assert_near(network.input(x.clone()), &io.numbers("pre"), 3e-5);
        let latent = network.embed(x);
        assert_near(latent.clone(), &io.numbers("latent64"), 3e-5);
        assert_near(network.reconstruct(latent), &io.numbers("recon"), 3e-5);
    }
}

fn clip_tiny(widths: Vec<usize>, heads: Vec<usize>) -> ClipConfig {
    ClipConfig::new(
        lrs_tiny(16, 2, 12),
        AutoencoderConfig::new(StatisticsConfig::MeanStd, 11, 12).with_bottleneck_dim(16),
        LrsProjectionConfig::new(16, widths.clone(), heads),
        XpProjectionConfig::new(16, widths).with_inner_width(24),
    )
}

fn decoders(xp: &[usize], lrs: &[usize]) -> Option<DecodersConfig> {
    Some(DecodersConfig::new(xp.to_vec(), lrs.to_vec()).with_lrs_pixels(52))
}

fn clip(name: &str, config: &ClipConfig, device: &Device) -> Clip {
    config.init(device).load(&weights(name), "", device).expect(name)
}

#[cfg_attr(test, test)]
pub(crate) fn base_model_matches_pytorch() {
    let (device, io) = (device(), Io::new("clip_base_tiny_io"));
    let model = clip("clip_base_tiny", &clip_tiny(vec![16], vec![4]), &device);
    let (x_lrs, x_xp): (Tensor<2>, Tensor<2>) = (io.tensor("x_lrs", &device), io.tensor("x_xp", &device));
    assert_near(model.xp.embed(x_xp.clone()), &io.numbers("xp_backbone_latent"), 5e-5);
    assert_near(model.lrs.forward(model.lrs.tokens(x_lrs.clone())), &io.numbers("lrs_backbone_embedding"), 5e-5);
    assert_near(model.attend_lrs(x_lrs.clone()).expect("a branch"), &io.numbers("xattn_raw"), 5e-5);
    let (xp, lrs) = (model.embed_xp(x_xp), model.embed_lrs(x_lrs));
    assert_near(xp.clone(), &io.numbers("gaia_f64"), 5e-5);
    assert_near(lrs.clone(), &io.numbers("lamost_f64"), 5e-5);
    assert_near(contrastive_loss(xp, lrs), &io.numbers("clip_loss_f64"), 5e-5);
    assert!(model.decoders().is_none());
}

fn check_decoders(model: &Clip, io: &Io, device: &Device) {
    let (x_lrs, x_xp): (Tensor<2>, Tensor<2>) = (io.tensor("x_lrs", device), io.tensor("x_xp", device));
    let (xp, lrs) = (model.embed_xp(x_xp), model.embed_lrs(x_lrs.clone()));
    let decoders = model.decoders().expect("decoders");
    assert_near(decoders.xp(xp.clone()), &io.numbers("gaia_recon_f64"), 5e-5);
    let standardised = decoders.lrs_standardised(lrs.clone());
    assert_near(standardised.clone(), &io.numbers("lamost_recon_standardised_f64"), 5e-5);
    assert_near(lrs_flux(standardised, x_lrs), &io.numbers("lamost_recon_flux_f64"), 5e-5);
    assert_near(model.xp_from_lrs(lrs.clone()).expect("a decoder"), &io.numbers("gaia_from_lamost_f64"), 5e-5);
    assert_near(model.lrs_from_xp(xp.clone()).expect("a decoder"), &io.numbers("lamost_from_gaia_f64"), 5e-5);
    assert_near(contrastive_loss(model.shared(xp), model.shared(lrs)), &io.numbers("clip_loss_f64"), 5e-5);
}

#[cfg_attr(test, test)]
pub(crate) fn pr_model_matches_pytorch() {
    let (device, io) = (device(), Io::new("clip_pr_tiny_io"));
    let config = clip_tiny(vec![16], vec![4]).with_decoders(decoders(&[64, 32, 16], &[64; 3]));
    let model = clip("clip_pr_tiny", &config, &device);
    assert_near(model.embed_xp(io.tensor("x_xp", &device)), &io.numbers("gaia_f64"), 5e-5);
    assert_near(model.embed_lrs(io.tensor("x_lrs", &device)), &io.numbers("lamost_f64"), 5e-5);
    check_decoders(&model, &io, &device);
}

fn split_config() -> ClipConfig {
    clip_tiny(vec![12, 4], vec![4, 2]).with_decoders(decoders(&[48, 24, 12], &[48; 3]))
}

#[cfg_attr(test, test)]
pub(crate) fn split_model_matches_pytorch() {
    let (device, io) = (device(), Io::new("clip_split_tiny_io"));
    let model = clip("clip_split_tiny", &split_config(), &device);
    let (x_lrs, x_xp): (Tensor<2>, Tensor<2>) = (io.tensor("x_lrs", &device), io.tensor("x_xp", &device));
    assert_near(model.embed_lrs(x_lrs.clone()), &io.numbers("concat_lamost"), 5e-5);
    assert_near(model.attend_lrs(x_lrs).expect("a branch"), &io.numbers("xattn_shared_raw"), 5e-5);
    let xp = model.embed_xp(x_xp);
    assert_near(model.shared(xp.clone()), &io.numbers("gaia_shared_f64"), 5e-5);
    assert_near(xp.narrow(1, 12, 4), &io.numbers("gaia_private_f64"), 5e-5);
    check_decoders(&model, &io, &device);
}

/// The base model has query, key and value in one matrix, the split model in three. Neither loads as the other.
#[cfg_attr(test, test)]
pub(crate) fn projections_are_packed_in_base_and_separate_in_split() {
    let device = Device::flex();
    let base = clip_tiny(vec![16], vec![4]).init(&device);
    let names: Vec<String> = base.array_specs("").into_iter().map(|s| s.name).collect();
    assert!(names.contains(&"lamost_lrs_encoder.cross_attention.multihead_attn.in_proj_weight".into()));
    assert!(!names.iter().any(|n| n.contains("k_proj_weight")));
    let split = split_config().init(&device);
    let names: Vec<String> = split.array_specs("").into_iter().map(|s| s.name).collect();
    for part in ["q", "k", "v"] {
        let name = format!("lamost_lrs_encoder.private_attention.multihead_attn.{part}_proj_weight");
        assert!(names.contains(&name), "{name}");
    }
    assert!(!names.iter().any(|n| n.ends_with("in_proj_weight")));
    let error = base.load(&weights("clip_split_tiny"), "", &device).expect_err("another model");
    assert!(error.to_string().contains("gaia_xp_encoder.projection.weight"), "{error}");
}

#[cfg_attr(test, test)]
pub(crate) fn networks_have_every_key_of_the_files() {
    let device = Device::flex();
    let pr = clip_tiny(vec![16], vec![4]).with_decoders(decoders(&[64, 32, 16], &[64; 3]));
    for (name, array_specs) in [
        ("clip_base_tiny", clip_tiny(vec![16], vec![4]).init(&device).array_specs("")),
        ("clip_pr_tiny", pr.init(&device).array_specs("")),
        ("clip_split_tiny", split_config().init(&device).array_specs("")),
        ("lrs_mt_tiny", lrs_tiny(48, 3, 150).init(&device).array_specs("")),
    ] {
        let known: Vec<&str> = array_specs.iter().map(|s| s.name.as_str()).collect();
        let tensors = weights(name);
        let unknown: Vec<&str> =
            tensors.names().filter(|n| !known.contains(n) && !n.ends_with("num_batches_tracked")).collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
    }
}

#[cfg_attr(test, test)]
pub(crate) fn full_size_networks_have_the_published_parameter_counts() {
    let device = Device::flex();
    let count = |array_specs: Vec<_>| count_parameters(&array_specs);
    assert_eq!(count(MaskedTransformerConfig::lrs().init(&device).array_specs("")), 42_677_013);
    assert_eq!(count(MaskedTransformerConfig::xp().init(&device).array_specs("")), 42_802_947);
    assert_eq!(count(AutoencoderConfig::xp().init(&device).array_specs("")), 42_846_129);
    assert_eq!(count(AutoencoderConfig::lrs().init(&device).array_specs("")), 42_791_927);
    assert_eq!(count(LrsProjectionConfig::base().init(&device).array_specs("")), 7_087_104);
    assert_eq!(count(LrsProjectionConfig::split().init(&device).array_specs("")), 4_465_664);
    assert_eq!(count(XpProjectionConfig::base().init(&device).array_specs("")), 7_100_568);
    assert_eq!(count(XpProjectionConfig::split().init(&device).array_specs("")), 5_006_896);
    assert_eq!(count(ClipConfig::base().init(&device).array_specs("")), 99_710_814);
    let pr = ClipConfig::pr().init(&device).array_specs("");
    let split = ClipConfig::split().init(&device).array_specs("");
    let part = |array_specs: &[_], prefix: &str| {
        let array_specs: &[specola::nn::state_dict::ArraySpec] = array_specs;
        count_parameters(&array_specs.iter().filter(|s| s.name.starts_with(prefix)).cloned().collect::<Vec<_>>())
    };
    assert_eq!(part(&pr, "gaia_xp_decoder."), 8_537_431);
    assert_eq!(part(&pr, "gaia_xp_cross_decoder."), 8_537_431);
    assert_eq!(part(&pr, "lamost_lrs_decoder."), 25_754_038);
    assert_eq!(part(&split, "lamost_lrs_decoder."), 13_954_790);
    assert_eq!(part(&split, "gaia_xp_decoder."), 971_033);
    assert_eq!(part(&split, "lamost_lrs_cross_decoder."), 12_451_254);
    assert_eq!(part(&split, "gaia_xp_cross_decoder."), 3_856_727);
    assert_eq!((count(pr), count(split)), (168_293_752, 126_229_506));
}

/// Weights stored and loaded again give the same network.
#[cfg_attr(test, test)]
pub(crate) fn stored_weights_equal_the_loaded_weights() {
    let device = Device::flex();
    let read = weights("clip_split_tiny");
    let mut written = specola::nn::weights::Tensors::default();
    let model = split_config().init(&device).load(&read, "", &device).expect("the network");
    model.store(&mut written, "").expect("stored");
    for spec in model.array_specs("") {
        assert_eq!(written.get(&spec.name, &spec.shape).ok(), read.get(&spec.name, &spec.shape).ok(), "{}", spec.name);
    }
}
