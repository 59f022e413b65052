//! `specola embed`, `retrieve`, `translate`, `anomalies`, `repeat-visits`: thin layers over `task::similarity`.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use pollster::block_on;

use super::ModelsDir;
use super::files::{ImportReport, LoadedSpectrum};
use crate::result::specclip::Modality;
use crate::similarity::index::Index;
use crate::task::predict::Predictor;
use crate::task::similarity::EncoderBundle;
use crate::task::similarity::encoders::{BATCH, Encoded, prepare};

pub(super) mod embed;
pub(super) mod anomalies;
pub(super) mod repeat_visits;
pub(super) mod retrieve;
pub(super) mod translate;

/// Format of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OutputFormat {
    /// Comma-separated values with a header
    Csv,
    /// One JSON object per line
    Json,
}

/// Arguments of the subcommands that use an encoder pair and write a table.
#[derive(Debug, clap::Args)]
pub(super) struct EncoderArgs {
    /// Format of the results
    #[arg(long, value_enum, default_value = "csv")]
    format: OutputFormat,
    /// Encoder pair [default: the shipped one]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Output file; `-` is standard output
    #[arg(short, value_name = "OUT")]
    output: Option<PathBuf>,
    #[command(flatten)]
    models: ModelsDir,
}

impl EncoderArgs {
    fn tools(&self) -> anyhow::Result<EncoderTools> {
        EncoderTools::load(&self.models, self.model.as_deref())
    }
}

/// An encoder pair, its shipped index, and the model that measures radial velocities.
pub(super) struct EncoderTools {
    pub bundle: EncoderBundle,
    pub predictor: Predictor,
}

impl EncoderTools {
    pub(super) fn load(models: &ModelsDir, pair: Option<&str>) -> anyhow::Result<Self> {
        let bundle = block_on(EncoderBundle::fetch(&models.store(), pair, |_, _, _| {})).map_err(|why| anyhow!(why))?;
        Ok(Self { bundle, predictor: models.load(None)?.1 })
    }

    /// Encodes spectra, in the same order. Prints a message for each spectrum that the encoders cannot read.
    fn encode(&self, part: &[LoadedSpectrum], report: &ImportReport) -> anyhow::Result<Vec<Option<Encoded>>> {
        let mut all = Vec::new();
        for batch in part.chunks(BATCH) {
            let spectra: Vec<_> = batch.iter().map(|loaded| &loaded.spectrum).collect();
            let prepared = block_on(prepare(&self.predictor, &spectra));
            let mut n_inputs = Vec::new();
            let mut inputs = Vec::new();
            for (loaded, input) in batch.iter().zip(prepared) {
                match input {
                    Ok(input) => inputs.push(input),
                    Err(why) => report.warn(&loaded.file, &format!("{}: {why}", loaded.spectrum.meta.id)),
                }
                n_inputs.push(inputs.len());
            }
            let mut encoded = block_on(self.bundle.encoders.encode(inputs))?.into_iter();
            let mut n_taken = 0;
            all.extend(n_inputs.into_iter().map(|n| {
                if n > n_taken {
                    n_taken = n;
                    encoded.next()
                } else {
                    None
                }
            }));
        }
        Ok(all)
    }

    /// Reads an index, which must belong to this encoder pair.
    fn index(&self, path: &Path) -> anyhow::Result<Index> {
        let path_text = || path.display().to_string();
        let bytes = std::fs::read(path).with_context(|| format!("cannot open {}", path.display()))?;
        let mut index = Index::parse(&bytes).with_context(path_text)?;
        index.metadata.name = path_text();
        self.bundle.encoders.check_index(&index)?;
        Ok(index)
    }
}

fn parse_modality(name: &str) -> Option<Modality> {
    [Modality::Lrs, Modality::Xp].into_iter().find(|m| m.name() == name)
}

fn names(paths: &[PathBuf]) -> String {
    let mut names: Vec<String> = paths.iter().take(3).map(|p| p.display().to_string()).collect();
    if paths.len() > 3 {
        names.push(format!("{} more", paths.len() - 3));
    }
    names.join(", ")
}
