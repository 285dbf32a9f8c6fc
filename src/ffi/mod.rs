//! The C face: a thin layer over the safe Rust API, and the only source of `include/fluxcap.h`.
//!
//! Every exported function checks its pointers, calls the Rust API within `guard` (`quick` on the
//! packet path) and turns the result into an `int`. What stands above it is what the header says.
//!
//! | files | what they hold |
//! |---|---|
//! | `error` | results, panics and the last error |
//! | `opaque` | handles: values behind opaque structs |
//! | `sized`, `array` | what C passes: structs that grow; arrays, bytes and texts |
//! | `config`, `umem`, `info` | set-up, packet memory, reports and statistics |
//! | `packet`, `callback` | owned packets, and those of a callback |
//! | `raw`, `rx`, `tx`, `engine`, `group`, `poller` | the three modes, and how they wait |
//! | `headers`, `parse`, `checksum` | packets looked at |
//! | `tunnel`, `edit`, `rewrite`, `build` | packets changed and built |
//! | `sim`, `nic` | the simulator |
//!
//! A file is a part of a topic of the header. `tests/header/manual.rs` has the list of topics;
//! `overview.md` is how the header begins, and the `//!` of a topic's first file is its text. No
//! file imports one that imports it.

#![allow(non_camel_case_types, reason = "the names are those of C")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the documentation is that of the header; the rules of use stand at its top"
)]

mod array;
pub mod build;
pub mod callback;
pub mod checksum;
pub mod config;
pub mod edit;
pub mod engine;
pub mod error;
pub mod group;
pub mod headers;
pub mod info;
pub mod nic;
mod opaque;
pub mod packet;
pub mod parse;
pub mod poller;
pub mod raw;
pub mod rewrite;
pub mod rx;
pub mod sim;
mod sized;
pub mod tunnel;
pub mod tx;
pub mod umem;
