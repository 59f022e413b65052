//! A linear layer for a few spectra on the GPU.
//!
//! burn's product computes the result in tiles of 64 rows, one workgroup each: of a few rows most is thrown away, and most of
//! the GPU has nothing to do. Here every workgroup has 64 columns of four rows, and no row is computed that nobody asked for.

use burn::backend::Wgpu;
use burn::backend::wgpu::CubeTensor;
use burn::cubecl::prelude::{CubeCount, CubeDim};
use burn::tensor::{DType, Shape, Tensor};

/// As many rows and no more: each four of them read all weights anew.
const ROWS: usize = 8;

/// `x·w + b`, unless that is better left to burn: for more rows, on the CPU, or where a gradient is asked for.
///
/// # Shapes
/// `[rows, in]`, `[in, out]`, `[out]` → `[rows, out]`
pub fn linear(x: &Tensor<2>, weight: &Tensor<2>, bias: &Tensor<1>) -> Option<Tensor<2>> {
    let ([rows, _], [_, columns]) = (x.dims(), weight.dims());
    if !(1..=ROWS).contains(&rows) || x.device().is_autodiff() || weight.device().is_autodiff() {
        return None;
    }
    let x = x.clone().try_into_primitive::<Wgpu>().ok()?;
    let weight = weight.clone().try_into_primitive::<Wgpu>().ok()?;
    let bias = bias.clone().try_into_primitive::<Wgpu>().ok()?;
    if [&x, &weight, &bias].iter().any(|tensor| tensor.dtype != DType::F32) {
        return None;
    }
    let (client, device, shape) = (x.client.clone(), x.device.clone(), Shape::new([rows, columns]));
    let memory = client.empty(shape.num_elements() * size_of::<f32>());
    let y = CubeTensor::new_contiguous(client.clone(), device, shape, memory, DType::F32);
    let count = |all: usize, each: usize| all.div_ceil(each) as u32;
    let count = CubeCount::Static(count(columns, kernel::COLUMNS), count(rows, 4), 1);
    let [x, weight, bias, to] = [x, weight, bias, y.clone()].map(CubeTensor::into_tensor_arg);
    kernel::linear::launch(&client, count, CubeDim::new_1d(kernel::COLUMNS as u32), x, weight, bias, to);
    Some(Tensor::from_primitive::<Wgpu>(y))
}

/// The macro writes functions without documentation.
#[allow(missing_docs)]
mod kernel {
    use burn::cubecl;
    use burn::cubecl::prelude::*;

    /// Columns of a workgroup, neighbours: their weights lie together.
    pub const COLUMNS: usize = 64;

    #[cube(launch)]
    pub fn linear(x: &Tensor<f32>, weight: &Tensor<f32>, bias: &Tensor<f32>, y: &mut Tensor<f32>) {
        let (rows, columns) = (x.shape(0), weight.shape(1));
        let column = ABSOLUTE_POS_X as usize;
        if column >= columns {
            terminate!();
        }
        // What would be below the last row is the last once more.
        let a = 4 * CUBE_POS_Y as usize;
        let b = min(a + 1, rows - 1);
        let c = min(a + 2, rows - 1);
        let d = min(a + 3, rows - 1);
        // Read once: a compiler cannot know that they stay what they are.
        let (step, row) = (x.stride(1), x.stride(0));
        let (down, right) = (weight.stride(0), weight.stride(1));
        let bias = bias[column * bias.stride(0)];
        let (mut sum_a, mut sum_b, mut sum_c, mut sum_d) = (bias, bias, bias, bias);
        for i in 0..weight.shape(0) {
            let w = weight[i * down + column * right];
            sum_a += x[a * row + i * step] * w;
            sum_b += x[b * row + i * step] * w;
            sum_c += x[c * row + i * step] * w;
            sum_d += x[d * row + i * step] * w;
        }
        y[a * columns + column] = sum_a;
        y[b * columns + column] = sum_b;
        y[c * columns + column] = sum_c;
        y[d * columns + column] = sum_d;
    }
}
