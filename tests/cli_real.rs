//! The native program on one real file of each instrument, where they are at hand (`../shared/data/real`).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Rows of `specola predict` on a folder of real files by file name, and what was said on standard error.
fn predict(folder: &str) -> Option<(BTreeMap<String, Value>, String)> {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/real/files");
    if !files.is_dir() {
        eprintln!("no real spectra beside the project: nothing is checked here");
        return None;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_specola"))
        .current_dir(&files)
        .args(["predict", folder, "--format", "json"])
        .env("SPECOLA_MODELS", Path::new(env!("CARGO_MANIFEST_DIR")).join("models"))
        .output()
        .expect("the program starts");
    let rows = String::from_utf8(output.stdout).expect("output is UTF-8");
    let rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
    let rows = rows.map(|row| (row["file"].as_str().unwrap_or_default().to_string(), row)).collect();
    Some((rows, String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn has_flag(row: &Value, flag: &str) -> bool {
    row["flags"].as_array().is_some_and(|flags| flags.iter().any(|f| f == flag))
}

#[test]
fn every_lamost_layout_gets_parameters_and_the_medium_resolution_file_a_reason() {
    let Some((rows, said)) = predict("lamost") else { return };
    assert_eq!(rows.len(), 4, "{said}");
    for (file, row) in &rows {
        for label in ["teff", "logg", "feh", "alpha_fe", "rv"] {
            let error = format!("e_{label}");
            assert!(row[label].is_f64() && row[&error].as_f64().is_some_and(|e| e > 0.0), "{file}: {row}");
        }
        assert_eq!(row["survey"], "LAMOST LRS", "{file}");
    }
    let refused: Vec<&str> = said.lines().collect();
    assert_eq!(refused.len(), 1, "{said}");
    assert!(refused[0].contains("MRS_med") && refused[0].contains("medium-resolution"), "{said}");
}

#[test]
fn sdss_stars_get_parameters_and_the_quasar_a_flag() {
    let Some((rows, said)) = predict("sdss") else { return };
    assert_eq!(said, "");
    assert_eq!(rows.len(), 3);
    for (file, row) in &rows {
        assert!(row["teff"].as_f64().is_some_and(f64::is_finite), "{file}: {row}");
        assert_eq!(has_flag(row, "not_star"), file.contains("6055"), "{file}: {row}");
    }
}
