//! Axes of generated headers.

use super::*;

/// The header of an image of 3 pixels with these cards.
fn file(cards: &[&str]) -> Vec<u8> {
    let base = ["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 3"];
    let mut bytes: Vec<u8> =
        base.iter().chain(cards).chain(&["END"]).flat_map(|c| format!("{c:<80}").into_bytes()).collect();
    bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    bytes.extend([0; 2880]);
    bytes
}

fn axis(cards: &[&str]) -> Result<Option<HeaderAxis>, ReadError> {
    let bytes = file(cards);
    let fits = Fits::parse(&bytes)?;
    of_image(&fits, fits.primary(), 3, 1)?.map(|axes| axes.row(0)).transpose()
}

fn wave(cards: &[&str]) -> Vec<f64> {
    axis(cards).unwrap_or_else(|e| panic!("{cards:?}: {e}")).unwrap_or_else(|| panic!("{cards:?}: no axis")).wave_aa
}

fn assert_wave(cards: &[&str], expected: [f64; 3]) {
    let wave = wave(cards);
    assert!(
        wave.iter().zip(expected).all(|(w, e)| (w - e).abs() < 1e-6 * e),
        "{cards:?}: {wave:?} is not {expected:?}"
    );
}

#[test]
fn the_step_is_cd_or_pc_times_cdelt_or_cdelt() {
    let expected = [4000.0, 4000.5, 4001.0];
    assert_wave(&["CRVAL1  = 4000.0", "CDELT1  = 0.5"], expected);
    assert_wave(&["CRVAL1  = 4000.0", "CDELT1  = 1.0", "CD1_1   = 0.5"], expected);
    assert_wave(&["CRVAL1  = 4000.0", "CDELT1  = 0.25", "PC1_1   = 2.0"], expected);
    assert_wave(&["CRVAL1  = 4000.5", "CDELT1  = 0.5", "CRPIX1  = 2.0"], expected);
}

#[test]
fn units_of_every_spelling() {
    for (unit, first) in [
        ("Angstrom", 4000.0),
        ("Angstroms", 4000.0),
        ("AA", 4000.0),
        ("0.1nm", 4000.0),
        ("0.1 nm", 4000.0),
        ("10**(-10)m", 4000.0),
        ("nm", 400.0),
        ("um", 0.4),
        ("micron", 0.4),
        ("m", 4e-7),
    ] {
        let (first_card, step) = (format!("CRVAL1  = {first:e}"), format!("CDELT1  = {:e}", first / 100.0));
        assert_wave(&[&first_card, &step, &format!("CUNIT1  = '{unit}'")], [4000.0, 4040.0, 4080.0]);
    }
    assert_wave(
        &["CRVAL1  = 400.0", "CDELT1  = 1.0", "WAT1_001= 'wtype=linear label=Wavelength units=nanometers'"],
        [4000.0, 4010.0, 4020.0],
    );
}

#[test]
fn logarithmic_axes() {
    let log10 = [10f64.powf(3.6), 10f64.powf(3.6001), 10f64.powf(3.6002)];
    let ln = [8.3f64.exp(), 8.301f64.exp(), 8.302f64.exp()];
    let log10_cards = ["CRVAL1  = 3.6", "CDELT1  = 1e-4"];
    for more in [
        &["DC-FLAG = 1"][..],
        &["DC-FLAG = 0", "CTYPE1  = 'LINEAR'"],
        &["CTYPE1  = 'LOG-LINEAR'"],
        &["CTYPE1  = 'WAVE-LOG'", "CUNIT1  = 'Angstrom'"],
        &["CUNIT1  = 'log10(Angstrom)'"],
        &["CTYPE1  = 'LINEAR'", "CUNIT1  = 'Angstrom'"],
        &[],
    ] {
        assert_wave(&[&log10_cards[..], more].concat(), log10);
    }
    let ln_cards = ["CRVAL1  = 8.3", "CDELT1  = 1e-3"];
    for more in [
        &["CTYPE1  = 'LN-WAVE'"][..],
        &["CUNIT1  = 'ln(Angstrom)'"],
        &["CTYPE1  = 'LOG-LINEAR'"],
        &["CTYPE1  = 'WAVE-LOG'"],
        &[],
    ] {
        assert_wave(&[&ln_cards[..], more].concat(), ln);
    }
    // FITS's WAVE-LOG: λ = CRVAL·exp(w/CRVAL).
    let step = (0.8f64 / 4000.0).exp();
    for kind in ["WAVE-LOG", "AWAV-LOG"] {
        let kind = format!("CTYPE1  = '{kind}'");
        assert_wave(&["CRVAL1  = 4000.0", "CDELT1  = 0.8", &kind], [4000.0, 4000.0 * step, 4000.0 * step * step]);
    }
    // DC-FLAG does not make wavelengths out of 10^4000.
    assert_wave(&["CRVAL1  = 4000.0", "CDELT1  = 1.5", "DC-FLAG = 1"], [4000.0, 4001.5, 4003.0]);
    assert_wave(&["COEFF0  = 3.6", "COEFF1  = 1e-4"], log10);
}

#[test]
fn the_type_or_the_unit_states_the_medium() {
    let medium = |card: &str| axis(&["CRVAL1  = 4000.0", "CDELT1  = 0.5", card]).ok().flatten().and_then(|a| a.medium);
    assert_eq!(medium("CTYPE1  = 'AWAV'"), Some(Medium::Air));
    assert_eq!(medium("CTYPE1  = 'WAVE-LOG'"), Some(Medium::Vacuum));
    assert_eq!(medium("CUNIT1  = 'Angstrom (Vacuum)'"), Some(Medium::Vacuum));
    assert_eq!(medium("CTYPE1  = 'WAVELENGTH'"), None);
}

#[test]
fn other_axes_are_none_or_refused_by_name() {
    for cards in [
        &["CRVAL1  = 1.0", "CDELT1  = 1.0"][..],
        &["CRVAL1  = 0.0", "CDELT1  = 1.0", "CTYPE1  = 'LINEAR'", "CUNIT1  = 'Angstrom'"],
        &["CRVAL1  = 150.0", "CDELT1  = 0.1", "CTYPE1  = 'RA---TAN'"],
        &["CRVAL1  = 150.0", "CDELT1  = 0.1", "CUNIT1  = 'deg'"],
        &["CDELT1  = 0.1"],
    ] {
        assert_eq!(axis(cards), Ok(None), "{cards:?}");
    }
    let error = axis(&["CRVAL1  = 4000.0", "CDELT1  = 0.5", "CTYPE1  = 'AWAV-GRI'"]).unwrap_err().to_string();
    assert!(error.contains("AWAV-GRI") && error.contains("resample"), "{error}");
    let error = axis(&["CRVAL1  = 5e14", "CDELT1  = 1e10", "CTYPE1  = 'FREQ'"]).unwrap_err().to_string();
    assert_eq!(
        error,
        "reading the axis CTYPE1: “FREQ” is not a wavelength; convert the axis to wavelengths in Å, nm or µm"
    );
    let error = axis(&["CTYPE1  = 'WAVE-TAB'", "PS1_0   = 'NONE'"]).unwrap_err().to_string();
    assert!(error.contains("-TAB") && error.contains("PS1_0"), "{error}");
}

#[test]
fn multispec_gives_each_row_its_dispersion() {
    // IRAF cuts the text after 68 characters, also inside a number, and blanks at the end of a card are lost.
    let text = "wtype=multispec spec1 = \"1 1 0 4000. 0.5 3 0. 1. 2.\" spec2 = \"2 2 1 3.6 1E-4 3 0. 1. 2.\" \
                spec3 = \"3 3 0 4040. 1. 3 0.01 1. 2.\" spec4 = \"4 4 2 4000. 0.5 3 0. 1. 2. 1. 0. 1 2 1 3 5000. 10.\"";
    let parts = text.as_bytes().chunks(68).enumerate();
    let mut cards: Vec<String> =
        parts.map(|(i, part)| format!("WAT2_{:03}= '{}'", i + 1, String::from_utf8_lossy(part))).collect();
    assert!(cards.len() > 2);
    cards.push("CTYPE1  = 'MULTISPE'".into());
    cards.push("WAT1_001= 'wtype=multispec label=Wavelength units=angstroms'".into());
    let bytes = file(&cards.iter().map(String::as_str).collect::<Vec<_>>());
    let fits = Fits::parse(&bytes).unwrap_or_else(|e| panic!("{e}"));
    let axes = of_image(&fits, fits.primary(), 3, 5).ok().flatten().unwrap_or_else(|| panic!("no axes"));
    let wave = |row: usize| axes.row(row).unwrap_or_else(|e| panic!("{e}")).wave_aa;
    assert_eq!(wave(0), [4000.0, 4000.5, 4001.0]);
    assert!((wave(1)[2] - 10f64.powf(3.6002)).abs() < 1e-6, "{:?}", wave(1));
    assert!((wave(2)[0] - 4000.0).abs() < 1e-9, "{:?}", wave(2));
    let error = axes.row(3).unwrap_err().to_string();
    assert!(error.contains("multispec") && error.contains("Chebyshev") && error.contains("dispcor"), "{error}");
    assert!(axes.row(4).unwrap_err().to_string().contains("spec5"));
}
