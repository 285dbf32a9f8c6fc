//! Drops futures before they are ready.

use std::future::Future;
use std::time::Duration;

use fastrand::Rng;
use tokio::task::yield_now;
use tokio::time::sleep;

/// Drops futures at random.
pub(crate) struct Canceller {
    /// `None`: no future is dropped.
    random: Option<Rng>,
    dropped: u64,
}

impl Canceller {
    /// Drops futures as the seed decides; without a seed, none.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self {
            random: seed.map(Rng::with_seed),
            dropped: 0,
        }
    }

    /// Awaits a future, or drops it: after its first poll, after a few more, or after a time.
    pub(crate) async fn run<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let Some(random) = &mut self.random else {
            return Some(future.await);
        };
        let (kind, length) = (random.u64(..4), random.u64(..2000));
        let limit = async {
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
            () = limit => {
                self.dropped += 1;
                None
            }
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}
