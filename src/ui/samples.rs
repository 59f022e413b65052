//! The sample spectra of the page. They are opened like dropped files.

use std::collections::BTreeMap;

use gloo::net::http::Request;
use leptos::{prelude::*, task::spawn_local};
use serde::Deserialize;

use super::actions::Actions;
use super::files::{NamedFile, from_bytes};

/// The list of sample sets, written by `www/samples/make.py`. It is compiled into the program, so that the layout does
/// not shift when the list appears.
const SETS: &str = include_str!("../../www/samples/sets.json");

/// Sample files that are opened together.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct SampleSet {
    /// Name for tests and identification.
    pub name: String,
    /// Title on the page.
    pub title: String,
    /// Its files in `samples/`.
    pub files: Vec<String>,
    /// Origin and licence.
    pub provenance: String,
}

impl SampleSet {
    /// All sample sets.
    pub(super) fn all() -> Vec<Self> {
        serde_json::from_str(SETS).unwrap_or_default()
    }
}

/// Opens sample sets.
#[derive(Clone, Copy)]
pub(super) struct Samples {
    actions: Actions,
    /// True from the opening of the training set until the engine has read it.
    is_training_set_opening: RwSignal<bool>,
}

/// Provides [`Samples`].
pub(super) fn provide(actions: Actions) {
    let samples = Samples { actions, is_training_set_opening: RwSignal::new(false) };
    provide_context(samples);
    Effect::new(move |_| {
        let is_ready =
            actions.labels.tables.with(|tables| !tables.is_empty()) && actions.jobs.running.with(BTreeMap::is_empty);
        if samples.is_training_set_opening.get() && is_ready {
            samples.is_training_set_opening.set(false);
            // Wait until the panel is laid out.
            set_timeout(scroll_to_finetune, std::time::Duration::from_millis(100));
        }
    });
}

/// Scrolls to the fine-tuning panel.
fn scroll_to_finetune() {
    if let Some(title) = document().get_element_by_id("finetune-title") {
        title.scroll_into_view();
    }
}

impl Samples {
    /// Opens a set; with `None`, the first set.
    pub(super) fn open(&self, set: Option<SampleSet>) {
        let Some(set) = set.or_else(|| SampleSet::all().into_iter().next()) else { return };
        let Self { actions, is_training_set_opening } = *self;
        actions.jobs.is_listing_files.set(true);
        spawn_local(async move {
            match fetch(&set).await {
                Ok(files) => {
                    is_training_set_opening.set(set.name == "training-set");
                    actions.open(files);
                }
                Err(error) => actions.jobs.skip("Samples", format!("{error}; drop a spectrum of your own instead")),
            }
        });
    }
}

/// Fetches the files of a set.
async fn fetch(set: &SampleSet) -> Result<Vec<NamedFile>, String> {
    let mut files = Vec::new();
    for file in &set.files {
        let url = format!("./samples/{file}");
        files.push(from_bytes(file, &get(&url).await?)?);
    }
    Ok(files)
}

async fn get(url: &str) -> Result<Vec<u8>, String> {
    let failed = |e: gloo::net::Error| format!("download of {url} failed: {e}");
    let response = Request::get(url).send().await.map_err(failed)?;
    if !response.ok() {
        return Err(format!("download of {url} failed: the server returned status {}", response.status()));
    }
    response.binary().await.map_err(failed)
}

/// The sample sets, each with its origin.
#[component]
pub(super) fn SampleList() -> impl IntoView {
    let samples = expect_context::<Samples>();
    let card = move |set: SampleSet| {
        let opened = set.clone();
        view! {
            <li>
                <button data-testid=format!("sample-{}", set.name) on:click=move |_| samples.open(Some(opened.clone()))>
                    {set.title}
                </button>
                <p class="muted">{set.provenance}</p>
            </li>
        }
    };
    view! {
        <section class="samples" aria-labelledby="samples-title">
            <h2 id="samples-title">"Sample spectra"</h2>
            <ul>{SampleSet::all().into_iter().map(card).collect_view()}</ul>
        </section>
    }
}
