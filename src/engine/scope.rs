//! The worker's global scope: messages from and to the page, fatal errors, turns of the event loop.

use gloo::events::EventListener;
use js_sys::{Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent, MessagePort};

use super::codec::{self, text_of};
use super::protocol::{Event, Request};

/// The global scope of this worker.
pub(super) fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Calls `on_request` with every message of the page, and with its attachments.
pub(super) fn listen(on_request: impl Fn(Request, Vec<JsValue>) + 'static) {
    EventListener::new(&scope(), "message", move |event| {
        let data = event.unchecked_ref::<MessageEvent>().data();
        match codec::unpack::<Request>(&data) {
            Ok((request, attachments)) => on_request(request, attachments),
            Err(why) => report_fatal(&why),
        }
    })
    .forget();
}

/// The port among the attachments of a message.
pub(super) fn port_of(attachments: Vec<JsValue>) -> Option<MessagePort> {
    attachments.into_iter().find_map(|a| a.dyn_into().ok())
}

/// Sends an event to the page.
pub(super) fn post(event: impl Into<Event>) {
    let posted = codec::pack(&event.into(), []).and_then(|(message, transfer)| {
        scope().post_message_with_transfer(&message, &transfer).map_err(|e| text_of(&e))
    });
    if let Err(why) = posted {
        report_fatal(&why);
    }
}

/// Reports crashes to the page: panics, and errors that reach the browser (no memory, a trap). The browser would not
/// report such an error from an asynchronous task.
pub(super) fn report_crashes() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        report_fatal(&format!("internal error: {info}"));
    }));
    EventListener::new(&scope(), "unhandledrejection", |event| {
        let reason = Reflect::get(event, &"reason".into()).unwrap_or_default();
        report_fatal(&text_of(&reason));
    })
    .forget();
}

/// Posts a string. The page ends the worker when it receives one.
pub(super) fn report_fatal(why: &str) {
    let _ = scope().post_message(&why.into());
}

/// Returns control to the browser until it has handled the waiting messages. A resolved promise alone would not be
/// enough: only a new task runs after the waiting messages.
pub(super) async fn next_task() {
    let promise = Promise::new(&mut |resolve, _| {
        if scope().set_timeout_with_callback(&resolve).is_err() {
            let _ = resolve.call0(&JsValue::NULL);
        }
    });
    let _ = JsFuture::from(promise).await;
}
