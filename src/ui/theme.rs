//! Colours of the plots, read from the style sheet; they follow the user's light or dark mode and contrast preference.

use gloo::events::EventListener;
use leptos::prelude::*;

use crate::plot::{Rgb, Theme};

/// The current colours of the plots.
#[derive(Clone, Copy)]
pub(super) struct PlotTheme(pub RwSignal<Theme>);

/// Provides a [`PlotTheme`] that follows the preferences for a dark mode and for more contrast.
pub(super) fn provide() {
    let theme = RwSignal::new(read());
    provide_context(PlotTheme(theme));
    for query in ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"] {
        if let Ok(Some(query)) = window().match_media(query) {
            // The listener stays for the life of the page.
            EventListener::new(&query, "change", move |_| theme.set(read())).forget();
        }
    }
}

/// Reads the custom properties `--plot-…` of the style sheet. Missing properties take the colours of the print theme.
fn read() -> Theme {
    let paper = Theme::paper();
    let style = document().document_element().and_then(|root| window().get_computed_style(&root).ok().flatten());
    let Some(style) = style else { return paper };
    let text = |name: &str| style.get_property_value(name).unwrap_or_default().trim().to_owned();
    let colour = |name: &str, default: Rgb| parse(&text(name)).unwrap_or(default);
    let font = text("--plot-font");
    Theme {
        data: colour("--plot-data", paper.data),
        continuum: colour("--plot-continuum", paper.continuum),
        model: colour("--plot-model", paper.model),
        sigma: colour("--plot-sigma", paper.sigma),
        masked: colour("--plot-masked", paper.masked),
        axis: colour("--plot-axis", paper.axis),
        grid: colour("--plot-grid", paper.grid),
        label: colour("--plot-label", paper.label),
        font: if font.is_empty() { paper.font } else { font },
    }
}

/// Parses a colour in the form `#rrggbb`.
fn parse(text: &str) -> Option<Rgb> {
    let digits = text.strip_prefix('#').filter(|d| d.len() == 6)?;
    let number = u32::from_str_radix(digits, 16).ok()?;
    Some(((number >> 16) as u8, (number >> 8) as u8, number as u8))
}
