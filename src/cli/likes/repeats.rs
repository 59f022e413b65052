//! `specola repeats`: spectra that are probably of one star.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use pollster::block_on;
use rayon::prelude::*;
use serde_json::json;

use super::super::files::for_each_part;
use super::super::{ModelsDir, Outcome, output};
use super::{Form, cell};
use crate::task::likes::encode::{BATCH, Seen, prepare};
use crate::task::likes::repeats::{FEWEST, Place, Population};

/// Find spectra that are probably of one star, by lines and velocities, without coordinates
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Repeats {
    /// Spectra: files, folders, .zip archives or .npz bundles; optical ones with errors count
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Pairs with at least these odds, as a power of ten: as two visits of one star against two stars of this set
    #[arg(long, value_name = "LOG10", default_value_t = 2.0)]
    least: f64,
    /// Form of the results
    #[arg(long, value_enum, default_value = "csv")]
    format: Form,
    /// Where to write; `-` is standard output
    #[arg(short, value_name = "OUT")]
    output: Option<PathBuf>,
    #[command(flatten)]
    models: ModelsDir,
}

impl Repeats {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<Outcome> {
        let (_, predictor) = self.models.load(None)?;
        let mut stars: Vec<(String, Seen)> = Vec::new();
        let outcome = for_each_part(&self.files, |part, report| {
            for batch in part.chunks(BATCH) {
                let spectra: Vec<_> = batch.iter().map(|loaded| &loaded.spectrum).collect();
                for (loaded, seen) in batch.iter().zip(block_on(prepare(&predictor, &spectra))) {
                    let id = &loaded.spectrum.meta.id;
                    match seen {
                        Ok(seen) => stars.push((id.clone(), seen)),
                        Err(why) => report.remark(&loaded.file, &format!("{id}: {why}")),
                    }
                }
            }
            Ok(())
        })?;
        let seen: Vec<&Seen> = stars.iter().map(|(_, seen)| seen).collect();
        let population = Population::of(&seen).with_context(|| {
            format!("how stars differ is learned from the set itself: give at least {FEWEST} optical spectra with errors and S/N above 20")
        })?;
        let places: Vec<Option<Place>> = population.places(&seen);
        let mut pairs: Vec<(usize, usize, f64)> = (0..places.len())
            .into_par_iter()
            .flat_map_iter(|i| (0..i).map(move |j| (j, i)))
            .filter_map(|(j, i)| Some((j, i, population.log10_odds(places[j].as_ref()?, places[i].as_ref()?))))
            .filter(|(_, _, odds)| *odds >= self.least)
            .collect();
        pairs.sort_by(|a, b| b.2.total_cmp(&a.2));
        let mut out = output::open(self.output.as_deref())?;
        if self.format == Form::Csv {
            writeln!(out, "id_a,id_b,log10_odds,rv_a_kms,rv_b_kms")?;
        }
        let rv = |i: usize| seen[i].rv_kms;
        let number = |rv: Option<f64>| rv.map_or(String::new(), |rv| format!("{rv:.1}"));
        for (a, b, odds) in pairs {
            let (id_a, id_b) = (&stars[a].0, &stars[b].0);
            match self.format {
                Form::Csv => {
                    writeln!(out, "{},{},{odds:.2},{},{}", cell(id_a), cell(id_b), number(rv(a)), number(rv(b)))?;
                }
                Form::Json => {
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
