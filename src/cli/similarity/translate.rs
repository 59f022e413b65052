//! `specola translate`: spectra predicted in the other survey.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use serde_json::json;

use super::super::files::for_each_part;
use super::super::{RunOutcome, output};
use super::{EncoderArgs, OutputFormat, parse_modality};
use crate::result::specclip::Modality;
use crate::share::csv::cell;
use crate::task::similarity::encoders::wave_vac_aa;
use crate::task::similarity::index_set::other;

/// Predict spectra in the other survey: Gaia XP from optical spectra (flux relative to 550 nm), optical from XP spectra
/// (flux over continuum, at rest). Wavelengths are in vacuum Å
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Translate {
    /// Spectra: files, folders, .zip archives or .npz bundles, `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Survey to predict, xp or lrs; spectra of this survey are skipped [default: for each spectrum the other survey]
    #[arg(long, value_name = "xp|lrs")]
    to: Option<String>,
    #[command(flatten)]
    common: EncoderArgs,
}

impl Translate {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<RunOutcome> {
        let to = match self.to.as_deref().map(|name| (name, parse_modality(name))) {
            Some((name, None)) => bail!("unknown survey {name:?}; choose xp or lrs"),
            Some((_, to)) => to,
            None => None,
        };
        let tools = self.common.tools()?;
        let mut out = output::open(self.common.output.as_deref())?;
        if self.common.format == OutputFormat::Csv {
            writeln!(out, "id,wavelength,flux")?;
        }
        let outcome = for_each_part(&self.files, |part, report| {
            for (loaded, encoded) in part.iter().zip(tools.encode(&part, report)?) {
                let Some(encoded) = encoded else { continue };
                let (id, from) = (&loaded.spectrum.meta.id, encoded.input.modality);
                if to == Some(from) {
                    report.warn(&loaded.file, &format!("{id}: skipped, because it is already from the target survey"));
                    continue;
                }
                let Some(flux) = encoded.translated else {
                    bail!("{} has no decoders and cannot translate", tools.bundle.encoders.title());
                };
                let wave = wave_vac_aa(other(from));
                report.suspended(|| self.write(&mut out, id, from, &wave, &flux, &tools.bundle.encoders.title()))?;
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
        from: Modality,
        wave: &[f32],
        flux: &[f32],
        model: &str,
    ) -> std::io::Result<()> {
        if self.common.format == OutputFormat::Csv {
            let id = cell(id);
            return wave.iter().zip(flux).try_for_each(|(wave, flux)| writeln!(out, "{id},{wave:.2},{flux:.5}"));
        }
        let to = other(from);
        let unit = match to {
            Modality::Lrs => "flux over continuum, at rest",
            Modality::Xp => "flux over that at 550 nm",
        };
        let row = json!({
            "id": id, "from": from.name(), "to": to.name(), "what": unit, "model": model,
            "wavelength": wave, "flux": flux,
        });
        writeln!(out, "{row}")
    }
}
