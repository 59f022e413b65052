//! Saliency: ∂label/∂flux of each pixel (docs/model-spec.md §4.3), before and after fine-tuning.

use crate::result::Label;
use crate::result::diagnostics::Saliency;
use crate::spectrum::Spectrum;
use crate::task::finetune::adapter::Adapter;
use crate::task::predict::{PredictError, Predictor};

/// ∂label/∂flux of each pixel, for `adapter` on its base model if an adapter is given. `None` for a label that neither
/// predicts.
pub async fn saliency(
    predictor: &Predictor,
    adapter: Option<&Adapter>,
    spectrum: &Spectrum,
    target: &str,
) -> Result<Option<Saliency>, PredictError> {
    let input = predictor.inputs(&[spectrum]).await.pop().ok_or(PredictError::Device)??;
    let output_position =
        Label::from_name(target).and_then(|label| predictor.outputs().iter().position(|l| *l == label));
    let shipped = match output_position {
        Some(output_position) => {
            let gradient = predictor.label_network().gradients(&input.norm, output_position, predictor.device()).await;
            Some((predictor.entry().title(), gradient.ok_or(PredictError::Device)?))
        }
        None => None,
    };
    let target = target.to_owned();
    let Some(adapter) = adapter else {
        return Ok(shipped.map(|(model, gradient)| Saliency { target, model, gradient, shipped_gradient: None }));
    };
    let gradient = adapter.gradients(predictor, &input).await.map_err(|_| PredictError::Device)?;
    Ok(Some(Saliency { target, model: adapter.card().title(), gradient, shipped_gradient: shipped }))
}
