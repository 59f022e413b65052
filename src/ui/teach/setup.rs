//! What to learn and how.

use leptos::{ev, prelude::*};

use super::state::{Phase, Teach};
use crate::result::teach::{Settings, Strategy};
use crate::result::{Label, ModelCard};
use crate::ui::state::State;

/// A column as people write it: `[Fe/H]` for `feh`.
pub(super) fn symbol(column: &str) -> String {
    Label::from_name(column).map_or(column.into(), |label| label.symbol().into())
}

/// The form.
#[component]
pub fn Setup() -> impl IntoView {
    let state = expect_context::<State>();
    let teach = state.teach;
    let is_ready = move || !teach.is_busy() && teach.strategies.with(|s| !s.is_empty());
    let targets = move || {
        let chosen = teach.target();
        let option = |column: crate::engine::teach_message::TeachColumn| {
            let text = format!("{} ({} labels)", symbol(&column.name), column.numbers);
            let is_chosen = chosen.as_deref() == Some(&column.name);
            view! { <option value=column.name.clone() selected=is_chosen>{text}</option> }
        };
        teach.targets().into_iter().map(option).collect_view()
    };
    let groups = move || {
        // A column keeps something together only if values repeat.
        let repeats = |c: &crate::engine::teach_message::TeachColumn| c.distinct > 1 && c.distinct < c.filled;
        let is_group =
            move |c: &crate::engine::teach_message::TeachColumn| repeats(c) && Label::from_name(&c.name).is_none();
        let columns: Vec<_> = teach.columns.get().into_iter().filter(is_group).collect();
        columns.into_iter().map(|c| view! { <option value=c.name.clone()>{c.name.clone()}</option> }).collect_view()
    };
    view! {
        <form class="teach-form" on:submit=move |event: ev::SubmitEvent| {
            event.prevent_default();
            state.compare_strategies(false);
        }>
            <label>
                "Learn "
                <select data-testid="teach-target" on:change=move |e| teach.target.set(Some(event_target_value(&e)))>
                    {targets}
                </select>
            </label>
            <label title="Spectra with the same value in this column stay on one side of every split: repeats of a star, members of a cluster">
                "Never part those with the same "
                <select data-testid="teach-groups" on:change=move |e| {
                    teach.groups.set(Some(event_target_value(&e)).filter(|name| !name.is_empty()));
                }>
                    <option value="">"spectra of one id"</option>
                    {groups}
                </select>
            </label>
            <OwnCut/>
            <Base/>
            <fieldset>
                <legend>"Compare"</legend>
                {Strategy::ALL.map(|strategy| view! { <Choice strategy/> }).collect_view()}
            </fieldset>
            <Advanced/>
            <p class="actions">
                <button class="primary" type="submit" data-testid="teach-compare" disabled=move || !is_ready()>
                    "Compare strategies"
                </button>
                <button
                    type="button" data-testid="teach-curve" disabled=move || !is_ready()
                    on:click=move |_| state.compare_strategies(true)
                >
                    "How many labels does it take?"
                </button>
                <Show when=move || matches!(teach.phase.get(), Phase::Idle)>
                    <span class="muted">{move || match teach.strategies.with(|s| s.is_empty()) {
                        true => "Tick a strategy to compare".into(),
                        false => format!("{}-fold cross-validation", teach.folds.get()),
                    }}</span>
                </Show>
            </p>
        </form>
    }
}

/// The model to teach, and what it has seen: labels of those very stars prove nothing.
#[component]
fn Base() -> impl IntoView {
    let teach = expect_context::<State>().teach;
    let options = move || {
        let chosen = teach.base.get_untracked();
        let option = |model: ModelCard| {
            let text = format!("{} {}", model.name, model.version);
            view! { <option value=model.name.clone() selected=chosen.as_ref() == Some(&model.name)>{text}</option> }
        };
        teach.bases.get().into_iter().map(option).collect_view()
    };
    let what = move || {
        let chosen = teach.base.get();
        let models = teach.bases.get();
        let model = models.iter().find(|m| chosen.as_ref() == Some(&m.name)).or(models.first())?;
        let warning = if model.trained_on.contains("MILES") {
            " It has seen the stars of MILES: what it says of them proves nothing. To try teaching on those, choose lrs-mlp-synthetic."
        } else {
            ""
        };
        Some(format!("{} was trained on {}.{warning}", model.name, model.trained_on))
    };
    view! {
        <Show when=move || teach.bases.with(|bases| bases.len() > 1)>
            <label>
                "Start from "
                <select data-testid="teach-base" on:change=move |e| teach.base.set(Some(event_target_value(&e)))>
                    {options}
                </select>
            </label>
            <p class="base-says muted" data-testid="base-says">{what}</p>
        </Show>
    }
}

/// Where the stars are parted when they are judged, beside [Fe/H] = −1.
#[component]
fn OwnCut() -> impl IntoView {
    let teach = expect_context::<State>().teach;
    let columns = move || {
        let mut names: Vec<String> =
            teach.columns.get().into_iter().filter(|c| c.numbers > 0 && c.distinct > 1).map(|c| c.name).collect();
        // Of a label of ours that no table has, the model's own answer.
        let ours = Label::ALL.into_iter().filter(|label| *label != Label::Rv).map(|label| label.name().to_string());
        names.extend(ours.filter(|name| !names.contains(name)).collect::<Vec<_>>());
        let option = |name: String| {
            let is_chosen = teach.cut_by.with_untracked(|by| by.as_ref() == Some(&name));
            view! { <option value=name.clone() selected=is_chosen>{symbol(&name)}</option> }
        };
        names.into_iter().map(option).collect_view()
    };
    view! {
        <label title="Scores are shown for metal-poor and metal-rich stars, and for those on either side of a value of yours">
            "Judge separately below and above "
            <select data-testid="teach-cut-by" on:change=move |e| {
                teach.cut_by.set(Some(event_target_value(&e)).filter(|name| !name.is_empty()));
            }>
                <option value="">"[Fe/H] = −1 alone"</option>
                {columns}
            </select>
        </label>
        <Show when=move || teach.cut_by.with(Option::is_some)>
            <label>
                "at "
                <input
                    type="number" step="any" required class="cut-at" data-testid="teach-cut-at"
                    prop:value=move || teach.cut_at.get().map(|at| at.to_string())
                    on:change=move |e| {
                        teach.cut_at.set(event_target_value(&e).parse().ok().filter(|at: &f64| at.is_finite()));
                    }
                />
            </label>
        </Show>
    }
}

#[component]
fn Choice(strategy: Strategy) -> impl IntoView {
    let teach = expect_context::<State>().teach;
    let what = match strategy {
        Strategy::ZeroShot => "the shipped model as it is",
        Strategy::Residual => "a small network that corrects it",
        Strategy::Lora => "low-rank corrections of its layers",
        Strategy::Full => "all of its weights",
        Strategy::Scratch => "a new network, from your labels alone",
    };
    view! {
        <label class="choice" title=what>
            <input
                type="checkbox" data-testid=format!("strategy-{}", strategy.name())
                prop:checked=move || teach.strategies.with(|s| s.contains(&strategy))
                on:change=move |e| teach.strategies.update(|s| {
                    if event_target_checked(&e) { s.insert(strategy); } else { s.remove(&strategy); }
                })
            />
            {strategy.title()}
        </label>
    }
}

/// Settings that the defaults are good for.
#[component]
fn Advanced() -> impl IntoView {
    let teach = expect_context::<State>().teach;
    view! {
        <details class="advanced">
            <summary>"Settings"</summary>
            <p class="actions">
                <button type="button" class="quiet" on:click=move |_| teach.settings.set(Settings::default())>"For few labels"</button>
                <button type="button" class="quiet" on:click=move |_| teach.settings.set(Settings::paper())>
                    "As in the transfer study"
                </button>
            </p>
            <div class="settings">
                <Number teach name="Folds" min=2.0 max=20.0 get=|t| f64::from(t.folds.get()) set=|t, v| t.folds.set(v as u32)/>
                <Number teach name="Seeds" min=1.0 max=10.0 get=|t| f64::from(t.seeds.get()) set=|t, v| t.seeds.set(v as u32)/>
                <Rate teach/>
                <Number teach name="Most epochs" min=1.0 max=5000.0
                    get=|t| t.settings.get().epochs as f64 set=|t, v| t.settings.update(|s| s.epochs = v as usize)/>
                <Number teach name="Patience" min=1.0 max=5000.0
                    get=|t| t.settings.get().patience as f64 set=|t, v| t.settings.update(|s| s.patience = v as usize)/>
                <Number teach name="Batch" min=1.0 max=4096.0
                    get=|t| t.settings.get().batch as f64 set=|t, v| t.settings.update(|s| s.batch = v as usize)/>
                <Number teach name="Weight decay" min=0.0 max=1.0
                    get=|t| decimal(t.settings.get().weight_decay) set=|t, v| t.settings.update(|s| s.weight_decay = v as f32)/>
                <Number teach name="Validation part" min=0.0 max=0.5
                    get=|t| t.settings.get().validation set=|t, v| t.settings.update(|s| s.validation = v)/>
                <Number teach name="LoRA rank" min=1.0 max=512.0
                    get=|t| t.settings.get().rank as f64 set=|t, v| t.settings.update(|s| s.rank = v as usize)/>
                <Number teach name="LoRA α" min=0.0 max=10000.0
                    get=|t| t.settings.get().alpha set=|t, v| t.settings.update(|s| s.alpha = v)/>
                <Number teach name="Residual head’s width" min=1.0 max=2048.0
                    get=|t| t.settings.get().hidden as f64 set=|t, v| t.settings.update(|s| s.hidden = v as usize)/>
            </div>
        </details>
    }
}

/// A number as it was typed, without what single precision adds.
fn decimal(v: f32) -> f64 {
    v.to_string().parse().unwrap_or_else(|_| f64::from(v))
}

#[component]
fn Number(
    teach: Teach,
    name: &'static str,
    min: f64,
    max: f64,
    get: fn(Teach) -> f64,
    set: fn(Teach, f64),
) -> impl IntoView {
    view! {
        <label>
            {name}
            <input
                type="number" step="any" min=min max=max prop:value=move || get(teach).to_string()
                on:change=move |e| {
                    if let Ok(value) = event_target_value(&e).parse::<f64>() {
                        set(teach, value.clamp(min, max));
                    }
                }
            />
        </label>
    }
}

/// The learning rate: each strategy's own if the field is empty.
#[component]
fn Rate(teach: Teach) -> impl IntoView {
    let value = move || teach.settings.get().rate.map_or(String::new(), |rate| rate.to_string());
    view! {
        <label>
            "Learning rate"
            <input
                type="number" step="any" min="0" max="1" placeholder="each strategy’s own" prop:value=value
                on:change=move |e| {
                    let rate = event_target_value(&e).parse::<f64>().ok().filter(|rate| *rate > 0.0);
                    teach.settings.update(|s| s.rate = rate.map(|rate| rate.clamp(1e-8, 1.0)));
                }
            />
        </label>
    }
}
