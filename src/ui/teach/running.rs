//! Trainings that run: how far they are, their losses, rest and stop.

use std::collections::BTreeMap;

use leptos::prelude::*;

use super::state::Phase;
use super::{charts, format};
use crate::result::teach::{Epoch, Task};
use crate::ui::chart_canvas::ChartCanvas;
use crate::ui::state::State;

/// Progress, and the losses as they come.
#[component]
pub fn Running() -> impl IntoView {
    let state = expect_context::<State>();
    let teach = state.teach;
    let words = move || match teach.phase.get() {
        Phase::Idle => String::new(),
        Phase::Fetching(_, 0) => "Fetching the model…".into(),
        Phase::Fetching(done, total) => {
            format!("Fetching the model: {} of {}", format::bytes(done), format::bytes(total))
        }
        Phase::Preparing(_, 0) => "Preparing the labelled spectra…".into(),
        Phase::Preparing(done, total) => format!("Preparing the labelled spectra: {done} of {total}"),
        Phase::Training(done, total) if teach.is_paused.get() => format!("Resting after {done} of {total} trainings"),
        Phase::Training(done, total) => format!("{done} of {total} trainings"),
        Phase::Adopting | Phase::Surveying(_, 0) => "Learning from all labels…".into(),
        Phase::Surveying(done, total) => format!("The error at {done} of {total} points"),
    };
    let part = move || match teach.phase.get() {
        Phase::Training(done, total) | Phase::Preparing(done, total) | Phase::Surveying(done, total) if total > 0 => {
            Some((f64::from(done) / f64::from(total)).to_string())
        }
        Phase::Fetching(done, total) if total > 0 => Some((done as f64 / total as f64).to_string()),
        _ => None,
    };
    let is_training = move || matches!(teach.phase.get(), Phase::Training(..));
    let chart = Memo::new(move |_| teach.histories.with(charts::losses));
    let strategies = Memo::new(move |_| {
        let drawn = |all: &BTreeMap<Task, Vec<Epoch>>| {
            all.iter().filter(|(_, epochs)| epochs.len() > 1).map(|(task, _)| task.strategy).collect()
        };
        teach.histories.with(drawn)
    });
    let has_losses = move || teach.histories.with(|all| all.values().any(|h| h.len() > 1));
    view! {
        <div class="teach-progress" data-testid="teach-progress" data-phase=move || match teach.phase.get() {
            Phase::Idle => "idle",
            Phase::Fetching(..) => "fetching",
            Phase::Preparing(..) => "preparing",
            Phase::Training(..) => "training",
            Phase::Adopting => "adopting",
            Phase::Surveying(..) => "surveying",
        }>
            <p role="status">{words}</p>
            <Show when=move || teach.is_busy()>
                <progress value=part aria-label="Training"></progress>
                <p class="actions">
                    <Show when=is_training>
                        <button type="button" data-testid="teach-pause"
                            on:click=move |_| state.pause_teaching(!teach.is_paused.get_untracked())>
                            {move || if teach.is_paused.get() { "Go on" } else { "Pause" }}
                        </button>
                    </Show>
                    <button type="button" data-testid="teach-stop" on:click=move |_| state.stop_teaching()>
                        "Stop, keep what is there"
                    </button>
                </p>
            </Show>
        </div>
        <Show when=has_losses>
            <details class="losses" open=move || teach.is_busy()>
                <summary>"Losses"</summary>
                <charts::Key strategies/>
                <ChartCanvas chart says=move || teach.histories.with(charts::losses_in_words) test_id="teach-losses"/>
            </details>
        </Show>
    }
}
