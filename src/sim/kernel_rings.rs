//! The kernel's ends of a socket's four rings: the only code of the simulator that touches frames.

use std::collections::VecDeque;
use std::ptr;
use std::sync::atomic::{Ordering, fence};

use crate::packet::Frames;
use crate::ring::{ConsumerRing, Desc, ProducerRing};
use crate::umem::geometry::KERNEL_HEADROOM;

/// The kernel's ends of the four rings of one socket, and access to the frames that the program lent.
///
/// Takes frames out of the fill ring and copies packets into them; takes packets out of the TX ring and copies them out.
///
/// # Invariant
///
/// A frame is touched only between its removal from one ring and its insertion into another, and only if the ledger says that it is on loan.
/// The program's ends belong to this crate's `SocketRings`, which puts only frames into the rings that it has just lent. So no program can
/// reach a frame that is on loan and comes out of these rings.
///
/// It must be dropped before the backend reports the queue as [released](crate::packet::QueueRelease): the frames on loan return to the pool
/// then.
#[derive(Debug)]
pub(super) struct KernelRings {
    frames: Frames,
    /// `None` for a socket that uses the fill and completion ring of another one.
    queue: Option<QueueRings>,
    rx: ProducerRing<Desc>,
    tx: ConsumerRing<Desc>,
    /// Received packets that are not in the RX ring yet: [`flush`](Self::flush) inserts them.
    staged: Vec<Desc>,
    tx_invalid: u64,
}

/// The fill and the completion ring, which all sockets of a queue share.
#[derive(Debug)]
struct QueueRings {
    fill: ConsumerRing<u64>,
    completion: ProducerRing<u64>,
    /// Entries of the fill ring that were read but not released yet.
    fill_used: u32,
    /// Frames taken from the fill ring that no packet was received into.
    unused: VecDeque<u64>,
    /// Slots of the completion ring reserved for packets in flight.
    reserved: u32,
    fill_invalid: u64,
}

impl QueueRings {
    fn has_frame(&mut self) -> bool {
        let wanted = self.fill_used + 1;
        !self.unused.is_empty() || self.fill.available(wanted) >= wanted
    }

    fn has_slot(&mut self) -> bool {
        self.completion.free(self.reserved + 1) > self.reserved
    }
}

/// A frame taken out of a fill ring, to receive into.
#[derive(Debug)]
pub(super) struct FreeFrame {
    addr: u64,
}

/// The result of receiving a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// The next [flush](KernelRings::flush) puts it into the RX ring.
    Done,
    /// The packet is longer than a frame.
    TooLong,
    /// The fill ring has no frame.
    NoFrame,
    /// The RX ring is full.
    RxFull,
}

/// A packet taken out of the TX ring: its frame, until it is [completed](KernelRings::complete).
#[derive(Debug)]
#[must_use = "`complete` gives the frame back"]
pub(super) struct InFlight {
    addr: u64,
}

impl KernelRings {
    pub(super) fn new(
        frames: Frames,
        fill: ConsumerRing<u64>,
        rx: ProducerRing<Desc>,
        tx: ConsumerRing<Desc>,
        completion: ProducerRing<u64>,
    ) -> Self {
        Self {
            queue: Some(QueueRings {
                fill,
                completion,
                fill_used: 0,
                unused: VecDeque::new(),
                reserved: 0,
                fill_invalid: 0,
            }),
            ..Self::new_shared(frames, rx, tx)
        }
    }

    /// The rings of a socket that uses the fill and completion ring of another one on the same UMEM.
    pub(super) fn new_shared(
        frames: Frames,
        rx: ProducerRing<Desc>,
        tx: ConsumerRing<Desc>,
    ) -> Self {
        Self {
            frames,
            queue: None,
            rx,
            tx,
            staged: Vec::new(),
            tx_invalid: 0,
        }
    }

    /// Whether its frames belong to this UMEM.
    pub(super) fn belongs_to(&self, frames: &Frames) -> bool {
        self.frames.is(frames)
    }

    /// Counts the invalid entries of the fill ring and of the TX ring.
    pub(super) fn invalid(&self) -> (u64, u64) {
        let fill_invalid = self.queue.as_ref().map_or(0, |queue| queue.fill_invalid);
        (fill_invalid, self.tx_invalid)
    }

    /// The next frame to receive into.
    pub(super) fn take_frame(&mut self) -> Option<FreeFrame> {
        let Self { frames, queue, .. } = self;
        let queue = queue.as_mut()?;
        if let Some(addr) = queue.unused.pop_front() {
            return Some(FreeFrame { addr });
        }
        loop {
            let entries = queue.fill.peek(queue.fill_used + 1);
            let addr = entries.get(queue.fill_used)?;
            queue.fill_used += 1;
            let chunk_size = u64::from(frames.geometry().chunk_size());
            // The kernel ignores the offset within the chunk (`xp_aligned_extract_addr`).
            let addr = addr & !(chunk_size - 1);
            if frames.lent_frame(addr).is_some() {
                return Some(FreeFrame { addr });
            }
            queue.fill_invalid += 1;
        }
    }

    /// Keeps an unused frame for the next packet, as the kernel's pool does.
    pub(super) fn keep_frame(&mut self, frame: FreeFrame) {
        if let Some(queue) = &mut self.queue {
            queue.unused.push_back(frame.addr);
        }
    }

    /// Whether the RX ring has room for one more packet.
    pub(super) fn rx_has_room(&mut self) -> bool {
        let staged = self.staged.len() as u32;
        self.rx.free(staged + 1) > staged
    }

    /// Whether a frame is available for the next packet.
    pub(super) fn has_frame(&mut self) -> bool {
        self.queue.as_mut().is_some_and(QueueRings::has_frame)
    }

    /// Copies a packet into a frame, behind both headrooms, and prepares its RX descriptor.
    pub(super) fn receive(&mut self, packet: &[u8]) -> Received {
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
    pub(super) fn fits(&self, packet: &[u8]) -> bool {
        packet.len() <= self.frames.geometry().packet_capacity() as usize
    }

    /// [`receive`](Self::receive), into a frame from the fill ring of another socket. Returns the frame if the RX ring is full, the packet
    /// does not fit, or the frame is not of this UMEM.
    pub(super) fn receive_into(
        &mut self,
        frame: FreeFrame,
        packet: &[u8],
    ) -> Result<(), FreeFrame> {
        let headroom = KERNEL_HEADROOM + self.frames.geometry().headroom();
        let addr = frame.addr + u64::from(headroom);
        let data = self.frames.lent_frame(addr);
        let Some(data) = data.filter(|_| self.fits(packet) && self.rx_has_room()) else {
            return Err(frame);
        };
        // SAFETY: the frame is on loan, so it is in the UMEM, and it came out of the fill ring, into which only its lender puts it, once: nobody
        // else reads or writes it. The packet fits behind the headrooms (`fits`).
        unsafe {
            ptr::copy_nonoverlapping(packet.as_ptr(), data.as_ptr(), packet.len());
        }
        self.staged.push(Desc {
            addr,
            len: packet.len() as u32,
            options: 0,
        });
        Ok(())
    }

    /// Puts received packets into the RX ring and releases used entries of the fill ring; returns the number of packets.
    pub(super) fn flush(&mut self) -> u32 {
        if let Some(queue) = &mut self.queue
            && queue.fill_used > 0
        {
            queue.fill.peek(queue.fill_used).release(queue.fill_used);
            queue.fill_used = 0;
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

    /// Whether a packet can be sent: one is in the TX ring, and the completion ring, if it is its own, has a free slot.
    pub(super) fn can_transmit(&mut self) -> bool {
        self.queue.as_mut().is_none_or(QueueRings::has_slot) && self.has_packet()
    }

    /// Whether the TX ring has a valid packet; counts and removes invalid ones before it.
    pub(super) fn has_packet(&mut self) -> bool {
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

    /// The kernel's rules (`xp_aligned_validate_desc`), and that the frame is on loan.
    fn is_valid(&self, desc: Desc) -> bool {
        let chunk_size = u64::from(self.frames.geometry().chunk_size());
        let end = (desc.addr & (chunk_size - 1)) + u64::from(desc.len);
        desc.len > 0
            && end <= chunk_size
            && desc.options == 0
            && self.frames.lent_frame(desc.addr).is_some()
    }

    /// Copies the next packet of the TX ring to `bytes`, if a slot of the completion ring can be reserved for it.
    pub(super) fn transmit(&mut self, bytes: &mut Vec<u8>) -> Option<InFlight> {
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
    pub(super) fn reserve(&mut self) -> bool {
        let Some(queue) = &mut self.queue else {
            return false;
        };
        let free = queue.has_slot();
        queue.reserved += u32::from(free);
        free
    }

    /// Gives a reserved slot back.
    pub(super) fn unreserve(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.reserved = queue.reserved.saturating_sub(1);
        }
    }

    /// [`transmit`](Self::transmit), with a slot reserved in the completion ring of another socket.
    pub(super) fn transmit_reserved(&mut self, bytes: &mut Vec<u8>) -> Option<InFlight> {
        let desc = self.next_packet()?;
        let data = self.frames.lent_frame(desc.addr)?;
        let len = desc.len as usize;
        bytes.clear();
        bytes.reserve(len);
        // SAFETY: the frame is on loan and in the TX ring, so nobody writes to it; `is_valid` has checked that the descriptor stays within its
        // chunk. The vector has room for `len` bytes, which the copy initialises.
        unsafe {
            ptr::copy_nonoverlapping(data.as_ptr(), bytes.as_mut_ptr(), len);
            bytes.set_len(len);
        }
        self.tx.peek(1).release(1);
        Some(InFlight { addr: desc.addr })
    }

    /// Returns the frame of a packet through the completion ring.
    pub(super) fn complete(&mut self, packet: InFlight) {
        let Some(queue) = &mut self.queue else {
            return;
        };
        let mut slots = queue.completion.reserve(1);
        if slots.put(0, packet.addr) {
            slots.submit(1);
            self.unreserve();
        }
    }

    /// The number of packets in the RX ring.
    pub(super) fn rx_waiting(&self) -> u32 {
        self.rx.occupied()
    }

    /// Whether the TX ring is at most half full (`xsk_tx_writeable`).
    pub(super) fn is_writable(&self) -> bool {
        self.tx.occupied() <= self.tx.size() / 2
    }

    /// Sets the fill ring's need-wakeup flag.
    pub(super) fn set_rx_wakeup(&self, needed: bool) {
        if let Some(queue) = &self.queue {
            queue.fill.set_need_wakeup(needed);
        }
        // A later look at the ring must not come before the flag is set.
        fence(Ordering::SeqCst);
    }

    /// Sets the TX ring's need-wakeup flag.
    pub(super) fn set_tx_wakeup(&self, needed: bool) {
        self.tx.set_need_wakeup(needed);
        fence(Ordering::SeqCst);
    }
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
    fn rings() -> (Program, KernelRings) {
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
            umem.frames().lend_for_test(chunk, &lease[0]);
        }
        let (fill, kernel_fill) = pair(4).unwrap();
        let (kernel_rx, rx) = pair(4).unwrap();
        let (tx, kernel_tx) = pair(4).unwrap();
        let (kernel_completion, completion) = pair(4).unwrap();
        let frames = umem.frames().clone();
        let kernel = KernelRings::new(frames, kernel_fill, kernel_rx, kernel_tx, kernel_completion);
        let program = Program {
            _lease: lease,
            fill,
            rx,
            tx,
            completion,
        };
        (program, kernel)
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
        let (mut program, mut kernel) = rings();
        put(&mut program.fill, CHUNK + 99);
        assert_eq!(kernel.receive(b"hello"), Received::Done);
        assert_eq!(take(&mut program.rx), None, "not seen before the flush");
        assert_eq!(kernel.flush(), 1);
        assert_eq!(take(&mut program.rx), Some(desc(CHUNK + 256 + 32, 5)));
        let (producer, consumer) = program.fill.indices();
        assert_eq!(producer, consumer, "its slot came back");
    }

    #[test]
    fn addresses_that_are_not_on_loan_are_counted_and_skipped() {
        let (mut program, mut kernel) = rings();
        for addr in [8 * CHUNK, u64::MAX, 5 * CHUNK, 3 * CHUNK] {
            put(&mut program.fill, addr);
        }
        assert_eq!(kernel.receive(b"hello"), Received::Done);
        kernel.flush();
        assert_eq!(take(&mut program.rx).unwrap().addr, 3 * CHUNK + 288);
        assert_eq!(kernel.invalid(), (3, 0));
    }

    #[test]
    fn a_full_rx_ring_keeps_the_frame_for_the_next_packet() {
        let (mut program, mut kernel) = rings();
        for addr in 0..4 {
            put(&mut program.fill, addr * CHUNK);
        }
        for _ in 0..4 {
            assert_eq!(kernel.receive(b"a"), Received::Done);
        }
        kernel.flush();
        assert_eq!(kernel.receive(b"b"), Received::NoFrame);
        let first = take(&mut program.rx).unwrap();
        put(&mut program.fill, first.addr);
        assert_eq!(kernel.receive(b"c"), Received::Done);
        kernel.flush();
        let second = take(&mut program.rx).unwrap();
        put(&mut program.fill, second.addr);
        for _ in 0..3 {
            assert!(kernel.has_frame());
        }
        put(&mut program.fill, 0);
        assert_eq!(kernel.receive(b"d"), Received::Done);
        kernel.flush();
        assert_eq!(kernel.receive(b"e"), Received::RxFull);
        assert!(kernel.has_frame() && !kernel.rx_has_room());
        take(&mut program.rx).unwrap();
        assert_eq!(
            kernel.receive(b"f"),
            Received::Done,
            "into the frame that was kept"
        );
        assert_eq!(kernel.receive(&[0; 2048]), Received::TooLong);
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
            let (mut program, mut kernel) = rings();
            put(&mut program.tx, wrong);
            put(&mut program.tx, desc(CHUNK - 10, 10));
            let mut bytes = Vec::new();
            let packet = kernel.transmit(&mut bytes).unwrap();
            assert_eq!(bytes.len(), 10, "{number}: {what}");
            assert_eq!(kernel.invalid(), (0, 1), "{what}");
            kernel.complete(packet);
            assert_eq!(take(&mut program.completion), Some(CHUNK - 10), "{what}");
            assert_eq!(take(&mut program.completion), None, "{what}");
            assert!(!kernel.has_packet());
        }
    }

    #[test]
    fn packets_on_their_way_reserve_slots_of_the_completion_ring() {
        let (mut program, mut kernel) = rings();
        let mut bytes = Vec::new();
        let mut away = Vec::new();
        for addr in 0..4 {
            put(&mut program.tx, desc(addr * CHUNK, 20));
            away.push(kernel.transmit(&mut bytes).unwrap());
        }
        put(&mut program.tx, desc(0, 20));
        assert!(kernel.has_packet());
        assert!(kernel.transmit(&mut bytes).is_none(), "no slot is left");
        kernel.complete(away.pop().unwrap());
        assert!(
            kernel.transmit(&mut bytes).is_none(),
            "a completion that nobody took fills its slot"
        );
        assert_eq!(take(&mut program.completion), Some(3 * CHUNK));
        assert!(kernel.transmit(&mut bytes).is_some());
    }
}
