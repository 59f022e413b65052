//! Dialogue in which the user assigns the columns of a text file.

use leptos::{ev, html, prelude::*};

use super::context::{ColumnAssignment, ColumnQuestion};
use crate::read::column_mapping::{ColumnMapping, ErrorKind, Preview, WaveUnit};

/// True if the file name has an extension of text files with columns.
pub(super) fn may_have_columns(path: &str) -> bool {
    let path = path.to_lowercase();
    let path = path.trim_end_matches(".gz");
    ["csv", "txt", "dat", "tsv", "ecsv", "ascii", "asc", "tbl", "ipac", "spec"]
        .iter()
        .any(|ending| path.strip_suffix(ending).is_some_and(|stem| stem.ends_with('.')))
}

/// The quantity in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnRole {
    Unused,
    Wavelength,
    Flux,
    Sigma,
    Ivar,
}

impl ColumnRole {
    const ALL: [Self; 5] = [Self::Unused, Self::Wavelength, Self::Flux, Self::Sigma, Self::Ivar];

    fn name(self) -> &'static str {
        match self {
            Self::Unused => "not used",
            Self::Wavelength => "wavelength",
            Self::Flux => "flux",
            Self::Sigma => "error σ",
            Self::Ivar => "inverse variance",
        }
    }

    fn of(columns: &ColumnMapping, i: usize) -> Self {
        match i as u16 {
            i if i == columns.wave => Self::Wavelength,
            i if i == columns.flux => Self::Flux,
            i if columns.error == Some((i, ErrorKind::Sigma)) => Self::Sigma,
            i if columns.error == Some((i, ErrorKind::Ivar)) => Self::Ivar,
            _ => Self::Unused,
        }
    }
}

/// The dialogue; open while [`ColumnAssignment::question`] names a file.
#[component]
pub(super) fn ColumnsDialog() -> impl IntoView {
    let columns = expect_context::<ColumnAssignment>();
    let dialog = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        let is_asked = columns.question.with(Option::is_some);
        let Some(dialog) = dialog.get() else { return };
        if is_asked && !dialog.open() {
            // Fails only for a dialogue that is open already.
            let _ = dialog.show_modal();
        } else if !is_asked && dialog.open() {
            dialog.close();
        }
    });
    let path = move || columns.question.with(|q| q.as_ref().map_or(String::new(), |q| q.path.clone()));
    view! {
        <dialog
            class="columns" node_ref=dialog aria-labelledby="columns-title" data-testid="columns-dialog"
            on:close=move |_| columns.question.set(None)
        >
            <h2 id="columns-title" tabindex="-1" autofocus>"Assign the columns"</h2>
            <p class="muted">{path}</p>
            {move || match columns.question.get()?.preview.clone() {
                None => Some(view! { <p class="waiting">"Reading the first lines…"</p> }.into_any()),
                Some(Err(why)) => Some(view! { <p class="error" role="alert">{why}</p> }.into_any()),
                Some(Ok(preview)) => Some(view! { <ColumnForm preview=*preview/> }.into_any()),
            }}
            <Show when=move || !columns.question.with(|q| matches!(q, Some(ColumnQuestion { preview: Some(Ok(_)), .. })))>
                <p><button on:click=move |_| columns.question.set(None)>"Close"</button></p>
            </Show>
        </dialog>
    }
}

#[component]
fn ColumnForm(preview: Preview) -> impl IntoView {
    let columns = expect_context::<ColumnAssignment>();
    let previous = columns.question.with_untracked(|q| q.as_ref()?.row?.assumptions.get_untracked().columns);
    let initial = previous.unwrap_or(preview.guess);
    let roles: Vec<RwSignal<ColumnRole>> =
        (0..preview.names.len()).map(|i| RwSignal::new(ColumnRole::of(&initial, i))).collect();
    let unit = RwSignal::new(initial.unit);
    let choose = {
        let roles = roles.clone();
        move |at: usize, event: ev::Event| {
            let value = event_target_value(&event);
            let role = ColumnRole::ALL.into_iter().find(|role| role.name() == value).unwrap_or(ColumnRole::Unused);
            let is_error = |role| matches!(role, ColumnRole::Sigma | ColumnRole::Ivar);
            // Each quantity has one column: another column with the same role becomes unused.
            for other in roles.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, other)| other) {
                let other_role = other.get_untracked();
                if role != ColumnRole::Unused && (other_role == role || is_error(other_role) && is_error(role)) {
                    other.set(ColumnRole::Unused);
                }
            }
            roles[at].set(role);
        }
    };
    let selected_mapping = {
        let roles = roles.clone();
        move || {
            let column_of = |role| roles.iter().position(|r| r.get() == role).map(|i| i as u16);
            let sigma = column_of(ColumnRole::Sigma).map(|i| (i, ErrorKind::Sigma));
            let error = sigma.or_else(|| column_of(ColumnRole::Ivar).map(|i| (i, ErrorKind::Ivar)));
            Some(ColumnMapping {
                wave: column_of(ColumnRole::Wavelength)?,
                unit: unit.get(),
                flux: column_of(ColumnRole::Flux)?,
                error,
            })
        }
    };
    let is_complete = {
        let selected_mapping = selected_mapping.clone();
        Memo::new(move |_| selected_mapping().is_some())
    };
    let read = move |_| {
        if let Some(mapping) = untrack(&selected_mapping) {
            columns.read(Some(mapping));
        }
    };
    let column_heads = preview.names.iter().zip(roles).enumerate().map(|(i, (name, role))| {
        let choose = choose.clone();
        view! {
            <th scope="col">
                <span class="column-name">{name.clone()}</span>
                <select
                    aria-label=format!("Quantity in column {name}") data-testid=format!("column-{i}")
                    prop:value=move || role.get().name() on:change=move |event| choose(i, event)
                >
                    {ColumnRole::ALL.map(|r| view! { <option value=r.name() selected=move || role.get() == r>{r.name()}</option> }).collect_view()}
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
                <thead><tr>{column_heads}</tr></thead>
                <tbody>{lines}</tbody>
            </table>
        </div>
        <p class="muted">{format!("{} lines of values. You can set air or vacuum wavelengths next to the plot of the spectrum.", preview.n_lines)}</p>
        <label>
            "Wavelengths in "
            <select data-testid="column-unit" on:change=set_unit>
                {WaveUnit::ALL.map(|u| view! {
                    <option value=u.symbol() selected=move || unit.get() == u>{u.symbol()}</option>
                }).collect_view()}
            </select>
        </label>
        <p role="status">{move || (!is_complete.get()).then_some("Select the wavelength column and the flux column.")}</p>
        <p class="actions">
            <button class="primary" data-testid="read-columns" disabled=move || !is_complete.get() on:click=read>"Read with these columns"</button>
            {previous.map(|_| view! {
                <button data-testid="reset-columns" on:click=move |_| columns.read(None)>"Detect the columns"</button>
            })}
            <button on:click=move |_| columns.question.set(None)>"Cancel"</button>
        </p>
    }
}
