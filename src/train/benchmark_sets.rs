//! Spectra with known labels on which every route is measured: the standard sets of real stars, and simulated stars.
//!
//! No network was trained on the simulated stars. Their spectra have the form of a survey's files.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use rand::{Rng, RngExt};
use rayon::prelude::*;

use super::evaluate::{read_spectra, read_table, text, truth};
use super::grid_sampler::{Population, RequiredParts};
use super::pretrain::{TEFF_RANGE_K, in_teff_range};
use super::simulate::{self, survey_like};
use super::simulate_desi::{self, desi_like};
use super::simulate_xp::colour_excess;
use super::training_loop::rng_of;
use super::xp::stars::{LABELS, Part, XpStars};
use crate::read::LabelTable;
use crate::result::Label;
use crate::spectrum::{Spectrum, Survey};

/// Simulated stars near each held-out node of the grid.
const STARS_PER_NODE: usize = 2;

/// Largest radial velocity of a simulated star, km/s.
const MAX_RV_KMS: f64 = 400.0;

/// A benchmark set: spectra and their labels.
pub struct BenchmarkSet {
    /// Title for tables.
    pub name: String,
    /// The survey of the spectra, real or simulated.
    pub survey: Survey,
    /// True for simulated spectra.
    pub is_simulated: bool,
    /// The spectra, as a user would load them.
    pub spectra: Vec<Spectrum>,
    /// Their labels; rows and spectra share ids.
    pub table: LabelTable,
}

/// True for a star to which a survey's pipeline gives the class M, for example `M2` or `dM2`.
fn is_class_m(table: &LabelTable, row: usize) -> bool {
    let class = table.texts.get("subclass").and_then(|classes| classes.get(row));
    class.is_some_and(|class| class.trim_start_matches(['d', 'g']).starts_with('M'))
}

impl BenchmarkSet {
    /// A standard set: `{set}.npz` and `{set}_labels.csv` of a folder.
    ///
    /// Stars outside [`TEFF_RANGE_K`] are excluded, by their Teff label, or by their spectral class where they have no
    /// label. The grid does not cover them, so their accuracy is unknown.
    pub fn standard(real: &Path, set: &str, name: &str, survey: Survey) -> Result<Self> {
        let spectra = read_spectra(&real.join(format!("{set}.npz")))?;
        let table = read_table(&real.join(format!("{set}_labels.csv")))?;
        let row_of: BTreeMap<&str, usize> = table.id.iter().enumerate().map(|(i, id)| (id.as_str(), i)).collect();
        let is_inside = |s: &Spectrum| {
            let row = row_of.get(s.meta.id.as_str());
            row.is_none_or(|row| match truth(&table, Label::Teff, *row) {
                Some(teff_k) => in_teff_range(teff_k),
                None => !is_class_m(&table, *row),
            })
        };
        let spectra = spectra.into_iter().filter(is_inside).collect();
        let (low, high) = TEFF_RANGE_K;
        Ok(Self { name: format!("{name}, {low:.0}–{high:.0} K"), survey, is_simulated: false, spectra, table })
    }

    /// Real Gaia XP spectra with APOGEE's labels, of stars that no network was trained on, within [`TEFF_RANGE_K`].
    pub fn apogee(stars: &XpStars) -> Self {
        let mut set = Self {
            name: format!("APOGEE stars never trained on, {:.0}–{:.0} K", TEFF_RANGE_K.0, TEFF_RANGE_K.1),
            survey: Survey::GaiaXp,
            is_simulated: false,
            spectra: Vec::new(),
            table: LabelTable::default(),
        };
        for row in stars.rows(Part::Test, 0.0) {
            let labels = stars.labels[row].map(f64::from);
            let id = format!("star {row}");
            let Some(spectrum) = stars.spectrum(row, &id).filter(|_| in_teff_range(labels[0])) else { continue };
            for (label, value) in LABELS.into_iter().zip(labels) {
                set.table.labels.entry(label.name()).or_default().push(Some(value).filter(|v| v.is_finite()));
            }
            set.table.id.push(id);
            set.spectra.push(spectrum);
        }
        set
    }

    /// Simulated stars near held-out nodes, within [`TEFF_RANGE_K`], with velocities up to ±400 km/s.
    pub fn simulated(population: &Population, survey: Survey, seed: u64) -> Result<Self> {
        let draws_and_nodes: Vec<(usize, usize)> =
            (0..STARS_PER_NODE).flat_map(|draw| population.nodes.iter().map(move |node| (draw, *node))).collect();
        let star = |(i, (draw, node)): (usize, &(usize, usize))| {
            let mut rng = rng_of(seed, *draw, i);
            let (spectrum, labels) = observed(population, survey, *node, &mut rng)?;
            in_teff_range(labels[0]).then_some((format!("node {node} star {draw}"), spectrum, labels))
        };
        let stars: Vec<_> = draws_and_nodes.par_iter().enumerate().filter_map(star).collect();
        let mut table = LabelTable::default();
        let mut spectra = Vec::with_capacity(stars.len());
        for (id, mut spectrum, labels) in stars {
            for (label, value) in Label::ALL.into_iter().zip(labels) {
                table.labels.entry(label.name()).or_default().push(Some(value).filter(|v| v.is_finite()));
            }
            table.texts.entry(NODE.into()).or_default().push(id.split(" star").next().unwrap_or_default().into());
            spectrum.meta.id.clone_from(&id);
            table.id.push(id);
            spectra.push(spectrum);
        }
        let survey_text = match survey {
            Survey::Desi => "DESI-like, S/N 6–160",
            _ => "LAMOST-like, S/N 10–300",
        };
        let (low, high) = TEFF_RANGE_K;
        let name = format!("simulated stars near held-out nodes, {survey_text}, {low:.0}–{high:.0} K");
        Ok(Self { name, survey, is_simulated: true, spectra, table })
    }

    /// Group that the bootstrap resamples as a whole: a cluster, a star or a node.
    pub fn group(&self, id: &str, row: usize) -> String {
        let groups = ["cluster", "star_group", NODE].map(|column| text(&self.table, column, row));
        groups.into_iter().find(|name| !name.is_empty()).unwrap_or(id).to_string()
    }
}

/// Name of the column with the node of a simulated star.
const NODE: &str = "node";

/// The simulated optical spectrum of a star, and its labels in the order of [`Label::ALL`].
fn observed(
    population: &Population,
    survey: Survey,
    node: usize,
    rng: &mut impl Rng,
) -> Option<(Spectrum, [f64; Label::ALL.len()])> {
    let simulated = population.near(node, RequiredParts::Lrs, rng);
    let ebv_mag = colour_excess(rng);
    let [teff, logg, feh, alpha_fe, ..] = simulated.parameters;
    let (star, rv_kms) = (population.star(&simulated), rng.random_range(-MAX_RV_KMS..MAX_RV_KMS));
    let spectrum = match survey {
        Survey::Desi => simulate_desi::spectrum(&star, &desi_like(rv_kms, ebv_mag, rng), rng)?,
        _ => {
            let mut conditions = survey_like(rv_kms, 0.0, rng);
            conditions.ebv_mag = ebv_mag;
            simulate::spectrum(&star, &conditions, rng)?
        }
    };
    Some((spectrum, [teff, logg, feh, alpha_fe, rv_kms]))
}
