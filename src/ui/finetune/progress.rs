//! Progress of the training runs, their losses, and the buttons that pause and stop them.

use std::collections::BTreeMap;

use leptos::prelude::*;

use super::charts;
use crate::result::finetune::{Epoch, TrainingRun};
use crate::ui::chart_canvas::ChartCanvas;
use crate::ui::context::{Finetune, FinetunePhase};
use crate::ui::format;

/// Progress bar, pause and stop buttons, and the losses so far.
#[component]
pub(super) fn ProgressPanel() -> impl IntoView {
    let finetune = expect_context::<Finetune>();
    let status = move || match finetune.phase.get() {
        FinetunePhase::Idle => String::new(),
        FinetunePhase::Fetching(_, 0) => "Downloading the model…".into(),
        FinetunePhase::Fetching(done, total) => {
            format!("Downloading the model: {} of {}", format::bytes(done), format::bytes(total))
        }
        FinetunePhase::Preparing(_, 0) => "Preparing the labelled spectra…".into(),
        FinetunePhase::Preparing(done, total) => format!("Preparing the labelled spectra: {done} of {total}"),
        FinetunePhase::Training(done, total) if finetune.is_paused.get() => {
            format!("Paused after {done} of {total} training runs")
        }
        FinetunePhase::Training(done, total) => format!("{done} of {total} training runs finished"),
        FinetunePhase::TrainingFinal | FinetunePhase::Scanning(_, 0) => "Training on all labels…".into(),
        FinetunePhase::Scanning(done, total) => format!("Computing the loss at {done} of {total} points"),
    };
    let fraction = move || match finetune.phase.get() {
        FinetunePhase::Training(done, total)
        | FinetunePhase::Preparing(done, total)
        | FinetunePhase::Scanning(done, total)
            if total > 0 =>
        {
            Some((f64::from(done) / f64::from(total)).to_string())
        }
        FinetunePhase::Fetching(done, total) if total > 0 => Some((done as f64 / total as f64).to_string()),
        _ => None,
    };
    let is_training = move || matches!(finetune.phase.get(), FinetunePhase::Training(..));
    let chart = Memo::new(move |_| finetune.histories.with(charts::losses));
    let strategies = Memo::new(move |_| {
        let trained = |all: &BTreeMap<TrainingRun, Vec<Epoch>>| {
            all.iter().filter(|(_, epochs)| epochs.len() > 1).map(|(task, _)| task.strategy).collect()
        };
        finetune.histories.with(trained)
    });
    let has_losses = move || finetune.histories.with(|all| all.values().any(|h| h.len() > 1));
    view! {
        <div class="finetune-progress" data-testid="finetune-progress" data-phase=move || match finetune.phase.get() {
            FinetunePhase::Idle => "idle",
            FinetunePhase::Fetching(..) => "fetching",
            FinetunePhase::Preparing(..) => "preparing",
            FinetunePhase::Training(..) => "training",
            FinetunePhase::TrainingFinal => "fitting",
            FinetunePhase::Scanning(..) => "scanning",
        }>
            <p role="status">{status}</p>
            <Show when=move || finetune.is_busy()>
                <progress value=fraction aria-label="Training"></progress>
                <p class="actions">
                    <Show when=is_training>
                        <button type="button" data-testid="finetune-pause"
                            on:click=move |_| finetune.pause_training(!finetune.is_paused.get_untracked())>
                            {move || if finetune.is_paused.get() { "Resume" } else { "Pause" }}
                        </button>
                    </Show>
                    <button type="button" data-testid="finetune-stop" on:click=move |_| finetune.stop_training()>
                        "Stop and keep the results so far"
                    </button>
                </p>
            </Show>
        </div>
        <Show when=has_losses>
            <details class="losses" open=move || finetune.is_busy()>
                <summary>"Training losses"</summary>
                <charts::StrategyLegend strategies/>
                <ChartCanvas chart description=move || finetune.histories.with(charts::describe_losses) test_id="finetune-losses"/>
            </details>
        </Show>
    }
}
