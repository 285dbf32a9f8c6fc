//! The atomics of what threads share about frames: the standard library's, or where the crate is compiled with `--cfg fluxcap_loom`, those of
//! loom, which runs a test over all orders in which the threads' steps can happen: `make loom`.
//!
//! The rings have the standard library's: they lie in memory that somebody else laid out.

#![forbid(unsafe_code)]

#[cfg(fluxcap_loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64};
#[cfg(not(fluxcap_loom))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64};
