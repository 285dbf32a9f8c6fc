//! Packet memory: a UMEM, cut into equal frames.
//!
//! - `region`: [`UmemRegion`], the handle that users have;
//! - `geometry`: its arithmetic, checked before anything is asked of the kernel;
//! - `memory`: the bytes, from the heap or the kernel.
//!
//! Who owns each frame is in `packet::ledger`.

pub mod geometry;
pub mod memory;
mod region;

pub use region::{Accounting, UmemConfig, UmemRegion};
