//! The running engine as the page sees it: events gathered into batches, and one restart after a crash.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo::timers::callback::Timeout;
use leptos::prelude::{Set, SetValue};
use wasm_bindgen::JsValue;

use super::gpu::GpuLink;
use super::state::{EngineStatus, State};
use super::teach::trainers::Trainers;
use crate::engine::client::EngineClient;
use crate::engine::{Event, Request};

/// Where the engine's program lies, relative to the page.
const WORKER_URL: &str = "./engine-worker.js";

/// How long events are gathered before the page is changed, ms: about a frame. A bundle of thousands of spectra then
/// redraws the table sixty times a second and not once a spectrum.
const GATHER_MS: u32 = 16;

/// The engine's client and how often it was started.
pub struct EngineLink {
    state: State,
    gpu: Rc<GpuLink>,
    trainers: Rc<Trainers>,
    client: RefCell<Option<EngineClient>>,
    epoch: Cell<u32>,
    queue: RefCell<Vec<(u32, Event)>>,
    flush: RefCell<Option<Timeout>>,
    /// True while a crash may still be answered by a restart without asking.
    may_restart: Cell<bool>,
}

impl EngineLink {
    /// Starts the first engine.
    pub fn start(state: State) -> Rc<Self> {
        let link = Rc::new(Self {
            state,
            gpu: GpuLink::new(state.gpu),
            trainers: Rc::default(),
            client: RefCell::new(None),
            epoch: Cell::new(0),
            queue: RefCell::new(Vec::new()),
            flush: RefCell::new(None),
            may_restart: Cell::new(true),
        });
        link.spawn();
        link
    }

    /// How many engines there were before this one.
    pub fn epoch(&self) -> u32 {
        self.epoch.get()
    }

    /// Sends a request with its files or its port; a request that cannot be sent is shown.
    pub fn send(&self, request: &Request, attachments: &[JsValue]) {
        let sent = self.client.borrow().as_ref().map_or(Ok(()), |client| client.send(request, attachments));
        if let Err(why) = sent {
            self.state.notice.set(Some(format!("The engine could not be reached: {why}. Reload the page.")));
        }
    }

    /// Starts the workers that train, if there are none.
    pub fn ensure_trainers(self: &Rc<Self>) {
        self.trainers.ensure(self);
    }

    /// Says what went wrong with them.
    pub fn trouble_in_teaching(&self, why: String) {
        self.state.teach.trouble.set(Some(why));
    }

    /// Starts another engine in place of the last one.
    pub fn restart(self: &Rc<Self>) {
        self.epoch.set(self.epoch.get() + 1);
        self.spawn();
    }

    fn spawn(self: &Rc<Self>) {
        self.state.engine.set(EngineStatus::Starting);
        // A new engine has nothing to forget.
        self.state.clearing.set_value(0);
        let epoch = self.epoch.get();
        let on_event = {
            let link = self.clone();
            move |event| link.gather(epoch, event)
        };
        let on_crash = {
            let link = self.clone();
            // Not at once: the client that reports the crash is still on the stack.
            move |why: String| {
                let link = link.clone();
                Timeout::new(0, move || link.crashed(epoch, why)).forget();
            }
        };
        match EngineClient::spawn(WORKER_URL, on_event, on_crash) {
            Ok(client) => drop(self.client.replace(Some(client))),
            Err(why) => self.state.engine.set(EngineStatus::Stopped(why)),
        }
    }

    fn gather(self: &Rc<Self>, epoch: u32, event: Event) {
        if epoch != self.epoch.get() {
            return;
        }
        self.queue.borrow_mut().push((epoch, event));
        let mut flush = self.flush.borrow_mut();
        if flush.is_none() {
            let link = self.clone();
            *flush = Some(Timeout::new(GATHER_MS, move || link.deliver()));
        }
    }

    fn deliver(self: &Rc<Self>) {
        self.flush.take();
        for (epoch, event) in self.queue.take() {
            // An engine that finished a job has recovered: the next crash is a new one.
            if matches!(event, Event::Done { .. }) {
                self.may_restart.set(true);
            }
            if let Event::HelpLost { why } = &event {
                self.gpu.is_lost(why);
            }
            let is_ready = matches!(event, Event::Ready { .. });
            self.state.receive(epoch, event);
            if is_ready {
                self.gpu.cpu_is_ready(self);
            }
        }
    }

    fn crashed(self: &Rc<Self>, epoch: u32, why: String) {
        if epoch != self.epoch.get() {
            return;
        }
        self.deliver();
        self.trainers.end();
        self.state.teach.lose_engine();
        self.state.lose_engine();
        drop(self.client.take());
        if self.may_restart.replace(false) {
            self.restart();
            self.state.notice.set(Some(format!("The engine stopped ({why}) and was started again.")));
        } else {
            self.state.notice.set(None);
            self.state.engine.set(EngineStatus::Stopped(why));
        }
    }
}
