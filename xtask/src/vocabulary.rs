//! Checks the identifiers of the code against a list of words that were replaced by the field's terms.
//!
//! Comments and strings are not checked: some of these words are ordinary English there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::run::root;

/// Replaced identifiers and their replacements.
const REPLACED: [(&str, &str); 71] = [
    ("Anchor", "TrainingPoint"),
    ("AtRest", "RestFrameSpectrum"),
    ("BakeOff", "StrategyComparison"),
    ("Classroom", "FeatureCache"),
    ("Errand", "UrgentTask"),
    ("Example", "LabelledSpectrum"),
    ("Floors", "NoiseFloors"),
    ("ForHost", "HostRequest"),
    ("Kit", "EncoderBundle"),
    ("LabelRule", "LabelFilter"),
    ("Learned", "Checkpoint"),
    ("Learner", "TrainState"),
    ("Ledger", "ProcessingHistory"),
    ("LedgerEntry", "ProcessingStep"),
    ("Lesson", "LabelledSet, Objective"),
    ("Library", "IndexSet"),
    ("Likeness", "GpKernel"),
    ("LikesEvent", "SimilarityEvent"),
    ("LikesRequest", "SimilarityRequest"),
    ("Look", "Features"),
    ("Modeller", "SyntheticModel"),
    ("News", "TrainerEvent"),
    ("NoPrediction", "PredictError"),
    ("NotSeen", "EncodeError"),
    ("Oddities", "Anomalies"),
    ("Oddity", "AnomalyScores"),
    ("Pen", "Painter"),
    ("Pupil", "TrainableModel"),
    ("ReadingEvent", "DiagnosticsEvent"),
    ("ReadingRequest", "DiagnosticsRequest"),
    ("Refiner", "LabelUpdate"),
    ("Refusal", "PreprocessError"),
    ("Regime", "Subset, ErrorRegime"),
    ("Relief", "Heatmap"),
    ("Remark", "LabelWarning"),
    ("Seal", "Export"),
    ("Shelf", "SearchableIndex"),
    ("Surroundings", "WeightPlane"),
    ("TaughtValue", "FinetunedEstimate"),
    ("Teach", "Finetune"),
    ("TeachError", "FinetuneError"),
    ("TeachEvent", "FinetuneEvent"),
    ("TeachRequest", "FinetuneRequest"),
    ("Teacher", "TrainStep"),
    ("Usual", "ReferenceStats"),
    ("Wanted", "Query"),
    ("bake_off", "comparison"),
    ("by_hand", "column_mapping"),
    ("classroom", "feature_cache"),
    ("discrepancy", "emulator_residual"),
    ("errand", "urgent task"),
    ("errands", "urgent tasks"),
    ("few_rows", "small_batch_matmul"),
    ("is_far", "is_out_of_distribution"),
    ("learner", "train_state"),
    ("lesson", "labelled_set, objective"),
    ("lessons", "objectives"),
    ("likes", "similarity"),
    ("loneliness", "knn_distance"),
    ("look_alikes", "similar_spectra"),
    ("looks", "features"),
    ("mailbox", "shared_memory_channel"),
    ("modeller", "emulator"),
    ("oddity", "anomaly"),
    ("pupil", "model"),
    ("rebuilt", "reconstruction"),
    ("shelf", "index"),
    ("shelves", "indices"),
    ("taught", "finetuned"),
    ("teach", "finetune"),
    ("teaching", "fine-tuning"),
];

/// Identifiers that may stay: file (from the root), word, reason.
const EXCEPTIONS: [(&str, &str, &str); 0] = [];

/// Fails if a replaced identifier is in `src` and `tests`.
pub(crate) fn check() -> Result<()> {
    let replaced: BTreeMap<&str, &str> = REPLACED.into_iter().collect();
    let mut files = Vec::new();
    for folder in ["src", "tests", "www", "gemm"] {
        source_files(&root().join(folder), &mut files)?;
    }
    let mut found = Vec::new();
    for path in &files {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let name = path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/");
        for (number, line) in text.lines().enumerate() {
            for word in identifiers(line) {
                let is_exception = EXCEPTIONS.iter().any(|(file, allowed, _)| *file == name && *allowed == word);
                if let Some(replacement) = replaced.get(word).filter(|_| !is_exception) {
                    found.push(format!("{name}:{}: `{word}` is now {replacement}", number + 1));
                }
            }
        }
    }
    if !found.is_empty() {
        bail!("replaced words came back:\n{}", found.join("\n"));
    }
    Ok(())
}

fn source_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "node_modules") {
            source_files(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "js") {
            files.push(path);
        }
    }
    Ok(())
}

/// The identifiers of a line, without comment and strings.
fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    // Every second part between quotes is a string.
    let parts = code.split('"').step_by(2);
    parts.flat_map(|part| part.split(|c: char| !c.is_alphanumeric() && c != '_')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_skipped() {
        let line = "let shelf = open(\"Kit\", Pen::new()); // an errand";
        assert_eq!(identifiers(line).collect::<Vec<_>>(), ["let", "shelf", "open", "Pen", "new"]);
    }
}
