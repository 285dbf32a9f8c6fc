//! The two halves in tasks of a tokio runtime, over the simulator and over veth pairs.
//!
//! Every test ends with the proof that no frame was lost. What needs root prints `skipped:` and the reason without.

#[cfg(target_os = "linux")]
#[path = "asynch/over_veth.rs"]
mod over_veth;
#[path = "asynch/simulated.rs"]
mod simulated;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "sim/tools.rs"]
mod tools;

#[cfg(target_os = "linux")]
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "veth/net.rs"]
mod net;
#[cfg(target_os = "linux")]
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "veth/traffic.rs"]
mod traffic;

use std::future::Future;
use std::time::Duration;

use fluxcap::{AsyncFluxRx, AsyncFluxTx, FluxBuilder, UmemRegion};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;
use tokio::time::sleep;

/// No test waits longer.
const PATIENCE: Duration = Duration::from_secs(20);

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// To be called in a runtime.
fn halves(builder: FluxBuilder) -> (AsyncFluxRx, AsyncFluxTx) {
    let (rx, tx) = builder.build().unwrap().split();
    (AsyncFluxRx::new(rx).unwrap(), AsyncFluxTx::new(tx).unwrap())
}

/// Waits for something that must happen.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(PATIENCE, what).await;
    ended.expect("it takes too long")
}

/// Drops both halves; all frames are in the pool then, and can be had.
#[track_caller]
fn close(rx: AsyncFluxRx, tx: AsyncFluxTx) {
    let umem = rx.get_ref().umem().clone();
    drop((rx, tx));
    assert_home(&umem);
}

#[track_caller]
fn assert_home(umem: &UmemRegion) {
    umem.reclaim(std::time::Duration::from_secs(10));
    let accounting = umem.accounting();
    assert_eq!(accounting.pool, umem.frame_count(), "{accounting}");
    let packets: Vec<_> = std::iter::from_fn(|| umem.alloc()).collect();
    assert_eq!(packets.len(), umem.frame_count() as usize);
}

/// Drops futures at random, by a seed.
struct Whims {
    state: u64,
    dropped: u64,
}

impl Whims {
    fn new(seed: u64) -> Self {
        Self {
            state: seed,
            dropped: 0,
        }
    }

    /// A number that looks random (SplitMix64), below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (z ^ (z >> 27)) % end
    }

    /// Waits for a future until it ends or a whim comes: at once, after a few turns of the runtime, or by the clock.
    async fn indulge<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
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
}
