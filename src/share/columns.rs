//! Columns of a table of results: defined once, used by every format.

use super::{Record, models_of};
use crate::result::Label;

/// Type of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnType {
    Text,
    Number,
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OutputColumn {
    pub name: String,
    pub kind: ColumnType,
    /// Unit in `VOUnit` spelling; empty for none.
    pub unit: &'static str,
    pub ucd: String,
    pub description: String,
    field: Field,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Field {
    File,
    Id,
    Survey,
    Snr,
    Value(Label),
    Error(Label),
    Flags,
    Ra,
    Dec,
    Model,
    ProcessingHistory,
}

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Text(String),
    /// `None` where there is no number.
    Number(Option<f64>),
}

impl OutputColumn {
    fn new(field: Field, name: &str, kind: ColumnType, unit: &'static str, ucd: &str, description: &str) -> Self {
        Self { name: name.into(), kind, unit, ucd: ucd.into(), description: description.into(), field }
    }

    /// The cell of a result in this column.
    pub(super) fn cell(&self, record: &Record) -> Cell {
        let meta = &record.summary.meta;
        match self.field {
            Field::File => Cell::Text(record.summary.file.clone()),
            Field::Id => Cell::Text(meta.id.clone()),
            Field::Survey => Cell::Text(meta.survey.name().into()),
            Field::Snr => Cell::Number(record.snr()),
            Field::Value(label) => Cell::Number(record.numbers(label).0),
            Field::Error(label) => Cell::Number(record.numbers(label).1),
            Field::Flags => Cell::Text(record.flags().join("|")),
            Field::Ra => Cell::Number(meta.ra_deg.filter(|v| v.is_finite())),
            Field::Dec => Cell::Number(meta.dec_deg.filter(|v| v.is_finite())),
            Field::Model => Cell::Text(record.prediction().map_or(String::new(), |p| p.model.clone())),
            Field::ProcessingHistory => Cell::Text(record.processing_history()),
        }
    }
}

/// The columns of the CSV table that the command line documents.
pub(super) fn csv_columns(labels: &[Label]) -> Vec<OutputColumn> {
    use ColumnType::{Number, Text};
    let mut columns = vec![
        OutputColumn::new(Field::File, "file", Text, "", "meta.id;meta.file", "File that the spectrum was read from"),
        OutputColumn::new(Field::Id, "id", Text, "", "meta.id;meta.main", "Identifier of the spectrum"),
        OutputColumn::new(Field::Survey, "survey", Text, "", "meta.dataset", "Survey, as recognised"),
        OutputColumn::new(Field::Snr, "snr", Number, "", "stat.snr", "Median S/N a pixel over the range of the model"),
    ];
    for &label in labels {
        let (ucd, unit, label_description) = describe(label);
        columns.push(OutputColumn::new(Field::Value(label), label.name(), Number, unit, ucd, label_description));
        let (name, description) = (format!("e_{}", label.name()), format!("1 sigma error of {}", label.name()));
        columns.push(OutputColumn::new(
            Field::Error(label),
            &name,
            Number,
            unit,
            &format!("stat.error;{ucd}"),
            &description,
        ));
    }
    columns.push(OutputColumn::new(Field::Flags, "flags", Text, "", "meta.code.qual", "Flags, joined by |"));
    columns
}

/// The columns of the self-describing formats: also position, model and processing history.
pub(super) fn all_columns(labels: &[Label]) -> Vec<OutputColumn> {
    use ColumnType::{Number, Text};
    let mut columns = csv_columns(labels);
    columns.extend([
        OutputColumn::new(Field::Ra, "ra", Number, "deg", "pos.eq.ra;meta.main", "Right ascension in the file"),
        OutputColumn::new(Field::Dec, "dec", Number, "deg", "pos.eq.dec;meta.main", "Declination in the file"),
        OutputColumn::new(Field::Model, "model", Text, "", "meta.version", "Model and version that answered"),
        OutputColumn::new(
            Field::ProcessingHistory,
            "processing_history",
            Text,
            "",
            "meta.note",
            "Preprocessing steps, in order",
        ),
    ]);
    columns
}

/// UCD, unit (`VOUnit`) and description of a label.
fn describe(label: Label) -> (&'static str, &'static str, &'static str) {
    match label {
        Label::Teff => ("phys.temperature.effective", "K", "Effective temperature"),
        Label::Logg => ("phys.gravity", "", "Surface gravity, log10 of cm/s2 (dex)"),
        Label::Feh => ("phys.abund.Fe", "", "Iron abundance [Fe/H] (dex)"),
        Label::AlphaFe => ("phys.abund.X", "", "Alpha-element abundance [alpha/Fe] (dex)"),
        Label::Rv => ("spect.dopplerVeloc.opt", "km/s", "Barycentric radial velocity"),
    }
}

/// Metadata of the whole table, as name and value: software, number of rows, models.
pub(super) fn table_metadata(records: &[Record]) -> Vec<(String, String)> {
    let mut table_metadata = vec![
        ("software".into(), format!("Specola {}", env!("CARGO_PKG_VERSION"))),
        ("rows".into(), records.len().to_string()),
    ];
    for model in models_of(records) {
        table_metadata.push(("model".into(), format!("{}, sha256 {}", model.title, model.sha256)));
    }
    table_metadata
}

/// Text in ASCII for FITS: Specola's own symbols are spelt out, others become `?`.
pub(super) fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => out.push(c),
            'Å' => out.push_str("Angstrom"),
            'α' => out.push_str("alpha"),
            'λ' => out.push_str("lambda"),
            'σ' => out.push_str("sigma"),
            'Δ' => out.push_str("Delta"),
            '−' | '–' | '—' => out.push('-'),
            '±' => out.push_str("+/-"),
            '×' => out.push('x'),
            '·' => out.push('.'),
            '≤' => out.push_str("<="),
            '≥' => out.push_str(">="),
            '≈' => out.push('~'),
            '²' => out.push('2'),
            '₀' => out.push('0'),
            '₁' => out.push('1'),
            '⁴' => out.push('4'),
            '⁻' => out.push_str("^-"),
            '’' | '‘' => out.push('\''),
            '\n' | '\t' | '\r' => out.push(' '),
            _ => out.push('?'),
        }
    }
    out
}
