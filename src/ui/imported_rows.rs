//! Results in the page address, and the notices about the origin of imported rows.
//!
//! Imported rows come from a link or a session file. They show the stored results, without the spectrum file or the engine.

use leptos::{ev, prelude::*};

use super::actions::{Actions, LINK_ORIGIN};
use super::context::{Engine, ImportedRows, Origin};
use super::format;
use crate::result::ModelCard;
use crate::share::{ModelRef, link};

/// Shows the results in the fragment of the page address, now and whenever it changes.
pub fn listen(actions: Actions) {
    open_fragment(actions);
    let listener = window_event_listener(ev::hashchange, move |_| open_fragment(actions));
    on_cleanup(move || listener.remove());
}

fn open_fragment(actions: Actions) {
    let fragment = window().location().hash().unwrap_or_default();
    let fragment = fragment.trim_start_matches('#');
    // Anchors of the page are not links to results.
    if fragment.is_empty() || fragment == "not-used" || document().get_element_by_id(fragment).is_some() {
        return;
    }
    match link::decode(fragment) {
        Ok(shared) => actions.show_link(shared),
        Err(why) => actions.notice.show(format!("The results in the page address could not be read: {why}.")),
    }
}

/// Notices that name the origin and model of imported rows, and state whether the current model is another version.
#[component]
pub fn Origins() -> impl IntoView {
    let (engine, imported) = (expect_context::<Engine>(), expect_context::<ImportedRows>());
    let lines = move || {
        let current_model = engine.model.get();
        let line = move |origin: Origin| {
            let by = if origin.models.is_empty() {
                String::new()
            } else {
                let name = |m: &ModelRef| format!("{} ({})", m.title, m.sha256.chars().take(8).collect::<String>());
                format!(" They were computed with {}.", origin.models.iter().map(name).collect::<Vec<_>>().join(", "))
            };
            // Only models of the same name are compared: encoder pairs and fine-tuned models have names of their own.
            let name = |m: &ModelRef| m.title.rsplit_once(' ').map_or(m.title.clone(), |(name, _)| name.to_owned());
            let is_older = |m: &ModelCard, then: &ModelRef| then.sha256 != m.sha256 && name(then) == m.name;
            let changed = current_model.as_ref().is_some_and(|m| origin.models.iter().any(|then| is_older(m, then)));
            view! {
                <div class="notice" data-testid="origin">
                    <p>
                        {format!("{} from {}, shown as saved.{by}", format::count(origin.rows, "result", "results"), origin.source)}
                        {(origin.source == LINK_ORIGIN).then_some(
                            " A link holds the table and the normalised spectra, some of them resampled to fewer pixels. It does not hold the original flux, the continuum or the preprocessing steps."
                        )}
                        {changed.then(|| format!(
                            " The current model is {}; it would give different values.",
                            current_model.as_ref().map_or(String::new(), |m| format!("{} {}", m.name, m.version)),
                        ))}
                    </p>
                </div>
            }
        };
        imported.origins.get().into_iter().map(line).collect_view()
    };
    view! { <div role="status">{lines}</div> }
}
