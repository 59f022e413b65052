//! Positions of labels among a network's outputs.

use crate::result::Label;

/// Positions of the fine-tuned label and of the stellar parameters among a network's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputIndex {
    /// The label that is fine-tuned.
    pub target: usize,
    /// Teff, log g, [Fe/H] and [α/Fe]; `None` for a network that lacks one of them.
    pub stellar_parameters: Option<[usize; 4]>,
}

impl OutputIndex {
    /// Positions for the fine-tuning of `label`; `None` for a label that is not an output.
    pub fn of(label: Option<Label>, outputs: &[Label]) -> Option<Self> {
        let target = outputs.iter().position(|l| Some(*l) == label)?;
        Some(Self { target, stellar_parameters: Self::stellar_parameters(outputs) })
    }

    /// Positions of Teff, log g, [Fe/H] and [α/Fe]; `None` where any of them is missing.
    pub fn stellar_parameters(outputs: &[Label]) -> Option<[usize; 4]> {
        let at = |label: Label| outputs.iter().position(|l| *l == label);
        Some([at(Label::Teff)?, at(Label::Logg)?, at(Label::Feh)?, at(Label::AlphaFe)?])
    }
}
