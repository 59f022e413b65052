//! `specola translate`: spectra as the other survey would see them.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use serde_json::json;

use super::super::files::for_each_part;
use super::super::{ModelsDir, Outcome, output};
use super::{Form, Tools, cell, modality_named};
use crate::result::catalogue::Modality;
use crate::task::likes::encode::wave_vac_aa;
use crate::task::likes::library::other;

/// Predict spectra in the other survey: Gaia XP from optical ones (flux over that at 550 nm), optical from XP (flux over
/// continuum, at rest)
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Translate {
    /// Spectra: files, folders, .zip archives or .npz bundles
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Survey to predict, xp or lrs; spectra that are of it are passed over [default: the other one of each]
    #[arg(long, value_name = "xp|lrs")]
    to: Option<String>,
    /// Form of the results; wavelengths are in vacuum Å
    #[arg(long, value_enum, default_value = "csv")]
    format: Form,
    /// Encoder pair [default: the shipped one]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Where to write; `-` is standard output
    #[arg(short, value_name = "OUT")]
    output: Option<PathBuf>,
    #[command(flatten)]
    models: ModelsDir,
}

impl Translate {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<Outcome> {
        let to = match self.to.as_deref().map(|name| (name, modality_named(name))) {
            Some((name, None)) => bail!("there is no survey {name:?} to predict; there are xp and lrs"),
            Some((_, to)) => to,
            None => None,
        };
        let tools = Tools::load(&self.models, self.model.as_deref())?;
        let mut out = output::open(self.output.as_deref())?;
        if self.format == Form::Csv {
            writeln!(out, "id,wavelength,flux")?;
        }
        let outcome = for_each_part(&self.files, |part, report| {
            for (loaded, encoded) in part.iter().zip(tools.encode(&part, report)?) {
                let Some(encoded) = encoded else { continue };
                let (id, from) = (&loaded.spectrum.meta.id, encoded.seen.modality);
                if to == Some(from) {
                    report.remark(&loaded.file, &format!("{id}: passed over, it is of that survey"));
                    continue;
                }
                let Some(flux) = encoded.across else {
                    bail!("{} has no decoders and cannot translate", tools.kit.encoders.title());
                };
                let wave = wave_vac_aa(other(from));
                report.aside(|| self.write(&mut out, id, from, &wave, &flux, &tools.kit.encoders.title()))?;
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
        if self.format == Form::Csv {
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
