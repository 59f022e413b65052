//! The learning rate of the published trainings (MODEL_SPEC §2.1, §2.6).

/// A linear rise from zero, then half a cosine down to zero, then zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmupCosine {
    /// Highest rate.
    pub peak: f64,
    /// Steps of the rise.
    pub warmup: usize,
    /// Steps until it is down.
    pub total: usize,
}

impl WarmupCosine {
    /// The rate of a step, counted from 0.
    pub fn rate(self, step: usize) -> f64 {
        if step < self.warmup {
            return self.peak * step as f64 / self.warmup as f64;
        }
        if step >= self.total {
            return 0.0;
        }
        let done = (step - self.warmup) as f64 / (self.total - self.warmup) as f64;
        0.5 * self.peak * (1.0 + (std::f64::consts::PI * done).cos())
    }
}
