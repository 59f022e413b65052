//! A regression network with physical units: standardises its input and scales its output.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::nn::weights::{Tensors, WeightsError};
use crate::nn::{Mlp, MlpConfig};

/// An [`Mlp`] from normalised flux to labels in their units: (mlp((x − mean) / scale)) · σ + µ.
#[derive(Debug, Clone)]
pub struct Regressor {
    /// The network.
    pub mlp: Mlp,
    /// Widths of its layers, input first.
    pub widths: Vec<usize>,
    /// Mean that is subtracted from the input, one value per pixel.
    pub input_mean: Vec<f32>,
    /// Scale that divides the centred input, one number for all pixels.
    pub input_scale: f32,
    /// Offset of the scaled output, one value per label.
    pub output_mean: Vec<f32>,
    /// Scale of the output, one value per label.
    pub output_scale: Vec<f32>,
}

impl Regressor {
    /// Loads the arrays under `{prefix}`; the shapes come from the file.
    pub fn load(tensors: &Tensors, prefix: &str, device: &Device) -> Result<Self, WeightsError> {
        let mut widths = Vec::new();
        while let Ok(&[out, input]) =
            tensors.shape(&format!("{prefix}network.{}.weight", 2 * widths.len().saturating_sub(1)))
        {
            if widths.is_empty() {
                widths.push(input);
            }
            widths.push(out);
        }
        let [pixels, .., labels] = widths[..] else {
            return Err(WeightsError::Missing(format!("{prefix}network.0.weight")));
        };
        Ok(Self {
            mlp: MlpConfig::new(widths.clone()).load(tensors, prefix, device)?,
            input_mean: tensors.get(&format!("{prefix}input_mean"), &[pixels])?.to_vec(),
            input_scale: tensors.get(&format!("{prefix}input_scale"), &[1])?[0],
            output_mean: tensors.get(&format!("{prefix}output_mean"), &[labels])?.to_vec(),
            output_scale: tensors.get(&format!("{prefix}output_scale"), &[labels])?.to_vec(),
            widths,
        })
    }

    /// Adds all arrays to `tensors` under `{prefix}`.
    pub fn store(&self, tensors: &mut Tensors, prefix: &str) -> Result<(), WeightsError> {
        self.mlp.clone().valid().store(tensors, prefix)?;
        tensors.insert(&format!("{prefix}input_mean"), &[self.input_mean.len()], self.input_mean.clone());
        tensors.insert(&format!("{prefix}input_scale"), &[1], vec![self.input_scale]);
        tensors.insert(&format!("{prefix}output_mean"), &[self.output_mean.len()], self.output_mean.clone());
        tensors.insert(&format!("{prefix}output_scale"), &[self.output_scale.len()], self.output_scale.clone());
        Ok(())
    }

    /// Number of labels.
    pub fn n_outputs(&self) -> usize {
        self.output_mean.len()
    }

    /// Appends the standardised input of one spectrum to a batch. A missing pixel (NaN) takes the mean value.
    pub fn standardise_into(&self, norm: &[f32], batch: &mut Vec<f32>) {
        let standardise = |(x, mean): (&f32, &f32)| if x.is_nan() { 0.0 } else { (x - mean) / self.input_scale };
        batch.extend(norm.iter().zip(&self.input_mean).map(standardise));
    }

    /// Labels of a batch of normalised spectra, each `[1462]`.
    ///
    /// `None` if the device returns no result.
    pub async fn predict(&self, inputs: &[&[f32]], device: &Device) -> Option<Vec<Vec<f64>>> {
        let outputs = self.run(self.standardised(inputs), device).await?;
        Some(self.all_in_units(&outputs))
    }

    /// Standardised inputs of a batch, in one vector.
    pub fn standardised(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut batch = Vec::with_capacity(inputs.len() * self.input_mean.len());
        inputs.iter().for_each(|x| self.standardise_into(x, &mut batch));
        batch
    }

    /// Output of the network alone: standardised inputs → standardised outputs.
    ///
    /// `None` if the device returns no result, or if the length of `inputs` is not a multiple of the pixel count.
    pub async fn run(&self, inputs: Vec<f32>, device: &Device) -> Option<Vec<f32>> {
        let pixels = self.input_mean.len();
        if inputs.is_empty() || !inputs.len().is_multiple_of(pixels) {
            return inputs.is_empty().then(Vec::new);
        }
        let rows = inputs.len() / pixels;
        let x = Tensor::<2>::from_data(TensorData::new(inputs, [rows, pixels]), device);
        self.mlp.forward(x).into_data_async().await.ok()?.try_to_vec().ok()
    }

    /// Derivative of a label with respect to the flux of each pixel, in the label's unit per unit of continuum.
    ///
    /// A missing pixel gives NaN. `None` if the device returns no result, or if the output does not exist.
    pub async fn gradients(&self, norm: &[f32], output: usize, device: &Device) -> Option<Vec<f32>> {
        let scale = self.output_scale.get(output)?;
        let x = Tensor::<2>::from_data(TensorData::new(self.standardised(&[norm]), [1, norm.len()]), device);
        let gradients = self.mlp.gradients(x, output).into_data_async().await.ok()?.try_to_vec().ok()?;
        Some(self.gradients_in_units(norm, gradients, *scale))
    }

    /// Converts derivatives between standardised quantities to the label's unit per unit of continuum.
    ///
    /// `scale` is the output scale of the label.
    pub fn gradients_in_units(&self, norm: &[f32], gradients: Vec<f32>, scale: f32) -> Vec<f32> {
        let convert =
            |(gradient, x): (f32, &f32)| if x.is_nan() { f32::NAN } else { gradient * scale / self.input_scale };
        gradients.into_iter().zip(norm).map(convert).collect()
    }

    /// Converts the standardised outputs of a batch to the labels' units, row by row.
    pub fn all_in_units(&self, outputs: &[f32]) -> Vec<Vec<f64>> {
        outputs.chunks(self.n_outputs()).map(|row| self.in_units(row)).collect()
    }

    /// Converts standardised outputs to the labels' units.
    pub fn in_units(&self, row: &[f32]) -> Vec<f64> {
        row.iter()
            .zip(self.output_mean.iter().zip(&self.output_scale))
            .map(|(y, (m, s))| f64::from(y * s + m))
            .collect()
    }
}
