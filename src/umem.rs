//! The shared packet memory.

#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use crate::error::Result;
use crate::geometry::Geometry;
use crate::mem::{Memory, PAGE_SIZE, Process};
use crate::packet::{Frames, Packet};
use crate::report::Hugepages;

/// What a UMEM shall be.
///
/// The kernel counts it as locked memory of the user, again for each queue that has a socket on it; sockets that
/// [share a queue](crate::FluxBuilder::build_group) count once. Beyond RLIMIT_MEMLOCK that takes CAP_IPC_LOCK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UmemConfig {
    /// The number of frames, 1 to 2²⁴. Default 8192.
    pub frames: u32,
    /// Bytes a frame: 2048 or 4096, larger powers of two up to 65,536 with required hugepages (Linux 6.6). Default 4096.
    pub chunk_size: u32,
    /// Bytes to keep free in front of each packet, besides the kernel's own 256. Default 0.
    pub headroom: u32,
    /// Whether hugepages shall be behind it. Default [`Hugepages::Never`].
    pub hugepages: Hugepages,
    /// The NUMA node to take the memory from. Default: wherever the kernel puts it.
    pub numa_node: Option<u32>,
    /// Whether packets are part of core dumps. Default no: they are other people's data, and large.
    pub core_dump: bool,
}

impl Default for UmemConfig {
    fn default() -> Self {
        Self {
            frames: 8192,
            chunk_size: 4096,
            headroom: 0,
            hugepages: Hugepages::Never,
            numa_node: None,
            core_dump: false,
        }
    }
}

impl UmemConfig {
    /// Checks frame count, chunk size and headroom against each other.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid), with the rule and numbers that would work.
    pub fn geometry(&self) -> Result<Geometry> {
        let smallest_page = match self.hugepages {
            Hugepages::Require(size) => size.bytes(),
            Hugepages::Never | Hugepages::Prefer(_) => PAGE_SIZE,
        };
        Geometry::new(self.frames, self.chunk_size, self.headroom, smallest_page)
    }
}

/// A handle to shared packet memory, cut into equal frames. Cloning gives another handle to the same memory.
///
/// The memory stays mapped until the last handle, socket and [`Packet`] is gone. Then it is unmapped, also when frames are still in
/// [quarantine](Accounting::quarantined): the kernel holds their pages for itself, and gives them to nobody else before it has released them.
/// The memory belongs to the process that made it: in a forked child it is full of zeros, and there is no free frame.
#[derive(Clone)]
pub struct UmemRegion {
    frames: Frames,
}

impl UmemRegion {
    /// A UMEM over memory that a kernel backend made.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when the memory is smaller than the geometry says.
    pub fn new(memory: Memory, geometry: Geometry) -> Result<Self> {
        Frames::new(memory, geometry).map(|frames| Self { frames })
    }

    /// A UMEM in ordinary memory, without a kernel: to build packets, and for tests.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for an impossible geometry, [`Memory`](crate::ErrorKind::Memory) when memory runs out.
    pub fn heap(config: UmemConfig) -> Result<Self> {
        let geometry = config.geometry()?;
        let bytes = geometry.bytes().next_multiple_of(PAGE_SIZE as u64);
        let memory = Memory::heap(bytes as usize)?;
        if config.core_dump {
            memory.dump();
        }
        Self::new(memory, geometry)
    }

    /// The number of frames.
    #[must_use]
    pub fn frame_count(&self) -> u32 {
        self.frames.geometry().frames()
    }

    /// The geometry: frames, chunk size, headroom and what follows from them.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.frames.geometry()
    }

    /// The size of the pages behind the memory, in bytes.
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.frames.memory().page_size()
    }

    /// The memory itself, for a kernel backend to register.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        self.frames.memory()
    }

    /// A packet of length zero in a free frame, behind both headrooms. Any thread.
    ///
    /// `None` when no free frame is at hand: each socket keeps up to 128 free frames for itself, but at most an eighth of all,
    /// divided by the number of sockets that there were when it was opened.
    #[must_use]
    pub fn alloc(&self) -> Option<Packet> {
        let chunk = self.frames.take_home()?;
        Some(self.frames.fresh(chunk))
    }

    /// A packet with a copy of `bytes`, in a free frame; `None` when none is at hand, as for [`alloc`](Self::alloc). Any thread.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) (`EMSGSIZE`) when `bytes` do not fit into a frame.
    ///
    /// ```
    /// # let umem = fluxcap::UmemRegion::heap(fluxcap::UmemConfig::default())?;
    /// let packet = umem.copy(b"hello")?.expect("a free frame");
    /// assert_eq!(packet.data(), b"hello");
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn copy(&self, bytes: &[u8]) -> Result<Option<Packet>> {
        self.alloc().map(|packet| packet.filled(bytes)).transpose()
    }

    /// Who has the frames now, by the ledger. O(frames); exact when nobody moves frames meanwhile.
    ///
    /// First it looks, by a system call for each closed socket, whether the kernel has let go of frames in
    /// [quarantine](Accounting::quarantined).
    #[must_use]
    pub fn accounting(&self) -> Accounting {
        self.frames.reclaim();
        let ledger = self.frames.ledger();
        Accounting {
            frames: self.frame_count(),
            pool: ledger.pool,
            user: ledger.user,
            kernel: ledger.kernel,
            quarantined: ledger.quarantined,
        }
    }

    /// Waits until the kernel has let go of the frames of sockets that were closed, or `timeout` is over; returns how many frames are
    /// still in [quarantine](Accounting::quarantined).
    ///
    /// Nothing has to call it: frames come home without. It is for a program that wants all of them before it goes on.
    ///
    /// ```
    /// # let network = fluxcap::sim::Network::new();
    /// # let nic = network.nic("eth0")?;
    /// use std::time::Duration;
    ///
    /// let raw = fluxcap::FluxBuilder::new(&nic).build()?;
    /// let umem = raw.umem().clone();
    /// drop(raw);
    /// assert_eq!(umem.reclaim(Duration::from_secs(1)), 0);
    /// assert_eq!(umem.accounting().pool, umem.frame_count());
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    pub fn reclaim(&self, timeout: Duration) -> u32 {
        self.frames.reclaim_within(timeout);
        self.frames.quarantined()
    }

    /// Whether the other handle is one to the same memory.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(&*self.frames, &*other.frames)
    }

    /// The process whose UMEM it is.
    #[inline]
    pub(crate) fn process(&self) -> Process {
        self.frames.process()
    }

    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }
}

impl fmt::Debug for UmemRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UmemRegion")
            .field("geometry", &self.geometry())
            .field("page_size", &self.page_size())
            .finish_non_exhaustive()
    }
}

/// Who has the frames of a UMEM. `pool + user + kernel + quarantined == frames`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accounting {
    /// All frames.
    pub frames: u32,
    /// Free frames.
    pub pool: u32,
    /// Frames of packets in the user's hands.
    pub user: u32,
    /// Frames in the four rings or in the kernel behind them.
    pub kernel: u32,
    /// Frames that the kernel had when a socket was closed, and may still use: a device in zero-copy mode may write to them.
    ///
    /// They return to the pool when the kernel is seen to have released the queue, usually some 25 ms after the close. The library looks
    /// whenever the pool is empty, a socket is opened on the UMEM, the frames are counted, or [`reclaim`](UmemRegion::reclaim) is called.
    ///
    /// If it is never seen, they are lost to the pool for as long as the UMEM exists: a duplicate of the descriptor (in a forked child) keeps
    /// the socket open, another process took the queue at once, or the interface was removed just then. They do not keep the memory
    /// mapped: see [`UmemRegion`].
    pub quarantined: u32,
}

impl Accounting {
    /// Whether the shares add up to the whole.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        let shares = [self.pool, self.user, self.kernel, self.quarantined];
        shares.iter().map(|&share| u64::from(share)).sum::<u64>() == u64::from(self.frames)
    }
}

impl fmt::Display for Accounting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            frames,
            pool,
            user,
            kernel,
            quarantined,
        } = self;
        let verdict = if self.is_conserved() { "" } else { " (WRONG)" };
        write!(f, "pool {pool} + user {user} + kernel {kernel}")?;
        if *quarantined > 0 {
            write!(f, " + quarantined {quarantined}")?;
        }
        write!(f, " = {frames} frames{verdict}")
    }
}
