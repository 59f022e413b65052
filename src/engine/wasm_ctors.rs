//! Start-up of the GPU engine: runs the static constructors once. With them, burn's GPU kernels register themselves.
//!
//! A browser does not call these constructors. If the program does not call them either, the linker adds a call before
//! every function that JavaScript may call. All constructors then run again at each message and each settled promise.
//! Each time costs milliseconds, and the lists of kernels grow. One explicit call in the program makes the linker add
//! none.

use std::sync::Once;

/// Runs the constructors, unless they have run.
#[expect(unsafe_code, reason = "the linker makes that function, and only C's calling convention reaches it")]
pub fn run() {
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    static ONCE: Once = Once::new();
    // SAFETY: the function has no arguments and no result, and runs once.
    ONCE.call_once(|| unsafe { __wasm_call_ctors() });
}
