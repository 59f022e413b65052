//! `specola experiment search`: time of a search in an index of synthetic embeddings.

use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use clap::Args;

use super::super::RunOutcome;
use crate::similarity::synthetic_index::SyntheticIndex;

/// Time a search by number of entries, and `NumPy`'s exhaustive search if python3 has `NumPy`
#[derive(Debug, Args)]
pub(super) struct Search {
    /// Numbers of entries
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1000,10000,82057,1000000")]
    entries: Vec<u32>,
    /// Number of components of an embedding
    #[arg(long, default_value_t = 768)]
    width: u32,
    /// Python program with `NumPy`
    #[arg(long, default_value = "python3")]
    python: PathBuf,
}

/// `NumPy`'s search: one thread, 32-bit floats, the ten best entries of each query.
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
    pub(super) fn run(&self) -> Result<RunOutcome> {
        println!(
            "| entries | width | memory, MB | a query, ms | NumPy flat, 32-bit, one thread, ms |\n|---|---|---|---|---|"
        );
        for &entries in &self.entries {
            let queries = (2_000_000 / entries.max(1)).clamp(5, 200);
            let index = SyntheticIndex::new(entries, self.width);
            let start = Instant::now();
            black_box(index.search(queries));
            let ms = start.elapsed().as_secs_f64() * 1e3 / f64::from(queries);
            let megabytes = index.bytes() as f64 / 1e6;
            drop(index);
            let numpy = self.numpy(entries, queries);
            println!("| {entries} | {} | {megabytes:.1} | {ms:.2} | {numpy} |", self.width);
        }
        Ok(RunOutcome::Complete)
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
