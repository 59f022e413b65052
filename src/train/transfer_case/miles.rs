//! Case (c): a network trained on synthetic spectra alone, and real stars of MILES.

use super::super::labelled_library::LabelledLibrary;
use super::super::pretrain::{TEFF_RANGE_K, in_teff_range};
use super::{CaseStar, TransferCase};
use crate::spectrum::Spectrum;
use crate::task::finetune::feature_cache::BaseNetwork;
use crate::task::predict::Predictor;

/// Stars of MILES in the Teff range where grid and labels are reliable, as inputs of the label network.
pub(super) fn stars(predictor: &Predictor, library: &LabelledLibrary) -> Vec<CaseStar> {
    let chosen: Vec<usize> = (0..library.stars.len()).filter(|i| in_teff_range(library.stars[*i].labels[0])).collect();
    let spectra: Vec<&Spectrum> = chosen.iter().map(|i| &library.spectra[*i]).collect();
    let inputs = pollster::block_on(predictor.inputs(&spectra));
    let star = |(i, input): (&usize, Result<_, _>)| {
        let star = &library.stars[*i];
        Some(CaseStar { id: star.id.clone(), group: star.group.clone(), input: input.ok()?, labels: star.labels })
    };
    chosen.iter().zip(inputs).filter_map(star).collect()
}

/// Where the test stars of MILES come from, as a sentence.
pub(super) fn description() -> String {
    let (low, high) = TEFF_RANGE_K;
    format!(
        "Real stars of {low:.0}–{high:.0} K. The test stars are all others, without those of clusters with a labelled star."
    )
}

/// The case, for the network of a model that has seen no star of MILES.
pub fn case(predictor: &Predictor, library: &LabelledLibrary) -> TransferCase {
    TransferCase {
        title: "Synthetic → MILES",
        description: description(),
        base: BaseNetwork::of(predictor),
        stars: stars(predictor, library),
    }
}
