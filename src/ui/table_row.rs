//! One row of the table and its cells.

use leptos::{ev, html, prelude::*};

use super::format;
use super::parameters::FlagChip;
use super::state::{Answer, Row, State};
use crate::result::{Flag, Label};

/// A row. `index` counts from 0.
#[component]
pub fn TableRow(row: Row, index: usize) -> impl IntoView {
    let state = expect_context::<State>();
    let element = NodeRef::<html::Tr>::new();
    let is_selected = Memo::new(move |_| state.selected.get() == Some(row.key));
    Effect::new(move |_| {
        let Some(element) = element.get() else { return };
        if is_selected.get() && state.grabs_focus.get_value() {
            state.grabs_focus.set_value(false);
            let options = web_sys::FocusOptions::new();
            options.set_prevent_scroll(true);
            // Fails for no element in a document.
            let _ = element.focus_with_options(&options);
        }
    });
    let is_ticked = Memo::new(move |_| state.ticked.with(|ticked| ticked.contains(&row.key)));
    let tick = move |event: ev::MouseEvent| {
        // A tick does not change which spectrum is shown below.
        event.stop_propagation();
        let on = event_target_checked(&event);
        match state.last_ticked.get_value().filter(|_| event.shift_key()) {
            Some(from) => state.tick_range(from, row.key, on),
            None => state.tick([row.key], on),
        }
        state.last_ticked.set_value(Some(row.key));
    };
    view! {
        <tr
            node_ref=element data-testid="row" data-id=move || row.summary.get().meta.id.clone()
            tabindex=move || if is_selected.get() { "0" } else { "-1" }
            aria-selected=move || is_selected.get().to_string() aria-rowindex=index + 2
            on:click=move |_| state.select(row.key)
            on:focus=move |_| state.select(row.key)
        >
            <td class="tick">
                <input
                    type="checkbox" tabindex="-1" data-testid="tick" prop:checked=is_ticked on:click=tick
                    aria-label=move || format!("Tick {}", row.summary.get().meta.id)
                />
            </td>
            <td class="status" data-testid="cell-status">
                {move || row.answer.with(|answer| {
                    let (tone, text) = status(answer);
                    view! { <span class=format!("dot {tone}") aria-hidden="true"></span><span class="status-word">{text}</span> }
                })}
            </td>
            <th scope="row" class="id" data-testid="cell-id">
                {move || row.summary.get().meta.id.clone()}
                <small>{move || row.summary.get().file.clone()}</small>
            </th>
            <td class="wide-only" data-testid="cell-survey">{move || row.summary.get().meta.survey.name()}</td>
            <td class="number" data-testid="cell-snr">
                {move || row.answer.with(|a| a.prediction().map_or("–".into(), |p| format::snr(p.snr)))}
            </td>
            {move || row.answer.with(answer_cells)}
        </tr>
    }
}

fn status(answer: &Answer) -> (&'static str, &'static str) {
    match answer {
        Answer::Waiting => ("busy", "waiting"),
        Answer::Predicted(p) if p.flags.iter().any(|f| f.is_grave()) => ("warn", "doubtful"),
        Answer::Predicted(_) => ("ok", "done"),
        Answer::Refused(_) => ("bad", "refused"),
        Answer::Lost => ("bad", "lost"),
    }
}

/// The five parameters and the flags, or the reason for their absence across all of them.
fn answer_cells(answer: &Answer) -> AnyView {
    match answer {
        Answer::Predicted(prediction) => {
            // Numbers that are not to be relied on do not look like those that are.
            let is_doubtful = prediction.flags.iter().any(|flag| flag.is_grave());
            let cells = Label::ALL.map(|label| {
                let estimate = prediction.get(label);
                let text = estimate.map(format::estimate);
                view! {
                    <td
                        class="number" class:doubtful=is_doubtful data-testid=format!("cell-{}", label.name())
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
        Answer::Refused(why) => {
            view! { <td class="reason" colspan="6" data-testid="cell-refused" title=why.clone()>{why.clone()}</td> }
                .into_any()
        }
        Answer::Lost => {
            view! { <td class="reason" colspan="6">"The engine stopped before it answered."</td> }.into_any()
        }
        Answer::Waiting => {
            let cells = Label::ALL.map(|label| {
                view! { <td class="number pending" data-testid=format!("cell-{}", label.name())>"·"</td> }
            });
            view! { {cells.collect_view()} <td data-testid="flags"></td> }.into_any()
        }
    }
}

/// The two gravest flags as chips, and how many more there are: all rows are one line high.
#[component]
fn Flags(flags: Vec<Flag>) -> impl IntoView {
    let (first, more) = flags.split_at(flags.len().min(2));
    let chips = first.iter().map(|flag| view! { <FlagChip flag=*flag explained=true/> }).collect_view();
    let more = (!more.is_empty()).then(|| {
        let codes: Vec<_> = more.iter().map(|flag| flag.code().replace('_', " ")).collect();
        view! {
            <span class="chip mild" title=codes.join(", ")>
                "+" {more.len()} <span class="for-readers">" more: " {codes.join(", ")}</span>
            </span>
        }
    });
    view! { {chips} {more} }
}
