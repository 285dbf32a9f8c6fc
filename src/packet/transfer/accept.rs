//! A socket's frames changing hands, an entry of a ring at a time.
//!
//! What the kernel hands back is copied out of the ring once, and the copy is *accepted* only if it lies within one chunk that is on loan from
//! this socket, by the ledger. What goes on into a ring or to the user is that copy: the ring is not looked at again.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::packet::FramePool;
use crate::packet::PacketBatch;
use crate::packet::ledger::free::Chain;
use crate::packet::ledger::lease::{Lease, RX_HALF, TX_HALF};
use crate::packet::ledger::{POOL, USER};
use crate::packet::{Frames, Packet, SharedFrameState};
use crate::ring::{Desc, Iter, Writer};
use crate::sync::AtomicU32;

/// One socket as the ledger knows it: lends frames to the kernel and accepts only those back.
///
/// The functions that accept skip entries that they refuse, and return how many they handled.
#[derive(Debug)]
pub(crate) struct Lender {
    pub(in crate::packet) frames: Frames,
    /// Of what it lends. What has it, nobody else takes back.
    pub(in crate::packet) mark: u32,
    /// Of what was lent before the socket was split, which both halves may take back; else the same as `mark`.
    former: u32,
    /// Of frames in the fill ring and in packets on their way here: that of a [group](Self::member), or else the same as `mark`.
    pub(in crate::packet) shared: u32,
    /// Ledger entries with this mark. Means nothing in a group.
    pub(in crate::packet) lent: u32,
}

impl Lender {
    pub(crate) fn new(lease: &Lease) -> Self {
        Self {
            frames: lease.frames().clone(),
            mark: lease.mark(),
            former: lease.mark(),
            shared: lease.mark(),
            lent: 0,
        }
    }

    /// A member of a group of sockets with one fill ring. The frames in it carry the mark of the group, and any member may receive a
    /// packet in one: by changing the mark to its own, which only one of them can.
    pub(crate) fn member(lease: &Lease, group: &Lease) -> Self {
        Self {
            shared: group.mark(),
            ..Self::new(lease)
        }
    }

    /// One lender for each half of the socket, to receive and to send; `sending` of the frames on loan are packets being sent.
    ///
    /// The frames that each lends from now on are accepted from its own rings alone, so that the two, on two threads, never take the
    /// same one, whatever stands in the rings. Which of the frames that are on loan already will come back where, only the kernel knows:
    /// of those each is taken by whoever is first.
    pub(crate) fn split(self, sending: u32) -> (Self, Self) {
        let is_member = self.shared != self.former;
        let half = |side, lent| Self {
            frames: self.frames.clone(),
            mark: self.former | side,
            former: self.former,
            shared: match is_member {
                true => self.shared,
                false => self.former | side,
            },
            lent,
        };
        let sending = sending.min(self.lent);
        (half(RX_HALF, self.lent - sending), half(TX_HALF, sending))
    }

    /// The UMEM.
    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }

    /// The number of frames on loan.
    #[inline]
    pub(crate) fn lent(&self) -> u32 {
        self.lent
    }

    /// What a loop over entries needs to know.
    #[inline]
    pub(in crate::packet) fn loans(&self) -> Loans<'_> {
        Loans::new(&self.frames, [self.mark, self.former, self.shared])
    }

    /// [`loans`](Self::loans), and the count of frames on loan, to change meanwhile.
    #[inline]
    pub(in crate::packet) fn loans_and_lent(&mut self) -> (Loans<'_>, &mut u32) {
        let loans = Loans::new(&self.frames, [self.mark, self.former, self.shared]);
        (loans, &mut self.lent)
    }

    /// Marks a chunk, which the caller owns, as on loan.
    #[inline]
    fn lend_chunk(&mut self, chunk: u32) {
        self.frames.set_owner(chunk, self.mark);
        self.count_lent(1);
    }

    /// Marks a chunk, which the caller owns, as on loan to receive into.
    #[inline]
    fn lend_to_fill(&mut self, chunk: u32) {
        self.frames.set_owner(chunk, self.shared);
        self.count_lent(1);
    }

    /// Copies the descriptors at the front that are acceptable, as far as there are places; returns how many.
    #[inline(never)]
    pub(crate) fn copy_accepted(&self, received: Iter<'_, Desc>, places: &mut [Desc]) -> usize {
        let loans = self.loans();
        let mut done = 0;
        let mut is_plain = true;
        for run in received.clone().runs() {
            let places = &mut places[done..];
            done += run.len().min(places.len());
            is_plain = is_plain
                && run.with(places.iter_mut()).all(|(desc, place)| {
                    *place = desc;
                    loans.is_own_loan(desc)
                });
        }
        if is_plain {
            return done;
        }
        let mut count = 0;
        for (desc, place) in received.zip(places) {
            if loans.accept(desc).is_none() {
                break;
            }
            *place = desc;
            count += 1;
        }
        count
    }

    /// Puts the frames of received packets into the pool; returns how many there were.
    pub(crate) fn abandon_each(&mut self, received: Iter<'_, Desc>, pool: &mut FramePool) -> u32 {
        self.reap_each(received.map(|desc| desc.addr), pool)
    }

    /// Makes owned packets of received ones for `put`, which does not panic; returns how many.
    #[inline]
    pub(crate) fn receive(&mut self, received: Iter<'_, Desc>, mut put: impl FnMut(Packet)) -> u32 {
        let counted = received.len() as u32;
        self.frames.count_up(counted);
        let state = self.frames.state();
        let loans = self.loans();
        let mut count = 0;
        for desc in received {
            if let Some(chunk) = loans.receive(desc) {
                put(Packet::at(loans.base, state, desc, chunk));
                count += 1;
            }
        }
        self.frames.uncount(counted - count);
        self.count_returned(count);
        count
    }

    /// Writes the addresses of sent frames to `fill`, which has room for all. They stay on loan.
    #[inline]
    pub(crate) fn refill_each(&mut self, sent: Iter<'_, u64>, fill: &mut Writer<'_, u64>) -> u32 {
        let loans = self.loans();
        let before = fill.written();
        for addr in sent {
            if let Some(chunk) = loans.accept_frame(addr) {
                loans.share(chunk);
                fill.write(addr);
            }
        }
        fill.written() - before
    }

    /// Lends frames that were sent to `receiving`, and writes their addresses to `fill`, which has room for all; returns how many.
    ///
    /// Both serve the same UMEM, and neither is a member of a group.
    #[inline]
    pub(crate) fn relend_each(
        &mut self,
        receiving: &mut Self,
        sent: Iter<'_, u64>,
        fill: &mut Writer<'_, u64>,
    ) -> u32 {
        debug_assert!(self.frames.is(&receiving.frames));
        let loans = self.loans();
        let before = fill.written();
        for addr in sent {
            if loans.take_frame(addr, receiving.shared).is_some() {
                fill.write(addr);
            }
        }
        let done = fill.written() - before;
        self.count_returned(done);
        receiving.count_lent(done);
        done
    }

    /// Takes frames back into the pool.
    pub(crate) fn reap_each(
        &mut self,
        sent: impl Iterator<Item = u64>,
        pool: &mut FramePool,
    ) -> u32 {
        let mut taken = 0;
        for addr in sent {
            if let Some(chunk) = self.loans().take_frame(addr, POOL) {
                pool.put(chunk);
                taken += 1;
            }
        }
        self.count_returned(taken);
        taken
    }

    /// Sends frames home by the return stack, but first takes as many into the pool as it is short of.
    #[inline]
    pub(crate) fn reap_each_to_stack(
        &mut self,
        mut sent: Iter<'_, u64>,
        pool: &mut FramePool,
    ) -> u32 {
        let kept = self.reap_each(sent.by_ref().take(pool.room()), pool);
        let loans = self.loans();
        let mut chain = Chain::new();
        for addr in sent {
            if let Some((chunk, entry)) = loans.find_frame(addr)
                && (entry.load(Ordering::Relaxed) == loans.mark || loans.take_other(chunk, POOL))
            {
                chain.add(chunk, entry);
            }
        }
        let home = chain.len();
        self.frames.send_chain(chain);
        self.count_returned(home);
        kept + home
    }

    /// Lends the packets at the front of the batch and writes their descriptors to the TX ring.
    ///
    /// The caller has seen that they all [belong](Packet::belongs_to) to this UMEM.
    pub(crate) fn send_batch(&mut self, batch: &mut PacketBatch, tx: &mut Writer<'_, Desc>) -> u32 {
        let base = self.frames.memory().start();
        let before = tx.written();
        for packet in batch.as_slice() {
            if !tx.push(packet.desc(base)) {
                break;
            }
            self.frames.set_owner(packet.chunk, self.mark);
        }
        let count = tx.written() - before;
        batch.forget_front(count as usize);
        self.count_lent(count);
        self.frames.uncount(count);
        count
    }

    /// Lends one packet and returns its descriptor. The caller has seen that it [belongs](Packet::belongs_to) to this UMEM.
    pub(crate) fn lend(&mut self, packet: Packet) -> Desc {
        let (desc, chunk) = packet.dissolve();
        self.lend_chunk(chunk);
        self.frames.uncount(1);
        desc
    }

    /// Lends the frames of the packets at the back of the batch and writes their addresses to `fill`, as far as it has room.
    ///
    /// The caller has seen that they all [belong](Packet::belongs_to) to this UMEM.
    pub(crate) fn give_batch(&mut self, batch: &mut PacketBatch, fill: &mut Writer<'_, u64>) {
        let mut done = 0;
        while fill.room() > 0
            && let Some(packet) = batch.pop()
        {
            let (_, chunk) = packet.dissolve();
            self.lend_to_fill(chunk);
            fill.write(self.frames.address_of(chunk));
            done += 1;
        }
        self.frames.uncount(done);
    }

    /// Lends free frames and writes their addresses to `fill`: first those on the return stack, then those of the pool.
    #[inline]
    pub(crate) fn lend_free(&mut self, pool: &mut FramePool, fill: &mut Writer<'_, u64>) {
        let mut returned = self.frames.take_returned();
        let done = returned.lend(self.shared, fill);
        pool.keep(returned);
        self.count_lent(done);
        if fill.room() > 0 {
            self.lend_pooled(pool, fill);
        }
    }

    #[inline(never)]
    fn lend_pooled(&mut self, pool: &mut FramePool, fill: &mut Writer<'_, u64>) {
        pool.take_run(fill.room() as usize, |chunk| {
            self.lend_to_fill(chunk);
            fill.write(self.frames.address_of(chunk));
        });
    }

    /// Counts frames that came back.
    #[inline]
    pub(in crate::packet) fn count_returned(&mut self, frames: u32) {
        count_returned(&mut self.lent, frames);
    }

    /// Counts frames that were lent.
    #[inline]
    pub(in crate::packet) fn count_lent(&mut self, frames: u32) {
        self.lent = self.lent.wrapping_add(frames);
    }
}

/// Counts frames that came back.
#[inline]
pub(in crate::packet) fn count_returned(lent: &mut u32, frames: u32) {
    // Frames lent before a split may come back to the other half than was counted on.
    *lent = lent.saturating_sub(frames);
}

/// The frames that one lender has on loan: the ledger, and the marks to look for.
#[derive(Clone, Copy)]
pub(in crate::packet) struct Loans<'a> {
    pub(in crate::packet) frames: &'a SharedFrameState,
    owners: &'a [AtomicU32],
    /// The first byte of the UMEM.
    pub(in crate::packet) base: NonNull<u8>,
    shift: u32,
    mark: u32,
    former: u32,
    shared: u32,
}

impl<'a> Loans<'a> {
    #[inline]
    fn new(frames: &'a SharedFrameState, [mark, former, shared]: [u32; 3]) -> Self {
        Self {
            frames,
            owners: frames.owners(),
            base: frames.memory().start(),
            shift: frames.shift(),
            mark,
            former,
            shared,
        }
    }

    /// Bytes a chunk.
    #[inline]
    pub(in crate::packet) fn chunk_size(&self) -> u64 {
        1 << self.shift
    }

    /// The chunk that all of a packet lies in, with its entry in the ledger.
    #[inline(always)]
    fn find(&self, addr: u64, len: u32) -> Option<(u32, &'a AtomicU32)> {
        let chunk_size = self.chunk_size();
        let end = (addr & (chunk_size - 1)) + u64::from(len);
        let (chunk, entry) = self.find_frame(addr)?;
        (end <= chunk_size).then_some((chunk, entry))
    }

    /// The chunk at an address, with its entry in the ledger.
    #[inline(always)]
    fn find_frame(&self, addr: u64) -> Option<(u32, &'a AtomicU32)> {
        let chunk = addr >> self.shift;
        let entry = self.owners.get(usize::try_from(chunk).ok()?)?;
        Some((chunk as u32, entry))
    }

    /// The chunk of a descriptor, if it is acceptable: it lies within one chunk, and that is on loan.
    #[inline(always)]
    pub(in crate::packet) fn accept(&self, desc: Desc) -> Option<u32> {
        self.accept_entry(desc).map(|(chunk, _)| chunk)
    }

    /// [`accept`](Self::accept), with the chunk's entry in the ledger.
    #[inline(always)]
    pub(in crate::packet) fn accept_entry(&self, desc: Desc) -> Option<(u32, &'a AtomicU32)> {
        let (chunk, entry) = self.find(desc.addr, desc.len)?;
        self.is_on_loan(chunk, entry).then_some((chunk, entry))
    }

    /// Whether a descriptor is acceptable without a look at what was lent before a split, or by the group.
    #[inline(always)]
    pub(in crate::packet) fn is_own_loan(&self, desc: Desc) -> bool {
        self.find(desc.addr, desc.len)
            .is_some_and(|(_, entry)| entry.load(Ordering::Relaxed) == self.mark)
    }

    /// The chunk at an address, if it is on loan.
    #[inline(always)]
    fn accept_frame(&self, addr: u64) -> Option<u32> {
        let (chunk, entry) = self.find_frame(addr)?;
        self.is_on_loan(chunk, entry).then_some(chunk)
    }

    #[inline(always)]
    fn is_on_loan(&self, chunk: u32, entry: &AtomicU32) -> bool {
        entry.load(Ordering::Relaxed) == self.mark || self.is_on_other_loan(chunk)
    }

    /// Whether a chunk was lent before the socket was split, or by the group: then it is made the lender's own.
    #[cold]
    #[inline(never)]
    fn is_on_other_loan(&self, chunk: u32) -> bool {
        // Whoever makes it its own has it alone: the other half may name the same frame.
        self.frames.pass(chunk, self.former, self.mark)
            || (self.is_member() && self.frames.pass(chunk, self.shared, self.mark))
    }

    /// The chunk of an acceptable descriptor, given to the user.
    #[inline(always)]
    pub(in crate::packet) fn receive(&self, desc: Desc) -> Option<u32> {
        let (chunk, entry) = self.find(desc.addr, desc.len)?;
        self.take_found(chunk, entry, USER).then_some(chunk)
    }

    /// The chunk at an address, if it was on loan, given to `owner`.
    #[inline(always)]
    pub(in crate::packet) fn take_frame(&self, addr: u64, owner: u32) -> Option<u32> {
        let (chunk, entry) = self.find_frame(addr)?;
        self.take_found(chunk, entry, owner).then_some(chunk)
    }

    #[inline(always)]
    fn take_found(&self, chunk: u32, entry: &AtomicU32, owner: u32) -> bool {
        if entry.load(Ordering::Relaxed) == self.mark {
            entry.store(owner, Ordering::Relaxed);
            return true;
        }
        self.take_other(chunk, owner)
    }

    /// Gives a chunk to `owner` that was lent before the socket was split, or by the group.
    #[cold]
    #[inline(never)]
    fn take_other(&self, chunk: u32, owner: u32) -> bool {
        self.frames.pass(chunk, self.former, owner)
            || (self.is_member() && self.frames.pass(chunk, self.shared, owner))
    }

    /// Makes an accepted frame that goes into the fill ring the group's.
    #[inline(always)]
    pub(in crate::packet) fn share(&self, chunk: u32) {
        if self.is_member() {
            self.share_with_group(chunk);
        }
    }

    /// Makes the accepted frame at an address that goes into the fill ring the group's.
    #[inline(always)]
    pub(in crate::packet) fn share_frame(&self, addr: u64) {
        if self.is_member()
            && let Some((chunk, _)) = self.find_frame(addr)
        {
            self.share_with_group(chunk);
        }
    }

    #[cold]
    #[inline(never)]
    fn share_with_group(&self, chunk: u32) {
        if !self.frames.pass(chunk, self.mark, self.shared) {
            self.frames.pass(chunk, self.former, self.shared);
        }
    }

    #[inline(always)]
    pub(in crate::packet) fn is_member(&self) -> bool {
        self.shared != self.former && self.shared != self.mark
    }
}
