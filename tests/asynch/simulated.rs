//! Over simulated networks: cancellation, back-pressure, removal, and a network that nobody runs.

use std::time::{Duration, Instant};

use fluxcap::sim::{Faults, Network, Nic, NicConfig};
use fluxcap::{AsyncFluxRx, AsyncFluxTx, ErrorKind, PacketBatch};

use super::tools::{packet, small};
use super::{Whims, close, current_thread, halves, multi_thread, soon};

/// Packets that go through each echo.
const PACKETS: usize = 20_000;

/// A network with two NICs that are joined.
fn pair(network: &Network, zero_copy: bool) -> [Nic; 2] {
    let nics = ["near", "far"].map(|name| {
        let config = NicConfig {
            zero_copy,
            cable: 16,
            ..NicConfig::new(name)
        };
        network.add(config).unwrap()
    });
    network.join(&nics[0], &nics[1]).unwrap();
    nics
}

/// Sends back what comes, in one task, and drops futures at random; until `count` packets went through.
async fn echo(rx: &mut AsyncFluxRx, tx: &mut AsyncFluxTx, count: usize, whims: &mut Whims) {
    let mut batch = PacketBatch::with_capacity(16);
    let mut left = count;
    while left > 0 {
        if let Some(received) = whims.indulge(rx.recv(&mut batch)).await {
            left -= received.unwrap() as usize;
        } else {
            assert!(batch.is_empty(), "a dropped future took packets");
        }
        while !batch.is_empty() {
            if let Some(sent) = whims.indulge(tx.send(&mut batch)).await {
                sent.unwrap();
                assert!(batch.is_empty());
            }
        }
    }
    tx.flush().await.unwrap();
}

/// Sends `count` packets and wants them back in order, in one task; never more than `window` under way.
async fn ask(rx: &mut AsyncFluxRx, tx: &mut AsyncFluxTx, count: usize, window: usize) {
    let (mut sent, mut back) = (0, 0);
    while back < count {
        while sent < count.min(back + window) {
            let copied = tx.get_mut().copy(&packet(sent, 60 + sent % 40)).unwrap();
            let mut question = Some(copied.expect("a free frame"));
            soon(tx.send_one(&mut question)).await.unwrap();
            assert!(question.is_none());
            sent += 1;
        }
        let answer = soon(rx.recv_one()).await.unwrap();
        assert_eq!(answer.data(), packet(back, 60 + back % 40));
        back += 1;
    }
}

#[test]
fn nothing_is_lost_when_futures_are_dropped_at_random() {
    for (seed, zero_copy) in [(1, false), (2, true), (3, false), (4, true)] {
        for runtime in [current_thread(), multi_thread()] {
            runtime.block_on(async {
                let network = Network::with_seed(seed);
                let [near, far] = pair(&network, zero_copy);
                let _running = network.run().unwrap();
                let (mut rx, mut tx) = halves(small(&far));
                let echoing = tokio::spawn(async move {
                    let mut whims = Whims::new(seed);
                    echo(&mut rx, &mut tx, PACKETS, &mut whims).await;
                    (rx, tx, whims.dropped)
                });
                let (mut rx, mut tx) = halves(small(&near));
                ask(&mut rx, &mut tx, PACKETS, 60).await;
                let (far_rx, far_tx, dropped) = soon(echoing).await.unwrap();
                assert!(dropped > 10, "only {dropped} futures were dropped");
                assert_eq!(far_rx.get_ref().total(), PACKETS as u64);
                assert_eq!(far_tx.get_ref().total(), PACKETS as u64);
                close(far_rx, far_tx);
                close(rx, tx);
            });
        }
    }
}

#[test]
fn nothing_is_lost_when_wake_ups_are() {
    current_thread().block_on(async {
        let network = Network::with_seed(5);
        let [near, far] = pair(&network, true);
        let faults = Faults {
            lost_wakeup: 50_000,
            spurious_wakeup: 50_000,
            stalled_completion: 50_000,
            max_delay: Duration::from_micros(200),
            ..Faults::default()
        };
        network.set_faults(faults).unwrap();
        let _running = network.run().unwrap();
        let (mut rx, mut tx) = halves(small(&far));
        let echoing = tokio::spawn(async move {
            echo(&mut rx, &mut tx, 2000, &mut Whims::new(5)).await;
            (rx, tx)
        });
        let (mut rx, mut tx) = halves(small(&near));
        ask(&mut rx, &mut tx, 2000, 32).await;
        let (far_rx, far_tx) = soon(echoing).await.unwrap();
        close(far_rx, far_tx);
        close(rx, tx);
    });
}

#[test]
fn the_two_halves_work_in_two_tasks() {
    for runtime in [current_thread(), multi_thread()] {
        runtime.block_on(async {
            let network = Network::new();
            let [near, far] = pair(&network, false);
            let _running = network.run().unwrap();
            let (mut far_rx, mut far_tx) = halves(small(&far));
            let (sender, mut receiver) = tokio::sync::mpsc::channel::<PacketBatch>(2);
            let receiving = tokio::spawn(async move {
                let mut left = PACKETS;
                while left > 0 {
                    let mut batch = PacketBatch::with_capacity(16);
                    left -= soon(far_rx.recv(&mut batch)).await.unwrap() as usize;
                    sender.send(batch).await.unwrap();
                }
                far_rx
            });
            let sending = tokio::spawn(async move {
                while let Some(mut batch) = receiver.recv().await {
                    soon(far_tx.send(&mut batch)).await.unwrap();
                }
                soon(far_tx.flush()).await.unwrap();
                far_tx
            });
            let (mut rx, mut tx) = halves(small(&near));
            ask(&mut rx, &mut tx, PACKETS, 60).await;
            close(soon(receiving).await.unwrap(), soon(sending).await.unwrap());
            close(rx, tx);
        });
    }
}

#[test]
fn sending_waits_until_somebody_takes_the_packets() {
    current_thread().block_on(async {
        let network = Network::new();
        let nic = network.add(NicConfig {
            keep: 16,
            ..NicConfig::new("sim0")
        });
        let nic = nic.unwrap();
        let _running = network.run().unwrap();
        let (rx, mut tx) = halves(small(&nic));
        let mut batch = PacketBatch::with_capacity(150);
        tx.get_mut().alloc_batch(&mut batch);
        let count = batch.len();
        assert!(count > 16 + 64, "{count}: too few to fill the ring");
        for (number, fresh) in batch.iter_mut().enumerate() {
            fresh.copy_from(&packet(number, 60)).unwrap();
        }
        // Dropped while it waits: what is not under way is still in the batch.
        let short = Duration::from_millis(50);
        let waited = tokio::time::timeout(short, tx.send(&mut batch)).await;
        assert!(waited.is_err(), "{waited:?}");
        assert_eq!(batch.len(), count - 16 - 64);
        assert_eq!(batch.as_slice()[0].data(), packet(16 + 64, 60));
        let mut one = batch.pop();
        let waited = tokio::time::timeout(short, tx.send_one(&mut one)).await;
        assert!(waited.is_err() && one.is_some(), "{waited:?}");
        let taking = tokio::spawn(async move {
            let mut taken = 0;
            while taken < count - 1 {
                if let Some(sent) = nic.take_sent() {
                    assert_eq!(sent, packet(taken, 60));
                    taken += 1;
                } else {
                    tokio::time::sleep(Duration::from_micros(100)).await;
                }
            }
        });
        soon(tx.send(&mut batch)).await.unwrap();
        soon(tx.flush()).await.unwrap();
        assert_eq!(tx.get_ref().outstanding(), 0);
        soon(taking).await.unwrap();
        drop(one);
        close(rx, tx);
    });
}

#[test]
fn sending_that_gets_nowhere_says_so() {
    current_thread().block_on(async {
        let network = Network::new();
        let nic = network.add(NicConfig {
            keep: 16,
            ..NicConfig::new("sim0")
        });
        let _running = network.run().unwrap();
        let (rx, mut tx) = halves(small(&nic.unwrap()));
        tx.get_mut().set_patience(Duration::from_millis(100));
        let mut batch = PacketBatch::with_capacity(100);
        tx.get_mut().alloc_batch(&mut batch);
        for fresh in &mut batch {
            fresh.copy_from(&packet(1, 60)).unwrap();
        }
        let error = soon(tx.send(&mut batch)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stuck, "{error}");
        let error = soon(tx.flush()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stuck, "{error}");
        drop(batch);
        close(rx, tx);
    });
}

#[test]
fn a_removed_interface_ends_the_wait() {
    for runs in [true, false] {
        current_thread().block_on(async {
            let network = Network::new();
            let nic = network.nic("sim0").unwrap();
            let _running = runs.then(|| network.run().unwrap());
            let (mut rx, mut tx) = halves(small(&nic));
            let receiving = tokio::spawn(async move {
                let error = soon(rx.recv_one()).await.unwrap_err();
                (rx, error)
            });
            tokio::time::sleep(Duration::from_millis(20)).await;
            nic.remove();
            let (rx, error) = soon(receiving).await.unwrap();
            assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
            let mut one = tx.get_mut().copy(&packet(1, 60)).unwrap();
            // It reaches the ring, and the next call says that the kernel does not look at it.
            let _ = tx.send_one(&mut one).await;
            assert_eq!(tx.flush().await.unwrap_err().kind(), ErrorKind::Gone);
            drop(one);
            close(rx, tx);
        });
    }
}

#[test]
fn a_removal_is_noticed_although_every_wait_is_cut_short() {
    current_thread().block_on(async {
        let network = Network::new();
        let nic = network.nic("sim0").unwrap();
        let _running = network.run().unwrap();
        let (mut rx, tx) = halves(small(&nic));
        nic.remove();
        let short = Duration::from_millis(1);
        let mut batch = PacketBatch::with_capacity(4);
        let error = soon(async {
            loop {
                if let Ok(ended) = tokio::time::timeout(short, rx.recv(&mut batch)).await {
                    break ended.unwrap_err();
                }
            }
        });
        assert_eq!(error.await.kind(), ErrorKind::Gone);
        close(rx, tx);
    });
}

#[test]
fn a_network_that_nobody_runs_is_moved_by_the_half_that_waits() {
    current_thread().block_on(async {
        let network = Network::with_seed(1);
        let [near, far] = pair(&network, true);
        let (mut far_rx, mut far_tx) = halves(small(&far));
        let echoing = tokio::spawn(async move {
            echo(&mut far_rx, &mut far_tx, 200, &mut Whims::new(1)).await;
            (far_rx, far_tx)
        });
        let (mut rx, mut tx) = halves(small(&near));
        ask(&mut rx, &mut tx, 200, 8).await;
        let (far_rx, far_tx) = soon(echoing).await.unwrap();
        // Time passes while somebody waits: what is delayed arrives.
        let faults = Faults {
            delay: 1_000_000,
            max_delay: Duration::from_millis(50),
            ..Faults::default()
        };
        network.set_faults(faults).unwrap();
        let before = network.now();
        near.inject(0, &packet(7, 60)).unwrap();
        let late = soon(rx.recv_one()).await.unwrap();
        assert_eq!(late.data(), packet(7, 60));
        assert!(network.now() > before);
        drop(late);
        close(far_rx, far_tx);
        close(rx, tx);
    });
}

#[test]
fn a_packet_wakes_the_task_that_waits_for_it() {
    current_thread().block_on(async {
        let network = Network::new();
        let nic = network.nic("sim0").unwrap();
        let _running = network.run().unwrap();
        let (mut rx, tx) = halves(small(&nic));
        let mut total = Duration::ZERO;
        for number in 0..100 {
            let waiting = async {
                let found = soon(rx.recv_one()).await.unwrap();
                assert_eq!(found.data(), packet(number, 60));
                Instant::now()
            };
            let injecting = async {
                tokio::time::sleep(Duration::from_millis(2)).await;
                let start = Instant::now();
                nic.inject(0, &packet(number, 60)).unwrap();
                start
            };
            let (end, start) = tokio::join!(waiting, injecting);
            total += end - start;
        }
        // Ten milliseconds each, if nobody told it.
        assert!(total < Duration::from_millis(500), "{total:?} for 100");
        close(rx, tx);
    });
}

#[test]
fn a_receiver_without_frames_goes_on_when_they_are_dropped() {
    current_thread().block_on(async {
        let network = Network::new();
        let nic = network.nic("sim0").unwrap();
        let _running = network.run().unwrap();
        let (mut rx, tx) = halves(small(&nic));
        let mut held = PacketBatch::with_capacity(256);
        while held.room() > 0 {
            nic.inject(0, &packet(7, 60)).unwrap();
            soon(rx.recv(&mut held)).await.unwrap();
        }
        let dropping = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(held);
            // Those before found no frame.
            for _ in 0..100 {
                nic.inject(0, &packet(8, 60)).unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let found = soon(rx.recv_one()).await.unwrap();
        assert_eq!(found.data(), packet(8, 60));
        drop(found);
        soon(dropping).await.unwrap();
        close(rx, tx);
    });
}

#[test]
fn a_half_goes_back_to_a_thread_with_its_packets() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let (rx, tx) = current_thread().block_on(async {
        let (mut rx, mut tx) = halves(small(&nic));
        nic.inject_batch(0, &[packet(1, 60), packet(2, 60)])
            .unwrap();
        let first = soon(rx.recv_one()).await.unwrap();
        assert_eq!(first.data(), packet(1, 60));
        soon(tx.send_one(&mut Some(first))).await.unwrap();
        (rx.into_inner(), tx.into_inner())
    });
    // The runtime is gone.
    let (mut rx, tx) = (rx, tx);
    let second = rx.recv_one().unwrap().unwrap();
    assert_eq!(second.data(), packet(2, 60));
    drop(second);
    let runtime = multi_thread();
    let _guard = runtime.enter();
    let again = (AsyncFluxRx::new(rx).unwrap(), AsyncFluxTx::new(tx).unwrap());
    close(again.0, again.1);
}

#[test]
fn mistakes_are_explained() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let (rx, tx) = small(&nic).build().unwrap().split();
    let umem = rx.umem().clone();
    for error in [
        AsyncFluxRx::new(rx).unwrap_err(),
        AsyncFluxTx::new(tx).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("tokio runtime"), "{error}");
    }
    super::assert_home(&umem);
    current_thread().block_on(async {
        let _running = network.run().unwrap();
        let (mut rx, mut tx) = halves(small(&nic));
        let mut none = PacketBatch::with_capacity(0);
        let error = rx.recv(&mut none).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        tx.send(&mut none).await.unwrap();
        tx.send_one(&mut None).await.unwrap();
        // A packet of another UMEM is refused and stays where it is.
        let other = network.nic("sim1").unwrap();
        let (other_rx, mut other_tx) = halves(small(&other));
        let mut foreign = other_tx.get_mut().copy(&packet(1, 60)).unwrap();
        let error = tx.send_one(&mut foreign).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let foreign = foreign.expect("handed back");
        let mut batch = PacketBatch::with_capacity(1);
        batch.push(foreign).unwrap();
        let error = tx.send(&mut batch).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert_eq!(batch.len(), 1);
        drop(batch);
        close(other_rx, other_tx);
        close(rx, tx);
    });
}
