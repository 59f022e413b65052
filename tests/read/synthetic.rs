//! Readers on the committed synthetic files, compared with the values that astropy and `NumPy` read
//! (`fixtures/expected.json`, by `fixtures/make.py`). The files in `golden/` belong to the reference specification.

use std::path::{Path, PathBuf};

use serde_json::Value;
use specola::read::{Contents, ReadError, read};
use specola::spectrum::air_vacuum::air_to_vacuum_aa;
use specola::spectrum::{Medium, Spectrum};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn bytes(path: &str) -> Vec<u8> {
    std::fs::read(tests().join(path)).unwrap()
}

fn contents(path: &str) -> Contents {
    read(path, &bytes(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn read_one(path: &str) -> Spectrum {
    let mut contents = contents(path);
    assert_eq!((contents.spectra.len(), contents.skipped.len()), (1, 0), "{path}");
    contents.spectra.remove(0)
}

fn assert_close(a: f64, b: &Value, name: &str) {
    let Some(b) = b.as_f64() else { return assert!(a.is_nan() && b.is_null(), "{name}: {a} is not missing") };
    assert!((a - b).abs() <= 1e-12 * b.abs(), "{name}: {a} is not {b}");
}

fn compare(name: &str, spectrum: &Spectrum, entry: &Value) {
    let (meta, array) = (&spectrum.meta, |key: &str| entry[key].as_array().unwrap());
    assert_eq!(spectrum.len() as u64, entry["n"].as_u64().unwrap(), "{name}");
    let masked = spectrum.masked().iter().filter(|m| **m).count();
    assert_eq!(masked as u64, entry["masked"].as_u64().unwrap(), "{name} masked");
    for (k, pixel) in array("pixels").iter().enumerate() {
        let i = pixel.as_u64().unwrap() as usize;
        let mut wave_aa = array("wave_aa")[k].as_f64().unwrap();
        if meta.medium.value == Medium::Air {
            wave_aa = air_to_vacuum_aa(wave_aa);
        }
        assert_close(spectrum.wave_vac_aa()[i], &wave_aa.into(), &format!("{name} wavelength {i}"));
        assert_close(spectrum.flux()[i], &array("flux")[k], &format!("{name} flux {i}"));
        match spectrum.ivar() {
            Some(ivar) => assert_close(ivar[i], &array("ivar")[k], &format!("{name} ivar {i}")),
            None => assert!(entry["ivar"].is_null(), "{name}"),
        }
    }
    let text = |key: &str| entry[key].as_str();
    assert_eq!(Some(meta.survey.name()), text("survey"), "{name}");
    assert_eq!(Some(meta.medium.value.name()), text("medium"), "{name}");
    assert_eq!(Some(meta.frame.value.name()), text("frame"), "{name}");
    match meta.resolving_power {
        Some(r) => assert_close(r.value, &entry["resolving_power"], &format!("{name} resolving power")),
        None => assert!(entry["resolving_power"].is_null(), "{name}"),
    }
    assert_eq!(meta.wave_is_f32, entry["wave_is_f32"].as_bool().unwrap_or(false), "{name}");
    for (key, value) in [("class", &meta.class), ("subclass", &meta.subclass)] {
        if let Some(class) = text(key) {
            assert_eq!(value.as_deref(), Some(class), "{name} {key}");
        }
    }
}

#[test]
fn every_fixture_agrees_with_astropy_and_numpy() {
    let expected: Value = serde_json::from_slice(&bytes("fixtures/expected.json")).unwrap();
    assert!(expected.as_object().unwrap().len() >= 52);
    for (name, entry) in expected.as_object().unwrap() {
        let path = format!("fixtures/{name}");
        match entry["ids"].as_array() {
            None => {
                let spectrum = read_one(&path);
                assert_eq!(Some(spectrum.meta.id.as_str()), entry["id"].as_str());
                compare(name, &spectrum, entry);
            }
            Some(ids) => {
                let contents = contents(&path);
                let found: Vec<&str> = contents.spectra.iter().map(|s| s.meta.id.as_str()).collect();
                let skipped: Vec<&str> = contents.skipped.iter().map(|s| s.part.as_str()).collect();
                assert_eq!(serde_json::json!(found), serde_json::json!(ids), "{name}");
                assert_eq!(serde_json::json!(skipped), entry["skipped"], "{name}");
                compare(name, &contents.spectra[1], entry);
            }
        }
    }
}

#[test]
fn assumptions_and_masked_pixels_are_noted() {
    let notes = |name: &str| read_one(&format!("fixtures/{name}")).meta.notes.join("; ");
    assert!(notes("lamost_dr1.fits").contains("row 2 is not a wavelength"));
    assert!(notes("lamost_dr5.fits.gz").contains("1 pixels with an ANDMASK bit"));
    assert!(notes("sdss_star.fits").contains("1 pixels with an and_mask bit"));
    assert!(notes("two_rows.csv").contains("vacuum is assumed"));
    assert!(notes("iraf_log.fits").contains("air is assumed"));
    assert!(!notes("header.csv").contains("air or vacuum"));
}

#[test]
fn unsupported_formats_are_refused() {
    match read("x", &bytes("fixtures/lamost_mrs.fits")) {
        Err(e @ ReadError::Unsupported { .. }) => assert!(e.to_string().contains("medium-resolution"), "{e}"),
        other => panic!("{other:?}"),
    }
    for (start, word) in
        [(&b"\x89PNG\r\n\x1a\n...."[..], "PNG"), (b"%PDF-1.7 ...", "PDF"), (b"<!DOCTYPE html><html>1", "web page")]
    {
        assert!(read("spectrum.fits", start).unwrap_err().to_string().contains(word));
    }
    assert_eq!(read("empty.fits", b"").unwrap_err(), ReadError::Empty);
}

#[test]
fn label_tables_are_read_beside_spectra() {
    let contents = read("night/labels.csv", b"id,teff,e_teff\na,5000,50\n").unwrap();
    assert_eq!((contents.spectra.len(), contents.labels.len()), (0, 1));
    let (name, table) = &contents.labels[0];
    assert_eq!((name.as_str(), table.get("a", "teff")), ("night/labels.csv", Some(5000.0)));
    let damaged = read("labels.csv", b"id,teff\n1,hot\n").unwrap_err().to_string();
    assert!(damaged.contains("line 2") && damaged.contains("hot"), "{damaged}");
}

#[test]
fn unreadable_files_in_a_zip_do_not_lose_the_others() {
    let contents = contents("fixtures/mixed.zip");
    let ids: Vec<&str> = contents.spectra.iter().map(|s| s.meta.id.as_str()).collect();
    assert_eq!(ids, ["lamost_dr1", "101005001"]);
    let skipped: Vec<&str> = contents.skipped.iter().map(|s| s.part.as_str()).collect();
    assert_eq!(skipped, ["night/cut_short.fits", "night/notes.png"]);
    assert!(contents.skipped[0].reason.contains("HDU 0"), "{}", contents.skipped[0].reason);
}

#[test]
fn truncated_data_is_an_error_that_names_the_hdu() {
    let whole = bytes("fixtures/lamost_dr10.fits");
    let error = read("x", &whole[..whole.len() - 9000]).unwrap_err().to_string();
    assert!(error.contains("HDU 1") && error.contains("truncated"), "{error}");
    // Missing padding is not an error.
    let table_end = 2 * 2880 + 6 * 640 * 4;
    assert!(whole.len() > table_end && read("x", &whole[..table_end]).is_ok());
}

#[test]
fn damage_after_the_spectrum_is_ignored() {
    let whole = bytes("fixtures/sdss_star.fits");
    let third = whole.windows(12).rposition(|w| w == b"B1-00022151'").unwrap();
    assert!(read("x", &whole[..third]).is_ok());
}

#[test]
fn text_errors_name_the_line() {
    let cut = b"4000 1\n4001 2\n4002 x\n";
    assert_eq!(
        read("x", cut).unwrap_err().to_string(),
        "reading line 3: “x” is not a number; remove the line or begin it with #"
    );
    assert!(read("x", b"4000 1\n4001\n").unwrap_err().to_string().starts_with("reading line 2"));
    assert_eq!(
        read("x", b"wavelength values of star 7\nas seen by night\n").unwrap_err().to_string(),
        "reading line 2: “as” is text; a spectrum is columns of numbers, wavelength and flux"
    );
    assert!(read("x", b"wave flux\n,\n").is_err(), "a line of separators alone");
}

#[test]
fn golden_files_are_read_exactly() {
    for name in ["tiny_header.csv", "tiny_two_cols.csv", "tiny_two_cols_ws.txt", "tiny_two_rows.csv"] {
        let s = read_one(&format!("golden/{name}"));
        assert_eq!((s.len(), s.wave_vac_aa()[1], s.flux()[2]), (12, 3700.8374, 1584.74719), "{name}");
        assert!(!s.meta.wave_is_f32);
    }
    let matrix = read_one("golden/sample_matrix.fits.gz");
    let structure = read_one("golden/sample_structure.fits.gz");
    assert_eq!((matrix.len(), structure.len()), (3909, 3909));
    assert_eq!(matrix.flux(), structure.flux());
    assert!(!matrix.meta.wave_is_f32 && structure.meta.wave_is_f32);
    for i in [0, 1000, 3908] {
        let exact = 10f64.powf(3.5682 + 1e-4 * i as f64);
        assert!((matrix.wave_vac_aa()[i] - exact).abs() < 1e-9);
        assert_eq!(structure.wave_vac_aa()[i], f64::from(structure.wave_vac_aa()[i] as f32));
    }
}

/// A text with a header and 40 pixels. `line` formats a pixel from its number and its wavelength in Å.
fn lines(header: &str, line: impl Fn(usize, f64) -> String) -> String {
    (0..40).fold(format!("{header}\n"), |text, i| text + &line(i, 5000.0 + 2.0 * i as f64) + "\n")
}

#[test]
fn mask_columns_and_fill_values_mask_pixels() {
    let masked_pixels = |spectrum: &specola::spectrum::Spectrum| {
        spectrum.masked().iter().enumerate().filter(|(_, is_masked)| **is_masked).map(|(i, _)| i).collect::<Vec<_>>()
    };
    let masked = |header: &str, good: u8| {
        let text = lines(header, |i, wave| format!("{wave},1.0,{}", if i == 7 { 1 - good } else { good }));
        masked_pixels(&read("a.csv", text.as_bytes()).unwrap().spectra[0])
    };
    assert_eq!(masked("wavelength,flux,mask", 0), [7]);
    assert_eq!(masked("wavelength,flux,QUAL", 0), [7]);
    assert_eq!(masked("wavelength,flux,good", 1), [7]);
    // A mask of 0 and 1 that would leave the smaller part means the opposite. One that would mask all pixels is none.
    assert_eq!(masked("wavelength,flux,flag", 1), [7]);
    let text = lines("wavelength,flux,flag", |_, wave| format!("{wave},1.0,4"));
    assert!(masked_pixels(&read("a.csv", text.as_bytes()).unwrap().spectra[0]).is_empty());
    let text = lines("wavelength,flux", |i, wave| format!("{wave},{}", if i == 3 { "-9999" } else { "1.5" }));
    assert_eq!(masked_pixels(&read("a.csv", text.as_bytes()).unwrap().spectra[0]), [3]);
    let text = lines("wavelength,flux,sky", |_, wave| format!("{wave},1.0,2.0"));
    let notes = read("a.csv", text.as_bytes()).unwrap().spectra[0].meta.notes.join("; ");
    assert!(notes.contains("not read: sky"), "{notes}");
}

#[test]
fn columns_of_frequency_or_velocity_are_refused() {
    for name in ["frequency_THz", "velocity_kms", "wavenumber", "phase"] {
        let text = lines(&format!("{name},flux"), |_, wave| format!("{wave},1.0"));
        let error = read("a.csv", text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("not a wavelength column"), "{error}");
    }
}

#[test]
fn label_tables_may_use_file_names_and_decimal_commas() {
    let table = |text: &str| read("l.csv", text.as_bytes()).unwrap().labels.remove(0).1;
    assert_eq!(table("filename,teff\na_1.csv,5000\n").get("a_1.csv", "teff"), Some(5000.0));
    assert_eq!(table("gaia_dr3_source_id,teff\n5937083312263887616,5000\n").id, ["5937083312263887616"]);
    assert_eq!(table("id;teff;feh\na;5000;-0,9\n").get("a", "feh"), Some(-0.9));
    let text = lines("source_id;wavelength;flux", |i, wave| format!("{};{};0,5", 1 + i / 20, wave));
    let contents = read("two.csv", text.replace('.', ",").as_bytes()).unwrap();
    assert_eq!((contents.spectra.len(), contents.spectra[1].flux()[0]), (2, 0.5));
}

#[test]
fn units_in_the_second_line_are_used() {
    let text = lines("lambda,flux\nnm,erg/s/cm2/A", |_, wave| format!("{},1.0", wave / 10.0));
    let spectrum = &read("a.csv", text.as_bytes()).unwrap().spectra[0];
    assert!((spectrum.wave_vac_aa()[1] - 5002.0).abs() < 1e-9, "{}", spectrum.wave_vac_aa()[1]);
    let text = lines("x,flux\nTHz,Jy", |_, wave| format!("{wave},1.0"));
    assert!(read("a.csv", text.as_bytes()).unwrap_err().to_string().contains("not a wavelength column"));
}

#[test]
fn line_ends_and_utf16_do_not_matter() {
    let text = lines("wavelength,flux", |i, wave| format!("{wave},{}", 1 + i));
    let expected = read("a.csv", text.as_bytes()).unwrap();
    assert_eq!(read("a.csv", text.replace('\n', "\r").as_bytes()).unwrap(), expected);
    assert_eq!(read("a.csv", text.replace('\n', "\r\n").as_bytes()).unwrap(), expected);
    let utf16 = |to_bytes: fn(u16) -> [u8; 2]| {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(to_bytes).collect::<Vec<u8>>()
    };
    assert_eq!(read("a.csv", &utf16(u16::to_le_bytes)).unwrap(), expected);
    assert_eq!(read("a.csv", &utf16(u16::to_be_bytes)).unwrap(), expected);
}
