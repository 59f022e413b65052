//! Positions of labels among a network's outputs.

use crate::result::Label;

/// Position of a label among a network's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputIndex {
    /// The label that is fine-tuned.
    pub target: usize,
    /// Teff, log g, [Fe/H] and [α/Fe]; `None` for a network that lacks one of them.
    pub parameters: Option<[usize; 4]>,
}

impl OutputIndex {
    /// Position of `label`; `None` for a label that is not an output.
    pub fn of(label: Option<Label>, outputs: &[Label]) -> Option<Self> {
        let target = outputs.iter().position(|l| Some(*l) == label)?;
        Some(Self { target, parameters: Self::parameters(outputs) })
    }

    /// Positions of Teff, log g, [Fe/H] and [α/Fe]; `None` where one is missing.
    pub fn parameters(outputs: &[Label]) -> Option<[usize; 4]> {
        let at = |label: Label| outputs.iter().position(|l| *l == label);
        Some([at(Label::Teff)?, at(Label::Logg)?, at(Label::Feh)?, at(Label::AlphaFe)?])
    }
}
