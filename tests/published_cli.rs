//! `specola predict --model DIR` on the published folder with random weights (`tests/published`).
#![cfg(feature = "cli")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};

use serde_json::Value;
use specola::result::catalogue::Parameter;
use support::Folder;
use support::golden::{Io, bytes};
use support::published::{expected, remove, unpacked};

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

/// LAMOST in both layouts, whose wavelengths differ in their number type, and XP as two rows of text and as the archive's.
#[test]
fn the_command_line_gives_the_catalogue() {
    let folder = unpacked("published-cli");
    folder.write("matrix.fits.gz", bytes("sample_matrix.fits.gz"));
    folder.write("structure.fits.gz", bytes("sample_structure.fits.gz"));
    let io = Io::new("preprocess_xp");
    let row = |name: &str| io.numbers(name).iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    folder.write("xp star.csv", format!("{}\n{}\n", row("wave_nm"), row("flux")));
    // As the archive's XP_SAMPLED is.
    let (grid, flux) = (io.numbers("grid_nm"), io.numbers("resampled"));
    let samples = grid.iter().zip(&flux).map(|(w, f)| format!("{w},{f:e},{:e}\n", f / 100.0));
    folder.write("gaia.csv", format!("wavelength,flux,flux_error\n{}", samples.collect::<String>()));
    folder.write("short.csv", support::star_csv(4100.0, 5000.0));
    let files = ["matrix.fits.gz", "structure.fits.gz", "xp star.csv", "gaia.csv", "short.csv"];
    let output = specola(&folder, &[&["predict", "--model", "system"], &files[..]].concat());
    let (csv, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("short.csv: short: refused as a LAMOST spectrum"), "{said}");
    assert!(!said.contains("system"), "{said}");
    let rows = catalogue(&csv);
    assert_eq!(rows.len(), 2 * 23 + 2 * 7, "{csv}");
    let want = expected();
    let close = |got: &str, want: &Value, scale: f64| {
        let (got, want) = (got.parse::<f64>().expect("a number"), want.as_f64().expect("a number"));
        assert!((got - want).abs() < 0.0052 + 1e-3 * scale, "{got} instead of {want}");
    };
    for (id, want) in [
        ("matrix", &want["lrs"]["solar_f64"]["values"]),
        ("structure", &want["lrs"]["solar_f32wave"]["values"]),
        ("xp star", &want["xp"]["values"]),
        ("gaia", &want["xp"]["values"]),
    ] {
        for (name, numbers) in want.as_object().expect("values") {
            let [value, error, method] = &rows[&(id.to_string(), name.clone())];
            assert_eq!(value.split('.').nth(1).map(str::len), Some(2), "two decimals: {value}");
            match numbers.as_array().expect("numbers").as_slice() {
                [want] => {
                    close(value, want, 0.0);
                    assert_eq!((error.as_str(), method.as_str()), ("", "MLP"));
                }
                [median, sigma] => {
                    let scale = sigma.as_f64().expect("a number");
                    close(value, median, scale);
                    close(error, sigma, scale);
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
    assert_eq!(order, ["teff", "a_fe"], "as they were asked for");

    let output = specola(
        &folder,
        &["predict", "--model", "system", "--labels", "teff,feh", "--format", "json", "xp star.csv", "short.csv"],
    );
    let rows: Vec<Value> = text(&output.stdout).lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert_eq!((rows[0]["modality"].as_str(), rows[0]["id"].as_str()), (Some("xp"), Some("xp star")));
    close(&rows[0]["teff"].to_string(), &want["xp"]["values"]["teff"][0], 583.0);
    close(&rows[0]["fe_h"].to_string(), &want["xp"]["values"]["fe_h"][0], 0.0);
    assert!(rows[0]["e_teff"].is_number() && rows[0].get("logg").is_none());
    assert!(rows[1]["refused"].as_str().is_some_and(|why| why.contains("4000–5598 Å")));
}

#[test]
fn the_command_line_says_what_is_missing_and_what_is_no_model() {
    let folder = unpacked("published-cli-wrong");
    folder.write("star.csv", support::star_csv(3700.0, 5700.0));
    folder.write("empty/readme.txt", "nothing");
    let run = |arguments: &[&str]| {
        let output = specola(&folder, arguments);
        (output.status.code(), text(&output.stderr))
    };
    for (model, says) in [("empty", "neither a config.json"), ("no/where", "there is no folder no/where")] {
        let (code, said) = run(&["predict", "--model", model, "star.csv"]);
        assert_eq!(code, Some(2));
        assert!(said.contains(says), "{said}");
    }
    let (_, said) = run(&["predict", "--model", "empty", "star.csv"]);
    assert!(said.contains("no manifest.json") && said.contains("specola models"), "{said}");
    let (code, said) = run(&["predict", "--model", "system", "--labels", "colour", "star.csv"]);
    assert!(code == Some(2) && said.contains("e_bp_rp"), "{said}");
    let (code, said) = run(&["predict", "--model", "system", "--format", "fits", "star.csv"]);
    assert!(code == Some(2) && said.contains("csv or json"), "{said}");
    remove(&folder, "specclip/specclip_model_split_mlp.ckpt");
    let (code, said) = run(&["predict", "--model", "system", "star.csv"]);
    assert_eq!(code, Some(0));
    assert!(
        said.contains("specclip_model_split_mlp.ckpt: it is missing") && said.contains("rv, teff, logg, fe_h"),
        "{said}"
    );
}

/// A folder of Specola's own models may be named as well.
#[test]
fn a_folder_of_our_own_models_is_one_too() {
    let folder = Folder::new("published-own");
    fs::create_dir(folder.path().join("models")).expect("a folder");
    support::write_untrained_model(&folder.path().join("models"));
    folder.write("star.csv", support::star_csv(3900.0, 5700.0));
    let output = specola(&folder, &["predict", "--model", "models", "star.csv"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("file,id,survey,snr,teff"));
}
