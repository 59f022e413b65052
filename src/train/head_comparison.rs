//! Comparison of label heads on three inputs: the flux, the encoder's output and aligned embeddings. It repeats the
//! papers' comparison (`SpecCLIP`, Tables 1–4) on a small scale, from the measurements in the pair's manifest entry.

use std::fmt::Write;

use crate::model::manifest::Measurement;
use crate::result::similarity::LabelInfo;

/// The key of a measurement that belongs in the table: (spectra, label and survey, head).
fn cell(m: &Measurement) -> Option<(&str, &str, &str)> {
    Some((m.data_set.as_str(), m.quantity.strip_prefix("σ of ")?, m.subject.strip_prefix("head on ")?))
}

/// The measurements that do not belong in the table.
pub(super) fn other_measurements(measurements: &[Measurement]) -> Vec<Measurement> {
    measurements.iter().filter(|m| cell(m).is_none()).cloned().collect()
}

/// The table, with the smallest σ of each row in bold, and the number of rows in which each head has the smallest σ.
/// Empty if no measurement belongs in it.
pub(super) fn table(measurements: &[Measurement]) -> String {
    let cells: Vec<((&str, &str, &str), &Measurement)> =
        measurements.iter().filter_map(|m| Some((cell(m)?, m))).collect();
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
        let found: Vec<Option<&&Measurement>> = heads.iter().map(value).collect();
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
    let counts: Vec<String> = heads.iter().zip(&wins).map(|(head, n)| format!("{head} {n}")).collect();
    format!(
        "\nσ of heads of equal size on each input vector (\"flux itself\" is a plain MLP); the smallest is bold. Number of the {} rows with the smallest σ: {}.\n\n\
         | on | label | N | {} |\n|---|---|---|{}\n{lines}",
        rows.len(),
        counts.join(", "),
        heads.join(" | "),
        "---|".repeat(heads.len())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_become_rows_and_the_smallest_is_bold() {
        let measurement = |quantity: &str, subject: &str, value| Measurement {
            quantity: quantity.into(),
            subject: subject.into(),
            data_set: "stars".into(),
            n: 9,
            value,
        };
        let all = [
            measurement("recall@1", "base", 0.1),
            measurement("σ of teff, lrs", "head on flux itself", 96.2),
            measurement("σ of feh, lrs", "head on flux itself", 0.145),
            measurement("σ of teff, lrs", "head on pr", 116.0),
            measurement("σ of feh, lrs", "head on pr", 0.12),
            measurement("σ of ebprp, xp", "head on pr", 0.04),
        ];
        let table = table(&all);
        assert!(table.contains("| stars | Teff | 9 | **96** | 116 |"), "{table}");
        assert!(table.contains("| stars | [Fe/H] | 9 | 0.145 | **0.120** |"), "{table}");
        assert!(table.contains("| stars | E(BP−RP) | 9 | – | **0.040** |"), "{table}");
        assert!(table.contains("Number of the 3 rows with the smallest σ: flux itself 1, pr 2."), "{table}");
        assert_eq!(other_measurements(&all), all[..1]);
        assert!(super::table(&all[..1]).is_empty());
    }
}
