//! From the network's labels a step towards those at which the synthetic spectrum fits the star.
//!
//! Real stars differ from synthetic spectra in the same ways over and over: what those ways are is learned from the lesson's
//! spectra, without their labels. What is left of a star's discrepancy is laid to its labels, by generalised least squares
//! about the network's own, which are known to within its errors.

use crate::model::emulator::{EMULATOR_LABELS, usual_labels};
use crate::model::weights::{Tensors, WeightsError};
use crate::preprocess::stats::median;
use crate::retrieve::axes::{dot, principal};
use crate::task::cholesky::Square;
use crate::task::discrepancy::{BINS, Discrepancy, PIXELS_A_BIN, STEPS};

/// Most ways in which real stars differ that are learned; half as many as there are stars at most.
const WAYS: usize = 10;

/// Rounds of the search for them.
const ROUNDS: usize = 30;

/// What else a star differs by in each pixel, for itself, in units of the usual difference.
const OWN: f64 = 0.5;

/// How well the network's labels are known on real stars: σ of teff (K), logg, feh, alpha_fe on MILES, and how far the other
/// labels scatter about the usual ones.
const KNOWN: [f64; EMULATOR_LABELS] = [154.0, 0.32, 0.17, 0.10, 0.20, 0.15, 0.20];

/// Part of the step that is taken: network and emulator know the same grid, so the step is less sure than it looks.
const PART: f64 = 0.5;

/// Most that a label is moved by, in units of [`KNOWN`].
const MOST: f64 = 3.0;

/// Colours beyond this many standard deviations count as so many.
const MOST_COLOUR: f64 = 4.0;

/// How real stars differ from synthetic ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Refiner {
    /// Median difference, `[BINS]`, in units of the continuum.
    typical: Vec<f32>,
    /// Orthonormal ways in which stars differ beside that, `[k][BINS]`.
    ways: Vec<f32>,
    /// Variance along each, in squares of the usual difference.
    variances: Vec<f32>,
    /// Median of the colours and their standard deviation, robustly; 0 for the latter where there is no colour.
    colours: [f32; 2],
}

/// A star that is refined.
#[derive(Debug, Clone, Copy)]
pub struct Star<'a> {
    /// Against the emulator at the network's labels.
    pub discrepancy: &'a Discrepancy,
    /// Those labels: Teff (K), log g, [Fe/H], [α/Fe].
    pub labels: [f64; 4],
    /// The labels that the step starts from.
    pub from: [f64; 4],
    /// S/N a model pixel, if it can be told.
    pub snr: Option<f64>,
}

impl Star<'_> {
    /// The difference at the labels that the step starts from, to first order.
    fn difference(&self) -> Vec<f64> {
        let usual = |[teff, logg, feh, alpha]: [f64; 4]| usual_labels(teff, logg, feh, alpha).0;
        let (there, here) = (usual(self.from), usual(self.labels));
        let moved: [f64; EMULATOR_LABELS] = std::array::from_fn(|i| (there[i] - here[i]) / STEPS[i]);
        let Discrepancy { difference, slopes, .. } = self.discrepancy;
        let change =
            |bin: usize| (0..EMULATOR_LABELS).map(|i| moved[i] * f64::from(slopes[i * BINS + bin])).sum::<f64>();
        difference.iter().enumerate().map(|(bin, d)| f64::from(*d) - change(bin)).collect()
    }

    /// The same less the typical one, in units of the usual difference; 0 where nothing was measured.
    fn whitened(&self, typical: &[f32]) -> Vec<f64> {
        let unit = self.discrepancy.usual;
        let known = |(d, t): (f64, &f32)| if d.is_finite() { (d - f64::from(*t)) / unit } else { 0.0 };
        self.difference().into_iter().zip(typical).map(known).collect()
    }
}

impl Refiner {
    /// Learns from spectra of the instrument that is taught. `None` for fewer than four.
    pub fn learn(stars: &[Star]) -> Option<Self> {
        if stars.len() < 4 {
            return None;
        }
        let differences: Vec<Vec<f64>> = stars.iter().map(Star::difference).collect();
        let middle = |bin: usize| {
            let mut all: Vec<f64> = differences.iter().map(|d| d[bin]).filter(|d| d.is_finite()).collect();
            median(&mut all).unwrap_or(0.0) as f32
        };
        let typical: Vec<f32> = (0..BINS).map(middle).collect();
        let rows: Vec<Vec<f64>> = stars.iter().map(|star| star.whitened(&typical)).collect();
        let (ways, variances) = principal(&rows, WAYS.min(stars.len() / 2), ROUNDS);
        let mut colours: Vec<f64> = stars.iter().filter_map(|star| star.discrepancy.colour).collect();
        let centre = median(&mut colours).unwrap_or(0.0);
        let mut off: Vec<f64> = colours.iter().map(|c| (c - centre).abs()).collect();
        let spread = if 2 * colours.len() < stars.len() { 0.0 } else { median(&mut off).unwrap_or(0.0) / 0.6745 };
        Some(Self {
            typical,
            ways: ways.into_iter().flatten().map(|v| v as f32).collect(),
            variances: variances.into_iter().map(|v| v as f32).collect(),
            colours: [centre as f32, spread as f32],
        })
    }

    /// What is added to Teff (K), log g, [Fe/H], [α/Fe].
    pub fn step(&self, star: &Star) -> [f64; 4] {
        let unit = star.discrepancy.usual;
        let difference = star.whitened(&self.typical);
        let slopes: Vec<Vec<f64>> = star
            .discrepancy
            .slopes
            .chunks_exact(BINS)
            .map(|slope| {
                let there = slope.iter().zip(&star.discrepancy.difference);
                there.map(|(s, d)| if d.is_finite() && s.is_finite() { f64::from(*s) / unit } else { 0.0 }).collect()
            })
            .collect();
        let noise = star.snr.filter(|snr| *snr > 0.0).map_or(0.0, |snr| 1.0 / (snr * unit));
        let white = (OWN * OWN + noise * noise) / PIXELS_A_BIN as f64;
        // Along each way less is believed than across: (Σ λ v vᵀ + w)⁻¹ = (1 − Σ λ/(λ + w) v vᵀ) / w.
        let along = |values: &[f64]| -> Vec<f64> {
            let way = |way: &[f32]| values.iter().zip(way).map(|(a, b)| a * f64::from(*b)).sum();
            self.ways.chunks_exact(BINS).map(way).collect()
        };
        let doubt: Vec<f64> = self.variances.iter().map(|v| f64::from(*v) / (f64::from(*v) + white)).collect();
        let product = |(a, a_along): (&[f64], &[f64]), (b, b_along): (&[f64], &[f64])| {
            let doubted: f64 = doubt.iter().zip(a_along.iter().zip(b_along)).map(|(d, (a, b))| d * a * b).sum();
            (dot(a, b) - doubted) / white
        };
        let slopes_along: Vec<Vec<f64>> = slopes.iter().map(|slope| along(slope)).collect();
        let difference_along = along(&difference);
        let of = |i: usize| (slopes[i].as_slice(), slopes_along[i].as_slice());
        let known = |i: usize| KNOWN[i] / STEPS[i];
        let normal =
            Square::of(EMULATOR_LABELS, |i, j| product(of(i), of(j)) + if i == j { known(i).powi(-2) } else { 0.0 });
        let sum: Vec<f64> = (0..EMULATOR_LABELS).map(|i| product(of(i), (&difference, &difference_along))).collect();
        let Some(factor) = normal.factor() else { return [0.0; 4] };
        let step = factor.solve(&sum);
        std::array::from_fn(|i| PART * (step[i] * STEPS[i]).clamp(-MOST * KNOWN[i], MOST * KNOWN[i]))
    }

    /// The colour in standard deviations; 0 where it is not known.
    pub fn colour(&self, discrepancy: &Discrepancy) -> f64 {
        let [centre, spread] = self.colours.map(f64::from);
        let of = |colour: f64| ((colour - centre) / spread).clamp(-MOST_COLOUR, MOST_COLOUR);
        discrepancy.colour.filter(|_| spread > 0.0).map_or(0.0, of)
    }

    /// Adds its arrays to `tensors` under `{prefix}`.
    pub fn store(&self, tensors: &mut Tensors, prefix: &str) {
        let k = self.variances.len();
        tensors.insert(&format!("{prefix}typical"), &[BINS], self.typical.clone());
        tensors.insert(&format!("{prefix}ways"), &[k, BINS], self.ways.clone());
        tensors.insert(&format!("{prefix}variances"), &[k], self.variances.clone());
        tensors.insert(&format!("{prefix}colours"), &[2], self.colours.to_vec());
    }

    /// Its arrays under `{prefix}`; `None` where there are none.
    pub fn load(tensors: &Tensors, prefix: &str) -> Result<Option<Self>, WeightsError> {
        if !tensors.names().any(|name| name.starts_with(prefix)) {
            return Ok(None);
        }
        let name = format!("{prefix}variances");
        let shape = tensors.shape(&name)?;
        let &[k] = shape else {
            return Err(WeightsError::Shape { name, found: shape.to_vec(), expected: vec![WAYS] });
        };
        let variances = tensors.get(&name, &[k])?.to_vec();
        let colours = tensors.get(&format!("{prefix}colours"), &[2])?;
        if k > WAYS || variances.iter().any(|v| *v < 0.0) || colours[1] < 0.0 {
            return Err(WeightsError::NotFinite(name));
        }
        Ok(Some(Self {
            typical: tensors.get(&format!("{prefix}typical"), &[BINS])?.to_vec(),
            ways: tensors.get(&format!("{prefix}ways"), &[k, BINS])?.to_vec(),
            variances,
            colours: [colours[0], colours[1]],
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A star made by formula.
    struct Made {
        discrepancy: Discrepancy,
        labels: [f64; 4],
        from: [f64; 4],
        snr: Option<f64>,
    }

    impl Made {
        fn new(i: usize) -> Self {
            let of = |i: usize| i as f64;
            let way = |j: usize, bin: usize| {
                let amplitude = 0.04 / 2.5f64.powi(j as i32) * (1.7 * of(i) * of(j + 1) + of(j)).sin();
                amplitude * (0.031 * of(j + 1) * of(bin)).sin()
            };
            let difference = |bin: usize| match (i, bin) {
                (5, 100..120) => f32::NAN,
                _ => (0.01 * (0.05 * of(bin)).sin() + (0..5).map(|j| way(j, bin)).sum::<f64>()) as f32,
            };
            let slope = |k: usize, bin: usize| (0.01 * (0.021 * of(k + 2) * of(bin) + 0.3 * of(k)).sin()) as f32;
            let labels = [4800.0 + 30.0 * of(i), 2.5 + 0.05 * of(i), -0.6 + 0.02 * of(i), 0.1];
            Self {
                discrepancy: Discrepancy {
                    difference: (0..BINS).map(difference).collect(),
                    slopes: (0..EMULATOR_LABELS).flat_map(|k| (0..BINS).map(move |bin| slope(k, bin))).collect(),
                    usual: 0.02 + 0.001 * of(i),
                    colour: Some(0.01 * of(7 * i % 11) - 0.02),
                },
                labels,
                from: [labels[0] + 40.0 - 3.0 * of(i), labels[1] + 0.1, labels[2] - 0.03, labels[3] + 0.01],
                snr: i.is_multiple_of(3).then(|| 50.0 + of(i)),
            }
        }

        fn star(&self) -> Star<'_> {
            Star { discrepancy: &self.discrepancy, labels: self.labels, from: self.from, snr: self.snr }
        }
    }

    /// Numbers of NumPy, which inverts the whole covariance of the bins.
    #[test]
    fn a_step_is_that_of_least_squares() {
        let made: Vec<Made> = (0..24).map(Made::new).collect();
        let stars: Vec<Star> = made.iter().map(Made::star).collect();
        let refiner = Refiner::learn(&stars).expect("enough stars");
        let near = |got: [f64; 4], want: [f64; 4]| {
            got.iter().zip(want).zip(KNOWN).all(|((got, want), known)| (got - want).abs() < 1e-3 * known)
        };
        // Three labels of the network are wrong by so many steps.
        let off = |i: usize, by: [f32; 3]| {
            let mut made = Made::new(i);
            let Discrepancy { difference, slopes, .. } = &mut made.discrepancy;
            for (k, by) in by.into_iter().enumerate() {
                difference.iter_mut().zip(&slopes[k * BINS..]).for_each(|(d, slope)| *d += by * slope);
            }
            refiner.step(&made.star())
        };
        let wrong = [0.7, 1.5, -1.0];
        assert!(near(off(0, [0.0; 3]), [-12.1003172, 1.7848645e-3, 1.17629059e-4, 1.4e-6]), "{:?}", off(0, [0.0; 3]));
        assert!(near(off(0, wrong), [5.2419211, 0.076581121, -0.02486221, 5.0e-6]), "{:?}", off(0, wrong));
        assert!(near(off(5, wrong), [23.705705, 0.073438621, -0.024941384, -4.25e-5]), "{:?}", off(5, wrong));
        assert!(near(off(11, wrong), [19.74538, 0.075228601, -0.02496901, 4.75e-5]), "{:?}", off(11, wrong));
        assert_eq!(off(11, [0.0, 40.0, 0.0])[1], PART * MOST * KNOWN[1], "no label is moved further");
        assert!((refiner.colour(&made[0].discrepancy) + 1.1241666667).abs() < 1e-5);
        assert!(Refiner::learn(&stars[..3]).is_none());
    }
}
