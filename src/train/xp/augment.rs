//! Random changes of a real XP spectrum: a fainter star, and more dust.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use super::super::extinction::transmission;
use crate::preprocess::xp::grid_nm;

/// Probability that a spectrum is made fainter.
const FAINTER: f64 = 0.5;

/// Largest factor on the errors. APOGEE's stars end at G = 15; twenty times their errors are those at about G = 17.6.
const MAX_NOISE_FACTOR: f32 = 20.0;

/// Probability that a spectrum is reddened.
const REDDENED: f64 = 0.3;

/// Mean of the added E(B−V), mag.
const MEAN_EBV_MAG: f64 = 0.15;

/// Correlation length of the noise, in samples: a sampled spectrum comes from 55 coefficients per prism.
const NOISE_SIGMA_SAMPLES: f32 = 2.0;

/// Flux and errors after the random changes. Real noise stays, so a spectrum never becomes better.
pub fn augment(flux: &[f32], sigma: &[f32], rng: &mut impl Rng) -> (Vec<f32>, Vec<f32>) {
    let (mut flux, mut sigma) = (flux.to_vec(), sigma.to_vec());
    if rng.random_bool(REDDENED) {
        let ebv_mag = -MEAN_EBV_MAG * rng.random_range(1e-9f64..1.0).ln();
        for (i, nm) in grid_nm().into_iter().enumerate() {
            let factor = transmission(nm, ebv_mag) as f32;
            flux[i] *= factor;
            sigma[i] *= factor;
        }
    }
    if rng.random_bool(FAINTER) {
        add_noise(&mut flux, &mut sigma, MAX_NOISE_FACTOR.powf(rng.random()), rng);
    }
    (flux, sigma)
}

/// Adds correlated noise until the errors are `factor` times as large.
pub fn add_noise(flux: &mut [f32], sigma: &mut [f32], factor: f32, rng: &mut impl Rng) {
    let amplitude = (factor * factor - 1.0).max(0.0).sqrt();
    let reach = (3.0 * NOISE_SIGMA_SAMPLES) as usize;
    let taps: Vec<f32> =
        (0..=2 * reach).map(|k| (-0.5 * ((k as f32 - reach as f32) / NOISE_SIGMA_SAMPLES).powi(2)).exp()).collect();
    let norm = taps.iter().map(|t| t * t).sum::<f32>().sqrt();
    let white: Vec<f32> = (0..flux.len() + 2 * reach).map(|_| StandardNormal.sample(rng)).collect();
    for (i, (f, s)) in flux.iter_mut().zip(sigma.iter_mut()).enumerate() {
        let noise: f32 = taps.iter().zip(&white[i..]).map(|(t, w)| t * w).sum::<f32>() / norm;
        *f += amplitude * *s * noise;
        *s *= factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn added_noise_has_the_stated_size() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let (mut square, n) = (0.0, 200);
        for _ in 0..n {
            let (mut flux, mut sigma) = (vec![1.0; 343], vec![0.01; 343]);
            add_noise(&mut flux, &mut sigma, 5.0, &mut rng);
            assert!(sigma.iter().all(|s| (s - 0.05).abs() < 1e-6));
            square += flux.iter().map(|f| f64::from(f - 1.0).powi(2)).sum::<f64>() / 343.0;
        }
        // The original noise is in the flux already: √(5² − 1) · 0.01.
        let expected = 24f64.sqrt() * 0.01;
        assert!(((square / f64::from(n)).sqrt() / expected - 1.0).abs() < 0.03);
    }
}
