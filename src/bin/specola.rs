//! The native program (`src/cli`).

fn main() -> std::process::ExitCode {
    specola::cli::main()
}
