//! How a spectrum becomes the tokens of a masked transformer (MODEL_SPEC §2.1 and §2.3).

use burn::config::Config;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// The two ways of the two surveys.
#[derive(Config, Debug, PartialEq)]
pub enum TokensConfig {
    /// LRS: overlapping slices of the standardised flux, and one special token with log10 of the standard deviation.
    Slices(SliceConfig),
    /// XP: each pixel a token, and one special token with mean and standard deviation.
    Pixels,
}

/// How an LRS spectrum is sliced.
#[derive(Config, Debug, PartialEq)]
pub struct SliceConfig {
    /// Pixels a slice.
    #[config(default = 20)]
    pub length: usize,
    /// Pixels that neighbouring slices share.
    #[config(default = 10)]
    pub overlap: usize,
}

impl TokensConfig {
    /// Numbers a token.
    pub fn width(&self) -> usize {
        match self {
            Self::Slices(slice) => slice.length + 1,
            Self::Pixels => 3,
        }
    }

    /// Tokens of a spectrum of `pixels`, the special one included: 146 of 1462, 344 of 343.
    pub fn count(&self, pixels: usize) -> usize {
        1 + match self {
            Self::Slices(slice) => slice.starts(pixels),
            Self::Pixels => pixels,
        }
    }

    /// # Shapes
    /// `[batch, pixels]` → `[batch, count(pixels), width()]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<3> {
        let (z, mean, std) = standardise(x);
        let device = z.device();
        let [batch, pixels] = z.dims();
        let zeros = |n: usize, width: usize| Tensor::<3>::zeros([batch, n, width], &device);
        match self {
            Self::Slices(slice) => {
                let n = slice.starts(pixels);
                let log_std = (std.log() / std::f64::consts::LN_10).unsqueeze_dim::<3>(2);
                let special = Tensor::cat(vec![log_std, zeros(1, slice.length)], 2);
                let slices = z.select(1, slice.pixels(n, &device)).reshape([batch, n, slice.length]);
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
    /// Number of slices. The reference throws its last one away, so the last pixels are in no token.
    fn starts(&self, pixels: usize) -> usize {
        let step = self.length.saturating_sub(self.overlap).max(1);
        let n = pixels.saturating_sub(self.overlap).div_ceil(step).saturating_sub(1);
        n.min((pixels + step).saturating_sub(self.length) / step)
    }

    fn pixels(&self, n: usize, device: &Device) -> Tensor<1, Int> {
        let step = self.length.saturating_sub(self.overlap).max(1);
        let all: Vec<i32> = (0..n).flat_map(|s| (0..self.length).map(move |i| (s * step + i) as i32)).collect();
        let count = all.len();
        Tensor::from_data(TensorData::new(all, [count]), device)
    }
}

/// (x − mean) / std, mean `[batch, 1]` and the unbiased std `[batch, 1]` of `[batch, pixels]`.
pub fn standardise(x: Tensor<2>) -> (Tensor<2>, Tensor<2>, Tensor<2>) {
    let mean = x.clone().mean_dim(1);
    let centred = x - mean.clone();
    let n = centred.dims()[1].saturating_sub(1).max(1) as f64;
    let std = (centred.clone().powi_scalar(2).sum_dim(1) / n).sqrt();
    (centred / std.clone(), mean, std)
}
