//! Files that Specola 0.1.0 wrote open and give the same results (`tests/golden/v1/README.md` says how they were made).
//!
//! Names of fields, flags and test sets have changed since; `tests/golden/v1/renamed.json` lists old and new names. Old
//! files with old names must still open.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::OnceLock;

use pollster::block_on;
use serde::Serialize;
use serde_json::{Value, json};
use specola::engine::protocol::Assumptions;
use specola::model::manifest::Manifest;
use specola::model::store::{Folder, Store, sha256_hex};
use specola::result::SpectrumView;
use specola::share::link::decode;
use specola::share::session::Session;
use specola::similarity::index::Index;
use specola::task::finetune::adapter::{Adapter, is_adapter};
use specola::task::predict::Predictor;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1");
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models");

/// A folder with the shipped models in which the optical one is `lrs-mlp 2`, which the old adapters change.
fn with_old_optical_model() -> &'static str {
    static FOLDER: OnceLock<String> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = format!("{}/models-of-v1-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
        std::fs::create_dir_all(&folder).expect("a folder");
        for source in [SHIPPED.to_string(), format!("{GOLDEN}/lrs-mlp-2")] {
            for file in std::fs::read_dir(&source).expect("a folder").map(|f| f.expect("a file").path()) {
                if file.extension().is_some_and(|e| e == "bin") {
                    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
                    std::fs::copy(&file, format!("{folder}/{name}")).expect("a copy");
                }
            }
        }
        let read = |path: String| parsed(&std::fs::read_to_string(path).expect("a manifest"));
        let (mut manifest, old) = (read(format!("{SHIPPED}/manifest.json")), parsed(&text("manifest.json")));
        let is_optical = |m: &&Value| m["name"] == "lrs-mlp";
        let old = old["models"].as_array().and_then(|m| m.iter().find(is_optical)).expect("lrs-mlp 2").clone();
        // Predictions name the data sets of the accuracies.
        let old = with_new_names(old, &new_names("tables"));
        for model in manifest["models"].as_array_mut().expect("a list").iter_mut().filter(|m| m["name"] == "lrs-mlp") {
            *model = old.clone();
        }
        std::fs::write(format!("{folder}/manifest.json"), manifest.to_string()).expect("a manifest");
        folder
    })
}

/// Adapters of the shipped model.
const OF_SHIPPED: [&str; 5] = ["zero-shot", "residual-flux", "lora", "own-label-lora", "own-label-zero-shot"];

/// Adapters of the model in `tiny-models`.
const OF_TINY: [&str; 2] = ["tiny-scratch", "tiny-paper"];

/// Adapters with the Gaussian-process correction of that version, which no later one computes, and their models.
const WITH_OLD_GP: [&str; 4] = ["gp-only", "gp-emulator", "own-label", "tiny-full"];

/// Largest relative difference of two numbers of one computation on two machines.
const ROUNDING: f64 = 1e-4;

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(format!("{GOLDEN}/{name}")).unwrap_or_else(|reason| panic!("{name}: {reason}"))
}

fn text(name: &str) -> String {
    String::from_utf8(bytes(name)).expect("UTF-8")
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Converts to JSON text and back, so that both sides of a comparison are rounded in the same way. NaN becomes null.
fn as_json(content: &impl Serialize) -> Value {
    parsed(&serde_json::to_string(content).expect("JSON"))
}

/// New names by old ones, in one kind of file.
fn new_names(kind: &str) -> BTreeMap<String, String> {
    let all = parsed(&text("renamed.json"));
    let pairs = all[kind].as_object().unwrap_or_else(|| panic!("renamed.json has no {kind}"));
    pairs.iter().map(|(old, new)| (old.clone(), new.as_str().expect("a name").to_owned())).collect()
}

/// A value with new names: keys of objects, and texts that are a name as a whole.
fn with_new_names(value: Value, names: &BTreeMap<String, String>) -> Value {
    let new = |old: String| names.get(&old).cloned().unwrap_or(old);
    match value {
        Value::Object(map) => map.into_iter().map(|(k, v)| (new(k), with_new_names(v, names))).collect(),
        Value::Array(list) => list.into_iter().map(|v| with_new_names(v, names)).collect(),
        Value::String(text) => Value::String(new(text)),
        other => other,
    }
}

fn is_close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(0.1)
}

/// Compares two values; numbers may differ by the relative `tolerance`. A field that old files lack has its default.
fn assert_same(place: &str, found: &Value, expected: &Value, tolerance: f64) {
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => {
            let is_default = |v: &Value| matches!(v, Value::Null | Value::Bool(false));
            let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            let a: serde_json::Map<String, Value> = a
                .iter()
                .filter(|(k, v)| b.contains_key(*k) || !is_default(v))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            assert_eq!(keys(&a), keys(b), "{place}: names; is a new one missing in renamed.json?");
            a.iter().for_each(|(k, v)| assert_same(&format!("{place}.{k}"), v, &b[k], tolerance));
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{place}: number of entries");
            a.iter().zip(b).enumerate().for_each(|(i, (a, b))| assert_same(&format!("{place}[{i}]"), a, b, tolerance));
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            assert!(is_close(a, b, tolerance), "{place}: {a} instead of {b}");
        }
        _ => assert_eq!(found, expected, "{place}"),
    }
}

/// Each curve as its length, the number of finite values, their sum, a weighted sum, and both ends; then the masked
/// ranges and the processing steps.
fn summarise(view: &SpectrumView) -> Value {
    let curve = |values: &[f32]| {
        let finite: Vec<f64> = values.iter().filter(|v| v.is_finite()).map(|v| f64::from(*v)).collect();
        let weighted: f64 = finite.iter().enumerate().map(|(i, v)| v * (i % 17) as f64).sum();
        json!([values.len(), finite.len(), finite.iter().sum::<f64>(), weighted, finite.first(), finite.last()])
    };
    let curves = [
        &view.wave_vac_aa,
        &view.flux,
        &view.sigma,
        &view.continuum_wave_vac_aa,
        &view.continuum,
        &view.model_wave_vac_aa,
        &view.model_flux,
    ];
    let rest = [as_json(&view.masked), as_json(&view.processing_history)];
    curves.into_iter().map(|values| curve(values)).chain(rest).collect()
}

fn specola(models: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_specola"));
    command.current_dir(GOLDEN).env("SPECOLA_MODELS", models).args(arguments).output().expect("the program starts")
}

fn stdout(output: &Output, statuses: &[i32]) -> String {
    let reason = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some_and(|code| statuses.contains(&code)), "{:?}: {reason}", output.status);
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// Compares two tables cell by cell: numbers to [`ROUNDING`], all else letter by letter, flags by their new names.
fn assert_same_table(name: &str, found: &str, expected: &str) {
    let names = new_names("tables");
    assert_eq!(found.lines().count(), expected.lines().count(), "{name}: rows");
    for (row, (a, b)) in found.lines().zip(expected.lines()).enumerate() {
        let (a, b): (Vec<&str>, Vec<&str>) = (a.split(',').collect(), b.split(',').collect());
        assert_eq!(a.len(), b.len(), "{name}, row {row}: cells");
        for (a, b) in a.into_iter().zip(b) {
            match (a.parse::<f64>(), b.parse::<f64>()) {
                (Ok(a), Ok(b)) => assert!(is_close(a, b, ROUNDING), "{name}, row {row}: {a} instead of {b}"),
                _ => {
                    let new = |old: &str| names.get(old).cloned().unwrap_or_else(|| old.to_owned());
                    let b: Vec<String> = b.split('|').map(new).collect();
                    assert_eq!(a, b.join("|"), "{name}, row {row}");
                }
            }
        }
    }
}

/// The rows of a table without those of Gaia XP spectra, which have another model than in 0.1.0.
fn of_optical_spectra(table: &str) -> String {
    table.lines().filter(|line| !line.contains(",Gaia XP,")).collect::<Vec<_>>().join("\n")
}

/// Compares lines of JSON.
fn assert_same_lines(name: &str, found: &str, expected: &str) {
    let names = new_names("tables");
    assert_eq!(found.lines().count(), expected.lines().count(), "{name}: lines");
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_same(name, &parsed(found), &with_new_names(parsed(expected), &names), ROUNDING);
    }
}

fn model_in(folder: &str) -> Predictor {
    let store = Store::new(Folder::new(folder));
    let manifest = block_on(store.manifest()).expect("a manifest");
    let entry = manifest.default_model().expect("a default model");
    let weights = block_on(store.weights(entry, |_, _| {})).expect("weights");
    Predictor::new(entry, &weights, &burn::tensor::Device::flex()).expect("a model")
}

/// The JSON that a safetensors file has in its metadata.
fn metadata(file: &[u8], key: &str) -> Value {
    let length = u64::from_le_bytes(file[..8].try_into().expect("a length")) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + length]).expect("a header");
    parsed(header["__metadata__"][key].as_str().expect("an entry"))
}

#[test]
fn old_links_hold_the_same_results() {
    let names = new_names("results");
    for name in ["link-samples", "link-all"] {
        let shared = decode(&text(&format!("{name}.txt"))).expect("the link opens");
        let found = shared.iter().map(|s| json!([as_json(&s.record), summarise(&s.view())])).collect();
        let expected = with_new_names(parsed(&text(&format!("expected/{name}.json"))), &names);
        assert_same(name, &found, &expected, 1e-7);
    }
}

/// The encoder pair of 0.1.0, from which its links have results of Gaia XP stars, is no longer shipped.
#[test]
fn old_links_of_other_weights_are_named() {
    let output = specola(SHIPPED, &["verify", text("link-samples.txt").trim(), "stars"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("made with lrs-xp-pr 1, other weights than the current lrs-xp-pr "), "{message}");
}

#[test]
fn old_sessions_hold_the_same_results_curves_and_adapter() {
    let names = new_names("results");
    let file = bytes("session.specola");
    assert!(Session::has_signature(&file));
    let mut session = Session::open(file).expect("the session opens");
    let [contents, with_curves, curves, adapter] =
        [0, 1, 2, 3].map(|i| parsed(&text("expected/session.json"))[i].clone());
    assert_same("session", &as_json(&session.contents), &with_new_names(contents, &names), 0.0);
    assert_eq!(as_json(&session.n_with_curves()), with_curves);
    let n = session.contents.records.len();
    let found = (0..n).map(|i| session.curves(i).expect("curves open").map_or(Value::Null, |view| summarise(&view)));
    let found: Value = found.collect();
    assert_same("curves", &found, &with_new_names(curves, &names), 1e-7);
    let (sha256, file) = session.adapter().expect("the adapter can be read").expect("there is an adapter");
    assert_eq!(Value::from(sha256.clone()), adapter);
    assert_eq!((sha256_hex(&file), file), (sha256, bytes("gp-emulator.adapter")));
}

/// Adapters with the Gaussian-process correction of 0.1.0 are refused, with the reason and the cure.
#[test]
fn old_gp_corrections_are_refused() {
    for name in WITH_OLD_GP.map(|name| format!("{name}.adapter")).iter().map(String::as_str).chain(["session.specola"])
    {
        let models =
            if name.starts_with("tiny") { format!("{GOLDEN}/tiny-models") } else { with_old_optical_model().into() };
        let output = specola(&models, &["predict", "--adapter", name, "stars"]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {message}");
        assert!(message.contains("Gaussian-process correction of an earlier Specola"), "{name}: {message}");
        assert!(message.contains("Fine-tune again"), "{name}: {message}");
    }
}

#[test]
fn old_adapters_open_with_their_cards() {
    let names = new_names("adapter");
    let (shipped, tiny) = (model_in(with_old_optical_model()), model_in(&format!("{GOLDEN}/tiny-models")));
    let of_shipped = OF_SHIPPED.into_iter().map(|name| (name, &shipped));
    for (name, model) in of_shipped.chain(OF_TINY.into_iter().map(|name| (name, &tiny))) {
        let file = bytes(&format!("{name}.adapter"));
        assert!(is_adapter(file.as_slice()), "{name}");
        let adapter = block_on(Adapter::open(&file, model)).unwrap_or_else(|reason| panic!("{name}: {reason}"));
        let mut expected = with_new_names(metadata(&file, "specola-adapter"), &names);
        // Only the refused adapters needed an emulator.
        assert_eq!(expected.as_object_mut().expect("an object").remove("emulator"), Some(Value::Null));
        assert_same(name, &as_json(adapter.card()), &expected, 0.0);
        assert_eq!(adapter.sha256(), sha256_hex(&file));
    }
}

#[test]
fn old_adapters_predict_the_same() {
    let tiny = format!("{GOLDEN}/tiny-models");
    let of_shipped = OF_SHIPPED.into_iter().map(|name| (name, with_old_optical_model()));
    for (name, models) in of_shipped.chain(OF_TINY.into_iter().map(|name| (name, tiny.as_str()))) {
        let output = specola(models, &["predict", "--adapter", &format!("{name}.adapter"), "stars"]);
        assert_same_table(name, &stdout(&output, &[0]), &text(&format!("expected/predict-{name}.csv")));
    }
}

#[test]
fn old_indices_hold_the_same_entries() {
    let names = new_names("index");
    for name in ["index", "index-small", "index-reference"] {
        let file = bytes(&format!("{name}.safetensors"));
        assert!(Index::is_index(&file), "{name}");
        let index = Index::parse(&file).unwrap_or_else(|reason| panic!("{name}: {reason}"));
        let mut expected = with_new_names(metadata(&file, "specola-index"), &names);
        let fields = expected.as_object_mut().expect("an object");
        fields.remove("format");
        assert_eq!(fields.remove("lrs_ids"), Some(as_json(&index.lrs.ids())), "{name}");
        assert_eq!(fields.remove("xp_ids"), Some(as_json(&index.xp.ids())), "{name}");
        assert_same(name, &as_json(&index.metadata), &expected, 0.0);
        assert_eq!(index.reference_stats.is_some(), name == "index-reference", "{name}: statistics of a reference set");
        // Writing and reading give the same index, arrays included.
        let reread = Index::parse(&index.to_file().expect("it can be written")).expect("it opens again");
        assert_eq!(format!("{reread:?}"), format!("{index:?}"), "{name}");
    }
}

#[test]
fn old_indices_of_other_weights_are_refused() {
    for name in ["index.safetensors", "index-small.safetensors"] {
        let output = specola(SHIPPED, &["retrieve", "--index", name, "stars"]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(
            message.contains("belongs to the encoders lrs-xp-pr 1") && message.contains("specola embed"),
            "{message}"
        );
    }
}

#[test]
fn old_manifests_are_read_unchanged() {
    let names = new_names("manifest");
    for name in ["manifest.json", "tiny-models/manifest.json"] {
        let manifest = Manifest::parse(&bytes(name)).unwrap_or_else(|reason| panic!("{name}: {reason}"));
        assert_same(name, &as_json(&manifest), &with_new_names(parsed(&text(name)), &names), 0.0);
    }
}

#[test]
fn old_models_predict_the_same() {
    let tiny = format!("{GOLDEN}/tiny-models");
    for (name, models) in [("predict", with_old_optical_model()), ("predict-tiny", &tiny)] {
        let output = specola(models, &["predict", "stars"]);
        let (found, expected) = (stdout(&output, &[0]), text(&format!("expected/{name}.csv")));
        assert_same_table(name, &of_optical_spectra(&found), &of_optical_spectra(&expected));
    }
    let output = specola(&tiny, &["models", "--json"]);
    assert_same_lines("models", &stdout(&output, &[0]), &text("expected/models-tiny.json"));
}

/// The page keeps this text in the browser's database.
#[test]
fn old_assumptions_of_the_user_are_read() {
    let assumptions: Vec<((String, String), Assumptions)> =
        serde_json::from_str(&text("assumptions.json")).expect("they open");
    let expected = with_new_names(parsed(&text("assumptions.json")), &new_names("assumptions"));
    assert_same("assumptions", &as_json(&assumptions), &expected, 0.0);
}
