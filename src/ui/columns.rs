//! The dialogue in which the user says which column of a text is what.

use leptos::{ev, html, prelude::*};

use super::state::{Row, State, of_file};
use crate::engine::{Assumptions, Request};
use crate::read::by_hand::{Columns, ErrorKind, Preview, WaveUnit};

/// Whose columns are asked about.
#[derive(Debug, Clone)]
pub struct Question {
    /// Path of the file.
    pub path: String,
    /// The spectrum that was read from it, if one was.
    pub row: Option<Row>,
    /// Its first lines, when they have come.
    pub preview: Option<Result<Box<Preview>, String>>,
}

/// True for the name of a file that may be a text with columns.
pub fn may_have_columns(path: &str) -> bool {
    let path = path.to_lowercase();
    let path = path.trim_end_matches(".gz");
    ["csv", "txt", "dat", "tsv", "ecsv", "ascii", "asc", "tbl", "ipac", "spec"]
        .iter()
        .any(|ending| path.strip_suffix(ending).is_some_and(|stem| stem.ends_with('.')))
}

/// What a column can be, as the menu above it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Nothing,
    Wavelength,
    Flux,
    Sigma,
    Ivar,
}

impl Use {
    const ALL: [Self; 5] = [Self::Nothing, Self::Wavelength, Self::Flux, Self::Sigma, Self::Ivar];

    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "not used",
            Self::Wavelength => "wavelength",
            Self::Flux => "flux",
            Self::Sigma => "error σ",
            Self::Ivar => "inverse variance",
        }
    }

    fn of(columns: &Columns, i: usize) -> Self {
        match i as u16 {
            i if i == columns.wave => Self::Wavelength,
            i if i == columns.flux => Self::Flux,
            i if columns.error == Some((i, ErrorKind::Sigma)) => Self::Sigma,
            i if columns.error == Some((i, ErrorKind::Ivar)) => Self::Ivar,
            _ => Self::Nothing,
        }
    }
}

/// The dialogue; open while there is a question.
#[component]
pub fn ColumnsDialog() -> impl IntoView {
    let state = expect_context::<State>();
    let dialog = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        let is_asked = state.columns.with(Option::is_some);
        let Some(dialog) = dialog.get() else { return };
        if is_asked && !dialog.open() {
            // Fails only for a dialogue that is open already.
            let _ = dialog.show_modal();
        } else if !is_asked && dialog.open() {
            dialog.close();
        }
    });
    let path = move || state.columns.with(|q| q.as_ref().map_or(String::new(), |q| q.path.clone()));
    view! {
        <dialog
            class="columns" node_ref=dialog aria-labelledby="columns-title" data-testid="columns-dialog"
            on:close=move |_| state.columns.set(None)
        >
            <h2 id="columns-title" tabindex="-1" autofocus>"Which column is what?"</h2>
            <p class="muted">{path}</p>
            {move || match state.columns.get()?.preview.clone() {
                None => Some(view! { <p class="waiting">"Reading its first lines…"</p> }.into_any()),
                Some(Err(why)) => Some(view! { <p class="error" role="alert">{why}</p> }.into_any()),
                Some(Ok(preview)) => Some(view! { <Choices preview=*preview/> }.into_any()),
            }}
            <Show when=move || !state.columns.with(|q| matches!(q, Some(Question { preview: Some(Ok(_)), .. })))>
                <p><button on:click=move |_| state.columns.set(None)>"Close"</button></p>
            </Show>
        </dialog>
    }
}

#[component]
fn Choices(preview: Preview) -> impl IntoView {
    let state = expect_context::<State>();
    let said = state.columns.with_untracked(|q| q.as_ref()?.row?.assumptions.get_untracked().columns);
    let first = said.unwrap_or(preview.guess);
    let uses: Vec<RwSignal<Use>> = (0..preview.names.len()).map(|i| RwSignal::new(Use::of(&first, i))).collect();
    let unit = RwSignal::new(first.unit);
    let choose = {
        let uses = uses.clone();
        move |at: usize, event: ev::Event| {
            let value = event_target_value(&event);
            let wanted = Use::ALL.into_iter().find(|u| u.name() == value).unwrap_or(Use::Nothing);
            let is_error = |u| matches!(u, Use::Sigma | Use::Ivar);
            // One column each: what had this use before has none now.
            for other in uses.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, other)| other) {
                let had = other.get_untracked();
                if wanted != Use::Nothing && (had == wanted || is_error(had) && is_error(wanted)) {
                    other.set(Use::Nothing);
                }
            }
            uses[at].set(wanted);
        }
    };
    let chosen = {
        let uses = uses.clone();
        move || {
            let find = |wanted| uses.iter().position(|u| u.get() == wanted).map(|i| i as u16);
            let sigma = find(Use::Sigma).map(|i| (i, ErrorKind::Sigma));
            let error = sigma.or_else(|| find(Use::Ivar).map(|i| (i, ErrorKind::Ivar)));
            Some(Columns { wave: find(Use::Wavelength)?, unit: unit.get(), flux: find(Use::Flux)?, error })
        }
    };
    let is_whole = {
        let chosen = chosen.clone();
        Memo::new(move |_| chosen().is_some())
    };
    let read = move |_| {
        if let Some(columns) = untrack(&chosen) {
            state.read_columns(Some(columns));
        }
    };
    let heads = preview.names.iter().zip(uses).enumerate().map(|(i, (name, of))| {
        let choose = choose.clone();
        view! {
            <th scope="col">
                <span class="column-name">{name.clone()}</span>
                <select
                    aria-label=format!("What {name} is") data-testid=format!("column-{i}")
                    prop:value=move || of.get().name() on:change=move |event| choose(i, event)
                >
                    {Use::ALL.map(|u| view! { <option value=u.name() selected=move || of.get() == u>{u.name()}</option> }).collect_view()}
                </select>
            </th>
        }
    }).collect_view();
    let lines = preview
        .lines
        .iter()
        .map(|line| {
            view! { <tr>{line.iter().map(|cell| view! { <td>{cell.clone()}</td> }).collect_view()}</tr> }
        })
        .collect_view();
    let set_unit = move |event: ev::Event| {
        let value = event_target_value(&event);
        unit.set(WaveUnit::ALL.into_iter().find(|u| u.symbol() == value).unwrap_or(WaveUnit::Angstrom));
    };
    view! {
        <div class="preview-box" tabindex="0" role="region" aria-label="First lines of the file">
            <table>
                <thead><tr>{heads}</tr></thead>
                <tbody>{lines}</tbody>
            </table>
        </div>
        <p class="muted">{format!("{} lines of values. Air or vacuum can be set beside the spectrum.", preview.n_lines)}</p>
        <label>
            "Wavelengths in "
            <select data-testid="column-unit" on:change=set_unit>
                {WaveUnit::ALL.map(|u| view! {
                    <option value=u.symbol() selected=move || unit.get() == u>{u.symbol()}</option>
                }).collect_view()}
            </select>
        </label>
        <p role="status">{move || (!is_whole.get()).then_some("Say which column holds the wavelength and which the flux.")}</p>
        <p class="actions">
            <button class="primary" data-testid="read-columns" disabled=move || !is_whole.get() on:click=read>"Read it so"</button>
            {said.map(|_| view! {
                <button data-testid="forget-columns" on:click=move |_| state.read_columns(None)>"As the file says"</button>
            })}
            <button on:click=move |_| state.columns.set(None)>"Cancel"</button>
        </p>
    }
}

impl State {
    /// Asks the user which columns of a file to read: of a spectrum that it gave, or of one that it did not give.
    pub fn ask_columns(&self, path: String, row: Option<Row>) {
        let file = self.file(&path);
        let preview = file.is_none().then(|| Err("The file is not open any more; drop it again.".to_string()));
        self.columns.set(Some(Question { path: path.clone(), row, preview }));
        if let Some(file) = file {
            self.send(Request::Preview { path }, vec![file.file]);
        }
    }

    /// Reads the file that was asked about by these columns, or again as it says itself.
    pub fn read_columns(&self, columns: Option<Columns>) {
        let Some(question) = self.columns.get_untracked() else { return };
        self.columns.set(None);
        if let Some(row) = question.row {
            let said = row.assumptions.get_untracked();
            return self.assume(row, Assumptions { columns, ..said });
        }
        let Some(file) = self.file(&question.path) else { return };
        self.remembered.update_value(|known| {
            known.insert(of_file(&question.path), Assumptions { columns, ..Assumptions::default() });
        });
        self.autosave();
        self.skipped.update(|list| list.retain(|item| item.what != question.path));
        self.read(vec![file], columns);
    }
}
