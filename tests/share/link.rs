//! Links, session files and tables of synthetic results: round trips, lengths of links, and errors for damaged data.

use std::io::Write;

use crate::results::{record, records, view};
use specola::result::Label;
use specola::share::link::{LinkEncodeError, LinkError, decode, encode, limit};
use specola::share::session::{Session, Writer};
use specola::share::{Outcome, Record, numbers};

fn link(n: usize, limit: usize) -> specola::share::link::Link {
    let (records, views): (Vec<Record>, Vec<_>) = (records(n), (0..n).map(view).collect());
    let results: Vec<_> = records.iter().zip(views.iter().map(Some)).collect();
    encode(&results, limit).expect("a link can be made")
}

#[test]
fn links_are_shorter_than_the_documented_length() {
    for (n, max_length) in [(1, 2_000), (10, 8_000)] {
        let link = link(n, limit(n));
        println!("{n} spectra: {} characters, {:?} pixels a sample", link.fragment.len(), link.block);
        assert!(link.fragment.len() <= max_length - 100, "room for the address");
        assert!(link.block.is_some_and(|b| b <= 8), "still worth plotting: {:?}", link.block);
    }
    let link_of_50 = link(50, usize::MAX);
    println!("50 spectra at full resolution: {} characters", link_of_50.fragment.len());
    let records = records(50);
    let results: Vec<_> = records.iter().map(|r| (r, None)).collect();
    match encode(&results, limit(50)) {
        Ok(link) => println!("50 results without spectra: {} characters", link.fragment.len()),
        Err(LinkEncodeError::TooLong(n, _)) => println!("50 results without spectra: {n} characters, too long"),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn links_hold_the_values_of_the_table() {
    let written = records(10);
    let views: Vec<_> = (0..10).map(view).collect();
    let results: Vec<_> = written.iter().zip(views.iter().map(Some)).collect();
    let link = encode(&results, limit(10)).expect("a link can be made");
    let shared = decode(&format!("https://example.org/x/?a=b#{}", link.fragment)).expect("the link is sound");
    assert_eq!(shared.len(), written.len());
    for ((expected, got), view) in written.iter().zip(&shared).zip(&views) {
        let (a, b) = (&expected.summary, &got.record.summary);
        assert_eq!((&a.meta.id, &a.file, a.meta.survey), (&b.meta.id, &b.file, b.meta.survey));
        assert_eq!((a.meta.medium, a.meta.frame, a.n_pixels), (b.meta.medium, b.meta.frame, b.n_pixels));
        assert_eq!(expected.flags(), got.record.flags());
        for label in Label::ALL {
            assert_eq!(expected.numbers(label), got.record.numbers(label), "{label:?}");
        }
        if let (Outcome::Predicted(expected), Outcome::Predicted(got)) = (&expected.outcome, &got.record.outcome) {
            assert_eq!((&expected.model, &expected.model_sha256), (&got.model, &got.model_sha256));
        }
        let shared_view = got.view();
        let block = usize::from(link.block.expect("spectra are in it"));
        assert_eq!(shared_view.model_flux.len(), view.model_flux.len().div_ceil(block));
        for (i, flux) in shared_view.model_flux.iter().enumerate() {
            let part = &view.model_flux[i * block..view.model_flux.len().min((i + 1) * block)];
            let mean = part.iter().sum::<f32>() / part.len() as f32;
            assert!((flux - mean).abs() <= 0.0021, "{flux} for {mean}");
        }
    }
}

/// Links of version 1 must open. This link was made with the first release of the format.
#[test]
fn links_of_version_1_open() {
    let fragment = include_str!("../golden/link-v1.txt").trim();
    let shared = decode(fragment).expect("old links open");
    assert_eq!(shared.len(), 3);
    assert_eq!(shared[0].record.summary.meta.id, record(0).summary.meta.id);
    assert_eq!(shared[0].record.numbers(Label::Teff), record(0).numbers(Label::Teff));
    assert!(matches!(shared[2].record.outcome, Outcome::NotPredicted(_)));
}

/// Prints a link with the results of the test above, for a new version of the format.
#[test]
#[ignore = "makes the fixture"]
fn print_link() {
    println!("{}", link(3, limit(3)).fragment);
}

#[test]
fn damaged_links_give_an_error_or_the_same_results() {
    let fragment = link(3, limit(3)).fragment;
    let undamaged = format!("{:?}", decode(&fragment).expect("the link is sound"));
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.#<%\"";
    let (mut errors, mut same) = (0, 0);
    let start = std::time::Instant::now();
    for i in 0..10_000 {
        let mut bytes = fragment.clone().into_bytes();
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            match i % 5 {
                0 | 1 => bytes[at] = LETTERS[next(LETTERS.len())],
                2 => drop(bytes.remove(at)),
                3 => bytes.insert(at, LETTERS[next(LETTERS.len())]),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let text = String::from_utf8(bytes).expect("letters are ASCII");
        match decode(&text) {
            Ok(shared) => {
                assert_eq!(format!("{shared:?}"), undamaged, "another content passed: {text}");
                same += 1;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                errors += 1;
            }
        }
    }
    println!("{errors} messages, {same} the same, {:.1} s", start.elapsed().as_secs_f64());
    assert!(errors > 9_000);
}

/// Changed payloads with a valid checksum give an error, or results that can be shown.
#[test]
fn changed_payloads_with_a_valid_checksum_are_safe() {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
    use std::io::{Read, Write};
    let encode_payload = |payload: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(payload);
        let mut deflate =
            flate2::write::DeflateEncoder::new(crc.sum().to_le_bytes().to_vec(), flate2::Compression::best());
        deflate.write_all(payload).expect("memory takes bytes");
        format!("s1.{}", BASE64.encode(deflate.finish().expect("memory takes bytes")))
    };
    let bytes = BASE64.decode(&link(3, limit(3)).fragment[3..]).expect("it is base64url");
    let mut payload = Vec::new();
    flate2::read::DeflateDecoder::new(&bytes[4..]).read_to_end(&mut payload).expect("it inflates");
    assert!(decode(&encode_payload(&payload)).is_ok());
    for i in 0..payload.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = payload.clone();
            changed[i] ^= flip;
            if let Ok(shared) = decode(&encode_payload(&changed)) {
                shared.iter().for_each(|s| drop(s.view()));
                assert!(shared.iter().all(|s| !s.record.summary.meta.id.contains(char::is_control)));
            }
        }
    }
    assert_eq!(
        decode(&encode_payload(&vec![0; 64 << 20])),
        Err(LinkError::Damaged("its unpacked content is too large"))
    );
    assert!(matches!(decode(&"x".repeat(1 << 20)), Err(LinkError::TooLong(_))));
    assert!(matches!(decode("#s7.AAAA"), Err(LinkError::Version(v)) if v == "7"));
    assert!(matches!(decode("#skipped"), Err(LinkError::NotALink)));
    assert!(matches!(encode(&[], 100), Err(LinkEncodeError::Nothing)));
}

#[test]
fn sessions_are_read_back_unchanged() {
    let written = records(12);
    let views: Vec<_> = (0..12).map(view).collect();
    let skipped = vec![("a.fits".to_owned(), "no".to_owned())];
    let adapter = (0..5000).map(|i| (i * 31 % 251) as u8).collect::<Vec<u8>>();
    let saved_adapter = Some(("0123abcd", adapter.as_slice()));
    let mut writer = Writer::new(&written, skipped.clone(), Some(3), saved_adapter).expect("a session can be written");
    for (i, view) in views.iter().enumerate().filter(|(i, _)| *i != 5) {
        writer.curves(i, view).expect("curves can be written");
    }
    let (bytes, n_with_curves) = writer.finish().expect("a session ends");
    assert_eq!(n_with_curves, 11);
    assert!(Session::has_signature(&bytes));
    let mut session = Session::open(bytes).expect("it opens");
    // Compared as text, so that NaN equals NaN.
    assert_eq!(format!("{:?}", session.contents.records), format!("{written:?}"));
    assert_eq!((session.contents.skipped.clone(), session.contents.selected), (skipped, Some(3)));
    assert_eq!(session.adapter().expect("the adapter can be read"), Some(("0123abcd".to_owned(), adapter)));
    for (i, view) in views.iter().enumerate() {
        let curves = session.curves(i).expect("curves can be read");
        assert_eq!(format!("{curves:?}"), format!("{:?}", (i != 5).then_some(view)));
    }
}

#[test]
fn damaged_sessions_are_safe() {
    let mut writer =
        Writer::new(&records(2), Vec::new(), None, Some(("00", &[7; 300]))).expect("a session can be written");
    writer.curves(0, &view(0)).expect("curves can be written");
    let (bytes, _) = writer.finish().expect("a session ends");
    let mut whole = Session::open(bytes.clone()).expect("it opens");
    let whole_curves = whole.curves(0).expect("it has curves");
    for i in 0..3000 {
        let mut changed = bytes.clone();
        let at = i * 7919 % changed.len();
        changed[at] ^= 1 << (i % 8);
        // What can still be read is what was written.
        let Ok(mut session) = Session::open(changed) else { continue };
        assert_eq!(format!("{:?}", session.contents), format!("{:?}", whole.contents), "byte {at}");
        if let Ok(Some(curves)) = session.curves(0) {
            assert_eq!(format!("{:?}", Some(curves)), format!("{whole_curves:?}"), "byte {at}");
        }
        if let Ok(Some((_, adapter))) = session.adapter() {
            assert_eq!(adapter, [7; 300], "byte {at}");
        }
    }
    // Zeros compress well. The size of an unpacked adapter is bounded.
    let zeros = vec![0; (64 << 20) + 1];
    let writer = Writer::new(&records(1), Vec::new(), None, Some(("00", &zeros))).expect("a session can be written");
    let (bytes, _) = writer.finish().expect("a session ends");
    let error = Session::open(bytes).expect("it opens").adapter().expect_err("too large").to_string();
    assert!(error.contains("larger than 64 MiB"), "{error}");
    // Each entry of a list takes three bytes here, and many more in memory.
    let contents = std::collections::BTreeMap::from([("skipped", vec![("", ""); 500_001])]);
    let mut cbor = Vec::new();
    ciborium::into_writer(&contents, &mut cbor).expect("CBOR");
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("specola-session.cbor", zip::write::SimpleFileOptions::default()).expect("an entry");
    zip.write_all(&cbor).expect("its content");
    let error = Session::open(zip.finish().expect("an archive").into_inner()).map(drop).expect_err("too many");
    assert!(error.to_string().contains("at most 500000 entries"), "{error}");
    assert!(Session::open(b"PK\x03\x04 not a zip".to_vec()).is_err());
    assert!(Session::open(Vec::new()).is_err());
}

#[test]
fn rows_hold_the_numbers_of_the_estimates() {
    let record = record(0);
    let p = record.prediction().expect("it is answered");
    let teff = p.get(Label::Teff).expect("it has Teff");
    assert_eq!(record.numbers(Label::Teff), numbers(teff));
}

/// Tables equal the files in `tests/golden`, which `tests/share/check_tables.py` has compared with astropy's reading.
#[test]
fn tables_equal_the_files_that_astropy_read() {
    use specola::share::{Format, write};
    let written = records(7);
    let folder = std::env::temp_dir().join(format!("specola-tables-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let mut changed_files = Vec::new();
    for format in Format::ALL {
        let bytes = write(format, &written, &Label::ALL);
        let name = format!("results.{}", format.extension());
        std::fs::write(folder.join(&name), &bytes).expect("it can be written");
        if bytes != golden(&name) {
            changed_files.push(name);
        }
    }
    assert!(
        changed_files.is_empty(),
        "{changed_files:?} are not what astropy has read: check those in {}",
        folder.display()
    );
    let _ = std::fs::remove_dir_all(folder);
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap_or_default()
}
