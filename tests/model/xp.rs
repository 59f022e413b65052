//! Training of the model for Gaia XP spectra on generated stars: it learns, resumes with the same losses, and its
//! calibrated errors hold on stars outside the training set.

use std::sync::PoisonError;

use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use specola::model::xp_regressor::XP_LABELS;
use specola::preprocess::xp::{XP_PIXELS, grid_nm};
use specola::train::real_stars::RealStars;
use specola::train::training_loop::Progress;
use specola::train::xp::emulator::XpEmulator;
use specola::train::xp::regressor::{XpPlan, calibrate, estimate, train};
use specola::train::xp::scores;
use specola::train::xp::stars::{Part, XpStars};

use crate::pretrain::DEVICE;
use crate::support::Folder;

const SEED: u64 = 3;

/// Black bodies with three bands whose depths depend on log g, [Fe/H] and [α/M], and noise.
pub(crate) fn stars(n: usize) -> XpStars {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let grid = grid_nm();
    let (mut flux, mut sigma, mut unit) = (Vec::new(), Vec::new(), Vec::new());
    let (mut labels, mut g_mag, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..n {
        let teff: f64 = rng.random_range(4000.0..7000.0);
        let others = [rng.random_range(0.5..5.0), rng.random_range(-2.0..0.5), rng.random_range(-0.1..0.4)];
        let snr = 10f64.powf(rng.random_range(1.5..2.4));
        let bands =
            [(430.0, 20.0, 0.05 * others[0]), (517.0, 15.0, 0.1 * (others[1] + 2.5)), (860.0, 20.0, 0.6 * others[2])];
        for nm in &grid {
            let black_body =
                (nm / 600.0).powi(-5) / ((1.4388e7 / nm / teff).exp() - 1.0) * (1.4388e7 / 600.0 / teff).exp();
            let depth: f64 = bands.iter().map(|(at, width, depth)| depth * (-((nm - at) / width).powi(2)).exp()).sum();
            let noise: f64 = StandardNormal.sample(&mut rng);
            flux.push((black_body * (1.0 - depth) + noise * black_body / snr) as f32);
            sigma.push((black_body / snr) as f32);
        }
        // The last star in ten is hot by its label's absence: it has no composition.
        let known = |value: f64, error: f32| (value as f32, error);
        let composition = |value: f64| if i % 10 == 9 { (f32::NAN, f32::NAN) } else { known(value, 0.02) };
        labels.push([known(teff, 20.0), known(others[0], 0.05), composition(others[1]), composition(others[2])]);
        let g = 15.0 - 5.0 * (snr / 30.0).log10();
        unit.push((1.6e-11 * 10f64.powf(-0.4 * g)) as f32);
        g_mag.push(g as f32);
        ids.push(format!("{}", 1_000_000 + i));
    }
    XpStars::new(&ids, (flux, sigma, unit), &labels, g_mag, SEED)
}

fn plan(folder: &Folder, steps: usize) -> XpPlan {
    XpPlan {
        components: 12,
        members: 2,
        steps,
        batch: 128,
        rate: 2e-3,
        dropout: 0.0,
        work: folder.path().to_owned(),
        seed: SEED,
    }
}

#[test]
fn labels_are_learnt_and_errors_hold_on_other_stars() {
    let _lock = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new("xp-train");
    let (stars, device) = (stars(3000), Device::flex());
    let trained = train(&stars, &plan(&folder, 400), &device, &mut |_, _| Ok(())).expect("a training");
    let config = calibrate(&trained, &stars, SEED, &device).expect("validation stars");
    let test = estimate(&trained, &stars, &stars.rows(Part::Test, 0.0), 1.0, SEED, &device).expect("predictions");
    assert_eq!(test.len(), stars.rows(Part::Test, 0.0).len());
    // A prediction of the mean would give the labels' own scatter: 866 K, 1.3, 0.72 and 0.14 dex.
    let accuracy = scores::accuracy(&stars, &test);
    for (row, limit) in accuracy.iter().take(XP_LABELS).zip([200.0, 0.7, 0.35, 0.1]) {
        assert!(row.sigma < limit, "{}: σ {}", row.label.symbol(), row.sigma);
    }
    let coverage = scores::coverage(&stars, &test, &config);
    for row in coverage.iter().filter(|row| row.subject == "all" && row.quantity.contains("68.27 %")) {
        assert!((0.6..0.77).contains(&row.value), "{}: {}", row.quantity, row.value);
    }
    assert!(config.max_teff_of_composition < 7000.0 && config.max_teff_of_composition > 6500.0);
}

#[test]
fn a_resumed_training_has_the_same_losses() {
    let _lock = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let stars = stars(800);
    let losses = |folder: &Folder, stop_at: Option<usize>| {
        let mut points = Vec::new();
        let result = train(&stars, &plan(folder, 40), &Device::flex(), &mut |member, progress| {
            if let Progress::Checkpoint(all) = progress {
                points.push((member, *all.last().expect("a point")));
                anyhow::ensure!(stop_at != Some(points.len()), "stopped");
            }
            Ok(())
        });
        (result.is_ok(), points)
    };
    let (whole, interrupted) = (Folder::new("xp-whole"), Folder::new("xp-interrupted"));
    let (_, expected) = losses(&whole, None);
    let (is_done, first) = losses(&interrupted, Some(4));
    assert!(!is_done);
    let (is_done, rest) = losses(&interrupted, None);
    assert!(is_done);
    let resumed: Vec<_> = first.into_iter().chain(rest).collect();
    assert_eq!(resumed, expected);
}

#[test]
fn uncertain_labels_count_as_unknown() {
    let flux = vec![1.0; 2 * XP_PIXELS];
    let labels = [
        [(5000.0, 299.0), (4.0, 0.19), (0.0, 0.09), (0.0, 0.09)],
        [(5000.0, 301.0), (4.0, 0.21), (0.0, 0.11), (0.0, f32::NAN)],
    ];
    let ids = ["1".to_string(), "2".to_string()];
    let stars = XpStars::new(&ids, (flux, vec![0.01; 2 * XP_PIXELS], vec![1e-16; 2]), &labels, vec![12.0; 2], SEED);
    assert!(stars.labels[0].iter().all(|v| v.is_finite()) && stars.labels[1].iter().all(|v| v.is_nan()));
    assert!(stars.snr.iter().all(|s| (s - 100.0).abs() < 1e-3));
}

/// Spectra of known shape: a polynomial of the labels, and the dust of Cardelli et al. (1989) from the tables of its
/// paper. The emulator has to tell the two apart.
#[test]
fn the_emulator_tells_labels_from_reddening() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let grid = grid_nm();
    // A(λ)/E(B−V) at 336 to 1020 nm for R(V) = 3.1, linear in 1/λ between the points V (550 nm) and I (909 nm) of the
    // paper's Table 3: the emulator's law differs by a few per cent between and beyond them.
    let dust = |nm: f64| 3.1 * (1.0 + (0.479 - 1.0) * (1.82 - 1000.0 / nm) / (1.82 - 1.10));
    let shape = |labels: &[f64; 4], nm: f64| {
        let [teff, logg, feh, alpha] = *labels;
        let x = (nm - 680.0) / 340.0;
        let theta = 5040.0 / teff;
        -1.5 * (theta - 1.0) * (1.0 - x) + 0.05 * logg * x * x + 0.1 * feh * (3.0 * x).sin() + 0.2 * alpha * x
    };
    let (mut flux, mut labels, mut a_k_mag, mut truth, mut ids) = (vec![], vec![], vec![], vec![], vec![]);
    for i in 0..1500 {
        let own = [
            rng.random_range(4000.0..7000.0),
            rng.random_range(0.5..5.0),
            rng.random_range(-2.0..0.5),
            rng.random_range(-0.1..0.4),
        ];
        let ebv_mag: f64 = rng.random_range(0.0..1.0);
        for nm in &grid {
            let noise: f64 = StandardNormal.sample(&mut rng);
            let ln_flux = shape(&own, *nm) - 0.921 * dust(*nm) * ebv_mag + 0.01 * noise;
            flux.push(ln_flux.exp() as f32);
        }
        labels.push([(own[0] as f32, 20.0), (own[1] as f32, 0.05), (own[2] as f32, 0.02), (own[3] as f32, 0.02)]);
        // A(K) = 0.114 A(V) in that law; with an error, and missing for one star in five.
        let error: f64 = StandardNormal.sample(&mut rng);
        a_k_mag.push(if i % 5 == 0 { f32::NAN } else { (0.114 * 3.1 * (ebv_mag + 0.1 * error)) as f32 });
        truth.push(ebv_mag);
        ids.push(i.to_string());
    }
    let n = ids.len();
    let sigma = flux.iter().map(|f| 0.01 * f).collect();
    let mut stars = XpStars::new(&ids, (flux, sigma, vec![1e-16; n]), &labels, vec![12.0; n], SEED);
    stars.a_k_mag = a_k_mag;
    let (emulator, ebv_mag) = XpEmulator::fit(&stars, &stars.rows(Part::Training, 0.0)).expect("enough stars");
    let errors: Vec<f64> = ebv_mag.iter().zip(&truth).map(|(a, b)| a - b).collect();
    let rms = (errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64).sqrt();
    assert!(rms < 0.06, "E(B−V) has an error of {rms} mag");
    let labels = [5300.0, 3.3, -0.6, 0.2];
    let (predicted, expected): (Vec<f64>, Vec<f64>) = (
        emulator.flux(&labels, 0.3),
        grid.iter().map(|nm| (shape(&labels, *nm) - 0.921 * dust(*nm) * 0.3).exp()).collect(),
    );
    // 450 to 900 nm, where the two laws of dust agree.
    let range = 57..283;
    let mean = |values: &[f64]| values[range.clone()].iter().sum::<f64>() / range.len() as f64;
    let level = mean(&predicted) / mean(&expected);
    for i in range.clone() {
        let ratio = predicted[i] / expected[i] / level;
        assert!((ratio - 1.0).abs() < 0.05, "{} nm: {ratio}", grid[i]);
    }
}

#[test]
fn emulated_spectra_resemble_the_real_ones_of_their_labels() {
    // So many that most have others of similar labels.
    let xp = stars(12_000);
    let real = RealStars::new(xp, Vec::new()).expect("enough stars");
    let rows = real.xp_rows(Part::Training, true);
    let star = rows[17];
    // As observed: the flux over that at 550 nm, sample 107.
    let measured = real.measured_xp(star).expect("flux at 550 nm");
    let flux = real.xp.flux(star);
    assert!(measured.flux.iter().zip(flux).all(|(a, f)| (a - f / flux[107]).abs() < 1e-5));
    assert_eq!(measured.labels.map(|v| v as f32), real.xp.labels[star]);
    // The emulator at the labels of a bright star is close to it; the fixture has no reddening.
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let labels_of = |star: usize| real.xp.labels[star].map(f64::from);
    let mut bright = rows.iter().copied().filter(|star| real.xp.snr[*star] > 150.0);
    let bright =
        bright.find(|star| real.emulated_xp(labels_of(*star), false, &mut rng).is_some()).expect("such a star");
    let bright_flux = real.measured_xp(bright).expect("flux").flux;
    let mut ratios: Vec<f32> = (0..40)
        .filter_map(|_| real.emulated_xp(labels_of(bright), false, &mut rng))
        .map(|emulated| emulated.flux[250] / bright_flux[250])
        .collect();
    ratios.sort_by(f32::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
    assert!(real.emulated_xp([9500.0, 4.0, 0.0, 0.0], true, &mut rng).is_none(), "no star is that hot");
}
