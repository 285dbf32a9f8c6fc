//! Received packets shown to a callback all at once, and what it decides about each.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::{Frames, Lender, Packet, PacketRef};
use crate::batch::PacketBatch;
use crate::error::{FluxError, Result};
use crate::ring::Desc;

/// Verdict of a [`Slot`]: back to the fill ring.
pub(crate) const RECYCLE: u32 = 0;
/// Verdict of a [`Slot`]: out through port 0; the ports after it follow.
pub(crate) const SEND: u32 = 1;

/// One borrowed packet: where it is, how long, and what shall become of it. C programs see it as it is, and may write anything into it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(super) data: *mut u8,
    pub(super) len: u32,
    pub(super) verdict: u32,
}

// SAFETY: an address and two numbers; who follows the address answers for that.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

impl Slot {
    /// A slot of no packet.
    pub(crate) const EMPTY: Self = Self {
        data: std::ptr::null_mut(),
        len: 0,
        verdict: RECYCLE,
    };

    /// The packet that `desc` describes, in the UMEM that starts at `base`.
    #[inline]
    pub(super) fn new(base: NonNull<u8>, desc: &Desc) -> Self {
        Self {
            data: base.as_ptr().wrapping_add(desc.addr as usize),
            len: desc.len,
            verdict: RECYCLE,
        }
    }

    /// The descriptor of the packet as it stands now, in the UMEM that starts at `base`; of any other address something else.
    #[inline]
    pub(super) fn desc(&self, base: NonNull<u8>, options: u32) -> Desc {
        let addr = (self.data as usize).wrapping_sub(base.as_ptr() as usize);
        Desc {
            addr: addr as u64,
            len: self.len,
            options,
        }
    }
}

/// Up to a batch of received packets, borrowed for one call of an engine's callback.
///
/// They are the engine's: read and change them in place, and [send](PortPacket::send) those that shall leave. The others are recycled when
/// the callback returns. One packet is looked at at a time:
///
/// ```compile_fail,E0499
/// # fn example(batch: &mut fluxcap::BatchRef<'_>) {
/// let first = batch.packet(0);
/// let second = batch.packet(1); // error: cannot borrow `*batch` as mutable more than once
/// drop(first);
/// # }
/// ```
pub struct BatchRef<'a> {
    slots: &'a mut [Slot],
    run: &'a [Desc],
    frames: &'a Frames,
    through: Through,
}

/// The port that a batch came through, and how many there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Through {
    pub(crate) port: u32,
    pub(crate) ports: u32,
}

impl<'a> BatchRef<'a> {
    /// The packets of `run`, which came `through` a port, to be shown in the first of `slots`, which are at least as many.
    ///
    /// # Safety
    ///
    /// Each descriptor must lie within one chunk of `frames`, which for `'a` nobody else reads or writes. Two may lie in the same.
    #[inline]
    pub(super) unsafe fn new(
        frames: &'a Frames,
        run: &'a [Desc],
        slots: &'a mut [Slot],
        through: Through,
    ) -> Self {
        let base = frames.memory().start();
        let slots = &mut slots[..run.len()];
        for (slot, desc) in slots.iter_mut().zip(run) {
            *slot = Slot::new(base, desc);
        }
        Self {
            slots,
            run,
            frames,
            through,
        }
    }

    /// The number of packets, at least one.
    #[inline]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// The port that the packets came through, counted from 0 in the order in which the engine got its sockets.
    #[inline]
    #[must_use]
    pub fn port(&self) -> u32 {
        self.through.port
    }

    /// The number of ports of the engine.
    #[must_use]
    pub fn ports(&self) -> u32 {
        self.through.ports
    }

    /// The packet at `index`.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`len`](Self::len).
    #[inline]
    pub fn packet(&mut self, index: usize) -> PortPacket<'_> {
        let options = self.run[index].options;
        PortPacket {
            // SAFETY: as `new` promised; while this packet lives no other one can be had, so it does no harm that two may share a chunk.
            packet: unsafe { PacketRef::new(self.frames, &mut self.slots[index], options) },
            through: self.through,
        }
    }

    /// Shows each packet to `look`, in the order in which they came.
    #[inline]
    pub fn for_each(&mut self, mut look: impl FnMut(&mut PortPacket<'_>)) {
        for (slot, desc) in self.slots.iter_mut().zip(self.run) {
            look(&mut PortPacket {
                // SAFETY: as in `packet`.
                packet: unsafe { PacketRef::new(self.frames, slot, desc.options) },
                through: self.through,
            });
        }
    }

    /// Recycles all of them, whatever was decided before.
    pub fn recycle_all(&mut self) {
        for slot in &mut *self.slots {
            slot.verdict = RECYCLE;
        }
    }

    /// The slots themselves, for C.
    #[cfg(feature = "capi")]
    pub(crate) fn slots(&mut self) -> &mut [Slot] {
        self.slots
    }
}

impl fmt::Debug for BatchRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchRef")
            .field("len", &self.len())
            .field("through", &self.through)
            .finish_non_exhaustive()
    }
}

/// A borrowed packet that came through a port of an engine, and can leave through each of them. See [`PacketRef`] for its bytes.
#[derive(Debug)]
pub struct PortPacket<'a> {
    packet: PacketRef<'a>,
    through: Through,
}

impl PortPacket<'_> {
    /// Sends the packet back through the port that it came through, as it is when the callback returns. An empty one is recycled.
    #[inline]
    pub fn send(&mut self) {
        self.packet.slot.verdict = SEND + self.through.port;
    }

    /// Sends the packet through `port`, as it is when the callback returns. An empty one is recycled.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when the engine has no such port; the packet's verdict stays as it was.
    #[inline]
    pub fn send_to(&mut self, port: u32) -> Result<()> {
        if port >= self.through.ports {
            return Err(no_port(port, self.through.ports));
        }
        self.packet.slot.verdict = SEND + port;
        Ok(())
    }

    /// Recycles the packet after all: its frame goes back to the kernel when the callback returns.
    pub fn recycle(&mut self) {
        self.packet.slot.verdict = RECYCLE;
    }

    /// The port that it will leave through; `None`: it will be recycled.
    #[must_use]
    pub fn leaves_through(&self) -> Option<u32> {
        self.packet.slot.verdict.checked_sub(SEND)
    }
}

impl<'a> Deref for PortPacket<'a> {
    type Target = PacketRef<'a>;

    #[inline]
    fn deref(&self) -> &PacketRef<'a> {
        &self.packet
    }
}

impl<'a> DerefMut for PortPacket<'a> {
    #[inline]
    fn deref_mut(&mut self) -> &mut PacketRef<'a> {
        &mut self.packet
    }
}

#[cold]
pub(super) fn no_port(port: u32, ports: u32) -> FluxError {
    FluxError::invalid(
        format_args!("send a packet through port {port}"),
        format_args!("the engine has {ports}, counted from 0"),
        "use one of them",
    )
}

/// Where the packets of a batch can go: free slots of the fill and the TX ring, and the batches of other ports.
pub(crate) struct Ways<'a> {
    pub(crate) fill: &'a mut [u64],
    pub(crate) tx: &'a mut [Desc],
    pub(crate) others: &'a mut [PacketBatch],
}

/// How the packets of a batch were settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Settled {
    /// All of them.
    pub(crate) seen: usize,
    /// Back to the fill ring or the pool.
    pub(crate) recycled: usize,
    /// Into the TX ring of the same socket.
    pub(crate) sent: usize,
    /// Into the batches of other ports.
    pub(crate) passed_on: usize,
    /// Recycled although they should be sent, because there was no room.
    pub(crate) crowded: usize,
    /// The first that was recycled because what its slot says can't be sent.
    pub(crate) unfit: Option<usize>,
}

impl Lender {
    /// The received packets at the front of a run, to be shown in `slots`, which are at least as many.
    ///
    /// The frames stay on loan all the while.
    #[inline]
    pub(crate) fn show<'a>(
        &'a mut self,
        run: &'a [Desc],
        slots: &'a mut [Slot],
        through: Through,
    ) -> BatchRef<'a> {
        // SAFETY: acceptable. While this `Lender` is borrowed, the frames stay on loan, so nobody else touches them.
        unsafe { BatchRef::new(&self.frames, self.accepted(run), slots, through) }
    }

    /// Does with each packet what its slot says: writes it to the fill or the TX run, or puts it into the batch of another port, as far
    /// as the two rings have room. `run` and `slots` are those of the whole batch; it goes on where `settled` says.
    ///
    /// The frames in the rings stay on loan.
    #[inline]
    pub(crate) fn settle_run(
        &mut self,
        run: &[Desc],
        slots: &[Slot],
        port: u32,
        ways: Ways<'_>,
        settled: &mut Settled,
    ) {
        let Ways { fill, tx, others } = ways;
        let (run, slots) = (&run[settled.seen..], &slots[settled.seen..]);
        let verdicts = slots.iter().fold(0, |all, slot| all | slot.verdict);
        if verdicts == RECYCLE {
            let done = run.len().min(fill.len());
            for (slot, desc) in fill.iter_mut().zip(run) {
                *slot = desc.addr;
            }
            self.share(&fill[..done]);
            settled.recycled += done;
            settled.seen += done;
            return;
        }
        let (mut recycled, mut sent) = (0, 0);
        for (desc, slot) in run.iter().zip(slots) {
            if recycled == fill.len() {
                break;
            }
            if slot.verdict == SEND + port {
                match (self.fits(desc, slot), tx.get_mut(sent)) {
                    (Ok(fitting), Some(place)) => {
                        *place = fitting;
                        sent += 1;
                        settled.seen += 1;
                        continue;
                    }
                    (Ok(_), None) if sent > 0 => break,
                    (Ok(_), None) => settled.crowded += 1,
                    (Err(fault), _) => settled.note(fault),
                }
            } else if slot.verdict != RECYCLE && self.pass_on(desc, slot, others, settled) {
                settled.passed_on += 1;
                settled.seen += 1;
                continue;
            }
            fill[recycled] = desc.addr;
            recycled += 1;
            settled.seen += 1;
        }
        self.share(&fill[..recycled]);
        settled.recycled += recycled;
        settled.sent += sent;
    }

    /// The packet that a slot asks to send, if it lies within the chunk of `desc`, which it was made of, and is not empty.
    #[inline]
    fn fits(&self, desc: &Desc, slot: &Slot) -> Result<Desc, Fault> {
        let chunk_size = u64::from(self.frames.geometry().chunk_size());
        let fitting = slot.desc(self.frames.memory().start(), desc.options);
        let end = (fitting.addr & (chunk_size - 1)) + u64::from(fitting.len);
        if fitting.addr ^ desc.addr >= chunk_size || end > chunk_size {
            return Err(Fault::Outside);
        }
        if fitting.len == 0 {
            return Err(Fault::Empty);
        }
        Ok(fitting)
    }

    /// Makes an owned packet of a received one, in the batch of the port that it shall leave through.
    fn pass_on(
        &mut self,
        desc: &Desc,
        slot: &Slot,
        others: &mut [PacketBatch],
        settled: &mut Settled,
    ) -> bool {
        let Some(batch) = others.get_mut((slot.verdict - SEND) as usize) else {
            settled.note(Fault::Outside);
            return false;
        };
        if batch.room() == 0 {
            settled.crowded += 1;
            return false;
        }
        let fitting = match self.fits(desc, slot) {
            Ok(fitting) => fitting,
            Err(fault) => {
                settled.note(fault);
                return false;
            }
        };
        // A frame that came twice is the user's once.
        let Some(chunk) = self.receive(desc) else {
            return false;
        };
        self.frames.count_up(1);
        self.lent = self.lent.wrapping_sub(1);
        batch.append(Packet::new(self.frames.state(), fitting, chunk));
        true
    }
}

/// Why a packet can't be sent.
enum Fault {
    Empty,
    Outside,
}

impl Settled {
    #[cold]
    fn note(&mut self, fault: Fault) {
        match fault {
            Fault::Empty => {}
            Fault::Outside => {
                self.unfit.get_or_insert(self.seen);
            }
        }
    }
}
