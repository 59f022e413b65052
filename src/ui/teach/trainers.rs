//! Workers that train: started when something is to be learned, each connected with the engine by a port.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use gloo::timers::callback::Timeout;
use web_sys::MessageChannel;

use crate::engine::Request;
use crate::engine::client::EngineClient;
use crate::engine::teach_message::TeachRequest;
use crate::ui::engine_link::EngineLink;

/// Where the trainer's program lies, relative to the page.
const WORKER_URL: &str = "./engine-worker.js?program=trainer";

/// Most trainers: each holds a copy of the model.
const MOST: usize = 4;

/// The trainers of one engine.
#[derive(Default)]
pub struct Trainers {
    clients: RefCell<Vec<Option<EngineClient>>>,
}

impl Trainers {
    /// Starts them if there are none; one a core of this machine.
    pub fn ensure(self: &Rc<Self>, engine: &Rc<EngineLink>) {
        if self.clients.borrow().iter().any(Option::is_some) {
            return;
        }
        let cores = web_sys::window().map_or(1.0, |w| w.navigator().hardware_concurrency()) as usize;
        let clients = (0..cores.clamp(1, MOST)).map(|number| self.start(number, engine)).collect();
        self.clients.replace(clients);
    }

    /// Ends all of them: their engine is gone.
    pub fn end(&self) {
        self.clients.take();
    }

    fn start(self: &Rc<Self>, number: usize, engine: &Rc<EngineLink>) -> Option<EngineClient> {
        let on_crash = {
            let (trainers, engine) = (self.clone(), Rc::downgrade(engine));
            // Not at once: the client that reports the crash is still on the stack.
            move |why: String| {
                let (trainers, engine) = (trainers.clone(), engine.clone());
                Timeout::new(0, move || trainers.lost(number, &why, &engine)).forget();
            }
        };
        let started = EngineClient::spawn(WORKER_URL, |_| {}, on_crash).and_then(|client| {
            let channel = MessageChannel::new().map_err(|e| format!("{e:?}"))?;
            client.send(&Request::Train, &[channel.port1().into()])?;
            let taken = TeachRequest::TakeTrainer { trainer: number as u32 };
            engine.send(&Request::Teaching(taken), &[channel.port2().into()]);
            Ok(client)
        });
        started.map_err(|why| engine.trouble_in_teaching(why)).ok()
    }

    fn lost(&self, number: usize, why: &str, engine: &Weak<EngineLink>) {
        if let Some(client) = self.clients.borrow_mut().get_mut(number) {
            client.take();
        }
        if let Some(engine) = engine.upgrade() {
            engine.trouble_in_teaching(format!("A worker that trained stopped ({why})"));
            engine.send(&Request::Teaching(TeachRequest::TrainerLost { trainer: number as u32 }), &[]);
        }
    }
}
