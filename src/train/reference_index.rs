//! The shipped index: embeddings of simulated stars in both surveys, with statistics of the anomaly scores.

use anyhow::{Context, Result};
use pollster::block_on;

use super::grid_sampler::RequiredParts;
use super::pairs::{Pair, Pairs};
use crate::model::manifest::Measurement;
use crate::result::similarity::SearchOptions;
use crate::result::specclip::Modality;
use crate::similarity::anomaly::{NoiseFloors, Quantiles, ReferenceStats, noise_floor};
use crate::similarity::index::{Bits, Index};
use crate::task::similarity::encoders::{Encoded, EncoderInput, Encoders};
use crate::task::similarity::index_set::{IndexSet, other};

/// Offset added to the seed for the stars of the index.
pub const SEED_OFFSET: u64 = 40;

/// Pairs in memory at a time; they are encoded before the next pairs are simulated.
pub(super) const BATCH_SIZE: usize = 250;

/// Smallest S/N of optical spectra for the noise floors, so that reconstruction errors dominate over noise.
const CLEAN_SNR: f64 = 80.0;

/// An index with its measurements.
pub struct MeasuredIndex {
    /// The index.
    pub index: Index,
    /// Retrieval scores of the index.
    pub measurements: Vec<Measurement>,
}

/// A simulated star, encoded in both surveys.
pub struct EncodedStar {
    /// Optical spectrum.
    pub lrs: Encoded,
    /// XP spectrum.
    pub xp: Encoded,
    /// S/N per pixel of the optical spectrum.
    pub snr: f64,
    /// Labels in the order of [`INDEX_LABELS`].
    pub labels: [f32; INDEX_LABELS.len()],
}

/// Names of the labels of the index's stars.
pub const INDEX_LABELS: [&str; 7] = ["teff", "logg", "feh", "alpha_fe", "c_fe", "n_fe", "ebv"];

/// Encodes simulated pairs.
pub fn encode(encoders: &Encoders, pairs: Vec<Pair>) -> Result<Vec<EncodedStar>> {
    let lrs = pairs.iter().map(|p| EncoderInput::lrs(p.lrs.clone(), Some(p.snr))).collect();
    let xp = |p: &Pair| EncoderInput::xp(p.xp.clone());
    let (lrs, xp) = (block_on(encoders.encode(lrs))?, block_on(encoders.encode(pairs.iter().map(xp).collect()))?);
    let star = |((lrs, xp), pair): ((Encoded, Encoded), &Pair)| {
        let p = pair.parameters;
        let labels = [p[0], p[1], p[2], p[3], p[4], p[5], pair.ebv_mag].map(|v| v as f32);
        EncodedStar { lrs, xp, snr: pair.snr, labels }
    };
    Ok(lrs.into_iter().zip(xp).zip(&pairs).map(star).collect())
}

/// Encodes the first `n` stars of a generator.
fn encode_stars(encoders: &Encoders, pairs: &Pairs, n: usize, log: &mut dyn FnMut(&str)) -> Result<Vec<EncodedStar>> {
    let mut stars = Vec::with_capacity(n);
    for (step, from) in (0..n).step_by(BATCH_SIZE).enumerate() {
        stars.extend(encode(encoders, pairs.of_step(step, BATCH_SIZE.min(n - from), RequiredParts::Both)?)?);
        log(&format!("{} of {n} stars", stars.len()));
    }
    Ok(stars)
}

/// Makes an index of `n` simulated stars.
pub fn make(
    encoders: &Encoders,
    pairs: &Pairs,
    n: usize,
    name: &str,
    log: &mut dyn FnMut(&str),
) -> Result<MeasuredIndex> {
    let stars = encode_stars(encoders, pairs, n, log)?;
    let xp = match pairs.real {
        Some(_) => "as Gaia XP sees real stars of their labels (an emulator fitted to real spectra)",
        None => "as Gaia XP sees them; no real star",
    };
    let provenance = format!("{n} simulated stars of the grid (1D LTE) as LAMOST or DESI and {xp}");
    let metadata = encoders.index_metadata(name, &provenance, INDEX_LABELS.map(String::from).to_vec());
    let mut index = Index::new(metadata, Bits::Eight);
    for (i, star) in stars.iter().enumerate() {
        for encoded in [&star.lrs, &star.xp] {
            let rows = index.rows_mut(encoded.input.modality);
            rows.push(&format!("grid-{i:05}"), &encoded.embedding, &star.labels, &encoded.input.flux)?;
        }
    }
    let index_set = IndexSet::new(vec![index]);
    let mut measurements = Vec::new();
    for modality in [Modality::Lrs, Modality::Xp] {
        measurements.extend(recalls(&index_set, &stars, modality));
    }
    let reference_stats = reference_stats(&index_set, &stars);
    let mut index = index_set.into_indices().pop().context("the index set is empty")?;
    index.reference_stats = reference_stats;
    Ok(MeasuredIndex { index, measurements })
}

/// Recall at 1 and 10: the fraction of stars whose partner is among the first results, in a search of the whole index.
fn recalls(index_set: &IndexSet, stars: &[EncodedStar], modality: Modality) -> Vec<Measurement> {
    let options = SearchOptions { n_results: 10, in_other_survey: true, label_filter: None };
    let (mut first, mut first_ten) = (0, 0);
    for row in 0..stars.len() {
        let Some(query) = index_set.query(0, modality, row) else { continue };
        let hits = index_set.search(&[query], modality, &options, None);
        first += usize::from(hits.first().is_some_and(|(_, hit)| hit.row == row));
        first_ten += usize::from(hits.iter().any(|(_, hit)| hit.row == row));
    }
    let direction = |m: Modality| m.name().to_uppercase();
    let measurement = |k: u32, found: usize| Measurement {
        quantity: format!("recall@{k}, {} → {}", direction(modality), direction(other(modality))),
        subject: String::new(),
        data_set: "the index itself, 8-bit".into(),
        n: stars.len(),
        value: found as f64 / stars.len().max(1) as f64,
    };
    vec![measurement(1, first), measurement(10, first_ten)]
}

/// Noise floors and distributions of the anomaly scores; `None` for a pair without decoders.
fn reference_stats(index_set: &IndexSet, stars: &[EncodedStar]) -> Option<ReferenceStats> {
    let clean = |star: &&EncodedStar| star.snr >= CLEAN_SNR;
    let residual = |input: &[f32], predicted: Option<&Vec<f32>>| -> Option<Vec<f32>> {
        Some(input.iter().zip(predicted?).map(|(a, b)| a - b).collect())
    };
    let of =
        |residuals: Vec<Option<Vec<f32>>>| residuals.into_iter().collect::<Option<Vec<_>>>().map(|d| noise_floor(&d));
    let lrs = |s: &EncodedStar| s.lrs.input.flux.clone();
    let xp = |s: &EncodedStar| s.xp.input.flux.clone();
    let noise_floors = NoiseFloors {
        lrs_reconstruction: of(stars
            .iter()
            .filter(clean)
            .map(|s| residual(&lrs(s), s.lrs.reconstruction.as_ref()))
            .collect())?,
        xp_reconstruction: of(stars.iter().map(|s| residual(&xp(s), s.xp.reconstruction.as_ref())).collect())?,
        lrs_from_xp: of(stars.iter().filter(clean).map(|s| residual(&lrs(s), s.xp.translated.as_ref())).collect())?,
        xp_from_lrs: of(stars.iter().map(|s| residual(&xp(s), s.lrs.translated.as_ref())).collect())?,
    };
    let cross: Vec<f64> = stars.iter().filter_map(|s| s.lrs.cross(&s.xp, &noise_floors)).collect();
    let reconstruction = |side: fn(&EncodedStar) -> &Encoded| {
        Quantiles::of(&stars.iter().filter_map(|s| side(s).reconstruction_error(&noise_floors)).collect::<Vec<_>>())
    };
    let neighbour = |modality: Modality, side: fn(&EncodedStar) -> &Encoded| {
        let values = stars.iter().enumerate();
        let values =
            values.filter_map(|(i, s)| index_set.knn_distance(modality, &side(s).embedding, &format!("grid-{i:05}")));
        Quantiles::of(&values.collect::<Vec<_>>())
    };
    Some(ReferenceStats {
        cross: Quantiles::of(&cross)?,
        reconstruction: [reconstruction(|s| &s.lrs)?, reconstruction(|s| &s.xp)?],
        neighbour: [neighbour(Modality::Lrs, |s| &s.lrs)?, neighbour(Modality::Xp, |s| &s.xp)?],
        noise_floors,
    })
}
