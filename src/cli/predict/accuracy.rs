//! Measured accuracy of a model on the surveys of a run's spectra.

use serde_json::{Map, Value, json};

use crate::result::{Label, ModelCard};
use crate::spectrum::Survey;

/// Measured accuracy of a model, and the number of spectra of each survey so far.
pub(super) struct AccuracyNotes {
    card: ModelCard,
    /// The model for Gaia XP spectra, if it is another.
    xp_card: Option<ModelCard>,
    labels: Vec<Label>,
    /// Number of spectra by the survey whose accuracy applies.
    counts: Vec<(Survey, usize)>,
}

impl AccuracyNotes {
    pub(super) fn new(card: ModelCard, labels: Vec<Label>) -> Self {
        Self { card, xp_card: None, labels, counts: Vec::new() }
    }

    /// Sets another model for Gaia XP spectra.
    pub(super) fn with_xp(self, xp_card: Option<ModelCard>) -> Self {
        Self { xp_card, ..self }
    }

    fn card(&self, survey: Survey) -> &ModelCard {
        self.xp_card.as_ref().filter(|_| survey == Survey::GaiaXp).unwrap_or(&self.card)
    }

    /// Counts a predicted spectrum of this survey.
    pub(super) fn count(&mut self, survey: Survey) {
        let accuracy_survey = survey.accuracy_survey();
        match self.counts.iter_mut().find(|(counted, _)| *counted == accuracy_survey) {
            Some((_, n)) => *n += 1,
            None => self.counts.push((accuracy_survey, 1)),
        }
    }

    /// Accuracy by label on spectra of this survey; null where it was not measured, and for the fine-tuned label.
    pub(super) fn measured(&self, survey: Survey, finetuned: Option<Label>) -> Value {
        let accuracy_of = |label: &Label| {
            let measure = self.card(survey).accuracy_of(*label, survey).filter(|_| finetuned != Some(*label));
            let figures = measure.map(
                |m| json!({ "sigma": m.sigma, "bias": m.bias, "n": m.n, "on": m.on, "simulated": m.is_simulated }),
            );
            (label.name().to_string(), figures.unwrap_or(Value::Null))
        };
        Value::Object(self.labels.iter().map(accuracy_of).collect::<Map<_, _>>())
    }

    /// A sentence for each survey on whose real spectra the model was not measured. A model without any measured
    /// accuracy gets no sentences.
    pub(super) fn notes(&self) -> Vec<String> {
        if self.card.accuracy.is_empty() {
            return Vec::new();
        }
        let note = |(survey, n): &(Survey, usize)| {
            let card = self.card(*survey);
            let measures: Vec<_> = self.labels.iter().filter_map(|l| card.accuracy_of(*l, *survey)).collect();
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
        self.counts.iter().filter_map(note).collect()
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
        let sentences = notes.notes();
        assert_eq!(sentences.len(), 2, "{sentences:?}");
        assert_eq!(
            sentences[0],
            "2 DESI spectra: m 2 was measured on simulated DESI spectra only (made-up stars): Teff σ 105 K, bias -12 K, N 7"
        );
        assert!(
            sentences[1].starts_with("1 Gaia XP spectrum") && sentences[1].contains("never measured"),
            "{sentences:?}"
        );
    }
}
