//! Conversion of a spectrum to the tokens of a masked transformer (docs/model-spec.md §2.1 and §2.3).

use burn::config::Config;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Token layout of each survey.
#[derive(Config, Debug, PartialEq)]
pub enum TokensConfig {
    /// LRS: overlapping slices of the standardised flux, and one special token with log10 of the standard deviation.
    Slices(SliceConfig),
    /// XP: one token per pixel, and one special token with mean and standard deviation.
    Pixels,
}

/// Slicing of an LRS spectrum.
#[derive(Config, Debug, PartialEq)]
pub struct SliceConfig {
    /// Number of pixels per slice.
    #[config(default = 20)]
    pub length: usize,
    /// Number of pixels that neighbouring slices share.
    #[config(default = 10)]
    pub overlap: usize,
}

impl TokensConfig {
    /// Width of a token: count of numbers per token.
    pub fn width(&self) -> usize {
        match self {
            Self::Slices(slice) => slice.length + 1,
            Self::Pixels => 3,
        }
    }

    /// Number of tokens of a spectrum of `pixels`, including the special token: 146 for 1462 pixels, 344 for 343.
    pub fn count(&self, pixels: usize) -> usize {
        1 + match self {
            Self::Slices(slice) => slice.n_slices(pixels),
            Self::Pixels => pixels,
        }
    }

    /// Tokens of a batch of spectra.
    ///
    /// # Shapes
    /// `[batch, pixels]` → `[batch, count(pixels), width()]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<3> {
        let (z, mean, std) = standardise(x);
        let device = z.device();
        let [batch, pixels] = z.dims();
        let zeros = |n: usize, width: usize| Tensor::<3>::zeros([batch, n, width], &device);
        match self {
            Self::Slices(slice) => {
                let n = slice.n_slices(pixels);
                let log_std = (std.log() / std::f64::consts::LN_10).unsqueeze_dim::<3>(2);
                let special = Tensor::cat(vec![log_std, zeros(1, slice.length)], 2);
                let slices = z.select(1, slice.pixel_indices(n, &device)).reshape([batch, n, slice.length]);
                Tensor::cat(vec![special, Tensor::cat(vec![zeros(n, 1), slices], 2)], 1)
            }
            Self::Pixels => {
                let special = Tensor::cat(vec![mean, std], 1).unsqueeze_dim::<3>(1);
                let special = Tensor::cat(vec![special, zeros(1, 1)], 2);
                let flux = Tensor::cat(vec![zeros(pixels, 2), z.unsqueeze_dim::<3>(2)], 2);
                Tensor::cat(vec![special, flux], 1)
            }
        }
    }
}

impl SliceConfig {
    /// Number of slices. The reference discards its last slice, so no token contains the last pixels.
    fn n_slices(&self, pixels: usize) -> usize {
        let step = self.length.saturating_sub(self.overlap).max(1);
        let n = pixels.saturating_sub(self.overlap).div_ceil(step).saturating_sub(1);
        n.min((pixels + step).saturating_sub(self.length) / step)
    }

    fn pixel_indices(&self, n: usize, device: &Device) -> Tensor<1, Int> {
        let step = self.length.saturating_sub(self.overlap).max(1);
        let indices: Vec<i32> = (0..n).flat_map(|s| (0..self.length).map(move |i| (s * step + i) as i32)).collect();
        let count = indices.len();
        Tensor::from_data(TensorData::new(indices, [count]), device)
    }
}

/// Standardised flux (x − mean) / std of `[batch, pixels]`, with mean `[batch, 1]` and unbiased std `[batch, 1]`.
pub fn standardise(x: Tensor<2>) -> (Tensor<2>, Tensor<2>, Tensor<2>) {
    let mean = x.clone().mean_dim(1);
    let centred = x - mean.clone();
    let n = centred.dims()[1].saturating_sub(1).max(1) as f64;
    let std = (centred.clone().powi_scalar(2).sum_dim(1) / n).sqrt();
    (centred / std.clone(), mean, std)
}
