//! `specola posterior`: draws of stellar parameters from their joint density.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use pollster::block_on;
use serde_json::json;

use super::files::for_each_part;
use super::similarity::OutputFormat;
use super::{ModelsDir, RunOutcome, output};
use crate::share::csv::cell;
use crate::task::specclip::is_xp;
use crate::task::xp_posterior::XpPosteriorModel;

/// Draw Teff, log g, [Fe/H] and [α/Fe] of Gaia XP spectra from their joint density
#[derive(Debug, clap::Args)]
pub(super) struct Posterior {
    /// Spectra: files, folders, .zip archives or .npz bundles, `-` for standard input; only Gaia XP spectra are used
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Number of draws for each spectrum
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    draws: u32,
    /// Seed of the draws
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Format of the results: csv has one row for each draw, json one object for each spectrum
    #[arg(long, value_enum, default_value = "csv")]
    format: OutputFormat,
    /// Output file; `-` is standard output
    #[arg(short, value_name = "OUT")]
    output: Option<PathBuf>,
    #[command(flatten)]
    models: ModelsDir,
}

impl Posterior {
    pub(super) fn run(&self) -> Result<RunOutcome> {
        let model = block_on(XpPosteriorModel::fetch(&self.models.store(), |_, _| {})).map_err(|why| anyhow!(why))?;
        let names: Vec<&str> = model.labels().iter().map(|label| label.name()).collect();
        let mut out = output::open(self.output.as_deref())?;
        if self.format == OutputFormat::Csv {
            writeln!(out, "id,{}", names.join(","))?;
        }
        let outcome = for_each_part(&self.files, |part, report| {
            for loaded in &part {
                let id = &loaded.spectrum.meta.id;
                if !is_xp(&loaded.spectrum) {
                    report.warn(&loaded.file, &format!("{id}: skipped, because it is no Gaia XP spectrum"));
                    continue;
                }
                let draws = match block_on(model.draw(&loaded.spectrum, self.draws as usize, self.seed)) {
                    Ok(draws) => draws,
                    Err(why) => {
                        report.warn(&loaded.file, &format!("{id}: {why}"));
                        continue;
                    }
                };
                report.suspended(|| self.write(&mut out, id, &names, &draws, &model.entry().title()))?;
            }
            Ok(())
        })?;
        out.finish()?;
        Ok(outcome)
    }

    fn write(
        &self,
        out: &mut dyn Write,
        id: &str,
        names: &[&str],
        draws: &[[f64; 4]],
        model: &str,
    ) -> std::io::Result<()> {
        if self.format == OutputFormat::Json {
            let rounded: Vec<_> = draws
                .iter()
                .map(|[t, g, m, a]| json!([round(*t, 1), round(*g, 4), round(*m, 4), round(*a, 4)]))
                .collect();
            return writeln!(out, "{}", json!({ "id": id, "model": model, "labels": names, "draws": rounded }));
        }
        let id = cell(id);
        draws
            .iter()
            .try_for_each(|[teff, logg, feh, alpha]| writeln!(out, "{id},{teff:.1},{logg:.4},{feh:.4},{alpha:.4}"))
    }
}

fn round(value: f64, decimals: i32) -> f64 {
    let unit = 10f64.powi(decimals);
    (value * unit).round() / unit
}
