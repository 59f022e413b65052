//! The dropped spectra by how odd they are.

use leptos::prelude::*;

use crate::result::likes::{Oddity, Score};
use crate::ui::state::State;

/// Rows shown; the oddest are what is looked for.
const SHOWN: usize = 200;

/// The ranked list.
#[component]
pub fn Oddities() -> impl IntoView {
    let state = expect_context::<State>();
    let all = state.likes.oddities;
    let select = move |id: u32| {
        let key = state
            .rows
            .with_untracked(|rows| rows.iter().map(|row| row.key).find(|k| k.id == id && state.is_current(*k)));
        if let Some(key) = key {
            state.select(key);
        }
    };
    let row = move |rank: usize, o: Oddity| {
        let spectrum = o.spectrum;
        view! {
            <tr>
                <td>{rank + 1}</td>
                <th scope="row"><button class="quiet" on:click=move |_| select(spectrum)>{o.id}</button></th>
                <td>{cell(o.reconstruction)}</td>
                <td>{cell(o.neighbour)}</td>
                <td>{cell(o.cross)}</td>
            </tr>
        }
    };
    view! {
        <Show when=move || !all.with(Vec::is_empty)>
            <div data-testid="oddities">
                <h3>"Oddest first"</h3>
                <p class="muted">
                    "Three scores, each with the per cent of the simulated reference stars that have a smaller one: how badly the "
                    "spectrum is rebuilt from its own embedding, how far its tenth nearest neighbour is, and how badly the two surveys "
                    "predict each other where both saw the star. Ranked by the score that stands out most."
                </p>
                <div class="table-scroll">
                    <table class="scores">
                        <thead><tr>
                            <th scope="col">"Rank"</th><th scope="col">"Spectrum"</th><th scope="col">"Rebuilt"</th>
                            <th scope="col">"Neighbours"</th><th scope="col">"Across surveys"</th>
                        </tr></thead>
                        <tbody>{move || all.get().into_iter().take(SHOWN).enumerate().map(|(i, o)| row(i, o)).collect_view()}</tbody>
                    </table>
                </div>
                {move || all.with(|a| (a.len() > SHOWN).then(|| format!("The {SHOWN} oddest of {}.", a.len())))}
            </div>
        </Show>
    }
}

fn cell(score: Option<Score>) -> String {
    match score {
        Some(s) if s.percentile > 99.9 => format!("{:.3} (> 99.9 %)", s.value),
        Some(s) => format!("{:.3} ({:.1} %)", s.value, s.percentile),
        None => "–".into(),
    }
}
