//! The part of a CLIP checkpoint that embeds one survey's spectra.

use std::io::{Read, Seek};
use std::ops::RangeInclusive;

use burn::tensor::{Device, Tensor};
use sha2::{Digest, Sha256};

use crate::model::import::{Checkpoint, ImportError, NetworkConfig};
use crate::model::weights::Tensors;
use crate::nn::keyed::{Keyed, Slot};
use crate::nn::tokens::TokensConfig;
use crate::nn::tower::{Encoder, Projection, prefix};
use crate::result::catalogue::Modality;

/// An encoder and a head.
#[derive(Debug)]
pub struct Tower {
    encoder: Encoder,
    projection: Projection,
    width: usize,
    pixels: RangeInclusive<usize>,
    /// Of the encoder's arrays.
    digest: [u8; 32],
}

impl Tower {
    /// Reads one survey's part of a CLIP checkpoint and nothing else of it.
    ///
    /// Both published models were trained on frozen encoders, so a second one shares the encoder of the `first` where its
    /// own has the same numbers: less memory, and spectra are encoded once.
    pub fn load<R: Read + Seek>(
        file: &mut Checkpoint<R>,
        modality: Modality,
        first: Option<&Tower>,
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
            // Any length that gives a token; what lies beyond the learned positions is not seen.
            (Modality::Lrs, TokensConfig::Slices(slice)) => 2 * slice.length..=usize::MAX,
            (Modality::Lrs, TokensConfig::Pixels) => 2..=usize::MAX,
        };
        let (encoder, projection) = config.tower(modality, device);
        let prefix = prefix(modality);
        let backbone = format!("{prefix}backbone.");
        let slots = encoder.slots(&backbone);
        let arrays = file.arrays(&slots, |_| {})?;
        let digest = digest(&slots, &arrays);
        let encoder = match first {
            Some(first) if first.digest == digest => first.encoder.clone(),
            _ => encoder.loaded(&arrays, &backbone, device)?,
        };
        drop(arrays);
        let arrays = file.arrays(&projection.slots(prefix), |_| {})?;
        let projection = projection.loaded(&arrays, prefix, device)?;
        Ok(Self { encoder, projection, width, pixels, digest })
    }

    /// Whether it can take spectra of so many pixels.
    pub fn takes(&self, pixels: usize) -> bool {
        self.pixels.contains(&pixels)
    }

    /// Whether both have the same encoder.
    pub fn shares_encoder(&self, other: &Tower) -> bool {
        self.digest == other.digest
    }

    /// Length of an embedding.
    pub fn width(&self) -> usize {
        self.width
    }

    /// # Shapes
    /// `[batch, pixels]` → `[batch, tokens, width]`
    pub fn encode(&self, x: Tensor<2>) -> Tensor<3> {
        self.encoder.forward(x)
    }

    /// # Shapes
    /// `[batch, tokens, width]` → `[batch, embedding]`
    pub fn project(&self, encoding: Tensor<3>) -> Tensor<2> {
        self.projection.forward(encoding)
    }
}

fn digest(slots: &[Slot], arrays: &Tensors) -> [u8; 32] {
    let mut sha = Sha256::new();
    for slot in slots {
        sha.update(slot.name.as_bytes());
        for values in arrays.get(&slot.name, &slot.shape).unwrap_or_default().chunks(1 << 14) {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            sha.update(&bytes);
        }
    }
    sha.finalize().into()
}
