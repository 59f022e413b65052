//! The dialogue in which results are taken away: tables, spectra, figures, a link, a session file.

use leptos::{html, prelude::*, task::spawn_local};
use wasm_bindgen_futures::JsFuture;

use super::download::{save_bytes, save_text};
use super::figure_file::{self, Width};
use super::files::text_of;
use super::format;
use super::plot_canvas::ChosenRange;
use super::reading;
use super::samp::OtherPrograms;
use super::state::{Row, State};
use crate::plot::smoothed;
use crate::result::Label;
use crate::share::{self, Format, Record, citation, link, models_of, session, spectra};

/// Most spectra whose curves are put into one file: a session file of as many has about 100 MB.
const MOST_CURVES: usize = 2_000;

/// The button beside the table and the dialogue that it opens.
#[component]
pub fn TakeAway() -> impl IntoView {
    let state = expect_context::<State>();
    let range = expect_context::<ChosenRange>();
    let dialog = NodeRef::<html::Dialog>::new();
    let said = RwSignal::new(String::new());
    let width = RwSignal::new(Width::Double);
    let is_busy = RwSignal::new(false);
    let open = move |_| {
        said.set(String::new());
        if let Some(dialog) = dialog.get_untracked() {
            // Fails only for a dialogue that is open already.
            let _ = dialog.show_modal();
        }
    };
    let close = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let say = move |done: Result<String, String>| {
        said.set(done.unwrap_or_else(|why| why));
        is_busy.set(false);
    };
    let table = move |format| say(save_table(&untrack(|| state.taken()), format));
    let later = move |job: Job| {
        is_busy.set(true);
        said.set("Gathering the curves…".into());
        spawn_local(async move {
            let rows = untrack(|| state.taken());
            say(match job {
                Job::Spectra => save_spectra(state, rows).await,
                Job::Session => save_session(state, rows).await,
                Job::BibTex => copy_bibtex(state, rows).await,
                Job::Link => copy_link(state, rows).await,
                Job::Svg => save_figure(state, range, width.get_untracked(), false).await,
                Job::Png => save_figure(state, range, width.get_untracked(), true).await,
            });
        });
    };
    let of = move || {
        let ticked = state.ticked.with(|t| t.len());
        match ticked {
            0 => format!(
                "Of {}, as the table shows them. Tick rows to take only those.",
                format::count(state.arrangement.shown.with(|s| s.len()), "result", "results")
            ),
            n => format!("Of the {} ticked.", format::count(n, "result", "results")),
        }
    };
    let button = move |id: &'static str, text: &'static str, job: Job| {
        view! {
            <button data-testid=id disabled=is_busy on:click=move |_| later(job)>{text}</button>
        }
    };
    view! {
        <button data-testid="take-away" disabled=move || state.rows.with(Vec::is_empty) on:click=open>"Take away…"</button>
        <dialog class="take-away" node_ref=dialog aria-labelledby="take-away-title" data-testid="take-away-dialog">
            <h2 id="take-away-title">"Take away"</h2>
            <p class="muted">{of}</p>
            <div class="choices" role="group" aria-label="Link">
                <h3>"Link"</h3>
                {button("copy-link", "Copy link", Job::Link)}
                <p>"The results themselves, in the address: whoever opens it sees the table and the normalised spectra. Nothing is uploaded."</p>
            </div>
            <div class="choices" role="group" aria-label="Tables">
                <h3>"Table"</h3>
                {Format::ALL.map(|format| view! {
                    <button data-testid=format!("table-{}", format.name()) disabled=is_busy on:click=move |_| table(format)>
                        {match format { Format::Csv => "CSV", Format::Ecsv => "ECSV", Format::VoTable => "VOTable", Format::Fits => "FITS" }}
                    </button>
                }).collect_view()}
                <p>"ECSV, VOTable and FITS also hold units, positions, models and what was done to each spectrum."</p>
            </div>
            <div class="choices" role="group" aria-label="Spectra">
                <h3>"Spectra"</h3>
                {button("save-spectra", "Normalised, CSV", Job::Spectra)}
                {button("save-session", "Session file", Job::Session)}
                <p>"A session file (.specola) reopens here exactly, with every curve and the adapter in use: drop it on this page."</p>
            </div>
            <div class="choices" role="group" aria-label="Figure">
                <h3>"Figure"</h3>
                {button("save-svg", "SVG", Job::Svg)}
                {button("save-png", "PNG", Job::Png)}
                <label>
                    "Width "
                    <select data-testid="figure-width" on:change=move |e| width.set(Width::from_name(&event_target_value(&e)))>
                        {Width::ALL.map(|w| view! { <option value=w.name() selected=w == Width::Double>{w.name()}</option> }).collect_view()}
                    </select>
                </label>
                <p>"Of the spectrum on show; PNG at 600 dots an inch."</p>
            </div>
            <OtherPrograms/>
            <div class="choices" role="group" aria-label="Citation">
                <h3>"Cite"</h3>
                {button("copy-bibtex", "Copy BibTeX", Job::BibTex)}
                <p>"Of the method, the program and the surveys whose spectra these are, with the words that those ask for."</p>
            </div>
            <p class="said" role="status" data-testid="take-away-said">{said}</p>
            <p><button class="primary" on:click=close>"Close"</button></p>
        </dialog>
    }
}

/// What needs curves.
#[derive(Debug, Clone, Copy)]
enum Job {
    Spectra,
    Session,
    Link,
    BibTex,
    Svg,
    Png,
}

/// Writes the table and says what it holds.
///
/// # Errors
/// What the browser says.
pub fn save_table(rows: &[Row], format: Format) -> Result<String, String> {
    let records: Vec<Record> = rows.iter().map(Row::record).collect();
    let name = format!("specola.{}", format.extension());
    save_bytes(&name, format.mime(), &share::write(format, &records, &Label::ALL))?;
    Ok(format!("{name}: {}", what_it_holds(&records)))
}

/// Rows, models and what has no parameters, in words.
fn what_it_holds(records: &[Record]) -> String {
    let models: Vec<String> = models_of(records).into_iter().map(|m| m.title).collect();
    let without = records.iter().filter(|r| r.prediction().is_none()).count();
    let mut text = format::count(records.len(), "row", "rows");
    if !models.is_empty() {
        text += &format!(" by {}", models.join(", "));
    }
    if without > 0 {
        text += &format!("; {without} of them without parameters");
    }
    text + "."
}

async fn save_spectra(state: State, rows: Vec<Row>) -> Result<String, String> {
    let (mut views, mut missing) = (Vec::new(), rows.len().saturating_sub(MOST_CURVES));
    for row in rows.iter().take(MOST_CURVES) {
        match state.curves(*row).await {
            Ok(view) => views.push((row.summary.get_untracked().meta.id.clone(), view)),
            Err(_) => missing += 1,
        }
    }
    let (text, written) = spectra::csv(views.iter().map(|(id, view)| (id.as_str(), &**view)));
    missing += views.len() - written;
    save_text("specola-spectra.csv", "text/csv", &text)?;
    Ok(format!(
        "specola-spectra.csv: {}{}",
        format::count(written, "spectrum", "spectra"),
        left_out(missing, "without a normalised spectrum")
    ))
}

async fn save_session(state: State, rows: Vec<Row>) -> Result<String, String> {
    let records: Vec<Record> = rows.iter().map(Row::record).collect();
    let skipped = state.skipped.with_untracked(|list| list.iter().map(|s| (s.what.clone(), s.why.clone())).collect());
    let selected = state.selected.get_untracked().and_then(|key| rows.iter().position(|row| row.key == key));
    let in_use = state.teach.in_use.get_untracked();
    let adapter = in_use.as_ref().map(|used| (used.sha256.as_str(), used.file.as_slice()));
    let mut writer = session::Writer::new(&records, skipped, selected, adapter).map_err(|e| e.to_string())?;
    for (i, row) in rows.iter().enumerate().take(MOST_CURVES) {
        if let Ok(view) = state.curves(*row).await {
            writer.curves(i, &view).map_err(|e| e.to_string())?;
        }
    }
    let (bytes, with_curves) = writer.finish().map_err(|e| e.to_string())?;
    save_bytes("specola.specola", "application/zip", &bytes)?;
    let without = left_out(records.len() - with_curves, "without curves");
    Ok(format!(
        "specola.specola ({}): {}{}{without}",
        format::bytes(bytes.len() as u64),
        what_it_holds(&records).trim_end_matches('.'),
        if in_use.is_some() { ", with the adapter" } else { "" }
    ))
}

fn left_out(n: usize, why: &str) -> String {
    if n == 0 { ".".into() } else { format!("; {n} {why}.") }
}

async fn copy_link(state: State, rows: Vec<Row>) -> Result<String, String> {
    if rows.len() > link::MOST_RESULTS {
        return Err(link::NoLink::TooMany(rows.len()).to_string());
    }
    let records: Vec<Record> = rows.iter().map(Row::record).collect();
    let mut views = Vec::new();
    for row in &rows {
        views.push(state.curves(*row).await.ok());
    }
    let results: Vec<_> = records.iter().zip(views.iter().map(|v| v.as_deref())).collect();
    let made = link::encode(&results, link::limit(rows.len())).map_err(|e| e.to_string())?;
    let location = window().location();
    let page = location.href().map_err(|e| text_of(&e))?;
    let address = format!("{}#{}", page.split('#').next().unwrap_or_default(), made.fragment);
    let copied = JsFuture::from(window().navigator().clipboard().write_text(&address)).await;
    let curves = match made.block {
        None => "The normalised spectra did not fit and are left out: a session file holds them".into(),
        Some(1) => "Its spectra are as the model saw them".into(),
        Some(block) => format!("Its spectra are averages of {block} pixels"),
    };
    let missing = if made.without_curve > 0 { format!("; {} without one", made.without_curve) } else { String::new() };
    let told = format!(
        "{} in {} characters. {curves}{missing}. Left out: flux as in the file, continuum, the steps before.",
        format::count(made.rows, "result", "results"),
        address.len()
    );
    match copied {
        Ok(_) => Ok(format!("Link copied: {told}")),
        Err(_) => {
            // Into the address bar instead, from where it can be copied.
            let history = window().history().map_err(|e| text_of(&e))?;
            history
                .replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&address))
                .map_err(|e| text_of(&e))?;
            Ok(format!("The browser does not let the page copy; the link stands in the address bar: {told}"))
        }
    }
}

async fn copy_bibtex(state: State, rows: Vec<Row>) -> Result<String, String> {
    let records: Vec<Record> = rows.iter().map(Row::record).collect();
    let trained_on = state.model.get_untracked().map_or(String::new(), |card| card.trained_on);
    let cited = citation::citation(&records, &trained_on);
    let surveys = if cited.surveys.is_empty() { "no survey".into() } else { cited.surveys.join(", ") };
    let unknown = match cited.of_unknown {
        0 => String::new(),
        n => format!("; {} not say where from", format::count(n, "spectrum does", "spectra do")),
    };
    let told = format!(
        "{} for the method, the program and {surveys}{unknown}.",
        format::count(cited.entries, "entry", "entries")
    );
    let copied = JsFuture::from(window().navigator().clipboard().write_text(&cited.text)).await;
    if copied.is_ok() {
        return Ok(format!("BibTeX copied: {told}"));
    }
    save_text("specola.bib", "application/x-bibtex", &cited.text)?;
    Ok(format!("The browser does not let the page copy; specola.bib: {told}"))
}

async fn save_figure(state: State, range: ChosenRange, width: Width, is_png: bool) -> Result<String, String> {
    let row = untrack(|| state.selected_row()).ok_or("No spectrum is on show; select a row first.")?;
    let view = state.curves(row).await?;
    // As it is on show: with what helps to read it, over the range that was chosen.
    let curves = reading::curves_now(state, row, &view);
    let range_aa = range.0.get_untracked();
    let fwhm_pixels = f64::from(state.reading.smoothing().get_untracked());
    let drawn = if fwhm_pixels > 0.0 { smoothed(&view, fwhm_pixels) } else { (*view).clone() };
    figure_file::save(row, &drawn, &curves, range_aa, width, is_png)
}
