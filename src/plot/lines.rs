//! Strong lines of stellar spectra, to find one's way in a figure.

/// A line and where it lies at rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpectralLine {
    /// As astronomers write it.
    pub name: &'static str,
    /// Vacuum wavelength at rest, Å.
    pub wave_vac_aa: f64,
    /// Greater for stronger lines; where labels collide, the greater stays.
    pub weight: u8,
}

const fn line(name: &'static str, wave_vac_aa: f64, weight: u8) -> SpectralLine {
    SpectralLine { name, wave_vac_aa, weight }
}

/// Lines that classification goes by, in the order of wavelength. Values are NIST's air wavelengths brought to vacuum;
/// the G band is the head of CH at 4300 Å in air.
pub const LINES: [SpectralLine; 21] = [
    line("Ca II K", 3934.78, 9),
    line("Ca II H", 3969.59, 8),
    line("Hδ", 4102.89, 7),
    line("Ca I", 4227.92, 5),
    line("G band", 4301.2, 6),
    line("Hγ", 4341.68, 8),
    line("Fe I", 4384.78, 3),
    line("He I", 4472.73, 2),
    line("Hβ", 4862.68, 9),
    line("Mg b", 5168.76, 4),
    line("Mg b", 5174.13, 5),
    line("Mg b", 5185.05, 7),
    line("Fe I", 5271.00, 4),
    line("Fe I", 5329.52, 2),
    line("Na D", 5891.58, 6),
    line("Na D", 5897.56, 7),
    line("Hα", 6564.61, 9),
    line("Li I", 6709.66, 1),
    line("Ca II", 8500.36, 5),
    line("Ca II", 8544.44, 7),
    line("Ca II", 8664.52, 6),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrum::air_vacuum::air_to_vacuum_aa;

    /// Air wavelengths of the same lines from the NIST Atomic Spectra Database.
    const AIR_AA: [f64; 20] = [
        3933.66, 3968.47, 4101.73, 4226.73, 4340.46, 4383.55, 4471.48, 4861.32, 5167.32, 5172.68, 5183.60, 5269.54,
        5328.04, 5889.95, 5895.92, 6562.80, 6707.81, 8498.02, 8542.09, 8662.14,
    ];

    #[test]
    fn vacuum_wavelengths_agree_with_air() {
        let lines = LINES.iter().filter(|l| l.name != "G band");
        for (line, air) in lines.zip(AIR_AA) {
            let vacuum = air_to_vacuum_aa(air);
            assert!((line.wave_vac_aa - vacuum).abs() < 0.05, "{} {} {vacuum}", line.name, line.wave_vac_aa);
        }
        assert!(LINES.windows(2).all(|w| w[0].wave_vac_aa < w[1].wave_vac_aa));
    }
}
