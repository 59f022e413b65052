//! The columns of a table of results: defined once, written by every format.

use super::{Record, csv, ecsv, fits, models_of, votable};
use crate::result::Label;

/// A file that a table of results can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The columns of the command line's contract and nothing else.
    Csv,
    /// The same with units, models and ledger in the manner of astropy's enhanced CSV.
    Ecsv,
    /// VOTable 1.4.
    VoTable,
    /// A FITS binary table.
    Fits,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 4] = [Format::Csv, Format::Ecsv, Format::VoTable, Format::Fits];

    /// As the command line names it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Ecsv => "ecsv",
            Format::VoTable => "votable",
            Format::Fits => "fits",
        }
    }

    /// Ending of the file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Format::VoTable => "vot",
            other => other.name(),
        }
    }

    /// Media type.
    pub fn mime(self) -> &'static str {
        match self {
            Format::Csv => "text/csv",
            Format::Ecsv => "text/plain",
            Format::VoTable => "application/x-votable+xml",
            Format::Fits => "application/fits",
        }
    }
}

/// The table as the bytes of a file.
pub fn write(format: Format, records: &[Record], labels: &[Label]) -> Vec<u8> {
    match format {
        Format::Csv => csv::table(records, labels).into_bytes(),
        Format::Ecsv => ecsv::table(records, labels).into_bytes(),
        Format::VoTable => votable::table(records, labels),
        Format::Fits => fits::table(records, labels),
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
}

/// One column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub name: String,
    pub kind: Kind,
    /// In VOUnit spelling, empty for none.
    pub unit: &'static str,
    pub ucd: String,
    pub about: String,
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
    Ledger,
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Text(String),
    /// `None` where there is no number.
    Number(Option<f64>),
}

impl Column {
    fn new(field: Field, name: &str, kind: Kind, unit: &'static str, ucd: &str, about: &str) -> Self {
        Self { name: name.into(), kind, unit, ucd: ucd.into(), about: about.into(), field }
    }

    /// The cell of a row.
    pub fn cell(&self, record: &Record) -> Cell {
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
            Field::Ledger => Cell::Text(record.ledger()),
        }
    }
}

/// The columns that the command line promises.
pub(super) fn contract(labels: &[Label]) -> Vec<Column> {
    use Kind::{Number, Text};
    let mut columns = vec![
        Column::new(Field::File, "file", Text, "", "meta.id;meta.file", "File that the spectrum was read from"),
        Column::new(Field::Id, "id", Text, "", "meta.id;meta.main", "Identifier of the spectrum"),
        Column::new(Field::Survey, "survey", Text, "", "meta.dataset", "Survey, as recognised"),
        Column::new(Field::Snr, "snr", Number, "", "stat.snr", "Median S/N a pixel over the range of the model"),
    ];
    for &label in labels {
        let (ucd, unit, what) = describe(label);
        columns.push(Column::new(Field::Value(label), label.name(), Number, unit, ucd, what));
        let (name, about) = (format!("e_{}", label.name()), format!("1 sigma error of {}", label.name()));
        columns.push(Column::new(Field::Error(label), &name, Number, unit, &format!("stat.error;{ucd}"), &about));
    }
    columns.push(Column::new(Field::Flags, "flags", Text, "", "meta.code.qual", "Flags, joined by |"));
    columns
}

/// The columns of the formats that describe themselves: position, model and ledger besides.
pub(super) fn full(labels: &[Label]) -> Vec<Column> {
    use Kind::{Number, Text};
    let mut columns = contract(labels);
    columns.extend([
        Column::new(Field::Ra, "ra", Number, "deg", "pos.eq.ra;meta.main", "Right ascension in the file"),
        Column::new(Field::Dec, "dec", Number, "deg", "pos.eq.dec;meta.main", "Declination in the file"),
        Column::new(Field::Model, "model", Text, "", "meta.version", "Model and version that answered"),
        Column::new(Field::Ledger, "ledger", Text, "", "meta.note", "What was done to the spectrum before, in order"),
    ]);
    columns
}

/// UCD, VOUnit and meaning of a label.
fn describe(label: Label) -> (&'static str, &'static str, &'static str) {
    match label {
        Label::Teff => ("phys.temperature.effective", "K", "Effective temperature"),
        Label::Logg => ("phys.gravity", "", "Surface gravity, log10 of cm/s2 (dex)"),
        Label::Feh => ("phys.abund.Fe", "", "Iron abundance [Fe/H] (dex)"),
        Label::AlphaFe => ("phys.abund.X", "", "Alpha-element abundance [alpha/Fe] (dex)"),
        Label::Rv => ("spect.dopplerVeloc.opt", "km/s", "Barycentric radial velocity"),
    }
}

/// Remarks on the whole table, as name and value: who wrote it, how many rows, by which models.
pub(super) fn remarks(records: &[Record]) -> Vec<(String, String)> {
    let mut remarks = vec![
        ("software".into(), format!("Specola {}", env!("CARGO_PKG_VERSION"))),
        ("rows".into(), records.len().to_string()),
    ];
    for model in models_of(records) {
        remarks.push(("model".into(), format!("{}, sha256 {}", model.title, model.sha256)));
    }
    remarks
}

/// Text in ASCII, as FITS wants it: the signs that Specola uses spelt out, others as `?`.
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
            '’' | '‘' => out.push('\''),
            '\n' | '\t' | '\r' => out.push(' '),
            _ => out.push('?'),
        }
    }
    out
}
