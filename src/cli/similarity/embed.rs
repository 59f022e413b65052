//! `specola embed`: makes an index of spectra.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;

use super::super::files::for_each_part;
use super::super::{ModelsDir, RunOutcome, output, print_message};
use super::{EncoderTools, names, parse_modality};
use crate::similarity::index::{Bits, Index};
use crate::whole_file;

/// Name stored in the index. Readers use the name of the file instead.
const NAME: &str = "index";

/// Make an index of spectra for `specola retrieve`, which finds similar spectra in it
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Embed {
    /// Spectra: files, folders, .zip archives or .npz bundles, `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// `lrs` or `xp` to use only spectra of that survey, or the name of an encoder pair [default: both surveys, shipped
    /// pair]
    #[arg(long, value_name = "lrs|xp|NAME")]
    model: Option<String>,
    /// Output file for the index; `-` is standard output
    #[arg(short, value_name = "INDEX", required = true)]
    output: PathBuf,
    /// Add to an existing index; replaces entries of the same name and survey
    #[arg(long)]
    append: bool,
    /// Store each number in one byte instead of two: half the size; similarities are accurate to about 5e-4
    #[arg(long)]
    small: bool,
    #[command(flatten)]
    models: ModelsDir,
}

impl Embed {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<RunOutcome> {
        // Another run that appends to this index waits until this one has written it.
        let wait = || print_message(&format!("waiting for another run that changes {}", self.output.display()));
        let _lock = match self.append {
            true => Some(whole_file::lock(&self.output, wait).with_context(|| {
                format!("cannot open {} to append to it; a new index is made without --append", self.output.display())
            })?),
            false => None,
        };
        let mut out = output::open(Some(&self.output))?;
        let only = self.model.as_deref().and_then(parse_modality);
        let pair = self.model.as_deref().filter(|_| only.is_none());
        let tools = EncoderTools::load(&self.models, pair)?;
        let encoders = &tools.bundle.encoders;
        let labels = encoders.all_labels();
        let bits = if self.small { Bits::Eight } else { Bits::Sixteen };
        let mut index = match self.append {
            true => tools.index(&self.output)?,
            false => Index::new(encoders.index_metadata(NAME, &names(&self.files), labels.clone()), bits),
        };
        index.metadata.name = NAME.into();
        anyhow::ensure!(index.metadata.labels == labels, "the index to append to has other labels; make a new index");
        let outcome = for_each_part(&self.files, |part, report| {
            for (loaded, encoded) in part.iter().zip(tools.encode(&part, report)?) {
                let Some(encoded) = encoded else { continue };
                let (id, modality) = (&loaded.spectrum.meta.id, encoded.input.modality);
                if only.is_some_and(|only| only != modality) {
                    report.warn(&loaded.file, &format!("{id}: skipped, because it is from the other survey"));
                    continue;
                }
                let labels = encoders.labels_in_order(&encoded);
                let rows = index.rows_mut(modality);
                let (embedding, flux) = (&encoded.embedding, &encoded.input.flux);
                // Replaces only entries of the earlier index, not entries of this run.
                let existing = self.append.then(|| rows.ids().iter().position(|entry| entry == id)).flatten();
                match existing {
                    Some(row) => rows.replace(row, id, embedding, &labels, flux)?,
                    None => rows.push(id, embedding, &labels, flux)?,
                }
            }
            Ok(())
        })?;
        out.write_all(&index.to_file()?)?;
        out.finish()?;
        Ok(outcome)
    }
}
