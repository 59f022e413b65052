//! Learning-rate schedule of the published trainings (docs/model-spec.md §2.1, §2.6).

/// Linear warm-up from zero, then a half cosine down to zero, then zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmupCosine {
    /// Highest learning rate.
    pub peak: f64,
    /// Warm-up steps.
    pub warmup: usize,
    /// Step at which the rate reaches zero.
    pub total: usize,
}

impl WarmupCosine {
    /// Learning rate of a step; steps count from 0.
    pub fn rate(self, step: usize) -> f64 {
        if step < self.warmup {
            return self.peak * step as f64 / self.warmup as f64;
        }
        if step >= self.total {
            return 0.0;
        }
        let fraction = (step - self.warmup) as f64 / (self.total - self.warmup) as f64;
        0.5 * self.peak * (1.0 + (std::f64::consts::PI * fraction).cos())
    }
}
