//! The samples that come with the page. They go the way of any dropped file.

use std::collections::BTreeMap;

use gloo::net::http::Request;
use leptos::{prelude::*, task::spawn_local};
use serde::Deserialize;

use super::files::{NamedFile, from_bytes};
use super::state::State;

/// What there is, as `www/samples/make.py` wrote it: part of the page, so that nothing moves when it is shown.
const SETS: &str = include_str!("../../www/samples/sets.json");

/// Files that are opened together.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SampleSet {
    /// One word, for tests.
    pub name: String,
    /// What it is, for people.
    pub title: String,
    /// Its files in `samples/`.
    pub files: Vec<String>,
    /// Where it comes from.
    pub provenance: String,
}

impl SampleSet {
    /// Everything that there is.
    pub fn all() -> Vec<Self> {
        serde_json::from_str(SETS).unwrap_or_default()
    }
}

/// Opens samples.
#[derive(Clone, Copy)]
pub struct Samples {
    state: State,
    /// True from the opening of a set with labels until it can be learned from.
    is_lesson_coming: RwSignal<bool>,
}

/// Provides [`Samples`].
pub fn provide(state: State) {
    let samples = Samples { state, is_lesson_coming: RwSignal::new(false) };
    provide_context(samples);
    Effect::new(move |_| {
        let is_there = state.tables.with(|tables| !tables.is_empty()) && state.jobs.with(BTreeMap::is_empty);
        if samples.is_lesson_coming.get() && is_there {
            samples.is_lesson_coming.set(false);
            // When the panel has taken its place.
            set_timeout(show_teaching, std::time::Duration::from_millis(100));
        }
    });
}

/// Brings the teaching panel before the eyes.
fn show_teaching() {
    if let Some(title) = document().get_element_by_id("teach-title") {
        title.scroll_into_view();
    }
}

impl Samples {
    /// Opens a set, the first if none is given.
    pub fn open(&self, set: Option<SampleSet>) {
        let Some(set) = set.or_else(|| SampleSet::all().into_iter().next()) else { return };
        let Self { state, is_lesson_coming } = *self;
        state.gathering.set(true);
        spawn_local(async move {
            match fetch(&set).await {
                Ok(files) => {
                    is_lesson_coming.set(set.name == "lesson");
                    state.open(files);
                }
                Err(why) => state.skip("Samples", format!("{why}; drop a spectrum of your own instead")),
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
    let failed = |e: gloo::net::Error| format!("{url} could not be fetched: {e}");
    let response = Request::get(url).send().await.map_err(failed)?;
    if !response.ok() {
        return Err(format!("{url} could not be fetched: the server answered {}", response.status()));
    }
    response.binary().await.map_err(failed)
}

/// The samples, each with where it comes from.
#[component]
pub fn SampleList() -> impl IntoView {
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
            <h2 id="samples-title">"No spectrum at hand?"</h2>
            <ul>{SampleSet::all().into_iter().map(card).collect_view()}</ul>
        </section>
    }
}
