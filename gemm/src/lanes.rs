//! Vectors of four 32-bit floats: `v128` in WebAssembly, elsewhere an array, so that tests run natively.
//!
//! Each intrinsic is one instruction if the whole program is built with `simd128`, as `cargo xtask` does.

#[cfg(target_family = "wasm")]
pub(crate) use wasm::*;

#[cfg(not(target_family = "wasm"))]
pub(crate) use array::*;

#[cfg(target_family = "wasm")]
mod wasm {
    use core::arch::wasm32 as w;

    /// Four 32-bit floats.
    pub(crate) type F32x4 = w::v128;

    /// Four times `x`.
    #[inline(always)]
    pub(crate) fn splat(x: f32) -> F32x4 {
        w::f32x4_splat(x)
    }

    /// Loads the four numbers at `ptr`.
    ///
    /// # Safety
    /// `ptr` must point to four readable numbers.
    #[inline(always)]
    pub(crate) unsafe fn load(ptr: *const f32) -> F32x4 {
        // SAFETY: vectors need no alignment.
        unsafe { w::v128_load(ptr.cast()) }
    }

    /// Loads the number at `ptr` into all four lanes.
    ///
    /// # Safety
    /// `ptr` must point to a readable number.
    #[inline(always)]
    pub(crate) unsafe fn load_splat(ptr: *const f32) -> F32x4 {
        // SAFETY: reads the number at `ptr`.
        unsafe { w::v128_load32_splat(ptr.cast()) }
    }

    /// Writes four numbers to `ptr`.
    ///
    /// # Safety
    /// `ptr` must point to memory for four numbers.
    #[inline(always)]
    pub(crate) unsafe fn store(ptr: *mut f32, vector: F32x4) {
        // SAFETY: vectors need no alignment.
        unsafe { w::v128_store(ptr.cast(), vector) }
    }

    /// a·b.
    #[inline(always)]
    pub(crate) fn mul(a: F32x4, b: F32x4) -> F32x4 {
        w::f32x4_mul(a, b)
    }

    /// a + b.
    #[inline(always)]
    pub(crate) fn add(a: F32x4, b: F32x4) -> F32x4 {
        w::f32x4_add(a, b)
    }

    /// Transposes a 4 × 4 matrix.
    #[inline(always)]
    pub(crate) fn transpose([a, b, c, d]: [F32x4; 4]) -> [F32x4; 4] {
        let (ab, cd) = (w::i32x4_shuffle::<0, 4, 1, 5>(a, b), w::i32x4_shuffle::<0, 4, 1, 5>(c, d));
        let (ab_end, cd_end) = (w::i32x4_shuffle::<2, 6, 3, 7>(a, b), w::i32x4_shuffle::<2, 6, 3, 7>(c, d));
        [
            w::i64x2_shuffle::<0, 2>(ab, cd),
            w::i64x2_shuffle::<1, 3>(ab, cd),
            w::i64x2_shuffle::<0, 2>(ab_end, cd_end),
            w::i64x2_shuffle::<1, 3>(ab_end, cd_end),
        ]
    }
}

#[cfg(not(target_family = "wasm"))]
mod array {
    use std::array::from_fn;

    pub(crate) type F32x4 = [f32; 4];

    pub(crate) fn splat(x: f32) -> F32x4 {
        [x; 4]
    }

    pub(crate) unsafe fn load(ptr: *const f32) -> F32x4 {
        // SAFETY: guaranteed by the caller.
        unsafe { ptr.cast::<F32x4>().read_unaligned() }
    }

    pub(crate) unsafe fn load_splat(ptr: *const f32) -> F32x4 {
        // SAFETY: guaranteed by the caller.
        unsafe { [*ptr; 4] }
    }

    pub(crate) unsafe fn store(ptr: *mut f32, vector: F32x4) {
        // SAFETY: guaranteed by the caller.
        unsafe { ptr.cast::<F32x4>().write_unaligned(vector) }
    }

    pub(crate) fn mul(a: F32x4, b: F32x4) -> F32x4 {
        from_fn(|i| a[i] * b[i])
    }

    pub(crate) fn add(a: F32x4, b: F32x4) -> F32x4 {
        from_fn(|i| a[i] + b[i])
    }

    pub(crate) fn transpose(rows: [F32x4; 4]) -> [F32x4; 4] {
        from_fn(|i| from_fn(|j| rows[j][i]))
    }
}
