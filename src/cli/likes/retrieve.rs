//! `specola retrieve`: the entries of an index that are most like spectra.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{bail, ensure};
use serde_json::{Map, Value, json};

use super::super::files::for_each_part;
use super::super::{ModelsDir, Outcome, output};
use super::{Form, Tools, cell};
use crate::result::likes::{LabelRule, SearchOptions};
use crate::task::likes::library::{Library, Wanted, other};

/// Find the stars that are most like each spectrum
#[derive(Debug, clap::Args)]
#[command(visible_alias = "similar")]
pub(in crate::cli) struct Retrieve {
    /// Spectra: files, folders, .zip archives or .npz bundles
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Index that `specola embed` made; may be given several times [default: the shipped one]
    #[arg(long, value_name = "INDEX")]
    index: Vec<PathBuf>,
    /// Search the shipped index too
    #[arg(long, requires = "index")]
    shipped: bool,
    /// Look-alikes of each spectrum
    #[arg(long, visible_alias = "k", value_name = "N", default_value_t = 5)]
    top: u32,
    /// Search the other survey's spectra
    #[arg(long, visible_alias = "other-survey")]
    cross: bool,
    /// Take all spectra as one example set: similarities are means
    #[arg(long)]
    set: bool,
    /// Only entries with a label between two values: teff=5000:6000
    #[arg(long = "where", value_name = "LABEL=LOW:HIGH", value_parser = rule)]
    rule: Option<LabelRule>,
    /// Form of the results
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

fn rule(text: &str) -> Result<LabelRule, String> {
    let parts = text.split_once('=').and_then(|(label, range)| Some((label, range.split_once(':')?)));
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    parts
        .and_then(|(label, (low, high))| {
            Some(LabelRule::Within { label: label.into(), low: number(low)?, high: number(high)? })
        })
        .ok_or_else(|| "write a label and two numbers: teff=5000:6000".into())
}

impl Retrieve {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<Outcome> {
        let tools = Tools::load(&self.models, self.model.as_deref())?;
        let mut indices = Vec::new();
        for path in &self.index {
            indices.push(tools.index(path)?);
        }
        if self.shipped || self.index.is_empty() {
            indices.push(tools.kit.index.clone());
        }
        ensure!(indices.iter().any(|index| !index.is_empty()), "no index is shipped here; name one with --index");
        let library = Library::new(indices);
        if let Some(LabelRule::Within { label, .. }) = &self.rule
            && !library.labels().iter().any(|known| known.name == *label)
        {
            let names: Vec<String> = library.labels().into_iter().map(|l| l.name).collect();
            bail!("no index has the label {label:?}; there are {}", names.join(", "));
        }
        let options = SearchOptions { top: self.top, in_other: self.cross, rule: self.rule.clone() };
        let mut out = output::open(self.output.as_deref())?;
        if self.format == Form::Csv {
            writeln!(out, "query,rank,id,modality,similarity")?;
        }
        let mut set = Vec::new();
        let outcome = for_each_part(&self.files, |part, report| {
            for (loaded, encoded) in part.iter().zip(tools.encode(&part, report)?) {
                let Some(encoded) = encoded else { continue };
                let id = loaded.spectrum.meta.id.clone();
                let query = (Wanted { place: None, id, embedding: encoded.embedding }, encoded.seen.modality);
                if self.set {
                    set.push(query);
                } else {
                    report.aside(|| self.answer(&mut out, &library, vec![query.0], query.1, &options))?;
                }
            }
            Ok(())
        })?;
        if let Some((_, modality)) = set.first() {
            let modality = *modality;
            ensure!(set.iter().all(|(_, m)| *m == modality), "an example set must be of one survey");
            let queries = set.into_iter().map(|(wanted, _)| wanted).collect();
            self.answer(&mut out, &library, queries, modality, &options)?;
        }
        out.finish()?;
        Ok(outcome)
    }

    fn answer(
        &self,
        out: &mut dyn Write,
        library: &Library,
        queries: Vec<Wanted>,
        modality: crate::result::catalogue::Modality,
        options: &SearchOptions,
    ) -> anyhow::Result<()> {
        let sought = if self.cross { other(modality) } else { modality };
        let names: Vec<&str> = queries.iter().map(|q| q.id.as_str()).collect();
        let query = names.join(" ");
        let mut neighbours = Vec::new();
        for (rank, (index, hit)) in library.search(&queries, modality, options, None).into_iter().enumerate() {
            let shelf = &library.shelves()[index];
            let id = shelf.index().rows(sought).id(hit.row).unwrap_or_default();
            if self.format == Form::Csv {
                let (query, id) = (cell(&query), cell(id));
                writeln!(out, "{query},{},{id},{},{:.6}", rank + 1, sought.name(), hit.similarity)?;
                continue;
            }
            let values = library.labels_of(index, sought, hit.row);
            let labels: Map<String, Value> =
                library.labels().into_iter().zip(values).filter_map(|(l, v)| Some((l.name, v?.into()))).collect();
            neighbours.push(json!({
                "rank": rank + 1,
                "id": id,
                "index": shelf.index().about.name,
                "modality": sought.name(),
                "similarity": hit.similarity,
                "labels": labels,
            }));
        }
        if self.format == Form::Json {
            writeln!(out, "{}", json!({ "query": query, "modality": modality.name(), "neighbours": neighbours }))?;
        }
        Ok(())
    }
}
