//! The loss in a plane through what was taught.

use serde::{Deserialize, Serialize};

use super::Strategy;

/// How far the weights are moved in either direction, in lengths of their own, and in how many steps (MODEL_SPEC §4.2).
const REACH: f64 = 3.0;
const STEPS: usize = 21;

/// The mean square error at θ + αδ + βη: θ what was taught, δ and η random, each filter as long as θ's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Landscape {
    /// What was taught, and moves.
    pub strategy: Strategy,
    /// Name of the label.
    pub target: String,
    /// Draws the directions.
    pub seed: u64,
    /// Labelled spectra over which the error is taken.
    pub spectra: usize,
    /// The values of α, and of β.
    pub steps: Vec<f64>,
    /// `[α][β]`, in the label's unit squared.
    pub mse: Vec<f64>,
}

impl Landscape {
    /// Not a point of it is known.
    pub fn empty(strategy: Strategy, target: &str, seed: u64, spectra: usize) -> Self {
        let step = 2.0 * REACH / (STEPS - 1) as f64;
        let steps = (0..STEPS).map(|i| i as f64 * step - REACH).collect();
        Self { strategy, target: target.into(), seed, spectra, steps, mse: Vec::new() }
    }

    /// Points that it has when it is whole.
    pub fn points(&self) -> usize {
        self.steps.len() * self.steps.len()
    }

    /// The lowest point: α, β and the error there; `None` before any is finite.
    pub fn lowest(&self) -> Option<(f64, f64, f64)> {
        let known = self.mse.iter().enumerate().filter(|(_, mse)| mse.is_finite());
        let (at, mse) = known.min_by(|a, b| a.1.total_cmp(b.1))?;
        let n = self.steps.len();
        Some((*self.steps.get(at / n)?, *self.steps.get(at % n)?, *mse))
    }

    /// Whether nothing that moves changes anything: adapters that learned nothing are zero, and so are steps of their length.
    pub fn is_flat(&self) -> bool {
        self.mse.iter().all(|mse| Some(mse) == self.mse.first())
    }

    /// The error where the weights are.
    pub fn centre(&self) -> Option<f64> {
        let n = self.steps.len();
        self.mse.get(n / 2 * n + n / 2).copied()
    }

    /// `alpha,beta,mse`, a line a point; what is not finite is empty.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from("alpha,beta,mse\n");
        for (i, mse) in self.mse.iter().enumerate() {
            let n = self.steps.len();
            let (alpha, beta) = (self.steps[i / n], self.steps[i % n]);
            let mse = if mse.is_finite() { format!("{mse:e}") } else { String::new() };
            csv += &format!("{alpha:.1},{beta:.1},{mse}\n");
        }
        csv
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_point_is_found_and_every_point_is_written() {
        let mut found = Landscape::empty(Strategy::Full, "feh", 1, 20);
        assert_eq!((found.lowest(), found.points()), (None, 441));
        found.mse = vec![0.25; 441];
        assert!(found.is_flat());
        let steps = found.steps.clone();
        // A bowl around α = 0.3, β = −0.6.
        let bowl = |a: f64, b: f64| 0.25 + (a - 0.3).powi(2) + 2.0 * (b + 0.6).powi(2);
        found.mse = steps.iter().flat_map(|a| steps.iter().map(move |b| bowl(*a, *b))).collect();
        found.mse[0] = f64::NAN;
        assert!(!found.is_flat());
        let (alpha, beta, mse) = found.lowest().expect("a lowest point");
        assert!((alpha - 0.3).abs() < 1e-9 && (beta + 0.6).abs() < 1e-9 && (mse - 0.25).abs() < 1e-9);
        assert!((found.centre().expect("a centre") - bowl(0.0, 0.0)).abs() < 1e-9);
        let csv = found.to_csv();
        assert_eq!(csv.lines().count(), 442);
        assert!(csv.contains("\n-3.0,-3.0,\n") && csv.contains("\n0.3,-0.6,2.5e-1\n"), "{csv}");
    }
}
