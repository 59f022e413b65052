//! The session's connection to a trainer in another worker, through a message port.

use gloo::events::EventListener;
use serde::Serialize;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageEvent, MessagePort};

use super::codec;
use super::finetuning::TrainerLink;
use super::scope::report_fatal;
use super::trainer::{TrainerCommand, TrainerStatus};

/// The session's end of a port to a trainer.
pub(super) struct PortLink {
    port: MessagePort,
    _listener: EventListener,
}

impl PortLink {
    /// Connects to a port; `on_status` gets every status message.
    pub(super) fn new(port: MessagePort, on_status: impl Fn(TrainerStatus) + 'static) -> Self {
        let listener = EventListener::new(&port, "message", move |event| {
            match codec::unpack::<TrainerStatus>(&event.unchecked_ref::<MessageEvent>().data()) {
                Ok((status, _)) => on_status(status),
                Err(why) => report_fatal(&why),
            }
        });
        port.start();
        Self { port, _listener: listener }
    }
}

impl TrainerLink for PortLink {
    fn send(&self, command: &TrainerCommand) {
        if let Err(why) = send(&self.port, command) {
            report_fatal(&why);
        }
    }
}

/// Posts a message through a port.
pub(super) fn send<T: Serialize>(port: &MessagePort, message: &T) -> Result<(), String> {
    let (message, transfer) = codec::pack(message, [])?;
    port.post_message_with_transferable(&message, &transfer).map_err(|e: JsValue| codec::text_of(&e))
}
