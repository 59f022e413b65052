//! Files as observers have them, generated here: what decides survey, axis, medium, errors and masks, and what is no
//! spectrum. The expected numbers are those that the files are made from.

use specola::read::{Contents, LabelTable, ReadError, read};
use specola::spectrum::air_vacuum::air_to_vacuum_aa;
use specola::spectrum::{Frame, Medium, Source, Spectrum, Survey};

const N: usize = 60;

fn wave() -> Vec<f64> {
    (0..N).map(|i| 4000.0 + 2.0 * i as f64).collect()
}

fn flux() -> Vec<f64> {
    (0..N).map(|i| 100.0 + (i * 7919 % 13) as f64).collect()
}

fn doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

/// An HDU: cards, padded, and data, padded.
fn hdu(cards: &[String], data: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        cards.iter().chain(&["END".to_string()]).flat_map(|c| format!("{c:<80}").into_bytes()).collect();
    bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(2880), 0);
    bytes
}

fn cards(lines: &[&str]) -> Vec<String> {
    lines.iter().map(ToString::to_string).collect()
}

fn primary(more: &[&str]) -> Vec<u8> {
    hdu(&[cards(&["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0"]), cards(more)].concat(), &[])
}

/// An image of 64-bit floats as the primary HDU, or as an extension of a name.
fn image(name: Option<&str>, axes: &[usize], values: &[f64], more: &[&str]) -> Vec<u8> {
    let mut all = vec![name.map_or("SIMPLE  = T".into(), |_| "XTENSION= 'IMAGE'".to_string())];
    all.extend(["BITPIX  = -64".to_string(), format!("NAXIS   = {}", axes.len())]);
    all.extend(axes.iter().enumerate().map(|(i, n)| format!("NAXIS{}  = {n}", i + 1)));
    all.extend(name.map(|name| format!("EXTNAME = '{name}'")));
    hdu(&[all, cards(more)].concat(), &doubles(values))
}

/// A table with arrays of 64-bit floats in one row, or with numbers in `rows` rows.
fn table(columns: &[(&str, &[f64])], rows: usize, more: &[&str]) -> Vec<u8> {
    let per_row = |values: &[f64]| values.len() / rows.max(1);
    let width: usize = columns.iter().map(|(_, v)| 8 * per_row(v)).sum();
    let mut all = cards(&["XTENSION= 'BINTABLE'", "BITPIX  = 8", "NAXIS   = 2"]);
    all.extend([format!("NAXIS1  = {width}"), format!("NAXIS2  = {rows}"), "PCOUNT  = 0".into(), "GCOUNT  = 1".into()]);
    all.push(format!("TFIELDS = {}", columns.len()));
    for (i, (name, values)) in columns.iter().enumerate() {
        all.extend([format!("TTYPE{:<3}= '{name}'", i + 1), format!("TFORM{:<3}= '{}D'", i + 1, per_row(values))]);
    }
    let data: Vec<u8> = (0..rows)
        .flat_map(|row| columns.iter().map(move |(_, v)| &v[row * per_row(v)..(row + 1) * per_row(v)]))
        .flat_map(doubles)
        .collect();
    hdu(&[all, cards(more)].concat(), &data)
}

fn contents(name: &str, bytes: &[u8]) -> Contents {
    read(name, bytes).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn one(name: &str, bytes: &[u8]) -> Spectrum {
    let mut contents = contents(name, bytes);
    assert_eq!((contents.spectra.len(), contents.skipped.len()), (1, 0), "{name}: {:?}", contents.skipped);
    contents.spectra.remove(0)
}

fn refusal(bytes: &[u8]) -> String {
    match read("x", bytes) {
        Err(error) => error.to_string(),
        Ok(contents) => panic!("{contents:?}"),
    }
}

fn assert_wave(spectrum: &Spectrum, expected: &[f64]) {
    let is_equal = |(w, e): (&f64, &f64)| (w - e).abs() < 1e-6 * e;
    assert!(spectrum.len() == expected.len() && spectrum.wave_vac_aa().iter().zip(expected).all(is_equal));
}

#[test]
fn a_header_counts_more_than_a_layout() {
    let ivar = vec![0.25; N];
    let columns: [(&str, &[f64]); 3] = [("FLUX", &flux()), ("IVAR", &ivar), ("WAVELENGTH", &wave())];
    let stated = ["EXTNAME = 'COADD'", "AIRORVAC= 'air'", "SPECSYS = 'TOPOCENT'", "SPEC_RES= 3000"];
    let s = one("star", &[primary(&[]), table(&columns, 1, &stated)].concat());
    assert_eq!((s.meta.survey, s.meta.frame.value), (Survey::Other, Frame::Topocentric));
    assert_eq!((s.meta.medium.value, s.meta.medium.source), (Medium::Air, Source::File));
    assert_eq!(s.meta.resolving_power.map(|r| r.value), Some(3000.0));
    // The same in a file of LAMOST: the survey is known, but what the header says counts.
    let s = one("star", &[primary(&["TELESCOP= 'LAMOST'"]), table(&columns, 1, &[])].concat());
    assert_eq!((s.meta.survey, s.meta.medium.value), (Survey::LamostLrs, Medium::Vacuum));
    let s = one(
        "star",
        &[primary(&["TELESCOP= 'LAMOST'", "VACUUM  = F", "HELIO   = F"]), table(&columns, 1, &[])].concat(),
    );
    assert_eq!((s.meta.medium.value, s.meta.frame.value), (Medium::Air, Frame::Topocentric));
    assert!((s.wave_vac_aa()[0] - air_to_vacuum_aa(4000.0)).abs() < 1e-9);
}

#[test]
fn every_row_of_an_image_that_is_a_spectrum_is_read() {
    let axis = ["CTYPE1  = 'WAVE'", "CRVAL1  = 4000.0", "CDELT1  = 2.0"];
    let ids = |bytes: &[u8]| contents("m", bytes).spectra.iter().map(|s| s.meta.id.clone()).collect::<Vec<_>>();
    // Three apertures, the second without a measured pixel.
    let rows = [flux(), vec![0.0; N], flux()].concat();
    let apertures = [&axis[..], &["APNUM1  = '1 1 1.0 2.0'"]].concat();
    assert_eq!(ids(&image(None, &[N, 3], &rows, &apertures)), ["m-1", "m-3"]);
    // A second row with the errors of the first.
    let s = one(
        "m",
        &image(None, &[N, 2], &[flux(), vec![4.0; N]].concat(), &[&axis[..], &["ARRAY2  = 'ERROR'"]].concat()),
    );
    assert_eq!(s.ivar().map(|v| v[3]), Some(1.0 / 16.0));
    assert_wave(&s, &wave());
    // IRAF's bands: spectrum, raw spectrum, background, errors.
    let bands = [flux(), vec![1.0; N], vec![2.0; N], vec![5.0; N]].concat();
    let names =
        ["BANDID1 = 'spectrum - background fit'", "BANDID2 = 'raw'", "BANDID3 = 'background'", "BANDID4 = 'sigma'"];
    let s = one("m", &image(None, &[N, 1, 4], &bands, &[&axis[..], &names].concat()));
    assert_eq!(s.ivar().map(|v| v[3]), Some(0.04));
    let error = refusal(&image(None, &[N, 100], &flux().repeat(100), &axis));
    assert!(error.contains("100 rows") && error.contains("extract"), "{error}");
    // Two extensions, each with its own axis.
    let two = [primary(&[]), image(Some("VISIT1"), &[N], &flux(), &axis), image(Some("VISIT2"), &[N], &flux(), &axis)];
    assert_eq!(ids(&two.concat()), ["m", "m-VISIT2"]);
}

#[test]
fn wavelengths_and_errors_may_have_hdus_of_their_own() {
    let sigma = vec![2.0; N];
    let variance: Vec<f64> = sigma.iter().map(|s| s * s).collect();
    for (name, values) in [("ERR", &sigma), ("STDEV", &sigma), ("VARIANCE", &variance), ("STAT", &variance)] {
        let file = [
            image(None, &[N], &flux(), &[]),
            image(Some(name), &[N], values, &[]),
            image(Some("WAVE"), &[N], &wave(), &["BUNIT   = 'Angstrom'", "AIRORVAC= 'vac'"]),
        ];
        let s = one(name, &file.concat());
        assert_wave(&s, &wave());
        assert_eq!((s.ivar().map(|v| v[0]), s.meta.medium.source), (Some(0.25), Source::File), "{name}");
    }
    let of_table = [
        image(None, &[N], &flux(), &[]),
        table(&[("LOGLAM", &wave().iter().map(|w| w.log10()).collect::<Vec<_>>())], N, &[]),
    ];
    assert_wave(
        &one("t", &of_table.concat()).clone(),
        &wave().iter().map(|w| air_to_vacuum_aa(*w)).collect::<Vec<_>>(),
    );
    let columns = [("FLUX", flux()), ("IVAR", vec![0.25; N]), ("WAVE_VAC", wave())];
    let tables = columns.map(|(name, values)| table(&[(name, &values)], N, &[])).concat();
    let s = one("tables", &[primary(&[]), tables].concat());
    assert_wave(&s, &wave());
    assert_eq!((s.ivar().map(|v| v[0]), s.meta.medium.source), (Some(0.25), Source::File));
    let unequal = [image(None, &[N], &flux(), &[]), image(Some("WAVE"), &[N - 1], &wave()[1..], &[])].concat();
    let error = refusal(&unequal);
    assert!(error.contains("59") && error.contains("60") && error.contains("HDU 1"), "{error}");
    // Pixel numbers are no wavelengths.
    let counted: Vec<f64> = (0..N).map(|i| i as f64).collect();
    assert!(refusal(&image(None, &[N, 2], &[counted, flux()].concat(), &[])).contains("no spectrum"));
}

#[test]
fn one_reason_for_all_rows_of_an_image_is_one_refusal() {
    let two = |second: &str| {
        let watt = format!("'wtype=multispec spec1 = \"1 1 2 4000 2 {N} 0 1 2 1 0 3 2\" spec2 = \"{second}\"'");
        let (first, rest) = watt.split_at(69);
        let cards = ["CTYPE1  = 'MULTISPE'".to_string(), format!("WAT2_001= {first}'"), format!("WAT2_002= '{rest}")];
        image(None, &[N, 2], &[flux(), flux()].concat(), &cards.each_ref().map(String::as_str))
    };
    let error = refusal(&two(&format!("2 2 2 4000 2 {N} 0 1 2 1 0 3 2")));
    assert!(error.starts_with("reading the IRAF multispec image (WAT2): its dispersion is a cubic spline"), "{error}");
    let contents = contents("two", &two(&format!("2 2 0 4000 2 {N} 0 1 2")));
    assert_eq!((contents.spectra.len(), contents.skipped.len()), (1, 1));
    assert_eq!(contents.skipped[0].part, "row 1 of the image in HDU 0");
}

#[test]
fn relative_errors_are_fractions_and_sky_and_continuum_are_no_spectra() {
    let axis = ["CRVAL1  = 4000.0", "CDELT1  = 2.0"];
    let part = |name: &str, value: f64| image(Some(name), &[N], &vec![value; N], &axis);
    let fluxes = image(Some("input_spectrum"), &[N], &flux(), &axis);
    let parts = [part("relative_error_spectrum", 0.1), part("sky_spectrum", 3.0), part("normalised_spectrum", 1.0)];
    let s = one("galah", &[primary(&[]), fluxes, parts.concat()].concat());
    let expected = (0.1 * flux()[3]).powi(-2);
    assert!(s.flux()[3] == flux()[3] && s.ivar().is_some_and(|v| (v[3] / expected - 1.0).abs() < 1e-9));
    // Alone, a normalised spectrum is the spectrum.
    let normalised = image(Some("normalised_spectrum"), &[N], &flux(), &axis);
    assert_eq!(one("n", &[primary(&[]), normalised].concat()).len(), N);
}

#[test]
fn rows_are_orders_of_one_star_or_fibres_of_several() {
    let redder: Vec<f64> = wave().iter().map(|w| w + 100.0).collect();
    let (two_waves, two_fluxes) = ([redder, wave()].concat(), [flux(), flux()].concat());
    // Orders: in a table as HST writes them, and in images as CARMENES does. The last ten pixels of one overlap.
    let rows: [(&str, &[f64]); 2] = [("WAVELENGTH", &two_waves), ("FLUX", &two_fluxes)];
    let in_table = [primary(&["TELESCOP= 'HST'"]), table(&rows, 2, &[])].concat();
    let images = [
        primary(&[]),
        image(Some("SPEC"), &[N, 2], &two_fluxes, &[]),
        image(Some("WAVE"), &[N, 2], &two_waves, &["AIRORVAC= 'vac'"]),
    ];
    for file in [in_table, images.concat()] {
        let s = one("hst", &file);
        assert_eq!((s.len(), s.wave_vac_aa()[0], s.wave_vac_aa()[N + 49]), (N + 50, 4000.0, 4218.0));
        assert!(s.meta.notes.iter().any(|note| note.contains("2 overlapping orders")), "{:?}", s.meta.notes);
    }
    // Fibres, as WEAVE writes them, with a table of their ids.
    let axis = ["CTYPE1  = 'AWAV'", "CRVAL1  = 4000.0", "CD1_1   = 2.0"];
    let n = 40;
    let ids: Vec<f64> = (0..n).map(|i| 1000.0 + i as f64).collect();
    let fibers = [
        image(None, &[N, n], &flux().repeat(n), &[&axis[..], &["EXTNAME = 'RED_DATA'"]].concat()),
        image(Some("RED_IVAR"), &[N, n], &vec![0.25; N * n], &axis),
        image(Some("RED_DATA_NOSS"), &[N, n], &flux().repeat(n), &axis),
        table(&[("TARGETID", &ids)], n, &["EXTNAME = 'FIBTABLE'"]),
    ];
    let contents = contents("weave", &fibers.concat());
    assert_eq!((contents.spectra.len(), contents.spectra[7].meta.id.as_str()), (n, "1007"));
    assert_eq!(contents.spectra[7].ivar().map(|v| v[0]), Some(0.25));
}

#[test]
fn the_axis_of_arrays_may_be_in_the_header_of_the_table() {
    for axis in [
        &["CRVAL   = 3.6", "CDELT   = 1e-4", "CUNIT   = 'Angstrom (Vacuum)'", "DC-FLAG = 1"][..],
        &["1CRVL1  = 3.6", "1CDLT1  = 1e-4", "1CUNI1  = 'log10(Angstrom)'", "AIRORVAC= 'VAC'"],
        &["CRVAL1  = 3.6", "CDELT1  = 1e-4", "CTYPE1  = 'LOG-LINEAR'", "VACUUM  = 1"],
        &["COEFF0  = 3.6", "COEFF1  = 1e-4", "VACUUM  = 'T'"],
    ] {
        let s = one("t", &[primary(&[]), table(&[("FLUX", &flux())], 1, axis)].concat());
        assert_wave(&s, &(0..N).map(|i| 10f64.powf(3.6 + 1e-4 * i as f64)).collect::<Vec<_>>());
        assert_eq!((s.meta.medium.value, s.meta.medium.source), (Medium::Vacuum, Source::File), "{axis:?}");
    }
}

#[test]
fn ucds_decide_the_medium() {
    for (ucd, medium) in [("em.wl", Medium::Vacuum), ("em.wl;obs.atmos", Medium::Air)] {
        let ucd = format!("TUCD1   = '{ucd}'");
        let s = one("t", &[primary(&[]), table(&[("WAVE", &wave()), ("FLUX", &flux())], 1, &[&ucd])].concat());
        assert_eq!((s.meta.medium.value, s.meta.medium.source), (medium, Source::File));
    }
}

#[test]
fn of_two_columns_of_wavelengths_the_one_that_states_its_medium_is_read() {
    // As the pipeline of ESPRESSO writes S1D, also for HARPS and HARPS-N.
    let air = wave();
    let vacuum: Vec<f64> = air.iter().map(|w| air_to_vacuum_aa(*w)).collect();
    let (sigma, quality) = (vec![2.0; N], vec![0.0; N]);
    let columns: [(&str, &[f64]); 5] = [
        ("wavelength", &vacuum),
        ("wavelength_air", &air),
        ("flux", &flux()),
        ("error", &sigma),
        ("quality", &quality),
    ];
    let s = one("s1d", &[primary(&[]), table(&columns, N, &[])].concat());
    assert_wave(&s, &vacuum);
    assert_eq!((s.meta.medium.value, s.meta.medium.source), (Medium::Air, Source::File));
    assert_eq!(s.ivar().map(|v| v[0]), Some(0.25));
}

#[test]
fn tables_of_labels_are_never_spectra() {
    let rows = |header: &str| {
        format!("{header}\n{}", (0..40).map(|i| format!("{},52000,{i},5000,4.5\n", 266 + i)).collect::<String>())
    };
    for header in ["PLATE,MJD,FIBERID,TEFF,LOGG", "id_1,ra_1,dec_1,TEFF_1,FEH_1", "a,b,c,teff,logg"] {
        match read("labels.csv", rows(header).as_bytes()) {
            Ok(contents) => assert!(contents.spectra.is_empty() && contents.labels.len() == 1, "{header}"),
            Err(error) => assert!(error.to_string().contains("label table"), "{header}: {error}"),
        }
    }
    // DESI's catalogue of stars: a table of fibres beside the labels.
    let ids = [39627866878511337.0, 39627866878514741.0];
    let fibers = table(&[("TARGETID", &ids)], 2, &["EXTNAME = 'FIBERMAP'"]);
    let labels =
        table(&[("TARGETID", &ids), ("TEFF", &[5000.0, 6000.0]), ("VRAD", &[1.0, 2.0])], 2, &["EXTNAME = 'RVTAB'"]);
    let contents = contents("rv", &[primary(&[]), fibers, labels].concat());
    assert_eq!((contents.spectra.len(), contents.labels[0].1.labels["teff"][1]), (0, Some(6000.0)));
}

#[test]
fn catalogues_and_light_curves_are_never_spectra() {
    let rows = |header: &str| {
        format!("{header}\n{}", (0..40).map(|i| format!("{},{},1.0\n", 400 + i, 1.0 + i as f64)).collect::<String>())
    };
    for (header, word) in [
        ("time,flux,flux_err", "light curve"),
        ("BJD,flux,e", "light curve"),
        ("hjd,mag,mag_err", "light curve"),
        ("mjd,uJy,duJy", "light curve"),
        ("ra,dec,mag", "neither wavelength nor flux"),
        ("period,amplitude,phase", "neither wavelength nor flux"),
        ("wavelength,mag,e_mag", "mag"),
    ] {
        let error = refusal(rows(header).as_bytes());
        assert!(error.contains(word), "{header}: {error}");
    }
    let number: Vec<f64> = (0..N).map(|i| i as f64).collect();
    let error = refusal(&[primary(&[]), table(&[("WAVE", &number), ("FLUX", &flux())], N, &[])].concat());
    assert!(error.contains("WAVE counts pixels"), "{error}");
    let time: Vec<f64> = (0..N).map(|i| 2459000.0 + i as f64).collect();
    let error = refusal(&[primary(&[]), table(&[("TIME", &time), ("SAP_FLUX", &flux())], N, &[])].concat());
    assert!(error.contains("light curve"), "{error}");
    // Numbers without names that cannot be wavelengths: pixel numbers, Julian dates, phases.
    for (first, step, word) in [
        (0.0, 1.0, "counts pixels"),
        (1.0, 1.0, "counts pixels"),
        (2459000.5, 1.0, "2459000.5"),
        (0.001, 0.001, "0.001"),
    ] {
        let text: String = (0..6000).map(|i| format!("{} {}\n", first + step * f64::from(i), 5 + i % 7)).collect();
        let error = refusal(format!("# id mag\n{text}").as_bytes());
        assert!(error.contains(word), "{first}: {error}");
    }
    // Names of no meaning, and numbers without names, are a spectrum.
    for header in ["x,y,dy", "col1,col2,col3", "#made by hand"] {
        assert_eq!(one("s", rows(header).as_bytes()).wave_vac_aa()[0], 4000.0, "{header}");
    }
}

#[test]
fn titles_names_and_documents() {
    let body: String = wave().iter().zip(flux()).map(|(w, f)| format!("{} {f}\n", w / 10.0)).collect();
    for head in [
        "Spectrum of HD 1, exposure 3\n",
        "Star 1\n60 2\n",
        "***Reduced spectrum of 'HD 1'\n 60 1\n",
        "Observed in air, wavelength in nm\n",
    ] {
        let s = one("s", format!("{head}{body}").as_bytes());
        assert_eq!(s.len(), N, "{head}");
        assert_eq!(s.meta.medium.value == Medium::Air, head.starts_with("***") || head.contains("air"), "{head}");
    }
    let body: String = wave().iter().zip(flux()).map(|(w, f)| format!("{w} {f}\n")).collect();
    let s = one("s", format!("Spectrum of HD 1\nObserver: Me\n\nlambda(A) intensity\n{body}").as_bytes());
    assert_wave(&s, &wave());
    let error = refusal(format!("Spectrum of HD 1\n\nperiod amplitude\n{body}").as_bytes());
    assert!(error.starts_with("reading line 3: the names period, amplitude"), "{error}");
    let german: String = wave().iter().map(|w| format!("{};1,5;0,1\r\n", w / 10.0).replace('.', ",")).collect();
    let s = one("s", format!("\u{feff}Wellenlänge [nm];Fluss;Fehler\r\n{german}").as_bytes());
    assert_wave(&s, &wave());
    assert!(s.ivar().is_some_and(|v| (v[0] - 100.0).abs() < 1e-9));
    for (bytes, word) in [
        (&b"{\"status\": \"error\", \"code\": 500}"[..], "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n", "git lfs pull"),
        (b"ERROR: 403 Forbidden\n", "“ERROR: 403 Forbidden”"),
        (b"5000,1,1,5\n5000,2,1,6\n5000,3,1,7\n", "commas separate both"),
        (b"<!-- 1 --><html><body>log in</body></html>", "web page"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "spreadsheet"),
        (b"\x00\x05\x16\x07\x00\x02\x00\x00", "macOS"),
    ] {
        assert!(refusal(bytes).contains(word), "{word}");
    }
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for part in ["[Content_Types].xml", "xl/workbook.xml", "xl/worksheets/sheet1.xml"] {
        zip.start_file(part, zip::write::SimpleFileOptions::default()).unwrap();
    }
    let book = zip.finish().unwrap().into_inner();
    for (bytes, word) in [(&book[..], "spreadsheet (Excel)"), (b"<!DOCTYPE html><html>1,2,3", "web page")] {
        let error = LabelTable::read(bytes).unwrap_err().to_string();
        assert!(error.starts_with("the label table cannot be read") && error.contains(word), "{error}");
    }
    assert!(
        matches!(read("log.xlsx", &book), Err(ReadError::Unsupported { format, .. }) if format.contains("spreadsheet"))
    );
}

#[test]
fn a_declared_missing_value_is_compared_as_a_number() {
    let votable = "<?xml version='1.0'?><VOTABLE version='1.4'><RESOURCE><TABLE>\
        <FIELD name='id' datatype='char' arraysize='*'/>\
        <FIELD name='feh' datatype='float'><VALUES null='-5'/></FIELD>\
        <DATA><TABLEDATA><TR><TD>a</TD><TD>-5.0</TD></TR><TR><TD>b</TD><TD>-0.5</TD></TR></TABLEDATA></DATA>\
        </TABLE></RESOURCE></VOTABLE>";
    let table = LabelTable::read(votable.as_bytes()).unwrap();
    assert_eq!((table.get("a", "feh"), table.get("b", "feh")), (None, Some(-0.5)));
}
