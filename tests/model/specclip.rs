//! The published `SpecCLIP` folder: with random weights in its layout (`tests/published`, expected values from `NumPy`),
//! with `PyTorch`'s checkpoints (`tests/golden`), and with missing or damaged files.

use std::fs;
use std::io::Cursor;

use crate::support::Folder;
use crate::support::golden::{Io, bytes};
use crate::support::published::{expected, remove, unpacked};
use burn::tensor::Device;
use pollster::block_on;
use serde_json::Value;
use specola::model::specclip::{self, Head};
use specola::result::specclip::{Method, Modality, Parameter};
use specola::task::specclip::{Input, Measurements, SpecClip, SpecClipInputError};

fn specclip_model(folder: &Folder, labels: &[Parameter]) -> SpecClip<specclip::Folder> {
    let files = specclip::Folder::new(&folder.path().join("system"));
    SpecClip::open(files, labels, &Device::flex()).expect("the published folder")
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

fn measure(specclip_model: &mut SpecClip<specclip::Folder>, inputs: &[Input]) -> Vec<Measurements> {
    block_on(specclip_model.measure(inputs)).expect("an answer")
}

/// Compares values of MLPs to 2e-4, and values and errors of flows to 1e-3 of the error: the rounding of 32-bit
/// arithmetic. The samples are the same, since `NumPy` draws them with the same seed.
#[track_caller]
fn assert_agrees(got: &Measurements, expected_value: &Value) {
    assert!(got.failed.is_empty());
    let names: Vec<&str> = got.values.iter().map(|m| m.parameter.name()).collect();
    let mut expected_names: Vec<&str> =
        expected_value.as_object().expect("values").keys().map(String::as_str).collect();
    expected_names.sort_by_key(|name| Parameter::from_name(name));
    assert_eq!(names, expected_names, "the labels in the order of the catalogue");
    for m in &got.values {
        let name = m.parameter.name();
        match (m.method, m.error, expected_value[name].as_array().expect("numbers").as_slice()) {
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
fn labels_of_both_surveys_match_numpy() {
    let folder = unpacked("published-all");
    let mut specclip_model = specclip_model(&folder, &[]);
    let cases = [
        ("solar_f64", lrs("wave_lamost", "solar_f64", false)),
        ("solar_f32wave", lrs("wave_lamost", "solar_f64", true)),
        ("hot_f64", lrs("wave_lamost", "hot_f64", false)),
    ];
    // One batch with the XP spectrum between the LAMOST spectra.
    let inputs = [cases[0].1.clone(), xp(), cases[1].1.clone(), cases[2].1.clone()];
    let got = measure(&mut specclip_model, &inputs);
    assert_eq!(specclip_model.warnings(), []);
    let expected_value = expected();
    for (index, case) in [(0, "solar_f64"), (2, "solar_f32wave"), (3, "hot_f64")] {
        assert_eq!(got[index].values.len(), 23);
        assert_agrees(&got[index], &expected_value["lrs"][case]["values"]);
    }
    assert_eq!(got[1].values.len(), 7);
    assert_agrees(&got[1], &expected_value["xp"]["values"]);
    // A spectrum gives the same values alone and in a batch.
    assert_eq!(measure(&mut specclip_model, &inputs[1..2])[0], got[1]);
}

/// `PyTorch`'s CLIP checkpoints, which have other encoders, with the heads of the published folder.
#[test]
fn pytorch_checkpoints_replace_the_published_ones() {
    let folder = unpacked("published-golden");
    folder.write("system/specclip/specclip_model_predrecon_mlp.ckpt", bytes("clip_pr_tiny.ckpt"));
    folder.write("system/specclip/specclip_model_split_mlp.ckpt", bytes("clip_split_tiny.ckpt"));
    let spectra: Vec<f32> = Io::new("clip_pr_tiny_io").numbers("x_lrs").iter().map(|v| *v as f32).collect();
    let inputs: Vec<Input> = spectra.chunks(52).map(|x| Input::normalised(Modality::Lrs, x.to_vec())).collect();
    let mut specclip_model = specclip_model(&folder, &[]);
    let got = measure(&mut specclip_model, &inputs);
    assert_eq!(specclip_model.warnings(), []);
    for (got, expected_value) in got.iter().zip(expected()["golden_lrs"].as_array().expect("rows")) {
        assert_agrees(got, &expected_value["values"]);
    }
}

/// The heads of `tests/golden`: MLPs compared with `PyTorch`, and flows with 2,000 samples by sbi.
#[test]
fn heads_match_pytorch_and_sbi() {
    let device = Device::flex();
    let io = Io::new("mlp_tiny_io");
    let x: Vec<Vec<f32>> = io.numbers("x").chunks(72).map(|x| x.iter().map(|v| *v as f32).collect()).collect();
    for (stats, expected_value) in
        [(Some("mlp_bn_tiny_mean_std.json"), "out_bn_standardised_input"), (None, "out_bn_f64")]
    {
        let (file, stats) = (Cursor::new(bytes("mlp_bn_tiny.pt")), stats.map(bytes));
        let (head, warnings) = Head::load(file, stats.as_deref(), Method::Mlp, 72, &device).expect("a head");
        assert!(warnings.is_empty());
        let got = block_on(head.predict(&x)).expect("answers");
        for (got, expected_value) in got.into_iter().zip(io.numbers(expected_value)) {
            let (value, error) = got.expect("a number");
            assert!((value - expected_value).abs() < 5e-6 && error.is_none(), "{value} instead of {expected_value}");
        }
    }
    for name in ["sbi_maf_0233", "sbi_nsf_0233"] {
        let (head, _) =
            Head::load(Cursor::new(bytes(&format!("{name}.pkl"))), None, Method::Sbi, 24, &device).expect(name);
        let io = Io::new(&format!("{name}_io"));
        let x: Vec<f32> = io.numbers("x").iter().map(|v| *v as f32).collect();
        let (median, error) = block_on(head.predict(&[x])).expect("answers")[0].expect("a number");
        let error = error.expect("a flow's error");
        let tensors = specola::model::import::Checkpoint::open(Cursor::new(bytes(&format!("{name}.pkl"))))
            .and_then(|mut file| file.import(|_| {}))
            .expect(name)
            .tensors;
        let scaling = |part: &str| f64::from(tensors.get(part, &[1]).expect(part)[0]);
        // sbi's posterior is in standardised units. The tolerance is five standard errors of 2,000 and 10,000 samples.
        let from_sbi = |part: &str| io.numbers(part)[0];
        let sigma = from_sbi("posterior_std_2000") * scaling("stds");
        let centre = from_sbi("posterior_median_2000") * scaling("stds") + scaling("means");
        assert!(
            (median - centre).abs() < 5.0 * 1.2533 * sigma * (1.0 / 2000.0 + 1.0f64 / 10_000.0).sqrt(),
            "{median} {centre}"
        );
        assert!((error / sigma - 1.0).abs() < 0.07, "{error} instead of {sigma}");
    }
}

/// The warnings, one per line.
fn warnings_of(specclip_model: &mut SpecClip<specclip::Folder>) -> String {
    specclip_model.warnings().iter().map(|w| format!("{w}\n")).collect()
}

#[test]
fn missing_or_damaged_heads_lose_only_their_labels() {
    let folder = unpacked("published-damaged");
    remove(&folder, "downstream_models/lrs/sbi/age.pkl");
    let afe = folder.path().join("system/downstream_models/lrs/mlp/afe.pt");
    let whole = fs::read(&afe).expect("a head");
    fs::write(&afe, &whole[..whole.len() / 2]).expect("written");
    folder.write("system/downstream_models/lrs/sbi/teff.pkl", "not a pickle at all");
    // A flow in place of an MLP.
    let sbi = fs::read(folder.path().join("system/downstream_models/lrs/sbi/rad.pkl")).expect("a head");
    folder.write("system/downstream_models/lrs/mlp/cfe.pt", sbi);
    folder.write("system/stats/lrs/nfe_mean_std.json", r#"{"mean": [0.0], "std": [1.0]}"#);
    let mut specclip_model = specclip_model(&folder, &[]);
    let got = measure(&mut specclip_model, &[lrs("wave_lamost", "solar_f64", false)]).remove(0);
    let mut expected_value = expected()["lrs"]["solar_f64"]["values"].clone();
    for name in ["age", "a_fe", "teff", "c_fe", "n_fe"] {
        expected_value.as_object_mut().expect("values").remove(name);
    }
    assert_agrees(&got, &expected_value);
    let warnings = warnings_of(&mut specclip_model);
    assert_eq!(warnings.lines().count(), 5, "{warnings}");
    for (file, label, problem) in [
        ("downstream_models/lrs/sbi/age.pkl", "age", "is missing"),
        ("downstream_models/lrs/mlp/afe.pt", "a_fe", "download"),
        ("downstream_models/lrs/sbi/teff.pkl", "teff", "unknown file format"),
        ("downstream_models/lrs/mlp/cfe.pt", "c_fe", "does not contain an MLP head"),
        ("downstream_models/lrs/mlp/nfe.pt", "n_fe", "mean and std have 1 values; the embedding has 16"),
    ] {
        let line =
            warnings.lines().find(|line| line.starts_with(file)).unwrap_or_else(|| panic!("{file} in {warnings}"));
        assert!(line.contains(problem) && line.contains(&format!("{label} is left out")), "{line}");
    }
}

/// A prior of an unknown class may reject other samples. The label is predicted, with a warning.
#[test]
fn unknown_priors_give_a_warning() {
    let folder = unpacked("published-prior");
    let path = folder.path().join("system/downstream_models/lrs/sbi/rad.pkl");
    let mut pickle = fs::read(&path).expect("a head");
    let (known, other) = (b"ImproperEmpirical", b"MultipleIndepende");
    let at = pickle.windows(known.len()).position(|w| w == known).expect("its class");
    pickle[at..at + known.len()].copy_from_slice(other);
    fs::write(&path, pickle).expect("written");
    let mut specclip_model = specclip_model(&folder, &[Parameter::Rad]);
    let got = measure(&mut specclip_model, &[lrs("wave_lamost", "solar_f64", false)]).remove(0);
    let expected_value = expected()["lrs"]["solar_f64"]["values"]["rad"].clone();
    assert_agrees(&got, &serde_json::json!({ "rad": expected_value }));
    let warnings = warnings_of(&mut specclip_model);
    assert!(
        warnings.contains("rad.pkl: the prior sbi.utils.sbiutils.MultipleIndepende is not supported"),
        "{warnings}"
    );
}

/// Without statistics the published code standardises nothing, without a message. Specola gives the same value and a
/// warning.
#[test]
fn missing_statistics_give_a_warning() {
    let folder = unpacked("published-statistics");
    remove(&folder, "stats/lrs/afe_mean_std.json");
    let mut specclip_model = specclip_model(&folder, &[Parameter::AFe]);
    let got = measure(&mut specclip_model, &[lrs("wave_lamost", "solar_f64", false)]).remove(0);
    let expected_value = expected()["lrs"]["solar_f64"]["without_statistics"]["a_fe"].as_f64().expect("a number");
    assert_eq!(got.values.len(), 1);
    assert!((got.values[0].value - expected_value).abs() < 2e-4, "{} instead of {expected_value}", got.values[0].value);
    let warnings = warnings_of(&mut specclip_model);
    assert!(
        warnings.starts_with("stats/lrs/afe_mean_std.json: the file is missing")
            && warnings.contains("not standardised"),
        "{warnings}"
    );
}

/// config.json names `FeH`, the published code opens `feh`. Either file is used.
#[test]
fn both_spellings_of_the_xp_feh_statistics_are_read() {
    let folder = unpacked("published-spelling");
    let (lower_case, mixed_case) = ("system/stats/xp/feh_mean_std.json", "system/stats/xp/FeH_mean_std.json");
    let expected_value = expected()["xp"]["values"]["fe_h"][0].as_f64().expect("a number");
    let value = |folder: &Folder| {
        let mut specclip_model = specclip_model(folder, &[Parameter::FeH]);
        let got = measure(&mut specclip_model, &[xp()]).remove(0);
        (got.values[0].value, warnings_of(&mut specclip_model))
    };
    let (got, warnings) = value(&folder);
    assert!((got - expected_value).abs() < 2e-4 && warnings.is_empty());
    fs::rename(folder.path().join(lower_case), folder.path().join(mixed_case)).expect("renamed");
    let (got, warnings) = value(&folder);
    assert!((got - expected_value).abs() < 2e-4 && warnings.is_empty());
    fs::remove_file(folder.path().join(mixed_case)).expect("removed");
    let (got, warnings) = value(&folder);
    assert!(
        (got - expected_value).abs() > 1e-3 && warnings.contains("FeH_mean_std.json or stats/xp/feh_mean_std.json"),
        "{warnings}"
    );
}

#[test]
fn missing_models_lose_only_their_labels() {
    let folder = unpacked("published-model");
    remove(&folder, "specclip/specclip_model_predrecon_mlp.ckpt");
    let mut specclip_model = specclip_model(&folder, &[]);
    let got = measure(&mut specclip_model, &[lrs("wave_lamost", "solar_f64", false), xp()]);
    let names = |m: &Measurements| m.values.iter().map(|v| v.parameter.name()).collect::<Vec<_>>();
    assert_eq!(names(&got[0]), ["rv", "teff", "logg", "fe_h"]);
    assert_eq!(names(&got[1]), ["teff", "logg"]);
    let warnings = warnings_of(&mut specclip_model);
    assert_eq!(warnings.lines().count(), 2, "{warnings}");
    assert!(
        warnings.contains("specclip_model_predrecon_mlp.ckpt: the file is missing") && warnings.contains("e_bp_rp"),
        "{warnings}"
    );
}

/// If config.json is missing or damaged, the paths of the published folder are used.
#[test]
fn the_default_layout_is_used_without_a_config() {
    for (test, config) in [("published-no-config", None), ("published-bad-config", Some("{\"founation_models\""))] {
        let folder = unpacked(test);
        match config {
            None => remove(&folder, "config.json"),
            Some(text) => drop(folder.write("system/config.json", text)),
        }
        let mut specclip_model = specclip_model(&folder, &[]);
        let warnings = warnings_of(&mut specclip_model);
        assert!(warnings.starts_with("config.json: "), "{warnings}");
        assert_agrees(&measure(&mut specclip_model, &[xp()])[0], &expected()["xp"]["values"]);
    }
}

/// A path in config.json that leads out of the folder is not opened.
#[test]
fn paths_out_of_the_folder_are_refused() {
    let folder = unpacked("published-paths");
    folder.write("outside.ckpt", bytes("clip_pr_tiny.ckpt"));
    let path = folder.path().join("system/config.json");
    let config = fs::read_to_string(&path).expect("the config");
    let config = config.replace("specclip/specclip_model_predrecon_mlp.ckpt", "../outside.ckpt");
    fs::write(path, config).expect("written");
    let mut specclip_model = specclip_model(&folder, &[Parameter::AFe]);
    assert!(measure(&mut specclip_model, &[xp()])[0].values.is_empty());
    assert!(warnings_of(&mut specclip_model).contains("leads out of the folder"));
}

#[test]
fn spectra_that_the_published_code_refuses_are_refused() {
    let io = Io::new("preprocess_lrs");
    let (wave, mut flux) = (io.numbers("wave_lamost"), io.numbers("solar_f64/flux"));
    flux[3000] = f64::NAN;
    assert!(matches!(Input::lrs(&wave, &flux, false), Err(SpecClipInputError::Lrs(_))));
    assert!(matches!(Input::xp(&[336.0, 1019.0], &[1.0, 1.0]), Err(SpecClipInputError::Xp(_))));
}

/// A model for XP spectra of 11 pixels gives no label of a spectrum of 343 pixels.
#[test]
fn models_for_another_length_give_no_label() {
    let folder = unpacked("published-length");
    folder.write("system/specclip/specclip_model_predrecon_mlp.ckpt", bytes("clip_pr_tiny.ckpt"));
    let mut specclip_model = specclip_model(&folder, &[]);
    let got = measure(&mut specclip_model, &[xp(), Input::normalised(Modality::Lrs, vec![1.0; 3])]);
    let names = |parameters: Vec<Parameter>| parameters.into_iter().map(Parameter::name).collect::<Vec<_>>();
    assert_eq!(names(got[0].values.iter().map(|m| m.parameter).collect()), ["teff", "logg"]);
    assert_eq!(names(got[0].failed.clone()), ["a_fe", "c_fe", "n_fe", "fe_h", "e_bp_rp"]);
    assert!(got[1].values.is_empty() && got[1].failed.len() == 23);
    // A flat spectrum has no standard deviation to divide by.
    let flat_result = measure(&mut specclip_model, &[Input::normalised(Modality::Lrs, vec![1.0; 1462])]).remove(0);
    assert!(flat_result.values.is_empty() && flat_result.failed.len() == 23, "{flat_result:?}");
}

/// Needs the published files (docs/model-spec.md §3.6): compares with the numbers that the published notebook prints.
///
/// `SPECOLA_PUBLISHED` names the folder of the published weights, with config.json, specclip/ and `downstream_models`/.
/// `SPECOLA_PUBLISHED_DATA` names the folder of the test data, with lrs/spec-55859-F5902_sp02-084.fits.gz and
/// `xp/sample4_txt_xp.csv`. Then:
/// `cargo test --release --test model -- --ignored published_weights`.
#[test]
#[ignore = "needs the published weights and test data: SPECOLA_PUBLISHED and SPECOLA_PUBLISHED_DATA"]
fn published_weights_give_the_published_numbers() {
    let folder =
        |name: &str| std::path::PathBuf::from(std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set")));
    let (weights, data) = (folder("SPECOLA_PUBLISHED"), folder("SPECOLA_PUBLISHED_DATA"));
    let mut specclip_model =
        SpecClip::open(specclip::Folder::new(&weights), &[], &Device::flex()).expect("the published folder");
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
    for (file, expected_value) in [("lrs/spec-55859-F5902_sp02-084.fits.gz", lrs), ("xp/sample4_txt_xp.csv", xp)] {
        let path = data.join(file);
        let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let spectrum = specola::read::read(file, &bytes).expect(file).spectra.remove(0);
        let got = measure(&mut specclip_model, &[Input::of(&spectrum).expect(file)]).remove(0);
        assert_eq!(warnings_of(&mut specclip_model), "");
        for (name, value, error) in expected_value {
            let got =
                got.values.iter().find(|m| m.parameter.name() == *name).unwrap_or_else(|| panic!("{name} of {file}"));
            // An MLP is printed to two decimals. The median of 10,000 samples has a standard error of 0.013 of the
            // error, in both results. The error itself is less robust.
            let tolerance = 0.0101 + 5.0 * 0.013 * 1.42 * error;
            println!("{file} {name}: {:.2} {:?}, published {value} ± {error}", got.value, got.error);
            assert!((got.value - value).abs() < tolerance, "{name} of {file}: {} instead of {value}", got.value);
            if let Some(sigma) = got.error {
                assert!((sigma / error - 1.0).abs() < 0.4, "{name} of {file}: error {sigma} instead of {error}");
            }
        }
    }
}
