//! Training of the model for Gaia XP spectra on generated stars: it learns, resumes with the same losses, and its
//! calibrated errors hold on stars outside the training set.

use std::sync::PoisonError;

use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use specola::model::xp_regressor::XP_LABELS;
use specola::preprocess::xp::{XP_PIXELS, grid_nm};
use specola::train::training_loop::Progress;
use specola::train::xp::regressor::{XpPlan, calibrate, estimate, train};
use specola::train::xp::scores;
use specola::train::xp::stars::{Part, XpStars};

use crate::pretrain::DEVICE;
use crate::support::Folder;

const SEED: u64 = 3;

/// Black bodies with three bands whose depths depend on log g, [Fe/H] and [α/M], and noise.
fn stars(n: usize) -> XpStars {
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
