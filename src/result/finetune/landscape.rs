//! Loss landscape: the loss in a plane through the trained weights.

use serde::{Deserialize, Serialize};

use super::Strategy;

/// Largest |α| and |β| in units of the weights' norm, and number of values of each (docs/model-spec.md §4.2).
const MAX_STEP: f64 = 3.0;
const STEPS: usize = 21;

/// Mean square error at θ + αδ + βη. θ are the trained weights; δ and η are random directions with θ's norm per filter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Landscape {
    /// The strategy; the plane lies in the space of its trained weights.
    pub strategy: Strategy,
    /// Name of the label.
    pub target: String,
    /// Seed of the directions.
    pub seed: u64,
    /// Number of labelled spectra in the loss.
    pub spectra: usize,
    /// Values of α and of β.
    pub steps: Vec<f64>,
    /// Mean square error, `[α][β]`, in the label's unit squared.
    pub mse: Vec<f64>,
}

impl Landscape {
    /// A landscape without points.
    pub fn empty(strategy: Strategy, target: &str, seed: u64, spectra: usize) -> Self {
        let step = 2.0 * MAX_STEP / (STEPS - 1) as f64;
        let steps = (0..STEPS).map(|i| i as f64 * step - MAX_STEP).collect();
        Self { strategy, target: target.into(), seed, spectra, steps, mse: Vec::new() }
    }

    /// Number of points of a complete scan.
    pub fn points(&self) -> usize {
        self.steps.len() * self.steps.len()
    }

    /// Position (α, β) and error of the lowest point; `None` without a finite error.
    pub fn lowest(&self) -> Option<(f64, f64, f64)> {
        let finite = self.mse.iter().enumerate().filter(|(_, mse)| mse.is_finite());
        let (index, mse) = finite.min_by(|a, b| a.1.total_cmp(b.1))?;
        let n = self.steps.len();
        Some((*self.steps.get(index / n)?, *self.steps.get(index % n)?, *mse))
    }

    /// True if all points are equal. This holds for untrained adapters: their weights are zero, so the steps relative
    /// to them are also zero.
    pub fn is_flat(&self) -> bool {
        self.mse.iter().all(|mse| Some(mse) == self.mse.first())
    }

    /// The error at the trained weights.
    pub fn centre(&self) -> Option<f64> {
        let n = self.steps.len();
        self.mse.get(n / 2 * n + n / 2).copied()
    }

    /// CSV with the columns `alpha,beta,mse`, one line per point; a number that is not finite gives an empty cell.
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
    fn lowest_point_is_found_and_csv_has_every_point() {
        let mut landscape = Landscape::empty(Strategy::Full, "feh", 1, 20);
        assert_eq!((landscape.lowest(), landscape.points()), (None, 441));
        landscape.mse = vec![0.25; 441];
        assert!(landscape.is_flat());
        let steps = landscape.steps.clone();
        // A bowl around α = 0.3, β = −0.6.
        let bowl = |a: f64, b: f64| 0.25 + (a - 0.3).powi(2) + 2.0 * (b + 0.6).powi(2);
        landscape.mse = steps.iter().flat_map(|a| steps.iter().map(move |b| bowl(*a, *b))).collect();
        landscape.mse[0] = f64::NAN;
        assert!(!landscape.is_flat());
        let (alpha, beta, mse) = landscape.lowest().expect("a lowest point");
        assert!((alpha - 0.3).abs() < 1e-9 && (beta + 0.6).abs() < 1e-9 && (mse - 0.25).abs() < 1e-9);
        assert!((landscape.centre().expect("a centre") - bowl(0.0, 0.0)).abs() < 1e-9);
        let csv = landscape.to_csv();
        assert_eq!(csv.lines().count(), 442);
        assert!(csv.contains("\n-3.0,-3.0,\n") && csv.contains("\n0.3,-0.6,2.5e-1\n"), "{csv}");
    }
}
