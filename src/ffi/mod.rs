//! The C face: a thin layer over the safe Rust API, and the only source of `include/fluxcap.h`.
//!
//! Every exported function checks its pointers, calls the Rust API within `guard` and turns the
//! result into an `int`. The rules that the header promises are written in `cbindgen.toml`.

#![allow(non_camel_case_types, reason = "the names are those of C")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the documentation is that of the header; the rules of use stand at its top"
)]

mod array;
pub mod build;
pub mod callback;
pub mod capture;
mod change;
pub mod checksum;
pub mod config;
pub mod counters;
pub mod edit;
pub mod engine;
pub mod engine_config;
pub mod error;
pub mod format;
pub mod group;
pub mod handle;
pub mod headers;
pub mod info;
pub mod link;
mod lock;
pub mod nic;
mod opaque;
pub mod packet;
pub mod parse;
mod parser;
pub mod poller;
pub mod proto;
pub mod queues;
pub mod raw;
pub mod rewrite;
pub mod rx;
pub mod sim;
mod sized;
pub mod tally;
pub mod text;
pub mod trace;
pub mod tunnel;
pub mod tx;
pub mod umem;
