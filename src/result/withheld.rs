//! Labels that are withheld, because their values lie outside the range of any star.

use super::{Estimate, Flag, Label, Prediction, ProcessingStep};

/// Name of the step in the processing history that says which labels are withheld.
const STEP: &str = "withheld";

/// Range of the values of any star, in the label's unit, and the flag of a value outside it. `None` for a label without
/// such a range.
fn stellar_range(label: Label) -> Option<(f64, f64, Flag)> {
    match label {
        Label::Teff => Some((2000.0, 60_000.0, Flag::ImpossibleTeff)),
        Label::Feh => Some((-7.0, f64::INFINITY, Flag::ImpossibleFeh)),
        Label::Rv => Some((-1500.0, 1500.0, Flag::ImpossibleRv)),
        Label::Logg | Label::AlphaFe => None,
    }
}

/// The flag and a description of a value outside the range of any star.
fn problem(estimate: &Estimate) -> Option<(Flag, String)> {
    let Estimate { label, value, .. } = estimate;
    let (low, high, flag) = stellar_range(*label).filter(|(low, high, _)| !(*low..=*high).contains(value))?;
    let range = if high.is_finite() { format!("{low} to {high}") } else { format!("{low} and more") };
    let decimals = if *label == Label::Feh { 2 } else { 0 };
    let (symbol, unit) = (label.symbol(), label.unit());
    Some((flag, format!("{symbol} {value:.decimals$} {unit} is outside {range} {unit}")))
}

impl Prediction {
    /// This prediction without labels outside the range of any star, flagged and with the reason.
    ///
    /// `is_trained` tells for which labels the model was trained with values of stars. All labels come from a spectrum
    /// that was shifted by the radial velocity, so an impossible velocity withholds them all. An impossible Teff
    /// withholds the labels of the same network: all but the velocity.
    pub fn withhold_impossible(mut self, is_trained: impl Fn(Label) -> bool) -> Self {
        let checked = self.estimates.iter().filter(|e| is_trained(e.label));
        let (flags, values): (Vec<Flag>, Vec<String>) = checked.filter_map(problem).unzip();
        if flags.is_empty() {
            return self;
        }
        let is_withheld = |label: Label| {
            let own = stellar_range(label).is_some_and(|(_, _, flag)| flags.contains(&flag));
            own || flags.contains(&Flag::ImpossibleRv) || flags.contains(&Flag::ImpossibleTeff) && label != Label::Rv
        };
        let names: Vec<&str> =
            self.estimates.iter().map(|e| e.label).filter(|l| is_withheld(*l)).map(Label::symbol).collect();
        let description = format!(
            "{} withheld, because {}, the range of stars; check the wavelengths, their unit and the kind of object",
            names.join(", "),
            values.join(" and ")
        );
        self.estimates.retain(|e| !is_withheld(e.label));
        self.finetuned = self.finetuned.filter(|f| f.label().is_none_or(|label| !is_withheld(label)));
        self.flags.extend(flags);
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

    const LABELS: [Label; 4] = [Label::Teff, Label::Logg, Label::Feh, Label::Rv];

    fn withheld(values: [f64; 4], is_trained: bool) -> (Vec<Label>, Vec<&'static str>, String) {
        let estimate = |(label, value)| Estimate { label, value, error: 1.0 };
        let prediction = Prediction {
            model: "m 1".into(),
            model_sha256: String::new(),
            snr: None,
            estimates: LABELS.into_iter().zip(values).map(estimate).collect(),
            flags: super::super::FlagSet::new(),
            processing_history: Vec::new(),
            finetuned: None,
        };
        let checked = prediction.withhold_impossible(|_| is_trained);
        let flags = checked.flags.iter().map(|f| f.code()).collect();
        let reason = checked.withheld().unwrap_or_default().to_string();
        (checked.estimates.iter().map(|e| e.label).collect(), flags, reason)
    }

    #[test]
    fn values_of_no_star_are_withheld_with_the_reason() {
        use Label::{Feh, Logg, Rv, Teff};
        assert_eq!(withheld([5000.0, 4.0, -0.5, 30.0], true), (LABELS.to_vec(), vec![], String::new()));
        assert_eq!(withheld([60_000.0, 9.5, -7.0, -1500.0], true).0, [Teff, Logg, Feh, Rv]);
        let (labels, flags, reason) = withheld([-203.0, 4.0, -0.5, 30.0], true);
        assert_eq!((labels, flags), (vec![Rv], vec!["impossible_teff"]));
        assert!(reason.contains("Teff -203 K is outside 2000 to 60000 K"), "{reason}");
        let (labels, flags, reason) = withheld([5000.0, 4.0, -7.5, 30.0], true);
        assert_eq!((labels, flags), (vec![Teff, Logg, Rv], vec!["impossible_feh"]));
        assert!(reason.contains("[Fe/H] -7.50 dex is outside -7 and more dex"), "{reason}");
        assert_eq!(withheld([5000.0, 4.0, -0.5, 1501.0], true).1, ["impossible_rv"]);
        assert_eq!(withheld([5000.0, 4.0, -0.5, 1501.0], true).0, []);
        assert_eq!(withheld([f64::NAN, 4.0, -0.5, 1.0], true).0, [Rv]);
        // A model of other quantities under these names.
        assert_eq!(withheld([1.0, 4.0, -9.0, 1.0], false).0, [Teff, Logg, Feh, Rv]);
    }
}
