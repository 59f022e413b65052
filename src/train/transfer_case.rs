//! Cases of the transfer study: labelled stars as inputs of the network to fine-tune.

use std::rc::Rc;
use std::sync::Arc;

use anyhow::Result;
use burn::tensor::Device;

use super::grid::{Grid, Seds};
use super::grid_sampler::{Population, RequiredParts};
use super::labelled_library::LabelledLibrary;
use super::pairs::{OpticalSurvey, Pairs};
use super::pretrain::{NETWORK_LABELS, TEFF_RANGE_K, in_teff_range, split_nodes};
use crate::model::emulator::Emulator;
use crate::preprocess::grid::MODEL_PIXELS;
use crate::result::Label;
use crate::result::finetune::Cell;
use crate::spectrum::Spectrum;
use crate::task::finetune::feature_cache::FeatureCache;
use crate::task::finetune::labelled_set::{LabelCandidate, LabelledSet};
use crate::task::predict::{LabelInput, Predictor};
use crate::task::synthetic_model::SyntheticModel;

/// Simulated stars near each held-out node of the grid.
const STARS_PER_NODE: usize = 2;

/// A star of a case, with its labels.
struct CaseStar {
    id: String,
    group: String,
    input: LabelInput,
    /// Labels in the order of [`NETWORK_LABELS`]; NaN if unknown.
    labels: [f64; 4],
}

/// A case of the transfer study.
pub struct TransferCase {
    /// Title for headings, for example "Synthetic → MILES".
    pub title: &'static str,
    /// Training and test stars, in one or two sentences.
    pub description: String,
    stars: Vec<CaseStar>,
    /// Emulator for the comparison with the spectra.
    emulator: Option<Arc<SyntheticModel>>,
}

impl TransferCase {
    /// Real stars of MILES, in the Teff range where the grid and the labels are reliable.
    pub fn miles(predictor: &Predictor, emulator: Option<Arc<SyntheticModel>>, library: &LabelledLibrary) -> Self {
        let chosen = (0..library.stars.len()).filter(|i| in_teff_range(library.stars[*i].labels[0]));
        let chosen: Vec<usize> = chosen.collect();
        let spectra: Vec<&Spectrum> = chosen.iter().map(|i| &library.spectra[*i]).collect();
        let inputs = pollster::block_on(predictor.inputs(&spectra, emulator.as_deref()));
        let star = |(i, input): (&usize, Result<LabelInput, _>)| {
            let star = &library.stars[*i];
            Some(CaseStar { id: star.id.clone(), group: star.group.clone(), input: input.ok()?, labels: star.labels })
        };
        let (low, high) = TEFF_RANGE_K;
        Self {
            title: "Synthetic → MILES",
            description: format!(
                "Real stars of {low:.0}–{high:.0} K. The test stars are all others, without those of clusters with a labelled star."
            ),
            stars: chosen.iter().zip(inputs).filter_map(star).collect(),
            emulator,
        }
    }

    /// The study's case, simulated: a network trained on LAMOST-like spectra is fine-tuned on DESI-like spectra of
    /// stars near held-out grid nodes.
    pub fn desi(
        predictor: &Predictor,
        grid: &Grid,
        grid_emulator: &Emulator,
        emulator: Option<Arc<SyntheticModel>>,
    ) -> Result<Self> {
        let seed = predictor.entry().seed;
        let (_, nodes) = split_nodes(grid.len(), seed);
        let seds = Seds::new(grid, &[], Vec::new(), Vec::new())?;
        let population = Population { grid, seds: &seds, emulator: grid_emulator, nodes: nodes.clone() };
        let pairs =
            Pairs { population, real: None, optical: OpticalSurvey::Desi, is_between_nodes: true, seed: seed + 11 };
        let mut stars = Vec::new();
        for draw in 0..STARS_PER_NODE {
            for (node, pair) in nodes.iter().zip(pairs.of_nodes(&nodes, draw, RequiredParts::Lrs)?) {
                let valid_count = pair.lrs.iter().filter(|v| v.is_finite()).count();
                let coverage = valid_count as f64 / MODEL_PIXELS as f64;
                let [teff, logg, feh, alpha_fe, ..] = pair.parameters;
                stars.push(CaseStar {
                    id: format!("node {node} star {draw}"),
                    group: format!("node {node}"),
                    input: LabelInput { norm: pair.lrs, snr: Some(pair.snr), coverage, emulator_residual: None },
                    labels: [teff, logg, feh, alpha_fe],
                });
            }
        }
        Ok(Self {
            title: "LAMOST-like → DESI-like",
            description: format!(
                "Simulated spectra like those of DESI's blue arm, of {} stars near {} held-out grid nodes; the network was trained on \
                 LAMOST-like spectra. The test stars are all those near nodes without a labelled star.",
                stars.len(),
                nodes.len()
            ),
            stars,
            emulator,
        })
    }

    /// The stars with a label, and the features that the network computes from their spectra.
    pub fn feature_cache(&self, predictor: &Predictor, label: Label) -> Result<Rc<FeatureCache>> {
        let column = |of: Label| NETWORK_LABELS.iter().position(|l| *l == of).unwrap_or_default();
        let (column, feh) = (column(label), column(Label::Feh));
        let examples = self.stars.iter().filter(|star| star.labels[column].is_finite()).map(|star| LabelCandidate {
            id: star.id.clone(),
            group: star.group.clone(),
            input: star.input.clone(),
            value: Cell::Number(star.labels[column]),
            feh: Some(star.labels[feh]).filter(|v| v.is_finite()),
            cut: None,
        });
        let labelled_set = LabelledSet::new(label.name(), examples.collect());
        let (labelled_set, _) = labelled_set
            .map_err(|r| anyhow::anyhow!(r.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
        let labelled_set = labelled_set.with_emulator(self.emulator.as_ref().map(|m| m.title().into()));
        Ok(Rc::new(pollster::block_on(FeatureCache::new(predictor, labelled_set, &Device::flex()))?))
    }
}
