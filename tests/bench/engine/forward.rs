//! Forward passes: through the predictor that answers on the page, and through the encoder of look-alikes.

use burn::tensor::{Device, Tensor, TensorData};
use specola::model::calibration::Subspace;
use specola::model::encoders::Size;
use specola::model::manifest::ModelEntry;
use specola::model::regressor::Regressor;
use specola::model::weights::Tensors;
use specola::nn::MlpConfig;
use specola::nn::half::Half;
use specola::nn::keyed::Keyed;
use specola::nn::masked_transformer::MaskedTransformer;
use specola::preprocess::grid::MODEL_PIXELS;
use specola::result::Label;
use specola::task::predict::{Batch, Network, Predictor};

use crate::numbers::{made, weights};

/// A predictor around an MLP of made-up weights, which leaves inputs and the output as they are.
pub fn predictor(widths: &[usize], device: &Device) -> Result<Predictor, String> {
    let mut tensors = Tensors::default();
    let plain = MlpConfig::new(widths.to_vec()).init(&Device::flex());
    plain.slots("").iter().for_each(|slot| weights(&mut tensors, slot));
    let (input, output) = (*widths.first().ok_or("no layers")?, *widths.last().ok_or("no layers")?);
    tensors.insert("input_mean", &[input], vec![0.0; input]);
    tensors.insert("input_scale", &[1], vec![1.0]);
    tensors.insert("output_mean", &[output], vec![0.0; output]);
    tensors.insert("output_scale", &[output], vec![1.0; output]);
    tensors.insert("known.mean", &[MODEL_PIXELS], vec![1.0; MODEL_PIXELS]);
    tensors.insert("known.directions", &[1, MODEL_PIXELS], vec![(MODEL_PIXELS as f32).sqrt().recip(); MODEL_PIXELS]);
    let load = || Ok((Regressor::load(&tensors, "", device)?, Subspace::load(&tensors, "known.")?));
    let (network, known) = load().map_err(|why: specola::model::weights::WeightsError| why.to_string())?;
    let entry = ModelEntry { labels: vec![Label::Feh], ..ModelEntry::default() };
    Ok(Predictor::from_parts(&entry, network.clone(), network, known, device))
}

/// An MLP and what goes into it.
pub struct Regression {
    predictor: Predictor,
    batch: Batch,
}

impl Regression {
    pub fn new(widths: &[usize], rows: usize, first: usize, device: &Device) -> Result<Self, String> {
        let pixels = *widths.first().ok_or("no layers")?;
        let inputs = made("input", first * pixels, rows * pixels, 3f64.sqrt(), 0.0);
        Ok(Self { predictor: predictor(widths, device)?, batch: Batch { network: Network::Labels, rows, inputs } })
    }

    pub async fn run(&self) -> Result<Vec<f32>, String> {
        self.predictor.run(self.batch.clone()).await.ok_or_else(|| "the device gave nothing back".into())
    }
}

/// An encoder and what goes into it.
pub struct Encoding {
    encoder: MaskedTransformer,
    inputs: Vec<f32>,
    half: Option<Half>,
    device: Device,
}

impl Encoding {
    pub fn new(size: Size, batch: usize, first: usize, half: Option<Half>, device: &Device) -> Result<Self, String> {
        let empty = size.lrs().init(device);
        let mut tensors = Tensors::default();
        empty.slots("").iter().for_each(|slot| weights(&mut tensors, slot));
        let encoder = empty.loaded(&tensors, "", device).map_err(|why| why.to_string())?;
        let inputs = made("input", first * MODEL_PIXELS, batch * MODEL_PIXELS, 0.2, 1.0);
        Ok(Self { encoder, inputs, half, device: device.clone() })
    }

    pub async fn run(&self) -> Result<Vec<f32>, String> {
        let batch = self.inputs.len() / MODEL_PIXELS;
        let x = Tensor::<2>::from_data(TensorData::new(self.inputs.clone(), [batch, MODEL_PIXELS]), &self.device);
        let embedding = match &self.half {
            Some(half) => self.encoder.embed_half(x, half).map_err(|why| why.to_string())?,
            None => self.encoder.embed(x),
        };
        let data = embedding.into_data_async().await.map_err(|why| format!("{why:?}"))?;
        data.try_to_vec().map_err(|why| format!("{why:?}"))
    }
}
