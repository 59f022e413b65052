//! Results in the page address, and the notices about the origin of imported rows.
//!
//! Imported rows come from a link or a session file. They show the stored results; they need neither the spectrum file
//! nor the engine.

use leptos::{ev, prelude::*};

use super::actions::{Actions, LINK_ORIGIN};
use super::context::{Engine, ImportSource, ImportedRows};
use super::format;
use crate::result::ModelCard;
use crate::share::{ModelRef, link};

/// Shows the results in the fragment of the page address, now and whenever it changes.
pub(super) fn listen(actions: Actions) {
    open_fragment(actions);
    let listener = window_event_listener(ev::hashchange, move |_| open_fragment(actions));
    on_cleanup(move || listener.remove());
}

fn open_fragment(actions: Actions) {
    let fragment = window().location().hash().unwrap_or_default();
    let fragment = fragment.trim_start_matches('#');
    // Anchors of the page are not links to results.
    if fragment.is_empty() || fragment == "skipped" || document().get_element_by_id(fragment).is_some() {
        return;
    }
    match link::decode(fragment) {
        Ok(shared) => actions.show_link(shared),
        Err(why) => actions.notice.show(format!("The results in the page address could not be read: {why}.")),
    }
}

/// Notices that name the origin and model of imported rows, and state whether the current model is another version.
#[component]
pub(super) fn ImportNotices() -> impl IntoView {
    let (engine, imported) = (expect_context::<Engine>(), expect_context::<ImportedRows>());
    let lines = move || {
        let current_model = engine.model.get();
        let line = move |source: ImportSource| {
            let models = if source.models.is_empty() {
                String::new()
            } else {
                let name = |m: &ModelRef| format!("{} ({})", m.title, m.sha256.chars().take(8).collect::<String>());
                format!(" They were computed with {}.", source.models.iter().map(name).collect::<Vec<_>>().join(", "))
            };
            // Only models of the same name are compared: encoder pairs and fine-tuned models have other names.
            let name = |m: &ModelRef| m.title.rsplit_once(' ').map_or(m.title.clone(), |(name, _)| name.to_owned());
            let is_other_version = |m: &ModelCard, used: &ModelRef| used.sha256 != m.sha256 && name(used) == m.name;
            let has_other_version =
                current_model.as_ref().is_some_and(|m| source.models.iter().any(|used| is_other_version(m, used)));
            view! {
                <div class="notice" data-testid="origin">
                    <p>
                        {format!("{} from {}, shown as saved.{models}", format::count_with_noun(source.rows, "result", "results"), source.name)}
                        {(source.name == LINK_ORIGIN).then_some(
                            " A link holds the table and the normalised spectra, some of them resampled to fewer pixels. It does not hold the original flux, the continuum or the preprocessing steps."
                        )}
                        {has_other_version.then(|| format!(
                            " The current model is {}; its values may differ.",
                            current_model.as_ref().map_or(String::new(), |m| format!("{} {}", m.name, m.version)),
                        ))}
                    </p>
                </div>
            }
        };
        imported.sources.get().into_iter().map(line).collect_view()
    };
    view! { <div role="status">{lines}</div> }
}
