//! The contexts of the page: small handles of signals, one file each, with the methods that change these signals.
//!
//! Components take the contexts that they need from Leptos. A context may hold others; these dependencies form no
//! circle:
//!
//! ```text
//! notice ← engine ← jobs, specclip, finetune, similarity (also on notice)
//! rows   ← table_view
//! engine, rows ← diagnostics
//! engine, rows, imported_rows ← curves
//! rows, table_view, curves, diagnostics ← selection
//! engine, finetune ← session
//! engine, jobs, session ← columns
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
mod rows;
mod selection;
mod session;
mod similarity;
mod specclip;
mod table_view;

pub use columns::{ColumnQuestion, Columns};
pub use curves::Curves;
pub use diagnostics::Diagnostics;
pub use engine::Engine;
pub use finetune::{ActiveAdapter, Finetune, Phase};
pub use imported_rows::{ImportedRows, Origin, StoredCurves};
pub use jobs::{Jobs, Progress, SkippedItem};
pub use labels::Labels;
pub use notice::Notice;
pub use rows::Rows;
pub use selection::Selection;
pub use session::Session;
pub use similarity::{Panel, Similarity, label_text};
pub use specclip::SpecClip;
pub use table_view::TableView;
