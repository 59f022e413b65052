//! `specola anomalies`: spectra ranked by anomaly score.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::json;

use super::super::files::for_each_part;
use super::super::{RunOutcome, output};
use super::{EncoderArgs, OutputFormat};
use crate::result::similarity::{AnomalyScores, Score};
use crate::share::csv::cell;
use crate::similarity::anomaly;
use crate::spectrum::Meta;
use crate::task::similarity::encoders::Encoded;
use crate::task::similarity::index_set::IndexSet;
use crate::task::similarity::translation::same_star;

/// Rank spectra by anomaly score against the shipped reference set
#[derive(Debug, clap::Args)]
#[command(alias = "odd")]
pub(in crate::cli) struct Anomalies {
    /// Spectra: files, folders, .zip archives or .npz bundles, `-` for standard input. An optical and an XP spectrum of the same star, matched
    /// by name or position, are also compared with each other
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    common: EncoderArgs,
}

impl Anomalies {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<RunOutcome> {
        let mut out = output::open(self.common.output.as_deref())?;
        let tools = self.common.tools()?;
        let none = "this encoder pair has no reference set; make one with `specola pretrain index`";
        let reference_stats = tools.bundle.index.reference_stats.clone().context(none)?;
        let index_set = IndexSet::new(vec![tools.bundle.index.clone()]);
        let mut stars: Vec<(Meta, Encoded)> = Vec::new();
        let outcome = for_each_part(&self.files, |part, report| {
            let encoded = tools.encode(&part, report)?;
            let metas = part.into_iter().map(|loaded| loaded.spectrum.meta);
            stars.extend(metas.zip(encoded).filter_map(|(meta, encoded)| Some((meta, encoded?))));
            Ok(())
        })?;
        let scores_of = |(i, (meta, encoded)): (usize, &(Meta, Encoded))| {
            let modality = encoded.input.modality;
            let is_partner = |(_, e): &&(Meta, Encoded)| e.input.modality != modality;
            let partner = stars.iter().filter(is_partner).find(|(other, _)| same_star(meta, other).is_some());
            let cross = partner.and_then(|(_, other)| encoded.cross(other, &reference_stats.noise_floors));
            let cross = cross.map(|value| reference_stats.cross.score(value));
            let reconstruction = encoded.reconstruction_error(&reference_stats.noise_floors);
            let reconstruction = reconstruction.map(|value| reference_stats.reconstruction(modality).score(value));
            let neighbour = index_set.neighbour_score(modality, &encoded.embedding, &meta.id);
            let overall = anomaly::overall([cross, reconstruction, neighbour]);
            AnomalyScores {
                spectrum: i as u32,
                id: meta.id.clone(),
                modality,
                cross,
                reconstruction,
                neighbour,
                overall,
            }
        };
        let mut scores: Vec<AnomalyScores> = stars.iter().enumerate().map(scores_of).collect();
        anomaly::rank(&mut scores);
        self.write(&mut out, &scores)?;
        out.finish()?;
        Ok(outcome)
    }

    fn write(&self, out: &mut dyn Write, scores: &[AnomalyScores]) -> std::io::Result<()> {
        if self.common.format == OutputFormat::Csv {
            writeln!(
                out,
                "rank,id,modality,overall,cross,cross_percentile,reconstruction,reconstruction_percentile,neighbour,neighbour_percentile"
            )?;
        }
        let cells =
            |score: Option<Score>| score.map_or(",".to_string(), |s| format!("{:.5},{:.1}", s.value, s.percentile));
        for (i, star) in scores.iter().enumerate() {
            if self.common.format == OutputFormat::Json {
                writeln!(
                    out,
                    "{}",
                    json!({
                        "rank": i + 1, "id": star.id, "modality": star.modality, "overall": star.overall,
                        "cross": star.cross, "reconstruction": star.reconstruction, "neighbour": star.neighbour,
                    })
                )?;
                continue;
            }
            writeln!(
                out,
                "{},{},{},{:.3},{},{},{}",
                i + 1,
                cell(&star.id),
                star.modality.name(),
                star.overall,
                cells(star.cross),
                cells(star.reconstruction),
                cells(star.neighbour)
            )?;
        }
        Ok(())
    }
}
