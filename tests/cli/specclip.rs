//! `specola predict --model DIR` on the published folder with random weights (`tests/published`).

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};

use crate::support::golden::{Io, bytes};
use crate::support::published::{expected, remove, unpacked};
use crate::support::{Folder, star_csv, write_untrained_model};
use serde_json::Value;
use specola::result::specclip::Parameter;

fn specola(folder: &Folder, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_specola"));
    command.current_dir(folder.path()).args(arguments).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Rows by id and parameter: prediction, error and method.
fn catalogue(csv: &str) -> BTreeMap<(String, String), [String; 3]> {
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("id,Parameter,Prediction,Error,Method"));
    lines
        .map(|line| {
            let [id, parameter, rest @ ..] = &line.split(',').map(str::to_string).collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            ((id.clone(), parameter.clone()), rest.to_vec().try_into().expect("five columns"))
        })
        .collect()
}

/// LAMOST in both layouts, which store wavelengths as 32-bit or 64-bit floats, and XP as two rows of text and as a
/// table of the archive.
#[test]
fn command_line_matches_the_numpy_catalogue() {
    let folder = unpacked("published-cli");
    folder.write("matrix.fits.gz", bytes("sample_matrix.fits.gz"));
    folder.write("structure.fits.gz", bytes("sample_structure.fits.gz"));
    let io = Io::new("preprocess_xp");
    let row = |name: &str| io.numbers(name).iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    folder.write("xp star.csv", format!("{}\n{}\n", row("wave_nm"), row("flux")));
    // The format of the archive's XP_SAMPLED.
    let (grid, flux) = (io.numbers("grid_nm"), io.numbers("resampled"));
    let samples = grid.iter().zip(&flux).map(|(w, f)| format!("{w},{f:e},{:e}\n", f / 100.0));
    folder.write("gaia.csv", format!("wavelength,flux,flux_error\n{}", samples.collect::<String>()));
    folder.write("short.csv", star_csv(4100.0, 5000.0));
    let files = ["matrix.fits.gz", "structure.fits.gz", "xp star.csv", "gaia.csv", "short.csv"];
    let output = specola(&folder, &[&["predict", "--model", "system"], &files[..]].concat());
    let (csv, messages) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{messages}");
    assert!(messages.contains("short.csv: short: refused as a LAMOST spectrum"), "{messages}");
    assert!(!messages.contains("system"), "{messages}");
    let rows = catalogue(&csv);
    assert_eq!(rows.len(), 2 * 23 + 2 * 7, "{csv}");
    let expected_values = expected();
    let assert_close = |got: &str, expected: &Value, scale: f64| {
        let (got, expected) = (got.parse::<f64>().expect("a number"), expected.as_f64().expect("a number"));
        assert!((got - expected).abs() < 0.0052 + 1e-3 * scale, "{got} instead of {expected}");
    };
    for (id, expected_values) in [
        ("matrix", &expected_values["lrs"]["solar_f64"]["values"]),
        ("structure", &expected_values["lrs"]["solar_f32wave"]["values"]),
        ("xp star", &expected_values["xp"]["values"]),
        ("gaia", &expected_values["xp"]["values"]),
    ] {
        for (name, numbers) in expected_values.as_object().expect("values") {
            let [value, error, method] = &rows[&(id.to_string(), name.clone())];
            assert_eq!(value.split('.').nth(1).map(str::len), Some(2), "two decimals: {value}");
            match numbers.as_array().expect("numbers").as_slice() {
                [expected] => {
                    assert_close(value, expected, 0.0);
                    assert_eq!((error.as_str(), method.as_str()), ("", "MLP"));
                }
                [median, sigma] => {
                    let scale = sigma.as_f64().expect("a number");
                    assert_close(value, median, scale);
                    assert_close(error, sigma, scale);
                    assert_eq!(method, "SBI");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let order: Vec<&str> = csv.lines().skip(1).take(23).filter_map(|l| l.split(',').nth(1)).collect();
    assert_eq!(order, Parameter::ALL.map(Parameter::name));

    let output = specola(&folder, &["predict", "--model", "system", "--labels", "teff,a_fe", "matrix.fits.gz"]);
    let csv = text(&output.stdout);
    let order: Vec<&str> = csv.lines().skip(1).filter_map(|l| l.split(',').nth(1)).collect();
    assert_eq!(order, ["teff", "a_fe"], "the requested order");

    let output = specola(
        &folder,
        &["predict", "--model", "system", "--labels", "teff,feh", "--format", "json", "xp star.csv", "short.csv"],
    );
    let rows: Vec<Value> = text(&output.stdout).lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert_eq!((rows[0]["modality"].as_str(), rows[0]["id"].as_str()), (Some("xp"), Some("xp star")));
    assert_close(&rows[0]["teff"].to_string(), &expected_values["xp"]["values"]["teff"][0], 583.0);
    assert_close(&rows[0]["fe_h"].to_string(), &expected_values["xp"]["values"]["fe_h"][0], 0.0);
    assert!(rows[0]["e_teff"].is_number() && rows[0].get("logg").is_none());
    assert!(rows[1]["refused"].as_str().is_some_and(|why| why.contains("4000–5598 Å")));
}

#[test]
fn missing_files_and_other_folders_are_named() {
    let folder = unpacked("published-cli-wrong");
    folder.write("star.csv", star_csv(3700.0, 5700.0));
    folder.write("empty/readme.txt", "nothing");
    let run = |arguments: &[&str]| {
        let output = specola(&folder, arguments);
        (output.status.code(), text(&output.stderr))
    };
    for (model, phrase) in [("empty", "neither the published config.json"), ("no/where", "there is no folder no/where")]
    {
        let (code, messages) = run(&["predict", "--model", model, "star.csv"]);
        assert_eq!(code, Some(2));
        assert!(messages.contains(phrase), "{messages}");
    }
    let (_, messages) = run(&["predict", "--model", "empty", "star.csv"]);
    assert!(messages.contains("no manifest.json") && messages.contains("specola models"), "{messages}");
    let (code, messages) = run(&["predict", "--model", "system", "--labels", "colour", "star.csv"]);
    assert!(code == Some(2) && messages.contains("e_bp_rp"), "{messages}");
    let (code, messages) = run(&["predict", "--model", "system", "--format", "fits", "star.csv"]);
    assert!(code == Some(2) && messages.contains("csv or json"), "{messages}");
    remove(&folder, "specclip/specclip_model_split_mlp.ckpt");
    let (code, messages) = run(&["predict", "--model", "system", "star.csv"]);
    assert_eq!(code, Some(0));
    assert!(
        messages.contains("specclip_model_split_mlp.ckpt: the file is missing")
            && messages.contains("rv, teff, logg, fe_h"),
        "{messages}"
    );
}

/// `--model` also takes a folder of Specola models.
#[test]
fn specola_model_folders_are_accepted() {
    let folder = Folder::new("published-own");
    fs::create_dir(folder.path().join("models")).expect("a folder");
    write_untrained_model(&folder.path().join("models"));
    folder.write("star.csv", star_csv(3900.0, 5700.0));
    let output = specola(&folder, &["predict", "--model", "models", "star.csv"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("file,id,survey,snr,teff"));
}
