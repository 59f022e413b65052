//! `VOTable` 1.x: tables in XML, with rows as elements (TABLEDATA) or as a base64 byte stream (BINARY, BINARY2).
//!
//! IVOA recommendation `VOTable` 1.4. Only the five predefined entities of XML are expanded, so a document cannot grow by
//! entity expansion.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::super::fits::Number;
use super::stream::{Count, Primitive, Stream};
use super::text_cells::TextCells;
use super::{BadRow, Cells, Column, MAX_BAD_ROWS, MAX_COLUMNS, Params, Table};
use crate::read::error::{ReadError, truncate};

/// Name of these tables.
pub(super) const KIND: &str = "VOTable";

/// Maximum number of tables in a document; services return one or a few.
const MAX_TABLES: usize = 1000;

/// True for the start of an XML document whose root element is VOTABLE.
pub(crate) fn identify(start: &str) -> bool {
    let start = start.trim_start_matches('\u{feff}').trim_start();
    start.starts_with('<') && (start.contains("<VOTABLE") || start.contains(":VOTABLE"))
}

/// Reads all tables that have rows.
pub(super) fn read(text: &str) -> Result<Vec<Table<'static>>, ReadError> {
    let mut reader = Reader::from_str(text);
    let mut document = Document::default();
    loop {
        let position = reader.buffer_position();
        let layout_error =
            |problem: String| ReadError::Layout { place: format!("the XML near byte {position}"), problem };
        let event = reader.read_event().map_err(|e| {
            layout_error(format!("{}; the file is damaged, download it again", truncate(&e.to_string())))
        })?;
        match event {
            Event::Start(element) => {
                document.begin(&element).map_err(layout_error)?;
                document.depth += 1;
            }
            Event::Empty(element) => {
                document.begin(&element).map_err(layout_error)?;
                document.end(element.local_name().as_ref()).map_err(layout_error)?;
            }
            Event::End(element) => {
                document.depth = document.depth.saturating_sub(1);
                document.end(element.local_name().as_ref()).map_err(layout_error)?;
            }
            Event::Text(text) => document.text(&text.xml_content(XmlVersion::Implicit1_0)),
            Event::CData(text) => document.text(&text.xml_content(XmlVersion::Implicit1_0)),
            Event::GeneralRef(name) => document.text(entity_char(&name).encode_utf8(&mut [0; 4])),
            Event::Eof if document.depth > 0 => {
                return Err(layout_error(
                    "XML elements are not closed; the file is truncated, download it again".into(),
                ));
            }
            Event::Eof => break,
            _ => {}
        }
    }
    match document.failure {
        Some(message) if document.tables.is_empty() => Err(ReadError::Layout {
            place: "the VOTable".into(),
            problem: format!("error message of the service that wrote it: {message}"),
        }),
        _ => Ok(document.tables),
    }
}

/// The character of an entity; a question mark if XML does not predefine the entity.
pub(crate) fn entity_char(name: &BytesRef) -> char {
    let predefined = || match &name.xml_content(XmlVersion::Implicit1_0)[..] {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => '?',
    };
    name.resolve_char_ref().ok().flatten().unwrap_or_else(predefined)
}

/// A FIELD element: heading and cell type of a column.
struct Field {
    column: Column,
    primitive: Primitive,
    count: Option<Count>,
}

/// State of the parser.
#[derive(Default)]
struct Document {
    depth: usize,
    tables: Vec<Table<'static>>,
    /// PARAMs and INFOs outside tables; `table_params` has those of the current table.
    params: Params,
    table_params: Params,
    in_table: bool,
    fields: Vec<Field>,
    /// Text of the cells, or base64 text of the stream.
    text: String,
    /// True while text belongs to the data.
    collects_text: bool,
    ranges: Vec<(u32, u32)>,
    row_start: usize,
    rows: u32,
    lines: Vec<u32>,
    bad_rows: Vec<BadRow>,
    /// `Some(true)` in BINARY2, `Some(false)` in BINARY, `None` in TABLEDATA.
    binary: Option<bool>,
    failure: Option<String>,
}

impl Document {
    fn begin(&mut self, element: &BytesStart) -> Result<(), String> {
        match element.local_name().as_ref() {
            "TABLE" => {
                let tables = std::mem::take(&mut self.tables);
                let (params, failure, depth) = (std::mem::take(&mut self.params), self.failure.take(), self.depth);
                *self = Self { tables, params, failure, depth, in_table: true, ..Self::default() };
                if self.tables.len() >= MAX_TABLES {
                    return Err(format!(
                        "it has more than {MAX_TABLES} tables; copy the table with spectra to a new file"
                    ));
                }
            }
            "FIELD" if self.fields.len() >= MAX_COLUMNS => return Err("a table has more than 5000 columns".into()),
            "FIELD" => self.fields.push(field(element)?),
            "VALUES" => {
                if let Some(field) = self.fields.last_mut() {
                    field.column.null = attribute(element, "null").or(field.column.null.take());
                }
            }
            "PARAM" | "INFO" => {
                let value = attribute(element, "value").unwrap_or_default();
                let name = attribute(element, "name").or_else(|| attribute(element, "ID")).unwrap_or_default();
                if name == "QUERY_STATUS" && value == "ERROR" {
                    self.failure = Some("the query failed; repeat it".into());
                }
                if self.in_table { &mut self.table_params } else { &mut self.params }.add(&name, &value);
            }
            "TR" => {
                self.row_start = self.lines.len().saturating_mul(self.fields.len());
                self.ranges.truncate(self.row_start);
            }
            "TD" => {
                self.collects_text = true;
                let offset = self.offset()?;
                self.ranges.push((offset, offset));
            }
            "BINARY" => self.binary = Some(false),
            "BINARY2" => self.binary = Some(true),
            "STREAM" if self.binary.is_some() => {
                let encoding = attribute(element, "encoding").unwrap_or_default();
                if attribute(element, "href").is_some() || encoding != "base64" {
                    return Err("its data are not in the file as base64; save the table as TABLEDATA".into());
                }
                self.collects_text = true;
            }
            "FITS" => return Err("its data are in a FITS file; give that file, or save the table as TABLEDATA".into()),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<(), String> {
        match name {
            "TD" => {
                self.collects_text = false;
                let offset = self.offset()?;
                if let Some(range) = self.ranges.last_mut() {
                    range.1 = offset;
                }
            }
            "TR" => {
                self.rows += 1;
                let found = self.ranges.len() - self.row_start.min(self.ranges.len());
                if found == self.fields.len() {
                    self.lines.push(self.rows);
                } else {
                    self.ranges.truncate(self.row_start);
                    if self.bad_rows.len() < MAX_BAD_ROWS {
                        self.bad_rows.push(BadRow { line: self.rows as usize, found });
                    }
                }
            }
            "STREAM" => self.collects_text = false,
            "TABLE" => {
                self.in_table = false;
                self.finish()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if self.collects_text {
            self.text.push_str(text);
        }
    }

    fn offset(&self) -> Result<u32, String> {
        u32::try_from(self.text.len()).map_err(|_| "it is larger than 4 GiB; split it".into())
    }

    /// Builds a table from the collected fields and data.
    fn finish(&mut self) -> Result<(), String> {
        let fields = std::mem::take(&mut self.fields);
        let text = std::mem::take(&mut self.text);
        let (primitives, columns): (Vec<(Primitive, Option<Count>)>, Vec<Column>) =
            fields.into_iter().map(|f| ((f.primitive, f.count), f.column)).unzip();
        let mut table = match self.binary {
            None => {
                let (ranges, lines) = (std::mem::take(&mut self.ranges), std::mem::take(&mut self.lines));
                let rows = lines.len();
                let cells = TextCells::new(Cow::Owned(text), ranges, columns.len(), lines);
                Table::of_text(KIND, columns, rows, cells)
            }
            Some(nulls) => {
                let encoded: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=').collect();
                let bytes = STANDARD_NO_PAD.decode(encoded).map_err(|e| format!("its base64 is damaged: {e}"))?;
                let sized_fields: Option<Vec<(Primitive, Count)>> =
                    primitives.iter().map(|(primitive, count)| Some((*primitive, (*count)?))).collect();
                let sized_fields =
                    sized_fields.ok_or("the arraysize of a FIELD is not understood; save it as TABLEDATA")?;
                let blanks = columns.iter().map(|c| c.null.as_ref()?.trim().parse().ok()).collect();
                let (stream, rows) = Stream::split(bytes, &sized_fields, blanks, nulls)?;
                let mut table =
                    Table::of_text(KIND, columns, 0, TextCells::new(Cow::Borrowed(""), Vec::new(), 0, Vec::new()));
                (table.rows, table.cells) = (rows, Cells::Stream(stream));
                table
            }
        };
        table.params = std::mem::take(&mut self.table_params);
        table.params.fill(&self.params);
        table.bad_rows = std::mem::take(&mut self.bad_rows);
        self.tables.push(table);
        Ok(())
    }
}

/// Parses a FIELD element.
fn field(element: &BytesStart) -> Result<Field, String> {
    let text = |name: &str| attribute(element, name).unwrap_or_default();
    let name = attribute(element, "name").unwrap_or_else(|| text("ID"));
    let datatype = text("datatype");
    let primitive = Primitive::from_datatype(&datatype).ok_or_else(|| {
        format!(
            "FIELD {} has the datatype “{}”; this is not a VOTable datatype: correct it",
            truncate(&name),
            truncate(&datatype)
        )
    })?;
    let count = Count::from_arraysize(&text("arraysize"));
    let is_array = !primitive.is_text() && count != Some(Count::Fixed(1));
    let is_f32 = primitive == Primitive::Numbers(Number::F32);
    let is_text = !matches!(primitive, Primitive::Numbers(_));
    let column = Column { name, unit: text("unit"), ucd: text("ucd"), is_array, is_f32, is_text, null: None };
    Ok(Field { column, primitive, count })
}

/// The value of an attribute, with entities resolved; unknown entities remain unchanged.
fn attribute(element: &BytesStart, name: &str) -> Option<String> {
    let attribute = element.attributes().flatten().find(|a| a.key.local_name().as_ref() == name)?;
    match attribute.normalized_value(XmlVersion::Implicit1_0) {
        Ok(value) => Some(value.trim().to_string()),
        Err(_) => Some(attribute.value.trim().to_string()),
    }
}
