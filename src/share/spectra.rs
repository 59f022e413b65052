//! Normalised spectra (the input of the model) as a long table, one line a pixel.

use super::csv::join;
use crate::result::SpectrumView;

/// CSV with the columns `id,wavelength,flux`: rest-frame vacuum wavelengths in Å, flux over continuum. Also returns the
/// number of spectra in it; spectra that the preprocessing refused are left out.
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
