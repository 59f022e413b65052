//! The Gaussian error linear unit, exact form: x·(1 + erf(x/√2))/2.

use burn::tensor::{DType, Device, Tensor, activation};

/// Beyond this erf is one to half a unit in the last place of a number.
const ERF_END: f32 = 3.95;

/// erf(x)/x as a quotient of two polynomials in x², lowest power first: least largest error on |x| ≤ `ERF_END`, 5e-8, to which
/// the rounding of the quotient adds 4e-7. burn's erf calls a function that compilers cannot run on several numbers at
/// once, and an encoder spends a tenth of its time there.
const OVER: [f32; 6] =
    [std::f32::consts::FRAC_2_SQRT_PI, 0.194_035_95, 0.053_207_09, 0.003_917_328_5, 2.876_008_5e-4, 2.011_739_5e-6];
const UNDER: [f32; 6] = [1.0, 0.505_291_34, 0.115_590_855, 0.015_270_721, 0.001_198_203_4, 3.783_969e-5];

/// Of every number; in one pass where they lie in the CPU's memory and no gradient is asked for.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let device = x.device();
    if device.is_autodiff() || device != Device::flex() || x.dtype() != DType::F32 {
        return activation::gelu(x);
    }
    let mut data = x.into_data();
    // Its numbers are of that type.
    for x in data.as_mut_slice::<f32>().unwrap_or_default() {
        *x = 0.5 * *x * (1.0 + erf(*x * std::f32::consts::FRAC_1_SQRT_2));
    }
    Tensor::from_data(data, &device)
}

#[inline]
fn erf(x: f32) -> f32 {
    let x = x.clamp(-ERF_END, ERF_END);
    let square = x * x;
    let sum = |factors: [f32; 6]| factors.into_iter().rev().fold(0.0, |sum, factor| sum * square + factor);
    x * sum(OVER) / sum(UNDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_error_function() {
        // scipy.special.erf
        let known: [(f32, f64); 10] = [
            (0.0, 0.0),
            (1e-4, 1.128_379_163e-4),
            (0.1, 0.112_462_916),
            (0.5, 0.520_499_878),
            (1.0, 0.842_700_793),
            (1.7, 0.983_790_459),
            (2.5, 0.999_593_048),
            (3.3, 0.999_996_942),
            (5.0, 1.0),
            (f32::INFINITY, 1.0),
        ];
        for (x, want) in known {
            for sign in [-1.0, 1.0] {
                let got = erf(sign * x);
                assert!(
                    (f64::from(got) - f64::from(sign) * want).abs() <= 5e-7,
                    "erf({}) = {got}, not {}",
                    sign * x,
                    f64::from(sign) * want
                );
            }
        }
        assert!(erf(f32::NAN).is_nan());
    }

    #[test]
    fn agrees_with_burns() {
        let device = Device::flex();
        let x = Tensor::<1>::from_floats(std::array::from_fn::<f32, 800, _>(|i| (i as f32 - 400.0) / 50.0), &device);
        let off = (gelu(x.clone()) - activation::gelu(x)).abs().max().into_data();
        assert!(off.as_slice::<f32>().expect("floats")[0] <= 2e-6);
    }
}
