//! Measured accuracy of a model on the surveys that a run's spectra come from.

use serde_json::{Map, Value, json};

use crate::result::{Label, ModelCard};
use crate::spectrum::Survey;

/// Measured accuracy of a model, and the number of spectra of each survey so far.
pub(super) struct AccuracyNotes {
    card: ModelCard,
    /// The model that answers Gaia XP spectra, where it is another.
    of_xp: Option<ModelCard>,
    labels: Vec<Label>,
    /// Number of spectra by the survey whose accuracy applies.
    counts: Vec<(Survey, usize)>,
}

impl AccuracyNotes {
    pub(super) fn new(card: ModelCard, labels: Vec<Label>) -> Self {
        Self { card, of_xp: None, labels, counts: Vec::new() }
    }

    /// The same where this model answers Gaia XP spectra.
    pub(super) fn with_xp(self, of_xp: Option<ModelCard>) -> Self {
        Self { of_xp, ..self }
    }

    fn card(&self, survey: Survey) -> &ModelCard {
        self.of_xp.as_ref().filter(|_| survey == Survey::GaiaXp).unwrap_or(&self.card)
    }

    /// Counts a predicted spectrum of this survey.
    pub(super) fn count(&mut self, survey: Survey) {
        let kind = survey.accuracy_survey();
        match self.counts.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, n)) => *n += 1,
            None => self.counts.push((kind, 1)),
        }
    }

    /// Accuracy by label on this survey's spectra; null where it was not measured, and for the fine-tuned label.
    pub(super) fn measured(&self, survey: Survey, finetuned: Option<Label>) -> Value {
        let of = |label: &Label| {
            let measure = self.card(survey).measure(*label, survey).filter(|_| finetuned != Some(*label));
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
                None => format!("{n} {name} {spectra}: the accuracy of {title} on {name} spectra was never measured"),
                Some(first) => format!(
                    "{n} {name} {spectra}: {title} was measured on simulated {name} spectra only ({}): {}",
                    first.on,
                    measures.iter().map(|m| m.figures()).collect::<Vec<_>>().join("; ")
                ),
            })
        };
        self.counts.iter().filter_map(remark).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::LabelAccuracy;

    fn notes() -> AccuracyNotes {
        let measure = |survey, is_simulated, sigma| LabelAccuracy {
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
        AccuracyNotes::new(card, vec![Label::Teff, Label::Logg])
    }

    #[test]
    fn real_stars_come_before_simulated_ones_and_no_survey_stands_for_another() {
        let mut notes = notes();
        let sigma = |survey| notes.measured(survey, None)["teff"]["sigma"].clone();
        assert_eq!([Survey::Miles, Survey::Sdss, Survey::Desi].map(sigma), [110.0, 110.0, 105.0]);
        assert_eq!(notes.measured(Survey::GaiaXp, None)["teff"], Value::Null);
        assert_eq!(notes.measured(Survey::Miles, Some(Label::Teff))["teff"], Value::Null, "fine-tuned");
        [Survey::Sdss, Survey::Desi, Survey::Desi, Survey::GaiaXp].into_iter().for_each(|s| notes.count(s));
        let said = notes.remarks();
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(
            said[0],
            "2 DESI spectra: m 2 was measured on simulated DESI spectra only (made-up stars): Teff σ 105 K, bias -12 K, N 7"
        );
        assert!(said[1].starts_with("1 Gaia XP spectrum") && said[1].contains("never measured"), "{said:?}");
    }
}
