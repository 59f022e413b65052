//! Handing a file to the user.

use js_sys::{Array, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement, Url};

use super::files::text_of;

/// Saves text under a name in the user's downloads.
///
/// # Errors
/// What the browser says.
pub fn save_text(name: &str, mime: &str, text: &str) -> Result<(), String> {
    save_bytes(name, mime, text.as_bytes())
}

/// Saves bytes under a name in the user's downloads.
///
/// # Errors
/// What the browser says.
pub fn save_bytes(name: &str, mime: &str, bytes: &[u8]) -> Result<(), String> {
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
