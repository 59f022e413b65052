//! The samples that come with the page. They go the way of any dropped file.

use gloo::net::http::Request;
use serde::Deserialize;

use super::files::{NamedFile, from_bytes};

/// One entry of `samples/index.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Sample {
    /// File beside the index.
    pub file: String,
    /// What it is, for people.
    pub title: String,
    /// Where it comes from.
    pub provenance: String,
}

/// The list of samples.
///
/// # Errors
/// What could not be fetched, and why.
pub async fn list() -> Result<Vec<Sample>, String> {
    let url = "./samples/index.json";
    serde_json::from_slice(&get(url).await?).map_err(|e| format!("{url} is not a list of samples: {e}"))
}

/// Fetches samples as files.
///
/// # Errors
/// What could not be fetched, and why.
pub async fn fetch(samples: &[Sample]) -> Result<Vec<NamedFile>, String> {
    let mut files = Vec::new();
    for sample in samples {
        let url = format!("./samples/{}", sample.file);
        files.push(from_bytes(&sample.file, &get(&url).await?)?);
    }
    Ok(files)
}

async fn get(url: &str) -> Result<Vec<u8>, String> {
    let failed = |e: gloo::net::Error| format!("{url} could not be fetched: {e}");
    let response = Request::get(url).send().await.map_err(failed)?;
    if !response.ok() {
        return Err(format!("{url} could not be fetched: the server answered {}", response.status()));
    }
    response.binary().await.map_err(failed)
}
