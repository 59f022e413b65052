//! Sorting and filtering of the table: plain logic, without DOM elements.

use std::cmp::Ordering;

use crate::result::{Flag, Label, Prediction, Summary};

/// The values of a spectrum that sorting and filtering use.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowValues<'a> {
    /// The spectrum's metadata.
    pub summary: &'a Summary,
    /// The prediction, if there is one.
    pub prediction: Option<&'a Prediction>,
}

/// A column to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SortColumn {
    /// The spectrum's id.
    Id,
    /// Name of the survey.
    Survey,
    /// S/N per pixel.
    Snr,
    /// A parameter.
    Parameter(Label),
    /// Number of severe flags, then number of flags.
    Flags,
}

/// Column and direction; `None` keeps the order of reading.
pub(super) type SortOrder = Option<(SortColumn, Direction)>;

/// Smallest or largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

impl SortColumn {
    /// Compares two spectra. Spectra without a value come last in both directions.
    pub(super) fn compare(self, direction: Direction, a: RowValues, b: RowValues) -> Ordering {
        let directed = |ordering: Ordering| match direction {
            Direction::Ascending => ordering,
            Direction::Descending => ordering.reverse(),
        };
        match (self, self.number(a), self.number(b)) {
            (_, Some(x), Some(y)) => directed(x.total_cmp(&y)),
            (_, Some(_), None) => Ordering::Less,
            (_, None, Some(_)) => Ordering::Greater,
            (Self::Id, None, None) => directed(natural_order(&a.summary.meta.id, &b.summary.meta.id)),
            (Self::Survey, None, None) => directed(a.summary.meta.survey.name().cmp(b.summary.meta.survey.name())),
            _ => Ordering::Equal,
        }
    }

    fn number(self, values: RowValues) -> Option<f64> {
        let prediction = values.prediction?;
        match self {
            Self::Id | Self::Survey => None,
            Self::Snr => prediction.snr.map(|snr| snr.value),
            Self::Parameter(label) => prediction.get(label).map(|e| e.value),
            Self::Flags => {
                let n_severe = prediction.flags.iter().filter(|f| f.is_severe()).count();
                Some((n_severe * Flag::ALL.len() + prediction.flags.len()) as f64)
            }
        }
    }
}

/// Natural order of ids: `spec-9` before `spec-10`. Compares bytes: in UTF-8 they sort in the order of the
/// characters.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let digits = |s: &[u8]| s.iter().take_while(|c| c.is_ascii_digit()).count();
        match (digits(a), digits(b)) {
            (0, _) | (_, 0) => match (a.split_first(), b.split_first()) {
                (Some((x, rest_a)), Some((y, rest_b))) if x == y => (a, b) = (rest_a, rest_b),
                (x, y) => return x.map(|(x, _)| x).cmp(&y.map(|(y, _)| y)),
            },
            (in_a, in_b) => {
                let first_nonzero = |s: &[u8]| s.iter().position(|c| *c != b'0').unwrap_or(s.len());
                let (x, y) = (&a[first_nonzero(&a[..in_a])..in_a], &b[first_nonzero(&b[..in_b])..in_b]);
                let ordering = x.len().cmp(&y.len()).then_with(|| x.cmp(y));
                if ordering.is_ne() {
                    return ordering;
                }
                (a, b) = (&a[in_a..], &b[in_b..]);
            }
        }
    }
}

/// The filter of the drop-down menu.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum QuickFilter {
    /// Every spectrum.
    #[default]
    All,
    /// Spectra with parameters.
    Predicted,
    /// Spectra with parameters and without a severe flag.
    Unflagged,
    /// Spectra without parameters.
    NotPredicted,
    /// Spectra with this flag.
    WithFlag(Flag),
}

/// The filter of the table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Filter {
    /// Filter of the drop-down menu.
    pub quick: QuickFilter,
    /// Words to find, in lower case.
    words: Vec<String>,
    conditions: Vec<Condition>,
    invalid_terms: Vec<String>,
}

/// A condition on a number, for example `feh<-1`.
#[derive(Debug, Clone, PartialEq)]
struct Condition {
    quantity: Quantity,
    ordering: Ordering,
    or_equal: bool,
    limit: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Quantity {
    Snr,
    Value(Label),
    Error(Label),
}

impl Filter {
    /// Parses the user's text. Every word must be in the id, the file name or the survey name. Every condition must
    /// hold: `teff>5000`, `[Fe/H] <= -1`, `e_rv<5`, `snr>20`, with or without `and` between them.
    pub(super) fn parse(quick: QuickFilter, text: &str) -> Self {
        let mut filter = Self { quick, ..Self::default() };
        let mut text = text.to_lowercase();
        for sign in ["<", ">", "="] {
            // Remove spaces around a sign, so that a condition is one word.
            text = text.split(sign).map(str::trim).collect::<Vec<_>>().join(sign);
        }
        for term in text.split_whitespace().filter(|term| !["and", "&", "&&"].contains(term)) {
            match Condition::parse(term) {
                Some(condition) => filter.conditions.push(condition),
                None if term.contains(['<', '>']) => filter.invalid_terms.push(term.to_owned()),
                None => filter.words.push(term.to_owned()),
            }
        }
        filter
    }

    /// Terms with `<` or `>` that are not a valid condition. The filter ignores them.
    pub(super) fn invalid_terms(&self) -> &[String] {
        &self.invalid_terms
    }

    /// True when the filter lets every spectrum through.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// True for a spectrum that the table shows.
    pub(super) fn matches(&self, values: RowValues) -> bool {
        let flags = values.prediction.map(|p| &p.flags);
        let passes_quick = match self.quick {
            QuickFilter::All => true,
            QuickFilter::Predicted => values.prediction.is_some(),
            QuickFilter::Unflagged => flags.is_some_and(|flags| !flags.iter().any(|f| f.is_severe())),
            QuickFilter::NotPredicted => values.prediction.is_none(),
            QuickFilter::WithFlag(flag) => flags.is_some_and(|flags| flags.contains(&flag)),
        };
        let text = || {
            let meta = &values.summary.meta;
            [&meta.id, &values.summary.file, meta.survey.name()].join("\n").to_lowercase()
        };
        let has_words = || {
            let text = text();
            self.words.iter().all(|word| text.contains(word))
        };
        let meets_conditions = || self.conditions.iter().all(|condition| condition.holds(values));
        passes_quick && meets_conditions() && (self.words.is_empty() || has_words())
    }
}

impl Condition {
    fn parse(term: &str) -> Option<Self> {
        let at = term.find(['<', '>'])?;
        let name = &term[..at];
        let label = |name: &str| {
            Label::from_name(name).or(Label::ALL.into_iter().find(|label| label.symbol().to_lowercase() == name))
        };
        let quantity = match name.strip_prefix("e_") {
            Some(name) => Quantity::Error(label(name)?),
            None if ["snr", "s/n"].contains(&name) => Quantity::Snr,
            None => Quantity::Value(label(name)?),
        };
        let ordering = if term.as_bytes()[at] == b'<' { Ordering::Less } else { Ordering::Greater };
        let rest = &term[at + 1..];
        let (or_equal, number) = rest.strip_prefix('=').map_or((false, rest), |number| (true, number));
        // Numbers copied from the page have a typographic minus sign.
        let limit = number.replace('\u{2212}', "-").parse().ok()?;
        Some(Self { quantity, ordering, or_equal, limit })
    }

    fn holds(&self, values: RowValues) -> bool {
        let value = values.prediction.and_then(|p| match self.quantity {
            Quantity::Snr => p.snr.map(|snr| snr.value),
            Quantity::Value(label) => p.get(label).map(|e| e.value),
            Quantity::Error(label) => p.get(label).map(|e| e.error),
        });
        let ordering = value.and_then(|v| v.partial_cmp(&self.limit));
        ordering.is_some_and(|o| o == self.ordering || (self.or_equal && o == Ordering::Equal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Estimate;
    use crate::spectrum::{Meta, Survey};

    fn summary(id: &str) -> Summary {
        let meta = Meta { survey: Survey::LamostLrs, ..Meta::unknown(id, "text") };
        Summary { meta, file: "night/a.fits".into(), n_pixels: 3, wave_min_aa: 3700.0, wave_max_aa: 9100.0 }
    }

    fn prediction<const N: usize>(feh: f64, flags: [Flag; N]) -> Prediction {
        let estimates = vec![Estimate { label: Label::Feh, value: feh, error: 0.1 }];
        let (model, model_sha256) = ("m 1".into(), String::new());
        Prediction {
            model,
            model_sha256,
            snr: None,
            estimates,
            flags: flags.into(),
            processing_history: Vec::new(),
            finetuned: None,
        }
    }

    #[test]
    fn all_words_and_conditions_must_hold() {
        let (summary, poor) = (summary("55859-F5902-232"), prediction(-1.5, [Flag::LowSnr]));
        let values = RowValues { summary: &summary, prediction: Some(&poor) };
        let matches = |quick, text: &str| Filter::parse(quick, text).matches(values);
        assert!(matches(QuickFilter::All, "f5902 LAMOST"));
        assert!(!matches(QuickFilter::All, "f5902 sdss"));
        assert!(matches(QuickFilter::All, "night feh<-1"));
        assert!(matches(QuickFilter::All, "feh<\u{2212}1"));
        assert!(matches(QuickFilter::All, "feh>=-1.5 e_feh<0.2"));
        assert!(!matches(QuickFilter::All, "feh>-1.5"));
        // The spectrum has no S/N: no condition on it holds.
        assert!(!matches(QuickFilter::All, "snr>1") && !matches(QuickFilter::All, "snr<1"));
        assert!(
            matches(QuickFilter::WithFlag(Flag::LowSnr), "")
                && !matches(QuickFilter::Unflagged, "")
                && !matches(QuickFilter::NotPredicted, "")
        );
        assert!(Filter::parse(QuickFilter::All, "").matches(RowValues { summary: &summary, prediction: None }));
    }

    #[test]
    fn conditions_may_have_spaces_and_symbols_and_invalid_ones_are_ignored() {
        let summary = summary("star");
        let poor = prediction(-2.0, []);
        let values = RowValues { summary: &summary, prediction: Some(&poor) };
        for (text, matches) in [
            ("FEH<-1", true),
            ("star [Fe/H] <= -2 and star", true),
            ("[fe/h]> −1", false),
            ("Star", true),
            ("sun", false),
        ] {
            let filter = Filter::parse(QuickFilter::All, text);
            assert_eq!((filter.matches(values), filter.invalid_terms().len()), (matches, 0), "{text}");
        }
        let filter = Filter::parse(QuickFilter::All, "teff>banana star");
        assert_eq!((filter.matches(values), filter.invalid_terms()), (true, &["teff>banana".to_owned()][..]));
    }

    #[test]
    fn ids_sort_naturally_and_missing_values_come_last() {
        let (nine, ten) = (summary("spec-9"), summary("spec-10"));
        let (poor, rich) = (prediction(-1.0, []), prediction(0.2, []));
        let values = |s, p| RowValues { summary: s, prediction: p };
        let (a, b) = (values(&nine, Some(&poor)), values(&ten, Some(&rich)));
        let feh = SortColumn::Parameter(Label::Feh);
        assert_eq!(SortColumn::Id.compare(Direction::Ascending, a, b), Ordering::Less);
        assert_eq!(natural_order("star-007b", "star-7b"), Ordering::Equal);
        assert_eq!(natural_order("a", "ab"), Ordering::Less);
        assert_eq!(natural_order("10", "a"), Ordering::Less);
        assert_eq!(natural_order("39627866878514742", "39627866878514741"), Ordering::Greater);
        assert_eq!(SortColumn::Id.compare(Direction::Descending, a, b), Ordering::Greater);
        assert_eq!(feh.compare(Direction::Ascending, a, b), Ordering::Less);
        for direction in [Direction::Ascending, Direction::Descending] {
            assert_eq!(feh.compare(direction, values(&nine, None), b), Ordering::Greater);
        }
    }
}
