//! Label update: one damped Gauss–Newton step from the network's labels towards the best-fitting synthetic spectrum.
//!
//! Real stars differ from synthetic spectra in a few recurring components. A principal-component analysis finds these
//! in the spectra of the labelled set, without their labels. Generalised least squares assigns the rest of a star's
//! residual to its labels. Its prior is the network's labels and their errors.

use crate::linalg::SymmetricMatrix;
use crate::linalg::{dot, principal_directions};
use crate::model::emulator::{EMULATOR_LABELS, with_default_labels};
use crate::nn::weights::{Tensors, WeightsError};
use crate::stats::median;
use crate::task::emulator_residual::{BINS, EmulatorResidual, LABEL_STEPS, PIXELS_PER_BIN};

/// Largest number of principal components of the residuals; the number is also at most half the number of stars.
const MAX_COMPONENTS: usize = 10;

/// Iterations of the power method.
const POWER_ITERATIONS: usize = 30;

/// Intrinsic scatter of a star per bin, in units of the expected residual RMS.
const INTRINSIC_SCATTER: f64 = 0.5;

/// Prior σ of the labels. teff (K), logg, feh, `alpha_fe`: error of the network's labels on MILES. `c_fe`, `n_fe`, vmic:
/// scatter about their default values.
const PRIOR_SIGMA: [f64; EMULATOR_LABELS] = [154.0, 0.32, 0.17, 0.10, 0.20, 0.15, 0.20];

/// Damping of the step: network and emulator share one grid of synthetic spectra, so the formal error is too small.
const DAMPING: f64 = 0.5;

/// Largest step of a label, in units of [`PRIOR_SIGMA`].
const MAX_STEP_SIGMA: f64 = 3.0;

/// Colours are clipped to this many standard deviations.
const MAX_COLOUR_SIGMA: f64 = 4.0;

/// The typical difference between real and synthetic spectra.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelUpdate {
    /// Median residual, `[BINS]`, in units of the continuum.
    median_residual: Vec<f32>,
    /// Orthonormal components of the remaining residuals, `[k][BINS]`.
    components: Vec<f32>,
    /// Variance along each component, in squares of the expected residual RMS.
    variances: Vec<f32>,
    /// Median of the colours.
    colour_centre: f32,
    /// Robust standard deviation of the colours; 0 where too few stars have a colour.
    colour_spread: f32,
}

/// Input of the label update.
#[derive(Debug, Clone, Copy)]
pub struct UpdateInput<'a> {
    /// Residual from the emulator at the network's labels.
    pub emulator_residual: &'a EmulatorResidual,
    /// The network's labels: Teff (K), log g, [Fe/H], [α/Fe].
    pub labels: [f64; 4],
    /// Labels at the start of the step.
    pub start_labels: [f64; 4],
    /// S/N per model pixel, if known.
    pub snr: Option<f64>,
}

impl UpdateInput<'_> {
    /// The residual at the starting labels, to first order.
    fn difference(&self) -> Vec<f64> {
        let with_default_labels = |[teff, logg, feh, alpha]: [f64; 4]| with_default_labels(teff, logg, feh, alpha).0;
        let (start, predicted) = (with_default_labels(self.start_labels), with_default_labels(self.labels));
        let n_steps: [f64; EMULATOR_LABELS] = std::array::from_fn(|i| (start[i] - predicted[i]) / LABEL_STEPS[i]);
        let EmulatorResidual { difference, changes_per_step, .. } = self.emulator_residual;
        let change = |bin: usize| {
            (0..EMULATOR_LABELS).map(|i| n_steps[i] * f64::from(changes_per_step[i * BINS + bin])).sum::<f64>()
        };
        difference.iter().enumerate().map(|(bin, d)| f64::from(*d) - change(bin)).collect()
    }

    /// The residual of [`Self::difference`] minus the median residual, in units of the expected residual RMS; 0 for a
    /// missing bin.
    fn whitened(&self, median_residual: &[f32]) -> Vec<f64> {
        let unit = self.emulator_residual.expected_rms;
        let whitened_bin = |(d, t): (f64, &f32)| if d.is_finite() { (d - f64::from(*t)) / unit } else { 0.0 };
        self.difference().into_iter().zip(median_residual).map(whitened_bin).collect()
    }
}

impl LabelUpdate {
    /// Fits the components to spectra of one instrument. `None` for fewer than four spectra.
    pub fn fit(stars: &[UpdateInput]) -> Option<Self> {
        if stars.len() < 4 {
            return None;
        }
        let differences: Vec<Vec<f64>> = stars.iter().map(UpdateInput::difference).collect();
        let bin_median = |bin: usize| {
            let mut all: Vec<f64> = differences.iter().map(|d| d[bin]).filter(|d| d.is_finite()).collect();
            median(&mut all).unwrap_or(0.0) as f32
        };
        let median_residual: Vec<f32> = (0..BINS).map(bin_median).collect();
        let rows: Vec<Vec<f64>> = stars.iter().map(|star| star.whitened(&median_residual)).collect();
        let (components, variances) =
            principal_directions(&rows, MAX_COMPONENTS.min(stars.len() / 2), POWER_ITERATIONS);
        let mut colours: Vec<f64> = stars.iter().filter_map(|star| star.emulator_residual.colour).collect();
        let centre = median(&mut colours).unwrap_or(0.0);
        let mut deviations: Vec<f64> = colours.iter().map(|c| (c - centre).abs()).collect();
        let spread =
            if 2 * colours.len() < stars.len() { 0.0 } else { median(&mut deviations).unwrap_or(0.0) / 0.6745 };
        Some(Self {
            median_residual,
            components: components.into_iter().flatten().map(|v| v as f32).collect(),
            variances: variances.into_iter().map(|v| v as f32).collect(),
            colour_centre: centre as f32,
            colour_spread: spread as f32,
        })
    }

    /// The step in Teff (K), log g, [Fe/H], [α/Fe].
    pub fn step(&self, star: &UpdateInput) -> [f64; 4] {
        let unit = star.emulator_residual.expected_rms;
        let difference = star.whitened(&self.median_residual);
        let changes_per_step: Vec<Vec<f64>> = star
            .emulator_residual
            .changes_per_step
            .chunks_exact(BINS)
            .map(|change| {
                let pairs = change.iter().zip(&star.emulator_residual.difference);
                pairs.map(|(s, d)| if d.is_finite() && s.is_finite() { f64::from(*s) / unit } else { 0.0 }).collect()
            })
            .collect();
        let noise = star.snr.filter(|snr| *snr > 0.0).map_or(0.0, |snr| 1.0 / (snr * unit));
        let white_variance = (INTRINSIC_SCATTER * INTRINSIC_SCATTER + noise * noise) / PIXELS_PER_BIN as f64;
        // Components have a larger variance, so less weight: (Σ λ v vᵀ + w)⁻¹ = (1 − Σ λ/(λ + w) v vᵀ) / w.
        let projections = |values: &[f64]| -> Vec<f64> {
            let project = |component: &[f32]| values.iter().zip(component).map(|(a, b)| a * f64::from(*b)).sum();
            self.components.chunks_exact(BINS).map(project).collect()
        };
        let shrinkage: Vec<f64> =
            self.variances.iter().map(|v| f64::from(*v) / (f64::from(*v) + white_variance)).collect();
        let product = |(a, a_projections): (&[f64], &[f64]), (b, b_projections): (&[f64], &[f64])| {
            let shrunk_product: f64 =
                shrinkage.iter().zip(a_projections.iter().zip(b_projections)).map(|(d, (a, b))| d * a * b).sum();
            (dot(a, b) - shrunk_product) / white_variance
        };
        let change_projections: Vec<Vec<f64>> = changes_per_step.iter().map(|change| projections(change)).collect();
        let difference_projections = projections(&difference);
        let change_pair = |i: usize| (changes_per_step[i].as_slice(), change_projections[i].as_slice());
        let prior_steps = |i: usize| PRIOR_SIGMA[i] / LABEL_STEPS[i];
        let normal = SymmetricMatrix::of(EMULATOR_LABELS, |i, j| {
            product(change_pair(i), change_pair(j)) + if i == j { prior_steps(i).powi(-2) } else { 0.0 }
        });
        let right_side: Vec<f64> =
            (0..EMULATOR_LABELS).map(|i| product(change_pair(i), (&difference, &difference_projections))).collect();
        let Some(factor) = normal.factor() else { return [0.0; 4] };
        let step = factor.solve(&right_side);
        std::array::from_fn(|i| {
            DAMPING
                * (step[i] * LABEL_STEPS[i]).clamp(-MAX_STEP_SIGMA * PRIOR_SIGMA[i], MAX_STEP_SIGMA * PRIOR_SIGMA[i])
        })
    }

    /// The colour in standard deviations; 0 where unknown.
    pub fn colour(&self, emulator_residual: &EmulatorResidual) -> f64 {
        let (centre, spread) = (f64::from(self.colour_centre), f64::from(self.colour_spread));
        let in_sigma = |colour: f64| ((colour - centre) / spread).clamp(-MAX_COLOUR_SIGMA, MAX_COLOUR_SIGMA);
        emulator_residual.colour.filter(|_| spread > 0.0).map_or(0.0, in_sigma)
    }

    /// Adds its arrays to `tensors` under `{prefix}`.
    pub fn store(&self, tensors: &mut Tensors, prefix: &str) {
        let k = self.variances.len();
        tensors.insert(&format!("{prefix}typical"), &[BINS], self.median_residual.clone());
        // Array name of format 2.
        tensors.insert(&format!("{prefix}ways"), &[k, BINS], self.components.clone());
        tensors.insert(&format!("{prefix}variances"), &[k], self.variances.clone());
        tensors.insert(&format!("{prefix}colours"), &[2], vec![self.colour_centre, self.colour_spread]);
    }

    /// Loads the arrays under `{prefix}`; `None` where there are none.
    pub fn load(tensors: &Tensors, prefix: &str) -> Result<Option<Self>, WeightsError> {
        if !tensors.names().any(|name| name.starts_with(prefix)) {
            return Ok(None);
        }
        let name = format!("{prefix}variances");
        let shape = tensors.shape(&name)?;
        let &[k] = shape else {
            return Err(WeightsError::Shape { name, found: shape.to_vec(), expected: vec![MAX_COMPONENTS] });
        };
        let variances = tensors.get(&name, &[k])?.to_vec();
        let colours = tensors.get(&format!("{prefix}colours"), &[2])?;
        if k > MAX_COMPONENTS || variances.iter().any(|v| *v < 0.0) || colours[1] < 0.0 {
            return Err(WeightsError::NotFinite(name));
        }
        Ok(Some(Self {
            median_residual: tensors.get(&format!("{prefix}typical"), &[BINS])?.to_vec(),
            components: tensors.get(&format!("{prefix}ways"), &[k, BINS])?.to_vec(),
            variances,
            colour_centre: colours[0],
            colour_spread: colours[1],
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A star with residuals given by formulae.
    struct SyntheticStar {
        emulator_residual: EmulatorResidual,
        labels: [f64; 4],
        start_labels: [f64; 4],
        snr: Option<f64>,
    }

    impl SyntheticStar {
        fn new(i: usize) -> Self {
            let of = |i: usize| i as f64;
            let component = |j: usize, bin: usize| {
                let amplitude = 0.04 / 2.5f64.powi(j as i32) * (1.7 * of(i) * of(j + 1) + of(j)).sin();
                amplitude * (0.031 * of(j + 1) * of(bin)).sin()
            };
            let difference = |bin: usize| match (i, bin) {
                (5, 100..120) => f32::NAN,
                _ => (0.01 * (0.05 * of(bin)).sin() + (0..5).map(|j| component(j, bin)).sum::<f64>()) as f32,
            };
            let change = |k: usize, bin: usize| (0.01 * (0.021 * of(k + 2) * of(bin) + 0.3 * of(k)).sin()) as f32;
            let labels = [4800.0 + 30.0 * of(i), 2.5 + 0.05 * of(i), -0.6 + 0.02 * of(i), 0.1];
            Self {
                emulator_residual: EmulatorResidual {
                    difference: (0..BINS).map(difference).collect(),
                    changes_per_step: (0..EMULATOR_LABELS)
                        .flat_map(|k| (0..BINS).map(move |bin| change(k, bin)))
                        .collect(),
                    expected_rms: 0.02 + 0.001 * of(i),
                    colour: Some(0.01 * of(7 * i % 11) - 0.02),
                },
                labels,
                start_labels: [labels[0] + 40.0 - 3.0 * of(i), labels[1] + 0.1, labels[2] - 0.03, labels[3] + 0.01],
                snr: i.is_multiple_of(3).then(|| 50.0 + of(i)),
            }
        }

        fn star(&self) -> UpdateInput<'_> {
            UpdateInput {
                emulator_residual: &self.emulator_residual,
                labels: self.labels,
                start_labels: self.start_labels,
                snr: self.snr,
            }
        }
    }

    /// Reference values from `NumPy`, which inverts the full covariance of the bins.
    #[test]
    fn step_matches_least_squares_in_numpy() {
        let synthetic_stars: Vec<SyntheticStar> = (0..24).map(SyntheticStar::new).collect();
        let stars: Vec<UpdateInput> = synthetic_stars.iter().map(SyntheticStar::star).collect();
        let label_update = LabelUpdate::fit(&stars).expect("enough stars");
        let is_close = |got: [f64; 4], expected: [f64; 4]| {
            got.iter()
                .zip(expected)
                .zip(PRIOR_SIGMA)
                .all(|((got, expected), sigma)| (got - expected).abs() < 1e-3 * sigma)
        };
        // Offsets three labels of the network by multiples of their steps.
        let offset_step = |i: usize, offsets: [f32; 3]| {
            let mut synthetic_star = SyntheticStar::new(i);
            let EmulatorResidual { difference, changes_per_step, .. } = &mut synthetic_star.emulator_residual;
            for (k, offset) in offsets.into_iter().enumerate() {
                difference.iter_mut().zip(&changes_per_step[k * BINS..]).for_each(|(d, change)| *d += offset * change);
            }
            label_update.step(&synthetic_star.star())
        };
        let wrong = [0.7, 1.5, -1.0];
        assert!(
            is_close(offset_step(0, [0.0; 3]), [-12.1003172, 1.7848645e-3, 1.17629059e-4, 1.4e-6]),
            "{:?}",
            offset_step(0, [0.0; 3])
        );
        assert!(
            is_close(offset_step(0, wrong), [5.2419211, 0.076581121, -0.02486221, 5.0e-6]),
            "{:?}",
            offset_step(0, wrong)
        );
        assert!(
            is_close(offset_step(5, wrong), [23.705705, 0.073438621, -0.024941384, -4.25e-5]),
            "{:?}",
            offset_step(5, wrong)
        );
        assert!(
            is_close(offset_step(11, wrong), [19.74538, 0.075228601, -0.02496901, 4.75e-5]),
            "{:?}",
            offset_step(11, wrong)
        );
        assert_eq!(
            offset_step(11, [0.0, 40.0, 0.0])[1],
            DAMPING * MAX_STEP_SIGMA * PRIOR_SIGMA[1],
            "the step is limited"
        );
        assert!((label_update.colour(&synthetic_stars[0].emulator_residual) + 1.1241666667).abs() < 1e-5);
        assert!(LabelUpdate::fit(&stars[..3]).is_none());
    }
}
