//! Training of the label network on real stars: `lrs-mlp`.
//!
//! 1. Labels of MILES stars from several catalogues are brought to the scale of the benchmark stars
//!    ([`label_sources`](super::label_sources)).
//! 2. The synthetic grid is corrected by these stars ([`grid_correction`](super::grid_correction)).
//! 3. The network of `lrs-mlp-synthetic` is trained further on the corrected grid and on MILES: the anchor.
//! 4. The anchor's answers for spectra of LAMOST give the scale of LAMOST's pipeline, whose labels then join the
//!    training. So the network answers on the benchmark scale, also for LAMOST.
//!
//! Simulated observations mostly have the line spread of LAMOST, and the signature that its flux calibration leaves.
//! All of this is repeated for each fold of a cross-validation without the fold's stars. All stars of a cluster are on
//! the same side of a split, and so are all spectra of one field of LAMOST.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn::tensor::Device;
use rayon::prelude::*;

use super::dataset::{Dataset, DatasetUse, LibraryEntry};
use super::errors::Residual;
use super::evaluate::{join, predict_files, read_table, visit_residuals};
use super::folds::{
    FoldResiduals, OutOfFold, cross_validated, cross_validated_survey, error_calibration_of_folds, error_models,
    false_alarms, folds, write_out_of_fold,
};
use super::grid_correction::{FluxSignature, GridCorrection};
use super::label_sources::{CatalogueLabels, PipelineScale};
use super::labelled_library::{LabelledLibrary, read_labelled, read_survey};
use super::pca;
use super::pretrain::{
    NETWORK_LABELS, Plan, Synthetic, TEFF_RANGE_K, bundle, default_name, distances, entry, progress, residuals_of,
    stage, velocity_accuracy, velocity_residuals,
};
use super::train_regressor::{self, TrainConfig};
use crate::model::calibration::{ErrorKind, Subspace};
use crate::model::emulator::Emulator;
use crate::model::manifest::{Measurement, ModelEntry};
use crate::model::publish::publish;
use crate::model::regressor::Regressor;
use crate::preprocess::conditioning::normalise;
use crate::preprocess::grid::{FIT_PIXELS, MODEL_PIXELS, fit_log10};
use crate::preprocess::resample::linear;
use crate::result::{Label, Prediction};
use crate::spectrum::{Spectrum, Survey};
use crate::stats::quantile;
use crate::task::predict::Predictor;

/// Teff of the real stars in the training, K.
const TRAINING_TEFF_K: std::ops::RangeInclusive<f64> = 3700.0..=12_000.0;

/// Lowest S/N per model pixel of a spectrum of LAMOST in the training, and for the scale of its pipeline.
const MIN_SNR: f64 = 10.0;
const MIN_SCALE_SNR: f64 = 30.0;

/// Simulated observations of each grid node, for the anchor and for the network.
const NODE_DRAWS: [usize; 2] = [4, 3];

/// Weight of the corrected grid's labels, relative to exact labels of real stars.
const GRID_WEIGHT: f32 = 0.7;

/// Fraction of real stars that the flag for spectra unlike the training set should not affect.
const FLAG_PASS_FRACTION: f64 = 0.995;

/// Position of [α/Fe] in [`NETWORK_LABELS`].
const ALPHA_FE: usize = 3;

/// Data and amount of training.
#[derive(Debug, Clone)]
pub struct RealPlan {
    /// Folder of the standard real sets.
    pub folder: PathBuf,
    /// The published emulator of the grid.
    pub emulator: Emulator,
    /// Simulated observations of each star of MILES.
    pub library_draws: usize,
    /// Simulated observations of each spectrum of LAMOST.
    pub survey_draws: usize,
    /// Passes over the data of the anchor.
    pub anchor_epochs: usize,
    /// Passes over the data of the network.
    pub epochs: usize,
    /// Number of folds of the cross-validation.
    pub folds: usize,
}

/// Trains all stages whose weights are missing, measures the networks by cross-validation, and publishes the model.
pub(super) fn run(plan: &Plan, real_plan: &RealPlan, synthetic: &Synthetic, log: &mut dyn FnMut(&str)) -> Result<()> {
    let device = Device::flex();
    let spectra = RealSpectra::read(&real_plan.folder)?;
    let (library_stars, survey_stars) = (spectra.library_stars(), spectra.survey_stars());
    log(&format!("real stars: {} of MILES, {} of LAMOST", library_stars.len(), survey_stars.len()));
    let trainer = Trainer { plan, real_plan, synthetic, spectra: &spectra, device: &device };
    let predictor_of = |trained: &TrainedNetwork| {
        let (rv, network, subspace) = (synthetic.rv.clone(), trained.network.clone(), trained.subspace.clone());
        Predictor::from_parts(&synthetic.entry, rv, network, subspace, &device)
    };

    let library_folds = folds(&spectra.library.stars, &library_stars, real_plan.folds, plan.seed);
    let survey_folds = folds(&spectra.survey.stars, &survey_stars, real_plan.folds, plan.seed);
    let (mut of_library, mut of_survey) = (OutOfFold::new(), OutOfFold::new());
    let (mut by_fold, mut distances_by_fold) = (Vec::new(), Vec::new());
    for fold in 0..real_plan.folds {
        let (inside, outside): (Vec<usize>, Vec<usize>) = library_stars.iter().partition(|s| library_folds[s] != fold);
        let (survey_inside, survey_outside): (Vec<usize>, Vec<usize>) =
            survey_stars.iter().partition(|s| survey_folds[s] != fold);
        let trained = trainer.train(&inside, &survey_inside, &format!("fold{fold}"), log)?;
        let predictor = predictor_of(&trained);
        of_library.extend(predict_stars(&predictor, &spectra.library, &outside));
        let predicted = predict_stars(&predictor, &spectra.survey, &survey_outside);
        let observe = |stars: &[LibraryEntry], chosen: &[usize], draws, dataset_use, seed| {
            Dataset::of_library(stars, chosen, draws, None, dataset_use, plan.seed + seed)
        };
        let noisy = observe(&trained.library, &outside, 16, DatasetUse::Labels, 7);
        let shifted = observe(&trained.library, &outside, 16, DatasetUse::Velocity, 8);
        let observed = observe(&spectra.survey.stars, &survey_outside, 4, DatasetUse::Labels, 9);
        let mut library = residuals_of(&trained.network, &noisy, &device)?;
        library.insert(Label::Rv, velocity_residuals(&synthetic.rv, &shifted, &device)?);
        let survey = survey_residuals(&spectra.survey, &predicted, &trained.pipeline);
        by_fold.push(FoldResiduals { library, survey });
        of_survey.extend(predicted);
        let distances = |data| distances(&trained.subspace, data);
        distances_by_fold.push([distances(&noisy), distances(&observed)].concat());
    }
    write_out_of_fold(
        &plan.work.join("out-of-fold.csv"),
        [("MILES", &spectra.library, &of_library), ("LAMOST", &spectra.survey, &of_survey)],
    )?;

    let trained = trainer.train(&library_stars, &survey_stars, "all", log)?;
    let visits = spectra.visits(&predictor_of(&trained))?;
    let shifted = Dataset::of_library(&trained.library, &library_stars, 16, None, DatasetUse::Velocity, plan.seed + 8);
    let velocities = velocity_residuals(&synthetic.rv, &shifted, &device)?;
    let rv_accuracy = velocity_accuracy(&velocities, &shifted, "MILES stars shifted by up to 400 km/s, S/N 10–300");
    let (low, high) = TEFF_RANGE_K;
    let n = real_plan.folds;
    let on = format!("MILES {low:.0}–{high:.0} K, {n}-fold cross-validation by star and cluster");
    let survey_on = format!("LAMOST DR10 {low:.0}–{high:.0} K, {n}-fold cross-validation by position");
    let flags_on = "noisy observations of MILES and LAMOST stars outside the training set";
    let entry = ModelEntry {
        trained_on: format!(
            "the synthetic spectra of lrs-mlp-synthetic, then the grid corrected by real stars, {} stars of MILES with \
             labels of several catalogues, and {} spectra of LAMOST DR10 with the labels of its pipeline, brought to the \
             scale of the benchmark stars",
            library_stars.len(),
            survey_stars.len(),
        ),
        accuracy: [
            cross_validated(&spectra.library, &of_library, n),
            vec![rv_accuracy],
            cross_validated_survey(&spectra.survey, &of_survey, n),
        ]
        .concat(),
        measurements: error_calibration_of_folds(&by_fold, &on, &survey_on)
            .into_iter()
            .chain([false_alarms(&distances_by_fold, FLAG_PASS_FRACTION, flags_on)])
            .chain(scale_measurements(&trained.pipeline))
            .collect(),
        errors: error_models(by_fold.iter(), &visits),
        max_distance: quantile(distances_by_fold.concat(), FLAG_PASS_FRACTION).unwrap_or(f64::NAN),
        label_range: vec![
            (Label::Teff, 3950.0, 10_000.0),
            (Label::Logg, 0.0, 5.1),
            (Label::Feh, -3.3, 0.6),
            (Label::AlphaFe, -0.25, 0.6),
            (Label::Rv, -450.0, 450.0),
        ],
        ..entry("lrs-mlp", plan)
    };
    for a in &entry.accuracy {
        log(&format!("{}: {} N {} σ {:.4} bias {:+.4} R² {:.4}", a.on, a.label.symbol(), a.n, a.sigma, a.bias, a.r2));
    }
    for m in &entry.measurements {
        log(&format!("{}, {}: {} {:.4}", m.data_set, m.subject, m.quantity, m.value));
    }
    publish(&plan.models, &bundle(&synthetic.rv, &trained.network, &trained.subspace)?, entry, default_name(plan))?;
    Ok(())
}

/// Real spectra with labels.
struct RealSpectra {
    folder: PathBuf,
    /// MILES, with the labels that its accuracy is measured against.
    library: LabelledLibrary,
    /// Labels of the stars of MILES in several catalogues.
    catalogues: CatalogueLabels,
    /// LAMOST, with the labels of its pipeline.
    survey: LabelledLibrary,
}

impl RealSpectra {
    fn read(folder: &Path) -> Result<Self> {
        let mut library = read_labelled(&folder.join("miles.npz"), &folder.join("miles_labels.csv"))?;
        let ids: Vec<String> = library.stars.iter().map(|s| s.id.clone()).collect();
        let catalogues = CatalogueLabels::read(&folder.join("miles_more_labels.csv"), &ids)?;
        // [α/Fe] is on the scale of Hypatia, which has more stars than the label table.
        let all: Vec<usize> = (0..ids.len()).collect();
        let means = catalogues.means(&catalogues.scales(&all));
        library.stars.iter_mut().zip(means).for_each(|(star, mean)| star.labels[ALPHA_FE] = mean.values[ALPHA_FE]);
        let survey = read_survey(&folder.join("lamost_dr10.npz"), &folder.join("lamost_dr10_labels.csv"))?;
        Ok(Self { folder: folder.to_path_buf(), library, catalogues, survey })
    }

    fn library_stars(&self) -> Vec<usize> {
        let stars = &self.library.stars;
        (0..stars.len()).filter(|&i| TRAINING_TEFF_K.contains(&stars[i].labels[0])).collect()
    }

    fn survey_stars(&self) -> Vec<usize> {
        let stars = &self.survey.stars;
        let is_used = |i: &usize| stars[*i].snr >= MIN_SNR && TRAINING_TEFF_K.contains(&stars[*i].labels[0]);
        (0..stars.len()).filter(is_used).collect()
    }

    /// Residuals of repeat visits from the mean of each star. No network is trained on these spectra.
    fn visits(&self, predictor: &Predictor) -> Result<BTreeMap<Label, Vec<Residual>>> {
        let table = read_table(&self.folder.join("lamost_lrs_labels.csv"))?;
        let evaluated = join(predict_files(predictor, &[self.folder.join("lamost_lrs.npz")])?, &table);
        Ok(visit_residuals(&evaluated, &table, "star_group"))
    }
}

/// A label network trained on real stars.
struct TrainedNetwork {
    network: Regressor,
    /// The stars of MILES with their labels on the benchmark scale.
    library: Vec<LibraryEntry>,
    /// Scale of LAMOST's pipeline.
    pipeline: PipelineScale,
    /// Subspace of the training spectra.
    subspace: Subspace,
}

/// Training of the label network on the corrected grid and on real stars.
struct Trainer<'a> {
    plan: &'a Plan,
    real_plan: &'a RealPlan,
    synthetic: &'a Synthetic,
    spectra: &'a RealSpectra,
    device: &'a Device,
}

impl Trainer<'_> {
    /// Trains on the chosen stars of MILES (`inside`) and of LAMOST (`survey_inside`).
    fn train(
        &self,
        inside: &[usize],
        survey_inside: &[usize],
        name: &str,
        log: &mut dyn FnMut(&str),
    ) -> Result<TrainedNetwork> {
        let (plan, real_plan) = (self.plan, self.real_plan);
        let library = self.on_benchmark_scale(inside, name, log);
        let correction = GridCorrection::fit(&library, inside, &real_plan.emulator)
            .context("too few stars of MILES for a correction of the grid")?;
        let (before, after) = correction.rms;
        log(&format!("{name}: rms of ln(real / synthetic) {before:.4}, after the correction {after:.4}"));
        let survey = &self.spectra.survey.stars;
        let signature = FluxSignature::fit(survey, survey_inside, &correction, &real_plan.emulator)
            .context("too few spectra of LAMOST with S/N ≥ 60 for the signature of its flux calibration")?;
        log(&format!("{name}: rms of LAMOST's signature {:.4}", signature.rms()));
        let observed = |draws, library_draws, seed| {
            let (grid, nodes, signature) = (&self.synthetic.grid, &self.synthetic.nodes, Some(&signature));
            let (labels, seed) = (DatasetUse::Labels, plan.seed + seed);
            let mut data = Dataset::of_corrected_grid(grid, nodes, draws, (&correction, signature), labels, seed)
                .with_weight(GRID_WEIGHT);
            data.extend(Dataset::of_library(&library, inside, library_draws, signature, labels, seed + 1));
            data
        };
        let anchor = stage(plan, &format!("anchor-{name}"), self.device, log, |log| {
            let data = observed(NODE_DRAWS[0], real_plan.library_draws, 5);
            log(&format!("anchor, {name}: {} observations", data.len()));
            let config = config(real_plan.anchor_epochs, plan.seed);
            let report = progress(name, real_plan.anchor_epochs, log);
            Ok(train_regressor::train(&self.synthetic.labels, &data, &config, report)?)
        })?;
        let (pipeline, survey) = self.pipeline_scale(&anchor, survey_inside)?;
        log(&format!("{name}: LAMOST's pipeline − benchmark scale: {pipeline}"));
        let of_survey = |draws, seed| {
            Dataset::of_library(&survey, survey_inside, draws, None, DatasetUse::Labels, plan.seed + seed)
        };
        let network = stage(plan, &format!("labels-{name}"), self.device, log, |log| {
            let mut data = observed(NODE_DRAWS[1], real_plan.library_draws, 15);
            data.extend(of_survey(real_plan.survey_draws, 17));
            log(&format!("{name}: {} observations", data.len()));
            let config = config(real_plan.epochs, plan.seed + 1);
            Ok(train_regressor::train(&anchor, &data, &config, progress(name, real_plan.epochs, log))?)
        })?;
        let mut sample = observed(1, 4, 9);
        sample.extend(of_survey(2, 9));
        Ok(TrainedNetwork { network, library, pipeline, subspace: pca::training_subspace(&sample, plan.seed) })
    }

    /// The stars of MILES with the means of their labels over all catalogues. The scales of the catalogues are fitted to
    /// the stars of the training.
    fn on_benchmark_scale(&self, inside: &[usize], name: &str, log: &mut dyn FnMut(&str)) -> Vec<LibraryEntry> {
        let catalogues = &self.spectra.catalogues;
        let scales = catalogues.scales(inside);
        for scale in &scales {
            let label = NETWORK_LABELS[scale.label].symbol();
            let (offset, slope, sigma) = (scale.offset, scale.slope, scale.sigma);
            log(&format!(
                "{name}: {label} of {} − reference: {offset:+.3}, slope {slope:+.3}, σ {sigma:.3}, {} stars",
                scale.catalogue, scale.n
            ));
        }
        let mut library = self.spectra.library.stars.clone();
        for (star, mean) in library.iter_mut().zip(catalogues.means(&scales)) {
            (star.labels, star.label_errors) = (mean.values, mean.errors);
        }
        library
    }

    /// The scale of LAMOST's pipeline against the anchor, and the stars with the pipeline's labels on the anchor's
    /// scale.
    fn pipeline_scale(&self, anchor: &Regressor, inside: &[usize]) -> Result<(PipelineScale, Vec<LibraryEntry>)> {
        let mut survey = self.spectra.survey.stars.clone();
        let own = self.predict_at_rest(anchor, inside)?;
        let labels = |star: usize| std::array::from_fn(|j| survey[star].labels[j]);
        let pairs = inside.iter().zip(&own).filter(|(star, _)| survey[**star].snr > MIN_SCALE_SNR);
        let pairs: Vec<([f64; 3], [f64; 3])> = pairs.map(|(star, own)| (*own, labels(*star))).collect();
        let pipeline = PipelineScale::fit(&pairs).context("too few spectra of LAMOST for the scale of its pipeline")?;
        for (star, own) in inside.iter().zip(&own) {
            for (j, difference) in pipeline.difference(own).into_iter().enumerate() {
                survey[*star].labels[j] -= difference;
                survey[*star].label_errors[j] = pipeline.sigma[j];
            }
        }
        Ok((pipeline, survey))
    }

    /// Teff, log g and [Fe/H] from spectra of LAMOST, which the headers' velocities brought to rest.
    fn predict_at_rest(&self, network: &Regressor, stars: &[usize]) -> Result<Vec<[f64; 3]>> {
        let input = |star: &LibraryEntry| {
            let flux = linear(&star.log10, &star.flux, &fit_log10());
            normalise(&flux, 0..FIT_PIXELS).map_or(vec![f32::NAN; MODEL_PIXELS], |n| n.norm)
        };
        let inputs: Vec<Vec<f32>> = stars.par_iter().map(|&s| input(&self.spectra.survey.stars[s])).collect();
        let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        let predicted = pollster::block_on(network.predict(&inputs, self.device));
        let predicted = predicted.context("the device returned no predictions")?;
        Ok(predicted.into_iter().map(|row| [row[0], row[1], row[2]]).collect())
    }
}

/// The scale of LAMOST's pipeline at a dwarf and at a giant.
fn scale_measurements(pipeline: &PipelineScale) -> Vec<Measurement> {
    let stars =
        [("dwarf of 5800 K, log g 4.2", [5800.0, 4.2, -0.2]), ("giant of 4800 K, log g 2.5", [4800.0, 2.5, -0.2])];
    let of_star = |(star, labels): (&str, [f64; 3])| {
        let differences = pipeline.difference(&labels).into_iter().zip(NETWORK_LABELS);
        let measurement = |(value, label): (f64, Label)| Measurement {
            quantity: format!(
                "label of LAMOST's pipeline − label on the scale of the benchmark stars, {star}, [Fe/H] −0.2"
            ),
            subject: label.symbol().into(),
            data_set: "LAMOST DR10".into(),
            n: pipeline.n,
            value,
        };
        differences.map(measurement).collect::<Vec<_>>()
    };
    stars.into_iter().flat_map(of_star).collect()
}

fn config(epochs: usize, seed: u64) -> TrainConfig {
    TrainConfig {
        epochs,
        batch: 256,
        lr: 5e-4,
        weight_decay: 1e-2,
        dropout: 0.1,
        line_depth: 0.03,
        ripple: 0.01,
        blank: 0.3,
        seed,
    }
}

/// Predictions for the spectra of some stars, as for a user's files. Rejected spectra are omitted.
fn predict_stars(predictor: &Predictor, library: &LabelledLibrary, stars: &[usize]) -> OutOfFold {
    let spectra: Vec<&Spectrum> = stars.iter().map(|&s| &library.spectra[s]).collect();
    let predictions = pollster::block_on(predictor.predict(&spectra));
    let values = |prediction: Prediction| Label::ALL.map(|l| prediction.get(l).map_or(f64::NAN, |e| e.value));
    stars.iter().copied().zip(predictions).filter_map(|(star, p)| Some((star, values(p.ok()?)))).collect()
}

/// Residuals of a survey's spectra from its pipeline's labels on the benchmark scale, and from the headers' velocities.
fn survey_residuals(
    survey: &LabelledLibrary,
    predicted: &OutOfFold,
    pipeline: &PipelineScale,
) -> BTreeMap<Label, Vec<Residual>> {
    let mut all: BTreeMap<Label, Vec<Residual>> = BTreeMap::new();
    for (star, values) in predicted {
        let difference = pipeline.difference(&[values[0], values[1], values[2]]);
        let truth = survey.truth(*star);
        let kind = ErrorKind { survey: Survey::LamostLrs, teff_k: values[0], logg: values[1], feh: values[2] };
        for (j, label) in Label::ALL.into_iter().enumerate() {
            let value = values[j] - (truth[j] - difference.get(j).copied().unwrap_or(0.0));
            if value.is_finite() {
                let snr = survey.stars[*star].snr;
                all.entry(label).or_default().push(Residual { star: *star, snr, value, kind, coverage: 1.0 });
            }
        }
    }
    all
}
