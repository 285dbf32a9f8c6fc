//! A socket with a hostile kernel, and a model that knows for each frame who has it.

use std::collections::VecDeque;

use fluxcap::{Desc, FluxRaw, Packet, PacketBatch, PacketRef, Verdict};

use crate::common::{Kernel, Plain, Random};

pub(crate) const CHUNK: u64 = 2048;

/// Who has a frame, as the test sees it from the rings and from what the library returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Pool,
    User,
    Kernel,
}

/// A socket, the other ends of its rings, and the model.
pub(crate) struct Oracle {
    raw: FluxRaw,
    kernel: Kernel,
    random: Random,
    owners: Vec<Owner>,
    packets: Vec<Packet>,
    batch: PacketBatch,
    /// What the program has not consumed yet.
    rx: VecDeque<Desc>,
    completions: VecDeque<u64>,
    /// Entries of the fill and the TX ring that the model knows already.
    known_fill: usize,
    known_tx: usize,
    /// What the kernel took out of the rings: what it may honestly hand back, if it has not yet.
    taken: Vec<u64>,
    sent: Vec<u64>,
    refused_rx: u64,
    refused_completions: u64,
    /// How many packets were delivered or shown.
    pub(crate) delivered: u64,
}

impl Oracle {
    pub(crate) fn new(seed: u64, frames: u32, ring: u32) -> Self {
        let plain = Plain::default();
        let raw = plain
            .builder()
            .frames(frames)
            .chunk_size(CHUNK as u32)
            .fill_size(ring)
            .rx_size(ring)
            .tx_size(ring)
            .completion_size(ring)
            .build()
            .unwrap();
        let mut oracle = Self {
            raw,
            kernel: plain.kernel(),
            random: Random(seed),
            owners: vec![Owner::Pool; frames as usize],
            packets: Vec::new(),
            batch: PacketBatch::with_capacity(8),
            rx: VecDeque::new(),
            completions: VecDeque::new(),
            known_fill: 0,
            known_tx: 0,
            taken: Vec::new(),
            sent: Vec::new(),
            refused_rx: 0,
            refused_completions: 0,
            delivered: 0,
        };
        oracle.note_lent();
        oracle
    }

    fn owner(&self, addr: u64) -> Option<Owner> {
        self.owners
            .get(usize::try_from(addr / CHUNK).ok()?)
            .copied()
    }

    fn set(&mut self, addr: u64, owner: Owner) {
        self.owners[(addr / CHUNK) as usize] = owner;
    }

    fn acceptable(&self, desc: &Desc) -> bool {
        self.owner(desc.addr) == Some(Owner::Kernel)
            && desc.addr % CHUNK + u64::from(desc.len) <= CHUNK
    }

    /// What the program has put into fill and TX ring since the last time; returns the frames.
    fn note_lent(&mut self) -> Vec<u64> {
        let (fill, tx) = (self.kernel.fill_entries(), self.kernel.tx_entries());
        let mut lent = fill[self.known_fill..].to_vec();
        lent.extend(tx[self.known_tx..].iter().map(|desc| desc.addr));
        (self.known_fill, self.known_tx) = (fill.len(), tx.len());
        lent.iter().for_each(|addr| self.set(*addr, Owner::Kernel));
        lent
    }

    /// What the program has consumed of the completion ring; frames that it accepted are now `owner`'s.
    fn note_completions(&mut self, owner: Owner) {
        while self.completions.len() > self.kernel.waiting().1 as usize {
            let addr = self.completions.pop_front().unwrap();
            if self.owner(addr) == Some(Owner::Kernel) {
                self.set(addr, owner);
            } else {
                self.refused_completions += 1;
            }
        }
    }

    /// What a refill has done: sent frames that went straight to the fill ring stay the kernel's, the others are free.
    fn note_refilled(&mut self) {
        let fill = self.kernel.fill_entries();
        let mut still = true;
        while let Some(addr) = self.completions.pop_front() {
            if self.owner(addr) != Some(Owner::Kernel) {
                self.refused_completions += 1;
                continue;
            }
            still &= fill.get(self.known_fill) == Some(&addr);
            if still {
                self.known_fill += 1;
            } else {
                self.set(addr, Owner::Pool);
            }
        }
    }

    /// One random act of the kernel or of the program.
    pub(crate) fn step(&mut self, in_place_only: bool) {
        let amount = 1 + self.random.below(8);
        match self.random.below(if in_place_only { 10 } else { 17 }) {
            0 => self.kernel_receives(amount),
            1 => self.kernel_sends(amount),
            2 => self.kernel_receives_garbage(amount),
            3 => self.kernel_completes_garbage(amount),
            4 | 5 => self.recv_each(amount, in_place_only),
            6 | 7 => self.forward_each(amount, in_place_only),
            8 => {
                self.raw.refill();
                self.note_refilled();
                self.note_lent();
            }
            9 => {
                self.raw.peek(amount);
                self.note_refused_in_front();
            }
            10 => {
                self.raw.reap();
                self.note_completions(Owner::Pool);
            }
            11 | 12 => self.receive(),
            13 => self.alloc(),
            14 => self.send(amount),
            15 => self.recycle(amount),
            _ => {
                let keep = self.packets.len().saturating_sub(amount as usize);
                for packet in self.packets.split_off(keep) {
                    self.set(packet.address(), Owner::Pool);
                }
            }
        }
        self.check();
    }

    fn kernel_receives(&mut self, amount: u32) {
        let fresh = self.kernel.take_fill(amount);
        self.known_fill -= fresh.len();
        self.taken.extend(fresh);
        for _ in 0..amount {
            if self.taken.is_empty() {
                break;
            }
            let pick = self.random.below(self.taken.len() as u32) as usize;
            let addr = self.taken.swap_remove(pick) / CHUNK * CHUNK + 256;
            self.arrive(addr, 60, 0);
        }
    }

    fn arrive(&mut self, addr: u64, len: u32, options: u32) {
        if self.kernel.push_rx(addr, len, options) {
            self.rx.push_back(Desc { addr, len, options });
        }
    }

    fn kernel_sends(&mut self, amount: u32) {
        let fresh = self.kernel.take_tx(amount);
        self.known_tx -= fresh.len();
        self.sent.extend(fresh.iter().map(|desc| desc.addr));
        for _ in 0..amount {
            let Some(addr) = self.sent.pop() else {
                break;
            };
            self.complete(addr);
        }
    }

    /// Never the very start of a chunk: the fill ring shows by that who put an address there, a completion or the pool.
    fn complete(&mut self, addr: u64) {
        let addr = if addr.is_multiple_of(CHUNK) {
            addr | 1
        } else {
            addr
        };
        if self.kernel.push_completion(addr) {
            self.completions.push_back(addr);
        }
    }

    /// An address: of any frame, of none, at the edge of one, or anything.
    fn wild_address(&mut self) -> u64 {
        let frame = u64::from(self.random.below(self.owners.len() as u32)) * CHUNK;
        match self.random.below(8) {
            0..4 => frame + u64::from(self.random.below(CHUNK as u32)),
            4 => frame,
            5 => frame + CHUNK - 1,
            6 => self.owners.len() as u64 * CHUNK + u64::from(self.random.below(5000)),
            _ => self.random.next(),
        }
    }

    fn kernel_receives_garbage(&mut self, amount: u32) {
        for _ in 0..amount {
            let addr = self.wild_address();
            let room = (CHUNK - addr % CHUNK) as u32;
            let len = match self.random.below(8) {
                0 => 0,
                1 => room,
                2 => room + 1,
                3 => u32::MAX,
                4 => u32::MAX - self.random.below(4096),
                5 => self.random.next() as u32,
                _ => self.random.below(room + 1),
            };
            let options = match self.random.below(4) {
                0 => u32::MAX,
                1 => self.random.next() as u32,
                _ => 0,
            };
            self.arrive(addr, len, options);
        }
    }

    fn kernel_completes_garbage(&mut self, amount: u32) {
        for _ in 0..amount {
            let addr = self.wild_address();
            self.complete(addr);
        }
    }

    fn receive(&mut self) {
        let room = self.batch.room().min(self.rx.len());
        let seen: Vec<_> = self.rx.drain(..room).collect();
        let count = self.raw.receive(&mut self.batch);
        let mut packets: Vec<_> = self.batch.drain().collect();
        assert_eq!(packets.len(), count as usize);
        let mut delivered = packets.iter();
        for desc in seen {
            if self.acceptable(&desc) {
                let packet = delivered
                    .next()
                    .expect("an acceptable packet was not delivered");
                let told = (packet.address(), packet.len() as u32, packet.options());
                assert_eq!(told, (desc.addr, desc.len, desc.options));
                self.set(desc.addr, Owner::User);
            } else {
                self.refused_rx += 1;
            }
        }
        assert!(
            delivered.next().is_none(),
            "a packet was delivered that is not acceptable"
        );
        self.delivered += u64::from(count);
        self.packets.append(&mut packets);
        self.note_lent();
    }

    /// Entries that `peek` has thrown out at the front.
    fn note_refused_in_front(&mut self) {
        while self.rx.len() > self.kernel.waiting().0 as usize {
            let desc = self.rx.pop_front().unwrap();
            assert!(!self.acceptable(&desc));
            self.refused_rx += 1;
        }
    }

    fn recv_each(&mut self, amount: u32, in_place_only: bool) {
        let mut shown = Vec::new();
        let start = self.raw.umem().memory().start().as_ptr() as u64;
        let (random, packets) = (&mut self.random, &mut self.packets);
        let count = self.raw.recv_each(amount, |mut packet| {
            let desc = look(&mut packet, start);
            let takes = !in_place_only && random.below(3) == 0;
            if takes {
                packets.push(packet.into_packet());
            }
            shown.push((desc, takes));
        });
        self.note_shown(&shown, count);
    }

    fn forward_each(&mut self, amount: u32, in_place_only: bool) {
        let mut shown = Vec::new();
        let start = self.raw.umem().memory().start().as_ptr() as u64;
        let (random, packets) = (&mut self.random, &mut self.packets);
        let count = self.raw.forward_each(amount, |mut packet| {
            let desc = look(&mut packet, start);
            let takes = !in_place_only && random.below(3) == 0;
            if takes {
                packets.push(packet.into_packet());
            }
            shown.push((desc, takes));
            if random.below(2) == 0 {
                Verdict::Send
            } else {
                Verdict::Recycle
            }
        });
        self.note_shown(&shown, count);
    }

    /// Packets were shown in place, and some taken: the acceptable ones of those that were consumed. A frame that comes several times in one
    /// call may be refused after the first time, because it went to the pool in between, or was taken.
    fn note_shown(&mut self, shown: &[(Desc, bool)], count: u32) {
        assert_eq!(count as usize, shown.len());
        self.delivered += u64::from(count);
        let consumed = self.rx.len() - self.kernel.waiting().0 as usize;
        let mut next = shown.iter().map(|(desc, _)| desc).peekable();
        let mut frames = Vec::new();
        for desc in self.rx.drain(..consumed).collect::<Vec<_>>() {
            let frame = desc.addr / CHUNK;
            if next.next_if_eq(&&desc).is_some() {
                assert!(self.acceptable(&desc));
                frames.push(frame);
            } else {
                assert!(!self.acceptable(&desc) || frames.contains(&frame));
                self.refused_rx += 1;
            }
        }
        assert_eq!(next.next(), None);
        // A frame that did not go on into a ring went into the pool, once.
        let mut lent = self.note_lent();
        for (desc, _) in shown.iter().filter(|(_, taken)| !taken) {
            let place = lent
                .iter()
                .position(|addr| addr / CHUNK == desc.addr / CHUNK);
            if let Some(place) = place {
                lent.swap_remove(place);
            } else if self.owner(desc.addr) == Some(Owner::Pool) {
                self.refused_rx += 1;
            } else {
                self.set(desc.addr, Owner::Pool);
            }
        }
        assert_eq!(lent, []);
        for (desc, _) in shown.iter().filter(|(_, taken)| *taken) {
            self.set(desc.addr, Owner::User);
        }
    }

    fn alloc(&mut self) {
        let packet = self.raw.alloc();
        self.note_completions(Owner::Pool);
        match packet {
            Some(mut packet) => {
                assert_eq!(self.owner(packet.address()), Some(Owner::Pool));
                packet.copy_from(&[1; 60]).unwrap();
                self.set(packet.address(), Owner::User);
                self.packets.push(packet);
            }
            None => assert!(!self.owners.contains(&Owner::Pool)),
        }
    }

    fn fill_batch(&mut self, amount: u32) {
        while (self.batch.len() as u32) < amount
            && let Some(mut packet) = self.packets.pop()
        {
            if packet.is_empty() {
                // From a garbage descriptor, perhaps at the very end of its frame.
                let grown = packet.set_len(1).is_ok() || packet.push_front(1).is_ok();
                assert!(grown);
            }
            self.batch.push(packet).unwrap();
        }
    }

    fn send(&mut self, amount: u32) {
        self.fill_batch(amount);
        if self.batch.iter().any(|packet| packet.options() != 0) {
            let before = self.batch.len();
            assert_eq!(self.raw.send(&mut self.batch).unwrap_err().errno(), 22);
            assert_eq!(self.batch.len(), before);
            let all: Vec<_> = self.batch.drain().collect();
            for packet in all {
                if packet.options() == 0 {
                    self.batch.push(packet).unwrap();
                } else {
                    self.set(packet.address(), Owner::Pool);
                }
            }
        }
        let wanted = self.batch.len();
        let count = self.raw.send(&mut self.batch).unwrap() as usize;
        assert_eq!(self.batch.len(), wanted - count);
        self.packets.extend(self.batch.drain());
        let lent = self.note_lent();
        assert_eq!(lent.len(), count);
    }

    fn recycle(&mut self, amount: u32) {
        self.fill_batch(amount);
        let frames: Vec<_> = self.batch.iter().map(Packet::address).collect();
        self.raw.recycle(&mut self.batch).unwrap();
        assert!(self.batch.is_empty());
        for addr in frames {
            self.set(addr, Owner::Pool);
        }
        self.note_lent();
    }

    /// The library's accounts are those of the model.
    fn check(&self) {
        let count = |owner| self.owners.iter().filter(|other| **other == owner).count() as u32;
        let ledger = self.raw.umem().accounting();
        assert_eq!(
            (ledger.pool, ledger.user, ledger.kernel),
            (count(Owner::Pool), count(Owner::User), count(Owner::Kernel))
        );
        assert_eq!(ledger.user as usize, self.packets.len());
    }

    /// Frames lost or owned twice, and refused entries, as the library counts them.
    pub(crate) fn check_counts(&self) {
        let state = self.raw.debug_rings();
        assert!(state.is_conserved(), "{state}");
        assert_eq!(
            (state.rx.refused, state.completion.refused),
            (self.refused_rx, self.refused_completions)
        );
        for ring in [state.fill, state.rx, state.tx, state.completion] {
            assert_eq!(ring.violations, 0);
        }
    }

    /// Closes the socket and finds each frame at home or with the user, once.
    pub(crate) fn close(self) -> (u64, u64) {
        self.check_counts();
        let Self {
            raw,
            packets,
            owners,
            ..
        } = self;
        let umem = raw.umem().clone();
        drop(raw);
        assert_eq!(umem.accounting().user as usize, packets.len());
        let rest: Vec<_> = std::iter::from_fn(|| umem.alloc()).collect();
        let mut frames: Vec<_> = rest
            .iter()
            .chain(&packets)
            .map(|packet| (packet.address() / CHUNK) as usize)
            .collect();
        frames.sort_unstable();
        assert!(frames.into_iter().eq(0..owners.len()));
        drop((rest, packets));
        assert_eq!(umem.accounting().pool as usize, owners.len());
        (self.refused_rx, self.refused_completions)
    }
}

/// What is shown of a packet in place, back as the descriptor it came from; it must lie within its frame.
fn look(packet: &mut PacketRef<'_>, start: u64) -> Desc {
    let addr = packet.data().as_ptr() as u64 - start;
    assert!(addr % CHUNK + packet.len() as u64 <= CHUNK);
    if let [first, .., last] = packet.data_mut() {
        (*first, *last) = (7, 9);
    }
    Desc {
        addr,
        len: packet.len() as u32,
        options: packet.options(),
    }
}
