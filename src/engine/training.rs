//! Training in workers of their own: the session's way to one, and what runs in it.

use std::cell::RefCell;
use std::rc::Rc;

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use gloo::events::EventListener;
use js_sys::Reflect;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{MessageEvent, MessagePort};

use super::teaching::TrainerLink;
use super::trainer::{Order, Report, Trainer};
use super::wire;
use super::worker::{fetch_default, last_words, listen, next_task, port_of, post, report_crashes, scope};
use super::{Event, Request};
use crate::task::predict::Predictor;

/// True in a worker that was started to train: its script's address says so.
pub(super) fn is_wanted() -> bool {
    let address = Reflect::get(&scope(), &"scriptUrl".into()).ok().and_then(|url| url.as_string()).unwrap_or_default();
    address.contains("role=trainer")
}

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

fn send<T: serde::Serialize>(port: &MessagePort, message: &T) -> Result<(), String> {
    let (message, transfer) = wire::pack(message, [])?;
    port.post_message_with_transferable(&message, &transfer).map_err(|e: JsValue| wire::text_of(&e))
}

/// Starts a trainer in the worker that this is called in, and returns at once.
pub(super) fn start() {
    report_crashes();
    let waiting = RefCell::new(Some(()));
    listen(move |request, attachments| {
        if let (Request::Train, Some(port)) = (request, port_of(attachments))
            && waiting.take().is_some()
        {
            spawn_local(train(port));
        }
    });
    // The first word: from here on the page may send.
    post(&Event::Loading { what: "a trainer".into(), done: 0, total: 0 });
}

async fn train(port: MessagePort) {
    let (orders, inbox) = unbounded();
    EventListener::new(&port, "message", move |event| {
        match wire::unpack::<Order>(&event.unchecked_ref::<MessageEvent>().data()) {
            // The loop that receives lives as long as the worker.
            Ok((order, _)) => drop(orders.unbounded_send(order)),
            Err(why) => last_words(&why),
        }
    })
    .forget();
    port.start();
    let predictor = match fetch_default(|_| {}).await {
        Ok((entry, weights)) => {
            Predictor::new(&entry, &weights, &burn::tensor::Device::flex()).map_err(|e| e.to_string())
        }
        Err(why) => Err(why),
    };
    match predictor {
        Ok(predictor) => serve(Trainer::new(predictor), inbox, Rc::new(port)).await,
        Err(why) => last_words(&why),
    }
}

/// Does what the session orders, for ever.
async fn serve(mut trainer: Trainer, mut inbox: UnboundedReceiver<Order>, port: Rc<MessagePort>) {
    let mut tell = move |report: Report| {
        if let Err(why) = send(&port, &report) {
            last_words(&why);
        }
    };
    loop {
        while let Ok(order) = inbox.try_recv() {
            trainer.order(order);
        }
        if trainer.step(&mut tell).await {
            next_task().await;
        } else if let Ok(order) = inbox.recv().await {
            trainer.order(order);
        }
    }
}
