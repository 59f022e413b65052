//! The GPU engine as the page sees it: fetched when the CPU engine answers and only where there is an adapter, tested,
//! and then connected with the CPU engine if it is the faster one. Whatever goes wrong, the CPU engine goes on.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use gloo::timers::callback::Timeout;
use js_sys::{Function, Promise, Reflect};
use leptos::prelude::{GetUntracked, RwSignal, Set};
use leptos::task::spawn_local;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{MessageChannel, UrlSearchParams};

use super::engine_link::EngineLink;
use crate::engine::client::EngineClient;
use crate::engine::{BatchTimes, Event, Fault, Request};

/// Where the engine's program lies, relative to the page.
const WORKER_URL: &str = "./engine-worker.js?program=gpu";

/// How long download and test may take, ms. After a panic on WebGPU nothing ever comes.
const TEST_PATIENCE_MS: u32 = 180_000;

/// How far the page is with the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The CPU engine does not answer yet.
    Untried,
    /// There is none, or the user wants none.
    Absent,
    /// Its engine is on its way or being tested.
    Testing,
    /// It cannot be trusted.
    Failed,
    /// It can be trusted, and the CPU is faster.
    Slower,
    /// It runs full batches.
    Answering,
    /// It did, and is gone.
    Lost,
}

impl Phase {
    /// A name for tests and style sheets.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Untried => "untried",
            Phase::Absent => "absent",
            Phase::Testing => "testing",
            Phase::Failed => "failed",
            Phase::Slower => "slower",
            Phase::Answering => "answering",
            Phase::Lost => "lost",
        }
    }
}

/// The phase, and what it means for the user in words.
pub type GpuStatus = (Phase, String);

/// What the page's address says: `?engine=gpu` or `?engine=cpu`, and `?gpu-fault=self-test` or `loss` to see a failure.
#[derive(Debug, Clone, Copy, Default)]
struct Wishes {
    gpu: bool,
    cpu: bool,
    fault: Option<Fault>,
}

impl Wishes {
    fn of_address() -> Self {
        let search = web_sys::window().and_then(|w| w.location().search().ok()).unwrap_or_default();
        let Ok(params) = UrlSearchParams::new_with_str(&search) else { return Self::default() };
        let engine = params.get("engine");
        let fault = match params.get("gpu-fault").as_deref() {
            Some("self-test") => Some(Fault::SelfTest),
            Some("loss") => Some(Fault::Loss),
            _ => None,
        };
        Self { gpu: engine.as_deref() == Some("gpu"), cpu: engine.as_deref() == Some("cpu"), fault }
    }
}

/// The GPU engine's worker and what the page knows of it.
pub struct GpuLink {
    status: RwSignal<GpuStatus>,
    wishes: Wishes,
    adapter: RefCell<String>,
    client: RefCell<Option<EngineClient>>,
    watch: RefCell<Option<Timeout>>,
    was_tried: Cell<bool>,
    cpu: RefCell<Weak<EngineLink>>,
}

impl GpuLink {
    /// Nothing tried yet; `status` is told of everything.
    pub fn new(status: RwSignal<GpuStatus>) -> Rc<Self> {
        Rc::new(Self {
            status,
            wishes: Wishes::of_address(),
            adapter: RefCell::default(),
            client: RefCell::new(None),
            watch: RefCell::new(None),
            was_tried: Cell::new(false),
            cpu: RefCell::new(Weak::new()),
        })
    }

    /// The CPU engine answers: the first time the GPU is tried, after a restart it is connected anew.
    pub fn cpu_is_ready(self: &Rc<Self>, cpu: &Rc<EngineLink>) {
        self.cpu.replace(Rc::downgrade(cpu));
        if self.phase() == Phase::Answering {
            self.connect();
        }
        if !self.was_tried.replace(true) {
            let link = self.clone();
            spawn_local(async move { link.attempt().await });
        }
    }

    /// The CPU engine waited in vain.
    pub fn is_lost(&self, why: &str) {
        self.end(Phase::Lost, self.in_words(format!("stopped ({why}). The CPU took over and nothing was lost.")));
    }

    fn phase(&self) -> Phase {
        self.status.get_untracked().0
    }

    fn in_words(&self, what: String) -> String {
        format!("The GPU ({}) {what}", self.adapter.borrow())
    }

    async fn attempt(self: Rc<Self>) {
        if self.wishes.cpu {
            return self.status.set((Phase::Absent, "The page's address asks for the CPU.".into()));
        }
        let adapter = match find_adapter().await {
            Ok(adapter) if adapter.is_software && !self.wishes.gpu => Err("WebGPU is only emulated here.".into()),
            found => found,
        };
        match adapter {
            Ok(adapter) => self.test(adapter.name),
            Err(why) => self.status.set((Phase::Absent, why)),
        }
    }

    fn test(self: &Rc<Self>, adapter: String) {
        self.adapter.replace(adapter);
        self.status.set((Phase::Testing, self.in_words("is being tested.".into())));
        let on_event = {
            let link = self.clone();
            move |event| {
                if let Event::GpuTested { times } = event {
                    let link = link.clone();
                    // Not at once: the client may be ended by it, and is still on the stack.
                    Timeout::new(0, move || link.tested(times)).forget();
                }
            }
        };
        let on_crash = {
            let link = self.clone();
            move |why: String| {
                let link = link.clone();
                Timeout::new(0, move || link.crashed(&why)).forget();
            }
        };
        let link = self.clone();
        let late = move || link.crashed(&format!("nothing came for {} s", TEST_PATIENCE_MS / 1000));
        self.watch.replace(Some(Timeout::new(TEST_PATIENCE_MS, late)));
        let client = EngineClient::spawn(WORKER_URL, on_event, on_crash);
        let sent = client.and_then(|client| {
            client.send(&Request::TestGpu { fault: self.wishes.fault }, &[])?;
            Ok(client)
        });
        match sent {
            Ok(client) => drop(self.client.replace(Some(client))),
            Err(why) => self.crashed(&why),
        }
    }

    fn tested(&self, times: Result<BatchTimes, String>) {
        if self.phase() != Phase::Testing {
            return;
        }
        let times = match times {
            Ok(times) => times,
            Err(why) => return self.fail(&why),
        };
        let BatchTimes { gpu_ms, cpu_ms } = times;
        let is_faster = gpu_ms < cpu_ms;
        if !is_faster && !self.wishes.gpu {
            let what = format!(
                "passed its test; the CPU is faster for this model ({cpu_ms:.1} ms against {gpu_ms:.1} ms a batch)."
            );
            return self.end(Phase::Slower, self.in_words(what));
        }
        let asked = if is_faster { "" } else { ", and the page's address asks for it" };
        let what = format!(
            "passed its test{asked}: it runs full batches, {gpu_ms:.1} ms each against {cpu_ms:.1} ms on the CPU."
        );
        self.watch.take();
        self.status.set((Phase::Answering, self.in_words(what)));
        self.connect();
    }

    fn crashed(&self, why: &str) {
        match self.phase() {
            Phase::Testing => self.fail(why),
            Phase::Answering => {
                if let Some(cpu) = self.cpu.borrow().upgrade() {
                    cpu.send(&Request::DropHelp, &[]);
                }
                self.is_lost(why);
            }
            _ => {}
        }
    }

    fn fail(&self, why: &str) {
        self.end(Phase::Failed, self.in_words(format!("is not used: {why}. The CPU computes everything.")));
    }

    /// Ends the GPU's worker and says why.
    fn end(&self, phase: Phase, why: String) {
        self.watch.take();
        self.client.take();
        self.status.set((phase, why));
    }

    /// Gives each of the two engines one end of a new channel.
    fn connect(&self) {
        let connected = MessageChannel::new().map_err(|e| format!("{e:?}")).and_then(|channel| {
            let (client, cpu) = (self.client.borrow(), self.cpu.borrow().upgrade());
            let (Some(client), Some(cpu)) = (client.as_ref(), cpu) else { return Ok(()) };
            client.send(&Request::Assist, &[channel.port1().into()])?;
            cpu.send(&Request::TakeHelp, &[channel.port2().into()]);
            Ok(())
        });
        if let Err(why) = connected {
            self.crashed(&why);
        }
    }
}

/// What the browser says of its graphics adapter.
struct Adapter {
    name: String,
    is_software: bool,
}

/// Asks the browser for a graphics adapter; the error says what there is none of.
///
/// By name and not through web-sys, whose WebGPU is behind a compiler flag.
async fn find_adapter() -> Result<Adapter, String> {
    let get = |object: &JsValue, name: &str| {
        Reflect::get(object, &name.into()).ok().filter(|v| !v.is_undefined() && !v.is_null())
    };
    let window = web_sys::window().map(JsValue::from).unwrap_or_default();
    let gpu = get(&window, "navigator").and_then(|n| get(&n, "gpu")).ok_or("This browser has no WebGPU.")?;
    let none = || "WebGPU finds no graphics adapter here.".to_owned();
    let request: Function = get(&gpu, "requestAdapter").and_then(|f| f.dyn_into().ok()).ok_or_else(none)?;
    let promise: Promise = request.call0(&gpu).ok().and_then(|p| p.dyn_into().ok()).ok_or_else(none)?;
    let adapter = JsFuture::from(promise).await.ok().filter(|a| !a.is_null()).ok_or_else(none)?;
    let info = get(&adapter, "info").unwrap_or_default();
    let text = |name: &str| get(&info, name).and_then(|v| v.as_string()).filter(|text| !text.is_empty());
    let parts: Vec<String> = [text("vendor"), text("architecture")].into_iter().flatten().collect();
    let name = text("description").unwrap_or_else(|| parts.join(" "));
    // An older name of the same fact stood at the adapter itself.
    let is_software = [&info, &adapter]
        .into_iter()
        .any(|object| get(object, "isFallbackAdapter").and_then(|v| v.as_bool()).unwrap_or(false));
    Ok(Adapter { name: if name.is_empty() { "unnamed".into() } else { name }, is_software })
}
