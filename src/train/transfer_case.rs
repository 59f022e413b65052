//! The cases that the transfer study is repeated on: labelled stars, as the network to be taught sees them.

use std::rc::Rc;

use anyhow::Result;
use burn::tensor::Device;

use super::grid::{Grid, Seds};
use super::library::Labelled;
use super::pairs::{Optical, Pairs};
use super::population::{Population, Want};
use super::pretrain::{LABELS, TEFF_RANGE_K, in_teff_range, split_nodes};
use crate::model::emulator::Emulator;
use crate::preprocess::grid::MODEL_PIXELS;
use crate::result::Label;
use crate::result::teach::Cell;
use crate::spectrum::Spectrum;
use crate::task::predict::{LabelInput, Predictor};
use crate::task::teach::classroom::Classroom;
use crate::task::teach::lesson::{Example, Lesson};

/// Stars made near each held-out node of the grid.
const STARS_A_NODE: usize = 2;

/// A star with its labels.
struct Star {
    id: String,
    group: String,
    input: LabelInput,
    /// In the order of [`LABELS`]; NaN where not known.
    labels: [f64; 4],
}

/// A case.
pub struct Case {
    /// For headings: "Synthetic → MILES".
    pub title: &'static str,
    /// Who is taught and who is asked, in a sentence.
    pub about: String,
    stars: Vec<Star>,
}

impl Case {
    /// Real stars, at the temperatures where the grid and their labels are sound.
    pub fn miles(predictor: &Predictor, library: &Labelled) -> Self {
        let chosen = (0..library.stars.len()).filter(|i| in_teff_range(library.stars[*i].labels[0]));
        let chosen: Vec<usize> = chosen.collect();
        let spectra: Vec<&Spectrum> = chosen.iter().map(|i| &library.spectra[*i]).collect();
        let inputs = pollster::block_on(predictor.inputs_to_refine(&spectra));
        let star = |(i, input): (&usize, Result<LabelInput, _>)| {
            let star = &library.stars[*i];
            Some(Star { id: star.id.clone(), group: star.group.clone(), input: input.ok()?, labels: star.labels })
        };
        let (low, high) = TEFF_RANGE_K;
        Self {
            title: "Synthetic → MILES",
            about: format!(
                "Real stars of {low:.0}–{high:.0} K; asked about all stars and clusters that none of the labelled ones belongs to."
            ),
            stars: chosen.iter().zip(inputs).filter_map(star).collect(),
        }
    }

    /// The study's own case, simulated: the network has learned from spectra like LAMOST's, and is taught spectra like
    /// DESI's of stars near nodes of the grid that it has never seen.
    pub fn desi(predictor: &Predictor, grid: &Grid, emulator: &Emulator) -> Result<Self> {
        let seed = predictor.entry().seed;
        let (_, nodes) = split_nodes(grid.len(), seed);
        let seds = Seds::new(grid, &[], Vec::new(), Vec::new())?;
        let population = Population { grid, seds: &seds, emulator, nodes: nodes.clone() };
        let pairs = Pairs { population, optical: Optical::Desi, between: true, seed: seed + 11 };
        let mut stars = Vec::new();
        for draw in 0..STARS_A_NODE {
            for pair in pairs.of_nodes(&nodes, draw, Want::Lrs)? {
                let there = pair.lrs.iter().filter(|v| v.is_finite()).count();
                let coverage = there as f64 / MODEL_PIXELS as f64;
                let [teff, logg, feh, alpha_fe, ..] = pair.parameters;
                stars.push(Star {
                    id: format!("node {} star {draw}", pair.node),
                    group: format!("node {}", pair.node),
                    input: LabelInput { norm: pair.lrs, snr: Some(pair.snr), coverage, discrepancy: None },
                    labels: [teff, logg, feh, alpha_fe],
                });
            }
        }
        Ok(Self {
            title: "LAMOST-like → DESI-like",
            about: format!(
                "Simulated spectra like those of DESI's blue arm, of {} stars near {} nodes of the grid that the network, which has learned from \
                 spectra like LAMOST's, has never seen; asked about all stars near other nodes than the labelled ones'.",
                stars.len(),
                nodes.len()
            ),
            stars,
        })
    }

    /// The stars that have a label, before the network.
    pub fn classroom(&self, predictor: &Predictor, label: Label) -> Result<Rc<Classroom>> {
        let column = |of: Label| LABELS.iter().position(|l| *l == of).unwrap_or_default();
        let (column, feh) = (column(label), column(Label::Feh));
        let examples = self.stars.iter().filter(|star| star.labels[column].is_finite()).map(|star| Example {
            id: star.id.clone(),
            group: star.group.clone(),
            input: star.input.clone(),
            value: Cell::Number(star.labels[column]),
            feh: Some(star.labels[feh]).filter(|v| v.is_finite()),
            cut: None,
        });
        let lesson = Lesson::new(label.name(), examples.collect());
        let (lesson, _) =
            lesson.map_err(|r| anyhow::anyhow!(r.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
        let lesson = lesson.held_against(predictor.modeller().map(|m| m.title().into()));
        Ok(Rc::new(pollster::block_on(Classroom::new(predictor, lesson, &Device::flex()))?))
    }
}
