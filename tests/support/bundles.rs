//! Files with many synthetic spectra: `.npz` bundles, FITS tables and zip archives, written row by row.

use std::io::{self, Cursor, Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Shape of the spectra of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub rows: usize,
    pub pixels: usize,
    /// True for ids `star-0`, `star-1`, …
    pub has_ids: bool,
}

impl Shape {
    /// log10 of the wavelength of a pixel, in steps of 1e-4 from 3700 Å.
    fn log_wave(pixel: usize) -> f64 {
        3.5682 + 1e-4 * pixel as f64
    }

    /// Flux of a pixel: a slope, Balmer lines and a ripple that differs between the rows.
    pub(crate) fn flux(row: usize, pixel: usize) -> f32 {
        let wave = 10f64.powf(Self::log_wave(pixel));
        let lines = [(4102.9, 0.4), (4341.7, 0.4), (4862.7, 0.4), (5176.0, 0.3), (6564.6, 0.3)];
        let depth: f64 = lines.iter().map(|(centre, depth)| depth * (-((wave - centre) / 6.0).powi(2)).exp()).sum();
        let ripple = 0.01 * ((row % 97 + 1) as f64 * pixel as f64 * 0.37).sin();
        (1000.0 * (1.2 - wave / 20_000.0) * (1.0 - depth + ripple)) as f32
    }

    fn ivar(row: usize, pixel: usize) -> f32 {
        0.01 + 1e-6 * ((row + pixel) % 100) as f32
    }

    /// The rows of an array of fluxes or errors, little- or big-endian. Only 97 rows differ.
    fn row(self, value: fn(usize, usize) -> f32, row: usize, to_bytes: fn(f32) -> [u8; 4]) -> Vec<u8> {
        (0..self.pixels).flat_map(|pixel| to_bytes(value(row, pixel))).collect()
    }
}

/// The header of a `.npy` file, version 1.
pub(crate) fn npy_header(descr: &str, shape: &str) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    header.push_str(&" ".repeat((64 - (10 + header.len() + 1) % 64) % 64));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes
}

/// Writes a bundle with flux, inverse variance and ids.
pub(crate) fn write_npz(out: impl Write + Seek, shape: Shape, method: CompressionMethod) -> io::Result<()> {
    let mut zip = ZipWriter::new(out);
    let options = SimpleFileOptions::default().compression_method(method).large_file(true);
    let begin = |zip: &mut ZipWriter<_>, name: &str, descr: &str, axes: &str| -> io::Result<()> {
        zip.start_file(name, options)?;
        zip.write_all(&npy_header(descr, axes))
    };
    begin(&mut zip, "loglam_vac.npy", "<f8", &format!("({},)", shape.pixels))?;
    for pixel in 0..shape.pixels {
        zip.write_all(&Shape::log_wave(pixel).to_le_bytes())?;
    }
    let axes = format!("({}, {})", shape.rows, shape.pixels);
    for (name, value) in [("flux.npy", Shape::flux as fn(usize, usize) -> f32), ("ivar.npy", Shape::ivar)] {
        begin(&mut zip, name, "<f4", &axes)?;
        let rows: Vec<Vec<u8>> = (0..97.min(shape.rows)).map(|row| shape.row(value, row, f32::to_le_bytes)).collect();
        for row in 0..shape.rows {
            zip.write_all(&rows[row % rows.len()])?;
        }
    }
    if shape.has_ids {
        begin(&mut zip, "id.npy", "|S12", &format!("({},)", shape.rows))?;
        for row in 0..shape.rows {
            let mut id = format!("star-{row}").into_bytes();
            id.resize(12, 0);
            zip.write_all(&id)?;
        }
    }
    zip.finish()?;
    Ok(())
}

fn fits_header(cards: &[String]) -> Vec<u8> {
    let mut bytes: Vec<u8> = cards.iter().flat_map(|card| format!("{card:<80}").into_bytes()).collect();
    bytes.extend(format!("{:<80}", "END").bytes());
    bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    bytes
}

fn empty_primary() -> Vec<u8> {
    fits_header(&[
        "SIMPLE  =                    T".into(),
        "BITPIX  =                    8".into(),
        "NAXIS   =                    0".into(),
        "EXTEND  =                    T".into(),
    ])
}

/// Writes a FITS table with one row a spectrum, its arrays in the row, or in the heap in reverse order.
pub(crate) fn write_fits(mut out: impl Write, shape: Shape, in_heap: bool) -> io::Result<()> {
    let (pixels, rows) = (shape.pixels, shape.rows);
    let id_bytes = if shape.has_ids { 12 } else { 0 };
    let array_bytes = if in_heap { 8 } else { 4 * pixels };
    let (row_bytes, heap_bytes) = (id_bytes + 3 * array_bytes, if in_heap { 12 * pixels * rows } else { 0 });
    let mut cards: Vec<String> = vec!["XTENSION= 'BINTABLE'".into()];
    let mut number = |key: &str, value: usize| cards.push(format!("{key:<8}= {value:>20}"));
    number("BITPIX", 8);
    number("NAXIS", 2);
    number("NAXIS1", row_bytes);
    number("NAXIS2", rows);
    number("PCOUNT", heap_bytes);
    number("GCOUNT", 1);
    number("TFIELDS", 3 + usize::from(shape.has_ids));
    let form = if in_heap { format!("1PE({pixels})") } else { format!("{pixels}E") };
    let mut column = |i: usize, name: &str, form: &str, unit: &str| {
        cards.push(format!("TTYPE{i:<3}= '{name}'"));
        cards.push(format!("TFORM{i:<3}= '{form}'"));
        cards.push(format!("TUNIT{i:<3}= '{unit}'"));
    };
    column(1, "wavelength", &form, "Angstrom");
    column(2, "flux", &form, "");
    column(3, "ivar", &form, "");
    if shape.has_ids {
        column(4, "obsid", "12A", "");
    }
    out.write_all(&empty_primary())?;
    out.write_all(&fits_header(&cards))?;
    let wave = |_: usize, pixel: usize| 10f64.powf(Shape::log_wave(pixel)) as f32;
    let values: [fn(usize, usize) -> f32; 3] = [wave, Shape::flux, Shape::ivar];
    let arrays = |row: usize| values.map(|value| shape.row(value, row, f32::to_be_bytes));
    let unique: Vec<_> = (0..97.min(rows)).map(arrays).collect();
    for row in 0..rows {
        for (i, array) in unique[row % unique.len()].iter().enumerate() {
            if in_heap {
                out.write_all(&(pixels as u32).to_be_bytes())?;
                out.write_all(&(((rows - 1 - row) * 12 * pixels + 4 * i * pixels) as u32).to_be_bytes())?;
            } else {
                out.write_all(array)?;
            }
        }
        let mut id = format!("star-{row}").into_bytes();
        id.resize(id_bytes, b' ');
        out.write_all(&id)?;
    }
    if in_heap {
        for row in (0..rows).rev() {
            unique[row % unique.len()].iter().try_for_each(|array| out.write_all(array))?;
        }
    }
    let size = row_bytes * rows + heap_bytes;
    out.write_all(&vec![0; size.next_multiple_of(2880) - size])
}

/// Writes a zip archive of FITS files with one spectrum each: flux in a first row, inverse variance in a second.
pub(crate) fn write_zip(out: impl Write + Seek, shape: Shape) -> io::Result<()> {
    let header = fits_header(&[
        "SIMPLE  =                    T".into(),
        "BITPIX  =                  -32".into(),
        "NAXIS   =                    2".into(),
        format!("NAXIS1  = {:>20}", shape.pixels),
        "NAXIS2  =                    2".into(),
        "CRVAL1  =               3.5682".into(),
        "CD1_1   =               0.0001".into(),
        "CRPIX1  =                    1".into(),
        "DC-FLAG =                    1".into(),
        "ROW1    = 'flux'".into(),
        "ROW2    = 'ivar'".into(),
    ]);
    let mut zip = ZipWriter::new(out);
    let unique: Vec<Vec<u8>> = (0..97.min(shape.rows))
        .map(|row| {
            let mut file = header.clone();
            file.extend(shape.row(Shape::flux, row, f32::to_be_bytes));
            file.extend(shape.row(Shape::ivar, row, f32::to_be_bytes));
            file.resize(file.len().next_multiple_of(2880), 0);
            file
        })
        .collect();
    for row in 0..shape.rows {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        zip.start_file(format!("night/star-{row}.fits"), options)?;
        zip.write_all(&unique[row % unique.len()])?;
    }
    zip.finish()?;
    Ok(())
}

/// The bytes that a writer of files writes.
pub(crate) fn in_memory(write: impl FnOnce(&mut Cursor<Vec<u8>>) -> io::Result<()>) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    write(&mut out).expect("memory can be written");
    out.into_inner()
}
