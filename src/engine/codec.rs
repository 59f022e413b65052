//! Form of a message in the channel: a JavaScript array of the message's postcard bytes, then its attachments.

use js_sys::{Array, Uint8Array};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::MessagePort;

/// Packs a message: the array to post, and the buffers and ports that are transferred instead of copied.
pub(super) fn pack<T: Serialize>(
    message: &T,
    attachments: impl IntoIterator<Item = JsValue>,
) -> Result<(Array, Array), String> {
    let bytes = postcard::to_allocvec(message).map_err(|e| format!("a message could not be written: {e}"))?;
    let bytes = Uint8Array::from(bytes.as_slice());
    let transfer = Array::of1(&bytes.buffer());
    let posted = Array::of1(&bytes);
    for attachment in attachments {
        posted.push(&attachment);
        if attachment.is_instance_of::<MessagePort>() {
            transfer.push(&attachment);
        }
    }
    Ok((posted, transfer))
}

/// Unpacks a posted array: the message and its attachments.
pub(super) fn unpack<T: DeserializeOwned>(data: &JsValue) -> Result<(T, Vec<JsValue>), String> {
    let mut parts = data.dyn_ref::<Array>().ok_or("a message is not an array")?.iter();
    let bytes: Uint8Array =
        parts.next().and_then(|v| v.dyn_into().ok()).ok_or("a message does not begin with its bytes")?;
    let message = postcard::from_bytes(&bytes.to_vec()).map_err(|e| {
        format!("a message could not be read ({e}): page and engine have different versions. Reload the page")
    })?;
    Ok((message, parts.collect()))
}

/// A JavaScript error as text.
pub(super) fn text_of(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{error:?}"), |e| String::from(e.message()))
}
