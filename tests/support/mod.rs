//! Helpers of the test programs: a temporary folder, a synthetic spectrum as text, a small untrained model in the
//! format of shipped models, and the folder of real spectra.

#![allow(dead_code, reason = "each test program uses its own part")]

#[cfg(not(target_family = "wasm"))]
pub(crate) mod bundles;
pub(crate) mod driver;
pub(crate) mod golden;
#[cfg(target_family = "wasm")]
pub mod golden_files;
#[cfg(not(target_family = "wasm"))]
pub(crate) mod published;
#[cfg(not(target_family = "wasm"))]
pub(crate) mod xp;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use specola::model::calibration::{ErrorModel, ErrorRegime};
use specola::model::manifest::{Chunk, FORMAT, Manifest, ModelEntry};
use specola::model::store::{MANIFEST, sha256_hex};
use specola::nn::weights::Tensors;
use specola::preprocess::conditioning;
use specola::preprocess::grid::MODEL_PIXELS;
use specola::result::Label;

/// A folder that is removed at the end of its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// An empty folder for the test of this name.
    pub(crate) fn new(test: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("specola-{test}-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary folder can be made");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, creates its parent folders, and returns its path.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("folders can be made");
        fs::write(&path, bytes).expect("a temporary file can be written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The folder of real spectra. Tests that read it are ignored by default; `cargo xtask test --real DIR` runs them.
pub(crate) fn real_spectra() -> PathBuf {
    std::env::var_os("SPECOLA_REAL").expect("SPECOLA_REAL names the folder of real spectra").into()
}

/// A spectrum between two wavelengths as CSV: a slope, Balmer and metal lines, a ripple in place of noise, with errors.
pub(crate) fn star_csv(from_aa: f64, to_aa: f64) -> String {
    let mut csv = String::from("wavelength_vac_aa,flux,ivar\n");
    let lines =
        [(4102.9, 0.6), (4227.9, 0.4), (4341.7, 0.6), (4384.8, 0.3), (4862.7, 0.6), (5176.0, 0.4), (5270.0, 0.3)];
    for i in 0..((to_aa - from_aa) / 1.2) as usize {
        let wave = from_aa + 1.2 * i as f64;
        let depth: f64 = lines.iter().map(|(centre, depth)| depth * (-((wave - centre) / 4.0).powi(2)).exp()).sum();
        let ripple = 0.01 * (1.7 * i as f64).sin();
        let flux = 1000.0 * (1.2 - wave / 20_000.0) * (1.0 - depth.min(0.9) + ripple);
        csv.push_str(&format!("{wave:.3},{flux:.4},0.01\n"));
    }
    csv
}

/// A safetensors file of Specola without its checksum, for tests that change something else.
pub(crate) fn without_checksum(mut file: Vec<u8>) -> Vec<u8> {
    let key = b"\"sha256\":\"";
    let at = file.windows(key.len()).position(|w| w == key).expect("a checksum");
    file[at + 1..at + 7].copy_from_slice(b"unused");
    file
}

/// Writes an untrained model of all five labels into a folder, in several parts, and returns its manifest entry.
///
/// Its predictions have no meaning, but they depend on the spectrum. Its format is that of a shipped model.
pub(crate) fn write_untrained_model(folder: &Path) -> ModelEntry {
    let mut tensors = Tensors::default();
    for (prefix, outputs) in [("rv.", 1), ("labels.", 4)] {
        let wave = |n: usize, scale: f32| (0..n).map(|i| scale * (i as f32 * 0.37).sin()).collect::<Vec<f32>>();
        for (layer, (input, output)) in [(MODEL_PIXELS, 8), (8, outputs)].into_iter().enumerate() {
            let name = format!("{prefix}network.{}", 2 * layer);
            tensors.insert(&format!("{name}.weight"), &[output, input], wave(output * input, 0.1));
            tensors.insert(&format!("{name}.bias"), &[output], wave(output, 0.1));
        }
        tensors.insert(&format!("{prefix}input_mean"), &[MODEL_PIXELS], vec![0.9; MODEL_PIXELS]);
        tensors.insert(&format!("{prefix}input_scale"), &[1], vec![0.1]);
        tensors.insert(&format!("{prefix}output_mean"), &[outputs], vec![1.0; outputs]);
        tensors.insert(&format!("{prefix}output_scale"), &[outputs], vec![2.0; outputs]);
    }
    tensors.insert("known.mean", &[MODEL_PIXELS], vec![0.9; MODEL_PIXELS]);
    tensors.insert("known.directions", &[1, MODEL_PIXELS], vec![(MODEL_PIXELS as f32).sqrt().recip(); MODEL_PIXELS]);
    let weights = tensors.to_f16_file().expect("the arrays are well-formed");

    let chunks = weights.chunks(20_000).map(|part| {
        let sha256 = sha256_hex(part);
        let file = format!("untrained-{}.bin", &sha256[..12]);
        fs::write(folder.join(&file), part).expect("a part can be written");
        Chunk { file, bytes: part.len() as u64, sha256 }
    });
    let regimes = vec![ErrorRegime { floor: 0.5, noise: 10.0, exposure: 0.1, n: 1, ..ErrorRegime::default() }];
    let entry = ModelEntry {
        name: "untrained".into(),
        version: 1,
        modality: "lrs".into(),
        labels: Label::ALL.to_vec(),
        recipe: conditioning::RECIPE_NAME.into(),
        trained_on: "nothing; a model for tests".into(),
        command: "none".into(),
        seed: 0,
        license: "MIT OR Apache-2.0".into(),
        bytes: weights.len() as u64,
        sha256: sha256_hex(&weights),
        chunks: chunks.collect(),
        accuracy: Vec::new(),
        errors: Label::ALL.map(|label| ErrorModel { label, regimes: regimes.clone(), coverage_power: 0.0 }).to_vec(),
        max_distance: 1.0,
        label_range: Vec::new(),
        ..ModelEntry::default()
    };
    let manifest = Manifest { format: FORMAT, default: entry.name.clone(), models: vec![entry.clone()] };
    let json = serde_json::to_vec_pretty(&manifest).expect("a manifest is JSON");
    fs::write(folder.join(MANIFEST), json).expect("the manifest can be written");
    entry
}
