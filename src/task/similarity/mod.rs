//! Similarity of spectra: similar spectra, spectra predicted in the other survey, repeat visits, anomaly scores.

use burn::tensor::Device;

use crate::model::manifest::{Kind, Manifest, ModelEntry};
use crate::model::store::{Source, Store};
use crate::similarity::index::{Bits, Index};

pub mod encoders;
pub mod encoder_set;
pub mod index_set;
pub mod repeat_visits;
pub mod translation;

use encoders::Encoders;

/// An encoder pair and the index that was made with it, fetched from the store.
#[derive(Debug)]
pub struct EncoderBundle {
    /// The encoder pair.
    pub encoders: Encoders,
    /// Index of the pair; empty where no index is shipped.
    pub index: Index,
}

/// Name of the index that belongs to an encoder pair.
pub fn index_name(pair: &str) -> String {
    format!("{pair}-index")
}

impl EncoderBundle {
    /// Fetches a pair by its name, or the first shipped pair. `on_progress` receives the title of the file, the bytes
    /// received so far and the total.
    pub async fn fetch<S: Source>(
        store: &Store<S>,
        pair: Option<&str>,
        mut on_progress: impl FnMut(&str, u64, u64),
    ) -> Result<Self, String> {
        let manifest = store.manifest().await.map_err(|e| e.to_string())?;
        let entry = pair_entry(&manifest, pair)?;
        let mut get = async |entry: &ModelEntry| {
            let title = entry.title();
            store.weights(entry, |done, total| on_progress(&title, done, total)).await.map_err(|e| e.to_string())
        };
        let encoders = Encoders::load(entry, &get(entry).await?, &Device::flex()).map_err(|e| e.to_string())?;
        let shipped = manifest.get(&index_name(&entry.name)).filter(|index| index.kind == Kind::Index);
        let index = match shipped {
            Some(shipped) => Index::parse(&get(shipped).await?).map_err(|e| e.to_string())?,
            None => Index::new(encoders.index_metadata("none", "nothing", encoders.all_labels()), Bits::Eight),
        };
        encoders.check_index(&index).map_err(|e| e.to_string())?;
        Ok(Self { encoders, index })
    }
}

/// Manifest entry of a pair by its name, or of the first shipped pair.
pub fn pair_entry<'a>(manifest: &'a Manifest, name: Option<&str>) -> Result<&'a ModelEntry, String> {
    let mut pairs = manifest.models.iter().filter(|m| m.kind == Kind::EncoderPair);
    let found = pairs.clone().find(|m| name.is_none_or(|name| m.name == name));
    found.ok_or_else(|| match (name, pairs.next()) {
        (Some(name), Some(first)) => format!("there is no encoder pair {name:?}; the available pair is {}", first.name),
        _ => "no encoder pair is available; a search for similar spectra needs an encoder pair (`specola models` lists the models)".into(),
    })
}
