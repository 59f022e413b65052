//! [α/Fe] against [Fe/H] of all spectra: as shipped, as taught, and in the tables; and how far they are from each other.

use std::sync::Arc;

use gloo::timers::callback::Timeout;
use leptos::prelude::*;

use super::charts;
use crate::engine::teach_message::TeachRequest;
use crate::result::Label;
use crate::result::teach::{Distance, FEWEST_LABELS};
use crate::ui::chart_canvas::ChartCanvas;
use crate::ui::format;
use crate::ui::state::{Row, RowKey, State};

/// Time without a change before distances are measured, ms: spectra are answered anew one after the other.
const CALM_MS: u32 = 400;

/// The stars of the plane, `[Fe/H], [α/Fe]`, one entry a spectrum; NaN where there is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plane {
    /// Their rows.
    pub keys: Vec<RowKey>,
    /// What the shipped model says.
    pub shipped: Vec<[f64; 2]>,
    /// What the taught one says, where it says something else.
    pub taught: Vec<[f64; 2]>,
    /// What the tables say.
    pub table: Vec<[f64; 2]>,
}

/// What the stars are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reference {
    /// The user's own labels.
    Table,
    /// The shipped model's values: no table has enough of both labels.
    Shipped,
}

fn is_point(p: &[f64; 2]) -> bool {
    p.iter().all(|v| v.is_finite())
}

fn finite(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    points.iter().copied().filter(is_point).collect()
}

impl Plane {
    fn of(state: State) -> Self {
        let mut plane = Self::default();
        // Answers come one by one; the arrangement follows them in its own time.
        state.arrangement.shown.track();
        state.catalogue.with(|catalogue| {
            state.rows.with(|rows| {
                rows.iter().for_each(|row| {
                    plane.add(row, |label| {
                        let known = catalogue.get(&row.key)?;
                        let (low, high) = label.possible();
                        known.iter().find(|e| e.label == label).map(|e| e.value).filter(|v| (low..=high).contains(v))
                    })
                })
            })
        });
        plane
    }

    fn add(&mut self, row: &Row, in_table: impl Fn(Label) -> Option<f64>) {
        let of =
            |value: &dyn Fn(Label) -> Option<f64>| [Label::Feh, Label::AlphaFe].map(|l| value(l).unwrap_or(f64::NAN));
        let (now, before) = row.answer.with_untracked(|answer| {
            let Some(p) = answer.prediction() else { return ([f64::NAN; 2], None) };
            let said = |label| p.get(label).map(|e| e.value);
            let taught = p.taught.as_ref().filter(|t| matches!(t.label(), Some(Label::Feh | Label::AlphaFe)));
            let before = taught.map(|t| of(&|label| if t.label() == Some(label) { t.before } else { said(label) }));
            (of(&said), before)
        });
        self.keys.push(row.key);
        self.shipped.push(before.unwrap_or(now));
        self.taught.push(if before.is_some() { now } else { [f64::NAN; 2] });
        self.table.push(of(&in_table));
    }

    fn is_taught(&self) -> bool {
        self.taught.iter().any(is_point)
    }

    fn reference(&self) -> Option<Reference> {
        if finite(&self.table).len() >= FEWEST_LABELS {
            return Some(Reference::Table);
        }
        self.is_taught().then_some(Reference::Shipped)
    }

    /// What to ask the engine; the shipped model's sample first, unless it is the reference.
    fn question(&self) -> Option<TeachRequest> {
        let (shipped, taught) = (finite(&self.shipped), finite(&self.taught));
        Some(match self.reference()? {
            Reference::Table => {
                TeachRequest::Distances { samples: vec![shipped, taught], reference: finite(&self.table) }
            }
            Reference::Shipped => TeachRequest::Distances { samples: vec![taught], reference: shipped },
        })
    }
}

/// A distance in words.
fn words(who: &str, distance: &Option<Distance>) -> Option<String> {
    let Distance { mmd_squared, p_value, .. } = (*distance)?;
    let p = if p_value <= 0.002 { "p ≤ 0.002".into() } else { format!("p = {p_value:.3}") };
    Some(format!("{who} {mmd_squared:.4} ({p})").replace('-', "\u{2212}"))
}

/// Shown where [Fe/H] or [α/Fe] is taught.
#[component]
pub fn PlanePanel() -> impl IntoView {
    let state = expect_context::<State>();
    let teach = state.teach;
    let is_there = Memo::new(move |_| {
        let of_plane = |name: &str| matches!(Label::from_name(name), Some(Label::Feh | Label::AlphaFe));
        let is_compared = teach.bake_off.with(|b| b.as_ref().is_some_and(|b| of_plane(&b.target)));
        is_compared || teach.in_use.with(|used| used.as_ref().is_some_and(|used| of_plane(&used.card.target)))
    });
    view! {
        <Show when=move || is_there.get()>
            <Diagram/>
        </Show>
    }
}

#[component]
fn Diagram() -> impl IntoView {
    let state = expect_context::<State>();
    let teach = state.teach;
    let plane = Memo::new(move |_| Arc::new(Plane::of(state)));
    let chart = Memo::new(move |_| plane.with(|plane| charts::abundances(plane)));
    let waits = StoredValue::new_local(None::<Timeout>);
    Effect::new(move |_| {
        plane.track();
        // The last one replaced is cancelled.
        waits.set_value(Some(Timeout::new(CALM_MS, move || {
            if let Some(question) = plane.try_get_untracked().and_then(|plane| plane.question()) {
                state.ask_teacher(question);
            }
        })));
    });
    on_cleanup(move || drop(waits.try_update_value(Option::take)));
    let found = move || {
        let distances = teach.distances.get();
        let (reference, names) = match plane.with(|plane| plane.reference())? {
            Reference::Table => {
                let n = plane.with(|plane| finite(&plane.table).len());
                let of = format!(
                    "the {} of your tables that {} both labels",
                    format::count(n, "star", "stars"),
                    if n == 1 { "has" } else { "have" }
                );
                (of, ["as shipped", "as taught"].as_slice())
            }
            Reference::Shipped => {
                let of = "the shipped model’s own values, as no table here has both labels for ten stars";
                (of.into(), ["as taught"].as_slice())
            }
        };
        let said: Vec<String> = names.iter().zip(&distances).filter_map(|(who, d)| words(who, d)).collect();
        let is_negative = distances.iter().flatten().any(|d| d.mmd_squared < 0.0);
        (!said.is_empty()).then(|| {
            format!(
                "MMD² of all spectra here from {reference}: {}. p is how often chance alone puts two samples of one distribution so far apart.{}",
                said.join(", "),
                if is_negative { " Below zero: no further apart than chance puts them." } else { "" }
            )
        })
    };
    let says = move || {
        let (all, table) = plane.with(|p| (finite(&p.shipped).len(), finite(&p.table).len()));
        let all = format::count(all, "spectrum", "spectra");
        format!("[α/Fe] against [Fe/H] of {all}, as shipped and as taught, and of {table} in the tables")
    };
    let pick = Callback::new(move |point: usize| {
        if let Some(key) = plane.with_untracked(|plane| plane.keys.get(point).copied()) {
            state.select(key);
        }
    });
    view! {
        <h3>"[α/Fe] and [Fe/H] of all spectra here"</h3>
        <figure class="one-to-one plane">
            <figcaption>
                <span class="key rim">"as shipped"</span>
                {move || plane.with(|p| p.is_taught()).then(|| view! { <span class="key strategy-residual">"as taught"</span> })}
                {move || plane.with(|p| p.table.iter().any(is_point)).then(|| view! { <span class="key table">"in your tables"</span> })}
            </figcaption>
            <ChartCanvas chart says test_id="teach-plane" pick/>
        </figure>
        <p data-testid="teach-distances" role="status">{found}</p>
    }
}
