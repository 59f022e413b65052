//! A linear layer for a small batch of spectra on the GPU.
//!
//! burn's matrix product computes the result in tiles of 64 rows, one workgroup each. For a few rows, it discards most
//! of each tile and leaves most of the GPU idle. Here a workgroup computes 32 columns of four rows, and the number of
//! workgroups follows the size of the result.

use burn::backend::Wgpu;
use burn::backend::wgpu::CubeTensor;
use burn::cubecl::prelude::{CubeCount, CubeDim};
use burn::tensor::{DType, Shape, Tensor};

/// Largest number of rows of this kernel: each group of four rows reads all weights again.
const MAX_ROWS: usize = 8;

/// `x·w + b`, or `None` if burn's product is the better choice: more rows, on the CPU, or with a gradient.
///
/// # Shapes
/// `[rows, in]`, `[in, out]`, `[out]` → `[rows, out]`
pub(super) fn linear(x: &Tensor<2>, weight: &Tensor<2>, bias: &Tensor<1>) -> Option<Tensor<2>> {
    let ([rows, _], [_, columns]) = (x.dims(), weight.dims());
    if !(1..=MAX_ROWS).contains(&rows) || x.device().is_autodiff() || weight.device().is_autodiff() {
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
    let count = |total: usize, per_group: usize| total.div_ceil(per_group) as u32;
    let count = CubeCount::Static(count(columns, kernel::COLUMNS), count(rows, kernel::ROWS), 1);
    let units = CubeDim::new_2d(kernel::COLUMNS as u32, kernel::ROWS as u32);
    let [x, weight, bias, output] = [x, weight, bias, y.clone()].map(CubeTensor::into_tensor_arg);
    kernel::linear::launch(&client, count, units, x, weight, bias, output);
    Some(Tensor::from_primitive::<Wgpu>(y))
}

/// The `cube` macro generates functions without documentation.
#[allow(missing_docs, reason = "the macro makes items without documentation")]
mod kernel {
    use burn::cubecl;
    use burn::cubecl::prelude::*;

    /// Columns of a workgroup. They are neighbours, so their weights are contiguous in memory.
    pub(super) const COLUMNS: usize = 32;

    /// Rows of a workgroup, and also the number of units that share each sum; one unit would mostly wait for memory.
    pub(super) const ROWS: usize = 4;

    #[cube(launch)]
    pub(super) fn linear(x: &Tensor<f32>, weight: &Tensor<f32>, bias: &Tensor<f32>, y: &mut Tensor<f32>) {
        let (rows, inputs, columns) = (x.shape(0), weight.shape(0), weight.shape(1));
        let (lane, part) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
        // Indices beyond the last row or column are clamped to the last.
        let column = min(ABSOLUTE_POS_X as usize, columns - 1);
        let a = ROWS * CUBE_POS_Y as usize;
        let b = min(a + 1, rows - 1);
        let c = min(a + 2, rows - 1);
        let d = min(a + 3, rows - 1);
        // Read before the loop, since the compiler cannot know that the strides are constant.
        let (x_row_stride, x_column_stride) = (x.stride(0), x.stride(1));
        let (weight_row_stride, weight_column_stride) = (weight.stride(0), weight.stride(1));
        // Separate statements: in a tuple the sums would be constants.
        let mut sum_a = 0.0f32;
        let mut sum_b = 0.0f32;
        let mut sum_c = 0.0f32;
        let mut sum_d = 0.0f32;
        let mut i = part;
        while i < inputs {
            let w = weight[i * weight_row_stride + column * weight_column_stride];
            sum_a += x[a * x_row_stride + i * x_column_stride] * w;
            sum_b += x[b * x_row_stride + i * x_column_stride] * w;
            sum_c += x[c * x_row_stride + i * x_column_stride] * w;
            sum_d += x[d * x_row_stride + i * x_column_stride] * w;
            i += ROWS;
        }
        let mut sums = Shared::new_slice(ROWS * ROWS * COLUMNS);
        let partial_index = part * COLUMNS + lane;
        sums[partial_index] = sum_a;
        sums[partial_index + ROWS * COLUMNS] = sum_b;
        sums[partial_index + 2 * ROWS * COLUMNS] = sum_c;
        sums[partial_index + 3 * ROWS * COLUMNS] = sum_d;
        sync_cube();
        // As many units as rows: each unit adds up one row.
        let mut sum = bias[column * bias.stride(0)];
        for unit in 0..ROWS {
            sum += sums[(part * ROWS + unit) * COLUMNS + lane];
        }
        y[min(a + part, rows - 1) * columns + column] = sum;
    }
}
