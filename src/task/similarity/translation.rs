//! A spectrum predicted in the other survey, compared with an observed spectrum there.

use super::encoders::{Encoded, Encoders, wave_vac_aa};
use super::index_set::other;
use crate::model::encoders::Variant;
use crate::model::manifest::Measurement;
use crate::result::similarity::{LabelInfo, MatchedBy, MeanComparison, ObservedPartner, PairedLabels, Translation};
use crate::result::specclip::Modality;
use crate::spectrum::Meta;

/// Largest separation of two positions of one star, arcsec.
pub const MAX_SEPARATION_ARCSEC: f64 = 1.0;

/// Value of [`Measurement::subject`] for the baseline error: the mean of all spectra, taken as the prediction.
pub const MEAN_SPECTRUM_BASELINE: &str = "the mean spectrum";

/// Value of [`Measurement::quantity`] for the error of predictions in a survey.
pub fn error_name(to: Modality) -> &'static str {
    match to {
        Modality::Xp => "mean absolute error LRS → XP, flux over that at 550 nm",
        Modality::Lrs => "mean absolute error XP → LRS, normalised flux",
    }
}

/// Measured error of predictions in a survey. Several variants are measured; [`Variant::Pr`] is shipped.
fn measured_error(measurements: &[Measurement], to: Modality) -> Option<MeanComparison> {
    let error_of = |subject: &str| measurements.iter().find(|m| m.quantity == error_name(to) && m.subject == subject);
    let (predicted, mean) = (error_of(Variant::Pr.name())?, error_of(MEAN_SPECTRUM_BASELINE)?);
    Some(MeanComparison { predicted: predicted.value, mean_spectrum: mean.value, n: predicted.n })
}

/// The match of two spectra as one star: by id, else by position. `None` without a match.
pub fn same_star(a: &Meta, b: &Meta) -> Option<MatchedBy> {
    if a.id == b.id {
        return Some(MatchedBy::Id);
    }
    let arcsec = separation_arcsec((a.ra_deg?, a.dec_deg?), (b.ra_deg?, b.dec_deg?));
    (arcsec <= MAX_SEPARATION_ARCSEC).then_some(MatchedBy::Position { arcsec })
}

/// Angle between two positions (RA, Dec) in degrees; the result is in arcsec. The haversine formula is accurate for
/// small angles.
fn separation_arcsec(a: (f64, f64), b: (f64, f64)) -> f64 {
    let haversine = |x: f64, y: f64| (0.5 * (x - y).to_radians()).sin().powi(2);
    let cosines = a.1.to_radians().cos() * b.1.to_radians().cos();
    2.0 * (haversine(a.1, b.1) + cosines * haversine(a.0, b.0)).sqrt().min(1.0).asin().to_degrees() * 3600.0
}

/// A spectrum of the same star from the other survey.
pub struct Partner<'a> {
    /// Number of the spectrum.
    pub spectrum: u32,
    /// Id of the spectrum.
    pub id: String,
    /// Type of the match.
    pub matched_by: MatchedBy,
    /// Output of the encoders.
    pub encoded: &'a Encoded,
}

/// The predicted spectrum, compared with `partner`; `None` for an encoder pair without decoders.
pub fn translation(
    encoders: &Encoders,
    spectrum: u32,
    id: &str,
    encoded: &Encoded,
    partner: Option<Partner>,
) -> Option<Translation> {
    let flux = encoded.translated.clone()?;
    let (from, to) = (encoded.input.modality, other(encoded.input.modality));
    let names = |modality| encoders.labels(modality);
    let mut label_names: Vec<&String> = names(from).iter().collect();
    label_names.extend(names(to).iter().filter(|name| !names(from).contains(name)));
    let value = |modality, encoded: &Encoded, name: &String| {
        names(modality).iter().position(|l| l == name).and_then(|i| encoded.labels.get(i)).copied()
    };
    let labels = label_names.into_iter().map(|name| PairedLabels {
        label: LabelInfo::of(name),
        from_spectrum: value(from, encoded, name),
        from_observed: partner.as_ref().and_then(|p| value(to, p.encoded, name)),
    });
    Some(Translation {
        spectrum,
        id: id.into(),
        from,
        to,
        wave_vac_aa: wave_vac_aa(to),
        labels: labels.collect(),
        observed: partner.as_ref().map(|p| observed(p, &flux)),
        flux,
        model: encoders.title(),
        measured_error: measured_error(&encoders.entry().measurements, to),
    })
}

fn observed(partner: &Partner, predicted: &[f32]) -> ObservedPartner {
    let input = &partner.encoded.input;
    let differences: Vec<(f64, f64)> = input
        .flux
        .iter()
        .zip(predicted)
        .enumerate()
        .map(|(i, (a, b))| (f64::from(a - b), f64::from(input.sigma.get(i).copied().unwrap_or(f32::NAN))))
        .filter(|(difference, _)| difference.is_finite())
        .collect();
    let n = differences.len().max(1) as f64;
    let weighted: Vec<f64> = differences.iter().filter(|(_, s)| *s > 0.0).map(|(d, s)| (d / s).powi(2)).collect();
    ObservedPartner {
        spectrum: partner.spectrum,
        id: partner.id.clone(),
        matched_by: partner.matched_by,
        flux: input.flux.clone(),
        sigma: input.sigma.clone(),
        mean_absolute: differences.iter().map(|(d, _)| d.abs()).sum::<f64>() / n,
        weighted_rms: (!weighted.is_empty()).then(|| (weighted.iter().sum::<f64>() / weighted.len() as f64).sqrt()),
        pixels: differences.len() as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measured_error_comes_from_the_manifest() {
        let measurement = |to, subject: &str, value| Measurement {
            quantity: error_name(to).into(),
            subject: subject.into(),
            data_set: "pairs".into(),
            n: 5000,
            value,
        };
        let measurements = [
            measurement(Modality::Lrs, "pr", 0.04),
            measurement(Modality::Xp, "split", 0.11),
            measurement(Modality::Xp, "pr", 0.1),
            measurement(Modality::Xp, "the mean spectrum", 0.19),
        ];
        let error = measured_error(&measurements, Modality::Xp);
        assert_eq!(error, Some(MeanComparison { predicted: 0.1, mean_spectrum: 0.19, n: 5000 }));
        assert_eq!(measured_error(&measurements, Modality::Lrs), None, "without the mean it says nothing");
    }

    /// Reference value from astropy.coordinates: SkyCoord(10°, 60°) to (10.0004°, 60.0001°) is 0.804983 arcsec.
    #[test]
    fn stars_match_by_id_or_position() {
        let at = |id: &str, ra: f64, dec: f64| Meta { ra_deg: Some(ra), dec_deg: Some(dec), ..Meta::unknown(id, "t") };
        let (a, b) = (at("a", 10.0, 60.0), at("b", 10.0004, 60.0001));
        match same_star(&a, &b) {
            Some(MatchedBy::Position { arcsec }) => assert!((arcsec - 0.804983).abs() < 1e-5, "{arcsec}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(same_star(&a, &at("a", 200.0, -3.0)), Some(MatchedBy::Id));
        assert_eq!(same_star(&a, &at("b", 10.001, 60.0)), None);
        assert_eq!(same_star(&Meta::unknown("a", "t"), &Meta::unknown("b", "t")), None);
    }
}
