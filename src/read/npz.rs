//! `.npz` bundles (`numpy.savez`) of many spectra on one wavelength axis.
//!
//! Arrays: an axis whose name states medium, scale and unit (`wavelength_air_aa`, `log10_wavelength_vac_aa`,
//! `loglam_vac`, `wave_vac_nm` …); `flux` `[n, pixels]` or `[pixels]`; optional `ivar` or `sigma` of the same shape;
//! optional `id` or `name` `[n]`. The survey is recognised from the axis and the form of the ids.

use super::axis::{Axis, Role, Scale, role};
use super::error::{ReadError, truncate};
use super::medium::{set_frame, set_medium};
use super::npy::{Array, ArrayFile};
use super::one_d::{is_miles_axis, miles};
use super::samples::{Errors, Samples};
use super::{Contents, MAX_PIXELS, gaia_xp};
use crate::spectrum::{Frame, MIN_PIXELS, Medium, Meta, Source, Sourced, Survey};

/// Origin of all spectra of a bundle.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Origin {
    Miles,
    Lamost,
    SdssTemplates,
    SdssSpectra,
    GaiaXp,
    Unknown,
}

/// Reads all spectra of a bundle. `stem` is the id of spectra without an id. Invalid spectra are skipped and listed by
/// id.
pub(crate) fn read(arrays: &[ArrayFile], stem: &str) -> Result<Contents, ReadError> {
    let bundle_error = |array: &str, problem: &str| ReadError::Bundle { array: array.into(), problem: problem.into() };
    let Some((axis_file, axis)) = arrays.iter().find_map(|a| match role(&a.name, "") {
        Some(Role::Wavelength(axis)) => Some((a, axis)),
        _ => None,
    }) else {
        let names: Vec<String> = arrays.iter().take(12).map(|a| truncate(&a.name)).collect();
        let problem = format!(
            "it is missing, and none of the arrays {} is a wavelength axis by its name; name the axis wavelength_vac_aa, wavelength_air_aa or loglam_vac",
            names.join(", ")
        );
        return Err(bundle_error("wavelength_vac_aa", &problem));
    };
    let find_role = |wanted: Role| arrays.iter().find(|a| role(&a.name, "") == Some(wanted));
    let flux_file = find_role(Role::Flux).ok_or_else(|| bundle_error("flux", "it is missing; add flux [n, pixels]"))?;
    let (axis_array, flux) = (axis_file.array()?, flux_file.array()?);
    let pixels = axis_array.elements();
    let n = match flux.shape.as_slice() {
        [p] if *p == pixels => 1,
        [n, p] if *p == pixels && pixels > 0 => *n,
        shape => {
            return Err(bundle_error(
                &flux_file.name,
                &format!("its shape is {shape:?}, but the wavelength axis requires [n, {pixels}]; save it again"),
            ));
        }
    };
    if n == 0 {
        return Err(bundle_error(&flux_file.name, "it has no rows; save the bundle again"));
    }
    if n > 1 && pixels < MIN_PIXELS {
        return Err(bundle_error(
            &axis_file.name,
            &format!("it has {pixels} values; a spectrum needs at least {MIN_PIXELS} pixels"),
        ));
    }
    if n.saturating_mul(pixels) > MAX_PIXELS {
        return Err(bundle_error(&flux_file.name, "it has more than 40 million pixels; split the bundle"));
    }
    let error_file = find_role(Role::Ivar).or_else(|| find_role(Role::Sigma));
    let error = error_file.map(ArrayFile::array).transpose()?;
    if let (Some(error), Some(file)) = (&error, error_file)
        && error.shape != flux.shape
    {
        return Err(bundle_error(&file.name, "its shape differs from the shape of the flux; save it again"));
    }
    let is_sigma = error_file.is_some_and(|f| role(&f.name, "") == Some(Role::Sigma));
    let ids = ids(arrays, n, stem)?;
    let stored_wave =
        axis_array.numbers(0, pixels).ok_or_else(|| bundle_error(&axis_file.name, "it does not hold numbers"))?;
    let (wave_aa, note) = axis.to_aa(stored_wave);
    let origin = origin(&wave_aa, axis, &ids);
    let wave_is_f32 = axis_array.is_f32() && axis.scale != Some(Scale::Log10);

    let mut contents = Contents::default();
    for (i, id) in ids.into_iter().enumerate() {
        let numbers = |array: &Array, name: &str| {
            array
                .numbers(i * pixels, pixels)
                .ok_or_else(|| bundle_error(name, "it does not hold numbers; save it as floats"))
        };
        let row = numbers(&flux, &flux_file.name)?;
        let errors = match (&error, error_file) {
            (Some(error), Some(file)) => {
                let values = numbers(error, &file.name)?;
                Some(if is_sigma { Errors::Sigma(values) } else { Errors::Ivar(values) })
            }
            _ => None,
        };
        let mut meta = meta(&id, origin, axis);
        meta.wave_is_f32 = wave_is_f32;
        meta.notes.extend(note.clone());
        let samples = Samples { wave_aa: wave_aa.clone(), flux: row, errors, mask: None };
        match samples.into_spectrum(meta) {
            Ok(spectrum) => contents.spectra.push(spectrum),
            Err(error) => {
                contents.skip(|| id, ReadError::samples(format!("row {i} of the bundle"))(error));
            }
        }
    }
    Ok(contents)
}

/// The ids in the bundle; else the stem, with a number if there are several spectra.
fn ids(arrays: &[ArrayFile], n: usize, stem: &str) -> Result<Vec<String>, ReadError> {
    const NAMES: [&str; 10] =
        ["id", "ids", "obsid", "source_id", "targetid", "name", "names", "object", "star", "designation"];
    let file = NAMES.iter().find_map(|name| arrays.iter().find(|a| a.name.eq_ignore_ascii_case(name)));
    let Some(file) = file else {
        return Ok(if n == 1 { vec![stem.to_string()] } else { (0..n).map(|i| format!("{stem}-{i}")).collect() });
    };
    let words = file.array()?.words().filter(|w| w.len() == n);
    words.ok_or_else(|| ReadError::Bundle {
        array: file.name.clone(),
        problem: format!("it is not a list of {n} strings or integers, one for each row of flux; save it again"),
    })
}

fn origin(wave_aa: &[f64], axis: Axis, ids: &[String]) -> Origin {
    let is_majority = |test: fn(&str) -> bool| 2 * ids.iter().filter(|id| test(id)).count() > ids.len();
    let survey_grid = axis.medium != Some(Medium::Air)
        && wave_aa.windows(2).take(50).all(|w| ((w[1] / w[0]).log10() - 1e-4).abs() < 1e-6);
    if gaia_xp::is_grid(wave_aa) {
        Origin::GaiaXp
    } else if is_miles_axis(wave_aa) && axis.medium != Some(Medium::Vacuum) && is_majority(is_miles_id) {
        Origin::Miles
    } else if survey_grid && is_majority(is_lamost_id) {
        Origin::Lamost
    } else if survey_grid && is_majority(is_spectral_type) {
        Origin::SdssTemplates
    } else if survey_grid && is_majority(is_plate_mjd_fiber) {
        Origin::SdssSpectra
    } else {
        Origin::Unknown
    }
}

/// True for the id of a MILES star: `m0081V`.
fn is_miles_id(id: &str) -> bool {
    id.strip_prefix('m').is_some_and(|rest| {
        let digits = rest.trim_end_matches(['V', 'v']);
        (3..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

/// True for day, plan, spectrograph and fibre of a LAMOST low-resolution spectrum: `spec-55862-B6212_sp06-005`.
fn is_lamost_id(id: &str) -> bool {
    id.starts_with("spec-") && id.contains("_sp")
}

/// True for the spectral type of a co-added `PyHammer` template (Kesseli et al. 2017): `F3_-2.0_Dwarf`, `A0`.
fn is_spectral_type(id: &str) -> bool {
    let mut bytes = id.bytes();
    bytes.next().is_some_and(|b| b"OBAFGKMLTdC".contains(&b))
        && bytes.next().is_some_and(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        && matches!(bytes.next(), None | Some(b'_' | b'.' | b'0'..=b'9'))
}

/// True for plate, MJD and fibre of SDSS: `1123-52882-0065`.
fn is_plate_mjd_fiber(id: &str) -> bool {
    let parts: Vec<&str> = id.trim_start_matches("spec-").split('-').collect();
    parts.len() == 3
        && parts[1].len() == 5
        && parts.iter().all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

fn meta(id: &str, origin: Origin, axis: Axis) -> Meta {
    let survey = |survey: Survey, frame, format| {
        let mut meta = Meta::unknown(id, format);
        meta.survey = survey;
        let source = if axis.medium.is_some() { Source::File } else { Source::Survey };
        meta.medium = Sourced::new(Medium::Vacuum, source);
        meta.frame = Sourced::new(frame, Source::Survey);
        meta.resolving_power = survey.resolving_power().map(|r| Sourced::new(r, Source::Survey));
        meta
    };
    match origin {
        Origin::Miles => {
            let mut meta = miles(id, "bundle of MILES stars");
            if axis.medium.is_some() {
                meta.medium.source = Source::File;
            }
            meta
        }
        Origin::Lamost => survey(Survey::LamostLrs, Frame::Barycentric, "bundle of LAMOST spectra"),
        Origin::SdssTemplates => survey(Survey::Sdss, Frame::Rest, "bundle of SDSS templates"),
        Origin::SdssSpectra => survey(Survey::Sdss, Frame::Barycentric, "bundle of SDSS spectra"),
        Origin::GaiaXp => gaia_xp::meta(id, "", false),
        Origin::Unknown => {
            let mut meta = Meta::unknown(id, "bundle of spectra");
            set_medium(&mut meta, axis.medium, Medium::Vacuum);
            set_frame(&mut meta, None);
            meta
        }
    }
}
