//! The papers' comparison in small (SpecCLIP, Tables 1–4): heads on the flux itself, on the encoder's output and on aligned
//! embeddings side by side, from the figures that a pair's manifest entry has.

use std::fmt::Write;

use crate::model::manifest::Figure;
use crate::result::likes::LabelInfo;

/// A figure as a cell: on what, which label of which survey, by which head.
fn cell(figure: &Figure) -> Option<(&str, &str, &str)> {
    Some((figure.on.as_str(), figure.what.strip_prefix("σ of ")?, figure.of.strip_prefix("head on ")?))
}

/// The figures that are no such cell.
pub(super) fn others(figures: &[Figure]) -> Vec<Figure> {
    figures.iter().filter(|f| cell(f).is_none()).cloned().collect()
}

/// The table, the smallest σ of each row in bold, and in how many rows each head has it; empty of figures without cells.
pub(super) fn table(figures: &[Figure]) -> String {
    let cells: Vec<((&str, &str, &str), &Figure)> = figures.iter().filter_map(|f| Some((cell(f)?, f))).collect();
    let (mut rows, mut heads): (Vec<(&str, &str)>, Vec<&str>) = (Vec::new(), Vec::new());
    for ((on, what, head), _) in &cells {
        if !rows.contains(&(*on, *what)) {
            rows.push((*on, *what));
        }
        if !heads.contains(head) {
            heads.push(*head);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    rows.sort_by_key(|(on, _)| cells.iter().position(|((first, ..), _)| first == on));
    let mut wins = vec![0; heads.len()];
    let mut lines = String::new();
    for (on, what) in &rows {
        let value = |head: &&str| cells.iter().find(|(c, _)| *c == (*on, *what, *head)).map(|(_, f)| f);
        let found: Vec<Option<&&Figure>> = heads.iter().map(value).collect();
        let best = found.iter().flatten().map(|f| f.value).fold(f64::INFINITY, f64::min);
        let label = LabelInfo::of(what.split(',').next().unwrap_or(what));
        let decimals = if label.unit == "K" { 0 } else { 3 };
        let n = found.iter().flatten().next().map_or(0, |f| f.n);
        let _ = write!(lines, "| {on} | {} | {n} |", label.symbol);
        for (found, wins) in found.iter().zip(&mut wins) {
            let _ = match found {
                Some(f) if f.value <= best => {
                    *wins += 1;
                    write!(lines, " **{:.decimals$}** |", f.value)
                }
                Some(f) => write!(lines, " {:.decimals$} |", f.value),
                None => write!(lines, " – |"),
            };
        }
        lines.push('\n');
    }
    let said: Vec<String> = heads.iter().zip(&wins).map(|(head, n)| format!("{head} {n}")).collect();
    format!(
        "\nσ of heads of one size on each kind of vector (flux itself is the simple MLP), the smallest in bold. Smallest in so many of {} rows: {}.\n\n\
         | on | label | N | {} |\n|---|---|---|{}\n{lines}",
        rows.len(),
        said.join(", "),
        heads.join(" | "),
        "---|".repeat(heads.len())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_rows_and_the_smallest_is_bold() {
        let figure =
            |what: &str, of: &str, value| Figure { what: what.into(), of: of.into(), on: "stars".into(), n: 9, value };
        let all = [
            figure("recall@1", "base", 0.1),
            figure("σ of teff, lrs", "head on flux itself", 96.2),
            figure("σ of feh, lrs", "head on flux itself", 0.145),
            figure("σ of teff, lrs", "head on pr", 116.0),
            figure("σ of feh, lrs", "head on pr", 0.12),
            figure("σ of ebprp, xp", "head on pr", 0.04),
        ];
        let table = table(&all);
        assert!(table.contains("| stars | Teff | 9 | **96** | 116 |"), "{table}");
        assert!(table.contains("| stars | [Fe/H] | 9 | 0.145 | **0.120** |"), "{table}");
        assert!(table.contains("| stars | E(BP−RP) | 9 | – | **0.040** |"), "{table}");
        assert!(table.contains("of 3 rows: flux itself 1, pr 2."), "{table}");
        assert_eq!(others(&all), all[..1]);
        assert!(super::table(&all[..1]).is_empty());
    }
}
