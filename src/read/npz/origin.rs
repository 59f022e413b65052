//! The survey of a spectrum in a bundle, from the wavelengths of the bundle and the form of the spectrum's own id.

use super::super::axis::Axis;
use super::super::gaia_xp;
use super::super::medium::{set_frame, set_medium};
use super::super::one_d::{is_miles_axis, miles};
use crate::spectrum::{Frame, Medium, Meta, Source, Sourced, Survey};

/// Survey whose wavelengths a bundle has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Grid {
    Miles,
    /// Steps of 1e-4 in log10 λ, as LAMOST and SDSS have them.
    Sloan,
    GaiaXp,
    Other,
}

impl Grid {
    pub(super) fn of(wave_aa: &[f64], axis: Axis) -> Self {
        let is_sloan = |w: &[f64]| ((w[1] / w[0]).log10() - 1e-4).abs() < 1e-6;
        if gaia_xp::is_grid(wave_aa) {
            Self::GaiaXp
        } else if axis.medium != Some(Medium::Vacuum) && is_miles_axis(wave_aa) {
            Self::Miles
        } else if axis.medium != Some(Medium::Air) && wave_aa.windows(2).take(50).all(is_sloan) {
            Self::Sloan
        } else {
            Self::Other
        }
    }
}

/// True for the id of a MILES star: `m0081V`.
fn is_miles_id(id: &str) -> bool {
    id.strip_prefix('m').is_some_and(|rest| {
        let digits = rest.trim_end_matches(['V', 'v']);
        (3..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

/// True for day, plan, spectrograph and fibre of a LAMOST low-resolution spectrum, `spec-55862-B6212_sp06-005`, and for a
/// file named by LAMOST's number of the observation, `1234567.fits`.
fn is_lamost_id(id: &str) -> bool {
    let is_obsid = |number: &str| (6..=10).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    id.starts_with("spec-") && id.contains("_sp") || id.strip_suffix(".fits").is_some_and(is_obsid)
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

/// Metadata of the spectrum `id`. It depends on no other spectrum of the bundle.
pub(super) fn meta(id: &str, grid: Grid, axis: Axis) -> Meta {
    let survey = |survey: Survey, frame, format| {
        let mut meta = Meta::unknown(id, format);
        meta.survey = survey;
        let source = if axis.medium.is_some() { Source::File } else { Source::Survey };
        meta.medium = Sourced::new(Medium::Vacuum, source);
        meta.frame = Sourced::new(frame, Source::Survey);
        meta.resolving_power = survey.resolving_power().map(|r| Sourced::new(r, Source::Survey));
        meta
    };
    match grid {
        Grid::GaiaXp => gaia_xp::meta(id, "", false),
        Grid::Miles if is_miles_id(id) => {
            let mut meta = miles(id, "bundle of MILES stars");
            if axis.medium.is_some() {
                meta.medium.source = Source::File;
            }
            meta
        }
        Grid::Sloan if is_lamost_id(id) => survey(Survey::LamostLrs, Frame::Barycentric, "bundle of LAMOST spectra"),
        Grid::Sloan if is_spectral_type(id) => survey(Survey::Sdss, Frame::Rest, "bundle of SDSS templates"),
        Grid::Sloan if is_plate_mjd_fiber(id) => survey(Survey::Sdss, Frame::Barycentric, "bundle of SDSS spectra"),
        _ => {
            let mut meta = Meta::unknown(id, "bundle of spectra");
            set_medium(&mut meta, axis.medium, Medium::Vacuum);
            set_frame(&mut meta, None);
            meta
        }
    }
}
