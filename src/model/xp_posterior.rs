//! Joint density of stellar parameters given a Gaia XP spectrum: a normalising flow on the input of
//! [`super::xp_regressor`].

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::xp_regressor::{Projected, XP_LABELS, XpBrightness, XpComponents};
use crate::nn::flow::{Flow, FlowConfig, standard_normal};
use crate::nn::state_dict::StateDict;
use crate::nn::weights::{Tensors, WeightsError};
use crate::stats::quantiles;

/// Settings that the weights do not show, stored in the manifest's `networks`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct XpPosteriorConfig {
    /// Kind and sizes of the flow.
    pub flow: FlowConfig,
    /// Changes of the draws in ranges of brightness, brightest first. With them, the ranks of validation stars are
    /// uniform.
    pub recalibration: Vec<Recalibration>,
}

/// Change of the draws in a range of brightness.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recalibration {
    /// Upper limit of the magnitude.
    pub g_below: f64,
    /// S/N per sample of stars at this limit, for spectra whose flux has no absolute unit.
    pub snr_at_limit: f64,
    /// The change.
    pub change: DrawChange,
}

/// Change of the marginal of each label; Teff in log10.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DrawChange {
    /// Shift of all draws, in units of half the central 68.27 % interval.
    pub shifts: [f64; XP_LABELS],
    /// Factor on the distance of each draw from the median.
    pub factors: [f64; XP_LABELS],
}

impl DrawChange {
    /// No change.
    pub const NONE: Self = Self { shifts: [0.0; XP_LABELS], factors: [1.0; XP_LABELS] };
}

/// Median of some draws, and half their central 68.27 % interval.
pub fn median_and_spread(draws: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let [low, median, high] = quantiles(draws, [0.158_655, 0.5, 0.841_345])?;
    Some((median, (high - low) / 2.0))
}

/// The flow with its input.
#[derive(Debug, Clone)]
pub struct XpPosterior {
    /// Principal components for the input.
    pub components: XpComponents,
    /// The flow over log10 Teff, log g, [Fe/H], [α/M].
    pub flow: Flow,
}

/// Prefix of the flow's arrays.
const FLOW_PREFIX: &str = "flow.";

impl XpPosterior {
    /// Loads the flow and its components.
    pub fn load(tensors: &Tensors, config: &FlowConfig, device: &Device) -> Result<Self, WeightsError> {
        let components = XpComponents::load(tensors)?;
        if (config.features, config.context) != (XP_LABELS, components.input_width()) {
            let expected = vec![XP_LABELS, components.input_width()];
            return Err(WeightsError::Shape {
                name: FLOW_PREFIX.into(),
                found: vec![config.features, config.context],
                expected,
            });
        }
        Ok(Self { components, flow: config.init(device).load(tensors, FLOW_PREFIX, device)? })
    }

    /// Adds all arrays to `tensors`.
    pub fn store(&self, tensors: &mut Tensors) -> Result<(), WeightsError> {
        self.components.store(tensors);
        self.flow.clone().valid().store(tensors, FLOW_PREFIX)
    }

    /// `n` draws of Teff (K), log g, [Fe/H] and [α/M] for one spectrum, with a change of the marginals. The same seed
    /// gives the same draws.
    ///
    /// `None` if the device returns no result.
    pub async fn draw(
        &self,
        spectrum: &Projected,
        n: usize,
        seed: u64,
        change: &DrawChange,
        device: &Device,
    ) -> Option<Vec<[f64; XP_LABELS]>> {
        let x = Tensor::<2>::from_data(TensorData::new(spectrum.input.clone(), [1, spectrum.input.len()]), device);
        let noise = TensorData::new(standard_normal(seed, n * XP_LABELS), [n, XP_LABELS]);
        let (labels, _) = self.flow.inverse(Tensor::from_data(noise, device), x);
        let values: Vec<f32> = labels.into_data_async().await.ok()?.try_to_vec().ok()?;
        let mut draws: Vec<[f64; XP_LABELS]> = values.as_chunks().0.iter().map(|row| row.map(f64::from)).collect();
        for (j, (shift, factor)) in change.shifts.iter().zip(&change.factors).enumerate() {
            let Some((median, spread)) = median_and_spread(draws.iter().map(|d| d[j])) else { continue };
            draws.iter_mut().for_each(|d| d[j] = median + shift * spread + factor * (d[j] - median));
        }
        draws.iter_mut().for_each(|d| d[0] = 10f64.powf(d[0]));
        Some(draws)
    }
}

impl XpPosteriorConfig {
    /// The change for a brightness.
    pub fn change(&self, brightness: XpBrightness) -> DrawChange {
        let is_in = |r: &&Recalibration| brightness.is_brighter(r.g_below, r.snr_at_limit);
        let found = self.recalibration.iter().find(is_in).or(self.recalibration.last());
        found.map_or(DrawChange::NONE, |r| r.change)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::flow::FlowKind;
    use crate::stats::{mean_and_std, quantile};

    fn components() -> XpComponents {
        // One direction: the first sample.
        let directions = (0..343).map(|i| if i == 0 { 1.0 } else { 0.0 }).collect();
        XpComponents { mean: vec![0.0; 343], directions, scale: vec![1.0] }
    }

    #[test]
    fn draws_survive_the_file_and_widen_about_their_median() {
        let device = Device::flex();
        device.seed(11);
        let config = FlowConfig::new(FlowKind::Nsf, XP_LABELS, 4).with_hidden(8);
        let moments = |values: [f32; 4]| Tensor::<1>::from_floats(values, &device);
        let flow = config.init(&device).with_standardisation(
            [moments([0.0; 4]), moments([1.0; 4])],
            [moments([3.7, 2.5, -0.3, 0.1]), moments([0.02, 0.3, 0.1, 0.05])],
        );
        let posterior = XpPosterior { components: components(), flow };
        let mut tensors = Tensors::default();
        posterior.store(&mut tensors).expect("the arrays are on this device");
        let file = tensors.to_f32_file().expect("finite weights");
        let loaded =
            XpPosterior::load(&Tensors::parse(&file).expect("a file"), &config, &device).expect("its own file");
        let spectrum = Projected { input: vec![0.3, 0.1, -0.2, 0.4], distance: 1.0, residual: 1.0 };
        let draw = |posterior: &XpPosterior, shift: f64, factor: f64| {
            let change = DrawChange { shifts: [shift; XP_LABELS], factors: [factor; XP_LABELS] };
            pollster::block_on(posterior.draw(&spectrum, 500, 3, &change, &device)).expect("a CPU")
        };
        let draws = draw(&posterior, 0.0, 1.0);
        assert_eq!(draws, draw(&loaded, 0.0, 1.0));
        let (wide, shifted) = (draw(&posterior, 0.0, 2.0), draw(&posterior, -0.5, 1.0));
        for j in 1..XP_LABELS {
            let column = |draws: &[[f64; 4]]| draws.iter().map(|d| d[j]).collect::<Vec<f64>>();
            let (narrow, wide, shifted) = (column(&draws), column(&wide), column(&shifted));
            let (median, spread) = median_and_spread(narrow.clone()).expect("draws");
            let lower = quantile(shifted, 0.5).expect("draws");
            assert!((lower - (median - 0.5 * spread)).abs() < 1e-6 * spread);
            assert_eq!(quantile(narrow.clone(), 0.5), quantile(wide.clone(), 0.5));
            assert!((mean_and_std(&wide).1 / mean_and_std(&narrow).1 - 2.0).abs() < 1e-6);
        }
        assert!(draws.iter().all(|d| (2000.0..12_000.0).contains(&d[0])), "Teff is in kelvin");
        let other = FlowConfig::new(FlowKind::Nsf, XP_LABELS, 5);
        assert!(XpPosterior::load(&Tensors::parse(&file).expect("a file"), &other, &device).is_err());
    }

    #[test]
    fn changes_follow_brightness() {
        let recalibration = |g_below, snr_at_limit, factor| {
            let change = DrawChange { shifts: [0.1; XP_LABELS], factors: [factor; XP_LABELS] };
            Recalibration { g_below, snr_at_limit, change }
        };
        let flow = FlowConfig::new(FlowKind::Nsf, XP_LABELS, 4);
        let recalibration = vec![recalibration(12.0, 100.0, 1.1), recalibration(f64::MAX, 0.0, 1.5)];
        let config = XpPosteriorConfig { flow, recalibration };
        let factor = |mean_flux: f64, snr| config.change(XpBrightness::of(mean_flux, snr)).factors[0];
        assert_eq!((factor(1e-14, Some(20.0)), factor(1e-17, Some(20.0))), (1.1, 1.5));
        assert_eq!((factor(1.0, Some(120.0)), factor(1.0, Some(60.0)), factor(1.0, None)), (1.1, 1.5, 1.5));
    }
}
