//! Labels that the encoder pair's heads read from embeddings, as predictions. For Gaia XP spectra there is no other route.
//!
//! The errors are what the heads were measured to be off by on spectra of that survey. A spectrum is flagged where it lies
//! outside of what the reference set calls usual: too far from its neighbours, or badly rebuilt from its own embedding.

use super::Kit;
use super::encode::{Encoded, Encoders, NotSeen, prepare};
use super::library::Library;
use crate::result::catalogue::Modality;
use crate::result::{Estimate, Flag, Label, LedgerEntry, Prediction, SpectrumView};
use crate::retrieve::oddity::{self, Usual};
use crate::spectrum::{Spectrum, Survey};
use crate::task::predict::{NoPrediction, Predictor, raw_view};

/// What is done to a Gaia XP spectrum.
fn xp_step() -> LedgerEntry {
    let did = "flux over that at 550 nm, on 343 samples from 336 to 1020 nm".into();
    LedgerEntry { step: "normalise".into(), did, assumed: false }
}

/// The curves of a Gaia XP spectrum: it has no continuum and no velocity to take out.
pub fn xp_view(spectrum: &Spectrum) -> SpectrumView {
    let mut view = raw_view(spectrum);
    view.ledger.push(xp_step());
    view
}

/// Reads labels from embeddings.
#[derive(Debug)]
pub struct Reader {
    encoders: Encoders,
    library: Library,
    usual: Option<Usual>,
}

impl Reader {
    /// With a pair and the index that belongs to it; without what is usual in that nothing is flagged.
    pub fn new(kit: Kit) -> Self {
        let usual = kit.index.usual.clone();
        Self { encoders: kit.encoders, library: Library::new(vec![kit.index]), usual }
    }

    /// The encoder pair.
    pub fn encoders(&self) -> &Encoders {
        &self.encoders
    }

    /// What the pair makes of spectra, in the same order; `predictor` brings them to rest.
    pub async fn encode(&self, predictor: &Predictor, spectra: &[&Spectrum]) -> Vec<Result<Encoded, NotSeen>> {
        let prepared = prepare(predictor, spectra).await;
        let seen = prepared.iter().flatten().cloned().collect();
        let mut encoded = self.encoders.encode(seen).await.unwrap_or_default().into_iter();
        let next = |seen: Result<_, NotSeen>| seen.and_then(|_| Ok(encoded.next().ok_or(NoPrediction::Device)?));
        prepared.into_iter().map(next).collect()
    }

    /// Whether an encoded spectrum of this name is none like those of the reference set.
    pub fn is_far(&self, encoded: &Encoded, id: &str) -> bool {
        is_far(&self.library, self.usual.as_ref(), encoded, id)
    }

    /// One answer a spectrum, in the same order. S/N, remarks and ledger of optical spectra are the predictor's, which
    /// measures the velocity too.
    pub async fn predict(
        &self,
        predictor: &Predictor,
        spectra: &[&Spectrum],
    ) -> Vec<Result<(Prediction, Encoded), NotSeen>> {
        let encoded = self.encode(predictor, spectra).await;
        let direct = predictor.predict(spectra).await;
        let both = spectra.iter().zip(encoded).zip(direct);
        both.map(|((spectrum, encoded), direct)| {
            let encoded = encoded?;
            let is_far = self.is_far(&encoded, &spectrum.meta.id);
            Ok((judge(&self.encoders, spectrum, &encoded, is_far, direct.ok()), encoded))
        })
        .collect()
    }
}

/// The answer for an encoded Gaia XP spectrum, beside an index and what is usual in that.
pub fn of_xp(
    encoders: &Encoders,
    library: &Library,
    usual: Option<&Usual>,
    spectrum: &Spectrum,
    encoded: &Encoded,
) -> Prediction {
    judge(encoders, spectrum, encoded, is_far(library, usual, encoded, &spectrum.meta.id), None)
}

fn is_far(library: &Library, usual: Option<&Usual>, encoded: &Encoded, id: &str) -> bool {
    let Some(usual) = usual else { return false };
    let modality = encoded.seen.modality;
    let rebuilt = encoded.reconstruction(&usual.floors).map(|v| usual.reconstruction(modality).score(v));
    let neighbour = library.neighbour_score(modality, &encoded.embedding, id);
    oddity::is_far([rebuilt, neighbour])
}

fn judge(
    encoders: &Encoders,
    spectrum: &Spectrum,
    encoded: &Encoded,
    is_far: bool,
    direct: Option<Prediction>,
) -> Prediction {
    let entry = encoders.entry();
    let card = entry.card();
    let survey = match encoded.seen.modality {
        Modality::Lrs => spectrum.meta.survey,
        Modality::Xp => Survey::GaiaXp,
    };
    let values = encoders.labels(encoded.seen.modality).iter().zip(&encoded.labels);
    let estimates = values.filter_map(|(name, &value)| {
        let label = Label::from_name(name)?;
        let error = card.measure(label, survey).map_or(f64::NAN, |m| m.sigma.hypot(m.bias));
        Some(Estimate { label, value, error })
    });
    let estimates = estimates.collect();
    let (snr, mut flags, mut ledger) = direct.map_or_else(Default::default, |d| (d.snr, d.flags, d.ledger));
    // What the other network thinks of the spectrum and its own answer is not this one's.
    flags.retain(|flag| !matches!(flag, Flag::OutOfTraining | Flag::GridEdge | Flag::Taught));
    if is_far {
        flags.push(Flag::OutOfTraining);
    }
    flags.sort_unstable();
    if ledger.is_empty() {
        ledger.push(xp_step());
    }
    let (model, model_sha256) = (entry.title(), entry.sha256.clone());
    Prediction { model, model_sha256, snr, estimates, flags, ledger, taught: None }
}
