//! The Gaussian error linear unit, exact form: x·(1 + erf(x/√2))/2.

use burn::tensor::{DType, Device, Tensor, activation};

/// Beyond this argument, erf is 1 to half a unit in the last place.
const ERF_SATURATION: f32 = 3.95;

/// erf(x)/x as a quotient of two polynomials in x², lowest power first.
///
/// The minimax error on |x| ≤ `ERF_SATURATION` is 5e-8; the rounding of the quotient adds 4e-7. burn's erf calls a
/// function that compilers cannot vectorise, and an encoder would spend a tenth of its time there.
const NUMERATOR: [f32; 6] =
    [std::f32::consts::FRAC_2_SQRT_PI, 0.194_035_95, 0.053_207_09, 0.003_917_328_5, 2.876_008_5e-4, 2.011_739_5e-6];
const DENOMINATOR: [f32; 6] = [1.0, 0.505_291_34, 0.115_590_855, 0.015_270_721, 0.001_198_203_4, 3.783_969e-5];

/// GELU of each element.
///
/// One pass over the CPU's memory if the tensor lies there and needs no gradient; otherwise burn's function.
pub(super) fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let device = x.device();
    if device.is_autodiff() || device != Device::flex() || x.dtype() != DType::F32 {
        return activation::gelu(x);
    }
    let mut data = x.into_data();
    // The guard above ensures f32 elements.
    for x in data.as_mut_slice::<f32>().unwrap_or_default() {
        *x = 0.5 * *x * (1.0 + erf(*x * std::f32::consts::FRAC_1_SQRT_2));
    }
    Tensor::from_data(data, &device)
}

#[inline]
fn erf(x: f32) -> f32 {
    let x = x.clamp(-ERF_SATURATION, ERF_SATURATION);
    let square = x * x;
    let polynomial = |factors: [f32; 6]| factors.into_iter().rev().fold(0.0, |sum, factor| sum * square + factor);
    x * polynomial(NUMERATOR) / polynomial(DENOMINATOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_error_function() {
        // Reference values: scipy.special.erf
        let reference: [(f32, f64); 10] = [
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
        for (x, expected) in reference {
            for sign in [-1.0, 1.0] {
                let got = erf(sign * x);
                assert!(
                    (f64::from(got) - f64::from(sign) * expected).abs() <= 5e-7,
                    "erf({}) = {got}, not {}",
                    sign * x,
                    f64::from(sign) * expected
                );
            }
        }
        assert!(erf(f32::NAN).is_nan());
    }

    #[test]
    fn agrees_with_burn() {
        let device = Device::flex();
        let x = Tensor::<1>::from_floats(std::array::from_fn::<f32, 800, _>(|i| (i as f32 - 400.0) / 50.0), &device);
        let max_difference = (gelu(x.clone()) - activation::gelu(x)).abs().max().into_data();
        assert!(max_difference.as_slice::<f32>().expect("floats")[0] <= 2e-6);
    }
}
