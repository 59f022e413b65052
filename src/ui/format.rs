//! Numbers as the page shows them.

use crate::result::{Estimate, Measure, Snr};
use crate::spectrum::Source;

/// Value and error for the page: `("−0.43", "0.05")`.
pub fn estimate(estimate: &Estimate) -> (String, String) {
    estimate.text('\u{2212}')
}

/// What a catalogue says beside a prediction, and how far apart they are: `("5777 ± 80", "Δ −23, 0.2 σ")`. The prediction's
/// error decides the decimals.
pub fn beside(known: &Estimate, predicted: &Estimate) -> (String, String) {
    let at = |value: f64| Estimate { value, ..*predicted }.text('\u{2212}').0;
    let has_error = known.error.is_finite() && known.error > 0.0;
    let value = if has_error { format!("{} ± {}", at(known.value), at(known.error)) } else { at(known.value) };
    let difference = predicted.value - known.value;
    let error = predicted.error.hypot(if has_error { known.error } else { 0.0 });
    let sign = if difference >= 0.0 { "+" } else { "" };
    (value, format!("Δ {sign}{}, {:.1} σ", at(difference), (difference / error).abs()))
}

/// How good a label was measured to be, in short: `σ 110 K, N 414`, or `σ 150 K, simulated`.
pub fn measure_short(m: &Measure) -> String {
    let d = if m.sigma >= 10.0 { 0 } else { 2 };
    let unit = if m.label.unit().is_empty() { String::new() } else { format!(" {}", m.label.unit()) };
    let stars = if m.is_simulated { "simulated".into() } else { format!("N {}", m.n) };
    format!("σ {:.d$}{unit}, {stars}", m.sigma)
}

/// S/N for the page; a tilde says that it was estimated.
pub fn snr(snr: Option<Snr>) -> String {
    match snr {
        Some(snr) if snr.source == Source::Estimated => format!("~{:.0}", snr.value),
        Some(snr) => format!("{:.0}", snr.value),
        None => "–".into(),
    }
}

/// Text of the engine with typographic minus signs, where a `-` is one: before a digit, at the start of a word.
pub fn prose(text: &str) -> String {
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    let mut out = String::with_capacity(text.len() + 4);
    while let Some(c) = rest.next() {
        let is_minus = c == '-' && matches!(before, ' ' | '(' | '±') && rest.peek().is_some_and(char::is_ascii_digit);
        out.push(if is_minus { '\u{2212}' } else { c });
        before = c;
    }
    out
}

/// A change of a label, signed, to two digits: `−0.012 dex`.
pub fn slope(value: f64, unit: &str) -> String {
    let digits = if value.abs() > 0.0 { (1 - value.abs().log10().floor() as i32).clamp(0, 5) as usize } else { 0 };
    format!("{value:+.digits$} {unit}").trim_end().replace('-', "\u{2212}")
}

/// A number of bytes: `4.1 MB`.
pub fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.0} kB", n as f64 / 1e3),
        _ => format!("{:.1} MB", n as f64 / 1e6),
    }
}

/// A whole number with its noun: `1 spectrum`, `3 spectra`.
pub fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

/// A flux: plain where that is short, else with a power of ten.
pub fn flux(value: f32) -> String {
    let size = value.abs();
    let text = if value == 0.0 || (0.01..1e5).contains(&size) {
        let decimals = (3 - size.max(1e-9).log10().floor() as i32).clamp(0, 5) as usize;
        format!("{value:.decimals$}")
    } else {
        format!("{value:.3e}")
    };
    text.replace('-', "\u{2212}")
}

/// A flux and its error: two digits of the error where both are plain.
pub fn flux_with_error(value: f32, error: f32) -> (String, String) {
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
        assert_eq!(prose("bias -0.06 (-22 km/s), 5-fold, 1e-4, as-is"), "bias −0.06 (−22 km/s), 5-fold, 1e-4, as-is");
        assert_eq!(prose("-3"), "−3");
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
        assert_eq!(count(1, "file", "files"), "1 file");
    }
}
