//! FITS headers: keywords and values from 80-byte cards (FITS standard 4.0, §4).

use std::collections::BTreeMap;

/// Length of a card, bytes.
pub(super) const CARD: usize = 80;

/// Characters in each part of a string that continues in numbered keywords.
const NUMBERED_TEXT: usize = 68;

/// Maximum length of the comments that are kept, bytes.
const MAX_COMMENTS: usize = 1 << 16;

/// Maximum number of cards, more than any real header has. Without `END` by then, the data are not a header.
const MAX_CARDS: usize = 20_000;

/// Length of the longest header, bytes.
pub(super) const MAX_HEADER_BYTES: usize = MAX_CARDS * CARD;

/// The value of a keyword.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Number(f64),
    Integer(i64),
    Logical(bool),
}

/// Keywords of one HDU. If a keyword occurs twice, the first value counts.
#[derive(Debug, Clone, Default)]
pub struct Header {
    values: BTreeMap<String, Value>,
    comments: String,
}

impl Header {
    /// Reads cards up to `END`. Returns the header and its length in bytes, or `None` without an `END` card.
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut header = Self::default();
        // Keyword and text of a string that may continue in CONTINUE cards.
        let mut unfinished: Option<(String, String)> = None;
        for (i, card) in bytes.chunks_exact(CARD).take(MAX_CARDS).enumerate() {
            let card: String = card.iter().map(|&b| if b.is_ascii() { b as char } else { '?' }).collect();
            let key = card[..8].trim_end();
            if key == "CONTINUE"
                && let Some((name, mut text)) = unfinished.take()
            {
                text.pop();
                if let Some(Value::Text(more)) = parse_value(&card[8..]) {
                    text.push_str(&more);
                }
                header.store(name, Value::Text(text), &mut unfinished);
                continue;
            }
            if let Some((name, text)) = unfinished.take() {
                header.values.entry(name).or_insert(Value::Text(text));
            }
            if key == "END" {
                return Some((header, (i + 1) * CARD));
            }
            if key == "COMMENT" && header.comments.len() < MAX_COMMENTS {
                header.comments.push_str(card[8..].trim());
                header.comments.push('\n');
                continue;
            }
            let (name, rest) = match card.strip_prefix("HIERARCH ").and_then(|c| c.split_once('=')) {
                Some((name, rest)) => (name.trim(), rest),
                None if card[8..].starts_with("= ") => (key, &card[10..]),
                None => continue,
            };
            if let Some(value) = parse_value(rest) {
                header.store(name.to_string(), value, &mut unfinished);
            }
        }
        None
    }

    fn store(&mut self, name: String, value: Value, unfinished: &mut Option<(String, String)>) {
        match value {
            Value::Text(text) if text.ends_with('&') => *unfinished = Some((name, text)),
            value => {
                self.values.entry(name).or_insert(value);
            }
        }
    }

    /// Changes an integer.
    pub(super) fn set_integer(&mut self, key: &str, value: i64) {
        self.values.insert(key.to_string(), Value::Integer(value));
    }

    /// True if the keyword exists and has a value.
    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// A value of any type as text.
    pub(crate) fn value_text(&self, key: &str) -> Option<String> {
        Some(match self.values.get(key)? {
            Value::Text(text) => text.clone(),
            Value::Number(v) => v.to_string(),
            Value::Integer(v) => v.to_string(),
            Value::Logical(v) => v.to_string(),
        })
    }

    /// A string value, without trailing blanks; `None` if absent or of another type.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.values.get(key)? {
            Value::Text(text) => Some(text.trim_end()),
            _ => None,
        }
    }

    /// A number, also if written as a string; `None` if absent, not finite or not a number.
    pub fn number(&self, key: &str) -> Option<f64> {
        let value = match self.values.get(key)? {
            Value::Number(v) => *v,
            Value::Integer(v) => *v as f64,
            Value::Text(text) => parse_number(text.trim())?,
            Value::Logical(_) => return None,
        };
        value.is_finite().then_some(value)
    }

    /// An integer; `None` if absent or not a whole number.
    pub fn integer(&self, key: &str) -> Option<i64> {
        match self.values.get(key)? {
            Value::Integer(v) => Some(*v),
            Value::Number(v) if v.fract() == 0.0 && v.abs() < 9e15 => Some(*v as i64),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A logical value, also if written as 1, 0 or a string; `None` if absent or anything else.
    pub fn logical(&self, key: &str) -> Option<bool> {
        match self.values.get(key)? {
            Value::Logical(v) => Some(*v),
            Value::Integer(v @ (0 | 1)) => Some(*v == 1),
            Value::Text(text) => match text.trim().to_uppercase().as_str() {
                "T" | "TRUE" | "1" | "YES" => Some(true),
                "F" | "FALSE" | "0" | "NO" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// The text of the COMMENT cards, one line each.
    pub fn comments(&self) -> &str {
        &self.comments
    }

    /// A string that continues in numbered keywords of 68 characters, as IRAF writes it: `WAT2_001`, `WAT2_002` …
    pub fn numbered_text(&self, stem: &str) -> String {
        let mut text = String::new();
        for part in (1..=999).map_while(|i| self.text(&format!("{stem}_{i:03}"))) {
            // Blanks at the end of a card are not stored, but separate numbers.
            text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(NUMBERED_TEXT) - text.len()));
            text.push_str(part);
        }
        text
    }
}

/// The value field of a card, without its comment; `None` if it is undefined or cannot be parsed.
fn parse_value(field: &str) -> Option<Value> {
    let field = field.trim_start();
    if let Some(quoted) = field.strip_prefix('\'') {
        let mut text = String::new();
        let mut chars = quoted.chars().peekable();
        while let Some(c) = chars.next() {
            if c != '\'' {
                text.push(c);
            } else if chars.next_if_eq(&'\'').is_some() {
                text.push('\'');
            } else {
                break;
            }
        }
        return Some(Value::Text(text.trim_end().to_string()));
    }
    let word = field.split('/').next()?.trim();
    match word {
        "T" => Some(Value::Logical(true)),
        "F" => Some(Value::Logical(false)),
        _ => word.parse().map(Value::Integer).ok().or_else(|| parse_number(word).map(Value::Number)),
    }
}

/// Parses a floating-point number; Fortran's `D` exponents are accepted.
pub(crate) fn parse_number(word: &str) -> Option<f64> {
    if let Ok(value) = word.parse() {
        return Some(value);
    }
    let mut with_e = word.to_string();
    let exponent = with_e.find(['D', 'd'])?;
    with_e.replace_range(exponent..=exponent, "E");
    with_e.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(cards: &[&str]) -> Header {
        let bytes: String = cards.iter().map(|c| format!("{c:<80}")).collect();
        Header::parse(bytes.as_bytes()).map(|(header, _)| header).unwrap_or_default()
    }

    #[test]
    fn values_of_every_kind() {
        let h = header(&[
            "SIMPLE  =                    T / comment",
            "N       =                  -12 / comment",
            "X       =            1.5D-03",
            "QUOTE   = 'O''Neil / not a comment  ' / comment",
            "LONG    = 'a long &'",
            "CONTINUE  'string&'",
            "CONTINUE  ' ends'",
            "HIERARCH ESO TEL ALT = 45.5 / [deg]",
            "N       =                   99",
            "UNDEF   =                      / nothing",
            "COMMENT = 5",
            "END",
        ]);
        assert_eq!(h.logical("SIMPLE"), Some(true));
        assert_eq!(h.integer("N"), Some(-12));
        assert_eq!(h.number("X"), Some(1.5e-3));
        assert_eq!(h.text("QUOTE"), Some("O'Neil / not a comment"));
        assert_eq!(h.text("LONG"), Some("a long string ends"));
        assert_eq!(h.number("ESO TEL ALT"), Some(45.5));
        assert!(!h.has("UNDEF"));
        assert_eq!(h.comments(), "= 5\n");
        let h = header(&["A = 1", "VACUUM  =                    1", "HELIO   = 'F       '", "X       =  2", "END"]);
        assert_eq!((h.logical("VACUUM"), h.logical("HELIO"), h.logical("X")), (Some(true), Some(false), None));
    }
}
