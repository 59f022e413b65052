//! Which weights the browser keeps on this device, and the way to be rid of them.

use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Cache, Request, Response};

use super::format;
use crate::engine::MODELS_CACHE;

/// What is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Kept {
    files: usize,
    bytes: u64,
}

/// Deletes what is kept.
pub async fn delete_all() {
    if let Ok(caches) = window().caches() {
        // Fails for no name: what is not there is deleted.
        let _ = JsFuture::from(caches.delete(MODELS_CACHE)).await;
    }
}

/// How much is kept, with a button that deletes it.
#[component]
pub fn KeptModels() -> impl IntoView {
    let kept = RwSignal::new(None::<Kept>);
    let look = move || spawn_local(async move { kept.set(count().await.ok()) });
    look();
    let delete = move |_| {
        spawn_local(async move {
            delete_all().await;
            look();
        });
    };
    view! {
        <h2>"On this device"</h2>
        {move || match kept.get() {
            None => view! { <p class="muted">"This browser keeps no files for this page; weights are fetched at each visit."</p> }.into_any(),
            Some(Kept { files: 0, .. }) => view! {
                <p data-testid="kept-models">"Nothing is kept. The weights in use stay until the page is closed and are fetched at the next visit."</p>
            }
            .into_any(),
            Some(Kept { files, bytes }) => view! {
                <p data-testid="kept-models">
                    {format::bytes(bytes)} " in " {format::count(files, "file", "files")}
                    ", checked by hash at each visit and not fetched again. "
                    <button data-testid="delete-models" on:click=delete>"Delete"</button>
                </p>
            }
            .into_any(),
        }}
    }
}

async fn count() -> Result<Kept, JsValue> {
    let cache: Cache = JsFuture::from(window().caches()?.open(MODELS_CACHE)).await?.dyn_into()?;
    let mut kept = Kept::default();
    for request in js_sys::Array::from(&JsFuture::from(cache.keys()).await?) {
        let request: Request = request.dyn_into()?;
        let answer: Response = JsFuture::from(cache.match_with_request(&request)).await?.dyn_into()?;
        let blob: web_sys::Blob = JsFuture::from(answer.blob()?).await?.dyn_into()?;
        kept.files += 1;
        kept.bytes += blob.size() as u64;
    }
    Ok(kept)
}
