//! Look-alikes of spectra, spectra in the other survey, and how odd they are.

use burn::tensor::Device;

use crate::model::manifest::{Kind, Manifest, ModelEntry};
use crate::model::store::{Source, Store};
use crate::retrieve::index::{Bits, Index};

pub mod encode;
pub mod labels;
pub mod library;
pub mod repeats;
pub mod translate;

use encode::Encoders;

/// All that is fetched for it: an encoder pair and the index that was made with it.
#[derive(Debug)]
pub struct Kit {
    /// The encoder pair.
    pub encoders: Encoders,
    /// Its index; empty where none is shipped.
    pub index: Index,
}

/// Name of the index that belongs to an encoder pair.
pub fn index_name(pair: &str) -> String {
    format!("{pair}-index")
}

impl Kit {
    /// Fetches a pair by its name, or the first that is shipped. `tell` hears what arrives, bytes so far and in all.
    pub async fn fetch<S: Source>(
        store: &Store<S>,
        pair: Option<&str>,
        mut tell: impl FnMut(&str, u64, u64),
    ) -> Result<Self, String> {
        let manifest = store.manifest().await.map_err(|e| e.to_string())?;
        let entry = pair_entry(&manifest, pair)?;
        let mut get = async |entry: &ModelEntry| {
            let title = entry.title();
            store.weights(entry, |done, total| tell(&title, done, total)).await.map_err(|e| e.to_string())
        };
        let encoders = Encoders::load(entry, &get(entry).await?, &Device::flex()).map_err(|e| e.to_string())?;
        let shipped = manifest.get(&index_name(&entry.name)).filter(|index| index.kind == Kind::Index);
        let index = match shipped {
            Some(shipped) => Index::parse(&get(shipped).await?).map_err(|e| e.to_string())?,
            None => Index::new(encoders.about("none", "nothing", encoders.all_labels()), Bits::Eight),
        };
        encoders.must_fit(&index).map_err(|e| e.to_string())?;
        Ok(Self { encoders, index })
    }
}

/// The manifest's entry of a pair.
pub fn pair_entry<'a>(manifest: &'a Manifest, name: Option<&str>) -> Result<&'a ModelEntry, String> {
    let mut pairs = manifest.models.iter().filter(|m| m.kind == Kind::EncoderPair);
    let found = pairs.clone().find(|m| name.is_none_or(|name| m.name == name));
    found.ok_or_else(|| match (name, pairs.next()) {
        (Some(name), Some(first)) => format!("there is no encoder pair {name:?}; shipped is {}", first.name),
        _ => "no encoder pair is shipped here; look-alikes need one (`specola models` lists what is there)".into(),
    })
}
