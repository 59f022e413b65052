//! Each stage of pretraining for a few steps on a small grid that is made here: its loss falls, and a run that is stopped and
//! taken up again has the same next losses as one that was not.
#![cfg(feature = "cli")]

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::Device;
use pollster::block_on;
use specola::model::emulator::Emulator;
use specola::model::encoders::{EncoderPair, Size, Variant};
use specola::model::manifest::{Kind, ModelEntry};
use specola::model::publish::publish;
use specola::preprocess::grid::MODEL_PIXELS;
use specola::result::catalogue::Modality;
use specola::train::emulator::{EmulatorPlan, fit, measure};
use specola::train::encoders::{EncoderPlan, Stage, aligned};
use specola::train::grid::{Grid, GridArrays, Seds};
use specola::train::heads::{HeadsPlan, finish};
use specola::train::lessons::HELD_OUT_STEP;
use specola::train::lessons::alignment::{Alignment, Encoders, Rows, Variants};
use specola::train::lessons::autoencoder::Rebuilding;
use specola::train::lessons::masked::Masked;
use specola::train::lessons::regression::{Labelled, Regression};
use specola::train::pairs::{Optical, Pair, Pairs};
use specola::train::population::{Population, Want};
use specola::train::steps::{Lesson, Progress, Schedule, run};

/// Held by each test: the device has one random number generator for the whole process, and first weights are drawn from it.
static DEVICE: Mutex<()> = Mutex::new(());

/// Nodes with Gaussian lines whose depths follow the labels, and black bodies.
fn small_grid(n: usize) -> (Grid, Seds) {
    let wave: Vec<f64> = (0..6001).map(|i| 3900.0 + 0.3 * f64::from(i)).collect();
    let coarse: Vec<f64> = (0..361).map(|i| 3900.0 + 5.0 * f64::from(i)).collect();
    let bins: Vec<f64> = (0..700).map(|i| 330.5 + f64::from(i)).collect();
    let black_body = |teff: f64, aa: f64| aa.powi(-5) * 1e20 / ((1.4388e8 / aa / teff).exp() - 1.0);
    let (mut arrays, mut sed) = (GridArrays::default(), Vec::new());
    for i in 0..n {
        // Golden-ratio sequences fill the box evenly.
        let u = |j: usize| (0.5 + (i + 1) as f64 * [0.618_034, 0.754_878, 0.569_840, 0.819_173, 0.671_044][j]).fract();
        let (teff, logg, feh, alpha) = (4200.0 + 3000.0 * u(0), 5.0 * u(1), -2.5 + 3.0 * u(2), 0.5 * u(3));
        arrays.parameters.push([teff, logg, feh, alpha, u(4) - 0.5, 0.3 * u(4), 1.0 + 0.2 * u(4)]);
        arrays.node.push(i as u32);
        let depth = |k: usize| match k % 4 {
            0 => 0.6 * ((teff - 4000.0) / 3500.0),
            1 => 0.3 * (1.0 + (feh + 2.5) / 3.0) * (1.2 - (teff - 4200.0) / 4000.0),
            2 => 0.15 + 0.1 * logg / 5.0 + 0.5 * alpha,
            _ => 0.2 + 0.3 * (feh + 2.5) / 3.0,
        };
        let lines: Vec<(f64, f64)> = (0..40).map(|k| (3950.0 + 43.0 * k as f64, depth(k))).collect();
        arrays.normalised.extend(wave.iter().map(|w| {
            let near = lines.iter().filter(|(at, _)| (w - at).abs() < 20.0);
            near.map(|(at, depth)| 1.0 - depth * (-0.5 * ((w - at) / 1.5).powi(2)).exp()).product::<f64>() as f32
        }));
        arrays.continuum.extend(coarse.iter().map(|w| black_body(teff, *w) as f32));
        if i % 2 == 0 {
            sed.extend(bins.iter().map(|nm| black_body(teff, 10.0 * nm) as f32));
        }
    }
    (arrays.wave_air_aa, arrays.continuum_wave_aa) = (wave, coarse);
    let grid = Grid::new(arrays).expect("a grid");
    let with_sed: Vec<u32> = (0..n as u32).step_by(2).collect();
    let seds = Seds::new(&grid, &with_sed, bins, sed).expect("energy distributions");
    (grid, seds)
}

fn schedule(steps: usize, rate: f64, every: usize) -> Schedule {
    Schedule { steps, warmup: 2, rate, weight_decay: 1e-4, beta_2: 0.99, clip: Some(1.0), every, seed: 7 }
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("pretrain-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

/// Losses of every step of a run; it is stopped by an error after `until` steps.
fn losses<L: Lesson>(
    lesson: &L,
    start: impl Fn(&Device) -> L::Network,
    how: &Schedule,
    folder: &std::path::Path,
    until: usize,
) -> (Vec<(usize, f64)>, Option<L::Network>) {
    let mut heard = Vec::new();
    let network = run(lesson, |d| Ok(start(d)), how, "test", folder, &Device::flex(), &mut |progress| {
        if let Progress::Step(step, loss) = progress {
            if step >= until {
                anyhow::bail!("stopped");
            }
            heard.push((step, loss));
        }
        Ok(())
    });
    (heard, network.ok())
}

/// A whole run and one that is killed between checkpoints agree in every loss, and the loss falls below `share` of the first.
#[track_caller]
fn learns<L: Lesson>(
    name: &str,
    lesson: &L,
    start: impl Fn(&Device) -> L::Network,
    how: &Schedule,
    share: f64,
) -> L::Network {
    let (whole, network) = losses(lesson, &start, how, &folder(&format!("{name}-whole")), usize::MAX);
    let broken = folder(&format!("{name}-broken"));
    let (before, none) = losses(lesson, &start, how, &broken, how.every + 1);
    assert!(none.is_none() && before.len() == how.every + 1);
    let (after, _) = losses(lesson, &start, how, &broken, usize::MAX);
    assert_eq!(after.first().map(|(step, _)| *step), Some(how.every), "{name} goes on from its checkpoint");
    for ((step, one), (_, other)) in whole[how.every..].iter().zip(&after) {
        assert!((one - other).abs() <= 1e-6 * one.abs(), "{name}: step {step} has loss {other} instead of {one}");
    }
    let (first, last) = (whole[0].1, whole[whole.len() - 1].1);
    println!("{name}: {first:.4} → {last:.4}");
    assert!(last < share * first, "{name}: loss {first} has only come down to {last}");
    network.expect("a network")
}

fn emulator(grid: &Grid, seds: &Seds) -> Emulator {
    let mut plan = EmulatorPlan::shipped(3000, 3);
    (plan.lines, plan.continuum, plan.sed, plan.hidden, plan.batch) = (12, 4, 4, vec![64; 2], 64);
    plan.schedule.every = 1000;
    let nodes: Vec<usize> = (0..grid.len()).collect();
    let (held_out, train) = nodes.split_at(grid.len() / 6);
    let work = folder(&format!("emulator-{}", grid.len()));
    let tensors = fit(grid, seds, (train, held_out), &plan, &work, &Device::flex(), &mut |_| Ok(())).expect("arrays");
    let emulator = Emulator::load(&tensors).expect("an emulator");
    let errors = measure(&emulator, grid, seds, held_out);
    let all = &errors[0];
    println!("emulator: lines {:.4}, continuum {:.4}, sed {:.4}", all.lines, all.continuum, all.sed);
    assert!(all.lines < 0.012 && all.continuum < 0.02 && all.sed < 0.05, "{all:?}");
    emulator
}

#[test]
fn every_stage_learns_and_goes_on_where_it_was() {
    let _alone = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let (grid, seds) = small_grid(240);
    let emulator = emulator(&grid, &seds);
    let population = Population { grid: &grid, seds: &seds, emulator: &emulator, nodes: (0..200).collect() };
    let pairs = Pairs { population, optical: Optical::Mixed, between: true, seed: 5 };
    let held_out = pairs.of_step(HELD_OUT_STEP, 16, Want::Both).expect("pairs");
    let spectra =
        |of: fn(&Pair) -> &[f32]| -> Vec<f32> { held_out.iter().flat_map(|p| of(p).iter().copied()).collect() };

    let rows = Rows::of(&held_out);
    let lesson = Masked {
        pairs: &pairs,
        held_out: rows.lrs.clone(),
        masking: Size::Tiny.masking(),
        tokens: Size::Tiny.lrs().tokens.count(MODEL_PIXELS),
        batch: 8,
    };
    let lrs = learns("masked", &lesson, |d| Size::Tiny.lrs().init(d), &schedule(24, 5e-3, 10), 0.9);

    let lesson = Rebuilding { pairs: &pairs, held_out: spectra(|p| &p.xp), batch: 16 };
    let xp = learns("auto-encoder", &lesson, |d| Size::Tiny.xp().init(d), &schedule(40, 5e-3, 15), 0.5);

    let encoders = Encoders { lrs, xp };
    let lesson =
        Alignment { pairs: &pairs, held_out: rows, encoders: encoders.clone(), device: Device::flex(), batch: 16 };
    let start = |d: &Device| Variants::new(Size::Tiny, &encoders, d);
    let aligned = learns("alignment", &lesson, start, &schedule(16, 3e-3, 7), 0.9);
    assert_eq!(aligned.all.len(), 3);
    let numbers = |net: &specola::nn::masked_transformer::MaskedTransformer| net.clone().into_record().into_bytes();
    let (before, after) = (numbers(&encoders.lrs), numbers(&aligned.all[1].lrs));
    assert!(before.expect("bytes").to_vec() == after.expect("bytes").to_vec(), "the encoders are frozen");

    let labelled = |pairs: &[Pair]| Labelled {
        inputs: pairs.iter().flat_map(|p| p.xp.iter().copied()).collect(),
        width: 343,
        targets: pairs.iter().flat_map(|p| [p.parameters[0] as f32, p.parameters[2] as f32]).collect(),
        labels: 2,
    };
    let train = labelled(&pairs.of_step(0, 128, Want::Xp).expect("pairs"));
    let standard = train.regressor(&[32], 0.0, &Device::flex());
    let lesson = Regression { held_out: labelled(&held_out), train, standard: standard.clone(), batch: 32, seed: 1 };
    let widths = standard.widths.clone();
    learns(
        "regression",
        &lesson,
        |d| specola::nn::MlpConfig::new(widths.clone()).init(d),
        &schedule(60, 5e-3, 25),
        0.6,
    );
}

/// From nothing to the published file of an encoder pair, and back: what is loaded embeds as what was trained, and the shapes
/// are those that are promised.
#[test]
fn a_pair_is_trained_measured_published_and_loaded() {
    let _alone = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let (grid, seds) = small_grid(120);
    let emulator = emulator(&grid, &seds);
    let stars = |nodes: std::ops::Range<usize>, seed: u64| Pairs {
        population: Population { grid: &grid, seds: &seds, emulator: &emulator, nodes: nodes.collect() },
        optical: Optical::Mixed,
        between: true,
        seed,
    };
    let (learned, held_out, work, device) = (stars(0..100, 5), stars(100..120, 6), folder("pair"), Device::flex());
    for (stage, steps) in [(Stage::XpEncoder, 20), (Stage::LrsEncoder, 6), (Stage::Clip, 8)] {
        let plan = EncoderPlan::new(stage, Size::Tiny, steps, 8, 11);
        plan.run(&learned, &held_out, &work, &device, &mut |_| Ok(())).expect("a stage");
    }
    let plan = HeadsPlan {
        size: Size::Tiny,
        variant: Variant::Split,
        stars: 40,
        pairs: 24,
        steps: 10,
        work: work.clone(),
        seed: 11,
    };
    let done = finish(&plan, &learned, &held_out, None, &device, &mut |_| {}).expect("finished");
    let figure =
        |what: &str, of: &str| done.figures.iter().find(|f| f.what == what && f.of == of).map(|f| (f.n, f.value));
    for variant in Variant::ALL.map(Variant::name) {
        let (n, recall) = figure("recall@10, XP → LRS", variant).expect("measured");
        assert!(n == 24 && (0.0..=1.0).contains(&recall));
    }
    assert!(figure("mean absolute error LRS → XP, flux over that at 550 nm", "base").is_none(), "base has no decoder");
    assert!(done.figures.iter().all(|f| f.value.is_finite()), "{:?}", done.figures);

    let entry = ModelEntry {
        name: "pair".into(),
        kind: Kind::EncoderPair,
        accuracy: done.accuracy,
        figures: done.figures,
        networks: serde_json::to_string(&done.config).expect("JSON"),
        ..ModelEntry::default()
    };
    let models = folder("pair-models");
    let file = done.tensors.to_f16_file().expect("a file");
    publish(&models, &file, entry.clone(), "none").expect("published");
    let json = std::fs::read(models.join("manifest.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let stored: ModelEntry = serde_json::from_value(manifest["models"][0].clone()).expect("an entry");
    assert_eq!(stored.kind, Kind::EncoderPair);
    let pair = EncoderPair::load(&stored, &file, &device).expect("a pair");
    assert_eq!((pair.width(), pair.shared_width(), pair.translates()), (32, 24, true));

    let stars = held_out.of_step(HELD_OUT_STEP + 9, 5, Want::Both).expect("pairs");
    let rows = Rows::of(&stars);
    let lrs: Vec<&[f32]> = rows.lrs.chunks_exact(1462).collect();
    let xp: Vec<&[f32]> = rows.xp.chunks_exact(343).collect();
    let embedded = block_on(pair.embed_lrs(&lrs)).expect("embeddings");
    let whole = aligned(&work, Size::Tiny, Variant::Split, &device).expect("the trained network");
    let flat = burn::tensor::TensorData::new(rows.lrs.clone(), [5, 1462]);
    let want = whole
        .embed_lrs(burn::tensor::Tensor::from_data(flat, &device))
        .into_data()
        .try_to_vec::<f32>()
        .expect("numbers");
    let largest = want.iter().fold(0f32, |m, v| m.max(v.abs()));
    for (got, want) in embedded.iter().flatten().zip(&want) {
        // 16-bit weights.
        assert!((got - want).abs() < 0.01 * largest, "{got} {want}");
    }
    let slices: Vec<&[f32]> = embedded.iter().map(Vec::as_slice).collect();
    let across = block_on(pair.xp_from_lrs(&slices)).expect("flux").expect("split translates");
    assert!(across.len() == 5 && across.iter().all(|f| f.len() == 343));
    let labels = block_on(pair.predict(Modality::Lrs, &slices)).expect("labels").expect("split has a head");
    assert!(labels.iter().all(|row| row.len() == pair.labels(Modality::Lrs).len()));
    let draws = block_on(pair.posterior(&embedded[0], 50, 1)).expect("draws").expect("there is a flow");
    assert_eq!(pair.posterior_labels(), ["teff", "logg", "feh", "alpha_fe"]);
    assert!(draws.len() == 50 && draws.iter().all(|d| d.len() == 4 && d.iter().all(|v| v.is_finite())));
    assert_eq!(pair.labels(Modality::Xp).last().map(String::as_str), Some("ebprp"));
    assert_eq!(block_on(pair.rebuild_xp(&xp)).expect("flux").map(|f| f.len()), Some(5));
    let wrong = block_on(pair.embed_xp(&lrs)).expect_err("an LRS spectrum is no XP spectrum").to_string();
    assert!(wrong.contains("1462") && wrong.contains("343"), "{wrong}");
}

#[test]
fn a_checkpoint_of_other_options_is_refused() {
    let _alone = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let data = |n: usize| Labelled {
        inputs: (0..4 * n).map(|i| (i as f32).sin()).collect(),
        width: 4,
        targets: (0..n).map(|i| (i as f32).cos()).collect(),
        labels: 1,
    };
    let standard = data(32).regressor(&[8], 0.0, &Device::flex());
    let lesson = Regression { train: data(32), held_out: data(8), standard: standard.clone(), batch: 8, seed: 1 };
    let work = folder("refused");
    let start = |d: &Device| Ok(specola::nn::MlpConfig::new(standard.widths.clone()).init(d));
    let one =
        |recipe: &str| run(&lesson, start, &schedule(4, 1e-3, 2), recipe, &work, &Device::flex(), &mut |_| Ok(()));
    one("a").expect("trained");
    one("a").expect("there already");
    let refused = one("b").expect_err("another recipe").to_string();
    assert!(refused.contains("other options") && refused.contains("work folder"), "{refused}");
}
