//! The loss around what was taught: asked for, drawn, kept.

use std::sync::Arc;

use leptos::prelude::*;

use super::setup::symbol;
use super::{charts, format};
use crate::result::Label;
use crate::result::teach::{Landscape, Strategy};
use crate::ui::chart_canvas::ChartCanvas;
use crate::ui::download::save_text;
use crate::ui::state::State;

/// Folded away until somebody asks.
#[component]
pub fn LandscapePanel() -> impl IntoView {
    let state = expect_context::<State>();
    let teach = state.teach;
    let strategy = move || teach.shown().filter(|s| *s != Strategy::ZeroShot);
    let words = move || match strategy() {
        Some(strategy) => format!("Look around {}", strategy.title()),
        None => "Choose a strategy above that is taught".into(),
    };
    view! {
        <details class="landscape" data-testid="landscape">
            <summary>"Loss landscape"</summary>
            <p class="muted">
                "The error over your labels as the weights that were taught move away along two random directions, by up to three times their own length. A wide valley forgives what the next spectra bring; a narrow one may not. The strategy learns from all labels once more, then its error is taken at 441 points."
            </p>
            <p class="actions">
                <button
                    type="button" data-testid="teach-survey"
                    disabled=move || teach.is_busy() || strategy().is_none()
                    on:click=move |_| if let Some(strategy) = untrack(strategy) { state.survey_strategy(strategy) }
                >{words}</button>
            </p>
            {move || teach.landscape.get().map(|found| view! { <Found found/> })}
        </details>
    }
}

/// An error in the label's unit, two digits after its first.
fn error(mse: f64, target: &str) -> String {
    let rms = mse.sqrt();
    let decimals = if rms > 0.0 && rms.is_finite() { (2 - rms.log10().floor() as i32).clamp(0, 5) as usize } else { 1 };
    let unit = Label::from_name(target).map_or("", Label::unit);
    let space = if unit.is_empty() { "" } else { " " };
    format!("{rms:.decimals$}{space}{unit}")
}

/// A landscape in words.
fn summary(found: &Landscape) -> String {
    let target = &found.target;
    let known = found.centre().zip(found.lowest());
    let Some((centre, (alpha, beta, lowest))) = known else { return "No point of it has an error.".into() };
    let begin = format!(
        "{} by {}: as taught {} rms over {}",
        symbol(target),
        found.strategy.title(),
        error(centre, target),
        format::count(found.spectra, "labelled spectrum", "labelled spectra")
    );
    if found.is_flat() {
        return format!(
            "{begin}, and the same at all 441 points: no pass of training was better than the closed form before it, so that what would move is still zero. There is nothing to draw."
        );
    }
    let place = format!("α = {alpha:.1}, β = {beta:.1}").replace('-', "\u{2212}");
    let there = if (alpha, beta) == (0.0, 0.0) || centre == lowest {
        "nowhere around is it lower".into()
    } else {
        format!("the lowest of 441 points is {} at {place}", error(lowest, target))
    };
    format!("{begin}; {there}. Directions drawn with seed {}.", found.seed)
}

#[component]
fn Found(found: Arc<Landscape>) -> impl IntoView {
    let state = expect_context::<State>();
    let words = summary(&found);
    if found.is_flat() {
        return view! { <p data-testid="landscape-says">{words}</p> }.into_any();
    }
    let chart = Memo::new({
        let found = found.clone();
        move |_| charts::landscape(&found)
    });
    let save = move |_| {
        let name = format!("specola-landscape-{}-{}.csv", found.target, found.strategy.name());
        if let Err(why) = save_text(&name, "text/csv", &found.to_csv()) {
            state.notice.set(Some(why));
        }
    };
    view! {
        <p data-testid="landscape-says">{words.clone()}</p>
        <figure class="one-to-one">
            <figcaption>
                <span class="key ring">"as taught"</span>
                <span class="key disc">"lowest"</span>
            </figcaption>
            <ChartCanvas chart says=words test_id="teach-landscape"/>
            <p class="chart-save"><button type="button" class="quiet" data-testid="landscape-csv" on:click=save>"Save CSV"</button></p>
        </figure>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_landscape_is_told_in_words() {
        let mut found = Landscape::empty(Strategy::Lora, "feh", 3, 40);
        assert!(summary(&found).starts_with("No point"));
        found.mse = vec![1.0; found.points()];
        assert!(summary(&found).contains("1.00 dex rms") && summary(&found).contains("same at all 441 points"));
        let centre = found.points() / 2;
        found.mse[centre] = 0.0064;
        assert!(summary(&found).ends_with("as taught 0.0800 dex rms over 40 labelled spectra; nowhere around is it lower. Directions drawn with seed 3."));
        found.mse[centre - 1] = 0.0049;
        assert!(summary(&found).contains("the lowest of 441 points is 0.0700 dex at α = 0.0, β = \u{2212}0.3."));
        assert_eq!(error(8100.0, "teff"), "90.0 K");
        assert_eq!(error(4.0, "mine"), "2.00");
    }
}
