//! Accuracy of an aligned encoder pair: retrieval of a star in the other survey, and translation of its spectrum.

use anyhow::Result;
use pollster::block_on;

use super::extinction::{R_V, law};
use super::objectives::alignment::AlignmentRows;
use super::pairs::{Origin, Pair};
use super::retrieval::{mean_absolute, retrieve};
use crate::model::encoders::{EncoderPair, Variant};
use crate::model::manifest::Measurement;
use crate::preprocess::grid::MODEL_PIXELS;
use crate::preprocess::xp::{XP_PIXELS, grid_nm};
use crate::result::specclip::Modality;
use crate::stats::median;
use crate::task::similarity::translation::{MEAN_SPECTRUM_BASELINE, error_name};

/// Stars in one batch of the encoders.
pub(super) const BATCH_SIZE: usize = 64;

/// Vectors of both spectra of some pairs.
pub(super) struct PairVectors {
    lrs: Vec<Vec<f32>>,
    xp: Vec<Vec<f32>>,
}

/// Layer of the encoder pair from which vectors are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// The encoder's output.
    Encoder,
    /// The aligned embedding.
    Embedding,
}

/// Vectors of both spectra.
pub(super) fn vectors_of(pair: &EncoderPair, stars: &[Pair], layer: Layer) -> Result<PairVectors> {
    let of = |modality| vectors_of_modality(pair, stars, layer, modality);
    Ok(PairVectors { lrs: of(Modality::Lrs)?, xp: of(Modality::Xp)? })
}

/// Vectors of the spectra of one survey.
pub(super) fn vectors_of_modality(
    pair: &EncoderPair,
    stars: &[Pair],
    layer: Layer,
    modality: Modality,
) -> Result<Vec<Vec<f32>>> {
    let mut vectors = Vec::with_capacity(stars.len());
    for batch in stars.chunks(BATCH_SIZE) {
        let rows = AlignmentRows::of(batch);
        let inputs: Vec<&[f32]> = match modality {
            Modality::Lrs => rows.lrs.chunks_exact(MODEL_PIXELS).collect(),
            Modality::Xp => rows.xp.chunks_exact(XP_PIXELS).collect(),
        };
        vectors.extend(match (layer, modality) {
            (Layer::Encoder, Modality::Lrs) => block_on(pair.encode_lrs(&inputs))?,
            (Layer::Encoder, Modality::Xp) => block_on(pair.encode_xp(&inputs))?,
            (Layer::Embedding, Modality::Lrs) => block_on(pair.embed_lrs(&inputs))?,
            (Layer::Embedding, Modality::Xp) => block_on(pair.embed_xp(&inputs))?,
        });
    }
    Ok(vectors)
}

/// Recall in the other survey, and cosines of pairs.
pub(super) fn retrieval_measurements(
    pair: &EncoderPair,
    variant: &str,
    on: &str,
    test_vectors: &PairVectors,
) -> Vec<Measurement> {
    let shared = |rows: &[Vec<f32>]| rows.iter().map(|r| r[..pair.shared_width()].to_vec()).collect::<Vec<_>>();
    let (lrs, xp) = (shared(&test_vectors.lrs), shared(&test_vectors.xp));
    let (to_xp, to_lrs) = (retrieve(&lrs, &xp), retrieve(&xp, &lrs));
    [
        ("recall@1, LRS → XP", to_xp.recall_1),
        ("recall@10, LRS → XP", to_xp.recall_10),
        ("recall@1, XP → LRS", to_lrs.recall_1),
        ("recall@10, XP → LRS", to_lrs.recall_10),
        ("mean cosine of true pairs", to_xp.true_cosine),
        ("mean cosine of random pairs", to_xp.random_cosine),
    ]
    .map(|(quantity, value)| Measurement {
        quantity: quantity.into(),
        subject: variant.into(),
        data_set: on.into(),
        n: to_xp.n,
        value,
    })
    .to_vec()
}

/// Mean absolute errors of translated spectra. The error of the mean spectrum is the reference.
pub(super) fn translation_measurements(
    pair: &EncoderPair,
    variant: &str,
    on: &str,
    test_vectors: &PairVectors,
    stars: &[Pair],
) -> Result<Vec<Measurement>> {
    if !pair.can_translate() {
        return Ok(Vec::new());
    }
    let rows = AlignmentRows::of(stars);
    let (mut xp, mut lrs) = (Vec::new(), Vec::new());
    for (from_lrs, from_xp) in test_vectors.lrs.chunks(BATCH_SIZE).zip(test_vectors.xp.chunks(BATCH_SIZE)) {
        let from_lrs: Vec<&[f32]> = from_lrs.iter().map(Vec::as_slice).collect();
        let from_xp: Vec<&[f32]> = from_xp.iter().map(Vec::as_slice).collect();
        xp.extend(block_on(pair.xp_from_lrs(&from_lrs))?.unwrap_or_default());
        lrs.extend(block_on(pair.lrs_from_xp(&from_xp))?.unwrap_or_default());
    }
    let mean = |all: &[f32], width: usize| -> Vec<Vec<f32>> {
        let n = (all.len() / width).max(1);
        let column = |i: usize| all.iter().skip(i).step_by(width).sum::<f32>() / n as f32;
        vec![(0..width).map(column).collect(); n]
    };
    let measurement = |quantity: &str, subject: &str, value: f64| Measurement {
        quantity: quantity.into(),
        subject: subject.into(),
        data_set: on.into(),
        n: stars.len(),
        value,
    };
    let mask = Some(rows.mask.as_slice());
    let (to_xp, to_lrs) = (error_name(Modality::Xp), error_name(Modality::Lrs));
    let mut measurements = vec![
        measurement(to_xp, variant, mean_absolute(&xp, &rows.xp, None)),
        measurement(to_lrs, variant, mean_absolute(&lrs, &rows.lrs, mask)),
    ];
    if variant == Variant::Pr.name() {
        measurements.push(measurement(
            to_xp,
            MEAN_SPECTRUM_BASELINE,
            mean_absolute(&mean(&rows.xp, XP_PIXELS), &rows.xp, None),
        ));
        measurements.push(measurement(
            to_lrs,
            MEAN_SPECTRUM_BASELINE,
            mean_absolute(&mean(&rows.lrs, MODEL_PIXELS), &rows.lrs, mask),
        ));
    }
    if stars.iter().all(|p| p.origin == Origin::RealXp) {
        // The optical spectrum, divided by its continuum, does not know the reddening of the star.
        let residuals = xp.iter().zip(rows.xp.chunks_exact(XP_PIXELS)).map(|(a, b)| residual_without_reddening(a, b));
        let value = median(&mut residuals.collect()).unwrap_or(f64::NAN);
        measurements.push(measurement("median relative error LRS → XP after a fit of E(B−V)", variant, value));
    }
    Ok(measurements)
}

/// Median absolute difference of ln flux between two XP spectra from 420 nm on, after the best reddening and level.
fn residual_without_reddening(predicted: &[f32], expected: &[f32]) -> f64 {
    let samples: Vec<(f64, f64)> = grid_nm()
        .into_iter()
        .zip(predicted.iter().zip(expected))
        .filter(|(nm, (a, b))| *nm >= 420.0 && **a > 0.0 && **b > 0.0)
        .map(|(nm, (a, b))| (R_V * law(nm, R_V), f64::from(b / a).ln()))
        .collect();
    let n = samples.len().max(1) as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / n;
    let (k, r) = (mean(&|s| s.0), mean(&|s| s.1));
    let slope = mean(&|s| (s.0 - k) * (s.1 - r)) / mean(&|s| (s.0 - k).powi(2));
    median(&mut samples.iter().map(|s| (s.1 - r - slope * (s.0 - k)).abs()).collect()).unwrap_or(f64::NAN)
}
