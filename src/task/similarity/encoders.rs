//! Encoding of spectra by an encoder pair: embeddings, labels, reconstructions, translations.

use burn::tensor::Device;
use thiserror::Error;

use crate::model::encoders::{EncoderError, EncoderPair, lrs_input};
use crate::model::manifest::ModelEntry;
use crate::preprocess::grid::{MODEL_PIXELS, model_wave_vac_aa};
use crate::preprocess::resample::linear;
use crate::preprocess::xp::{self, XpError};
use crate::result::specclip::Modality;
use crate::similarity::anomaly::{NoiseFloors, mean_chi2};
use crate::similarity::index::{Index, IndexError, IndexMetadata};
use crate::spectrum::Spectrum;
use crate::task::predict::{PredictError, Predictor};
use crate::task::rest_frame::RestFrameSpectrum;
use crate::task::specclip::is_xp;

/// Spectra per batch of the encoders.
pub const BATCH: usize = 32;

/// Why a spectrum cannot be encoded.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum EncodeError {
    #[error(transparent)]
    Lrs(#[from] PredictError),
    #[error("as a Gaia XP spectrum: {0}")]
    Xp(#[from] XpError),
}

/// Input of the encoders: a normalised spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderInput {
    /// Survey of the spectrum.
    pub modality: Modality,
    /// Normalised flux, `[1462]` (LRS, in the rest frame) or `[343]` (XP); NaN for a missing pixel.
    pub flux: Vec<f32>,
    /// Errors of the flux, of the same shape; NaN where unknown, empty where all are unknown.
    pub sigma: Vec<f32>,
    /// Radial velocity by which the spectrum was shifted to the rest frame, km/s; `None` for an unshifted spectrum.
    pub rv_kms: Option<f64>,
}

impl EncoderInput {
    /// Input array of the encoder.
    pub fn input(&self) -> Vec<f32> {
        match self.modality {
            Modality::Lrs => lrs_input(&self.flux),
            Modality::Xp => self.flux.clone(),
        }
    }

    /// A simulated Gaia XP spectrum, without errors.
    pub fn xp(flux: Vec<f32>) -> Self {
        Self { modality: Modality::Xp, flux, sigma: Vec::new(), rv_kms: None }
    }

    /// An optical spectrum, simulated or prepared, with the same S/N in every pixel.
    pub fn lrs(norm: Vec<f32>, snr: Option<f64>) -> Self {
        let sigma = snr.filter(|s| *s > 0.0).map_or(Vec::new(), |snr| vec![(1.0 / snr) as f32; norm.len()]);
        Self { modality: Modality::Lrs, flux: norm, sigma, rv_kms: None }
    }
}

/// Inputs of the encoders, in the order of `spectra`. XP spectra are divided by their flux at 550 nm. All other spectra
/// are shifted to the rest frame and divided by their continuum.
pub async fn prepare(predictor: &Predictor, spectra: &[&Spectrum]) -> Vec<Result<EncoderInput, EncodeError>> {
    let optical: Vec<&Spectrum> = spectra.iter().copied().filter(|s| !is_xp(s)).collect();
    let mut stars = predictor.rest_frame(None, &optical).await.into_iter();
    let input = |spectrum: &&Spectrum| match is_xp(spectrum) {
        true => xp_input(spectrum),
        false => optical_input(spectrum, stars.next().unwrap_or(Err(PredictError::Device))),
    };
    spectra.iter().map(input).collect()
}

/// Input from an optical spectrum; `star` is the same spectrum in the rest frame.
pub(super) fn optical_input(
    spectrum: &Spectrum,
    star: Result<RestFrameSpectrum, PredictError>,
) -> Result<EncoderInput, EncodeError> {
    let flux = star?.flux(spectrum);
    let input = EncoderInput { rv_kms: Some(flux.rv_kms), ..EncoderInput::lrs(flux.norm, flux.snr) };
    Ok(if flux.sigma.is_empty() { input } else { EncoderInput { sigma: flux.sigma, ..input } })
}

/// Input from a Gaia XP spectrum. Its errors are `σ_N` = |`F_N`| √((σ/F)² + (σ₅₅₀/F₅₅₀)²), docs/model-spec.md §5.
pub(super) fn xp_input(spectrum: &Spectrum) -> Result<EncoderInput, EncodeError> {
    let unmasked: Vec<usize> = (0..spectrum.len()).filter(|&i| !spectrum.masked()[i]).collect();
    let nm: Vec<f64> = unmasked.iter().map(|&i| spectrum.wave_vac_aa()[i] / 10.0).collect();
    let flux: Vec<f64> = unmasked.iter().map(|&i| spectrum.flux()[i]).collect();
    let normalised = xp::normalise(&nm, &flux)?;
    let sigma = spectrum.ivar().map_or(Vec::new(), |ivar| {
        let sigma_observed: Vec<f64> = unmasked.iter().map(|&i| 1.0 / ivar[i].sqrt()).collect();
        let flux_550 = linear(&nm, &flux, &[550.0])[0];
        let relative_sigma_550 = linear(&nm, &sigma_observed, &[550.0])[0] / flux_550;
        let on_grid = linear(&nm, &sigma_observed, &xp::grid_nm());
        // The root contains |F_N|, so that a pixel with zero flux still has an error.
        let error = |(s, n): (&f64, &f64)| ((s / flux_550).powi(2) + (n * relative_sigma_550).powi(2)).sqrt() as f32;
        on_grid.iter().zip(&normalised).map(error).collect()
    });
    Ok(EncoderInput { sigma, ..EncoderInput::xp(normalised.iter().map(|v| *v as f32).collect()) })
}

/// Output of the encoder pair for a spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// The encoded spectrum.
    pub input: EncoderInput,
    /// Embedding, `[width]`, not normalised to length 1.
    pub embedding: Vec<f32>,
    /// Labels from the head of the spectrum's survey, in the order of [`Encoders::labels`]; empty for a pair without
    /// heads.
    pub labels: Vec<f64>,
    /// Spectrum reconstructed from its own embedding; `None` for a pair without decoders.
    pub reconstruction: Option<Vec<f32>>,
    /// Spectrum predicted in the other survey; `None` for a pair without decoders.
    pub translated: Option<Vec<f32>>,
}

impl Encoded {
    /// Mean χ² of the reconstruction; `None` for a pair without decoders.
    pub fn reconstruction_error(&self, noise_floors: &NoiseFloors) -> Option<f64> {
        let floor = noise_floors.of(self.input.modality, false);
        mean_chi2(&self.input.flux, self.reconstruction.as_ref()?, &self.input.sigma, floor)
    }

    /// Cross score: mean χ² of this spectrum and the other survey's spectrum, each predicted from the
    /// other. `None` for spectra of the same survey or a pair without decoders.
    pub fn cross(&self, other: &Self, noise_floors: &NoiseFloors) -> Option<f64> {
        if self.input.modality == other.input.modality {
            return None;
        }
        let translation_error = |from: &Self, to: &Self| {
            mean_chi2(
                &to.input.flux,
                from.translated.as_ref()?,
                &to.input.sigma,
                noise_floors.of(to.input.modality, true),
            )
        };
        Some(0.5 * (translation_error(self, other)? + translation_error(other, self)?))
    }
}

/// An encoder pair with its manifest entry.
#[derive(Debug)]
pub struct Encoders {
    pair: EncoderPair,
    entry: ModelEntry,
}

impl Encoders {
    /// Loads a pair from its manifest entry and file.
    pub fn load(entry: &ModelEntry, file: &[u8], device: &Device) -> Result<Self, EncoderError> {
        Ok(Self { pair: EncoderPair::load(entry, file, device)?, entry: entry.clone() })
    }

    /// A pair that has no file yet, with its future manifest entry.
    pub fn from_parts(pair: EncoderPair, entry: ModelEntry) -> Self {
        Self { pair, entry }
    }

    /// The networks.
    pub fn pair(&self) -> &EncoderPair {
        &self.pair
    }

    /// Manifest entry of the pair.
    pub fn entry(&self) -> &ModelEntry {
        &self.entry
    }

    /// Name and version, for example `lrs-xp-pr 1`.
    pub fn title(&self) -> String {
        self.entry.title()
    }

    /// Labels of the head for a survey's spectra, in order.
    pub fn labels(&self, modality: Modality) -> &[String] {
        self.pair.labels(modality)
    }

    /// Metadata of an index of embeddings from this pair.
    pub fn index_metadata(&self, name: &str, provenance: &str, labels: Vec<String>) -> IndexMetadata {
        IndexMetadata {
            name: name.into(),
            provenance: provenance.into(),
            model: self.title(),
            model_sha256: self.entry.sha256.clone(),
            width: self.pair.width(),
            shared: self.pair.shared_width(),
            labels,
        }
    }

    /// Checks that an index belongs to this pair, so that it can be searched.
    pub fn check_index(&self, index: &Index) -> Result<(), IndexError> {
        index.check_model(&self.title(), &self.entry.sha256)?;
        let (found, expected) = (index.metadata.width, self.pair.width());
        match found == expected && index.metadata.shared == self.pair.shared_width() {
            true => Ok(()),
            false => Err(IndexError::Width { found, expected }),
        }
    }

    /// Labels of both heads without repetition: the labels of an index of encoded spectra.
    pub fn all_labels(&self) -> Vec<String> {
        let (lrs, xp) = (self.labels(Modality::Lrs), self.labels(Modality::Xp));
        lrs.iter().chain(xp.iter().filter(|name| !lrs.contains(name))).cloned().collect()
    }

    /// Labels of a spectrum in the order of [`Self::all_labels`]; NaN for a label that its head does not predict.
    pub fn labels_in_order(&self, encoded: &Encoded) -> Vec<f32> {
        let names = self.labels(encoded.input.modality);
        let value = |name: &String| names.iter().position(|l| l == name).and_then(|i| encoded.labels.get(i));
        self.all_labels().iter().map(|name| value(name).map_or(f32::NAN, |v| *v as f32)).collect()
    }

    /// Encodes spectra; the results are in the same order.
    pub async fn encode(&self, spectra: Vec<EncoderInput>) -> Result<Vec<Encoded>, EncoderError> {
        let mut results: Vec<Option<Encoded>> = vec![None; spectra.len()];
        for modality in [Modality::Lrs, Modality::Xp] {
            let rows_of_modality: Vec<usize> =
                (0..spectra.len()).filter(|i| spectra[*i].modality == modality).collect();
            for rows in rows_of_modality.chunks(BATCH) {
                let batch: Vec<&EncoderInput> = rows.iter().map(|i| &spectra[*i]).collect();
                for (row, encoded) in rows.iter().zip(self.encode_batch(modality, &batch).await?) {
                    results[*row] = Some(encoded);
                }
            }
        }
        results.into_iter().map(|encoded| encoded.ok_or(EncoderError::Device)).collect()
    }

    async fn encode_batch(&self, modality: Modality, spectra: &[&EncoderInput]) -> Result<Vec<Encoded>, EncoderError> {
        let inputs: Vec<Vec<f32>> = spectra.iter().map(|s| s.input()).collect();
        let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        let embeddings = match modality {
            Modality::Lrs => self.pair.embed_lrs(&inputs).await?,
            Modality::Xp => self.pair.embed_xp(&inputs).await?,
        };
        let slices: Vec<&[f32]> = embeddings.iter().map(Vec::as_slice).collect();
        let translated = match modality {
            Modality::Lrs => self.pair.xp_from_lrs(&slices).await?,
            Modality::Xp => self.pair.lrs_from_xp(&slices).await?,
        };
        let labels = self.pair.predict(modality, &slices).await?;
        let reconstruction = self.pair.reconstruction(modality, &inputs, &slices).await?;
        let encoded = spectra.iter().zip(&embeddings).enumerate().map(|(i, (input, embedding))| Encoded {
            input: (*input).clone(),
            embedding: embedding.clone(),
            labels: labels.as_ref().and_then(|l| l.get(i)).cloned().unwrap_or_default(),
            reconstruction: reconstruction.as_ref().and_then(|r| r.get(i)).cloned(),
            translated: translated.as_ref().and_then(|a| a.get(i)).cloned(),
        });
        Ok(encoded.collect())
    }
}

/// Vacuum wavelengths of a survey's normalised spectra, Å.
pub fn wave_vac_aa(modality: Modality) -> Vec<f32> {
    let wave: Vec<f64> = match modality {
        Modality::Lrs => model_wave_vac_aa(),
        Modality::Xp => xp::grid_nm().into_iter().map(|nm| 10.0 * nm).collect(),
    };
    debug_assert!(modality == Modality::Xp || wave.len() == MODEL_PIXELS);
    wave.into_iter().map(|w| w as f32).collect()
}
