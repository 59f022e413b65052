//! In a worker: a message in, a message out, one after the other.

use std::rc::Rc;

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use gloo::events::EventListener;
use js_sys::{Reflect, SharedArrayBuffer};
use specola::engine::mailbox::Mailbox;
use specola::nn::half::Half;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use crate::talk::Engine;

/// Answers what is posted, and posts once when it listens.
pub fn start() {
    #[cfg(feature = "gpu")]
    specola::engine::constructors::run();
    std::panic::set_hook(Box::new(|info| say(&format!("{{\"error\":{:?}}}", info.to_string()))));
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let (send, questions) = unbounded();
    EventListener::new(&scope, "message", move |event| {
        let _ = send.unbounded_send(event.unchecked_ref::<MessageEvent>().data());
    })
    .forget();
    spawn_local(answer_all(questions));
    say("{}");
}

async fn answer_all(mut questions: UnboundedReceiver<JsValue>) {
    let mut engine = Engine::default();
    let clock = js_sys::global().unchecked_into::<DedicatedWorkerGlobalScope>().performance();
    while let Ok(question) = questions.recv().await {
        let Some(question) = question.as_string() else {
            engine.half = half(&question);
            continue;
        };
        let now_ms = || clock.as_ref().map_or(0.0, |clock| clock.now());
        say(&engine.answer(&question, now_ms).await);
    }
}

/// What is no question says which half of a pass is computed here: `{memory, isFirst}`.
fn half(message: &JsValue) -> Option<Half> {
    let part = |name: &str| Reflect::get(message, &name.into()).ok();
    let is_first = part("isFirst")?.as_bool()?;
    let memory: SharedArrayBuffer = part("memory")?.dyn_into().ok()?;
    Some(Half { is_first, partner: Rc::new(Mailbox::new(&memory, is_first)) })
}

fn say(what: &str) {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let _ = scope.post_message(&what.into());
}
