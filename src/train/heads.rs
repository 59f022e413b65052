//! Last stage of the encoder pair: evaluation of the alignment, training of the label heads, and assembly of the
//! shipped file. The heads on each kind of embedding are compared with heads on the flux itself.

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
use super::pairs::{Pair, Pairs};
use super::posterior;
use super::pretrain::in_teff_range;
use super::retrieval::{mean_absolute, retrieve};
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
use crate::task::similarity::translation::{MEAN_SPECTRUM_BASELINE, error_name};

/// Labels of the LRS heads. The XP heads add [`REDDENING`].
pub const HEAD_LABELS: [&str; 6] = ["teff", "logg", "feh", "alpha_fe", "c_fe", "n_fe"];

/// Name of the colour excess E(BP−RP), mag.
pub const REDDENING: &str = "ebprp";

/// E(BP−RP) / E(B−V) from Casagrande et al. (2021), for R(V) = 3.1 and a star like the Sun. It varies by 10 % with
/// colour.
const EBPRP_PER_EBV: f64 = 1.339;

/// Widths of the heads' hidden layers.
const HIDDEN: [usize; 3] = [512, 256, 64];

/// Stars in one batch of the encoders.
const BATCH_SIZE: usize = 64;

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
    let test = held_out.of_step(HELD_OUT_STEP + 1, plan.pairs, RequiredParts::Both)?;
    log(&format!("{} held-out pairs simulated", test.len()));
    let train = train_pairs.of_step(HELD_OUT_STEP + 2, plan.stars, RequiredParts::Both)?;
    log(&format!("{} training stars simulated", train.len()));
    let on = "held-out simulated pairs";
    let mut measurements = Vec::new();
    let mut shipped = None;
    let real = real.map(RealStarSet::of).unwrap_or_default();
    let mut heads: Vec<HeadInputs> = Vec::new();
    for modality in [Modality::Lrs, Modality::Xp] {
        let flux = |pairs: &[Pair]| match modality {
            Modality::Lrs => vectors(AlignmentRows::of(pairs).lrs, MODEL_PIXELS),
            Modality::Xp => vectors(AlignmentRows::of(pairs).xp, XP_PIXELS),
        };
        heads.push(HeadInputs {
            modality,
            name: "flux itself",
            train_set: labelled(modality, &train, flux(&train)),
            test_set: labelled(modality, &test, flux(&test)),
            real: real.inputs.clone(),
        });
    }
    for variant in Variant::ALL {
        let clip = read_aligned(&plan.work, plan.size, variant, device)?;
        let config = plan.size.clip(variant);
        let pair = EncoderPair::new(clip.clone(), &config.lrs_head.widths, device);
        let both = |layer| anyhow::Ok((vectors_of(&pair, &train, layer)?, vectors_of(&pair, &test, layer)?));
        let (train_vectors, test_vectors) = both(Layer::Embedding)?;
        let name = variant.name();
        measurements.extend(retrieval_measurements(&pair, name, on, &test_vectors));
        measurements.extend(translation_measurements(&pair, name, on, &test_vectors, &test)?);
        if variant == Variant::Base {
            // All variants share the same frozen encoders.
            let (train_vectors, test_vectors) = both(Layer::Encoder)?;
            let real = real.vectors(&pair, Layer::Encoder)?;
            heads.extend(HeadInputs::both("encoder alone", &train, train_vectors, &test, test_vectors, real));
        }
        heads.extend(HeadInputs::both(
            name,
            &train,
            train_vectors,
            &test,
            test_vectors,
            real.vectors(&pair, Layer::Embedding)?,
        ));
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
        let scores = score(&head, &test_set, &test, modality, device)?;
        let on_real = if modality == Modality::Lrs { real.score(&head, &vectors, device)? } else { Vec::new() };
        let all = scores.iter().map(|s| (format!("held-out simulated stars, {}", s.1), s.0, &s.2));
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
            let rows = scores.iter().filter_map(|(label, survey_name, m)| {
                let survey = SURVEYS.into_iter().find(|(name, _)| name == survey_name)?.1;
                let on = format!("held-out simulated stars, {survey_name}, no real star");
                Some(Accuracy::of(Label::from_name(label)?, &on, survey, true, m))
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

impl HeadInputs {
    fn both(
        name: &'static str,
        train: &[Pair],
        train_vectors: PairVectors,
        test: &[Pair],
        test_vectors: PairVectors,
        real: Vec<Vec<f32>>,
    ) -> [Self; 2] {
        let of = |modality, train_vectors, test_vectors, real| Self {
            modality,
            name,
            train_set: labelled(modality, train, train_vectors),
            test_set: labelled(modality, test, test_vectors),
            real,
        };
        [
            of(Modality::Lrs, train_vectors.lrs, test_vectors.lrs, real),
            of(Modality::Xp, train_vectors.xp, test_vectors.xp, Vec::new()),
        ]
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
    HEAD_LABELS.into_iter().chain((modality == Modality::Xp).then_some(REDDENING)).collect()
}

struct PairVectors {
    lrs: Vec<Vec<f32>>,
    xp: Vec<Vec<f32>>,
}

fn vectors(values: Vec<f32>, width: usize) -> Vec<Vec<f32>> {
    values.chunks_exact(width).map(<[f32]>::to_vec).collect()
}

/// Layer of the encoder pair from which vectors are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    /// The encoder's output.
    Encoder,
    /// The aligned embedding.
    Embedding,
}

fn vectors_of(pair: &EncoderPair, stars: &[Pair], layer: Layer) -> Result<PairVectors> {
    let (mut lrs, mut xp) = (Vec::new(), Vec::new());
    for batch in stars.chunks(BATCH_SIZE) {
        let rows = AlignmentRows::of(batch);
        let lrs_inputs: Vec<&[f32]> = rows.lrs.chunks_exact(MODEL_PIXELS).collect();
        let xp_inputs: Vec<&[f32]> = rows.xp.chunks_exact(XP_PIXELS).collect();
        let (a, b) = match layer {
            Layer::Encoder => (block_on(pair.encode_lrs(&lrs_inputs))?, block_on(pair.encode_xp(&xp_inputs))?),
            Layer::Embedding => (block_on(pair.embed_lrs(&lrs_inputs))?, block_on(pair.embed_xp(&xp_inputs))?),
        };
        lrs.extend(a);
        xp.extend(b);
    }
    Ok(PairVectors { lrs, xp })
}

fn retrieval_measurements(pair: &EncoderPair, variant: &str, on: &str, test_vectors: &PairVectors) -> Vec<Measurement> {
    let shared = |rows: &[Vec<f32>]| rows.iter().map(|r| r[..pair.shared_width()].to_vec()).collect::<Vec<_>>();
    let (lrs, xp) = (shared(&test_vectors.lrs), shared(&test_vectors.xp));
    let (to_xp, to_lrs) = (retrieve(&lrs, &xp), retrieve(&xp, &lrs));
    [
        ("recall@1, LRS → XP", to_xp.recall_1),
        ("recall@10, LRS → XP", to_xp.recall_10),
        ("recall@1, XP → LRS", to_lrs.recall_1),
        ("recall@10, XP → LRS", to_lrs.recall_10),
        ("mean cosine of true pairs", to_xp.true_cosine),
        ("mean cosine of random pairs", to_xp.random_cosine),
    ]
    .map(|(quantity, value)| Measurement {
        quantity: quantity.into(),
        subject: variant.into(),
        data_set: on.into(),
        n: to_xp.n,
        value,
    })
    .to_vec()
}

/// Mean absolute errors of translated spectra. The error of the mean spectrum is the reference.
fn translation_measurements(
    pair: &EncoderPair,
    variant: &str,
    on: &str,
    test_vectors: &PairVectors,
    stars: &[Pair],
) -> Result<Vec<Measurement>> {
    if !pair.can_translate() {
        return Ok(Vec::new());
    }
    let rows = AlignmentRows::of(stars);
    let (mut xp, mut lrs) = (Vec::new(), Vec::new());
    for (from_lrs, from_xp) in test_vectors.lrs.chunks(BATCH_SIZE).zip(test_vectors.xp.chunks(BATCH_SIZE)) {
        let from_lrs: Vec<&[f32]> = from_lrs.iter().map(Vec::as_slice).collect();
        let from_xp: Vec<&[f32]> = from_xp.iter().map(Vec::as_slice).collect();
        xp.extend(block_on(pair.xp_from_lrs(&from_lrs))?.unwrap_or_default());
        lrs.extend(block_on(pair.lrs_from_xp(&from_xp))?.unwrap_or_default());
    }
    let mean = |all: &[f32], width: usize| -> Vec<Vec<f32>> {
        let n = (all.len() / width).max(1);
        let column = |i: usize| all.iter().skip(i).step_by(width).sum::<f32>() / n as f32;
        vec![(0..width).map(column).collect(); n]
    };
    let measurement = |quantity: &str, subject: &str, value: f64| Measurement {
        quantity: quantity.into(),
        subject: subject.into(),
        data_set: on.into(),
        n: stars.len(),
        value,
    };
    let mask = Some(rows.mask.as_slice());
    let (to_xp, to_lrs) = (error_name(Modality::Xp), error_name(Modality::Lrs));
    let mut measurements = vec![
        measurement(to_xp, variant, mean_absolute(&xp, &rows.xp, None)),
        measurement(to_lrs, variant, mean_absolute(&lrs, &rows.lrs, mask)),
    ];
    if variant == Variant::Pr.name() {
        measurements.push(measurement(
            to_xp,
            MEAN_SPECTRUM_BASELINE,
            mean_absolute(&mean(&rows.xp, XP_PIXELS), &rows.xp, None),
        ));
        measurements.push(measurement(
            to_lrs,
            MEAN_SPECTRUM_BASELINE,
            mean_absolute(&mean(&rows.lrs, MODEL_PIXELS), &rows.lrs, mask),
        ));
    }
    Ok(measurements)
}

fn labelled(modality: Modality, stars: &[Pair], inputs: Vec<Vec<f32>>) -> LabelledVectors {
    let labels = label_names(modality).len();
    let target = |p: &Pair| {
        let all = p.parameters[..HEAD_LABELS.len()].iter().copied().chain([EBPRP_PER_EBV * p.ebv_mag]);
        all.take(labels).map(|v| v as f32).collect::<Vec<_>>()
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
    ensure!(train_set.len() == plan.stars, "{} training rows for {} stars of the plan", train_set.len(), plan.stars);
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
    let recipe = format!("{name} {} {schedule:?}", plan.stars);
    let start = |device: &Device| Ok(MlpConfig::new(widths.clone()).with_dropout(0.1).init(device));
    let folder = plan.work.join("heads").join(name);
    let network =
        training_loop::run(&objective, start, &schedule, &recipe, &folder, device, &mut |_: Progress<'_>| Ok(()))?;
    Ok(objective.to_regressor(network))
}

/// Surveys of the simulated spectra, with their names.
const SURVEYS: [(&str, Survey); 3] =
    [("LAMOST-like", Survey::LamostLrs), ("DESI-like", Survey::Desi), ("Gaia-XP-like", Survey::GaiaXp)];

type Score = (&'static str, &'static str, Metrics);

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
    let survey_of = |p: &Pair| match (modality, p.is_desi) {
        (Modality::Lrs, false) => "LAMOST-like",
        (Modality::Lrs, true) => "DESI-like",
        (Modality::Xp, _) => "Gaia-XP-like",
    };
    let mut scores = Vec::new();
    for (survey, _) in SURVEYS {
        for (j, label) in label_names(modality).into_iter().enumerate() {
            let pairs: Vec<(f64, f64)> = (0..test_set.len())
                .filter(|&row| survey_of(&stars[row]) == survey)
                .map(|row| (f64::from(test_set.targets[row * test_set.labels + j]), predictions[row][j]))
                .collect();
            if !pairs.is_empty() {
                scores.push((label, survey, Metrics::of(&pairs)));
            }
        }
    }
    Ok(scores)
}
