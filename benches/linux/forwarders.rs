//! Our forwarders in the benchmark `forward`, one for each mode.

use std::error::Error;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fluxcap::proto::checksum;
use fluxcap::{
    BindMode, FluxBuilder, FluxEngine, FluxRaw, FluxRx, FluxTx, PacketBatch, Poller,
    SocketStatistics, XdpMode,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Passes packets on between two ports until it is told to stop; returns how many.
type Forwarder = fn([FluxRaw; 2], &AtomicBool) -> Result<Passed>;

/// A new mode is one more pair of lines: for packets with whole checksums, and for those that come with [`OFFLOAD`].
const FORWARDERS: [(&str, Forwarder); 6] = [
    ("rust/C", |ports, stopped| rust_c(ports, stopped, |_| ())),
    ("rust/C+offload", |ports, stopped| {
        rust_c(ports, stopped, |packet| {
            checksum::complete(packet);
        })
    }),
    ("rust/A", |ports, stopped| rust_a(ports, stopped, |_| ())),
    ("rust/A+offload", |ports, stopped| {
        rust_a(ports, stopped, |packet| {
            checksum::complete(packet);
        })
    }),
    ("rust/B", |ports, stopped| rust_b(ports, stopped, |_| ())),
    ("rust/B+offload", |ports, stopped| {
        rust_b(ports, stopped, |packet| {
            checksum::complete(packet);
        })
    }),
];

/// Names with this end need checksum offload at both ends, the others need that there is none.
pub(crate) const OFFLOAD: &str = "+offload";

const BATCH: usize = 64;
/// How soon a signal is noticed.
const LOOK: Duration = Duration::from_millis(100);

/// What a forwarder did.
struct Passed {
    packets: u64,
    dropped: u64,
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FORWARDERS.iter().map(|(name, _)| *name)
}

/// Runs one of them until SIGTERM; prints packets, and packets that the sockets dropped.
pub(crate) fn run(name: &str, ports: [&str; 2]) -> Result<()> {
    let (_, forward) = FORWARDERS
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| format!("there is no forwarder {name}"))?;
    let stopped = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, stopped.clone())?;
    let builder = |port| {
        FluxBuilder::new(port)
            .frames(16384)
            .fill_size(4096)
            .rx_size(4096)
            .bind_mode(BindMode::Copy)
            .xdp_mode(XdpMode::Native)
    };
    let left = builder(ports[0]).build()?;
    let right = builder(ports[1]).umem(left.umem()).build()?;
    println!("ready");
    let Passed { packets, dropped } = forward([left, right], &stopped)?;
    println!("{packets} {dropped}");
    Ok(())
}

fn rust_c(
    mut ports: [FluxRaw; 2],
    stopped: &AtomicBool,
    finish: impl Fn(&mut [u8]),
) -> Result<Passed> {
    let mut batches = [BATCH; 2].map(PacketBatch::with_capacity);
    let mut packets = 0;
    while !stopped.load(Ordering::Relaxed) {
        let mut count = 0;
        for (from, batch) in batches.iter_mut().enumerate() {
            let to = 1 - from;
            // What there was no room for is still there, and goes first.
            let left = batch.len();
            ports[from].receive(batch);
            for packet in batch.iter_mut().skip(left) {
                finish(packet.data_mut());
            }
            count += ports[to].send(batch)?;
            ports[to].wake_tx()?;
            ports[to].reap();
        }
        packets += u64::from(count);
        if count == 0 {
            wait(&ports)?;
        }
    }
    drop(batches);
    let dropped = dropped_at(&ports)?;
    Ok(Passed { packets, dropped })
}

fn rust_a(
    [left, right]: [FluxRaw; 2],
    stopped: &AtomicBool,
    finish: impl Fn(&mut [u8]),
) -> Result<Passed> {
    let mut engine = FluxEngine::new(left);
    engine.add_port(right)?;
    // As the others: they sleep as soon as no packet is there.
    engine.set_poller(Poller::Wait);
    while !stopped.load(Ordering::Relaxed) {
        engine.run_for(LOOK, |batch| {
            let other = 1 - batch.port();
            batch.for_each(|packet| {
                finish(packet.data_mut());
                packet.send_to(other).expect("there are two ports");
            });
        })?;
    }
    Ok(Passed {
        packets: engine.statistics().total().sent,
        dropped: dropped_at(&engine.into_ports())?,
    })
}

/// A thread for each direction.
fn rust_b(
    [left, right]: [FluxRaw; 2],
    stopped: &AtomicBool,
    finish: impl Fn(&mut [u8]) + Sync,
) -> Result<Passed> {
    let ((left_rx, left_tx), (right_rx, right_tx)) = (left.split(), right.split());
    let (there, back) = thread::scope(|scope| {
        let there = scope.spawn(|| one_way(left_rx, right_tx, stopped, &finish));
        let back = one_way(right_rx, left_tx, stopped, &finish);
        (there.join(), back)
    });
    let (there, back) = (there.map_err(|_| "a thread panicked")??, back?);
    Ok(Passed {
        packets: there.packets + back.packets,
        dropped: there.dropped + back.dropped,
    })
}

fn one_way(
    mut rx: FluxRx,
    mut tx: FluxTx,
    stopped: &AtomicBool,
    finish: &impl Fn(&mut [u8]),
) -> fluxcap::Result<Passed> {
    // As the others: it sleeps as soon as no packet is there.
    rx.set_poller(Poller::Wait);
    let mut batch = PacketBatch::with_capacity(BATCH);
    while !stopped.load(Ordering::Relaxed) {
        rx.recv_timeout(&mut batch, LOOK)?;
        for packet in &mut batch {
            finish(packet.data_mut());
        }
        tx.send(&mut batch)?;
        while !batch.is_empty() && !stopped.load(Ordering::Relaxed) {
            tx.wait(Some(LOOK))?;
            tx.send(&mut batch)?;
        }
    }
    Ok(Passed {
        packets: tx.total(),
        dropped: dropped(rx.statistics()?),
    })
}

/// Packets that the kernel dropped at a socket.
fn dropped(statistics: SocketStatistics) -> u64 {
    statistics.rx_dropped + statistics.rx_ring_full
}

/// [`dropped`] of several sockets.
fn dropped_at(ports: &[FluxRaw]) -> fluxcap::Result<u64> {
    let each = ports.iter().map(|port| port.statistics().map(dropped));
    each.sum()
}

/// Waits for packets at both ports, 100 milliseconds at most.
fn wait(ports: &[FluxRaw; 2]) -> io::Result<()> {
    let mut entries = ports.each_ref().map(|port| libc::pollfd {
        fd: port.fd().map_or(-1, |fd| fd.as_raw_fd()),
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: there are two entries.
    let result = unsafe { libc::poll(entries.as_mut_ptr(), 2, 100) };
    match result {
        0.. => Ok(()),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            error => Err(error),
        },
    }
}
