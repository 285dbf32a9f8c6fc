//! Somebody who at times does not wait for the end of a future.

use std::future::Future;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::sleep;

/// Drops futures at random.
pub(crate) struct Whims {
    /// `None` waits for all of them.
    random: Option<u64>,
    dropped: u64,
}

impl Whims {
    /// With a seed, or none at all.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self {
            random: seed,
            dropped: 0,
        }
    }

    /// Waits for a future, or drops it: after its first poll, a few turns of the runtime later, or when a time is over.
    pub(crate) async fn indulge<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        if self.random.is_none() {
            return Some(future.await);
        }
        let (kind, length) = (self.below(4), self.below(2000));
        let whim = async {
            match kind {
                0 => {}
                1 => {
                    for _ in 0..length % 8 {
                        yield_now().await;
                    }
                }
                _ => sleep(Duration::from_micros(length)).await,
            }
        };
        tokio::select! {
            biased;
            result = future => Some(result),
            () = whim => {
                self.dropped += 1;
                None
            }
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// A number that looks random (SplitMix64), below `end`.
    fn below(&mut self, end: u64) -> u64 {
        let state = self.random.get_or_insert(0);
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (z ^ (z >> 27)) % end
    }
}
