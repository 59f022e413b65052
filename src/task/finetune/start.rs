//! Where a training starts: an output layer on the base's hidden layers, the closed-form corrections, and the targets
//! that are left for gradient steps.

use super::feature_cache::{FeatureCache, FinetuneError};
use super::gp_correction::GpCorrection;
use super::ridge::RidgeHead;
use super::split::Split;
use crate::result::finetune::{Settings, Strategy};
use crate::stats::mean_and_std;

/// The model before the first gradient step.
pub(super) struct Start {
    /// Output layer on the base's hidden layers: the base's own, or one fitted by ridge regression.
    pub head: RidgeHead,
    /// GP correction, if the strategy is or starts from one.
    pub gp_correction: Option<GpCorrection>,
    /// Standardisation of the label: y = (label − mean)/scale.
    pub mean: f32,
    /// See `mean`.
    pub scale: f32,
    /// Standardised target of each row for the trained part.
    pub targets: Vec<f32>,
}

/// Training and validation rows.
fn labelled_rows(split: &Split) -> Vec<usize> {
    split.train.iter().chain(&split.validation).copied().collect()
}

impl Start {
    /// The start of a strategy on a split. The closed-form strategies are fitted to all labels of the split, as they
    /// need no validation; a start for gradient steps is fitted to the training rows.
    pub(super) fn new(
        cache: &FeatureCache,
        strategy: Strategy,
        split: &Split,
        settings: &Settings,
    ) -> Result<Self, FinetuneError> {
        let labels = cache.labelled_set.values();
        let (mean, scale) = match cache.output_index.filter(|_| strategy.is_transfer()) {
            Some(index) => (cache.base.output_mean[index], cache.base.output_scale[index]),
            None => {
                let (mean, std) = mean_and_std(&split.train.iter().map(|i| labels[*i]).collect::<Vec<_>>());
                (mean as f32, std.max(1e-6) as f32)
            }
        };
        let standardised: Vec<f64> = labels.iter().map(|v| (v - f64::from(mean)) / f64::from(scale)).collect();
        let mut start = Self {
            head: RidgeHead { weights: vec![0.0; cache.last_width], bias: 0.0 },
            gp_correction: None,
            mean,
            scale,
            targets: standardised.iter().map(|v| *v as f32).collect(),
        };
        if !strategy.is_transfer() {
            return Ok(start);
        }
        let rows = if strategy.has_gradient_steps() { split.train.clone() } else { labelled_rows(split) };
        // Prediction of the start for each of `rows`. Each part that is fitted to the labels predicts a star from the
        // other stars (leave-one-out).
        let mut predicted = start.fit_head(cache, strategy, &rows, &standardised)?;
        if strategy == Strategy::Gp || (settings.start_from_gp && strategy.has_gradient_steps()) {
            let residuals: Vec<f64> = rows.iter().zip(&predicted).map(|(i, p)| standardised[*i] - p).collect();
            if let Some((correction, corrections)) = cache.gp_correction(&rows, &residuals) {
                predicted.iter_mut().zip(&corrections).for_each(|(p, c)| *p += c);
                start.gp_correction = Some(correction);
            }
        }
        start.set_targets(cache, strategy, &rows, &predicted, split, &standardised);
        Ok(start)
    }

    /// Sets the output layer; gives its prediction for each of `rows`.
    fn fit_head(
        &mut self,
        cache: &FeatureCache,
        strategy: Strategy,
        rows: &[usize],
        standardised: &[f64],
    ) -> Result<Vec<f64>, FinetuneError> {
        let base = cache.base_head();
        let outputs: Vec<f64> =
            rows.iter().map(|i| base.as_ref().map_or(0.0, |head| head.at(cache.last_hidden(*i)))).collect();
        match base {
            Some(head) if strategy != Strategy::Linear => {
                self.head = head;
                Ok(outputs)
            }
            base => {
                let residuals: Vec<f64> = rows.iter().zip(&outputs).map(|(i, o)| standardised[*i] - o).collect();
                let (change, corrections) = cache.ridge(rows, &residuals).ok_or(FinetuneError::NothingLeft)?;
                self.head = base.map_or(change.clone(), |base| base.plus(&change));
                Ok(outputs.iter().zip(corrections).map(|(o, c)| o + c).collect())
            }
        }
    }

    /// A network that contains the output layer learns the label minus the GP correction. A residual head learns what
    /// both leave over.
    fn set_targets(
        &mut self,
        cache: &FeatureCache,
        strategy: Strategy,
        rows: &[usize],
        predicted: &[f64],
        split: &Split,
        standardised: &[f64],
    ) {
        let adds_to_base = strategy == Strategy::Residual;
        for (i, predicted) in rows.iter().zip(predicted) {
            let head_output = if adds_to_base { 0.0 } else { self.head.at(cache.last_hidden(*i)) };
            self.targets[*i] = (standardised[*i] - predicted + head_output) as f32;
        }
        for i in split.validation.iter().filter(|_| strategy.has_gradient_steps()) {
            let head_output = if adds_to_base { self.head.at(cache.last_hidden(*i)) } else { 0.0 };
            let correction = self.gp_correction.as_ref().map_or(0.0, |gp| gp.at(cache.embedding(*i)));
            self.targets[*i] = (standardised[*i] - correction - head_output) as f32;
        }
    }

    /// The GP correction fitted to training and validation rows, for the final model.
    pub(super) fn refitted_gp(&self, cache: &FeatureCache, split: &Split) -> Option<GpCorrection> {
        let correction = self.gp_correction.clone()?;
        if cache.output_index.is_none() || split.validation.is_empty() {
            return Some(correction);
        }
        let rows = labelled_rows(split);
        let residual = |i: &usize| {
            let label = (cache.labelled_set.spectra[*i].value - f64::from(self.mean)) / f64::from(self.scale);
            label - self.head.at(cache.last_hidden(*i))
        };
        let residuals: Vec<f64> = rows.iter().map(residual).collect();
        cache.gp_correction(&rows, &residuals).map(|(refitted, _)| refitted).or(Some(correction))
    }
}
