//! Formats numbers and texts for the page.

use crate::result::{Estimate, LabelAccuracy, Snr};
use crate::spectrum::Source;

/// Value and error for the page: `("−0.43", "0.05")`.
pub(super) fn estimate(estimate: &Estimate) -> (String, String) {
    estimate.text('\u{2212}')
}

/// A catalogue value and its difference from the prediction: `("5777 ± 80", "Δ −23, 0.2 σ")`. The error of the
/// prediction sets the decimals.
pub(super) fn catalogue_comparison(catalogue: &Estimate, predicted: &Estimate) -> (String, String) {
    let value_text = |value: f64| Estimate { value, ..*predicted }.text('\u{2212}').0;
    let has_error = catalogue.error.is_finite() && catalogue.error > 0.0;
    let value = if has_error {
        format!("{} ± {}", value_text(catalogue.value), value_text(catalogue.error))
    } else {
        value_text(catalogue.value)
    };
    let difference = predicted.value - catalogue.value;
    let error = predicted.error.hypot(if has_error { catalogue.error } else { 0.0 });
    let sign = if difference >= 0.0 { "+" } else { "" };
    (value, format!("Δ {sign}{}, {:.1} σ", value_text(difference), (difference / error).abs()))
}

/// Measured accuracy of a label: `test σ 110 K, N 414`, or `test σ 150 K, simulated`.
pub(super) fn accuracy_short(m: &LabelAccuracy) -> String {
    let d = if m.sigma >= 10.0 { 0 } else { 2 };
    let unit = if m.label.unit().is_empty() { String::new() } else { format!(" {}", m.label.unit()) };
    let stars = if m.is_simulated { "simulated".into() } else { format!("N {}", m.n) };
    format!("test σ {:.d$}{unit}, {stars}", m.sigma)
}

/// S/N; a tilde marks an estimate.
pub(super) fn snr(snr: Option<Snr>) -> String {
    match snr {
        Some(snr) if snr.source == Source::Estimated => format!("~{:.0}", snr.value),
        Some(snr) => format!("{:.0}", snr.value),
        None => "–".into(),
    }
}

/// The text with a minus sign (−) in place of each hyphen before a number.
pub(super) fn with_minus_signs(text: &str) -> String {
    let mut previous = ' ';
    let mut rest = text.chars().peekable();
    let mut out = String::with_capacity(text.len() + 4);
    while let Some(c) = rest.next() {
        let is_minus = c == '-' && matches!(previous, ' ' | '(' | '±') && rest.peek().is_some_and(char::is_ascii_digit);
        out.push(if is_minus { '\u{2212}' } else { c });
        previous = c;
    }
    out
}

/// A signed label difference with two digits: `−0.012 dex`.
pub(super) fn slope(value: f64, unit: &str) -> String {
    let digits = if value.abs() > 0.0 { (1 - value.abs().log10().floor() as i32).clamp(0, 5) as usize } else { 0 };
    format!("{value:+.digits$} {unit}").trim_end().replace('-', "\u{2212}")
}

/// A number of bytes: `4.1 MB`.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.0} kB", n as f64 / 1e3),
        _ => format!("{:.1} MB", n as f64 / 1e6),
    }
}

/// A count with its noun: `1 spectrum`, `3 spectra`.
pub(super) fn count_with_noun(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

/// A flux: decimal from 0.01 to 10⁵, else in scientific notation.
pub(super) fn flux(value: f32) -> String {
    let size = value.abs();
    let text = if value == 0.0 || (0.01..1e5).contains(&size) {
        let decimals = (3 - size.max(1e-9).log10().floor() as i32).clamp(0, 5) as usize;
        format!("{value:.decimals$}")
    } else {
        format!("{value:.3e}")
    };
    text.replace('-', "\u{2212}")
}

/// A flux and its error. In decimal notation the error has two significant digits, and the flux has as many decimals.
pub(super) fn flux_with_error(value: f32, error: f32) -> (String, String) {
    let is_plain = |v: f32| (0.01..1e5).contains(&v.abs());
    if !is_plain(value) || !is_plain(error) {
        return (flux(value), flux(error));
    }
    let decimals = (1 - error.log10().floor() as i32).clamp(0, 5) as usize;
    let text = |v: f32| format!("{v:.decimals$}").replace('-', "\u{2212}");
    (text(value), text(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minus_signs_only_before_numbers() {
        assert_eq!(
            with_minus_signs("bias -0.06 (-22 km/s), 5-fold, 1e-4, as-is"),
            "bias −0.06 (−22 km/s), 5-fold, 1e-4, as-is"
        );
        assert_eq!(with_minus_signs("-3"), "−3");
    }

    #[test]
    fn fluxes_and_bytes_are_short() {
        assert_eq!(flux(1485.25), "1485");
        assert_eq!(flux(-0.5), "−0.5000");
        assert_eq!(flux_with_error(307.712, 5.4536), ("307.7".into(), "5.5".into()));
        assert_eq!(flux_with_error(-1485.25, 120.0), ("−1485".into(), "120".into()));
        assert_eq!(flux_with_error(3.21e-17, 2e-19), ("3.210e−17".into(), "2.000e−19".into()));
        assert_eq!(flux(3.21e-17), "3.210e−17");
        assert_eq!(bytes(6_300_000), "6.3 MB");
        assert_eq!(count_with_noun(1, "file", "files"), "1 file");
    }
}
