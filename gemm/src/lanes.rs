//! Four numbers at once: WebAssembly's vectors, elsewhere an array, so that tests run natively.
//!
//! The intrinsics are one instruction each only where the whole program is built with `simd128`, as the build tool does.

#[cfg(target_family = "wasm")]
pub use wasm::*;

#[cfg(not(target_family = "wasm"))]
pub use array::*;

#[cfg(target_family = "wasm")]
mod wasm {
    use core::arch::wasm32 as w;

    /// Four numbers.
    pub type Four = w::v128;

    /// Four times the same.
    #[inline(always)]
    pub fn all(x: f32) -> Four {
        w::f32x4_splat(x)
    }

    /// The four numbers from `at` on.
    ///
    /// # Safety
    /// They are there.
    #[inline(always)]
    pub unsafe fn load(at: *const f32) -> Four {
        // SAFETY: vectors need no alignment.
        unsafe { w::v128_load(at.cast()) }
    }

    /// Four times the number at `at`.
    ///
    /// # Safety
    /// It is there.
    #[inline(always)]
    pub unsafe fn load_all(at: *const f32) -> Four {
        // SAFETY: the same number.
        unsafe { w::v128_load32_splat(at.cast()) }
    }

    /// Writes four numbers.
    ///
    /// # Safety
    /// There is room for them.
    #[inline(always)]
    pub unsafe fn store(at: *mut f32, four: Four) {
        // SAFETY: vectors need no alignment.
        unsafe { w::v128_store(at.cast(), four) }
    }

    /// a·b.
    #[inline(always)]
    pub fn times(a: Four, b: Four) -> Four {
        w::f32x4_mul(a, b)
    }

    /// a + b.
    #[inline(always)]
    pub fn plus(a: Four, b: Four) -> Four {
        w::f32x4_add(a, b)
    }

    /// Rows to columns.
    #[inline(always)]
    pub fn transposed([a, b, c, d]: [Four; 4]) -> [Four; 4] {
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

    pub type Four = [f32; 4];

    pub fn all(x: f32) -> Four {
        [x; 4]
    }

    pub unsafe fn load(at: *const f32) -> Four {
        // SAFETY: the caller's.
        unsafe { at.cast::<Four>().read_unaligned() }
    }

    pub unsafe fn load_all(at: *const f32) -> Four {
        // SAFETY: the caller's.
        unsafe { [*at; 4] }
    }

    pub unsafe fn store(at: *mut f32, four: Four) {
        // SAFETY: the caller's.
        unsafe { at.cast::<Four>().write_unaligned(four) }
    }

    pub fn times(a: Four, b: Four) -> Four {
        from_fn(|i| a[i] * b[i])
    }

    pub fn plus(a: Four, b: Four) -> Four {
        from_fn(|i| a[i] + b[i])
    }

    pub fn transposed(rows: [Four; 4]) -> [Four; 4] {
        from_fn(|i| from_fn(|j| rows[j][i]))
    }
}
