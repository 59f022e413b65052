//! The CPU engine's connection to the GPU engine: a port for full batches.
//!
//! The first error ends the connection: a lost device, a stopped worker or a time-out. The batch in progress then gets
//! no outputs, so the predictor computes it itself.

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

/// Time limit of a batch, ms. After a panic on WebGPU no reply comes.
const TIMEOUT_MS: u32 = 20_000;

/// Smallest batch that is sent, rows. The GPU computes every batch at full size, so that its programs are compiled
/// once.
const MIN_ROWS: usize = MAX_BATCH / 2 + 1;

/// Reply of the GPU engine: outputs, or the reason why there are none.
pub(super) type Reply = Result<Vec<f32>, String>;

/// The CPU engine's client of the GPU engine.
pub(super) struct GpuClient {
    port: RefCell<Option<(MessagePort, EventListener)>>,
    reply_sender: Rc<Cell<Option<oneshot::Sender<Reply>>>>,
    on_loss: Box<dyn Fn(String)>,
}

impl GpuClient {
    /// A client without a connection; `on_loss` gets the reason when the connection is lost.
    pub(super) fn new(on_loss: impl Fn(String) + 'static) -> Self {
        Self { port: RefCell::new(None), reply_sender: Rc::default(), on_loss: Box::new(on_loss) }
    }

    /// Sends batches through this port from now on.
    pub(super) fn connect(&self, port: MessagePort) {
        let reply_sender = self.reply_sender.clone();
        let listener = EventListener::new(&port, "message", move |event| {
            let data = event.unchecked_ref::<MessageEvent>().data();
            let reply = codec::unpack::<Reply>(&data).and_then(|(reply, _)| reply);
            if let Some(sender) = reply_sender.take() {
                let _ = sender.send(reply);
            }
        });
        port.start();
        self.port.replace(Some((port, listener)));
    }

    /// Ends the connection, and gives up the batch in progress.
    pub(super) fn disconnect(&self) {
        if let Some((port, _listener)) = self.port.take() {
            port.close();
        }
        self.reply_sender.take();
    }
}

impl InferenceBackend for GpuClient {
    fn run<'a>(&'a self, batch: &'a Batch) -> Outputs<'a> {
        Box::pin(async move {
            if batch.rows < MIN_ROWS || batch.rows > MAX_BATCH {
                return None;
            }
            let (sender, receiver) = oneshot::channel();
            self.reply_sender.set(Some(sender));
            let on_timeout = {
                let reply_sender = self.reply_sender.clone();
                move || {
                    if let Some(sender) = reply_sender.take() {
                        let _ = sender.send(Err(format!("no reply within {} s", TIMEOUT_MS / 1000)));
                    }
                }
            };
            let _timer = Timeout::new(TIMEOUT_MS, on_timeout);
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
