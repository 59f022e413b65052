//! `dst := alpha·dst + beta·lhs·rhs`, as burn-flex calls it.
//!
//! In a browser a compiled kernel has fifteen vector registers of four lanes and its sums stay in them only if the kernel
//! is written for just that: the original's are not, and reach half of what the core can do. So there single precision
//! has a kernel of its own ([`product`]); natively, and for the other numbers, the original's kernels do the work.

#[cfg(any(target_family = "wasm", test))]
mod lanes;
#[cfg(any(target_family = "wasm", test))]
mod product;

use core::any::TypeId;

pub use gemm_common::Parallelism;
#[cfg(feature = "f16")]
pub use gemm_f16::f16;

/// What `gemm` takes of a matrix: where it begins, and how far the next column and the next row are, in numbers.
#[derive(Clone, Copy)]
struct Matrix<P> {
    at: P,
    cs: isize,
    rs: isize,
}

impl<P> Matrix<P> {
    fn transposed(self) -> Self {
        Self { at: self.at, cs: self.rs, rs: self.cs }
    }
}

/// `dst := alpha·dst + beta·lhs·rhs` of an m × k and a k × n matrix; what `dst` held counts only if `read_dst`.
///
/// Strides are in numbers: `_cs` to the next column, `_rs` to the next row. Complex numbers are not taken, so the three
/// `conj` do nothing.
///
/// # Panics
/// If `T` is none of `f32`, `f64` and `f16`.
///
/// # Safety
/// Every number of the three matrices must lie in memory that may be read, and that of `dst` written; `dst` overlaps
/// neither of the others.
#[expect(clippy::too_many_arguments, reason = "the signature of the crate it stands in for")]
pub unsafe fn gemm<T: 'static>(
    m: usize,
    n: usize,
    k: usize,
    dst: *mut T,
    dst_cs: isize,
    dst_rs: isize,
    read_dst: bool,
    lhs: *const T,
    lhs_cs: isize,
    lhs_rs: isize,
    rhs: *const T,
    rhs_cs: isize,
    rhs_rs: isize,
    alpha: T,
    beta: T,
    _conj_dst: bool,
    _conj_lhs: bool,
    _conj_rhs: bool,
    parallelism: Parallelism,
) {
    let mut dst = Matrix { at: dst, cs: dst_cs, rs: dst_rs };
    let mut lhs = Matrix { at: lhs, cs: lhs_cs, rs: lhs_rs };
    let mut rhs = Matrix { at: rhs, cs: rhs_cs, rs: rhs_rs };
    let (mut m, mut n) = (m, n);

    #[cfg(target_family = "wasm")]
    if TypeId::of::<T>() == TypeId::of::<f32>() {
        let cast = |matrix: Matrix<*const T>| Matrix { at: matrix.at.cast(), cs: matrix.cs, rs: matrix.rs };
        let dst = Matrix { at: dst.at.cast(), cs: dst.cs, rs: dst.rs };
        // SAFETY: `T` is `f32`, and the caller vouches for the matrices.
        unsafe {
            let (alpha, beta) = (*(&raw const alpha).cast(), *(&raw const beta).cast());
            let alpha = if read_dst { alpha } else { 0.0 };
            return product::product([m, n, k], dst, alpha, cast(lhs), cast(rhs), beta);
        }
    }

    // The original's kernels want columns of the result that lie together, and strides that go forwards.
    if dst.cs.abs() < dst.rs.abs() {
        (m, n) = (n, m);
        (dst, lhs, rhs) = (dst.transposed(), rhs.transposed(), lhs.transposed());
    }
    let last = |count: usize, stride: isize| count.saturating_sub(1) as isize * stride;
    if dst.rs < 0 {
        dst = Matrix { at: dst.at.wrapping_offset(last(m, dst.rs)), rs: -dst.rs, ..dst };
        lhs = Matrix { at: lhs.at.wrapping_offset(last(m, lhs.rs)), rs: -lhs.rs, ..lhs };
    }
    if dst.cs < 0 {
        dst = Matrix { at: dst.at.wrapping_offset(last(n, dst.cs)), cs: -dst.cs, ..dst };
        rhs = Matrix { at: rhs.at.wrapping_offset(last(n, rhs.cs)), cs: -rhs.cs, ..rhs };
    }
    if lhs.cs < 0 {
        lhs = Matrix { at: lhs.at.wrapping_offset(last(k, lhs.cs)), cs: -lhs.cs, ..lhs };
        rhs = Matrix { at: rhs.at.wrapping_offset(last(k, rhs.rs)), rs: -rhs.rs, ..rhs };
    }

    macro_rules! with {
        ($number:ty, $kernel:path) => {
            if TypeId::of::<T>() == TypeId::of::<$number>() {
                // SAFETY: `T` is the kernel's number, and the caller vouches for the matrices.
                return unsafe {
                    $kernel()(
                        m,
                        n,
                        k,
                        dst.at.cast(),
                        dst.cs,
                        dst.rs,
                        read_dst,
                        lhs.at.cast(),
                        lhs.cs,
                        lhs.rs,
                        rhs.at.cast(),
                        rhs.cs,
                        rhs.rs,
                        *(&raw const alpha).cast(),
                        *(&raw const beta).cast(),
                        false,
                        false,
                        false,
                        parallelism,
                    )
                };
            }
        };
    }
    with!(f32, gemm_f32::gemm::f32::get_gemm_fn);
    with!(f64, gemm_f64::gemm::f64::get_gemm_fn);
    #[cfg(feature = "f16")]
    with!(f16, gemm_f16::gemm::f16::get_gemm_fn);
    panic!("gemm: neither f32, f64 nor f16");
}
