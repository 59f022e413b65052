//! Channel to the engine worker that runs at present: sends requests, shows a notice when this fails.

use std::cell::RefCell;

use leptos::prelude::{RwSignal, Set};
use wasm_bindgen::JsValue;

use crate::engine::client::EngineClient;
use crate::engine::protocol::Request;

/// The engine worker, or none between two workers.
pub struct EngineChannel {
    client: RefCell<Option<EngineClient>>,
    notice: RwSignal<Option<String>>,
}

impl EngineChannel {
    /// A channel without a worker. It writes errors to `notice`.
    pub fn new(notice: RwSignal<Option<String>>) -> Self {
        Self { client: RefCell::new(None), notice }
    }

    /// Connects another worker, or none. The previous worker ends.
    pub fn connect(&self, client: Option<EngineClient>) {
        drop(self.client.replace(client));
    }

    /// Sends a request with its files or its port. Without a worker it does nothing.
    pub fn send(&self, request: &Request, attachments: &[JsValue]) {
        let sent = self.client.borrow().as_ref().map_or(Ok(()), |client| client.send(request, attachments));
        if let Err(why) = sent {
            self.notice.set(Some(format!("The request could not be sent to the engine: {why}. Reload the page.")));
        }
    }
}
