//! Which spectra the table shows, and in which order: plain logic, no elements.

use std::cmp::Ordering;

use crate::result::{Flag, Label, Prediction, Summary};

/// A spectrum as far as sorting and filtering look at it.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What was read.
    pub summary: &'a Summary,
    /// What was answered, if anything was.
    pub prediction: Option<&'a Prediction>,
}

/// A column to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The spectrum's id.
    Id,
    /// Name of the survey.
    Survey,
    /// S/N a pixel.
    Snr,
    /// A parameter.
    Parameter(Label),
    /// How grave the gravest flag is, then how many there are.
    Flags,
}

/// Column and direction; without one the rows stand as they were found.
pub type Order = Option<(Column, Direction)>;

/// Smallest or largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

impl Column {
    /// How two spectra stand to each other; those without a value come last in both directions.
    pub fn compare(self, direction: Direction, a: Facts, b: Facts) -> Ordering {
        let turn = |ordering: Ordering| match direction {
            Direction::Ascending => ordering,
            Direction::Descending => ordering.reverse(),
        };
        match (self, self.number(a), self.number(b)) {
            (_, Some(x), Some(y)) => turn(x.total_cmp(&y)),
            (_, Some(_), None) => Ordering::Less,
            (_, None, Some(_)) => Ordering::Greater,
            (Column::Id, None, None) => turn(natural(&a.summary.meta.id, &b.summary.meta.id)),
            (Column::Survey, None, None) => turn(a.summary.meta.survey.name().cmp(b.summary.meta.survey.name())),
            _ => Ordering::Equal,
        }
    }

    fn number(self, facts: Facts) -> Option<f64> {
        let prediction = facts.prediction?;
        match self {
            Column::Id | Column::Survey => None,
            Column::Snr => prediction.snr.map(|snr| snr.value),
            Column::Parameter(label) => prediction.get(label).map(|e| e.value),
            Column::Flags => {
                let grave = prediction.flags.iter().filter(|f| f.is_grave()).count();
                Some((grave * Flag::ALL.len() + prediction.flags.len()) as f64)
            }
        }
    }
}

/// Ids compared as people count: `spec-9` before `spec-10`. By bytes, which order UTF-8 as its characters do.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let digits = |s: &[u8]| s.iter().take_while(|c| c.is_ascii_digit()).count();
        match (digits(a), digits(b)) {
            (0, _) | (_, 0) => match (a.split_first(), b.split_first()) {
                (Some((x, rest_a)), Some((y, rest_b))) if x == y => (a, b) = (rest_a, rest_b),
                (x, y) => return x.map(|(x, _)| x).cmp(&y.map(|(y, _)| y)),
            },
            (in_a, in_b) => {
                let number = |s: &[u8]| s.iter().position(|c| *c != b'0').unwrap_or(s.len());
                let (x, y) = (&a[number(&a[..in_a])..in_a], &b[number(&b[..in_b])..in_b]);
                let ordering = x.len().cmp(&y.len()).then_with(|| x.cmp(y));
                if ordering.is_ne() {
                    return ordering;
                }
                (a, b) = (&a[in_a..], &b[in_b..]);
            }
        }
    }
}

/// Which rows a quick choice keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Only {
    /// Every one.
    #[default]
    All,
    /// Those with parameters.
    Answered,
    /// Those with parameters that no flag puts in doubt.
    Sound,
    /// Those without parameters.
    Unanswered,
    /// Those that carry this flag.
    Flagged(Flag),
}

/// Which rows to show.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// The quick choice.
    pub only: Only,
    /// What the words must find, in lower case.
    words: Vec<String>,
    bounds: Vec<Bound>,
    unclear: Vec<String>,
}

/// `feh<-1`.
#[derive(Debug, Clone, PartialEq)]
struct Bound {
    quantity: Quantity,
    wanted: Ordering,
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
    /// Reads what the user typed: words, all of which must be in the id, the file's or the survey's name, and conditions
    /// such as `teff>5000`, `[Fe/H] <= -1`, `e_rv<5`, `snr>20`, with or without `and` between them.
    pub fn parse(only: Only, text: &str) -> Self {
        let mut filter = Filter { only, ..Filter::default() };
        let mut text = text.to_lowercase();
        for sign in ["<", ">", "="] {
            // No space about a sign: a condition is one word.
            text = text.split(sign).map(str::trim).collect::<Vec<_>>().join(sign);
        }
        for term in text.split_whitespace().filter(|term| !["and", "&", "&&"].contains(term)) {
            match Bound::parse(term) {
                Some(bound) => filter.bounds.push(bound),
                None if term.contains(['<', '>']) => filter.unclear.push(term.to_owned()),
                None => filter.words.push(term.to_owned()),
            }
        }
        filter
    }

    /// Conditions that mean nothing, and are left aside.
    pub fn unclear(&self) -> &[String] {
        &self.unclear
    }

    /// True when nothing is left out.
    pub fn keeps_all(&self) -> bool {
        *self == Filter::default()
    }

    /// True for a spectrum to show.
    pub fn keeps(&self, facts: Facts) -> bool {
        let flags = facts.prediction.map_or(&[][..], |p| &p.flags);
        let is_chosen = match self.only {
            Only::All => true,
            Only::Answered => facts.prediction.is_some(),
            Only::Sound => facts.prediction.is_some() && !flags.iter().any(|f| f.is_grave()),
            Only::Unanswered => facts.prediction.is_none(),
            Only::Flagged(flag) => flags.contains(&flag),
        };
        let text = || {
            let meta = &facts.summary.meta;
            [&meta.id, &facts.summary.file, meta.survey.name()].join("\n").to_lowercase()
        };
        let has_words = || {
            let text = text();
            self.words.iter().all(|word| text.contains(word))
        };
        is_chosen && self.bounds.iter().all(|b| b.holds(facts)) && (self.words.is_empty() || has_words())
    }
}

impl Bound {
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
        let wanted = if term.as_bytes()[at] == b'<' { Ordering::Less } else { Ordering::Greater };
        let rest = &term[at + 1..];
        let (or_equal, number) = rest.strip_prefix('=').map_or((false, rest), |number| (true, number));
        // Numbers copied from the page carry a typographic minus.
        let limit = number.replace('\u{2212}', "-").parse().ok()?;
        Some(Self { quantity, wanted, or_equal, limit })
    }

    fn holds(&self, facts: Facts) -> bool {
        let value = facts.prediction.and_then(|p| match self.quantity {
            Quantity::Snr => p.snr.map(|snr| snr.value),
            Quantity::Value(label) => p.get(label).map(|e| e.value),
            Quantity::Error(label) => p.get(label).map(|e| e.error),
        });
        let ordering = value.and_then(|v| v.partial_cmp(&self.limit));
        ordering.is_some_and(|o| o == self.wanted || (self.or_equal && o == Ordering::Equal))
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

    fn prediction(feh: f64, flags: Vec<Flag>) -> Prediction {
        let estimates = vec![Estimate { label: Label::Feh, value: feh, error: 0.1 }];
        let (model, model_sha256) = ("m 1".into(), String::new());
        Prediction { model, model_sha256, snr: None, estimates, flags, ledger: Vec::new(), taught: None }
    }

    #[test]
    fn words_and_conditions_must_all_hold() {
        let (summary, poor) = (summary("55859-F5902-232"), prediction(-1.5, vec![Flag::LowSnr]));
        let facts = Facts { summary: &summary, prediction: Some(&poor) };
        let keeps = |only, text: &str| Filter::parse(only, text).keeps(facts);
        assert!(keeps(Only::All, "f5902 LAMOST"));
        assert!(!keeps(Only::All, "f5902 sdss"));
        assert!(keeps(Only::All, "night feh<-1"));
        assert!(keeps(Only::All, "feh<\u{2212}1"));
        assert!(keeps(Only::All, "feh>=-1.5 e_feh<0.2"));
        assert!(!keeps(Only::All, "feh>-1.5"));
        // No S/N: a condition on it does not hold, either way.
        assert!(!keeps(Only::All, "snr>1") && !keeps(Only::All, "snr<1"));
        assert!(keeps(Only::Flagged(Flag::LowSnr), "") && !keeps(Only::Sound, "") && !keeps(Only::Unanswered, ""));
        assert!(Filter::parse(Only::All, "").keeps(Facts { summary: &summary, prediction: None }));
    }

    #[test]
    fn conditions_are_read_as_people_write_them_and_nonsense_is_left_aside() {
        let summary = summary("star");
        let poor = prediction(-2.0, vec![]);
        let facts = Facts { summary: &summary, prediction: Some(&poor) };
        for (text, keeps) in [
            ("FEH<-1", true),
            ("star [Fe/H] <= -2 and star", true),
            ("[fe/h]> −1", false),
            ("Star", true),
            ("sun", false),
        ] {
            let filter = Filter::parse(Only::All, text);
            assert_eq!((filter.keeps(facts), filter.unclear().len()), (keeps, 0), "{text}");
        }
        let filter = Filter::parse(Only::All, "teff>banana star");
        assert_eq!((filter.keeps(facts), filter.unclear()), (true, &["teff>banana".to_owned()][..]));
    }

    #[test]
    fn ids_are_counted_and_missing_values_come_last() {
        let (nine, ten) = (summary("spec-9"), summary("spec-10"));
        let (poor, rich) = (prediction(-1.0, vec![]), prediction(0.2, vec![]));
        let facts = |s, p| Facts { summary: s, prediction: p };
        let (a, b) = (facts(&nine, Some(&poor)), facts(&ten, Some(&rich)));
        let feh = Column::Parameter(Label::Feh);
        assert_eq!(Column::Id.compare(Direction::Ascending, a, b), Ordering::Less);
        assert_eq!(natural("star-007b", "star-7b"), Ordering::Equal);
        assert_eq!(natural("a", "ab"), Ordering::Less);
        assert_eq!(natural("10", "a"), Ordering::Less);
        assert_eq!(natural("39627866878514742", "39627866878514741"), Ordering::Greater);
        assert_eq!(Column::Id.compare(Direction::Descending, a, b), Ordering::Greater);
        assert_eq!(feh.compare(Direction::Ascending, a, b), Ordering::Less);
        for direction in [Direction::Ascending, Direction::Descending] {
            assert_eq!(feh.compare(direction, facts(&nine, None), b), Ordering::Greater);
        }
    }
}
