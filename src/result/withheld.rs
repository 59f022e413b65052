//! Labels that are withheld, because their values lie outside the range of any star.

use super::{Estimate, Flag, Label, Prediction, ProcessingStep};

/// Name of the step in the processing history that says which labels are withheld.
const STEP: &str = "withheld";

/// Range of the values of any star, in the label's unit.
fn stellar_range(label: Label) -> (f64, f64) {
    match label {
        Label::Teff => (2000.0, 60_000.0),
        Label::Feh => (-7.0, f64::INFINITY),
        Label::Rv => (-1500.0, 1500.0),
        Label::Logg => label.physical_range(),
        Label::AlphaFe => (f64::NEG_INFINITY, f64::INFINITY),
    }
}

/// A value outside the range of any star, and the range.
fn describe(estimate: &Estimate) -> String {
    let Estimate { label, value, .. } = estimate;
    let (low, high) = stellar_range(*label);
    let range = if high.is_finite() { format!("{low} to {high}") } else { format!("{low} and more") };
    let decimals = if matches!(label, Label::Feh | Label::Logg) { 2 } else { 0 };
    let unit = if label.unit().is_empty() { String::new() } else { format!(" {}", label.unit()) };
    format!("{} {value:.decimals$}{unit} is outside {range}{unit}", label.symbol())
}

impl Prediction {
    /// This prediction without labels outside the range of any star, flagged and with the reason.
    ///
    /// All labels come from a spectrum that was shifted by the radial velocity, so an impossible velocity withholds them
    /// all. An impossible Teff withholds the labels of the same network: all but the velocity.
    pub fn withhold_impossible(mut self) -> Self {
        let is_impossible = |e: &Estimate| {
            let (low, high) = stellar_range(e.label);
            !(low..=high).contains(&e.value)
        };
        let impossible: Vec<Estimate> = self.estimates.iter().copied().filter(is_impossible).collect();
        if impossible.is_empty() {
            return self;
        }
        let has = |label: Label| impossible.iter().any(|e| e.label == label);
        let is_withheld = |label: Label| has(Label::Rv) || has(Label::Teff) && label != Label::Rv || has(label);
        let names: Vec<&str> =
            self.estimates.iter().map(|e| e.label).filter(|l| is_withheld(*l)).map(Label::symbol).collect();
        let values: Vec<String> = impossible.iter().map(describe).collect();
        let description = format!(
            "{} withheld, because {}, the range of stars; check the wavelengths, their unit and the kind of object",
            names.join(", "),
            values.join(" and ")
        );
        self.estimates.retain(|e| !is_withheld(e.label));
        self.finetuned = self.finetuned.filter(|f| f.label().is_none_or(|label| !is_withheld(label)));
        self.flags.insert(Flag::Withheld);
        self.processing_history.push(ProcessingStep { step: STEP.into(), description, is_assumed: false });
        self
    }

    /// Why labels are withheld; `None` if none is.
    pub fn withheld(&self) -> Option<&str> {
        self.processing_history.iter().find(|s| s.step == STEP).map(|s| s.description.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withheld(values: [f64; 4]) -> (Vec<Label>, Option<String>) {
        let labels = [Label::Teff, Label::Logg, Label::Feh, Label::Rv];
        let prediction = Prediction {
            model: "m 1".into(),
            model_sha256: String::new(),
            snr: None,
            estimates: labels
                .iter()
                .zip(values)
                .map(|(label, value)| Estimate { label: *label, value, error: 1.0 })
                .collect(),
            flags: super::super::FlagSet::new(),
            processing_history: Vec::new(),
            finetuned: None,
        };
        let checked = prediction.clone().withhold_impossible();
        assert_eq!(checked.flags.contains(&Flag::Withheld), checked != prediction);
        (checked.estimates.iter().map(|e| e.label).collect(), checked.withheld().map(str::to_string))
    }

    #[test]
    fn values_of_no_star_are_withheld_with_the_reason() {
        use Label::{Feh, Logg, Rv, Teff};
        assert_eq!(withheld([5000.0, 4.0, -0.5, 30.0]), (vec![Teff, Logg, Feh, Rv], None));
        assert_eq!(withheld([60_000.0, 9.5, -7.0, -1500.0]).0, [Teff, Logg, Feh, Rv]);
        let (labels, reason) = withheld([-203.0, 4.0, -0.5, 30.0]);
        assert_eq!(labels, [Rv]);
        assert!(reason.is_some_and(|r| r.contains("Teff -203 K is outside 2000 to 60000 K")));
        let (labels, reason) = withheld([5000.0, 4.0, -7.5, 30.0]);
        assert_eq!(labels, [Teff, Logg, Rv]);
        assert!(reason.is_some_and(|r| r.contains("[Fe/H] -7.50 dex is outside -7 and more dex")));
        assert_eq!(withheld([5000.0, -5.9, -0.5, 30.0]).0, [Teff, Feh, Rv]);
        assert_eq!(withheld([5000.0, 4.0, -0.5, 1501.0]).0, []);
        assert_eq!(withheld([f64::NAN, 4.0, -0.5, 1.0]).0, [Rv]);
    }
}
