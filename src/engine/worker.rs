//! The engine's end of the message channel: runs a [`Session`] in a dedicated worker.
//!
//! Weights are downloaded in parallel to the session, which reads files meanwhile. Between two steps of the session the
//! browser handles waiting messages, Cancel above all.

use std::rc::Rc;

use burn::tensor::Device;
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_channel::oneshot;
use js_sys::Uint8Array;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, File};

use super::codec::text_of;
use super::file_reader::FileReader;
use super::gpu_client::GpuClient;
use super::port_link::PortLink;
use super::protocol::{Backend, Event, FinetuneRequest, Request, WorkerEvent, WorkerRequest};
use super::scope::{listen, next_task, port_of, post, report_crashes};
use super::session::Session;
use super::trainer::TrainerStatus;
use super::{Attachment, EngineError, HostRequest, downloads};
use crate::model::manifest::ModelEntry;
use crate::result::ModelCard;
use crate::task::predict::Predictor;
use crate::task::similarity::EncoderBundle;
use crate::task::synthetic_model::SyntheticModel;
use crate::task::xp_model::XpModel;
use crate::task::xp_posterior::XpPosteriorModel;

/// Input of the session's loop.
enum Input {
    Request(Request, Vec<File>),
    Model(Box<Result<Predictor, EngineError>>),
    BaseModels(Vec<ModelCard>),
    BaseModel(Box<Result<Predictor, EngineError>>),
    Trainer(u32, PortLink),
    TrainerStatus(u32, Box<TrainerStatus>),
    Encoders(Box<Result<EncoderBundle, EngineError>>),
    Emulator(Box<Result<SyntheticModel, EngineError>>),
    XpModel(Box<Result<XpModel, EngineError>>),
    XpPosterior(Box<Result<XpPosteriorModel, EngineError>>),
}

impl Attachment for File {
    fn size(&self) -> u64 {
        Blob::size(self) as u64
    }

    async fn bytes(self) -> Result<Vec<u8>, EngineError> {
        let buffer = JsFuture::from(self.array_buffer()).await.map_err(|e| {
            EngineError::Unavailable(format!(
                "the browser cannot read the file ({}); if it was moved or changed, drop it again",
                text_of(&e)
            ))
        })?;
        Ok(Uint8Array::new(&buffer).to_vec())
    }

    type Reader = FileReader;

    fn reader(&self) -> Self::Reader {
        FileReader::new(self)
    }
}

/// Starts the engine in the current worker and returns at once.
pub fn start() {
    report_crashes();
    let (sender, inbox) = unbounded();
    let to_inbox = sender.clone();
    let gpu_client = Rc::new(GpuClient::new(|reason| post(WorkerEvent::GpuLost { reason })));
    let backend = gpu_client.clone();
    listen(move |request, attachments| match request {
        // Handled at once: the session may be waiting for a GPU engine that has stopped.
        Request::Worker(WorkerRequest::ConnectGpu) => {
            port_of(attachments).into_iter().for_each(|port| gpu_client.connect(port));
        }
        Request::Worker(WorkerRequest::DisconnectGpu) => gpu_client.disconnect(),
        Request::Finetune(FinetuneRequest::ConnectTrainer { trainer }) => {
            let Some(port) = port_of(attachments) else { return };
            let statuses = to_inbox.clone();
            let link = PortLink::new(port, move |status| {
                let _ = statuses.unbounded_send(Input::TrainerStatus(trainer, Box::new(status)));
            });
            let _ = to_inbox.unbounded_send(Input::Trainer(trainer, link));
        }
        request => {
            let files = attachments.into_iter().filter_map(|a| a.dyn_into().ok()).collect();
            // The receiving loop runs as long as the worker.
            let _ = to_inbox.unbounded_send(Input::Request(request, files));
        }
    });
    // The page sends nothing before the first event.
    post(WorkerEvent::Loading { item: "the list of models".into(), done: 0, total: 0 });
    spawn_local(load_model(sender.clone()));
    spawn_local(run(inbox, sender, backend));
}

/// Runs the session without end.
async fn run(mut inbox: UnboundedReceiver<Input>, sender: UnboundedSender<Input>, backend: Rc<GpuClient>) {
    let mut session = Session::new(|event: Event| post(event)).with_backend(backend);
    let mut stop_encoders: Option<oneshot::Sender<()>> = None;
    loop {
        while let Ok(input) = inbox.try_recv() {
            handle_input(&mut session, input).await;
        }
        while let Some(request) = session.host_request() {
            run_host_request(request, &sender, &mut stop_encoders);
        }
        if session.step().await {
            next_task().await;
        } else if let Ok(input) = inbox.recv().await {
            handle_input(&mut session, input).await;
        }
    }
}

/// Starts the operation that the session requests, in the background.
fn run_host_request(
    request: HostRequest,
    sender: &UnboundedSender<Input>,
    stop_encoders: &mut Option<oneshot::Sender<()>>,
) {
    let sender = sender.clone();
    match request {
        HostRequest::FetchEncoders => {
            let on_done = move |bundle| drop(sender.unbounded_send(Input::Encoders(Box::new(bundle))));
            *stop_encoders = Some(downloads::encoders(on_done));
        }
        HostRequest::StopFetchingEncoders => {
            if let Some(stop) = stop_encoders.take() {
                let _ = stop.send(());
            }
        }
        HostRequest::FetchEmulator => spawn_local(async move {
            let emulator = downloads::emulator().await;
            let _ = sender.unbounded_send(Input::Emulator(Box::new(emulator)));
        }),
        HostRequest::FetchXpModel => spawn_local(async move {
            let model = downloads::xp_model().await;
            let _ = sender.unbounded_send(Input::XpModel(Box::new(model)));
        }),
        HostRequest::FetchXpPosterior => spawn_local(async move {
            let model = downloads::xp_posterior().await;
            let _ = sender.unbounded_send(Input::XpPosterior(Box::new(model)));
        }),
        HostRequest::FetchBaseModel(name) => spawn_local(async move {
            let model = downloads::base_model(&name).await;
            let _ = sender.unbounded_send(Input::BaseModel(Box::new(model)));
        }),
    }
}

async fn handle_input<E: FnMut(Event)>(session: &mut Session<File, E>, input: Input) {
    match input {
        Input::Request(request, files) => session.request(request, files),
        Input::Model(model) => session.set_model(*model),
        Input::BaseModels(models) => session.set_base_models(models),
        Input::BaseModel(model) => session.add_base_model(*model).await,
        Input::Trainer(number, link) => session.connect_trainer(number, Box::new(link)),
        Input::TrainerStatus(number, status) => session.trainer_status(number, *status).await,
        Input::Encoders(bundle) => session.set_encoders(*bundle),
        Input::XpPosterior(model) => session.set_xp_posterior(*model),
        Input::XpModel(model) => session.set_xp_model(*model),
        Input::Emulator(emulator) => session.set_emulator(*emulator),
    }
}

/// Downloads the default model, and passes it to the page and the session.
async fn load_model(sender: UnboundedSender<Input>) {
    let report = |item: &str, done, total| post(WorkerEvent::Loading { item: item.into(), done, total });
    let model = async {
        let model = downloads::model(None, report).await?;
        // burn's CPU backend.
        let predictor = model.predictor(&Device::flex())?;
        post(WorkerEvent::Ready {
            backend: Backend { name: "CPU, 1 worker".into() },
            model: Box::new(model.entry.card()),
        });
        let others = model.manifest.predictors().filter(|other| other.name != model.entry.name);
        let cards = [&model.entry].into_iter().chain(others).map(ModelEntry::card).collect();
        let _ = sender.unbounded_send(Input::BaseModels(cards));
        Ok(predictor)
    };
    let model: Result<Predictor, EngineError> = model.await;
    if let Err(reason) = &model {
        post(WorkerEvent::Unavailable { reason: reason.to_string() });
    }
    let _ = sender.unbounded_send(Input::Model(Box::new(model)));
}
