//! The CPU engine's connection to the GPU engine: a port that full batches go through, until an error.
//!
//! After any error (a lost device, a stopped worker, a time-out) the batch in flight gets no outputs, the predictor
//! computes it itself, and nothing more is sent.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_channel::oneshot;
use gloo::events::EventListener;
use gloo::timers::callback::Timeout;
use wasm_bindgen::JsCast;
use web_sys::{MessageEvent, MessagePort};

use super::codec;
use super::port_link::send;
use super::session::MAX_BATCH;
use crate::task::predict::{Batch, InferenceBackend, Outputs};

/// Time limit of a batch, ms. After a panic on WebGPU no reply ever comes.
const TIMEOUT_MS: u32 = 20_000;

/// Smallest batch that is sent. The GPU computes every batch at full size, so that its programs are compiled once.
const MIN_ROWS: usize = MAX_BATCH / 2 + 1;

/// Reply of the GPU engine: outputs, or the reason why there are none.
pub(super) type Reply = Result<Vec<f32>, String>;

/// The GPU engine as the CPU engine uses it.
pub(super) struct GpuClient {
    port: RefCell<Option<(MessagePort, EventListener)>>,
    waiting: Rc<Cell<Option<oneshot::Sender<Reply>>>>,
    on_loss: Box<dyn Fn(String)>,
}

impl GpuClient {
    /// A client without a connection; `on_loss` gets the reason when the connection is lost.
    pub(super) fn new(on_loss: impl Fn(String) + 'static) -> Self {
        Self { port: RefCell::new(None), waiting: Rc::default(), on_loss: Box::new(on_loss) }
    }

    /// Sends batches through this port from now on.
    pub(super) fn connect(&self, port: MessagePort) {
        let waiting = self.waiting.clone();
        let listener = EventListener::new(&port, "message", move |event| {
            let data = event.unchecked_ref::<MessageEvent>().data();
            let reply = codec::unpack::<Reply>(&data).and_then(|(reply, _)| reply);
            if let Some(sender) = waiting.take() {
                let _ = sender.send(reply);
            }
        });
        port.start();
        self.port.replace(Some((port, listener)));
    }

    /// Sends no more batches, and gives up the one in flight.
    pub(super) fn disconnect(&self) {
        if let Some((port, _listener)) = self.port.take() {
            port.close();
        }
        self.waiting.take();
    }
}

impl InferenceBackend for GpuClient {
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
                        let _ = sender.send(Err(format!("no reply within {} s", TIMEOUT_MS / 1000)));
                    }
                }
            };
            let _timer = Timeout::new(TIMEOUT_MS, late);
            let sent = self.port.borrow().as_ref().map(|(port, _)| send(port, batch))?;
            let reply = match sent {
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
