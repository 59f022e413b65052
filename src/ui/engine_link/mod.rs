//! Connection to the engine worker: starts it, delivers its events in batches, and restarts it once after a crash.

mod channel;
pub mod gpu;
pub mod trainers;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo::timers::callback::Timeout;
use leptos::prelude::{RwSignal, Set, SetValue, StoredValue};

use crate::engine::client::EngineClient;
use crate::engine::protocol::{Backend, Event, SpectraEvent, WorkerEvent};
pub use channel::EngineChannel;
use gpu::{GpuLink, GpuStatus};

/// URL of the engine worker, relative to the page.
const WORKER_URL: &str = "./engine-worker.js";

/// Time over which events are batched, ms: about one frame. With thousands of spectra the page then updates 60 times
/// a second, not once per spectrum.
const BATCH_MS: u32 = 16;

/// The state of the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum EngineStatus {
    /// The browser fetches the engine's program.
    Starting,
    /// The engine fetches its weights.
    Loading {
        /// The file that it fetches.
        name: String,
        /// Bytes fetched so far.
        done: u64,
        /// Bytes in total.
        total: u64,
    },
    /// It predicts.
    Ready(Backend),
    /// It reads and plots spectra, but cannot predict. Holds the reason.
    Unavailable(String),
    /// It stopped and was not restarted. Holds the reason.
    Stopped(String),
}

/// The signals that the link writes.
#[derive(Clone, Copy)]
pub struct LinkSignals {
    /// State of the engine.
    pub status: RwSignal<EngineStatus>,
    /// State of the GPU engine.
    pub gpu: RwSignal<GpuStatus>,
    /// The message to the user.
    pub notice: RwSignal<Option<String>>,
    /// Number of `Clear` requests that the engine has not yet confirmed.
    pub pending_clears: StoredValue<u32>,
}

/// The functions that the link calls.
pub struct Handlers {
    /// Applies an event from the engine of this generation.
    pub on_event: Box<dyn Fn(u32, Event)>,
    /// Updates the page after a crash.
    pub on_loss: Box<dyn Fn()>,
}

/// The engine worker and the state needed to restart it.
pub struct EngineLink {
    signals: LinkSignals,
    handlers: Handlers,
    gpu: Rc<GpuLink>,
    channel: Rc<EngineChannel>,
    generation: Cell<u32>,
    queue: RefCell<Vec<(u32, Event)>>,
    flush: RefCell<Option<Timeout>>,
    /// True if the next crash restarts the engine automatically.
    can_restart: Cell<bool>,
}

impl EngineLink {
    /// Starts the engine and connects it to the channel.
    pub fn start(channel: Rc<EngineChannel>, signals: LinkSignals, handlers: Handlers) -> Rc<Self> {
        let link = Rc::new(Self {
            signals,
            handlers,
            gpu: GpuLink::new(signals.gpu, channel.clone()),
            channel,
            generation: Cell::new(0),
            queue: RefCell::new(Vec::new()),
            flush: RefCell::new(None),
            can_restart: Cell::new(true),
        });
        link.spawn();
        link
    }

    /// Number of engines that were started before this one.
    pub fn generation(&self) -> u32 {
        self.generation.get()
    }

    /// Starts a new engine in place of the previous one.
    pub fn restart(self: &Rc<Self>) {
        self.generation.set(self.generation.get() + 1);
        self.spawn();
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
        self.queue.borrow_mut().push((generation, event));
        let mut flush = self.flush.borrow_mut();
        if flush.is_none() {
            let link = self.clone();
            *flush = Some(Timeout::new(BATCH_MS, move || link.deliver()));
        }
    }

    fn deliver(&self) {
        self.flush.take();
        for (generation, event) in self.queue.take() {
            // After a finished job the next crash counts as the first again.
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
        (self.handlers.on_loss)();
        self.channel.connect(None);
        if self.can_restart.replace(false) {
            self.restart();
            self.signals.notice.set(Some(format!("The engine stopped ({why}) and was restarted.")));
        } else {
            self.signals.notice.set(None);
            self.signals.status.set(EngineStatus::Stopped(why));
        }
    }
}
