//! Which label comes from which embedding, head and file (MODEL_SPEC §3.2, §3.3).

use serde_json::Value;
use thiserror::Error;

use super::{Files, Warning};
use crate::result::catalogue::{Method, Modality, Parameter};

/// Largest config.json that is read; the published one has 8 kB.
const MAX_CONFIG: u64 = 1 << 20;

/// The two models whose embeddings the published heads take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embedding {
    /// CLIP-pr: 768 numbers that both surveys share.
    Pr,
    /// CLIP-split: 512 shared and 256 private ones.
    Split,
}

impl Embedding {
    /// The name of its entry in config.json and of its file.
    fn key(self) -> &'static str {
        match self {
            Embedding::Pr => "specclip_model_predrecon_mlp",
            Embedding::Split => "specclip_model_split_mlp",
        }
    }
}

/// The way to one label of one survey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// What is given.
    pub parameter: Parameter,
    /// From which spectra.
    pub modality: Modality,
    /// From which embedding of them.
    pub embedding: Embedding,
    /// By which kind of head.
    pub method: Method,
    /// What its files are called.
    stem: &'static str,
}

const fn route(
    parameter: Parameter,
    modality: Modality,
    embedding: Embedding,
    method: Method,
    stem: &'static str,
) -> Route {
    Route { parameter, modality, embedding, method, stem }
}

/// All heads: 14 MLPs and 9 flows of LAMOST, 5 and 2 of Gaia, each survey in the order of the catalogue.
pub const ROUTES: [Route; 30] = {
    use Embedding::{Pr, Split};
    use Method::{Mlp, Sbi};
    use Modality::{Lrs, Xp};
    use Parameter::*;
    [
        route(AFe, Lrs, Pr, Mlp, "afe"),
        route(CFe, Lrs, Pr, Mlp, "cfe"),
        route(NFe, Lrs, Pr, Mlp, "nfe"),
        route(MgFe, Lrs, Pr, Mlp, "mgfe"),
        route(OFe, Lrs, Pr, Mlp, "ofe"),
        route(AlFe, Lrs, Pr, Mlp, "alfe"),
        route(SiFe, Lrs, Pr, Mlp, "sife"),
        route(CaFe, Lrs, Pr, Mlp, "cafe"),
        route(TiFe, Lrs, Pr, Mlp, "tife"),
        route(MnFe, Lrs, Pr, Mlp, "mnfe"),
        route(NiFe, Lrs, Pr, Mlp, "nife"),
        route(CrFe, Lrs, Pr, Mlp, "crfe"),
        route(Dnu, Lrs, Pr, Sbi, "dnu"),
        route(NuMax, Lrs, Pr, Sbi, "numax"),
        route(Mass, Lrs, Pr, Sbi, "mass"),
        route(Rad, Lrs, Pr, Sbi, "rad"),
        route(Age, Lrs, Pr, Sbi, "age"),
        route(Rv, Lrs, Split, Sbi, "rv"),
        route(Dpi, Lrs, Pr, Sbi, "DP"),
        route(Teff, Lrs, Split, Sbi, "teff"),
        route(Logg, Lrs, Split, Sbi, "logg"),
        route(FeH, Lrs, Split, Mlp, "feh"),
        route(EBpRp, Lrs, Pr, Mlp, "ebprp"),
        route(AFe, Xp, Pr, Mlp, "afe"),
        route(CFe, Xp, Pr, Mlp, "cfe"),
        route(NFe, Xp, Pr, Mlp, "nfe"),
        route(Teff, Xp, Split, Sbi, "teff"),
        route(Logg, Xp, Split, Sbi, "logg"),
        route(FeH, Xp, Pr, Mlp, "feh"),
        route(EBpRp, Xp, Pr, Mlp, "ebprp"),
    ]
};

/// Why some files are not the published system.
#[derive(Debug, Error)]
#[error("there is neither a config.json of the published system nor its specclip/{0}")]
pub struct NotPublished(String);

/// Where each network lies.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The part of config.json that tells; null where the published layout is taken.
    config: Value,
    /// What config.json should have said.
    pub warnings: Vec<Warning>,
}

impl Layout {
    /// Recognises the published system by its config.json, or where that is missing or damaged, by a CLIP model in its place.
    pub fn find(files: &impl Files) -> Result<Self, NotPublished> {
        let bytes = files.read("config.json", MAX_CONFIG).map_err(|e| e.to_string());
        let parsed = bytes.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).map_err(|e| e.to_string()));
        let config = parsed.and_then(|config| {
            // The published file spells its key without the d.
            let models = ["founation_models", "foundation_models"].iter().find_map(|key| config.get(*key));
            models.cloned().ok_or_else(|| "it has no entry `founation_models`".to_string())
        });
        match config {
            Ok(config) => Ok(Self { config, warnings: Vec::new() }),
            Err(problem) => {
                let layout = Self { config: Value::Null, warnings: Vec::new() };
                if ![Embedding::Pr, Embedding::Split].iter().any(|e| files.open(&layout.clip(*e)).is_ok()) {
                    return Err(NotPublished(format!("{}.ckpt", Embedding::Pr.key())));
                }
                let problem = format!("{problem}; files are looked for where the published folder has them");
                Ok(Self { warnings: vec![Warning::new("config.json", problem)], ..layout })
            }
        }
    }

    /// The checkpoint of a CLIP model.
    pub fn clip(&self, embedding: Embedding) -> String {
        let key = embedding.key();
        text(&self.config, &["specclip_models", key, "path"]).unwrap_or_else(|| format!("specclip/{key}.ckpt"))
    }

    /// The file of a head.
    pub fn head(&self, route: &Route) -> String {
        let (folder, ending) = match route.method {
            Method::Mlp => ("mlp", "pt"),
            Method::Sbi => ("sbi", "pkl"),
        };
        self.entry(route, "path")
            .unwrap_or_else(|| format!("downstream_models/{}/{folder}/{}.{ending}", route.modality.name(), route.stem))
    }

    /// Where the means and deviations of an MLP's inputs may be: config.json and the published code spell that of XP's
    /// [Fe/H] differently.
    pub fn stats(&self, route: &Route) -> Vec<String> {
        let usual = format!("stats/{}/{}_mean_std.json", route.modality.name(), route.stem);
        let mut paths: Vec<String> = self.entry(route, "stats").into_iter().collect();
        if !paths.contains(&usual) {
            paths.push(usual);
        }
        if (route.modality, route.parameter) == (Modality::Xp, Parameter::FeH) {
            let capital = "stats/xp/FeH_mean_std.json".to_string();
            if !paths.contains(&capital) {
                paths.push(capital);
            }
        }
        paths
    }

    /// What config.json says of a head. It keeps the flows of XP beside the surveys, not under XP.
    fn entry(&self, route: &Route, key: &str) -> Option<String> {
        let survey = match route.modality {
            Modality::Lrs => "lamost_lrs",
            Modality::Xp => "gaia_xp",
        };
        let groups: [&[&str]; 2] = match route.method {
            Method::Mlp => [&[survey, "mlp"], &[]],
            Method::Sbi if route.modality == Modality::Xp => [&[survey, "sbi"], &["sbi"]],
            Method::Sbi => [&[survey, "sbi"], &[]],
        };
        let estimation = self.config.get("parameter_estimation")?;
        let heads = groups.iter().filter(|path| !path.is_empty()).filter_map(|path| at(estimation, path)?.as_object());
        let named = |head: &&Value| {
            let names = head.get("parameters").and_then(Value::as_array);
            names.is_some_and(|names| names.iter().any(|n| n.as_str() == Some(route.parameter.name())))
        };
        text(heads.flat_map(|heads| heads.values()).find(named)?, &[key])
    }
}

fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(*key))
}

fn text(value: &Value, path: &[&str]) -> Option<String> {
    at(value, path)?.as_str().map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 19 MLPs and 11 flows (MODEL_SPEC §3.2), [Fe/H] of LAMOST on split and that of Gaia on pr (§3.3).
    #[test]
    fn the_routes_are_the_published_ones() {
        let count = |method, modality: Option<Modality>| {
            ROUTES.iter().filter(|r| r.method == method && modality.is_none_or(|m| r.modality == m)).count()
        };
        assert_eq!((count(Method::Mlp, None), count(Method::Sbi, None)), (19, 11));
        assert_eq!((count(Method::Mlp, Some(Modality::Lrs)), count(Method::Sbi, Some(Modality::Lrs))), (14, 9));
        let split = |modality| {
            let on = ROUTES.iter().filter(|r| r.modality == modality && r.embedding == Embedding::Split);
            on.map(|r| r.parameter.name()).collect::<Vec<_>>()
        };
        assert_eq!(split(Modality::Lrs), ["rv", "teff", "logg", "fe_h"]);
        assert_eq!(split(Modality::Xp), ["teff", "logg"]);
        for modality in [Modality::Lrs, Modality::Xp] {
            let order: Vec<Parameter> = ROUTES.iter().filter(|r| r.modality == modality).map(|r| r.parameter).collect();
            assert!(order.is_sorted(), "{order:?}");
        }
    }

    #[test]
    fn the_usual_places_serve_without_a_config() {
        let layout = Layout { config: Value::Null, warnings: Vec::new() };
        let xp_feh =
            ROUTES.iter().find(|r| (r.modality, r.parameter) == (Modality::Xp, Parameter::FeH)).expect("a route");
        assert_eq!(layout.clip(Embedding::Split), "specclip/specclip_model_split_mlp.ckpt");
        assert_eq!(layout.head(xp_feh), "downstream_models/xp/mlp/feh.pt");
        assert_eq!(layout.stats(xp_feh), ["stats/xp/feh_mean_std.json", "stats/xp/FeH_mean_std.json"]);
    }
}
