//! What a scenario needs of the world: links, sockets on them, and the host behind them.
//!
//! A world is a place (a simulated network, or veth pairs) seen through a face of the library (Rust, or C). Scenarios know neither.

use std::any::Any;

/// The door of the library that the sockets inside are used by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    /// Mode A: engines, whose callback sees the packets. They send what they receive; all other packets come from outside, by Mode C.
    Engine,
    /// Mode B: two owned halves, inside and outside.
    Halves,
    /// Mode C: the socket as it is, inside and outside.
    Raw,
}

/// What a pair of joined links shall be.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) queues: u32,
    pub(crate) mtu: u32,
}

impl Default for Pair {
    fn default() -> Self {
        Self {
            queues: 1,
            mtu: 1500,
        }
    }
}

/// What a socket shall be. The default has small rings, which are soon full.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) queue: u32,
    pub(crate) frames: u32,
    pub(crate) chunk: u32,
    pub(crate) headroom: u32,
    pub(crate) fill: u32,
    pub(crate) rx: u32,
    pub(crate) tx: u32,
    pub(crate) completion: u32,
    /// Packets that one transmit call may send; `None` is the library's default.
    pub(crate) tx_budget: Option<u32>,
    pub(crate) need_wakeup: bool,
    /// Whether the bundled XDP program is attached; without it the socket can only send.
    pub(crate) program: bool,
    pub(crate) generic: bool,
    /// How long a taken queue is tried again.
    pub(crate) patience_ms: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue: 0,
            frames: 256,
            chunk: 2048,
            headroom: 0,
            fill: 64,
            rx: 64,
            tx: 64,
            completion: 64,
            tx_budget: None,
            need_wakeup: true,
            program: true,
            generic: false,
            patience_ms: 5000,
        }
    }
}

/// What was counted for a socket: by the kernel, and (the first two) by the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Statistics {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) rx_dropped: u64,
    pub(crate) rx_invalid: u64,
    pub(crate) tx_invalid: u64,
    pub(crate) rx_ring_full: u64,
    pub(crate) fill_empty: u64,
    pub(crate) tx_empty: u64,
}

/// What the bundled XDP program counted for the whole link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Program {
    pub(crate) drop: u64,
    pub(crate) redirect: u64,
    pub(crate) pass: u64,
}

/// Where packets and frames are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rings {
    /// Entries in fill, RX, TX and completion ring.
    pub(crate) occupied: [u32; 4],
    /// Frames of pool, user and kernel.
    pub(crate) frames: [u32; 3],
}

/// Whether packets are there, and whether slots of the TX ring are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ready {
    pub(crate) receive: bool,
    pub(crate) send: bool,
}

/// What to wait for.
pub(crate) const RECEIVE: u32 = 1;
/// What to wait for.
pub(crate) const SEND: u32 = 2;

/// A packet that no kernel should see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Empty,
    /// One byte longer than its frame.
    TooLong,
    /// Sent before.
    Stale,
    /// With option bits that nobody asked for.
    Options,
}

/// One socket, through one face of the library. Its methods are as plain as those of the faces.
pub(crate) trait Socket {
    /// Takes back what was sent, and puts packets with these bytes into the TX ring; returns how many had room.
    fn put(&mut self, frames: &[Vec<u8>]) -> usize;
    /// Wakes the kernel to send; an errno when that fails.
    fn wake(&mut self) -> Result<(), i32>;
    /// Looks at up to `max` packets, whose frames go back at once.
    fn receive(&mut self, max: u32) -> Vec<Vec<u8>>;
    /// Takes up to `max` packets into the user's hands, and shows their bytes.
    fn hold(&mut self, max: u32) -> Vec<Vec<u8>>;
    /// Gives the frames of the oldest packets in the user's hands back; also after the socket was closed.
    fn release(&mut self, count: usize);
    /// Puts the oldest packets in the user's hands into the TX ring, each grown by `grow` bytes (zeros) in front.
    fn send_held(&mut self, count: usize, grow: usize) -> usize;
    /// Lets go of the oldest packets in the user's hands, for [`adopt`](Self::adopt).
    fn give(&mut self, count: usize) -> Box<dyn Any>;
    /// Puts what another socket gave into the TX ring; returns how many had room.
    fn adopt(&mut self, packets: Box<dyn Any>) -> usize;
    /// Swaps the addresses of up to `max` packets and puts them into the TX ring.
    fn echo(&mut self, max: u32) -> usize;
    /// Tries to send a packet that cannot be sent; the errno of the refusal, 0 when there is none.
    fn send_wrong(&mut self, wrong: Wrong) -> i32;
    /// Passes up to `max` packets each way between this socket and another one on the same frames, uncopied, as many as there is room for,
    /// and wakes the kernel; returns how many.
    fn bridge(&mut self, other: &mut dyn Socket, max: u32) -> usize;
    /// Tops the fill ring up.
    fn refill(&mut self);
    /// Waits for at most `ms` milliseconds; an errno when that fails.
    fn wait(&mut self, interest: u32, ms: u32) -> Result<Ready, i32>;
    /// Whether there is a file descriptor to wait on.
    fn has_descriptor(&mut self) -> bool;
    /// Sends everything and takes it back; whether that worked.
    fn flush(&mut self, ms: u32) -> bool;
    /// Sends these frames again and again, and receives, on a thread of its own, until [`calm`](Self::calm).
    fn flood(&mut self, frames: &[Vec<u8>]);
    /// Packets that the flood has received so far.
    fn flooded(&mut self) -> u64;
    /// Sends each packet back with swapped addresses, on a thread of its own, until [`calm`](Self::calm).
    fn serve(&mut self);
    /// Ends the thread.
    fn calm(&mut self);
    fn statistics(&mut self) -> Statistics;
    /// `None` without a program of this library.
    fn program(&mut self) -> Option<Program>;
    /// Proves that each frame has one owner, that no ring saw anything strange, and tells where packets and frames are.
    fn rings(&mut self) -> Rings;
    /// Ends the thread, proves that no frame is lost, and closes the socket. Packets in the user's hands stay there.
    fn close(&mut self);
    /// Proves that all frames are free, if this face can tell: the socket is closed, nobody has a packet.
    fn prove_all_home(&mut self) {}
    /// What other sockets of this face need of it to share its frames.
    fn as_any(&self) -> &dyn Any;
    /// Itself.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

/// A place, seen through a face.
pub(crate) trait World {
    /// How often both ends are closed and opened.
    fn cycles(&self) -> usize;
    /// Two joined links, both up.
    fn add_pair(&mut self, one: &str, other: &str, pair: Pair);
    /// Opens a socket, to be used by `mode`; an errno when that fails. With `umem`, on the frames of that socket.
    fn open(
        &mut self,
        link: &str,
        mode: Mode,
        options: &Options,
        umem: Option<&dyn Socket>,
    ) -> Result<Box<dyn Socket>, i32>;
    /// Lets the host's network stack listen on a link.
    fn listen(&mut self, link: &str);
    /// What the host's network stack heard next, within `ms` milliseconds.
    fn hear(&mut self, link: &str, ms: u32) -> Option<Vec<u8>>;
    /// Lets the host's network stack send.
    fn host_send(&mut self, link: &str, frame: &[u8]);
    fn set_up(&mut self, link: &str, up: bool);
    fn set_mtu(&mut self, link: &str, mtu: u32);
    /// Lets things happen for a moment.
    fn pass(&mut self);
}
