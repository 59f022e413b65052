//! Normalised spectra as a long table: what the model saw of each, one line a pixel.

use super::csv::join;
use crate::result::SpectrumView;

/// CSV with the columns `id,wavelength,flux`: vacuum wavelengths at rest in Å, flux over continuum. Also how many of
/// the spectra are in it: those that preprocessing refused are left out.
pub fn csv<'a>(spectra: impl IntoIterator<Item = (&'a str, &'a SpectrumView)>) -> (String, usize) {
    let (mut text, mut written) = (join(["id", "wavelength", "flux"]), 0);
    for (id, view) in spectra {
        for (wave, flux) in view.model_wave_vac_aa.iter().zip(&view.model_flux) {
            text += &join([id, &format!("{wave:.3}"), &format!("{flux:.5}")]);
        }
        written += usize::from(!view.model_flux.is_empty());
    }
    (text, written)
}
