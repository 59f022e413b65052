//! List of the opened spectra, ranked by anomaly score.

use leptos::prelude::*;

use crate::result::similarity::{AnomalyScores, Score};
use crate::ui::context::{Engine, Rows, Selection, Similarity};

/// Maximum number of rows shown.
const MAX_ROWS: usize = 200;

/// The ranked list.
#[component]
pub(super) fn Anomalies() -> impl IntoView {
    let (engine, rows, selection) =
        (expect_context::<Engine>(), expect_context::<Rows>(), expect_context::<Selection>());
    let anomalies = expect_context::<Similarity>().anomalies;
    let select = move |id: u32| {
        let key = rows
            .all
            .with_untracked(|rows| rows.iter().map(|row| row.key).find(|k| k.id == id && engine.is_current(*k)));
        if let Some(key) = key {
            selection.select(key);
        }
    };
    let row = move |rank: usize, scores: AnomalyScores| {
        let spectrum = scores.spectrum;
        view! {
            <tr>
                <td>{rank + 1}</td>
                <th scope="row"><button class="quiet" on:click=move |_| select(spectrum)>{scores.id}</button></th>
                <td>{cell(scores.reconstruction)}</td>
                <td>{cell(scores.neighbour)}</td>
                <td>{cell(scores.cross)}</td>
            </tr>
        }
    };
    view! {
        <Show when=move || !anomalies.with(Vec::is_empty)>
            <div data-testid="anomalies">
                <h3>"Highest anomaly score first"</h3>
                <p class="muted">
                    "Reconstruction: χ² per pixel of the spectrum, decoded from its own embedding. Neighbour: distance to the tenth most "
                    "similar reference star. Cross-survey: χ² per pixel of each survey’s spectrum, predicted from the other; the mean of both. "
                    "In parentheses: percentile among the reference stars, which are simulated. The rank follows the score that is farthest "
                    "above the median of the reference, relative to its scatter."
                </p>
                <div class="table-scroll" tabindex="0" role="region" aria-label="Anomaly scores">
                    <table class="scores">
                        <thead><tr>
                            <th scope="col">"Rank"</th><th scope="col">"Spectrum"</th><th scope="col">"Reconstruction"</th>
                            <th scope="col">"Neighbour"</th><th scope="col">"Cross-survey"</th>
                        </tr></thead>
                        <tbody>{move || anomalies.get().into_iter().take(MAX_ROWS).enumerate().map(|(i, scores)| row(i, scores)).collect_view()}</tbody>
                    </table>
                </div>
                {move || anomalies.with(|a| (a.len() > MAX_ROWS).then(|| format!("Only the first {MAX_ROWS} of {} spectra are listed.", a.len())))}
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
