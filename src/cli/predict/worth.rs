//! What a model was measured to be worth on the surveys that a run's spectra come from.

use serde_json::{Map, Value, json};

use crate::result::{Label, ModelCard};
use crate::spectrum::Survey;

/// A model's measured accuracy, and the surveys seen so far.
pub(super) struct Worth {
    card: ModelCard,
    /// The model that answers Gaia XP spectra, where it is another.
    of_xp: Option<ModelCard>,
    labels: Vec<Label>,
    /// Surveys that stand for others, with the number of spectra.
    seen: Vec<(Survey, usize)>,
}

impl Worth {
    pub(super) fn new(card: ModelCard, labels: Vec<Label>) -> Self {
        Self { card, of_xp: None, labels, seen: Vec::new() }
    }

    /// The same where this model answers Gaia XP spectra.
    pub(super) fn with_xp(self, of_xp: Option<ModelCard>) -> Self {
        Self { of_xp, ..self }
    }

    fn card(&self, survey: Survey) -> &ModelCard {
        self.of_xp.as_ref().filter(|_| survey == Survey::GaiaXp).unwrap_or(&self.card)
    }

    /// Another spectrum of this survey was answered.
    pub(super) fn count(&mut self, survey: Survey) {
        let kind = survey.measured_as();
        match self.seen.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, n)) => *n += 1,
            None => self.seen.push((kind, 1)),
        }
    }

    /// By label what was measured on this survey's spectra; null where nothing was, and of a label that a network gives which
    /// the user taught.
    pub(super) fn measured(&self, survey: Survey, taught: Option<Label>) -> Value {
        let of = |label: &Label| {
            let measure = self.card(survey).measure(*label, survey).filter(|_| taught != Some(*label));
            let figures = measure.map(
                |m| json!({ "sigma": m.sigma, "bias": m.bias, "n": m.n, "on": m.on, "simulated": m.is_simulated }),
            );
            (label.name().to_string(), figures.unwrap_or(Value::Null))
        };
        Value::Object(self.labels.iter().map(of).collect::<Map<_, _>>())
    }

    /// A sentence for each survey on whose real spectra the model was never measured. Of a model that says nothing of its
    /// accuracy at all there is nothing to set right.
    pub(super) fn remarks(&self) -> Vec<String> {
        if self.card.accuracy.is_empty() {
            return Vec::new();
        }
        let remark = |(survey, n): &(Survey, usize)| {
            let card = self.card(*survey);
            let measures: Vec<_> = self.labels.iter().filter_map(|l| card.measure(*l, *survey)).collect();
            if measures.iter().any(|m| !m.is_simulated) {
                return None;
            }
            let (name, spectra) = (survey.name(), if *n == 1 { "spectrum" } else { "spectra" });
            let title = format!("{} {}", card.name, card.version);
            Some(match measures.first() {
                None => format!("{n} {name} {spectra}: how good {title} is on such spectra was never measured"),
                Some(first) => format!(
                    "{n} {name} {spectra}: {title} was measured on simulated {name} spectra only ({}): {}",
                    first.on,
                    measures.iter().map(|m| m.figures()).collect::<Vec<_>>().join("; ")
                ),
            })
        };
        self.seen.iter().filter_map(remark).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Measure;

    fn worth() -> Worth {
        let measure = |survey, is_simulated, sigma| Measure {
            label: Label::Teff,
            on: if is_simulated { "made-up stars" } else { "a library" }.into(),
            survey,
            is_simulated,
            n: 7,
            bias: -12.0,
            sigma,
        };
        let accuracy = vec![
            measure(Survey::LamostLrs, true, 50.0),
            measure(Survey::LamostLrs, false, 110.0),
            measure(Survey::Desi, true, 105.0),
        ];
        let card = ModelCard {
            name: "m".into(),
            version: 2,
            sha256: String::new(),
            trained_on: String::new(),
            accuracy,
            calibration: Vec::new(),
            label_range: Vec::new(),
            recipe: String::new(),
            command: String::new(),
            license: String::new(),
            bytes: 0,
        };
        Worth::new(card, vec![Label::Teff, Label::Logg])
    }

    #[test]
    fn real_stars_come_before_simulated_ones_and_no_survey_stands_for_another() {
        let mut worth = worth();
        let sigma = |survey| worth.measured(survey, None)["teff"]["sigma"].clone();
        assert_eq!([Survey::Miles, Survey::Sdss, Survey::Desi].map(sigma), [110.0, 110.0, 105.0]);
        assert_eq!(worth.measured(Survey::GaiaXp, None)["teff"], Value::Null);
        assert_eq!(worth.measured(Survey::Miles, Some(Label::Teff))["teff"], Value::Null, "taught");
        [Survey::Sdss, Survey::Desi, Survey::Desi, Survey::GaiaXp].into_iter().for_each(|s| worth.count(s));
        let said = worth.remarks();
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(
            said[0],
            "2 DESI spectra: m 2 was measured on simulated DESI spectra only (made-up stars): Teff σ 105 K, bias -12 K, N 7"
        );
        assert!(said[1].starts_with("1 Gaia XP spectrum") && said[1].contains("never measured"), "{said:?}");
    }
}
