//! Frames that change hands between a ring and a packet.
//!
//! - `accept`: which entries of a ring are ours ([`Lender`]), and frames lent and taken back;
//! - `each`: received packets one at a time, in one pass; `batch`: all at once, for an engine's callback, and what it decided;
//! - `send`: fresh packets, and a TX ring as a place to put them; `pool`: free frames at hand.

mod accept;
mod batch;
mod each;
pub(crate) mod pool;
mod send;

pub(crate) use accept::Lender;
pub(crate) use batch::{BatchOutlets, BatchSlots, NotSent, VerdictCounts};
pub use each::ReceivedPacket;
pub(in crate::packet) use each::can_leave;
pub(crate) use each::{Handled, Outlets};
pub(crate) use pool::FramePool;
pub use send::Outbox;
