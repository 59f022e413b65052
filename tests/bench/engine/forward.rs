//! Forward passes of the page's predictor, and of the encoder for similar spectra.

use burn::tensor::{Device, Tensor, TensorData};
use specola::model::calibration::Subspace;
use specola::model::encoders::Size;
use specola::model::manifest::ModelEntry;
use specola::model::regressor::Regressor;
use specola::nn::MlpConfig;
use specola::nn::masked_transformer::MaskedTransformer;
use specola::nn::state_dict::StateDict;
use specola::nn::token_parallel::TokenHalf;
use specola::nn::weights::Tensors;
use specola::preprocess::grid::MODEL_PIXELS;
use specola::result::Label;
use specola::task::predict::{Batch, Network, Predictor};

use crate::numbers::{pseudo_random, weights};

/// A predictor with an MLP of pseudo-random weights, without scaling of inputs and outputs.
pub(crate) fn predictor(widths: &[usize], device: &Device) -> Result<Predictor, String> {
    let mut tensors = Tensors::default();
    let network = MlpConfig::new(widths.to_vec()).init(&Device::flex());
    network.array_specs("").iter().for_each(|spec| weights(&mut tensors, spec));
    let (input, output) = (*widths.first().ok_or("no layers")?, *widths.last().ok_or("no layers")?);
    tensors.insert("input_mean", &[input], vec![0.0; input]);
    tensors.insert("input_scale", &[1], vec![1.0]);
    tensors.insert("output_mean", &[output], vec![0.0; output]);
    tensors.insert("output_scale", &[output], vec![1.0; output]);
    tensors.insert("known.mean", &[MODEL_PIXELS], vec![1.0; MODEL_PIXELS]);
    tensors.insert("known.directions", &[1, MODEL_PIXELS], vec![(MODEL_PIXELS as f32).sqrt().recip(); MODEL_PIXELS]);
    let load = || Ok((Regressor::load(&tensors, "", device)?, Subspace::load(&tensors, "known.")?));
    let (network, training_subspace) = load().map_err(|why: specola::nn::weights::WeightsError| why.to_string())?;
    let entry = ModelEntry { labels: vec![Label::Feh], ..ModelEntry::default() };
    Ok(Predictor::from_parts(&entry, network.clone(), network, training_subspace, device))
}

/// An MLP and its inputs.
pub(crate) struct Regression {
    predictor: Predictor,
    batch: Batch,
}

impl Regression {
    pub(crate) fn new(widths: &[usize], rows: usize, first: usize, device: &Device) -> Result<Self, String> {
        let pixels = *widths.first().ok_or("no layers")?;
        let inputs = pseudo_random("input", first * pixels, rows * pixels, 3f64.sqrt(), 0.0);
        Ok(Self { predictor: predictor(widths, device)?, batch: Batch { network: Network::Labels, rows, inputs } })
    }

    pub(crate) async fn run(&self) -> Result<Vec<f32>, String> {
        self.predictor.run(self.batch.clone()).await.ok_or_else(|| "the device gave no output".into())
    }
}

/// An encoder and its inputs.
pub(crate) struct Encoding {
    encoder: MaskedTransformer,
    inputs: Vec<f32>,
    half: Option<TokenHalf>,
    device: Device,
}

impl Encoding {
    pub(crate) fn new(
        size: Size,
        batch: usize,
        first: usize,
        half: Option<TokenHalf>,
        device: &Device,
    ) -> Result<Self, String> {
        let empty = size.lrs().init(device);
        let mut tensors = Tensors::default();
        empty.array_specs("").iter().for_each(|spec| weights(&mut tensors, spec));
        let encoder = empty.load(&tensors, "", device).map_err(|why| why.to_string())?;
        let inputs = pseudo_random("input", first * MODEL_PIXELS, batch * MODEL_PIXELS, 0.2, 1.0);
        Ok(Self { encoder, inputs, half, device: device.clone() })
    }

    pub(crate) async fn run(&self) -> Result<Vec<f32>, String> {
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
