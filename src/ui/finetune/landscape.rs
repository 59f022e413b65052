//! Loss landscape of a fine-tuned model: starts the scan, draws the map, saves it as CSV.

use std::sync::Arc;

use leptos::prelude::*;

use super::charts;
use super::setup::symbol;
use crate::result::Label;
use crate::result::finetune::Landscape;
use crate::ui::chart_canvas::ChartCanvas;
use crate::ui::context::{Finetune, Notice};
use crate::ui::download::save_text;
use crate::ui::format;

/// Loss landscape; folded until the user opens it.
#[component]
pub(super) fn LandscapePanel() -> impl IntoView {
    let finetune = expect_context::<Finetune>();
    let strategy = move || finetune.shown().filter(|s| s.has_gradient_steps());
    let button_text = move || match strategy() {
        Some(strategy) => format!("Scan the loss around {}", strategy.title()),
        None => "Choose a strategy with training epochs above".into(),
    };
    view! {
        <details class="landscape" data-testid="landscape">
            <summary>"Loss landscape"</summary>
            <p class="muted">
                "The rms error over your labels while the trained weights move along two random directions, by up to three times their norm. A wide minimum suggests that the model generalises; a narrow one warns that it may not. The strategy is trained on all labels again, then the error is computed at 441 points."
            </p>
            <p class="actions">
                <button
                    type="button" data-testid="landscape-scan"
                    disabled=move || finetune.is_busy() || strategy().is_none()
                    on:click=move |_| if let Some(strategy) = untrack(strategy) { finetune.scan_landscape(strategy) }
                >{button_text}</button>
            </p>
            {move || finetune.landscape.get().map(|landscape| view! { <LandscapeResult landscape/> })}
        </details>
    }
}

/// The rms error in the label's unit, with three significant digits.
fn rms_error(mse: f64, target: &str) -> String {
    let rms = mse.sqrt();
    let decimals = if rms > 0.0 && rms.is_finite() { (2 - rms.log10().floor() as i32).clamp(0, 5) as usize } else { 1 };
    let unit = Label::from_name(target).map_or("", Label::unit);
    let space = if unit.is_empty() { "" } else { " " };
    format!("{rms:.decimals$}{space}{unit}")
}

/// Summary of a landscape in one or two sentences.
fn summary(landscape: &Landscape) -> String {
    let target = &landscape.target;
    let centre_and_lowest = landscape.centre().zip(landscape.lowest());
    let Some((centre, (alpha, beta, lowest))) = centre_and_lowest else {
        return "The error is not finite at any of the points.".into();
    };
    let begin = format!(
        "{}, {}: rms error {} with the fine-tuned weights, over {}",
        symbol(target),
        landscape.strategy.title(),
        rms_error(centre, target),
        format::count_with_noun(landscape.spectra, "labelled spectrum", "labelled spectra")
    );
    if landscape.is_flat() {
        return format!(
            "{begin}, and the same at all 441 points. No training epoch improved on the start of the training: the trained weights are still zero, and there is no map."
        );
    }
    let coordinates = format!("α = {alpha:.1}, β = {beta:.1}").replace('-', "\u{2212}");
    let minimum = if (alpha, beta) == (0.0, 0.0) || centre == lowest {
        "no other point has a lower error".into()
    } else {
        format!("the lowest of 441 points is {} at {coordinates}", rms_error(lowest, target))
    };
    format!("{begin}; {minimum}. Random directions from seed {}.", landscape.seed)
}

#[component]
fn LandscapeResult(landscape: Arc<Landscape>) -> impl IntoView {
    let notice = expect_context::<Notice>();
    let text = summary(&landscape);
    if landscape.is_flat() {
        return view! { <p data-testid="landscape-summary">{text}</p> }.into_any();
    }
    let chart = Memo::new({
        let landscape = landscape.clone();
        move |_| charts::landscape(&landscape)
    });
    let save = move |_| {
        let name = format!("specola-landscape-{}-{}.csv", landscape.target, landscape.strategy.name());
        if let Err(why) = save_text(&name, "text/csv", &landscape.to_csv()) {
            notice.show(why);
        }
    };
    view! {
        <p data-testid="landscape-summary">{text.clone()}</p>
        <figure class="one-to-one">
            <figcaption>
                <span class="key ring">"fine-tuned"</span>
                <span class="key disc">"lowest error"</span>
            </figcaption>
            <ChartCanvas chart description=text test_id="landscape-chart"/>
            <p class="chart-save"><button type="button" class="quiet" data-testid="landscape-csv" on:click=save>"Save CSV"</button></p>
        </figure>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::finetune::Strategy;

    #[test]
    fn summary_states_errors_and_minimum() {
        let mut landscape = Landscape::empty(Strategy::Lora, "feh", 3, 40);
        assert!(summary(&landscape).starts_with("The error is not finite"));
        landscape.mse = vec![1.0; landscape.points()];
        assert!(
            summary(&landscape).contains("rms error 1.00 dex")
                && summary(&landscape).contains("same at all 441 points")
        );
        let centre = landscape.points() / 2;
        landscape.mse[centre] = 0.0064;
        assert!(summary(&landscape).ends_with("rms error 0.0800 dex with the fine-tuned weights, over 40 labelled spectra; no other point has a lower error. Random directions from seed 3."));
        landscape.mse[centre - 1] = 0.0049;
        assert!(summary(&landscape).contains("the lowest of 441 points is 0.0700 dex at α = 0.0, β = \u{2212}0.3."));
        assert_eq!(rms_error(8100.0, "teff"), "90.0 K");
        assert_eq!(rms_error(4.0, "mine"), "2.00");
    }
}
