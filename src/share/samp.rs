//! Messages to other programs on this computer, such as TOPCAT, Aladin or DS9, by the Web Profile of SAMP. SAMP is the
//! Simple Application Messaging Protocol (IVOA recommendation 1.3, §5): XML-RPC to a hub at a fixed address.
//!
//! This module makes and parses the messages; `ui/samp.rs` sends them.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};

use super::votable::is_xml;
use crate::read::entity_char;

/// Address where the recommendation has the hub listen for pages, on this computer.
pub const HUB_URL: &str = "http://localhost:21012/";

/// Largest response of a hub, bytes.
pub const MAX_RESPONSE_BYTES: usize = 4 << 20;

/// Largest table inside a message, bytes.
pub const MAX_TABLE_BYTES: usize = 8 << 20;

/// Greatest nesting depth of a response; SAMP needs four levels.
const MAX_DEPTH: usize = 16;

/// Message type: point at a sky position.
pub const POINT_AT: &str = "coord.pointAt.sky";

/// Message type: load a `VOTable`.
pub const LOAD_TABLE: &str = "table.load.votable";

/// A value in a SAMP message.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text; numbers are text too.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// A map, in the order in which it was written.
    Map(Vec<(String, Self)>),
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A map of texts.
    pub fn map<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Map(members.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// The member of a map with this name.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(members) => members.iter().find(|(n, _)| n == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text, if the value is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Names of the members of a map.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Map(members) => members.iter().map(|(name, _)| name.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    fn write(&self, out: &mut String) {
        out.push_str("<value>");
        match self {
            Self::Text(text) => {
                let _ = write!(out, "<string>{}</string>", escape_xml(text));
            }
            Self::List(values) => {
                out.push_str("<array><data>");
                values.iter().for_each(|value| value.write(out));
                out.push_str("</data></array>");
            }
            Self::Map(members) => {
                out.push_str("<struct>");
                for (name, value) in members {
                    let _ = write!(out, "<member><name>{}</name>", escape_xml(name));
                    value.write(out);
                    out.push_str("</member>");
                }
                out.push_str("</struct>");
            }
        }
        out.push_str("</value>");
    }
}

/// Escapes a text for XML.
fn escape_xml(text: &str) -> String {
    let plain: String = text.chars().filter(|c| is_xml(*c)).collect();
    quick_xml::escape::escape(plain).into_owned()
}

/// A call of a method of the hub, as XML.
pub fn call(method: &str, parameters: &[Value]) -> String {
    let mut out = format!("<?xml version=\"1.0\"?><methodCall><methodName>{}</methodName><params>", escape_xml(method));
    for parameter in parameters {
        out.push_str("<param>");
        parameter.write(&mut out);
        out.push_str("</param>");
    }
    out + "</params></methodCall>"
}

/// Parses a response of the hub.
///
/// # Errors
/// The fault that the hub reports, or the reason why its response is malformed.
pub fn parse_response(xml: &str) -> Result<Value, String> {
    if xml.len() > MAX_RESPONSE_BYTES {
        return Err(format!("the hub's response is longer than {MAX_RESPONSE_BYTES} bytes"));
    }
    let mut reader = Reader::from_str(xml);
    let mut is_fault = false;
    loop {
        match reader.read_event() {
            Ok(Event::Start(e)) if e.name().as_ref() == "fault" => is_fault = true,
            Ok(Event::Start(e)) if e.name().as_ref() == "value" => {
                let value = value(&mut reader, 0)?;
                return match (is_fault, value) {
                    (false, value) => Ok(value),
                    (true, fault) => {
                        let why = fault.get("faultString").and_then(Value::as_text).unwrap_or("no reason given");
                        Err(format!("the hub refuses: {why}"))
                    }
                };
            }
            // A method without a result returns an empty response.
            Ok(Event::Eof) => return Ok(Value::text("")),
            Ok(_) => {}
            Err(why) => return Err(format!("the hub's response is not XML: {why}")),
        }
    }
}

/// Parses the content from `<value>`, which has been read, to `</value>`.
fn value(reader: &mut Reader<&[u8]>, depth: usize) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err(format!("the hub's response is nested deeper than {MAX_DEPTH}"));
    }
    let mut parsed = Value::text("");
    let mut name = String::new();
    loop {
        let event = reader.read_event().map_err(|why| format!("the hub's response is not XML: {why}"))?;
        match event {
            Event::Start(e) => match e.name().as_ref() {
                "array" => parsed = Value::List(Vec::new()),
                "struct" => parsed = Value::Map(Vec::new()),
                "value" => {
                    let inner = value(reader, depth + 1)?;
                    match &mut parsed {
                        Value::List(values) => values.push(inner),
                        Value::Map(members) => members.push((std::mem::take(&mut name), inner)),
                        Value::Text(_) => return Err("the hub's response has an element inside a text".into()),
                    }
                }
                _ => {}
            },
            Event::Empty(e) => match e.name().as_ref() {
                "struct" => parsed = Value::Map(Vec::new()),
                "value" => match &mut parsed {
                    Value::List(values) => values.push(Value::text("")),
                    Value::Map(members) => members.push((std::mem::take(&mut name), Value::text(""))),
                    Value::Text(_) => {}
                },
                _ => {}
            },
            Event::Text(text) => add(&mut parsed, &mut name, &text.xml_content(XmlVersion::Implicit1_0)),
            Event::GeneralRef(entity) => add(&mut parsed, &mut name, entity_char(&entity).encode_utf8(&mut [0; 4])),
            Event::End(e) if e.name().as_ref() == "value" => return Ok(parsed),
            Event::Eof => return Err("the hub's response ends early".into()),
            _ => {}
        }
    }
}

/// Adds text to a value or, between the members of a map, to a name. White space that only separates elements is left
/// out.
fn add(parsed: &mut Value, name: &mut String, text: &str) {
    match parsed {
        Value::Text(all) => all.push_str(text),
        Value::Map(_) => name.push_str(text.trim()),
        Value::List(_) => {}
    }
}

/// Message that requests to point at a sky position, degrees.
pub fn point_at(ra_deg: f64, dec_deg: f64) -> Value {
    message(POINT_AT, [("ra", Value::text(format!("{ra_deg:.6}"))), ("dec", Value::text(format!("{dec_deg:.6}")))])
}

/// Message that requests to load a `VOTable`. The message contains the table, because other programs cannot fetch a file
/// from a page.
///
/// # Errors
/// If the table is larger than [`MAX_TABLE_BYTES`].
pub fn load_table(votable: &[u8], name: &str) -> Result<Value, String> {
    if votable.len() > MAX_TABLE_BYTES {
        return Err("the table is too large for a message; save it and open the file".into());
    }
    let url = format!("data:application/x-votable+xml;base64,{}", BASE64_STANDARD.encode(votable));
    let names = [("table-id", Value::text(format!("specola-{name}"))), ("name", Value::text(name))];
    Ok(message(LOAD_TABLE, [vec![("url", Value::text(url))], names.to_vec()].concat()))
}

fn message<'a>(kind: &str, parameters: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let parameters = parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Value::map([("samp.mtype", Value::text(kind)), ("samp.params", Value::Map(parameters))])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Response of the hub of JSAMP 1.3.7 to a registration, shortened.
    const REGISTERED: &str = "<?xml version='1.0' encoding='UTF-8'?>\n<methodResponse>\n  <params>\n    <param>\n      <value>\n        <struct>\n          <member>\n            <name>samp.hub-id</name>\n            <value>hub</value>\n          </member>\n          <member>\n            <name>samp.private-key</name>\n            <value>wk:1_jl&amp;f</value>\n          </member>\n        </struct>\n      </value>\n    </param>\n  </params>\n</methodResponse>\n";

    #[test]
    fn a_response_of_the_hub_is_parsed() {
        let response = parse_response(REGISTERED).expect("a response");
        assert_eq!(response.names(), ["samp.hub-id", "samp.private-key"]);
        assert_eq!(response.get("samp.private-key").and_then(Value::as_text), Some("wk:1_jl&f"));
    }

    #[test]
    fn values_survive_a_round_trip() {
        let list = Value::List(vec![Value::text("a <b> & \"c\""), Value::map([("x", Value::text("1"))])]);
        let all = Value::map([("list", list), ("empty", Value::Map(Vec::new())), ("", Value::text(" two\n"))]);
        assert_eq!(parse_response(&call("m", std::slice::from_ref(&all))), Ok(all));
        assert!(call("m", &[Value::text("\u{0}\u{7}x")]).contains("<string>x</string>"), "nothing that is not XML");
    }

    #[test]
    fn faults_and_malformed_responses_are_errors() {
        let fault = "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>1</int></value></member>\
                     <member><name>faultString</name><value><string>Registration denied</string></value></member></struct>\
                     </value></fault></methodResponse>";
        assert_eq!(parse_response(fault), Err("the hub refuses: Registration denied".into()));
        let deep = "<value><array><data>".repeat(40);
        assert!(parse_response(&deep).expect_err("too deep").contains("nested"));
        assert!(parse_response("<value><string>a").expect_err("cut").contains("ends early"));
        assert_eq!(parse_response("<value><string>&nonsense;</string></value>"), Ok(Value::text("?")));
        assert_eq!(parse_response(""), Ok(Value::text("")), "some methods return nothing");
        let empty = "<value><struct><member><name>a</name><value/></member><member><name>b</name><value>1</value></member></struct></value>";
        assert_eq!(parse_response(empty), Ok(Value::map([("a", Value::text("")), ("b", Value::text("1"))])));
    }

    #[test]
    fn messages_follow_the_recommendation() {
        let xml = call("samp.webhub.notifyAll", &[Value::text("k"), point_at(10.0, -5.25)]);
        assert!(xml.contains("<name>samp.mtype</name><value><string>coord.pointAt.sky</string></value>"), "{xml}");
        assert!(xml.contains("<name>dec</name><value><string>-5.250000</string></value>"), "{xml}");
        let table = load_table(b"<VOTABLE/>", "specola").expect("small");
        let url = table.get("samp.params").and_then(|p| p.get("url")).and_then(Value::as_text);
        assert_eq!(url, Some("data:application/x-votable+xml;base64,PFZPVEFCTEUvPg=="));
        assert!(load_table(&vec![0; MAX_TABLE_BYTES + 1], "t").is_err());
    }
}
