//! `VOTable` 1.4 (IVOA recommendation of 2019-10-21) with its data as text (TABLEDATA).

use std::io::Write;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::Record;
use super::columns::{Cell, ColumnType, OutputColumn, all_columns, table_metadata};
use crate::result::Label;

const NAMESPACE: &str = "http://www.ivoa.net/xml/VOTable/v1.3";

/// The whole document.
pub fn table(records: &[Record], labels: &[Label]) -> Vec<u8> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 1);
    // Writing into memory cannot fail.
    let _ = document(&mut writer, records, &all_columns(labels));
    let mut bytes = writer.into_inner();
    bytes.push(b'\n');
    bytes
}

fn document<W: Write>(writer: &mut Writer<W>, records: &[Record], columns: &[OutputColumn]) -> std::io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    // The recommendation gives version 1.4 the namespace of version 1.3.
    let root = writer.create_element("VOTABLE").with_attributes([("version", "1.4"), ("xmlns", NAMESPACE)]);
    root.write_inner_content(|w| {
        w.create_element("RESOURCE").with_attribute(("type", "results")).write_inner_content(|w| {
            for (name, value) in table_metadata(records) {
                let attributes = [("name", name.as_str()), ("value", &clean(&value))];
                w.create_element("INFO").with_attributes(attributes).write_empty()?;
            }
            let rows = records.len().to_string();
            let table = w.create_element("TABLE").with_attributes([("name", "specola"), ("nrows", rows.as_str())]);
            table.write_inner_content(|w| {
                columns.iter().try_for_each(|column| field(w, column))?;
                w.create_element("DATA").write_inner_content(|w| {
                    w.create_element("TABLEDATA")
                        .write_inner_content(|w| records.iter().try_for_each(|record| row(w, columns, record)))?;
                    Ok(())
                })?;
                Ok(())
            })?;
            Ok(())
        })?;
        Ok(())
    })?;
    Ok(())
}

fn field<W: Write>(writer: &mut Writer<W>, column: &OutputColumn) -> std::io::Result<()> {
    let mut element = writer.create_element("FIELD").with_attributes([
        ("ID", column.name.as_str()),
        ("name", &column.name),
        ("ucd", &column.ucd),
    ]);
    element = match column.kind {
        // File names and processing histories may contain any character.
        ColumnType::Text => element.with_attributes([("datatype", "unicodeChar"), ("arraysize", "*")]),
        ColumnType::Number => element.with_attribute(("datatype", "double")),
    };
    if !column.unit.is_empty() {
        element = element.with_attribute(("unit", column.unit));
    }
    element.write_inner_content(|w| {
        w.create_element("DESCRIPTION").write_text_content(BytesText::new(&column.description))?;
        Ok(())
    })?;
    Ok(())
}

fn row<W: Write>(writer: &mut Writer<W>, columns: &[OutputColumn], record: &Record) -> std::io::Result<()> {
    writer.create_element("TR").write_inner_content(|w| {
        for column in columns {
            let text = match column.cell(record) {
                Cell::Text(text) => clean(&text),
                Cell::Number(number) => number.map_or_else(String::new, |n| n.to_string()),
            };
            w.create_element("TD").write_text_content(BytesText::new(&text))?;
        }
        Ok(())
    })?;
    Ok(())
}

/// True for a character that XML 1.0 allows. A carriage return is excluded: it would be read back as a line feed.
pub(super) fn is_xml(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// Replaces the characters that XML 1.0 does not allow.
fn clean(text: &str) -> String {
    text.chars().map(|c| if is_xml(c) { c } else { '\u{fffd}' }).collect()
}
