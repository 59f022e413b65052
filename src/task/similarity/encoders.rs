//! Spectra through the encoder pair.

use burn::tensor::Device;
use thiserror::Error;

use crate::model::encoders::{EncoderError, EncoderPair, lrs_input};
use crate::model::manifest::ModelEntry;
use crate::preprocess::grid::{MODEL_PIXELS, model_wave_vac_aa};
use crate::preprocess::resample::linear;
use crate::preprocess::xp::{self, XpError};
use crate::result::specclip::Modality;
use crate::similarity::anomaly::{NoiseFloors, excess_residual};
use crate::similarity::index::{Index, IndexError, IndexMetadata};
use crate::spectrum::Spectrum;
use crate::task::predict::{PredictError, Predictor};
use crate::task::rest_frame::RestFrameSpectrum;
use crate::task::specclip::is_xp;

/// Spectra that go through the encoders at once.
pub const BATCH: usize = 32;

/// Why a spectrum cannot be compared.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)]
pub enum EncodeError {
    #[error(transparent)]
    Lrs(#[from] PredictError),
    #[error("as a Gaia XP spectrum: {0}")]
    Xp(#[from] XpError),
}

/// A spectrum as the encoders see it.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderInput {
    /// Its survey.
    pub modality: Modality,
    /// Normalised flux at rest, `[1462]` or `[343]`; NaN where there is nothing.
    pub flux: Vec<f32>,
    /// Its errors; NaN where unknown, empty where all are.
    pub sigma: Vec<f32>,
    /// Velocity that was taken out of it, km/s.
    pub rv_kms: Option<f64>,
}

impl EncoderInput {
    /// What the encoder takes in.
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

    /// A simulated or prepared optical spectrum with the same S/N everywhere.
    pub fn lrs(norm: Vec<f32>, snr: Option<f64>) -> Self {
        let sigma = snr.filter(|s| *s > 0.0).map_or(Vec::new(), |snr| vec![(1.0 / snr) as f32; norm.len()]);
        Self { modality: Modality::Lrs, flux: norm, sigma, rv_kms: None }
    }
}

/// Inputs of the encoders, in the order of `spectra`: XP spectra over their flux at 550 nm; all others in the rest frame over
/// their continuum.
pub async fn prepare(predictor: &Predictor, spectra: &[&Spectrum]) -> Vec<Result<EncoderInput, EncodeError>> {
    let optical: Vec<&Spectrum> = spectra.iter().copied().filter(|s| !is_xp(s)).collect();
    let mut stars = predictor.rest_frame(None, &optical).await.into_iter();
    let input = |spectrum: &&Spectrum| match is_xp(spectrum) {
        true => xp_input(spectrum),
        false => optical_input(spectrum, stars.next().unwrap_or(Err(PredictError::Device))),
    };
    spectra.iter().map(input).collect()
}

/// Input of an optical spectrum, from the same spectrum in the rest frame.
pub(super) fn optical_input(
    spectrum: &Spectrum,
    star: Result<RestFrameSpectrum, PredictError>,
) -> Result<EncoderInput, EncodeError> {
    let flux = star?.flux(spectrum);
    let input = EncoderInput { rv_kms: Some(flux.rv_kms), ..EncoderInput::lrs(flux.norm, flux.snr) };
    Ok(if flux.sigma.is_empty() { input } else { EncoderInput { sigma: flux.sigma, ..input } })
}

/// Input of a Gaia XP spectrum. Its errors are σ_N = |F_N| √((σ/F)² + (σ₅₅₀/F₅₅₀)²), docs/model-spec.md §5.
pub(super) fn xp_input(spectrum: &Spectrum) -> Result<EncoderInput, EncodeError> {
    let good: Vec<usize> = (0..spectrum.len()).filter(|&i| !spectrum.masked()[i]).collect();
    let nm: Vec<f64> = good.iter().map(|&i| spectrum.wave_vac_aa()[i] / 10.0).collect();
    let flux: Vec<f64> = good.iter().map(|&i| spectrum.flux()[i]).collect();
    let normalised = xp::normalise(&nm, &flux)?;
    let sigma = spectrum.ivar().map_or(Vec::new(), |ivar| {
        let own: Vec<f64> = good.iter().map(|&i| 1.0 / ivar[i].sqrt()).collect();
        let level = linear(&nm, &flux, &[550.0])[0];
        let at_550 = linear(&nm, &own, &[550.0])[0] / level;
        let on_grid = linear(&nm, &own, &xp::grid_nm());
        // With |F_N| multiplied in, so that a pixel without flux has its error still.
        let error = |(s, n): (&f64, &f64)| ((s / level).powi(2) + (n * at_550).powi(2)).sqrt() as f32;
        on_grid.iter().zip(&normalised).map(error).collect()
    });
    Ok(EncoderInput { sigma, ..EncoderInput::xp(normalised.iter().map(|v| *v as f32).collect()) })
}

/// What the encoder pair makes of a spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// The spectrum.
    pub input: EncoderInput,
    /// `[width]`, not normalised.
    pub embedding: Vec<f32>,
    /// What the head of its survey reads, in the order of [`Encoders::labels`]; empty of a pair without heads.
    pub labels: Vec<f64>,
    /// Rebuilt from its own embedding; `None` of a pair without decoders.
    pub reconstruction: Option<Vec<f32>>,
    /// Predicted in the other survey; `None` of a pair without decoders.
    pub translated: Option<Vec<f32>>,
}

impl Encoded {
    /// Excess residual of the reconstruction.
    pub fn reconstruction_error(&self, noise_floors: &NoiseFloors) -> Option<f64> {
        let floor = noise_floors.of(self.input.modality, false);
        excess_residual(&self.input.flux, self.reconstruction.as_ref()?, &self.input.sigma, floor)
    }

    /// How badly this and the other survey's spectrum are predicted from each other: the mean of both misfits.
    pub fn cross(&self, other: &Encoded, noise_floors: &NoiseFloors) -> Option<f64> {
        if self.input.modality == other.input.modality {
            return None;
        }
        let one = |from: &Encoded, to: &Encoded| {
            excess_residual(
                &to.input.flux,
                from.translated.as_ref()?,
                &to.input.sigma,
                noise_floors.of(to.input.modality, true),
            )
        };
        Some(0.5 * (one(self, other)? + one(other, self)?))
    }
}

/// An encoder pair and what it is.
#[derive(Debug)]
pub struct Encoders {
    pair: EncoderPair,
    entry: ModelEntry,
}

impl Encoders {
    /// From its manifest entry and file.
    pub fn load(entry: &ModelEntry, file: &[u8], device: &Device) -> Result<Self, EncoderError> {
        Ok(Self { pair: EncoderPair::load(entry, file, device)?, entry: entry.clone() })
    }

    /// A pair that is in no file yet, and what its manifest entry would say.
    pub fn from_parts(pair: EncoderPair, entry: ModelEntry) -> Self {
        Self { pair, entry }
    }

    /// The networks.
    pub fn pair(&self) -> &EncoderPair {
        &self.pair
    }

    /// What its manifest entry says.
    pub fn entry(&self) -> &ModelEntry {
        &self.entry
    }

    /// `lrs-xp-pr 1`.
    pub fn title(&self) -> String {
        self.entry.title()
    }

    /// The head's labels for a survey's spectra.
    pub fn labels(&self, modality: Modality) -> &[String] {
        self.pair.labels(modality)
    }

    /// Of an index that is made with it.
    pub fn about(&self, name: &str, made_from: &str, labels: Vec<String>) -> IndexMetadata {
        IndexMetadata {
            name: name.into(),
            made_from: made_from.into(),
            model: self.title(),
            model_sha256: self.entry.sha256.clone(),
            width: self.pair.width(),
            shared: self.pair.shared_width(),
            labels,
        }
    }

    /// Whether an index can be searched with it.
    pub fn must_fit(&self, index: &Index) -> Result<(), IndexError> {
        index.must_be_of(&self.title(), &self.entry.sha256)?;
        let (found, expected) = (index.about.width, self.pair.width());
        match found == expected && index.about.shared == self.pair.shared_width() {
            true => Ok(()),
            false => Err(IndexError::Width { found, expected }),
        }
    }

    /// Labels of both heads, each once: those that an index of encoded spectra has.
    pub fn all_labels(&self) -> Vec<String> {
        let (lrs, xp) = (self.labels(Modality::Lrs), self.labels(Modality::Xp));
        lrs.iter().chain(xp.iter().filter(|name| !lrs.contains(name))).cloned().collect()
    }

    /// A spectrum's labels in that order, NaN where its head does not read one.
    pub fn labels_in_order(&self, encoded: &Encoded) -> Vec<f32> {
        let own = self.labels(encoded.input.modality);
        let value = |name: &String| own.iter().position(|l| l == name).and_then(|i| encoded.labels.get(i));
        self.all_labels().iter().map(|name| value(name).map_or(f32::NAN, |v| *v as f32)).collect()
    }

    /// All that it makes of spectra, in the same order.
    pub async fn encode(&self, spectra: Vec<EncoderInput>) -> Result<Vec<Encoded>, EncoderError> {
        let mut done: Vec<Option<Encoded>> = vec![None; spectra.len()];
        for modality in [Modality::Lrs, Modality::Xp] {
            let of_it: Vec<usize> = (0..spectra.len()).filter(|i| spectra[*i].modality == modality).collect();
            for rows in of_it.chunks(BATCH) {
                let some: Vec<&EncoderInput> = rows.iter().map(|i| &spectra[*i]).collect();
                for (row, encoded) in rows.iter().zip(self.encode_batch(modality, &some).await?) {
                    done[*row] = Some(encoded);
                }
            }
        }
        done.into_iter().map(|encoded| encoded.ok_or(EncoderError::Device)).collect()
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
