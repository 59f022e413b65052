//! Training workers: started when training begins, each connected to the engine by a message port.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use gloo::timers::callback::Timeout;
use web_sys::MessageChannel;

use crate::engine::client::EngineClient;
use crate::engine::protocol::{FinetuneRequest, Request, WorkerRequest};
use crate::ui::engine_link::EngineLink;

/// URL of the training worker, relative to the page.
const WORKER_URL: &str = "./engine-worker.js?program=trainer";

/// Maximum number of training workers: each holds a copy of the model.
const MAX_TRAINERS: usize = 4;

/// Training workers of one engine.
#[derive(Default)]
pub struct Trainers {
    clients: RefCell<Vec<Option<EngineClient>>>,
}

impl Trainers {
    /// Starts one worker per CPU core, at most [`MAX_TRAINERS`], if none is running.
    pub fn ensure(self: &Rc<Self>, engine: &Rc<EngineLink>) {
        if self.clients.borrow().iter().any(Option::is_some) {
            return;
        }
        let cores = web_sys::window().map_or(1.0, |w| w.navigator().hardware_concurrency()) as usize;
        let clients = (0..cores.clamp(1, MAX_TRAINERS)).map(|number| self.start(number, engine)).collect();
        self.clients.replace(clients);
    }

    /// Ends all workers, when their engine has stopped.
    pub fn end(&self) {
        self.clients.take();
    }

    fn start(self: &Rc<Self>, number: usize, engine: &Rc<EngineLink>) -> Option<EngineClient> {
        let on_crash = {
            let (trainers, engine) = (self.clone(), Rc::downgrade(engine));
            // Deferred: the client that reports the crash is still on the stack.
            move |why: String| {
                let (trainers, engine) = (trainers.clone(), engine.clone());
                Timeout::new(0, move || trainers.on_crash(number, &why, &engine)).forget();
            }
        };
        let started = EngineClient::spawn(WORKER_URL, |_| {}, on_crash).and_then(|client| {
            let channel = MessageChannel::new().map_err(|e| format!("{e:?}"))?;
            client.send(&Request::Worker(WorkerRequest::Train), &[channel.port1().into()])?;
            let request = FinetuneRequest::ConnectTrainer { trainer: number as u32 };
            engine.send(&Request::Finetune(request), &[channel.port2().into()]);
            Ok(client)
        });
        started.map_err(|why| engine.report_training_error(why)).ok()
    }

    fn on_crash(&self, number: usize, why: &str, engine: &Weak<EngineLink>) {
        if let Some(client) = self.clients.borrow_mut().get_mut(number) {
            client.take();
        }
        if let Some(engine) = engine.upgrade() {
            engine.report_training_error(format!("A training worker stopped ({why})"));
            engine.send(&Request::Finetune(FinetuneRequest::TrainerLost { trainer: number as u32 }), &[]);
        }
    }
}
