//! The published `SpecCLIP` models that the user opened, and their values.

use leptos::prelude::*;

use super::context::{Notice, Rows, SpecClip};
use super::download::save_text;
use super::format;
use super::row::Row;
use crate::engine::protocol::{ImportedCheckpoint, SpecClipReport};
use crate::result::specclip::SpecClipValue;
use crate::share::specclip as specclip_csv;

/// State of the opened SpecCLIP models and checkpoints.
#[component]
pub(super) fn SpecClipPanel() -> impl IntoView {
    let (specclip, rows, notice) = (expect_context::<SpecClip>(), expect_context::<Rows>(), expect_context::<Notice>());
    let save = move |_| {
        let rows = rows.all.get_untracked();
        let lines = rows.iter().filter_map(|row| {
            let id = row.summary.with_untracked(|s| s.meta.id.clone());
            specclip.values.with_untracked(|all| Some(specclip_csv::lines(&id, all.get(&row.key)?.as_ref().ok()?)))
        });
        let text = specclip_csv::header() + &lines.collect::<String>();
        if let Err(error) = save_text("specclip.csv", "text/csv", &text) {
            notice.show(error);
        }
    };
    move || {
        let report = specclip.report.get()?;
        let (is_complete, done) = (report.is_complete, report.done);
        Some(view! {
            <section class="label-tables" data-testid="specclip" aria-labelledby="specclip-title">
                <h2 id="specclip-title">{if is_complete { "SpecCLIP (published models)" } else { "SpecCLIP checkpoints" }}</h2>
                <p role="status">{summary(&report)}</p>
                <ul>{report.networks.into_iter().map(|network| view! { <li>{describe(network)}</li> }).collect_view()}</ul>
                {(!report.warnings.is_empty()).then(|| view! {
                    <details>
                        <summary>{format::count_with_noun(report.warnings.len(), "warning", "warnings")}</summary>
                        <ul class="names">
                            {report.warnings.iter().map(|w| view! { <li>{w.clone()}</li> }).collect_view()}
                        </ul>
                    </details>
                })}
                <p class="actions">
                    {is_complete.then(|| view! {
                        <button data-testid="save-specclip" disabled=done == 0 on:click=save>"Save SpecCLIP values, CSV"</button>
                    })}
                    <button data-testid="remove-specclip" on:click=move |_| specclip.remove()>"Remove"</button>
                </p>
            </section>
        })
    }
}

/// The progress, as text.
fn summary(report: &SpecClipReport) -> String {
    if let Some(busy) = &report.busy {
        return format!("{}{}…", busy[..1].to_uppercase(), &busy[1..]);
    }
    if !report.is_complete {
        return format!(
            "The page can read these checkpoints. To obtain SpecCLIP’s labels, drop the whole published folder ({}).",
            report.missing
        );
    }
    match (report.done as usize, report.total as usize) {
        (_, 0) => "SpecCLIP predicts labels for each spectrum that you open, in addition to the shipped model.".into(),
        (done, total) if done < total => {
            format!("{done} of {} predicted.", format::count_with_noun(total, "spectrum", "spectra"))
        }
        (done, _) => format!(
            "{} predicted. SpecCLIP’s values are below the parameters of each spectrum.",
            format::count_with_noun(done, "spectrum", "spectra")
        ),
    }
}

fn describe(network: ImportedCheckpoint) -> String {
    match network.content {
        Ok((kind, parameters, published)) if parameters == published => {
            format!("{}: {kind}, {parameters} parameters, as published", network.path)
        }
        Ok((kind, parameters, published)) => {
            format!("{}: {kind}, {parameters} parameters; the published network has {published}", network.path)
        }
        Err(why) => format!("{}: {why}", network.path),
    }
}

/// SpecCLIP's values for a spectrum.
#[component]
pub(super) fn SpecClipValues(row: Row) -> impl IntoView {
    let specclip = expect_context::<SpecClip>();
    let measured = Memo::new(move |_| specclip.values.with(|all| all.get(&row.key).cloned()));
    move || {
        Some(match measured.get()? {
            Err(why) => view! { <p class="muted">"No values from SpecCLIP: " {why} "."</p> }.into_any(),
            Ok(values) => view! {
                <details class="specclip-values" data-testid="specclip-values" open>
                    <summary>"SpecCLIP (published models), " {format::count_with_noun(values.len(), "value", "values")}</summary>
                    <dl>{values.iter().map(|m| view! { <div><dt>{m.parameter.symbol()}</dt><dd>{value_text(m)}</dd></div> }).collect_view()}</dl>
                </details>
            }
            .into_any(),
        })
    }
}

fn value_text(value: &SpecClipValue) -> String {
    let error = value.error.map_or_else(String::new, |error| format!(" ± {error:.2}"));
    format!("{:.2}{error}\u{2009}{}", value.value, value.parameter.unit()).replace('-', "\u{2212}")
}
