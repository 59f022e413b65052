//! The emulator: the synthetic grid between its nodes, in a few megabytes.
//!
//! A small network gives, from seven labels, the coefficients of three bases of principal components: flux over continuum
//! at R = 5000, the logarithm of the continuum, and the logarithm of the spectral energy distribution. It is evaluated
//! without burn's tensors: one spectrum is a few hundred thousand multiplications, on whatever thread asks for it.

use super::weights::{Tensors, WeightsError};
use crate::spectrum::air_vacuum::air_to_vacuum_aa;

/// Number of labels that it takes: teff (K), logg, feh, alpha_fe, c_fe, n_fe (dex), vmic (km/s).
pub const EMULATOR_LABELS: usize = 7;

/// First wavelength and step of its spectrum, Å in air, at rest.
pub const EMULATOR_AXIS_AIR_AA: (f64, f64) = (3900.0, 0.3);

/// First bin and step of its energy distribution, nm.
pub const EMULATOR_SED_AXIS_NM: (f64, f64) = (330.5, 1.0);

/// What the nodes of its grid span, label by label: beyond it the emulator is worth nothing.
pub const EMULATOR_RANGES: [(f64, f64); EMULATOR_LABELS] =
    [(3900.0, 7600.0), (-0.1, 5.15), (-3.5, 0.55), (-0.2, 0.55), (-0.95, 1.2), (-0.2, 0.8), (0.4, 2.9)];

/// Resolving power of its spectrum.
pub const EMULATOR_RESOLVING_POWER: f64 = 5000.0;

/// All labels of a usual star with these four, and whether it lies inside the grid. Carbon and nitrogen go with gravity as the
/// dredge-up of giants takes them, microturbulence goes with both: medians of the grid's own nodes, about which they
/// scatter by 0.2 dex, 0.15 dex and 0.2 km/s. What lies outside of the grid is moved to its edge.
pub fn usual_labels(teff_k: f64, logg: f64, feh: f64, alpha_fe: f64) -> ([f64; EMULATOR_LABELS], bool) {
    let inside = |i: usize, v: f64| v.clamp(EMULATOR_RANGES[i].0, EMULATOR_RANGES[i].1);
    let given = [teff_k, logg, feh, alpha_fe];
    let [teff_k, logg, feh, alpha_fe] = std::array::from_fn(|i| inside(i, given[i]));
    let (hot, high) = ((teff_k - 5500.0) / 1000.0, logg - 4.0);
    let c_fe = -0.1 * (3.5 - logg).max(0.0);
    let n_fe = if logg < 3.1 { 0.4 - 0.06 * logg.max(0.0) } else { 0.0 };
    let vmic = 1.18 + 0.38 * hot - 0.26 * high + 0.17 * hot * hot - 0.01 * high * high + 0.05 * hot * high;
    let labels = [teff_k, logg, feh, alpha_fe, inside(4, c_fe), inside(5, n_fe), inside(6, vmic)];
    (labels, labels.starts_with(&given))
}

/// A mean and the directions in which curves differ from it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Basis {
    /// `[points]`.
    pub mean: Vec<f32>,
    /// `[k][points]`, one after the other; a coefficient of 1 is one standard deviation of the nodes.
    pub components: Vec<f32>,
}

impl Basis {
    /// Number of components.
    pub fn len(&self) -> usize {
        self.components.len() / self.mean.len().max(1)
    }

    /// True without components.
    pub fn is_empty(&self) -> bool {
        self.components.is_empty()
    }

    /// The curve of these coefficients, `[points]`.
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

/// Labels → spectrum and energy distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Emulator {
    /// What [`features`] are standardised by, mean and scale.
    standard: [(f32, f32); EMULATOR_LABELS],
    layers: Vec<Layer>,
    /// Flux over continuum.
    pub lines: Basis,
    /// ln of continuum over its mean, uniform over the same range.
    pub continuum: Basis,
    /// ln of the energy distribution over its mean.
    pub sed: Basis,
}

/// A spectrum of the emulator. Fluxes are in arbitrary units, each with a mean of about 1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Emulated {
    /// Flux over continuum on [`Emulator::wave_vac_aa`], R = 5000.
    pub lines: Vec<f32>,
    /// Continuum, uniform over the same range of air wavelengths, fewer points.
    pub continuum: Vec<f32>,
    /// Energy distribution on [`Emulator::sed_wave_nm`].
    pub sed: Vec<f32>,
}

/// What the network takes in: the inverse temperature θ = 5040 K / Teff, in which lines are more nearly linear, and the other
/// labels as they are.
pub fn features(labels: &[f64; EMULATOR_LABELS]) -> [f32; EMULATOR_LABELS] {
    std::array::from_fn(|i| if i == 0 { 5040.0 / labels[0] } else { labels[i] } as f32)
}

/// Sum of products, in eight sums at a time: floating-point addition has an order, and one sum cannot be vectorised.
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

/// A curve on `n` uniform points from one on fewer over the same range. Continuum and spectrum are uniform in air
/// wavelength both, so the continuum's place is a matter of arithmetic.
pub fn stretched(levels: &[f32], n: usize) -> impl Iterator<Item = f64> {
    let last = levels.len().saturating_sub(1);
    let step = last as f64 / (n.max(2) - 1) as f64;
    (0..n).map(move |i| {
        let at = i as f64 * step;
        let (j, t) = (at as usize, at.fract());
        let (a, b) = (f64::from(levels[j.min(last)]), f64::from(levels[(j + 1).min(last)]));
        a + (b - a) * t
    })
}

/// x · σ(x): the network's activation, smooth as spectra are in their labels.
fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

impl Emulator {
    /// From its file.
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
        let of = |name| Basis::load(tensors, name);
        let emulator = Self {
            standard: std::array::from_fn(|i| (mean[i], scale[i])),
            layers,
            lines: of("lines")?,
            continuum: of("continuum")?,
            sed: of("sed")?,
        };
        let wanted = emulator.lines.len() + emulator.continuum.len() + emulator.sed.len();
        let found = emulator.layers.last().map_or(0, |l| l.bias.len());
        match found == wanted {
            true => Ok(emulator),
            false => Err(WeightsError::Shape {
                name: "network's last bias".into(),
                found: vec![found],
                expected: vec![wanted],
            }),
        }
    }

    /// Adds bases and standardisation to `tensors`; the network's layers are there already.
    #[cfg(feature = "train")]
    pub fn store_bases(tensors: &mut Tensors, standard: &[(f32, f32)], lines: &Basis, continuum: &Basis, sed: &Basis) {
        tensors.insert("input.mean", &[standard.len()], standard.iter().map(|s| s.0).collect());
        tensors.insert("input.scale", &[standard.len()], standard.iter().map(|s| s.1).collect());
        lines.store(tensors, "lines");
        continuum.store(tensors, "continuum");
        sed.store(tensors, "sed");
    }

    /// The wavelengths of its spectrum, Å vacuum, at rest.
    pub fn wave_vac_aa(&self) -> Vec<f64> {
        let (first, step) = EMULATOR_AXIS_AIR_AA;
        (0..self.lines.mean.len()).map(|i| air_to_vacuum_aa(first + step * i as f64)).collect()
    }

    /// The wavelengths of its energy distribution, nm.
    pub fn sed_wave_nm(&self) -> Vec<f64> {
        let (first, step) = EMULATOR_SED_AXIS_NM;
        (0..self.sed.mean.len()).map(|i| first + step * i as f64).collect()
    }

    /// The coefficients of the three bases, one after the other.
    pub fn coefficients(&self, labels: &[f64; EMULATOR_LABELS]) -> Vec<f32> {
        let standard = features(labels).into_iter().zip(self.standard);
        let mut x: Vec<f32> = standard.map(|(f, (mean, scale))| (f - mean) / scale).collect();
        for (i, layer) in self.layers.iter().enumerate() {
            let row = |(weights, bias): (&[f32], &f32)| bias + dot(weights, &x);
            let next: Vec<f32> = layer.weight.chunks_exact(x.len().max(1)).zip(&layer.bias).map(row).collect();
            x = if i + 1 < self.layers.len() { next.into_iter().map(silu).collect() } else { next };
        }
        x
    }

    /// The spectrum of these labels. It is worth what the manifest says inside the grid's range and nothing outside.
    pub fn spectrum(&self, labels: &[f64; EMULATOR_LABELS]) -> Emulated {
        let coefficients = self.coefficients(labels);
        let [lines, continuum] = self.optical(&coefficients);
        Emulated { lines, continuum, sed: self.sed(&coefficients) }
    }

    /// Flux over continuum, and continuum, of these coefficients.
    pub fn optical(&self, coefficients: &[f32]) -> [Vec<f32>; 2] {
        let [lines, continuum, _] = self.blocks(coefficients);
        let lines = self.lines.curve(lines).into_iter().map(|v| v.max(0.0)).collect();
        [lines, self.continuum.curve(continuum).into_iter().map(f32::exp).collect()]
    }

    /// Energy distribution of these coefficients.
    pub fn sed(&self, coefficients: &[f32]) -> Vec<f32> {
        self.sed.curve(self.blocks(coefficients)[2]).into_iter().map(f32::exp).collect()
    }

    /// The flux of these labels on [`Emulator::wave_vac_aa`], mean about 1.
    pub fn flux(&self, labels: &[f64; EMULATOR_LABELS]) -> Vec<f64> {
        let [lines, continuum] = self.optical(&self.coefficients(labels));
        let level = stretched(&continuum, lines.len());
        lines.iter().zip(level).map(|(line, level)| f64::from(*line) * level).collect()
    }

    fn blocks<'c>(&self, coefficients: &'c [f32]) -> [&'c [f32]; 3] {
        let (lines, rest) = coefficients.split_at(self.lines.len().min(coefficients.len()));
        let (continuum, sed) = rest.split_at(self.continuum.len().min(rest.len()));
        [lines, continuum, sed]
    }
}
