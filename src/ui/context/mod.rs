//! The contexts of the page: small handles of signals, one file each, with the methods that change these signals.
//!
//! Components take the contexts that they need from Leptos. A context may hold other contexts; these dependencies
//! form no cycle:
//!
//! ```text
//! notice ← engine ← jobs, specclip, finetune, similarity (also on notice)
//! rows   ← table_view
//! engine, rows ← diagnostics
//! engine, rows, imported_rows ← curves
//! rows, table_view, curves, diagnostics ← selection
//! engine, finetune ← opened_files
//! engine, jobs, opened_files ← columns
//! labels (alone)
//! ```
//!
//! Actions that change several contexts are in [`super::actions`].

mod columns;
mod curves;
mod diagnostics;
mod engine;
mod finetune;
mod imported_rows;
mod jobs;
mod labels;
mod notice;
mod opened_files;
mod rows;
mod selection;
mod similarity;
mod specclip;
mod table_view;

pub(super) use columns::{ColumnAssignment, ColumnQuestion};
pub(super) use curves::Curves;
pub(super) use diagnostics::Diagnostics;
pub(super) use engine::Engine;
pub(super) use finetune::{ActiveAdapter, Finetune, FinetunePhase};
pub(super) use imported_rows::{ImportSource, ImportedRows, StoredCurves};
pub(super) use jobs::{Jobs, Progress, SkippedItem};
pub(super) use labels::Labels;
pub(super) use notice::Notice;
pub(super) use opened_files::OpenedFiles;
pub(super) use rows::Rows;
pub(super) use selection::Selection;
pub(super) use similarity::{Panel, Similarity, label_text};
pub(super) use specclip::SpecClip;
pub(super) use table_view::TableView;
