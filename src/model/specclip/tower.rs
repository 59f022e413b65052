//! The part of a CLIP checkpoint that embeds the spectra of one survey.

use std::io::{Read, Seek};
use std::ops::RangeInclusive;

use burn::tensor::{Device, Tensor};
use sha2::{Digest, Sha256};

use crate::model::import::{Checkpoint, ImportError, NetworkConfig};
use crate::nn::state_dict::{ArraySpec, StateDict};
use crate::nn::tokens::TokensConfig;
use crate::nn::tower::{Encoder, Projection, prefix};
use crate::nn::weights::Tensors;
use crate::result::specclip::Modality;

/// Encoder and projection head of one survey.
#[derive(Debug)]
pub struct Tower {
    encoder: Encoder,
    projection: Projection,
    width: usize,
    pixels: RangeInclusive<usize>,
    /// SHA-256 of the encoder's arrays.
    digest: [u8; 32],
}

impl Tower {
    /// Loads the part of one survey from a CLIP checkpoint, and no other part.
    ///
    /// The published models were trained with frozen encoders. A second model therefore shares the encoder of `first`
    /// if both have the same weights. This saves memory, and each spectrum is encoded only once.
    pub fn load<R: Read + Seek>(
        file: &mut Checkpoint<R>,
        modality: Modality,
        first: Option<&Self>,
        device: &Device,
    ) -> Result<Self, ImportError> {
        let NetworkConfig::Clip(config) = file.network()? else { return Err(ImportError::NotClip) };
        let widths = match modality {
            Modality::Lrs => &config.lrs_head.widths,
            Modality::Xp => &config.xp_head.widths,
        };
        let width = widths.iter().sum();
        let pixels = match (modality, &config.lrs.tokens) {
            (Modality::Xp, _) => config.xp.seq_len..=config.xp.seq_len,
            // Any length that gives a token; the network ignores pixels beyond the learned positions.
            (Modality::Lrs, TokensConfig::Slices(slice)) => 2 * slice.length..=usize::MAX,
            (Modality::Lrs, TokensConfig::Pixels) => 2..=usize::MAX,
        };
        let (encoder, projection) = config.tower(modality, device);
        let prefix = prefix(modality);
        let backbone = format!("{prefix}backbone.");
        let specs = encoder.array_specs(&backbone);
        let arrays = file.arrays(&specs, |_| {})?;
        let digest = digest(&specs, &arrays);
        let encoder = match first {
            Some(first) if first.digest == digest => first.encoder.clone(),
            _ => encoder.load(&arrays, &backbone, device)?,
        };
        drop(arrays);
        let arrays = file.arrays(&projection.array_specs(prefix), |_| {})?;
        let projection = projection.load(&arrays, prefix, device)?;
        Ok(Self { encoder, projection, width, pixels, digest })
    }

    /// Whether the encoder accepts spectra of this number of pixels.
    pub fn takes(&self, pixels: usize) -> bool {
        self.pixels.contains(&pixels)
    }

    /// Whether both towers have the same encoder.
    pub fn shares_encoder(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// Length of an embedding.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Encoding of a batch of spectra.
    ///
    /// # Shapes
    /// `[batch, pixels]` → `[batch, tokens, width]`
    pub fn encode(&self, x: Tensor<2>) -> Tensor<3> {
        self.encoder.forward(x)
    }

    /// Embedding of a batch of encodings.
    ///
    /// # Shapes
    /// `[batch, tokens, width]` → `[batch, embedding]`
    pub fn project(&self, encoding: Tensor<3>) -> Tensor<2> {
        self.projection.forward(encoding)
    }
}

fn digest(specs: &[ArraySpec], arrays: &Tensors) -> [u8; 32] {
    let mut sha = Sha256::new();
    for spec in specs {
        sha.update(spec.name.as_bytes());
        for values in arrays.get(&spec.name, &spec.shape).unwrap_or_default().chunks(1 << 14) {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            sha.update(&bytes);
        }
    }
    sha.finalize().into()
}
