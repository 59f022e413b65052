//! One row of the table and its cells.

use leptos::{ev, html, prelude::*};

use super::context::{Rows, Selection, TableView};
use super::flag_chip::FlagChip;
use super::format;
use super::row::{IMPORTED_GENERATION, PredictionStatus, Row};
use crate::result::{Flag, FlagSet, Label};

/// A row of the table. `index` counts from 0.
#[component]
pub(super) fn TableRow(row: Row, index: usize) -> impl IntoView {
    let (rows, table_view, selection) =
        (expect_context::<Rows>(), expect_context::<TableView>(), expect_context::<Selection>());
    let element = NodeRef::<html::Tr>::new();
    let is_selected = Memo::new(move |_| rows.selected.get() == Some(row.key));
    Effect::new(move |_| {
        let Some(element) = element.get() else { return };
        if is_selected.get() && selection.takes_focus.get_value() {
            selection.takes_focus.set_value(false);
            let options = web_sys::FocusOptions::new();
            options.set_prevent_scroll(true);
            // Cannot fail for an element in the document.
            let _ = element.focus_with_options(&options);
        }
    });
    let is_ticked = Memo::new(move |_| table_view.ticked.with(|ticked| ticked.contains(&row.key)));
    let tick = move |event: ev::MouseEvent| {
        // Ticking a row does not select it.
        event.stop_propagation();
        let is_checked = event_target_checked(&event);
        match table_view.last_ticked.get_value().filter(|_| event.shift_key()) {
            Some(from) => table_view.tick_range(from, row.key, is_checked),
            None => table_view.tick([row.key], is_checked),
        }
        table_view.last_ticked.set_value(Some(row.key));
    };
    view! {
        <tr
            node_ref=element data-testid="row" data-id=move || row.summary.get().meta.id.clone()
            tabindex=move || if is_selected.get() { "0" } else { "-1" }
            aria-selected=move || is_selected.get().to_string() aria-rowindex=index + 2
            on:click=move |_| selection.select(row.key)
            on:focus=move |_| selection.select(row.key)
        >
            <td class="tick">
                <input
                    type="checkbox" tabindex="-1" data-testid="tick" prop:checked=is_ticked on:click=tick
                    aria-label=move || format!("Tick {}", row.summary.get().meta.id)
                />
            </td>
            <td class="status" data-testid="cell-status">
                {move || row.status.with(|status| {
                    let (tone, text) = status_text(status);
                    view! { <span class=format!("dot {tone}") aria-hidden="true"></span><span class="status-word">{text}</span> }
                })}
            </td>
            <th scope="row" class="id" data-testid="cell-id">
                {move || row.summary.get().meta.id.clone()}
                {(row.key.generation == IMPORTED_GENERATION).then(|| view! {
                    <span class="imported" data-testid="imported" title="From a link or a session file; not computed in this tab">
                        "imported"
                    </span>
                })}
                <small>{move || row.summary.get().file.clone()}</small>
            </th>
            <td class="wide-only" data-testid="cell-survey">{move || row.summary.get().meta.survey.name()}</td>
            <td class="number" data-testid="cell-snr">
                {move || row.status.with(|status| status.prediction().map_or("–".into(), |p| format::snr(p.snr)))}
            </td>
            {move || row.status.with(prediction_cells)}
        </tr>
    }
}

fn status_text(status: &PredictionStatus) -> (&'static str, &'static str) {
    match status {
        PredictionStatus::Pending => ("busy", "waiting"),
        PredictionStatus::Predicted(p) if p.flags.iter().any(|f| f.is_severe()) => ("warn", "flagged"),
        PredictionStatus::Predicted(_) => ("ok", "done"),
        PredictionStatus::NotPredicted(_) => ("bad", "not predicted"),
        PredictionStatus::Interrupted => ("bad", "interrupted"),
    }
}

/// Cells of the five parameters and the flags, or one cell with the reason why there are none.
fn prediction_cells(status: &PredictionStatus) -> AnyView {
    match status {
        PredictionStatus::Predicted(prediction) => {
            // The style sheet marks the values of a spectrum with a severe flag.
            let is_flagged = prediction.flags.iter().any(|flag| flag.is_severe());
            let cells = Label::ALL.map(|label| {
                let estimate = prediction.get(label);
                let text = estimate.map(format::estimate);
                view! {
                    <td
                        class="number" class:flagged=is_flagged data-testid=format!("cell-{}", label.name())
                        data-value=estimate.map(|e| e.value) data-error=estimate.map(|e| e.error)
                    >
                        {match text {
                            Some((value, error)) => view! { {value} <span class="error">" ± " {error}</span> }.into_any(),
                            None => "–".into_any(),
                        }}
                    </td>
                }
            });
            view! { {cells.collect_view()} <td class="flags" data-testid="flags"><Flags flags=prediction.flags.clone()/></td> }
                .into_any()
        }
        PredictionStatus::NotPredicted(why) => {
            view! { <td class="reason" colspan="6" data-testid="cell-refused" title=why.clone()>{why.clone()}</td> }
                .into_any()
        }
        PredictionStatus::Interrupted => {
            view! { <td class="reason" colspan="6">"The engine stopped before the prediction. Read the file again."</td> }.into_any()
        }
        PredictionStatus::Pending => {
            let cells = Label::ALL.map(|label| {
                view! { <td class="number pending" data-testid=format!("cell-{}", label.name())>"·"</td> }
            });
            view! { {cells.collect_view()} <td data-testid="flags"></td> }.into_any()
        }
    }
}

/// The two most severe flags as chips, and the number of further flags: each row is one line high.
#[component]
fn Flags(flags: FlagSet) -> impl IntoView {
    let flags: Vec<Flag> = flags.into_iter().collect();
    let (first, more) = flags.split_at(flags.len().min(2));
    let chips = first.iter().map(|flag| view! { <FlagChip flag=*flag has_meaning=true/> }).collect_view();
    let more = (!more.is_empty()).then(|| {
        let codes: Vec<_> = more.iter().map(|flag| flag.code().replace('_', " ")).collect();
        view! {
            <span class="chip mild" title=codes.join(", ")>
                "+" {more.len()} <span class="visually-hidden">" more: " {codes.join(", ")}</span>
            </span>
        }
    });
    view! { {chips} {more} }
}
