//! Readers of tables: refused tables, notes, and labels in every format, compared with the values that astropy read
//! (`fixtures/expected_labels.json`).

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use specola::preprocess::conditioning::{ConditionedSpectrum, PreprocessError};
use specola::preprocess::reference::{self, ReferenceError};
use specola::preprocess::xp::{self, XpError};
use specola::read::{
    LabelError, LabelTable, SpectrumName, labels, read, read_with_sampling, sampling_name, spectra_name,
};
use specola::spectrum::{Source, Survey};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).unwrap()
}

#[test]
fn other_gaia_xp_products_are_refused_with_a_hint() {
    let error = |text: &str| read("x", text.as_bytes()).unwrap_err().to_string();
    assert!(error("pos\n\"(336.0, 338.0)\"\n").contains("sampling"));
    assert!(error("source_id,xp,flux,flux_error\n1,BP,\"(1.0, 2.0)\",\"(1.0, 1.0)\"\n").contains("pseudo-wavelengths"));
}

#[test]
fn xp_spectra_note_their_assumptions() {
    let star = |name: &str| read(name, &bytes(name)).unwrap().spectra.remove(0);
    let wide = star("xp_wide.fits");
    let notes = wide.meta.notes.join("; ");
    assert!(
        notes.contains("336–1020 nm in steps of 2 nm, is assumed") && notes.contains("flux in W.m**-2.nm**-1"),
        "{notes}"
    );
    assert_eq!((wide.meta.survey, wide.meta.medium.source), (Survey::GaiaXp, Source::Survey));
    let long = star("xp_long.csv");
    let notes = long.meta.notes.join("; ");
    assert!(!notes.contains("steps of 2 nm") && notes.contains("W m⁻² nm⁻¹ is assumed"), "{notes}");
    assert_eq!((star("xp_arrays.csv").meta.ra_deg, star("xp_wide.ecsv").meta.dec_deg), (Some(251.5), Some(-51.5)));
    for name in ["xp_wide.fits", "xp_long.csv", "xp_no_id.csv", "xp_gaiaxpy.ecsv", "xp_binary2.vot"] {
        let star = star(name);
        assert!(!star.meta.notes.iter().any(|note| note.contains("air or vacuum")), "{name}: {:?}", star.meta.notes);
    }
    let other_grid = star("xp_gaiaxpy.ecsv");
    assert_eq!((other_grid.wave_vac_aa()[0], other_grid.wave_vac_aa()[40], other_grid.len()), (4000.0, 8000.0, 41));

    let rounded = "source_id,flux,flux_error\n5.937083312263888e+18,".to_string();
    let cell = format!("\"{:?}\"", vec![1.0; 343]);
    let contents = read("x", (rounded + &cell + "," + &cell + "\n").as_bytes()).unwrap();
    assert!(
        contents.spectra[0].meta.notes.iter().any(|n| n.contains("digits are lost")),
        "{:?}",
        contents.spectra[0].meta
    );
}

#[test]
fn wavelengths_may_be_in_a_separate_file() {
    let values: Vec<f64> = (0..30).map(f64::from).collect();
    let spectra = format!("source_id,flux,flux_error\n7,\"{values:?}\",\"{values:?}\"\n");
    let nm: Vec<f64> = (0..30).map(|i| 400.0 + 10.0 * f64::from(i)).collect();
    let sampling = format!("pos\n\"({})\"\n", format!("{nm:?}").trim_matches(['[', ']']));
    let name = sampling_name("night/out.csv").unwrap();
    assert_eq!((name.as_str(), spectra_name(&name).as_deref()), ("night/out_sampling.csv", Some("night/out.csv")));
    assert_eq!((sampling_name("x.fits"), sampling_name(&name), spectra_name("out.csv")), (None, None, None));

    let star = read_with_sampling("out.csv", spectra.as_bytes(), Some(sampling.as_bytes())).unwrap().spectra.remove(0);
    assert_eq!((star.wave_vac_aa()[0], star.wave_vac_aa()[29], star.meta.survey), (4000.0, 6900.0, Survey::GaiaXp));
    // Without the sampling file, or with another file, the wavelengths are missing.
    for sampling in [None, Some(&b"pos,x\n1,2\n"[..])] {
        assert!(
            read_with_sampling("out.csv", spectra.as_bytes(), sampling)
                .unwrap_err()
                .to_string()
                .contains("30 fluxes and no wavelengths")
        );
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (file, text) in [("a/out_sampling.csv", &sampling), ("a/out.csv", &spectra), ("b/x_sampling.csv", &sampling)] {
        zip.start_file(file, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    let contents = read("x.zip", &zip.finish().unwrap().into_inner()).unwrap();
    assert_eq!((contents.spectra.len(), contents.spectra[0].wave_vac_aa()[29]), (1, 6900.0));
    assert_eq!((contents.skipped.len(), contents.skipped[0].part.as_str()), (1, "b/x_sampling.csv"));
    assert!(contents.skipped[0].reason.contains("together with the file of spectra"));
}

#[test]
fn preprocessing_refuses_xp_spectra() {
    let error = ConditionedSpectrum::new(&read("x", &bytes("xp_wide.fits")).unwrap().spectra[0]).unwrap_err();
    assert_eq!(error, PreprocessError::NoModel { survey: "Gaia XP" });
    assert!(error.to_string().starts_with("this model does not accept Gaia XP spectra"), "{error}");
}

#[test]
fn preprocessing_refuses_a_constant_flux() {
    let error = |flux: &dyn Fn(usize) -> &'static str| {
        let rows: String = (0..1800).map(|i| format!("{},{}\n", 3900 + i, flux(i))).collect();
        let star = read("x.csv", format!("wave_vac,flux\n{rows}").as_bytes()).unwrap().spectra.remove(0);
        ConditionedSpectrum::new(&star).err()
    };
    assert_eq!(error(&|_| "2.5"), Some(PreprocessError::Constant));
    // Masked pixels, and pixels outside of the range of the models, are no measurement.
    assert_eq!(error(&|i| if i == 900 { "-9999" } else { "2.5" }), Some(PreprocessError::Constant));
    assert_eq!(error(&|i| if i < 50 { "1.5" } else { "2.5" }), Some(PreprocessError::Constant));
    assert_eq!(error(&|i| if i == 900 { "2.4" } else { "2.5" }), None);
    let nm = xp::grid_nm();
    assert_eq!(xp::on_grid(&nm, &vec![1e-16; nm.len()]), Err(XpError::Constant));
    let wave: Vec<f64> = (0..1800).map(|i| 3900.0 + f64::from(i)).collect();
    assert_eq!(reference::normalise(&wave, &vec![1.0; 1800], false), Err(ReferenceError::Constant));
}

#[test]
fn gaia_rvs_spectra_are_not_xp() {
    let rows: String = (0..200).map(|i| format!("42,{},1.0,0.1\n", 846.0 + 0.1 * f64::from(i))).collect();
    let contents = read("x", format!("source_id,wavelength,flux,flux_error\n{rows}").as_bytes()).unwrap();
    let meta = &contents.spectra[0].meta;
    assert_eq!((meta.survey, meta.id.as_str()), (Survey::Other, "42"));
    assert_eq!(contents.spectra[0].wave_vac_aa()[0], 8460.0);
}

#[test]
fn unreadable_rows_of_arrays_do_not_lose_the_others() {
    let contents = read("x", &bytes("sparcl.csv")).unwrap();
    assert_eq!((contents.spectra.len(), contents.skipped.len()), (2, 1));
    assert!(contents.skipped[0].reason.contains("abbreviated with “...”"), "{:?}", contents.skipped);
    // The and_mask of SDSS masks nothing.
    assert!(contents.spectra[0].masked().iter().all(|is_masked| !is_masked));
    assert!(contents.spectra[0].meta.notes[0].contains("1 pixels with a mask bit"));
    assert_eq!(contents.spectra[0].meta.survey, Survey::Sdss);
}

#[test]
fn every_table_of_a_file_is_read() {
    let whole = String::from_utf8(bytes("xp_gaiaxpy.xml")).unwrap();
    let (from, to) = (whole.find("<TABLE").unwrap(), whole.find("</TABLE>").unwrap() + 8);
    let table = &whole[from..to];
    let other = table.replace("5937083312263887616", "11").replace("5937083312263887617", "12");
    let notes = "<TABLE><FIELD name='note' datatype='char' arraysize='*'/><DATA><TABLEDATA><TR><TD>x</TD></TR></TABLEDATA></DATA></TABLE>";
    let contents = read("x", whole.replace(table, &format!("{notes}{table}{other}")).as_bytes()).unwrap();
    let ids: Vec<&str> = contents.spectra.iter().map(|s| s.meta.id.as_str()).collect();
    assert_eq!(ids, ["5937083312263887616", "5937083312263887617", "11", "12"]);
    assert!(contents.skipped.is_empty());
    // FITS files with several tables.
    let one = bytes("xp_wide.fits");
    let two_tables = [&one[..], &one[2880..]].concat();
    assert_eq!(read("x", &two_tables).unwrap().spectra.len(), 4);
}

#[test]
fn rows_between_bars_are_not_an_ipac_table() {
    let rows: String = (0..12).map(|i| format!("| {} | 1.5 |\n", 4000 + i)).collect();
    assert_eq!(read("x", format!("| wave | flux |\n{rows}").as_bytes()).unwrap().spectra[0].len(), 12);
    let table = LabelTable::read(b"|  id | teff |\n| a b | 5000 |\n").unwrap();
    assert_eq!((table.get("a b", "teff"), table.len()), (Some(5000.0), 1));
    let empty = "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: wave, datatype: float64}\n# - {name: flux, datatype: float64}\nwave flux\n";
    assert!(read("x", empty.as_bytes()).unwrap_err().to_string().contains("no rows"));
}

#[test]
fn overlapping_variable_arrays_are_refused() {
    // 20,000 rows, each with the same 4 MB of numbers as its flux.
    let (rows, heap) = (20_000, vec![7u8; 4 << 20]);
    let cards = [
        "SIMPLE  = T",
        "BITPIX  = 8",
        "NAXIS   = 0",
        "END",
        "XTENSION= 'BINTABLE'",
        "BITPIX  = 8",
        "NAXIS   = 2",
        "NAXIS1  = 16",
        &format!("NAXIS2  = {rows}"),
        &format!("PCOUNT  = {}", heap.len()),
        "GCOUNT  = 1",
        "TFIELDS = 2",
        "TTYPE1  = 'WAVE'",
        "TFORM1  = 'PB()'",
        "TTYPE2  = 'FLUX'",
        "TFORM2  = 'PB()'",
        "END",
    ];
    let mut file = Vec::new();
    for card in cards {
        file.extend(format!("{card:<80}").into_bytes());
        if card == "END" {
            file.resize(file.len().next_multiple_of(2880), b' ');
        }
    }
    for _ in 0..rows {
        file.extend([9i32, 0, heap.len() as i32, 0].iter().flat_map(|n| n.to_be_bytes()));
    }
    file.extend(&heap);
    let started = Instant::now();
    let contents = read("x", &file).unwrap();
    assert!(contents.spectra.is_empty() && contents.skipped.iter().any(|s| s.reason.contains("overlap")));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn text_columns_are_ignored() {
    let rows: String = (0..20).map(|i| format!("{},1.5,good pixel,0.1\n", 4000 + i)).collect();
    let contents = read("x", format!("wavelength,flux,quality,flux_error\n{rows}").as_bytes()).unwrap();
    assert_eq!((contents.spectra[0].len(), contents.spectra[0].flux()[3]), (20, 1.5));
    assert!((contents.spectra[0].ivar().unwrap()[3] - 100.0).abs() < 1e-9);
    // Text in the flux column is an error that names the line.
    let error = read(
        "x",
        format!("wavelength,flux\n{}", rows.replace(",good pixel,0.1", "").replace("4009,1.5", "4009,bad")).as_bytes(),
    );
    assert!(error.unwrap_err().to_string().starts_with("reading line 11: “bad”"));
}

#[test]
fn desi_coadds_with_joined_arms_are_read() {
    let mut file = bytes("desi.fits");
    for (name, joined) in
        [("'B_FLUX  '", "'BRZ_FLUX'"), ("'B_IVAR  '", "'BRZ_IVAR'"), ("'B_WAVELENGTH'  ", "'BRZ_WAVELENGTH'")]
    {
        let at = file.windows(name.len()).position(|w| w == name.as_bytes()).unwrap();
        file[at..at + joined.len()].copy_from_slice(joined.as_bytes());
    }
    for arm in ["R", "Z"] {
        let name = format!("'{arm}_WAVELENGTH'");
        let at = file.windows(name.len()).position(|w| w == name.as_bytes()).unwrap();
        file[at + 1] = b'X';
    }
    assert_eq!(read("x", &file).unwrap().spectra[0].len(), 400);
}

#[test]
fn wavelengths_without_a_length_unit_are_refused() {
    let row = |i: i32| format!("{} 1.0\n", 400 + i);
    let rows: String = (0..20).map(row).collect();
    let table = |unit: &str| {
        format!(
            "# %ECSV 1.0\n# ---\n# datatype:\n# - {{name: wavelength, unit: {unit}, datatype: float64}}\n# - {{name: flux, datatype: float64}}\nwavelength flux\n{rows}"
        )
    };
    assert_eq!(read("x", table("nm").as_bytes()).unwrap().spectra[0].wave_vac_aa()[0], 4000.0);
    assert!(read("x", table("THz").as_bytes()).unwrap_err().to_string().contains("“THz”"));
    let nothing = "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: a, datatype: int64}\na\n1\n";
    assert!(read("x", nothing.as_bytes()).unwrap_err().to_string().contains("the columns a"));
}

#[test]
fn xml_entities_are_not_expanded_and_errors_name_the_position() {
    let bomb = "<?xml version='1.0'?><!DOCTYPE VOTABLE [<!ENTITY a 'xxxxxxxxxx'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>\
        <VOTABLE><RESOURCE><TABLE><FIELD name='id' datatype='char' arraysize='*'/><FIELD name='teff' datatype='double'/>\
        <DATA><TABLEDATA><TR><TD>&b;&b;</TD><TD>5000</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>";
    let table = LabelTable::read(bomb.as_bytes()).unwrap();
    assert_eq!((table.id, table.labels["teff"].clone()), (vec!["??".to_string()], vec![Some(5000.0)]));
    assert_eq!(read("x", bomb.as_bytes()).unwrap().labels.len(), 1);
    let whole = bytes("xp_tabledata.vot");
    let error = read("x", &whole[..whole.len() / 2]).unwrap_err().to_string();
    assert!(error.contains("near byte") && error.contains("download it again"), "{error}");
    assert!(
        read("x", b"<?xml version='1.0'?><note>1</note>")
            .unwrap_err()
            .to_string()
            .contains("without a VOTABLE element")
    );
    let failed = b"<?xml version='1.0'?><VOTABLE><RESOURCE><INFO name='QUERY_STATUS' value='ERROR'>no such table</INFO></RESOURCE></VOTABLE>";
    assert!(read("x", failed).unwrap_err().to_string().contains("the query failed"));
}

#[test]
fn labels_of_every_format_agree_with_astropy() {
    let expected: Value = serde_json::from_slice(&bytes("expected_labels.json")).unwrap();
    assert_eq!(expected.as_object().unwrap().len(), 7);
    for (file, entry) in expected.as_object().unwrap() {
        let table = LabelTable::read(&bytes(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let texts = |name: &str| json!(table.texts[name]);
        assert_eq!(json!(table.id), entry["id"], "{file}");
        assert_eq!(json!(table.labels["teff"]), entry["teff"], "{file}");
        assert_eq!(json!(table.errors["teff"]), entry["e_teff"], "{file}");
        assert_eq!(json!(table.labels["feh"]), entry["feh"], "{file}");
        assert_eq!(texts("cluster"), entry["cluster"], "{file}");
        assert_eq!(texts("n_obs"), json!(["3", "", "5"]), "{file}");
        let contents = read(file, &bytes(file)).unwrap();
        assert_eq!((contents.spectra.len(), contents.labels), (0, vec![(file.clone(), table)]), "{file}");
    }
}

#[test]
fn labels_join_the_spectra_of_a_file() {
    let spectra = read("xp_wide.fits", &bytes("xp_wide.fits")).unwrap().spectra;
    let named: Vec<SpectrumName> =
        spectra.iter().map(|s| SpectrumName { id: &s.meta.id, file: "xp_wide.fits" }).collect();
    let joined = labels::join(&LabelTable::read(&bytes("labels.fits")).unwrap(), &named);
    assert_eq!(joined.matched.iter().map(|m| (m.spectrum, m.row)).collect::<Vec<_>>(), [(0, 0), (1, 1)]);
    assert_eq!(joined.rows_without_spectrum, [2]);
}

#[test]
fn label_errors_name_the_line() {
    assert_eq!(LabelTable::read(b"# only a comment\n\n"), Err(LabelError::Empty));
    assert_eq!(LabelTable::read(b"x\ty\n1\t2\n"), Err(LabelError::NoId { found: "x, y".into() }));
    assert_eq!(LabelTable::read(b"id,teff\n\na,1,2"), Err(LabelError::Ragged { line: 3, found: 3, expected: 2 }));
    assert_eq!(
        LabelTable::read(b"id,teff\na,hot").unwrap_err().to_string(),
        "line 2 of the label table: teff is “hot”, not a number; correct it or leave it empty"
    );
}
