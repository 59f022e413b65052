//! Results in the fragment of an address: what was computed, with no file and no server.
//!
//! A fragment is `#s1.` and then, in base64url without padding, the CRC-32 of the payload (four bytes, least first) and
//! the payload itself, deflated. The `1` is the version of the format; the payload is `wire.rs`, as
//! postcard.

use std::io::{Read, Write};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use thiserror::Error;

use super::Record;
use super::curve::{Axis, Curve};
use super::wire::{MAX_ROWS, Payload};
use crate::result::SpectrumView;

/// Most results in a link.
pub const MOST_RESULTS: usize = MAX_ROWS;

/// What fragments of this version begin with, after the `#`.
const PREFIX: &str = "s1.";

/// Longest fragment that is looked at, bytes.
const MAX_FRAGMENT: usize = 1 << 18;

/// Most bytes that a fragment may unpack to.
const MAX_PAYLOAD: usize = 1 << 20;

/// Pixels averaged into one sample, finest first: the first that makes a link short enough is taken.
const BLOCKS: [u16; 8] = [1, 2, 3, 4, 6, 8, 12, 16];

/// Why a fragment shows nothing.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)]
pub enum LinkError {
    #[error("this link holds no results: it does not begin with `#{PREFIX}`; copy the whole link")]
    Foreign,
    #[error("this link is of format {0}, which this version of Specola does not read; open it with a newer one")]
    Version(String),
    #[error("this link has {0} characters, more than any that Specola makes; it is not used")]
    TooLong(usize),
    #[error("this link is damaged ({0}); copy it again, whole, from where it was made")]
    Damaged(&'static str),
    #[error("this link cannot be shown: {0}")]
    Content(String),
}

/// Why no link can be made.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)]
pub enum NoLink {
    #[error("nothing is chosen; choose results first")]
    Nothing,
    #[error("{0} results are more than a link holds ({MAX_ROWS}); save a session file instead")]
    TooMany(usize),
    #[error("the link would have {0} characters, more than the {1} that travel safely; save a session file instead")]
    TooLong(usize, usize),
}

/// One result in a link.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// Summary and answer.
    pub record: Record,
    /// Its normalised spectrum, coarser than the model saw it.
    pub curve: Option<Curve>,
}

impl Shared {
    /// The curves for the page: the normalised spectrum only.
    pub fn view(&self) -> SpectrumView {
        let (model_wave_vac_aa, model_flux) = self.curve.as_ref().and_then(Curve::unpack).unwrap_or_default();
        SpectrumView { model_wave_vac_aa, model_flux, ..SpectrumView::default() }
    }
}

/// A link that was made, and what it leaves out.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The fragment, without `#`.
    pub fragment: String,
    /// Results in it.
    pub rows: usize,
    /// Model pixels averaged into one sample of its spectra; `None` when the spectra had to be left out.
    pub block: Option<u16>,
    /// Results in it whose spectrum was not there to put in.
    pub without_curve: usize,
}

/// Longest fragment for a number of results: 2 kB for one, 8 kB for ten and more, with room for the page's address.
pub fn limit(rows: usize) -> usize {
    1_900 + rows.clamp(1, 10).saturating_sub(1) * 655
}

/// The link to some results with their curves (an empty view where there are none), within `limit` characters.
pub fn encode(results: &[(&Record, Option<&SpectrumView>)], limit: usize) -> Result<Link, NoLink> {
    match results.len() {
        0 => return Err(NoLink::Nothing),
        n if n > MAX_ROWS => return Err(NoLink::TooMany(n)),
        _ => {}
    }
    let records: Vec<&Record> = results.iter().map(|(record, _)| *record).collect();
    let axes: Vec<Option<(Axis, &[f32])>> = results
        .iter()
        .map(|(_, view)| {
            let view = view.filter(|v| v.model_wave_vac_aa.len() == v.model_flux.len())?;
            Some((Axis::of(&view.model_wave_vac_aa)?, view.model_flux.as_slice()))
        })
        .collect();
    let without_curve = axes.iter().filter(|a| a.is_none()).count();
    let mut shortest = usize::MAX;
    for block in BLOCKS.into_iter().map(Some).chain([None]) {
        let curve = |axis: &Option<(Axis, &[f32])>| {
            let ((axis, flux), block) = ((*axis)?, block?);
            Some(Curve::pack(axis, flux, block))
        };
        let fragment = pack(&Payload::new(&records, axes.iter().map(curve).collect()));
        if fragment.len() <= limit {
            return Ok(Link { fragment, rows: records.len(), block, without_curve });
        }
        shortest = shortest.min(fragment.len());
    }
    Err(NoLink::TooLong(shortest, limit))
}

/// True when an address's fragment claims to be a link to results.
pub fn is_link(fragment: &str) -> bool {
    let fragment = fragment.trim_start_matches('#');
    fragment.strip_prefix('s').is_some_and(|rest| rest.split_once('.').is_some_and(|(v, _)| v.parse::<u32>().is_ok()))
}

/// The results in a link: an address with a fragment, or the fragment alone.
pub fn decode(link: &str) -> Result<Vec<Shared>, LinkError> {
    let fragment = link.rsplit_once('#').map_or(link, |(_, fragment)| fragment).trim();
    if fragment.len() > MAX_FRAGMENT {
        return Err(LinkError::TooLong(fragment.len()));
    }
    let Some(text) = fragment.strip_prefix(PREFIX) else {
        return Err(match fragment.split_once('.') {
            Some((version, _)) if is_link(fragment) => LinkError::Version(version[1..].into()),
            _ => LinkError::Foreign,
        });
    };
    let payload = unpack(text)?;
    let results = payload.results().map_err(LinkError::Content)?;
    if results.is_empty() {
        return Err(LinkError::Content("it holds no results".into()));
    }
    if results.iter().filter_map(|(_, curve)| curve.as_ref()).any(|c| c.unpack().is_none()) {
        return Err(LinkError::Content("it holds a spectrum that no link is made with".into()));
    }
    Ok(results.into_iter().map(|(record, curve)| Shared { record, curve }).collect())
}

fn pack(payload: &Payload) -> String {
    // None of this can fail: it writes into memory.
    let plain = postcard::to_allocvec(payload).unwrap_or_default();
    let mut crc = Crc::new();
    crc.update(&plain);
    let mut deflate = DeflateEncoder::new(crc.sum().to_le_bytes().to_vec(), Compression::best());
    let _ = deflate.write_all(&plain);
    let bytes = deflate.finish().unwrap_or_default();
    format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

fn unpack(text: &str) -> Result<Payload, LinkError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| LinkError::Damaged("it is not base64url"))?;
    let (sum, deflated) = bytes.split_first_chunk::<4>().ok_or(LinkError::Damaged("it ends too early"))?;
    let mut plain = Vec::new();
    let mut inflate = DeflateDecoder::new(deflated).take(MAX_PAYLOAD as u64 + 1);
    inflate.read_to_end(&mut plain).map_err(|_| LinkError::Damaged("it cannot be inflated"))?;
    if plain.len() > MAX_PAYLOAD {
        return Err(LinkError::Damaged("it unpacks to more than any link holds"));
    }
    let mut crc = Crc::new();
    crc.update(&plain);
    if crc.sum() != u32::from_le_bytes(*sum) {
        return Err(LinkError::Damaged("its checksum does not fit"));
    }
    match postcard::take_from_bytes(&plain) {
        Ok((payload, [])) => Ok(payload),
        _ => Err(LinkError::Damaged("its content is not what its version holds")),
    }
}
