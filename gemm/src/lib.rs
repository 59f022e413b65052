//! `dst := alpha·dst + beta·lhs·rhs`, as burn-flex calls it.
//!
//! A kernel in a browser has fifteen vector registers of four lanes. Its sums stay in registers only if the kernel is
//! written for this number. The kernels of the gemm crate are not, and reach half of the speed of a core. In browsers,
//! therefore, single precision uses a separate kernel ([`product`]). Native programs and other number types use the
//! kernels of the crate.

#![allow(unsafe_code, reason = "kernels read and write matrices through pointers, as gemm's interface demands")]

#[cfg(any(target_family = "wasm", test))]
mod lanes;
#[cfg(any(target_family = "wasm", test))]
mod product;

use core::any::TypeId;

pub use gemm_common::Parallelism;
#[cfg(feature = "f16")]
pub use gemm_f16::f16;

/// A matrix: pointer to its first number, and strides to the next column (`cs`) and to the next row (`rs`), in numbers.
#[derive(Clone, Copy)]
struct Matrix<P> {
    ptr: P,
    cs: isize,
    rs: isize,
}

impl<P> Matrix<P> {
    fn transpose(self) -> Self {
        Self { ptr: self.ptr, cs: self.rs, rs: self.cs }
    }
}

/// `dst := alpha·dst + beta·lhs·rhs` of an m × k and a k × n matrix; `dst` is read only if `read_dst`.
///
/// Strides are in numbers: `_cs` to the next column, `_rs` to the next row. Complex numbers are not supported, so that
/// the three `conj` arguments have no effect.
///
/// # Panics
/// If `T` is none of `f32`, `f64` and `f16`.
///
/// # Safety
/// Every number of the three matrices must be in readable memory, and `dst` in writable memory. `dst` must not overlap
/// `lhs` or `rhs`.
#[expect(clippy::too_many_arguments, reason = "the signature of the crate that it replaces")]
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
    let mut dst = Matrix { ptr: dst, cs: dst_cs, rs: dst_rs };
    let mut lhs = Matrix { ptr: lhs, cs: lhs_cs, rs: lhs_rs };
    let mut rhs = Matrix { ptr: rhs, cs: rhs_cs, rs: rhs_rs };
    let (mut m, mut n) = (m, n);

    #[cfg(target_family = "wasm")]
    if TypeId::of::<T>() == TypeId::of::<f32>() {
        let cast = |matrix: Matrix<*const T>| Matrix { ptr: matrix.ptr.cast(), cs: matrix.cs, rs: matrix.rs };
        let dst = Matrix { ptr: dst.ptr.cast(), cs: dst.cs, rs: dst.rs };
        // SAFETY: `T` is `f32`, and the caller guarantees the matrices.
        unsafe {
            let (alpha, beta) = (*(&raw const alpha).cast(), *(&raw const beta).cast());
            let alpha = if read_dst { alpha } else { 0.0 };
            return product::product([m, n, k], dst, alpha, cast(lhs), cast(rhs), beta);
        }
    }

    // The kernels of the crate need contiguous columns of the result and positive strides.
    if dst.cs.abs() < dst.rs.abs() {
        (m, n) = (n, m);
        (dst, lhs, rhs) = (dst.transpose(), rhs.transpose(), lhs.transpose());
    }
    let last_offset = |count: usize, stride: isize| count.saturating_sub(1) as isize * stride;
    if dst.rs < 0 {
        dst = Matrix { ptr: dst.ptr.wrapping_offset(last_offset(m, dst.rs)), rs: -dst.rs, ..dst };
        lhs = Matrix { ptr: lhs.ptr.wrapping_offset(last_offset(m, lhs.rs)), rs: -lhs.rs, ..lhs };
    }
    if dst.cs < 0 {
        dst = Matrix { ptr: dst.ptr.wrapping_offset(last_offset(n, dst.cs)), cs: -dst.cs, ..dst };
        rhs = Matrix { ptr: rhs.ptr.wrapping_offset(last_offset(n, rhs.cs)), cs: -rhs.cs, ..rhs };
    }
    if lhs.cs < 0 {
        lhs = Matrix { ptr: lhs.ptr.wrapping_offset(last_offset(k, lhs.cs)), cs: -lhs.cs, ..lhs };
        rhs = Matrix { ptr: rhs.ptr.wrapping_offset(last_offset(k, rhs.rs)), rs: -rhs.rs, ..rhs };
    }

    macro_rules! run_kernel {
        ($number:ty, $kernel:path) => {
            if TypeId::of::<T>() == TypeId::of::<$number>() {
                // SAFETY: `T` is the kernel's number, and the caller guarantees the matrices.
                return unsafe {
                    $kernel()(
                        m,
                        n,
                        k,
                        dst.ptr.cast(),
                        dst.cs,
                        dst.rs,
                        read_dst,
                        lhs.ptr.cast(),
                        lhs.cs,
                        lhs.rs,
                        rhs.ptr.cast(),
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
    run_kernel!(f32, gemm_f32::gemm::f32::get_gemm_fn);
    run_kernel!(f64, gemm_f64::gemm::f64::get_gemm_fn);
    #[cfg(feature = "f16")]
    run_kernel!(f16, gemm_f16::gemm::f16::get_gemm_fn);
    panic!("gemm: neither f32, f64 nor f16");
}
