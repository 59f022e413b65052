//! XP continuous spectra: notations of arrays, missing columns, damaged rows. `synthetic.rs` compares whole files with
//! `GaiaXPy`.

use std::path::Path;

use specola::read::{Contents, ReadError, read};
use specola::spectrum::{Spectrum, Survey};

/// The committed CSV file: two sources with BP and RP, one with BP only.
fn csv() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/xp_continuous.csv");
    std::fs::read_to_string(path).unwrap()
}

fn contents(text: &str) -> Contents {
    read("xp.csv", text.as_bytes()).unwrap_or_else(|e| panic!("{e}"))
}

fn sigma(spectrum: &Spectrum) -> Vec<f64> {
    spectrum.ivar().unwrap().iter().map(|v| v.powf(-0.5)).collect()
}

/// The file without the columns whose names contain a word.
fn without(word: &str) -> String {
    let text = csv();
    let mut rows: Vec<Vec<&str>> = text.lines().map(cells).collect();
    let is_kept: Vec<bool> = rows[0].iter().map(|name| !name.contains(word)).collect();
    for row in &mut rows {
        let mut kept = is_kept.iter();
        row.retain(|_| *kept.next().unwrap());
    }
    rows.iter().map(|row| row.join(",") + "\n").collect()
}

/// The cells of a line, whose quoted cells contain commas.
fn cells(line: &str) -> Vec<&str> {
    let mut is_quoted = false;
    let is_separator = move |c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    };
    line.split(is_separator).collect()
}

#[test]
fn arrays_in_every_notation_give_the_same_spectrum() {
    let expected = contents(&csv());
    assert_eq!(expected.spectra.len(), 2);
    assert_eq!((expected.spectra[0].meta.survey, expected.spectra[0].len()), (Survey::GaiaXp, 343));
    for (open, separator, close) in [("[", ",", "]"), ("{", ",", "}"), ("[", " ", "]"), ("(", ",", ")")] {
        let text = csv().replace('(', open).replace(", ", separator).replace(')', close);
        let found = contents(&text);
        assert_eq!(found.spectra, expected.spectra, "{open} {separator} {close}");
    }
    // Cells without quotes, separated by tabs.
    let tabs: String = csv().lines().map(|line| cells(line).join("\t").replace('"', "") + "\n").collect();
    assert_eq!(contents(&tabs).spectra, expected.spectra);
    let upper = csv().replacen(csv().lines().next().unwrap(), &csv().lines().next().unwrap().to_uppercase(), 1);
    assert_eq!(contents(&upper).spectra, expected.spectra);
}

#[test]
fn a_source_with_one_prism_is_skipped_with_the_reason() {
    let found = contents(&csv());
    let [skipped] = &found.skipped[..] else { panic!("{:?}", found.skipped) };
    assert_eq!(skipped.part, "5937083312263887618");
    for word in ["rp_coefficients", "line 4", "BP only"] {
        assert!(skipped.reason.contains(word), "{}", skipped.reason);
    }
}

#[test]
fn errors_without_correlations_are_noted() {
    let with = contents(&csv()).spectra.remove(1);
    let without_correlations = contents(&without("correlations")).spectra.remove(1);
    assert!(!with.meta.errors_lack_correlations && without_correlations.meta.errors_lack_correlations);
    assert_eq!(with.flux(), without_correlations.flux());
    assert_ne!(sigma(&with), sigma(&without_correlations));
    assert!(without_correlations.meta.notes.iter().any(|n| n.contains("correlations")));
    // Empty cells are the same as no column.
    let mut rows = csv().lines().map(|l| cells(l).iter().map(|c| c.to_string()).collect()).collect::<Vec<Vec<_>>>();
    let column = rows[0].iter().position(|name| name == "bp_coefficient_correlations").unwrap();
    rows[2][column].clear();
    let text: String = rows.iter().map(|row| row.join(",") + "\n").collect();
    assert!(contents(&text).spectra[1].meta.errors_lack_correlations);

    let no_errors = contents(&without("errors")).spectra.remove(1);
    assert!(no_errors.ivar().is_none() && !no_errors.meta.errors_lack_correlations);
    assert!(no_errors.meta.notes.iter().any(|n| n.contains("no errors")));
}

#[test]
fn a_full_matrix_is_read_like_its_triangle() {
    let text = csv();
    let lines: Vec<&str> = text.lines().take(2).collect();
    let matrix = |cell: &str| {
        let triangle: Vec<&str> = cell.trim_matches(['"', '(', ')']).split(", ").collect();
        let element = |i: usize, j: usize| match i.cmp(&j) {
            std::cmp::Ordering::Equal => "1",
            std::cmp::Ordering::Greater => triangle[i * (i - 1) / 2 + j],
            std::cmp::Ordering::Less => triangle[j * (j - 1) / 2 + i],
        };
        let row = |i| format!("[{}]", (0..55).map(|j| element(i, j)).collect::<Vec<_>>().join(","));
        format!("\"[{}]\"", (0..55).map(row).collect::<Vec<_>>().join(","))
    };
    let names = cells(lines[0]);
    let row: Vec<String> = cells(lines[1])
        .iter()
        .zip(&names)
        .map(|(c, name)| if name.ends_with("correlations") { matrix(c) } else { c.to_string() })
        .collect();
    let found = contents(&format!("{}\n{}\n", lines[0], row.join(",")));
    assert_eq!(found.spectra[0], contents(&csv()).spectra[0]);
}

#[test]
fn damaged_cells_are_named_with_row_and_column() {
    let text = csv();
    let first = text.lines().next().unwrap();
    let row = text.lines().nth(1).unwrap();
    let one = |row: &str| match read("xp.csv", format!("{first}\n{row}\n").as_bytes()) {
        Err(error @ (ReadError::Cell { .. } | ReadError::Samples { .. })) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let column = |name: &str| cells(first).iter().position(|c| *c == name).unwrap();
    let with = |name: &str, from: &str, to: &str| {
        let mut row: Vec<String> = cells(row).iter().map(|c| c.to_string()).collect();
        let cell = &mut row[column(name)];
        assert!(cell.contains(from), "{cell}");
        *cell = cell.replacen(from, to, 1);
        one(&row.join(","))
    };
    for (name, from, to, words) in [
        ("bp_coefficients", "(3000.0, ", "(", "54 numbers, not 55"),
        ("bp_coefficients", "(3000.0, ", "(NaN, ", "number 1 is missing"),
        ("rp_coefficients", "(5000.0, ", "(five, ", "“five” is not a number"),
        ("rp_coefficients", "(5000.0, ", "(1e999, ", "not finite"),
        ("bp_coefficient_errors", "(", "(1.0, ", "56 numbers"),
        ("rp_coefficient_errors", "(", "(-", "negative"),
        ("rp_coefficient_correlations", "(", "(0.5, ", "1486 numbers, not 1485"),
        ("rp_coefficient_correlations", "(-", "(3", "no correlation"),
    ] {
        let error = with(name, from, to);
        assert!(error.contains(words) && error.contains(name) && error.contains("line 2"), "{name}: {error}");
    }
    // Damaged rows leave the others as they are.
    let many = csv().replacen("(3000.0, ", "(NaN, ", 1);
    let found = contents(&many);
    assert_eq!(found.spectra, contents(&csv()).spectra[1..]);
    assert_eq!(found.skipped.len(), 2);
}
