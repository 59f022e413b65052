//! The catalogue of the published system, with the columns `Parameter,Prediction,Error,Method`: one row a parameter,
//! two decimals (docs/model-spec.md §5). An `id` column before them tells the spectra apart.

use super::csv::join;
use crate::result::specclip::SpecClipValue;

/// The header line.
pub fn header() -> String {
    join(["id", "Parameter", "Prediction", "Error", "Method"])
}

/// The rows of one spectrum. MLPs give no error.
pub fn lines(id: &str, values: &[SpecClipValue]) -> String {
    let line = |m: &SpecClipValue| {
        let error = m.error.map_or_else(String::new, |e| format!("{e:.2}"));
        join([id, m.parameter.name(), &format!("{:.2}", m.value), &error, m.method.name()])
    };
    values.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::specclip::{Method, Parameter};

    /// Two rows of the published repository's own `catalog_results.csv`, with an id before them.
    #[test]
    fn rows_match_the_published_catalogue_after_an_id() {
        let teff =
            SpecClipValue { parameter: Parameter::Teff, value: 5704.651, error: Some(81.334), method: Method::Sbi };
        let feh = SpecClipValue { parameter: Parameter::FeH, value: -0.4321, error: None, method: Method::Mlp };
        assert_eq!(header(), "id,Parameter,Prediction,Error,Method\n");
        assert_eq!(lines("a,b", &[teff, feh]), "\"a,b\",teff,5704.65,81.33,SBI\n\"a,b\",fe_h,-0.43,,MLP\n");
    }
}
