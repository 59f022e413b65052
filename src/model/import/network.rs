//! Recognition of the network in a checkpoint.
//!
//! The sizes come from the shapes of its tensors, which the file's length limits. The hyper-parameters give only the
//! numbers that no shape determines: attention heads and overlap of slices.

use std::io::{Read, Seek};

use burn::config::Config;
use burn::tensor::Device;

use super::checkpoint::Checkpoint;
use super::error::ImportError;
use crate::nn::MlpConfig;
use crate::nn::autoencoder::{AutoencoderConfig, StatisticsConfig};
use crate::nn::clip::{ClipConfig, DecodersConfig};
use crate::nn::flow::{FlowConfig, FlowKind};
use crate::nn::masked_transformer::MaskedTransformerConfig;
use crate::nn::projection::{LrsProjectionConfig, XpProjectionConfig};
use crate::nn::state_dict::{ArraySpec, StateDict};
use crate::nn::tokens::{SliceConfig, TokensConfig};

/// A recognised network with its sizes.
#[derive(Config, Debug)]
// Few of these exist at a time; a `Box` would only add an indirection.
#[allow(clippy::large_enum_variant, reason = "a few exist at a time")]
pub enum NetworkConfig {
    /// A masked transformer of either survey.
    MaskedTransformer(MaskedTransformerConfig),
    /// An auto-encoder of either survey.
    Autoencoder(AutoencoderConfig),
    /// A complete contrastive model.
    Clip(ClipConfig),
    /// A regression head.
    Mlp(MlpConfig),
    /// A normalising flow.
    Flow(FlowFileConfig),
}

/// A flow and the prefix of its arrays in the file.
#[derive(Config, Debug)]
pub struct FlowFileConfig {
    /// The flow.
    pub flow: FlowConfig,
    /// Prefix of its names: `net.` in the files of `sbi`.
    pub prefix: String,
}

/// Largest accepted number of blocks of a network.
const MAX_BLOCKS: usize = 1000;

impl NetworkConfig {
    /// All tensors of the network.
    pub fn array_specs(&self) -> Vec<ArraySpec> {
        let device = Device::flex();
        match self {
            Self::MaskedTransformer(config) => config.init(&device).array_specs(""),
            Self::Autoencoder(config) => config.init(&device).array_specs(""),
            Self::Clip(config) => config.init(&device).array_specs(""),
            Self::Mlp(config) => config.init(&device).array_specs(""),
            Self::Flow(file) => file.flow.init(&device).array_specs(&file.prefix),
        }
    }

    /// Description, and parameter count of the published network of this type.
    pub fn published(&self) -> (&'static str, usize) {
        match self {
            Self::MaskedTransformer(config) if config.tokens == TokensConfig::Pixels => {
                ("XP masked transformer", 42_802_947)
            }
            Self::MaskedTransformer(_) => ("LRS masked transformer", 42_677_013),
            Self::Autoencoder(config) if config.statistics == StatisticsConfig::MeanStd => {
                ("XP auto-encoder", 42_846_129)
            }
            Self::Autoencoder(_) => ("LRS auto-encoder", 42_791_927),
            Self::Clip(config) if config.lrs_head.widths.len() == 2 => ("CLIP model, split", 126_229_506),
            Self::Clip(config) if config.decoders.is_some() => ("CLIP model, pr", 168_293_752),
            Self::Clip(_) => ("CLIP model, base", 99_710_814),
            Self::Mlp(config) => match config.widths.first() {
                Some(1462) => ("regression head on 1,462 pixels", 2_059_009),
                Some(343) => ("regression head on 343 pixels", 913_153),
                _ => ("regression head", 1_348_353),
            },
            Self::Flow(file) if file.flow.kind == FlowKind::Maf => ("masked autoregressive flow", 107_404),
            Self::Flow(_) => ("neural spline flow", 103_138),
        }
    }

    pub(super) fn recognise<R: Read + Seek>(file: &Checkpoint<R>) -> Result<Self, ImportError> {
        let has_tensor = |name: &str| file.shape(name).is_some();
        if has_tensor("lamost_lrs_encoder.backbone.data_embed.weight") {
            clip(file).map(Self::Clip)
        } else if has_tensor("data_embed.weight") {
            transformer(file, "", &["hyper_parameters"]).map(Self::MaskedTransformer)
        } else if has_tensor("bottleneck_down.weight") {
            autoencoder(file, "", &["hyper_parameters"]).map(Self::Autoencoder)
        } else if has_tensor("network.0.weight") {
            mlp(file).map(Self::Mlp)
        } else if let Some(prefix) = flow_prefix(file) {
            flow(file, &prefix).map(|flow| Self::Flow(FlowFileConfig::new(flow, prefix)))
        } else {
            let first: Vec<&str> = file.shapes().map(|(name, _)| name).take(3).collect();
            let first = if first.is_empty() { "none".into() } else { first.join(", ") };
            Err(ImportError::NoNetwork { first })
        }
    }
}

/// Shape of a tensor with `D` axes. A zero in `expected` accepts any size.
fn shape<const D: usize, R: Read + Seek>(
    file: &Checkpoint<R>,
    name: String,
    expected: [usize; D],
) -> Result<[usize; D], ImportError> {
    let found =
        file.shape(&name).ok_or_else(|| ImportError::Missing { name: name.clone(), expected: expected.into() })?;
    match <[usize; D]>::try_from(found) {
        Ok(shape) if shape.iter().zip(expected).all(|(d, e)| e == 0 || *d == e) => Ok(shape),
        _ => Err(ImportError::Shape { name, found: found.to_vec(), expected: expected.into() }),
    }
}

fn count_blocks<R: Read + Seek>(file: &Checkpoint<R>, name: impl Fn(usize) -> String) -> usize {
    (0..MAX_BLOCKS).take_while(|i| file.shape(&name(*i)).is_some()).count()
}

/// Number of attention heads from its hyper-parameter, otherwise the published number; it must divide the width.
fn heads<R: Read + Seek>(
    file: &Checkpoint<R>,
    path: &[&str],
    width: usize,
    published: usize,
) -> Result<usize, ImportError> {
    let found = file.hyper_parameter(path).unwrap_or(published);
    let is_valid = found > 0 && found <= width && width.is_multiple_of(found);
    if is_valid { Ok(found) } else { Err(ImportError::HyperParameter { name: "the number of attention heads", found }) }
}

fn transformer<R: Read + Seek>(
    file: &Checkpoint<R>,
    prefix: &str,
    path: &[&str],
) -> Result<MaskedTransformerConfig, ImportError> {
    let [width, token] = shape(file, format!("{prefix}data_embed.weight"), [0, 0])?;
    let [positions, _] = shape(file, format!("{prefix}position_embed.weight"), [0, width])?;
    let hyper_parameter = |name: &str| file.hyper_parameter(&[path, &[name]].concat());
    let tokens = if token == 3 {
        TokensConfig::Pixels
    } else {
        let length = token.saturating_sub(1);
        let overlap = hyper_parameter("slice_overlap").unwrap_or(length / 2);
        if overlap >= length {
            return Err(ImportError::HyperParameter { name: "slice_overlap", found: overlap });
        }
        TokensConfig::Slices(SliceConfig { length, overlap })
    };
    let layers = count_blocks(file, |i| format!("{prefix}blocks.{i}.ln1.weight"));
    // The file must contain the largest matrix of each block, so it limits the memory of the network.
    for i in 0..layers {
        let _: [usize; 2] = shape(file, format!("{prefix}blocks.{i}.mlp.0.weight"), [4 * width, width])?;
    }
    Ok(MaskedTransformerConfig::new(tokens)
        .with_embed_dim(width)
        .with_num_layers(layers)
        .with_num_heads(heads(file, &[path, &["num_heads"]].concat(), width, 6)?)
        .with_max_len(positions))
}

fn autoencoder<R: Read + Seek>(
    file: &Checkpoint<R>,
    prefix: &str,
    path: &[&str],
) -> Result<AutoencoderConfig, ImportError> {
    let [hidden, input_width] = shape(file, format!("{prefix}input_proj.weight"), [0, 0])?;
    let [latent, _] = shape(file, format!("{prefix}bottleneck_down.weight"), [0, hidden])?;
    let pixels = file.hyper_parameter(&[path, &["seq_len"]].concat());
    let is_log_std = pixels.map_or(input_width == 1463, |pixels| pixels.checked_add(1) == Some(input_width));
    let (statistics, extra) = if is_log_std { (StatisticsConfig::LogStd, 1) } else { (StatisticsConfig::MeanStd, 2) };
    let inner = match file.shape(&format!("{prefix}encoder_blocks.0.mlp.0.weight")) {
        Some([inner, _]) => *inner,
        _ => 3 * hidden,
    };
    Ok(AutoencoderConfig::new(statistics, input_width.saturating_sub(extra), hidden)
        .with_bottleneck_dim(latent)
        .with_num_encoder_blocks(count_blocks(file, |i| format!("{prefix}encoder_blocks.{i}.norm.weight")))
        .with_num_decoder_blocks(count_blocks(file, |i| format!("{prefix}decoder_blocks.{i}.norm.weight")))
        .with_expansion_factor(inner / hidden.max(1)))
}

fn clip<R: Read + Seek>(file: &Checkpoint<R>) -> Result<ClipConfig, ImportError> {
    let lrs_path = ["hyper_parameters", "lamost_lrs_encoder"];
    let lrs = transformer(file, "lamost_lrs_encoder.backbone.", &[&lrs_path[..], &["backbone", "hp"]].concat())?;
    let xp_path = ["hyper_parameters", "gaia_xp_encoder", "backbone", "hp"];
    let xp = autoencoder(file, "gaia_xp_encoder.backbone.", &xp_path)?;
    let is_split = file.shape("lamost_lrs_encoder.shared_attention.query").is_some();
    let names: &[(&str, &str, usize)] = if is_split {
        &[("shared_attention", "shared_", 4), ("private_attention", "private_", 2)]
    } else {
        &[("cross_attention", "", 4)]
    };
    let (mut widths, mut head_counts, mut inner) = (Vec::new(), Vec::new(), 0);
    for (attention, branch, published) in names {
        let [_, _, width] = shape(file, format!("lamost_lrs_encoder.{attention}.query"), [1, 1, 0])?;
        let path = [&lrs_path[..], &[*attention, "multihead_attn", "num_heads"]].concat();
        head_counts.push(heads(file, &path, width, *published)?);
        widths.push(width);
        [inner, _] = shape(file, format!("gaia_xp_encoder.{branch}feature_mlp.0.weight"), [0, width])?;
    }
    let hidden = |survey: &str| -> Result<(Vec<usize>, usize), ImportError> {
        let name = |i: usize| format!("{survey}_cross_decoder.decoder.{}.weight", 4 * i);
        let mut outputs = Vec::new();
        for i in 0..count_blocks(file, name) {
            let [output, _] = shape(file, name(i), [0, 0])?;
            outputs.push(output);
        }
        let pixels = outputs.pop().unwrap_or(0);
        Ok((outputs, pixels))
    };
    let decoders = if file.shape("gaia_xp_cross_decoder.decoder.0.weight").is_some() {
        let ((xp_hidden, _), (lrs_hidden, pixels)) = (hidden("gaia_xp")?, hidden("lamost_lrs")?);
        Some(DecodersConfig::new(xp_hidden, lrs_hidden).with_lrs_pixels(pixels))
    } else {
        None
    };
    let lrs_head = LrsProjectionConfig::new(lrs.embed_dim, widths.clone(), head_counts);
    let xp_head = XpProjectionConfig::new(xp.bottleneck_dim, widths).with_inner_width(inner);
    Ok(ClipConfig::new(lrs, xp, lrs_head, xp_head).with_decoders(decoders))
}

fn mlp<R: Read + Seek>(file: &Checkpoint<R>) -> Result<MlpConfig, ImportError> {
    let batch_norm = file.shape("network.1.running_mean").is_some();
    let name = |i: usize| format!("network.{}.weight", i * if batch_norm { 4 } else { 2 });
    let mut widths = Vec::new();
    for i in 0..count_blocks(file, name) {
        let [output, input] = shape(file, name(i), [0, widths.last().copied().unwrap_or(0)])?;
        if i == 0 {
            widths.push(input);
        }
        widths.push(output);
    }
    Ok(MlpConfig::new(widths).with_batch_norm(batch_norm))
}

fn flow_prefix<R: Read + Seek>(file: &Checkpoint<R>) -> Option<String> {
    let end = "_transform._transforms.0._scale";
    file.shapes().find_map(|(name, _)| name.strip_suffix(end).map(str::to_string))
}

fn flow<R: Read + Seek>(file: &Checkpoint<R>, prefix: &str) -> Result<FlowConfig, ImportError> {
    let name = |i: usize, suffix: &str| format!("{prefix}_transform._transforms.{i}.{suffix}");
    let [features] = shape(file, name(0, "_scale"), [0])?;
    let [context] = shape(file, format!("{prefix}_embedding_net.0._mean"), [0])?;
    let config = |kind, hidden, transforms| {
        FlowConfig::new(kind, features, context).with_hidden(hidden).with_transforms(transforms)
    };
    let maf_weight = |i: usize| name(2 * i + 1, "autoregressive_net.context_layer.weight");
    if file.shape(&maf_weight(0)).is_some() {
        let [hidden, _] = shape(file, maf_weight(0), [0, context])?;
        let transforms = count_blocks(file, maf_weight);
        // The network allocates its masks before reading them, so the file must contain masks of this size.
        for (part, [output, input]) in [
            ("initial_layer", [hidden, features]),
            ("blocks.0.linear", [hidden, hidden]),
            ("final_layer", [2 * features, hidden]),
        ] {
            let _: [usize; 2] = shape(file, name(1, &format!("autoregressive_net.{part}.mask")), [output, input])?;
        }
        return Ok(config(FlowKind::Maf, hidden, transforms));
    }
    let (step, first_layer) = if features == 1 { (1, "spline_predictor.0") } else { (2, "initial_layer") };
    let nsf_weight = |i: usize| name(step * i + 1, &format!("transform_net.{first_layer}.weight"));
    let [hidden, _] = shape(file, nsf_weight(0), [0, 0])?;
    Ok(config(FlowKind::Nsf, hidden, count_blocks(file, nsf_weight)))
}
