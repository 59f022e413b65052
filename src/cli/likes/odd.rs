//! `specola odd`: spectra ranked by how odd they are.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::json;

use super::super::files::for_each_part;
use super::super::{ModelsDir, Outcome, output};
use super::{Form, Tools, cell};
use crate::result::likes::{Oddity, Score};
use crate::retrieve::oddity;
use crate::spectrum::Meta;
use crate::task::likes::encode::Encoded;
use crate::task::likes::library::Library;
use crate::task::likes::translate::same_star;

/// Rank spectra by how odd they are beside the shipped reference set
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Odd {
    /// Spectra: files, folders, .zip archives or .npz bundles. Optical and XP spectra of one star, told by name or position,
    /// are also held against each other
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
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

impl Odd {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<Outcome> {
        let tools = Tools::load(&self.models, self.model.as_deref())?;
        let none = "no reference set is shipped with this encoder pair; make one with `specola pretrain index`";
        let usual = tools.kit.index.usual.clone().context(none)?;
        let library = Library::new(vec![tools.kit.index.clone()]);
        let mut stars: Vec<(Meta, Encoded)> = Vec::new();
        let outcome = for_each_part(&self.files, |part, report| {
            let encoded = tools.encode(&part, report)?;
            let metas = part.into_iter().map(|loaded| loaded.spectrum.meta);
            stars.extend(metas.zip(encoded).filter_map(|(meta, encoded)| Some((meta, encoded?))));
            Ok(())
        })?;
        let oddity_of = |(i, (meta, encoded)): (usize, &(Meta, Encoded))| {
            let modality = encoded.seen.modality;
            let is_partner = |(_, e): &&(Meta, Encoded)| e.seen.modality != modality;
            let partner = stars.iter().filter(is_partner).find(|(other, _)| same_star(meta, other).is_some());
            let cross = partner.and_then(|(_, other)| encoded.cross(other, &usual.floors));
            let cross = cross.map(|value| usual.cross.score(value));
            let rebuilt = encoded.reconstruction(&usual.floors);
            let reconstruction = rebuilt.map(|value| usual.reconstruction(modality).score(value));
            let neighbour = library.neighbour_score(modality, &encoded.embedding, &meta.id);
            let overall = oddity::overall([cross, reconstruction, neighbour]);
            Oddity { spectrum: i as u32, id: meta.id.clone(), modality, cross, reconstruction, neighbour, overall }
        };
        let mut oddities: Vec<Oddity> = stars.iter().enumerate().map(oddity_of).collect();
        oddity::rank(&mut oddities);
        let mut out = output::open(self.output.as_deref())?;
        self.write(&mut out, &oddities)?;
        out.finish()?;
        Ok(outcome)
    }

    fn write(&self, out: &mut dyn Write, oddities: &[Oddity]) -> std::io::Result<()> {
        if self.format == Form::Csv {
            writeln!(
                out,
                "rank,id,modality,overall,cross,cross_percentile,reconstruction,reconstruction_percentile,neighbour,neighbour_percentile"
            )?;
        }
        let cells =
            |score: Option<Score>| score.map_or(",".to_string(), |s| format!("{:.5},{:.1}", s.value, s.percentile));
        for (i, o) in oddities.iter().enumerate() {
            if self.format == Form::Json {
                writeln!(
                    out,
                    "{}",
                    json!({
                        "rank": i + 1, "id": o.id, "modality": o.modality, "overall": o.overall,
                        "cross": o.cross, "reconstruction": o.reconstruction, "neighbour": o.neighbour,
                    })
                )?;
                continue;
            }
            writeln!(
                out,
                "{},{},{},{:.3},{},{},{}",
                i + 1,
                cell(&o.id),
                o.modality.name(),
                o.overall,
                cells(o.cross),
                cells(o.reconstruction),
                cells(o.neighbour)
            )?;
        }
        Ok(())
    }
}
