//! `specola verify`: recompute what a link shows and compare.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use pollster::block_on;
use serde_json::{Value, json};

use super::files::{Loaded, for_each_part};
use super::predict::{answer_all, record};
use super::{ModelsDir, Outcome, output, say};
use crate::result::{Flag, Label, Prediction, SpectrumView};
use crate::share::curve::{Axis, Curve};
use crate::share::link::{Shared, decode};
use crate::share::{Answer, Record};
use crate::task::predict::Predictor;

/// Values that differ by less than this part of their error are the same: links hold a thousandth, and compute devices
/// differ in the last bits.
const SAME_SIGMA: f64 = 0.01;

/// Normalised fluxes that differ by less are the same; links hold 0.4 % of the continuum.
const SAME_FLUX: f32 = 0.006;

/// Recompute the results in a link from their files and compare; one JSON object a result
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// The link, or its fragment
    #[arg(value_name = "LINK")]
    link: String,
    /// The spectra that it was made from
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    models: ModelsDir,
}

impl Verify {
    pub(super) fn run(&self) -> anyhow::Result<Outcome> {
        let shared = decode(&self.link)?;
        let predictor = self.predictor(&shared)?;
        let mut found = vec![false; shared.len()];
        let mut all_same = true;
        let mut out = output::open(None)?;
        let read = for_each_part(&self.files, |part, report| {
            // Only what the link speaks of: a folder may hold more.
            let (wanted, places): (Vec<Loaded>, Vec<usize>) = part
                .into_iter()
                .filter_map(|loaded| {
                    let place = place_of(&loaded, &shared, &found)?;
                    found[place] = true;
                    Some((loaded, place))
                })
                .unzip();
            for ((loaded, place), answer) in wanted.iter().zip(places).zip(answer_all(&predictor, &wanted)) {
                let now = record(loaded, answer);
                let view = block_on(predictor.view(&loaded.spectrum));
                let line = compare(&shared[place], &now, &view);
                all_same &= line["verdict"] == "same";
                report.aside(|| writeln!(out, "{line}"))?;
            }
            Ok(())
        })?;
        for (shared, _) in shared.iter().zip(&found).filter(|(_, found)| !**found) {
            let summary = &shared.record.summary;
            writeln!(out, "{}", json!({ "id": summary.meta.id, "file": summary.file, "verdict": "missing" }))?;
            say(&format!("{}: none of the files named holds this spectrum", summary.meta.id));
            all_same = false;
        }
        out.finish()?;
        Ok(if all_same { read } else { Outcome::Partial })
    }

    /// The model that the link names, as it is today.
    fn predictor(&self, shared: &[Shared]) -> anyhow::Result<Predictor> {
        let models = crate::share::models_of(shared.iter().map(|s| &s.record));
        let named = match models.as_slice() {
            [] => None,
            [one] => Some(one),
            several => {
                let titles: Vec<&str> = several.iter().map(|m| m.title.as_str()).collect();
                bail!("the link holds results of several models ({}); verify links of one", titles.join(", "));
            }
        };
        let name = named.map(|m| m.title.rsplit_once(' ').map_or(m.title.as_str(), |(name, _)| name));
        let (entry, predictor) = self.models.load(name).context("the link's model cannot be had")?;
        if let Some(named) = named.filter(|m| m.sha256 != entry.sha256) {
            say(&format!(
                "the link was made with {}, other weights than today's {}; differences are expected",
                named.title,
                entry.title()
            ));
        }
        Ok(predictor)
    }
}

/// The result in the link that a spectrum belongs to: of its id, and of its file's name where ids repeat.
fn place_of(loaded: &Loaded, shared: &[Shared], found: &[bool]) -> Option<usize> {
    let name = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
    let of_id = |i: &usize| !found[*i] && shared[*i].record.summary.meta.id == loaded.spectrum.meta.id;
    let candidates: Vec<usize> = (0..shared.len()).filter(of_id).collect();
    let same_file = |i: &&usize| name(&shared[**i].record.summary.file) == name(&loaded.file);
    candidates.iter().find(same_file).or(candidates.first()).copied()
}

/// What the link says against what comes out now.
fn compare(shared: &Shared, now: &Record, view: &SpectrumView) -> Value {
    let then = &shared.record;
    let mut differences = Vec::new();
    let mut differ =
        |what: &str, link: Value, now: Value| differences.push(json!({ "what": what, "link": link, "now": now }));
    match (&then.answer, &now.answer) {
        (Answer::Predicted(then), Answer::Predicted(now)) => {
            if then.model_sha256 != now.model_sha256 {
                differ("model", then.model_sha256.as_str().into(), now.model_sha256.as_str().into());
            }
            for label in Label::ALL {
                let (a, b) = (then.get(label), now.get(label));
                let same = match (a, b) {
                    (Some(a), Some(b)) => {
                        let slack = SAME_SIGMA * if b.error.is_finite() { b.error } else { b.value.abs().max(1e-6) };
                        let error_same = a.error.is_nan() && b.error.is_nan() || (a.error - b.error).abs() <= slack;
                        (a.value - b.value).abs() <= slack && error_same
                    }
                    (None, None) => true,
                    _ => false,
                };
                if !same {
                    let said =
                        |p: Option<&crate::result::Estimate>| p.map_or(Value::Null, |e| json!([e.value, e.error]));
                    differ(label.name(), said(a), said(b));
                }
            }
            let flags = |p: &Prediction| p.flags.iter().map(|f: &Flag| f.code()).collect::<Vec<_>>();
            if then.flags != now.flags {
                differ("flags", flags(then).into(), flags(now).into());
            }
        }
        (Answer::Refused(_), Answer::Refused(_)) => {}
        (then, now) => differ("answer", in_a_word(then).into(), in_a_word(now).into()),
    }
    let flux = shared.curve.as_ref().map(|curve| largest_difference(curve, view));
    if flux.is_some_and(|d| d.is_none_or(|d| d > SAME_FLUX)) {
        differ("spectrum", Value::Null, flux.flatten().into());
    }
    let verdict = if differences.is_empty() { "same" } else { "different" };
    let summary = &now.summary;
    json!({ "id": summary.meta.id, "file": summary.file, "verdict": verdict, "differences": differences })
}

fn in_a_word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Predicted(_) => "predicted",
        Answer::Refused(_) => "refused",
        Answer::Open => "none",
    }
}

/// Largest difference between a link's normalised flux and today's, brought to the same blocks; `None` when they cannot
/// be compared.
fn largest_difference(curve: &Curve, view: &SpectrumView) -> Option<f32> {
    let now = Curve::pack(Axis::of(&view.model_wave_vac_aa)?, &view.model_flux, curve.block);
    let ((wave, flux), (now_wave, now_flux)) = (curve.unpack()?, now.unpack()?);
    let same_axis = wave.len() == now_wave.len() && wave.iter().zip(&now_wave).all(|(a, b)| (a - b).abs() < 0.1);
    let difference = |(a, b): (&f32, &f32)| if a.is_nan() && b.is_nan() { 0.0 } else { (a - b).abs() };
    same_axis.then(|| flux.iter().zip(&now_flux).map(difference).fold(0.0, f32::max))
}
