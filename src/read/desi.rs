//! DESI coadds and spectra (`coadd-*.fits`, `spectra-*.fits`): many targets, each in the three arms B, R and Z.
//!
//! `FIBERMAP` has one row per target. `{ARM}_WAVELENGTH` is the common axis of all targets (vacuum Å, barycentric).
//! `{ARM}_FLUX`, `{ARM}_IVAR` and `{ARM}_MASK` have one row per target. `{ARM}_RESOLUTION` holds the diagonals of the
//! resolution matrix of each target. Data model: desidatamodel, `coadd-SURVEY-PROGRAM-PIXNUM.fits`.

use super::axis::require;
use super::error::ReadError;
use super::fits::{Fits, Image, Table};
use super::{Contents, MAX_PIXELS, SkippedPart};
use crate::spectrum::{FWHM_OVER_SIGMA, Frame, Medium, Meta, Source, Sourced, Spectrum, Survey};

/// The arms from blue to red, and the arm of files that already combine all three
/// (`desispec.coaddition.coadd_cameras`).
const ARMS: [&str; 4] = ["B", "R", "Z", "BRZ"];

/// Pixels of two arms closer than this are the same pixel, Å. In their overlap the arms share a grid of 0.8 Å.
const PIXEL_TOLERANCE_AA: f64 = 0.1;

/// Wavelength at which the resolving power is given, Å.
const RESOLUTION_AT_AA: f64 = 4800.0;

/// True for a file with the wavelengths or fluxes of an arm. A catalogue of DESI has a fibre table, too.
pub(crate) fn identify(fits: &Fits) -> bool {
    let has = |arm: &str, quantity: &str| fits.find_by_name(&format!("{arm}_{quantity}")).is_some();
    ARMS.iter().any(|arm| has(arm, "WAVELENGTH") || has(arm, "FLUX"))
}

/// One arm of the spectrograph, for all targets.
struct Arm<'a> {
    name: &'static str,
    wave_aa: Vec<f64>,
    flux: Image<'a>,
    ivar: Image<'a>,
    /// A pixel is bad unless its mask is 0. `None` if the file has no mask of this arm, or if it cannot be unpacked.
    mask: Option<Image<'a>>,
}

/// Reads the spectra of all targets.
///
/// Sky fibres, fibres with a negative TARGETID and targets without a measured pixel are skipped and counted.
pub(crate) fn read(fits: &Fits) -> Result<Contents, ReadError> {
    let place = "the FIBERMAP table";
    let fibermap = require(
        fits.find_by_name("FIBERMAP").and_then(|h| h.table()),
        place,
        "it is missing; give the complete coadd or spectra file",
    )??;
    let arms: Vec<Arm> =
        ARMS.into_iter().filter_map(|name| arm(fits, name, fibermap.rows).transpose()).collect::<Result<_, _>>()?;
    let first_arm = require(
        arms.first(),
        "the file",
        "it has no arm with wavelengths, flux and inverse variance: give a coadd or spectra file, not a catalogue",
    )?;
    let resolution =
        fits.find_by_name(&format!("{}_RESOLUTION", first_arm.name)).and_then(|h| h.image()).and_then(Result::ok);

    let mut contents = Contents::default();
    let (mut n_sky, mut n_negative, mut n_empty) = (0, 0, 0);
    let mut pixels = 0;
    for row in 0..fibermap.rows {
        let kind = fibermap.text(row, "OBJTYPE");
        let Some(id) = fibermap.integer(row, "TARGETID") else {
            contents.skip(|| format!("row {row} of FIBERMAP"), "it has no TARGETID");
            continue;
        };
        if kind.as_deref() == Some("SKY") {
            n_sky += 1;
        } else if id < 0 {
            n_negative += 1;
        } else {
            let mut meta = meta(&fibermap, row, id);
            meta.resolving_power = resolution
                .as_ref()
                .and_then(|image| measured_resolution(image, row, &first_arm.wave_aa))
                .map(|r| Sourced::new(r, Source::File))
                .or_else(|| Survey::Desi.resolving_power().map(|r| Sourced::new(r, Source::Survey)));
            if arms.iter().any(|a| a.mask.is_none()) {
                meta.notes.push(
                    "the mask of an arm is missing or damaged; pixels without inverse variance are masked".into(),
                );
            }
            match combine_arms(&arms, row) {
                Some((wave_aa, flux, ivar)) if ivar.iter().any(|v| *v > 0.0) => {
                    pixels += wave_aa.len();
                    if pixels > MAX_PIXELS {
                        let part = format!("the targets from row {row} of FIBERMAP on");
                        let reason = "the file has more than 40 million pixels; split it".into();
                        contents.skipped.push(SkippedPart { part, reason });
                        break;
                    }
                    match Spectrum::new(meta, wave_aa, flux, Some(ivar), None) {
                        Ok(spectrum) => contents.spectra.push(spectrum),
                        Err(error) => contents.skip(|| format!("target {id}"), error),
                    }
                }
                _ => n_empty += 1,
            }
        }
    }
    for (count, description, reason) in [
        (n_sky, "sky fibres", "they observe the sky, not a target"),
        (n_negative, "fibres with a negative TARGETID", "they were stuck or had no target"),
        (n_empty, "targets without a measured pixel", "every inverse variance is 0"),
    ] {
        if count > 0 {
            contents.skipped.push(SkippedPart { part: format!("{count} {description}"), reason: reason.into() });
        }
    }
    Ok(contents)
}

/// Reads one arm; `None` if the file does not contain it.
fn arm<'a>(fits: &Fits<'a>, name: &'static str, targets: usize) -> Result<Option<Arm<'a>>, ReadError> {
    let Some(wave) = fits.find_by_name(&format!("{name}_WAVELENGTH")).and_then(|h| h.image()) else { return Ok(None) };
    let wave_aa = wave?.row(0).unwrap_or_default();
    let find_image = |quantity: &str| {
        let hdu = format!("{name}_{quantity}");
        fits.find_by_name(&hdu).and_then(|h| h.image()).transpose().map(|image| image.map(|i| (hdu, i)))
    };
    let required_image = |quantity: &str| {
        let found = find_image(quantity)?;
        let (hdu, image) = require(
            found,
            &format!("the {name} arm"),
            &format!("{name}_{quantity} is missing; download the file again"),
        )?;
        if image.width() != wave_aa.len() || image.rows() != targets {
            let problem = format!(
                "it has {} × {} pixels where {targets} targets × {} wavelengths are expected; download the file again",
                image.rows(),
                image.width(),
                wave_aa.len()
            );
            return Err(ReadError::Layout { place: format!("the image {hdu}"), problem });
        }
        Ok(image)
    };
    let (flux, ivar) = (required_image("FLUX")?, required_image("IVAR")?);
    let mask = fits.find_by_name(&format!("{name}_MASK")).and_then(|hdu| hdu.image()?.ok());
    let mask = mask.filter(|image| image.rows() == targets && image.width() == wave_aa.len());
    Ok(Some(Arm { name, wave_aa, flux, ivar, mask }))
}

/// Wavelength, flux and inverse variance of a target over all arms; in overlaps, the weighted mean.
fn combine_arms(arms: &[Arm], row: usize) -> Option<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    let mut pixels: Vec<(f64, f64, f64)> = Vec::new();
    for arm in arms {
        let (flux, mut ivar) = (arm.flux.row(row)?, arm.ivar.row(row)?);
        if let Some(mask) = arm.mask.as_ref().and_then(|mask| mask.row(row)) {
            ivar.iter_mut().zip(&mask).filter(|(_, m)| **m != 0.0).for_each(|(v, _)| *v = 0.0);
        }
        pixels.extend(arm.wave_aa.iter().zip(flux).zip(ivar).map(|((w, f), v)| (*w, f, v)));
    }
    pixels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut wave_aa, mut flux, mut ivar): (Vec<f64>, Vec<f64>, Vec<f64>) = Default::default();
    for (w, f, v) in pixels {
        let v = if v.is_finite() && v > 0.0 && f.is_finite() { v } else { 0.0 };
        match (wave_aa.last(), flux.last_mut(), ivar.last_mut()) {
            (Some(before), Some(flux), Some(ivar)) if w - *before < PIXEL_TOLERANCE_AA => {
                if v > 0.0 {
                    *flux = if *ivar > 0.0 { (*flux * *ivar + f * v) / (*ivar + v) } else { f };
                    *ivar += v;
                }
            }
            _ => {
                wave_aa.push(w);
                flux.push(f);
                ivar.push(v);
            }
        }
    }
    Some((wave_aa, flux, ivar))
}

/// Resolving power λ/FWHM from the width of a target's resolution matrix about its main diagonal.
///
/// `image` is `[targets][diagonals][pixels]`. The diagonals run from the highest above the main diagonal to the lowest
/// below it.
fn measured_resolution(image: &Image, row: usize, wave_aa: &[f64]) -> Option<f64> {
    let [pixels, diagonals, _] = image.axes[..] else { return None };
    let pixel = wave_aa.partition_point(|w| *w < RESOLUTION_AT_AA);
    if pixels != wave_aa.len() || pixel == 0 || pixel >= pixels || diagonals > 101 {
        return None;
    }
    let weights: Vec<f64> =
        (0..diagonals).map(|d| image.row(row * diagonals + d).map(|w| w[pixel])).collect::<Option<_>>()?;
    let total: f64 = weights.iter().sum();
    let moment = |power: i32| weights.iter().enumerate().map(|(d, w)| w * (d as f64).powi(power)).sum::<f64>() / total;
    let sigma_aa = (moment(2) - moment(1).powi(2)).sqrt() * (wave_aa[pixel] - wave_aa[pixel - 1]);
    let resolving_power = RESOLUTION_AT_AA / (FWHM_OVER_SIGMA * sigma_aa);
    (500.0..20_000.0).contains(&resolving_power).then_some(resolving_power)
}

fn meta(fibermap: &Table, row: usize, id: i64) -> Meta {
    let mut meta = Meta::unknown(id.to_string(), "DESI coadd");
    meta.survey = Survey::Desi;
    meta.medium = Sourced::new(Medium::Vacuum, Source::Survey);
    meta.frame = Sourced::new(Frame::Barycentric, Source::Survey);
    meta.ra_deg = fibermap.number(row, "TARGET_RA");
    meta.dec_deg = fibermap.number(row, "TARGET_DEC");
    meta
}
