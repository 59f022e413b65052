//! The text below the drop zone of an empty page.

use leptos::prelude::*;

use super::samples::SampleList;

/// The samples, and what the page can do.
#[component]
pub(super) fn Welcome() -> impl IntoView {
    view! {
        <SampleList/>
        <section class="welcome" aria-label="About this page">
            <article>
                <h2>"Reads"</h2>
                <p>
                    "Optical stellar spectra that cover 4000–5599\u{2009}Å: all LAMOST releases, SDSS, BOSS, DESI, SPARCL, tables of wavelength "
                    "and flux, bundles of thousands of spectra; and sampled Gaia XP spectra. The page recognises a file by its content, not by its name."
                </p>
            </article>
            <article>
                <h2>"Predicts"</h2>
                <p>
                    <i>"T"</i><sub>"eff"</sub>", log " <i>"g"</i> ", [Fe/H], [α/Fe] and radial velocity, each with a calibrated error. The calibration "
                    "spectra are not in the training set. A spectrum unlike the training set is flagged."
                </p>
            </article>
            <article>
                <h2>"Compares and fine-tunes"</h2>
                <p>
                    "Find similar spectra among simulated stars and your own, optical or Gaia XP. Predict how your star would look in the "
                    "other survey. Add a table of labels to fine-tune the model on your own stars in this tab. The page reports how much "
                    "the error decreases."
                </p>
            </article>
            <article>
                <h2>"Documents each step"</h2>
                <p>
                    "Continuum, mask, resolution, air or vacuum wavelengths, velocity frame: the page shows every preprocessing step, and "
                    "you can change every assumption. Your spectra never leave this tab."
                </p>
            </article>
        </section>
    }
}
