//! What an answer rests on: the derivative of a label by the flux of each pixel (MODEL_SPEC §4.3), before and after teaching.

use crate::result::Label;
use crate::result::reading::Saliency;
use crate::spectrum::Spectrum;
use crate::task::predict::{NoPrediction, Predictor};

/// How a label changes with the flux. `None` for a label that nothing here gives.
pub async fn saliency(
    predictor: &Predictor,
    spectrum: &Spectrum,
    target: &str,
) -> Result<Option<Saliency>, NoPrediction> {
    let input = predictor.inputs_to_refine(&[spectrum]).await.pop().ok_or(NoPrediction::Device)??;
    let output = Label::from_name(target).and_then(|label| predictor.outputs().iter().position(|l| *l == label));
    let shipped = match output {
        Some(output) => {
            let slope = predictor.label_network().slopes(&input.norm, output, predictor.device()).await;
            Some((predictor.entry().title(), slope.ok_or(NoPrediction::Device)?))
        }
        None => None,
    };
    let target = target.to_owned();
    let Some(adapter) = predictor.adapter().filter(|adapter| adapter.card().target == target) else {
        return Ok(shipped.map(|(by, slope)| Saliency { target, by, slope, before: None }));
    };
    let slope = adapter.slopes(predictor, &input).await.map_err(|_| NoPrediction::Device)?;
    Ok(Some(Saliency { target, by: adapter.card().title(), slope, before: shipped }))
}
