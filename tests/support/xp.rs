//! An untrained model for Gaia XP spectra, in the format of the shipped one.

use std::sync::Mutex;

use burn::tensor::Device;
use specola::model::manifest::{Kind, ModelEntry};
use specola::model::store::sha256_hex;
use specola::model::xp_regressor::{LowSnrCalibration, XP_LABELS, XpCalibration, XpComponents, XpConfig, XpRegressor};
use specola::nn::MlpConfig;
use specola::nn::weights::Tensors;
use specola::preprocess::xp::XP_PIXELS;
use specola::result::Label;
use specola::task::xp_model::{RECIPE_NAME, XpModel};

/// Manifest entry and file of the model.
pub(crate) fn untrained_entry() -> (ModelEntry, Vec<u8>) {
    // The seed is global: tests that run at the same time would draw from one sequence.
    static SEEDED: Mutex<()> = Mutex::new(());
    let _seeded = SEEDED.lock();
    let device = Device::flex();
    device.seed(5);
    let widths = vec![6, 8, 2 * XP_LABELS];
    // Three cosines, which are orthogonal on the samples.
    let direction = |k: usize| {
        let cosine = move |i: usize| (std::f64::consts::PI * k as f64 * (i as f64 + 0.5) / XP_PIXELS as f64).cos();
        (0..XP_PIXELS).map(move |i| (cosine(i) * (2.0 / XP_PIXELS as f64).sqrt()) as f32)
    };
    let regressor = XpRegressor {
        components: XpComponents {
            mean: vec![3.0; XP_PIXELS],
            directions: (1..=3).flat_map(direction).collect(),
            scale: vec![10.0, 3.0, 1.0],
        },
        members: (0..2).map(|_| MlpConfig::new(widths.clone()).init(&device)).collect(),
        widths,
        output_mean: [3.7, 3.0, -0.4, 0.1],
        output_scale: [0.05, 1.0, 0.3, 0.1],
    };
    let mut tensors = Tensors::default();
    regressor.store(&mut tensors).expect("the arrays are on the CPU");
    let file = tensors.to_f16_file().expect("finite weights");
    let calibration = |g_below, snr_at_limit, factor: f64| XpCalibration {
        g_below,
        snr_at_limit,
        error_factors: [factor; XP_LABELS],
        error_factors_95: [2.5 * factor; XP_LABELS],
        max_distance: 1e3,
        max_residual: 1e3,
    };
    let config = XpConfig {
        members: 2,
        max_teff_of_composition: 8000.0,
        calibration: vec![calibration(12.0, 100.0, 1.0), calibration(f64::MAX, 0.0, 2.0)],
        low_snr: vec![LowSnrCalibration { snr_below: 10.0, calibration: calibration(f64::MAX, 0.0, 3.0) }],
    };
    let entry = ModelEntry {
        name: "untrained-xp".into(),
        kind: Kind::XpPredictor,
        version: 1,
        modality: "xp".into(),
        labels: vec![Label::Teff, Label::Logg, Label::Feh, Label::AlphaFe],
        recipe: RECIPE_NAME.into(),
        sha256: sha256_hex(&file),
        networks: serde_json::to_string(&config).expect("numbers and names"),
        ..ModelEntry::default()
    };
    (entry, file)
}

/// The model.
pub(crate) fn untrained_model() -> XpModel {
    let (entry, file) = untrained_entry();
    XpModel::new(&entry, &file, &Device::flex()).expect("its own file")
}
