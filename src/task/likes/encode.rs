//! Spectra through the encoder pair.

use burn::tensor::Device;
use thiserror::Error;

use crate::model::encoders::{EncoderError, EncoderPair, lrs_input};
use crate::model::manifest::ModelEntry;
use crate::preprocess::grid::{MODEL_PIXELS, model_wave_vac_aa};
use crate::preprocess::resample::linear;
use crate::preprocess::xp::{self, XpError};
use crate::result::catalogue::Modality;
use crate::retrieve::index::{About, Index, IndexError};
use crate::retrieve::oddity::{Floors, misfit};
use crate::spectrum::Spectrum;
use crate::task::predict::{NoPrediction, Predictor};
use crate::task::published::is_xp;

/// Spectra that go through the encoders at once.
pub const BATCH: usize = 32;

/// Why a spectrum cannot be compared.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)]
pub enum NotSeen {
    #[error(transparent)]
    Lrs(#[from] NoPrediction),
    #[error("as a Gaia XP spectrum: {0}")]
    Xp(#[from] XpError),
}

/// A spectrum as the encoders see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its survey.
    pub modality: Modality,
    /// Normalised flux at rest, `[1462]` or `[343]`; NaN where there is nothing.
    pub flux: Vec<f32>,
    /// Its errors; NaN where unknown, empty where all are.
    pub sigma: Vec<f32>,
    /// Velocity that was taken out of it, km/s.
    pub rv_kms: Option<f64>,
}

impl Seen {
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

/// Makes spectra ready, in the same order: XP spectra over their flux at 550 nm; all others at rest over their continuum.
pub async fn prepare(predictor: &Predictor, spectra: &[&Spectrum]) -> Vec<Result<Seen, NotSeen>> {
    let optical: Vec<&Spectrum> = spectra.iter().copied().filter(|s| !is_xp(s)).collect();
    let mut at_rest = predictor.at_rest(&optical).await.into_iter();
    spectra
        .iter()
        .map(|spectrum| {
            if is_xp(spectrum) {
                return xp_seen(spectrum);
            }
            let rest = at_rest.next().ok_or(NoPrediction::Device)??;
            let seen = Seen { rv_kms: Some(rest.rv_kms), ..Seen::lrs(rest.norm, rest.snr) };
            Ok(if rest.sigma.is_empty() { seen } else { Seen { sigma: rest.sigma, ..seen } })
        })
        .collect()
}

/// σ_N = |F_N| √((σ/F)² + (σ₅₅₀/F₅₅₀)²), MODEL_SPEC §5.
fn xp_seen(spectrum: &Spectrum) -> Result<Seen, NotSeen> {
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
    Ok(Seen { sigma, ..Seen::xp(normalised.iter().map(|v| *v as f32).collect()) })
}

/// What the encoder pair makes of a spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// The spectrum.
    pub seen: Seen,
    /// `[width]`, not normalised.
    pub embedding: Vec<f32>,
    /// What the head of its survey reads, in the order of [`Encoders::labels`]; empty of a pair without heads.
    pub labels: Vec<f64>,
    /// Rebuilt from its own embedding; `None` of a pair without decoders.
    pub rebuilt: Option<Vec<f32>>,
    /// Predicted in the other survey; `None` of a pair without decoders.
    pub across: Option<Vec<f32>>,
}

impl Encoded {
    /// How badly it is rebuilt.
    pub fn reconstruction(&self, floors: &Floors) -> Option<f64> {
        let floor = floors.of(self.seen.modality, false);
        misfit(&self.seen.flux, self.rebuilt.as_ref()?, &self.seen.sigma, floor)
    }

    /// How badly this and the other survey's spectrum are predicted from each other: the mean of both misfits.
    pub fn cross(&self, other: &Encoded, floors: &Floors) -> Option<f64> {
        if self.seen.modality == other.seen.modality {
            return None;
        }
        let one = |from: &Encoded, to: &Encoded| {
            misfit(&to.seen.flux, from.across.as_ref()?, &to.seen.sigma, floors.of(to.seen.modality, true))
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
    pub fn about(&self, name: &str, made_from: &str, labels: Vec<String>) -> About {
        About {
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
        let own = self.labels(encoded.seen.modality);
        let value = |name: &String| own.iter().position(|l| l == name).and_then(|i| encoded.labels.get(i));
        self.all_labels().iter().map(|name| value(name).map_or(f32::NAN, |v| *v as f32)).collect()
    }

    /// All that it makes of spectra, in the same order.
    pub async fn encode(&self, spectra: Vec<Seen>) -> Result<Vec<Encoded>, EncoderError> {
        let mut done: Vec<Option<Encoded>> = vec![None; spectra.len()];
        for modality in [Modality::Lrs, Modality::Xp] {
            let of_it: Vec<usize> = (0..spectra.len()).filter(|i| spectra[*i].modality == modality).collect();
            for rows in of_it.chunks(BATCH) {
                let some: Vec<&Seen> = rows.iter().map(|i| &spectra[*i]).collect();
                for (row, encoded) in rows.iter().zip(self.encode_batch(modality, &some).await?) {
                    done[*row] = Some(encoded);
                }
            }
        }
        done.into_iter().map(|encoded| encoded.ok_or(EncoderError::Device)).collect()
    }

    async fn encode_batch(&self, modality: Modality, spectra: &[&Seen]) -> Result<Vec<Encoded>, EncoderError> {
        let inputs: Vec<Vec<f32>> = spectra.iter().map(|s| s.input()).collect();
        let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        let embeddings = match modality {
            Modality::Lrs => self.pair.embed_lrs(&inputs).await?,
            Modality::Xp => self.pair.embed_xp(&inputs).await?,
        };
        let slices: Vec<&[f32]> = embeddings.iter().map(Vec::as_slice).collect();
        let across = match modality {
            Modality::Lrs => self.pair.xp_from_lrs(&slices).await?,
            Modality::Xp => self.pair.lrs_from_xp(&slices).await?,
        };
        let labels = self.pair.predict(modality, &slices).await?;
        let rebuilt = self.pair.rebuilt(modality, &inputs, &slices).await?;
        let encoded = spectra.iter().zip(&embeddings).enumerate().map(|(i, (seen, embedding))| Encoded {
            seen: (*seen).clone(),
            embedding: embedding.clone(),
            labels: labels.as_ref().and_then(|l| l.get(i)).cloned().unwrap_or_default(),
            rebuilt: rebuilt.as_ref().and_then(|r| r.get(i)).cloned(),
            across: across.as_ref().and_then(|a| a.get(i)).cloned(),
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
