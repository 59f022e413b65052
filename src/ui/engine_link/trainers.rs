//! Training workers: started when training begins, each connected to the engine by a message port.

use std::cell::RefCell;
use std::rc::Rc;

use gloo::timers::callback::Timeout;
use leptos::prelude::{RwSignal, Set};
use web_sys::MessageChannel;

use super::channel::EngineChannel;
use crate::engine::client::EngineClient;
use crate::engine::protocol::{FinetuneRequest, Request, WorkerRequest};

/// URL of the training worker, relative to the page.
const WORKER_URL: &str = "./engine-worker.js?program=trainer";

/// Maximum number of training workers: each holds a copy of the model.
const MAX_TRAINERS: usize = 4;

/// Training workers of one engine.
pub(crate) struct Trainers {
    engine: Rc<EngineChannel>,
    error: RwSignal<Option<String>>,
    clients: RefCell<Vec<Option<EngineClient>>>,
}

impl Trainers {
    /// No workers yet. They will connect to the engine on channel `engine`; their errors go to `error`.
    pub(crate) fn new(engine: Rc<EngineChannel>, error: RwSignal<Option<String>>) -> Rc<Self> {
        Rc::new(Self { engine, error, clients: RefCell::default() })
    }

    /// Starts one worker per CPU core, at most [`MAX_TRAINERS`], if none is running.
    pub(crate) fn ensure(self: &Rc<Self>) {
        if self.clients.borrow().iter().any(Option::is_some) {
            return;
        }
        let cores = web_sys::window().map_or(1.0, |w| w.navigator().hardware_concurrency()) as usize;
        let clients = (0..cores.clamp(1, MAX_TRAINERS)).map(|number| self.start(number)).collect();
        self.clients.replace(clients);
    }

    /// Ends all workers. Called when their engine has stopped.
    pub(crate) fn end(&self) {
        self.clients.take();
    }

    fn start(self: &Rc<Self>, number: usize) -> Option<EngineClient> {
        let on_crash = {
            let trainers = self.clone();
            // Deferred: the client that reports the crash is still on the stack.
            move |why: String| {
                let trainers = trainers.clone();
                Timeout::new(0, move || trainers.on_crash(number, &why)).forget();
            }
        };
        let started = EngineClient::spawn(WORKER_URL, |_| {}, on_crash).and_then(|client| {
            let channel = MessageChannel::new().map_err(|e| format!("{e:?}"))?;
            client.send(&Request::Worker(WorkerRequest::Train), &[channel.port1().into()])?;
            let request = FinetuneRequest::ConnectTrainer { trainer: number as u32 };
            self.engine.send(&Request::Finetune(request), &[channel.port2().into()]);
            Ok(client)
        });
        started.map_err(|why| self.error.set(Some(why))).ok()
    }

    fn on_crash(&self, number: usize, why: &str) {
        if let Some(client) = self.clients.borrow_mut().get_mut(number) {
            client.take();
        }
        self.error.set(Some(format!("A training worker stopped ({why}). If training does not continue, stop it and compare the strategies again.")));
        self.engine.send(&Request::Finetune(FinetuneRequest::TrainerLost { trainer: number as u32 }), &[]);
    }
}
