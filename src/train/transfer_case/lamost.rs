//! Case (a): a network trained on real spectra of LAMOST DR10 with labels of its pipeline, and stars of MILES: another
//! telescope, another resolution, another label scale.

use std::path::Path;

use anyhow::Result;
use pollster::block_on;

use super::super::labelled_library::LabelledLibrary;
use super::super::objectives::regression::LabelledVectors;
use super::super::pretrain::{HIDDEN, in_teff_range};
use super::{BaseTraining, TransferCase, miles};
use crate::preprocess::grid::MODEL_PIXELS;
use crate::result::Label;
use crate::spectrum::Spectrum;
use crate::task::predict::Predictor;

/// Labels of LAMOST's pipeline in DR10: it has no [α/Fe].
const OUTPUTS: [Label; 3] = [Label::Teff, Label::Logg, Label::Feh];

/// Steps and spectra per step.
const STEPS: usize = 2000;
const BATCH: usize = 64;

/// The case. `predictor` shifts the spectra to rest; its label network is not used.
pub fn case(
    predictor: &Predictor,
    lamost: &LabelledLibrary,
    library: &LabelledLibrary,
    work: &Path,
    seed: u64,
    log: &mut dyn FnMut(&str),
) -> Result<TransferCase> {
    let labels = |star: usize| -> [f64; 3] { std::array::from_fn(|j| lamost.stars[star].labels[j]) };
    let chosen: Vec<usize> = (0..lamost.stars.len())
        .filter(|&star| in_teff_range(labels(star)[0]) && labels(star).iter().all(|v| v.is_finite()))
        .collect();
    let mut vectors = LabelledVectors { width: MODEL_PIXELS, labels: OUTPUTS.len(), ..LabelledVectors::default() };
    for batch in chosen.chunks(64) {
        let spectra: Vec<&Spectrum> = batch.iter().map(|star| &lamost.spectra[*star]).collect();
        for (star, input) in batch.iter().zip(block_on(predictor.inputs(&spectra))) {
            // A pixel that is missing in some spectra would have no mean.
            let Some(input) = input.ok().filter(|input| input.norm.iter().all(|v| v.is_finite())) else { continue };
            vectors.inputs.extend(input.norm);
            vectors.targets.extend(labels(*star).map(|v| v as f32));
        }
    }
    let training = BaseTraining {
        name: "lamost-lasp",
        hidden: &HIDDEN,
        outputs: &OUTPUTS,
        steps: STEPS,
        batch: BATCH,
        seed,
        work,
    };
    let base = training.run(&vectors, log)?;
    Ok(TransferCase {
        title: "LAMOST with LASP labels → MILES",
        description: format!(
            "The network was trained on {} real spectra of LAMOST DR10 with labels of LAMOST's pipeline. {}",
            vectors.len(),
            miles::description()
        ),
        base,
        stars: miles::stars(predictor, library),
    })
}
