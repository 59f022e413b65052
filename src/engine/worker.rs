//! The engine's end of the wire: runs a [`Session`] in a dedicated worker.
//!
//! Weights are fetched beside the session, so files are read while they come. Between any two steps the browser gets the
//! worker back, so that messages (Cancel above all) come in.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_channel::oneshot;
use gloo::events::EventListener;
use js_sys::{Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{DedicatedWorkerGlobalScope, File, MessageEvent, MessagePort};

use super::blob::FileReader;
use super::dropped::Attachment;
use super::helper::Remote;
use super::likes_message::LikesEvent;
use super::port_link::PortLink;
use super::reading_message::ReadingEvent;
use super::session::Session;
use super::teach_message::{TeachEvent, TeachRequest};
use super::trainer::Report;
use super::wire::{self, text_of};
use super::{Backend, Event, ForHost, MODELS_CACHE, Request};
use crate::model::manifest::{Manifest, ModelEntry};
use crate::model::store::{Site, Store};
use crate::result::ModelCard;
use crate::task::fit::Modeller;
use crate::task::likes::Kit;
use crate::task::predict::Predictor;

/// Where the shipped models are, seen from the worker's script.
const MODELS_FOLDER: &str = "models/";

/// Bytes between two reports of a download.
const PROGRESS_STEP_BYTES: u64 = 1 << 17;

/// What reaches the session's loop.
enum Mail {
    Request(Request, Vec<File>),
    Model(Box<Result<Predictor, String>>),
    Models(Vec<ModelCard>),
    Base(Box<Result<Predictor, String>>),
    Trainer(u32, PortLink),
    Report(u32, Box<Report>),
    Kit(Box<Result<Kit, String>>),
    Modeller(Box<Result<Modeller, String>>),
}

impl Attachment for File {
    fn size(&self) -> u64 {
        web_sys::Blob::size(self) as u64
    }

    async fn bytes(self) -> Result<Vec<u8>, String> {
        let buffer = JsFuture::from(self.array_buffer()).await.map_err(|e| {
            format!("the browser cannot read it ({}); if it was moved or changed, drop it again", text_of(&e))
        })?;
        Ok(Uint8Array::new(&buffer).to_vec())
    }

    type Reader = FileReader;

    fn reader(&self) -> Self::Reader {
        FileReader::new(self)
    }
}

/// Starts the engine in the worker that this is called in, and returns at once.
pub fn start() {
    report_crashes();
    let (mail, inbox) = unbounded();
    let to_inbox = mail.clone();
    let remote = Rc::new(Remote::new(|why| post(&Event::HelpLost { why })));
    let helper = remote.clone();
    listen(move |request, attachments| match request {
        // At once: the session may be waiting for the one that is gone.
        Request::TakeHelp => port_of(attachments).into_iter().for_each(|port| remote.connect(port)),
        Request::DropHelp => remote.disconnect(),
        Request::Teaching(TeachRequest::TakeTrainer { trainer }) => {
            let Some(port) = port_of(attachments) else { return };
            let reports = to_inbox.clone();
            let link = PortLink::new(port, move |report| {
                let _ = reports.unbounded_send(Mail::Report(trainer, Box::new(report)));
            });
            let _ = to_inbox.unbounded_send(Mail::Trainer(trainer, link));
        }
        request => {
            let files = attachments.into_iter().filter_map(|a| a.dyn_into().ok()).collect();
            // The loop that receives lives as long as the worker.
            let _ = to_inbox.unbounded_send(Mail::Request(request, files));
        }
    });
    // The first word: from here on the page may send.
    post(&Event::Loading { what: "the list of models".into(), done: 0, total: 0 });
    spawn_local(fetch_model(mail.clone()));
    spawn_local(serve(inbox, mail, helper));
}

/// Hands every message of the page on, with its attachments.
pub(super) fn listen(on_request: impl Fn(Request, Vec<JsValue>) + 'static) {
    EventListener::new(&scope(), "message", move |event| {
        let data = event.unchecked_ref::<MessageEvent>().data();
        match wire::unpack::<Request>(&data) {
            Ok((request, attachments)) => on_request(request, attachments),
            Err(why) => last_words(&why),
        }
    })
    .forget();
}

/// The port among the attachments of a message.
pub(super) fn port_of(attachments: Vec<JsValue>) -> Option<MessagePort> {
    attachments.into_iter().find_map(|a| a.dyn_into().ok())
}

/// Does what the page asks, for ever.
async fn serve(mut inbox: UnboundedReceiver<Mail>, mail: UnboundedSender<Mail>, helper: Rc<Remote>) {
    let mut session = Session::new(|event| post(&event)).helped_by(helper);
    let mut fetching: Option<oneshot::Sender<()>> = None;
    loop {
        while let Ok(mail) = inbox.try_recv() {
            deliver(&mut session, mail).await;
        }
        while let Some(errand) = session.for_host() {
            if matches!(errand, ForHost::FetchEmulator | ForHost::FetchEmulatorToTeach) {
                spawn_local(fetch_emulator(mail.clone(), errand == ForHost::FetchEmulatorToTeach));
                continue;
            }
            if let Some(stop) = fetching.take() {
                let _ = stop.send(());
            }
            if errand == ForHost::FetchKit {
                fetching = Some(fetch_kit(mail.clone()));
            }
        }
        if let Some(name) = session.wanted() {
            spawn_local(fetch_base(mail.clone(), name));
        }
        if session.step().await {
            next_task().await;
        } else if let Ok(mail) = inbox.recv().await {
            deliver(&mut session, mail).await;
        }
    }
}

async fn deliver<E: FnMut(Event)>(session: &mut Session<File, E>, mail: Mail) {
    match mail {
        Mail::Request(request, files) => session.request(request, files),
        Mail::Model(model) => session.model(*model),
        Mail::Models(models) => session.offer(models),
        Mail::Base(model) => session.fetched(*model).await,
        Mail::Trainer(number, link) => session.trainer(number, Box::new(link)),
        Mail::Report(number, report) => session.report(number, *report).await,
        Mail::Kit(kit) => session.kit(*kit),
        Mail::Modeller(modeller) => session.modeller(*modeller).await,
    }
}

/// Fetches the default model, tells the page and hands it to the session.
async fn fetch_model(mail: UnboundedSender<Mail>) {
    let model = load_model(&mail).await;
    if let Err(reason) = &model {
        post(&Event::Unavailable { reason: reason.clone() });
    }
    let _ = mail.unbounded_send(Mail::Model(Box::new(model)));
}

async fn load_model(mail: &UnboundedSender<Mail>) -> Result<Predictor, String> {
    let tell = |entry: &ModelEntry, done, total| {
        post(&Event::Loading { what: format!("{} {}", entry.name, entry.version), done, total });
    };
    let (manifest, entry, weights) = fetch(None, tell).await?;
    let predictor = Predictor::new(&entry, &weights, &burn::tensor::Device::flex()).map_err(|e| e.to_string())?;
    let backend = Backend { name: "CPU, 1 worker".into() };
    post(&Event::Ready { backend, model: entry.card() });
    let others = manifest.predictors().filter(|other| other.name != entry.name).map(ModelEntry::card);
    let _ = mail.unbounded_send(Mail::Models([entry.card()].into_iter().chain(others).collect()));
    Ok(predictor)
}

/// Fetches the encoder pair and its index beside the session, until what is given back says so.
fn fetch_kit(mail: UnboundedSender<Mail>) -> oneshot::Sender<()> {
    let (stop, mut stopped) = oneshot::channel::<()>();
    spawn_local(async move {
        let mut fetch = pin!(load_kit());
        let kit = poll_fn(|cx| match Pin::new(&mut stopped).poll(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => fetch.as_mut().poll(cx).map(Some),
        });
        if let Some(kit) = kit.await {
            let _ = mail.unbounded_send(Mail::Kit(Box::new(kit)));
        }
    });
    stop
}

async fn load_kit() -> Result<Kit, String> {
    let store = Store::new(Site::beside(scope(), MODELS_FOLDER, MODELS_CACHE)?);
    let mut reported = 0;
    let tell = |what: &str, done: u64, total: u64| {
        if done == total || done.abs_diff(reported) >= PROGRESS_STEP_BYTES {
            reported = done;
            post(&Event::Likes(LikesEvent::Loading { what: what.into(), done, total }));
        }
    };
    Kit::fetch(&store, None, tell).await
}

/// Fetches the emulator and hands it to the session.
async fn fetch_emulator(mail: UnboundedSender<Mail>, is_to_teach: bool) {
    let modeller = match Site::beside(scope(), MODELS_FOLDER, MODELS_CACHE) {
        Ok(site) => {
            let tell = |done, total| {
                post(&match is_to_teach {
                    true => Event::Teaching(TeachEvent::Fetching { done, total }),
                    false => Event::Reading(ReadingEvent::Loading { done, total }),
                });
            };
            Modeller::fetch(&Store::new(site), tell).await
        }
        Err(why) => Err(why),
    };
    let _ = mail.unbounded_send(Mail::Modeller(Box::new(modeller)));
}

/// Fetches another model, for teaching, and hands it to the session.
async fn fetch_base(mail: UnboundedSender<Mail>, name: String) {
    let tell = |_: &ModelEntry, done, total| post(&Event::Teaching(TeachEvent::Fetching { done, total }));
    let model = match fetch(Some(&name), tell).await {
        Ok((_, entry, weights)) => {
            Predictor::new(&entry, &weights, &burn::tensor::Device::flex()).map_err(|e| e.to_string())
        }
        Err(why) => Err(why),
    };
    let _ = mail.unbounded_send(Mail::Base(Box::new(model)));
}

/// The list of models, and the entry and the weights of one: the default without a name. `tell` hears how far the
/// download is.
pub(super) async fn fetch(
    name: Option<&str>,
    tell: impl Fn(&ModelEntry, u64, u64),
) -> Result<(Manifest, ModelEntry, Vec<u8>), String> {
    let store = Store::new(Site::beside(scope(), MODELS_FOLDER, MODELS_CACHE)?);
    let manifest = store.manifest().await.map_err(|e| e.to_string())?;
    let entry = match name {
        Some(name) => manifest.get(name).ok_or_else(|| format!("the list of models has no {name}; reload the page"))?,
        None => manifest.default_model().ok_or("the list of models has no default; reload the page")?,
    };
    let mut reported = 0;
    let progress = |done: u64, total: u64| {
        if done == total || done.abs_diff(reported) >= PROGRESS_STEP_BYTES {
            reported = done;
            tell(entry, done, total);
        }
    };
    let weights = store.weights(entry, progress).await.map_err(|e| e.to_string())?;
    let entry = entry.clone();
    Ok((manifest, entry, weights))
}

/// Lets the browser run what has come in. A promise alone would not: only a new task comes after waiting messages.
pub(super) async fn next_task() {
    let promise = Promise::new(&mut |resolve, _| {
        if scope().set_timeout_with_callback(&resolve).is_err() {
            let _ = resolve.call0(&JsValue::NULL);
        }
    });
    let _ = JsFuture::from(promise).await;
}

pub(super) fn post(event: &Event) {
    let posted = wire::pack(event, []).and_then(|(message, transfer)| {
        scope().post_message_with_transfer(&message, &transfer).map_err(|e| text_of(&e))
    });
    if let Err(why) = posted {
        last_words(&why);
    }
}

/// Tells the page what a crash was: a panic, or an error that reaches the browser (memory used up, a trap), which for an
/// asynchronous task it would keep to itself.
pub(super) fn report_crashes() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        last_words(&format!("internal error: {info}"));
    }));
    EventListener::new(&scope(), "unhandledrejection", |event| {
        let reason = Reflect::get(event, &"reason".into()).unwrap_or_default();
        last_words(&text_of(&reason));
    })
    .forget();
}

/// Posts a string, which the page takes for the engine's end.
pub(super) fn last_words(why: &str) {
    let _ = scope().post_message(&why.into());
}

pub(super) fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}
