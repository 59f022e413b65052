//! Earlier names of commands, flags and values still work, and `--help` shows only the present names.

use std::process::{Command, Output};

use crate::support::{Folder, star_csv, write_untrained_model};

fn specola(folder: &Folder, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_specola"));
    command.current_dir(folder.path()).env("SPECOLA_MODELS", folder.path().join("models"));
    command.args(arguments.split_whitespace()).output().expect("the program starts")
}

fn folder(test: &str) -> Folder {
    let folder = Folder::new(test);
    std::fs::create_dir(folder.path().join("models")).expect("a folder can be made");
    write_untrained_model(&folder.path().join("models"));
    folder.write("star.csv", star_csv(3900.0, 5700.0));
    folder.write("labels.csv", "id,feh\nstar,-1\n");
    folder
}

/// Exit status and both streams.
fn run(folder: &Folder, arguments: &str) -> (Option<i32>, String, String) {
    let output = specola(folder, arguments);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn earlier_commands_run() {
    let folder = folder("earlier-commands");
    for (present, earlier) in [("anomalies", "odd"), ("repeat-visits", "repeats")] {
        let help = run(&folder, &format!("{present} --help"));
        assert!(help.0 == Some(0) && help.1.contains(present), "{help:?}");
        assert_eq!(run(&folder, &format!("{earlier} --help")), help);
        let refused = run(&folder, &format!("{present} star.csv"));
        assert!(refused.0 == Some(2) && !refused.2.contains("unrecognized"), "{refused:?}");
        assert_eq!(run(&folder, &format!("{earlier} star.csv")), refused);
    }
}

#[test]
fn earlier_flags_and_values_act_as_the_present_ones() {
    let folder = folder("earlier-flags");
    let finetune = "finetune --spectra star.csv --labels labels.csv --target feh --strategy full";
    let transfer = "experiment transfer --library none.npz --labels labels.csv --model untrained";
    for (command, present, earlier, phrase) in [
        ("predict star.csv", "--check-fit", "--fit", "this installation has no emulator"),
        (finetune, "--split-at feh", "--cut feh", "column=value"),
        (finetune, "--split-at mass=1", "--cut mass=1", "no column \"mass\"; it has"),
        (finetune, "--zhao2026 --rate 7", "--paper --rate 7", ""),
        (finetune, "--no-gp", "--no-closed-form", ""),
        (transfer, "--no-gp --strategies gp", "--no-closed-form --ways closed-form", "none.npz"),
        (transfer, "--zhao2026 --strategies gp,lora", "--paper --ways closed-form,lora", "none.npz"),
    ] {
        let present = run(&folder, &format!("{command} {present}"));
        assert_eq!(present.0, Some(2), "{present:?}");
        assert!(present.2.contains(phrase) && !present.2.contains("unexpected argument"), "{present:?}");
        let earlier = run(&folder, &format!("{command} {earlier}"));
        // clap names the present flag in its message, or no flag.
        assert_eq!(earlier, present);
    }
}

#[test]
fn help_shows_the_present_words_only() {
    let folder = folder("help-words");
    let help = |command: &str| {
        let (code, shown, _) = run(&folder, &format!("{command} --help"));
        assert_eq!(code, Some(0), "{command}");
        shown.split(|c: char| !(c.is_alphanumeric() || c == '-')).map(str::to_owned).collect::<Vec<_>>()
    };
    for (command, present, earlier) in [
        ("", &["anomalies", "repeat-visits"][..], &["odd", "repeats"][..]),
        ("predict", &["--check-fit"], &["--fit"]),
        (
            "finetune",
            &["--split-at", "--zhao2026", "--start-from-gp"],
            &["--cut", "--paper", "--no-gp", "--no-closed-form"],
        ),
        (
            "experiment transfer",
            &["--strategies", "gp", "--zhao2026", "--start-from-gp"],
            &["--ways", "closed-form", "--paper", "--no-gp", "--no-closed-form"],
        ),
    ] {
        let words = help(command);
        let is_shown = |word: &&&str| words.iter().any(|shown| shown == **word);
        assert!(present.iter().all(|word| is_shown(&word)), "{command}: {words:?}");
        assert_eq!(earlier.iter().find(is_shown), None, "{command}");
    }
}
