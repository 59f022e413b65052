//! The engine in a worker of a browser: receives commands as messages and posts replies, one after the other.

use std::rc::Rc;

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use gloo::events::EventListener;
use js_sys::{Reflect, SharedArrayBuffer};
use specola::nn::token_parallel::TokenHalf;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use crate::protocol::Engine;
use crate::shared_memory_channel::SharedMemoryChannel;

/// Runs the commands of incoming messages. Posts `{}` when it is ready.
pub fn start() {
    #[cfg(feature = "gpu")]
    specola::engine::wasm_ctors::run();
    std::panic::set_hook(Box::new(|info| post(&format!("{{\"error\":{:?}}}", info.to_string()))));
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let (send, commands) = unbounded();
    EventListener::new(&scope, "message", move |event| {
        let _ = send.unbounded_send(event.unchecked_ref::<MessageEvent>().data());
    })
    .forget();
    spawn_local(run_all(commands));
    post("{}");
}

async fn run_all(mut commands: UnboundedReceiver<JsValue>) {
    let mut engine = Engine::default();
    let clock = js_sys::global().unchecked_into::<DedicatedWorkerGlobalScope>().performance();
    while let Ok(command) = commands.recv().await {
        let Some(command) = command.as_string() else {
            engine.half = half(&command);
            continue;
        };
        let now_ms = || clock.as_ref().map_or(0.0, |clock| clock.now());
        post(&engine.reply(&command, now_ms).await);
    }
}

/// Half of a token-parallel forward pass, from a message `{memory, isFirst}`.
fn half(message: &JsValue) -> Option<TokenHalf> {
    let field = |name: &str| Reflect::get(message, &name.into()).ok();
    let is_first = field("isFirst")?.as_bool()?;
    let memory: SharedArrayBuffer = field("memory")?.dyn_into().ok()?;
    Some(TokenHalf { is_first, partner: Rc::new(SharedMemoryChannel::new(&memory, is_first)) })
}

fn post(message: &str) {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let _ = scope.post_message(&message.into());
}
