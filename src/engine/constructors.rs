//! What must run once before anything else in the GPU engine: burn's GPU kernels enter themselves in lists when the program is
//! loaded.
//!
//! In a browser nobody calls those constructors. A linker that sees no call of them puts one before every function that
//! JavaScript may call: then all of them run again with each message and each answered promise, milliseconds every time, and
//! the lists grow. A call of our own, anywhere, and it leaves that to us.

use std::sync::Once;

/// Runs them, if they have not run yet.
#[expect(unsafe_code, reason = "the linker makes that function, and only C's calling convention reaches it")]
pub fn run() {
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    static ONCE: Once = Once::new();
    // SAFETY: it takes nothing, gives nothing, and is run once.
    ONCE.call_once(|| unsafe { __wasm_call_ctors() });
}
