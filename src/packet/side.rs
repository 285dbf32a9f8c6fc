//! The kernel's side of a socket's four rings, for a kernel that lives in this program.

use std::collections::VecDeque;
use std::ptr;
use std::sync::atomic::{Ordering, fence};

use super::Frames;
use super::ledger::{POOL, USER};
use crate::ring::{ConsumerRing, Desc, ProducerRing};
use crate::umem::geometry::KERNEL_HEADROOM;

/// The other ends of the four rings of one socket, with hands on the frames that are on loan.
///
/// Whoever holds it plays the kernel: it takes frames out of the fill ring and puts packets into them, and takes packets out
/// of the TX ring. A frame is touched only between being taken out of a ring and being put into another, and only if the ledger
/// says that it is on loan. The other ends belong to this crate's `SocketRings`, which puts nothing into the rings but frames that it has
/// just lent: so a frame on loan that comes out of these rings is one that no program can reach.
///
/// It must be gone before the backend says that the queue is [released](super::QueueRelease), because then the frames on loan go home.
#[derive(Debug)]
pub(crate) struct KernelSide {
    frames: Frames,
    /// `None` for a socket that shares those of another one.
    supply: Option<Supply>,
    rx: ProducerRing<Desc>,
    tx: ConsumerRing<Desc>,
    /// Received packets that the program does not see yet.
    staged: Vec<Desc>,
    tx_invalid: u64,
}

/// The two rings that all sockets of a queue have in common.
#[derive(Debug)]
struct Supply {
    fill: ConsumerRing<u64>,
    completion: ProducerRing<u64>,
    /// Entries of the fill ring that were used and not released yet.
    fill_used: u32,
    /// Frames taken from the fill ring that found no use.
    unused: VecDeque<u64>,
    /// BatchSlots of the completion ring that packets on their way have reserved.
    reserved: u32,
    fill_invalid: u64,
}

impl Supply {
    fn has_frame(&mut self) -> bool {
        let wanted = self.fill_used + 1;
        !self.unused.is_empty() || self.fill.available(wanted) >= wanted
    }

    fn has_slot(&mut self) -> bool {
        self.completion.free(self.reserved + 1) > self.reserved
    }
}

/// A frame that was taken out of a fill ring, to receive into.
#[derive(Debug)]
pub(crate) struct FreeFrame {
    addr: u64,
}

/// What became of an attempt to receive a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// It stands in the RX ring as soon as that is [flushed](KernelSide::flush).
    Done,
    /// It is longer than a frame.
    TooLong,
    /// The fill ring has no frame.
    NoFrame,
    /// The RX ring is full.
    RxFull,
}

/// A packet that was taken out of the TX ring: its frame, until it is [completed](KernelSide::complete).
#[derive(Debug)]
#[must_use = "a frame comes back by `complete`"]
pub(crate) struct InFlight {
    addr: u64,
}

impl KernelSide {
    pub(crate) fn new(
        frames: Frames,
        fill: ConsumerRing<u64>,
        rx: ProducerRing<Desc>,
        tx: ConsumerRing<Desc>,
        completion: ProducerRing<u64>,
    ) -> Self {
        Self {
            supply: Some(Supply {
                fill,
                completion,
                fill_used: 0,
                unused: VecDeque::new(),
                reserved: 0,
                fill_invalid: 0,
            }),
            ..Self::sharing(frames, rx, tx)
        }
    }

    /// That of a socket which shares fill and completion ring of another one on the same UMEM.
    pub(crate) fn sharing(frames: Frames, rx: ProducerRing<Desc>, tx: ConsumerRing<Desc>) -> Self {
        Self {
            frames,
            supply: None,
            rx,
            tx,
            staged: Vec::new(),
            tx_invalid: 0,
        }
    }

    /// Whether its frames are those of this UMEM.
    pub(crate) fn is_of(&self, frames: &Frames) -> bool {
        self.frames.state() == frames.state()
    }

    /// Descriptors of the fill and of the TX ring that were refused.
    pub(crate) fn invalid(&self) -> (u64, u64) {
        let fill_invalid = self.supply.as_ref().map_or(0, |supply| supply.fill_invalid);
        (fill_invalid, self.tx_invalid)
    }

    /// The next frame to receive into.
    pub(crate) fn take_frame(&mut self) -> Option<FreeFrame> {
        let Self { frames, supply, .. } = self;
        let supply = supply.as_mut()?;
        if let Some(addr) = supply.unused.pop_front() {
            return Some(FreeFrame { addr });
        }
        loop {
            let entries = supply.fill.peek(supply.fill_used + 1);
            let addr = entries.get(supply.fill_used)?;
            supply.fill_used += 1;
            let chunk_size = u64::from(frames.geometry().chunk_size());
            // The kernel ignores where in its chunk an address points (`xp_aligned_extract_addr`).
            let addr = addr & !(chunk_size - 1);
            if is_lent(frames, addr) {
                return Some(FreeFrame { addr });
            }
            supply.fill_invalid += 1;
        }
    }

    /// Keeps a frame for the next packet, as the kernel's pool does.
    pub(crate) fn keep_frame(&mut self, frame: FreeFrame) {
        if let Some(supply) = &mut self.supply {
            supply.unused.push_back(frame.addr);
        }
    }

    /// Whether the RX ring has room for one more packet.
    pub(crate) fn rx_has_room(&mut self) -> bool {
        let staged = self.staged.len() as u32;
        self.rx.free(staged + 1) > staged
    }

    /// Whether there is a frame for the next packet.
    pub(crate) fn has_frame(&mut self) -> bool {
        self.supply.as_mut().is_some_and(Supply::has_frame)
    }

    /// Puts a packet into a frame, behind both headrooms, and its descriptor onto the RX ring.
    pub(crate) fn receive(&mut self, packet: &[u8]) -> Received {
        if !self.fits(packet) {
            return Received::TooLong;
        }
        let Some(frame) = self.take_frame() else {
            return Received::NoFrame;
        };
        match self.receive_into(frame, packet) {
            Ok(()) => Received::Done,
            Err(frame) => {
                self.keep_frame(frame);
                Received::RxFull
            }
        }
    }

    /// Whether a packet fits into a frame.
    pub(crate) fn fits(&self, packet: &[u8]) -> bool {
        packet.len() <= self.frames.geometry().packet_capacity() as usize
    }

    /// [`receive`](Self::receive), into a frame from the fill ring that this socket shares. The frame comes back if the RX ring is
    /// full, or the packet or the frame is none for this socket.
    pub(crate) fn receive_into(
        &mut self,
        frame: FreeFrame,
        packet: &[u8],
    ) -> Result<(), FreeFrame> {
        if !self.fits(packet) || !is_lent(&self.frames, frame.addr) || !self.rx_has_room() {
            return Err(frame);
        }
        let headroom = KERNEL_HEADROOM + self.frames.geometry().headroom();
        let addr = frame.addr + u64::from(headroom);
        // SAFETY: the frame is on loan, so in the UMEM, and came out of the fill ring, into which its lender alone puts it, once: nobody else
        // reads or writes it. The packet fits behind the headrooms, checked above.
        unsafe {
            ptr::copy_nonoverlapping(
                packet.as_ptr(),
                self.frames.pointer(addr).as_ptr(),
                packet.len(),
            );
        }
        self.staged.push(Desc {
            addr,
            len: packet.len() as u32,
            options: 0,
        });
        Ok(())
    }

    /// Shows the program what was received, and gives used slots of the fill ring back; returns how many packets are new.
    pub(crate) fn flush(&mut self) -> u32 {
        if let Some(supply) = &mut self.supply
            && supply.fill_used > 0
        {
            supply.fill.peek(supply.fill_used).release(supply.fill_used);
            supply.fill_used = 0;
        }
        let count = self.staged.len() as u32;
        if count > 0 {
            let mut slots = self.rx.reserve(count);
            let mut writer = slots.writer();
            let done = self.staged.drain(..).take_while(|desc| writer.push(*desc));
            let done = done.count() as u32;
            slots.submit(done);
        }
        count
    }

    /// Whether a packet could be sent: it is there, and the completion ring, if it has one of its own, has a slot for it.
    pub(crate) fn can_transmit(&mut self) -> bool {
        self.supply.as_mut().is_none_or(Supply::has_slot) && self.has_packet()
    }

    /// Whether a valid packet is next in the TX ring; invalid ones in front of it are counted and gone.
    pub(crate) fn has_packet(&mut self) -> bool {
        self.next_packet().is_some()
    }

    /// The next valid packet in the TX ring (`xskq_cons_peek_desc`).
    fn next_packet(&mut self) -> Option<Desc> {
        loop {
            let desc = self.tx.peek(1).get(0)?;
            if self.is_valid(desc) {
                return Some(desc);
            }
            self.tx_invalid += 1;
            self.tx.peek(1).release(1);
        }
    }

    /// The kernel's rules (`xp_aligned_validate_desc`), and that the frame was lent at all.
    fn is_valid(&self, desc: Desc) -> bool {
        let chunk_size = u64::from(self.frames.geometry().chunk_size());
        let end = (desc.addr & (chunk_size - 1)) + u64::from(desc.len);
        desc.len > 0 && end <= chunk_size && desc.options == 0 && is_lent(&self.frames, desc.addr)
    }

    /// Takes the next packet out of the TX ring into `bytes`, if the completion ring has a slot to reserve for it.
    pub(crate) fn transmit(&mut self, bytes: &mut Vec<u8>) -> Option<InFlight> {
        if !self.reserve() {
            return None;
        }
        let packet = self.transmit_reserved(bytes);
        if packet.is_none() {
            self.unreserve();
        }
        packet
    }

    /// Reserves a slot of the completion ring, if one is free.
    pub(crate) fn reserve(&mut self) -> bool {
        let Some(supply) = &mut self.supply else {
            return false;
        };
        let free = supply.has_slot();
        supply.reserved += u32::from(free);
        free
    }

    /// Gives a reserved slot back.
    pub(crate) fn unreserve(&mut self) {
        if let Some(supply) = &mut self.supply {
            supply.reserved = supply.reserved.saturating_sub(1);
        }
    }

    /// [`transmit`](Self::transmit), with a slot reserved in the completion ring that this socket shares.
    pub(crate) fn transmit_reserved(&mut self, bytes: &mut Vec<u8>) -> Option<InFlight> {
        let desc = self.next_packet()?;
        let len = desc.len as usize;
        bytes.clear();
        bytes.reserve(len);
        // SAFETY: the frame is on loan and stands in the TX ring, so nobody writes it; the descriptor stays within its chunk. The vector
        // has room for `len` bytes, which are initialised by the copy.
        unsafe {
            ptr::copy_nonoverlapping(
                self.frames.pointer(desc.addr).as_ptr(),
                bytes.as_mut_ptr(),
                len,
            );
            bytes.set_len(len);
        }
        self.tx.peek(1).release(1);
        Some(InFlight { addr: desc.addr })
    }

    /// Gives the frame of a packet back through the completion ring.
    pub(crate) fn complete(&mut self, packet: InFlight) {
        let Some(supply) = &mut self.supply else {
            return;
        };
        let mut slots = supply.completion.reserve(1);
        if slots.put(0, packet.addr) {
            slots.submit(1);
            self.unreserve();
        }
    }

    /// The packets that the program has not taken yet.
    pub(crate) fn rx_waiting(&self) -> u32 {
        self.rx.occupied()
    }

    /// Whether the TX ring is at most half full (`xsk_tx_writeable`).
    pub(crate) fn is_writable(&self) -> bool {
        self.tx.occupied() <= self.tx.size() / 2
    }

    /// Asks for a call before frames in the fill ring are seen.
    pub(crate) fn set_rx_wakeup(&self, needed: bool) {
        if let Some(supply) = &self.supply {
            supply.fill.set_need_wakeup(needed);
        }
        // Who looks at the ring after this looks at it after the flag was set.
        fence(Ordering::SeqCst);
    }

    /// Asks for a call before packets in the TX ring are seen.
    pub(crate) fn set_tx_wakeup(&self, needed: bool) {
        self.tx.set_need_wakeup(needed);
        fence(Ordering::SeqCst);
    }
}

/// Whether a program has the chunk at `addr` lent out: neither pool nor user owns it.
fn is_lent(frames: &Frames, addr: u64) -> bool {
    frames
        .chunk_of(addr)
        .is_some_and(|chunk| !matches!(frames.owner(chunk), POOL | USER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Leases;
    use crate::ring::pair;
    use crate::umem::{UmemConfig, UmemRegion};

    const CHUNK: u64 = 2048;

    /// The program's ends, which may hold anything here.
    struct Program {
        _lease: std::sync::Arc<Leases>,
        fill: ProducerRing<u64>,
        rx: ConsumerRing<Desc>,
        tx: ProducerRing<Desc>,
        completion: ConsumerRing<u64>,
    }

    /// Eight frames, of which the first four are on loan, and rings of four slots.
    fn sides() -> (Program, KernelSide) {
        let config = UmemConfig {
            frames: 8,
            chunk_size: CHUNK as u32,
            headroom: 32,
            ..UmemConfig::default()
        };
        let umem = UmemRegion::heap(config).unwrap();
        let lease = umem.frames().leases(1).unwrap();
        for chunk in 0..4 {
            assert_eq!(umem.frames().pop_free(), Some(chunk));
            umem.frames().set_owner(chunk, lease[0].mark());
        }
        let (fill, kernel_fill) = pair(4).unwrap();
        let (kernel_rx, rx) = pair(4).unwrap();
        let (tx, kernel_tx) = pair(4).unwrap();
        let (kernel_completion, completion) = pair(4).unwrap();
        let frames = umem.frames().clone();
        let side = KernelSide::new(frames, kernel_fill, kernel_rx, kernel_tx, kernel_completion);
        let program = Program {
            _lease: lease,
            fill,
            rx,
            tx,
            completion,
        };
        (program, side)
    }

    fn put<T: crate::ring::RingElement>(ring: &mut ProducerRing<T>, entry: T) {
        let mut slots = ring.reserve(1);
        assert!(slots.put(0, entry));
        slots.submit(1);
    }

    fn take<T: crate::ring::RingElement>(ring: &mut ConsumerRing<T>) -> Option<T> {
        let entries = ring.peek(1);
        let entry = entries.get(0);
        entries.release(1);
        entry
    }

    fn desc(addr: u64, len: u32) -> Desc {
        Desc {
            addr,
            len,
            options: 0,
        }
    }

    #[test]
    fn a_packet_lands_behind_both_headrooms_wherever_the_address_points_in_its_chunk() {
        let (mut program, mut side) = sides();
        put(&mut program.fill, CHUNK + 99);
        assert_eq!(side.receive(b"hello"), Received::Done);
        assert_eq!(take(&mut program.rx), None, "not seen before the flush");
        assert_eq!(side.flush(), 1);
        assert_eq!(take(&mut program.rx), Some(desc(CHUNK + 256 + 32, 5)));
        let (producer, consumer) = program.fill.indices();
        assert_eq!(producer, consumer, "its slot came back");
    }

    #[test]
    fn addresses_that_are_not_on_loan_are_counted_and_skipped() {
        let (mut program, mut side) = sides();
        for addr in [8 * CHUNK, u64::MAX, 5 * CHUNK, 3 * CHUNK] {
            put(&mut program.fill, addr);
        }
        assert_eq!(side.receive(b"hello"), Received::Done);
        side.flush();
        assert_eq!(take(&mut program.rx).unwrap().addr, 3 * CHUNK + 288);
        assert_eq!(side.invalid(), (3, 0));
    }

    #[test]
    fn a_full_rx_ring_keeps_the_frame_for_the_next_packet() {
        let (mut program, mut side) = sides();
        for addr in 0..4 {
            put(&mut program.fill, addr * CHUNK);
        }
        for _ in 0..4 {
            assert_eq!(side.receive(b"a"), Received::Done);
        }
        side.flush();
        assert_eq!(side.receive(b"b"), Received::NoFrame);
        let first = take(&mut program.rx).unwrap();
        put(&mut program.fill, first.addr);
        assert_eq!(side.receive(b"c"), Received::Done);
        side.flush();
        let second = take(&mut program.rx).unwrap();
        put(&mut program.fill, second.addr);
        for _ in 0..3 {
            assert!(side.has_frame());
        }
        put(&mut program.fill, 0);
        assert_eq!(side.receive(b"d"), Received::Done);
        side.flush();
        assert_eq!(side.receive(b"e"), Received::RxFull);
        assert!(side.has_frame() && !side.rx_has_room());
        take(&mut program.rx).unwrap();
        assert_eq!(
            side.receive(b"f"),
            Received::Done,
            "into the frame that was kept"
        );
        assert_eq!(side.receive(&[0; 2048]), Received::TooLong);
    }

    #[test]
    fn each_kind_of_invalid_tx_descriptor_is_counted_and_never_completed() {
        // `xp_aligned_validate_desc` of Linux 6.18, rule by rule.
        let invalid = [
            ("no bytes", desc(0, 0)),
            ("beyond the UMEM", desc(8 * CHUNK, 60)),
            ("far beyond the UMEM", desc(u64::MAX - 10, 60)),
            ("crossing a chunk", desc(CHUNK - 10, 11)),
            ("longer than a chunk", desc(0, 2049)),
            ("longer than anything", desc(0, u32::MAX)),
            (
                "unknown options",
                Desc {
                    options: 4,
                    ..desc(0, 60)
                },
            ),
            // Not the kernel's: it cannot know.
            ("not on loan", desc(5 * CHUNK, 60)),
        ];
        for (number, (what, wrong)) in invalid.into_iter().enumerate() {
            let (mut program, mut side) = sides();
            put(&mut program.tx, wrong);
            put(&mut program.tx, desc(CHUNK - 10, 10));
            let mut bytes = Vec::new();
            let packet = side.transmit(&mut bytes).unwrap();
            assert_eq!(bytes.len(), 10, "{number}: {what}");
            assert_eq!(side.invalid(), (0, 1), "{what}");
            side.complete(packet);
            assert_eq!(take(&mut program.completion), Some(CHUNK - 10), "{what}");
            assert_eq!(take(&mut program.completion), None, "{what}");
            assert!(!side.has_packet());
        }
    }

    #[test]
    fn packets_on_their_way_reserve_slots_of_the_completion_ring() {
        let (mut program, mut side) = sides();
        let mut bytes = Vec::new();
        let mut away = Vec::new();
        for addr in 0..4 {
            put(&mut program.tx, desc(addr * CHUNK, 20));
            away.push(side.transmit(&mut bytes).unwrap());
        }
        put(&mut program.tx, desc(0, 20));
        assert!(side.has_packet());
        assert!(side.transmit(&mut bytes).is_none(), "no slot is left");
        side.complete(away.pop().unwrap());
        assert!(
            side.transmit(&mut bytes).is_none(),
            "a completion that nobody took fills its slot"
        );
        assert_eq!(take(&mut program.completion), Some(3 * CHUNK));
        assert!(side.transmit(&mut bytes).is_some());
    }
}
