//! A linear layer for a few spectra on the GPU.
//!
//! burn's product computes the result in tiles of 64 rows, one workgroup each: of a few rows most is thrown away, and most of
//! the GPU has nothing to do. Here a workgroup has 32 columns of four rows, and there are as many as are asked for.

use burn::backend::Wgpu;
use burn::backend::wgpu::CubeTensor;
use burn::cubecl::prelude::{CubeCount, CubeDim};
use burn::tensor::{DType, Shape, Tensor};

/// No more rows than that: every four of them read all weights anew.
const MOST_ROWS: usize = 8;

/// `x·w + b`, unless that is better left to burn: for more rows, on the CPU, or where a gradient is asked for.
///
/// # Shapes
/// `[rows, in]`, `[in, out]`, `[out]` → `[rows, out]`
pub fn linear(x: &Tensor<2>, weight: &Tensor<2>, bias: &Tensor<1>) -> Option<Tensor<2>> {
    let ([rows, _], [_, columns]) = (x.dims(), weight.dims());
    if !(1..=MOST_ROWS).contains(&rows) || x.device().is_autodiff() || weight.device().is_autodiff() {
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
    let count = CubeCount::Static(count(columns, kernel::COLUMNS), count(rows, kernel::ROWS), 1);
    let units = CubeDim::new_2d(kernel::COLUMNS as u32, kernel::ROWS as u32);
    let [x, weight, bias, to] = [x, weight, bias, y.clone()].map(CubeTensor::into_tensor_arg);
    kernel::linear::launch(&client, count, units, x, weight, bias, to);
    Some(Tensor::from_primitive::<Wgpu>(y))
}

/// The macro writes functions without documentation.
#[allow(missing_docs)]
mod kernel {
    use burn::cubecl;
    use burn::cubecl::prelude::*;

    /// Columns of a workgroup, neighbours: their weights lie together.
    pub const COLUMNS: usize = 32;

    /// Rows of a workgroup, and units that share out each of its sums: one alone would wait for memory most of the time.
    pub const ROWS: usize = 4;

    #[cube(launch)]
    pub fn linear(x: &Tensor<f32>, weight: &Tensor<f32>, bias: &Tensor<f32>, y: &mut Tensor<f32>) {
        let (rows, inputs, columns) = (x.shape(0), weight.shape(0), weight.shape(1));
        let (lane, part) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
        // What would be beyond the last row or column is the last once more.
        let column = min(ABSOLUTE_POS_X as usize, columns - 1);
        let a = ROWS * CUBE_POS_Y as usize;
        let b = min(a + 1, rows - 1);
        let c = min(a + 2, rows - 1);
        let d = min(a + 3, rows - 1);
        // Read before the loop: a compiler cannot know that they stay what they are.
        let (row, step) = (x.stride(0), x.stride(1));
        let (down, right) = (weight.stride(0), weight.stride(1));
        // One by one: in a tuple they would be constants.
        let mut sum_a = 0.0f32;
        let mut sum_b = 0.0f32;
        let mut sum_c = 0.0f32;
        let mut sum_d = 0.0f32;
        let mut i = part;
        while i < inputs {
            let w = weight[i * down + column * right];
            sum_a += x[a * row + i * step] * w;
            sum_b += x[b * row + i * step] * w;
            sum_c += x[c * row + i * step] * w;
            sum_d += x[d * row + i * step] * w;
            i += ROWS;
        }
        let mut sums = Shared::new_slice(ROWS * ROWS * COLUMNS);
        let mine = part * COLUMNS + lane;
        sums[mine] = sum_a;
        sums[mine + ROWS * COLUMNS] = sum_b;
        sums[mine + 2 * ROWS * COLUMNS] = sum_c;
        sums[mine + 3 * ROWS * COLUMNS] = sum_d;
        sync_cube();
        // As many units as rows: each adds up one of them.
        let mut sum = bias[column * bias.stride(0)];
        for other in 0..ROWS {
            sum += sums[(part * ROWS + other) * COLUMNS + lane];
        }
        y[min(a + part, rows - 1) * columns + column] = sum;
    }
}
