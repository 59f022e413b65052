//! Each stage of pretraining for a few steps on a small synthetic grid. The loss decreases, and a resumed run has the
//! same losses as an uninterrupted run.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::Device;
use pollster::block_on;
use specola::model::emulator::Emulator;
use specola::model::encoders::{EncoderPair, Size, Variant};
use specola::model::manifest::{Kind, Measurement, ModelEntry};
use specola::model::publish::publish;
use specola::preprocess::grid::MODEL_PIXELS;
use specola::result::specclip::Modality;
use specola::spectrum::Survey;
use specola::train::emulator::{EmulatorPlan, fit, measure};
use specola::train::encoders::{EncoderPlan, PairStage, read_aligned};
use specola::train::grid::{Grid, GridArrays, Seds};
use specola::train::grid_sampler::{Population, RequiredParts};
use specola::train::heads::{HeadsPlan, finish};
use specola::train::objectives::HELD_OUT_STEP;
use specola::train::objectives::alignment::{Alignment, AlignmentRows, EncoderModules, Variants};
use specola::train::objectives::autoencoder::ReconstructionObjective;
use specola::train::objectives::masked::MaskedObjective;
use specola::train::objectives::regression::{LabelledVectors, Regression};
use specola::train::pairs::{OpticalSurvey, Origin, Pair, Pairs, RealShare};
use specola::train::real_stars::RealStars;
use specola::train::training_loop::{Objective, Progress, Schedule, run};
use specola::train::xp::stars::Part;
use specola::train::xp_experiment::XpExperiment;

/// Each test locks this. The device has one random number generator for the whole process, which draws the initial
/// weights.
pub(crate) static DEVICE: Mutex<()> = Mutex::new(());

/// A grid of `n` nodes: Gaussian lines whose depths depend on the labels, and black-body continua. Every second node
/// has an energy distribution.
fn small_grid(n: usize) -> (Grid, Seds) {
    let wave: Vec<f64> = (0..6001).map(|i| 3900.0 + 0.3 * f64::from(i)).collect();
    let coarse: Vec<f64> = (0..361).map(|i| 3900.0 + 5.0 * f64::from(i)).collect();
    let bins: Vec<f64> = (0..700).map(|i| 330.5 + f64::from(i)).collect();
    let black_body = |teff: f64, aa: f64| aa.powi(-5) * 1e20 / ((1.4388e8 / aa / teff).exp() - 1.0);
    let (mut arrays, mut sed) = (GridArrays::default(), Vec::new());
    for i in 0..n {
        // Golden-ratio sequences fill the box evenly.
        let sequence =
            |j: usize| (0.5 + (i + 1) as f64 * [0.618_034, 0.754_878, 0.569_840, 0.819_173, 0.671_044][j]).fract();
        let (teff, logg, feh, alpha) =
            (4200.0 + 3000.0 * sequence(0), 5.0 * sequence(1), -2.5 + 3.0 * sequence(2), 0.5 * sequence(3));
        arrays.parameters.push([teff, logg, feh, alpha, sequence(4) - 0.5, 0.3 * sequence(4), 1.0 + 0.2 * sequence(4)]);
        arrays.node.push(i as u32);
        let depth = |k: usize| match k % 4 {
            0 => 0.6 * ((teff - 4000.0) / 3500.0),
            1 => 0.3 * (1.0 + (feh + 2.5) / 3.0) * (1.2 - (teff - 4200.0) / 4000.0),
            2 => 0.15 + 0.1 * logg / 5.0 + 0.5 * alpha,
            _ => 0.2 + 0.3 * (feh + 2.5) / 3.0,
        };
        let lines: Vec<(f64, f64)> = (0..40).map(|k| (3950.0 + 43.0 * k as f64, depth(k))).collect();
        arrays.normalised.extend(wave.iter().map(|w| {
            let near = lines.iter().filter(|(centre, _)| (w - centre).abs() < 20.0);
            near.map(|(centre, depth)| 1.0 - depth * (-0.5 * ((w - centre) / 1.5).powi(2)).exp()).product::<f64>()
                as f32
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

/// Losses of every step of a run, and the trained network. An error stops the run after `until` steps.
fn losses<O: Objective>(
    objective: &O,
    start: impl Fn(&Device) -> O::Network,
    schedule: &Schedule,
    folder: &std::path::Path,
    until: usize,
) -> (Vec<(usize, f64)>, Option<O::Network>) {
    let mut losses = Vec::new();
    let network = run(objective, |d| Ok(start(d)), schedule, "test", folder, &Device::flex(), &mut |progress| {
        if let Progress::Step(step, loss) = progress {
            if step >= until {
                anyhow::bail!("stopped");
            }
            losses.push((step, loss));
        }
        Ok(())
    });
    (losses, network.ok())
}

/// Trains without interruption, and again with a stop between checkpoints. Both runs agree in every loss, and the last
/// loss is below `fraction` of the first.
#[track_caller]
fn check_training<O: Objective>(
    name: &str,
    objective: &O,
    start: impl Fn(&Device) -> O::Network,
    schedule: &Schedule,
    fraction: f64,
) -> O::Network {
    let (uninterrupted, network) = losses(objective, &start, schedule, &folder(&format!("{name}-whole")), usize::MAX);
    let resumed_folder = folder(&format!("{name}-resumed"));
    let (before, none) = losses(objective, &start, schedule, &resumed_folder, schedule.every + 1);
    assert!(none.is_none() && before.len() == schedule.every + 1);
    let (after, _) = losses(objective, &start, schedule, &resumed_folder, usize::MAX);
    assert_eq!(after.first().map(|(step, _)| *step), Some(schedule.every), "{name} resumes from its checkpoint");
    for ((step, expected), (_, got)) in uninterrupted[schedule.every..].iter().zip(&after) {
        assert!(
            (expected - got).abs() <= 1e-6 * expected.abs(),
            "{name}: step {step} has loss {got} instead of {expected}"
        );
    }
    let (first, last) = (uninterrupted[0].1, uninterrupted[uninterrupted.len() - 1].1);
    println!("{name}: {first:.4} → {last:.4}");
    assert!(last < fraction * first, "{name}: loss {first} has only come down to {last}");
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
fn every_stage_lowers_its_loss_and_resumes() {
    let _lock = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let (grid, seds) = small_grid(240);
    let emulator = emulator(&grid, &seds);
    let population = Population { grid: &grid, seds: &seds, emulator: &emulator, nodes: (0..200).collect() };
    let pairs = Pairs { population, real: None, optical: OpticalSurvey::Mixed, is_between_nodes: true, seed: 5 };
    let held_out = pairs.of_step(HELD_OUT_STEP, 16, RequiredParts::Both).expect("pairs");
    let spectra =
        |flux: fn(&Pair) -> &[f32]| -> Vec<f32> { held_out.iter().flat_map(|p| flux(p).iter().copied()).collect() };

    let rows = AlignmentRows::of(&held_out);
    let objective = MaskedObjective {
        pairs: &pairs,
        modality: Modality::Lrs,
        held_out: rows.lrs.clone(),
        masking: Size::Tiny.masking(),
        tokens: Size::Tiny.lrs().tokens.count(MODEL_PIXELS),
        batch: 8,
    };
    let lrs = check_training("masked", &objective, |d| Size::Tiny.lrs().init(d), &schedule(24, 5e-3, 10), 0.9);

    let objective = ReconstructionObjective { pairs: &pairs, held_out: spectra(|p| &p.xp), batch: 16 };
    let xp = check_training("auto-encoder", &objective, |d| Size::Tiny.xp().init(d), &schedule(40, 5e-3, 15), 0.5);

    let encoders = EncoderModules { lrs, xp };
    let objective = Alignment {
        pairs: &pairs,
        losses: Vec::new(),
        held_out: rows,
        encoders: encoders.clone(),
        device: Device::flex(),
        batch: 16,
    };
    let start = |d: &Device| Variants::new(Size::Tiny, &encoders, d);
    let aligned = check_training("alignment", &objective, start, &schedule(16, 3e-3, 7), 0.9);
    assert_eq!(aligned.all.len(), 3);
    let numbers =
        |network: &specola::nn::masked_transformer::MaskedTransformer| network.clone().into_record().into_bytes();
    let (before, after) = (numbers(&encoders.lrs), numbers(&aligned.all[1].lrs));
    assert!(before.expect("bytes").to_vec() == after.expect("bytes").to_vec(), "the encoders are frozen");

    let labelled = |pairs: &[Pair]| LabelledVectors {
        inputs: pairs.iter().flat_map(|p| p.xp.iter().copied()).collect(),
        width: 343,
        targets: pairs.iter().flat_map(|p| [p.parameters[0] as f32, p.parameters[2] as f32]).collect(),
        labels: 2,
    };
    let train = labelled(&pairs.of_step(0, 128, RequiredParts::Xp).expect("pairs"));
    let initial_network = train.regressor(&[32], 0.0, &Device::flex());
    let objective = Regression {
        held_out: labelled(&held_out),
        train,
        initial_network: initial_network.clone(),
        batch: 32,
        seed: 1,
    };
    let widths = initial_network.widths.clone();
    check_training(
        "regression",
        &objective,
        |d| specola::nn::MlpConfig::new(widths.clone()).init(d),
        &schedule(60, 5e-3, 25),
        0.6,
    );
}

/// Trains an encoder pair, publishes its file and loads it. The loaded pair gives the embeddings of the trained one,
/// and its outputs have the promised shapes.
#[test]
fn published_pair_embeds_as_the_trained_pair() {
    let _lock = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let (grid, seds) = small_grid(120);
    let emulator = emulator(&grid, &seds);
    let real = RealStars::new(crate::xp::stars(1200), Vec::new()).expect("enough stars");
    let stars = |nodes: std::ops::Range<usize>, seed: u64, real| Pairs {
        population: Population { grid: &grid, seds: &seds, emulator: &emulator, nodes: nodes.collect() },
        real: Some(real),
        optical: OpticalSurvey::Mixed,
        is_between_nodes: true,
        seed,
    };
    let train_pairs = stars(0..100, 5, RealShare::training(&real, Part::Training));
    let held_out = stars(100..120, 6, RealShare::none(&real, Part::Test));
    let (work, device) = (folder("pair"), Device::flex());
    let pairs = train_pairs.of_step(3, 200, RequiredParts::Both).expect("pairs");
    let real_pairs: Vec<&Pair> = pairs.iter().filter(|p| p.origin == Origin::RealXp).collect();
    // 60 % with a standard deviation of 3.5 %.
    assert!((100..140).contains(&real_pairs.len()), "{}", real_pairs.len());
    let is_of_a_star = |p: &&Pair| real.xp.labels.iter().any(|l| (0..4).all(|j| l[j] == p.parameters[j] as f32));
    assert!(real_pairs.iter().all(is_of_a_star), "the labels are those of real stars");
    assert!(real_pairs.iter().all(|p| p.lrs.len() == 1462 && p.xp[107] == 1.0));
    let simulated = held_out.of_step(3, 50, RequiredParts::Both).expect("pairs");
    assert!(simulated.iter().all(|p| p.origin == Origin::Simulated));
    for (stage, steps) in [(PairStage::XpEncoder, 20), (PairStage::LrsEncoder, 6), (PairStage::Clip, 8)] {
        let plan = EncoderPlan::new(stage, Size::Tiny, steps, 8, 11);
        plan.run(&train_pairs, &held_out, &work, &device, &mut |_| Ok(())).expect("a stage");
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
    let finished = finish(&plan, &train_pairs, &held_out, None, &device, &mut |_| {}).expect("finished");
    let measurement = |quantity: &str, subject: &str| {
        finished.measurements.iter().find(|m| m.quantity == quantity && m.subject == subject).map(|m| (m.n, m.value))
    };
    for variant in Variant::ALL.map(Variant::name) {
        let (n, recall) = measurement("recall@10, XP → LRS", variant).expect("measured");
        assert!(n == 24 && (0.0..=1.0).contains(&recall));
        let on_real = |m: &&Measurement| m.subject == variant && m.data_set.starts_with("APOGEE");
        assert!(finished.measurements.iter().any(|m| on_real(&m)), "measured on real XP spectra too");
    }
    assert!(
        measurement("mean absolute error LRS → XP, flux over that at 550 nm", "base").is_none(),
        "base has no decoder"
    );
    assert!(finished.measurements.iter().all(|m| m.value.is_finite()), "{:?}", finished.measurements);
    assert!(finished.accuracy.iter().any(|row| row.survey == Survey::GaiaXp && !row.simulated));

    let experiment = XpExperiment {
        size: Size::Tiny,
        alignment: (3, 8),
        masked_steps: 3,
        head_steps: 5,
        seeds: vec![1, 2],
        work: work.clone(),
        seed: 11,
    };
    let section =
        experiment.run(&real, &train_pairs, &held_out, "the command", &device, &mut |_| {}).expect("a section");
    assert!(section.contains("| flux itself | 343 |") && section.contains("| CLIP-pr, width 768 | 768 |"), "{section}");
    assert!(section.contains("| CLIP-p | CLIP |") && !section.contains("NaN"), "{section}");

    let entry = ModelEntry {
        name: "pair".into(),
        kind: Kind::EncoderPair,
        accuracy: finished.accuracy,
        measurements: finished.measurements,
        networks: serde_json::to_string(&finished.config).expect("JSON"),
        ..ModelEntry::default()
    };
    let models = folder("pair-models");
    let file = finished.tensors.to_f16_file().expect("a file");
    publish(&models, &file, entry.clone(), "none").expect("published");
    let json = std::fs::read(models.join("manifest.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let stored: ModelEntry = serde_json::from_value(manifest["models"][0].clone()).expect("an entry");
    assert_eq!(stored.kind, Kind::EncoderPair);
    let pair = EncoderPair::load(&stored, &file, &device).expect("a pair");
    assert_eq!((pair.width(), pair.shared_width(), pair.can_translate()), (32, 24, true));

    let stars = held_out.of_step(HELD_OUT_STEP + 9, 5, RequiredParts::Both).expect("pairs");
    let rows = AlignmentRows::of(&stars);
    let lrs: Vec<&[f32]> = rows.lrs.chunks_exact(1462).collect();
    let xp: Vec<&[f32]> = rows.xp.chunks_exact(343).collect();
    let embedded = block_on(pair.embed_lrs(&lrs)).expect("embeddings");
    let trained = read_aligned(&work, Size::Tiny, Variant::Split, 11, &device).expect("the trained network");
    let other_seed = read_aligned(&work, Size::Tiny, Variant::Split, 12, &device).map(drop);
    assert!(other_seed.expect_err("another seed").to_string().contains("seed 11, this run has 12"));
    let flat = burn::tensor::TensorData::new(rows.lrs.clone(), [5, 1462]);
    let expected = trained
        .embed_lrs(burn::tensor::Tensor::from_data(flat, &device))
        .into_data()
        .try_to_vec::<f32>()
        .expect("numbers");
    let largest = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
    for (got, expected) in embedded.iter().flatten().zip(&expected) {
        // 16-bit weights.
        assert!((got - expected).abs() < 0.01 * largest, "{got} {expected}");
    }
    let slices: Vec<&[f32]> = embedded.iter().map(Vec::as_slice).collect();
    let translated = block_on(pair.xp_from_lrs(&slices)).expect("flux").expect("split translates");
    assert!(translated.len() == 5 && translated.iter().all(|f| f.len() == 343));
    let labels = block_on(pair.predict(Modality::Lrs, &slices)).expect("labels").expect("split has a head");
    assert!(labels.iter().all(|row| row.len() == pair.labels(Modality::Lrs).len()));
    let draws = block_on(pair.posterior(&embedded[0], 50, 1)).expect("draws").expect("there is a flow");
    assert_eq!(pair.posterior_labels(), ["teff", "logg", "feh", "alpha_fe"]);
    assert!(draws.len() == 50 && draws.iter().all(|d| d.len() == 4 && d.iter().all(|v| v.is_finite())));
    assert_eq!(pair.labels(Modality::Xp).last().map(String::as_str), Some("ebprp"));
    assert_eq!(block_on(pair.reconstruct_xp(&xp)).expect("flux").map(|f| f.len()), Some(5));
    let wrong = block_on(pair.embed_xp(&lrs)).expect_err("an LRS spectrum is no XP spectrum").to_string();
    assert!(wrong.contains("1462") && wrong.contains("343"), "{wrong}");
}

#[test]
fn checkpoints_of_other_options_are_refused() {
    let _lock = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let data = |n: usize| LabelledVectors {
        inputs: (0..4 * n).map(|i| (i as f32).sin()).collect(),
        width: 4,
        targets: (0..n).map(|i| (i as f32).cos()).collect(),
        labels: 1,
    };
    let initial_network = data(32).regressor(&[8], 0.0, &Device::flex());
    let objective =
        Regression { train: data(32), held_out: data(8), initial_network: initial_network.clone(), batch: 8, seed: 1 };
    let work = folder("refused");
    let start = |d: &Device| Ok(specola::nn::MlpConfig::new(initial_network.widths.clone()).init(d));
    let train =
        |recipe: &str| run(&objective, start, &schedule(4, 1e-3, 2), recipe, &work, &Device::flex(), &mut |_| Ok(()));
    train("a").expect("trained");
    train("a").expect("trained before");
    let refused = train("b").expect_err("another recipe").to_string();
    assert!(refused.contains("other options") && refused.contains("work folder"), "{refused}");
}
