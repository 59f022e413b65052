//! The published preprocessing, compared with `NumPy` and `SciPy` (`tests/golden/preprocess_*.npz`).

use specola::preprocess::{grid, reference, xp};
use specola::read::npy::ArrayFile;

fn golden(name: &str) -> Vec<ArrayFile> {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    specola::read::arrays(&std::fs::read(path).expect("the golden file")).expect("an npz")
}

fn numbers(files: &[ArrayFile], name: &str) -> Vec<f64> {
    let file = files.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no array {name}"));
    let array = file.array().expect("an array");
    array.numbers(0, array.shape.iter().product()).expect("numbers")
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Name of the case, array of wavelengths, array of flux, and whether the wavelengths are 32-bit floats.
const CASES: [(&str, &str, &str, bool); 8] = [
    ("solar_f64", "wave_lamost", "solar_f64", false),
    ("hot_f64", "wave_lamost", "hot_f64", false),
    ("cool_lowsnr_f64", "wave_lamost_b", "cool_lowsnr_f64", false),
    ("gap_zeros_f64", "wave_lamost", "gap_zeros_f64", false),
    ("start3600_hot_f64", "wave_3600", "start3600_hot_f64", false),
    ("blue_only_f64", "wave_blue", "blue_only_f64", false),
    ("solar_f32wave", "wave_lamost", "solar_f64", true),
    ("hot_f32wave", "wave_lamost", "hot_f64", true),
];

#[test]
fn continuum_and_normalised_flux_match_the_published_code() {
    let files = golden("preprocess_lrs.npz");
    for (case, wave, flux, wave_is_f32) in CASES {
        let mut wave = numbers(&files, wave);
        if wave_is_f32 {
            wave.iter_mut().for_each(|w| *w = f64::from(*w as f32));
        }
        let flux = numbers(&files, &format!("{flux}/flux"));
        let got = reference::normalise(&wave, &flux, wave_is_f32).expect(case);
        let norm = largest_difference(&got.norm, &numbers(&files, &format!("{case}/norm1462")));
        let scale = flux.iter().fold(0.0f64, |m, f| m.max(f.abs()));
        let continuum = largest_difference(&got.continuum, &numbers(&files, &format!("{case}/continuum"))) / scale;
        println!("{case}: normalised flux {norm:.1e}, continuum {continuum:.1e} of the flux");
        assert!(norm < 1e-9, "{case}: normalised flux differs by {norm:.2e}");
        assert!(continuum < 1e-9, "{case}: continuum differs by {continuum:.2e}");
    }
}

/// Normalised flux from 32-bit and from 64-bit wavelengths differs by 0.1–2 %.
#[test]
fn wavelength_precision_changes_the_normalised_flux() {
    let files = golden("preprocess_lrs.npz");
    let wave = numbers(&files, "wave_lamost");
    let flux = numbers(&files, "solar_f64/flux");
    let double = reference::normalise(&wave, &flux, false).expect("64 bits");
    assert!(largest_difference(&double.norm, &numbers(&files, "solar_f32wave/norm1462")) > 1e-3);
}

#[test]
fn model_grid_matches_the_published_grid() {
    let files = golden("preprocess_lrs.npz");
    assert!(largest_difference(&grid::model_log10(), &numbers(&files, "grid1462_log")) < 1e-15);
    assert!(largest_difference(&grid::model_wave_vac_aa(), &numbers(&files, "grid1462_wave")) < 1e-11);
}

#[test]
fn spectra_that_the_published_code_refuses_are_refused() {
    let files = golden("preprocess_lrs.npz");
    let wave = numbers(&files, "wave_lamost");
    let mut flux = numbers(&files, "solar_f64/flux");
    flux[3000] = f64::NAN;
    assert_eq!(reference::normalise(&wave, &flux, false), Err(reference::ReferenceError::Flux(3000)));
    let short: Vec<f64> = wave.iter().copied().filter(|w| *w > 4000.5).collect();
    let error = reference::normalise(&short, &vec![1.0; short.len()], false);
    assert!(matches!(error, Err(reference::ReferenceError::Range { .. })));
}

#[test]
fn xp_normalisation_matches_the_published_code() {
    let files = golden("preprocess_xp.npz");
    let got = xp::normalise(&numbers(&files, "wave_nm"), &numbers(&files, "flux")).expect("the XP spectrum");
    assert!(largest_difference(&got, &numbers(&files, "norm343")) < 1e-12);
    assert_eq!(xp::grid_nm(), numbers(&files, "grid_nm"));
}
