//! The native program as scripts use it: columns, exit statuses, and output on standard output or standard error.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::support::{Folder, star_csv, write_untrained_model};
use serde_json::Value;

const HEADER: &str = "file,id,survey,snr,teff,e_teff,logg,e_logg,feh,e_feh,alpha_fe,e_alpha_fe,rv,e_rv,flags";

/// The program in `folder`, whose `models` folder holds an untrained model.
fn specola(folder: &Folder) -> Command {
    let models = folder.path().join("models");
    if !models.exists() {
        std::fs::create_dir(&models).expect("a folder can be made");
        write_untrained_model(&models);
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_specola"));
    command.current_dir(folder.path()).env("SPECOLA_MODELS", models);
    command
}

fn run(folder: &Folder, arguments: &[&str]) -> Output {
    specola(folder).args(arguments).output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("output is UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("messages are UTF-8")
}

fn json_lines(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// A folder with three stars, one of them in a subfolder, a hidden file and a broken FITS file.
fn stars(test: &str) -> Folder {
    let folder = Folder::new(test);
    let star = star_csv(3900.0, 5700.0);
    folder.write("stars/b.csv", &star);
    folder.write("stars/a.csv", &star);
    folder.write("stars/deep/c.csv", &star);
    folder.write("stars/.hidden", "not a spectrum");
    folder.write("broken.fits", "SIMPLE  =                    T");
    folder
}

#[test]
fn wrong_use_has_status_2_and_a_hint() {
    let folder = stars("wrong-use");
    for (arguments, phrase) in [
        (vec![], "Usage"),
        (vec!["predict"], "FILE"),
        (vec!["predict", "stars", "--format", "xml"], "csv, json, ecsv, votable and fits"),
        (vec!["verify", "#s1.AAAA"], "FILE"),
        (vec!["verify", "#s1.AAAA", "stars"], "is damaged"),
        (vec!["verify", "no-link", "stars"], "copy the whole link"),
        (vec!["predict", "stars", "--labels", "teff,mass"], "alpha_fe"),
        (vec!["predict", "stars", "--model", "no-such"], "choose among untrained"),
        (vec!["predict", "stars", "--models", "nowhere"], "--models"),
        (vec!["predict", "stars", "-o", "no/such/folder.csv"], "no/such/folder.csv"),
    ] {
        let output = run(&folder, &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(phrase), "{arguments:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn inspect_prints_one_json_object_per_line() {
    let folder = stars("inspect");
    let output = run(&folder, &["inspect", "stars"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stderr.is_empty(), "no progress bar in a pipe");
    let lines = json_lines(&output);
    let files: Vec<&str> = lines.iter().filter_map(|l| l["file"].as_str()).collect();
    assert_eq!(files, ["stars/a.csv", "stars/b.csv", "stars/deep/c.csv"]);
    let first = &lines[0];
    assert_eq!(first["id"], "a");
    assert_eq!(first["n_pixels"], 1500);
    assert_eq!(first["wave_min_aa"], 3900.0);
    assert_eq!(first["wave_max_aa"], 5698.8);
    for key in ["survey", "frame", "snr", "labels"] {
        assert!(first.get(key).is_some(), "{key} is missing");
    }
}

#[test]
fn xp_coefficients_are_read_in_batches_with_their_samples() {
    let folder = Folder::new("xp-coefficients");
    let csv = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/xp_continuous.csv"));
    let csv = csv.expect("the fixture");
    let (names, rows) = csv.split_once('\n').expect("a line of names");
    // 300 rows are several batches; each third row has BP only.
    let table = format!("{names}\n{}", rows.repeat(100));
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(table.as_bytes()).expect("memory");
    std::fs::write(folder.path().join("xp.csv.gz"), gz.finish().expect("memory")).expect("a file can be written");
    let output = run(&folder, &["inspect", "xp.csv.gz", "--samples"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let lines = json_lines(&output);
    let expected = specola::read::read("xp.csv", csv.as_bytes()).expect("spectra").spectra;
    assert_eq!(lines.len(), 200);
    let numbers =
        |value: &Value| -> Vec<f64> { value.as_array().expect("numbers").iter().flat_map(Value::as_f64).collect() };
    for (line, star) in lines.iter().zip(expected.iter().cycle()) {
        assert_eq!((line["id"].as_str(), line["survey"].as_str()), (Some(&*star.meta.id), Some("Gaia XP")));
        for (key, values) in [("wave_vac_aa", star.wave_vac_aa()), ("flux", star.flux())] {
            let found = numbers(&line[key]);
            assert!(found.len() == 343 && found.iter().zip(values).all(|(a, b)| (a / b - 1.0).abs() < 1e-12), "{key}");
        }
        assert_eq!(numbers(&line["sigma"]).len(), 343);
    }
    let messages = stderr(&output);
    assert_eq!(messages.lines().count(), 100);
    assert!(messages.lines().last().is_some_and(|l| l.contains("line 301") && l.contains("BP only")), "{messages}");
}

#[test]
fn predict_writes_the_columns_of_the_contract() {
    let folder = stars("predict");
    let output = run(&folder, &["predict", "stars/b.csv", "stars/a.csv"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = stdout(&output);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], HEADER);
    assert_eq!(lines.len(), 3);
    for (line, file) in lines[1..].iter().zip(["stars/b.csv", "stars/a.csv"]) {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), 15);
        assert_eq!(cells[0], file);
        assert!(cells[3..14].iter().all(|c| c.parse::<f64>().is_ok_and(f64::is_finite)), "{line}");
    }
    assert!(table.is_ascii());
}

#[test]
fn labels_have_the_requested_order() {
    let folder = stars("labels");
    let output = run(&folder, &["predict", "stars/a.csv", "--labels", "feh,teff"]);
    assert_eq!(stdout(&output).lines().next(), Some("file,id,survey,snr,feh,e_feh,teff,e_teff,flags"));
}

#[test]
fn json_and_csv_hold_the_same_numbers() {
    let folder = stars("json");
    let csv = stdout(&run(&folder, &["predict", "stars"]));
    let output = run(&folder, &["predict", "stars", "--format", "json", "-o", "-"]);
    let columns: Vec<&str> = HEADER.split(',').collect();
    let rows = json_lines(&output);
    assert_eq!(rows.len(), 3);
    for (row, line) in rows.iter().zip(csv.lines().skip(1)) {
        for (name, cell) in columns.iter().zip(line.split(',')) {
            match &row[name] {
                Value::Number(n) => assert_eq!(n.as_f64(), cell.parse().ok(), "{name}"),
                Value::String(s) => assert_eq!(s, cell),
                Value::Array(flags) => {
                    let flags: Vec<&str> = flags.iter().filter_map(Value::as_str).collect();
                    assert_eq!(flags.join("|"), cell);
                }
                other => panic!("{name} is {other}"),
            }
        }
    }
}

#[test]
fn unreadable_files_are_named_and_the_rest_is_written() {
    let folder = stars("bad");
    let output = run(&folder, &["predict", "broken.fits", "stars/a.csv", "missing.fits", "-o", "out.csv"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let messages = stderr(&output);
    let lines: Vec<&str> = messages.lines().collect();
    assert_eq!(lines.len(), 2, "{messages}");
    assert!(lines[0].starts_with("specola: broken.fits: "), "{messages}");
    assert!(lines[1].starts_with("specola: missing.fits: "), "{messages}");
    let table = std::fs::read_to_string(folder.path().join("out.csv")).expect("the table was written");
    assert_eq!(table.lines().count(), 2);
}

#[test]
fn refused_spectra_keep_their_row() {
    let folder = Folder::new("refused");
    folder.write("red.csv", star_csv(6000.0, 8000.0));
    let output = run(&folder, &["predict", "red.csv"]);
    assert_eq!(output.status.code(), Some(0), "the file was read");
    assert!(stderr(&output).starts_with("specola: red.csv: "), "{}", stderr(&output));
    let table = stdout(&output);
    let row = table.lines().nth(1).expect("there is a row");
    assert!(row.starts_with("red.csv,red,") && row.ends_with(",,,,,,,,,,refused"), "{row}");
    let rows = json_lines(&run(&folder, &["predict", "red.csv", "--format", "json"]));
    assert!(rows[0]["teff"].is_null() && rows[0]["refused"].is_string());
}

#[test]
fn spectra_of_a_survey_without_a_model_have_a_reason() {
    let folder = Folder::new("xp");
    let samples: String = (0..343).map(|i| format!("{},1e-17\n", 336 + 2 * i)).collect();
    folder.write("xp.csv", format!("wavelength,flux\n{samples}"));
    let output = run(&folder, &["predict", "xp.csv", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let row = &json_lines(&output)[0];
    assert_eq!(row["survey"], "Gaia XP");
    assert!(
        row["teff"].is_null()
            && row["refused"].as_str().is_some_and(|w| w.starts_with("this model does not accept Gaia XP spectra")),
        "{row}"
    );
}

#[test]
fn zip_files_are_opened_and_their_unreadable_files_named() {
    let folder = Folder::new("zip");
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in [("one.csv", star_csv(3900.0, 5700.0)), ("bad.csv", "wavelength,flux\n1,2\n".into())] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("a zip takes a file");
        zip.write_all(content.as_bytes()).expect("a zip takes bytes");
    }
    folder.write("stars.zip", zip.finish().expect("a zip ends").into_inner());
    let output = run(&folder, &["inspect", "stars.zip"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("stars.zip: bad.csv: "), "{}", stderr(&output));
    assert_eq!(json_lines(&output).len(), 1);
}

#[test]
fn closed_pipes_are_no_error() {
    let folder = stars("pipe");
    let mut child = specola(&folder)
        .args(["predict", "stars"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the program ends");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(stderr(&output), "");
}

#[test]
fn damaged_weights_are_not_used() {
    let folder = stars("damaged");
    let models = folder.path().join("own");
    std::fs::create_dir(&models).expect("a folder can be made");
    let entry = write_untrained_model(&models);
    let part = models.join(&entry.chunks[1].file);
    let mut bytes = std::fs::read(&part).expect("the part is there");
    bytes[100] ^= 1;
    std::fs::write(&part, bytes).expect("the part can be written");
    let output = run(&folder, &["predict", "stars", "--models", "own"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("is damaged"), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn models_lists_the_installed_models() {
    let folder = Folder::new("models");
    let text = stdout(&run(&folder, &["models"]));
    assert!(text.starts_with("untrained 1 (the default)\n"), "{text}");
    let models = json_lines(&run(&folder, &["models", "--json"]));
    assert_eq!(models[0]["name"], "untrained");
    assert_eq!(models[0]["labels"], serde_json::json!(["teff", "logg", "feh", "alpha_fe", "rv"]));
}

/// The models in the repository are found without an option, and each predicts labels.
/// A square wave is no star. The shipped model extrapolates to a Teff of no star, which is not given as a number.
#[test]
fn values_of_no_star_are_left_out_with_the_reason() {
    let folder = Folder::new("square");
    let pixels = (0..2200).map(|i| 3800.0 + f64::from(i));
    let flux = |wave: f64| 100.0 + 95.0 * (wave / 42.0).sin().signum() + (1.7 * wave).sin();
    let lines: String = pixels.map(|wave| format!("{wave},{:.4},1\n", flux(wave))).collect();
    let file = folder.write("square.csv", format!("wavelength_vac_aa,flux,sigma\n{lines}"));
    for format in ["csv", "json", "ecsv", "votable"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_specola"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("SPECOLA_MODELS");
        let output = command.arg("predict").arg(&file).args(["--format", format]).output().expect("the program starts");
        let table = stdout(&output);
        assert!(table.contains("impossible_teff"), "{format}: {table}");
        assert!(stderr(&output).contains("is outside 2000 to 60000 K"), "{}", stderr(&output));
        match format {
            "csv" => assert!(table.contains(",,,,,,,,,"), "{table}"),
            "json" => {
                let row = &json_lines(&output)[0];
                assert!(row["teff"].is_null() && row["logg"].is_null() && row["rv"].is_number(), "{row}");
                assert!(row["withheld"].as_str().is_some_and(|why| why.contains("Teff")), "{row}");
            }
            _ => assert!(table.contains("withheld, because Teff"), "{table}"),
        }
    }
}

#[test]
fn shipped_models_are_found_and_predict() {
    let folder = stars("shipped");
    let shipped = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_specola"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("SPECOLA_MODELS").args(arguments);
        command.output().expect("the program starts")
    };
    let models = json_lines(&shipped(&["models", "--json"]));
    let predictors = models.iter().filter(|m| m["kind"] == "predictor");
    let names: Vec<&str> = predictors.filter_map(|m| m["name"].as_str()).collect();
    assert_eq!(names, ["lrs-mlp", "lrs-mlp-synthetic"]);
    assert!(models.iter().all(|m| (m["default"] == true) == (m["name"] == "lrs-mlp")));
    let emulator = shipped(&["predict", "none.csv", "--model", "grid-emulator"]);
    assert_eq!(emulator.status.code(), Some(2));
    assert!(stderr(&emulator).contains("predicts labels; choose among lrs-mlp"), "{}", stderr(&emulator));
    let star = folder.path().join("stars/a.csv").display().to_string();
    for name in names {
        let output = shipped(&["predict", &star, "--model", name, "--format", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let rows = json_lines(&output);
        assert!(rows[0]["teff"].as_f64().is_some_and(|t| (3000.0..12_000.0).contains(&t)), "{}", rows[0]);
        assert_eq!(rows[0]["model"].as_str().and_then(|m| m.split(' ').next()), Some(name));
    }
    // The fit of the synthetic spectrum adds two columns before the flags, and may add a flag.
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/www/samples/g-dwarf.fits.gz");
    let csv = stdout(&shipped(&["predict", sample, "--check-fit"]));
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0].join(","), HEADER.replace("flags", "fit_rms,fit_chi2,flags"));
    let number = |column: usize| lines[1][column].parse::<f64>().expect("a number");
    assert!(number(14) < 0.03 && number(15) < 3.0 && !lines[1][16].contains("poor_fit"), "{csv}");
    let rows = json_lines(&shipped(&["predict", sample, "--check-fit", "--format", "json"]));
    assert_eq!((rows[0]["fit_rms"].as_f64(), rows[0]["fit_chi2"].as_f64()), (Some(number(14)), Some(number(15))));
    let none = run(&folder, &["predict", "stars/a.csv", "--check-fit"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(stderr(&none).contains("this installation has no emulator"), "{}", stderr(&none));
}

/// Every case is written, and its times are consistent.
#[test]
fn bench_times_each_case_on_the_given_spectra() {
    let bench = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_specola"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("SPECOLA_MODELS").arg("bench").args(arguments);
        command.output().expect("the program starts")
    };
    let output = bench(&["www/samples/g-dwarf.fits.gz", "--seconds", "0", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines = json_lines(&output);
    let cases: Vec<(&str, u64)> =
        lines.iter().map(|l| (l["case"].as_str().unwrap_or_default(), l["spectra"].as_u64().unwrap_or(99))).collect();
    let of_stars = ["fine-tune, residual", "fine-tune, lora", "fine-tune, full"].map(|case| (case, 100));
    let of_file = [("open the model", 0), ("read", 1), ("predict one", 1), ("predict all", 1), ("embed all", 1)];
    assert_eq!(cases, of_file.into_iter().chain(of_stars).collect::<Vec<_>>());
    for line in &lines {
        let number = |name: &str| line[name].as_f64().unwrap_or(f64::NAN);
        assert!(0.0 < number("ms_fastest") && number("ms_fastest") <= number("ms_median"), "{line}");
        assert_eq!(line["runs"] == 1, line["case"] == "read", "{line}");
        let rate = 1e3 * number("spectra") / number("ms_median");
        assert!(number("spectra") == 0.0 || (number("spectra_per_s") / rate - 1.0).abs() < 1e-9, "{line}");
    }
    for arguments in [&["--seconds", "nan"][..], &["none.fits"]] {
        let output = bench(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    }
}
