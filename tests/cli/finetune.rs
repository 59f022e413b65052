//! `specola finetune` and `predict --adapter` from the command line, on spectra whose line depths follow their labels.

use std::process::{Command, Output};

use crate::support::{Folder, without_checksum, write_untrained_model};
use serde_json::Value;
use specola::share::session::Writer;

/// A folder `stars` of spectra, and a table of their labels; two stars per cluster.
fn folder(test: &str) -> Folder {
    let folder = Folder::new(test);
    std::fs::create_dir(folder.path().join("models")).expect("a folder can be made");
    write_untrained_model(&folder.path().join("models"));
    let mut table = String::from("id,teff,feh,age,kelvin,kind,same,cluster\n");
    for i in 0..24 {
        let depth = 0.2 + 0.025 * f64::from(i);
        let mut csv = String::from("wavelength_vac_aa,flux,ivar\n");
        for k in 0..1500 {
            let wave = 3900.0 + 1.2 * f64::from(k);
            let lines: f64 = (0..40).map(|n| (-((wave - 3950.0 - 42.0 * f64::from(n)) / 4.0).powi(2)).exp()).sum();
            let ripple = 0.004 * (1.7 * f64::from(k) + f64::from(i)).sin();
            csv.push_str(&format!("{wave:.3},{:.4},1.0\n", 100.0 * (1.0 - depth * lines + ripple)));
        }
        folder.write(&format!("stars/star{i:02}.csv"), csv);
        let feh = -1.8 + 0.08 * f64::from(i);
        table.push_str(&format!("star{i:02},{},{feh:.2},{},5{i:02}0,G{i}V,1.5,c{}\n", 5000 + 30 * i, 2 * i, i / 2));
    }
    folder.write("labels.csv", table);
    folder
}

fn run(folder: &Folder, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_specola"));
    command.current_dir(folder.path()).env("SPECOLA_MODELS", folder.path().join("models"));
    command.args(arguments.split_whitespace()).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn report_of(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

const FINETUNE: &str = "finetune --spectra stars --labels labels.csv --groups cluster --epochs 3";

#[test]
fn finetuned_model_is_measured_saved_and_used() {
    let folder = folder("finetune");
    let report = report_of(&run(
        &folder,
        &format!("{FINETUNE} --target feh --strategy gp --test-fraction 0.25 --split-at age=23 -o feh.adapter"),
    ));
    assert_eq!((&report["n_train"], &report["n_test"]), (&Value::from(18), &Value::from(6)));
    assert!(report["n_val"].as_u64().is_some_and(|n| (3..9).contains(&n)));
    for key in ["r2", "sigma", "bias"] {
        assert!(report[key].as_f64().is_some_and(f64::is_finite), "{key} of {report}");
    }
    // The labels are a linear function of the line depth; the untrained network ignores it.
    let total_error = |v: &Value| v["sigma"].as_f64().expect("σ").hypot(v["bias"].as_f64().expect("bias"));
    assert!(total_error(&report) < 0.5 * total_error(&report["before"]), "{report}");
    assert!(report["subsets"]["all"]["n"] == 6);
    let parts = ["age < 23", "age ≥ 23"].map(|part| report["subsets"][part]["n"].as_u64().unwrap_or(0));
    assert!(parts[0] + parts[1] >= 3 && parts[0] + parts[1] <= 6, "parts of fewer than three are left out: {report}");

    let plain = text(&run(&folder, "predict stars").stdout);
    let finetuned = text(&run(&folder, "predict stars --adapter feh.adapter").stdout);
    let repeated = text(&run(&folder, "predict stars --adapter feh.adapter").stdout);
    assert_eq!(finetuned, repeated);
    for (i, (plain, finetuned)) in plain.lines().zip(finetuned.lines()).skip(1).enumerate() {
        let (plain, finetuned): (Vec<&str>, Vec<&str>) = (plain.split(',').collect(), finetuned.split(',').collect());
        assert_eq!(plain[4..8], finetuned[4..8], "Teff and log g stay as they were");
        let feh: f64 = finetuned[8].parse().expect("a number");
        let error: f64 = finetuned[9].parse().expect("a number");
        assert!((feh + 1.8 - 0.08 * i as f64).abs() < 5.0 * error.max(0.05), "star {i}: {feh} ± {error}");
        assert!(finetuned[14].ends_with("finetuned") && !plain[14].contains("finetuned"));
    }
    // A session file with the adapter works too, if the hash is that of the session's adapter.
    let adapter = std::fs::read(folder.path().join("feh.adapter")).expect("the adapter");
    let sha256 = report["adapter_sha256"].as_str().expect("its hash");
    for (name, sha256) in [("kept.specola", Some(sha256)), ("other.specola", Some("00")), ("none.specola", None)] {
        let saved_adapter = sha256.map(|sha256| (sha256, adapter.as_slice()));
        let session = Writer::new(&[], Vec::new(), None, saved_adapter).expect("a session can be written");
        folder.write(name, session.finish().expect("a session ends").0);
    }
    assert_eq!(text(&run(&folder, "predict stars --adapter kept.specola").stdout), finetuned);
    for (name, phrase) in [("other", "hash is not the one in the session"), ("none", "this session has no adapter")] {
        let refused = run(&folder, &format!("predict stars --adapter {name}.specola"));
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains(phrase), "{}", text(&refused.stderr));
    }
    // Another model rejects the adapter.
    let adapter = std::fs::read(folder.path().join("feh.adapter")).expect("the adapter");
    let mut damaged = adapter.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    folder.write("damaged.adapter", damaged);
    let refused = run(&folder, "predict stars --adapter damaged.adapter");
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("does not match its checksum"), "{}", text(&refused.stderr));
    let mut other_base = without_checksum(adapter);
    let key = b"base_sha256\\\":\\\"";
    let start = other_base.windows(key.len()).position(|w| w == key).expect("its base's hash") + key.len();
    other_base[start] = if other_base[start] == b'0' { b'1' } else { b'0' };
    folder.write("foreign.adapter", other_base);
    let refused = run(&folder, "predict stars --adapter foreign.adapter");
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("needs the base model untrained 1"), "{}", text(&refused.stderr));
}

#[test]
fn custom_label_becomes_a_column() {
    let folder = folder("own-label");
    let report = report_of(&run(
        &folder,
        &format!("{FINETUNE} --target age --strategy linear --test-fraction 0 -o age.adapter"),
    ));
    assert_eq!((&report["n_train"], &report["n_test"]), (&Value::from(24), &Value::from(0)));
    assert!(report["measured_by"].as_str().is_some_and(|m| m.contains("cross-validation")), "{report}");
    assert!(report["sigma"].as_f64().is_some_and(|s| s < 7.0), "the labels' own spread is 14: {report}");
    let table = text(&run(&folder, "predict stars --labels teff --adapter age.adapter").stdout);
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("file,id,survey,snr,teff,e_teff,age,e_age,flags"));
    let ages: Vec<f64> = lines.map(|l| l.split(',').nth(6).and_then(|c| c.parse().ok()).expect("an age")).collect();
    assert!(ages[23] - ages[0] > 20.0, "{ages:?}");
    let line = text(&run(&folder, "predict stars/star03.csv --format json --adapter age.adapter").stdout);
    assert!(serde_json::from_str::<Value>(&line).expect("JSON")["age"].is_number(), "{line}");
    let fits = run(&folder, "predict stars --format fits --adapter age.adapter");
    assert!(text(&fits.stderr).contains("only csv and json"));
}

#[test]
fn unusable_labels_have_clear_errors() {
    let folder = folder("not-finetuned");
    folder.write("three.csv", "id,feh\nstar00,-1\nstar01,-0.5\nstar02,0\n");
    folder.write("words.csv", "id,feh\nstar00,poor\n");
    folder.write("others.csv", "id,feh\nnobody,-1\n");
    let kelvin: String = (0..24).map(|i| format!("star{i:02},{}\n", 5000 + i)).collect();
    folder.write("kelvin.csv", format!("id,feh\n{kelvin}"));
    for (arguments, phrase) in [
        ("--labels labels.csv --target feh --strategy best", "zero-shot, linear, gp, residual, lora, full, scratch"),
        ("--labels labels.csv --target mass --strategy full", "no column \"mass\"; it has"),
        ("--labels labels.csv --target kind --strategy full", "text in place of a number"),
        ("--labels labels.csv --target same --strategy full", "all 24 values of same are 1.5"),
        ("--labels labels.csv --target feh --strategy full --range teff=hot", "column=low:high"),
        ("--labels labels.csv --target feh --strategy full --range teff=5000:5100", "only 4 spectra"),
        ("--labels labels.csv --target feh --strategy full --split-at age", "column=value"),
        ("--labels labels.csv --target feh --strategy full --test-fraction nan", "from 0 to below 1"),
        ("--labels labels.csv --target feh --strategy full --test-fraction 1", "from 0 to below 1"),
        ("--labels labels.csv --target feh --strategy full --split-at mass=1", "no column \"mass\"; it has"),
        ("--labels labels.csv --target feh --strategy full --n-train 100", "choose a smaller --n-train"),
        ("--labels labels.csv --target feh --strategy full --rate 7", "learning rate"),
        ("--labels three.csv --target feh --strategy full", "give 10 or more"),
        ("--labels words.csv --target feh --strategy full", "“poor”, not a number"),
        ("--labels others.csv --target feh --strategy full", "no row of others.csv matches a spectrum"),
        ("--labels kelvin.csv --target feh --strategy full", "The values are typical of Teff"),
    ] {
        let output = run(&folder, &format!("finetune --spectra stars {arguments}"));
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", text(&output.stdout));
        assert!(text(&output.stderr).contains(phrase), "{arguments}: {}", text(&output.stderr));
    }
}
