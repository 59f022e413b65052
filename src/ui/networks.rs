//! The published networks that were dropped, and what they answer.

use std::collections::BTreeMap;

use leptos::prelude::*;

use super::download::save_text;
use super::format;
use super::state::{Row, State};
use crate::engine::{ImportedNetwork, NetworksReport, Request};
use crate::result::catalogue::Measured;
use crate::share::catalogue;

/// What became of dropped networks.
#[component]
pub fn NetworksPanel() -> impl IntoView {
    let state = expect_context::<State>();
    let save = move |_| {
        let rows = state.rows.get_untracked();
        let lines = rows.iter().filter_map(|row| {
            let id = row.summary.with_untracked(|s| s.meta.id.clone());
            state.measured.with_untracked(|all| Some(catalogue::lines(&id, all.get(&row.key)?.as_ref().ok()?)))
        });
        let text = catalogue::header() + &lines.collect::<String>();
        if let Err(why) = save_text("specclip.csv", "text/csv", &text) {
            state.notice.set(Some(why));
        }
    };
    move || {
        let report = state.networks.get()?;
        let (is_system, done) = (report.is_system, report.done);
        Some(view! {
            <section class="label-tables" data-testid="networks" aria-labelledby="networks-title">
                <h2 id="networks-title">{if is_system { "Published SpecCLIP system" } else { "Published networks" }}</h2>
                <p role="status">{summary(&report)}</p>
                <ul>{report.networks.into_iter().map(|network| view! { <li>{line(network)}</li> }).collect_view()}</ul>
                {(!report.warnings.is_empty()).then(|| view! {
                    <details>
                        <summary>{format::count(report.warnings.len(), "remark", "remarks")}</summary>
                        <ul class="names">
                            {report.warnings.iter().map(|w| view! { <li>{w.clone()}</li> }).collect_view()}
                        </ul>
                    </details>
                })}
                <p class="actions">
                    {is_system.then(|| view! {
                        <button data-testid="save-catalogue" disabled=done == 0 on:click=save>"Save its catalogue, CSV"</button>
                    })}
                    <button data-testid="forget-networks" on:click=move |_| state.forget_networks()>"Remove"</button>
                </p>
            </section>
        })
    }
}

/// Where it stands.
fn summary(report: &NetworksReport) -> String {
    if let Some(busy) = &report.busy {
        return format!("{}{}…", busy[..1].to_uppercase(), &busy[1..]);
    }
    if !report.is_system {
        return format!(
            "Its checkpoints can be read; to have its labels, drop the whole published folder ({}).",
            report.not_system
        );
    }
    match (report.done as usize, report.total as usize) {
        (_, 0) => "It answers for every spectrum that is dropped from now on, beside the shipped model.".into(),
        (done, total) if done < total => format!("{done} of {} answered.", format::count(total, "spectrum", "spectra")),
        (done, _) => format!(
            "{} answered; its values stand below each one’s parameters.",
            format::count(done, "spectrum", "spectra")
        ),
    }
}

fn line(network: ImportedNetwork) -> String {
    match network.what {
        Ok((kind, parameters, published)) if parameters == published => {
            format!("{}: {kind}, {parameters} parameters, as published", network.path)
        }
        Ok((kind, parameters, published)) => {
            format!("{}: {kind}, {parameters} parameters; the published one has {published}", network.path)
        }
        Err(why) => format!("{}: {why}", network.path),
    }
}

/// What the published system says of a spectrum.
#[component]
pub fn MeasuredList(row: Row) -> impl IntoView {
    let state = expect_context::<State>();
    let measured = Memo::new(move |_| state.measured.with(|all| all.get(&row.key).cloned()));
    move || {
        Some(match measured.get()? {
            Err(why) => view! { <p class="muted">"The published SpecCLIP system gives nothing: " {why} "."</p> }.into_any(),
            Ok(values) => view! {
                <details class="measured" data-testid="measured" open>
                    <summary>"Published SpecCLIP system, " {format::count(values.len(), "value", "values")}</summary>
                    <dl>{values.iter().map(|m| view! { <div><dt>{m.parameter.symbol()}</dt><dd>{text(m)}</dd></div> }).collect_view()}</dl>
                </details>
            }
            .into_any(),
        })
    }
}

fn text(measured: &Measured) -> String {
    let error = measured.error.map_or_else(String::new, |error| format!(" ± {error:.2}"));
    format!("{:.2}{error} {}", measured.value, measured.parameter.unit()).replace('-', "\u{2212}")
}

impl State {
    /// Forgets the published networks.
    pub fn forget_networks(&self) {
        self.send(Request::ForgetNetworks, Vec::new());
        self.networks.set(None);
        self.measured.update(BTreeMap::clear);
    }
}
