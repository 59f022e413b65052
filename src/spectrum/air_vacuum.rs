//! Conversion between air and vacuum wavelengths.
//!
//! Vacuum → air: Morton (2000, `ApJS` 130, 403), eq. 8. Air → vacuum: the inverse fit by N. Piskunov that VALD uses. It
//! recovers the vacuum wavelength to within 1e-5 Å over 2000–10 000 Å.

/// Wavelength in standard air, Å, of a vacuum wavelength in Å. Wavelengths below 2000 Å are returned unchanged.
pub fn vacuum_to_air_aa(wave_vac_aa: f64) -> f64 {
    if wave_vac_aa < 2000.0 {
        return wave_vac_aa;
    }
    let s2 = (1e4 / wave_vac_aa).powi(2);
    wave_vac_aa / (1.0 + 8.34254e-5 + 2.406147e-2 / (130.0 - s2) + 1.5998e-4 / (38.9 - s2))
}

/// Vacuum wavelength, Å, of a wavelength in standard air, Å. Wavelengths below 2000 Å are returned unchanged.
pub fn air_to_vacuum_aa(wave_air_aa: f64) -> f64 {
    if wave_air_aa < 2000.0 {
        return wave_air_aa;
    }
    let s2 = (1e4 / wave_air_aa).powi(2);
    wave_air_aa
        * (1.0
            + 8.336624212083e-5
            + 2.408926869968e-2 / (130.1065924522 - s2)
            + 1.599740894897e-4 / (38.92568793293 - s2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published pairs: NIST Atomic Spectra Database, observed vacuum and Ritz air wavelengths.
    #[test]
    fn agrees_with_published_pairs() {
        for (name, vac, air) in
            [("Hβ", 4862.683, 4861.325), ("Na D2", 5891.583, 5889.951), ("Ca K", 3934.777, 3933.663)]
        {
            assert!((vacuum_to_air_aa(vac) - air).abs() < 2e-3, "{name}");
            assert!((air_to_vacuum_aa(air) - vac).abs() < 2e-3, "{name}");
        }
    }

    #[test]
    fn a_round_trip_is_exact_to_1e_5_aa() {
        for i in 0..700 {
            let w = 3000.0 + 10.0 * f64::from(i);
            assert!((vacuum_to_air_aa(air_to_vacuum_aa(w)) - w).abs() < 1e-5, "{w}");
        }
    }
}
