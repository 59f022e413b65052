//! `specola experiment retrieval`, `search`: what look-alikes are worth, and how long they take.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::Args;
use pollster::block_on;

use super::super::pretrain::Material;
use super::super::pretrain::encoders::{emulator_in, pairs_of};
use super::super::{ModelsDir, Outcome};
use crate::engine::time_search;
use crate::task::likes::Kit;
use crate::train::reference::STREAM;
use crate::train::{likes, oddities};

/// Look-alikes of real stars, repeated visits, planted oddities
#[derive(Debug, Args)]
pub(super) struct Retrieval {
    /// Folder of the standard real sets
    #[arg(long, value_name = "DIR")]
    real: PathBuf,
    /// The synthetic grid, spectra.npz
    #[arg(long, value_name = "FILE")]
    grid: PathBuf,
    /// Energy distributions of its nodes, sed.npz
    #[arg(long, value_name = "FILE")]
    sed: PathBuf,
    /// Simulated stars that oddities are planted in
    #[arg(long, default_value_t = 400)]
    planted: usize,
    /// Seed that the index was made with
    #[arg(long, default_value_t = 20261121)]
    seed: u64,
    #[command(flatten)]
    models: ModelsDir,
}

impl Retrieval {
    pub(super) fn run(&self) -> Result<Outcome> {
        let store = self.models.store();
        let kit = block_on(Kit::fetch(&store, None, |_, _, _| {})).map_err(|why| anyhow!(why))?;
        let (_, predictor) = self.models.load(None)?;
        let material = Material::read(&self.grid, &self.sed, self.seed)?;
        let emulator = emulator_in(store.source().path())?;
        let nodes: Vec<usize> = (0..material.grid.len()).collect();
        let pairs = pairs_of(&material, &emulator, nodes.clone(), self.seed + STREAM);
        let mut say = |line: &str| eprintln!("{line}");
        print!("{}", likes::miles(&kit, &predictor, &pairs, &self.real, &mut say)?);
        let visits = likes::visits(&kit, &predictor, &self.real)?;
        print!("{}", visits.page);
        let fresh = pairs_of(&material, &emulator, nodes, self.seed + STREAM + 1);
        print!("{}", oddities::planted(kit, &fresh, self.planted, visits.seen, &mut say)?);
        Ok(Outcome::Complete)
    }
}

/// How long a search takes by the number of entries, beside NumPy's flat one where python3 has it
#[derive(Debug, Args)]
pub(super) struct Search {
    /// Numbers of entries
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1000,10000,82057,1000000")]
    entries: Vec<u32>,
    /// Length of an embedding
    #[arg(long, default_value_t = 768)]
    width: u32,
    /// Python that has NumPy
    #[arg(long, default_value = "python3")]
    python: PathBuf,
}

/// One thread, 32-bit floats, the ten best of each query.
const NUMPY: &str = "import sys, time, numpy as np
n, d, q = map(int, sys.argv[1:])
x = np.random.default_rng(1).standard_normal((n, d), dtype=np.float32)
t = []
for i in range(q):
    s = time.perf_counter()
    score = x @ x[i]
    best = np.argpartition(-score, 10)[:10]
    best[np.argsort(-score[best])]
    t.append(time.perf_counter() - s)
print(1000 * float(np.median(t)))";

impl Search {
    pub(super) fn run(&self) -> Result<Outcome> {
        println!(
            "| entries | width | memory, MB | a query, ms | NumPy flat, 32-bit, one thread, ms |\n|---|---|---|---|---|"
        );
        for &entries in &self.entries {
            let queries = (2_000_000 / entries.max(1)).clamp(5, 200);
            let mut kept = None;
            let made = time_search(&mut kept, entries, self.width, 0);
            let began = Instant::now();
            time_search(&mut kept, entries, self.width, queries);
            let ours = began.elapsed().as_secs_f64() * 1e3 / f64::from(queries);
            drop(kept);
            let (megabytes, numpy) = (made.bytes as f64 / 1e6, self.numpy(entries, queries));
            println!("| {entries} | {} | {megabytes:.1} | {ours:.2} | {numpy} |", self.width);
        }
        Ok(Outcome::Complete)
    }

    fn numpy(&self, entries: u32, queries: u32) -> String {
        let numbers = [entries, self.width, queries].map(|n| n.to_string());
        let run = Command::new(&self.python)
            .args(["-c", NUMPY])
            .args(numbers)
            .env("OMP_NUM_THREADS", "1")
            .env("OPENBLAS_NUM_THREADS", "1")
            .output();
        match run {
            Ok(done) if done.status.success() => {
                let text = String::from_utf8_lossy(&done.stdout).trim().to_string();
                text.parse::<f64>().map_or(text, |ms| format!("{ms:.2}"))
            }
            _ => "no NumPy here".into(),
        }
    }
}
