//! What is taught, one network a file: examples and loss of each.

pub mod emulator;
