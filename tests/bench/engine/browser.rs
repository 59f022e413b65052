//! In a worker: a message in, a message out, one after the other.

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use gloo::events::EventListener;
use wasm_bindgen::JsCast;
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
        if let Some(question) = event.unchecked_ref::<MessageEvent>().data().as_string() {
            let _ = send.unbounded_send(question);
        }
    })
    .forget();
    spawn_local(answer_all(questions));
    say("{}");
}

async fn answer_all(mut questions: UnboundedReceiver<String>) {
    let mut engine = Engine::default();
    let clock = js_sys::global().unchecked_into::<DedicatedWorkerGlobalScope>().performance();
    while let Ok(question) = questions.recv().await {
        let now_ms = || clock.as_ref().map_or(0.0, |clock| clock.now());
        say(&engine.answer(&question, now_ms).await);
    }
}

fn say(what: &str) {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let _ = scope.post_message(&what.into());
}
