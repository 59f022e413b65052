//! Connection to the engine worker: starts it, delivers its events in batches, and restarts it once after a crash.
//!
//! | type | role |
//! |---|---|
//! | `EngineLink` | starts and restarts the CPU engine's worker, delivers its events in batches |
//! | `EngineChannel` | sends requests to the current CPU engine |
//! | `EngineClient` | the page's end of the message channel to a worker |
//! | `GpuLink` | starts and tests the GPU worker, connects it to the CPU engine |
//! | `GpuClient` | the CPU engine's connection to the GPU engine, in the engine's worker |

mod channel;
pub(super) mod gpu;
pub(super) mod trainers;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo::timers::callback::{Interval, Timeout};
use leptos::prelude::{GetUntracked, RwSignal, Set, SetValue, StoredValue, WithUntracked};

use crate::engine::client::EngineClient;
use crate::engine::protocol::{Backend, Event, SpectraEvent, WorkerEvent};
pub(super) use channel::EngineChannel;
use gpu::{GpuLink, GpuStatus};

/// URL of the engine worker, relative to the page.
const WORKER_URL: &str = "./engine-worker.js";

/// Time over which the link collects events into one batch, ms: about one frame. With thousands of spectra the page
/// then updates 60 times a second instead of once per spectrum.
const EVENT_BATCH_MS: u32 = 16;

/// Interval at which the link looks for signs of life, ms.
const WATCH_MS: u32 = 2_000;

/// Time without a message after which a busy engine counts as silent, s. Reading a file of a GiB takes less.
const SILENT_S: u32 = 30;

/// The state of the engine.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum EngineStatus {
    /// The browser fetches the engine's program.
    Starting,
    /// The engine fetches its weights.
    Loading {
        /// Name of the file.
        name: String,
        /// Bytes fetched so far.
        done: u64,
        /// Bytes in total.
        total: u64,
    },
    /// The engine predicts on this backend.
    Ready(Backend),
    /// The engine reads and plots spectra, but cannot predict. Holds the reason.
    Unavailable(String),
    /// The engine stopped and was not restarted. Holds the reason.
    Stopped(String),
}

/// The signals that the link writes.
#[derive(Clone, Copy)]
pub(super) struct LinkSignals {
    /// State of the engine.
    pub status: RwSignal<EngineStatus>,
    /// State of the GPU engine.
    pub gpu: RwSignal<GpuStatus>,
    /// The message to the user.
    pub notice: RwSignal<Option<String>>,
    /// Number of `Clear` requests that the engine has not yet confirmed.
    pub pending_clears: StoredValue<u32>,
    /// Time for which a busy engine has sent nothing, s; `None` below [`SILENT_S`].
    pub silent_s: RwSignal<Option<u32>>,
}

/// The functions that the link calls.
pub(super) struct Handlers {
    /// Applies an event. The number is the generation of the engine that sent it.
    pub on_event: Box<dyn Fn(u32, Event)>,
    /// Updates the page after a crash with this reason. Returns true if the cause was set aside, so that a new engine will
    /// not stop at it again.
    pub on_engine_crash: Box<dyn Fn(&str) -> bool>,
    /// Sends what the previous engine left undone to the new one.
    pub on_restart: Box<dyn Fn()>,
    /// True while the engine has files to read or spectra to predict.
    pub is_busy: Box<dyn Fn() -> bool>,
}

/// The engine worker and the state needed to restart it.
pub(super) struct EngineLink {
    signals: LinkSignals,
    handlers: Handlers,
    gpu: Rc<GpuLink>,
    channel: Rc<EngineChannel>,
    generation: Cell<u32>,
    queue: RefCell<Vec<(u32, Event)>>,
    flush_timer: RefCell<Option<Timeout>>,
    /// True if the next crash restarts the engine automatically.
    can_restart: Cell<bool>,
    /// Time of the last message, or of the last moment without work, ms since 1970.
    last_sign_ms: Cell<f64>,
    _watch: RefCell<Option<Interval>>,
}

impl EngineLink {
    /// Starts the engine and connects it to the channel.
    pub(super) fn start(channel: Rc<EngineChannel>, signals: LinkSignals, handlers: Handlers) -> Rc<Self> {
        let link = Rc::new(Self {
            signals,
            handlers,
            gpu: GpuLink::new(signals.gpu, channel.clone()),
            channel,
            generation: Cell::new(0),
            queue: RefCell::new(Vec::new()),
            flush_timer: RefCell::new(None),
            can_restart: Cell::new(true),
            last_sign_ms: Cell::new(js_sys::Date::now()),
            _watch: RefCell::new(None),
        });
        let watched = link.clone();
        *link._watch.borrow_mut() = Some(Interval::new(WATCH_MS, move || watched.watch()));
        link.spawn();
        link
    }

    /// Number of engines that were started before this one.
    pub(super) fn generation(&self) -> u32 {
        self.generation.get()
    }

    /// Starts a new engine in place of the previous one.
    pub(super) fn restart(self: &Rc<Self>) {
        self.generation.set(self.generation.get() + 1);
        self.spawn();
        (self.handlers.on_restart)();
    }

    /// Stops an engine that has been silent and starts a new one.
    pub(super) fn stop_silent(self: &Rc<Self>) {
        let seconds = self.signals.silent_s.get_untracked().unwrap_or_default();
        self.can_restart.set(true);
        self.on_crash(self.generation.get(), format!("it sent nothing for {seconds} s"));
    }

    /// Notes for how long a busy engine has been silent.
    fn watch(&self) {
        let is_idle = !(self.handlers.is_busy)()
            || self.signals.status.with_untracked(|s| {
                matches!(s, EngineStatus::Starting | EngineStatus::Loading { .. } | EngineStatus::Stopped(_))
            });
        if is_idle {
            self.last_sign_ms.set(js_sys::Date::now());
        }
        let silent_s = ((js_sys::Date::now() - self.last_sign_ms.get()) / 1000.0) as u32;
        let silent_s = Some(silent_s).filter(|s| *s >= SILENT_S);
        if self.signals.silent_s.get_untracked() != silent_s {
            self.signals.silent_s.set(silent_s);
        }
    }

    fn spawn(self: &Rc<Self>) {
        self.signals.status.set(EngineStatus::Starting);
        // A new engine holds no spectra to clear.
        self.signals.pending_clears.set_value(0);
        let generation = self.generation.get();
        let on_event = {
            let link = self.clone();
            move |event| link.enqueue(generation, event)
        };
        let on_crash = {
            let link = self.clone();
            // Deferred: the client that reports the crash is still on the stack.
            move |why: String| {
                let link = link.clone();
                Timeout::new(0, move || link.on_crash(generation, why)).forget();
            }
        };
        match EngineClient::spawn(WORKER_URL, on_event, on_crash) {
            Ok(client) => self.channel.connect(Some(client)),
            Err(why) => self.signals.status.set(EngineStatus::Stopped(why)),
        }
    }

    fn enqueue(self: &Rc<Self>, generation: u32, event: Event) {
        if generation != self.generation.get() {
            return;
        }
        self.last_sign_ms.set(js_sys::Date::now());
        self.queue.borrow_mut().push((generation, event));
        let mut flush_timer = self.flush_timer.borrow_mut();
        if flush_timer.is_none() {
            let link = self.clone();
            *flush_timer = Some(Timeout::new(EVENT_BATCH_MS, move || link.deliver()));
        }
    }

    fn deliver(&self) {
        self.flush_timer.take();
        for (generation, event) in self.queue.take() {
            // After a finished job the link may again restart the engine automatically.
            if matches!(event, Event::Spectra(SpectraEvent::Done { .. })) {
                self.can_restart.set(true);
            }
            if let Event::Worker(WorkerEvent::GpuLost { reason: why }) = &event {
                self.gpu.on_lost(why);
            }
            let is_ready = matches!(event, Event::Worker(WorkerEvent::Ready { .. }));
            (self.handlers.on_event)(generation, event);
            if is_ready {
                self.gpu.on_cpu_ready();
            }
        }
    }

    fn on_crash(self: &Rc<Self>, generation: u32, why: String) {
        if generation != self.generation.get() {
            return;
        }
        self.deliver();
        let is_cause_set_aside = (self.handlers.on_engine_crash)(&why);
        self.channel.connect(None);
        if self.can_restart.replace(false) || is_cause_set_aside {
            self.restart();
            self.signals.notice.set(Some(format!("The engine stopped ({why}) and was restarted.")));
        } else {
            self.signals.notice.set(None);
            self.signals.status.set(EngineStatus::Stopped(why));
        }
    }
}
