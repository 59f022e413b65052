//! Which of the transfer study's findings a table bears out.
//!
//! A finding is a difference in R² between two ways of teaching. Both saw the same splits, so the differences are taken
//! seed by seed; what is not twice its standard error cannot be told from chance, and is said to be so.

use std::fmt::Write;

use super::transfer::{Row, over_seeds};
use crate::result::Label;
use crate::result::teach::Strategy;
use crate::task::metrics::mean_and_std;

/// A claim of the study, for one label and number of labels.
struct Claim<'a> {
    says: &'a str,
    label: Label,
    regime: &'a str,
    better: &'a [Strategy],
    than: &'a [Strategy],
}

/// The best of some ways of teaching by mean R², and its R² by seed.
fn best<'a>(rows: &'a [&Row], among: &[Strategy], regime: &str) -> Option<(&'a Row, Vec<f64>)> {
    let mean = |values: &[f64]| mean_and_std(values).0;
    let judged = rows.iter().filter(|row| among.contains(&row.variant.strategy) && !row.variant.is_closed_form_alone());
    let judged = judged.filter_map(|row| Some((*row, row.figures(regime, |m| m.r2)?)));
    judged.max_by(|a, b| mean(&a.1).total_cmp(&mean(&b.1)))
}

impl Claim<'_> {
    /// What the rows of one number of labels say of it.
    fn judge(&self, rows: &[&Row]) -> Option<String> {
        let (winner, high) = best(rows, self.better, self.regime)?;
        let (other, low) = best(rows, self.than, self.regime)?;
        let differences: Vec<f64> = high.iter().zip(&low).map(|(a, b)| a - b).collect();
        let (mean, std) = mean_and_std(&differences);
        let error = std / ((differences.len() as f64 - 1.0).max(1.0)).sqrt();
        let verdict = match mean / error {
            _ if differences.len() < 3 => "too few seeds to tell",
            ratio if ratio > 2.0 => "holds",
            ratio if ratio < -2.0 => "does not hold, it is the other way round",
            _ => "cannot be told from chance",
        };
        let regime = if self.regime == "all" { String::new() } else { format!(" at {}", self.regime) };
        Some(format!(
            "| {} | {}{regime}, {} labels | {} − {} | {} | {verdict} |",
            self.says,
            self.label.symbol(),
            winner.n,
            winner.name(),
            other.name(),
            over_seeds(&differences, 3)
        ))
    }
}

/// A table of the study's findings and of what became of them here; empty where no row bears on any.
pub(super) fn findings(rows: &[Row]) -> String {
    use Strategy::{Full, Lora, Residual, Scratch, ZeroShot};
    let mut lines = String::new();
    for label in [Label::Teff, Label::Logg, Label::Feh, Label::AlphaFe] {
        let mut sizes: Vec<usize> = rows.iter().filter(|row| row.label == label).map(|row| row.n).collect();
        sizes.dedup();
        let mut claims = vec![Claim {
            says: "from scratch is poor when labels are few",
            label,
            regime: "all",
            better: &[ZeroShot, Residual, Lora, Full],
            than: &[Scratch],
        }];
        if label == Label::Feh {
            let says = "a residual head is best for metal-poor stars";
            claims.push(Claim { says, label, regime: "[Fe/H] < −1", better: &[Residual], than: &[Lora, Full] });
        }
        if label == Label::AlphaFe {
            let says = "LoRA or full fine-tuning is best for [α/Fe]";
            claims.push(Claim { says, label, regime: "all", better: &[Lora, Full], than: &[Residual] });
        }
        for claim in claims {
            for n in &sizes {
                let some: Vec<&Row> = rows.iter().filter(|row| row.label == label && row.n == *n).collect();
                if let Some(line) = claim.judge(&some) {
                    let _ = writeln!(lines, "{line}");
                }
            }
        }
    }
    if lines.is_empty() {
        return lines;
    }
    format!(
        "\n**The study's findings here**: differences in R² of the best of each side, seed by seed.\n\n\
         | the study finds | on | difference | R² | here it |\n|---|---|---|---|---|\n{lines}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::teach::Metrics;
    use crate::train::transfer::Variant;

    fn row(strategy: Strategy, r2: [f64; 4]) -> Row {
        let of = |r2| vec![("all".to_string(), Metrics { n: 9, bias: 0.0, sigma: 0.1, r2, biweight: 0.1 })];
        Row::new(Label::AlphaFe, 25, Variant::plain(strategy), r2.map(of).into())
    }

    /// What differs by several standard errors holds or is turned round, what does not is left open.
    #[test]
    fn chance_decides_nothing() {
        let residual = || row(Strategy::Residual, [0.5, 0.6, 0.55, 0.62]);
        let said = |lora: [f64; 4]| findings(&[residual(), row(Strategy::Lora, lora)]);
        // Differences 0.20, 0.19, 0.21, 0.21: mean 0.2025, standard error 0.0083 / √3.
        assert!(
            said([0.7, 0.79, 0.76, 0.83]).contains("| 0.203 ± 0.005 | holds |")
                || said([0.7, 0.79, 0.76, 0.83]).contains("| 0.202 ± 0.005 | holds |")
        );
        assert!(said([0.3, 0.41, 0.34, 0.43]).contains("the other way round"));
        assert!(said([0.6, 0.5, 0.6, 0.58]).contains("cannot be told"));
        assert!(findings(&[residual()]).is_empty());
    }
}
