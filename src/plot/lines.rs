//! Strong lines of stellar spectra, as guides in a figure.

/// A spectral line and its rest wavelength.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpectralLine {
    /// Name in astronomical notation.
    pub name: &'static str,
    /// Vacuum wavelength at rest, Å.
    pub wave_vac_aa: f64,
    /// Strength of the line. If labels collide, the line with the larger weight keeps its label. Lines of weight 0 are
    /// labelled only in an enlarged view.
    pub weight: u8,
}

const fn line(name: &'static str, wave_vac_aa: f64, weight: u8) -> SpectralLine {
    SpectralLine { name, wave_vac_aa, weight }
}

/// Lines used in spectral classification, and other strong lines in the range of the models (weight 0), by wavelength.
///
/// The vacuum wavelengths are converted from NIST's air wavelengths. The G band is the head of CH at 4300 Å in air.
pub const LINES: [SpectralLine; 109] = [
    line("Ca II K", 3934.78, 9),
    line("Ca II H", 3969.59, 8),
    line("Fe I", 4006.37, 0),
    line("Mn I", 4031.89, 0),
    line("Fe I", 4046.95, 0),
    line("Fe I", 4064.74, 0),
    line("Fe I", 4072.89, 0),
    line("Sr II", 4078.86, 0),
    line("Hδ", 4102.89, 7),
    line("Fe I", 4119.71, 0),
    line("Fe I", 4133.23, 0),
    line("Fe I", 4145.04, 0),
    line("Fe I", 4157.97, 0),
    line("Ti II", 4164.82, 0),
    line("Fe I", 4188.22, 0),
    line("Fe I", 4200.28, 0),
    line("Fe I", 4203.21, 0),
    line("Sr II", 4216.71, 0),
    line("Ca I", 4227.92, 5),
    line("Fe II", 4234.36, 0),
    line("Fe I", 4237.13, 0),
    line("Sc II", 4248.02, 0),
    line("Fe I", 4251.99, 0),
    line("Cr I", 4255.53, 0),
    line("Fe I", 4261.67, 0),
    line("Fe I", 4272.96, 0),
    line("Cr I", 4276.00, 0),
    line("Cr I", 4290.93, 0),
    line("G band", 4301.20, 6),
    line("Fe I", 4316.30, 0),
    line("Fe I", 4326.98, 0),
    line("Hγ", 4341.68, 8),
    line("Fe I", 4384.78, 3),
    line("Ti II", 4396.26, 0),
    line("Fe I", 4405.99, 0),
    line("Fe I", 4416.36, 0),
    line("Ti II", 4418.96, 0),
    line("Ca I", 4426.68, 0),
    line("Ca I", 4436.21, 0),
    line("Ti II", 4445.05, 0),
    line("Ca I", 4456.03, 0),
    line("Fe I", 4460.37, 0),
    line("Ti II", 4469.74, 0),
    line("He I", 4472.73, 0),
    line("Fe I", 4477.28, 0),
    line("Fe I", 4495.82, 0),
    line("Ti II", 4502.53, 0),
    line("Fe I", 4529.88, 0),
    line("Ti II", 4535.24, 0),
    line("Ti II", 4550.90, 0),
    line("Ba II", 4555.31, 0),
    line("Ti II", 4573.25, 0),
    line("Fe II", 4585.12, 0),
    line("Fe I", 4668.76, 0),
    line("Mg I", 4704.31, 0),
    line("Fe I", 4738.09, 0),
    line("Hβ", 4862.68, 9),
    line("Fe I", 4872.68, 0),
    line("Fe I", 4892.86, 0),
    line("Fe I", 4921.87, 0),
    line("Fe II", 4925.29, 0),
    line("Ba II", 4935.46, 0),
    line("Fe I", 4958.98, 0),
    line("Ti I", 4983.12, 0),
    line("Ti I", 4992.46, 0),
    line("Fe I", 5007.52, 0),
    line("Fe I", 5013.47, 0),
    line("Fe II", 5019.84, 0),
    line("Fe I", 5043.17, 0),
    line("Fe I", 5051.23, 0),
    line("Ti I", 5066.06, 0),
    line("Fe I", 5111.83, 0),
    line("Fe I", 5140.89, 0),
    line("Fe I", 5152.27, 0),
    line("Mg b", 5168.76, 4),
    line("Mg b", 5174.13, 5),
    line("Mg b", 5185.05, 7),
    line("Ti II", 5190.14, 0),
    line("Fe I", 5192.91, 0),
    line("Cr I", 5207.49, 0),
    line("Fe I", 5228.65, 0),
    line("Fe I", 5234.40, 0),
    line("Fe I", 5268.03, 0),
    line("Fe I", 5271.00, 4),
    line("Fe II", 5277.47, 0),
    line("Fe II", 5318.10, 0),
    line("Fe I", 5329.52, 2),
    line("Ti II", 5338.25, 0),
    line("Fe I", 5341.42, 0),
    line("Fe I", 5368.96, 0),
    line("Fe I", 5372.98, 0),
    line("Fe I", 5384.87, 0),
    line("Fe I", 5398.63, 0),
    line("Fe I", 5407.27, 0),
    line("Fe I", 5416.71, 0),
    line("Fe I", 5425.58, 0),
    line("Fe I", 5431.21, 0),
    line("Fe I", 5448.43, 0),
    line("Fe I", 5457.13, 0),
    line("Ni I", 5478.42, 0),
    line("Mg I", 5529.94, 0),
    line("Ca I", 5590.30, 0),
    line("Na D", 5891.58, 6),
    line("Na D", 5897.56, 7),
    line("Hα", 6564.61, 9),
    line("Li I", 6709.66, 0),
    line("Ca II", 8500.36, 5),
    line("Ca II", 8544.44, 7),
    line("Ca II", 8664.52, 6),
];

/// Largest distance of a feature from the centre of its line, Å.
///
/// It allows for a resolution element at R 1800 and the width of the line. Balmer lines have wings, and bands extend
/// over a range.
fn reach_aa(line: &SpectralLine) -> f64 {
    match line.name {
        name if name.starts_with('H') && !name.starts_with("He") => 20.0,
        "G band" => 12.0,
        _ => 3.0,
    }
}

/// The line of a feature at rest, or `None` if no line is near: the line with the smallest distance in units of its
/// reach.
pub fn identify(wave_vac_aa: f64) -> Option<&'static SpectralLine> {
    let relative_distance = |line: &SpectralLine| (line.wave_vac_aa - wave_vac_aa).abs() / reach_aa(line);
    LINES
        .iter()
        .filter(|line| relative_distance(line) <= 1.0)
        .min_by(|a, b| relative_distance(a).total_cmp(&relative_distance(b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrum::air_vacuum::air_to_vacuum_aa;

    /// Air wavelengths of these lines from the NIST Atomic Spectra Database.
    const AIR_AA: [f64; 108] = [
        3933.66, 3968.47, 4005.24, 4030.75, 4045.81, 4063.59, 4071.74, 4077.71, 4101.73, 4118.55, 4132.06, 4143.87,
        4156.80, 4163.65, 4187.04, 4199.10, 4202.03, 4215.52, 4226.73, 4233.17, 4235.94, 4246.82, 4250.79, 4254.33,
        4260.47, 4271.76, 4274.80, 4289.72, 4315.09, 4325.76, 4340.46, 4383.55, 4395.03, 4404.75, 4415.12, 4417.72,
        4425.44, 4434.96, 4443.80, 4454.78, 4459.12, 4468.49, 4471.48, 4476.02, 4494.56, 4501.27, 4528.61, 4533.97,
        4549.62, 4554.03, 4571.97, 4583.84, 4667.45, 4702.99, 4736.77, 4861.32, 4871.32, 4891.49, 4920.50, 4923.92,
        4934.08, 4957.60, 4981.73, 4991.07, 5006.12, 5012.07, 5018.44, 5041.76, 5049.82, 5064.65, 5110.41, 5139.46,
        5150.84, 5167.32, 5172.68, 5183.60, 5188.69, 5191.46, 5206.04, 5227.19, 5232.94, 5266.56, 5269.54, 5276.00,
        5316.62, 5328.04, 5336.77, 5339.93, 5367.47, 5371.49, 5383.37, 5397.13, 5405.77, 5415.20, 5424.07, 5429.70,
        5446.92, 5455.61, 5476.90, 5528.40, 5588.75, 5889.95, 5895.92, 6562.80, 6707.81, 8498.02, 8542.09, 8662.14,
    ];

    #[test]
    fn vacuum_wavelengths_agree_with_air() {
        let lines = LINES.iter().filter(|l| l.name != "G band");
        for (line, air) in lines.zip(AIR_AA) {
            let vacuum = air_to_vacuum_aa(air);
            assert!((line.wave_vac_aa - vacuum).abs() < 0.05, "{} {} {vacuum}", line.name, line.wave_vac_aa);
        }
        assert_eq!(LINES.len(), AIR_AA.len() + 1);
        assert!(LINES.windows(2).all(|w| w[0].wave_vac_aa < w[1].wave_vac_aa));
    }
    #[test]
    fn features_belong_to_the_nearest_line_within_reach() {
        let name = |wave| identify(wave).map(|line| line.name);
        assert_eq!(name(4862.0), Some("Hβ"));
        assert_eq!(name(4850.0), Some("Hβ"), "its wing");
        assert_eq!(name(4873.0), Some("Fe I"), "nearer to iron than its wing's reach");
        assert_eq!(name(5184.0), Some("Mg b"));
        assert_eq!(name(4700.0), None);
    }
}
