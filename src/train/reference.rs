//! The index that is shipped: simulated stars in both surveys, and what is usual among them.

use anyhow::{Context, Result};
use pollster::block_on;

use super::pairs::{Pair, Pairs};
use super::population::Want;
use crate::model::manifest::Figure;
use crate::result::catalogue::Modality;
use crate::result::likes::SearchOptions;
use crate::retrieve::index::{Bits, Index};
use crate::retrieve::oddity::{Floors, Quantiles, Usual, floor};
use crate::task::likes::encode::{Encoded, Encoders, Seen};
use crate::task::likes::library::{Library, other};

/// What is added to the seed of everything for the index's stars.
pub const STREAM: u64 = 40;

/// Pairs in memory before they are encoded.
pub(super) const AT_ONCE: usize = 250;

/// What networks leave is told from noise on optical spectra of at least this S/N.
const CLEAN_SNR: f64 = 80.0;

/// An index and what was measured of it.
pub struct Made {
    /// The index.
    pub index: Index,
    /// The figures.
    pub figures: Vec<Figure>,
}

/// A simulated star as the encoders see it in both surveys.
pub struct Both {
    /// Optical.
    pub lrs: Encoded,
    /// XP.
    pub xp: Encoded,
    /// S/N a pixel of the optical spectrum.
    pub snr: f64,
    /// teff, logg, feh, alpha_fe, c_fe, n_fe, ebv.
    pub labels: [f32; LABELS.len()],
}

/// The labels of the index's stars.
pub const LABELS: [&str; 7] = ["teff", "logg", "feh", "alpha_fe", "c_fe", "n_fe", "ebv"];

/// Encodes simulated pairs.
pub fn encode(encoders: &Encoders, pairs: Vec<Pair>) -> Result<Vec<Both>> {
    let lrs = pairs.iter().map(|p| Seen::lrs(p.lrs.clone(), Some(p.snr))).collect();
    let xp = |p: &Pair| Seen::xp(p.xp.clone());
    let (lrs, xp) = (block_on(encoders.encode(lrs))?, block_on(encoders.encode(pairs.iter().map(xp).collect()))?);
    let star = |((lrs, xp), pair): ((Encoded, Encoded), &Pair)| {
        let p = pair.parameters;
        let labels = [p[0], p[1], p[2], p[3], p[4], p[5], pair.ebv_mag].map(|v| v as f32);
        Both { lrs, xp, snr: pair.snr, labels }
    };
    Ok(lrs.into_iter().zip(xp).zip(&pairs).map(star).collect())
}

/// The first `n` stars of some pairs.
pub fn stars(encoders: &Encoders, pairs: &Pairs, n: usize, say: &mut dyn FnMut(&str)) -> Result<Vec<Both>> {
    let mut stars = Vec::with_capacity(n);
    for (step, from) in (0..n).step_by(AT_ONCE).enumerate() {
        stars.extend(encode(encoders, pairs.of_step(step, AT_ONCE.min(n - from), Want::Both)?)?);
        say(&format!("{} of {n} stars", stars.len()));
    }
    Ok(stars)
}

/// Makes the index of `n` stars.
pub fn make(encoders: &Encoders, pairs: &Pairs, n: usize, name: &str, say: &mut dyn FnMut(&str)) -> Result<Made> {
    let stars = stars(encoders, pairs, n, say)?;
    let made_from =
        format!("{n} simulated stars of the grid (1D LTE) as LAMOST or DESI and as Gaia XP see them; no real star");
    let about = encoders.about(name, &made_from, LABELS.map(String::from).to_vec());
    let mut index = Index::new(about, Bits::Eight);
    for (i, star) in stars.iter().enumerate() {
        for encoded in [&star.lrs, &star.xp] {
            let rows = index.rows_mut(encoded.seen.modality);
            rows.push(&format!("grid-{i:05}"), &encoded.embedding, &star.labels, &encoded.seen.flux)?;
        }
    }
    let library = Library::new(vec![index]);
    let mut figures = Vec::new();
    for modality in [Modality::Lrs, Modality::Xp] {
        figures.extend(recalls(&library, &stars, modality));
    }
    let usual = usual(&library, &stars);
    let mut index = library.into_indices().pop().context("an index")?;
    index.usual = usual;
    Ok(Made { index, figures })
}

/// How often a star's partner is among the first, all stars of the index searched.
fn recalls(library: &Library, stars: &[Both], modality: Modality) -> Vec<Figure> {
    let options = SearchOptions { top: 10, in_other: true, rule: None };
    let (mut first, mut tenth) = (0, 0);
    for row in 0..stars.len() {
        let Some(query) = library.wanted(0, modality, row) else { continue };
        let hits = library.search(&[query], modality, &options, None);
        first += usize::from(hits.first().is_some_and(|(_, hit)| hit.row == row));
        tenth += usize::from(hits.iter().any(|(_, hit)| hit.row == row));
    }
    let direction = |m: Modality| m.name().to_uppercase();
    let figure = |k: u32, found: usize| Figure {
        what: format!("recall@{k}, {} → {}", direction(modality), direction(other(modality))),
        of: String::new(),
        on: "the index itself, 8-bit".into(),
        n: stars.len(),
        value: found as f64 / stars.len().max(1) as f64,
    };
    vec![figure(1, first), figure(10, tenth)]
}

/// What networks leave and how scores are distributed; `None` of a pair without decoders.
fn usual(library: &Library, stars: &[Both]) -> Option<Usual> {
    let clean = |star: &&Both| star.snr >= CLEAN_SNR;
    let difference = |seen: &[f32], told: Option<&Vec<f32>>| -> Option<Vec<f32>> {
        Some(seen.iter().zip(told?).map(|(a, b)| a - b).collect())
    };
    let of =
        |differences: Vec<Option<Vec<f32>>>| differences.into_iter().collect::<Option<Vec<_>>>().map(|d| floor(&d));
    let lrs = |s: &Both| s.lrs.seen.flux.clone();
    let xp = |s: &Both| s.xp.seen.flux.clone();
    let floors = Floors {
        lrs_rebuilt: of(stars.iter().filter(clean).map(|s| difference(&lrs(s), s.lrs.rebuilt.as_ref())).collect())?,
        xp_rebuilt: of(stars.iter().map(|s| difference(&xp(s), s.xp.rebuilt.as_ref())).collect())?,
        lrs_from_xp: of(stars.iter().filter(clean).map(|s| difference(&lrs(s), s.xp.across.as_ref())).collect())?,
        xp_from_lrs: of(stars.iter().map(|s| difference(&xp(s), s.lrs.across.as_ref())).collect())?,
    };
    let cross: Vec<f64> = stars.iter().filter_map(|s| s.lrs.cross(&s.xp, &floors)).collect();
    let rebuilt = |side: fn(&Both) -> &Encoded| {
        Quantiles::of(&stars.iter().filter_map(|s| side(s).reconstruction(&floors)).collect::<Vec<_>>())
    };
    let alone = |modality: Modality, side: fn(&Both) -> &Encoded| {
        let values = stars.iter().enumerate();
        let values =
            values.filter_map(|(i, s)| library.loneliness(modality, &side(s).embedding, &format!("grid-{i:05}")));
        Quantiles::of(&values.collect::<Vec<_>>())
    };
    Some(Usual {
        cross: Quantiles::of(&cross)?,
        reconstruction: [rebuilt(|s| &s.lrs)?, rebuilt(|s| &s.xp)?],
        neighbour: [alone(Modality::Lrs, |s| &s.lrs)?, alone(Modality::Xp, |s| &s.xp)?],
        floors,
    })
}
