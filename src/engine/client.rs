//! The page's end of the message channel: starts the engine's worker, sends requests and passes on events.
//!
//! A worker reports a fatal error in one of three forms. The engine posts its own panics as a plain string.
//! `engine-worker.js` posts the reason why the engine cannot start, also as a string. The browser reports an uncaught
//! error. Each becomes one call of `on_crash`. After it the client is silent, and the caller can spawn another. A
//! worker that sends no message is reported after [`START_TIMEOUT_MS`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo::events::EventListener;
use gloo::timers::callback::Timeout;
use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, BlobPropertyBag, ErrorEvent, MessageEvent, Url, Worker, WorkerOptions, WorkerType};

use super::codec::{self, text_of};
use crate::engine::protocol::{Event, Request};

/// Longest time from the start of the worker to its first message, ms. It includes the download of the engine.
const START_TIMEOUT_MS: u32 = 120_000;

/// A running engine. Dropping it ends its worker.
pub struct EngineClient {
    worker: Worker,
    state: Rc<ClientState>,
    _listeners: [EventListener; 3],
}

/// State shared by the client and its listeners.
struct ClientState {
    /// False after a crash, or after the client was dropped.
    is_alive: Cell<bool>,
    /// Messages for a worker that has not sent its first message yet. A module worker may lose messages that are posted
    /// before its script has run to the end.
    unsent: RefCell<Option<Vec<(Array, Array)>>>,
    /// Runs until the first message of the worker.
    start_timer: RefCell<Option<Timeout>>,
}

impl ClientState {
    /// Sets `is_alive` to false and returns its earlier value. Only the first report of a crash counts.
    fn close(&self) -> bool {
        self.start_timer.take();
        self.is_alive.replace(false)
    }
}

impl EngineClient {
    /// Starts the module worker at `url` (relative to the page).
    ///
    /// `on_event` gets every event in order. `on_crash` is called at most once, with a description of the error. The
    /// worker has ended by then.
    pub fn spawn(
        url: &str,
        on_event: impl Fn(Event) + 'static,
        on_crash: impl Fn(String) + 'static,
    ) -> Result<Self, String> {
        let worker = worker_under_policy(url)
            .map_err(|e| format!("the browser did not start the compute worker {url}: {}", text_of(&e)))?;
        let state = Rc::new(ClientState {
            is_alive: Cell::new(true),
            unsent: RefCell::new(Some(Vec::new())),
            start_timer: RefCell::new(None),
        });
        let crash: Rc<dyn Fn(String)> = {
            let (state, worker) = (state.clone(), worker.clone());
            Rc::new(move |why| {
                if state.close() {
                    worker.terminate();
                    on_crash(why);
                }
            })
        };
        let on_timeout = {
            let crash = crash.clone();
            move || crash(format!("the engine sent no message for {} s", START_TIMEOUT_MS / 1000))
        };
        *state.start_timer.borrow_mut() = Some(Timeout::new(START_TIMEOUT_MS, on_timeout));

        let on_message = {
            let (state, worker, crash) = (state.clone(), worker.clone(), crash.clone());
            move |event: &web_sys::Event| {
                let Some(event) = event.dyn_ref::<MessageEvent>() else { return };
                if !state.is_alive.get() {
                    return;
                }
                if let Some(fatal_error) = event.data().as_string() {
                    return crash(fatal_error);
                }
                state.start_timer.take();
                let unsent = state.unsent.take();
                for (message, transfer) in unsent.into_iter().flatten() {
                    if let Err(e) = worker.post_message_with_transfer(&message, &transfer) {
                        return crash(text_of(&e));
                    }
                }
                match codec::unpack(&event.data()) {
                    Ok((event, _)) => on_event(event),
                    Err(why) => crash(why),
                }
            }
        };
        let on_error = {
            let crash = crash.clone();
            move |event: &web_sys::Event| {
                let text = event.dyn_ref::<ErrorEvent>().map(ErrorEvent::message).filter(|m| !m.is_empty());
                crash(text.unwrap_or_else(|| "the engine's script could not be loaded or run".into()));
            }
        };
        let on_message_error =
            move |_: &web_sys::Event| crash("the browser could not read a message of the engine".into());
        let listeners = [
            EventListener::new(&worker, "message", on_message),
            EventListener::new(&worker, "error", on_error),
            EventListener::new(&worker, "messageerror", on_message_error),
        ];
        Ok(Self { worker, state, _listeners: listeners })
    }

    /// Sends a request. `attachments` are the files of [`SpectraRequest::Open`], one for each path, or the port of a
    /// request that needs one. After a crash the client sends nothing.
    ///
    /// # Errors
    /// If the browser refuses the message; the text gives its reason.
    pub fn send(&self, request: &Request, attachments: &[JsValue]) -> Result<(), String> {
        if !self.state.is_alive.get() {
            return Ok(());
        }
        let (message, transfer) = codec::pack(request, attachments.iter().cloned())?;
        if let Some(unsent) = self.state.unsent.borrow_mut().as_mut() {
            unsent.push((message, transfer));
            return Ok(());
        }
        self.worker.post_message_with_transfer(&message, &transfer).map_err(|e| text_of(&e))
    }

    /// Ends the worker at once, also in the middle of a computation.
    pub fn terminate(&self) {
        self.state.close();
        self.worker.terminate();
    }
}

/// Name of the version of this page, which its build wrote into `www/index.html`.
fn page_version() -> Option<String> {
    let document = web_sys::window()?.document()?;
    let version = document.query_selector("meta[name=specola-version]").ok()??.get_attribute("content")?;
    (!version.is_empty()).then_some(version)
}

/// A module worker that runs the script at `url` under the page's own content-security policy.
///
/// A worker started from a URL has the policy of that URL's response headers, and a static host sends none. The engine
/// holds the spectra and could then connect to any host. A worker started from a blob inherits the page's policy.
fn worker_under_policy(url: &str) -> Result<Worker, JsValue> {
    let base =
        web_sys::window().and_then(|w| w.document()).and_then(|d| d.base_uri().ok().flatten()).unwrap_or_default();
    let address = Url::new_with_base(url, &base)?;
    if let Some(version) = page_version() {
        address.search_params().set("v", &version);
    }
    let script = format!("import {};", js_sys::JSON::stringify(&address.href().into())?);
    let blob_options = BlobPropertyBag::new();
    blob_options.set_type("text/javascript");
    let blob = Blob::new_with_str_sequence_and_options(&Array::of1(&script.into()), &blob_options)?;
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    // The blob (some dozens of bytes) is not revoked: browsers differ in when a worker has read it.
    Worker::new_with_options(&Url::create_object_url_with_blob(&blob)?, &options)
}

impl Drop for EngineClient {
    fn drop(&mut self) {
        self.terminate();
    }
}
