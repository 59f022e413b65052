//! The experiments of Zhao et al. (2025, `SpecCLIP`) on Gaia XP spectra, repeated on real stars with APOGEE's labels: what an
//! encoder and its alignment with optical spectra add to a network on the flux itself.
//!
//! Every representation of the same spectra gets a network of the same layout, with several seeds. The networks here are
//! smaller than the published ones and the stars fewer, so the comparison is between rows, not with the paper's figures.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use pollster::block_on;

use super::encoders::{EncoderPlan, PairStage, read_encoders};
use super::grid_sampler::RequiredParts;
use super::objectives::HELD_OUT_STEP;
use super::objectives::alignment::{Alignment, AlignmentRows, EncoderModules, Losses, Variants};
use super::objectives::masked::MaskedObjective;
use super::objectives::regression::{LabelledVectors, Regression};
use super::pairs::Pairs;
use super::real_stars::RealStars;
use super::training_loop::{self, Progress, Schedule};
use super::xp::stars::{LABELS, Part};
use crate::model::encoders::{Size, Variant};
use crate::nn::MlpConfig;
use crate::nn::clip::{Clip, ClipConfig};
use crate::nn::masked_transformer::{MaskedTransformer, MaskedTransformerConfig};
use crate::nn::masking::Masking;
use crate::nn::projection::{LrsProjectionConfig, XpProjectionConfig};
use crate::nn::tokens::{SliceConfig, TokensConfig};
use crate::preprocess::xp::XP_PIXELS;
use crate::result::specclip::Modality;
use crate::stats::{biweight, mean_and_std};
use crate::task::metrics::Metrics;

/// Widths of the embeddings that are compared.
const WIDTHS: [usize; 4] = [256, 343, 512, 768];

/// Widths of the hidden layers of the label networks.
const HIDDEN: [usize; 3] = [512, 256, 64];

/// Spectra in a batch of an encoder.
const BATCH_SIZE: usize = 256;

/// Pairs of the check loss.
const CHECK_PAIRS: usize = 128;

/// Amount of training.
#[derive(Debug, Clone)]
pub struct XpExperiment {
    /// Sizes of the encoders, whose weights are in `work`.
    pub size: Size,
    /// Steps of the alignment, and pairs per step.
    pub alignment: (usize, usize),
    /// Steps of the masked transformer of XP spectra.
    pub masked_steps: usize,
    /// Steps of each label network.
    pub head_steps: usize,
    /// Seeds of the label networks.
    pub seeds: Vec<u64>,
    /// Work folder with the encoders of `specola pretrain`.
    pub work: PathBuf,
    /// Seed of everything else.
    pub seed: u64,
}

/// A representation of XP spectra: vectors of the training, validation and test stars.
struct Representation {
    name: String,
    sets: [LabelledVectors; 3],
}

/// Scores of one label with one seed.
struct Score {
    metrics: Metrics,
    /// Biweight scale of predicted − true label.
    biweight: f64,
}

/// A row of the table: scores by seed, then by label.
struct Row {
    name: String,
    width: usize,
    scores: Vec<Vec<Score>>,
}

/// XP spectra of a part, relative to 550 nm, with labels.
struct XpSet {
    flux: Vec<f32>,
    targets: Vec<f32>,
    n: usize,
}

impl XpSet {
    fn of(stars: &RealStars, part: Part) -> Self {
        let mut set = Self { flux: Vec::new(), targets: Vec::new(), n: 0 };
        for observed in stars.xp_rows(part, true).into_iter().filter_map(|row| stars.measured_xp(row)) {
            set.flux.extend(observed.flux);
            set.targets.extend(observed.labels.map(|v| v as f32));
            set.n += 1;
        }
        set
    }

    fn labelled(&self, inputs: &[f32]) -> LabelledVectors {
        LabelledVectors {
            width: inputs.len() / self.n.max(1),
            inputs: inputs.to_vec(),
            targets: self.targets.clone(),
            labels: LABELS.len(),
        }
    }
}

impl XpExperiment {
    /// Trains and measures everything. Returns a section of Markdown; `command` is quoted in it.
    pub fn run(
        &self,
        stars: &RealStars,
        train_pairs: &Pairs,
        held_out: &Pairs,
        command: &str,
        device: &Device,
        log: &mut dyn FnMut(&str),
    ) -> Result<String> {
        let [train, check, test] = [Part::Training, Part::Validation, Part::Test].map(|part| XpSet::of(stars, part));
        ensure!(train.n > 0 && check.n > 0 && test.n > 0, "the real XP spectra do not fill all parts");
        log(&format!("{} training, {} validation and {} test spectra", train.n, check.n, test.n));
        let encoders = read_encoders(&self.work, self.size, self.seed, device)?;
        let masked = self.masked_transformer(train_pairs, held_out, device)?;
        log("masked transformer of XP spectra: trained");
        let networks = self.aligned(&encoders, train_pairs, held_out, device)?;
        log("alignments: trained");
        let sets = [&train, &check, &test];
        let mut representations =
            vec![Representation { name: "flux itself".into(), sets: sets.map(|set| set.labelled(&set.flux)) }];
        let mut add = |name: &str, embed: &dyn Fn(Tensor<2>) -> Tensor<2>| -> Result<()> {
            let [train, check, test] = sets.map(|set| embedded(set, embed, device));
            representations.push(Representation { name: name.into(), sets: [train?, check?, test?] });
            Ok(())
        };
        add("auto-encoder", &|x| encoders.xp.embed(x))?;
        add("masked transformer", &|x| masked.embed(x))?;
        for (name, clip) in &networks {
            add(name, &|x| clip.embed_xp(x))?;
        }
        let mut rows = Vec::new();
        for representation in &representations {
            let scores: Result<Vec<Vec<Score>>> =
                self.seeds.iter().map(|&seed| self.head(representation, seed, device)).collect();
            log(&format!("{}: measured", representation.name));
            rows.push(Row { name: representation.name.clone(), width: representation.sets[0].width, scores: scores? });
        }
        Ok(self.page(&rows, train.n, test.n, command))
    }

    /// The masked transformer of XP spectra. Its tokens are slices of the spectrum; the published one has a token for each
    /// sample, at fifty times the cost.
    fn masked_transformer(&self, pairs: &Pairs, held_out: &Pairs, device: &Device) -> Result<MaskedTransformer> {
        let tokens = TokensConfig::Slices(SliceConfig::new().with_length(14).with_overlap(7));
        let n_tokens = tokens.count(XP_PIXELS);
        let config = MaskedTransformerConfig::new(tokens)
            .with_embed_dim(128)
            .with_num_layers(4)
            .with_num_heads(4)
            .with_max_len(n_tokens);
        let check = held_out.of_step(HELD_OUT_STEP, CHECK_PAIRS, RequiredParts::Xp)?;
        let objective = MaskedObjective {
            pairs,
            modality: Modality::Xp,
            held_out: check.into_iter().flat_map(|p| p.xp).collect(),
            masking: Masking { chunks: 4, width: 4 },
            tokens: n_tokens,
            batch: 64,
        };
        let schedule = self.schedule(self.masked_steps, 1e-3, 0.1);
        let start = |device: &Device| Ok(config.init(device));
        self.train("experiment-xp-masked", &objective, start, &schedule, device)
    }

    /// Networks aligned with optical spectra: the variants of the paper, then widths of the embedding.
    fn aligned(
        &self,
        encoders: &EncoderModules,
        pairs: &Pairs,
        held_out: &Pairs,
        device: &Device,
    ) -> Result<Vec<(String, Clip)>> {
        let pr = self.size.clip(Variant::Pr);
        let only = |reconstruction, prediction| Losses { reconstruction, prediction };
        let mut variants: Vec<(String, ClipConfig, Losses)> = vec![
            ("CLIP".into(), self.size.clip(Variant::Base), Losses::BOTH),
            ("CLIP-r".into(), pr.clone(), only(true, false)),
            ("CLIP-p".into(), pr.clone(), only(false, true)),
            ("CLIP-pr".into(), pr.clone(), Losses::BOTH),
            ("CLIP-split".into(), self.size.clip(Variant::Split), Losses::BOTH),
        ];
        let shipped: usize = pr.lrs_head.widths.iter().sum();
        for width in WIDTHS.into_iter().filter(|width| *width != shipped) {
            variants.push((format!("CLIP-pr, width {width}"), with_width(&pr, width), Losses::BOTH));
        }
        let configs: Vec<ClipConfig> = variants.iter().map(|v| v.1.clone()).collect();
        let (steps, batch) = self.alignment;
        let objective = Alignment {
            pairs,
            losses: variants.iter().map(|v| v.2).collect(),
            held_out: AlignmentRows::of(&held_out.of_step(HELD_OUT_STEP, CHECK_PAIRS, RequiredParts::Both)?),
            encoders: encoders.clone(),
            device: device.clone(),
            batch,
        };
        let schedule =
            self.schedule(steps, EncoderPlan::new(PairStage::Clip, self.size, steps, batch, 0).schedule.rate, 0.05);
        let start = |device: &Device| Ok(Variants::of(&configs, encoders, device));
        let trained = self.train("experiment-xp-clip", &objective, start, &schedule, device)?;
        Ok(variants.into_iter().map(|v| v.0).zip(trained.all).collect())
    }

    fn schedule(&self, steps: usize, rate: f64, weight_decay: f32) -> Schedule {
        let every = (steps / 10).max(1);
        Schedule {
            steps,
            warmup: steps / 20,
            rate,
            weight_decay,
            beta_2: 0.99,
            clip: Some(1.0),
            every,
            seed: self.seed,
        }
    }

    fn train<O: training_loop::Objective>(
        &self,
        name: &str,
        objective: &O,
        start: impl Fn(&Device) -> Result<O::Network>,
        schedule: &Schedule,
        device: &Device,
    ) -> Result<O::Network> {
        let recipe = format!("{name} {:?} {schedule:?}", self.size);
        training_loop::run(objective, start, schedule, &recipe, &self.work.join(name), device, &mut |_: Progress<
            '_,
        >| Ok(()))
    }

    /// Trains a label network on a representation and scores it on the test stars.
    fn head(&self, representation: &Representation, seed: u64, device: &Device) -> Result<Vec<Score>> {
        let [train, check, test] = &representation.sets;
        device.seed(seed);
        let initial_network = train.regressor(&HIDDEN, 0.1, device);
        let widths = initial_network.widths.clone();
        let objective = Regression { train: train.clone(), held_out: check.clone(), initial_network, batch: 256, seed };
        let schedule = Schedule { seed, ..self.schedule(self.head_steps, 1e-3, 1e-2) };
        let start = |device: &Device| Ok(MlpConfig::new(widths.clone()).with_dropout(0.1).init(device));
        let name = format!("experiment-xp-head-{}-{seed}", representation.name.replace([' ', ','], "-"));
        let head = objective.to_regressor(self.train(&name, &objective, start, &schedule, device)?);
        let rows: Vec<&[f32]> = (0..test.len()).map(|row| test.input(row)).collect();
        let mut predictions = Vec::new();
        for batch in rows.chunks(BATCH_SIZE) {
            predictions.extend(block_on(head.predict(batch, device)).context("the device returned no predictions")?);
        }
        let score = |j: usize| {
            let truth = |row: usize| f64::from(test.targets[row * test.labels + j]);
            let pairs: Vec<(f64, f64)> = predictions.iter().enumerate().map(|(row, p)| (truth(row), p[j])).collect();
            let differences: Vec<f64> = pairs.iter().map(|(a, b)| b - a).collect();
            Score { biweight: biweight(&differences), metrics: Metrics::of(&pairs) }
        };
        Ok((0..test.labels).map(score).collect())
    }

    fn page(&self, rows: &[Row], train: usize, test: usize, command: &str) -> String {
        let mut page = format!(
            "## Representations of Gaia XP spectra\n\n`{command}`\n\nA network of {HIDDEN:?} hidden units on each representation, {train} training and {test} test stars of APOGEE, {} seeds. Mean over the seeds ± their standard deviation. σ by biweight; in brackets after 3 σ clipping.\n\n| representation | width |",
            self.seeds.len()
        );
        for label in LABELS {
            let _ = write!(page, " {} | R² |", label.symbol());
        }
        page.push_str("\n|---|---|");
        page.push_str(&"---|".repeat(2 * LABELS.len()));
        page.push('\n');
        for row in rows {
            let _ = write!(page, "| {} | {} |", row.name, row.width);
            for j in 0..LABELS.len() {
                let of = |value: fn(&Score) -> f64| {
                    mean_and_std(&row.scores.iter().map(|s| value(&s[j])).collect::<Vec<_>>())
                };
                let ((width, spread), (clipped, _), (r2, _)) =
                    (of(|s| s.biweight), of(|s| s.metrics.sigma), of(|s| s.metrics.r2));
                let d = if j == 0 { 0 } else { 3 };
                let _ = write!(page, " {width:.d$} ± {spread:.d$} ({clipped:.d$}) | {r2:.3} |");
            }
            page.push('\n');
        }
        page + &comparisons(rows)
    }
}

/// A table of differences between rows: which claims of the paper hold here.
fn comparisons(rows: &[Row]) -> String {
    const PAIRS: [[&str; 2]; 9] = [
        ["auto-encoder", "flux itself"],
        ["masked transformer", "auto-encoder"],
        ["CLIP", "auto-encoder"],
        ["CLIP-pr", "flux itself"],
        ["CLIP-r", "CLIP"],
        ["CLIP-p", "CLIP"],
        ["CLIP-pr", "CLIP"],
        ["CLIP-split", "CLIP-pr"],
        ["CLIP-pr, width 768", "CLIP-pr"],
    ];
    let mut table = String::from(
        "\nDifference of σ between rows, in per cent of the second, ± its standard error from the seeds. Negative: the first is better. Bold: more than twice the standard error.\n\n| first | second |",
    );
    LABELS.iter().for_each(|label| table += &format!(" {} |", label.symbol()));
    table.push_str("\n|---|---|");
    table.push_str(&"---|".repeat(LABELS.len()));
    table.push('\n');
    for [a, b] in PAIRS {
        let row = |name: &str| rows.iter().find(|row| row.name == name);
        let (Some(first), Some(second)) = (row(a), row(b)) else { continue };
        let _ = write!(table, "| {a} | {b} |");
        for j in 0..LABELS.len() {
            let of = |row: &Row| {
                let widths: Vec<f64> = row.scores.iter().map(|s| s[j].biweight).collect();
                let (mean, std) = mean_and_std(&widths);
                (mean, std / (widths.len().max(2) as f64 - 1.0).sqrt())
            };
            let ((mean_a, error_a), (mean_b, error_b)) = (of(first), of(second));
            let (change, error) = (100.0 * (mean_a / mean_b - 1.0), 100.0 * error_a.hypot(error_b) / mean_b);
            let bold = if change.abs() > 2.0 * error { "**" } else { "" };
            let _ = write!(table, " {bold}{change:+.1} ± {error:.1}{bold} |");
        }
        table.push('\n');
    }
    table
}

/// The configuration with embeddings of another width.
fn with_width(config: &ClipConfig, width: usize) -> ClipConfig {
    // The number of attention heads divides the width: 4, or 7 for the 343 samples of an XP spectrum.
    let heads = if width.is_multiple_of(4) { 4 } else { 7 };
    let mut config = config.clone();
    config.lrs_head = LrsProjectionConfig::new(config.lrs.embed_dim, vec![width], vec![heads]);
    config.xp_head =
        XpProjectionConfig::new(config.xp.bottleneck_dim, vec![width]).with_inner_width(config.xp_head.inner_width);
    config
}

/// The vectors of a set from an encoder.
fn embedded(set: &XpSet, embed: &dyn Fn(Tensor<2>) -> Tensor<2>, device: &Device) -> Result<LabelledVectors> {
    let mut vectors = Vec::new();
    for batch in set.flux.chunks(BATCH_SIZE * XP_PIXELS) {
        let n = batch.len() / XP_PIXELS;
        let x = Tensor::from_data(TensorData::new(batch.to_vec(), [n, XP_PIXELS]), device);
        vectors.extend(embed(x).into_data().try_to_vec::<f32>().map_err(|e| anyhow::anyhow!("{e:?}"))?);
    }
    Ok(set.labelled(&vectors))
}
