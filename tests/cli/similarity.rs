//! `specola embed`, `retrieve`, `translate`, `anomalies` as scripts use them: columns and exit status. A query is not
//! in its own list of similar spectra.

use std::process::{Command, Output};

use crate::support::{Folder, star_csv, without_checksum};

fn specola(args: &[&str]) -> Output {
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/models");
    Command::new(env!("CARGO_BIN_EXE_specola")).args(args).args(["--models", models]).output().expect("it runs")
}

fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_string).collect()
}

/// A smooth spectrum on the pixels of Gaia XP.
fn xp_csv(peak_aa: f64) -> String {
    let flux = |wave: f64| (-((wave - peak_aa) / 3000.0).powi(2)).exp();
    let row = |k: u32| 3360.0 + 20.0 * f64::from(k);
    let rows = (0..343).map(row).map(|wave| format!("{wave},{:.6}\n", flux(wave)));
    format!("wavelength_vac_aa,flux\n{}", rows.collect::<String>())
}

#[test]
fn indices_are_created_extended_and_searched() {
    let folder = Folder::new("similarity-cli");
    let path = |name: &str, text: String| folder.write(name, text).to_string_lossy().into_owned();
    let (a, b) = (path("a.csv", star_csv(3900.0, 5700.0)), path("b.csv", star_csv(3950.0, 5650.0)));
    let (x, y) = (path("x.csv", xp_csv(6000.0)), path("y.csv", xp_csv(7000.0)));
    let index = folder.path().join("index.safetensors").to_string_lossy().into_owned();
    lines(&specola(&["embed", &a, &b, "-o", &index]));
    lines(&specola(&["embed", &x, &y, "--append", "-o", &index]));

    let found = lines(&specola(&["retrieve", "--index", &index, &a, &x, "--top", "3"]));
    assert_eq!(found[0], "query,rank,id,modality,similarity");
    // Each query has one other spectrum of its survey in the index.
    assert!(found.len() == 3 && found[1].starts_with("a,1,b,lrs,") && found[2].starts_with("x,1,y,xp,"), "{found:?}");
    let similarity: f64 = found[1].rsplit(',').next().and_then(|s| s.parse().ok()).expect("a number");
    assert!(similarity > 0.9 && similarity <= 1.0, "nearly the same spectrum: {similarity}");
    let translated = lines(&specola(&["retrieve", "--index", &index, &a, "--cross"]));
    assert!(translated.len() == 3 && translated[1..].iter().all(|line| line.contains(",xp,")), "{translated:?}");

    let json = lines(&specola(&["retrieve", &a, "--where", "feh=-0.5:0", "--format", "json"]));
    let row: serde_json::Value = serde_json::from_str(&json[0]).expect("JSON");
    let neighbours = row["neighbours"].as_array().expect("neighbours");
    assert_eq!(neighbours.len(), 5, "of the shipped index");
    assert!(neighbours.iter().all(|n| (-0.5..=0.0).contains(&n["labels"]["feh"].as_f64().expect("a label"))));

    // The index with the hash of other encoders.
    let mut bytes = without_checksum(std::fs::read(&index).expect("the index"));
    let at = bytes.windows(12).position(|w| w == b"model_sha256").expect("the hash");
    let colon = at + bytes[at..].iter().position(|b| *b == b':').expect("its value");
    bytes[colon + 3] = if bytes[colon + 3] == b'0' { b'1' } else { b'0' };
    let other = folder.write("other.safetensors", bytes).to_string_lossy().into_owned();
    let refused = specola(&["retrieve", "--index", &other, &a]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.status.code() == Some(2) && why.contains("not comparable") && why.contains("specola embed"),
        "{why}"
    );
}

#[test]
fn spectra_are_translated_and_ranked_by_anomaly() {
    let folder = Folder::new("translate-cli");
    let path = |name: &str, text: String| folder.write(name, text).to_string_lossy().into_owned();
    let (a, x) = (path("lrs/star.csv", star_csv(3900.0, 5700.0)), path("xp/star.csv", xp_csv(6000.0)));
    let xp = lines(&specola(&["translate", &a, "--to", "xp"]));
    assert_eq!((xp.len(), xp[0].as_str()), (344, "id,wavelength,flux"));
    assert!(xp[1].starts_with("star,3360.00,") && xp[343].starts_with("star,10200.00,"));
    assert_eq!(lines(&specola(&["translate", &x])).len(), 1463);
    assert_eq!(lines(&specola(&["translate", &x, "--to", "xp"])).len(), 1, "spectra of that survey are skipped");
    assert_eq!(specola(&["translate", &a, "--to", "radio"]).status.code(), Some(2));
    let missing = specola(&["translate", &a, &folder.path().join("gone.csv").to_string_lossy()]);
    assert_eq!(missing.status.code(), Some(1), "the rest is still written");
    assert_eq!(String::from_utf8_lossy(&missing.stdout).lines().count(), 344);

    let anomalies = lines(&specola(&["anomalies", &a, &x, "--format", "json"]));
    assert_eq!(anomalies.len(), 2);
    for line in anomalies {
        let row: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert!(row["cross"]["value"].is_number(), "one star in both surveys: {line}");
        let percentile = row["neighbour"]["percentile"].as_f64().expect("a number");
        assert!((0.0..=100.0).contains(&percentile));
    }
}

fn rows(args: &[&str]) -> (Vec<serde_json::Value>, String) {
    let output = specola(args);
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    let rows =
        String::from_utf8_lossy(&output.stdout).lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    (rows, messages)
}

/// The heads of an encoder pair predict labels for spectra of both surveys. A spectrum of no star is flagged, a node of
/// the grid is not.
#[test]
fn a_pair_predicts_for_both_surveys_and_flags_spectra_outside_training() {
    let folder = Folder::new("similarity-predict");
    let no_star = folder.write("bump.csv", xp_csv(6000.0)).to_string_lossy().into_owned();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/www/samples/g-dwarf.fits.gz");
    let (rows, messages) = rows(&["predict", sample, &no_star, "--model", "lrs-xp-pr", "--format", "json"]);
    let [star, no_star] = &rows[..] else { panic!("{rows:?}") };
    let flags = |row: &serde_json::Value| row["flags"].to_string();
    assert!(star["teff"].as_f64().is_some_and(|t| (5000.0..6600.0).contains(&t)), "{star}");
    assert!(!flags(star).contains("out_of_training"), "{star}");
    assert!(no_star["teff"].is_f64() && no_star["e_teff"].is_f64() && no_star.get("rv").is_none(), "{no_star}");
    assert!(flags(no_star).contains("out_of_training"), "{no_star}");
    // The accuracy on LAMOST and on Gaia XP spectra is measured on real stars.
    assert_eq!(
        (&star["measured"]["teff"]["simulated"], &no_star["measured"]["teff"]["simulated"]),
        (&false.into(), &false.into())
    );
    assert!(!messages.contains("simulated"), "{messages}");
}

/// DESI spectra have another accuracy than LAMOST spectra.
#[test]
fn each_survey_has_its_own_accuracy() {
    let desi = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/desi.fits");
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/www/samples/g-dwarf.fits.gz");
    let (rows, messages) = rows(&["predict", sample, desi, "--format", "json"]);
    let accuracy_of = |survey: &str| rows.iter().find(|r| r["survey"] == survey).map(|r| r["measured"]["teff"].clone());
    let (desi, other) = (accuracy_of("DESI").expect("a DESI row"), accuracy_of("LAMOST LRS").expect("a LAMOST row"));
    assert_eq!((&desi["simulated"], &other["simulated"]), (&true.into(), &false.into()));
    assert_ne!(desi["sigma"], other["sigma"]);
    assert!(messages.contains("measured on simulated DESI spectra only"), "{messages}");
}

/// Each survey's spectra go to the right model, and each row names its model.
#[test]
fn xp_and_optical_spectra_are_predicted_in_one_run() {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/www/samples");
    let (xp, dwarf) = (format!("{samples}/gaia-xp.csv.gz"), format!("{samples}/g-dwarf.fits.gz"));
    let (rows, messages) = rows(&["predict", &xp, &dwarf, "--format", "json"]);
    let model_of = |i: usize| rows[i]["model"].as_str().unwrap_or_default().to_string();
    assert!(
        model_of(0).starts_with("xp-mlp ") && model_of(1).starts_with("lrs-mlp "),
        "{} {}",
        model_of(0),
        model_of(1)
    );
    // Labels of the star from www/samples/make.py.
    let sets = std::fs::read(format!("{samples}/sets.json")).expect("the list of samples");
    let sets: serde_json::Value = serde_json::from_slice(&sets).expect("JSON");
    let sample = sets.as_array().expect("a list").iter().find(|set| set["name"] == "gaia-xp").expect("the XP star");
    for label in ["teff", "logg", "feh", "alpha_fe"] {
        let number = |key: &str| rows[0][key].as_f64().expect("a number");
        let truth = sample["truth"][label].as_f64().expect("a number");
        let deviation = (number(label) - truth).abs() / number(&format!("e_{label}"));
        assert!(deviation < 3.0, "{label} is {deviation} σ from the truth");
    }
    assert!(rows[0]["rv"].is_null() && rows[1]["rv"].is_f64());
    assert_eq!(rows[0]["measured"]["teff"]["simulated"], false, "measured on real stars");
    assert!(!messages.contains("Gaia XP"), "{messages}");
}
