//! The shipped encoder pair: optical and Gaia XP spectra in one space, and each predicted from the other.

/// What the LRS encoder takes in, from the recipe's output ([`Prepared::norm`](crate::preprocess::recipe::Prepared::norm)): pixels
/// that are not there stand at the continuum's level, 1, which is also the mean of every normalised spectrum. Empty when none
/// is there.
pub fn lrs_input(norm: &[f32]) -> Vec<f32> {
    if !norm.iter().any(|v| v.is_finite()) {
        return Vec::new();
    }
    norm.iter().map(|v| if v.is_finite() { *v } else { 1.0 }).collect()
}
