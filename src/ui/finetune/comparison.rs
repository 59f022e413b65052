//! Comparison of the strategies: scores, plots, the recommendation, and the button that applies a strategy.

use std::sync::Arc;

use leptos::prelude::*;

use super::charts;
use super::landscape::LandscapePanel;
use super::setup::symbol;
use crate::result::Label;
use crate::result::finetune::{MeanWithError, Strategy, StrategyComparison, StrategyScore, SubsetScore};
use crate::ui::chart_canvas::ChartCanvas;
use crate::ui::context::{Finetune, Selection};
use crate::ui::format;

/// Scores, plots and recommendation, as far as the engine has sent them.
#[component]
pub(super) fn ComparisonPanel() -> impl IntoView {
    let finetune = expect_context::<Finetune>();
    let comparison = Memo::new(move |_| finetune.comparison.get());
    let has_curve = move || finetune.learning_curve.with(|points| points.len() > 1);
    let learning_curve = Memo::new(move |_| {
        let target = finetune.target().unwrap_or_default();
        finetune.learning_curve.with(|points| charts::learning_curve(points, &target))
    });
    let strategies =
        Memo::new(move |_| finetune.learning_curve.with(|points| points.iter().map(|p| p.strategy).collect()));
    view! {
        <Show when=move || comparison.with(Option::is_some)>
            <div class="comparison">
                <div>
                    {move || comparison.get().map(|comparison| view! { <Scores comparison/> })}
                    <Recommendation/>
                </div>
                <PredictedVersusTable/>
            </div>
            <LandscapePanel/>
        </Show>
        <Show when=has_curve>
            <h3>"Learning curve"</h3>
            <charts::StrategyLegend strategies/>
            <ChartCanvas chart=learning_curve description="Total error (scatter and offset combined) against the number of training labels, one curve per strategy" test_id="finetune-learning-curve"/>
        </Show>
    }
}

/// A value ± its error, with the same number of decimals; the error has two significant digits.
fn with_error(m: MeanWithError) -> String {
    let decimals = if m.error.is_finite() && m.error > 0.0 {
        (1 - m.error.log10().floor() as i32).clamp(0, 4) as usize
    } else {
        3
    };
    format!("{:.decimals$} ± {:.decimals$}", m.value, m.error).replace('-', "\u{2212}")
}

#[component]
fn Scores(comparison: Arc<StrategyComparison>) -> impl IntoView {
    let finetune = expect_context::<Finetune>();
    let label = Label::from_name(&comparison.target);
    let unit =
        label.map_or(String::new(), |l| if l.unit().is_empty() { String::new() } else { format!(" ({})", l.unit()) });
    let recommended = comparison.recommendation.as_ref().map(|r| r.strategy);
    // Only when every star has been predicted: the first folds may be easier than the rest.
    let shown_recommendation = Memo::new(move |_| recommended.filter(|_| !finetune.is_busy()));
    let rows = comparison.scores.iter().flat_map(|score| {
        let n = score.subsets.len();
        score.subsets.iter().enumerate().map(move |(i, subset)| (score.clone(), subset.clone(), i, n))
    });
    let rows = rows.map(
        |(score, subset, i, n)| view! { <ScoreRow score subset first=i == 0 n recommended=shown_recommendation/> },
    );
    view! {
        <p class="muted" id="finetune-scores-about">
            {symbol(&comparison.target)} ": cross-validation: each star is predicted by models that were not trained on it. σ is the scatter after clipping at 3 σ. ± is the standard error over folds and seeds."
        </p>
        <div class="table-scroll" tabindex="0" role="region" aria-label="Comparison of the strategies">
            <table class="scores" data-testid="finetune-scores" aria-describedby="finetune-scores-about">
                <thead>
                    <tr>
                        <th scope="col">"Strategy"</th>
                        <th scope="col">"Subset"</th>
                        <th scope="col" class="number">"σ" {unit.clone()}</th>
                        <th scope="col" class="number">"Offset" {unit}</th>
                        <th scope="col" class="number">"R²"</th>
                        <th scope="col" class="number">"N"</th>
                        <th scope="col" class="number">"Epochs"</th>
                    </tr>
                </thead>
                <tbody on:change=move |e| finetune.chosen_strategy.set(Strategy::from_name(&event_target_value(&e)))>
                    {rows.collect_view()}
                </tbody>
            </table>
        </div>
    }
}

#[component]
fn ScoreRow(
    score: StrategyScore,
    subset: SubsetScore,
    first: bool,
    n: usize,
    recommended: Memo<Option<Strategy>>,
) -> impl IntoView {
    let finetune = expect_context::<Finetune>();
    let strategy = score.strategy;
    let is_shown = move || finetune.shown() == Some(strategy);
    view! {
        <tr class:first=first>
            {first.then(|| view! {
                <th scope="rowgroup" rowspan=n>
                    <label>
                        <input type="radio" name="finetune-shown" value=strategy.name() prop:checked=is_shown/>
                        {strategy.title()}
                    </label>
                    {move || (recommended.get() == Some(strategy)).then(|| view! { <span class="chip mild">"recommended"</span> })}
                </th>
            })}
            <td>{subset.subset.clone()}</td>
            <td class="number" data-testid=format!("sigma-{}-{}", strategy.name(), if first { "all" } else { "subset" })>
                {with_error(subset.sigma)}
            </td>
            <td class="number">{with_error(subset.bias)}</td>
            <td class="number">{with_error(subset.r2)}</td>
            <td class="number">{subset.n}</td>
            {first.then(|| view! { <td class="number" rowspan=n>{score.epochs}</td> })}
        </tr>
    }
}

#[component]
fn Recommendation() -> impl IntoView {
    let finetune = expect_context::<Finetune>();
    let reason = move || {
        if finetune.is_busy() {
            return Some("The recommendation appears when every star has been predicted.".into());
        }
        finetune.comparison.with(|comparison| comparison.as_ref()?.recommendation.as_ref().map(|r| r.reason.clone()))
    };
    let can_apply = move || !finetune.is_busy() && finetune.shown().is_some_and(|s| s != Strategy::ZeroShot);
    let text = move || {
        let n =
            finetune.comparison.with(|comparison| comparison.as_ref().map_or(0, |comparison| comparison.truth.len()));
        match finetune.shown() {
            Some(Strategy::ZeroShot) | None => "Choose a strategy to apply".into(),
            Some(strategy) => {
                format!(
                    "Train {} on all {} and apply it",
                    strategy.title(),
                    format::count_with_noun(n, "label", "labels")
                )
            }
        }
    };
    view! {
        <p class="recommendation" data-testid="recommendation">{move || reason().map(|r| format::with_minus_signs(&r))}</p>
        <p class="actions">
            <button
                class="primary" data-testid="finetune-apply" disabled=move || !can_apply()
                on:click=move |_| if let Some(strategy) = untrack(|| finetune.shown()) { finetune.apply_strategy(strategy) }
            >{text}</button>
        </p>
    }
}

#[component]
fn PredictedVersusTable() -> impl IntoView {
    let (finetune, selection) = (expect_context::<Finetune>(), expect_context::<Selection>());
    let chart = Memo::new(move |_| {
        let shown = finetune.shown();
        finetune.comparison.with(|comparison| {
            comparison.as_ref().map(|comparison| charts::predicted_versus_table(comparison, shown)).unwrap_or_default()
        })
    });
    let has_shipped = move || {
        let is_zero_shot = |score: &StrategyScore| score.strategy == Strategy::ZeroShot;
        finetune
            .comparison
            .with(|comparison| comparison.as_ref().is_some_and(|comparison| comparison.scores.iter().any(is_zero_shot)))
    };
    let description = move || {
        let name = finetune.shown().map_or("no strategy", Strategy::title);
        format!("Predicted against table values, Zero-shot and by {name}; the table above lists the scores")
    };
    let pick = Callback::new(move |point| {
        if let Some(key) = finetune.row(point) {
            selection.select(key);
        }
    });
    view! {
        <figure class="one-to-one">
            <figcaption>
                <Show when=has_shipped><span class="key rim">"Zero-shot"</span></Show>
                <span class="key strategy-residual">{move || finetune.shown().map_or("", Strategy::title)}</span>
                <span class="muted">"click a point to show its spectrum"</span>
            </figcaption>
            <ChartCanvas chart description test_id="finetune-one-to-one" pick/>
        </figure>
    }
}
