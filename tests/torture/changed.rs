//! One changed byte in a file that Specola wrote: an error, never another answer.

use std::fs;
use std::time::Instant;

use crate::attack::{print_row, run, sized};
use crate::support::{Folder, star_csv};

/// Runs `command` with `file` changed at many places. Each answer is the one of the intact file, or an error.
fn change(folder: &Folder, what: &str, file: &str, command: &str) {
    let path = folder.path().join(file);
    let intact = fs::read(&path).expect("the file");
    let expected = run(folder, command);
    assert_eq!(expected.status.code(), Some(0), "{command}: {}", expected.stderr);
    let begin = Instant::now();
    let n = sized(12, 200);
    let (mut refused, mut unharmed) = (0, 0);
    for i in 0..n {
        // The first bytes are the most delicate.
        let at = if i < n / 3 { i * 8 } else { (intact.len() - 1) * i / n };
        let mut changed = intact.clone();
        changed[at] ^= 1 << (i % 8);
        fs::write(&path, &changed).expect("it can be written");
        let outcome = run(folder, command);
        outcome.assert_calm(&format!("{what}, byte {at}"), 2000.0);
        if outcome.status.code() == Some(0) {
            assert_eq!(outcome.stdout, expected.stdout, "{what}, byte {at}");
            unharmed += 1;
        } else {
            refused += 1;
        }
    }
    fs::write(&path, &intact).expect("it can be written");
    let result = format!("{refused} times refused, {unharmed} times the same answer, never another");
    print_row(&format!("one changed byte in {what}, {n} places"), &result, None, begin.elapsed().as_secs_f64());
}

#[test]
fn a_changed_byte_gives_an_error_or_the_same_answer() {
    let folder = Folder::new("changed");
    let mut labels = String::from("id,feh\n");
    for i in 0..12 {
        folder.write(&format!("stars/s{i}.csv"), star_csv(3900.0 + i as f64, 5700.0));
        labels.push_str(&format!("s{i},{}\n", -0.1 * f64::from(i)));
    }
    folder.write("labels.csv", labels);
    let train = "finetune --spectra stars --labels labels.csv --target feh --strategy gp --test-fraction 0 -o adapter";
    let trained = run(&folder, train);
    assert_eq!(trained.status.code(), Some(0), "{}", trained.stderr);
    change(&folder, "an adapter", "adapter", "predict stars/s3.csv --adapter adapter");

    let made = run(&folder, "embed stars -o index");
    assert_eq!(made.status.code(), Some(0), "{}", made.stderr);
    change(&folder, "an index", "index", "retrieve stars/s3.csv --index index");

    // A chunk of the weights of the shipped model, in a copy of its folder.
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/models");
    fs::create_dir(folder.path().join("models")).expect("a folder can be made");
    for entry in fs::read_dir(models).expect("the models").flatten() {
        if entry.path().is_file() {
            fs::copy(entry.path(), folder.path().join("models").join(entry.file_name())).expect("it can be copied");
        }
    }
    let manifest = fs::read_to_string(folder.path().join("models/manifest.json")).expect("the manifest");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    let default = manifest["default"].as_str().expect("a default model");
    let entry =
        manifest["models"].as_array().expect("models").iter().find(|m| m["name"] == default).expect("its entry");
    let chunk = entry["chunks"][0]["file"].as_str().expect("a chunk");
    change(&folder, "the weights", &format!("models/{chunk}"), "predict stars/s3.csv --models models");
}
