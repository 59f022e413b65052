//! Checksum of the safetensors files that Specola writes: adapters, indices, and stages of a training.
//!
//! The metadata entry `sha256` is the SHA-256 of the file with 64 zeros in its place. Files of other programs and of
//! earlier versions have none.

use std::collections::BTreeMap;

use safetensors::SafeTensorError;
use safetensors::tensor::{SafeTensors, TensorView};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Key of the metadata entry.
const KEY: &str = "sha256";

/// Length of a hash in hexadecimal.
const DIGITS: usize = 64;

/// Length of the number with which a file begins: the length of its header.
const LENGTH_BYTES: usize = 8;

/// A file whose content does not match its checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the file is damaged: its content does not match its checksum. Copy it again, or make it again")]
pub struct Damaged;

/// The contents of a safetensors file with these metadata and its checksum. Equal input gives equal bytes.
pub fn serialize(arrays: Vec<(&str, TensorView<'_>)>, metadata: &[(&str, &str)]) -> Result<Vec<u8>, SafeTensorError> {
    let plain = safetensors::serialize(arrays, None)?;
    let (length, header) = SafeTensors::read_metadata(&plain)?;
    debug_assert!(header.metadata().is_none());
    let (begin, data) = (LENGTH_BYTES, LENGTH_BYTES + length);
    let arrays = String::from_utf8_lossy(&plain[begin..data]);
    // The library writes metadata in random order, so they are added here: `{` and the arrays follow.
    let zeros = "0".repeat(DIGITS);
    let entries: BTreeMap<&str, &str> = metadata.iter().copied().chain([(KEY, zeros.as_str())]).collect();
    let arrays = arrays.trim_end().trim_start_matches('{');
    let comma = if arrays == "}" { "" } else { "," };
    let mut header = format!("{{\"__metadata__\":{}{comma}{arrays}", serde_json::to_string(&entries)?);
    header += &" ".repeat(header.len().next_multiple_of(LENGTH_BYTES) - header.len());
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(&plain[data..]);
    if let Some(place) = place(&file) {
        let hash = hash(&file, place);
        file[place..place + DIGITS].copy_from_slice(hash.as_bytes());
    }
    Ok(file)
}

/// Compares a file with its checksum, if it has one.
pub fn check(file: &[u8]) -> Result<(), Damaged> {
    let Some(place) = place(file) else { return Ok(()) };
    if hash(file, place).as_bytes() == &file[place..place + DIGITS] { Ok(()) } else { Err(Damaged) }
}

/// Place of the hash in the file. Inside other entries quotation marks are escaped, so the key cannot stand there.
fn place(file: &[u8]) -> Option<usize> {
    let length = u64::from_le_bytes(file.get(..LENGTH_BYTES)?.try_into().ok()?);
    let end = usize::try_from(length).ok()?.checked_add(LENGTH_BYTES)?;
    let key = format!("\"{KEY}\":\"");
    let at = file.get(LENGTH_BYTES..end)?.windows(key.len()).position(|w| w == key.as_bytes())?;
    let place = LENGTH_BYTES + at + key.len();
    (place + DIGITS <= end).then_some(place)
}

/// Hash of the file with zeros at `place`.
fn hash(file: &[u8], place: usize) -> String {
    let parts = [&file[..place], &[b'0'; DIGITS], &file[place + DIGITS..]];
    let hasher = parts.iter().fold(Sha256::new(), |hasher, part| hasher.chain_update(part));
    hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::Dtype;

    use super::*;

    fn file() -> Vec<u8> {
        let values: Vec<u8> = (0..8u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
        let view = |shape: Vec<usize>, n: usize| TensorView::new(Dtype::F32, shape, &values[..4 * n]).unwrap();
        let metadata = [("card", "{\"sha256\":\"of something else\"}"), ("a", "é")];
        serialize(vec![("weight", view(vec![2, 4], 8)), ("bias", view(vec![2], 2))], &metadata).unwrap()
    }

    #[test]
    fn files_are_read_as_they_were_written() {
        let bytes = file();
        assert_eq!(bytes, file());
        assert_eq!(check(&bytes), Ok(()));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(header.metadata().as_ref().unwrap()["card"], "{\"sha256\":\"of something else\"}");
        let arrays = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(arrays.tensor("weight").unwrap().shape(), [2, 4]);
        assert_eq!(arrays.tensor("bias").unwrap().data()[4..], 1f32.to_le_bytes());
        let none = serialize(Vec::new(), &[]).unwrap();
        assert_eq!((check(&none), SafeTensors::deserialize(&none).unwrap().len()), (Ok(()), 0));
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found_or_changes_nothing() {
        let bytes = file();
        let whole = SafeTensors::deserialize(&bytes).unwrap();
        for i in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[i] ^= 1 << bit;
                if check(&damaged) == Err(Damaged) {
                    continue;
                }
                // What hides the checksum itself leaves the arrays as they were, or the file unreadable.
                if let Ok(found) = SafeTensors::deserialize(&damaged) {
                    for (name, view) in whole.iter() {
                        assert_eq!(found.tensor(name).unwrap().data(), view.data(), "bit {bit} of byte {i}");
                    }
                }
            }
        }
    }
}
