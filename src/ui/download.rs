//! Downloads: saves a file through the browser.

use js_sys::{Array, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement, Url};

use super::files::text_of;

/// Saves text as a download.
///
/// # Errors
/// The error text of the browser.
pub(super) fn save_text(name: &str, mime: &str, text: &str) -> Result<(), String> {
    save_bytes(name, mime, text.as_bytes())
}

/// Saves bytes as a download.
///
/// # Errors
/// The error text of the browser.
pub(super) fn save_bytes(name: &str, mime: &str, bytes: &[u8]) -> Result<(), String> {
    let save = || -> Result<(), JsValue> {
        let kind = BlobPropertyBag::new();
        kind.set_type(mime);
        let blob = Blob::new_with_u8_array_sequence_and_options(&Array::of1(&Uint8Array::from(bytes)), &kind)?;
        let url = Url::create_object_url_with_blob(&blob)?;
        let link: HtmlAnchorElement = leptos::prelude::document().create_element("a")?.dyn_into()?;
        link.set_href(&url);
        link.set_download(name);
        link.click();
        Url::revoke_object_url(&url)
    };
    save().map_err(|e| format!("{name} could not be saved: {}", text_of(&e)))
}

/// A file name made from an id.
pub(super) fn file_stem(id: &str) -> String {
    let stem: String = id.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    if stem.is_empty() { "spectrum".into() } else { stem }
}
