//! Form for fine-tuning: label column, groups, subsets, base model, strategies and settings.

use leptos::{ev, prelude::*};

use crate::engine::protocol::LabelColumn;
use crate::result::finetune::{Settings, Strategy};
use crate::result::{Label, ModelCard};
use crate::ui::context::{Finetune, FinetunePhase};

/// The symbol of a label column: `[Fe/H]` for `feh`; other column names are returned unchanged.
pub(super) fn symbol(column: &str) -> String {
    Label::from_name(column).map_or(column.into(), |label| label.symbol().into())
}

/// Form that starts a comparison of strategies or a learning curve.
#[component]
pub(super) fn FinetuneForm() -> impl IntoView {
    let finetune = expect_context::<Finetune>();
    let is_ready = move || !finetune.is_busy() && finetune.strategies.with(|s| !s.is_empty());
    let targets = move || {
        let chosen = finetune.target();
        let option = |column: LabelColumn| {
            let text = format!("{} ({} labels)", symbol(&column.name), column.numbers);
            let is_chosen = chosen.as_deref() == Some(&column.name);
            view! { <option value=column.name.clone() selected=is_chosen>{text}</option> }
        };
        finetune.targets().into_iter().map(option).collect_view()
    };
    let groups = move || {
        // A column defines groups only if values repeat.
        let repeats = |c: &LabelColumn| c.distinct > 1 && c.distinct < c.filled;
        let is_group = move |c: &LabelColumn| repeats(c) && Label::from_name(&c.name).is_none();
        let columns: Vec<_> = finetune.columns.get().into_iter().filter(is_group).collect();
        columns.into_iter().map(|c| view! { <option value=c.name.clone()>{c.name.clone()}</option> }).collect_view()
    };
    view! {
        <form class="finetune-form" on:submit=move |event: ev::SubmitEvent| {
            event.prevent_default();
            finetune.compare_strategies(false);
        }>
            <label>
                "Label "
                <select data-testid="finetune-target" on:change=move |e| finetune.target.set(Some(event_target_value(&e)))>
                    {targets}
                </select>
            </label>
            <label title="Spectra with the same value in this column stay in the same fold, for example repeat visits of a star or members of a cluster">
                "Keep in one fold (group column) "
                <select data-testid="finetune-groups" on:change=move |e| {
                    finetune.group_column.set(Some(event_target_value(&e)).filter(|name| !name.is_empty()));
                }>
                    <option value="">"spectra with the same id"</option>
                    {groups}
                </select>
            </label>
            <SubsetCutField/>
            <BaseModelField/>
            <fieldset>
                <legend>"Strategies"</legend>
                {Strategy::ALL.map(|strategy| view! { <StrategyField strategy/> }).collect_view()}
            </fieldset>
            <SettingsFields/>
            <p class="actions">
                <button class="primary" type="submit" data-testid="finetune-compare" disabled=move || !is_ready()>
                    "Compare strategies"
                </button>
                <button
                    type="button" data-testid="finetune-curve" disabled=move || !is_ready()
                    on:click=move |_| finetune.compare_strategies(true)
                >
                    "Learning curve"
                </button>
                <Show when=move || matches!(finetune.phase.get(), FinetunePhase::Idle)>
                    <span class="muted">{move || match finetune.strategies.with(|s| s.is_empty()) {
                        true => "Select at least one strategy".into(),
                        false => format!("{}-fold cross-validation", finetune.folds.get()),
                    }}</span>
                </Show>
            </p>
        </form>
    }
}

/// Choice of the base model, with a warning if its training set overlaps a common test set.
#[component]
fn BaseModelField() -> impl IntoView {
    let finetune = expect_context::<Finetune>();
    let options = move || {
        let chosen = finetune.base_model.get_untracked();
        let option = |model: ModelCard| {
            let text = format!("{} {}", model.name, model.version);
            view! { <option value=model.name.clone() selected=chosen.as_ref() == Some(&model.name)>{text}</option> }
        };
        finetune.base_models.get().into_iter().map(option).collect_view()
    };
    let description = move || {
        let chosen = finetune.base_model.get();
        let models = finetune.base_models.get();
        let model = models.iter().find(|m| chosen.as_ref() == Some(&m.name)).or(models.first())?;
        let warning = if model.trained_on.contains("MILES") {
            " The training set includes the MILES stars: do not use them as a test set. To test fine-tuning on MILES, choose the base model lrs-mlp-synthetic."
        } else {
            ""
        };
        Some(format!("{} was trained on {}.{warning}", model.name, model.trained_on))
    };
    view! {
        <Show when=move || finetune.base_models.with(|base_models| base_models.len() > 1)>
            <label>
                "Base model "
                <select data-testid="finetune-base" on:change=move |e| finetune.base_model.set(Some(event_target_value(&e)))>
                    {options}
                </select>
            </label>
            <p class="base-description muted" data-testid="base-description">{description}</p>
        </Show>
    }
}

/// Column and threshold of the subsets that are reported in addition to [Fe/H] below and above −1.
#[component]
fn SubsetCutField() -> impl IntoView {
    let finetune = expect_context::<Finetune>();
    let columns = move || {
        let mut names: Vec<String> =
            finetune.columns.get().into_iter().filter(|c| c.numbers > 0 && c.distinct > 1).map(|c| c.name).collect();
        // For a label that no table has, the subsets use the predicted value.
        let predicted =
            Label::ALL.into_iter().filter(|label| *label != Label::Rv).map(|label| label.name().to_string());
        names.extend(predicted.filter(|name| !names.contains(name)).collect::<Vec<_>>());
        let option = |name: String| {
            let is_chosen = finetune.subset_column.with_untracked(|column| column.as_ref() == Some(&name));
            view! { <option value=name.clone() selected=is_chosen>{symbol(&name)}</option> }
        };
        names.into_iter().map(option).collect_view()
    };
    view! {
        <label title="Scores are always given for [Fe/H] below and above −1. Choose a column to add scores below and above a second threshold">
            "Also report subsets split by "
            <select data-testid="finetune-subset-column" on:change=move |e| {
                finetune.subset_column.set(Some(event_target_value(&e)).filter(|name| !name.is_empty()));
            }>
                <option value="">"[Fe/H] = −1 (always)"</option>
                {columns}
            </select>
        </label>
        <Show when=move || finetune.subset_column.with(Option::is_some)>
            <label>
                "at "
                <input
                    type="number" step="any" required class="subset-threshold" data-testid="finetune-subset-threshold"
                    prop:value=move || finetune.subset_threshold.get().map(|at| at.to_string())
                    on:change=move |e| {
                        finetune.subset_threshold.set(event_target_value(&e).parse().ok().filter(|at: &f64| at.is_finite()));
                    }
                />
            </label>
        </Show>
    }
}

#[component]
fn StrategyField(strategy: Strategy) -> impl IntoView {
    let finetune = expect_context::<Finetune>();
    let description = match strategy {
        Strategy::ZeroShot => "the shipped model, unchanged",
        Strategy::Linear => "adds a linear function of the last hidden layer, in closed form; no training epochs",
        Strategy::Gp => {
            "adds the mean error of similar labelled stars (Gaussian process), in closed form; no training epochs"
        }
        Strategy::Residual => "trains a small network that corrects the shipped model",
        Strategy::Lora => "trains low-rank corrections to the weights of the layers",
        Strategy::Full => "trains all weights",
        Strategy::Scratch => "trains a new network on your labels only",
    };
    view! {
        <label class="choice" title=description>
            <input
                type="checkbox" data-testid=format!("strategy-{}", strategy.name())
                prop:checked=move || finetune.strategies.with(|s| s.contains(&strategy))
                on:change=move |e| finetune.strategies.update(|s| {
                    if event_target_checked(&e) { s.insert(strategy); } else { s.remove(&strategy); }
                })
            />
            {strategy.title()}
        </label>
    }
}

/// Cross-validation and training settings; the defaults suit most uses.
#[component]
fn SettingsFields() -> impl IntoView {
    let finetune = expect_context::<Finetune>();
    view! {
        <details class="advanced">
            <summary>"Settings"</summary>
            <p class="actions">
                <button type="button" class="quiet" on:click=move |_| finetune.settings.set(Settings::default())>"Defaults (few labels)"</button>
                <button type="button" class="quiet" on:click=move |_| finetune.settings.set(Settings::zhao2026())>
                    "As in Zhao et al. (2026)"
                </button>
            </p>
            <label class="choice" title="Residual head, LoRA and full fine-tuning then learn what the GP correction leaves, and an epoch is kept only if it improves on it significantly. Without it they start from the shipped model">
                <input
                    type="checkbox" data-testid="start-from-gp"
                    prop:checked=move || finetune.settings.with(|s| s.start_from_gp)
                    on:change=move |e| finetune.settings.update(|s| s.start_from_gp = event_target_checked(&e))
                />
                "Start from the GP correction"
            </label>
            <div class="settings">
                <NumberField finetune name="Folds" min=2.0 max=20.0 get=|finetune| f64::from(finetune.folds.get()) set=|finetune, v| finetune.folds.set(v as u32)/>
                <NumberField finetune name="Number of seeds" min=1.0 max=10.0 get=|finetune| f64::from(finetune.seeds.get()) set=|finetune, v| finetune.seeds.set(v as u32)/>
                <LearningRateField finetune/>
                <NumberField finetune name="Maximum epochs" min=1.0 max=5000.0
                    get=|finetune| finetune.settings.get().epochs as f64 set=|finetune, v| finetune.settings.update(|s| s.epochs = v as usize)/>
                <NumberField finetune name="Patience" min=1.0 max=5000.0
                    get=|finetune| finetune.settings.get().patience as f64 set=|finetune, v| finetune.settings.update(|s| s.patience = v as usize)/>
                <NumberField finetune name="Batch size" min=1.0 max=4096.0
                    get=|finetune| finetune.settings.get().batch as f64 set=|finetune, v| finetune.settings.update(|s| s.batch = v as usize)/>
                <NumberField finetune name="Weight decay" min=0.0 max=1.0
                    get=|finetune| decimal(finetune.settings.get().weight_decay) set=|finetune, v| finetune.settings.update(|s| s.weight_decay = v as f32)/>
                <NumberField finetune name="Validation fraction" min=0.0 max=0.5
                    get=|finetune| finetune.settings.get().validation set=|finetune, v| finetune.settings.update(|s| s.validation = v)/>
                <NumberField finetune name="LoRA rank" min=1.0 max=512.0
                    get=|finetune| finetune.settings.get().lora_rank as f64 set=|finetune, v| finetune.settings.update(|s| s.lora_rank = v as usize)/>
                <NumberField finetune name="LoRA α" min=0.0 max=10000.0
                    get=|finetune| finetune.settings.get().lora_alpha set=|finetune, v| finetune.settings.update(|s| s.lora_alpha = v)/>
                <NumberField finetune name="Residual head width" min=1.0 max=2048.0
                    get=|finetune| finetune.settings.get().head_width as f64 set=|finetune, v| finetune.settings.update(|s| s.head_width = v as usize)/>
            </div>
        </details>
    }
}

/// A single-precision number as the user typed it, without the digits that the conversion to `f64` adds.
fn decimal(v: f32) -> f64 {
    v.to_string().parse().unwrap_or_else(|_| f64::from(v))
}

#[component]
fn NumberField(
    finetune: Finetune,
    name: &'static str,
    min: f64,
    max: f64,
    get: fn(Finetune) -> f64,
    set: fn(Finetune, f64),
) -> impl IntoView {
    view! {
        <label>
            {name}
            <input
                type="number" step="any" min=min max=max prop:value=move || get(finetune).to_string()
                on:change=move |e| {
                    if let Ok(value) = event_target_value(&e).parse::<f64>() {
                        set(finetune, value.clamp(min, max));
                    }
                }
            />
        </label>
    }
}

/// Field for the learning rate; empty for the default of each strategy.
#[component]
fn LearningRateField(finetune: Finetune) -> impl IntoView {
    let value = move || finetune.settings.get().learning_rate.map_or(String::new(), |rate| rate.to_string());
    view! {
        <label>
            "Learning rate"
            <input
                type="number" step="any" min="0" max="1" placeholder="default" prop:value=value
                on:change=move |e| {
                    let rate = event_target_value(&e).parse::<f64>().ok().filter(|rate| *rate > 0.0);
                    finetune.settings.update(|s| s.learning_rate = rate.map(|rate| rate.clamp(1e-8, 1.0)));
                }
            />
        </label>
    }
}
