//! Ranges of brightness for calibrations, with the same number of stars in each.

use crate::model::xp_regressor::XpBrightness;
use crate::stats::median;

/// Stars of one range.
pub(super) struct BrightnessRange<T> {
    /// The stars, brightest first.
    pub(super) members: Vec<T>,
    /// Upper limit of the magnitude; the last range has none (`f64::MAX`).
    pub(super) g_below: f64,
    /// S/N per sample of the stars nearest to the limit; 0 in the last range.
    pub(super) snr_at_limit: f64,
}

impl<T> BrightnessRange<T> {
    /// Divides stars by their magnitude.
    pub(super) fn divide(mut stars: Vec<T>, ranges: usize, brightness: impl Fn(&T) -> XpBrightness) -> Vec<Self> {
        let g_of = |star: &T| brightness(star).g_mag.unwrap_or(f64::INFINITY);
        stars.sort_by(|a, b| g_of(a).total_cmp(&g_of(b)));
        let size = stars.len().div_ceil(ranges).max(1);
        let mut all = Vec::new();
        while !stars.is_empty() {
            let rest = stars.split_off(size.min(stars.len()));
            let nearest = &stars[stars.len() - (stars.len() / 5).max(1)..];
            let snr = median(&mut nearest.iter().filter_map(|s| brightness(s).snr).collect());
            let g_below = stars.last().map_or(f64::MAX, &g_of);
            let is_last = rest.is_empty();
            all.push(Self {
                members: stars,
                g_below: if is_last { f64::MAX } else { g_below },
                snr_at_limit: if is_last { 0.0 } else { snr.unwrap_or(0.0) },
            });
            stars = rest;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_equal_numbers_and_end_open() {
        let stars: Vec<(f64, f64)> = (0..9).map(|i| (f64::from(i * 7 % 9), f64::from(i))).collect();
        let brightness = |s: &(f64, f64)| XpBrightness { g_mag: Some(s.0), snr: Some(s.1) };
        let ranges = BrightnessRange::divide(stars, 2, brightness);
        assert_eq!(ranges.iter().map(|r| r.members.len()).collect::<Vec<_>>(), [5, 4]);
        assert!(ranges[0].members.iter().all(|s| s.0 <= 4.0));
        // The star of magnitude 4 is the seventh, i = 7 · 7 mod 9.
        assert_eq!((ranges[0].g_below, ranges[0].snr_at_limit), (4.0, 7.0));
        assert_eq!((ranges[1].g_below, ranges[1].snr_at_limit), (f64::MAX, 0.0));
    }
}
