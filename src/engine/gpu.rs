//! The GPU engine: tests the browser's GPU and runs full batches of the default model's networks on it. The batches
//! come from the session in the CPU engine's worker (`gpu_client`).
//!
//! The code must not block on WebGPU, and after a panic a promise never settles. So the page and the CPU engine wait
//! with a time limit. All batches have the same size, so every GPU program is compiled once, in the self-test.
//!
//! To test the fall-back, the worker's address can request a fault: `&fault=self-test` or `&fault=loss`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use burn::tensor::Device;
use gloo::events::EventListener;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::{MessageEvent, MessagePort, Url};

use super::gpu_client::Reply;
use super::port_link::send;
use super::protocol::{BatchTimes, Request, WorkerEvent, WorkerRequest};
use super::scope::{listen, port_of, post, report_crashes, report_fatal, scope};
use super::session::MAX_BATCH;
use super::{codec, downloads};
use crate::preprocess::grid::MODEL_PIXELS;
use crate::task::predict::{Batch, Network, Predictor};
use crate::task::self_test::{agree, compare, compute, test_values};

/// Number of timed runs of a batch. The shortest time counts.
const TRIALS: u32 = 5;

/// Total time after which no further run is timed, ms.
const MAX_TRIAL_TIME_MS: f64 = 1000.0;

/// Fault to inject in tests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The expected numbers of the self-test are wrong.
    SelfTest,
    /// The device is destroyed during a batch.
    Loss,
}

impl Fault {
    /// The fault that the address of this worker's script requests.
    fn requested() -> Option<Self> {
        let script = js_sys::Reflect::get(&scope(), &"scriptUrl".into()).ok()?.as_string()?;
        match Url::new(&script).ok()?.search_params().get("fault")?.as_str() {
            "self-test" => Some(Self::SelfTest),
            "loss" => Some(Self::Loss),
            _ => None,
        }
    }
}

/// A tested GPU.
struct Gpu {
    predictor: Predictor,
    /// Destroys the device.
    destroy: Box<dyn Fn()>,
    /// Batches left before the injected loss of the device; `None` without one.
    batches_until_loss: Cell<Option<u32>>,
}

/// Starts the GPU engine in the current worker and returns at once.
pub fn start() {
    #[cfg(target_family = "wasm")]
    super::wasm_ctors::run();
    report_crashes();
    let gpu: Rc<RefCell<Option<Rc<Gpu>>>> = Rc::default();
    listen(move |request, attachments| match request {
        Request::Worker(WorkerRequest::TestGpu) => {
            let gpu = gpu.clone();
            spawn_local(async move {
                let times = match test(Fault::requested()).await {
                    Ok((tested, times)) => {
                        gpu.replace(Some(Rc::new(tested)));
                        Ok(times)
                    }
                    Err(why) => Err(why),
                };
                post(WorkerEvent::GpuTested { times });
            });
        }
        Request::Worker(WorkerRequest::ServeGpu) => {
            if let (Some(gpu), Some(port)) = (gpu.borrow().clone(), port_of(attachments)) {
                serve(gpu, port);
            }
        }
        _ => {}
    });
    // The page sends nothing before the first event.
    post(WorkerEvent::Loading { item: "the GPU engine".into(), done: 0, total: 0 });
}

/// Compares the GPU with the CPU: small computations, then a timed batch through the default model's networks.
async fn test(fault: Option<Fault>) -> Result<(Gpu, BatchTimes), String> {
    let (device, setup) =
        Device::wgpu_options().init_with_setup_async().await.map_err(|e| format!("it cannot be opened: {e}"))?;
    // burn's CPU backend.
    let cpu = Device::flex();
    let mut expected = compute(&cpu).await?;
    if fault == Some(Fault::SelfTest) {
        expected.iter_mut().flat_map(|(_, numbers)| numbers).for_each(|v| *v += 1.0);
    }
    compare(&compute(&device).await?, &expected)?;

    let model = downloads::model(None, |_, _, _| {}).await.map_err(|e| e.to_string())?;
    let predictor = |device| model.predictor(device).map_err(|e| e.to_string());
    let (on_gpu, on_cpu) = (predictor(&device)?, predictor(&cpu)?);
    let mut times = BatchTimes { gpu_ms: 0.0, cpu_ms: 0.0 };
    for network in [Network::Rv, Network::Labels] {
        let batch = Batch { network, rows: MAX_BATCH, inputs: test_values(9, MAX_BATCH * MODEL_PIXELS) };
        let (gpu_outputs, gpu_ms) = timed(&on_gpu, &batch).await?;
        let (cpu_outputs, cpu_ms) = timed(&on_cpu, &batch).await?;
        agree("the model's network", &gpu_outputs, &cpu_outputs)?;
        times.gpu_ms += gpu_ms;
        times.cpu_ms += cpu_ms;
    }
    let gpu = Gpu {
        predictor: on_gpu,
        destroy: Box::new(move || setup.device.destroy()),
        batches_until_loss: Cell::new((fault == Some(Fault::Loss)).then_some(1)),
    };
    Ok((gpu, times))
}

/// Outputs of a network, and its shortest time of a run, ms. The first run is not timed.
async fn timed(predictor: &Predictor, batch: &Batch) -> Result<(Vec<f32>, f64), String> {
    let run = || async { predictor.run(batch.clone()).await.ok_or("it returned no outputs of the model's networks") };
    let outputs = run().await?;
    let (trials_start, mut best) = (now_ms(), f64::INFINITY);
    for _ in 0..TRIALS {
        let start = now_ms();
        run().await?;
        best = best.min(now_ms() - start);
        if now_ms() - trials_start > MAX_TRIAL_TIME_MS {
            break;
        }
    }
    Ok((outputs, best))
}

fn now_ms() -> f64 {
    scope().performance().map_or(0.0, |clock| clock.now())
}

/// Runs the batches that arrive at a port. The listener lives as long as the worker.
fn serve(gpu: Rc<Gpu>, port: MessagePort) {
    let reply_port = port.clone();
    EventListener::new(&port, "message", move |event| {
        let data = event.unchecked_ref::<MessageEvent>().data();
        let (gpu, reply_port) = (gpu.clone(), reply_port.clone());
        spawn_local(async move {
            let reply: Reply = match codec::unpack::<Batch>(&data) {
                Ok((batch, _)) => run(&gpu, batch).await,
                Err(why) => Err(why),
            };
            if let Err(why) = send(&reply_port, &reply) {
                report_fatal(&why);
            }
        });
    })
    .forget();
    port.start();
}

/// Runs a batch padded to full size, and returns the outputs of its own rows.
async fn run(gpu: &Gpu, mut batch: Batch) -> Reply {
    match gpu.batches_until_loss.get() {
        Some(0) => (gpu.destroy)(),
        remaining => gpu.batches_until_loss.set(remaining.map(|n| n - 1)),
    }
    let rows = batch.rows;
    batch.rows = MAX_BATCH;
    batch.inputs.resize(MAX_BATCH * MODEL_PIXELS, 0.0);
    let mut outputs = gpu.predictor.run(batch).await.ok_or("the GPU returned no result")?;
    outputs.truncate(outputs.len() / MAX_BATCH * rows);
    Ok(outputs)
}
