//! One attack: a run of the program, its outcome, its memory and its time.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::support::Folder;

/// Time after which an attack has blocked the program.
const PATIENCE: Duration = Duration::from_secs(3600);

/// True at full size.
pub(crate) fn is_full() -> bool {
    std::env::var("SPECOLA_TORTURE").is_ok_and(|size| size == "full")
}

/// The larger number at full size, else the smaller.
pub(crate) fn sized(small: usize, full: usize) -> usize {
    if is_full() { full } else { small }
}

/// What an attack did.
pub(crate) struct Outcome {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// Peak of the resident memory, MiB; `None` where the system does not tell.
    pub peak_mib: Option<f64>,
    pub seconds: f64,
}

impl Outcome {
    /// Prints the row of the table.
    pub(crate) fn print(&self, attack: &str, result: &str) {
        print_row(attack, result, self.peak_mib, self.seconds);
    }

    /// Checks that the program ended by itself, within the memory.
    pub(crate) fn assert_calm(&self, attack: &str, max_mib: f64) {
        let code = self.status.code();
        assert!(matches!(code, Some(0..=2)), "{attack}: {:?}\n{}", self.status, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{attack}: {}", self.stderr);
        if let Some(peak_mib) = self.peak_mib {
            assert!(peak_mib < max_mib, "{attack}: {peak_mib:.0} MiB, more than {max_mib}");
        }
    }
}

/// Prints a row of the table.
pub(crate) fn print_row(attack: &str, result: &str, peak_mib: Option<f64>, seconds: f64) {
    let memory = peak_mib.map_or_else(String::new, |mib| format!("{mib:.0} MiB"));
    // One write: rows of tests that run at the same time do not mix.
    let _ = io::stdout().write_all(format!("\n| {attack} | {result} | {memory} | {seconds:.1} s |\n").as_bytes());
}

/// The program with the shipped models, in the folder of the attack.
pub(crate) fn specola(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_specola"));
    command.current_dir(folder.path()).env("SPECOLA_MODELS", concat!(env!("CARGO_MANIFEST_DIR"), "/models"));
    command
}

/// Runs the program with these arguments to its end.
pub(crate) fn run(folder: &Folder, arguments: &str) -> Outcome {
    let at = |name: &str| folder.path().join(name);
    let create = |name: &str| File::create(at(name)).expect("a temporary file can be made");
    let mut command = specola(folder);
    command.args(arguments.split_whitespace()).stdout(create("stdout")).stderr(create("stderr"));
    let begin = Instant::now();
    let mut child = command.spawn().expect("the program starts");
    let (status, peak_mib) = watch(&mut child, begin);
    let text = |name: &str| String::from_utf8_lossy(&fs::read(at(name)).unwrap_or_default()).into_owned();
    let seconds = begin.elapsed().as_secs_f64();
    Outcome { status, stdout: text("stdout"), stderr: text("stderr"), peak_mib, seconds }
}

/// Waits for the end of a process, and notes its peak of memory.
fn watch(child: &mut Child, begin: Instant) -> (ExitStatus, Option<f64>) {
    let mut peak_mib = None;
    loop {
        peak_mib = peak_of(child.id()).or(peak_mib);
        if let Some(status) = child.try_wait().expect("the process can be asked") {
            return (status, peak_mib);
        }
        if begin.elapsed() > PATIENCE {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Peak of the resident memory of a running process, MiB (Linux).
fn peak_of(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// Number of result rows in a CSV table.
pub(crate) fn rows(csv: &str) -> usize {
    csv.lines().count().saturating_sub(1)
}

/// Names in a folder, hidden ones too.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
