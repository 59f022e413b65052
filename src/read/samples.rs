//! From the columns of a file to a spectrum: missing values, errors, masks and overlapping orders, the same in every
//! format.
//!
//! - A pixel without a wavelength (0, −1, NaN …) is padding and is dropped.
//! - Errors of which none is a positive number are no errors.
//! - A mask whose polarity contradicts the inverse variances, or that leaves the smaller part, is inverted or ignored.
//! - A run of fluxes that are exactly 0 is no data.
//! - Echelle orders that overlap are merged, weighted by their inverse variances.

use super::axis::Role;
use crate::spectrum::{MAX_PIXELS, MIN_PIXELS, Meta, Spectrum, SpectrumError};

/// Shortest run of fluxes of exactly 0 inside a spectrum that counts as not measured. At the ends any run counts.
const MIN_ZERO_RUN: usize = 5;

/// Maximum number of echelle orders.
pub(crate) const MAX_ORDERS: usize = 200;

/// Flux errors in the form of the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Errors {
    Sigma(Vec<f64>),
    Variance(Vec<f64>),
    Ivar(Vec<f64>),
}

impl Errors {
    /// Errors of the form that a role names; `None` for any other role.
    pub(crate) fn of(role: Option<Role>, values: Vec<f64>) -> Option<Self> {
        Some(match role? {
            Role::Sigma => Self::Sigma(values),
            Role::Variance => Self::Variance(values),
            Role::Ivar => Self::Ivar(values),
            Role::Wavelength(_) | Role::Flux => return None,
        })
    }

    /// Inverse variances, 0 where the error is not a positive, finite number.
    fn into_ivar(self) -> Vec<f64> {
        let (values, inverse): (_, fn(f64) -> f64) = match self {
            Self::Sigma(values) => (values, |s| (s * s).recip()),
            Self::Variance(values) => (values, f64::recip),
            Self::Ivar(values) => (values, |v| v),
        };
        let is_usable = |v: f64| v.is_finite() && v > 0.0;
        values
            .into_iter()
            .map(|v| if is_usable(v) { Some(inverse(v)).filter(|i| is_usable(*i)).unwrap_or(0.0) } else { 0.0 })
            .collect()
    }
}

/// Meaning of the values of a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaskConvention {
    /// 0 is good, any other value is bad.
    Bad,
    /// 0 is bad, any other value is good.
    Good,
}

impl MaskConvention {
    /// The mask convention of a column with this name; `None` if it is not a mask.
    ///
    /// `and_mask` and `or_mask` do not count as masks, because most of their bits mark usable pixels.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let name = name.trim().to_lowercase();
        match name.strip_prefix("opt_").or(name.strip_prefix("box_")).unwrap_or(&name) {
            "mask" | "masked" | "flag" | "flags" | "qual" | "quality" | "dq" | "bad" | "badpix" | "badpixel" => {
                Some(Self::Bad)
            }
            "good" | "goodpix" | "goodpixel" | "gpm" => Some(Self::Good),
            "bpm" => Some(Self::Bad),
            _ => None,
        }
    }

    fn opposite(self) -> Self {
        if self == Self::Bad { Self::Good } else { Self::Bad }
    }

    fn is_bad(self, value: f64) -> bool {
        (value == 0.0) == (self == Self::Good)
    }

    /// The convention that a mask really follows, which its name may not say; `None` for a column of another meaning.
    fn really(self, mask: &[f64], ivar: Option<&[f64]>) -> Option<Self> {
        let n_bad = mask.iter().filter(|m| self.is_bad(**m)).count();
        let is_binary = mask.iter().all(|m| *m == 0.0 || *m == 1.0);
        if let Some(ivar) = ivar.filter(|ivar| ivar.contains(&0.0)) {
            let agreeing = mask.iter().zip(ivar).filter(|(m, v)| self.is_bad(**m) == (**v == 0.0)).count();
            if 2 * agreeing >= mask.len() {
                return Some(self);
            }
        } else if 2 * n_bad <= mask.len() {
            return Some(self);
        }
        (is_binary && n_bad < mask.len()).then(|| self.opposite())
    }
}

/// The samples of one spectrum as the file gives them. `wave_aa` is in Å; not-finite and non-positive numbers are
/// padding.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Samples {
    pub wave_aa: Vec<f64>,
    pub flux: Vec<f64>,
    pub errors: Option<Errors>,
    /// A value for each pixel, and the meaning of 0 by the name of the column.
    pub mask: Option<(MaskConvention, Vec<f64>)>,
}

/// A pixel of a spectrum.
#[derive(Debug, Clone, Copy)]
struct Pixel {
    wave_aa: f64,
    flux: f64,
    /// Inverse variance; 1 for all without errors.
    ivar: f64,
    is_bad: bool,
}

impl Samples {
    /// These samples and then those of the next order.
    pub(crate) fn followed_by(mut self, next: Self) -> Self {
        self.wave_aa.extend(next.wave_aa);
        self.flux.extend(next.flux);
        self.errors = match (self.errors, next.errors) {
            (Some(Errors::Sigma(a)), Some(Errors::Sigma(b))) => Some(Errors::Sigma([a, b].concat())),
            (Some(Errors::Variance(a)), Some(Errors::Variance(b))) => Some(Errors::Variance([a, b].concat())),
            (Some(Errors::Ivar(a)), Some(Errors::Ivar(b))) => Some(Errors::Ivar([a, b].concat())),
            _ => None,
        };
        self.mask = self.mask.zip(next.mask).map(|((convention, a), (_, b))| (convention, [a, b].concat()));
        self
    }

    /// Builds the spectrum, with a note for each decision.
    pub(crate) fn into_spectrum(self, mut meta: Meta) -> Result<Spectrum, SpectrumError> {
        let n = self.wave_aa.len();
        if n > MAX_PIXELS {
            return Err(SpectrumError::TooLong(n));
        }
        let mut ivar = self.errors.map(Errors::into_ivar);
        if ivar.as_ref().is_some_and(|ivar| ivar.len() == self.flux.len() && ivar.iter().all(|v| *v == 0.0)) {
            meta.notes
                .push("the flux errors of the file are ignored, because none of them is a positive number".into());
            ivar = None;
        }
        if self.flux.len() != n || ivar.as_ref().is_some_and(|v| v.len() != n) {
            return Spectrum::new(meta, self.wave_aa, self.flux, ivar, None);
        }
        let mut bad = vec![false; n];
        // A mask of a single value says nothing.
        let says_something = |mask: &[f64]| mask.len() == n && mask.iter().any(|m| (*m == 0.0) != (mask[0] == 0.0));
        if let Some((named, mask)) = self.mask.filter(|(_, mask)| says_something(mask)) {
            let convention = named.really(&mask, ivar.as_deref());
            match convention {
                Some(convention) => bad.iter_mut().zip(&mask).for_each(|(b, m)| *b = convention.is_bad(*m)),
                None => meta.notes.push("the mask is ignored, because it marks most pixels as bad".into()),
            }
            if convention == Some(named.opposite()) {
                let (good, bad) = if named == MaskConvention::Bad { (1, 0) } else { (0, 1) };
                meta.notes.push(format!(
                    "the mask is read as {good} = good, {bad} = bad, because the opposite contradicts the flux errors or masks most pixels"
                ));
            }
        }
        mark_zero_runs(&self.flux, &mut bad);
        let has_errors = ivar.is_some();
        let ivar = ivar.unwrap_or_else(|| vec![1.0; n]);
        let mut pixels: Vec<Pixel> = (0..n)
            .map(|i| Pixel { wave_aa: self.wave_aa[i], flux: self.flux[i], ivar: ivar[i], is_bad: bad[i] })
            .filter(|p| p.wave_aa.is_finite() && p.wave_aa > 0.0)
            .collect();
        if (MIN_PIXELS..n).contains(&pixels.len()) {
            let dropped = match n - pixels.len() {
                1 => "1 pixel without a wavelength is dropped".to_string(),
                n => format!("{n} pixels without a wavelength are dropped"),
            };
            meta.notes.push(dropped);
        }
        if let Some((merged, orders)) = merge_orders(&pixels) {
            meta.notes.push(format!("{orders} overlapping orders are merged"));
            pixels = merged;
        }
        let column = |value: fn(&Pixel) -> f64| pixels.iter().map(value).collect::<Vec<f64>>();
        let ivar = has_errors.then(|| column(|p| p.ivar));
        let masked = pixels.iter().map(|p| p.is_bad).collect();
        Spectrum::new(meta, column(|p| p.wave_aa), column(|p| p.flux), ivar, Some(masked))
    }
}

/// True if rows with these wavelengths are the orders of one spectrum: each covers another range, and neighbours overlap
/// by less than half. Spectra of several stars cover the same range.
pub(crate) fn are_orders(rows: &[Vec<f64>]) -> bool {
    let range = |row: &Vec<f64>| {
        let usable = row.iter().copied().filter(|w| w.is_finite() && *w > 0.0);
        usable.fold((f64::INFINITY, 0.0_f64), |(low, high), w| (low.min(w), high.max(w)))
    };
    let mut ranges: Vec<(f64, f64)> = rows.iter().map(range).collect();
    ranges.sort_by(|a, b| a.0.total_cmp(&b.0));
    let is_next = |w: &[(f64, f64)]| {
        let ((_, high), (low, next_high)) = (w[0], w[1]);
        high - low < 0.5 * (high - w[0].0).min(next_high - low)
    };
    (2..=MAX_ORDERS).contains(&rows.len()) && ranges.windows(2).all(is_next)
}

/// Marks runs of fluxes of exactly 0, at the ends and of at least [`MIN_ZERO_RUN`] pixels inside.
fn mark_zero_runs(flux: &[f64], bad: &mut [bool]) {
    let mut start = 0;
    while start < flux.len() {
        let length = flux[start..].iter().take_while(|f| **f == 0.0).count();
        let is_at_end = start == 0 || start + length == flux.len();
        if length >= MIN_ZERO_RUN || is_at_end {
            bad[start..start + length].fill(true);
        }
        start += length.max(1);
    }
}

/// Merges orders that overlap: runs of increasing wavelengths that each begin before the end of another. `None` if the
/// wavelengths are in order, or jump too often to be orders.
///
/// In an overlap the pixels of the bluer order stay, and the redder order is interpolated to them.
fn merge_orders(pixels: &[Pixel]) -> Option<(Vec<Pixel>, usize)> {
    let is_decreasing = pixels.windows(2).filter(|w| w[1].wave_aa < w[0].wave_aa).count() * 2 > pixels.len();
    let mut pixels = pixels.to_vec();
    if is_decreasing {
        pixels.reverse();
    }
    let mut orders: Vec<&[Pixel]> = pixels.chunk_by(|a, b| a.wave_aa < b.wave_aa).collect();
    let are_orders = (2..=MAX_ORDERS).contains(&orders.len()) && orders.iter().all(|order| order.len() >= MIN_PIXELS);
    // Two equal wavelengths in turn are a repeated row, not an order.
    if !are_orders || pixels.windows(2).any(|w| w[1].wave_aa == w[0].wave_aa) {
        return None;
    }
    orders.sort_by(|a, b| a[0].wave_aa.total_cmp(&b[0].wave_aa));
    let mut merged: Vec<Pixel> = orders[0].to_vec();
    for order in &orders[1..] {
        let end_aa = merged[merged.len() - 1].wave_aa;
        let from = merged.partition_point(|p| p.wave_aa < order[0].wave_aa);
        for pixel in &mut merged[from..] {
            let right = order.partition_point(|p| p.wave_aa < pixel.wave_aa);
            if let (Some(a), Some(b)) = (order.get(right.saturating_sub(1)), order.get(right)) {
                *pixel = pixel.combined_with(&Pixel::between(a, b, pixel.wave_aa));
            }
        }
        merged.extend(order.iter().filter(|p| p.wave_aa > end_aa));
    }
    Some((merged, orders.len()))
}

impl Pixel {
    /// Linear interpolation between two pixels.
    fn between(a: &Self, b: &Self, wave_aa: f64) -> Self {
        let width = b.wave_aa - a.wave_aa;
        let t = if width > 0.0 { (wave_aa - a.wave_aa) / width } else { 0.0 };
        let mix = |a: f64, b: f64| a + t * (b - a);
        let ivar = if a.ivar > 0.0 && b.ivar > 0.0 { mix(a.ivar, b.ivar) } else { 0.0 };
        Self { wave_aa, flux: mix(a.flux, b.flux), ivar, is_bad: a.is_bad || b.is_bad }
    }

    fn weight(&self) -> f64 {
        if self.is_bad || !self.flux.is_finite() { 0.0 } else { self.ivar }
    }

    /// The weighted mean at the wavelength of `self`.
    fn combined_with(&self, other: &Self) -> Self {
        let (a, b) = (self.weight(), other.weight());
        if b <= 0.0 {
            return *self;
        }
        if a <= 0.0 {
            return Self { wave_aa: self.wave_aa, ..*other };
        }
        Self { flux: (a * self.flux + b * other.flux) / (a + b), ivar: a + b, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(from: f64, n: usize) -> Vec<f64> {
        (0..n).map(|i| from + i as f64).collect()
    }

    fn spectrum(samples: Samples) -> Spectrum {
        samples.into_spectrum(Meta::unknown("a", "test")).unwrap_or_else(|e| panic!("{e}"))
    }

    fn masked(spectrum: &Spectrum) -> Vec<usize> {
        (0..spectrum.len()).filter(|i| spectrum.masked()[*i]).collect()
    }

    fn flat(n: usize) -> Samples {
        Samples { wave_aa: grid(5000.0, n), flux: vec![1.0; n], ..Samples::default() }
    }

    #[test]
    fn a_spectrum_too_long_for_a_browser_tab_is_refused() {
        let refused = flat(MAX_PIXELS + 1).into_spectrum(Meta::unknown("a", "test"));
        assert_eq!(refused.map(|s| s.len()), Err(SpectrumError::TooLong(MAX_PIXELS + 1)));
    }

    #[test]
    fn errors_without_a_usable_number_are_no_errors() {
        for errors in [Errors::Sigma(vec![f64::NAN; 40]), Errors::Sigma(vec![-1.0; 40]), Errors::Ivar(vec![0.0; 40])] {
            let s = spectrum(Samples { errors: Some(errors.clone()), ..flat(40) });
            assert!(s.ivar().is_none() && masked(&s).is_empty(), "{errors:?}");
            assert!(s.meta.notes[0].contains("ignored"));
        }
        let mut sigma = vec![2.0; 40];
        sigma[3] = f64::NAN;
        let s = spectrum(Samples { errors: Some(Errors::Sigma(sigma)), ..flat(40) });
        assert_eq!((s.ivar().map(|v| v[0]), masked(&s)), (Some(0.25), vec![3]));
        let s = spectrum(Samples { errors: Some(Errors::Variance(vec![4.0; 40])), ..flat(40) });
        assert_eq!(s.ivar().map(|v| v[0]), Some(0.25));
    }

    #[test]
    fn a_mask_means_what_errors_and_the_larger_part_say() {
        let with = |convention, mask: Vec<f64>, ivar: Option<Vec<f64>>| {
            masked(&spectrum(Samples { mask: Some((convention, mask)), errors: ivar.map(Errors::Ivar), ..flat(40) }))
        };
        let at = |i: usize, special: f64, other: f64| {
            (0..40).map(|k| if k == i { special } else { other }).collect::<Vec<_>>()
        };
        let (bad, good) = (MaskConvention::Bad, MaskConvention::Good);
        // As named.
        assert_eq!(with(bad, at(7, 1.0, 0.0), None), [7]);
        assert_eq!(with(good, at(7, 0.0, 1.0), None), [7]);
        assert_eq!(with(bad, at(7, 64.0, 0.0), None), [7]);
        // Against the name: it would leave the smaller part, or the inverse variances say the opposite.
        assert_eq!(with(bad, at(7, 0.0, 1.0), None), [7]);
        assert_eq!(with(bad, at(7, 0.0, 1.0), Some(at(7, 0.0, 1.0))), [7]);
        // The inverse variances confirm a mask that leaves the smaller part.
        let mostly_bad: Vec<f64> = (0..40).map(|i| f64::from(i < 30)).collect();
        let ivar = mostly_bad.iter().map(|m| 1.0 - m).collect();
        assert_eq!(with(bad, mostly_bad, Some(ivar)).len(), 30);
        // Bits that most pixels have are no mask.
        assert!(with(bad, vec![4.0; 40], None).is_empty());
        assert!(with(bad, at(7, 0.0, 8.0), None).is_empty());
        assert!(with(bad, vec![1.0; 40], None).is_empty());
    }

    #[test]
    fn pixels_without_a_wavelength_are_dropped() {
        for padding in [0.0, -1.0, f64::NAN, -999.0] {
            let mut samples = flat(40);
            samples.wave_aa[38..].fill(padding);
            samples.flux[38..].fill(0.0);
            let s = spectrum(samples);
            assert_eq!((s.len(), masked(&s)), (38, vec![]), "{padding}");
        }
    }

    #[test]
    fn runs_of_zeros_are_no_data() {
        let mut samples = flat(60);
        samples.flux[..2].fill(0.0);
        samples.flux[20..26].fill(0.0);
        samples.flux[40..42].fill(0.0);
        samples.flux[59] = 0.0;
        assert_eq!(masked(&spectrum(samples)), [0, 1, 20, 21, 22, 23, 24, 25, 59]);
        let empty = Samples { flux: vec![0.0; 40], ..flat(40) };
        assert_eq!(empty.into_spectrum(Meta::unknown("a", "test")), Err(SpectrumError::Empty));
    }

    #[test]
    fn rows_of_other_ranges_are_orders() {
        assert!(are_orders(&[grid(5000.0, 40), grid(5030.0, 40), grid(5065.0, 40)]));
        assert!(are_orders(&[grid(7000.0, 40), grid(5000.0, 40)]));
        assert!(!are_orders(&[grid(5000.0, 40), grid(5000.0, 40)]));
        assert!(!are_orders(&[grid(5000.0, 40), grid(5002.0, 40)]));
        assert!(!are_orders(&[grid(5000.0, 40)]));
    }

    #[test]
    fn orders_that_overlap_are_merged_by_their_errors() {
        let wave_aa = [grid(5000.0, 40), grid(5030.5, 40)].concat();
        let flux = [vec![1.0; 40], vec![2.0; 40]].concat();
        let errors = Errors::Ivar([vec![1.0; 40], vec![3.0; 40]].concat());
        let both = Samples { wave_aa, flux, errors: Some(errors), mask: None };
        for descending in [false, true] {
            let mut samples = both.clone();
            if descending {
                samples.wave_aa.reverse();
                samples.flux.reverse();
                samples.errors = Some(Errors::Ivar([vec![3.0; 40], vec![1.0; 40]].concat()));
            }
            let s = spectrum(samples);
            assert_eq!((s.len(), s.wave_vac_aa()[0], s.wave_vac_aa()[70]), (40 + 31, 5000.0, 5069.5));
            assert_eq!((s.flux()[30], s.flux()[31], s.flux()[40]), (1.0, 1.75, 2.0));
            assert_eq!(s.ivar().map(|v| v[31]), Some(4.0));
        }
        // A repeated row is an error, not an order.
        let mut repeated = flat(40);
        repeated.wave_aa[20] = repeated.wave_aa[19];
        assert!(matches!(repeated.into_spectrum(Meta::unknown("a", "t")), Err(SpectrumError::Order { .. })));
    }
}
