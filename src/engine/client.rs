//! The page's end of the wire: starts the engine's worker, sends requests and hands events on.
//!
//! The worker tells by itself when it cannot go on: the engine posts its own panics, and `engine-worker.js` what keeps
//! the engine from starting, as a plain string; the browser reports an uncaught error. Each becomes one call of
//! `on_crash`, after which the client is silent and a new one can be spawned. A worker that says nothing at all is
//! reported after [`START_TIMEOUT_MS`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo::events::EventListener;
use gloo::timers::callback::Timeout;
use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, BlobPropertyBag, ErrorEvent, MessageEvent, Url, Worker, WorkerOptions, WorkerType};

use super::wire::{self, text_of};
use super::{Event, Request};

/// How long the engine may take from the start of its worker to its first word, in milliseconds. The download of the
/// engine is in it, so it is long.
const START_TIMEOUT_MS: u32 = 120_000;

/// A running engine. Dropping it ends its worker.
pub struct EngineClient {
    worker: Worker,
    state: Rc<State>,
    _listeners: [EventListener; 3],
}

/// Whether the worker listens, shared by the client and its listeners.
struct State {
    /// False from the crash on, or from the client's end.
    alive: Cell<bool>,
    /// Messages for a worker that has not spoken yet. What is posted before a module worker has run to the end of its
    /// script may be lost, so they wait for its first word.
    waiting: RefCell<Option<Vec<(Array, Array)>>>,
    /// Runs until the first word.
    start_timer: RefCell<Option<Timeout>>,
}

impl State {
    /// Takes `alive` away and says whether it was there: of several reports of one crash the first counts.
    fn end(&self) -> bool {
        self.start_timer.take();
        self.alive.replace(false)
    }
}

impl EngineClient {
    /// Starts the module worker at `url` (relative to the page).
    ///
    /// `on_event` gets every event in order. `on_crash` is called at most once, with what happened in words; by then
    /// the worker has been ended.
    pub fn spawn(
        url: &str,
        on_event: impl Fn(Event) + 'static,
        on_crash: impl Fn(String) + 'static,
    ) -> Result<Self, String> {
        let worker = worker_under_policy(url)
            .map_err(|e| format!("the browser did not start the compute worker {url}: {}", text_of(&e)))?;
        let state = Rc::new(State {
            alive: Cell::new(true),
            waiting: RefCell::new(Some(Vec::new())),
            start_timer: RefCell::new(None),
        });
        let crash: Rc<dyn Fn(String)> = {
            let (state, worker) = (state.clone(), worker.clone());
            Rc::new(move |why| {
                if state.end() {
                    worker.terminate();
                    on_crash(why);
                }
            })
        };
        let late = {
            let crash = crash.clone();
            move || crash(format!("the engine said nothing for {} s", START_TIMEOUT_MS / 1000))
        };
        *state.start_timer.borrow_mut() = Some(Timeout::new(START_TIMEOUT_MS, late));

        let on_message = {
            let (state, worker, crash) = (state.clone(), worker.clone(), crash.clone());
            move |event: &web_sys::Event| {
                let Some(event) = event.dyn_ref::<MessageEvent>() else { return };
                if !state.alive.get() {
                    return;
                }
                if let Some(last_words) = event.data().as_string() {
                    return crash(last_words);
                }
                state.start_timer.take();
                let waiting = state.waiting.take();
                for (message, transfer) in waiting.into_iter().flatten() {
                    if let Err(e) = worker.post_message_with_transfer(&message, &transfer) {
                        return crash(text_of(&e));
                    }
                }
                match wire::unpack(&event.data()) {
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
            move |_: &web_sys::Event| crash("a message of the engine could not be read by the browser".into());
        let listeners = [
            EventListener::new(&worker, "message", on_message),
            EventListener::new(&worker, "error", on_error),
            EventListener::new(&worker, "messageerror", on_message_error),
        ];
        Ok(Self { worker, state, _listeners: listeners })
    }

    /// Sends a request; `attachments` are the files of [`Request::Open`], one for each path, or the port of a request
    /// that has one. After a crash nothing is sent.
    ///
    /// # Errors
    /// When the browser refuses the message, with its reason.
    pub fn send(&self, request: &Request, attachments: &[JsValue]) -> Result<(), String> {
        if !self.state.alive.get() {
            return Ok(());
        }
        let (message, transfer) = wire::pack(request, attachments.iter().cloned())?;
        if let Some(waiting) = self.state.waiting.borrow_mut().as_mut() {
            waiting.push((message, transfer));
            return Ok(());
        }
        self.worker.post_message_with_transfer(&message, &transfer).map_err(|e| text_of(&e))
    }

    /// Ends the worker at once, whatever it does.
    pub fn terminate(&self) {
        self.state.end();
        self.worker.terminate();
    }
}

/// A module worker that runs the script at `url` under the page's own content-security policy.
///
/// A worker started from a URL has the policy of that URL's response headers, which on a static host is none: the engine,
/// which alone sees the spectra, could connect anywhere. A worker started from a blob inherits the page's policy.
fn worker_under_policy(url: &str) -> Result<Worker, JsValue> {
    let base =
        web_sys::window().and_then(|w| w.document()).and_then(|d| d.base_uri().ok().flatten()).unwrap_or_default();
    let script = format!("import {};", js_sys::JSON::stringify(&Url::new_with_base(url, &base)?.href().into())?);
    let kind = BlobPropertyBag::new();
    kind.set_type("text/javascript");
    let blob = Blob::new_with_str_sequence_and_options(&Array::of1(&script.into()), &kind)?;
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    // The blob, some dozens of bytes, stays: browsers differ in when a worker has read it.
    Worker::new_with_options(&Url::create_object_url_with_blob(&blob)?, &options)
}

impl Drop for EngineClient {
    fn drop(&mut self) {
        self.terminate();
    }
}
