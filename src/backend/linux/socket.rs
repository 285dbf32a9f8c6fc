//! An AF_XDP socket with its registered memory and its rings: how it is opened and closed.

use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::backend::linux::interface::IoctlSocket;
use crate::backend::linux::release::ReleaseProbe;
use crate::backend::linux::uapi::{self, MmapOffsets, RingOffset, UmemReg};
use crate::backend::linux::{af_xdp, errors};
use crate::backend::{
    Opened, QueueRelease, ReleasedAtClose, RingSizes, Rings, Sharing, Socket, SocketRequest,
    Throttle,
};
use crate::error::{FluxError, Result, errno};
use crate::ring::{ConsumerRing, Desc, ProducerRing, RingArea, RingElement};
use crate::umem::UmemRegion;
use crate::umem::geometry::Geometry;
use crate::umem::memory::linux::Mapping;
use crate::umem::memory::{PAGE_SIZE, Process};

/// An AF_XDP socket.
///
/// To the kernel it is closed, and its queue free, when this value and all rings mapped from it are dropped.
#[derive(Debug)]
pub(super) struct XdpSocket {
    pub(super) fd: OwnedFd,
    pub(super) ioctl: IoctlSocket,
    pub(super) ifindex: u32,
    /// The name of the interface when the socket was opened.
    pub(super) name: String,
    pub(super) request: SocketRequest,
    pub(super) geometry: Geometry,
    /// Whether the kernel's rings have a flags word at all (Linux 5.4).
    pub(super) ring_flags: bool,
    /// The kernel tells only once that the interface was removed.
    pub(super) gone: AtomicBool,
    /// When to ask it next.
    pub(super) gone_check: Throttle,
    /// Whether preferred busy polling was granted: the program's calls run the driver.
    pub(super) busy_polls: AtomicBool,
    /// The socket whose queue it shares, if it has none to itself. That one stays open as long.
    pub(super) first: Option<Arc<dyn Socket>>,
    /// Tells when the kernel has let go of the queue; of a socket that has it to itself or is the first on it.
    pub(super) release: Option<Arc<ReleaseProbe>>,
    umem: UmemRegion,
}

/// Opens a socket for an interface in the network namespace of this thread, with the four rings.
pub(super) fn open(
    ioctl: IoctlSocket,
    ifindex: u32,
    request: &SocketRequest,
    umem: &UmemRegion,
) -> Result<Opened> {
    let fd = af_xdp::new_socket(umem.geometry().bytes())?;
    register(fd.as_fd(), umem)?;
    let release = ReleaseProbe::prepare(ifindex, request.queue, umem.geometry())?;
    let (rings, ring_flags) = make_rings(fd.as_fd(), request.sizes)?;
    let socket = XdpSocket {
        fd,
        name: ioctl.name(ifindex).unwrap_or_default(),
        ioctl,
        ifindex,
        request: request.clone(),
        geometry: umem.geometry(),
        ring_flags,
        gone: AtomicBool::new(false),
        gone_check: Throttle::default(),
        busy_polls: AtomicBool::new(false),
        first: None,
        release: Some(Arc::new(release)),
        umem: umem.clone(),
    };
    Ok(Opened {
        socket: Arc::new(socket),
        rings,
    })
}

/// Opens a socket that will share the queue of `first`, with an RX and a TX ring alone.
pub(super) fn share(
    ioctl: IoctlSocket,
    ifindex: u32,
    request: &SocketRequest,
    first: &Arc<dyn Socket>,
    umem: &UmemRegion,
) -> Result<Sharing> {
    let socket: &dyn Any = &**first;
    let fits = socket.downcast_ref::<XdpSocket>().is_some_and(|first| {
        let same_umem = first.umem.memory().start() == umem.memory().start();
        first.ifindex == ifindex && first.request.queue == request.queue && same_umem
    });
    if !fits {
        return Err(FluxError::invalid(
            format_args!("sharing queue {}", request.queue),
            "the socket to share it with is on another queue, interface or UMEM",
            "share the queue of one socket, on its UMEM",
        ));
    }
    let fd = af_xdp::new_socket(0)?;
    let (rx, tx, ring_flags) = make_shared_rings(fd.as_fd(), request.sizes)?;
    let socket = XdpSocket {
        fd,
        name: ioctl.name(ifindex).unwrap_or_default(),
        ioctl,
        ifindex,
        request: request.clone(),
        geometry: umem.geometry(),
        ring_flags,
        gone: AtomicBool::new(false),
        gone_check: Throttle::default(),
        busy_polls: AtomicBool::new(false),
        first: Some(first.clone()),
        release: None,
        umem: umem.clone(),
    };
    Ok(Sharing {
        socket: Arc::new(socket),
        rx,
        tx,
    })
}

/// Registers the packet memory, which pins it.
fn register(fd: BorrowedFd<'_>, umem: &UmemRegion) -> Result<()> {
    let geometry = umem.geometry();
    let memory = umem.memory();
    // Kernels before 5.7 forget a last page that is only half used.
    let whole_pages = geometry.bytes().next_multiple_of(PAGE_SIZE as u64);
    let len = if whole_pages <= memory.len() as u64 {
        whole_pages
    } else {
        geometry.bytes()
    };
    let registration = UmemReg {
        addr: memory.start().as_ptr() as u64,
        len,
        chunk_size: geometry.chunk_size(),
        headroom: geometry.headroom(),
        ..Default::default()
    };
    // SAFETY: the memory lives as long as the UMEM, which the socket keeps a handle to (`XdpSocket`). Its frames reach a ring through the ledger
    // alone, and what the kernel has of them then nobody else looks at until it is seen to have let go (`Leases`).
    unsafe { af_xdp::register_memory(fd, &registration) }
        .map_err(|error| af_xdp::umem_error(error, geometry, len))
}

impl XdpSocket {
    /// The process whose socket it is.
    #[inline]
    pub(super) fn process(&self) -> Process {
        self.umem.frames().process()
    }

    /// The answer of the socket whose queue it shares.
    fn first_release(&self) -> Option<&ReleaseProbe> {
        let first: &dyn Any = &**self.first.as_ref()?;
        first.downcast_ref::<Self>()?.release.as_deref()
    }

    /// Whether the interface was removed, or moved to another network namespace, while the socket was bound to it.
    pub(super) fn is_gone(&self) -> bool {
        // The kernel sets ENETDOWN when it takes the socket off its interface, never when the interface goes down.
        if af_xdp::pending_error(self.fd.as_fd()) == errno::ENETDOWN {
            self.gone.store(true, Ordering::Relaxed);
        }
        self.gone.load(Ordering::Relaxed)
    }

    /// Counts a successful bind, and returns what tells when the kernel has let go of the queue.
    pub(super) fn bound_release(&self) -> Arc<dyn QueueRelease> {
        match &self.release {
            Some(release) => {
                release.count_bind();
                release.clone()
            }
            // The first socket on the queue answers for this one.
            None => Arc::new(ReleasedAtClose),
        }
    }

    /// What to call the interface in a message: by its name now, or by its last one when it is gone.
    pub(super) fn interface_name(&self) -> String {
        let name = self.ioctl.name(self.ifindex);
        name.unwrap_or_else(|| self.name.clone())
    }
}

impl Drop for XdpSocket {
    fn drop(&mut self) {
        if !self.process().is_current() {
            return;
        }
        let is_gone = || self.is_gone();
        if let Some(release) = &self.release {
            if is_gone() || self.ioctl.name(self.ifindex).is_none() {
                release.record_removal(self.fd.as_fd(), is_gone);
            }
        } else if let Some(release) = self.first_release() {
            release.record_shared_close(self.fd.as_fd());
        }
    }
}

/// Makes the rings of a new socket, and tells whether they have flags (Linux 5.4).
fn make_rings(fd: BorrowedFd<'_>, sizes: RingSizes) -> Result<(Rings, bool)> {
    set_size(fd, uapi::XDP_UMEM_FILL_RING, "fill", sizes.fill)?;
    set_size(
        fd,
        uapi::XDP_UMEM_COMPLETION_RING,
        "completion",
        sizes.completion,
    )?;
    let OwnRings {
        rx,
        tx,
        map,
        offsets,
    } = make_own(fd, sizes)?;
    let fill = map.ring(
        "fill",
        sizes.fill,
        offsets.fill,
        uapi::XDP_UMEM_PGOFF_FILL_RING,
    )?;
    let completion = map.ring(
        "completion",
        sizes.completion,
        offsets.completion,
        uapi::XDP_UMEM_PGOFF_COMPLETION_RING,
    )?;
    let rings = Rings {
        fill: ProducerRing::new(fill),
        rx,
        tx,
        completion: ConsumerRing::new(completion),
    };
    Ok((rings, map.ring_flags))
}

/// Makes the two rings of a new socket that shares the others with the first on its queue.
fn make_shared_rings(
    fd: BorrowedFd<'_>,
    sizes: RingSizes,
) -> Result<(ConsumerRing<Desc>, ProducerRing<Desc>, bool)> {
    let OwnRings { rx, tx, map, .. } = make_own(fd, sizes)?;
    Ok((rx, tx, map.ring_flags))
}

/// The rings that each socket has for itself, and the way to map the others.
struct OwnRings<'a> {
    rx: ConsumerRing<Desc>,
    tx: ProducerRing<Desc>,
    map: RingMapper<'a>,
    offsets: MmapOffsets,
}

fn make_own(fd: BorrowedFd<'_>, sizes: RingSizes) -> Result<OwnRings<'_>> {
    set_size(fd, uapi::XDP_RX_RING, "RX", sizes.rx)?;
    set_size(fd, uapi::XDP_TX_RING, "TX", sizes.tx)?;
    let (offsets, ring_flags) = mmap_offsets(fd)?;
    let map = RingMapper { fd, ring_flags };
    let rx = map.ring("RX", sizes.rx, offsets.rx, uapi::XDP_PGOFF_RX_RING)?;
    let tx = map.ring("TX", sizes.tx, offsets.tx, uapi::XDP_PGOFF_TX_RING)?;
    Ok(OwnRings {
        rx: ConsumerRing::new(rx),
        tx: ProducerRing::new(tx),
        map,
        offsets,
    })
}

fn set_size(fd: BorrowedFd<'_>, option: i32, name: &str, size: u32) -> Result<()> {
    af_xdp::set(fd, uapi::SOL_XDP, option, size)
        .map_err(|error| af_xdp::ring_error(error, name, size))
}

/// Asks where the parts of the rings lie, and whether the rings have flags.
fn mmap_offsets(fd: BorrowedFd<'_>) -> Result<(MmapOffsets, bool)> {
    let tried = "asking for the layout of the rings";
    let mut words = [0_u64; uapi::OFFSET_WORDS];
    let len = af_xdp::get(fd, uapi::SOL_XDP, uapi::XDP_MMAP_OFFSETS, &mut words)
        .map_err(|error| errors::unexpected(tried, error))?;
    words
        .get(..len / size_of::<u64>())
        .and_then(MmapOffsets::from_words)
        .ok_or_else(|| errors::unexpected(tried, errno::EINVAL))
}

/// Takes the place of the flags on kernels before 5.4, whose rings have none: never asks for a wake-up.
static NO_FLAGS: AtomicU32 = AtomicU32::new(0);

impl RingOffset {
    /// The bytes of the mapping of a ring with so many slots, in which all words and slots lie, aligned; `None` if no mapping can be so.
    fn len<T: RingElement>(&self, size: u32) -> Option<usize> {
        let slots = (size as usize).checked_mul(size_of::<T>())?;
        let len = usize::try_from(self.desc).ok()?.checked_add(slots)?;
        let word_fits = |word: u64| {
            let end = usize::try_from(word).ok()?.checked_add(size_of::<u32>())?;
            (end <= len && word.is_multiple_of(4)).then_some(())
        };
        for word in [self.producer, self.consumer, self.flags] {
            word_fits(word)?;
        }
        self.desc
            .is_multiple_of(align_of::<T::Slot>() as u64)
            .then_some(len)
    }
}

struct RingMapper<'a> {
    fd: BorrowedFd<'a>,
    ring_flags: bool,
}

impl RingMapper<'_> {
    /// Maps one ring. Called once for each, so that there is one end of each kind: ours and the kernel's.
    fn ring<T: RingElement>(
        &self,
        name: &str,
        size: u32,
        offset: RingOffset,
        page_offset: u64,
    ) -> Result<RingArea<T>> {
        let refusal = |error| af_xdp::ring_error(error, name, size);
        let len = offset.len::<T>(size).ok_or_else(|| refusal(libc::EPROTO))?;
        let mapping = Mapping::ring(self.fd, len, page_offset).map_err(refusal)?;
        let at = |offset: u64| {
            // SAFETY: the offset lies within the mapping, as `len` has seen.
            unsafe { mapping.start().add(offset as usize) }
        };
        let flags = if self.ring_flags {
            at(offset.flags).cast()
        } else {
            NonNull::from(&NO_FLAGS).cast()
        };
        let (producer, consumer, slots) =
            (at(offset.producer), at(offset.consumer), at(offset.desc));
        // SAFETY: words and slots lie aligned in the mapping, which the area keeps, or in a static; they are initialised by the
        // kernel, which is the one other end. The socket is new and each of its rings mapped once.
        unsafe {
            RingArea::from_parts(
                producer.cast(),
                consumer.cast(),
                flags,
                slots.cast(),
                size,
                Arc::new(mapping),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_that_leave_a_ring_or_the_address_space_are_refused() {
        let usual = RingOffset {
            producer: 0,
            consumer: 128,
            desc: 320,
            flags: 256,
        };
        assert_eq!(usual.len::<Desc>(64), Some(320 + 64 * 16));
        assert_eq!(usual.len::<u64>(64), Some(320 + 64 * 8));
        let far = [
            u64::MAX,
            u64::MAX - 3,
            u64::MAX - 1023,
            1 << 40,
            320 + 64 * 8 - 3,
            321,
        ];
        for far in far {
            let wrong = [
                RingOffset {
                    producer: far,
                    ..usual
                },
                RingOffset {
                    consumer: far,
                    ..usual
                },
                RingOffset {
                    flags: far,
                    ..usual
                },
            ];
            assert!(
                wrong.iter().all(|wrong| wrong.len::<u64>(64).is_none()),
                "{far:#x}"
            );
        }
        for desc in [u64::MAX, u64::MAX - 511, u64::MAX - 7, 324] {
            assert_eq!(
                RingOffset { desc, ..usual }.len::<u64>(64),
                None,
                "{desc:#x}"
            );
        }
    }
}
