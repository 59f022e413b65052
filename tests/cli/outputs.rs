//! Where results go: what cannot be written is refused before the work, files land whole, and nothing is left behind.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{Folder, star_csv};

fn specola(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_specola"));
    command.current_dir(folder.path()).env("SPECOLA_MODELS", concat!(env!("CARGO_MANIFEST_DIR"), "/models"));
    command
}

fn run(folder: &Folder, arguments: &str) -> Output {
    specola(folder).args(arguments.split_whitespace()).output().expect("the program starts")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn outputs_that_cannot_be_written_are_refused_before_the_work() {
    let folder = Folder::new("outputs-refused");
    // Each command that begins its work says that this file is no spectrum.
    folder.write("star.csv", "nothing");
    folder.write("labels.csv", "id,feh\nstar,0\n");
    std::fs::create_dir(folder.path().join("taken")).expect("a folder can be made");
    let before = names(folder.path());
    let commands = [
        "predict star.csv",
        "inspect star.csv",
        "posterior star.csv",
        "embed star.csv",
        "retrieve star.csv",
        "translate star.csv",
        "anomalies star.csv",
        "repeat-visits star.csv",
        "finetune --spectra star.csv --labels labels.csv --target feh --strategy residual",
    ];
    for command in commands {
        for out in ["gone/out", "taken"] {
            let refused = run(&folder, &format!("{command} -o {out}"));
            let why = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert_eq!(refused.status.code(), Some(2), "{command} -o {out}: {why}");
            assert!(why.contains(&format!("cannot write {out}")) && !why.contains("star.csv"), "{command}: {why}");
            assert_eq!(names(folder.path()), before, "{command} -o {out}");
        }
    }
}

#[test]
fn runs_at_the_same_time_append_to_one_index() {
    let folder = Folder::new("outputs-append");
    let stars = ["a", "b", "c", "d", "e"];
    for (i, name) in stars.iter().enumerate() {
        folder.write(&format!("{name}.csv"), star_csv(3900.0 + 10.0 * i as f64, 5700.0));
    }
    let refused = run(&folder, "embed a.csv --append -o index");
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && why.contains("a new index is made without --append"), "{why}");
    assert!(run(&folder, "embed a.csv -o index").status.success());
    let started: Vec<_> = stars[1..]
        .iter()
        .map(|star| specola(&folder).args(["embed", &format!("{star}.csv"), "--append", "-o", "index"]).spawn())
        .collect();
    for child in started {
        assert!(child.expect("the program starts").wait().expect("it ends").success());
    }
    let found = run(&folder, "retrieve a.csv --index index --top 9");
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    let found: BTreeSet<&str> = text.lines().skip(1).filter_map(|line| line.split(',').nth(2)).collect();
    assert_eq!(found, BTreeSet::from(["b", "c", "d", "e"]), "{text}");
}

#[test]
fn a_spectrum_comes_by_standard_input() {
    let folder = Folder::new("outputs-stdin");
    let text = star_csv(3900.0, 5700.0);
    folder.write("star.csv", &text);
    let mut child = specola(&folder)
        .args(["inspect", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("its input").write_all(text.as_bytes()).expect("it reads");
    let piped = String::from_utf8(child.wait_with_output().expect("it ends").stdout).expect("UTF-8");
    let named = String::from_utf8(run(&folder, "inspect star.csv").stdout).expect("UTF-8");
    assert!(
        named.contains("\"star\"") && piped == named.replace("star.csv", "-").replace("\"star\"", "\"stdin\""),
        "{piped}"
    );
}

#[cfg(unix)]
#[test]
fn a_run_that_is_asked_to_end_leaves_the_earlier_file_and_no_other() {
    let folder = Folder::new("outputs-ended");
    folder.write("out.csv", "earlier");
    // Nobody writes into this pipe, so the run waits for its spectrum.
    assert!(Command::new("mkfifo").arg(folder.path().join("star.csv")).status().expect("mkfifo").success());
    let before = names(folder.path());
    for signal in ["-TERM", "-INT"] {
        let mut child = specola(&folder).args(["predict", "star.csv", "-o", "out.csv"]).spawn().expect("it starts");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while names(folder.path()) == before {
            assert!(std::time::Instant::now() < deadline, "the output was not begun");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill").success());
        assert_eq!(child.wait().expect("it ends").code(), Some(130), "{signal}");
        assert_eq!(names(folder.path()), before, "{signal}");
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("out.csv")).expect("it is there"), "earlier");
}
