//! Last stage of the encoder pair: evaluation of the alignment, training of the label heads, and assembly of the
//! shipped file. The heads on each kind of embedding are compared with heads on the flux itself.
//!
//! Heads on optical spectra learn from simulated ones; heads on XP spectra from real ones with APOGEE's labels, if there
//! are any.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use pollster::block_on;

use super::encoders::read_aligned;
use super::grid_sampler::RequiredParts;
use super::labelled_library::LabelledLibrary;
use super::objectives::HELD_OUT_STEP;
use super::objectives::alignment::AlignmentRows;
use super::objectives::regression::{LabelledVectors, Regression};
use super::pair_scores::{
    BATCH_SIZE, Layer, retrieval_measurements, translation_measurements, vectors_of, vectors_of_modality,
};
use super::pairs::{Origin, Pair, Pairs};
use super::posterior;
use super::pretrain::in_teff_range;
use super::training_loop::{self, Progress, Schedule};
use crate::model::encoders::{EncoderPair, POSTERIOR_PREFIX, PairConfig, Size, Variant, lrs_input};
use crate::model::manifest::{Accuracy, Measurement};
use crate::model::regressor::Regressor;
use crate::nn::MlpConfig;
use crate::nn::state_dict::StateDict;
use crate::nn::weights::Tensors;
use crate::preprocess::conditioning::ConditionedSpectrum;
use crate::preprocess::grid::MODEL_PIXELS;
use crate::preprocess::xp::XP_PIXELS;
use crate::result::Label;
use crate::result::specclip::Modality;
use crate::spectrum::Survey;
use crate::task::metrics::Metrics;

/// Labels of the LRS heads.
pub const HEAD_LABELS: [&str; 6] = ["teff", "logg", "feh", "alpha_fe", "c_fe", "n_fe"];

/// Number of labels of the XP heads among these; real stars lack the others. The XP heads add [`REDDENING`].
const XP_HEAD_LABELS: usize = 4;

/// Name of the colour excess E(BP−RP), mag.
pub const REDDENING: &str = "ebprp";

/// E(BP−RP) / E(B−V) from Casagrande et al. (2021), for R(V) = 3.1 and a star like the Sun. It varies by 10 % with
/// colour.
const EBPRP_PER_EBV: f64 = 1.339;

/// Widths of the heads' hidden layers.
const HIDDEN: [usize; 3] = [512, 256, 64];

/// Amount of data and length of training of the heads.
#[derive(Debug, Clone)]
pub struct HeadsPlan {
    /// Sizes of the networks.
    pub size: Size,
    /// The variant that is shipped.
    pub variant: Variant,
    /// Number of training stars.
    pub stars: usize,
    /// Number of held-out pairs for all measurements.
    pub pairs: usize,
    /// Training steps of each head.
    pub steps: usize,
    /// Work folder with the weights of the earlier stages.
    pub work: PathBuf,
    /// Seed of all random numbers.
    pub seed: u64,
}

/// The trained encoder pair with its heads, and its measured accuracy.
#[derive(Debug)]
pub struct FinishedHeads {
    /// Tensors of the encoders, projection heads, decoders and label heads.
    pub tensors: Tensors,
    /// Sizes of the networks, and the label names.
    pub config: PairConfig,
    /// Accuracy of the shipped heads.
    pub accuracy: Vec<Accuracy>,
    /// All other measurements.
    pub measurements: Vec<Measurement>,
}

/// Measures all variants, trains the heads and assembles the shipped file.
pub fn finish(
    plan: &HeadsPlan,
    train_pairs: &Pairs,
    held_out: &Pairs,
    real: Option<&LabelledLibrary>,
    device: &Device,
    log: &mut dyn FnMut(&str),
) -> Result<FinishedHeads> {
    let test = TestSets::of(plan, held_out)?;
    log(&format!("{} held-out pairs simulated, {} real XP spectra", test.simulated.len(), test.real_xp.len()));
    let train = train_pairs.of_step(HELD_OUT_STEP + 2, plan.stars, RequiredParts::Both)?;
    let train = TrainSets::of(train);
    log(&format!("{} training stars for optical heads, {} for XP heads", train.lrs.len(), train.xp.len()));
    let mut measurements = held_out.real.map_or_else(Vec::new, |real| real.stars.emulator_accuracy());
    let mut shipped = None;
    let real = real.map(RealStarSet::of).unwrap_or_default();
    let mut heads: Vec<HeadInputs> = Vec::new();
    for modality in [Modality::Lrs, Modality::Xp] {
        let flux = |pairs: &[Pair]| match modality {
            Modality::Lrs => vectors(AlignmentRows::of(pairs).lrs, MODEL_PIXELS),
            Modality::Xp => vectors(AlignmentRows::of(pairs).xp, XP_PIXELS),
        };
        let (train, test) = (train.of_modality(modality), test.of_modality(modality));
        heads.push(HeadInputs {
            modality,
            name: "flux itself",
            train_set: labelled(modality, train, flux(train)),
            test_set: labelled(modality, test, flux(test)),
            real: real.inputs.clone(),
        });
    }
    for variant in Variant::ALL {
        let clip = read_aligned(&plan.work, plan.size, variant, plan.seed, device)?;
        let config = plan.size.clip(variant);
        let pair = EncoderPair::new(clip.clone(), &config.lrs_head.widths, device);
        let name = variant.name();
        for (on, pairs) in test.all() {
            let vectors = vectors_of(&pair, pairs, Layer::Embedding)?;
            measurements.extend(retrieval_measurements(&pair, name, on, &vectors));
            measurements.extend(translation_measurements(&pair, name, on, &vectors, pairs)?);
        }
        // All variants share the same frozen encoders.
        let layers: &[_] = match variant {
            Variant::Base => &[("encoder alone", Layer::Encoder), ("base", Layer::Embedding)],
            _ => &[(name, Layer::Embedding)],
        };
        for &(route, layer) in layers {
            for modality in [Modality::Lrs, Modality::Xp] {
                let (train, test) = (train.of_modality(modality), test.of_modality(modality));
                let real = if modality == Modality::Lrs { real.vectors(&pair, layer)? } else { Vec::new() };
                heads.push(HeadInputs {
                    modality,
                    name: route,
                    train_set: labelled(modality, train, vectors_of_modality(&pair, train, layer, modality)?),
                    test_set: labelled(modality, test, vectors_of_modality(&pair, test, layer, modality)?),
                    real,
                });
            }
        }
        if variant == plan.variant {
            let mut tensors = Tensors::default();
            clip.store(&mut tensors, "")?;
            shipped = Some((tensors, config));
        }
        log(&format!("{name}: embedded and measured"));
    }
    let (mut tensors, clip) = shipped.context("no trained variant has the name of the shipped variant")?;
    let mut accuracy = Vec::new();
    let mut posterior = None;
    for HeadInputs { modality, name: route, train_set, test_set, real: vectors } in heads {
        let head = train_head(
            plan,
            &format!("{}-{}", modality.name(), route.replace(' ', "-")),
            &train_set,
            &test_set,
            device,
        )?;
        let scores = score(&head, &test_set, test.of_modality(modality), modality, device)?;
        let on_real = if modality == Modality::Lrs { real.score(&head, &vectors, device)? } else { Vec::new() };
        let all = scores.iter().map(|s| (s.1.name(), s.0, &s.2));
        for (on, label, m) in all.chain(on_real.iter().map(|(label, m)| (REAL.to_string(), *label, m))) {
            let decimals = if label == "teff" { 1 } else { 3 };
            log(&format!(
                "{} {route}, {on}: {label} σ {:.decimals$}, bias {:+.decimals$}",
                modality.name(),
                m.sigma,
                m.bias
            ));
            measurements.push(Measurement {
                quantity: format!("σ of {label}, {}", modality.name()),
                subject: format!("head on {route}"),
                data_set: on,
                n: m.n,
                value: m.sigma,
            });
        }
        if route == plan.variant.name() {
            head.store(&mut tensors, &format!("heads.{}.", modality.name()))?;
            let rows = scores.iter().filter_map(|(label, set, m)| {
                Some(Accuracy::of(Label::from_name(label)?, &set.name(), set.survey, set.is_simulated, m))
            });
            let on_real = on_real.iter();
            let real_rows = on_real.filter_map(|(label, m)| {
                Some(Accuracy::of(Label::from_name(label)?, REAL, Survey::LamostLrs, false, m))
            });
            accuracy.extend(rows.chain(real_rows));
            if modality == Modality::Lrs {
                let mut evaluation_sets = vec![("held-out simulated stars", test_set)];
                if !real.labels.is_empty() {
                    evaluation_sets.push((REAL, real.labelled(&vectors)));
                }
                let (flow, config, flow_measurements) =
                    posterior::flows(plan, &HEAD_LABELS[..4], &train_set, &evaluation_sets, device, log)?;
                flow.store(&mut tensors, POSTERIOR_PREFIX)?;
                measurements.extend(flow_measurements);
                posterior = Some(config);
            }
        }
    }
    let names = |modality| label_names(modality).iter().map(ToString::to_string).collect();
    let config = PairConfig { clip, lrs_labels: names(Modality::Lrs), xp_labels: names(Modality::Xp), posterior };
    Ok(FinishedHeads { tensors, config, accuracy, measurements })
}

/// Title of the real stars for evaluation. No network was trained on them.
const REAL: &str = "MILES 4200–7200 K, real stars, none learned from";

/// Input vectors of a head, with labels.
struct HeadInputs {
    modality: Modality,
    name: &'static str,
    train_set: LabelledVectors,
    test_set: LabelledVectors,
    /// Vectors of real stars; empty for XP.
    real: Vec<Vec<f32>>,
}

/// Pairs for all measurements.
struct TestSets {
    simulated: Vec<Pair>,
    /// Real XP spectra with simulated optical ones.
    real_xp: Vec<Pair>,
}

/// Title of pairs with real XP spectra.
const REAL_XP: &str = "APOGEE stars never trained on, 4000–7400 K";

impl TestSets {
    fn of(plan: &HeadsPlan, held_out: &Pairs) -> Result<Self> {
        let simulated = held_out.of_step(HELD_OUT_STEP + 1, plan.pairs, RequiredParts::Both)?;
        let rows = held_out.real.map_or_else(Vec::new, |real| real.stars.xp_rows(real.part, true));
        // The file is in order of S/N, so the stars are taken from all of it.
        let step = rows.len().div_ceil(plan.pairs.max(1)).max(1);
        let rows: Vec<usize> = rows.into_iter().step_by(step).collect();
        Ok(Self { simulated, real_xp: held_out.of_real_xp(&rows, HELD_OUT_STEP + 3) })
    }

    fn of_modality(&self, modality: Modality) -> &[Pair] {
        if modality == Modality::Xp && !self.real_xp.is_empty() { &self.real_xp } else { &self.simulated }
    }

    /// The sets that are not empty, with their titles.
    fn all(&self) -> Vec<(&'static str, &[Pair])> {
        let all = [("held-out simulated pairs", self.simulated.as_slice()), (REAL_XP, &self.real_xp)];
        all.into_iter().filter(|(_, pairs)| !pairs.is_empty()).collect()
    }
}

/// Training stars of the heads.
struct TrainSets {
    lrs: Vec<Pair>,
    xp: Vec<Pair>,
}

impl TrainSets {
    fn of(pairs: Vec<Pair>) -> Self {
        // The labels of a real optical spectrum are another survey's.
        let lrs = pairs.iter().filter(|p| p.origin != Origin::RealLrs).cloned().collect();
        let real: Vec<Pair> = pairs.iter().filter(|p| p.origin == Origin::RealXp).cloned().collect();
        Self { lrs, xp: if real.is_empty() { pairs } else { real } }
    }

    fn of_modality(&self, modality: Modality) -> &[Pair] {
        if modality == Modality::Xp { &self.xp } else { &self.lrs }
    }
}

/// Labelled real stars at rest, in the Teff range of reliable labels.
#[derive(Debug, Clone, Default)]
struct RealStarSet {
    inputs: Vec<Vec<f32>>,
    /// Teff (K), log g, [Fe/H], [α/Fe] (dex); NaN if unknown.
    labels: Vec<[f64; 4]>,
}

impl RealStarSet {
    fn of(library: &LabelledLibrary) -> Self {
        let mut all = Self::default();
        for (spectrum, star) in library.spectra.iter().zip(&library.stars).filter(|(_, s)| in_teff_range(s.labels[0])) {
            let Ok(prepared) =
                ConditionedSpectrum::new(spectrum).and_then(|conditioned| conditioned.normalise_at_rv(0.0))
            else {
                continue;
            };
            all.inputs.push(lrs_input(&prepared.norm));
            all.labels.push(star.labels);
        }
        all
    }

    fn vectors(&self, pair: &EncoderPair, layer: Layer) -> Result<Vec<Vec<f32>>> {
        let mut all = Vec::new();
        for batch in self.inputs.chunks(BATCH_SIZE) {
            let batch: Vec<&[f32]> = batch.iter().map(Vec::as_slice).collect();
            all.extend(match layer {
                Layer::Encoder => block_on(pair.encode_lrs(&batch))?,
                Layer::Embedding => block_on(pair.embed_lrs(&batch))?,
            });
        }
        Ok(all)
    }

    fn labelled(&self, vectors: &[Vec<f32>]) -> LabelledVectors {
        LabelledVectors {
            width: vectors.first().map_or(0, Vec::len),
            inputs: vectors.concat(),
            targets: self.labels.iter().flatten().map(|v| *v as f32).collect(),
            labels: 4,
        }
    }

    fn score(&self, head: &Regressor, vectors: &[Vec<f32>], device: &Device) -> Result<Vec<(&'static str, Metrics)>> {
        if vectors.is_empty() {
            return Ok(Vec::new());
        }
        let inputs: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        let predictions = block_on(head.predict(&inputs, device)).context("the device returned no predictions")?;
        let of = |j: usize| {
            let labelled = self.labels.iter().zip(&predictions).filter(|(l, _)| l[j].is_finite());
            Metrics::of(&labelled.map(|(l, a)| (l[j], a[j])).collect::<Vec<_>>())
        };
        Ok(HEAD_LABELS[..4].iter().enumerate().map(|(j, label)| (*label, of(j))).collect())
    }
}

/// Names of the labels that the heads of a modality predict.
pub fn label_names(modality: Modality) -> Vec<&'static str> {
    match modality {
        Modality::Lrs => HEAD_LABELS.to_vec(),
        Modality::Xp => HEAD_LABELS[..XP_HEAD_LABELS].iter().copied().chain([REDDENING]).collect(),
    }
}

fn vectors(values: Vec<f32>, width: usize) -> Vec<Vec<f32>> {
    values.chunks_exact(width).map(<[f32]>::to_vec).collect()
}

fn labelled(modality: Modality, stars: &[Pair], inputs: Vec<Vec<f32>>) -> LabelledVectors {
    let labels = label_names(modality).len();
    let target = |p: &Pair| {
        let reddening = (modality == Modality::Xp).then_some(EBPRP_PER_EBV * p.ebv_mag);
        let n_labels = labels - usize::from(reddening.is_some());
        p.parameters[..n_labels].iter().copied().chain(reddening).map(|v| v as f32).collect::<Vec<_>>()
    };
    LabelledVectors {
        width: inputs.first().map_or(0, Vec::len),
        inputs: inputs.concat(),
        targets: stars.iter().flat_map(target).collect(),
        labels,
    }
}

fn train_head(
    plan: &HeadsPlan,
    name: &str,
    train_set: &LabelledVectors,
    test_set: &LabelledVectors,
    device: &Device,
) -> Result<Regressor> {
    ensure!(!train_set.is_empty(), "no training stars for the head on {name}; use more --stars");
    let (initial_network, steps) = (train_set.regressor(&HIDDEN, 0.1, device), plan.steps);
    let widths = initial_network.widths.clone();
    let schedule = Schedule {
        steps,
        warmup: steps / 20,
        rate: 1e-3,
        weight_decay: 1e-2,
        beta_2: 0.999,
        clip: None,
        every: steps,
        seed: plan.seed,
    };
    // A few held-out rows monitor the training; all are scored afterwards.
    let check_count = test_set.len().min(256);
    let held_out = LabelledVectors {
        inputs: test_set.inputs[..check_count * test_set.width].to_vec(),
        targets: test_set.targets[..check_count * test_set.labels].to_vec(),
        ..*test_set
    };
    let objective = Regression { train: train_set.clone(), held_out, initial_network, batch: 256, seed: plan.seed };
    let recipe = format!("{name} {} {schedule:?}", train_set.len());
    let start = |device: &Device| Ok(MlpConfig::new(widths.clone()).with_dropout(0.1).init(device));
    let folder = plan.work.join("heads").join(name);
    let network =
        training_loop::run(&objective, start, &schedule, &recipe, &folder, device, &mut |_: Progress<'_>| Ok(()))?;
    Ok(objective.to_regressor(network))
}

/// Test spectra of one survey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TestSurvey {
    survey: Survey,
    is_simulated: bool,
}

impl TestSurvey {
    fn of(modality: Modality, pair: &Pair) -> Self {
        let survey = match (modality, pair.is_desi) {
            (Modality::Lrs, false) => Survey::LamostLrs,
            (Modality::Lrs, true) => Survey::Desi,
            (Modality::Xp, _) => Survey::GaiaXp,
        };
        Self { survey, is_simulated: modality == Modality::Lrs || pair.origin != Origin::RealXp }
    }

    fn name(self) -> String {
        match (self.survey, self.is_simulated) {
            (_, false) => REAL_XP.into(),
            (Survey::GaiaXp, true) => "held-out simulated stars, Gaia-XP-like".into(),
            (Survey::Desi, true) => "held-out simulated stars, DESI-like".into(),
            (_, true) => "held-out simulated stars, LAMOST-like".into(),
        }
    }
}

type Score = (&'static str, TestSurvey, Metrics);

/// Metrics of each label by survey.
fn score(
    head: &Regressor,
    test_set: &LabelledVectors,
    stars: &[Pair],
    modality: Modality,
    device: &Device,
) -> Result<Vec<Score>> {
    let mut predictions = Vec::new();
    for rows in (0..test_set.len()).collect::<Vec<_>>().chunks(512) {
        let inputs: Vec<&[f32]> = rows.iter().map(|&row| test_set.input(row)).collect();
        predictions.extend(block_on(head.predict(&inputs, device)).context("the device returned no predictions")?);
    }
    let mut surveys: Vec<TestSurvey> = Vec::new();
    for survey in stars.iter().map(|p| TestSurvey::of(modality, p)) {
        if !surveys.contains(&survey) {
            surveys.push(survey);
        }
    }
    surveys.sort_by_key(|s| s.survey == Survey::Desi);
    let mut scores = Vec::new();
    for survey in surveys {
        for (j, label) in label_names(modality).into_iter().enumerate() {
            let pairs: Vec<(f64, f64)> = (0..test_set.len())
                .filter(|&row| TestSurvey::of(modality, &stars[row]) == survey)
                .map(|row| (f64::from(test_set.targets[row * test_set.labels + j]), predictions[row][j]))
                .collect();
            scores.push((label, survey, Metrics::of(&pairs)));
        }
    }
    Ok(scores)
}
