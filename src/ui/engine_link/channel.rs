//! Channel to the running engine worker: sends requests, and shows a notice when sending fails.

use std::cell::RefCell;

use leptos::prelude::{RwSignal, Set};
use wasm_bindgen::JsValue;

use crate::engine::client::EngineClient;
use crate::engine::protocol::Request;

/// Holds the engine worker; empty after one worker has stopped and before the next starts.
pub(crate) struct EngineChannel {
    client: RefCell<Option<EngineClient>>,
    notice: RwSignal<Option<String>>,
}

impl EngineChannel {
    /// A channel without a worker. It writes errors to `notice`.
    pub(crate) fn new(notice: RwSignal<Option<String>>) -> Self {
        Self { client: RefCell::new(None), notice }
    }

    /// Replaces the worker; `None` for no worker. The previous worker ends.
    pub(crate) fn connect(&self, client: Option<EngineClient>) {
        drop(self.client.replace(client));
    }

    /// Sends a request with its files or its port. Without a worker it does nothing.
    pub(crate) fn send(&self, request: &Request, attachments: &[JsValue]) {
        let sent = self.client.borrow().as_ref().map_or(Ok(()), |client| client.send(request, attachments));
        if let Err(why) = sent {
            self.notice.set(Some(format!("The request could not be sent to the engine: {why}. Reload the page.")));
        }
    }
}
