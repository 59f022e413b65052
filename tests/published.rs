//! The published folder as a whole: with random weights under its layout (`tests/published`, expected values from NumPy), with
//! PyTorch's own checkpoints in it (`tests/golden`), and with files missing or damaged.
#![cfg(feature = "cli")]

mod support;

use std::fs;
use std::io::Cursor;

use burn::tensor::Device;
use pollster::block_on;
use serde_json::Value;
use specola::model::published::{self, Head};
use specola::result::catalogue::{Method, Modality, Parameter};
use specola::task::published::{Input, Measurements, Refused, System};
use support::Folder;
use support::golden::{Io, bytes};
use support::published::{expected, remove, unpacked};

fn system(folder: &Folder, wanted: &[Parameter]) -> System<published::Folder> {
    let files = published::Folder::new(&folder.path().join("system"));
    System::open(files, wanted, &Device::flex()).expect("the published folder")
}

fn lrs(wave: &str, case: &str, wave_is_f32: bool) -> Input {
    let io = Io::new("preprocess_lrs");
    let mut wave = io.numbers(wave);
    if wave_is_f32 {
        wave.iter_mut().for_each(|w| *w = f64::from(*w as f32));
    }
    Input::lrs(&wave, &io.numbers(&format!("{case}/flux")), wave_is_f32).expect("a LAMOST spectrum")
}

fn xp() -> Input {
    let io = Io::new("preprocess_xp");
    Input::xp(&io.numbers("wave_nm"), &io.numbers("flux")).expect("an XP spectrum")
}

fn measure(system: &mut System<published::Folder>, inputs: &[Input]) -> Vec<Measurements> {
    block_on(system.measure(inputs)).expect("an answer")
}

/// Values to 2e-4 and those of flows to 1e-3 of their error: both are 32-bit arithmetic's share. The samples themselves are the
/// same, since NumPy draws them from the same seed.
#[track_caller]
fn agrees(got: &Measurements, want: &Value) {
    assert!(got.failed.is_empty());
    let names: Vec<&str> = got.values.iter().map(|m| m.parameter.name()).collect();
    let mut wanted: Vec<&str> = want.as_object().expect("values").keys().map(String::as_str).collect();
    wanted.sort_by_key(|name| Parameter::from_name(name));
    assert_eq!(names, wanted, "the labels in the order of the catalogue");
    for m in &got.values {
        let name = m.parameter.name();
        match (m.method, m.error, want[name].as_array().expect("numbers").as_slice()) {
            (Method::Mlp, None, [value]) => {
                let value = value.as_f64().expect("a number");
                assert!((m.value - value).abs() < 2e-4, "{name}: {} instead of {value}", m.value);
            }
            (Method::Sbi, Some(got), [median, error]) => {
                let (median, error) = (median.as_f64().expect("a number"), error.as_f64().expect("a number"));
                assert!((m.value - median).abs() < 1e-3 * error, "{name}: {} instead of {median}", m.value);
                assert!((got - error).abs() < 1e-3 * error, "{name}: error {got} instead of {error}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn every_label_of_both_surveys_is_numpys() {
    let folder = unpacked("published-all");
    let mut system = system(&folder, &[]);
    let cases = [
        ("solar_f64", lrs("wave_lamost", "solar_f64", false)),
        ("solar_f32wave", lrs("wave_lamost", "solar_f64", true)),
        ("hot_f64", lrs("wave_lamost", "hot_f64", false)),
    ];
    // In one batch with the other survey's between them.
    let inputs = [cases[0].1.clone(), xp(), cases[1].1.clone(), cases[2].1.clone()];
    let got = measure(&mut system, &inputs);
    assert_eq!(system.warnings(), []);
    let want = expected();
    for (answer, case) in [(0, "solar_f64"), (2, "solar_f32wave"), (3, "hot_f64")] {
        assert_eq!(got[answer].values.len(), 23);
        agrees(&got[answer], &want["lrs"][case]["values"]);
    }
    assert_eq!(got[1].values.len(), 7);
    agrees(&got[1], &want["xp"]["values"]);
    // The same spectrum, the same answer: also alone.
    assert_eq!(measure(&mut system, &inputs[1..2])[0], got[1]);
}

/// PyTorch's own CLIP checkpoints, whose encoders differ, behind the same heads.
#[test]
fn the_golden_checkpoints_serve_in_their_places() {
    let folder = unpacked("published-golden");
    folder.write("system/specclip/specclip_model_predrecon_mlp.ckpt", bytes("clip_pr_tiny.ckpt"));
    folder.write("system/specclip/specclip_model_split_mlp.ckpt", bytes("clip_split_tiny.ckpt"));
    let spectra: Vec<f32> = Io::new("clip_pr_tiny_io").numbers("x_lrs").iter().map(|v| *v as f32).collect();
    let inputs: Vec<Input> = spectra.chunks(52).map(|x| Input::normalised(Modality::Lrs, x.to_vec())).collect();
    let mut system = system(&folder, &[]);
    let got = measure(&mut system, &inputs);
    assert_eq!(system.warnings(), []);
    for (got, want) in got.iter().zip(expected()["golden_lrs"].as_array().expect("rows")) {
        agrees(got, &want["values"]);
    }
}

/// The heads of `tests/golden`: PyTorch's, and sbi's with 2,000 samples of its own.
#[test]
fn the_golden_heads_give_what_pytorch_and_sbi_give() {
    let device = Device::flex();
    let io = Io::new("mlp_tiny_io");
    let x: Vec<Vec<f32>> = io.numbers("x").chunks(72).map(|x| x.iter().map(|v| *v as f32).collect()).collect();
    for (stats, want) in [(Some("mlp_bn_tiny_mean_std.json"), "out_bn_standardised_input"), (None, "out_bn_f64")] {
        let (file, stats) = (Cursor::new(bytes("mlp_bn_tiny.pt")), stats.map(bytes));
        let (head, remarks) = Head::load(file, stats.as_deref(), Method::Mlp, 72, &device).expect("a head");
        assert!(remarks.is_empty());
        let got = block_on(head.answer(&x)).expect("answers");
        for (got, want) in got.into_iter().zip(io.numbers(want)) {
            let (value, error) = got.expect("a number");
            assert!((value - want).abs() < 5e-6 && error.is_none(), "{value} instead of {want}");
        }
    }
    for name in ["sbi_maf_0233", "sbi_nsf_0233"] {
        let (head, _) =
            Head::load(Cursor::new(bytes(&format!("{name}.pkl"))), None, Method::Sbi, 24, &device).expect(name);
        let io = Io::new(&format!("{name}_io"));
        let x: Vec<f32> = io.numbers("x").iter().map(|v| *v as f32).collect();
        let (median, error) = block_on(head.answer(&[x])).expect("answers")[0].expect("a number");
        let error = error.expect("a flow's error");
        let tensors = specola::model::import::Checkpoint::open(Cursor::new(bytes(&format!("{name}.pkl"))))
            .and_then(|mut file| file.import(|_| {}))
            .expect(name)
            .tensors;
        let unit = |part: &str| f64::from(tensors.get(part, &[1]).expect(part)[0]);
        // sbi's posterior is in standardised units; five standard errors of 2,000 and 10,000 samples.
        let want = |part: &str| io.numbers(part)[0];
        let sigma = want("posterior_std_2000") * unit("stds");
        let centre = want("posterior_median_2000") * unit("stds") + unit("means");
        assert!(
            (median - centre).abs() < 5.0 * 1.2533 * sigma * (1.0 / 2000.0 + 1.0f64 / 10_000.0).sqrt(),
            "{median} {centre}"
        );
        assert!((error / sigma - 1.0).abs() < 0.07, "{error} instead of {sigma}");
    }
}

/// The warnings, one a line.
fn said(system: &mut System<published::Folder>) -> String {
    system.warnings().iter().map(|w| format!("{w}\n")).collect()
}

#[test]
fn a_missing_or_damaged_head_costs_its_own_label_only() {
    let folder = unpacked("published-damaged");
    remove(&folder, "downstream_models/lrs/sbi/age.pkl");
    let afe = folder.path().join("system/downstream_models/lrs/mlp/afe.pt");
    let whole = fs::read(&afe).expect("a head");
    fs::write(&afe, &whole[..whole.len() / 2]).expect("written");
    folder.write("system/downstream_models/lrs/sbi/teff.pkl", "not a pickle at all");
    // A head in another's place: the kind is wrong.
    let sbi = fs::read(folder.path().join("system/downstream_models/lrs/sbi/rad.pkl")).expect("a head");
    folder.write("system/downstream_models/lrs/mlp/cfe.pt", sbi);
    folder.write("system/stats/lrs/nfe_mean_std.json", r#"{"mean": [0.0], "std": [1.0]}"#);
    let mut system = system(&folder, &[]);
    let got = measure(&mut system, &[lrs("wave_lamost", "solar_f64", false)]).remove(0);
    let mut want = expected()["lrs"]["solar_f64"]["values"].clone();
    for name in ["age", "a_fe", "teff", "c_fe", "n_fe"] {
        want.as_object_mut().expect("values").remove(name);
    }
    agrees(&got, &want);
    let said = said(&mut system);
    assert_eq!(said.lines().count(), 5, "{said}");
    for (file, label, problem) in [
        ("downstream_models/lrs/sbi/age.pkl", "age", "is missing"),
        ("downstream_models/lrs/mlp/afe.pt", "a_fe", "download"),
        ("downstream_models/lrs/sbi/teff.pkl", "teff", "no checkpoint"),
        ("downstream_models/lrs/mlp/cfe.pt", "c_fe", "another kind"),
        ("downstream_models/lrs/mlp/nfe.pt", "n_fe", "for 1 numbers where the embedding has 16"),
    ] {
        let line = said.lines().find(|line| line.starts_with(file)).unwrap_or_else(|| panic!("{file} in {said}"));
        assert!(line.contains(problem) && line.contains(&format!("{label} is left out")), "{line}");
    }
}

/// A prior of another class than the usual one rejects samples in ways that are not known: the label is given, with a remark.
#[test]
fn an_unknown_prior_is_remarked_on() {
    let folder = unpacked("published-prior");
    let path = folder.path().join("system/downstream_models/lrs/sbi/rad.pkl");
    let mut pickle = fs::read(&path).expect("a head");
    let (usual, other) = (b"ImproperEmpirical", b"MultipleIndepende");
    let at = pickle.windows(usual.len()).position(|w| w == usual).expect("its class");
    pickle[at..at + usual.len()].copy_from_slice(other);
    fs::write(&path, pickle).expect("written");
    let mut system = system(&folder, &[Parameter::Rad]);
    let got = measure(&mut system, &[lrs("wave_lamost", "solar_f64", false)]).remove(0);
    let want = expected()["lrs"]["solar_f64"]["values"]["rad"].clone();
    agrees(&got, &serde_json::json!({ "rad": want }));
    let said = said(&mut system);
    assert!(said.contains("rad.pkl: its prior, sbi.utils.sbiutils.MultipleIndepende, is not known"), "{said}");
}

/// Like the published code, and unlike it not in silence.
#[test]
fn without_statistics_the_embedding_is_not_standardised_and_this_is_said() {
    let folder = unpacked("published-statistics");
    remove(&folder, "stats/lrs/afe_mean_std.json");
    let mut system = system(&folder, &[Parameter::AFe]);
    let got = measure(&mut system, &[lrs("wave_lamost", "solar_f64", false)]).remove(0);
    let want = expected()["lrs"]["solar_f64"]["without_statistics"]["a_fe"].as_f64().expect("a number");
    assert_eq!(got.values.len(), 1);
    assert!((got.values[0].value - want).abs() < 2e-4, "{} instead of {want}", got.values[0].value);
    let said = said(&mut system);
    assert!(
        said.starts_with("stats/lrs/afe_mean_std.json: it is missing") && said.contains("not standardised"),
        "{said}"
    );
}

/// config.json says FeH, the published code opens feh: either file will do.
#[test]
fn both_spellings_of_the_statistics_of_xps_iron_serve() {
    let folder = unpacked("published-spelling");
    let (small, capital) = ("system/stats/xp/feh_mean_std.json", "system/stats/xp/FeH_mean_std.json");
    let want = expected()["xp"]["values"]["fe_h"][0].as_f64().expect("a number");
    let value = |folder: &Folder| {
        let mut system = system(folder, &[Parameter::FeH]);
        let got = measure(&mut system, &[xp()]).remove(0);
        (got.values[0].value, said(&mut system))
    };
    let (got, warned) = value(&folder);
    assert!((got - want).abs() < 2e-4 && warned.is_empty());
    fs::rename(folder.path().join(small), folder.path().join(capital)).expect("renamed");
    let (got, warned) = value(&folder);
    assert!((got - want).abs() < 2e-4 && warned.is_empty());
    fs::remove_file(folder.path().join(capital)).expect("removed");
    let (got, warned) = value(&folder);
    assert!(
        (got - want).abs() > 1e-3 && warned.contains("FeH_mean_std.json or stats/xp/feh_mean_std.json"),
        "{warned}"
    );
}

#[test]
fn without_a_model_its_labels_are_named_and_the_others_given() {
    let folder = unpacked("published-model");
    remove(&folder, "specclip/specclip_model_predrecon_mlp.ckpt");
    let mut system = system(&folder, &[]);
    let got = measure(&mut system, &[lrs("wave_lamost", "solar_f64", false), xp()]);
    let names = |m: &Measurements| m.values.iter().map(|v| v.parameter.name()).collect::<Vec<_>>();
    assert_eq!(names(&got[0]), ["rv", "teff", "logg", "fe_h"]);
    assert_eq!(names(&got[1]), ["teff", "logg"]);
    let said = said(&mut system);
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("specclip_model_predrecon_mlp.ckpt: it is missing") && said.contains("e_bp_rp"), "{said}");
}

/// Without config.json, or with a damaged one, files are looked for where the published folder has them.
#[test]
fn the_layout_is_known_without_its_config() {
    for (test, config) in [("published-no-config", None), ("published-bad-config", Some("{\"founation_models\""))] {
        let folder = unpacked(test);
        match config {
            None => remove(&folder, "config.json"),
            Some(text) => drop(folder.write("system/config.json", text)),
        }
        let mut system = system(&folder, &[]);
        let said = said(&mut system);
        assert!(said.starts_with("config.json: "), "{said}");
        agrees(&measure(&mut system, &[xp()])[0], &expected()["xp"]["values"]);
    }
}

/// A config.json that leads elsewhere leads nowhere.
#[test]
fn paths_stay_within_the_folder() {
    let folder = unpacked("published-paths");
    folder.write("outside.ckpt", bytes("clip_pr_tiny.ckpt"));
    let path = folder.path().join("system/config.json");
    let config = fs::read_to_string(&path).expect("the config");
    let config = config.replace("specclip/specclip_model_predrecon_mlp.ckpt", "../outside.ckpt");
    fs::write(path, config).expect("written");
    let mut system = system(&folder, &[Parameter::AFe]);
    assert!(measure(&mut system, &[xp()])[0].values.is_empty());
    assert!(said(&mut system).contains("leads out of the folder"));
}

#[test]
fn what_the_published_recipe_refuses_is_refused() {
    let io = Io::new("preprocess_lrs");
    let (wave, mut flux) = (io.numbers("wave_lamost"), io.numbers("solar_f64/flux"));
    flux[3000] = f64::NAN;
    assert!(matches!(Input::lrs(&wave, &flux, false), Err(Refused::Lrs(_))));
    assert!(matches!(Input::xp(&[336.0, 1019.0], &[1.0, 1.0]), Err(Refused::Xp(_))));
}

/// A model for spectra of eleven pixels in XP's place answers none of 343.
#[test]
fn a_model_for_other_spectra_answers_none() {
    let folder = unpacked("published-length");
    folder.write("system/specclip/specclip_model_predrecon_mlp.ckpt", bytes("clip_pr_tiny.ckpt"));
    let mut system = system(&folder, &[]);
    let got = measure(&mut system, &[xp(), Input::normalised(Modality::Lrs, vec![1.0; 3])]);
    let names = |parameters: Vec<Parameter>| parameters.into_iter().map(Parameter::name).collect::<Vec<_>>();
    assert_eq!(names(got[0].values.iter().map(|m| m.parameter).collect()), ["teff", "logg"]);
    assert_eq!(names(got[0].failed.clone()), ["a_fe", "c_fe", "n_fe", "fe_h", "e_bp_rp"]);
    assert!(got[1].values.is_empty() && got[1].failed.len() == 23);
    // A flat spectrum has no standard deviation to divide by.
    let flat = measure(&mut system, &[Input::normalised(Modality::Lrs, vec![1.0; 1462])]).remove(0);
    assert!(flat.values.is_empty() && flat.failed.len() == 23, "{flat:?}");
}

/// The check for whoever has the published files (MODEL_SPEC §3.6): the numbers that the published notebook prints.
///
/// `SPECOLA_PUBLISHED` names the folder with config.json, specclip/ and downstream_models/ of the published weights;
/// `SPECOLA_PUBLISHED_DATA` the test data's with lrs/spec-55859-F5902_sp02-084.fits.gz and xp/sample4_txt_xp.csv. Then:
/// `cargo test --release --test published -- --ignored`.
#[test]
#[ignore = "needs the published weights and test data: SPECOLA_PUBLISHED and SPECOLA_PUBLISHED_DATA"]
fn the_published_weights_give_the_published_numbers() {
    let at =
        |name: &str| std::path::PathBuf::from(std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set")));
    let (weights, data) = (at("SPECOLA_PUBLISHED"), at("SPECOLA_PUBLISHED_DATA"));
    let mut system =
        System::open(published::Folder::new(&weights), &[], &Device::flex()).expect("the published folder");
    let lrs: &[(&str, f64, f64)] = &[
        ("a_fe", 0.16, 0.0),
        ("c_fe", 0.15, 0.0),
        ("n_fe", 0.84, 0.0),
        ("mg_fe", 0.25, 0.0),
        ("o_fe", 0.27, 0.0),
        ("al_fe", 0.10, 0.0),
        ("si_fe", 0.15, 0.0),
        ("ca_fe", 0.08, 0.0),
        ("ti_fe", -0.07, 0.0),
        ("mn_fe", -0.20, 0.0),
        ("ni_fe", 0.01, 0.0),
        ("cr_fe", -0.09, 0.0),
        ("dnu", 15.61, 12.60),
        ("nu_max", 251.32, 115.76),
        ("mass", 1.23, 0.08),
        ("rad", 7.54, 1.74),
        ("age", 5.46, 1.43),
        ("rv", 3.41, 5.89),
        ("dpi", 55.01, 16.50),
        ("teff", 5892.43, 98.77),
        ("logg", 4.11, 0.09),
        ("fe_h", -0.91, 0.0),
        ("e_bp_rp", 0.03, 0.0),
    ];
    let xp: &[(&str, f64, f64)] = &[
        ("a_fe", 0.13, 0.0),
        ("c_fe", -0.05, 0.0),
        ("n_fe", 0.25, 0.0),
        ("teff", 4572.08, 277.91),
        ("logg", 1.98, 0.19),
        ("fe_h", -0.51, 0.0),
        ("e_bp_rp", 0.49, 0.0),
    ];
    for (file, want) in [("lrs/spec-55859-F5902_sp02-084.fits.gz", lrs), ("xp/sample4_txt_xp.csv", xp)] {
        let path = data.join(file);
        let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let spectrum = specola::read::read(file, &bytes).expect(file).spectra.remove(0);
        let got = measure(&mut system, &[Input::of(&spectrum).expect(file)]).remove(0);
        assert_eq!(said(&mut system), "");
        for (name, value, error) in want {
            let got =
                got.values.iter().find(|m| m.parameter.name() == *name).unwrap_or_else(|| panic!("{name} of {file}"));
            // Two printed decimals of an MLP; a median of 10,000 samples is good to 0.013 of the error, both of them; an
            // error is not robust.
            let tolerance = 0.0101 + 5.0 * 0.013 * 1.42 * error;
            println!("{file} {name}: {:.2} {:?}, published {value} ± {error}", got.value, got.error);
            assert!((got.value - value).abs() < tolerance, "{name} of {file}: {} instead of {value}", got.value);
            if let Some(sigma) = got.error {
                assert!((sigma / error - 1.0).abs() < 0.4, "{name} of {file}: error {sigma} instead of {error}");
            }
        }
    }
}
