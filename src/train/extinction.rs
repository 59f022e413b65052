//! Interstellar extinction after Cardelli, Clayton & Mathis (1989, `ApJ` 345, 245), optical and infrared.

/// R(V) of the diffuse interstellar medium.
pub const R_V: f64 = 3.1;

/// A(λ)/A(V) for 303 nm to 3.3 µm; constant beyond these ends.
pub fn law(wave_nm: f64, r_v: f64) -> f64 {
    let x = (1000.0 / wave_nm).clamp(0.3, 3.3);
    let (a, b) = if x < 1.1 {
        (0.574 * x.powf(1.61), -0.527 * x.powf(1.61))
    } else {
        let poly = |c: [f64; 7]| c.iter().rev().fold(0.0, |sum, c| (sum + c) * (x - 1.82));
        (
            1.0 + poly([0.176_99, -0.504_47, -0.024_27, 0.720_85, 0.019_79, -0.775_30, 0.329_99]),
            poly([1.413_38, 2.283_05, 1.072_33, -5.384_34, -0.622_51, 5.302_60, -2.090_02]),
        )
    };
    a + b / r_v
}

/// Fraction of light that dust of colour excess E(B−V), in mag, transmits at a wavelength in nm.
pub fn transmission(wave_nm: f64, ebv_mag: f64) -> f64 {
    10f64.powf(-0.4 * law(wave_nm, R_V) * R_V * ebv_mag)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Table 3 of the paper: x in 1/µm for U, V, R, I, J, H and A(λ)/A(V) at R(V) = 3.1. (Its value for B does not
    /// agree with the paper's own formula at the x of the table.)
    #[test]
    fn the_papers_table_is_reproduced() {
        let table = [(2.78, 1.569), (1.82, 1.000), (1.43, 0.751), (1.11, 0.479), (0.80, 0.282), (0.63, 0.190)];
        for (x, expected) in table {
            let got = law(1000.0 / x, 3.1);
            assert!((got - expected).abs() < 4e-3, "x = {x}: {got:.3} instead of {expected}");
        }
        assert!((transmission(1000.0 / 1.82, 1.0) - 10f64.powf(-0.4 * 3.1)).abs() < 1e-9);
    }
}
