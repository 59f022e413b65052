//! Repeat visits: the odds that two spectra are visits of one star, against two stars of the set.
//!
//! Embeddings say how similar two spectra are, but not how similar they should be given their noise. Here a spectrum is
//! a sum of the mean of the set, the star's position along the set's principal directions, a residual velocity shift,
//! and noise. The positions are normally distributed (probabilistic linear discriminant analysis: Prince & Elder 2007).
//! Where many spectra of the set lie near a position, two spectra near it count less as a match.
//!
//! Radial velocities count in addition: stars of a field differ by tens of km/s, visits of one star by a few km/s.

use std::f64::consts::TAU;

use super::encoders::EncoderInput;
use crate::linalg::principal_directions;
use crate::linalg::{CholeskyFactor, SymmetricMatrix};
use crate::stats::median;

/// Number of principal directions. Further directions describe noise, not differences between stars.
const DIRECTIONS: usize = 8;
/// Lowest number of low-noise spectra for a population.
pub const MIN_SPECTRA: usize = 3 * DIRECTIONS;
/// Largest median pixel error of a low-noise spectrum, in units of the continuum. Noisier spectra do not show how stars
/// differ.
const MAX_NOISE: f64 = 0.05;
/// Largest departure from the continuum, in units of the continuum: a larger departure is not a stellar line and is
/// clipped.
const MAX_DEPARTURE: f64 = 1.0;
/// Error of continuum and calibration, in units of the continuum.
const ERROR_FLOOR: f64 = 0.01;
/// Factor on the variance of a pixel: resampling and continuum correlate the noise of neighbouring pixels. This factor,
/// the error floor and the number of directions were chosen on the repeated stars of `specola experiment retrieval`.
/// Factors of 4 to 12, floors of 0.5 to 2 % and 6 to 10 directions find 76 to 84 of 101 of them.
const NOISE_CORRELATION_FACTOR: f64 = 8.0;
/// Prior standard deviation of the residual velocity shift, pixels.
const SHIFT_SIGMA_PIXELS: f64 = 0.3;
/// Scatter of a star's velocity between visits, km/s.
const VISIT_SCATTER_KMS: f64 = 5.0;
/// Fraction of stars with variable velocity: binaries.
const BINARY_FRACTION: f64 = 0.05;
/// Lowest spread of velocities between stars, km/s.
const MIN_RV_SPREAD_KMS: f64 = 20.0;
/// Largest number of spectra for the local density; of a larger set, every second, third … spectrum is used.
const MAX_DENSITY_SPECTRA: usize = 1000;
/// Iterations of the search for principal directions.
const ITERATIONS: usize = 30;

/// Distribution of the stars of a set.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    /// Mean departure from the continuum, `[pixels]`.
    mean: Vec<f64>,
    /// Orthonormal directions, `[directions][pixels]`, and last the change of the mean by a shift of one pixel.
    basis: Vec<Vec<f64>>,
    /// Variance along each direction.
    variances: Vec<f64>,
    /// Spread of velocities between stars, km/s.
    rv_spread_kms: f64,
}

/// Position of a spectrum along the directions, with its covariance.
#[derive(Debug, Clone)]
pub struct Projection {
    position: Vec<f64>,
    covariance: Vec<f64>,
    /// Log density of the position in the normal distribution of the population.
    log_population_density: f64,
    /// Log ratio of the local density of the spectra to the density of the normal distribution.
    log_local_density_ratio: f64,
    /// Expected position of another visit, with its covariance without the noise of that visit.
    expected: Vec<f64>,
    expected_covariance: Vec<f64>,
    rv_kms: Option<f64>,
}

/// Departures from the continuum and their variances; the variance of a missing pixel is infinite.
fn pixels(input: &EncoderInput) -> Option<(Vec<f64>, Vec<f64>)> {
    if input.sigma.len() != input.flux.len() {
        return None;
    }
    let departure = |(flux, sigma): (&f32, &f32)| match flux.is_finite() && *sigma > 0.0 && sigma.is_finite() {
        true => {
            let variance = f64::from(*sigma).powi(2) + ERROR_FLOOR.powi(2);
            (f64::from(flux - 1.0).clamp(-MAX_DEPARTURE, MAX_DEPARTURE), NOISE_CORRELATION_FACTOR * variance)
        }
        false => (0.0, f64::INFINITY),
    };
    Some(input.flux.iter().zip(&input.sigma).map(departure).unzip())
}

fn has_low_noise(input: &EncoderInput) -> bool {
    let mut sigma: Vec<f64> = input.sigma.iter().map(|s| f64::from(*s)).collect();
    sigma.len() == input.flux.len() && median(&mut sigma).is_some_and(|s| s < MAX_NOISE)
}

impl Population {
    /// The population of optical spectra with errors; `None` for fewer than [`MIN_SPECTRA`] low-noise spectra.
    pub fn of(spectra: &[&EncoderInput]) -> Option<Self> {
        let low_noise: Vec<&EncoderInput> = spectra.iter().copied().filter(|input| has_low_noise(input)).collect();
        if low_noise.len() < MIN_SPECTRA {
            return None;
        }
        let mut rows: Vec<Vec<f64>> =
            low_noise.iter().filter_map(|input| pixels(input)).map(|(flux, _)| flux).collect();
        let width = rows.first()?.len();
        let pixel_median = |pixel: usize| median(&mut rows.iter().filter_map(|row| row.get(pixel).copied()).collect());
        let mean: Vec<f64> = (0..width).map(pixel_median).collect::<Option<_>>()?;
        rows.iter_mut().for_each(|row| row.iter_mut().zip(&mean).for_each(|(v, m)| *v -= m));
        let (basis, variances) = principal_directions(&rows, DIRECTIONS, ITERATIONS);
        let mut rv: Vec<f64> = spectra.iter().filter_map(|input| input.rv_kms).collect();
        let centre = median(&mut rv).unwrap_or(0.0);
        let mut deviations: Vec<f64> = rv.iter().map(|rv| (rv - centre).abs()).collect();
        let rv_spread_kms = (1.4826 * median(&mut deviations).unwrap_or(0.0)).max(MIN_RV_SPREAD_KMS);
        Some(Self::new(mean, basis, variances, rv_spread_kms))
    }

    fn new(mean: Vec<f64>, mut basis: Vec<Vec<f64>>, variances: Vec<f64>, rv_spread_kms: f64) -> Self {
        let at = |i: usize| mean[i.min(mean.len() - 1)];
        basis.push((0..mean.len()).map(|i| 0.5 * (at(i + 1) - at(i.saturating_sub(1)))).collect());
        Self { mean, basis, variances, rv_spread_kms }
    }

    /// Positions of spectra, in the same order; `None` for a spectrum without errors or of another length.
    pub fn project(&self, spectra: &[&EncoderInput]) -> Vec<Option<Projection>> {
        let mut projections: Vec<Option<Projection>> = spectra.iter().map(|input| self.project_one(input)).collect();
        let stride = spectra.len().div_ceil(MAX_DENSITY_SPECTRA).max(1);
        let density_sample: Vec<(usize, Projection)> = projections
            .iter()
            .enumerate()
            .step_by(stride)
            .filter_map(|(i, projection)| Some((i, projection.clone()?)))
            .collect();
        for (i, projection) in projections.iter_mut().enumerate() {
            let Some(projection) = projection else { continue };
            let others =
                density_sample.iter().filter(|(j, _)| *j != i).filter_map(|(_, other)| projection.density_at(other));
            let densities: Vec<f64> = others.collect();
            let highest = densities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if highest.is_finite() {
                let sum: f64 = densities.iter().map(|d| (d - highest).exp()).sum();
                projection.log_local_density_ratio =
                    highest + (sum / densities.len() as f64).ln() - projection.log_population_density;
            }
        }
        projections
    }

    fn project_one(&self, input: &EncoderInput) -> Option<Projection> {
        let (flux, variance) = pixels(input).filter(|(flux, _)| flux.len() == self.mean.len())?;
        let n = self.variances.len();
        let weighted = |a: &[f64], b: &dyn Fn(usize) -> f64| {
            variance.iter().enumerate().map(|(i, v)| a[i] * b(i) / v).sum::<f64>()
        };
        // A weak prior from the population's spread, so that a direction without information in the spectrum has a
        // finite variance.
        let prior_precision =
            |i: usize| self.variances.get(i).map_or(SHIFT_SIGMA_PIXELS.powi(-2), |v| 1e-3 / v.max(f64::MIN_POSITIVE));
        let precision = SymmetricMatrix::of(n + 1, |i, j| {
            weighted(&self.basis[i], &|p| self.basis[j][p]) + if i == j { prior_precision(i) } else { 0.0 }
        });
        let factor = precision.factor()?;
        let weighted_residual: Vec<f64> = self.basis.iter().map(|b| weighted(b, &|p| flux[p] - self.mean[p])).collect();
        let mut position = factor.solve(&weighted_residual);
        position.truncate(n);
        let covariance: Vec<f64> = (0..n).flat_map(|i| factor.column(i).into_iter().take(n)).collect();

        let spread = |i: usize, j: usize| if i == j { self.variances[i] } else { 0.0 };
        let total_covariance = SymmetricMatrix::of(n, |i, j| spread(i, j) + covariance[i * n + j]).factor()?;
        let shrunk = total_covariance.solve(&position);
        let expected = (0..n).map(|i| self.variances[i] * shrunk[i]).collect();
        let columns: Vec<Vec<f64>> = (0..n).map(|i| total_covariance.column(i)).collect();
        let posterior_covariance =
            |i: usize, j: usize| spread(i, j) - self.variances[i] * columns[j][i] * self.variances[j];
        let expected_covariance = (0..n * n).map(|k| posterior_covariance(k / n, k % n)).collect();
        let log_population_density = log_density(&position, &total_covariance);
        Some(Projection {
            position,
            covariance,
            log_population_density,
            log_local_density_ratio: 0.0,
            expected,
            expected_covariance,
            rv_kms: input.rv_kms,
        })
    }

    /// log₁₀ of the odds that two spectra are two visits of one star, against two stars of the set.
    pub fn log10_odds(&self, a: &Projection, b: &Projection) -> f64 {
        let n = self.variances.len();
        let covariance = SymmetricMatrix::of(n, |i, j| a.expected_covariance[i * n + j] + b.covariance[i * n + j]);
        let difference: Vec<f64> = b.position.iter().zip(&a.expected).map(|(b, a)| b - a).collect();
        let lines =
            covariance.factor().map_or(0.0, |factor| log_density(&difference, &factor) - b.log_population_density);
        let lines = lines - 0.5 * (a.log_local_density_ratio + b.log_local_density_ratio);
        let velocities = a.rv_kms.zip(b.rv_kms).map_or(0.0, |(a, b)| self.log_velocity_odds(a - b));
        (lines + velocities) / std::f64::consts::LN_10
    }

    /// Natural logarithm of the odds from two velocities alone.
    fn log_velocity_odds(&self, difference_kms: f64) -> f64 {
        let density = |variance: f64| (-0.5 * difference_kms.powi(2) / variance).exp() / (TAU * variance).sqrt();
        let visit_variance = 2.0 * VISIT_SCATTER_KMS.powi(2);
        let other_density = density(visit_variance + 2.0 * self.rv_spread_kms.powi(2)).max(f64::MIN_POSITIVE);
        ((1.0 - BINARY_FRACTION) * density(visit_variance) / other_density + BINARY_FRACTION).ln()
    }
}

impl Projection {
    /// Log density of this position under the hypothesis of the same star as `other`, with the noise of both spectra.
    fn density_at(&self, other: &Self) -> Option<f64> {
        let n = self.position.len();
        let covariance = SymmetricMatrix::of(n, |i, j| self.covariance[i * n + j] + other.covariance[i * n + j]);
        let difference: Vec<f64> = self.position.iter().zip(&other.position).map(|(a, b)| a - b).collect();
        Some(log_density(&difference, &covariance.factor()?))
    }
}

fn log_density(difference: &[f64], covariance: &CholeskyFactor) -> f64 {
    let squared: f64 = covariance.forward(difference).iter().map(|v| v * v).sum();
    -0.5 * (squared + covariance.log_determinant() + difference.len() as f64 * TAU.ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIXELS: usize = 12;

    fn population() -> Population {
        let mean: Vec<f64> = (0..PIXELS).map(|i| -0.3 * (-((i as f64 - 5.5) / 2.0).powi(2)).exp()).collect();
        let wave = |i: usize| std::f64::consts::PI * (i as f64 + 0.5) / PIXELS as f64;
        let scale = (2.0 / PIXELS as f64).sqrt();
        let basis = vec![
            (0..PIXELS).map(|i| scale * wave(i).sin()).collect(),
            (0..PIXELS).map(|i| scale * wave(i).cos()).collect(),
        ];
        Population::new(mean, basis, vec![0.3, 0.1], 40.0)
    }

    fn observed(position: [f64; 2], sigma: f64) -> EncoderInput {
        let population = population();
        let flux = |i: usize| {
            let ripple = 0.01 * (3.0 * i as f64 + 100.0 * sigma).cos();
            (1.0 + population.mean[i]
                + position[0] * population.basis[0][i]
                + position[1] * population.basis[1][i]
                + ripple) as f32
        };
        EncoderInput { sigma: vec![sigma as f32; PIXELS], ..EncoderInput::lrs((0..PIXELS).map(flux).collect(), None) }
    }

    /// Reference values: joint and single densities of the pixels, from `scipy.stats.multivariate_normal`.
    #[test]
    fn odds_match_pixel_densities() {
        let population = population();
        let stars = [observed([0.5, -0.2], 0.02), observed([0.52, -0.17], 0.03), observed([-0.4, 0.25], 0.03)];
        let projections: Vec<Projection> = stars.iter().map(|s| population.project_one(s).expect("a place")).collect();
        for (a, b, expected) in [(0, 1, 1.3965083026), (0, 2, -16.296752018), (2, 1, -12.152661477)] {
            let odds = population.log10_odds(&projections[a], &projections[b]);
            let reversed_odds = population.log10_odds(&projections[b], &projections[a]);
            // The position includes a weak prior, absent from the densities of the pixels.
            assert!((odds - expected).abs() < 0.01 * expected.abs().max(1.0), "{odds} instead of {expected}");
            assert!((odds - reversed_odds).abs() < 1e-9 * expected.abs().max(1.0), "{odds} and {reversed_odds}");
        }
    }

    #[test]
    fn velocities_count_for_and_against() {
        let population = population();
        let log10 = |difference: f64| population.log_velocity_odds(difference) / std::f64::consts::LN_10;
        assert!((log10(4.0) - 0.8190684661666282).abs() < 1e-9, "{}", log10(4.0));
        // Visits of a binary may differ by this much.
        assert!((log10(300.0) + 1.3010299956639813).abs() < 1e-9, "{}", log10(300.0));
        assert_eq!(log10(-1e9), log10(1e9));
    }

    /// Each of 40 stars with two visits finds its other visit. A spectrum without errors has no position, and three
    /// spectra no population.
    #[test]
    fn visits_find_each_other() {
        let position = |k: usize| [0.8 * (k as f64 * 2.4).sin(), 0.5 * (k as f64 * 1.7).cos()];
        let visits: Vec<EncoderInput> =
            (0..80).map(|k| observed(position(k / 2), if k % 2 == 0 { 0.004 } else { 0.006 })).collect();
        let all: Vec<&EncoderInput> = visits.iter().collect();
        let population = Population::of(&all).expect("a population");
        let projections: Vec<Projection> = population.project(&all).into_iter().flatten().collect();
        let best = |i: usize| {
            let others = (0..projections.len()).filter(|j| *j != i);
            others.max_by(|a, b| {
                let odds = |j: usize| population.log10_odds(&projections[i], &projections[j]);
                odds(*a).total_cmp(&odds(*b))
            })
        };
        let found = (0..80).filter(|i| best(*i) == Some(i ^ 1)).count();
        assert!(found > 60, "{found} of 80");
        assert!(population.project_one(&EncoderInput { sigma: Vec::new(), ..visits[0].clone() }).is_none());
        assert!(Population::of(&all[..3]).is_none());
    }
}
