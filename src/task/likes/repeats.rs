//! Which spectra are of one star: the odds that two of a set differ by their noise alone, against two of its stars.
//!
//! An embedding says how alike two spectra are, but not how alike they ought to be with their noise. Here a spectrum is the
//! set's mean, plus a star's place along the set's principal directions, plus what is left of its velocity, plus noise; stars
//! are spread along the directions as the set is (probabilistic linear discriminant analysis: Prince & Elder 2007), but the
//! more of them lie near a place, the less it means to lie there too. The velocities count beside it: stars of a field differ
//! by tens of km/s, visits of one star by few.

use std::f64::consts::TAU;

use super::encode::Seen;
use crate::preprocess::stats::median;
use crate::retrieve::axes::principal;
use crate::task::cholesky::{Factor, Square};

/// Directions that tell stars apart. More of them tell noise apart.
const DIRECTIONS: usize = 8;
/// Spectra without which there is no population to speak of.
pub const FEWEST: usize = 3 * DIRECTIONS;
/// Spectra noisier than this, in units of the continuum, do not tell how stars differ.
const CLEAN: f64 = 0.05;
/// Departures from the continuum beyond this are not stellar lines.
const MOST: f64 = 1.0;
/// Errors of continuum and calibration, in units of the continuum.
const FLOOR: f64 = 0.01;
/// The variance of a pixel counts as so many times itself: neighbours share their noise, by resampling and continuum. This,
/// the floor and the number of directions were chosen on the repeated stars of `specola experiment retrieval`, of which
/// factors of 4 to 12, floors of 0.5 to 2 % and 6 to 10 directions find 76 to 84 of 101.
const SHARED_NOISE: f64 = 8.0;
/// What may be left of a velocity, pixels.
const SHIFT_PIXELS: f64 = 0.3;
/// Scatter of a star's velocity from visit to visit, km/s.
const VISIT_KMS: f64 = 5.0;
/// Share of stars whose velocity changes: binaries.
const CHANGING: f64 = 0.05;
/// The least spread of velocities between stars, km/s.
const LEAST_SPREAD_KMS: f64 = 20.0;
/// Spectra that tell how crowded a place is; of more, every second, third ….
const MOST_NEIGHBOURS: usize = 1000;
/// Rounds of the search for directions.
const ROUNDS: usize = 30;

/// How the stars of a set differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    /// Mean departure from the continuum, `[pixels]`.
    mean: Vec<f64>,
    /// Orthonormal, `[directions][pixels]`, and last the change by a shift of one pixel.
    basis: Vec<Vec<f64>>,
    /// Variances along the directions.
    variances: Vec<f64>,
    /// Spread of velocities, km/s.
    rv_spread_kms: f64,
}

/// Where a spectrum lies among the population, and how well that is known.
#[derive(Debug, Clone)]
pub struct Place {
    at: Vec<f64>,
    covariance: Vec<f64>,
    /// log p of lying there as a star of the normally spread population.
    alone: f64,
    /// By how much log p is greater among the spectra themselves.
    crowd: f64,
    /// Where another visit would lie, and how well that is known before its own noise.
    expected: Vec<f64>,
    expected_covariance: Vec<f64>,
    rv_kms: Option<f64>,
}

/// Departures from the continuum and their variances; a pixel without data has a variance that counts for nothing.
fn pixels(seen: &Seen) -> Option<(Vec<f64>, Vec<f64>)> {
    if seen.sigma.len() != seen.flux.len() {
        return None;
    }
    let one = |(flux, sigma): (&f32, &f32)| match flux.is_finite() && *sigma > 0.0 && sigma.is_finite() {
        true => {
            let variance = f64::from(*sigma).powi(2) + FLOOR.powi(2);
            (f64::from(flux - 1.0).clamp(-MOST, MOST), SHARED_NOISE * variance)
        }
        false => (0.0, f64::INFINITY),
    };
    Some(seen.flux.iter().zip(&seen.sigma).map(one).unzip())
}

fn is_clean(seen: &Seen) -> bool {
    let mut sigma: Vec<f64> = seen.sigma.iter().map(|s| f64::from(*s)).collect();
    sigma.len() == seen.flux.len() && median(&mut sigma).is_some_and(|s| s < CLEAN)
}

impl Population {
    /// Of optical spectra with errors; `None` of fewer than [`FEWEST`] clean ones.
    pub fn of(spectra: &[&Seen]) -> Option<Self> {
        let clean: Vec<&Seen> = spectra.iter().copied().filter(|seen| is_clean(seen)).collect();
        if clean.len() < FEWEST {
            return None;
        }
        let mut rows: Vec<Vec<f64>> = clean.iter().filter_map(|seen| pixels(seen)).map(|(flux, _)| flux).collect();
        let width = rows.first()?.len();
        let middle = |pixel: usize| median(&mut rows.iter().filter_map(|row| row.get(pixel).copied()).collect());
        let mean: Vec<f64> = (0..width).map(middle).collect::<Option<_>>()?;
        rows.iter_mut().for_each(|row| row.iter_mut().zip(&mean).for_each(|(v, m)| *v -= m));
        let (basis, variances) = principal(&rows, DIRECTIONS, ROUNDS);
        let mut rv: Vec<f64> = spectra.iter().filter_map(|seen| seen.rv_kms).collect();
        let centre = median(&mut rv).unwrap_or(0.0);
        let mut away: Vec<f64> = rv.iter().map(|rv| (rv - centre).abs()).collect();
        let rv_spread_kms = (1.4826 * median(&mut away).unwrap_or(0.0)).max(LEAST_SPREAD_KMS);
        Some(Self::new(mean, basis, variances, rv_spread_kms))
    }

    fn new(mean: Vec<f64>, mut basis: Vec<Vec<f64>>, variances: Vec<f64>, rv_spread_kms: f64) -> Self {
        let at = |i: usize| mean[i.min(mean.len() - 1)];
        basis.push((0..mean.len()).map(|i| 0.5 * (at(i + 1) - at(i.saturating_sub(1)))).collect());
        Self { mean, basis, variances, rv_spread_kms }
    }

    /// Where spectra lie, in the same order; `None` without errors, or of another length.
    pub fn places(&self, spectra: &[&Seen]) -> Vec<Option<Place>> {
        let mut places: Vec<Option<Place>> = spectra.iter().map(|seen| self.place(seen)).collect();
        let stride = spectra.len().div_ceil(MOST_NEIGHBOURS).max(1);
        let some: Vec<(usize, Place)> =
            places.iter().enumerate().step_by(stride).filter_map(|(i, p)| Some((i, p.clone()?))).collect();
        for (i, place) in places.iter_mut().enumerate() {
            let Some(place) = place else { continue };
            let others = some.iter().filter(|(j, _)| *j != i).filter_map(|(_, other)| place.density_at(other));
            let densities: Vec<f64> = others.collect();
            let highest = densities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if highest.is_finite() {
                let sum: f64 = densities.iter().map(|d| (d - highest).exp()).sum();
                place.crowd = highest + (sum / densities.len() as f64).ln() - place.alone;
            }
        }
        places
    }

    fn place(&self, seen: &Seen) -> Option<Place> {
        let (flux, variance) = pixels(seen).filter(|(flux, _)| flux.len() == self.mean.len())?;
        let n = self.variances.len();
        let weighted = |a: &[f64], b: &dyn Fn(usize) -> f64| {
            variance.iter().enumerate().map(|(i, v)| a[i] * b(i) / v).sum::<f64>()
        };
        // A hint of the population's spread, so that a direction of which the spectrum says nothing has an end.
        let hint = |i: usize| self.variances.get(i).map_or(SHIFT_PIXELS.powi(-2), |v| 1e-3 / v.max(f64::MIN_POSITIVE));
        let precision = Square::of(n + 1, |i, j| {
            weighted(&self.basis[i], &|p| self.basis[j][p]) + if i == j { hint(i) } else { 0.0 }
        });
        let factor = precision.factor()?;
        let pull: Vec<f64> = self.basis.iter().map(|b| weighted(b, &|p| flux[p] - self.mean[p])).collect();
        let mut at = factor.solve(&pull);
        at.truncate(n);
        let covariance: Vec<f64> = (0..n).flat_map(|i| factor.column(i).into_iter().take(n)).collect();

        let spread = |i: usize, j: usize| if i == j { self.variances[i] } else { 0.0 };
        let whole = Square::of(n, |i, j| spread(i, j) + covariance[i * n + j]).factor()?;
        let shrunk = whole.solve(&at);
        let expected = (0..n).map(|i| self.variances[i] * shrunk[i]).collect();
        let columns: Vec<Vec<f64>> = (0..n).map(|i| whole.column(i)).collect();
        let left = |i: usize, j: usize| spread(i, j) - self.variances[i] * columns[j][i] * self.variances[j];
        let expected_covariance = (0..n * n).map(|k| left(k / n, k % n)).collect();
        let alone = log_density(&at, &whole);
        Some(Place { at, covariance, alone, crowd: 0.0, expected, expected_covariance, rv_kms: seen.rv_kms })
    }

    /// log₁₀ of how much likelier two spectra are as two visits of one star than as two stars of the set.
    pub fn log10_odds(&self, a: &Place, b: &Place) -> f64 {
        let n = self.variances.len();
        let covariance = Square::of(n, |i, j| a.expected_covariance[i * n + j] + b.covariance[i * n + j]);
        let away: Vec<f64> = b.at.iter().zip(&a.expected).map(|(b, a)| b - a).collect();
        let lines = covariance.factor().map_or(0.0, |factor| log_density(&away, &factor) - b.alone);
        let lines = lines - 0.5 * (a.crowd + b.crowd);
        let velocities = a.rv_kms.zip(b.rv_kms).map_or(0.0, |(a, b)| self.of_velocities(a - b));
        (lines + velocities) / std::f64::consts::LN_10
    }

    /// Natural logarithm of the same ratio of two velocities.
    fn of_velocities(&self, difference_kms: f64) -> f64 {
        let density = |variance: f64| (-0.5 * difference_kms.powi(2) / variance).exp() / (TAU * variance).sqrt();
        let same = 2.0 * VISIT_KMS.powi(2);
        let other = density(same + 2.0 * self.rv_spread_kms.powi(2)).max(f64::MIN_POSITIVE);
        ((1.0 - CHANGING) * density(same) / other + CHANGING).ln()
    }
}

impl Place {
    /// log p of lying here where another spectrum lies, but for both spectra's noise.
    fn density_at(&self, other: &Place) -> Option<f64> {
        let n = self.at.len();
        let covariance = Square::of(n, |i, j| self.covariance[i * n + j] + other.covariance[i * n + j]);
        let away: Vec<f64> = self.at.iter().zip(&other.at).map(|(a, b)| a - b).collect();
        Some(log_density(&away, &covariance.factor()?))
    }
}

fn log_density(away: &[f64], covariance: &Factor) -> f64 {
    let squared: f64 = covariance.forward(away).iter().map(|v| v * v).sum();
    -0.5 * (squared + covariance.log_determinant() + away.len() as f64 * TAU.ln())
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

    fn seen(along: [f64; 2], sigma: f64) -> Seen {
        let p = population();
        let flux = |i: usize| {
            let ripple = 0.01 * (3.0 * i as f64 + 100.0 * sigma).cos();
            (1.0 + p.mean[i] + along[0] * p.basis[0][i] + along[1] * p.basis[1][i] + ripple) as f32
        };
        Seen { sigma: vec![sigma as f32; PIXELS], ..Seen::lrs((0..PIXELS).map(flux).collect(), None) }
    }

    /// Joint and single densities of the pixels themselves, by `scipy.stats.multivariate_normal`.
    #[test]
    fn the_odds_are_those_of_the_pixels() {
        let population = population();
        let stars = [seen([0.5, -0.2], 0.02), seen([0.52, -0.17], 0.03), seen([-0.4, 0.25], 0.03)];
        let places: Vec<Place> = stars.iter().map(|s| population.place(s).expect("a place")).collect();
        for (a, b, want) in [(0, 1, 1.3965083026), (0, 2, -16.296752018), (2, 1, -12.152661477)] {
            let got = population.log10_odds(&places[a], &places[b]);
            let back = population.log10_odds(&places[b], &places[a]);
            // The place is found with a hint of the population, which the pixels' densities do not need.
            assert!((got - want).abs() < 0.01 * want.abs().max(1.0), "{got} instead of {want}");
            assert!((got - back).abs() < 1e-9 * want.abs().max(1.0), "{got} and {back}");
        }
    }

    #[test]
    fn velocities_count_for_and_against() {
        let population = population();
        let log10 = |difference: f64| population.of_velocities(difference) / std::f64::consts::LN_10;
        assert!((log10(4.0) - 0.8190684661666282).abs() < 1e-9, "{}", log10(4.0));
        // A binary's visits may be as far apart.
        assert!((log10(300.0) + 1.3010299956639813).abs() < 1e-9, "{}", log10(300.0));
        assert_eq!(log10(-1e9), log10(1e9));
    }

    /// Of 40 stars seen twice, each finds its other visit; one without errors has no place, and three stars no population.
    #[test]
    fn visits_find_each_other() {
        let wobble = |k: usize| [0.8 * (k as f64 * 2.4).sin(), 0.5 * (k as f64 * 1.7).cos()];
        let visits: Vec<Seen> = (0..80).map(|k| seen(wobble(k / 2), if k % 2 == 0 { 0.004 } else { 0.006 })).collect();
        let all: Vec<&Seen> = visits.iter().collect();
        let population = Population::of(&all).expect("a population");
        let places: Vec<Place> = population.places(&all).into_iter().flatten().collect();
        let best = |i: usize| {
            let others = (0..places.len()).filter(|j| *j != i);
            others.max_by(|a, b| {
                let odds = |j: usize| population.log10_odds(&places[i], &places[j]);
                odds(*a).total_cmp(&odds(*b))
            })
        };
        let found = (0..80).filter(|i| best(*i) == Some(i ^ 1)).count();
        assert!(found > 60, "{found} of 80");
        assert!(population.place(&Seen { sigma: Vec::new(), ..visits[0].clone() }).is_none());
        assert!(Population::of(&all[..3]).is_none());
    }
}
