//! `specola import`: converts a `PyTorch` checkpoint to Specola's weights.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::PathBuf;

use anyhow::Context;

use super::{RunOutcome, output};
use crate::model::import::Checkpoint;
use crate::whole_file;

/// Read a `PyTorch` checkpoint (.ckpt, .pt, .safetensors, or a pickle of sbi) without executing code in it
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// The checkpoint
    checkpoint: PathBuf,
    /// Output folder for weights.safetensors and network.json
    #[arg(short, long, value_name = "DIR", required_unless_present = "check")]
    output: Option<PathBuf>,
    /// Compare the number of parameters with that of the published network; exit status 1 if they differ
    #[arg(long)]
    check: bool,
}

impl Import {
    pub(super) fn run(&self) -> anyhow::Result<RunOutcome> {
        let name = || self.checkpoint.display().to_string();
        let file = File::open(&self.checkpoint).with_context(name)?;
        let mut checkpoint = Checkpoint::open(BufReader::new(file)).with_context(name)?;
        let imported = checkpoint.import(|_| {}).with_context(name)?;
        let (kind, published) = imported.network.published();
        let agrees = imported.parameters == published;
        let mut out = output::open(None)?;
        writeln!(out, "{kind}: {} parameters", imported.parameters)?;
        if self.check {
            let comparison = if agrees { "as published" } else { "not the published number" };
            writeln!(out, "{comparison}: {published}")?;
        }
        if let Some(folder) = &self.output {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            let write = |name: &str, bytes: &[u8]| {
                let path = folder.join(name);
                whole_file::write(&path, bytes).with_context(|| path.display().to_string())
            };
            write("network.json", &serde_json::to_vec_pretty(&imported.network)?)?;
            write("weights.safetensors", &imported.tensors.to_f32_file()?)?;
            writeln!(out, "written to {}", folder.display())?;
        }
        out.finish()?;
        Ok(if self.check && !agrees { RunOutcome::Partial } else { RunOutcome::Complete })
    }
}
