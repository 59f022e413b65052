//! The table: one row a spectrum, filled as answers come.

use leptos::{ev, html, prelude::*};

use super::download::save_text;
use super::format;
use super::parameters::{FlagChip, Symbol};
use super::state::{Answer, Row, State};
use crate::result::Label;

/// The table of all spectra, with what can be done to all of them.
#[component]
pub fn Table() -> impl IntoView {
    let state = expect_context::<State>();
    let n = Memo::new(move |_| state.rows.with(Vec::len));
    let answered =
        move || state.rows.with(|rows| rows.iter().filter(|r| r.answer.with(|a| a.prediction().is_some())).count());
    let save = move |_| {
        let text = format::csv(&state.rows.read_untracked());
        if let Err(why) = save_text("specola.csv", "text/csv", &text) {
            state.notice.set(Some(why));
        }
    };
    let on_key = move |event: ev::KeyboardEvent| {
        let step = match event.key().as_str() {
            "ArrowDown" => 1,
            "ArrowUp" => -1,
            "PageDown" => 10,
            "PageUp" => -10,
            "Home" => isize::MIN / 2,
            "End" => isize::MAX / 2,
            _ => return,
        };
        event.prevent_default();
        state.select_by(step);
    };
    let heads = || {
        Label::ALL.map(|label| {
            view! { <th scope="col" class="number"><Symbol label/> <span class="unit">{label.unit()}</span></th> }
        })
    };
    view! {
        <section class="results" aria-labelledby="results-title">
            <div class="results-head">
                <h2 id="results-title">{move || format::count(n.get(), "spectrum", "spectra")}</h2>
                <p class="muted" role="status">{move || format!("{} with parameters", answered())}</p>
                <button data-testid="save-csv" disabled=move || n.get() == 0 on:click=save>"Save CSV"</button>
                <button data-testid="clear" on:click=move |_| state.clear()>"Clear all"</button>
            </div>
            <Show when=move || { n.get() > 0 }>
                <div class="table-box">
                    <table role="grid" aria-labelledby="results-title" aria-rowcount=move || n.get() + 1>
                        <thead>
                            <tr>
                                <th scope="col">"Status"</th>
                                <th scope="col" class="id">"Spectrum"</th>
                                <th scope="col">"Survey"</th>
                                <th scope="col" class="number">"S/N"</th>
                                {heads().collect_view()}
                                <th scope="col">"Flags"</th>
                            </tr>
                        </thead>
                        <tbody on:keydown=on_key>
                            <For each=move || state.rows.get() key=|row| row.key children=|row| view! { <TableRow row/> }/>
                        </tbody>
                    </table>
                </div>
            </Show>
        </section>
    }
}

#[component]
fn TableRow(row: Row) -> impl IntoView {
    let state = expect_context::<State>();
    let element = NodeRef::<html::Tr>::new();
    let is_selected = Memo::new(move |_| state.selected.get() == Some(row.key));
    // The focus follows the selection when it is in the table; the row comes into sight either way.
    Effect::new(move |before: Option<bool>| {
        let selected = is_selected.get();
        if selected
            && before == Some(false)
            && let Some(element) = element.get_untracked()
        {
            let in_table = document().active_element().is_some_and(|active| active.tag_name() == "TR");
            if in_table {
                let _ = element.focus();
            }
            let options = web_sys::ScrollIntoViewOptions::new();
            options.set_block(web_sys::ScrollLogicalPosition::Nearest);
            element.scroll_into_view_with_scroll_into_view_options(&options);
        }
        selected
    });
    view! {
        <tr
            node_ref=element data-testid="row" data-id=move || row.summary.get().meta.id.clone()
            tabindex=move || if is_selected.get() { "0" } else { "-1" }
            aria-selected=move || is_selected.get().to_string()
            on:click=move |_| state.select(row.key)
            on:focus=move |_| state.select(row.key)
        >
            <td class="status" data-testid="cell-status">
                {move || row.answer.with(|answer| {
                    let (tone, text) = status(answer);
                    view! { <span class=format!("dot {tone}") aria-hidden="true"></span>{text} }
                })}
            </td>
            <th scope="row" class="id" data-testid="cell-id">
                {move || row.summary.get().meta.id.clone()}
                <small>{move || row.summary.get().file.clone()}</small>
            </th>
            <td data-testid="cell-survey">{move || row.summary.get().meta.survey.name()}</td>
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
            let cells = Label::ALL.map(|label| {
                let text = prediction.get(label).map(format::estimate);
                view! {
                    <td class="number" data-testid=format!("cell-{}", label.name())>
                        {match text {
                            Some((value, error)) => view! { {value} <span class="error">" ± " {error}</span> }.into_any(),
                            None => "–".into_any(),
                        }}
                    </td>
                }
            });
            let flags = prediction.flags.iter().map(|flag| view! { <FlagChip flag=*flag explained=true/> });
            view! { {cells.collect_view()} <td class="flags" data-testid="flags">{flags.collect_view()}</td> }
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
