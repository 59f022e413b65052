//! The catalogue of the published system: its columns `Parameter,Prediction,Error,Method`, one row a parameter and two
//! decimals (MODEL_SPEC §5), behind an `id` column, without which several spectra could not be told apart.

use super::csv::join;
use crate::result::catalogue::Measured;

/// The header line.
pub fn header() -> String {
    join(["id", "Parameter", "Prediction", "Error", "Method"])
}

/// The rows of one spectrum. MLPs give no error.
pub fn lines(id: &str, values: &[Measured]) -> String {
    let line = |m: &Measured| {
        let error = m.error.map_or_else(String::new, |e| format!("{e:.2}"));
        join([id, m.parameter.name(), &format!("{:.2}", m.value), &error, m.method.name()])
    };
    values.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::catalogue::{Method, Parameter};

    /// Two rows of the published repository's own `catalog_results.csv`, behind the id.
    #[test]
    fn rows_are_the_published_ones_behind_an_id() {
        let teff = Measured { parameter: Parameter::Teff, value: 5704.651, error: Some(81.334), method: Method::Sbi };
        let feh = Measured { parameter: Parameter::FeH, value: -0.4321, error: None, method: Method::Mlp };
        assert_eq!(header(), "id,Parameter,Prediction,Error,Method\n");
        assert_eq!(lines("a,b", &[teff, feh]), "\"a,b\",teff,5704.65,81.33,SBI\n\"a,b\",fe_h,-0.43,,MLP\n");
    }
}
