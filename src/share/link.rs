//! Links that carry results in the fragment of the address, without a file or a server.
//!
//! A fragment is `#s1.` and then base64url without padding. The encoded bytes are the CRC-32 of the payload (four
//! bytes, little-endian) and the deflated payload. The `1` is the version of the format. The payload is that of
//! `codec.rs`, as postcard.

use std::io::{Read, Write};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use thiserror::Error;

use super::Record;
use super::codec::{MAX_ROWS, Payload};
use super::curve::{Axis, Curve};
use crate::result::SpectrumView;

/// Largest number of results in a link.
pub const MAX_RESULTS: usize = MAX_ROWS;

/// Prefix of the fragments of this version, after the `#`.
const PREFIX: &str = "s1.";

/// Longest fragment that is decoded, bytes.
const MAX_FRAGMENT: usize = 1 << 18;

/// Largest size of an unpacked payload, bytes.
const MAX_PAYLOAD: usize = 1 << 20;

/// Numbers of pixels averaged into a sample, finest first. The first that makes the link short enough is used.
const BLOCK_SIZES: [u16; 8] = [1, 2, 3, 4, 6, 8, 12, 16];

/// Reason why a fragment cannot be decoded.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum LinkError {
    #[error("this link holds no results: it does not begin with `#{PREFIX}`; copy the whole link")]
    NotALink,
    #[error("this link is of format {0}, which this version of Specola does not read; open it with a newer one")]
    Version(String),
    #[error("this link has {0} characters, more than Specola's links can have; copy it again")]
    TooLong(usize),
    #[error("this link is damaged ({0}); copy the whole link again from its source")]
    Damaged(&'static str),
    #[error("this link cannot be shown: {0}")]
    Content(String),
}

/// Reason why no link can be made.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum LinkEncodeError {
    #[error("no results are selected; select results first")]
    Nothing,
    #[error("a link holds at most {MAX_ROWS} results, not {0}; save a session file instead")]
    TooMany(usize),
    #[error("the link would have {0} characters, more than the limit of {1}; save a session file instead")]
    TooLong(usize, usize),
}

/// A result in a link.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedResult {
    /// Metadata and prediction.
    pub record: Record,
    /// Normalised spectrum, at most as fine as the model's input.
    pub curve: Option<Curve>,
}

impl SharedResult {
    /// The curves that the page displays: only the normalised spectrum.
    pub fn view(&self) -> SpectrumView {
        let (model_wave_vac_aa, model_flux) = self.curve.as_ref().and_then(Curve::unpack).unwrap_or_default();
        SpectrumView { model_wave_vac_aa, model_flux, ..SpectrumView::default() }
    }
}

/// A link, and a summary of its content.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The fragment, without `#`.
    pub fragment: String,
    /// Number of results.
    pub rows: usize,
    /// Number of model pixels averaged into a sample of the spectra; `None` if the spectra had to be left out.
    pub block: Option<u16>,
    /// Number of results whose normalised spectrum was not available.
    pub without_curve: usize,
}

/// Longest fragment for a number of results, characters: 2 kB for one result, 8 kB for ten or more. The limit leaves
/// room for the page's address.
pub fn limit(rows: usize) -> usize {
    1_900 + rows.clamp(1, 10).saturating_sub(1) * 655
}

/// Makes a link to results and their curves, of at most `limit` characters. A result without curves has an empty view.
pub fn encode(results: &[(&Record, Option<&SpectrumView>)], limit: usize) -> Result<Link, LinkEncodeError> {
    match results.len() {
        0 => return Err(LinkEncodeError::Nothing),
        n if n > MAX_ROWS => return Err(LinkEncodeError::TooMany(n)),
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
    for block in BLOCK_SIZES.into_iter().map(Some).chain([None]) {
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
    Err(LinkEncodeError::TooLong(shortest, limit))
}

/// True when the fragment of an address has the form of a link to results.
pub fn is_link(fragment: &str) -> bool {
    let fragment = fragment.trim_start_matches('#');
    fragment.strip_prefix('s').is_some_and(|rest| rest.split_once('.').is_some_and(|(v, _)| v.parse::<u32>().is_ok()))
}

/// Decodes the results in a link: an address with a fragment, or the fragment alone.
pub fn decode(link: &str) -> Result<Vec<SharedResult>, LinkError> {
    let fragment = link.rsplit_once('#').map_or(link, |(_, fragment)| fragment).trim();
    if fragment.len() > MAX_FRAGMENT {
        return Err(LinkError::TooLong(fragment.len()));
    }
    let Some(text) = fragment.strip_prefix(PREFIX) else {
        return Err(match fragment.split_once('.') {
            Some((version, _)) if is_link(fragment) => LinkError::Version(version[1..].into()),
            _ => LinkError::NotALink,
        });
    };
    let payload = unpack(text)?;
    let results = payload.results().map_err(LinkError::Content)?;
    if results.is_empty() {
        return Err(LinkError::Content("it holds no results".into()));
    }
    if results.iter().filter_map(|(_, curve)| curve.as_ref()).any(|c| c.unpack().is_none()) {
        return Err(LinkError::Content("it holds an invalid spectrum".into()));
    }
    Ok(results.into_iter().map(|(record, curve)| SharedResult { record, curve }).collect())
}

fn pack(payload: &Payload) -> String {
    // This cannot fail: it writes into memory.
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
        return Err(LinkError::Damaged("its unpacked content is too large"));
    }
    let mut crc = Crc::new();
    crc.update(&plain);
    if crc.sum() != u32::from_le_bytes(*sum) {
        return Err(LinkError::Damaged("its checksum is wrong"));
    }
    match postcard::take_from_bytes(&plain) {
        Ok((payload, [])) => Ok(payload),
        _ => Err(LinkError::Damaged("its content does not match its version")),
    }
}
