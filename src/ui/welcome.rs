//! What an empty page says under the drop zone.

use leptos::prelude::*;

use super::samples::SampleList;

/// What the page reads, answers and keeps to itself.
#[component]
pub fn Welcome() -> impl IntoView {
    view! {
        <SampleList/>
        <section class="welcome" aria-label="What this page does">
            <article>
                <h2>"Reads"</h2>
                <p>
                    "Optical spectra of stars that cover 4000–5599 Å: LAMOST in every release's layout, SDSS, BOSS, DESI, SPARCL, tables "
                    "of wavelength and flux, bundles of thousands; and sampled Gaia XP spectra. Files are told apart by content, whatever they are called."
                </p>
            </article>
            <article>
                <h2>"Answers"</h2>
                <p>
                    <i>"T"</i><sub>"eff"</sub>", log " <i>"g"</i> ", [Fe/H], [α/Fe] and radial velocity, each with an error that was "
                    "calibrated on spectra the network had not seen, and a flag when a spectrum lies outside of what it was trained on."
                </p>
            </article>
            <article>
                <h2>"Compares and learns"</h2>
                <p>
                    "Stars like yours, in the same survey or the other; your spectrum as the other survey would see it. Drop a table "
                    "of labels too, and the model learns from your own stars, in this tab, and says how much better it got."
                </p>
            </article>
            <article>
                <h2>"Shows its work"</h2>
                <p>
                    "Continuum, mask, resolution, air or vacuum, velocity frame: every step is on the page, and what was assumed "
                    "you can correct. Your spectra never leave this tab."
                </p>
            </article>
        </section>
    }
}
