//! The GPU engine: tests the browser's GPU, and runs full batches of the default model's networks on it for the session
//! in the CPU engine's worker (`helper.rs`).
//!
//! Nothing may block on WebGPU, and after a panic a promise never settles: the page and the CPU engine wait with a watch
//! in their hand. Batches have one size, so that every program for the GPU is compiled once, in the self-test.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use burn::tensor::Device;
use gloo::events::EventListener;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::{MessageEvent, MessagePort};

use super::helper::Reply;
use super::session::MAX_BATCH;
use super::wire;
use super::worker::{fetch, last_words, listen, port_of, post, report_crashes, scope};
use super::{BatchTimes, Event, Fault, Request};
use crate::preprocess::grid::MODEL_PIXELS;
use crate::task::predict::{Batch, Network, Predictor};
use crate::task::self_test::{agree, compare, compute, ripple};

/// How often a batch is timed, the fastest counts; and the time after which it is enough, ms.
const TRIALS: u32 = 5;
const ENOUGH_MS: f64 = 1000.0;

/// A tested GPU.
struct Gpu {
    predictor: Predictor,
    /// Ends the device.
    destroy: Box<dyn Fn()>,
    /// Batches that may still be answered before the device is lost on purpose; `None`: all.
    batches_until_loss: Cell<Option<u32>>,
}

/// Starts the engine in the worker that this is called in, and returns at once.
pub fn start() {
    #[cfg(target_family = "wasm")]
    super::constructors::run();
    report_crashes();
    let gpu: Rc<RefCell<Option<Rc<Gpu>>>> = Rc::default();
    listen(move |request, attachments| match request {
        Request::TestGpu { fault } => {
            let gpu = gpu.clone();
            spawn_local(async move {
                let times = match test(fault).await {
                    Ok((tested, times)) => {
                        gpu.replace(Some(Rc::new(tested)));
                        Ok(times)
                    }
                    Err(why) => Err(why),
                };
                post(&Event::GpuTested { times });
            });
        }
        Request::Assist => {
            if let (Some(gpu), Some(port)) = (gpu.borrow().clone(), port_of(attachments)) {
                assist(gpu, port);
            }
        }
        _ => {}
    });
    // The first word: from here on the page may send.
    post(&Event::Loading { what: "the GPU engine".into(), done: 0, total: 0 });
}

/// Compares the GPU with the CPU: small computations, then a batch through the default model's networks, which is timed.
async fn test(fault: Option<Fault>) -> Result<(Gpu, BatchTimes), String> {
    let (device, setup) =
        Device::wgpu_options().init_with_setup_async().await.map_err(|e| format!("it cannot be opened: {e}"))?;
    let flex = Device::flex();
    let mut want = compute(&flex).await?;
    if fault == Some(Fault::SelfTest) {
        want.iter_mut().flat_map(|(_, numbers)| numbers).for_each(|v| *v += 1.0);
    }
    compare(&compute(&device).await?, &want)?;

    let (_, entry, weights) = fetch(None, |_, _, _| {}).await?;
    let predictor = |device| Predictor::new(&entry, &weights, device).map_err(|e| e.to_string());
    let (on_gpu, on_cpu) = (predictor(&device)?, predictor(&flex)?);
    let mut times = BatchTimes { gpu_ms: 0.0, cpu_ms: 0.0 };
    for network in [Network::Rv, Network::Labels] {
        let batch = Batch { network, rows: MAX_BATCH, inputs: ripple(9, MAX_BATCH * MODEL_PIXELS) };
        let (got, gpu_ms) = timed(&on_gpu, &batch).await?;
        let (want, cpu_ms) = timed(&on_cpu, &batch).await?;
        agree("the model's network", &got, &want)?;
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

/// A network's outputs, and how long they take once everything is warm.
async fn timed(predictor: &Predictor, batch: &Batch) -> Result<(Vec<f32>, f64), String> {
    let run = || async { predictor.run(batch.clone()).await.ok_or("it gave no numbers for the model's network") };
    let outputs = run().await?;
    let (begun, mut best) = (now_ms(), f64::INFINITY);
    for _ in 0..TRIALS {
        let start = now_ms();
        run().await?;
        best = best.min(now_ms() - start);
        if now_ms() - begun > ENOUGH_MS {
            break;
        }
    }
    Ok((outputs, best))
}

fn now_ms() -> f64 {
    scope().performance().map_or(0.0, |clock| clock.now())
}

/// Answers the batches that come through a port, until the worker ends.
fn assist(gpu: Rc<Gpu>, port: MessagePort) {
    let to = port.clone();
    EventListener::new(&port, "message", move |event| {
        let data = event.unchecked_ref::<MessageEvent>().data();
        let (gpu, to) = (gpu.clone(), to.clone());
        spawn_local(async move {
            let reply: Reply = match wire::unpack::<Batch>(&data) {
                Ok((batch, _)) => answer(&gpu, batch).await,
                Err(why) => Err(why),
            };
            let posted = wire::pack(&reply, []).and_then(|(message, transfer)| {
                to.post_message_with_transferable(&message, &transfer).map_err(|e| wire::text_of(&e))
            });
            if let Err(why) = posted {
                last_words(&why);
            }
        });
    })
    .forget();
    port.start();
}

/// Runs a batch at full size and gives the outputs of its own rows.
async fn answer(gpu: &Gpu, mut batch: Batch) -> Reply {
    match gpu.batches_until_loss.get() {
        Some(0) => (gpu.destroy)(),
        left => gpu.batches_until_loss.set(left.map(|n| n - 1)),
    }
    let rows = batch.rows;
    batch.rows = MAX_BATCH;
    batch.inputs.resize(MAX_BATCH * MODEL_PIXELS, 0.0);
    let mut outputs = gpu.predictor.run(batch).await.ok_or("the GPU gave nothing back")?;
    outputs.truncate(outputs.len() / MAX_BATCH * rows);
    Ok(outputs)
}
