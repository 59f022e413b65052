//! Ids of stars and spectra: their forms in tables, ids in several columns, and ids that lost digits.

/// Integers up to 2⁵³ are exact as 64-bit floating-point numbers.
const MAX_EXACT: u128 = 1 << 53;

/// An id in a form that is the same for all its spellings: `101001000.0` is `101001000`, `266-51602-5` is
/// `0266-51602-0005`, `Gaia DR3 123` is `123`. An id that lost digits keeps its spelling.
pub(crate) fn normalised(id: &str) -> String {
    let id = id.trim();
    if let Some(Written { integer, is_float: true, is_exact: true }) = written(id) {
        return integer.to_string();
    }
    let lower = id.to_lowercase();
    if lower.starts_with("gaia dr") || lower.starts_with("gaia edr") {
        return id.rsplit(' ').next().unwrap_or(id).to_string();
    }
    let parts: Vec<&str> = lower.strip_prefix("spec-").unwrap_or(&lower).split('-').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    match parts[..] {
        [plate, mjd, fiber] if parts.iter().all(is_number) && mjd.len() == 5 && fiber.len() <= 4 => {
            format!("{plate:0>4}-{mjd}-{fiber:0>4}")
        }
        _ => id.to_string(),
    }
}

/// A number as an id.
#[derive(Debug, PartialEq)]
struct Written {
    integer: u128,
    /// True if it is written with a decimal point or an exponent.
    is_float: bool,
    /// True if all digits of the integer are written, and a floating-point number holds them.
    is_exact: bool,
}

/// The integer that a text of digits, decimal point and exponent stands for.
fn written(id: &str) -> Option<Written> {
    let (mantissa, exponent) = match id.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.trim_start_matches('+').parse::<usize>().ok()?),
        None => (id, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let length = whole.len() + exponent;
    if whole.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) || length > 30 {
        return None;
    }
    // Only zeros may follow the decimal point.
    if digits.len() > length && digits[length..].bytes().any(|b| b != b'0') {
        return None;
    }
    let integer: u128 = format!("{digits:0<length$}")[..length].parse().ok()?;
    let is_float = mantissa.contains('.') || mantissa.len() != id.len();
    Some(Written { integer, is_float, is_exact: digits.len() >= length && integer < MAX_EXACT })
}

/// True if the ids of a column went through floating point or a spreadsheet and lost their last digits.
pub(crate) fn lost_digits<'a>(ids: impl Iterator<Item = &'a str>) -> bool {
    let mut large = Vec::new();
    for id in ids {
        match written(id.trim()) {
            Some(Written { is_float: true, is_exact: false, .. }) => return true,
            Some(Written { integer, .. }) if integer >= MAX_EXACT => large.push(integer),
            _ => {}
        }
    }
    // Random digits would not all end so.
    let spacing = |id: u128| 1u128 << (id.ilog2() - 52);
    let significant = |id: &u128| id.to_string().trim_end_matches('0').len();
    let rounded_to_decimal = |id: &u128| significant(id) <= if *id < 10u128.pow(17) { 15 } else { 17 };
    // The last seven bits of Gaia's ids are 0 by themselves.
    let rounded_to_binary = |id: &u128| spacing(*id) > 128 && id.is_multiple_of(spacing(*id));
    large.len() >= 3 && (large.iter().all(rounded_to_decimal) || large.iter().all(rounded_to_binary))
}

/// Columns that together identify a spectrum, by their names as given by [`super::labels::normalise_name`].
const COMPOSITES: [&[&[&str]]; 3] = [
    // SDSS: 0266-51602-0005.
    &[&["plate", "plateid"], &["mjd"], &["fiberid", "fiber"]],
    // SDSS-V: 015000-59146-4375924544.
    &[&["field", "fieldid"], &["mjd"], &["catalogid"]],
    // LAMOST: spec-55862-B6212_sp06-005.
    &[&["lmjd"], &["planid"], &["spid"], &["fiberid"]],
];

/// Ids composed of several columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Composite {
    kind: usize,
    /// The columns.
    pub columns: Vec<usize>,
}

impl Composite {
    /// The columns that compose ids, if a table with these names, as given by [`super::labels::normalise_name`], has
    /// them.
    pub(crate) fn find(names: &[String]) -> Option<Self> {
        let column = |wanted: &&[&str]| names.iter().position(|name| wanted.contains(&name.as_str()));
        let columns = |parts: &&[&[&str]]| parts.iter().map(column).collect::<Option<Vec<_>>>();
        COMPOSITES.iter().enumerate().find_map(|(kind, parts)| Some(Self { kind, columns: columns(parts)? }))
    }

    /// The id of a row with these cells; empty if a cell is missing.
    pub(crate) fn id(&self, cells: &[String]) -> String {
        let cells: Vec<String> = cells.iter().map(|cell| normalised(cell)).collect();
        match (self.kind, cells.as_slice()) {
            (_, cells) if cells.iter().any(String::is_empty) => String::new(),
            (0, [plate, mjd, fiber]) => format!("{plate:0>4}-{mjd}-{fiber:0>4}"),
            (1, [field, mjd, catalog_id]) => format!("{field:0>6}-{mjd}-{catalog_id}"),
            (_, [mjd, plan, spectrograph, fiber]) => format!("spec-{mjd}-{plan}_sp{spectrograph:0>2}-{fiber:0>3}"),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_an_id() {
        for (id, expected) in [
            ("101001000.0", "101001000"),
            ("1.01001000e+08", "101001000"),
            (" 42. ", "42"),
            ("00123", "00123"),
            ("5937083312263887616", "5937083312263887616"),
            ("Gaia DR3 5937083312263887616", "5937083312263887616"),
            ("266-51602-5", "0266-51602-0005"),
            ("spec-0266-51602-0005", "0266-51602-0005"),
            // Not the same: digits are lost, or these are no numbers.
            ("1.01001e8", "1.01001e8"),
            ("5.937083312263888e+18", "5.937083312263888e+18"),
            ("1e5", "1e5"),
            ("101.5", "101.5"),
            ("nan", "nan"),
            ("2MASS J1234-5678", "2MASS J1234-5678"),
            ("=1+1", "=1+1"),
            (".0", ".0"),
            ("", ""),
        ] {
            assert_eq!(normalised(id), expected, "{id}");
        }
    }

    #[test]
    fn lost_digits_are_seen() {
        let lost = |ids: &[&str]| lost_digits(ids.iter().copied());
        assert!(lost(&["5.937083312263888e+18"]));
        assert!(lost(&["5937083312263887616.0"]));
        assert!(lost(&["1.01001e8"]));
        // Full digits of floating-point numbers, their shortest decimals, and the 15 digits of a spreadsheet.
        assert!(lost(&["5937083312263887872", "5937083312263987200", "5937083312264085504"]));
        assert!(lost(&["5937083312263888000", "5937083312263987000", "5937083312264085000"]));
        assert!(lost(&["39627866878511300", "39627866878514700", "39627866878519100"]));
        assert!(!lost(&["5937083312263887616", "5853498713190525696", "4472832130942575872"]));
        assert!(!lost(&["39627866878511337", "39627866878514741", "39627866878519100"]));
        assert!(!lost(&["101001000.0", "00123", "m0081V", "1.5", ""]));
    }

    #[test]
    fn ids_of_several_columns() {
        let names = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
        let id = |columns: &[&str], cells: &[&str]| Composite::find(&names(columns)).map(|c| c.id(&names(cells)));
        assert_eq!(id(&["teff", "mjd", "plate", "fiberid"], &["266", "51602", "5.0"]), Some("0266-51602-0005".into()));
        assert_eq!(
            id(&["field", "mjd", "catalogid"], &["15000", "59146", "4375924544"]),
            Some("015000-59146-4375924544".into())
        );
        let lamost = id(&["lmjd", "planid", "spid", "fiberid"], &["55862", "B6212", "6", "5"]);
        assert_eq!(lamost, Some("spec-55862-B6212_sp06-005".into()));
        assert_eq!(id(&["plate", "mjd", "fiberid"], &["266", "", "5"]), Some(String::new()));
        assert_eq!(id(&["plate", "mjd"], &[]), None);
    }
}
