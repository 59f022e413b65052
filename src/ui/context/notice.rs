//! The message to the user at the top of the page.

use leptos::prelude::*;

/// A message for the user, for example about the engine; `None` for no message.
#[derive(Clone, Copy)]
pub(crate) struct Notice(RwSignal<Option<String>>);

impl Notice {
    /// No message.
    pub(crate) fn new() -> Self {
        Self(RwSignal::new(None))
    }

    /// The signal of the message.
    pub(crate) fn text(&self) -> RwSignal<Option<String>> {
        self.0
    }

    /// Shows a message in place of the previous one.
    pub(crate) fn show(&self, text: String) {
        self.0.set(Some(text));
    }

    /// Removes the message.
    pub(crate) fn clear(&self) {
        self.0.set(None);
    }
}
