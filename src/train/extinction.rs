//! Interstellar extinction by Cardelli, Clayton & Mathis 1989 (ApJ 345, 245), optical and infrared.

/// R(V) of diffuse dust.
pub const R_V: f64 = 3.1;

/// A(λ)/A(V) for 303 nm to 3.3 µm; beyond, that of the end.
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

/// The part of the light that comes through dust of a colour excess E(B−V), mag.
pub fn transmission(wave_nm: f64, ebv_mag: f64) -> f64 {
    10f64.powf(-0.4 * law(wave_nm, R_V) * R_V * ebv_mag)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Table 3 of the paper: x in 1/µm of U, V, R, I, J, H and A(λ)/A(V) at R(V) = 3.1. (Its B does not agree with the paper's own
    /// formula at the x that it gives.)
    #[test]
    fn the_papers_table_is_reproduced() {
        let table = [(2.78, 1.569), (1.82, 1.000), (1.43, 0.751), (1.11, 0.479), (0.80, 0.282), (0.63, 0.190)];
        for (x, want) in table {
            let got = law(1000.0 / x, 3.1);
            assert!((got - want).abs() < 4e-3, "x = {x}: {got:.3} instead of {want}");
        }
        assert!((transmission(1000.0 / 1.82, 1.0) - 10f64.powf(-0.4 * 3.1)).abs() < 1e-9);
    }
}
