//! The engine on the page: its state, its model, and the requests to it.

use std::rc::Rc;

use leptos::prelude::*;

use super::notice::Notice;
use crate::engine::protocol::{Request, WorkerEvent};
use crate::result::ModelCard;
use crate::ui::engine_link::gpu::{GpuPhase, GpuStatus};
use crate::ui::engine_link::{EngineChannel, EngineLink, EngineStatus, Handlers, LinkSignals};
use crate::ui::row::RowKey;

/// Signals of the engine, and the link to it.
#[derive(Clone, Copy)]
pub(crate) struct Engine {
    /// State of the engine.
    pub status: RwSignal<EngineStatus>,
    /// State of the GPU engine.
    pub gpu: RwSignal<GpuStatus>,
    /// Card of the model that predicts.
    pub model: RwSignal<Option<ModelCard>>,
    /// Card of the model for Gaia XP spectra, once it is loaded.
    pub xp_model: RwSignal<Option<ModelCard>>,
    /// Time for which the engine has sent nothing although it has work, s.
    pub silent_s: RwSignal<Option<u32>>,
    /// During the download of that model: bytes received and bytes in total.
    pub xp_loading: RwSignal<Option<(u64, u64)>>,
    notice: Notice,
    pending_clears: StoredValue<u32>,
    channel: StoredValue<Rc<EngineChannel>, LocalStorage>,
    link: StoredValue<Option<Rc<EngineLink>>, LocalStorage>,
}

impl Engine {
    /// An engine that is not started.
    pub(crate) fn new(notice: Notice) -> Self {
        Self {
            status: RwSignal::new(EngineStatus::Starting),
            gpu: RwSignal::new((GpuPhase::Untried, String::new())),
            model: RwSignal::new(None),
            xp_model: RwSignal::new(None),
            silent_s: RwSignal::new(None),
            xp_loading: RwSignal::new(None),
            notice,
            pending_clears: StoredValue::new(0),
            channel: StoredValue::new_local(Rc::new(EngineChannel::new(notice.text()))),
            link: StoredValue::new_local(None),
        }
    }

    /// Starts the engine. `handlers` receive its events and its crashes.
    pub(crate) fn start(&self, handlers: Handlers) {
        let signals = LinkSignals {
            status: self.status,
            gpu: self.gpu,
            notice: self.notice.text(),
            pending_clears: self.pending_clears,
            silent_s: self.silent_s,
        };
        self.link.set_value(Some(EngineLink::start(self.channel(), signals, handlers)));
    }

    /// Starts a new engine after the last engine has stopped.
    pub(crate) fn restart(&self) {
        self.notice.clear();
        if let Some(link) = self.link.get_value() {
            link.restart();
        }
    }

    /// Stops an engine that has been silent and starts a new one.
    pub(crate) fn stop_silent(&self) {
        if let Some(link) = self.link.get_value() {
            link.stop_silent();
        }
    }

    /// The channel to the engine.
    pub(crate) fn channel(&self) -> Rc<EngineChannel> {
        self.channel.get_value()
    }

    /// Sends a request with its files.
    pub(crate) fn send(&self, request: impl Into<Request>, files: Vec<web_sys::File>) {
        let files: Vec<_> = files.into_iter().map(Into::into).collect();
        self.channel().send(&request.into(), &files);
    }

    /// Number of engines that were started before this one.
    pub(crate) fn generation(&self) -> u32 {
        self.link.with_value(|link| link.as_ref().map_or(0, |link| link.generation()))
    }

    /// True while the engine that read this spectrum runs.
    pub(crate) fn is_current(&self, key: RowKey) -> bool {
        key.generation == self.generation()
    }

    /// Counts a `Clear` request. Until the engine confirms it, events about spectra concern removed spectra.
    pub(crate) fn expect_clear(&self) {
        if self.link.with_value(Option::is_some) {
            self.pending_clears.update_value(|n| *n += 1);
        }
    }

    /// Applies the confirmation of a `Clear` request.
    pub(crate) fn confirm_clear(&self) {
        self.pending_clears.update_value(|n| *n = n.saturating_sub(1));
    }

    /// True while the engine has not confirmed every `Clear` request.
    pub(crate) fn is_clearing(&self) -> bool {
        self.pending_clears.get_value() > 0
    }

    /// Applies an event about the start of the engine.
    pub(crate) fn apply(&self, event: WorkerEvent) {
        match event {
            WorkerEvent::Loading { item, done, total } => {
                self.status.set(EngineStatus::Loading { name: item, done, total });
            }
            WorkerEvent::Ready { backend, model } => {
                self.model.set(Some(*model));
                self.status.set(EngineStatus::Ready(backend));
            }
            WorkerEvent::Unavailable { reason } => self.status.set(EngineStatus::Unavailable(reason)),
            // `EngineLink` handles these events.
            WorkerEvent::GpuTested { .. } | WorkerEvent::GpuLost { .. } => {}
        }
    }
}
