//! `specola embed`, `retrieve`, `translate`, `odd`, `repeats`: thin faces over `task::likes`.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use pollster::block_on;

use super::ModelsDir;
use super::files::{Loaded, Report};
use crate::result::catalogue::Modality;
use crate::retrieve::index::Index;
use crate::task::likes::Kit;
use crate::task::likes::encode::{BATCH, Encoded, prepare};
use crate::task::predict::Predictor;

pub(super) mod embed;
pub(super) mod odd;
pub(super) mod repeats;
pub(super) mod retrieve;
pub(super) mod translate;

/// Form of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Form {
    /// Comma-separated values with a header
    Csv,
    /// One object a line
    Json,
}

/// An encoder pair, its shipped index, and what measures velocities.
pub(super) struct Tools {
    pub kit: Kit,
    pub predictor: Predictor,
}

impl Tools {
    pub fn load(models: &ModelsDir, pair: Option<&str>) -> anyhow::Result<Self> {
        let kit = block_on(Kit::fetch(&models.store(), pair, |_, _, _| {})).map_err(|why| anyhow!(why))?;
        Ok(Self { kit, predictor: models.load(None)?.1 })
    }

    /// What the encoders make of spectra, in the same order. One that they cannot read has a line on standard error.
    fn encode(&self, part: &[Loaded], report: &Report) -> anyhow::Result<Vec<Option<Encoded>>> {
        let mut all = Vec::new();
        for batch in part.chunks(BATCH) {
            let spectra: Vec<_> = batch.iter().map(|loaded| &loaded.spectrum).collect();
            let prepared = block_on(prepare(&self.predictor, &spectra));
            let mut there = Vec::new();
            let mut seen = Vec::new();
            for (loaded, one) in batch.iter().zip(prepared) {
                match one {
                    Ok(one) => seen.push(one),
                    Err(why) => report.remark(&loaded.file, &format!("{}: {why}", loaded.spectrum.meta.id)),
                }
                there.push(seen.len());
            }
            let mut encoded = block_on(self.kit.encoders.encode(seen))?.into_iter();
            let mut before = 0;
            all.extend(there.into_iter().map(|n| {
                if n > before {
                    before = n;
                    encoded.next()
                } else {
                    None
                }
            }));
        }
        Ok(all)
    }

    /// Reads an index that must be of this pair.
    fn index(&self, path: &Path) -> anyhow::Result<Index> {
        let place = || path.display().to_string();
        let bytes = std::fs::read(path).with_context(|| format!("cannot open {}", path.display()))?;
        let mut index = Index::parse(&bytes).with_context(place)?;
        index.about.name = place();
        self.kit.encoders.must_fit(&index)?;
        Ok(index)
    }
}

fn modality_named(name: &str) -> Option<Modality> {
    [Modality::Lrs, Modality::Xp].into_iter().find(|m| m.name() == name)
}

/// A cell of a table.
fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

fn names(paths: &[PathBuf]) -> String {
    let mut names: Vec<String> = paths.iter().take(3).map(|p| p.display().to_string()).collect();
    if paths.len() > 3 {
        names.push(format!("{} more", paths.len() - 3));
    }
    names.join(", ")
}
