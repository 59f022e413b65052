//! The end of the encoder pair's training: what alignment is worth, heads for labels on each kind of embedding beside a network
//! on the flux itself, and the shipped file.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use pollster::block_on;

use super::encoders::aligned;
use super::lessons::HELD_OUT_STEP;
use super::lessons::alignment::Rows;
use super::lessons::regression::{Labelled, Regression};
use super::library::Labelled as Library;
use super::pairs::{Pair, Pairs};
use super::population::Want;
use super::posterior;
use super::pretrain::in_teff_range;
use super::retrieval::{mean_absolute, retrieve};
use super::steps::{self, Progress, Schedule};
use crate::model::encoders::{EncoderPair, POSTERIOR, PairConfig, Size, Variant, lrs_input};
use crate::model::manifest::{Accuracy, Figure};
use crate::model::regressor::Regressor;
use crate::model::weights::Tensors;
use crate::nn::MlpConfig;
use crate::nn::keyed::Keyed;
use crate::preprocess::grid::MODEL_PIXELS;
use crate::preprocess::recipe::Opened;
use crate::preprocess::xp::XP_PIXELS;
use crate::result::Label;
use crate::result::catalogue::Modality;
use crate::spectrum::Survey;
use crate::task::likes::translate::{THE_MEAN, error_name};
use crate::task::metrics::Metrics;

/// Labels of the LRS heads; those of XP are these and [`REDDENING`].
pub const LABELS: [&str; 6] = ["teff", "logg", "feh", "alpha_fe", "c_fe", "n_fe"];

/// E(BP−RP), mag.
pub const REDDENING: &str = "ebprp";

/// E(BP−RP) over E(B−V) (Casagrande et al. 2021, for R(V) = 3.1 and a star like the Sun; it varies by a tenth with colour).
const EBPRP_PER_EBV: f64 = 1.339;

/// Widths of the heads' hidden layers.
const HIDDEN: [usize; 3] = [512, 256, 64];

/// Stars encoded at a time.
const AT_A_TIME: usize = 64;

/// How much data and how long.
#[derive(Debug, Clone)]
pub struct HeadsPlan {
    /// Sizes of the networks.
    pub size: Size,
    /// The variant that is shipped.
    pub variant: Variant,
    /// Stars that heads learn from.
    pub stars: usize,
    /// Held-out pairs that everything is measured on.
    pub pairs: usize,
    /// Steps of each head.
    pub steps: usize,
    /// Where the stages are.
    pub work: PathBuf,
    /// Seed of everything random.
    pub seed: u64,
}

/// What is shipped, and what it is worth.
#[derive(Debug)]
pub struct Finished {
    /// Encoders, heads of alignment, decoders, heads of labels.
    pub tensors: Tensors,
    /// Sizes.
    pub config: PairConfig,
    /// Of the shipped heads.
    pub accuracy: Vec<Accuracy>,
    /// All else.
    pub figures: Vec<Figure>,
}

/// Measures all variants, trains the heads and puts the shipped file together.
pub fn finish(
    plan: &HeadsPlan,
    learned: &Pairs,
    held_out: &Pairs,
    real: Option<&Library>,
    device: &Device,
    say: &mut dyn FnMut(&str),
) -> Result<Finished> {
    let test = held_out.of_step(HELD_OUT_STEP + 1, plan.pairs, Want::Both)?;
    say(&format!("{} held-out pairs simulated", test.len()));
    let train = learned.of_step(HELD_OUT_STEP + 2, plan.stars, Want::Both)?;
    say(&format!("{} stars to learn from simulated", train.len()));
    let on = "held-out simulated pairs";
    let mut figures = Vec::new();
    let mut finished = None;
    let real = real.map(RealStars::of).unwrap_or_default();
    let mut heads: Vec<Route> = Vec::new();
    for modality in [Modality::Lrs, Modality::Xp] {
        let flux = |pairs: &[Pair]| match modality {
            Modality::Lrs => vectors(Rows::of(pairs).lrs, MODEL_PIXELS),
            Modality::Xp => vectors(Rows::of(pairs).xp, XP_PIXELS),
        };
        heads.push(Route {
            modality,
            name: "flux itself",
            known: labelled(modality, &train, flux(&train)),
            seen: labelled(modality, &test, flux(&test)),
            real: real.inputs.clone(),
        });
    }
    for variant in Variant::ALL {
        let clip = aligned(&plan.work, plan.size, variant, device)?;
        let config = plan.size.clip(variant);
        let pair = EncoderPair::new(clip.clone(), &config.lrs_head.widths, device);
        let both = |depth| anyhow::Ok((vectors_of(&pair, &train, depth)?, vectors_of(&pair, &test, depth)?));
        let (known, seen) = both(Depth::Embedded)?;
        let name = variant.name();
        figures.extend(similarity(&pair, name, on, &seen));
        figures.extend(translation(&pair, name, on, &seen, &test)?);
        if variant == Variant::Base {
            // The same frozen encoders stand in all variants.
            let (known, seen) = both(Depth::Encoded)?;
            let real = real.vectors(&pair, Depth::Encoded)?;
            heads.extend(Route::both("encoder alone", &train, known, &test, seen, real));
        }
        heads.extend(Route::both(name, &train, known, &test, seen, real.vectors(&pair, Depth::Embedded)?));
        if variant == plan.variant {
            let mut tensors = Tensors::default();
            clip.store(&mut tensors, "")?;
            finished = Some((tensors, config));
        }
        say(&format!("{name}: embedded and measured"));
    }
    let (mut tensors, clip) = finished.context("the shipped variant is none of the trained ones")?;
    let mut accuracy = Vec::new();
    let mut posterior = None;
    for Route { modality, name: route, known, seen, real: vectors } in heads {
        let head =
            train_head(plan, &format!("{}-{}", modality.name(), route.replace(' ', "-")), &known, &seen, device)?;
        let scores = score(&head, &seen, &test, modality, device)?;
        let on_real = if modality == Modality::Lrs { real.score(&head, &vectors, device)? } else { Vec::new() };
        let all = scores.iter().map(|s| (format!("held-out simulated stars, {}", s.1), s.0, &s.2));
        for (on, label, m) in all.chain(on_real.iter().map(|(label, m)| (REAL.to_string(), *label, m))) {
            let decimals = if label == "teff" { 1 } else { 3 };
            say(&format!(
                "{} {route}, {on}: {label} σ {:.decimals$}, bias {:+.decimals$}",
                modality.name(),
                m.sigma,
                m.bias
            ));
            figures.push(Figure {
                what: format!("σ of {label}, {}", modality.name()),
                of: format!("head on {route}"),
                on,
                n: m.n,
                value: m.sigma,
            });
        }
        if route == plan.variant.name() {
            head.store(&mut tensors, &format!("heads.{}.", modality.name()))?;
            let rows = scores.iter().filter_map(|(label, like, m)| {
                let survey = SURVEYS.into_iter().find(|(name, _)| name == like)?.1;
                let on = format!("held-out simulated stars, {like}, no real star");
                Some(Accuracy::of(Label::from_name(label)?, &on, survey, true, m))
            });
            let on_real = on_real.iter();
            let real_rows = on_real.filter_map(|(label, m)| {
                Some(Accuracy::of(Label::from_name(label)?, REAL, Survey::LamostLrs, false, m))
            });
            accuracy.extend(rows.chain(real_rows));
            if modality == Modality::Lrs {
                let mut judges = vec![("held-out simulated stars", seen)];
                if !real.labels.is_empty() {
                    judges.push((REAL, real.labelled(&vectors)));
                }
                let (flow, config, more) = posterior::flows(plan, &LABELS[..4], &known, &judges, device, say)?;
                flow.store(&mut tensors, POSTERIOR)?;
                figures.extend(more);
                posterior = Some(config);
            }
        }
    }
    let names = |modality| label_names(modality).iter().map(ToString::to_string).collect();
    let config = PairConfig { clip, lrs_labels: names(Modality::Lrs), xp_labels: names(Modality::Xp), posterior };
    Ok(Finished { tensors, config, accuracy, figures })
}

/// The real stars that heads are judged by, none of which any network has seen.
const REAL: &str = "MILES 4200–7200 K, real stars, none learned from";

/// Vectors that a head reads labels from.
struct Route {
    modality: Modality,
    name: &'static str,
    known: Labelled,
    seen: Labelled,
    /// Of real stars; those of XP have none.
    real: Vec<Vec<f32>>,
}

impl Route {
    fn both(
        name: &'static str,
        train: &[Pair],
        known: Both,
        test: &[Pair],
        seen: Both,
        real: Vec<Vec<f32>>,
    ) -> [Self; 2] {
        let of = |modality, known, seen, real| Self {
            modality,
            name,
            known: labelled(modality, train, known),
            seen: labelled(modality, test, seen),
            real,
        };
        [of(Modality::Lrs, known.lrs, seen.lrs, real), of(Modality::Xp, known.xp, seen.xp, Vec::new())]
    }
}

/// Labelled real stars at rest, in the range where labels are sound.
#[derive(Debug, Clone, Default)]
struct RealStars {
    inputs: Vec<Vec<f32>>,
    /// Teff, log g, [Fe/H], [α/Fe]; NaN where not known.
    labels: Vec<[f64; 4]>,
}

impl RealStars {
    fn of(library: &Library) -> Self {
        let mut all = Self::default();
        for (spectrum, star) in library.spectra.iter().zip(&library.stars).filter(|(_, s)| in_teff_range(s.labels[0])) {
            let Ok(prepared) = Opened::new(spectrum).and_then(|opened| opened.at_velocity(0.0)) else { continue };
            all.inputs.push(lrs_input(&prepared.norm));
            all.labels.push(star.labels);
        }
        all
    }

    fn vectors(&self, pair: &EncoderPair, depth: Depth) -> Result<Vec<Vec<f32>>> {
        let mut all = Vec::new();
        for some in self.inputs.chunks(AT_A_TIME) {
            let some: Vec<&[f32]> = some.iter().map(Vec::as_slice).collect();
            all.extend(match depth {
                Depth::Encoded => block_on(pair.encode_lrs(&some))?,
                Depth::Embedded => block_on(pair.embed_lrs(&some))?,
            });
        }
        Ok(all)
    }

    fn labelled(&self, vectors: &[Vec<f32>]) -> Labelled {
        Labelled {
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
        let answers = block_on(head.predict(&inputs, device)).context("no answer from the device")?;
        let of = |j: usize| {
            let known = self.labels.iter().zip(&answers).filter(|(l, _)| l[j].is_finite());
            Metrics::of(&known.map(|(l, a)| (l[j], a[j])).collect::<Vec<_>>())
        };
        Ok(LABELS[..4].iter().enumerate().map(|(j, label)| (*label, of(j))).collect())
    }
}

/// What the heads of a survey give.
pub fn label_names(modality: Modality) -> Vec<&'static str> {
    LABELS.into_iter().chain((modality == Modality::Xp).then_some(REDDENING)).collect()
}

struct Both {
    lrs: Vec<Vec<f32>>,
    xp: Vec<Vec<f32>>,
}

fn vectors(values: Vec<f32>, width: usize) -> Vec<Vec<f32>> {
    values.chunks_exact(width).map(<[f32]>::to_vec).collect()
}

/// What is taken of a spectrum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// The encoder's output.
    Encoded,
    /// The aligned embedding.
    Embedded,
}

fn vectors_of(pair: &EncoderPair, stars: &[Pair], depth: Depth) -> Result<Both> {
    let (mut lrs, mut xp) = (Vec::new(), Vec::new());
    for some in stars.chunks(AT_A_TIME) {
        let rows = Rows::of(some);
        let optical: Vec<&[f32]> = rows.lrs.chunks_exact(MODEL_PIXELS).collect();
        let prism: Vec<&[f32]> = rows.xp.chunks_exact(XP_PIXELS).collect();
        let (a, b) = match depth {
            Depth::Encoded => (block_on(pair.encode_lrs(&optical))?, block_on(pair.encode_xp(&prism))?),
            Depth::Embedded => (block_on(pair.embed_lrs(&optical))?, block_on(pair.embed_xp(&prism))?),
        };
        lrs.extend(a);
        xp.extend(b);
    }
    Ok(Both { lrs, xp })
}

fn similarity(pair: &EncoderPair, variant: &str, on: &str, seen: &Both) -> Vec<Figure> {
    let shared = |rows: &[Vec<f32>]| rows.iter().map(|r| r[..pair.shared_width()].to_vec()).collect::<Vec<_>>();
    let (lrs, xp) = (shared(&seen.lrs), shared(&seen.xp));
    let (to_xp, to_lrs) = (retrieve(&lrs, &xp), retrieve(&xp, &lrs));
    [
        ("recall@1, LRS → XP", to_xp.recall_1),
        ("recall@10, LRS → XP", to_xp.recall_10),
        ("recall@1, XP → LRS", to_lrs.recall_1),
        ("recall@10, XP → LRS", to_lrs.recall_10),
        ("mean cosine of true pairs", to_xp.true_cosine),
        ("mean cosine of random pairs", to_xp.random_cosine),
    ]
    .map(|(what, value)| Figure { what: what.into(), of: variant.into(), on: on.into(), n: to_xp.n, value })
    .to_vec()
}

/// Mean absolute errors of predicted spectra, beside that of the mean of all.
fn translation(pair: &EncoderPair, variant: &str, on: &str, seen: &Both, stars: &[Pair]) -> Result<Vec<Figure>> {
    if !pair.translates() {
        return Ok(Vec::new());
    }
    let rows = Rows::of(stars);
    let (mut xp, mut lrs) = (Vec::new(), Vec::new());
    for (from_lrs, from_xp) in seen.lrs.chunks(AT_A_TIME).zip(seen.xp.chunks(AT_A_TIME)) {
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
    let figure = |what: &str, of: &str, value: f64| Figure {
        what: what.into(),
        of: of.into(),
        on: on.into(),
        n: stars.len(),
        value,
    };
    let there = Some(rows.there.as_slice());
    let (to_xp, to_lrs) = (error_name(Modality::Xp), error_name(Modality::Lrs));
    let mut figures = vec![
        figure(to_xp, variant, mean_absolute(&xp, &rows.xp, None)),
        figure(to_lrs, variant, mean_absolute(&lrs, &rows.lrs, there)),
    ];
    if variant == Variant::Pr.name() {
        figures.push(figure(to_xp, THE_MEAN, mean_absolute(&mean(&rows.xp, XP_PIXELS), &rows.xp, None)));
        figures.push(figure(to_lrs, THE_MEAN, mean_absolute(&mean(&rows.lrs, MODEL_PIXELS), &rows.lrs, there)));
    }
    Ok(figures)
}

fn labelled(modality: Modality, stars: &[Pair], inputs: Vec<Vec<f32>>) -> Labelled {
    let labels = label_names(modality).len();
    let target = |p: &Pair| {
        let all = p.parameters[..LABELS.len()].iter().copied().chain([EBPRP_PER_EBV * p.ebv_mag]);
        all.take(labels).map(|v| v as f32).collect::<Vec<_>>()
    };
    Labelled {
        width: inputs.first().map_or(0, Vec::len),
        inputs: inputs.concat(),
        targets: stars.iter().flat_map(target).collect(),
        labels,
    }
}

fn train_head(plan: &HeadsPlan, name: &str, known: &Labelled, seen: &Labelled, device: &Device) -> Result<Regressor> {
    ensure!(known.len() == plan.stars, "{} rows for {} stars", known.len(), plan.stars);
    let (standard, steps) = (known.regressor(&HIDDEN, 0.1, device), plan.steps);
    let widths = standard.widths.clone();
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
    // A few held-out rows show that it learns; all are scored afterwards.
    let few = seen.len().min(256);
    let held_out = Labelled {
        inputs: seen.inputs[..few * seen.width].to_vec(),
        targets: seen.targets[..few * seen.labels].to_vec(),
        ..*seen
    };
    let lesson = Regression { train: known.clone(), held_out, standard, batch: 256, seed: plan.seed };
    let recipe = format!("{name} {} {schedule:?}", plan.stars);
    let start = |device: &Device| Ok(MlpConfig::new(widths.clone()).with_dropout(0.1).init(device));
    let folder = plan.work.join("heads").join(name);
    let network = steps::run(&lesson, start, &schedule, &recipe, &folder, device, &mut |_: Progress<'_>| Ok(()))?;
    Ok(lesson.finished(network))
}

/// What simulated spectra are like.
const SURVEYS: [(&str, Survey); 3] =
    [("LAMOST-like", Survey::LamostLrs), ("DESI-like", Survey::Desi), ("Gaia-XP-like", Survey::GaiaXp)];

type Score = (&'static str, &'static str, Metrics);

/// σ and bias of each label, by survey.
fn score(head: &Regressor, seen: &Labelled, stars: &[Pair], modality: Modality, device: &Device) -> Result<Vec<Score>> {
    let mut answers = Vec::new();
    for rows in (0..seen.len()).collect::<Vec<_>>().chunks(512) {
        let inputs: Vec<&[f32]> = rows.iter().map(|&row| seen.input(row)).collect();
        answers.extend(block_on(head.predict(&inputs, device)).context("no answer from the device")?);
    }
    let survey_of = |p: &Pair| match (modality, p.is_desi) {
        (Modality::Lrs, false) => "LAMOST-like",
        (Modality::Lrs, true) => "DESI-like",
        (Modality::Xp, _) => "Gaia-XP-like",
    };
    let mut scores = Vec::new();
    for (survey, _) in SURVEYS {
        for (j, label) in label_names(modality).into_iter().enumerate() {
            let pairs: Vec<(f64, f64)> = (0..seen.len())
                .filter(|&row| survey_of(&stars[row]) == survey)
                .map(|row| (f64::from(seen.targets[row * seen.labels + j]), answers[row][j]))
                .collect();
            if !pairs.is_empty() {
                scores.push((label, survey, Metrics::of(&pairs)));
            }
        }
    }
    Ok(scores)
}
