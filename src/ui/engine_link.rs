//! Connection to the engine worker: sends requests, delivers events in batches, and restarts the engine once after a
//! crash.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo::timers::callback::Timeout;
use leptos::prelude::{Set, SetValue};
use wasm_bindgen::JsValue;

use super::finetune::trainers::Trainers;
use super::gpu::GpuLink;
use super::state::{EngineStatus, State};
use crate::engine::client::EngineClient;
use crate::engine::protocol::{Event, Request, SpectraEvent, WorkerEvent};

/// URL of the engine worker, relative to the page.
const WORKER_URL: &str = "./engine-worker.js";

/// Time over which events are batched, ms: about one frame. With thousands of spectra the page then updates 60 times
/// a second, not once per spectrum.
const BATCH_MS: u32 = 16;

/// The engine worker and the state needed to restart it.
pub struct EngineLink {
    state: State,
    gpu: Rc<GpuLink>,
    trainers: Rc<Trainers>,
    client: RefCell<Option<EngineClient>>,
    generation: Cell<u32>,
    queue: RefCell<Vec<(u32, Event)>>,
    flush: RefCell<Option<Timeout>>,
    /// True if the next crash restarts the engine automatically.
    can_restart: Cell<bool>,
}

impl EngineLink {
    /// Starts the engine.
    pub fn start(state: State) -> Rc<Self> {
        let link = Rc::new(Self {
            state,
            gpu: GpuLink::new(state.gpu),
            trainers: Rc::default(),
            client: RefCell::new(None),
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

    /// Sends a request with its files or its port. If this fails, the page shows a notice.
    pub fn send(&self, request: &Request, attachments: &[JsValue]) {
        let sent = self.client.borrow().as_ref().map_or(Ok(()), |client| client.send(request, attachments));
        if let Err(why) = sent {
            self.state
                .notice
                .set(Some(format!("The request could not be sent to the engine: {why}. Reload the page.")));
        }
    }

    /// Starts the training workers, if none is running.
    pub fn ensure_trainers(self: &Rc<Self>) {
        self.trainers.ensure(self);
    }

    /// Shows an error of a training worker in the fine-tuning panel.
    pub fn report_training_error(&self, why: String) {
        self.state.finetune.error.set(Some(why));
    }

    /// Starts a new engine in place of the previous one.
    pub fn restart(self: &Rc<Self>) {
        self.generation.set(self.generation.get() + 1);
        self.spawn();
    }

    fn spawn(self: &Rc<Self>) {
        self.state.engine.set(EngineStatus::Starting);
        // A new engine holds no spectra to clear.
        self.state.pending_clears.set_value(0);
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
            Ok(client) => drop(self.client.replace(Some(client))),
            Err(why) => self.state.engine.set(EngineStatus::Stopped(why)),
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

    fn deliver(self: &Rc<Self>) {
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
            self.state.receive(generation, event);
            if is_ready {
                self.gpu.on_cpu_ready(self);
            }
        }
    }

    fn on_crash(self: &Rc<Self>, generation: u32, why: String) {
        if generation != self.generation.get() {
            return;
        }
        self.deliver();
        self.trainers.end();
        self.state.finetune.handle_engine_loss();
        self.state.handle_engine_loss();
        drop(self.client.take());
        if self.can_restart.replace(false) {
            self.restart();
            self.state.notice.set(Some(format!("The engine stopped ({why}) and was restarted.")));
        } else {
            self.state.notice.set(None);
            self.state.engine.set(EngineStatus::Stopped(why));
        }
    }
}
