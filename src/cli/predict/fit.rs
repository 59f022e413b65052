//! `specola predict --fit`: the synthetic spectrum of each answer held against the star.

use pollster::block_on;
use rayon::prelude::*;

use super::super::files::Loaded;
use crate::result::Prediction;
use crate::result::reading::ModelFit;
use crate::task::fit::Modeller;
use crate::task::predict::{NoPrediction, Predictor};

/// Its columns.
pub(super) const COLUMNS: [&str; 2] = ["fit_rms", "fit_chi2"];

/// Their numbers, to as many digits as say something.
pub(super) fn numbers(fit: Option<ModelFit>) -> [Option<f64>; 2] {
    let round = |v: f64, digits: f64| Some((v * digits).round() / digits).filter(|v| v.is_finite());
    fit.map_or([None, None], |fit| [round(fit.rms, 1e5), fit.chi2_red.and_then(|chi2| round(chi2, 1e3))])
}

/// The fits of answers, which are flagged where they are poor.
pub(super) fn of_all(
    modeller: &Modeller,
    predictor: &Predictor,
    part: &[Loaded],
    answers: &mut [Result<Prediction, NoPrediction>],
) -> Vec<Option<ModelFit>> {
    let fit = |(loaded, answer): (&Loaded, &mut Result<Prediction, NoPrediction>)| {
        let answer = answer.as_mut().ok()?;
        let fit = block_on(modeller.fit(predictor, &loaded.spectrum, answer)).ok().flatten()?;
        if fit.is_poor {
            answer.mark_poor_fit();
        }
        Some(fit)
    };
    part.par_iter().zip(answers).map(fit).collect()
}
