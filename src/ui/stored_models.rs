//! Model weights stored in the browser cache, and the button that deletes them.

use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Cache, Request, Response};

use super::format;
use crate::engine::protocol::MODELS_CACHE;

/// Number and size of the stored files.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct CacheUsage {
    files: usize,
    bytes: u64,
}

/// Deletes all stored weights.
pub(super) async fn delete_all() {
    if let Ok(caches) = window().caches() {
        // Deleting a cache that does not exist is no error.
        let _ = JsFuture::from(caches.delete(MODELS_CACHE)).await;
    }
}

/// Size of the stored weights, with a button that deletes them.
#[component]
pub(super) fn StoredModels() -> impl IntoView {
    let usage = RwSignal::new(None::<CacheUsage>);
    let refresh = move || spawn_local(async move { usage.set(measure().await.ok()) });
    refresh();
    let delete = move |_| {
        spawn_local(async move {
            delete_all().await;
            refresh();
        });
    };
    view! {
        <h2>"On this device"</h2>
        {move || match usage.get() {
            None => view! { <p class="muted">"This browser cannot store files for this page. The weights are downloaded at each visit."</p> }.into_any(),
            Some(CacheUsage { files: 0, .. }) => view! {
                <p data-testid="stored-models">"No weights are stored. They are downloaded again at the next visit."</p>
            }
            .into_any(),
            Some(CacheUsage { files, bytes }) => view! {
                <p data-testid="stored-models">
                    {format::bytes(bytes)} " in " {format::count_with_noun(files, "file", "files")}
                    ". At each visit the page verifies their SHA-256 and does not download them again. "
                    <button data-testid="delete-models" on:click=delete>"Delete"</button>
                </p>
            }
            .into_any(),
        }}
    }
}

async fn measure() -> Result<CacheUsage, JsValue> {
    let cache: Cache = JsFuture::from(window().caches()?.open(MODELS_CACHE)).await?.dyn_into()?;
    let mut usage = CacheUsage::default();
    for request in js_sys::Array::from(&JsFuture::from(cache.keys()).await?) {
        let request: Request = request.dyn_into()?;
        let response: Response = JsFuture::from(cache.match_with_request(&request)).await?.dyn_into()?;
        let blob: web_sys::Blob = JsFuture::from(response.blob()?).await?.dyn_into()?;
        usage.files += 1;
        usage.bytes += blob.size() as u64;
    }
    Ok(usage)
}
