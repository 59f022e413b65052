//! The session's way to a trainer in another worker: a message port.

use gloo::events::EventListener;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageEvent, MessagePort};

use super::teaching::TrainerLink;
use super::trainer::{Order, Report};
use super::wire;
use super::worker::last_words;

/// The session's end of a port to a trainer.
pub(super) struct PortLink {
    port: MessagePort,
    _listener: EventListener,
}

impl PortLink {
    /// Sends orders through a port; `hear` gets what comes back.
    pub(super) fn new(port: MessagePort, hear: impl Fn(Report) + 'static) -> Self {
        let listener = EventListener::new(&port, "message", move |event| {
            match wire::unpack::<Report>(&event.unchecked_ref::<MessageEvent>().data()) {
                Ok((report, _)) => hear(report),
                Err(why) => last_words(&why),
            }
        });
        port.start();
        Self { port, _listener: listener }
    }
}

impl TrainerLink for PortLink {
    fn send(&self, order: &Order) {
        if let Err(why) = send(&self.port, order) {
            last_words(&why);
        }
    }
}

/// Posts a message through a port.
pub(super) fn send<T: serde::Serialize>(port: &MessagePort, message: &T) -> Result<(), String> {
    let (message, transfer) = wire::pack(message, [])?;
    port.post_message_with_transferable(&message, &transfer).map_err(|e: JsValue| wire::text_of(&e))
}
