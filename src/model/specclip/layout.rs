//! Assignment of each label to its embedding, head and file (docs/model-spec.md §3.2, §3.3).

use serde_json::Value;
use thiserror::Error;

use super::{Files, Warning};
use crate::result::specclip::{Method, Modality, Parameter};

/// Largest accepted size of config.json, bytes; the published file has 8 kB.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// CLIP model whose embeddings a published head uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embedding {
    /// CLIP-pr (prediction and reconstruction): 768 elements that both modalities share.
    Pr,
    /// CLIP-split: 512 shared and 256 private elements.
    Split,
}

impl Embedding {
    /// Name of its entry in config.json, and of its file.
    fn key(self) -> &'static str {
        match self {
            Self::Pr => "specclip_model_predrecon_mlp",
            Self::Split => "specclip_model_split_mlp",
        }
    }
}

/// Embedding, head and file of one label for one modality (optical or Gaia XP).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadRoute {
    /// The predicted parameter.
    pub parameter: Parameter,
    /// Modality of the input spectra.
    pub modality: Modality,
    /// Model of the embedding.
    pub embedding: Embedding,
    /// Type of the head.
    pub method: Method,
    /// Stem of the names of its files.
    stem: &'static str,
}

const fn route(
    parameter: Parameter,
    modality: Modality,
    embedding: Embedding,
    method: Method,
    stem: &'static str,
) -> HeadRoute {
    HeadRoute { parameter, modality, embedding, method, stem }
}

/// All heads: 14 MLPs and 9 flows for LAMOST, 5 and 2 for Gaia; each survey in the order of the catalogue.
pub const ROUTES: [HeadRoute; 30] = {
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

/// Error: the files are not the published system.
#[derive(Debug, Error)]
#[error(
    "the folder contains neither the published config.json nor specclip/{0}; choose the folder of the published system"
)]
pub struct LayoutError(String);

/// Paths of the networks.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Relevant part of config.json; null for the published layout.
    config: Value,
    /// Warnings about a missing or damaged config.json.
    pub warnings: Vec<Warning>,
}

impl Layout {
    /// Recognises the published system by its config.json. If that file is missing or damaged, a CLIP model at its
    /// published path suffices.
    pub fn find(files: &impl Files) -> Result<Self, LayoutError> {
        let bytes = files.read("config.json", MAX_CONFIG_BYTES).map_err(|e| e.to_string());
        let parsed = bytes.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).map_err(|e| e.to_string()));
        let config = parsed.and_then(|config| {
            // The key in the published file has a spelling error: the d is missing.
            let models = ["founation_models", "foundation_models"].iter().find_map(|key| config.get(*key));
            models
                .cloned()
                .ok_or_else(|| "the entry `founation_models` (so spelled in the published file) is missing".to_string())
        });
        match config {
            Ok(config) => Ok(Self { config, warnings: Vec::new() }),
            Err(problem) => {
                let layout = Self { config: Value::Null, warnings: Vec::new() };
                if ![Embedding::Pr, Embedding::Split].iter().any(|e| files.open(&layout.clip(*e)).is_ok()) {
                    return Err(LayoutError(format!("{}.ckpt", Embedding::Pr.key())));
                }
                let problem = format!("{problem}; the paths of the published folder are used instead");
                Ok(Self { warnings: vec![Warning::new("config.json", problem)], ..layout })
            }
        }
    }

    /// Path of a CLIP model's checkpoint.
    pub fn clip(&self, embedding: Embedding) -> String {
        let key = embedding.key();
        text_at(&self.config, &["specclip_models", key, "path"]).unwrap_or_else(|| format!("specclip/{key}.ckpt"))
    }

    /// Path of a head's file.
    pub fn head(&self, route: &HeadRoute) -> String {
        let (folder, extension) = match route.method {
            Method::Mlp => ("mlp", "pt"),
            Method::Sbi => ("sbi", "pkl"),
        };
        self.entry(route, "path").unwrap_or_else(|| {
            format!("downstream_models/{}/{folder}/{}.{extension}", route.modality.name(), route.stem)
        })
    }

    /// Possible paths of the statistics of an MLP's inputs.
    ///
    /// For [Fe/H] from XP, config.json and the published code spell the path differently.
    pub fn stats(&self, route: &HeadRoute) -> Vec<String> {
        let default_path = format!("stats/{}/{}_mean_std.json", route.modality.name(), route.stem);
        let mut paths: Vec<String> = self.entry(route, "stats").into_iter().collect();
        if !paths.contains(&default_path) {
            paths.push(default_path);
        }
        if (route.modality, route.parameter) == (Modality::Xp, Parameter::FeH) {
            let capitalised_path = "stats/xp/FeH_mean_std.json".to_string();
            if !paths.contains(&capitalised_path) {
                paths.push(capitalised_path);
            }
        }
        paths
    }

    /// Entry of a head in config.json. The file lists the flows of XP outside the survey's own section.
    fn entry(&self, route: &HeadRoute, key: &str) -> Option<String> {
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
        let heads =
            groups.iter().filter(|path| !path.is_empty()).filter_map(|path| value_at(estimation, path)?.as_object());
        let has_parameter = |head: &&Value| {
            let names = head.get("parameters").and_then(Value::as_array);
            names.is_some_and(|names| names.iter().any(|n| n.as_str() == Some(route.parameter.name())))
        };
        text_at(heads.flat_map(|heads| heads.values()).find(has_parameter)?, &[key])
    }
}

fn value_at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(*key))
}

fn text_at(value: &Value, path: &[&str]) -> Option<String> {
    value_at(value, path)?.as_str().map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 19 MLPs and 11 flows (docs/model-spec.md §3.2); [Fe/H] uses split for LAMOST and pr for Gaia (§3.3).
    #[test]
    fn the_routes_are_the_published_ones() {
        let count = |method, modality: Option<Modality>| {
            ROUTES.iter().filter(|r| r.method == method && modality.is_none_or(|m| r.modality == m)).count()
        };
        assert_eq!((count(Method::Mlp, None), count(Method::Sbi, None)), (19, 11));
        assert_eq!((count(Method::Mlp, Some(Modality::Lrs)), count(Method::Sbi, Some(Modality::Lrs))), (14, 9));
        let split = |modality| {
            let routes = ROUTES.iter().filter(|r| r.modality == modality && r.embedding == Embedding::Split);
            routes.map(|r| r.parameter.name()).collect::<Vec<_>>()
        };
        assert_eq!(split(Modality::Lrs), ["rv", "teff", "logg", "fe_h"]);
        assert_eq!(split(Modality::Xp), ["teff", "logg"]);
        for modality in [Modality::Lrs, Modality::Xp] {
            let order: Vec<Parameter> = ROUTES.iter().filter(|r| r.modality == modality).map(|r| r.parameter).collect();
            assert!(order.is_sorted(), "{order:?}");
        }
    }

    #[test]
    fn default_paths_apply_without_a_config() {
        let layout = Layout { config: Value::Null, warnings: Vec::new() };
        let xp_feh =
            ROUTES.iter().find(|r| (r.modality, r.parameter) == (Modality::Xp, Parameter::FeH)).expect("a route");
        assert_eq!(layout.clip(Embedding::Split), "specclip/specclip_model_split_mlp.ckpt");
        assert_eq!(layout.head(xp_feh), "downstream_models/xp/mlp/feh.pt");
        assert_eq!(layout.stats(xp_feh), ["stats/xp/feh_mean_std.json", "stats/xp/FeH_mean_std.json"]);
    }
}
