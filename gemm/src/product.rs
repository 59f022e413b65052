//! Matrix product in single precision for WebAssembly.
//!
//! The result is computed in tiles of 4 rows × 8 columns. The eight sums of a tile stay in registers during a block of
//! the common dimension. Both sides are packed in the order in which a tile reads them: four rows of the left side
//! together, eight columns of the right side together. The packed block of the left side fits the L2 cache of a core,
//! that of the right side the L1 cache. The product of a single row ([`row`]) is limited by memory bandwidth and is not
//! packed.

use std::cell::RefCell;

use super::Matrix;
use super::lanes::{add, load, load_splat, mul, splat, store, transpose};

/// Rows and columns of a tile.
const TILE_ROWS: usize = 4;
const TILE_COLUMNS: usize = 8;

/// Length of a block of the common dimension.
const BLOCK_DEPTH: usize = 256;

/// Rows of a packed block of the left side: with [`BLOCK_DEPTH`] 256 kB.
const BLOCK_ROWS: usize = 256;

/// Columns of a packed block of the right side: with [`BLOCK_DEPTH`] 32 kB, and two whole cache lines of a row.
const BLOCK_COLUMNS: usize = 32;

/// Columns of a single row whose sums stay in the L1 cache.
const ROW_WIDTH: usize = 2048;

thread_local! {
    /// Packed blocks of both sides; the next product reuses the memory.
    static PACKED: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// `dst := alpha·dst + beta·lhs·rhs` for `[m, n, k]`; with an `alpha` of 0 `dst` is not read.
///
/// # Safety
/// As for [`super::gemm`].
pub(crate) unsafe fn product(
    [m, n, k]: [usize; 3],
    dst: Matrix<*mut f32>,
    alpha: f32,
    lhs: Matrix<*const f32>,
    rhs: Matrix<*const f32>,
    beta: f32,
) {
    if m == 0 || n == 0 {
        return;
    }
    // Rows of the result must be contiguous. A single column is transposed to a row.
    let (m, n, dst, lhs, rhs) = if dst.cs.abs() > dst.rs.abs() || (n == 1 && m > 1) {
        (n, m, dst.transpose(), rhs.transpose(), lhs.transpose())
    } else {
        (m, n, dst, lhs, rhs)
    };
    // SAFETY: every offset is inside a matrix, which the caller guarantees, or inside a packed block.
    unsafe {
        if m == 1 && dst.cs == 1 && (rhs.cs == 1 || rhs.rs == 1) {
            scale([m, n], dst, alpha);
            return row([n, k], dst.ptr, lhs, rhs, beta);
        }
        // With an `alpha` of 0 the first block overwrites the result.
        if alpha != 0.0 || k == 0 {
            scale([m, n], dst, alpha);
        }
        PACKED.with_borrow_mut(|(left, right)| {
            left.resize(BLOCK_ROWS.min(m.next_multiple_of(TILE_ROWS)) * BLOCK_DEPTH, 0.0);
            right.resize(BLOCK_COLUMNS * BLOCK_DEPTH, 0.0);
            for k_start in (0..k).step_by(BLOCK_DEPTH) {
                let n_k = BLOCK_DEPTH.min(k - k_start);
                for row_start in (0..m).step_by(BLOCK_ROWS) {
                    let n_rows = BLOCK_ROWS.min(m - row_start);
                    let from = lhs.ptr.offset(row_start as isize * lhs.rs + k_start as isize * lhs.cs);
                    pack::<TILE_ROWS>([n_rows, n_k], left, Matrix { ptr: from, cs: lhs.cs, rs: lhs.rs });
                    for column_start in (0..n).step_by(BLOCK_COLUMNS) {
                        let n_columns = BLOCK_COLUMNS.min(n - column_start);
                        let from = rhs.ptr.offset(k_start as isize * rhs.rs + column_start as isize * rhs.cs);
                        pack::<TILE_COLUMNS>([n_columns, n_k], right, Matrix { ptr: from, cs: rhs.rs, rs: rhs.cs });
                        let to = dst.ptr.offset(row_start as isize * dst.rs + column_start as isize * dst.cs);
                        let accumulate = alpha != 0.0 || k_start > 0;
                        tiles([n_rows, n_columns, n_k], Matrix { ptr: to, ..dst }, left, right, beta, accumulate);
                    }
                }
            }
        });
    }
}

/// `dst := alpha·dst`.
unsafe fn scale([m, n]: [usize; 2], dst: Matrix<*mut f32>, alpha: f32) {
    if alpha == 1.0 {
        return;
    }
    for i in 0..m as isize {
        for j in 0..n as isize {
            // SAFETY: the offset is inside the matrix.
            unsafe {
                let ptr = dst.ptr.offset(i * dst.rs + j * dst.cs);
                *ptr = if alpha == 0.0 { 0.0 } else { alpha * *ptr };
            }
        }
    }
}

/// Packs `count` lines of `n_k` numbers in groups of `N` lines: `to` holds the `N` first numbers of a group, then the
/// second numbers, and so on. Missing lines of the last group are zero. The lines are the rows of `from`.
unsafe fn pack<const N: usize>([count, n_k]: [usize; 2], to: &mut [f32], from: Matrix<*const f32>) {
    for (first, to) in (0..count).step_by(N).zip(to.chunks_exact_mut(N * n_k)) {
        let n_lines = N.min(count - first);
        // SAFETY: lines `first` to `first + n_lines` of `n_k` numbers each, into a block of N × n_k numbers.
        unsafe {
            let from = Matrix { ptr: from.ptr.offset(first as isize * from.rs), ..from };
            if n_lines < N {
                to.fill(0.0);
            } else if from.rs == 1 {
                for (i, to) in to.chunks_exact_mut(N).enumerate() {
                    let from = from.ptr.offset(i as isize * from.cs);
                    for offset in (0..N).step_by(4) {
                        store(to.as_mut_ptr().add(offset), load(from.add(offset)));
                    }
                }
                continue;
            }
            for offset in (0..n_lines).step_by(4) {
                let from = Matrix { ptr: from.ptr.offset(offset as isize * from.rs), ..from };
                if n_lines - offset < 4 {
                    for line in 0..n_lines - offset {
                        for i in 0..n_k {
                            to[i * N + offset + line] =
                                *from.ptr.offset(line as isize * from.rs + i as isize * from.cs);
                        }
                    }
                } else {
                    pack_four::<N>(n_k, to.as_mut_ptr().add(offset), from);
                }
            }
        }
    }
}

/// Packs four lines. Every `N`th number of `to` is the next number of a line.
unsafe fn pack_four<const N: usize>(n_k: usize, to: *mut f32, from: Matrix<*const f32>) {
    let n_full = if from.cs == 1 { n_k / 4 * 4 } else { 0 };
    // SAFETY: the caller guarantees four lines of `n_k` numbers, and memory for them in `to`.
    unsafe {
        for i in (0..n_full).step_by(4) {
            let line = |l: isize| load(from.ptr.offset(l * from.rs).add(i));
            for (j, vector) in transpose([line(0), line(1), line(2), line(3)]).into_iter().enumerate() {
                store(to.add((i + j) * N), vector);
            }
        }
        for i in n_full..n_k {
            for line in 0..4 {
                *to.add(i * N + line) = *from.ptr.offset(line as isize * from.rs + i as isize * from.cs);
            }
        }
    }
}

/// Adds the product to each tile of a block, or overwrites the tile without `accumulate`.
unsafe fn tiles(
    [n_rows, n_columns, n_k]: [usize; 3],
    dst: Matrix<*mut f32>,
    left: &[f32],
    right: &[f32],
    beta: f32,
    accumulate: bool,
) {
    for (j, right) in (0..n_columns).step_by(TILE_COLUMNS).zip(right.chunks_exact(TILE_COLUMNS * n_k)) {
        for (i, left) in (0..n_rows).step_by(TILE_ROWS).zip(left.chunks_exact(TILE_ROWS * n_k)) {
            let (rows, columns) = (TILE_ROWS.min(n_rows - i), TILE_COLUMNS.min(n_columns - j));
            // SAFETY: the packed blocks hold `n_k` times four and eight numbers; the tile is in the result or in
            // `full_tile`.
            unsafe {
                let to = dst.ptr.offset(i as isize * dst.rs + j as isize * dst.cs);
                if rows == TILE_ROWS && columns == TILE_COLUMNS && dst.cs == 1 {
                    tile(n_k, left.as_ptr(), right.as_ptr(), to, dst.rs, beta, accumulate);
                } else {
                    let mut full_tile = [0.0; TILE_ROWS * TILE_COLUMNS];
                    tile(
                        n_k,
                        left.as_ptr(),
                        right.as_ptr(),
                        full_tile.as_mut_ptr(),
                        TILE_COLUMNS as isize,
                        beta,
                        false,
                    );
                    for row in 0..rows {
                        for column in 0..columns {
                            let to = to.offset(row as isize * dst.rs + column as isize * dst.cs);
                            let old = if accumulate { *to } else { 0.0 };
                            *to = old + full_tile[row * TILE_COLUMNS + column];
                        }
                    }
                }
            }
        }
    }
}

/// `to += beta·left·right` of one tile; without `accumulate` `to := beta·left·right`.
///
/// Eight sums, two vectors of the right side and one number of the left side are eleven registers. With more of them,
/// or with an unrolled loop, the compiler of a browser moves sums to memory, which halves the speed.
#[inline(never)]
unsafe fn tile(
    n_k: usize,
    mut left: *const f32,
    mut right: *const f32,
    to: *mut f32,
    rs: isize,
    beta: f32,
    accumulate: bool,
) {
    let mut sums = [[splat(0.0); 2]; TILE_ROWS];
    // SAFETY: the caller guarantees `n_k` times four and eight numbers, and four rows of eight numbers in `to`.
    unsafe {
        for _ in 0..n_k {
            let (a, b) = (load(right), load(right.add(4)));
            for (i, sum) in sums.iter_mut().enumerate() {
                let x = load_splat(left.add(i));
                sum[0] = add(sum[0], mul(x, a));
                sum[1] = add(sum[1], mul(x, b));
            }
            left = left.add(TILE_ROWS);
            right = right.add(TILE_COLUMNS);
        }
        for (i, sum) in sums.into_iter().enumerate() {
            let to = to.offset(i as isize * rs);
            let [a, b] = sum.map(|sum| mul(splat(beta), sum));
            if accumulate {
                store(to, add(load(to), a));
                store(to.add(4), add(load(to.add(4)), b));
            } else {
                store(to, a);
                store(to.add(4), b);
            }
        }
    }
}

/// `to += beta·lhs·rhs` of a single row.
unsafe fn row([n, k]: [usize; 2], to: *mut f32, lhs: Matrix<*const f32>, rhs: Matrix<*const f32>, beta: f32) {
    // SAFETY: the offsets are inside the matrices.
    unsafe {
        let x = |i: usize| beta * *lhs.ptr.offset(i as isize * lhs.cs);
        if rhs.cs == 1 {
            for start in (0..n).step_by(ROW_WIDTH) {
                let n_columns = ROW_WIDTH.min(n - start);
                let (to, from) = (to.add(start), rhs.ptr.add(start));
                let mut i = 0;
                while i < k {
                    let line = |l: usize| from.offset((i + l) as isize * rhs.rs);
                    if k - i >= 4 {
                        let x = [x(i), x(i + 1), x(i + 2), x(i + 3)];
                        add_lines(n_columns, to, x, [line(0), line(1), line(2), line(3)]);
                        i += 4;
                    } else {
                        add_lines(n_columns, to, [x(i)], [line(0)]);
                        i += 1;
                    }
                }
            }
        } else {
            let n_full = k / 16 * 16;
            for j in 0..n {
                let line = rhs.ptr.offset(j as isize * rhs.cs);
                let mut sums = [splat(0.0); 4];
                let mut sum = 0.0;
                if lhs.cs == 1 {
                    for i in (0..n_full).step_by(16) {
                        for (part, sum) in sums.iter_mut().enumerate() {
                            let offset = i + 4 * part;
                            *sum = add(*sum, mul(load(lhs.ptr.add(offset)), load(line.add(offset))));
                        }
                    }
                }
                for i in if lhs.cs == 1 { n_full } else { 0 }..k {
                    sum += *lhs.ptr.offset(i as isize * lhs.cs) * *line.add(i);
                }
                let mut lanes = [0.0; 4];
                store(lanes.as_mut_ptr(), add(add(sums[0], sums[1]), add(sums[2], sums[3])));
                *to.add(j) += beta * (sum + lanes.iter().sum::<f32>());
            }
        }
    }
}

/// `to += Σ x·line` of lines of `n_columns` numbers.
#[inline(always)]
unsafe fn add_lines<const N: usize>(n_columns: usize, to: *mut f32, x: [f32; N], lines: [*const f32; N]) {
    let n_full = n_columns / 4 * 4;
    let factors = x.map(splat);
    // SAFETY: guaranteed by the caller.
    unsafe {
        for j in (0..n_full).step_by(4) {
            let mut sum = load(to.add(j));
            for (factor, line) in factors.iter().zip(lines) {
                sum = add(sum, mul(*factor, load(line.add(j))));
            }
            store(to.add(j), sum);
        }
        for j in n_full..n_columns {
            for (x, line) in x.iter().zip(lines) {
                *to.add(j) += x * *line.add(j);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pseudo-random numbers between −1 and 1.
    fn pseudo_random(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// Memory of a matrix of `rows` × `columns` in one of five layouts, its first index, column stride and row stride.
    fn matrix_memory(layout: usize, rows: usize, columns: usize, seed: u32) -> (Vec<f32>, usize, isize, isize) {
        let memory = pseudo_random(3 * rows * columns + 3 * (rows + columns) + 8, seed);
        let (r, c) = (rows as isize, columns as isize);
        match layout {
            0 => (memory, 0, 1, c),
            1 => (memory, 0, r, 1),
            // Part of a wider matrix.
            2 => (memory, 2, 1, c + 3),
            // Every third number.
            3 => (memory, 1, 3, 3 * c),
            // In reverse order.
            _ => (memory, (rows * columns).saturating_sub(1), -1, -c),
        }
    }

    #[test]
    fn products_match_double_precision() {
        let shapes = [
            [1, 1, 1],
            [1, 7, 5],
            [1, 64, 1462],
            [1, 33, 0],
            [5, 1, 9],
            [4, 8, 3],
            [3, 9, 2],
            [17, 40, 31],
            [32, 33, 300],
            [7, 70, 257],
            [261, 9, 5],
            [300, 41, 513],
            [0, 3, 3],
            [3, 0, 3],
            [1, 2100, 6],
        ];
        let mut n_cases = 0;
        for (seed, [m, n, k]) in shapes.into_iter().enumerate() {
            for layouts in 0..5 * 5 * 5 {
                let [o, p, q] = [layouts % 5, layouts / 5 % 5, layouts / 25];
                let (a, a0, a_cs, a_rs) = matrix_memory(o, m, k, 7 + seed as u32);
                let (b, b0, b_cs, b_rs) = matrix_memory(p, k, n, 99 + seed as u32);
                let (before, c0, c_cs, c_rs) = matrix_memory(q, m, n, 1234);
                let (alpha, beta) = [(0.0, 1.0), (1.0, 0.5), (-2.0, 3.0)][layouts % 3];
                let mut c = before.clone();
                // SAFETY: `matrix_memory` allocates every number of the matrices.
                unsafe {
                    let dst = Matrix { ptr: c.as_mut_ptr().add(c0), cs: c_cs, rs: c_rs };
                    let lhs = Matrix { ptr: a.as_ptr().add(a0), cs: a_cs, rs: a_rs };
                    let rhs = Matrix { ptr: b.as_ptr().add(b0), cs: b_cs, rs: b_rs };
                    product([m, n, k], dst, alpha, lhs, rhs, beta);
                }
                let value =
                    |memory: &[f32], start: usize, offset: isize| f64::from(memory[(start as isize + offset) as usize]);
                let mut expected = before.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
                for i in 0..m as isize {
                    for j in 0..n as isize {
                        let term = |l: isize| value(&a, a0, i * a_rs + l * a_cs) * value(&b, b0, l * b_rs + j * b_cs);
                        let sum: f64 = (0..k as isize).map(term).sum();
                        let old = value(&before, c0, i * c_rs + j * c_cs);
                        expected[(c0 as isize + i * c_rs + j * c_cs) as usize] =
                            f64::from(alpha) * old + f64::from(beta) * sum;
                    }
                }
                // Numbers outside of the result must not change.
                for (got, expected) in c.iter().zip(&expected) {
                    let difference = (f64::from(*got) - expected).abs();
                    assert!(
                        difference <= 2e-6 * (4.0 + k as f64),
                        "{m} × {k} × {n}, orders {o} {p} {q}: {got} for {expected}"
                    );
                }
                n_cases += 1;
            }
        }
        assert_eq!(n_cases, shapes.len() * 125);
    }
}
