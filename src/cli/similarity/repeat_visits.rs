//! `specola repeat-visits`: spectra that probably show the same star.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use pollster::block_on;
use rayon::prelude::*;
use serde_json::json;

use super::super::files::for_each_part;
use super::super::{ModelsDir, RunOutcome, output};
use super::OutputFormat;
use crate::share::csv::cell;
use crate::task::similarity::encoders::{BATCH, EncoderInput, prepare};
use crate::task::similarity::repeat_visits::{MIN_SPECTRA, Population, Projection};

/// Find spectra that probably show the same star, from lines and velocities, without coordinates
#[derive(Debug, clap::Args)]
#[command(alias = "repeats")]
pub(in crate::cli) struct RepeatVisits {
    /// Spectra: files, folders, .zip archives or .npz bundles, `-` for standard input; only optical spectra with flux errors are used
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Smallest log10 odds of one star observed twice against two different stars of this set
    #[arg(long = "least", value_name = "LOG10", default_value_t = 2.0)]
    min_log10_odds: f64,
    /// Format of the results
    #[arg(long, value_enum, default_value = "csv")]
    format: OutputFormat,
    /// Output file; `-` is standard output
    #[arg(short, value_name = "OUT")]
    output: Option<PathBuf>,
    #[command(flatten)]
    models: ModelsDir,
}

impl RepeatVisits {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<RunOutcome> {
        let mut out = output::open(self.output.as_deref())?;
        let (_, predictor) = self.models.load(None)?;
        let mut stars: Vec<(String, EncoderInput)> = Vec::new();
        let outcome = for_each_part(&self.files, |part, report| {
            for batch in part.chunks(BATCH) {
                let spectra: Vec<_> = batch.iter().map(|loaded| &loaded.spectrum).collect();
                for (loaded, input) in batch.iter().zip(block_on(prepare(&predictor, &spectra))) {
                    let id = &loaded.spectrum.meta.id;
                    match input {
                        Ok(input) => stars.push((id.clone(), input)),
                        Err(why) => report.warn(&loaded.file, &format!("{id}: {why}")),
                    }
                }
            }
            Ok(())
        })?;
        let input: Vec<&EncoderInput> = stars.iter().map(|(_, input)| input).collect();
        let population = Population::of(&input).with_context(|| {
            format!("the scatter between stars is estimated from the set itself; give at least {MIN_SPECTRA} optical spectra with errors and S/N above 20")
        })?;
        let places: Vec<Option<Projection>> = population.project(&input);
        let mut pairs: Vec<(usize, usize, f64)> = (0..places.len())
            .into_par_iter()
            .flat_map_iter(|i| (0..i).map(move |j| (j, i)))
            .filter_map(|(j, i)| Some((j, i, population.log10_odds(places[j].as_ref()?, places[i].as_ref()?))))
            .filter(|(_, _, odds)| *odds >= self.min_log10_odds)
            .collect();
        pairs.sort_by(|a, b| b.2.total_cmp(&a.2));
        if self.format == OutputFormat::Csv {
            writeln!(out, "id_a,id_b,log10_odds,rv_a_kms,rv_b_kms")?;
        }
        let rv = |i: usize| input[i].rv_kms;
        let number = |rv: Option<f64>| rv.map_or(String::new(), |rv| format!("{rv:.1}"));
        for (a, b, odds) in pairs {
            let (id_a, id_b) = (&stars[a].0, &stars[b].0);
            match self.format {
                OutputFormat::Csv => {
                    writeln!(out, "{},{},{odds:.2},{},{}", cell(id_a), cell(id_b), number(rv(a)), number(rv(b)))?;
                }
                OutputFormat::Json => {
                    let row =
                        json!({"id_a": id_a, "id_b": id_b, "log10_odds": odds, "rv_a_kms": rv(a), "rv_b_kms": rv(b)});
                    writeln!(out, "{row}")?;
                }
            }
        }
        out.finish()?;
        Ok(outcome)
    }
}
