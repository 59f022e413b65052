//! `specola predict --check-fit`: columns of the comparison with the synthetic spectrum.

use crate::result::diagnostics::ModelFit;

/// Names of the columns.
pub(super) const COLUMNS: [&str; 2] = ["fit_rms", "fit_chi2"];

/// Values of the columns, rounded to their significant digits.
pub(super) fn numbers(fit: Option<ModelFit>) -> [Option<f64>; 2] {
    let round = |v: f64, digits: f64| Some((v * digits).round() / digits).filter(|v| v.is_finite());
    fit.map_or([None, None], |fit| [round(fit.rms, 1e5), fit.chi2_red.and_then(|chi2| round(chi2, 1e3))])
}
