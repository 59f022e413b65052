//! Case (b): real Gaia XP spectra with labels of APOGEE DR17, from bright to faint stars and from giants to dwarfs.

use std::path::Path;

use anyhow::{Result, ensure};
use burn::tensor::Device;

use super::super::objectives::regression::LabelledVectors;
use super::super::xp::regressor::{MIN_SNR, components};
use super::super::xp::stars::{LABELS, Part, XpStars};
use super::{BaseTraining, CaseStar, TransferCase};
use crate::model::xp_regressor::XpComponents;
use crate::preprocess::xp_features::XpFeatures;
use crate::task::predict::LabelInput;

/// Number of principal components.
const COMPONENTS: usize = 120;

/// Hidden layers of the base network, as in the shipped model.
const HIDDEN: [usize; 3] = [512, 256, 128];

/// Steps and spectra per step.
const STEPS: usize = 3000;
const BATCH: usize = 256;

/// Largest number of stars to fine-tune on or test with: the study's largest training set and 5,000 test stars.
const MAX_STARS: usize = 7069;

/// Limits of G of bright and of faint stars, mag: half a magnitude apart, so that the sets differ.
const BRIGHT_G_MAG: f32 = 12.5;
const FAINT_G_MAG: f32 = 13.0;

/// Limits of log g of giants and of dwarfs.
const GIANT_LOGG: f32 = 3.5;
const DWARF_LOGG: f32 = 3.9;

/// A pair of disjoint sets of stars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XpTransfer {
    /// From G below 12.5 to G above 13.
    BrightToFaint,
    /// From log g below 3.5 to log g above 3.9.
    GiantsToDwarfs,
}

impl XpTransfer {
    fn title(self) -> &'static str {
        match self {
            Self::BrightToFaint => "Gaia XP, bright → faint",
            Self::GiantsToDwarfs => "Gaia XP, giants → dwarfs",
        }
    }

    fn base_name(self) -> &'static str {
        match self {
            Self::BrightToFaint => "xp-bright",
            Self::GiantsToDwarfs => "xp-giants",
        }
    }

    fn is_source(self, stars: &XpStars, star: usize) -> bool {
        match self {
            Self::BrightToFaint => stars.g_mag[star] < BRIGHT_G_MAG,
            Self::GiantsToDwarfs => stars.labels[star][1] < GIANT_LOGG,
        }
    }

    fn is_target(self, stars: &XpStars, star: usize) -> bool {
        match self {
            Self::BrightToFaint => stars.g_mag[star] > FAINT_G_MAG,
            Self::GiantsToDwarfs => stars.labels[star][1] > DWARF_LOGG,
        }
    }
}

fn projected(components: &XpComponents, stars: &XpStars, star: usize) -> Option<Vec<f32>> {
    Some(components.project(&XpFeatures::of(stars.flux(star), stars.sigma(star))?).input)
}

/// The case: a network trained on the source stars of the training part, and the target stars of all parts. With
/// `on_all`, the network is trained on the target stars of the training part too, and only the others are left: the
/// best that labels can do.
pub fn case(
    transfer: XpTransfer,
    on_all: bool,
    stars: &XpStars,
    work: &Path,
    seed: u64,
    log: &mut dyn FnMut(&str),
) -> Result<TransferCase> {
    let has_all_labels =
        |star: &usize| stars.labels[*star].iter().all(|v| v.is_finite()) && stars.snr[*star] >= MIN_SNR;
    let complete: Vec<usize> = (0..stars.len()).filter(has_all_labels).collect();
    let is_training = |star: usize| stars.part[star] == Part::Training;
    let is_source = |star: usize| {
        is_training(star) && (transfer.is_source(stars, star) || (on_all && transfer.is_target(stars, star)))
    };
    let source: Vec<usize> = complete.iter().copied().filter(|&star| is_source(star)).collect();
    let components = components(stars, &source, COMPONENTS, seed, &Device::flex())?;
    let mut vectors =
        LabelledVectors { width: components.input_width(), labels: LABELS.len(), ..LabelledVectors::default() };
    for &star in &source {
        let Some(input) = projected(&components, stars, star) else { continue };
        vectors.inputs.extend(input);
        vectors.targets.extend(stars.labels[star]);
    }
    let name = if on_all { format!("{}-and-all", transfer.base_name()) } else { transfer.base_name().into() };
    let training =
        BaseTraining { name: &name, hidden: &HIDDEN, outputs: &LABELS, steps: STEPS, batch: BATCH, seed, work };
    let base = training.run(&vectors, log)?;
    let is_target = |star: &usize| transfer.is_target(stars, *star) && !(on_all && is_training(*star));
    let mut targets: Vec<CaseStar> = Vec::new();
    for star in complete.into_iter().filter(is_target) {
        let Some(input) = projected(&components, stars, star) else { continue };
        let snr = Some(f64::from(stars.snr[star]));
        let id = stars.source_id[star].clone();
        targets.push(CaseStar {
            id: format!("{id} {star}"),
            group: id,
            input: LabelInput { norm: input, snr, coverage: 1.0 },
            labels: stars.labels[star].map(f64::from),
        });
    }
    ensure!(targets.len() > 100, "only {} stars of the set are left", targets.len());
    // The order of the file is that of the sky; ids of Gaia count along the sky too.
    targets.sort_by_key(|star| crate::model::store::sha256_hex(star.group.as_bytes()));
    targets.truncate(MAX_STARS);
    Ok(TransferCase {
        title: transfer.title(),
        description: format!(
            "The network was trained on {} real Gaia XP spectra with labels of APOGEE DR17. The test stars are all other of {} stars.",
            vectors.len(),
            targets.len()
        ),
        base,
        stars: targets,
    })
}
