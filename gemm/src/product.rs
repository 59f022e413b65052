//! The product in single precision for WebAssembly.
//!
//! The result is made in tiles of 4 rows × 8 columns, whose eight sums stay in registers while a block of the common
//! dimension goes by. Both sides are copied into the order in which a tile reads them: four rows of the left side beside each
//! other, eight columns of the right. A block of the left side fits a core's second cache, what is read again and again of
//! the right side its first. One row alone ([`row`]) is as fast as memory and is not copied.

use std::cell::RefCell;

use super::Matrix;
use super::lanes::{all, load, load_all, plus, store, times, transposed};

/// Rows and columns of a tile.
const ROWS: usize = 4;
const COLUMNS: usize = 8;

/// Of the common dimension as much goes by at once.
const DEPTH: usize = 256;

/// Rows of the left side that are copied at once: with `DEPTH` 256 kB.
const HEIGHT: usize = 256;

/// Columns of the right side that are copied at once: with `DEPTH` 32 kB, and two whole cache lines of a row.
const WIDTH: usize = 32;

/// Columns of a single row's sums that stay in the first cache.
const ROW_WIDTH: usize = 2048;

thread_local! {
    /// Both sides' copies, kept for the next product.
    static COPIES: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// `dst := alpha·dst + beta·lhs·rhs` for `[m, n, k]`; with an `alpha` of 0 what `dst` holds is not looked at.
///
/// # Safety
/// As for [`super::gemm`].
pub unsafe fn product(
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
    // Rows of the result that lie together; of a single column it is the column.
    let (m, n, dst, lhs, rhs) = if dst.cs.abs() > dst.rs.abs() || (n == 1 && m > 1) {
        (n, m, dst.transposed(), rhs.transposed(), lhs.transposed())
    } else {
        (m, n, dst, lhs, rhs)
    };
    // SAFETY: every offset is of a number of its matrix, for which the caller vouches, or within a copy made here.
    unsafe {
        if m == 1 && dst.cs == 1 && (rhs.cs == 1 || rhs.rs == 1) {
            scale([m, n], dst, alpha);
            return row([n, k], dst.at, lhs, rhs, beta);
        }
        // With nothing to keep and something to write, the first block is written over what is there.
        if alpha != 0.0 || k == 0 {
            scale([m, n], dst, alpha);
        }
        COPIES.with_borrow_mut(|(left, right)| {
            left.resize(HEIGHT.min(m.next_multiple_of(ROWS)) * DEPTH, 0.0);
            right.resize(WIDTH * DEPTH, 0.0);
            for depth in (0..k).step_by(DEPTH) {
                let deep = DEPTH.min(k - depth);
                for top in (0..m).step_by(HEIGHT) {
                    let high = HEIGHT.min(m - top);
                    let from = lhs.at.offset(top as isize * lhs.rs + depth as isize * lhs.cs);
                    copy::<ROWS>([high, deep], left, Matrix { at: from, cs: lhs.cs, rs: lhs.rs });
                    for start in (0..n).step_by(WIDTH) {
                        let wide = WIDTH.min(n - start);
                        let from = rhs.at.offset(depth as isize * rhs.rs + start as isize * rhs.cs);
                        copy::<COLUMNS>([wide, deep], right, Matrix { at: from, cs: rhs.rs, rs: rhs.cs });
                        let to = dst.at.offset(top as isize * dst.rs + start as isize * dst.cs);
                        let keeps = alpha != 0.0 || depth > 0;
                        tiles([high, wide, deep], Matrix { at: to, ..dst }, left, right, beta, keeps);
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
            // SAFETY: a number of the matrix.
            unsafe {
                let at = dst.at.offset(i * dst.rs + j * dst.cs);
                *at = if alpha == 0.0 { 0.0 } else { alpha * *at };
            }
        }
    }
}

/// Copies `count` lines of `deep` numbers, `N` lines beside each other; what is missing of the last `N` is zero. Of `from`
/// the rows are the lines.
unsafe fn copy<const N: usize>([count, deep]: [usize; 2], to: &mut [f32], from: Matrix<*const f32>) {
    for (first, to) in (0..count).step_by(N).zip(to.chunks_exact_mut(N * deep)) {
        let there = N.min(count - first);
        // SAFETY: lines `first` to `first + there` of `deep` numbers each, into a copy of N × deep numbers.
        unsafe {
            let from = Matrix { at: from.at.offset(first as isize * from.rs), ..from };
            if there < N {
                to.fill(0.0);
            } else if from.rs == 1 {
                for (i, to) in to.chunks_exact_mut(N).enumerate() {
                    let from = from.at.offset(i as isize * from.cs);
                    for four in (0..N).step_by(4) {
                        store(to.as_mut_ptr().add(four), load(from.add(four)));
                    }
                }
                continue;
            }
            for four in (0..there).step_by(4) {
                let from = Matrix { at: from.at.offset(four as isize * from.rs), ..from };
                if there - four < 4 {
                    for line in 0..there - four {
                        for i in 0..deep {
                            to[i * N + four + line] = *from.at.offset(line as isize * from.rs + i as isize * from.cs);
                        }
                    }
                } else {
                    copy_four::<N>(deep, to.as_mut_ptr().add(four), from);
                }
            }
        }
    }
}

/// Copies four whole lines; every `N`th number of `to` is the next of the same line.
unsafe fn copy_four<const N: usize>(deep: usize, to: *mut f32, from: Matrix<*const f32>) {
    let whole = if from.cs == 1 { deep / 4 * 4 } else { 0 };
    // SAFETY: the caller's four lines of `deep` numbers, and as much room.
    unsafe {
        for i in (0..whole).step_by(4) {
            let line = |l: isize| load(from.at.offset(l * from.rs).add(i));
            for (j, four) in transposed([line(0), line(1), line(2), line(3)]).into_iter().enumerate() {
                store(to.add((i + j) * N), four);
            }
        }
        for i in whole..deep {
            for line in 0..4 {
                *to.add(i * N + line) = *from.at.offset(line as isize * from.rs + i as isize * from.cs);
            }
        }
    }
}

/// Adds to every tile of a block its product, or writes it if nothing there is to be kept.
unsafe fn tiles(
    [high, wide, deep]: [usize; 3],
    dst: Matrix<*mut f32>,
    left: &[f32],
    right: &[f32],
    beta: f32,
    keeps: bool,
) {
    for (j, right) in (0..wide).step_by(COLUMNS).zip(right.chunks_exact(COLUMNS * deep)) {
        for (i, left) in (0..high).step_by(ROWS).zip(left.chunks_exact(ROWS * deep)) {
            let (rows, columns) = (ROWS.min(high - i), COLUMNS.min(wide - j));
            // SAFETY: the copies hold `deep` times four and eight numbers, the tile is inside the result or here.
            unsafe {
                let to = dst.at.offset(i as isize * dst.rs + j as isize * dst.cs);
                if rows == ROWS && columns == COLUMNS && dst.cs == 1 {
                    tile(deep, left.as_ptr(), right.as_ptr(), to, dst.rs, beta, keeps);
                } else {
                    let mut whole = [0.0; ROWS * COLUMNS];
                    tile(deep, left.as_ptr(), right.as_ptr(), whole.as_mut_ptr(), COLUMNS as isize, beta, false);
                    for row in 0..rows {
                        for column in 0..columns {
                            let to = to.offset(row as isize * dst.rs + column as isize * dst.cs);
                            let old = if keeps { *to } else { 0.0 };
                            *to = old + whole[row * COLUMNS + column];
                        }
                    }
                }
            }
        }
    }
}

/// `to += beta·left·right` of one tile; without `keeps` `to := beta·left·right`.
///
/// Eight sums, two vectors of the right side and one number of the left are eleven registers; any more of any of them, or
/// two turns of the loop written as one, and a browser's compiler keeps sums in memory: that halves the speed.
#[inline(never)]
unsafe fn tile(
    deep: usize,
    mut left: *const f32,
    mut right: *const f32,
    to: *mut f32,
    rs: isize,
    beta: f32,
    keeps: bool,
) {
    let mut sums = [[all(0.0); 2]; ROWS];
    // SAFETY: `deep` times four and eight numbers, and four rows of eight to write to.
    unsafe {
        for _ in 0..deep {
            let (a, b) = (load(right), load(right.add(4)));
            for (i, sum) in sums.iter_mut().enumerate() {
                let x = load_all(left.add(i));
                sum[0] = plus(sum[0], times(x, a));
                sum[1] = plus(sum[1], times(x, b));
            }
            left = left.add(ROWS);
            right = right.add(COLUMNS);
        }
        for (i, sum) in sums.into_iter().enumerate() {
            let to = to.offset(i as isize * rs);
            let [a, b] = sum.map(|sum| times(all(beta), sum));
            if keeps {
                store(to, plus(load(to), a));
                store(to.add(4), plus(load(to.add(4)), b));
            } else {
                store(to, a);
                store(to.add(4), b);
            }
        }
    }
}

/// `to += beta·lhs·rhs` of a single row.
unsafe fn row([n, k]: [usize; 2], to: *mut f32, lhs: Matrix<*const f32>, rhs: Matrix<*const f32>, beta: f32) {
    // SAFETY: numbers of the matrices.
    unsafe {
        let x = |i: usize| beta * *lhs.at.offset(i as isize * lhs.cs);
        if rhs.cs == 1 {
            for start in (0..n).step_by(ROW_WIDTH) {
                let wide = ROW_WIDTH.min(n - start);
                let (to, from) = (to.add(start), rhs.at.add(start));
                let mut i = 0;
                while i < k {
                    let line = |l: usize| from.offset((i + l) as isize * rhs.rs);
                    if k - i >= 4 {
                        let x = [x(i), x(i + 1), x(i + 2), x(i + 3)];
                        add_lines(wide, to, x, [line(0), line(1), line(2), line(3)]);
                        i += 4;
                    } else {
                        add_lines(wide, to, [x(i)], [line(0)]);
                        i += 1;
                    }
                }
            }
        } else {
            let whole = k / 16 * 16;
            for j in 0..n {
                let line = rhs.at.offset(j as isize * rhs.cs);
                let mut sums = [all(0.0); 4];
                let mut sum = 0.0;
                if lhs.cs == 1 {
                    for i in (0..whole).step_by(16) {
                        for (part, sum) in sums.iter_mut().enumerate() {
                            let at = i + 4 * part;
                            *sum = plus(*sum, times(load(lhs.at.add(at)), load(line.add(at))));
                        }
                    }
                }
                for i in if lhs.cs == 1 { whole } else { 0 }..k {
                    sum += *lhs.at.offset(i as isize * lhs.cs) * *line.add(i);
                }
                let mut four = [0.0; 4];
                store(four.as_mut_ptr(), plus(plus(sums[0], sums[1]), plus(sums[2], sums[3])));
                *to.add(j) += beta * (sum + four.iter().sum::<f32>());
            }
        }
    }
}

/// `to += Σ x·line` of lines of `wide` numbers.
#[inline(always)]
unsafe fn add_lines<const N: usize>(wide: usize, to: *mut f32, x: [f32; N], lines: [*const f32; N]) {
    let whole = wide / 4 * 4;
    let factors = x.map(all);
    // SAFETY: the caller's.
    unsafe {
        for j in (0..whole).step_by(4) {
            let mut sum = load(to.add(j));
            for (factor, line) in factors.iter().zip(lines) {
                sum = plus(sum, times(*factor, load(line.add(j))));
            }
            store(to.add(j), sum);
        }
        for j in whole..wide {
            for (x, line) in x.iter().zip(lines) {
                *to.add(j) += x * *line.add(j);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between −1 and 1 that repeat nowhere near.
    fn made(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// A matrix of `rows` × `columns` in one of five orders: where it begins, column stride, row stride, and its memory.
    fn laid(order: usize, rows: usize, columns: usize, seed: u32) -> (Vec<f32>, usize, isize, isize) {
        let memory = made(3 * rows * columns + 3 * (rows + columns) + 8, seed);
        let (r, c) = (rows as isize, columns as isize);
        match order {
            0 => (memory, 0, 1, c),
            1 => (memory, 0, r, 1),
            // A part of a wider one.
            2 => (memory, 2, 1, c + 3),
            // Every third number.
            3 => (memory, 1, 3, 3 * c),
            // Backwards.
            _ => (memory, (rows * columns).saturating_sub(1), -1, -c),
        }
    }

    #[test]
    fn a_product_is_the_sum_of_products() {
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
        let mut tried = 0;
        for (at, [m, n, k]) in shapes.into_iter().enumerate() {
            for orders in 0..5 * 5 * 5 {
                let [o, p, q] = [orders % 5, orders / 5 % 5, orders / 25];
                let (a, a0, a_cs, a_rs) = laid(o, m, k, 7 + at as u32);
                let (b, b0, b_cs, b_rs) = laid(p, k, n, 99 + at as u32);
                let (before, c0, c_cs, c_rs) = laid(q, m, n, 1234);
                let (alpha, beta) = [(0.0, 1.0), (1.0, 0.5), (-2.0, 3.0)][orders % 3];
                let mut c = before.clone();
                // SAFETY: `laid` gives room for all of them.
                unsafe {
                    let dst = Matrix { at: c.as_mut_ptr().add(c0), cs: c_cs, rs: c_rs };
                    let lhs = Matrix { at: a.as_ptr().add(a0), cs: a_cs, rs: a_rs };
                    let rhs = Matrix { at: b.as_ptr().add(b0), cs: b_cs, rs: b_rs };
                    product([m, n, k], dst, alpha, lhs, rhs, beta);
                }
                let at =
                    |memory: &[f32], start: usize, offset: isize| f64::from(memory[(start as isize + offset) as usize]);
                let mut want = before.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
                for i in 0..m as isize {
                    for j in 0..n as isize {
                        let term = |l: isize| at(&a, a0, i * a_rs + l * a_cs) * at(&b, b0, l * b_rs + j * b_cs);
                        let sum: f64 = (0..k as isize).map(term).sum();
                        let old = at(&before, c0, i * c_rs + j * c_cs);
                        want[(c0 as isize + i * c_rs + j * c_cs) as usize] =
                            f64::from(alpha) * old + f64::from(beta) * sum;
                    }
                }
                // Nothing beside the result is written either.
                for (got, want) in c.iter().zip(&want) {
                    let off = (f64::from(*got) - want).abs();
                    assert!(off <= 2e-6 * (4.0 + k as f64), "{m} × {k} × {n}, orders {o} {p} {q}: {got} for {want}");
                }
                tried += 1;
            }
        }
        assert_eq!(tried, shapes.len() * 125);
    }
}
