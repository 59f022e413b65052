//! Connection to the GPU worker.
//!
//! The page loads the worker once the CPU engine is ready, and only if the browser offers a GPU. After a
//! self-test the page connects it to the CPU engine, if the GPU is faster. If the GPU fails, the CPU engine continues
//! alone.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo::timers::callback::Timeout;
use js_sys::{Function, Promise, Reflect};
use leptos::prelude::{GetUntracked, RwSignal, Set};
use leptos::task::spawn_local;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{MessageChannel, UrlSearchParams};

use super::channel::EngineChannel;
use crate::engine::client::EngineClient;
use crate::engine::protocol::{BatchTimes, Event, Request, WorkerEvent, WorkerRequest};

/// URL of the GPU worker, relative to the page.
const WORKER_URL: &str = "./engine-worker.js?program=gpu";

/// Time limit of download and self-test, ms. A worker that panics in WebGPU sends no event.
const TEST_TIMEOUT_MS: u32 = 180_000;

/// State of the GPU worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GpuPhase {
    /// Not tried yet: the CPU engine is not ready.
    Untried,
    /// No GPU, or switched off in the page address.
    Absent,
    /// Being loaded or tested.
    Testing,
    /// The self-test failed.
    Failed,
    /// Passed the self-test, but the CPU is faster.
    Slower,
    /// Computes full batches.
    Active,
    /// Was active and stopped.
    Lost,
}

impl GpuPhase {
    /// Name in `data-gpu`, for tests and style sheets.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Untried => "untried",
            Self::Absent => "absent",
            Self::Testing => "testing",
            Self::Failed => "failed",
            Self::Slower => "slower",
            Self::Active => "active",
            Self::Lost => "lost",
        }
    }
}

/// The phase and its description for the user.
pub(crate) type GpuStatus = (GpuPhase, String);

/// Options in the page address: `?engine=gpu` or `?engine=cpu`; `?gpu-fault=self-test` or `loss` simulates a failure.
#[derive(Debug, Clone, Copy, Default)]
struct GpuOptions {
    gpu: bool,
    cpu: bool,
    fault: Option<&'static str>,
}

impl GpuOptions {
    fn of_address() -> Self {
        let search = web_sys::window().and_then(|w| w.location().search().ok()).unwrap_or_default();
        let Ok(params) = UrlSearchParams::new_with_str(&search) else { return Self::default() };
        let engine = params.get("engine");
        let fault = match params.get("gpu-fault").as_deref() {
            Some("self-test") => Some("self-test"),
            Some("loss") => Some("loss"),
            _ => None,
        };
        Self { gpu: engine.as_deref() == Some("gpu"), cpu: engine.as_deref() == Some("cpu"), fault }
    }
}

/// The GPU worker and its state.
pub(crate) struct GpuLink {
    status: RwSignal<GpuStatus>,
    options: GpuOptions,
    gpu_name: RefCell<String>,
    client: RefCell<Option<EngineClient>>,
    timeout: RefCell<Option<Timeout>>,
    is_tried: Cell<bool>,
    cpu: Rc<EngineChannel>,
}

impl GpuLink {
    /// A link in phase `Untried` to the CPU engine on channel `cpu`; it writes every change of phase to `status`.
    pub(crate) fn new(status: RwSignal<GpuStatus>, cpu: Rc<EngineChannel>) -> Rc<Self> {
        Rc::new(Self {
            status,
            options: GpuOptions::of_address(),
            gpu_name: RefCell::default(),
            client: RefCell::new(None),
            timeout: RefCell::new(None),
            is_tried: Cell::new(false),
            cpu,
        })
    }

    /// Called when the CPU engine is ready: tests the GPU the first time, reconnects it after a restart.
    pub(crate) fn on_cpu_ready(self: &Rc<Self>) {
        if self.phase() == GpuPhase::Active {
            self.connect();
        }
        if !self.is_tried.replace(true) {
            let link = self.clone();
            spawn_local(async move { link.find_and_test().await });
        }
    }

    /// Called when the GPU worker stopped or did not reply.
    pub(crate) fn on_lost(&self, why: &str) {
        self.stop(GpuPhase::Lost, self.describe(format!("stopped ({why}). The CPU took over; no result was lost.")));
    }

    fn phase(&self) -> GpuPhase {
        self.status.get_untracked().0
    }

    fn describe(&self, state: String) -> String {
        format!("The GPU ({}) {state}", self.gpu_name.borrow())
    }

    async fn find_and_test(self: Rc<Self>) {
        if self.options.cpu {
            return self.status.set((
                GpuPhase::Absent,
                "The CPU computes everything, as the page address requests (?engine=cpu).".into(),
            ));
        }
        let gpu_info = match find_gpu().await {
            Ok(gpu_info) if gpu_info.is_software && !self.options.gpu => {
                Err("This browser emulates WebGPU in software, so the CPU computes everything.".into())
            }
            result => result,
        };
        match gpu_info {
            Ok(gpu_info) => self.test(gpu_info.name),
            Err(why) => self.status.set((GpuPhase::Absent, why)),
        }
    }

    fn test(self: &Rc<Self>, gpu_name: String) {
        self.gpu_name.replace(gpu_name);
        self.status.set((GpuPhase::Testing, self.describe("is being tested.".into())));
        let on_event = {
            let link = self.clone();
            move |event| {
                if let Event::Worker(WorkerEvent::GpuTested { times }) = event {
                    let link = link.clone();
                    // Deferred: `on_test_result` may drop the client, which is still on the stack.
                    Timeout::new(0, move || link.on_test_result(times)).forget();
                }
            }
        };
        let on_crash = {
            let link = self.clone();
            move |why: String| {
                let link = link.clone();
                Timeout::new(0, move || link.on_crash(&why)).forget();
            }
        };
        let link = self.clone();
        let on_timeout = move || link.on_crash(&format!("no reply for {}\u{2009}s", TEST_TIMEOUT_MS / 1000));
        self.timeout.replace(Some(Timeout::new(TEST_TIMEOUT_MS, on_timeout)));
        // The GPU engine reads the fault from the address of its script.
        let fault = self.options.fault.map_or(String::new(), |fault| format!("&fault={fault}"));
        let client = EngineClient::spawn(&format!("{WORKER_URL}{fault}"), on_event, on_crash);
        let sent = client.and_then(|client| {
            client.send(&Request::Worker(WorkerRequest::TestGpu), &[])?;
            Ok(client)
        });
        match sent {
            Ok(client) => drop(self.client.replace(Some(client))),
            Err(why) => self.on_crash(&why),
        }
    }

    fn on_test_result(&self, times: Result<BatchTimes, String>) {
        if self.phase() != GpuPhase::Testing {
            return;
        }
        let times = match times {
            Ok(times) => times,
            Err(why) => return self.fail(&why),
        };
        let BatchTimes { gpu_ms, cpu_ms } = times;
        let is_faster = gpu_ms < cpu_ms;
        if !is_faster && !self.options.gpu {
            let state = format!(
                "passed its test, but the CPU is faster for this model ({cpu_ms:.1}\u{2009}ms against {gpu_ms:.1}\u{2009}ms per batch)."
            );
            return self.stop(GpuPhase::Slower, self.describe(state));
        }
        let reason = if is_faster { "" } else { " and is selected in the page address" };
        let state = format!(
            "passed its test{reason}: it computes full batches in {gpu_ms:.1}\u{2009}ms, against {cpu_ms:.1}\u{2009}ms on the CPU."
        );
        self.timeout.take();
        self.status.set((GpuPhase::Active, self.describe(state)));
        self.connect();
    }

    fn on_crash(&self, why: &str) {
        match self.phase() {
            GpuPhase::Testing => self.fail(why),
            GpuPhase::Active => {
                self.cpu.send(&Request::Worker(WorkerRequest::DisconnectGpu), &[]);
                self.on_lost(why);
            }
            _ => {}
        }
    }

    fn fail(&self, why: &str) {
        self.stop(GpuPhase::Failed, self.describe(format!("is not used: {why}. The CPU computes everything.")));
    }

    /// Stops the GPU worker and sets the phase and its description.
    fn stop(&self, phase: GpuPhase, why: String) {
        self.timeout.take();
        self.client.take();
        self.status.set((phase, why));
    }

    /// Connects the two engines with a message channel.
    fn connect(&self) {
        let connected = MessageChannel::new().map_err(|e| format!("{e:?}")).and_then(|channel| {
            let client = self.client.borrow();
            let Some(client) = client.as_ref() else { return Ok(()) };
            client.send(&Request::Worker(WorkerRequest::ServeGpu), &[channel.port1().into()])?;
            self.cpu.send(&Request::Worker(WorkerRequest::ConnectGpu), &[channel.port2().into()]);
            Ok(())
        });
        if let Err(why) = connected {
            self.on_crash(&why);
        }
    }
}

/// A GPU (a graphics adapter in WebGPU), as described by the browser.
struct GpuInfo {
    name: String,
    is_software: bool,
}

/// Requests a GPU from the browser; the error states what is missing.
///
/// Uses `Reflect`, because WebGPU in web-sys needs a compiler flag.
async fn find_gpu() -> Result<GpuInfo, String> {
    let get = |object: &JsValue, name: &str| {
        Reflect::get(object, &name.into()).ok().filter(|v| !v.is_undefined() && !v.is_null())
    };
    let window = web_sys::window().map(JsValue::from).unwrap_or_default();
    let gpu = get(&window, "navigator").and_then(|n| get(&n, "gpu")).ok_or("This browser has no WebGPU.")?;
    let none = || "WebGPU found no graphics processor.".to_owned();
    let request: Function = get(&gpu, "requestAdapter").and_then(|f| f.dyn_into().ok()).ok_or_else(none)?;
    let promise: Promise = request.call0(&gpu).ok().and_then(|p| p.dyn_into().ok()).ok_or_else(none)?;
    let adapter = JsFuture::from(promise).await.ok().filter(|a| !a.is_null()).ok_or_else(none)?;
    let info = get(&adapter, "info").unwrap_or_default();
    let text = |name: &str| get(&info, name).and_then(|v| v.as_string()).filter(|text| !text.is_empty());
    let parts: Vec<String> = [text("vendor"), text("architecture")].into_iter().flatten().collect();
    let name = text("description").unwrap_or_else(|| parts.join(" "));
    // Older browsers set this property on the adapter itself.
    let is_software = [&info, &adapter]
        .into_iter()
        .any(|object| get(object, "isFallbackAdapter").and_then(|v| v.as_bool()).unwrap_or(false));
    Ok(GpuInfo { name: if name.is_empty() { "unnamed".into() } else { name }, is_software })
}
