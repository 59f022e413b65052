//! Offer to reopen the files of an earlier visit, or the files that the user has just cleared.

use leptos::prelude::*;

use super::actions::Actions;
use super::autosave::RestorableSession;
use super::context::OpenedFiles;
use super::format;

/// Asks whether to restore these files.
#[component]
pub(super) fn RestoreQuestion() -> impl IntoView {
    let (actions, opened_files) = (expect_context::<Actions>(), expect_context::<OpenedFiles>());
    view! {
        {move || opened_files.restorable.with(|s| s.as_ref().map(|RestorableSession { files, is_cleared, .. }| {
            let n = format::count_with_noun(files.len(), "file", "files");
            let (text, yes, no, dismiss): (_, _, _, fn(Actions)) = if *is_cleared {
                (format!("{n} cleared."), "Restore", "Dismiss", |actions| actions.opened_files.restorable.set(None))
            } else {
                let bytes = format::bytes(files.iter().map(|f| f.file.size()).sum::<f64>() as u64);
                let storage_note = "were open. They are stored in this browser only.";
                (format!("On your last visit {n} ({bytes}) {storage_note}"), "Restore", "Delete", Actions::clear_local_data)
            };
            view! {
                <div class="notice" role="status" data-testid="restore">
                    <p>{text}</p>
                    <button class="primary" data-testid="restore-yes" on:click=move |_| actions.restore()>{yes}</button>
                    <button data-testid="restore-no" on:click=move |_| dismiss(actions)>{no}</button>
                </div>
            }
        }))}
    }
}
