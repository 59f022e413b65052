//! The emulator: interpolates the synthetic grid between its nodes, in a file of a few megabytes.
//!
//! A small network computes, from seven labels, the coefficients of three bases of principal components. They describe
//! flux over continuum at R = 5000, the logarithm of the continuum, and the logarithm of the spectral energy
//! distribution (SED). The evaluation does without burn's tensors: one spectrum takes a few hundred thousand
//! multiplications on the calling thread.

use crate::nn::weights::{Tensors, WeightsError};
use crate::spectrum::air_vacuum::air_to_vacuum_aa;

/// Number of input labels: teff (K), logg, feh, `alpha_fe`, `c_fe`, `n_fe` (dex), vmic (km/s).
pub const EMULATOR_LABELS: usize = 7;

/// First wavelength and step of the spectrum: Å in air, at rest.
pub const EMULATOR_AXIS_AIR_AA: (f64, f64) = (3900.0, 0.3);

/// First bin and step of the spectral energy distribution, nm.
pub const EMULATOR_SED_AXIS_NM: (f64, f64) = (330.5, 1.0);

/// Range of each label over the nodes of the grid. The emulator is not valid outside.
pub const EMULATOR_RANGES: [(f64, f64); EMULATOR_LABELS] =
    [(3900.0, 7600.0), (-0.1, 5.15), (-3.5, 0.55), (-0.2, 0.55), (-0.95, 1.2), (-0.2, 0.8), (0.4, 2.9)];

/// Resolving power of the spectrum.
pub const EMULATOR_RESOLVING_POWER: f64 = 5000.0;

/// All seven labels of a typical star with these four, and whether the four lie inside the grid.
///
/// [C/Fe] and [N/Fe] follow log g, as in the dredge-up of giants; microturbulence follows Teff and log g. The relations
/// are medians of the grid's nodes, with a scatter of 0.2 dex, 0.15 dex and 0.2 km/s. Labels outside the grid move to
/// its edge.
pub fn with_default_labels(teff_k: f64, logg: f64, feh: f64, alpha_fe: f64) -> ([f64; EMULATOR_LABELS], bool) {
    let clamped = |i: usize, v: f64| v.clamp(EMULATOR_RANGES[i].0, EMULATOR_RANGES[i].1);
    let input = [teff_k, logg, feh, alpha_fe];
    let [teff_k, logg, feh, alpha_fe] = std::array::from_fn(|i| clamped(i, input[i]));
    let (delta_teff, delta_logg) = ((teff_k - 5500.0) / 1000.0, logg - 4.0);
    let c_fe = -0.1 * (3.5 - logg).max(0.0);
    let n_fe = if logg < 3.1 { 0.4 - 0.06 * logg.max(0.0) } else { 0.0 };
    let vmic = 1.18 + 0.38 * delta_teff - 0.26 * delta_logg + 0.17 * delta_teff * delta_teff
        - 0.01 * delta_logg * delta_logg
        + 0.05 * delta_teff * delta_logg;
    let labels = [teff_k, logg, feh, alpha_fe, clamped(4, c_fe), clamped(5, n_fe), clamped(6, vmic)];
    (labels, labels.starts_with(&input))
}

/// A basis of principal components: a mean curve and the directions of variation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Basis {
    /// Mean curve, `[points]`.
    pub mean: Vec<f32>,
    /// Directions, `[k][points]` in one vector; a coefficient of 1 is one standard deviation over the nodes.
    pub components: Vec<f32>,
}

impl Basis {
    /// Number of components.
    pub fn len(&self) -> usize {
        self.components.len() / self.mean.len().max(1)
    }

    /// True for a basis without components.
    pub fn is_empty(&self) -> bool {
        self.components.is_empty()
    }

    /// The curve with these coefficients, `[points]`.
    pub fn curve(&self, coefficients: &[f32]) -> Vec<f32> {
        let mut curve = self.mean.clone();
        for (weight, component) in coefficients.iter().zip(self.components.chunks_exact(self.mean.len().max(1))) {
            curve.iter_mut().zip(component).for_each(|(c, v)| *c += weight * v);
        }
        curve
    }

    fn load(tensors: &Tensors, name: &str) -> Result<Self, WeightsError> {
        let key = format!("{name}.components");
        let shape = tensors.shape(&key)?.to_vec();
        let points = shape.last().copied().unwrap_or(0);
        Ok(Self {
            components: tensors.get(&key, &shape)?.to_vec(),
            mean: tensors.get(&format!("{name}.mean"), &[points])?.to_vec(),
        })
    }

    #[cfg(feature = "train")]
    fn store(&self, tensors: &mut Tensors, name: &str) {
        tensors.insert(&format!("{name}.mean"), &[self.mean.len()], self.mean.clone());
        tensors.insert(&format!("{name}.components"), &[self.len(), self.mean.len()], self.components.clone());
    }
}

/// A linear layer, weights `[out][in]`.
#[derive(Debug, Clone, PartialEq)]
struct Layer {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// The emulator: labels → spectrum and spectral energy distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Emulator {
    /// Mean and scale of each of the [`features`], for their standardisation.
    input_scaling: [(f32, f32); EMULATOR_LABELS],
    layers: Vec<Layer>,
    /// Flux over continuum.
    pub lines: Basis,
    /// Natural logarithm of the continuum over its mean, on a uniform grid over the same range.
    pub continuum: Basis,
    /// Natural logarithm of the spectral energy distribution over its mean.
    pub sed: Basis,
}

/// Spectra computed by the emulator. Fluxes are in arbitrary units, each with a mean of about 1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EmulatorSpectra {
    /// Flux over continuum on [`Emulator::wave_vac_aa`], R = 5000.
    pub lines: Vec<f32>,
    /// Continuum on a coarser uniform grid over the same range of air wavelengths.
    pub continuum: Vec<f32>,
    /// Spectral energy distribution on [`Emulator::sed_wave_nm`].
    pub sed: Vec<f32>,
}

/// Input of the network: the inverse temperature θ = 5040 K / Teff and the other labels unchanged.
///
/// Line strengths are closer to linear in θ than in Teff.
pub fn features(labels: &[f64; EMULATOR_LABELS]) -> [f32; EMULATOR_LABELS] {
    std::array::from_fn(|i| if i == 0 { 5040.0 / labels[0] } else { labels[i] } as f32)
}

/// Dot product with eight partial sums. Floating-point addition is not associative, so a single sum cannot be
/// vectorised.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut sums = [0f32; 8];
    for (a, b) in a.iter().zip(b) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum::<f32>()
}

/// A curve interpolated linearly from a coarse uniform grid to `n` uniform points over the same range.
///
/// Continuum and spectrum are both uniform in air wavelength, so the position in the continuum needs no search.
pub fn resampled(levels: &[f32], n: usize) -> impl Iterator<Item = f64> {
    let last = levels.len().saturating_sub(1);
    let step = last as f64 / (n.max(2) - 1) as f64;
    (0..n).map(move |i| {
        let position = i as f64 * step;
        let (j, t) = (position as usize, position.fract());
        let (a, b) = (f64::from(levels[j.min(last)]), f64::from(levels[(j + 1).min(last)]));
        a + (b - a) * t
    })
}

/// `SiLU`, x · σ(x): the network's activation. It is smooth, as spectra are smooth functions of their labels.
fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

impl Emulator {
    /// Loads an emulator from its file.
    pub fn load(tensors: &Tensors) -> Result<Self, WeightsError> {
        let (mean, scale) =
            (tensors.get("input.mean", &[EMULATOR_LABELS])?, tensors.get("input.scale", &[EMULATOR_LABELS])?);
        let mut layers = Vec::new();
        while let Ok(shape) = tensors.shape(&format!("network.{}.weight", layers.len())) {
            let name = format!("network.{}", layers.len());
            let width = shape.first().copied().unwrap_or(0);
            layers.push(Layer {
                weight: tensors.get(&format!("{name}.weight"), shape)?.to_vec(),
                bias: tensors.get(&format!("{name}.bias"), &[width])?.to_vec(),
            });
        }
        let basis = |name| Basis::load(tensors, name);
        let emulator = Self {
            input_scaling: std::array::from_fn(|i| (mean[i], scale[i])),
            layers,
            lines: basis("lines")?,
            continuum: basis("continuum")?,
            sed: basis("sed")?,
        };
        let expected = emulator.lines.len() + emulator.continuum.len() + emulator.sed.len();
        let found = emulator.layers.last().map_or(0, |l| l.bias.len());
        match found == expected {
            true => Ok(emulator),
            false => Err(WeightsError::Shape {
                name: "network's last bias".into(),
                found: vec![found],
                expected: vec![expected],
            }),
        }
    }

    /// Adds bases and standardisation to `tensors`, which already contains the network's layers.
    #[cfg(feature = "train")]
    pub fn store_bases(
        tensors: &mut Tensors,
        input_scaling: &[(f32, f32)],
        lines: &Basis,
        continuum: &Basis,
        sed: &Basis,
    ) {
        tensors.insert("input.mean", &[input_scaling.len()], input_scaling.iter().map(|s| s.0).collect());
        tensors.insert("input.scale", &[input_scaling.len()], input_scaling.iter().map(|s| s.1).collect());
        lines.store(tensors, "lines");
        continuum.store(tensors, "continuum");
        sed.store(tensors, "sed");
    }

    /// Wavelengths of the spectrum: Å in vacuum, at rest.
    pub fn wave_vac_aa(&self) -> Vec<f64> {
        let (first, step) = EMULATOR_AXIS_AIR_AA;
        (0..self.lines.mean.len()).map(|i| air_to_vacuum_aa(first + step * i as f64)).collect()
    }

    /// Wavelengths of the spectral energy distribution, nm.
    pub fn sed_wave_nm(&self) -> Vec<f64> {
        let (first, step) = EMULATOR_SED_AXIS_NM;
        (0..self.sed.mean.len()).map(|i| first + step * i as f64).collect()
    }

    /// Coefficients of the three bases, in one vector.
    pub fn coefficients(&self, labels: &[f64; EMULATOR_LABELS]) -> Vec<f32> {
        let scaled_features = features(labels).into_iter().zip(self.input_scaling);
        let mut x: Vec<f32> = scaled_features.map(|(f, (mean, scale))| (f - mean) / scale).collect();
        for (i, layer) in self.layers.iter().enumerate() {
            let unit_output = |(weights, bias): (&[f32], &f32)| bias + dot(weights, &x);
            let next: Vec<f32> = layer.weight.chunks_exact(x.len().max(1)).zip(&layer.bias).map(unit_output).collect();
            x = if i + 1 < self.layers.len() { next.into_iter().map(silu).collect() } else { next };
        }
        x
    }

    /// Spectra for these labels. Inside the grid's range the manifest states their accuracy; outside they are not
    /// valid.
    pub fn spectrum(&self, labels: &[f64; EMULATOR_LABELS]) -> EmulatorSpectra {
        let coefficients = self.coefficients(labels);
        let [lines, continuum] = self.optical(&coefficients);
        EmulatorSpectra { lines, continuum, sed: self.sed(&coefficients) }
    }

    /// Flux over continuum, and continuum, for these coefficients.
    pub fn optical(&self, coefficients: &[f32]) -> [Vec<f32>; 2] {
        let [lines, continuum, _] = self.split_coefficients(coefficients);
        let lines = self.lines.curve(lines).into_iter().map(|v| v.max(0.0)).collect();
        [lines, self.continuum.curve(continuum).into_iter().map(f32::exp).collect()]
    }

    /// Spectral energy distribution for these coefficients.
    pub fn sed(&self, coefficients: &[f32]) -> Vec<f32> {
        self.sed.curve(self.split_coefficients(coefficients)[2]).into_iter().map(f32::exp).collect()
    }

    /// Flux for these labels on [`Emulator::wave_vac_aa`], with a mean of about 1.
    pub fn flux(&self, labels: &[f64; EMULATOR_LABELS]) -> Vec<f64> {
        let [lines, continuum] = self.optical(&self.coefficients(labels));
        let level = resampled(&continuum, lines.len());
        lines.iter().zip(level).map(|(line, level)| f64::from(*line) * level).collect()
    }

    fn split_coefficients<'c>(&self, coefficients: &'c [f32]) -> [&'c [f32]; 3] {
        let (lines, rest) = coefficients.split_at(self.lines.len().min(coefficients.len()));
        let (continuum, sed) = rest.split_at(self.continuum.len().min(rest.len()));
        [lines, continuum, sed]
    }
}
