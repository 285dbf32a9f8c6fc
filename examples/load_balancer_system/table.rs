//! Which backend a flow goes to: consistent hashing, by rendezvous hashing.

use std::net::SocketAddrV4;

/// Buckets of flows: a power of two, many times the number of backends.
const PARTS: usize = 4096;
/// No backend is up.
const NOBODY: u16 = u16::MAX;

/// The backend of each bucket.
///
/// Each backend has a score for each bucket, which depends on the two alone; the backend with the highest score of those that are up gets
/// the bucket. When a backend goes down, only its own buckets move, and they move back when it is up again. Balancers with the same
/// backends, in any order, choose the same.
pub(crate) struct Table {
    parts: Vec<u16>,
    bidders: Vec<u64>,
}

impl Table {
    /// At most 65535 backends, none of which is up yet.
    pub(crate) fn new(backends: impl IntoIterator<Item = SocketAddrV4>) -> Self {
        let name = |backend: SocketAddrV4| {
            mix(u64::from(backend.ip().to_bits()) << 16 | u64::from(backend.port()))
        };
        Self {
            parts: vec![NOBODY; PARTS],
            bidders: backends.into_iter().map(name).collect(),
        }
    }

    /// Assigns the buckets to the backends that are up.
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
