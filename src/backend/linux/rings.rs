//! The four rings of a socket: made by the kernel, mapped from it.

use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use crate::backend::linux::uapi::{self, MmapOffsets, RingOffset};
use crate::backend::linux::{errors, options};
use crate::backend::{RingSizes, Rings};
use crate::error::{Result, errno};
use crate::ring::{ConsumerRing, Desc, ProducerRing, RingArea, RingElement};
use crate::umem::memory::linux::Mapping;

/// Makes the rings of a new socket, and tells whether they have flags (Linux 5.4).
pub(super) fn make(fd: BorrowedFd<'_>, sizes: RingSizes) -> Result<(Rings, bool)> {
    set_size(fd, uapi::XDP_UMEM_FILL_RING, "fill", sizes.fill)?;
    set_size(
        fd,
        uapi::XDP_UMEM_COMPLETION_RING,
        "completion",
        sizes.completion,
    )?;
    let Own {
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
pub(super) fn make_sharing(
    fd: BorrowedFd<'_>,
    sizes: RingSizes,
) -> Result<(ConsumerRing<Desc>, ProducerRing<Desc>, bool)> {
    let Own { rx, tx, map, .. } = make_own(fd, sizes)?;
    Ok((rx, tx, map.ring_flags))
}

/// The rings that each socket has for itself, and the way to map the others.
struct Own<'a> {
    rx: ConsumerRing<Desc>,
    tx: ProducerRing<Desc>,
    map: Mapper<'a>,
    offsets: MmapOffsets,
}

fn make_own(fd: BorrowedFd<'_>, sizes: RingSizes) -> Result<Own<'_>> {
    set_size(fd, uapi::XDP_RX_RING, "RX", sizes.rx)?;
    set_size(fd, uapi::XDP_TX_RING, "TX", sizes.tx)?;
    let (offsets, ring_flags) = mmap_offsets(fd)?;
    let map = Mapper { fd, ring_flags };
    let rx = map.ring("RX", sizes.rx, offsets.rx, uapi::XDP_PGOFF_RX_RING)?;
    let tx = map.ring("TX", sizes.tx, offsets.tx, uapi::XDP_PGOFF_TX_RING)?;
    Ok(Own {
        rx: ConsumerRing::new(rx),
        tx: ProducerRing::new(tx),
        map,
        offsets,
    })
}

fn set_size(fd: BorrowedFd<'_>, option: i32, name: &str, size: u32) -> Result<()> {
    options::set(fd, uapi::SOL_XDP, option, size).map_err(|error| errors::ring(error, name, size))
}

/// Asks where the parts of the rings lie, and whether the rings have flags.
fn mmap_offsets(fd: BorrowedFd<'_>) -> Result<(MmapOffsets, bool)> {
    let tried = "asking for the layout of the rings";
    let mut words = [0_u64; uapi::OFFSET_WORDS];
    let len = options::get(fd, uapi::SOL_XDP, uapi::XDP_MMAP_OFFSETS, &mut words)
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

struct Mapper<'a> {
    fd: BorrowedFd<'a>,
    ring_flags: bool,
}

impl Mapper<'_> {
    /// Maps one ring. Called once for each, so that there is one end of each kind: ours and the kernel's.
    fn ring<T: RingElement>(
        &self,
        name: &str,
        size: u32,
        offset: RingOffset,
        page_offset: u64,
    ) -> Result<RingArea<T>> {
        let refusal = |error| errors::ring(error, name, size);
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
