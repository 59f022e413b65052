//! How the strategies compare: figures, plots, a recommendation, and the way to use it.

use std::sync::Arc;

use leptos::prelude::*;

use super::landscape::LandscapePanel;
use super::setup::symbol;
use super::{charts, format};
use crate::result::Label;
use crate::result::teach::{BakeOff, Measured, RegimeScore, Strategy, StrategyScore};
use crate::ui::chart_canvas::ChartCanvas;
use crate::ui::state::State;

/// Everything that is known so far.
#[component]
pub fn Verdict() -> impl IntoView {
    let state = expect_context::<State>();
    let teach = state.teach;
    let bake_off = Memo::new(move |_| teach.bake_off.get());
    let has_curve = move || teach.curve.with(|points| points.len() > 1);
    let curve = Memo::new(move |_| {
        let target = teach.target().unwrap_or_default();
        teach.curve.with(|points| charts::learning_curve(points, &target))
    });
    let strategies = Memo::new(move |_| teach.curve.with(|points| points.iter().map(|p| p.strategy).collect()));
    view! {
        <Show when=move || bake_off.with(Option::is_some)>
            <div class="verdict">
                <div>
                    {move || bake_off.get().map(|bake_off| view! { <Scores bake_off/> })}
                    <Recommended/>
                </div>
                <OneToOne/>
            </div>
            <LandscapePanel/>
        </Show>
        <Show when=has_curve>
            <h3>"How many labels it takes"</h3>
            <charts::Key strategies/>
            <ChartCanvas chart=curve says="Error, scatter and offset together, against the number of labels, a curve for each strategy" test_id="teach-learning-curve"/>
        </Show>
    }
}

/// A figure with its error: two digits of the error.
fn figure(m: Measured) -> String {
    let decimals = if m.error.is_finite() && m.error > 0.0 {
        (1 - m.error.log10().floor() as i32).clamp(0, 4) as usize
    } else {
        3
    };
    format!("{:.decimals$} ± {:.decimals$}", m.value, m.error).replace('-', "\u{2212}")
}

#[component]
fn Scores(bake_off: Arc<BakeOff>) -> impl IntoView {
    let teach = expect_context::<State>().teach;
    let label = Label::from_name(&bake_off.target);
    let unit =
        label.map_or(String::new(), |l| if l.unit().is_empty() { String::new() } else { format!(" ({})", l.unit()) });
    let recommended = bake_off.recommendation.as_ref().map(|r| r.strategy);
    // Not before every star has been asked about: the first folds may be the easy ones.
    let chosen = Memo::new(move |_| recommended.filter(|_| !teach.is_busy()));
    let rows = bake_off.scores.iter().flat_map(|score| {
        let n = score.regimes.len();
        score.regimes.iter().enumerate().map(move |(i, regime)| (score.clone(), regime.clone(), i, n))
    });
    let rows = rows.map(|(score, regime, i, n)| view! { <ScoreRow score regime first=i == 0 n recommended=chosen/> });
    view! {
        <p class="muted" id="teach-scores-about">
            {symbol(&bake_off.target)} ": every star predicted without having been taught from. σ after 3 σ clipping; errors over folds and seeds."
        </p>
        <div class="table-scroll" tabindex="0" role="region" aria-label="How the strategies compare">
            <table class="scores" data-testid="teach-scores" aria-describedby="teach-scores-about">
                <thead>
                    <tr>
                        <th scope="col">"Strategy"</th>
                        <th scope="col" class="number">"σ" {unit.clone()}</th>
                        <th scope="col" class="number">"Offset" {unit}</th>
                        <th scope="col" class="number">"R²"</th>
                        <th scope="col">"Stars"</th><th scope="col" class="number">"N"</th>
                        <th scope="col" class="number">"Epochs"</th>
                    </tr>
                </thead>
                <tbody on:change=move |e| teach.chosen.set(Strategy::from_name(&event_target_value(&e)))>
                    {rows.collect_view()}
                </tbody>
            </table>
        </div>
    }
}

#[component]
fn ScoreRow(
    score: StrategyScore,
    regime: RegimeScore,
    first: bool,
    n: usize,
    recommended: Memo<Option<Strategy>>,
) -> impl IntoView {
    let teach = expect_context::<State>().teach;
    let strategy = score.strategy;
    let is_shown = move || teach.shown() == Some(strategy);
    view! {
        <tr class:first=first>
            {first.then(|| view! {
                <th scope="rowgroup" rowspan=n>
                    <label>
                        <input type="radio" name="teach-shown" value=strategy.name() prop:checked=is_shown/>
                        {strategy.title()}
                    </label>
                    {move || (recommended.get() == Some(strategy)).then(|| view! { <span class="chip mild">"recommended"</span> })}
                </th>
            })}
            <td class="number" data-testid=format!("sigma-{}-{}", strategy.name(), if first { "all" } else { "part" })>
                {figure(regime.sigma)}
            </td>
            <td class="number">{figure(regime.bias)}</td>
            <td class="number">{figure(regime.r2)}</td>
            <td>{regime.regime.clone()}</td>
            <td class="number">{regime.n}</td>
            {first.then(|| view! { <td class="number" rowspan=n>{score.epochs}</td> })}
        </tr>
    }
}

#[component]
fn Recommended() -> impl IntoView {
    let state = expect_context::<State>();
    let teach = state.teach;
    let reason = move || {
        if teach.is_busy() {
            return Some("The verdict comes when every star has been predicted.".into());
        }
        teach.bake_off.with(|b| b.as_ref()?.recommendation.as_ref().map(|r| r.reason.clone()))
    };
    let can_use = move || !teach.is_busy() && teach.shown().is_some_and(|s| s != Strategy::ZeroShot);
    let text = move || {
        let n = teach.bake_off.with(|b| b.as_ref().map_or(0, |b| b.truth.len()));
        match teach.shown() {
            Some(Strategy::ZeroShot) | None => "Choose a strategy to use it".into(),
            Some(strategy) => {
                format!("Learn from all {} with {} and use it", format::count(n, "label", "labels"), strategy.title())
            }
        }
    };
    view! {
        <p class="recommendation" data-testid="recommendation">{move || reason().map(|r| format::prose(&r))}</p>
        <p class="actions">
            <button
                class="primary" data-testid="teach-adopt" disabled=move || !can_use()
                on:click=move |_| if let Some(strategy) = untrack(|| teach.shown()) { state.adopt_strategy(strategy) }
            >{text}</button>
        </p>
    }
}

#[component]
fn OneToOne() -> impl IntoView {
    let state = expect_context::<State>();
    let teach = state.teach;
    let chart = Memo::new(move |_| {
        let shown = teach.shown();
        teach.bake_off.with(|b| b.as_ref().map(|b| charts::one_to_one(b, shown)).unwrap_or_default())
    });
    let has_shipped = move || {
        let is_it = |score: &StrategyScore| score.strategy == Strategy::ZeroShot;
        teach.bake_off.with(|b| b.as_ref().is_some_and(|b| b.scores.iter().any(is_it)))
    };
    let says = move || {
        let name = teach.shown().map_or("no strategy", Strategy::title);
        format!("Predicted against the table's values, before teaching and by {name}; the table above has the figures")
    };
    let pick = Callback::new(move |point| {
        if let Some(key) = teach.row(point) {
            state.select(key);
        }
    });
    view! {
        <figure class="one-to-one">
            <figcaption>
                <Show when=has_shipped><span class="key rim">"as shipped"</span></Show>
                <span class="key strategy-residual">{move || teach.shown().map_or("", Strategy::title)}</span>
                <span class="muted">"click a point to see its spectrum"</span>
            </figcaption>
            <ChartCanvas chart says test_id="teach-one-to-one" pick/>
        </figure>
    }
}
