//! A trainer in a worker of its own: takes the session's orders through a port.
//!
//! It is a program of its own, because what learning needs is large and the first answer shall not wait for it.

use std::cell::RefCell;
use std::rc::Rc;

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use gloo::events::EventListener;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::{MessageEvent, MessagePort};

use super::port_link::send;
use super::trainer::{Order, Report, Trainer};
use super::wire;
use super::worker::{fetch, last_words, listen, next_task, port_of, post, report_crashes};
use super::{Event, Request};
use crate::task::predict::Predictor;

/// Starts a trainer in the worker that this is called in, and returns at once.
pub fn start() {
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
    match model(None).await {
        Ok(predictor) => {
            let shipped = predictor.entry().name.clone();
            serve(Trainer::new(predictor), &shipped, inbox, Rc::new(port)).await;
        }
        Err(why) => last_words(&why),
    }
}

/// The model of a name, the default without one.
async fn model(name: Option<&str>) -> Result<Predictor, String> {
    let (_, entry, weights) = fetch(name, |_, _, _| {}).await?;
    Predictor::new(&entry, &weights, &burn::tensor::Device::flex()).map_err(|e| e.to_string())
}

/// Hands an order over, and the model that it is about before it.
async fn deliver(trainer: &mut Trainer, shipped: &str, order: Order) {
    if let Order::Begin { base, .. } = &order {
        let name = base.as_deref().unwrap_or(shipped);
        if trainer.base() != name {
            match model(Some(name)).await {
                Ok(predictor) => trainer.change(predictor),
                Err(why) => return last_words(&why),
            }
        }
    }
    trainer.order(order);
}

/// Does what the session orders, for ever.
async fn serve(mut trainer: Trainer, shipped: &str, mut inbox: UnboundedReceiver<Order>, port: Rc<MessagePort>) {
    let mut tell = move |report: Report| {
        if let Err(why) = send(&port, &report) {
            last_words(&why);
        }
    };
    loop {
        while let Ok(order) = inbox.try_recv() {
            deliver(&mut trainer, shipped, order).await;
        }
        if trainer.step(&mut tell).await {
            next_task().await;
        } else if let Ok(order) = inbox.recv().await {
            deliver(&mut trainer, shipped, order).await;
        }
    }
}
