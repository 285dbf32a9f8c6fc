//! Frames that change hands between a ring and a packet.
//!
//! - `accept`: which entries of a ring are ours ([`Lender`]), and frames lent and taken back;
//! - `each`: received packets one at a time, in one pass; `batch`: all at once, for an engine's callback, and what it decided;
//! - `fresh`, `outbox`: packets to send; `pool`: free frames at hand; `tally`: what became of packets.

mod accept;
mod batch;
mod counts;
mod each;
mod fresh;
mod outbox;
pub(crate) mod pool;

pub(crate) use accept::Lender;
pub(crate) use batch::{BatchOutlets, BatchSlots};
pub(crate) use counts::{NotSent, VerdictCounts};
pub use each::ReceivedPacket;
pub(in crate::packet) use each::can_leave;
pub(crate) use each::{Handled, Outlets};
pub use outbox::Outbox;
pub(crate) use pool::FramePool;
