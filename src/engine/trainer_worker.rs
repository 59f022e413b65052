//! A trainer in its own worker: receives the session's commands through a port.
//!
//! It is a separate program. The training code is large, and the first prediction must not wait for its download.

use std::cell::RefCell;
use std::rc::Rc;

use burn::tensor::Device;
use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use gloo::events::EventListener;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::{MessageEvent, MessagePort};

use super::port_link::send;
use super::protocol::{Request, WorkerEvent, WorkerRequest};
use super::scope::{listen, next_task, port_of, post, report_crashes, report_fatal};
use super::trainer::{Trainer, TrainerCommand, TrainerStatus};
use super::{EngineError, codec, downloads};
use crate::task::predict::Predictor;

/// Starts a trainer in the current worker and returns at once.
pub fn start() {
    report_crashes();
    let start_token = RefCell::new(Some(()));
    listen(move |request, attachments| {
        if let (Request::Worker(WorkerRequest::Train), Some(port)) = (request, port_of(attachments))
            && start_token.take().is_some()
        {
            spawn_local(train(port));
        }
    });
    // The page sends nothing before the first event.
    post(WorkerEvent::Loading { item: "a trainer".into(), done: 0, total: 0 });
}

async fn train(port: MessagePort) {
    let (commands, inbox) = unbounded();
    EventListener::new(&port, "message", move |event| {
        match codec::unpack::<TrainerCommand>(&event.unchecked_ref::<MessageEvent>().data()) {
            // The receiving loop runs as long as the worker.
            Ok((command, _)) => drop(commands.unbounded_send(command)),
            Err(why) => report_fatal(&why),
        }
    })
    .forget();
    port.start();
    match model(None).await {
        Ok(predictor) => {
            let default_model = predictor.entry().name.clone();
            run(Trainer::new(predictor), &default_model, inbox, Rc::new(port)).await;
        }
        Err(why) => report_fatal(&why.to_string()),
    }
}

/// Downloads a model; without a name, the default model.
async fn model(name: Option<&str>) -> Result<Predictor, EngineError> {
    downloads::model(name, |_, _, _| {}).await?.predictor(&Device::flex())
}

/// Passes a command to the trainer, and first loads the base model that the command needs.
async fn handle_command(trainer: &mut Trainer, default_model: &str, command: TrainerCommand) {
    if let TrainerCommand::Start { base, .. } = &command {
        let name = base.as_deref().unwrap_or(default_model);
        if trainer.base() != name {
            match model(Some(name)).await {
                Ok(predictor) => trainer.set_predictor(predictor),
                Err(why) => return report_fatal(&why.to_string()),
            }
        }
    }
    trainer.command(command);
}

/// Runs the session's commands without end.
async fn run(
    mut trainer: Trainer,
    default_model: &str,
    mut inbox: UnboundedReceiver<TrainerCommand>,
    port: Rc<MessagePort>,
) {
    let mut report = move |status: TrainerStatus| {
        if let Err(why) = send(&port, &status) {
            report_fatal(&why);
        }
    };
    loop {
        while let Ok(command) = inbox.try_recv() {
            handle_command(&mut trainer, default_model, command).await;
        }
        if trainer.step(&mut report).await {
            next_task().await;
        } else if let Ok(command) = inbox.recv().await {
            handle_command(&mut trainer, default_model, command).await;
        }
    }
}
