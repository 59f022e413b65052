//! `specola retrieve`: the entries of an index that are most similar to the given spectra.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{bail, ensure};
use serde_json::{Map, Value, json};

use super::super::files::for_each_part;
use super::super::{RunOutcome, output};
use super::{EncoderArgs, OutputFormat};
use crate::result::similarity::{LabelFilter, SearchOptions};
use crate::share::csv::cell;
use crate::task::similarity::index_set::{IndexSet, Query, other};

/// Find the stars most similar to each spectrum
#[derive(Debug, clap::Args)]
#[command(visible_alias = "similar")]
pub(in crate::cli) struct Retrieve {
    /// Spectra: files, folders, .zip archives or .npz bundles, `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Index made by `specola embed`; may be given several times [default: the shipped index]
    #[arg(long, value_name = "INDEX")]
    index: Vec<PathBuf>,
    /// Also search the shipped index
    #[arg(long, requires = "index")]
    shipped: bool,
    /// Number of similar spectra for each spectrum
    #[arg(long, visible_alias = "k", value_name = "N", default_value_t = 5)]
    top: u32,
    /// Search among spectra of the other survey
    #[arg(long, visible_alias = "other-survey")]
    cross: bool,
    /// Use all spectra as one example set: similarities are means over the set
    #[arg(long)]
    set: bool,
    /// Search only entries whose label lies between two values: teff=5000:6000
    #[arg(long = "where", value_name = "LABEL=LOW:HIGH", value_parser = parse_label_filter)]
    label_filter: Option<LabelFilter>,
    #[command(flatten)]
    common: EncoderArgs,
}

fn parse_label_filter(text: &str) -> Result<LabelFilter, String> {
    let parts = text.split_once('=').and_then(|(label, range)| Some((label, range.split_once(':')?)));
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    parts
        .and_then(|(label, (low, high))| {
            Some(LabelFilter::Within { label: label.into(), low: number(low)?, high: number(high)? })
        })
        .ok_or_else(|| "write a label and two numbers: teff=5000:6000".into())
}

impl Retrieve {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<RunOutcome> {
        let tools = self.common.tools()?;
        let mut indices = Vec::new();
        for path in &self.index {
            indices.push(tools.index(path)?);
        }
        if self.shipped || self.index.is_empty() {
            indices.push(tools.bundle.index.clone());
        }
        ensure!(
            indices.iter().any(|index| !index.is_empty()),
            "no index is shipped with this encoder pair; name one with --index"
        );
        let index_set = IndexSet::new(indices);
        if let Some(LabelFilter::Within { label, .. }) = &self.label_filter
            && !index_set.labels().iter().any(|info| info.name == *label)
        {
            let names: Vec<String> = index_set.labels().into_iter().map(|l| l.name).collect();
            bail!("no index has the label {label:?}; choose among {}", names.join(", "));
        }
        let options =
            SearchOptions { n_results: self.top, in_other_survey: self.cross, label_filter: self.label_filter.clone() };
        let mut out = output::open(self.common.output.as_deref())?;
        if self.common.format == OutputFormat::Csv {
            writeln!(out, "query,rank,id,modality,similarity")?;
        }
        let mut set = Vec::new();
        let outcome = for_each_part(&self.files, |part, report| {
            for (loaded, encoded) in part.iter().zip(tools.encode(&part, report)?) {
                let Some(encoded) = encoded else { continue };
                let id = loaded.spectrum.meta.id.clone();
                let query = (Query { position: None, id, embedding: encoded.embedding }, encoded.input.modality);
                if self.set {
                    set.push(query);
                } else {
                    report.suspended(|| self.search(&mut out, &index_set, vec![query.0], query.1, &options))?;
                }
            }
            Ok(())
        })?;
        if let Some((_, modality)) = set.first() {
            let modality = *modality;
            ensure!(set.iter().all(|(_, m)| *m == modality), "an example set must be of one survey");
            let queries = set.into_iter().map(|(query, _)| query).collect();
            self.search(&mut out, &index_set, queries, modality, &options)?;
        }
        out.finish()?;
        Ok(outcome)
    }

    fn search(
        &self,
        out: &mut dyn Write,
        index_set: &IndexSet,
        queries: Vec<Query>,
        modality: crate::result::specclip::Modality,
        options: &SearchOptions,
    ) -> anyhow::Result<()> {
        let target = if self.cross { other(modality) } else { modality };
        let names: Vec<&str> = queries.iter().map(|q| q.id.as_str()).collect();
        let query = names.join(" ");
        let mut neighbours = Vec::new();
        for (rank, (index, hit)) in index_set.search(&queries, modality, options, None).into_iter().enumerate() {
            let searchable = &index_set.indices()[index];
            let id = searchable.index().rows(target).id(hit.row).unwrap_or_default();
            if self.common.format == OutputFormat::Csv {
                let (query, id) = (cell(&query), cell(id));
                writeln!(out, "{query},{},{id},{},{:.6}", rank + 1, target.name(), hit.similarity)?;
                continue;
            }
            let values = index_set.labels_of(index, target, hit.row);
            let labels: Map<String, Value> =
                index_set.labels().into_iter().zip(values).filter_map(|(l, v)| Some((l.name, v?.into()))).collect();
            neighbours.push(json!({
                "rank": rank + 1,
                "id": id,
                "index": searchable.index().metadata.name,
                "modality": target.name(),
                "similarity": hit.similarity,
                "labels": labels,
            }));
        }
        if self.common.format == OutputFormat::Json {
            writeln!(out, "{}", json!({ "query": query, "modality": modality.name(), "neighbours": neighbours }))?;
        }
        Ok(())
    }
}
