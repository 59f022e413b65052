//! Wavelength grids: the model grid, which is the input of the networks, and the wider fitting grid of the continuum.
//!
//! Both are uniform in log10 λ with the step of LAMOST's own pixels, 1e-4 dex (69 km/s), so that LAMOST spectra need
//! almost no interpolation.

/// Step of the grids in log10 λ.
pub const STEP_DEX: f64 = 1e-4;

/// Number of pixels of the model grid, 3999.4 to 5598.9 Å vacuum (docs/model-spec.md §1.2).
pub const MODEL_PIXELS: usize = 1462;

/// log10 of the model grid's first wavelength.
const MODEL_START_DEX: f64 = 3.602;

/// Number of pixels of the fitting grid beyond the blue and red ends of the model grid.
///
/// The continuum is fitted on 3912–5688 Å vacuum. The synthetic training grid covers this range at every velocity
/// within ±400 km/s.
pub const MARGIN_BLUE: usize = 96;
const MARGIN_RED: usize = 68;

/// Number of pixels of the fitting grid.
pub const FIT_PIXELS: usize = MARGIN_BLUE + MODEL_PIXELS + MARGIN_RED;

/// Speed of light in km/s.
pub const C_KMS: f64 = 299_792.458;

/// log10 of the model grid's wavelengths, Å vacuum: `linspace(3.602, 3.602 + 1e-4·1461, 1462)`, as `NumPy` computes it.
pub fn model_log10() -> Vec<f64> {
    let stop = MODEL_START_DEX + STEP_DEX * (MODEL_PIXELS - 1) as f64;
    let step = (stop - MODEL_START_DEX) / (MODEL_PIXELS - 1) as f64;
    (0..MODEL_PIXELS).map(|i| if i + 1 == MODEL_PIXELS { stop } else { i as f64 * step + MODEL_START_DEX }).collect()
}

/// The model grid's wavelengths, Å vacuum.
pub fn model_wave_vac_aa() -> Vec<f64> {
    model_log10().into_iter().map(|x| 10f64.powf(x)).collect()
}

/// log10 of the fitting grid's wavelengths, Å vacuum.
pub fn fit_log10() -> Vec<f64> {
    (0..FIT_PIXELS).map(|i| MODEL_START_DEX + STEP_DEX * (i as f64 - MARGIN_BLUE as f64)).collect()
}

/// The fitting grid's wavelengths, Å vacuum.
pub fn fit_wave_vac_aa() -> Vec<f64> {
    fit_log10().into_iter().map(|x| 10f64.powf(x)).collect()
}
