//! Evaluation of the similarity search on real stars: labels of a star's neighbours, and recall of its repeat visits.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use pollster::block_on;

use super::evaluate::{read_table, text};
use super::grid_sampler::RequiredParts;
use super::labelled_library::read_labelled;
use super::pairs::Pairs;
use crate::read;
use crate::result::Label;
use crate::result::similarity::SearchOptions;
use crate::result::specclip::Modality;
use crate::similarity::index::{Rows, unit};
use crate::spectrum::Spectrum;
use crate::stats::median;
use crate::task::predict::Predictor;
use crate::task::similarity::EncoderBundle;
use crate::task::similarity::encoders::{BATCH, EncoderInput, prepare};
use crate::task::similarity::index_set::{IndexSet, Query};
use crate::task::similarity::repeat_visits::{Population, Projection};

/// Number of neighbours whose labels are compared.
const TOP: usize = 5;

/// Preprocessed real spectra; `None` where preprocessing fails.
fn prepare_all(predictor: &Predictor, spectra: &[Spectrum]) -> Vec<Option<EncoderInput>> {
    let of = |chunk: &[Spectrum]| {
        let chunk: Vec<&Spectrum> = chunk.iter().collect();
        block_on(prepare(predictor, &chunk)).into_iter().map(Result::ok).collect::<Vec<_>>()
    };
    spectra.chunks(BATCH).flat_map(of).collect()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2)).sum()
}

/// Indices of the `top` nearest rows, in order of distance.
fn nearest_flux(query: &[f32], rows: &[Vec<f32>], top: usize) -> Vec<usize> {
    let mut all: Vec<(f64, usize)> = rows.iter().enumerate().map(|(i, row)| (distance(query, row), i)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.into_iter().take(top).map(|(_, i)| i).collect()
}

/// Compares the labels of MILES stars with those of their five nearest simulated stars, by embedding and by flux.
/// Returns a section of Markdown.
pub fn miles(
    encoder_bundle: &EncoderBundle,
    predictor: &Predictor,
    pairs: &Pairs,
    real: &Path,
    log: &mut dyn FnMut(&str),
) -> Result<String> {
    let library = read_labelled(&real.join("miles.npz"), &real.join("miles_labels.csv"))?;
    let rows = &encoder_bundle.index.lrs;
    let fluxes = reference_fluxes(rows, pairs)?;
    log(&format!("{} simulated fluxes", fluxes.len()));
    let searchable = IndexSet::new(vec![encoder_bundle.index.clone()]);
    let input = prepare_all(predictor, &library.spectra);
    let accepted: Vec<usize> = (0..input.len()).filter(|i| input[*i].is_some()).collect();
    let encoded = block_on(encoder_bundle.encoders.encode(input.into_iter().flatten().collect()))?;
    let labels = [Label::Teff, Label::Logg, Label::Feh];
    let mut absolute_differences = vec![[Vec::new(), Vec::new()]; labels.len()];
    let options = SearchOptions { n_results: TOP as u32, ..SearchOptions::default() };
    for (&star, encoded) in accepted.iter().zip(&encoded) {
        let truth = library.stars[star].labels;
        // The simulated stars have no neighbours outside the grid.
        if !(4000.0..=7500.0).contains(&truth[0]) {
            continue;
        }
        let query = Query { position: None, id: String::new(), embedding: encoded.embedding.clone() };
        let hits = searchable.search(&[query], Modality::Lrs, &options, None);
        let by_embedding: Vec<usize> = hits.into_iter().map(|(_, hit)| hit.row).collect();
        let by_flux = nearest_flux(&encoded.input.input(), &fluxes, TOP);
        for (method, found) in [by_embedding, by_flux].iter().enumerate() {
            for (k, truth) in truth.iter().take(labels.len()).enumerate() {
                let mut values = found.iter().map(|row| f64::from(rows.labels(*row)[k])).collect();
                if let Some(value) = median(&mut values).filter(|_| truth.is_finite()) {
                    absolute_differences[k][method].push((value - truth).abs());
                }
            }
        }
    }
    let mut page = String::from(
        "\n## Similar spectra of MILES stars among simulated ones\n\nMedian absolute difference between the catalogue and the median of the five nearest neighbours, stars of 4000–7500 K:\n\n| label | N | by embedding | by normalised flux |\n|---|---|---|---|\n",
    );
    for (label, [embedding, flux]) in labels.iter().zip(&mut absolute_differences) {
        let n = embedding.len();
        let (a, b) = (median(embedding).unwrap_or(f64::NAN), median(flux).unwrap_or(f64::NAN));
        let d = if *label == Label::Teff { 0 } else { 3 };
        let _ = writeln!(page, "| {} | {n} | {a:.d$} | {b:.d$} |", label.symbol());
    }
    Ok(page)
}

/// The optical spectra of the index's rows, as input of the encoder.
fn reference_fluxes(rows: &Rows, pairs: &Pairs) -> Result<Vec<Vec<f32>>> {
    let mut fluxes = Vec::with_capacity(rows.len());
    for (step, from) in (0..rows.len()).step_by(super::reference_index::BATCH_SIZE).enumerate() {
        let n = super::reference_index::BATCH_SIZE.min(rows.len() - from);
        for (i, pair) in pairs.of_step(step, n, RequiredParts::Both)?.into_iter().enumerate() {
            // Equal labels show that these are the stars of the index.
            let teff_k = rows.labels(from + i).first().copied().unwrap_or(f32::NAN);
            anyhow::ensure!(
                teff_k == pair.parameters[0] as f32,
                "the stars of the index differ from those of this grid and seed; use the grid and seed of the index"
            );
            fluxes.push(EncoderInput::lrs(pair.lrs, None).input());
        }
    }
    Ok(fluxes)
}

/// Results of the search for repeat visits.
pub struct Visits {
    /// Section of Markdown.
    pub page: String,
    /// Preprocessed LAMOST spectra with S/N ≥ 30.
    pub input: Vec<EncoderInput>,
}

/// Fraction of spectra whose nearest neighbour among all LAMOST spectra is another visit of the same star. It compares
/// embeddings and fluxes.
pub fn visits(encoder_bundle: &EncoderBundle, predictor: &Predictor, real: &Path) -> Result<Visits> {
    let path = real.join("lamost_lrs.npz");
    let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let contents = read::read(&path.to_string_lossy(), &bytes).with_context(|| path.display().to_string())?;
    let table = read_table(&real.join("lamost_lrs_labels.csv"))?;
    let input = prepare_all(predictor, &contents.spectra);
    let mut groups = Vec::new();
    let mut accepted = Vec::new();
    for (spectrum, input) in contents.spectra.iter().zip(input) {
        let Some(input) = input else { continue };
        let row = table.id.iter().position(|id| *id == spectrum.meta.id);
        let cell = |column: &str| row.map_or("", |row| text(&table, column, row)).to_string();
        let is_repeated = cell("n_repeat").parse::<f64>().is_ok_and(|n| n > 1.0);
        groups.push(is_repeated.then(|| cell("star_group")));
        accepted.push(input);
    }
    let inputs: Vec<Vec<f32>> = accepted.iter().map(EncoderInput::input).collect();
    let encoded = block_on(encoder_bundle.encoders.encode(accepted.clone()))?;
    let embeddings: Vec<Vec<f32>> = encoded.iter().map(|e| unit(e.embedding.clone())).collect();
    let reference: Vec<Vec<f32>> =
        (0..encoder_bundle.index.lrs.len()).map(|row| encoder_bundle.index.lrs.unit(row)).collect();
    let mean = mean_of(&reference);
    let centred: Vec<Vec<f32>> =
        embeddings.iter().map(|row| unit(row.iter().zip(&mean).map(|(a, m)| a - m).collect())).collect();
    let slices: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut encoder_outputs = Vec::new();
    for chunk in slices.chunks(BATCH) {
        encoder_outputs.extend(block_on(encoder_bundle.encoders.pair().encode_lrs(chunk))?);
    }
    let encoder_outputs: Vec<Vec<f32>> = encoder_outputs.into_iter().map(unit).collect();
    let correlated: Vec<Vec<f32>> = inputs.iter().map(|row| unit(row.iter().map(|v| v - 1.0).collect())).collect();
    let mut page = String::from("\n## Repeat visits\n\n");
    let queries = groups.iter().flatten().count();
    let _ = writeln!(
        page,
        "{queries} LAMOST spectra of stars with several visits, each searched among all {}. The nearest neighbour is of the same star:\n\n| by | N | fraction |\n|---|---|---|",
        accepted.len()
    );
    for (name, rows) in [
        ("embedding", &embeddings),
        ("embedding, the index's mean subtracted", &centred),
        ("encoder before alignment", &encoder_outputs),
        ("normalised flux, Euclidean distance", &inputs),
        ("normalised flux − 1, cosine", &correlated),
    ] {
        let first = |(i, group): (usize, &Option<String>)| {
            let nearest = nearest_flux(&rows[i], rows, 2).into_iter().find(|j| *j != i);
            group.is_some() && nearest.is_some_and(|j| groups[j] == *group)
        };
        let found = groups.iter().enumerate().filter(|case| first(*case)).count();
        let _ = writeln!(page, "| {name} | {found} | {:.3} |", found as f64 / queries.max(1) as f64);
    }
    page.push_str(&odds(&accepted, &groups, queries));
    let is_clean = |(input, spectrum): &(EncoderInput, &Spectrum)| {
        crate::preprocess::snr::estimate(spectrum).is_some_and(|s| s.value >= 30.0) && !input.flux.is_empty()
    };
    let by_id = contents.spectra.iter();
    let clean = if accepted.len() == contents.spectra.len() {
        accepted.into_iter().zip(by_id).filter(is_clean).map(|(input, _)| input).collect()
    } else {
        accepted
    };
    Ok(Visits { page, input: clean })
}

/// Table rows for the search by the odds that two spectra are of one star, and the number of correct pairs above
/// several thresholds of the odds.
fn odds(input: &[EncoderInput], groups: &[Option<String>], queries: usize) -> String {
    let all: Vec<&EncoderInput> = input.iter().collect();
    let Some(population) = Population::of(&all) else { return String::new() };
    let mut text = String::new();
    for (name, with_velocities) in
        [("odds of the same star, lines only", false), ("odds of the same star, lines and velocities", true)]
    {
        let of =
            |input: &EncoderInput| EncoderInput { rv_kms: input.rv_kms.filter(|_| with_velocities), ..input.clone() };
        let spectra: Vec<EncoderInput> = input.iter().map(of).collect();
        let projections: Vec<Option<Projection>> = population.project(&spectra.iter().collect::<Vec<_>>());
        let log10_odds =
            |i: usize, j: usize| Some(population.log10_odds(projections[i].as_ref()?, projections[j].as_ref()?));
        let best = |i: usize| {
            let others = (0..projections.len()).filter(|j| *j != i).filter_map(|j| Some((j, log10_odds(i, j)?)));
            others.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(j, _)| j)
        };
        let is_found = |i: &usize| groups[*i].is_some() && best(*i).is_some_and(|j| groups[j] == groups[*i]);
        let found = (0..projections.len()).filter(is_found).count();
        let _ = writeln!(text, "| {name} | {found} | {:.3} |", found as f64 / queries.max(1) as f64);
        if !with_velocities {
            continue;
        }
        let same = |i: usize, j: usize| groups[i].is_some() && groups[i] == groups[j];
        let pairs: Vec<(bool, f64)> = (0..projections.len())
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .filter_map(|(i, j)| Some((same(i, j), log10_odds(i, j)?)))
            .collect();
        let same_star_pairs = pairs.iter().filter(|p| p.0).count();
        let _ = writeln!(
            text,
            "\nPairs by their odds; {same_star_pairs} of {} pairs are of one star:\n\n| log10 of the odds at least | pairs | of one star |\n|---|---|---|",
            pairs.len()
        );
        for threshold in [1.0, 1.5, 2.0, 2.5, 3.0] {
            let above_threshold = || pairs.iter().filter(|p| p.1 >= threshold);
            let _ = writeln!(
                text,
                "| {threshold} | {} | {} |",
                above_threshold().count(),
                above_threshold().filter(|p| p.0).count()
            );
        }
    }
    text
}

fn mean_of(rows: &[Vec<f32>]) -> Vec<f32> {
    let mut mean = vec![0f32; rows.first().map_or(0, Vec::len)];
    rows.iter().for_each(|row| mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / rows.len() as f32));
    mean
}
