//! Files of single instruments, libraries and programs (`fixtures/make_instruments.py`): what their documentation decides,
//! what is left out, and what is refused. `synthetic` compares their numbers.

use std::path::Path;

use specola::read::{Contents, ReadError, read};
use specola::spectrum::{Frame, Medium, Source, Survey};

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

fn contents(name: &str, bytes: &[u8]) -> Contents {
    read(name, bytes).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The bytes with all occurrences of `from` replaced by `to`, which is as long.
fn replaced(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|i| bytes[*i..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "{from}");
    places.into_iter().for_each(|i| bytes[i..i + to.len()].copy_from_slice(to.as_bytes()));
    bytes
}

#[test]
fn documentation_states_medium_and_frame() {
    let (air, vacuum) = (Medium::Air, Medium::Vacuum);
    for (name, medium, frame) in [
        ("harps_s1d.fits", (air, Source::Survey), (Frame::Barycentric, Source::Survey)),
        ("xsl.fits", (air, Source::Survey), (Frame::Rest, Source::Survey)),
        ("fourmost.fits", (vacuum, Source::File), (Frame::Barycentric, Source::File)),
        ("jwst_x1d.fits", (vacuum, Source::Survey), (Frame::Barycentric, Source::Assumed)),
        ("pypeit_coadd1d.fits", (vacuum, Source::Survey), (Frame::Barycentric, Source::Assumed)),
        ("feros.fits", (air, Source::Assumed), (Frame::Barycentric, Source::Assumed)),
    ] {
        let meta = &contents(name, &bytes(name)).spectra[0].meta;
        assert_eq!((meta.medium.value, meta.medium.source), medium, "{name}");
        assert_eq!((meta.frame.value, meta.frame.source), frame, "{name}");
        let is_noted = meta.notes.iter().any(|note| note.contains("air or vacuum"));
        assert_eq!(is_noted, medium.1 == Source::Assumed, "{name}: {:?}", meta.notes);
    }
    // HARPS-N, and a spectrum of the X-shooter Library that is not shifted to the rest frame.
    let north = contents("n", &replaced(bytes("harps_s1d.fits"), "HIERARCH ESO DRS", "HIERARCH TNG DRS"));
    assert_eq!(north.spectra[0].meta.medium.source, Source::Survey);
    let card = |value: &str| format!("REST_COR={value:>21}");
    let shifted = contents("x", &replaced(bytes("xsl.fits"), &card("T"), &card("F")));
    assert_eq!(shifted.spectra[0].meta.frame.source, Source::Assumed);
}

#[test]
fn only_gaia_is_gaia() {
    // A prism spectrum of JWST is as wide and as coarse as Gaia XP, and its header has a SOURCEID.
    let star = contents("jwst_x1d.fits", &bytes("jwst_x1d.fits")).spectra.remove(0);
    assert_eq!((star.meta.survey, star.meta.id.as_str()), (Survey::Other, "jwst_x1d"));
    let unnamed = replaced(bytes("jwst_x1d.fits"), "TELESCOP= 'JWST", "TELESCOP= 'Gaia");
    assert_eq!(contents("x", &unnamed).spectra[0].meta.survey, Survey::GaiaXp);
}

#[test]
fn apertures_of_the_sky_are_left_out() {
    let contents = contents("sky_apertures.fits", &bytes("sky_apertures.fits"));
    assert_eq!(contents.skipped.len(), 1);
    assert_eq!(contents.skipped[0].reason, "APIDn in the header calls rows 2, 4, 5 of the image in HDU 0 sky");
}

#[test]
fn orders_without_wavelengths_are_refused_by_name() {
    for site in ["ESO", "TNG"] {
        let file = replaced(bytes("harps_e2ds.fits"), "HIERARCH ESO DRS", &format!("HIERARCH {site} DRS"));
        match read("x", &file) {
            Err(error @ ReadError::Unsupported { .. }) => {
                assert!(error.to_string().contains("e2ds") && error.to_string().contains("s1d"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}
