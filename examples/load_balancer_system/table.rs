//! Which backend a flow goes to: consistent hashing, by rendezvous.

use std::net::SocketAddrV4;

/// Parts that all flows are dealt out in: a power of two, many times the number of backends.
const PARTS: usize = 4096;
/// Stands for nobody.
const NOBODY: u16 = u16::MAX;

/// For each part of the flows the backend that it goes to.
///
/// Each backend bids for each part, with a number that follows from the two alone; the highest bid of those that are up has it. So when
/// one goes, its parts go to others, and no other part moves; when it comes back, they come back. Balancers with the same backends,
/// in whatever order, agree without a word.
pub(crate) struct Table {
    parts: Vec<u16>,
    bidders: Vec<u64>,
}

impl Table {
    /// Of no backends that are up yet; at most 65535.
    pub(crate) fn new(backends: impl IntoIterator<Item = SocketAddrV4>) -> Self {
        let name = |backend: SocketAddrV4| {
            mix(u64::from(backend.ip().to_bits()) << 16 | u64::from(backend.port()))
        };
        Self {
            parts: vec![NOBODY; PARTS],
            bidders: backends.into_iter().map(name).collect(),
        }
    }

    /// Deals the flows out to the backends that `is_up` says so of, by their number.
    pub(crate) fn deal(&mut self, is_up: impl Fn(usize) -> bool) {
        for (number, part) in (0..).zip(&mut self.parts) {
            let bids = self.bidders.iter().enumerate();
            let best = bids
                .filter(|&(backend, _)| is_up(backend))
                .max_by_key(|&(_, bidder)| mix(bidder ^ mix(number)));
            *part = best.map_or(NOBODY, |(backend, _)| backend as u16);
        }
    }

    /// The backend of a flow with this hash; `None` when all are down.
    #[inline]
    pub(crate) fn pick(&self, hash: u32) -> Option<usize> {
        let backend = self.parts[hash as usize % PARTS];
        (backend != NOBODY).then_some(backend.into())
    }
}

/// Numbers that look random (SplitMix64).
fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
