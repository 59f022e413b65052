//! A spectrum predicted in the other survey, beside what was observed there.

use super::encode::{Encoded, Encoders, wave_vac_aa};
use super::library::other;
use crate::model::encoders::Variant;
use crate::model::manifest::Figure;
use crate::result::catalogue::Modality;
use crate::result::likes::{BothLabels, LabelInfo, MatchedBy, Observed, Translation, UsualError};
use crate::spectrum::Meta;

/// Furthest that two positions of one star are apart, arc seconds.
pub const SAME_PLACE_ARCSEC: f64 = 1.0;

/// Whose [`Figure`] it is that tells how far off the mean of all spectra would be.
pub const THE_MEAN: &str = "the mean spectrum";

/// What a [`Figure`] is called that tells how far off predictions in a survey are.
pub fn error_name(to: Modality) -> &'static str {
    match to {
        Modality::Xp => "mean absolute error LRS → XP, flux over that at 550 nm",
        Modality::Lrs => "mean absolute error XP → LRS, normalised flux",
    }
}

/// How good predictions in a survey were measured to be. Of the variants that are measured one is shipped.
fn usual_error(figures: &[Figure], to: Modality) -> Option<UsualError> {
    let of = |whose: &str| figures.iter().find(|f| f.what == error_name(to) && f.of == whose);
    let (predicted, mean) = (of(Variant::Pr.name())?, of(THE_MEAN)?);
    Some(UsualError { predicted: predicted.value, of_the_mean: mean.value, n: predicted.n })
}

/// What tells that two spectra are of one star; positions only where names do not.
pub fn same_star(a: &Meta, b: &Meta) -> Option<MatchedBy> {
    if a.id == b.id {
        return Some(MatchedBy::Id);
    }
    let arcsec = separation_arcsec((a.ra_deg?, a.dec_deg?), (b.ra_deg?, b.dec_deg?));
    (arcsec <= SAME_PLACE_ARCSEC).then_some(MatchedBy::Position { arcsec })
}

/// Angle between two positions in degrees, by the haversine, which is exact for small ones.
fn separation_arcsec(a: (f64, f64), b: (f64, f64)) -> f64 {
    let half = |x: f64, y: f64| (0.5 * (x - y).to_radians()).sin().powi(2);
    let cosines = a.1.to_radians().cos() * b.1.to_radians().cos();
    2.0 * (half(a.1, b.1) + cosines * half(a.0, b.0)).sqrt().min(1.0).asin().to_degrees() * 3600.0
}

/// A spectrum of the same star from the other survey.
pub struct Partner<'a> {
    /// Number of the spectrum.
    pub spectrum: u32,
    /// Its name.
    pub id: String,
    /// How it was found.
    pub matched_by: MatchedBy,
    /// What the encoders make of it.
    pub encoded: &'a Encoded,
}

/// The prediction and how it compares; `None` of a pair that cannot translate.
pub fn translation(
    encoders: &Encoders,
    spectrum: u32,
    id: &str,
    encoded: &Encoded,
    partner: Option<Partner>,
) -> Option<Translation> {
    let flux = encoded.across.clone()?;
    let (from, to) = (encoded.seen.modality, other(encoded.seen.modality));
    let names = |modality| encoders.labels(modality);
    let mut all: Vec<&String> = names(from).iter().collect();
    all.extend(names(to).iter().filter(|name| !names(from).contains(name)));
    let value = |modality, encoded: &Encoded, name: &String| {
        names(modality).iter().position(|l| l == name).and_then(|i| encoded.labels.get(i)).copied()
    };
    let labels = all.into_iter().map(|name| BothLabels {
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
        usual_error: usual_error(&encoders.entry().figures, to),
    })
}

fn observed(partner: &Partner, predicted: &[f32]) -> Observed {
    let seen = &partner.encoded.seen;
    let differences: Vec<(f64, f64)> = seen
        .flux
        .iter()
        .zip(predicted)
        .enumerate()
        .map(|(i, (a, b))| (f64::from(a - b), f64::from(seen.sigma.get(i).copied().unwrap_or(f32::NAN))))
        .filter(|(difference, _)| difference.is_finite())
        .collect();
    let n = differences.len().max(1) as f64;
    let weighted: Vec<f64> = differences.iter().filter(|(_, s)| *s > 0.0).map(|(d, s)| (d / s).powi(2)).collect();
    Observed {
        spectrum: partner.spectrum,
        id: partner.id.clone(),
        matched_by: partner.matched_by,
        flux: seen.flux.clone(),
        sigma: seen.sigma.clone(),
        mean_absolute: differences.iter().map(|(d, _)| d.abs()).sum::<f64>() / n,
        weighted_rms: (!weighted.is_empty()).then(|| (weighted.iter().sum::<f64>() / weighted.len() as f64).sqrt()),
        pixels: differences.len() as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_good_a_translation_is_stands_in_the_models_figures() {
        let figure = |to, of: &str, value| Figure {
            what: error_name(to).into(),
            of: of.into(),
            on: "pairs".into(),
            n: 5000,
            value,
        };
        let figures = [
            figure(Modality::Lrs, "pr", 0.04),
            figure(Modality::Xp, "split", 0.11),
            figure(Modality::Xp, "pr", 0.1),
            figure(Modality::Xp, "the mean spectrum", 0.19),
        ];
        let found = usual_error(&figures, Modality::Xp);
        assert_eq!(found, Some(UsualError { predicted: 0.1, of_the_mean: 0.19, n: 5000 }));
        assert_eq!(usual_error(&figures, Modality::Lrs), None, "without the mean it says nothing");
    }

    /// astropy.coordinates: SkyCoord(10°, 60°) to (10.0004°, 60.0001°) is 0.804983 arcsec.
    #[test]
    fn stars_are_the_same_by_name_or_place() {
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
