//! Links, sessions and tables of results.
#![cfg(feature = "cli")]

mod link;
mod results;
