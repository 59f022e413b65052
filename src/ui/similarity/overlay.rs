//! Chart that overlays two spectra, with their difference.

use crate::plot::{Chart, Mark, Paint, Plot, range_of};
use crate::result::similarity::Thumbnail;
use crate::result::specclip::Modality;

/// Axis label of the normalised flux of a survey.
pub(super) fn flux_label(modality: Modality) -> &'static str {
    match modality {
        Modality::Lrs => "flux / continuum",
        Modality::Xp => "flux / flux at 550 nm",
    }
}

/// Chart of the spectra `own` and `other`, with the difference own − other below. `flux`: label of the flux axis.
pub(super) fn overlay(own: &Thumbnail, other: Option<&Thumbnail>, flux: &str) -> Chart {
    let points = |t: &Thumbnail| -> Vec<(f64, f64)> {
        t.wave_vac_aa.iter().zip(&t.flux).map(|(w, f)| (f64::from(*w), f64::from(*f))).collect()
    };
    let (a, b) = (points(own), other.map(points).unwrap_or_default());
    let x_range = own.wave_vac_aa.first().zip(own.wave_vac_aa.last());
    let x_range = x_range.map_or((0.0, 1.0), |(low, high)| (f64::from(*low), f64::from(*high)));
    let difference: Vec<(f64, f64)> = a.iter().zip(&b).map(|(a, b)| (a.0, a.1 - b.1)).collect();
    let largest = difference.iter().map(|p| p.1.abs()).filter(|d| d.is_finite()).fold(0.02, f64::max) * 1.1;
    let plot = |y_label: &str, y_range, share, marks| Plot {
        x_label: "Rest wavelength in vacuum (Å)".into(),
        y_label: y_label.into(),
        x_range,
        y_range,
        is_x_log: false,
        share,
        marks,
    };
    let curve = |points, paint| Mark::Curve { points, paint };
    let both = a.iter().chain(&b).map(|p| p.1);
    let mut plots =
        vec![plot(flux, range_of(both), 0.62, vec![curve(b.clone(), Paint::Series(1)), curve(a, Paint::Series(0))])];
    if !b.is_empty() {
        plots.push(plot(
            "difference",
            (-largest, largest),
            0.38,
            vec![Mark::Level(0.0), curve(difference, Paint::Series(2))],
        ));
    }
    Chart { plots }
}
