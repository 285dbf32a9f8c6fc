//! Sockets: the four rings of one, whole (Mode C) or in two halves (Mode B).
//!
//! ```text
//!              RX ring ─▶ each, batch ─▶ closure or packets ─▶ TX ring
//!  rx_side ──┤                                                         ├── tx_side
//!            fill ring ◀── refill ◀── pool ◀── reap ◀── completion ring
//! ```
//!
//! - `raw` ([`FluxRaw`]), `rx` ([`FluxRx`]), `tx` ([`FluxTx`]), `halves` and `shared` (the split, what both have, their waits): what users see;
//! - `rings`: both sides of a socket with the frames that go round in them; `rx_side`, `tx_side`: one each;
//! - `each`: received packets one at a time; `batch`: all at once, for the engine; `peek`: by their descriptors, for C;
//! - `kick`: how often to call the kernel; `waiting`: how to sleep and what ends it;
//! - `fanout`: several sockets on one queue; `map_entry`: a socket's entry in the XDP program's map; `state`: rings for people.

#![forbid(unsafe_code)]

mod batch;
mod each;
mod fanout;
mod halves;
mod kick;
mod map_entry;
mod peek;
mod raw;
mod rings;
mod rx;
mod rx_side;
mod shared;
mod state;
#[cfg(test)]
mod tests;
mod tx;
mod tx_side;
mod waiting;

pub(crate) use each::Target;
pub(crate) use fanout::FillMux;
pub(crate) use kick::{Kicks, Next, Watchdog};
pub(crate) use map_entry::MapEntry;
pub use raw::FluxRaw;
pub(crate) use rings::{Side, SocketRings};
pub use rx::FluxRx;
#[cfg(feature = "async")]
pub(crate) use rx::no_room;
pub(crate) use rx_side::RxSide;
pub use state::{RingState, RingsState};
pub use tx::{FluxTx, Unsent};
pub(crate) use tx_side::{TxSide, can_send, check_home, check_packets};
pub(crate) use waiting::{
    DESCRIPTOR, Patience, SHORT_OF_FRAMES, SHORT_OF_ROOM, Waiting, descriptor_of,
};
