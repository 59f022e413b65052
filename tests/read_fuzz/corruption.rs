//! Corruptions of files: bits, header cards, blocks, numbers, words of text.

use proptest::prelude::*;

/// One corruption. Positions are fractions of the length of the file.
#[derive(Debug, Clone)]
pub(crate) enum Corruption {
    Truncate(f64),
    Flip(Vec<(f64, u8)>),
    FlipHeader(Vec<(f64, u8)>),
    Card {
        keyword: &'static str,
        occurrence: u8,
        value: &'static str,
    },
    SwapBlocks(f64, f64),
    Numbers {
        at: f64,
        count: u8,
        bytes: [u8; 8],
    },
    Delete(f64, u16),
    Insert(f64, Vec<u8>),
    Reverse(f64, u16),
    /// Replaces `count` words of text.
    Words {
        at: f64,
        count: u8,
        replacement: &'static str,
    },
    /// Repeats or removes a line of text.
    Line {
        at: f64,
        repeat: bool,
    },
}

const KEYWORDS: [&str; 33] = [
    "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "PCOUNT", "GCOUNT", "TFIELDS", "TFORM1", "TFORM2", "TFORM3",
    "TTYPE1", "TTYPE2", "XTENSION", "EXTNAME", "COEFF0", "COEFF1", "CRVAL1", "CD1_1", "CDELT1", "CRPIX1", "TSCAL2",
    "BSCALE", "OBSID", "TELESCOP", "THEAP", "TNULL3", "TZERO3", "TDIM2", "SAMPLING", "ZNAXIS1", "CTYPE1", "END",
];

const VALUES: [&str; 27] = [
    "0",
    "-1",
    "1",
    "2",
    "5",
    "999",
    "1000",
    "2147483647",
    "2000000000",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999999",
    "1E308",
    "-1E308",
    "NaN",
    "1.5",
    "'99999999999E'",
    "'18446744073709551615D'",
    "'0E'",
    "'-3E'",
    "'1PE(3)'",
    "'COADD'",
    "'QD(9999)'",
    "'2PE()'",
    "'(1.0, nan'",
    "'unclosed",
];

/// Words that a reader of text may misread.
const WORDS: [&str; 32] = [
    "",
    "nan",
    "null",
    "1e999",
    "-1",
    "99999999999999999999",
    "[",
    "]",
    "(",
    ")",
    "[1, 2, ...]",
    "\"",
    "\"\"",
    "\n",
    ",",
    "\t",
    "|",
    "#",
    "\\",
    "<TD>",
    "</TR>",
    "<TABLE>",
    "&#0;",
    "&x;",
    "<![CDATA[",
    "-->",
    "arraysize=\"4294967296\"",
    "4294967295*",
    "2x*",
    "double",
    "float32[99999999]",
    "{",
];

pub(crate) fn corruption() -> impl Strategy<Value = Corruption> {
    let at = || 0.0..1.0f64;
    let flips = || prop::collection::vec((0.0..1.0f64, 0u8..8), 1..6);
    let card = (prop::sample::select(&KEYWORDS[..]), any::<u8>(), prop::sample::select(&VALUES[..]));
    let special = prop::sample::select(vec![
        f64::NAN.to_be_bytes(),
        [0; 8],
        (-1.0f64).to_be_bytes(),
        f64::INFINITY.to_be_bytes(),
        [0x7f, 0xc0, 0, 0, 0x7f, 0xc0, 0, 0],
        [0xff; 8],
        *b"99999999",
        *b"1e999,-1",
    ]);
    prop_oneof![
        2 => at().prop_map(Corruption::Truncate),
        1 => flips().prop_map(Corruption::Flip),
        2 => flips().prop_map(Corruption::FlipHeader),
        4 => card.prop_map(|(keyword, occurrence, value)| Corruption::Card { keyword, occurrence, value }),
        1 => (at(), at()).prop_map(|(a, b)| Corruption::SwapBlocks(a, b)),
        2 => (at(), any::<u8>(), special).prop_map(|(at, count, bytes)| Corruption::Numbers { at, count, bytes }),
        1 => (at(), 1u16..5000).prop_map(|(at, n)| Corruption::Delete(at, n)),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..100)).prop_map(|(at, bytes)| Corruption::Insert(at, bytes)),
        1 => (at(), 1u16..5000).prop_map(|(at, n)| Corruption::Reverse(at, n)),
        3 => (at(), 1u8..6, prop::sample::select(&WORDS[..])).prop_map(|(at, count, replacement)| Corruption::Words { at, count, replacement }),
        1 => (at(), any::<bool>()).prop_map(|(at, repeat)| Corruption::Line { at, repeat }),
    ]
}

impl Corruption {
    pub(crate) fn apply(&self, file: &mut Vec<u8>) {
        let n = file.len();
        let index = |at: f64| ((at * n as f64) as usize).min(n.saturating_sub(1));
        if n == 0 {
            return;
        }
        match self {
            Self::Truncate(at) => file.truncate(index(*at)),
            Self::Flip(flips) => flips.iter().for_each(|(at, bit)| file[index(*at)] ^= 1 << bit),
            Self::FlipHeader(flips) => {
                flips.iter().for_each(|(at, bit)| file[index(*at) % n.min(6000)] ^= 1 << bit);
            }
            Self::Card { keyword, occurrence, value } => {
                let cards: Vec<usize> =
                    (0..n / 80).filter(|i| file[i * 80..].starts_with(format!("{keyword:<8}").as_bytes())).collect();
                if let Some(card_index) = cards.get(usize::from(*occurrence) % cards.len().max(1)) {
                    let card = format!("{:<80.80}", format!("{keyword:<8}= {value:>20}"));
                    file[card_index * 80..card_index * 80 + 80].copy_from_slice(card.as_bytes());
                }
            }
            Self::SwapBlocks(x, y) => {
                let blocks = n / 2880;
                if blocks > 1 {
                    let (x, y) = ((x * blocks as f64) as usize, (y * blocks as f64) as usize);
                    (0..2880).for_each(|i| file.swap(x * 2880 + i, y * 2880 + i));
                }
            }
            Self::Numbers { at, count, bytes } => {
                let start = index(*at) & !7;
                for (i, byte) in file[start..].iter_mut().take(8 * usize::from(*count)).enumerate() {
                    *byte = bytes[i % 8];
                }
            }
            Self::Delete(at, count) => drop(file.drain(index(*at)..(index(*at) + usize::from(*count)).min(n))),
            Self::Insert(at, bytes) => drop(file.splice(index(*at)..index(*at), bytes.iter().copied())),
            Self::Words { at, count, replacement } => {
                let is_between = |byte: &u8| byte.is_ascii_whitespace() || b",;\"'<>=[](){}".contains(byte);
                let mut from = index(*at);
                for _ in 0..*count {
                    let Some(start) = file[from..].iter().position(|byte| !is_between(byte)).map(|n| from + n) else {
                        break;
                    };
                    let end = file[start..].iter().position(is_between).map_or(file.len(), |n| start + n);
                    file.splice(start..end, replacement.bytes());
                    from = (start + replacement.len() + 1).min(file.len());
                }
            }
            Self::Line { at, repeat } => {
                let is_end = |byte: &u8| *byte == b'\n';
                let start = file[..index(*at)].iter().rposition(is_end).map_or(0, |n| n + 1);
                let end = file[start..].iter().position(is_end).map_or(n, |k| start + k + 1);
                let line = file[start..end].to_vec();
                file.splice(start..if *repeat { start } else { end }, if *repeat { line } else { Vec::new() });
            }
            Self::Reverse(at, count) => file[index(*at)..(index(*at) + usize::from(*count)).min(n)].reverse(),
        }
    }
}
