//! Tables and links through the native program.

use std::process::{Command, Output};

use crate::support::{Folder, star_csv, write_untrained_model};
use pollster::block_on;
use serde_json::Value;
use specola::model::store::{Folder as Models, Store};
use specola::result::Summary;
use specola::share::link::{encode, limit};
use specola::share::{Outcome, Record};
use specola::spectrum::{Medium, Source, Sourced, Spectrum};
use specola::task::predict::Predictor;

fn stars(test: &str) -> Folder {
    let folder = Folder::new(test);
    std::fs::create_dir(folder.path().join("models")).expect("a folder can be made");
    write_untrained_model(&folder.path().join("models"));
    for (name, shift) in [("a", 0.0), ("b", 1.0), ("c", 2.0)] {
        folder.write(&format!("stars/{name}.csv"), star_csv(3900.0 + shift, 5700.0));
    }
    folder.write("stars/red.csv", star_csv(6000.0, 8000.0));
    folder
}

fn run(folder: &Folder, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_specola"));
    command.current_dir(folder.path()).env("SPECOLA_MODELS", folder.path().join("models"));
    command.args(arguments).output().expect("the program starts")
}

/// A link to the named stars, encoded as the page encodes it. `change` is applied to each spectrum.
fn link(folder: &Folder, names: &[&str], change: impl Fn(Spectrum) -> Spectrum) -> String {
    let store = Store::new(Models::new(folder.path().join("models")));
    let manifest = block_on(store.manifest()).expect("there is a manifest");
    let entry = &manifest.models[0];
    let weights = block_on(store.weights(entry, |_, _| {})).expect("there are weights");
    let predictor = Predictor::new(entry, &weights, &burn::tensor::Device::flex()).expect("they fit");
    let shared: Vec<_> = names
        .iter()
        .map(|name| {
            let path = format!("stars/{name}.csv");
            let bytes = std::fs::read(folder.path().join(&path)).expect("the star is there");
            let spectrum = change(specola::read::read(&path, &bytes).expect("it is a spectrum").spectra.remove(0));
            let answer = block_on(predictor.predict(&[&spectrum])).remove(0);
            let outcome = answer.map_or_else(|why| Outcome::NotPredicted(why.to_string()), Outcome::Predicted);
            let record = Record { summary: Summary::of(&path, &spectrum), outcome, snr: None };
            (record, block_on(predictor.view(&spectrum)))
        })
        .collect();
    let results: Vec<_> = shared.iter().map(|(record, view)| (record, Some(view))).collect();
    format!("https://example.org/specola/#{}", encode(&results, limit(names.len())).expect("a link").fragment)
}

fn verdicts(output: &Output) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |l: &str| serde_json::from_str::<Value>(l).expect("each line is JSON");
    let word = |v: &Value, key: &str| v[key].as_str().unwrap_or_default().to_owned();
    text.lines().map(line).map(|v| (word(&v, "id"), word(&v, "verdict"))).collect()
}

#[test]
fn tables_hold_every_row_and_its_count() {
    let folder = stars("tables");
    for (format, marker) in [
        ("votable", "<INFO name=\"rows\" value=\"4\"/>"),
        ("ecsv", "#   rows: \"4\""),
        ("fits", "NAXIS2  =                    4"),
        ("csv", "\nstars/red.csv,red,other,"),
    ] {
        let output = run(&folder, &["predict", "stars", "--format", format, "-o", "out"]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let bytes = std::fs::read(folder.path().join("out")).expect("the table was written");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.contains(marker), "{format}: {}", &text[..text.len().min(600)]);
        assert_eq!(bytes.len().is_multiple_of(2880), format == "fits");
        let two = run(&folder, &["predict", "stars", "--format", format, "--labels", "feh", "-o", "-"]);
        assert!(!String::from_utf8_lossy(&two.stdout).contains("teff"), "{format}");
    }
}

#[test]
fn links_are_verified_against_their_files() {
    let folder = stars("verify");
    let in_air = link(&folder, &["a"], |s| s.with_medium(Sourced::new(Medium::Air, Source::User)));
    let output = run(&folder, &["verify", &in_air, "stars"]);
    assert_eq!(
        verdicts(&output),
        [("a".to_owned(), "same".to_owned())],
        "assumptions of the user are applied: {output:?}"
    );
    let link = link(&folder, &["a", "red", "c"], |spectrum| spectrum);
    let output = run(&folder, &["verify", &link, "stars"]);
    let same = |id: &str| (id.to_owned(), "same".to_owned());
    assert_eq!(verdicts(&output), [same("a"), same("c"), same("red")], "{output:?}");
    assert_eq!(output.status.code(), Some(0));

    // Another spectrum with the same name, and a removed file.
    let is_core = |line: &&str| line.starts_with("486") && !line.starts_with("4860");
    let filled = star_csv(3900.0, 5700.0).lines().filter(|l| !is_core(l)).map(|l| format!("{l}\n")).collect::<String>();
    folder.write("stars/a.csv", filled);
    std::fs::remove_file(folder.path().join("stars/c.csv")).expect("a file can be removed");
    let output = run(&folder, &["verify", &link, "stars"]);
    let verdict = |id: &str, v: &str| (id.to_owned(), v.to_owned());
    assert_eq!(verdicts(&output), [verdict("a", "different"), verdict("red", "same"), verdict("c", "missing")]);
    assert_eq!(output.status.code(), Some(1));
    let first: Value =
        serde_json::from_slice(output.stdout.split(|b| *b == b'\n').next().unwrap_or_default()).expect("JSON");
    assert!(first["differences"].as_array().is_some_and(|d| d.iter().any(|d| d["what"] == "spectrum")), "{first}");
}
