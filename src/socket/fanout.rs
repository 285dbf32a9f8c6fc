//! Several sockets on one queue, with one fill and one completion ring for all.
//!
//! Each member works as if it had both rings to itself: in their place it has rings that end here, and whoever comes by moves the
//! entries on, for all members. Nobody waits for anybody. Received frames need no such detour: every member takes what it finds in its RX
//! ring, and the ledger sees to it that one of them has a frame ([`Lender::member`]). Sent frames come back to the member whose mark they
//! carry.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use crate::error::Result;
use crate::packet::{Lease, Leases, Lender};
use crate::ring::{ConsumerRing, ProducerRing, RingElement, pair};
use crate::socket::state::RingState;

/// What the members of a group share.
#[derive(Debug)]
pub(crate) struct FillMux {
    shared: Mutex<SharedRings>,
    /// Somebody has something to move.
    wish: AtomicBool,
    /// For each member, frames that it gave to the receiving side less those that it got from there: all of them together are what
    /// that side has.
    given: Box<[Given]>,
    /// The marks of the members, in their order.
    leases: Arc<Leases>,
}

/// On a cache line of its own, since its member writes it for each batch.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Given(AtomicU64);

#[derive(Debug)]
struct SharedRings {
    fill: ProducerRing<u64>,
    completion: ConsumerRing<u64>,
    ends: Vec<MemberEnds>,
}

/// The other ends of a member's rings.
#[derive(Debug)]
struct MemberEnds {
    fill: ConsumerRing<u64>,
    completion: ProducerRing<u64>,
    /// It takes sent frames no more.
    closed: bool,
}

/// A member's rings in the place of the real ones.
#[derive(Debug)]
pub(crate) struct MuxPort {
    pub(super) fill: ProducerRing<u64>,
    pub(super) completion: ConsumerRing<u64>,
    pub(super) member: Arc<MuxMember>,
}

/// A member's way to the others.
#[derive(Debug)]
pub(crate) struct MuxMember {
    mux: Arc<FillMux>,
    index: usize,
}

impl FillMux {
    /// Over the real rings: a seat for each of the members, whose leases come after that of the group.
    pub(crate) fn ports(
        fill: ProducerRing<u64>,
        completion: ConsumerRing<u64>,
        leases: &Arc<Leases>,
    ) -> Result<Vec<MuxPort>> {
        let members = leases.len().saturating_sub(1);
        let mut own = Vec::with_capacity(members);
        let mut ends = Vec::with_capacity(members);
        for lease in leases.iter().skip(1) {
            let (filler, filled) = pair(fill.size())?;
            // Room for every frame: a member that does not look keeps nobody waiting.
            let slots = lease.frames().geometry().frames().next_power_of_two();
            let (completer, completed) = pair(slots)?;
            own.push((filler, completed));
            ends.push(MemberEnds {
                fill: filled,
                completion: completer,
                closed: false,
            });
        }
        let mux = Arc::new(Self {
            shared: Mutex::new(SharedRings {
                fill,
                completion,
                ends,
            }),
            wish: AtomicBool::new(false),
            given: own.iter().map(|_| Given::default()).collect(),
            leases: leases.clone(),
        });
        let port = |(index, (fill, completion))| MuxPort {
            fill,
            completion,
            member: Arc::new(MuxMember {
                mux: mux.clone(),
                index,
            }),
        };
        Ok(own.into_iter().enumerate().map(port).collect())
    }

    /// Moves everything on, for all members, unless somebody is at it: who will see the wish then.
    fn pump(&self) {
        // Exchanges, not stores, so that whoever takes the wish back sees what all those who had it have put into their rings.
        self.wish.swap(true, Ordering::AcqRel);
        // Either the other one sees the wish, or this one finds the lock free.
        fence(Ordering::SeqCst);
        while self.wish.load(Ordering::Relaxed) {
            let mut shared = match self.shared.try_lock() {
                Ok(shared) => shared,
                // Every entry is moved whole, or not at all.
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            self.wish.swap(false, Ordering::AcqRel);
            fence(Ordering::SeqCst);
            shared.feed();
            shared.hand_back(&self.leases);
            shared.show();
            drop(shared);
            fence(Ordering::SeqCst);
        }
    }
}

impl SharedRings {
    /// Frames of the members to the fill ring.
    fn feed(&mut self) {
        for end in &mut self.ends {
            let entries = end.fill.peek(u32::MAX);
            let mut slots = self.fill.reserve(entries.len());
            let mut writer = slots.writer();
            let done = entries.iter().take_while(|addr| writer.push(*addr)).count() as u32;
            slots.submit(done);
            entries.release(done);
        }
    }

    /// Sent frames to the members that sent them.
    fn hand_back(&mut self, leases: &[Lease]) {
        let entries = self.completion.peek(u32::MAX);
        for addr in &entries {
            // What nobody has lent is of no use to anybody.
            let Some(index) = Lease::lender_of(leases, addr) else {
                continue;
            };
            // The first is the lease of the group.
            let Some(end) = index
                .checked_sub(1)
                .and_then(|index| self.ends.get_mut(index))
            else {
                continue;
            };
            if end.closed {
                leases[index].pop_free(addr);
            } else {
                put(&mut end.completion, addr);
            }
        }
        entries.release(u32::MAX);
    }

    /// Shows the members whether the kernel wants to be called for the fill ring.
    fn show(&self) {
        let needed = self.fill.needs_wakeup();
        for end in &self.ends {
            end.fill.set_need_wakeup(needed);
        }
    }
}

fn put<T: RingElement>(ring: &mut ProducerRing<T>, entry: T) {
    let mut slots = ring.reserve(1);
    slots.put(0, entry);
    slots.submit(1);
}

impl MuxMember {
    /// Gives what stands in the member's rings to the kernel, and gets what came back.
    pub(super) fn pump(&self) {
        // In a forked child another thread's lock stays locked.
        if self.lease().frames().process().is_current() {
            self.mux.pump();
        }
    }

    /// The frames that the receiving side of the whole group has; this member has given it `filled` and got `received`.
    pub(super) fn outstanding(&self, filled: u64, received: u64) -> u32 {
        let given = &self.mux.given;
        given[self.index]
            .0
            .store(filled.wrapping_sub(received), Ordering::Relaxed);
        let sum = given.iter().fold(0_u64, |sum, given| {
            sum.wrapping_add(given.0.load(Ordering::Relaxed))
        });
        // The others move on meanwhile.
        u32::try_from(sum.cast_signed().max(0)).unwrap_or(u32::MAX)
    }

    /// The fill ring that all share; `None` in a forked child, which may wait for its lock for ever.
    pub(super) fn fill_state(&self) -> Option<RingState> {
        if !self.lease().frames().process().is_current() {
            return None;
        }
        let shared = self.mux.shared.lock();
        let shared = shared.unwrap_or_else(PoisonError::into_inner);
        let state = RingState::of_producer(&shared.fill);
        drop(shared);
        // Who came meanwhile found the lock taken, and left what it had to move to this one.
        self.mux.pump();
        Some(state)
    }

    /// Takes a frame of the receiving side home, of a member that closes.
    pub(super) fn take_received(&self, addr: u64) -> bool {
        self.mux.leases[0].pop_free(addr)
    }

    /// Takes a frame home that was sent by the member, which closes.
    pub(super) fn take_sent(&self, addr: u64) {
        self.lease().pop_free(addr);
    }

    /// From now on nobody takes what comes back to the member.
    pub(super) fn close(&self) {
        if !self.lease().frames().process().is_current() {
            return;
        }
        let shared = self.mux.shared.lock();
        let mut shared = shared.unwrap_or_else(PoisonError::into_inner);
        if let Some(end) = shared.ends.get_mut(self.index) {
            end.closed = true;
        }
    }

    /// The ledger's hand for this member.
    pub(crate) fn lender(&self) -> Lender {
        Lender::member(self.lease(), &self.mux.leases[0])
    }

    /// The member's lease.
    pub(crate) fn lease(&self) -> &Lease {
        &self.mux.leases[self.index + 1]
    }
}
