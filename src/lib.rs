//! Packet I/O over Linux AF_XDP sockets (XDP sockets).

pub mod batch;
pub mod builder;
pub mod error;
#[cfg(feature = "capi")]
#[doc(hidden)]
pub mod ffi;
pub mod geometry;
pub mod kernel;
pub mod link;
pub mod mem;
pub mod packet;
mod pool;
pub mod proto;
pub mod raw;
pub mod report;
pub mod ring;
pub mod stats;
pub mod umem;

pub use batch::PacketBatch;
pub use builder::FluxBuilder;
pub use error::{ErrorKind, FluxError, Result};
pub use kernel::{Interest, Interface, Ready};
pub use link::Link;
pub use packet::{Packet, PacketRef, Verdict};
pub use raw::{FluxRaw, RingState, RingsState};
pub use report::{Answer, BindMode, BusyPoll, HugepageSize, Hugepages, Report, XdpMode};
pub use ring::{ConsumerRing, Desc, ProducerRing};
pub use stats::{ProgramCounters, SocketStatistics};
pub use umem::{Accounting, UmemConfig, UmemRegion};
