//! Enhanced CSV 1.0 (astropy APE 6): the table as CSV, after a YAML header with types, units and metadata.

use serde_json::{Value, json};

use super::Record;
use super::columns::{ColumnType, OutputColumn, all_columns, table_metadata};
use super::csv::{header_of, line_of};
use crate::result::Label;

/// The whole table.
pub fn table(records: &[Record], labels: &[Label]) -> String {
    let columns = all_columns(labels);
    let mut text = String::from("# %ECSV 1.0\n# ---\n# delimiter: ','\n# datatype:\n");
    // JSON is valid YAML, so one flow mapping a line needs no other quoting.
    columns.iter().for_each(|column| text += &format!("# - {}\n", describe(column)));
    text += "# meta:\n";
    let table_metadata = table_metadata(records);
    for name in ["software", "rows"] {
        let value = table_metadata.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v);
        text += &format!("#   {name}: {}\n", Value::from(value));
    }
    let models: Vec<&str> = table_metadata.iter().filter(|(n, _)| n == "model").map(|(_, v)| v.as_str()).collect();
    text += &format!("#   models: {}\n# schema: astropy-2.0\n", Value::from(models));
    text += &header_of(&columns);
    records.iter().for_each(|record| text += &line_of(&columns, record));
    text
}

fn describe(column: &OutputColumn) -> Value {
    let datatype = match column.kind {
        ColumnType::Text => "string",
        ColumnType::Number => "float64",
    };
    let mut entry = json!({ "name": column.name, "datatype": datatype, "description": column.description });
    if !column.unit.is_empty() {
        entry["unit"] = column.unit.into();
    }
    entry["meta"] = json!({ "ucd": column.ucd });
    entry
}
