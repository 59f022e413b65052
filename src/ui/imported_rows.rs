//! Rows imported from a link or a session file: shown with the stored results, without the spectrum file or the engine.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use leptos::{ev, prelude::*};

use super::format;
use super::state::{PredictionStatus, RowKey, SkippedItem, State};
use crate::result::SpectrumView;
use crate::share::link::{self, SharedResult};
use crate::share::session::Session;
use crate::share::{self, ModelRef, models_of};

/// Generation of imported rows, which no engine has read.
pub const IMPORTED_GENERATION: u32 = u32::MAX;

/// Name of the origin of rows from the page address.
const LINK_ORIGIN: &str = "a link";

/// Where the curves of an imported row are stored.
#[derive(Clone)]
pub enum StoredCurves {
    /// In memory.
    InMemory(Arc<SpectrumView>),
    /// In a session file, under the index of its record.
    InFile(Rc<RefCell<Session>>, usize),
}

impl StoredCurves {
    /// The curves, or the reason why they are missing.
    pub fn get(&self) -> Result<Arc<SpectrumView>, String> {
        match self {
            StoredCurves::InMemory(view) if view.model_flux.is_empty() => {
                Err("The link does not contain the curves of this spectrum. Ask its author for a session file.".into())
            }
            StoredCurves::InMemory(view) => Ok(view.clone()),
            StoredCurves::InFile(session, result) => match session.borrow_mut().curves(*result) {
                Ok(Some(view)) => Ok(Arc::new(view)),
                Ok(None) => Err("The session file does not contain the curves of this spectrum.".into()),
                Err(why) => Err(why.to_string()),
            },
        }
    }
}

/// Origin of a group of imported rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    source: &'static str,
    rows: usize,
    models: Vec<ModelRef>,
}

/// Curves and origins of the imported rows.
#[derive(Clone, Copy)]
pub struct ImportedRows {
    curves: StoredValue<BTreeMap<RowKey, StoredCurves>, LocalStorage>,
    origins: RwSignal<Vec<Origin>>,
}

impl ImportedRows {
    /// No imported rows.
    pub fn new() -> Self {
        Self { curves: StoredValue::new_local(BTreeMap::new()), origins: RwSignal::new(Vec::new()) }
    }

    /// Stored curves of a row, if it is an imported one.
    pub fn curves(&self, key: RowKey) -> Option<StoredCurves> {
        self.curves.with_value(|curves| curves.get(&key).cloned())
    }

    /// Removes all imported rows.
    pub fn clear(&self) {
        self.curves.update_value(BTreeMap::clear);
        self.origins.update(Vec::clear);
    }
}

impl State {
    /// Shows the results in a link.
    fn show_link(&self, shared: Vec<SharedResult>) {
        let records = shared.iter().map(|s| s.record.clone()).collect();
        let curves = shared.iter().map(|s| StoredCurves::InMemory(Arc::new(s.view()))).collect();
        self.import_rows(LINK_ORIGIN, records, curves, None);
    }

    /// Shows the results in a session file.
    pub fn show_session(&self, mut session: Session) {
        match session.adapter() {
            Ok(Some((sha256, file))) => self.reapply_adapter(sha256, &file),
            Ok(None) => {}
            Err(why) => self.skip("The session's adapter", why.to_string()),
        }
        let contents = session.contents.clone();
        let session = Rc::new(RefCell::new(session));
        let curves = (0..contents.records.len()).map(|i| StoredCurves::InFile(session.clone(), i)).collect();
        self.skipped.update(|list| {
            list.extend(contents.skipped.into_iter().map(|(source, reason)| SkippedItem { source, reason }))
        });
        self.import_rows("a session file", contents.records, curves, contents.selected);
    }

    fn import_rows(
        &self,
        source: &'static str,
        records: Vec<share::Record>,
        curves: Vec<StoredCurves>,
        selected: Option<usize>,
    ) {
        let origin = Origin { source, rows: records.len(), models: models_of(&records) };
        self.imported.origins.update(|origins| origins.push(origin));
        let first = self.imported.curves.with_value(|curves| curves.len() as u32);
        for (i, (record, curves)) in records.into_iter().zip(curves).enumerate() {
            let key = RowKey { generation: IMPORTED_GENERATION, id: first + i as u32 };
            self.imported.curves.update_value(|stored| drop(stored.insert(key, curves)));
            let status = match record.outcome {
                share::Outcome::Predicted(prediction) => PredictionStatus::Predicted(Arc::new(prediction)),
                share::Outcome::Refused(why) => PredictionStatus::Refused(why),
                share::Outcome::Pending => PredictionStatus::Lost,
            };
            self.add_row(key, record.summary, status);
        }
        if let Some(selected) = selected {
            self.select(RowKey { generation: IMPORTED_GENERATION, id: first + selected as u32 });
        }
    }
}

/// Shows the results in the fragment of the page address, now and whenever it changes.
pub fn listen(state: State) {
    open_fragment(state);
    let listener = window_event_listener(ev::hashchange, move |_| open_fragment(state));
    on_cleanup(move || listener.remove());
}

fn open_fragment(state: State) {
    let fragment = window().location().hash().unwrap_or_default();
    let fragment = fragment.trim_start_matches('#');
    // Anchors of the page are not links to results.
    if fragment.is_empty() || fragment == "not-used" || document().get_element_by_id(fragment).is_some() {
        return;
    }
    match link::decode(fragment) {
        Ok(shared) => state.show_link(shared),
        Err(why) => state.notice.set(Some(format!("The results in the page address could not be read: {why}."))),
    }
}

/// Notices that name the origin and model of imported rows, and state whether the current model is another version.
#[component]
pub fn Origins() -> impl IntoView {
    let state = expect_context::<State>();
    let lines = move || {
        let current_model = state.model.get();
        let line = move |origin: Origin| {
            let by = if origin.models.is_empty() {
                String::new()
            } else {
                let name = |m: &ModelRef| format!("{} ({})", m.title, m.sha256.chars().take(8).collect::<String>());
                format!(" They were computed with {}.", origin.models.iter().map(name).collect::<Vec<_>>().join(", "))
            };
            // Only models of the same name are compared: encoder pairs and fine-tuned models have names of their own.
            let name = |m: &ModelRef| m.title.rsplit_once(' ').map_or(m.title.clone(), |(name, _)| name.to_owned());
            let is_older =
                |m: &crate::result::ModelCard, then: &ModelRef| then.sha256 != m.sha256 && name(then) == m.name;
            let changed = current_model.as_ref().is_some_and(|m| origin.models.iter().any(|then| is_older(m, then)));
            view! {
                <div class="notice" data-testid="origin">
                    <p>
                        {format!("{} from {}, shown as saved.{by}", format::count(origin.rows, "result", "results"), origin.source)}
                        {(origin.source == LINK_ORIGIN).then_some(
                            " A link holds the table and the normalised spectra, some of them resampled to fewer pixels. It does not hold the original flux, the continuum or the preprocessing steps."
                        )}
                        {changed.then(|| format!(
                            " The current model is {}; it would give different values.",
                            current_model.as_ref().map_or(String::new(), |m| format!("{} {}", m.name, m.version)),
                        ))}
                    </p>
                </div>
            }
        };
        state.imported.origins.get().into_iter().map(line).collect_view()
    };
    view! { <div role="status">{lines}</div> }
}
