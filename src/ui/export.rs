//! The export dialogue: link, tables, spectra, session file, figure, citation.

use std::sync::Arc;

use leptos::{html, prelude::*, task::spawn_local};
use wasm_bindgen_futures::JsFuture;

use super::context::{Curves, Diagnostics, Engine, Finetune, Jobs, Rows, TableView};
use super::diagnostics;
use super::download::{save_bytes, save_text};
use super::figure_file::{self, Width};
use super::files::text_of;
use super::format;
use super::plot_canvas::ChosenRange;
use super::row::Row;
use super::samp::OtherPrograms;
use crate::plot::smooth;
use crate::result::{Label, SpectrumView};
use crate::share::{self, Format, Record, citation, link, models_of, session, spectra};

/// Maximum number of spectra with curves in one file. A session file with 2000 spectra has about 100 MB.
const MAX_CURVES: usize = 2_000;

/// The button Export… and its dialogue.
#[component]
pub(super) fn ExportDialog() -> impl IntoView {
    let sources = Sources::from_context();
    let Sources { rows, table_view, .. } = sources;
    let range = expect_context::<ChosenRange>();
    let dialog = NodeRef::<html::Dialog>::new();
    let message = RwSignal::new(String::new());
    let width = RwSignal::new(Width::Double);
    let is_busy = RwSignal::new(false);
    let collecting = Collecting { progress: RwSignal::new(None), is_cancelled: StoredValue::new(false) };
    let open = move |_| {
        message.set(String::new());
        if let Some(dialog) = dialog.get_untracked() {
            // Fails only for a dialogue that is already open.
            let _ = dialog.show_modal();
        }
    };
    let close = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let show_result = move |result: Result<String, String>| {
        message.set(result.unwrap_or_else(|error| error));
        collecting.progress.set(None);
        is_busy.set(false);
    };
    let export_table = move |format| show_result(save_table(&untrack(|| table_view.export_rows()), format));
    let start = move |job: ExportJob| {
        is_busy.set(true);
        message.set(String::new());
        collecting.is_cancelled.set_value(false);
        spawn_local(async move {
            let exported = untrack(|| table_view.export_rows());
            show_result(match job {
                ExportJob::Spectra => save_spectra(sources.curves, exported, collecting).await,
                ExportJob::Session => save_session(sources, exported, collecting).await,
                ExportJob::BibTex => copy_bibtex(sources.engine, exported).await,
                ExportJob::Link => copy_link(sources.curves, exported, collecting).await,
                ExportJob::Svg => save_figure(sources, range, width.get_untracked(), false).await,
                ExportJob::Png => save_figure(sources, range, width.get_untracked(), true).await,
            });
        });
    };
    let selection = move || {
        let ticked = table_view.ticked.with(|t| t.len());
        match ticked {
            0 => format!(
                "Exports {}: all rows shown in the table. To export fewer, tick rows in the table.",
                format::count_with_noun(table_view.shown.with(|s| s.len()), "result", "results")
            ),
            n => format!("Exports {}: the ticked rows.", format::count_with_noun(n, "result", "results")),
        }
    };
    let button = move |id: &'static str, text: &'static str, job: ExportJob| {
        view! {
            <button data-testid=id disabled=is_busy on:click=move |_| start(job)>{text}</button>
        }
    };
    view! {
        <button data-testid="export" disabled=move || rows.all.with(Vec::is_empty) on:click=open>"Export…"</button>
        <dialog class="export" node_ref=dialog aria-labelledby="export-title" data-testid="export-dialog">
            <h2 id="export-title">"Export"</h2>
            <p class="muted">{selection}</p>
            <div class="choices" role="group" aria-label="Link">
                <h3>"Link"</h3>
                {button("copy-link", "Copy link", ExportJob::Link)}
                <p>"The link contains the results. Anyone who opens it sees the table and the normalised spectra. Nothing is uploaded."</p>
            </div>
            <div class="choices" role="group" aria-label="Tables">
                <h3>"Table"</h3>
                {Format::ALL.map(|format| view! {
                    <button data-testid=format!("table-{}", format.name()) disabled=is_busy on:click=move |_| export_table(format)>
                        {match format { Format::Csv => "CSV", Format::Ecsv => "ECSV", Format::VoTable => "VOTable", Format::Fits => "FITS" }}
                    </button>
                }).collect_view()}
                <p>"ECSV, VOTable and FITS also contain units, positions, models and the preprocessing of each spectrum."</p>
            </div>
            <div class="choices" role="group" aria-label="Spectra">
                <h3>"Spectra"</h3>
                {button("save-spectra", "Normalised, CSV", ExportJob::Spectra)}
            </div>
            <div class="choices" role="group" aria-label="Session">
                <h3>"Session"</h3>
                {button("save-session", "Session file", ExportJob::Session)}
                <p>{format!(
                    "A session file (.specola) keeps the results, the spectra with all curves (at most {MAX_CURVES}), and the active adapter. Drop it on this page to open it."
                )}</p>
            </div>
            <div class="choices" role="group" aria-label="Figure">
                <h3>"Figure"</h3>
                {button("save-svg", "SVG", ExportJob::Svg)}
                {button("save-png", "PNG", ExportJob::Png)}
                <label>
                    "Width "
                    <select data-testid="figure-width" on:change=move |e| width.set(Width::from_name(&event_target_value(&e)))>
                        {Width::ALL.map(|w| view! { <option value=w.name() selected=w == Width::Double>{w.name()}</option> }).collect_view()}
                    </select>
                </label>
                <p>"The selected spectrum. PNG at 600 dots per inch."</p>
            </div>
            <OtherPrograms/>
            <div class="choices" role="group" aria-label="Citation">
                <h3>"Cite"</h3>
                {button("copy-bibtex", "Copy BibTeX", ExportJob::BibTex)}
                <p>"Citations of the method, the program and the surveys of these spectra, with the surveys’ acknowledgements."</p>
            </div>
            <p class="status-message" role="status" data-testid="export-status">{message}</p>
            {move || collecting.progress.get().map(|(done, total)| view! {
                <p class="progress-line" data-testid="export-progress">
                    <span>{format!("Curves of {done} of {}", format::count_with_noun(total, "spectrum", "spectra"))}</span>
                    <progress max=total.max(1) value=done aria-label="Progress of the export"></progress>
                    <button data-testid="export-cancel" on:click=move |_| collecting.is_cancelled.set_value(true)>"Cancel"</button>
                </p>
            })}
            <p><button class="primary" on:click=close>"Close"</button></p>
        </dialog>
    }
}

/// Progress of collecting curves, which the user can cancel.
#[derive(Clone, Copy)]
struct Collecting {
    /// Spectra done, and spectra in total.
    progress: RwSignal<Option<(usize, usize)>>,
    is_cancelled: StoredValue<bool>,
}

impl Collecting {
    /// Shows the progress; the returned function updates it, and returns false after Cancel.
    fn start(self, total: usize) -> impl FnMut(usize) -> bool {
        self.progress.set(Some((0, total)));
        move |done| {
            self.progress.set(Some((done, total)));
            !self.is_cancelled.get_value()
        }
    }
}

/// The contexts from which the dialogue exports.
#[derive(Clone, Copy)]
struct Sources {
    engine: Engine,
    jobs: Jobs,
    rows: Rows,
    table_view: TableView,
    curves: Curves,
    diagnostics: Diagnostics,
    finetune: Finetune,
}

impl Sources {
    fn from_context() -> Self {
        Self {
            engine: expect_context(),
            jobs: expect_context(),
            rows: expect_context(),
            table_view: expect_context(),
            curves: expect_context(),
            diagnostics: expect_context(),
            finetune: expect_context(),
        }
    }
}

/// An export that waits for curves or for the clipboard.
#[derive(Debug, Clone, Copy)]
enum ExportJob {
    Spectra,
    Session,
    Link,
    BibTex,
    Svg,
    Png,
}

/// Saves the table as a file. Returns a summary of its contents.
///
/// # Errors
/// The browser's error.
pub(super) fn save_table(rows: &[Row], format: Format) -> Result<String, String> {
    let records: Vec<Record> = rows.iter().map(Row::record).collect();
    let name = format!("specola.{}", format.extension());
    save_bytes(&name, format.mime(), &share::write(format, &records, &Label::ALL))?;
    Ok(format!("{name}: {}", describe_records(&records)))
}

/// Numbers of rows and of rows without parameters, and the models, as text.
fn describe_records(records: &[Record]) -> String {
    let models: Vec<String> = models_of(records).into_iter().map(|m| m.title).collect();
    let without = records.iter().filter(|r| r.prediction().is_none()).count();
    let mut text = format::count_with_noun(records.len(), "row", "rows");
    if !models.is_empty() {
        text += &format!(" by {}", models.join(", "));
    }
    if without > 0 {
        text += &format!("; {without} of them without parameters");
    }
    text + "."
}

async fn save_spectra(curves: Curves, rows: Vec<Row>, collecting: Collecting) -> Result<String, String> {
    let (mut views, mut missing) = (Vec::new(), rows.len().saturating_sub(MAX_CURVES));
    let rows = &rows[..rows.len().min(MAX_CURVES)];
    let each = |i: usize, view| {
        match view {
            Ok(view) => views.push((rows[i].summary.get_untracked().meta.id.clone(), view)),
            Err(_) => missing += 1,
        }
        Ok(())
    };
    curves.for_each(rows, collecting.start(rows.len()), each).await?;
    let (text, written) = spectra::csv(views.iter().map(|(id, view)| (id.as_str(), &**view)));
    missing += views.len() - written;
    save_text("specola-spectra.csv", "text/csv", &text)?;
    Ok(format!(
        "specola-spectra.csv: {}{}",
        format::count_with_noun(written, "spectrum", "spectra"),
        omitted(missing, "without a normalised spectrum")
    ))
}

async fn save_session(sources: Sources, rows: Vec<Row>, collecting: Collecting) -> Result<String, String> {
    let records: Vec<Record> = rows.iter().map(Row::record).collect();
    let skipped =
        sources.jobs.skipped.with_untracked(|list| list.iter().map(|s| (s.source.clone(), s.reason.clone())).collect());
    let selected = sources.rows.selected.get_untracked().and_then(|key| rows.iter().position(|row| row.key == key));
    let active_adapter = sources.finetune.active_adapter.get_untracked();
    let adapter = active_adapter.as_ref().map(|adapter| (adapter.sha256.as_str(), adapter.file.as_slice()));
    let mut writer = session::Writer::new(&records, skipped, selected, adapter).map_err(|e| e.to_string())?;
    let with_curves = &rows[..rows.len().min(MAX_CURVES)];
    let each = |i: usize, view: Result<Arc<SpectrumView>, String>| match view {
        Ok(view) => writer.curves(i, &view).map_err(|e| e.to_string()),
        // Counted in the summary.
        Err(_) => Ok(()),
    };
    sources.curves.for_each(with_curves, collecting.start(with_curves.len()), each).await?;
    let (bytes, n_with_curves) = writer.finish().map_err(|e| e.to_string())?;
    save_bytes("specola.specola", "application/zip", &bytes)?;
    let without = omitted(records.len() - n_with_curves, "without curves");
    Ok(format!(
        "specola.specola ({}): {}{}{without}",
        format::bytes(bytes.len() as u64),
        describe_records(&records).trim_end_matches('.'),
        if active_adapter.is_some() { ", with the adapter" } else { "" }
    ))
}

fn omitted(n: usize, reason: &str) -> String {
    if n == 0 { ".".into() } else { format!("; {} {reason}.", format::count_with_noun(n, "spectrum", "spectra")) }
}

async fn copy_link(curves: Curves, rows: Vec<Row>, collecting: Collecting) -> Result<String, String> {
    if rows.len() > link::MAX_RESULTS {
        return Err(link::LinkEncodeError::TooMany(rows.len()).to_string());
    }
    let records: Vec<Record> = rows.iter().map(Row::record).collect();
    let mut views = Vec::new();
    let each = |_, view: Result<Arc<SpectrumView>, String>| {
        views.push(view.ok());
        Ok(())
    };
    curves.for_each(&rows, collecting.start(rows.len()), each).await?;
    let results: Vec<_> = records.iter().zip(views.iter().map(|v| v.as_deref())).collect();
    let link = link::encode(&results, link::limit(rows.len())).map_err(|e| e.to_string())?;
    let location = window().location();
    let page = location.href().map_err(|e| text_of(&e))?;
    let address = format!("{}#{}", page.split('#').next().unwrap_or_default(), link.fragment);
    let copied = JsFuture::from(window().navigator().clipboard().write_text(&address)).await;
    let curves = match link.block {
        None => "The normalised spectra do not fit into a link; a session file contains them".into(),
        Some(1) => "The normalised spectra have their full resolution".into(),
        Some(block) => format!("The normalised spectra are averaged over {block} pixels"),
    };
    let missing =
        if link.without_curve > 0 { format!("; {} without a spectrum", link.without_curve) } else { String::new() };
    let summary = format!(
        "{} in {} characters. {curves}{missing}. Not included: the original flux, the continuum, the preprocessing steps.",
        format::count_with_noun(link.rows, "result", "results"),
        address.len()
    );
    match copied {
        Ok(_) => Ok(format!("Link copied: {summary}")),
        Err(_) => {
            // Put the link into the address bar instead.
            let history = window().history().map_err(|e| text_of(&e))?;
            history
                .replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&address))
                .map_err(|e| text_of(&e))?;
            Ok(format!("The browser does not allow copying. The link is in the address bar: {summary}"))
        }
    }
}

async fn copy_bibtex(engine: Engine, rows: Vec<Row>) -> Result<String, String> {
    let records: Vec<Record> = rows.iter().map(Row::record).collect();
    let trained_on = engine.model.get_untracked().map_or(String::new(), |card| card.trained_on);
    let citation = citation::citation(&records, &trained_on);
    let cited_sources = match citation.surveys.is_empty() {
        true => "the method and the program".into(),
        false => format!("the method, the program and {}", citation.surveys.join(", ")),
    };
    let unknown = match citation.n_unknown_survey {
        0 => String::new(),
        n => format!("; {} of unknown survey", format::count_with_noun(n, "spectrum", "spectra")),
    };
    let summary =
        format!("{} for {cited_sources}{unknown}.", format::count_with_noun(citation.entries, "entry", "entries"));
    let copied = JsFuture::from(window().navigator().clipboard().write_text(&citation.text)).await;
    if copied.is_ok() {
        return Ok(format!("BibTeX copied: {summary}"));
    }
    save_text("specola.bib", "application/x-bibtex", &citation.text)?;
    Ok(format!("The browser does not allow copying; saved as specola.bib: {summary}"))
}

async fn save_figure(sources: Sources, range: ChosenRange, width: Width, is_png: bool) -> Result<String, String> {
    let row = untrack(|| sources.rows.selected()).ok_or("No spectrum is selected. Select a row first.")?;
    let view = sources.curves.of(row).await?;
    // As on the page: with synthetic spectrum and sensitivity, over the chosen range.
    let curves = diagnostics::curves_now(sources.diagnostics, row, &view);
    let range_aa = range.0.get_untracked();
    let fwhm_pixels = f64::from(sources.diagnostics.smoothing.get_untracked());
    let drawn = if fwhm_pixels > 0.0 { smooth(&view, fwhm_pixels) } else { (*view).clone() };
    figure_file::save(row, &drawn, &curves, range_aa, width, is_png)
}
