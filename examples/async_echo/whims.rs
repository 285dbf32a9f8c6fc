//! Somebody who at times does not wait for the end of a future.

use std::future::Future;
use std::time::Duration;

use fastrand::Rng;
use tokio::task::yield_now;
use tokio::time::sleep;

/// Drops futures at random.
pub(crate) struct Whims {
    /// `None` waits for all of them.
    random: Option<Rng>,
    dropped: u64,
}

impl Whims {
    /// With a seed, or none at all.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self {
            random: seed.map(Rng::with_seed),
            dropped: 0,
        }
    }

    /// Waits for a future, or drops it: after its first poll, a few turns of the runtime later, or when a time is over.
    pub(crate) async fn indulge<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let Some(random) = &mut self.random else {
            return Some(future.await);
        };
        let (kind, length) = (random.u64(..4), random.u64(..2000));
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
}
