//! What look-alikes are worth on real stars: labels of a star's neighbours, and whether another visit of it comes first.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use pollster::block_on;

use super::evaluate::{read_table, text};
use super::library::read_labelled;
use super::pairs::Pairs;
use super::population::Want;
use crate::preprocess::stats::median;
use crate::read;
use crate::result::Label;
use crate::result::catalogue::Modality;
use crate::result::likes::SearchOptions;
use crate::retrieve::index::{Rows, unit};
use crate::spectrum::Spectrum;
use crate::task::likes::Kit;
use crate::task::likes::encode::{BATCH, Seen, prepare};
use crate::task::likes::library::{Library, Wanted};
use crate::task::likes::repeats::{Place, Population};
use crate::task::predict::Predictor;

/// Neighbours whose labels count.
const TOP: usize = 5;

/// Real spectra that the recipe takes, with their names.
fn seen(predictor: &Predictor, spectra: &[Spectrum]) -> Vec<Option<Seen>> {
    let of = |some: &[Spectrum]| {
        let some: Vec<&Spectrum> = some.iter().collect();
        block_on(prepare(predictor, &some)).into_iter().map(Result::ok).collect::<Vec<_>>()
    };
    spectra.chunks(BATCH).flat_map(of).collect()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2)).sum()
}

/// The places of the `top` nearest rows in order.
fn nearest_flux(query: &[f32], rows: &[Vec<f32>], top: usize) -> Vec<usize> {
    let mut all: Vec<(f64, usize)> = rows.iter().enumerate().map(|(i, row)| (distance(query, row), i)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.into_iter().take(top).map(|(_, i)| i).collect()
}

/// Labels of MILES stars against those of their five nearest simulated stars, by embedding and by flux.
pub fn miles(
    kit: &Kit,
    predictor: &Predictor,
    pairs: &Pairs,
    real: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<String> {
    let library = read_labelled(&real.join("miles.npz"), &real.join("miles_labels.csv"))?;
    let rows = &kit.index.lrs;
    let fluxes = reference_fluxes(rows, pairs)?;
    say(&format!("{} simulated fluxes", fluxes.len()));
    let shelf = Library::new(vec![kit.index.clone()]);
    let seen = seen(predictor, &library.spectra);
    let kept: Vec<usize> = (0..seen.len()).filter(|i| seen[*i].is_some()).collect();
    let encoded = block_on(kit.encoders.encode(seen.into_iter().flatten().collect()))?;
    let labels = [Label::Teff, Label::Logg, Label::Feh];
    let mut off = vec![[Vec::new(), Vec::new()]; labels.len()];
    let options = SearchOptions { top: TOP as u32, ..SearchOptions::default() };
    for (&star, encoded) in kept.iter().zip(&encoded) {
        let truth = library.stars[star].labels;
        // Outside of the grid there is nothing to be found.
        if !(4000.0..=7500.0).contains(&truth[0]) {
            continue;
        }
        let query = Wanted { place: None, id: String::new(), embedding: encoded.embedding.clone() };
        let hits = shelf.search(&[query], Modality::Lrs, &options, None);
        let by_embedding: Vec<usize> = hits.into_iter().map(|(_, hit)| hit.row).collect();
        let by_flux = nearest_flux(&encoded.seen.input(), &fluxes, TOP);
        for (way, found) in [by_embedding, by_flux].iter().enumerate() {
            for (k, truth) in truth.iter().take(labels.len()).enumerate() {
                let mut values = found.iter().map(|row| f64::from(rows.labels(*row)[k])).collect();
                if let Some(value) = median(&mut values).filter(|_| truth.is_finite()) {
                    off[k][way].push((value - truth).abs());
                }
            }
        }
    }
    let mut page = String::from(
        "\n### Look-alikes of MILES stars among simulated ones\n\nMedian difference between the catalogue and the median of the five nearest, stars at 4000–7500 K:\n\n| label | N | by embedding | by normalised flux |\n|---|---|---|---|\n",
    );
    for (label, [embedding, flux]) in labels.iter().zip(&mut off) {
        let n = embedding.len();
        let (a, b) = (median(embedding).unwrap_or(f64::NAN), median(flux).unwrap_or(f64::NAN));
        let d = if *label == Label::Teff { 0 } else { 3 };
        let _ = writeln!(page, "| {} | {n} | {a:.d$} | {b:.d$} |", label.symbol());
    }
    Ok(page)
}

/// The optical spectra that the index's rows were made from, as the encoder saw them.
fn reference_fluxes(rows: &Rows, pairs: &Pairs) -> Result<Vec<Vec<f32>>> {
    let mut fluxes = Vec::with_capacity(rows.len());
    for (step, from) in (0..rows.len()).step_by(super::reference::AT_ONCE).enumerate() {
        let n = super::reference::AT_ONCE.min(rows.len() - from);
        for (i, pair) in pairs.of_step(step, n, Want::Both)?.into_iter().enumerate() {
            // The labels tell whether these are the index's stars.
            let known = rows.labels(from + i).first().copied().unwrap_or(f32::NAN);
            anyhow::ensure!(known == pair.parameters[0] as f32, "the index was not made from this grid with this seed");
            fluxes.push(Seen::lrs(pair.lrs, None).input());
        }
    }
    Ok(fluxes)
}

/// What was found of repeated visits.
pub struct Visits {
    /// As Markdown.
    pub page: String,
    /// LAMOST spectra with S/N of 30 or more, as the encoders see them.
    pub seen: Vec<Seen>,
}

/// How often another visit of the same star is the nearest of all LAMOST spectra, by embedding and by flux.
pub fn visits(kit: &Kit, predictor: &Predictor, real: &Path) -> Result<Visits> {
    let path = real.join("lamost_lrs.npz");
    let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let contents = read::read(&path.to_string_lossy(), &bytes).with_context(|| path.display().to_string())?;
    let table = read_table(&real.join("lamost_lrs_labels.csv"))?;
    let seen = seen(predictor, &contents.spectra);
    let mut groups = Vec::new();
    let mut kept = Vec::new();
    for (spectrum, seen) in contents.spectra.iter().zip(seen) {
        let Some(seen) = seen else { continue };
        let row = table.id.iter().position(|id| *id == spectrum.meta.id);
        let cell = |column: &str| row.map_or("", |row| text(&table, column, row)).to_string();
        let is_repeated = cell("n_repeat").parse::<f64>().is_ok_and(|n| n > 1.0);
        groups.push(is_repeated.then(|| cell("star_group")));
        kept.push(seen);
    }
    let inputs: Vec<Vec<f32>> = kept.iter().map(Seen::input).collect();
    let encoded = block_on(kit.encoders.encode(kept.clone()))?;
    let whole: Vec<Vec<f32>> = encoded.iter().map(|e| unit(e.embedding.clone())).collect();
    let reference: Vec<Vec<f32>> = (0..kit.index.lrs.len()).map(|row| kit.index.lrs.unit(row)).collect();
    let mean = mean_of(&reference);
    let centred: Vec<Vec<f32>> =
        whole.iter().map(|row| unit(row.iter().zip(&mean).map(|(a, m)| a - m).collect())).collect();
    let slices: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut before = Vec::new();
    for some in slices.chunks(BATCH) {
        before.extend(block_on(kit.encoders.pair().encode_lrs(some))?);
    }
    let before: Vec<Vec<f32>> = before.into_iter().map(unit).collect();
    let correlated: Vec<Vec<f32>> = inputs.iter().map(|row| unit(row.iter().map(|v| v - 1.0).collect())).collect();
    let mut page = String::from("\n### Another visit of the same star\n\n");
    let queries = groups.iter().flatten().count();
    let _ = writeln!(
        page,
        "{queries} LAMOST spectra of stars that were seen more than once, each searched among all {}:\n\n| by | first | rate |\n|---|---|---|",
        kept.len()
    );
    for (name, rows) in [
        ("embedding", &whole),
        ("embedding, the index's mean subtracted", &centred),
        ("encoder before alignment", &before),
        ("normalised flux, Euclid", &inputs),
        ("normalised flux − 1, cosine", &correlated),
    ] {
        let first = |(i, group): (usize, &Option<String>)| {
            let nearest = nearest_flux(&rows[i], rows, 2).into_iter().find(|j| *j != i);
            group.is_some() && nearest.is_some_and(|j| groups[j] == *group)
        };
        let found = groups.iter().enumerate().filter(|case| first(*case)).count();
        let _ = writeln!(page, "| {name} | {found} | {:.3} |", found as f64 / queries.max(1) as f64);
    }
    page.push_str(&odds(&kept, &groups, queries));
    let is_clean = |(seen, spectrum): &(Seen, &Spectrum)| {
        crate::preprocess::snr::estimate(spectrum).is_some_and(|s| s.value >= 30.0) && !seen.flux.is_empty()
    };
    let by_id = contents.spectra.iter();
    let clean = if kept.len() == contents.spectra.len() {
        kept.into_iter().zip(by_id).filter(is_clean).map(|(seen, _)| seen).collect()
    } else {
        kept
    };
    Ok(Visits { page, seen: clean })
}

/// The same by the odds that two spectra are of one star, and how many pairs are right beyond some odds.
fn odds(seen: &[Seen], groups: &[Option<String>], queries: usize) -> String {
    let all: Vec<&Seen> = seen.iter().collect();
    let Some(population) = Population::of(&all) else { return String::new() };
    let mut text = String::new();
    for (name, with_velocities) in
        [("odds of one star, lines alone", false), ("odds of one star, lines and velocities", true)]
    {
        let of = |seen: &Seen| Seen { rv_kms: seen.rv_kms.filter(|_| with_velocities), ..seen.clone() };
        let some: Vec<Seen> = seen.iter().map(of).collect();
        let places: Vec<Option<Place>> = population.places(&some.iter().collect::<Vec<_>>());
        let log10_odds = |i: usize, j: usize| Some(population.log10_odds(places[i].as_ref()?, places[j].as_ref()?));
        let best = |i: usize| {
            let others = (0..places.len()).filter(|j| *j != i).filter_map(|j| Some((j, log10_odds(i, j)?)));
            others.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(j, _)| j)
        };
        let is_found = |i: &usize| groups[*i].is_some() && best(*i).is_some_and(|j| groups[j] == groups[*i]);
        let found = (0..places.len()).filter(is_found).count();
        let _ = writeln!(text, "| {name} | {found} | {:.3} |", found as f64 / queries.max(1) as f64);
        if !with_velocities {
            continue;
        }
        let same = |i: usize, j: usize| groups[i].is_some() && groups[i] == groups[j];
        let pairs: Vec<(bool, f64)> = (0..places.len())
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .filter_map(|(i, j)| Some((same(i, j), log10_odds(i, j)?)))
            .collect();
        let there = pairs.iter().filter(|p| p.0).count();
        let _ = writeln!(
            text,
            "\nPairs by their odds, {there} of {} being of one star:\n\n| log10 of the odds at least | pairs | of one star |\n|---|---|---|",
            pairs.len()
        );
        for least in [1.0, 1.5, 2.0, 2.5, 3.0] {
            let beyond = || pairs.iter().filter(|p| p.1 >= least);
            let _ = writeln!(text, "| {least} | {} | {} |", beyond().count(), beyond().filter(|p| p.0).count());
        }
    }
    text
}

fn mean_of(rows: &[Vec<f32>]) -> Vec<f32> {
    let mut mean = vec![0f32; rows.first().map_or(0, Vec::len)];
    rows.iter().for_each(|row| mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / rows.len() as f32));
    mean
}
