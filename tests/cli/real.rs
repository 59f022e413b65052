//! The native program on one real file of each instrument.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::real_spectra;

/// Rows of `specola predict` on a folder of real files by file name, and the messages on standard error.
fn predict(folder: &str) -> (BTreeMap<String, Value>, String) {
    let files = real_spectra().join("files");
    let output = Command::new(env!("CARGO_BIN_EXE_specola"))
        .current_dir(&files)
        .args(["predict", folder, "--format", "json"])
        .env("SPECOLA_MODELS", Path::new(env!("CARGO_MANIFEST_DIR")).join("models"))
        .output()
        .expect("the program starts");
    let rows = String::from_utf8(output.stdout).expect("output is UTF-8");
    let rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
    let rows = rows.map(|row| (row["file"].as_str().unwrap_or_default().to_string(), row)).collect();
    (rows, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn has_flag(row: &Value, flag: &str) -> bool {
    row["flags"].as_array().is_some_and(|flags| flags.iter().any(|f| f == flag))
}

#[test]
#[ignore = "reads real spectra: cargo xtask test --real DIR"]
fn every_lamost_lrs_layout_is_predicted_and_mrs_is_refused() {
    let (rows, messages) = predict("lamost");
    assert_eq!(rows.len(), 4, "{messages}");
    for (file, row) in &rows {
        for label in ["teff", "logg", "feh", "alpha_fe", "rv"] {
            let error = format!("e_{label}");
            assert!(row[label].is_f64() && row[&error].as_f64().is_some_and(|e| e > 0.0), "{file}: {row}");
        }
        assert_eq!(row["survey"], "LAMOST LRS", "{file}");
    }
    let refused: Vec<&str> = messages.lines().collect();
    assert_eq!(refused.len(), 1, "{messages}");
    assert!(refused[0].contains("MRS_med") && refused[0].contains("medium-resolution"), "{messages}");
}

#[test]
#[ignore = "reads real spectra: cargo xtask test --real DIR"]
fn sdss_stars_are_predicted_and_the_quasar_is_flagged() {
    let (rows, messages) = predict("sdss");
    assert_eq!(messages, "");
    assert_eq!(rows.len(), 3);
    for (file, row) in &rows {
        assert!(row["teff"].as_f64().is_some_and(f64::is_finite), "{file}: {row}");
        assert_eq!(has_flag(row, "not_star"), file.contains("6055"), "{file}: {row}");
    }
}
