//! Readers on real files, compared with the numbers that astropy read (`files/expected.json`).

use std::path::Path;

use serde_json::Value;
use specola::read::{LabelTable, ReadError, read};
use specola::spectrum::{Frame, Medium, Source, Spectrum, Survey};

use crate::support::real_spectra;

/// Largest relative difference of a wavelength: 0.1 km/s. Row 2 of LAMOST images is computed from 32-bit floats; COEFF0
/// and COEFF1, which the reader uses, are exact.
const WAVE_TOLERANCE: f64 = 3.3e-7;

fn read_one(path: &Path) -> Spectrum {
    let mut contents = read(&path.file_name().unwrap().to_string_lossy(), &std::fs::read(path).unwrap())
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!((contents.spectra.len(), contents.skipped.len()), (1, 0), "{}", path.display());
    contents.spectra.remove(0)
}

#[test]
#[ignore = "reads real spectra: cargo xtask test --real DIR"]
fn lamost_and_sdss_agree_with_astropy() {
    let real = real_spectra();
    let expected: Value = serde_json::from_slice(&std::fs::read(real.join("files/expected.json")).unwrap()).unwrap();
    let mut compared = 0;
    for (name, entry) in expected.as_object().unwrap() {
        let Some(pixels) = entry.get("at") else { continue };
        let spectrum = read_one(&real.join("files").join(name));
        let (wave, flux) = (spectrum.wave_vac_aa(), spectrum.flux());
        let ivar = spectrum.ivar().unwrap();
        assert_eq!(wave.len() as u64, entry["npix"].as_u64().unwrap(), "{name}");
        for (value, key) in [(wave[0], "wave_first"), (wave[wave.len() - 1], "wave_last")] {
            assert!((value / entry[key].as_f64().unwrap() - 1.0).abs() < WAVE_TOLERANCE, "{name} {key} {value}");
        }
        for pixel in pixels.as_object().unwrap().values() {
            let i = pixel["i"].as_u64().unwrap() as usize;
            let number = |key: &str| pixel[key].as_f64().unwrap();
            assert!((wave[i] / number("wave") - 1.0).abs() < WAVE_TOLERANCE, "{name} pixel {i}: {}", wave[i]);
            // The file stores 32-bit floats. The JSON reader may differ in the last bit of 64.
            assert_eq!(
                (flux[i], ivar[i]),
                (f64::from(number("flux") as f32), f64::from(number("ivar") as f32)),
                "{name} pixel {i}"
            );
            compared += 1;
        }
        let meta = &spectrum.meta;
        assert_eq!(meta.class.as_deref(), entry["cls"].as_str(), "{name}");
        assert_eq!(meta.subclass.as_deref(), entry["subclass"].as_str(), "{name}");
        assert!((meta.redshift.unwrap() - entry["z"].as_f64().unwrap()).abs() < 1e-9, "{name}");
        if let Some(obsid) = entry["obsid"].as_u64() {
            assert_eq!(meta.id, obsid.to_string());
        }
        assert_eq!((meta.medium.value, meta.medium.source), (Medium::Vacuum, Source::File), "{name}");
        assert_eq!(meta.frame.value, Frame::Barycentric, "{name}");
        println!("{name}: {} {} {:?} {:?}", meta.id, meta.format, meta.resolving_power, meta.notes);
    }
    assert_eq!(compared, 7 * 6);
}

#[test]
#[ignore = "reads real spectra: cargo xtask test --real DIR"]
fn one_dimensional_files_agree_with_their_headers() {
    let real = real_spectra();
    let harps = read_one(&real.join("files/other1d/HARPS.Archive_18Sco_R32K.fits"));
    assert_eq!(harps.len(), 1536);
    // 514.357220793 nm in the file, assumed to be air: 1.4 Å longer in vacuum.
    assert!((harps.wave_vac_aa()[0] - (5143.57220793 + 1.4323)).abs() < 1e-3, "{}", harps.wave_vac_aa()[0]);
    assert!((harps.flux()[0] - 0.95450793).abs() < 1e-8);
    assert!((harps.ivar().unwrap()[0] - 0.00656922f64.powi(-2)).abs() < 1.0);
    assert_eq!((harps.meta.survey, harps.meta.medium.source), (Survey::Other, Source::Assumed));

    let miles = read_one(&real.join("files/other1d/MILES_res2.50_star_m0505V.fits"));
    assert_eq!((miles.len(), miles.meta.survey, miles.meta.frame.value), (4300, Survey::Miles, Frame::Rest));
    let last_wave_aa = specola::spectrum::air_vacuum::air_to_vacuum_aa(3540.5 + 0.9 * 4299.0);
    assert!((miles.wave_vac_aa()[4299] - last_wave_aa).abs() < 1e-9);
}

#[test]
#[ignore = "reads real spectra: cargo xtask test --real DIR"]
fn desi_targets_keep_all_digits_and_sky_fibres_are_counted() {
    let real = real_spectra();
    let file = real.join("files/desi/coadd-sv3-dark-26065.fits");
    let contents = read("x", &std::fs::read(&file).unwrap()).unwrap();
    let ids: Vec<&str> = contents.spectra.iter().map(|s| s.meta.id.as_str()).collect();
    assert_eq!(ids, ["39627866878511337", "39627866878514741"]);
    let skipped: Vec<&str> = contents.skipped.iter().map(|s| s.part.as_str()).collect();
    assert_eq!(skipped, ["1 sky fibres", "2 fibres with a negative TARGETID"]);
    let star = &contents.spectra[0];
    // 3600 to 9824 Å in steps of 0.8 Å, both ends included, overlaps counted once.
    assert_eq!(star.len(), 7781);
    assert!((star.wave_vac_aa()[7780] - 9824.0).abs() < 1e-6);
    let resolving_power = star.meta.resolving_power.unwrap().value;
    assert!((2300.0..3300.0).contains(&resolving_power), "{resolving_power}");
}

#[test]
#[ignore = "reads real spectra: cargo xtask test --real DIR"]
fn gaia_xp_sampled_agrees_with_astropy() {
    let real = real_spectra();
    let expected: Value = serde_json::from_slice(&std::fs::read(real.join("files/expected.json")).unwrap()).unwrap();
    let sampled = |name: &str| name.starts_with("gaia_xp/XP_SAMPLED");
    let mut compared = 0;
    for (name, entry) in expected.as_object().unwrap().iter().filter(|(name, _)| sampled(name)) {
        let star = read_one(&real.join("files").join(name));
        let number = |key: &str| entry[key].as_f64().unwrap();
        let (wave, flux, ivar) = (star.wave_vac_aa(), star.flux(), star.ivar().unwrap());
        assert_eq!(star.meta.id, "5937083312263887616", "{name}");
        assert_eq!((star.meta.survey, star.len() as u64), (Survey::GaiaXp, entry["rows"].as_u64().unwrap()), "{name}");
        assert_eq!((wave[0], wave[342]), (10.0 * number("wave_first_nm"), 10.0 * number("wave_last_nm")), "{name}");
        // 500 nm is the 83rd sample. The ECSV and the VOTable declare 32 bits, the CSV nothing.
        // The JSON reader may differ in the last bit.
        assert_eq!(wave[82], 5000.0, "{name}");
        assert!((flux[82] / number("flux_at_500nm") - 1.0).abs() < 1e-12, "{name}");
        assert!((ivar[82].powf(-0.5) / number("flux_err_at_500nm") - 1.0).abs() < 1e-12, "{name}");
        assert!(star.masked().iter().all(|bad| !bad), "{name}");
        println!("{name}: {:?}", star.meta.notes);
        compared += 1;
    }
    assert_eq!(compared, 4);
}

#[test]
#[ignore = "reads real spectra: cargo xtask test --real DIR"]
fn unsupported_formats_are_refused() {
    let real = real_spectra();
    let file = real.join("files/lamost/MRS_med-58625-TD192102N424113K01_sp12-076.fits.gz");
    match read("x", &std::fs::read(&file).unwrap()) {
        Err(e @ ReadError::Unsupported { .. }) => println!("{}: {e}", file.display()),
        other => panic!("{}: {other:?}", file.display()),
    }
}

/// The archive's own sampled spectrum of the source. `GaiaXPy`'s basis functions have six digits, so both differ in the
/// sixth.
#[test]
#[ignore = "reads real spectra: cargo xtask test --real DIR"]
fn gaia_xp_coefficients_give_the_sampled_spectrum_of_the_archive() {
    let folder = real_spectra().join("files/gaia_xp");
    let file = |product: &str, ending: &str| folder.join(format!("{product}-Gaia DR3 5937083312263887616.{ending}"));
    let archive = read_one(&file("XP_SAMPLED", "csv"));
    for ending in ["csv", "ecsv", "fits"] {
        let star = read_one(&file("XP_CONTINUOUS", ending));
        assert_eq!((star.meta.id.as_str(), star.meta.survey), ("5937083312263887616", Survey::GaiaXp), "{ending}");
        assert_eq!(star.wave_vac_aa(), archive.wave_vac_aa(), "{ending}");
        let largest = |pairs: &mut dyn Iterator<Item = f64>| pairs.fold(0.0, f64::max);
        let flux = largest(&mut star.flux().iter().zip(archive.flux()).map(|(a, b)| (a / b - 1.0).abs()));
        let ivars = star.ivar().unwrap().iter().zip(archive.ivar().unwrap());
        let error = largest(&mut ivars.map(|(a, b)| ((b / a).sqrt() - 1.0).abs()));
        println!("{ending}: largest difference of flux {flux:.1e}, of error {error:.1e}");
        assert!(flux < 1e-5 && error < 5e-6, "{ending}: {flux} {error}");
        assert!(star.masked().iter().all(|bad| !bad), "{ending}");
    }
}

#[test]
#[ignore = "reads real spectra: cargo xtask test --real DIR"]
fn bundles_match_their_label_tables() {
    let real = real_spectra();
    for (bundle, labels, n, survey, medium, frame) in [
        ("miles.npz", "miles_labels.csv", 583, Survey::Miles, Medium::Air, Frame::Rest),
        ("lamost_lrs.npz", "lamost_lrs_labels.csv", 304, Survey::LamostLrs, Medium::Vacuum, Frame::Barycentric),
        ("sdss_templates.npz", "sdss_templates.csv", 228, Survey::Sdss, Medium::Vacuum, Frame::Rest),
    ] {
        let contents = read(bundle, &std::fs::read(real.join(bundle)).unwrap()).unwrap();
        assert_eq!((contents.spectra.len(), &contents.skipped), (n, &vec![]), "{bundle}");
        let table = LabelTable::read(&std::fs::read(real.join(labels)).unwrap()).unwrap();
        for spectrum in &contents.spectra {
            let meta = &spectrum.meta;
            assert_eq!((meta.survey, meta.medium.value, meta.frame.value), (survey, medium, frame), "{bundle}");
            assert!(table.id.contains(&meta.id), "{bundle} {}", meta.id);
        }
        assert_eq!(read(labels, &std::fs::read(real.join(labels)).unwrap()).unwrap().labels.len(), 1, "{labels}");
        println!("{bundle}: {:?}", contents.spectra[0].meta);
    }
    let miles = LabelTable::read(&std::fs::read(real.join("miles_labels.csv")).unwrap()).unwrap();
    assert_eq!(miles.get("m0081V", "teff"), Some(5650.0));
    assert_eq!(miles.get("m0081V", "alpha_fe"), Some(0.3662500000000001));
    assert!(miles.texts.contains_key("cluster"));
}
