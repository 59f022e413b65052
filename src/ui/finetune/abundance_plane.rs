//! [α/Fe] against [Fe/H] of all spectra, zero-shot, fine-tuned and from the label tables, with the MMD² between them.

use std::sync::Arc;

use gloo::timers::callback::Timeout;
use leptos::prelude::*;

use super::charts;
use crate::result::Label;
use crate::result::finetune::{Distance, MIN_LABELS};
use crate::ui::chart_canvas::ChartCanvas;
use crate::ui::context::{Finetune, Labels, Rows, Selection, TableView};
use crate::ui::format;
use crate::ui::row::{Row, RowKey};

/// Time without a change after which the page requests the distances, ms. Predictions are updated one by one.
const DEBOUNCE_MS: u32 = 400;

/// `[[Fe/H], [α/Fe]]` in dex of each spectrum; NaN where a value is missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct AbundancePlane {
    /// Keys of the table rows.
    pub keys: Vec<RowKey>,
    /// Predictions of the shipped model.
    pub shipped: Vec<[f64; 2]>,
    /// Predictions of the fine-tuned model, where it is applied.
    pub finetuned: Vec<[f64; 2]>,
    /// Values in the label tables.
    pub table: Vec<[f64; 2]>,
}

/// `[[Fe/H], [α/Fe]]` in dex of each spectrum of a sample.
type Sample = Vec<[f64; 2]>;

/// The reference sample of the distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reference {
    /// The user's labels.
    Table,
    /// Predictions of the shipped model, if the tables have too few stars with both labels.
    Shipped,
}

fn is_point(p: &[f64; 2]) -> bool {
    p.iter().all(|v| v.is_finite())
}

fn finite(points: &[[f64; 2]]) -> Sample {
    points.iter().copied().filter(is_point).collect()
}

impl AbundancePlane {
    fn of(rows: Rows, table_view: TableView, labels: Labels) -> Self {
        let mut plane = Self::default();
        // Predictions arrive one by one; the table view is updated at a limited rate.
        table_view.shown.track();
        labels.values.with(|label_values| {
            rows.all.with(|rows| {
                rows.iter().for_each(|row| {
                    plane.add(row, |label| {
                        let estimates = label_values.get(&row.key)?;
                        let (low, high) = label.physical_range();
                        estimates
                            .iter()
                            .find(|e| e.label == label)
                            .map(|e| e.value)
                            .filter(|v| (low..=high).contains(v))
                    })
                })
            })
        });
        plane
    }

    fn add(&mut self, row: &Row, in_table: impl Fn(Label) -> Option<f64>) {
        let point =
            |value: &dyn Fn(Label) -> Option<f64>| [Label::Feh, Label::AlphaFe].map(|l| value(l).unwrap_or(f64::NAN));
        let (current, shipped) = row.status.with_untracked(|status| {
            let Some(p) = status.prediction() else { return ([f64::NAN; 2], None) };
            let predicted = |label| p.get(label).map(|e| e.value);
            let estimate =
                p.finetuned.as_ref().filter(|estimate| matches!(estimate.label(), Some(Label::Feh | Label::AlphaFe)));
            let shipped = estimate
                .map(|e| point(&|label| if e.label() == Some(label) { e.shipped_value } else { predicted(label) }));
            (point(&predicted), shipped)
        });
        self.keys.push(row.key);
        self.shipped.push(shipped.unwrap_or(current));
        self.finetuned.push(if shipped.is_some() { current } else { [f64::NAN; 2] });
        self.table.push(point(&in_table));
    }

    fn is_finetuned(&self) -> bool {
        self.finetuned.iter().any(is_point)
    }

    fn reference(&self) -> Option<Reference> {
        if finite(&self.table).len() >= MIN_LABELS {
            return Some(Reference::Table);
        }
        self.is_finetuned().then_some(Reference::Shipped)
    }

    /// The samples whose distances are computed, and the reference. The shipped model's sample comes first, unless it
    /// is the reference.
    fn samples_and_reference(&self) -> Option<(Vec<Sample>, Sample)> {
        let (shipped, finetuned) = (finite(&self.shipped), finite(&self.finetuned));
        Some(match self.reference()? {
            Reference::Table => (vec![shipped, finetuned], finite(&self.table)),
            Reference::Shipped => (vec![finetuned], shipped),
        })
    }
}

/// A distance as text: `fine-tuned 0.0123 (p = 0.040)`.
fn describe(name: &str, distance: &Option<Distance>) -> Option<String> {
    let Distance { mmd_squared, p_value, .. } = (*distance)?;
    let p = if p_value <= 0.002 { "p ≤ 0.002".into() } else { format!("p = {p_value:.3}") };
    let mmd_squared = format!("{mmd_squared:.4}").replace('-', "\u{2212}");
    Some(format!("{name} {mmd_squared} ({p})"))
}

/// The diagram of [α/Fe] against [Fe/H]; shown when one of these labels is fine-tuned.
#[component]
pub(super) fn AbundancePanel() -> impl IntoView {
    let finetune = expect_context::<Finetune>();
    let is_shown = Memo::new(move |_| {
        let of_plane = |name: &str| matches!(Label::from_name(name), Some(Label::Feh | Label::AlphaFe));
        let is_compared =
            finetune.comparison.with(|comparison| comparison.as_ref().is_some_and(|c| of_plane(&c.target)));
        is_compared
            || finetune.active_adapter.with(|adapter| adapter.as_ref().is_some_and(|a| of_plane(&a.card.target)))
    });
    view! {
        <Show when=move || is_shown.get()>
            <AbundanceDiagram/>
        </Show>
    }
}

#[component]
fn AbundanceDiagram() -> impl IntoView {
    let (finetune, selection) = (expect_context::<Finetune>(), expect_context::<Selection>());
    let (rows, table_view, labels) =
        (expect_context::<Rows>(), expect_context::<TableView>(), expect_context::<Labels>());
    let plane = Memo::new(move |_| Arc::new(AbundancePlane::of(rows, table_view, labels)));
    let chart = Memo::new(move |_| plane.with(|plane| charts::abundances(plane)));
    let timer = StoredValue::new_local(None::<Timeout>);
    Effect::new(move |_| {
        plane.track();
        // Replacing the timer cancels the previous one.
        timer.set_value(Some(Timeout::new(DEBOUNCE_MS, move || {
            let samples_and_reference = plane.try_get_untracked().and_then(|plane| plane.samples_and_reference());
            if let Some((samples, reference)) = samples_and_reference {
                finetune.request_distances(samples, reference);
            }
        })));
    });
    on_cleanup(move || drop(timer.try_update_value(Option::take)));
    let distances = move || {
        let distances = finetune.distances.get();
        let (reference, names) = match plane.with(|plane| plane.reference())? {
            Reference::Table => {
                let n = plane.with(|plane| finite(&plane.table).len());
                let labelled_stars = format!(
                    "the {} in your tables that {} both labels",
                    format::count_with_noun(n, "star", "stars"),
                    if n == 1 { "has" } else { "have" }
                );
                (labelled_stars, ["Zero-shot", "fine-tuned"].as_slice())
            }
            Reference::Shipped => {
                let predictions =
                    "the shipped model’s predictions, because fewer than ten stars in your tables have both labels";
                (predictions.into(), ["fine-tuned"].as_slice())
            }
        };
        let parts: Vec<String> = names.iter().zip(&distances).filter_map(|(name, d)| describe(name, d)).collect();
        let is_negative = distances.iter().flatten().any(|d| d.mmd_squared < 0.0);
        (!parts.is_empty()).then(|| {
            format!(
                "Squared maximum mean discrepancy (MMD²) in the plane of [Fe/H] and [α/Fe], between the predictions for all spectra on this page and {reference}: {}. p is the probability of an MMD² at least as large if both samples had the same distribution.{}",
                parts.join(", "),
                if is_negative { " A negative MMD² means that no difference was detected." } else { "" }
            )
        })
    };
    let description = move || {
        let (all, table) = plane.with(|p| (finite(&p.shipped).len(), finite(&p.table).len()));
        let all = format::count_with_noun(all, "spectrum", "spectra");
        format!("[α/Fe] against [Fe/H] of {all}, Zero-shot and fine-tuned, and of {table} in the tables")
    };
    let pick = Callback::new(move |point: usize| {
        if let Some(key) = plane.with_untracked(|plane| plane.keys.get(point).copied()) {
            selection.select(key);
        }
    });
    view! {
        <h3>"[α/Fe] against [Fe/H] of all spectra"</h3>
        <figure class="one-to-one abundances">
            <figcaption>
                <span class="key rim">"Zero-shot"</span>
                {move || plane.with(|p| p.is_finetuned()).then(|| view! { <span class="key strategy-residual">"fine-tuned"</span> })}
                {move || plane.with(|p| p.table.iter().any(is_point)).then(|| view! { <span class="key table">"in your tables"</span> })}
            </figcaption>
            <ChartCanvas chart description test_id="abundance-chart" pick/>
        </figure>
        <p data-testid="abundance-distances" role="status">{distances}</p>
    }
}
