//! The CPU engine's side of the GPU engine: a port through which full batches go, until something goes wrong.
//!
//! Whatever that is (an error, a lost device, a worker that is gone, silence), the batch in flight gets no outputs, the
//! predictor computes it itself, and nothing more is sent.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_channel::oneshot;
use gloo::events::EventListener;
use gloo::timers::callback::Timeout;
use wasm_bindgen::JsCast;
use web_sys::{MessageEvent, MessagePort};

use super::session::MAX_BATCH;
use super::wire::{self, text_of};
use crate::task::predict::{Batch, Helper, Outputs};

/// How long an answer may take, ms. After a panic on WebGPU nothing ever comes.
const PATIENCE_MS: u32 = 20_000;

/// Smallest batch that is sent: the GPU computes every batch at full size, so that its programs are compiled once.
const MIN_ROWS: usize = MAX_BATCH / 2 + 1;

/// What the GPU engine sends back: outputs, or why there are none.
pub(super) type Reply = Result<Vec<f32>, String>;

/// The GPU engine as the CPU engine sees it.
pub(super) struct Remote {
    port: RefCell<Option<(MessagePort, EventListener)>>,
    waiting: Rc<Cell<Option<oneshot::Sender<Reply>>>>,
    on_loss: Box<dyn Fn(String)>,
}

impl Remote {
    /// Nobody there yet; `on_loss` hears why somebody is gone.
    pub(super) fn new(on_loss: impl Fn(String) + 'static) -> Self {
        Self { port: RefCell::new(None), waiting: Rc::default(), on_loss: Box::new(on_loss) }
    }

    /// From now on batches go through this port.
    pub(super) fn connect(&self, port: MessagePort) {
        let waiting = self.waiting.clone();
        let listener = EventListener::new(&port, "message", move |event| {
            let data = event.unchecked_ref::<MessageEvent>().data();
            let reply = wire::unpack::<Reply>(&data).and_then(|(reply, _)| reply);
            if let Some(sender) = waiting.take() {
                let _ = sender.send(reply);
            }
        });
        port.start();
        self.port.replace(Some((port, listener)));
    }

    /// No batch goes anywhere, and one that is waited for is given up.
    pub(super) fn disconnect(&self) {
        if let Some((port, _listener)) = self.port.take() {
            port.close();
        }
        self.waiting.take();
    }

    fn send(&self, batch: &Batch) -> Option<Result<(), String>> {
        let port = self.port.borrow();
        let (port, _) = port.as_ref()?;
        Some(wire::pack(batch, []).and_then(|(message, transfer)| {
            port.post_message_with_transferable(&message, &transfer).map_err(|e| text_of(&e))
        }))
    }
}

impl Helper for Remote {
    fn run<'a>(&'a self, batch: &'a Batch) -> Outputs<'a> {
        Box::pin(async move {
            if batch.rows < MIN_ROWS || batch.rows > MAX_BATCH {
                return None;
            }
            let (sender, receiver) = oneshot::channel();
            self.waiting.set(Some(sender));
            let late = {
                let waiting = self.waiting.clone();
                move || {
                    if let Some(sender) = waiting.take() {
                        let _ = sender.send(Err(format!("it said nothing for {} s", PATIENCE_MS / 1000)));
                    }
                }
            };
            let _timer = Timeout::new(PATIENCE_MS, late);
            let reply = match self.send(batch)? {
                Ok(()) => receiver.await.ok()?,
                Err(why) => Err(why),
            };
            reply
                .inspect_err(|why| {
                    self.disconnect();
                    (self.on_loss)(why.clone());
                })
                .ok()
        })
    }
}
