//! Readers against real files, where the checkout has them beside it: `files/expected.json` holds what astropy read.

use std::path::{Path, PathBuf};

use serde_json::Value;
use specola::read::{LabelTable, ReadError, read};
use specola::spectrum::{Frame, Medium, Source, Spectrum, Survey};

/// Row 2 of LAMOST images is computed from 32-bit floats; COEFF0 and COEFF1, which we use, are exact.
/// Relative; 0.1 km/s.
const WAVE_TOLERANCE: f64 = 3.3e-7;

fn real() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/real");
    if !folder.is_dir() {
        println!("no real files beside this checkout: not compared");
        return None;
    }
    Some(folder)
}

fn only(path: &Path) -> Spectrum {
    let mut contents = read(&path.file_name().unwrap().to_string_lossy(), &std::fs::read(path).unwrap())
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!((contents.spectra.len(), contents.skipped.len()), (1, 0), "{}", path.display());
    contents.spectra.remove(0)
}

#[test]
fn lamost_and_sdss_agree_with_astropy() {
    let Some(real) = real() else { return };
    let expected: Value = serde_json::from_slice(&std::fs::read(real.join("files/expected.json")).unwrap()).unwrap();
    let mut compared = 0;
    for (name, want) in expected.as_object().unwrap() {
        let Some(at) = want.get("at") else { continue };
        let spectrum = only(&real.join("files").join(name));
        let (wave, flux) = (spectrum.wave_vac_aa(), spectrum.flux());
        let ivar = spectrum.ivar().unwrap();
        assert_eq!(wave.len() as u64, want["npix"].as_u64().unwrap(), "{name}");
        for (value, key) in [(wave[0], "wave_first"), (wave[wave.len() - 1], "wave_last")] {
            assert!((value / want[key].as_f64().unwrap() - 1.0).abs() < WAVE_TOLERANCE, "{name} {key} {value}");
        }
        for pixel in at.as_object().unwrap().values() {
            let i = pixel["i"].as_u64().unwrap() as usize;
            let of = |key: &str| pixel[key].as_f64().unwrap();
            assert!((wave[i] / of("wave") - 1.0).abs() < WAVE_TOLERANCE, "{name} pixel {i}: {}", wave[i]);
            // Stored as 32-bit floats; the JSON reader may be one last bit off in 64.
            assert_eq!(
                (flux[i], ivar[i]),
                (f64::from(of("flux") as f32), f64::from(of("ivar") as f32)),
                "{name} pixel {i}"
            );
            compared += 1;
        }
        let meta = &spectrum.meta;
        assert_eq!(meta.class.as_deref(), want["cls"].as_str(), "{name}");
        assert_eq!(meta.subclass.as_deref(), want["subclass"].as_str(), "{name}");
        assert!((meta.redshift.unwrap() - want["z"].as_f64().unwrap()).abs() < 1e-9, "{name}");
        if let Some(obsid) = want["obsid"].as_u64() {
            assert_eq!(meta.id, obsid.to_string());
        }
        assert_eq!((meta.medium.value, meta.medium.source), (Medium::Vacuum, Source::File), "{name}");
        assert_eq!(meta.frame.value, Frame::Barycentric, "{name}");
        println!("{name}: {} {} {:?} {:?}", meta.id, meta.format, meta.resolving_power, meta.notes);
    }
    assert_eq!(compared, 7 * 6);
}

#[test]
fn one_dimensional_files() {
    let Some(real) = real() else { return };
    let harps = only(&real.join("files/other1d/HARPS.Archive_18Sco_R32K.fits"));
    assert_eq!(harps.len(), 1536);
    // 514.357220793 nm in the file, taken as air: 1.4 Å to the red of it in vacuum.
    assert!((harps.wave_vac_aa()[0] - (5143.57220793 + 1.4323)).abs() < 1e-3, "{}", harps.wave_vac_aa()[0]);
    assert!((harps.flux()[0] - 0.95450793).abs() < 1e-8);
    assert!((harps.ivar().unwrap()[0] - 0.00656922f64.powi(-2)).abs() < 1.0);
    assert_eq!((harps.meta.survey, harps.meta.medium.source), (Survey::Other, Source::Assumed));

    let miles = only(&real.join("files/other1d/MILES_res2.50_star_m0505V.fits"));
    assert_eq!((miles.len(), miles.meta.survey, miles.meta.frame.value), (4300, Survey::Miles, Frame::Rest));
    let spectrum = specola::spectrum::air_vacuum::air_to_vacuum_aa(3540.5 + 0.9 * 4299.0);
    assert!((miles.wave_vac_aa()[4299] - spectrum).abs() < 1e-9);
}

#[test]
fn desi_targets_have_every_digit_and_sky_is_counted() {
    let Some(real) = real() else { return };
    let file = real.join("files/desi/coadd-sv3-dark-26065.fits");
    let contents = read("x", &std::fs::read(&file).unwrap()).unwrap();
    let ids: Vec<&str> = contents.spectra.iter().map(|s| s.meta.id.as_str()).collect();
    assert_eq!(ids, ["39627866878511337", "39627866878514741"]);
    let skipped: Vec<&str> = contents.skipped.iter().map(|s| s.what.as_str()).collect();
    assert_eq!(skipped, ["1 sky fibres", "2 fibres with a negative TARGETID"]);
    let star = &contents.spectra[0];
    // 3600 to 9824 Å in steps of 0.8 Å, both ends and the overlaps once.
    assert_eq!(star.len(), 7781);
    assert!((star.wave_vac_aa()[7780] - 9824.0).abs() < 1e-6);
    let resolving_power = star.meta.resolving_power.unwrap().value;
    assert!((2300.0..3300.0).contains(&resolving_power), "{resolving_power}");
}

#[test]
fn gaia_xp_sampled_agrees_with_astropy() {
    let Some(real) = real() else { return };
    let expected: Value = serde_json::from_slice(&std::fs::read(real.join("files/expected.json")).unwrap()).unwrap();
    let sampled = |name: &str| name.starts_with("gaia_xp/XP_SAMPLED");
    let mut compared = 0;
    for (name, want) in expected.as_object().unwrap().iter().filter(|(name, _)| sampled(name)) {
        let star = only(&real.join("files").join(name));
        let of = |key: &str| want[key].as_f64().unwrap();
        let (wave, flux, ivar) = (star.wave_vac_aa(), star.flux(), star.ivar().unwrap());
        assert_eq!(star.meta.id, "5937083312263887616", "{name}");
        assert_eq!((star.meta.survey, star.len() as u64), (Survey::GaiaXp, want["rows"].as_u64().unwrap()), "{name}");
        assert_eq!((wave[0], wave[342]), (10.0 * of("wave_first_nm"), 10.0 * of("wave_last_nm")), "{name}");
        // 500 nm is the 83rd sample. The ECSV and the VOTable declare 32 bits, the CSV nothing.
        // The JSON reader may be one last bit off.
        assert_eq!(wave[82], 5000.0, "{name}");
        assert!((flux[82] / of("flux_at_500nm") - 1.0).abs() < 1e-12, "{name}");
        assert!((ivar[82].powf(-0.5) / of("flux_err_at_500nm") - 1.0).abs() < 1e-12, "{name}");
        assert!(star.masked().iter().all(|bad| !bad), "{name}");
        println!("{name}: {:?}", star.meta.notes);
        compared += 1;
    }
    assert_eq!(compared, 4);
}

#[test]
fn what_is_not_read_is_said_in_words() {
    let Some(real) = real() else { return };
    let xp = std::fs::read_dir(real.join("files/gaia_xp")).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<PathBuf> = xp.filter(|f| f.to_string_lossy().contains("CONTINUOUS")).collect();
    files.push(real.join("files/lamost/MRS_med-58625-TD192102N424113K01_sp12-076.fits.gz"));
    assert_eq!(files.len(), 4);
    for file in files {
        match read("x", &std::fs::read(&file).unwrap()) {
            Err(e @ ReadError::Foreign { .. }) => println!("{}: {e}", file.display()),
            other => panic!("{}: {other:?}", file.display()),
        }
    }
}

#[test]
fn bundles_with_their_labels() {
    let Some(real) = real() else { return };
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
