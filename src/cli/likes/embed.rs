//! `specola embed`: an index of spectra.

use std::io::Write;
use std::path::PathBuf;

use super::super::files::for_each_part;
use super::super::{ModelsDir, Outcome, output};
use super::{Tools, modality_named, names};
use crate::retrieve::index::{Bits, Index};

/// How an index calls itself; where it is read it goes by its file.
const NAME: &str = "index";

/// Make an index of spectra, in which `specola retrieve` finds look-alikes
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Embed {
    /// Spectra: files, folders, .zip archives or .npz bundles
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// `lrs` or `xp` for spectra of that kind alone, or the name of an encoder pair [default: both kinds, the shipped pair]
    #[arg(long, value_name = "lrs|xp|NAME")]
    model: Option<String>,
    /// Where to write the index; `-` is standard output
    #[arg(short, value_name = "INDEX", required = true)]
    output: PathBuf,
    /// Add to the index that is there; an entry of the same name and kind is replaced
    #[arg(long)]
    append: bool,
    /// One byte a number in place of two: half as large, similarities right to some 5e-4
    #[arg(long)]
    small: bool,
    #[command(flatten)]
    models: ModelsDir,
}

impl Embed {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<Outcome> {
        let only = self.model.as_deref().and_then(modality_named);
        let pair = self.model.as_deref().filter(|_| only.is_none());
        let tools = Tools::load(&self.models, pair)?;
        let encoders = &tools.kit.encoders;
        let labels = encoders.all_labels();
        let bits = if self.small { Bits::Eight } else { Bits::Sixteen };
        let mut index = match self.append {
            true => tools.index(&self.output)?,
            false => Index::new(encoders.about(NAME, &names(&self.files), labels.clone()), bits),
        };
        index.about.name = NAME.into();
        anyhow::ensure!(index.about.labels == labels, "the index to append to has other labels; make a new one");
        let outcome = for_each_part(&self.files, |part, report| {
            for (loaded, encoded) in part.iter().zip(tools.encode(&part, report)?) {
                let Some(encoded) = encoded else { continue };
                let (id, modality) = (&loaded.spectrum.meta.id, encoded.seen.modality);
                if only.is_some_and(|only| only != modality) {
                    report.remark(&loaded.file, &format!("{id}: left out, it is of the other survey"));
                    continue;
                }
                let labels = encoders.labels_in_order(&encoded);
                let rows = index.rows_mut(modality);
                let (embedding, flux) = (&encoded.embedding, &encoded.seen.flux);
                // Only what was there before is replaced.
                let known = self.append.then(|| rows.ids().iter().position(|known| known == id)).flatten();
                match known {
                    Some(row) => rows.replace(row, id, embedding, &labels, flux)?,
                    None => rows.push(id, embedding, &labels, flux)?,
                }
            }
            Ok(())
        })?;
        let mut out = output::open(Some(&self.output))?;
        out.write_all(&index.to_file()?)?;
        out.finish()?;
        Ok(outcome)
    }
}
