//! Case (d): the study's own, simulated.

use anyhow::Result;

use super::super::grid::{Grid, Seds};
use super::super::grid_sampler::{Population, RequiredParts};
use super::super::pairs::{OpticalSurvey, Pairs};
use super::super::pretrain::split_nodes;
use super::{CaseStar, TransferCase};
use crate::model::emulator::Emulator;
use crate::preprocess::grid::MODEL_PIXELS;
use crate::task::finetune::feature_cache::BaseNetwork;
use crate::task::predict::{LabelInput, Predictor};

/// Simulated stars near each held-out node of the grid.
const STARS_PER_NODE: usize = 2;

/// The study's case, simulated: a network trained on LAMOST-like spectra is fine-tuned on DESI-like spectra of
/// stars near held-out grid nodes.
pub fn case(predictor: &Predictor, grid: &Grid, grid_emulator: &Emulator) -> Result<TransferCase> {
    let seed = predictor.entry().seed;
    let (_, nodes) = split_nodes(grid.len(), seed);
    let seds = Seds::new(grid, &[], Vec::new(), Vec::new())?;
    let population = Population { grid, seds: &seds, emulator: grid_emulator, nodes: nodes.clone() };
    let pairs = Pairs { population, real: None, optical: OpticalSurvey::Desi, is_between_nodes: true, seed: seed + 11 };
    let mut stars = Vec::new();
    for draw in 0..STARS_PER_NODE {
        for (node, pair) in nodes.iter().zip(pairs.of_nodes(&nodes, draw, RequiredParts::Lrs)?) {
            let valid_count = pair.lrs.iter().filter(|v| v.is_finite()).count();
            let coverage = valid_count as f64 / MODEL_PIXELS as f64;
            let [teff, logg, feh, alpha_fe, ..] = pair.parameters;
            stars.push(CaseStar {
                id: format!("node {node} star {draw}"),
                group: format!("node {node}"),
                input: LabelInput { norm: pair.lrs, snr: Some(pair.snr), coverage },
                labels: [teff, logg, feh, alpha_fe],
            });
        }
    }
    Ok(TransferCase {
        title: "LAMOST-like → DESI-like",
        description: format!(
            "Simulated spectra like those of DESI's blue arm, of {} stars near {} held-out grid nodes; the network was trained on \
             LAMOST-like spectra. The test stars are all those near nodes without a labelled star.",
            stars.len(),
            nodes.len()
        ),
        base: BaseNetwork::of(predictor),
        stars,
    })
}
