//! Diagnostics of the selected spectrum: the synthetic spectrum at the predicted labels, and the sensitivity of a label
//! to the flux. The page requests them for one spectrum at a time, and only while they are shown.

use std::sync::Arc;

use leptos::prelude::*;

use super::engine::Engine;
use super::rows::Rows;
use crate::engine::protocol::{DiagnosticsEvent, DiagnosticsRequest};
use crate::result::diagnostics::{ModelFit, PosteriorDraws, Saliency};
use crate::ui::row::RowKey;

/// A result for one row, or the reason why there is none.
type RowResult<T> = RwSignal<Option<(RowKey, Result<Arc<T>, String>)>>;

/// The user's choices, which stay when another row is selected, and the results for one row.
#[derive(Clone, Copy)]
pub(crate) struct Diagnostics {
    /// True while the synthetic spectrum is shown.
    pub shows_fit: RwSignal<bool>,
    /// FWHM by which the drawn data are smoothed, pixels; 0 for no smoothing.
    pub smoothing: RwSignal<u32>,
    /// True while a magnifier follows the pointer.
    pub magnifies: RwSignal<bool>,
    /// Column name of the label whose sensitivity is shown; empty for none.
    pub target: RwSignal<String>,
    /// Bytes received and in total during the download of the emulator; `None` at other times.
    pub loading: RwSignal<Option<(u64, u64)>>,
    fit: RowResult<ModelFit>,
    saliency: RowResult<Saliency>,
    posterior: RowResult<PosteriorDraws>,
    /// True while the joint density of a Gaia XP spectrum is shown.
    pub shows_posterior: RwSignal<bool>,
    engine: Engine,
    rows: Rows,
}

impl Diagnostics {
    /// Nothing is shown.
    pub(crate) fn new(engine: Engine, rows: Rows) -> Self {
        Self {
            shows_fit: RwSignal::new(false),
            smoothing: RwSignal::new(0),
            magnifies: RwSignal::new(false),
            target: RwSignal::new(String::new()),
            loading: RwSignal::new(None),
            fit: RwSignal::new(None),
            saliency: RwSignal::new(None),
            posterior: RwSignal::new(None),
            shows_posterior: RwSignal::new(false),
            engine,
            rows,
        }
    }

    /// The synthetic spectrum of a row, while it is shown.
    pub(crate) fn fit(&self, key: RowKey) -> Option<Result<Arc<ModelFit>, String>> {
        let fit = self.fit.with(|fit| fit.as_ref().filter(|(row, _)| *row == key).map(|(_, fit)| fit.clone()));
        fit.filter(|_| self.shows_fit.get())
    }

    /// The sensitivity of the chosen label of a row.
    pub(crate) fn saliency(&self, key: RowKey) -> Option<Result<Arc<Saliency>, String>> {
        let saliency = self.saliency.with(|s| s.as_ref().filter(|(row, _)| *row == key).map(|(_, s)| s.clone()))?;
        // The result for the previous label is not shown under the name of the next one.
        Some(saliency).filter(|s| s.as_ref().map_or(true, |s| self.target.with(|target| s.target == *target)))
    }

    /// The draws of a row from the joint density of its labels.
    pub(crate) fn posterior(&self, key: RowKey) -> Option<Result<Arc<PosteriorDraws>, String>> {
        self.posterior.with(|p| p.as_ref().filter(|(row, _)| *row == key).map(|(_, draws)| draws.clone()))
    }

    /// Requests the draws of a row, unless they are here.
    pub(crate) fn request_posterior(&self, key: RowKey) {
        let has_draws = self.posterior.with_untracked(|p| p.as_ref().is_some_and(|(row, d)| *row == key && d.is_ok()));
        if !has_draws && self.engine.is_current(key) {
            self.engine.send(DiagnosticsRequest::Posterior { spectrum: key.id }, Vec::new());
        }
    }

    /// Requests the diagnostics that are shown, for a row with a prediction.
    pub(crate) fn request(&self, key: RowKey) {
        let is_predicted =
            self.rows.get(key).is_some_and(|row| row.status.with_untracked(|status| status.prediction().is_some()));
        if !is_predicted || !self.engine.is_current(key) {
            return;
        }
        if self.shows_fit.get_untracked() {
            self.engine.send(DiagnosticsRequest::CheckFit { spectrum: key.id }, Vec::new());
        }
        let target = self.target.get_untracked();
        if !target.is_empty() {
            self.engine.send(DiagnosticsRequest::Saliency { spectrum: key.id, target }, Vec::new());
        }
    }

    /// Shows or hides the synthetic spectrum.
    pub(crate) fn toggle_fit(&self) {
        self.shows_fit.update(|shows| *shows = !*shows);
        if let Some(key) = self.rows.selected.get_untracked() {
            self.request(key);
        }
    }

    /// Removes the progress of the download after a crash of the engine.
    pub(crate) fn handle_engine_loss(&self) {
        self.loading.set(None);
    }

    /// Applies an event. `generation`: number of engines that were started before the engine that sent it.
    pub(crate) fn apply(&self, generation: u32, event: DiagnosticsEvent) {
        let key = |id| RowKey { generation, id };
        match event {
            DiagnosticsEvent::Loading { done, total } => self.loading.set((done < total).then_some((done, total))),
            DiagnosticsEvent::Fit { spectrum, fit } => {
                self.loading.set(None);
                self.fit.set(Some((key(spectrum), fit.map(|fit| Arc::new(*fit)))));
            }
            DiagnosticsEvent::Posterior { spectrum, draws } => {
                self.loading.set(None);
                self.posterior.set(Some((key(spectrum), draws.map(|draws| Arc::new(*draws)))));
            }
            DiagnosticsEvent::Saliency { spectrum, saliency } => {
                self.saliency.set(Some((key(spectrum), saliency.map(|s| Arc::new(*s)))));
            }
        }
    }
}
