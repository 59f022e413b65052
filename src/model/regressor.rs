//! A network between physical units: what goes in and out of it standardised.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::weights::{Tensors, WeightsError};
use crate::nn::{Mlp, MlpConfig};

/// An [`Mlp`] that takes normalised flux and gives labels in their units: (mlp((x − mean) / scale)) · σ + µ.
#[derive(Debug, Clone)]
pub struct Regressor {
    /// The network between.
    pub mlp: Mlp,
    /// Its widths, input first.
    pub widths: Vec<usize>,
    /// Subtracted from the input, one value a pixel.
    pub input_mean: Vec<f32>,
    /// The centred input is divided by this one number.
    pub input_scale: f32,
    /// Added to the scaled output, one value a label.
    pub output_mean: Vec<f32>,
    /// The output is multiplied by this, one value a label.
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

    /// Adds everything to `tensors` under `{prefix}`.
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

    /// The standardised input of one spectrum, appended to a batch. A missing pixel (NaN) counts as an average one.
    pub fn standardise_into(&self, norm: &[f32], batch: &mut Vec<f32>) {
        let standard = |(x, mean): (&f32, &f32)| if x.is_nan() { 0.0 } else { (x - mean) / self.input_scale };
        batch.extend(norm.iter().zip(&self.input_mean).map(standard));
    }

    /// Labels of a batch of normalised spectra, each `[1462]`.
    ///
    /// `None` when the device gives nothing back.
    pub async fn predict(&self, inputs: &[&[f32]], device: &Device) -> Option<Vec<Vec<f64>>> {
        let outputs = self.run(self.standardised(inputs), device).await?;
        Some(self.all_in_units(&outputs))
    }

    /// The standardised inputs of a batch, one after the other.
    pub fn standardised(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let mut batch = Vec::with_capacity(inputs.len() * self.input_mean.len());
        inputs.iter().for_each(|x| self.standardise_into(x, &mut batch));
        batch
    }

    /// The network alone: standardised inputs to standardised outputs.
    ///
    /// `None` when the device gives nothing back, or the inputs are no whole number of spectra.
    pub async fn run(&self, inputs: Vec<f32>, device: &Device) -> Option<Vec<f32>> {
        let pixels = self.input_mean.len();
        if inputs.is_empty() || !inputs.len().is_multiple_of(pixels) {
            return inputs.is_empty().then(Vec::new);
        }
        let rows = inputs.len() / pixels;
        let x = Tensor::<2>::from_data(TensorData::new(inputs, [rows, pixels]), device);
        self.mlp.forward(x).into_data_async().await.ok()?.try_to_vec().ok()
    }

    /// How a label changes with the flux of each pixel, in the label's unit for a change by the whole continuum; NaN where the
    /// pixel is missing.
    ///
    /// `None` when the device gives nothing back, or there is no such output.
    pub async fn slopes(&self, norm: &[f32], output: usize, device: &Device) -> Option<Vec<f32>> {
        let scale = self.output_scale.get(output)?;
        let x = Tensor::<2>::from_data(TensorData::new(self.standardised(&[norm]), [1, norm.len()]), device);
        let slopes = self.mlp.slopes(x, output).into_data_async().await.ok()?.try_to_vec().ok()?;
        Some(self.slopes_in_units(norm, slopes, *scale))
    }

    /// Derivatives of a standardised output by standardised inputs, in the unit of which the output's is `scale`.
    pub fn slopes_in_units(&self, norm: &[f32], slopes: Vec<f32>, scale: f32) -> Vec<f32> {
        let of = |(slope, x): (f32, &f32)| if x.is_nan() { f32::NAN } else { slope * scale / self.input_scale };
        slopes.into_iter().zip(norm).map(of).collect()
    }

    /// Standardised outputs of a batch in the labels' units, row by row.
    pub fn all_in_units(&self, outputs: &[f32]) -> Vec<Vec<f64>> {
        outputs.chunks(self.n_outputs()).map(|row| self.in_units(row)).collect()
    }

    /// Standardised outputs in the labels' units.
    pub fn in_units(&self, row: &[f32]) -> Vec<f64> {
        row.iter()
            .zip(self.output_mean.iter().zip(&self.output_scale))
            .map(|(y, (m, s))| f64::from(y * s + m))
            .collect()
    }
}
