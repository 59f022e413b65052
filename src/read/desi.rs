//! DESI coadds and spectra (`coadd-*.fits`, `spectra-*.fits`): many targets, each in the three arms B, R and Z.
//!
//! `FIBERMAP` has one row a target; `{ARM}_WAVELENGTH` one axis for all of them (vacuum Å, barycentric); `{ARM}_FLUX`,
//! `{ARM}_IVAR` and `{ARM}_MASK` one row a target; `{ARM}_RESOLUTION` the diagonals of its resolution matrix. Data model:
//! desidatamodel, `coadd-SURVEY-PROGRAM-PIXNUM.fits`.

use super::axis::need;
use super::error::ReadError;
use super::fits::{Fits, Hdu, Image, Table, Tiles};
use super::{Contents, MAX_PIXELS, Skipped};
use crate::spectrum::{Frame, Known, Medium, Meta, Source, Spectrum, Survey};

/// Arms from blue to red, and all three when they have been joined already (`desispec.coaddition.coadd_cameras`).
const ARMS: [&str; 4] = ["B", "R", "Z", "BRZ"];

/// Pixels of two arms that are nearer than this are one pixel, Å: the arms share a grid of 0.8 Å where they overlap.
const SAME_PIXEL_AA: f64 = 0.1;

/// Where the resolving power is stated, Å.
const RESOLUTION_AT_AA: f64 = 4800.0;

/// FWHM of a Gaussian in units of its σ.
const FWHM_OF_SIGMA: f64 = 2.354_820_045;

/// True for a file with a table of fibres or the wavelengths of an arm.
pub(crate) fn identify(fits: &Fits) -> bool {
    ARMS.iter().any(|arm| fits.named(&format!("{arm}_WAVELENGTH")).is_some()) || fits.named("FIBERMAP").is_some()
}

/// One arm.
struct Arm<'a> {
    name: &'static str,
    wave_aa: Vec<f64>,
    flux: Image<'a>,
    ivar: Image<'a>,
    /// `None` when the file has none, or one that cannot be unpacked.
    mask: Option<Mask<'a>>,
}

/// The mask of an arm; pixels that are not 0 are bad.
enum Mask<'a> {
    Plain(Image<'a>),
    Packed(Tiles<'a>),
}

impl<'a> Mask<'a> {
    fn of(hdu: &Hdu<'a>, targets: usize, pixels: usize) -> Option<Self> {
        if let Some(tiles) = Tiles::of(hdu) {
            return (tiles.rows() == targets && tiles.width == pixels).then_some(Self::Packed(tiles));
        }
        let image = hdu.image()?.ok()?;
        (image.rows() == targets && image.width() == pixels).then_some(Self::Plain(image))
    }

    fn bad(&self, row: usize) -> Option<Vec<bool>> {
        match self {
            Mask::Plain(image) => Some(image.row(row)?.iter().map(|m| *m != 0.0).collect()),
            Mask::Packed(tiles) => Some(tiles.row(row)?.iter().map(|m| *m != 0).collect()),
        }
    }
}

/// Reads every target; fibres on the sky, stuck ones and those without a measured pixel are skipped with their count.
pub(crate) fn read(fits: &Fits) -> Result<Contents, ReadError> {
    let place = "the FIBERMAP table";
    let map = need(
        fits.named("FIBERMAP").and_then(|h| h.table()),
        place,
        "it is not there; give the whole coadd or spectra file",
    )??;
    let arms: Vec<Arm> =
        ARMS.into_iter().filter_map(|name| arm(fits, name, map.rows).transpose()).collect::<Result<_, _>>()?;
    let first = need(
        arms.first(),
        "the file",
        "it has no arm with wavelengths, flux and inverse variance: give a coadd or spectra file, not a catalogue",
    )?;
    let resolution = fits.named(&format!("{}_RESOLUTION", first.name)).and_then(|h| h.image()).and_then(Result::ok);

    let mut contents = Contents::default();
    let (mut sky, mut negative, mut empty) = (0, 0, 0);
    let mut pixels = 0;
    for row in 0..map.rows {
        let kind = map.text(row, "OBJTYPE");
        let Some(id) = map.integer(row, "TARGETID") else {
            contents.skipped.push(Skipped { what: format!("row {row} of FIBERMAP"), why: "it has no TARGETID".into() });
            continue;
        };
        if kind.as_deref() == Some("SKY") {
            sky += 1;
        } else if id < 0 {
            negative += 1;
        } else {
            let mut meta = meta(&map, row, id);
            meta.resolving_power = resolution
                .as_ref()
                .and_then(|image| measured_resolution(image, row, &first.wave_aa))
                .map(|r| Known::new(r, Source::File))
                .or_else(|| Survey::Desi.resolving_power().map(|r| Known::new(r, Source::Survey)));
            if arms.iter().any(|a| a.mask.is_none()) {
                meta.notes.push(
                    "the mask of an arm is missing or damaged; pixels without inverse variance are masked".into(),
                );
            }
            match joined(&arms, row) {
                Some((wave_aa, flux, ivar)) if ivar.iter().any(|v| *v > 0.0) => {
                    pixels += wave_aa.len();
                    if pixels > MAX_PIXELS {
                        let what = format!("the targets from row {row} of FIBERMAP on");
                        let why = "more than 40 million pixels in all; cut the file into several".into();
                        contents.skipped.push(Skipped { what, why });
                        break;
                    }
                    match Spectrum::new(meta, wave_aa, flux, Some(ivar), None) {
                        Ok(spectrum) => contents.spectra.push(spectrum),
                        Err(why) => {
                            contents.skipped.push(Skipped { what: format!("target {id}"), why: why.to_string() })
                        }
                    }
                }
                _ => empty += 1,
            }
        }
    }
    for (count, what, why) in [
        (sky, "sky fibres", "they show the night sky, no target"),
        (negative, "fibres with a negative TARGETID", "they were stuck or pointed at no target"),
        (empty, "targets without a measured pixel", "every inverse variance is 0"),
    ] {
        if count > 0 {
            contents.skipped.push(Skipped { what: format!("{count} {what}"), why: why.into() });
        }
    }
    Ok(contents)
}

/// One arm, `None` when the file does not have it.
fn arm<'a>(fits: &Fits<'a>, name: &'static str, targets: usize) -> Result<Option<Arm<'a>>, ReadError> {
    let Some(wave) = fits.named(&format!("{name}_WAVELENGTH")).and_then(|h| h.image()) else { return Ok(None) };
    let wave_aa = wave?.row(0).unwrap_or_default();
    let part = |what: &str| {
        let hdu = format!("{name}_{what}");
        fits.named(&hdu).and_then(|h| h.image()).transpose().map(|image| image.map(|i| (hdu, i)))
    };
    let whole = |what: &str| {
        let found = part(what)?;
        let (hdu, image) =
            need(found, &format!("the {name} arm"), &format!("{name}_{what} is not there; download the file again"))?;
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
    let (flux, ivar) = (whole("FLUX")?, whole("IVAR")?);
    let mask = fits.named(&format!("{name}_MASK")).and_then(|hdu| Mask::of(hdu, targets, wave_aa.len()));
    Ok(Some(Arm { name, wave_aa, flux, ivar, mask }))
}

/// Wavelength, flux and inverse variance of a target over all arms; where two overlap, their weighted mean.
fn joined(arms: &[Arm], row: usize) -> Option<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    let mut pixels: Vec<(f64, f64, f64)> = Vec::new();
    for arm in arms {
        let (flux, mut ivar) = (arm.flux.row(row)?, arm.ivar.row(row)?);
        if let Some(bad) = arm.mask.as_ref().and_then(|mask| mask.bad(row)) {
            ivar.iter_mut().zip(&bad).filter(|(_, bad)| **bad).for_each(|(v, _)| *v = 0.0);
        }
        pixels.extend(arm.wave_aa.iter().zip(flux).zip(ivar).map(|((w, f), v)| (*w, f, v)));
    }
    pixels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut wave_aa, mut flux, mut ivar): (Vec<f64>, Vec<f64>, Vec<f64>) = Default::default();
    for (w, f, v) in pixels {
        let v = if v.is_finite() && v > 0.0 && f.is_finite() { v } else { 0.0 };
        match (wave_aa.last(), flux.last_mut(), ivar.last_mut()) {
            (Some(before), Some(flux), Some(ivar)) if w - *before < SAME_PIXEL_AA => {
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

/// λ/FWHM from the spread of a target's resolution matrix about its diagonal; `image` is `[targets][diagonals][pixels]`,
/// the diagonals from the highest above the main one to the lowest below it.
fn measured_resolution(image: &Image, row: usize, wave_aa: &[f64]) -> Option<f64> {
    let [pixels, diagonals, _] = image.axes[..] else { return None };
    let at = wave_aa.partition_point(|w| *w < RESOLUTION_AT_AA);
    if pixels != wave_aa.len() || at == 0 || at >= pixels || diagonals > 101 {
        return None;
    }
    let weights: Vec<f64> =
        (0..diagonals).map(|d| image.row(row * diagonals + d).map(|w| w[at])).collect::<Option<_>>()?;
    let total: f64 = weights.iter().sum();
    let moment = |power: i32| weights.iter().enumerate().map(|(d, w)| w * (d as f64).powi(power)).sum::<f64>() / total;
    let sigma_aa = (moment(2) - moment(1).powi(2)).sqrt() * (wave_aa[at] - wave_aa[at - 1]);
    let resolving_power = RESOLUTION_AT_AA / (FWHM_OF_SIGMA * sigma_aa);
    (500.0..20_000.0).contains(&resolving_power).then_some(resolving_power)
}

fn meta(map: &Table, row: usize, id: i64) -> Meta {
    let mut meta = Meta::unknown(id.to_string(), "DESI coadd");
    meta.survey = Survey::Desi;
    meta.medium = Known::new(Medium::Vacuum, Source::Survey);
    meta.frame = Known::new(Frame::Barycentric, Source::Survey);
    meta.ra_deg = map.number(row, "TARGET_RA");
    meta.dec_deg = map.number(row, "TARGET_DEC");
    meta
}
