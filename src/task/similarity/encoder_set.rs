//! An encoder pair with its indices: embeddings of spectra, and the labels that its heads predict from them.
//!
//! The error of a label was measured for its head on spectra of the same survey. A spectrum is flagged when it lies outside of the reference set: far from its neighbours, or badly
//! reconstructed from its own embedding.

use super::EncoderBundle;
use super::encoders::{EncodeError, Encoded, EncoderInput, Encoders, optical_input, xp_input};
use super::index_set::IndexSet;
use crate::result::specclip::Modality;
use crate::result::{Estimate, Flag, Label, Prediction, ProcessingStep, SpectrumView};
use crate::similarity::anomaly::{self, ReferenceStats};
use crate::similarity::index::Index;
use crate::spectrum::{Spectrum, Survey};
use crate::task::predict::{PredictError, Predictor, raw_view};
use crate::task::specclip::is_xp;

/// Processing step of a Gaia XP spectrum.
fn xp_step() -> ProcessingStep {
    let description = "flux over that at 550 nm, on 343 samples from 336 to 1020 nm".into();
    ProcessingStep { step: "normalise".into(), description, is_assumed: false }
}

/// Curves of a Gaia XP spectrum: it has no continuum and no velocity.
pub fn xp_view(spectrum: &Spectrum) -> SpectrumView {
    let mut view = raw_view(spectrum);
    view.processing_history.push(xp_step());
    view
}

/// An encoder pair and the indices to search; the first index is the shipped reference set.
#[derive(Debug)]
pub struct EncoderSet {
    encoders: Encoders,
    indices: IndexSet,
}

impl EncoderSet {
    /// A pair with its index. If the index has no reference statistics, nothing is flagged.
    pub fn new(bundle: EncoderBundle) -> Self {
        Self { encoders: bundle.encoders, indices: IndexSet::new(vec![bundle.index]) }
    }

    /// The encoder pair.
    pub fn encoders(&self) -> &Encoders {
        &self.encoders
    }

    /// The indices.
    pub fn indices(&self) -> &IndexSet {
        &self.indices
    }

    /// The indices, for additions.
    pub fn indices_mut(&mut self) -> &mut IndexSet {
        &mut self.indices
    }

    /// Adds, removes or replaces indices; the first index must stay.
    pub fn change_indices(&mut self, change: impl FnOnce(&Encoders, &mut Vec<Index>)) {
        let mut indices = std::mem::take(&mut self.indices).into_indices();
        change(&self.encoders, &mut indices);
        self.indices = IndexSet::new(indices);
    }

    /// Statistics of the reference set; `None` if its index has none.
    pub fn reference_stats(&self) -> Option<&ReferenceStats> {
        self.indices.indices().first()?.index().reference_stats.as_ref()
    }

    /// Encodes spectra; the results are in the same order. `predictor` shifts optical spectra to the rest frame.
    pub async fn encode(&self, predictor: &Predictor, spectra: &[&Spectrum]) -> Vec<Result<Encoded, EncodeError>> {
        self.encode_inputs(super::encoders::prepare(predictor, spectra).await).await
    }

    async fn encode_inputs(&self, inputs: Vec<Result<EncoderInput, EncodeError>>) -> Vec<Result<Encoded, EncodeError>> {
        let valid = inputs.iter().flatten().cloned().collect();
        let mut encoded = self.encoders.encode(valid).await.unwrap_or_default().into_iter();
        let next =
            |input: Result<_, EncodeError>| input.and_then(|_| Ok(encoded.next().ok_or(PredictError::Device)?));
        inputs.into_iter().map(next).collect()
    }

    /// True when an encoded spectrum lies outside of the reference set. Entries with the name `id`, the spectrum's own,
    /// do not count as neighbours.
    pub fn is_out_of_distribution(&self, encoded: &Encoded, id: &str) -> bool {
        let Some(stats) = self.reference_stats() else { return false };
        let modality = encoded.input.modality;
        let reconstruction =
            encoded.reconstruction_error(&stats.noise_floors).map(|v| stats.reconstruction(modality).score(v));
        let neighbour = self.indices.neighbour_score(modality, &encoded.embedding, id);
        anomaly::is_out_of_distribution([reconstruction, neighbour])
    }

    /// Predictions of the pair for spectra of both surveys, in the same order, each with its encoded spectrum. S/N,
    /// flags and processing history of optical spectra are from `predictor`.
    pub async fn predict(
        &self,
        predictor: &Predictor,
        spectra: &[&Spectrum],
    ) -> Vec<Result<(Prediction, Encoded), EncodeError>> {
        let optical: Vec<&Spectrum> = spectra.iter().copied().filter(|s| !is_xp(s)).collect();
        let stars = predictor.rest_frame(None, &optical).await;
        let outputs = predictor.outputs_of(None, &stars).await;
        let mut predictions = predictor.assemble_all(&stars, outputs.as_deref()).into_iter();
        let mut stars = stars.into_iter();
        let mut inputs = Vec::new();
        let mut optical_predictions = Vec::new();
        for spectrum in spectra {
            let is_optical = !is_xp(spectrum);
            inputs.push(match is_optical {
                true => optical_input(spectrum, stars.next().unwrap_or(Err(PredictError::Device))),
                false => xp_input(spectrum),
            });
            optical_predictions.push(if is_optical { predictions.next().and_then(Result::ok) } else { None });
        }
        let encoded = self.encode_inputs(inputs).await;
        let pairs = spectra.iter().zip(encoded).zip(optical_predictions);
        pairs
            .map(|((spectrum, encoded), optical_prediction)| {
                let encoded = encoded?;
                Ok((self.assemble(spectrum, &encoded, optical_prediction), encoded))
            })
            .collect()
    }

    /// The prediction for an encoded spectrum; `optical_prediction` is the predictor's prediction for the same
    /// spectrum.
    fn assemble(&self, spectrum: &Spectrum, encoded: &Encoded, optical_prediction: Option<Prediction>) -> Prediction {
        let entry = self.encoders.entry();
        let card = entry.card();
        let survey = match encoded.input.modality {
            Modality::Lrs => spectrum.meta.survey,
            Modality::Xp => Survey::GaiaXp,
        };
        let values = self.encoders.labels(encoded.input.modality).iter().zip(&encoded.labels);
        let estimates = values.filter_map(|(name, &value)| {
            let label = Label::from_name(name)?;
            let error = card.accuracy_of(label, survey).map_or(f64::NAN, |m| m.sigma.hypot(m.bias));
            Some(Estimate { label, value, error })
        });
        let estimates = estimates.collect();
        let (snr, mut flags, mut processing_history) =
            optical_prediction.map_or_else(Default::default, |p| (p.snr, p.flags, p.processing_history));
        // These flags of the predictor concern its own networks and predictions, not the encoder pair.
        flags.retain(|flag| !matches!(flag, Flag::OutOfTraining | Flag::GridEdge | Flag::FinetunedModel));
        if self.is_out_of_distribution(encoded, &spectrum.meta.id) {
            flags.insert(Flag::OutOfTraining);
        }
        if processing_history.is_empty() {
            processing_history.push(xp_step());
        }
        let (model, model_sha256) = (entry.title(), entry.sha256.clone());
        Prediction { model, model_sha256, snr, estimates, flags, processing_history, finetuned: None }
    }
}
