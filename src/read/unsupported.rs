//! Known but unsupported file formats, with advice for the user.

use super::error::ReadError;
use super::fits::Fits;
use super::table::{Table, is_votable};
use super::{lamost, sdss};

/// First bytes, description and advice of each format.
const MAGIC: [(&[u8], &str, &str); 18] = [
    (b"\x00\x05\x16\x07", "an additional file of macOS (._)", "give the file of the same name without ._"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet or document of Microsoft Office", "save the table as CSV"),
    (b"\x89PNG", "a PNG image", "give the spectrum itself, not a picture of it"),
    (b"\xff\xd8\xff", "a JPEG image", "give the spectrum itself, not a picture of it"),
    (b"GIF8", "a GIF image", "give the spectrum itself, not a picture of it"),
    (b"%PDF", "a PDF document", "give the spectrum itself, not a figure of it"),
    (b"%!PS", "a PostScript document", "give the spectrum itself, not a figure of it"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "export the spectra as FITS, text or an .npz bundle"),
    (b"PAR1", "a Parquet file", "export the spectra as CSV, FITS or an .npz bundle"),
    (b"BZh", "a bzip2 file", "unpack it, or pack it as .gz or .zip"),
    (b"\xfd7zXZ", "an xz file", "unpack it, or pack it as .gz or .zip"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it, or pack it as .gz or .zip"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it, or pack it as .zip"),
    (b"Rar!", "a RAR archive", "unpack it, or pack it as .zip"),
    (b"{\\rtf", "an RTF document", "save the table as plain text or CSV"),
    (b"version https://git-lfs", "a pointer of Git LFS", "run git lfs pull, which downloads the file itself"),
    (b"\x80\x04", "a Python pickle", "save the arrays with numpy.savez (wavelength_vac_aa, flux, ivar, id)"),
    (
        b"\x93NUMPY",
        "a single NumPy array",
        "save wavelengths and fluxes together with numpy.savez (wavelength_vac_aa, flux, ivar, id)",
    ),
];

fn unsupported((format, advice): (&'static str, &'static str)) -> ReadError {
    ReadError::Unsupported { format, advice }
}

/// Rejects bytes that start like a known, unsupported format.
pub(crate) fn check_bytes(bytes: &[u8]) -> Result<(), ReadError> {
    if let Some((_, format, advice)) = MAGIC.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return Err(unsupported((format, advice)));
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return Err(unsupported(("a tar archive", "unpack it, or pack the files as .zip")));
    }
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).to_lowercase();
    let start = start.trim_start_matches('\u{feff}').trim_start();
    if start.starts_with("<!doctype html") || start.starts_with('<') && start.contains("<html") {
        return Err(unsupported((
            "a web page",
            "the download may have failed or need a login; download the file again",
        )));
    }
    if start.starts_with("{\"") || start.starts_with("[{") {
        return Err(unsupported((
            "a JSON document, perhaps the error message of a server",
            "read it in a text editor, and download the file again as FITS or CSV",
        )));
    }
    // Long comments may precede the root element.
    if start.starts_with("<?xml") && !is_votable(&String::from_utf8_lossy(&bytes[..bytes.len().min(1 << 16)])) {
        return Err(unsupported(("an XML file without a VOTABLE element", "save the table as VOTable, FITS or CSV")));
    }
    Ok(())
}

/// Rejects tables of known contents that are no spectra.
pub(crate) fn check_table(table: &Table) -> Result<(), ReadError> {
    check_names(table.columns.iter().map(|column| column.name.as_str()))
}

/// Rejects columns with the names of a light curve: times with fluxes or magnitudes.
pub(crate) fn check_names<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), ReadError> {
    const TIMES: [&str; 7] = ["time", "jd", "mjd", "bjd", "hjd", "btjd", "bkjd"];
    let names: Vec<String> = names.map(|name| name.trim().to_lowercase()).collect();
    let is_brightness = |name: &String| {
        name.contains("flux") || name.starts_with("mag") || name.ends_with("mag") || name.ends_with("jy")
    };
    if names.iter().any(|name| TIMES.contains(&name.as_str())) && names.iter().any(is_brightness) {
        return Err(unsupported(("a light curve", "give a spectrum: wavelengths and fluxes")));
    }
    Ok(())
}

/// Rejects FITS files of known, unsupported instruments and layouts.
pub(crate) fn check_fits(fits: &Fits) -> Result<(), ReadError> {
    if lamost::is_medium_resolution(fits) {
        return Err(unsupported((
            "a LAMOST medium-resolution spectrum (R ≈ 7500, 4950–5350 and 6300–6800 Å)",
            "it covers too little of the range that the low-resolution models need; give a low-resolution spectrum of the star",
        )));
    }
    let has_polynomials = ["ESO", "TNG"].iter().any(|site| fits.primary().has(&format!("{site} DRS CAL TH COEFF LL0")));
    if has_polynomials && fits.primary().integer("NAXIS") == Some(2) {
        return Err(unsupported((
            "a HARPS or HARPS-N spectrum in orders (e2ds)",
            "its wavelengths are polynomials; give the merged spectrum (s1d) or the archive's product (ADP)",
        )));
    }
    if sdss::is_legacy(fits) {
        return Err(unsupported((
            "an SDSS spectrum in the layout of DR7 and before (spSpec)",
            "download the same spectrum from DR8 or later (spec-PLATE-MJD-FIBER.fits)",
        )));
    }
    Ok(())
}
