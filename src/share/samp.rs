//! Messages to other programs on this computer, such as TOPCAT, Aladin or DS9: the Web Profile of SAMP, the Simple
//! Application Messaging Protocol (IVOA recommendation 1.3, §5), which is XML-RPC to a hub at one address.
//!
//! Here are the texts; `ui/samp.rs` sends them.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};

use super::votable::is_xml;
use crate::read::letter;

/// Where a hub listens for pages: this very computer, by the recommendation.
pub const HUB_URL: &str = "http://localhost:21012/";

/// Longest answer of a hub that is read, bytes.
pub const LONGEST_ANSWER: usize = 4 << 20;

/// Largest table that is sent inside a message, bytes.
pub const LARGEST_TABLE: usize = 8 << 20;

/// Deepest nesting of an answer; SAMP's own have four.
const DEEPEST: usize = 16;

/// The message that asks to look at a place on the sky.
pub const POINT_AT: &str = "coord.pointAt.sky";

/// The message that asks to open a table.
pub const LOAD_TABLE: &str = "table.load.votable";

/// What SAMP's messages are made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text; numbers are text too.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A map, in the order it was written in.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Value::Text(text.into())
    }

    /// A map of texts.
    pub fn map<const N: usize>(members: [(&str, Value); N]) -> Self {
        Value::Map(members.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// The member of a map.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Map(members) => members.iter().find(|(n, _)| n == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text that this is.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The names of a map's members.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Value::Map(members) => members.iter().map(|(name, _)| name.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    fn write(&self, out: &mut String) {
        out.push_str("<value>");
        match self {
            Value::Text(text) => {
                let _ = write!(out, "<string>{}</string>", escaped(text));
            }
            Value::List(values) => {
                out.push_str("<array><data>");
                values.iter().for_each(|value| value.write(out));
                out.push_str("</data></array>");
            }
            Value::Map(members) => {
                out.push_str("<struct>");
                for (name, value) in members {
                    let _ = write!(out, "<member><name>{}</name>", escaped(name));
                    value.write(out);
                    out.push_str("</member>");
                }
                out.push_str("</struct>");
            }
        }
        out.push_str("</value>");
    }
}

/// Text as XML.
fn escaped(text: &str) -> String {
    let plain: String = text.chars().filter(|c| is_xml(*c)).collect();
    quick_xml::escape::escape(plain).into_owned()
}

/// A call of one of the hub's methods, as XML.
pub fn call(method: &str, parameters: &[Value]) -> String {
    let mut out = format!("<?xml version=\"1.0\"?><methodCall><methodName>{}</methodName><params>", escaped(method));
    for parameter in parameters {
        out.push_str("<param>");
        parameter.write(&mut out);
        out.push_str("</param>");
    }
    out + "</params></methodCall>"
}

/// What the hub answered.
///
/// # Errors
/// In words: what the hub complains of, or why its answer is none.
pub fn answer(xml: &str) -> Result<Value, String> {
    if xml.len() > LONGEST_ANSWER {
        return Err(format!("the hub's answer is longer than {LONGEST_ANSWER} bytes"));
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
                        let why = fault.get("faultString").and_then(Value::as_text).unwrap_or("it does not say why");
                        Err(format!("the hub refuses: {why}"))
                    }
                };
            }
            // Methods without a result answer with nothing.
            Ok(Event::Eof) => return Ok(Value::text("")),
            Ok(_) => {}
            Err(why) => return Err(format!("the hub's answer is no XML: {why}")),
        }
    }
}

/// What stands between `<value>`, which has been read, and `</value>`.
fn value(reader: &mut Reader<&[u8]>, depth: usize) -> Result<Value, String> {
    if depth > DEEPEST {
        return Err(format!("the hub's answer is nested deeper than {DEEPEST}"));
    }
    let mut found = Value::text("");
    let mut name = String::new();
    loop {
        let event = reader.read_event().map_err(|why| format!("the hub's answer is no XML: {why}"))?;
        match event {
            Event::Start(e) => match e.name().as_ref() {
                "array" => found = Value::List(Vec::new()),
                "struct" => found = Value::Map(Vec::new()),
                "value" => {
                    let inner = value(reader, depth + 1)?;
                    match &mut found {
                        Value::List(values) => values.push(inner),
                        Value::Map(members) => members.push((std::mem::take(&mut name), inner)),
                        Value::Text(_) => return Err("the hub's answer has a value in a text".into()),
                    }
                }
                _ => {}
            },
            Event::Empty(e) => match e.name().as_ref() {
                "struct" => found = Value::Map(Vec::new()),
                "value" => match &mut found {
                    Value::List(values) => values.push(Value::text("")),
                    Value::Map(members) => members.push((std::mem::take(&mut name), Value::text(""))),
                    Value::Text(_) => {}
                },
                _ => {}
            },
            Event::Text(text) => add(&mut found, &mut name, &text.xml_content(XmlVersion::Implicit1_0)),
            Event::GeneralRef(entity) => add(&mut found, &mut name, letter(&entity).encode_utf8(&mut [0; 4])),
            Event::End(e) if e.name().as_ref() == "value" => return Ok(found),
            Event::Eof => return Err("the hub's answer ends early".into()),
            _ => {}
        }
    }
}

/// Text of a value or, between a map's members, of a name; what only sets lines apart is left out.
fn add(found: &mut Value, name: &mut String, text: &str) {
    match found {
        Value::Text(all) => all.push_str(text),
        Value::Map(_) => name.push_str(text.trim()),
        Value::List(_) => {}
    }
}

/// Asks to look at a place.
pub fn point_at(ra_deg: f64, dec_deg: f64) -> Value {
    message(POINT_AT, [("ra", Value::text(format!("{ra_deg:.6}"))), ("dec", Value::text(format!("{dec_deg:.6}")))])
}

/// Asks to open a VOTable that travels in the message itself: a page has no address from which others could fetch it.
///
/// # Errors
/// For a table that is too large for that.
pub fn load_table(votable: &[u8], name: &str) -> Result<Value, String> {
    if votable.len() > LARGEST_TABLE {
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

    /// What the hub of JSAMP 1.3.7 answers to a registration, shortened.
    const REGISTERED: &str = "<?xml version='1.0' encoding='UTF-8'?>\n<methodResponse>\n  <params>\n    <param>\n      <value>\n        <struct>\n          <member>\n            <name>samp.hub-id</name>\n            <value>hub</value>\n          </member>\n          <member>\n            <name>samp.private-key</name>\n            <value>wk:1_jl&amp;f</value>\n          </member>\n        </struct>\n      </value>\n    </param>\n  </params>\n</methodResponse>\n";

    #[test]
    fn an_answer_of_a_hub_is_read() {
        let found = answer(REGISTERED).expect("an answer");
        assert_eq!(found.names(), ["samp.hub-id", "samp.private-key"]);
        assert_eq!(found.get("samp.private-key").and_then(Value::as_text), Some("wk:1_jl&f"));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let list = Value::List(vec![Value::text("a <b> & \"c\""), Value::map([("x", Value::text("1"))])]);
        let all = Value::map([("list", list), ("empty", Value::Map(Vec::new())), ("", Value::text(" two\n"))]);
        assert_eq!(answer(&call("m", std::slice::from_ref(&all))), Ok(all));
        assert!(call("m", &[Value::text("\u{0}\u{7}x")]).contains("<string>x</string>"), "nothing that is no XML");
    }

    #[test]
    fn refusals_and_nonsense_are_told() {
        let fault = "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>1</int></value></member>\
                     <member><name>faultString</name><value><string>Registration denied</string></value></member></struct>\
                     </value></fault></methodResponse>";
        assert_eq!(answer(fault), Err("the hub refuses: Registration denied".into()));
        let deep = "<value><array><data>".repeat(40);
        assert!(answer(&deep).expect_err("too deep").contains("nested"));
        assert!(answer("<value><string>a").expect_err("cut").contains("ends early"));
        assert_eq!(answer("<value><string>&nonsense;</string></value>"), Ok(Value::text("?")));
        assert_eq!(answer(""), Ok(Value::text("")), "some methods answer nothing");
        let empty = "<value><struct><member><name>a</name><value/></member><member><name>b</name><value>1</value></member></struct></value>";
        assert_eq!(answer(empty), Ok(Value::map([("a", Value::text("")), ("b", Value::text("1"))])));
    }

    #[test]
    fn messages_are_as_the_recommendation_has_them() {
        let xml = call("samp.webhub.notifyAll", &[Value::text("k"), point_at(10.0, -5.25)]);
        assert!(xml.contains("<name>samp.mtype</name><value><string>coord.pointAt.sky</string></value>"), "{xml}");
        assert!(xml.contains("<name>dec</name><value><string>-5.250000</string></value>"), "{xml}");
        let table = load_table(b"<VOTABLE/>", "specola").expect("small");
        let url = table.get("samp.params").and_then(|p| p.get("url")).and_then(Value::as_text);
        assert_eq!(url, Some("data:application/x-votable+xml;base64,PFZPVEFCTEUvPg=="));
        assert!(load_table(&vec![0; LARGEST_TABLE + 1], "t").is_err());
    }
}
