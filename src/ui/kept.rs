//! Rows that came with their curves, by a link or a session file: shown as they were computed then, with no file and no
//! engine.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use leptos::{ev, prelude::*};

use super::format;
use super::state::{Answer, RowKey, Skipped, State};
use crate::result::SpectrumView;
use crate::share::link::{self, Shared};
use crate::share::session::Session;
use crate::share::{self, ModelRef, models_of};

/// The epoch of rows that no engine has read.
pub const KEPT_EPOCH: u32 = u32::MAX;

/// What brings the results in the page's address.
const A_LINK: &str = "a link";

/// Where the curves of a row are.
#[derive(Clone)]
pub enum KeptCurves {
    /// In memory.
    Here(Arc<SpectrumView>),
    /// In a session file, as one of its results.
    InFile(Rc<RefCell<Session>>, usize),
}

impl KeptCurves {
    /// The curves, or why there are none.
    pub fn get(&self) -> Result<Arc<SpectrumView>, String> {
        match self {
            KeptCurves::Here(view) if view.model_flux.is_empty() => {
                Err("The link was made without this spectrum; its maker has it.".into())
            }
            KeptCurves::Here(view) => Ok(view.clone()),
            KeptCurves::InFile(session, result) => match session.borrow_mut().curves(*result) {
                Ok(Some(view)) => Ok(Arc::new(view)),
                Ok(None) => Err("The session was saved without the curves of this spectrum.".into()),
                Err(why) => Err(why.to_string()),
            },
        }
    }
}

/// What brought rows that no engine has read.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    what: &'static str,
    rows: usize,
    models: Vec<ModelRef>,
}

/// The rows that came with their curves.
#[derive(Clone, Copy)]
pub struct Kept {
    curves: StoredValue<BTreeMap<RowKey, KeptCurves>, LocalStorage>,
    origins: RwSignal<Vec<Origin>>,
}

impl Kept {
    /// None yet.
    pub fn new() -> Self {
        Self { curves: StoredValue::new_local(BTreeMap::new()), origins: RwSignal::new(Vec::new()) }
    }

    /// Where the curves of a row are, if it came with them.
    pub fn curves(&self, key: RowKey) -> Option<KeptCurves> {
        self.curves.with_value(|curves| curves.get(&key).cloned())
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.curves.update_value(BTreeMap::clear);
        self.origins.update(Vec::clear);
    }
}

impl State {
    /// Shows the results of a link.
    fn show_link(&self, shared: Vec<Shared>) {
        let records = shared.iter().map(|s| s.record.clone()).collect();
        let curves = shared.iter().map(|s| KeptCurves::Here(Arc::new(s.view()))).collect();
        self.show_kept(A_LINK, records, curves, None);
    }

    /// Shows what a session file holds.
    pub fn show_session(&self, mut session: Session) {
        match session.adapter() {
            Ok(Some((sha256, file))) => self.restore_adapter(sha256, &file),
            Ok(None) => {}
            Err(why) => self.skip("The session's adapter", why.to_string()),
        }
        let contents = session.contents.clone();
        let session = Rc::new(RefCell::new(session));
        let curves = (0..contents.records.len()).map(|i| KeptCurves::InFile(session.clone(), i)).collect();
        self.skipped.update(|list| list.extend(contents.skipped.into_iter().map(|(what, why)| Skipped { what, why })));
        self.show_kept("a session file", contents.records, curves, contents.selected);
    }

    fn show_kept(
        &self,
        what: &'static str,
        records: Vec<share::Record>,
        curves: Vec<KeptCurves>,
        selected: Option<usize>,
    ) {
        let origin = Origin { what, rows: records.len(), models: models_of(&records) };
        self.kept.origins.update(|origins| origins.push(origin));
        let first = self.kept.curves.with_value(|curves| curves.len() as u32);
        for (i, (record, curves)) in records.into_iter().zip(curves).enumerate() {
            let key = RowKey { epoch: KEPT_EPOCH, id: first + i as u32 };
            self.kept.curves.update_value(|kept| drop(kept.insert(key, curves)));
            let answer = match record.answer {
                share::Answer::Predicted(prediction) => Answer::Predicted(Arc::new(prediction)),
                share::Answer::Refused(why) => Answer::Refused(why),
                share::Answer::Open => Answer::Lost,
            };
            self.add_row(key, record.summary, answer);
        }
        if let Some(selected) = selected {
            self.select(RowKey { epoch: KEPT_EPOCH, id: first + selected as u32 });
        }
    }
}

/// Shows the results in the page's address, now and whenever its fragment changes.
pub fn listen(state: State) {
    open_fragment(state);
    let listener = window_event_listener(ev::hashchange, move |_| open_fragment(state));
    on_cleanup(move || listener.remove());
}

fn open_fragment(state: State) {
    let fragment = window().location().hash().unwrap_or_default();
    let fragment = fragment.trim_start_matches('#');
    // The page's own anchors are not links to results.
    if fragment.is_empty() || fragment == "not-used" || document().get_element_by_id(fragment).is_some() {
        return;
    }
    match link::decode(fragment) {
        Ok(shared) => state.show_link(shared),
        Err(why) => state.notice.set(Some(format!("Nothing is shown of the page's address: {why}."))),
    }
}

/// Says of rows that came with a link or a session file what made them, and when today's model differs.
#[component]
pub fn Origins() -> impl IntoView {
    let state = expect_context::<State>();
    let lines = move || {
        let today = state.model.get();
        let line = move |origin: Origin| {
            let by = if origin.models.is_empty() {
                String::new()
            } else {
                let name = |m: &ModelRef| format!("{} ({})", m.title, m.sha256.chars().take(8).collect::<String>());
                format!(" Computed then by {}.", origin.models.iter().map(name).collect::<Vec<_>>().join(", "))
            };
            // Of the same name: results of an encoder pair or of something taught have models of their own.
            let name = |m: &ModelRef| m.title.rsplit_once(' ').map_or(m.title.clone(), |(name, _)| name.to_owned());
            let is_older =
                |m: &crate::result::ModelCard, then: &ModelRef| then.sha256 != m.sha256 && name(then) == m.name;
            let changed = today.as_ref().is_some_and(|m| origin.models.iter().any(|then| is_older(m, then)));
            view! {
                <div class="notice" data-testid="origin">
                    <p>
                        {format!("{} came with {} and stand as they were.{by}", format::count(origin.rows, "result", "results"), origin.what)}
                        {(origin.what == A_LINK).then_some(
                            " A link holds the table and the spectra as the model saw them, some thinned to fit; the flux as in the file, the continuum and the steps before are with its maker."
                        )}
                        {changed.then(|| format!(
                            " Today's model is {}: the same spectra would get other numbers.",
                            today.as_ref().map_or(String::new(), |m| format!("{} {}", m.name, m.version)),
                        ))}
                    </p>
                </div>
            }
        };
        state.kept.origins.get().into_iter().map(line).collect_view()
    };
    view! { <div role="status">{lines}</div> }
}
