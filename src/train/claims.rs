//! Comparison of a transfer experiment with the claims of Zhao et al. 2026 (arXiv:2602.15021).
//!
//! A claim is a difference in R² between two groups of strategies. Both use the same splits, so the difference is taken
//! seed by seed. A difference below twice its standard error is called not significant.

use std::fmt::Write;

use super::transfer::{Row, over_seeds};
use crate::result::Label;
use crate::result::finetune::Strategy;
use crate::stats::mean_and_std;

/// Decimals of a difference in R².
const R2_DECIMALS: usize = 3;

/// A claim of the study, for one label and one subset.
struct Claim<'a> {
    statement: &'a str,
    label: Label,
    subset: &'a str,
    better: &'a [Strategy],
    baseline: &'a [Strategy],
}

/// The strategy with the highest mean R² among `among`, and its R² by seed.
fn best<'a>(rows: &'a [&Row], among: &[Strategy], subset: &str) -> Option<(&'a Row, Vec<f64>)> {
    let mean = |values: &[f64]| mean_and_std(values).0;
    let candidates = rows.iter().filter(|row| among.contains(&row.variant.strategy));
    let candidates = candidates.filter_map(|row| Some((*row, row.figures(subset, |m| m.r2)?)));
    candidates.max_by(|a, b| mean(&a.1).total_cmp(&mean(&b.1)))
}

impl Claim<'_> {
    /// The table row that compares the claim with the results for one number of labels. `None` where a strategy is
    /// missing.
    fn compare(&self, rows: &[&Row]) -> Option<String> {
        let (winner, high) = best(rows, self.better, self.subset)?;
        let (other, low) = best(rows, self.baseline, self.subset)?;
        let differences: Vec<f64> = high.iter().zip(&low).map(|(a, b)| a - b).collect();
        let (mean, std) = mean_and_std(&differences);
        let error = std / ((differences.len() as f64 - 1.0).max(1.0)).sqrt();
        let outcome = match mean / error {
            _ if differences.len() < 3 => "too few seeds",
            ratio if ratio > 2.0 => "confirmed",
            ratio if ratio < -2.0 => "contradicted",
            _ => "not significant",
        };
        let subset = if self.subset == "all" { String::new() } else { format!(" at {}", self.subset) };
        Some(format!(
            "| {} | {}{subset}, {} labels | {} − {} | {} | {outcome} |",
            self.statement,
            self.label.symbol(),
            winner.n,
            winner.name(),
            other.name(),
            over_seeds(&differences, R2_DECIMALS)
        ))
    }
}

/// Table of the study's claims and of the results here. It is empty if no row concerns a claim.
pub(super) fn claims_table(rows: &[Row]) -> String {
    use Strategy::{Full, Lora, Residual, Scratch, ZeroShot};
    let mut lines = String::new();
    for label in [Label::Teff, Label::Logg, Label::Feh, Label::AlphaFe] {
        let mut sizes: Vec<usize> = rows.iter().filter(|row| row.label == label).map(|row| row.n).collect();
        sizes.dedup();
        let mut claims = vec![Claim {
            statement: "training from scratch has a low R² with few labels",
            label,
            subset: "all",
            better: &[ZeroShot, Residual, Lora, Full],
            baseline: &[Scratch],
        }];
        if label == Label::Feh {
            let statement = "a residual head is best for metal-poor stars";
            claims.push(Claim {
                statement,
                label,
                subset: "[Fe/H] < −1",
                better: &[Residual],
                baseline: &[Lora, Full],
            });
        }
        if label == Label::AlphaFe {
            let statement = "LoRA or full fine-tuning is best for [α/Fe]";
            claims.push(Claim { statement, label, subset: "all", better: &[Lora, Full], baseline: &[Residual] });
        }
        for claim in claims {
            for n in &sizes {
                let same_size: Vec<&Row> = rows.iter().filter(|row| row.label == label && row.n == *n).collect();
                if let Some(line) = claim.compare(&same_size) {
                    let _ = writeln!(lines, "{line}");
                }
            }
        }
    }
    if lines.is_empty() {
        return lines;
    }
    format!(
        "\n**Claims of the study**: difference in R² between the best strategies of either side, seed by seed.\n\n\
         | claim of the study | on | difference | R² | here |\n|---|---|---|---|---|\n{lines}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::finetune::Metrics;
    use crate::train::transfer::Variant;

    fn row(strategy: Strategy, r2: [f64; 4]) -> Row {
        let of = |r2| vec![("all".to_string(), Metrics { n: 9, bias: 0.0, sigma: 0.1, r2, biweight: 0.1 })];
        Row::new(Label::AlphaFe, 25, Variant::with_default_settings(strategy), r2.map(of).into())
    }

    /// A difference of several standard errors confirms or contradicts a claim; a smaller one is not significant.
    #[test]
    fn insignificant_differences_are_marked() {
        let residual = || row(Strategy::Residual, [0.5, 0.6, 0.55, 0.62]);
        let table_for = |lora: [f64; 4]| claims_table(&[residual(), row(Strategy::Lora, lora)]);
        // Differences 0.20, 0.19, 0.21, 0.21: mean 0.2025, standard error 0.0083 / √3.
        assert!(
            table_for([0.7, 0.79, 0.76, 0.83]).contains("| 0.203 ± 0.005 | confirmed |")
                || table_for([0.7, 0.79, 0.76, 0.83]).contains("| 0.202 ± 0.005 | confirmed |")
        );
        assert!(table_for([0.3, 0.41, 0.34, 0.43]).contains("contradicted"));
        assert!(table_for([0.6, 0.5, 0.6, 0.58]).contains("not significant"));
        assert!(claims_table(&[residual()]).is_empty());
    }
}
