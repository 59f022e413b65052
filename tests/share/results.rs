//! Synthetic results without a network: unusual names, long ids, missing numbers, all flags, noisy spectra.

use specola::preprocess::grid::model_wave_vac_aa;
use specola::result::{Estimate, Flag, Label, Prediction, ProcessingStep, SpectrumView, Summary};
use specola::share::{Outcome, Record};
use specola::spectrum::{Frame, Medium, Meta, Source, Sourced, Survey};

/// Pseudo-random noise without a library, equal on every machine.
fn noise(seed: usize, i: usize) -> f32 {
    let mut x = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (i as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mut sum = 0.0;
    for _ in 0..4 {
        x ^= x >> 29;
        x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
        sum += (x >> 40) as f32 / (1 << 24) as f32 - 0.5;
    }
    sum * 1.73
}

/// A normalised spectrum with lines, at S/N 50.
pub(crate) fn view(i: usize) -> SpectrumView {
    let wave: Vec<f32> = model_wave_vac_aa().iter().map(|w| *w as f32).collect();
    let lines = [(4102.9, 0.6), (4341.7, 0.6), (4384.8, 0.3), (4862.7, 0.6), (5176.0, 0.4), (5270.0, 0.3)];
    let depth = |w: f32| lines.iter().map(|(c, d): &(f32, f32)| d * (-((w - c) / 5.0).powi(2)).exp()).sum::<f32>();
    let model_flux: Vec<f32> = wave.iter().enumerate().map(|(k, w)| 1.0 - depth(*w) + 0.02 * noise(i, k)).collect();
    SpectrumView {
        flux: model_flux.iter().map(|f| f * 1e-17).collect(),
        sigma: vec![f32::NAN; 3].into_iter().chain(vec![2e-19; wave.len() - 3]).collect(),
        wave_vac_aa: wave.clone(),
        masked: vec![(0, 3)],
        continuum_wave_vac_aa: wave.clone(),
        continuum: vec![1e-17; wave.len()],
        model_wave_vac_aa: wave,
        model_flux,
        processing_history: processing_history(),
    }
}

fn processing_history() -> Vec<ProcessingStep> {
    let entry = |step: &str, description: &str, is_assumed| ProcessingStep {
        step: step.into(),
        description: description.into(),
        is_assumed,
    };
    vec![
        entry("medium", "vacuum: the file says nothing, vacuum is taken", true),
        entry("resample", "1462 pixels, 3999.4–5598.9 Å, σ carried along", false),
        entry("continuum", "degree 5, 3 σ; kept 98 % <of> the \"pixels\" & more", false),
    ]
}

/// A result; every third is refused.
pub(crate) fn record(i: usize) -> Record {
    const NAMES: [&str; 3] =
        ["spec-55859-F5902_sp01-034.fits.gz", "mit Umlaut ä, \"quoted\" & <odd>.fits", "M67/star 7.csv"];
    let mut meta = Meta::unknown((5_853_498_713_190_525_696u64 + i as u64).to_string(), "LAMOST DR9+ table");
    meta.survey = [Survey::LamostLrs, Survey::Sdss, Survey::Other][i % 3];
    meta.medium = Sourced::new(Medium::Vacuum, Source::Survey);
    meta.frame = Sourced::new([Frame::Barycentric, Frame::Rest][i % 2], Source::File);
    (meta.ra_deg, meta.dec_deg) =
        if i.is_multiple_of(2) { (Some(132.825 + i as f64 / 7.0), Some(-11.8)) } else { (None, None) };
    let summary = Summary {
        meta,
        file: NAMES[i % 3].into(),
        n_pixels: 3909,
        wave_min_aa: 3690.0 + i as f64,
        wave_max_aa: 9100.1,
    };
    if i % 3 == 2 {
        let reason = "only 40 % of 4000–5599 Å is there; it needs 60 %";
        return Record { summary, outcome: Outcome::NotPredicted(reason.into()), snr: Some(12.345) };
    }
    let step = f64::from(noise(99, i));
    let values = [5705.123456 + 900.0 * step, 4.321987 + step, -0.4287654 + step, 0.0712345, -12.345678 + 50.0 * step];
    let errors = [81.98765, 0.0912345, 0.0512345, f64::NAN, 4.512345];
    let estimates = Label::ALL.into_iter().zip(values.into_iter().zip(errors));
    let prediction = Prediction {
        model: "lrs-mlp 1".into(),
        model_sha256: "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee42".into(),
        snr: Some(Sourced::new(48.7654321 + step, Source::Estimated)),
        estimates: estimates.map(|(label, (value, error))| Estimate { label, value, error }).collect(),
        flags: if i == 0 {
            Flag::ALL[..11].iter().copied().collect()
        } else {
            Flag::ALL[i % 11..].iter().step_by(4).copied().collect()
        },
        processing_history: processing_history(),
        finetuned: None,
    };
    Record { summary, outcome: Outcome::Predicted(prediction), snr: None }
}

/// The first `n` results.
pub(crate) fn records(n: usize) -> Vec<Record> {
    (0..n).map(record).collect()
}
