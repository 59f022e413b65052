//! A network that was taught a label: the shipped one's hidden layers or its own, and what was added.

use burn::tensor::{Device, Tensor};

use super::classroom::{TeachError, embedding_depth, matrix, one_output, values, with_head};
use super::closed_form::ClosedForm;
use super::look::{Column, HALVES, Star, looks, of_half};
use super::ridge::Head;
use super::{Adapter, Pupil};
use crate::model::regressor::Regressor;
use crate::model::weights::{Tensors, WeightsError};
use crate::nn::keyed::{Keyed, parameters};
use crate::nn::lora::{Lora, LoraConfig};
use crate::nn::residual_head::{ResidualHead, ResidualHeadConfig};
use crate::nn::{Mlp, MlpConfig};
use crate::result::teach::{Settings, Sight, Strategy};
use crate::task::predict::LabelInput;

/// What answers for the label.
#[derive(Debug, Clone)]
pub struct Taught {
    pub(super) strategy: Strategy,
    pub(super) network: Answering,
    /// Output of the shipped network that is the label, if it has one.
    pub(super) column: Option<Column>,
    /// Its residuals by like stars, in standardised units; the shipped network tells which are alike.
    pub(super) closed_form: Option<ClosedForm>,
    /// Added to the scaled output.
    pub(super) mean: f32,
    /// The output is multiplied by this.
    pub(super) scale: f32,
}

/// A network with one standardised output.
#[derive(Debug, Clone)]
// One exists at a time, and a box would only add an indirection.
#[allow(clippy::large_enum_variant)]
pub(super) enum Answering {
    /// All layers its own.
    Network(Mlp),
    /// The shipped hidden layers with an output, as they are.
    Frozen(Head, Mlp),
    /// The same with corrections of the hidden layers.
    Lora(Head, Mlp, Lora),
    /// The same with a head beside it.
    Residual(Head, Mlp, ResidualHead, Sight),
}

impl Taught {
    /// What was taught.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// True when it needs to know how a star differs from the emulator's spectrum.
    pub fn is_refined(&self) -> bool {
        self.closed_form.as_ref().is_some_and(ClosedForm::is_refined)
    }

    /// The label of some spectra; `base` is the network it was taught on.
    pub async fn answer(
        &self,
        base: &Regressor,
        inputs: &[&LabelInput],
        device: &Device,
    ) -> Result<Vec<f64>, TeachError> {
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows = Vec::with_capacity(inputs.len() * base.input_mean.len());
        inputs.iter().for_each(|input| base.standardise_into(&input.norm, &mut rows));
        let x = matrix(rows.clone(), base.input_mean.len(), device);
        let embed = |x: &Tensor<2>| base.mlp.embed(x.clone(), embedding_depth(&base.widths));
        let output = match &self.network {
            Answering::Network(network) | Answering::Frozen(_, network) => network.forward(x.clone()),
            Answering::Lora(_, network, lora) => lora.forward(network, x.clone()),
            Answering::Residual(_, network, head, Sight::Flux) => network.forward(x.clone()) + head.forward(x.clone()),
            Answering::Residual(_, network, head, Sight::Embedding) => {
                network.forward(x.clone()) + head.forward(embed(&x))
            }
        };
        let mut answers: Vec<f64> = values(output).await?.into_iter().map(f64::from).collect();
        if let Some(closed) = &self.closed_form {
            for ((answer, look), input) in
                answers.iter_mut().zip(looks(base, self.column, &rows, device).await?).zip(inputs)
            {
                *answer += closed.at(&Star { look: &look, input }, self.scale);
            }
        }
        Ok(answers.into_iter().map(|y| y * f64::from(self.scale) + f64::from(self.mean)).collect())
    }

    /// How the label changes with the flux of each pixel of a spectrum, in the label's unit for a change by the whole
    /// continuum; NaN where the pixel is missing. What the emulator's spectrum adds is left out: it stays as it is.
    pub async fn slopes(&self, base: &Regressor, input: &LabelInput, device: &Device) -> Result<Vec<f32>, TeachError> {
        let norm = &input.norm;
        let x = matrix(base.standardised(&[norm]), base.input_mean.len(), device);
        let depth = embedding_depth(&base.widths);
        let slopes = match &self.network {
            Answering::Network(network) | Answering::Frozen(_, network) => network.slopes(x.clone(), 0),
            Answering::Lora(_, network, lora) => lora.merged(network).slopes(x.clone(), 0),
            Answering::Residual(_, network, head, Sight::Flux) => {
                network.slopes(x.clone(), 0) + head.slopes(x.clone(), 0)
            }
            Answering::Residual(_, network, head, Sight::Embedding) => {
                let beside = head.slopes(base.mlp.embed(x.clone(), depth), 0);
                network.slopes(x.clone(), 0) + base.mlp.slopes_through(x.clone(), depth, beside)
            }
        };
        let mut slopes = values(slopes).await?;
        if let Some(closed) = &self.closed_form {
            self.add_slopes_of(closed, base, input, &mut slopes, device).await?;
        }
        Ok(base.slopes_in_units(norm, slopes, self.scale))
    }

    /// Adds the slopes of the closed form, standardised.
    async fn add_slopes_of(
        &self,
        closed: &ClosedForm,
        base: &Regressor,
        input: &LabelInput,
        slopes: &mut [f32],
        device: &Device,
    ) -> Result<(), TeachError> {
        let mut add = |more: &[f32], part: f32| slopes.iter_mut().zip(more).for_each(|(s, more)| *s += part * more);
        let rows = base.standardised(&[&input.norm]);
        let at = |rows: &[f32]| matrix(rows.to_vec(), rows.len(), device);
        for look in looks(base, self.column, &rows, device).await? {
            let [by_embedding, by_contributions] = closed.slopes_at(&Star { look: &look, input });
            let depth = embedding_depth(&base.widths);
            add(&values(base.mlp.slopes_through(at(&rows), depth, at(&by_embedding))).await?, 1.0);
            let Some(Column { taught, .. }) = self.column else { continue };
            let through = base.mlp.slopes_through_contributions(at(&rows), taught, at(&by_contributions));
            add(&values(through).await?, 1.0);
            if !closed.begins_refined() {
                continue;
            }
            // The mean of the whole and both halves in place of the whole.
            add(&values(base.mlp.slopes(at(&rows), taught)).await?, -2.0 / 3.0);
            for half in &HALVES {
                let slopes = values(base.mlp.slopes(at(&of_half(half, &rows)), taught)).await?;
                add(&of_half(half, &slopes), 1.0 / 3.0);
            }
        }
        Ok(())
    }

    /// Its own arrays: those that the network it was taught on does not have.
    pub(super) async fn arrays(&self) -> Result<Tensors, WeightsError> {
        let mut arrays = match &self.network {
            Answering::Network(network) => parameters(network, "own.").await?,
            Answering::Frozen(..) => Tensors::default(),
            Answering::Lora(_, _, lora) => parameters(lora, "lora.").await?,
            Answering::Residual(_, _, head, _) => parameters(head, "residual.").await?,
        };
        if let Answering::Frozen(head, _) | Answering::Lora(head, ..) | Answering::Residual(head, ..) = &self.network {
            arrays.insert("output.weight", &[head.weights.len()], head.weights.clone());
            arrays.insert("output.bias", &[1], vec![head.bias]);
        }
        if let Some(closed) = &self.closed_form {
            closed.store(&mut arrays, "closed_form.");
        }
        arrays.insert("standardisation", &[2], vec![self.mean, self.scale]);
        Ok(arrays)
    }

    /// The network of these arrays on `base`, whose own arrays are `base_arrays`.
    pub(super) fn load(
        arrays: &Tensors,
        strategy: Strategy,
        settings: &Settings,
        base: &Regressor,
        column: Option<Column>,
        base_arrays: &Tensors,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let &[mean, scale] = arrays.get("standardisation", &[2])? else {
            return Err(WeightsError::Missing("standardisation".into()));
        };
        let own = || MlpConfig::new(one_output(&base.widths)).load(arrays, "own.", device);
        let frozen = || {
            let width = base.widths[base.widths.len() - 2];
            let weights = arrays.get("output.weight", &[width])?.to_vec();
            let head = Head { weights, bias: arrays.get("output.bias", &[1])?[0] };
            let network = with_head(base_arrays, &base.widths, &head, device)?;
            Ok::<_, WeightsError>((head, network))
        };
        let network = match strategy {
            Strategy::Full | Strategy::Scratch => Answering::Network(own()?),
            Strategy::ZeroShot => {
                let (head, network) = frozen()?;
                Answering::Frozen(head, network)
            }
            Strategy::Lora => {
                let (head, network) = frozen()?;
                let config = LoraConfig::new().with_rank(settings.rank).with_alpha(settings.alpha);
                let lora = config.init(&network, device).loaded(arrays, "lora.", device)?;
                Answering::Lora(head, network, lora)
            }
            Strategy::Residual => {
                let (head, network) = frozen()?;
                let config = ResidualHeadConfig::new(sight_width(settings.sight, &base.widths));
                let beside = config.with_hidden(settings.hidden).init(device).loaded(arrays, "residual.", device)?;
                Answering::Residual(head, network, beside, settings.sight)
            }
        };
        let widths = [base.widths[embedding_depth(&base.widths)], base.widths[1]];
        let closed_form = ClosedForm::load(arrays, "closed_form.", column, widths)?;
        Ok(Self { strategy, network, column, closed_form, mean, scale })
    }

    /// The network that is taught, for a look at the loss around its weights.
    pub fn pupil(&self) -> Option<Pupil> {
        match self.network.clone() {
            Answering::Network(network) | Answering::Frozen(_, network) => Some(Pupil::full(network)),
            Answering::Lora(_, network, lora) => Some(Pupil::adapted(network, Adapter::Lora(lora))),
            Answering::Residual(_, network, head, Sight::Flux) => {
                Some(Pupil::adapted(network, Adapter::Residual(head)))
            }
            Answering::Residual(_, _, _, Sight::Embedding) => None,
        }
    }
}

/// Numbers that a residual head takes.
pub(super) fn sight_width(sight: Sight, widths: &[usize]) -> usize {
    match sight {
        Sight::Flux => widths[0],
        Sight::Embedding => widths[embedding_depth(widths)],
    }
}
