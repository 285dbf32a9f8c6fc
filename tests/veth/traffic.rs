//! Sockets, frames whose content tells one from another, and the proof that none is lost.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use fluxcap::proto::{EtherType, Ethernet, MacAddr};
use fluxcap::{FluxBuilder, FluxRaw, PacketBatch, UmemRegion};

use super::net::Elsewhere;

/// An ethertype that is free for experiments (IEEE 802): the network stack ignores it.
pub(crate) const EXPERIMENTAL: EtherType = EtherType(0x88b5);

/// No transfer of a test takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A socket on queue 0 with small rings.
pub(crate) fn small(interface: &str) -> FluxBuilder {
    FluxBuilder::new(interface)
        .frames(256)
        .fill_size(64)
        .rx_size(64)
        .tx_size(64)
        .completion_size(64)
        .bind_patience(Duration::from_secs(5))
}

/// A socket on queue 0 with rings of ordinary size.
pub(crate) fn large(interface: &str) -> FluxBuilder {
    FluxBuilder::new(interface)
        .frames(4096)
        .fill_size(2048)
        .bind_patience(Duration::from_secs(5))
}

/// Frame number `number`: addresses, ethertype, and bytes that follow from number and length.
pub(crate) fn frame(number: usize, len: usize) -> Vec<u8> {
    let mut state = (number as u64) << 16 | len as u64;
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
        // Numbers that look random (SplitMix64).
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (z ^ (z >> 27)).to_le_bytes()
    })
    .flatten()
    .take(len)
    .collect();
    if let Ok((ethernet, _)) = Ethernet::parse_mut(&mut bytes) {
        ethernet.set_destination(MacAddr([0x02, 0, 0, 0, 0, 1]));
        ethernet.set_source(MacAddr([0x02, 0, 0, 0, 0, 2]));
        ethernet.set_ether_type(EXPERIMENTAL);
    }
    bytes
}

/// `count` frames of `len` bytes.
pub(crate) fn frames(count: usize, len: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| frame(number, len)).collect()
}

/// Sends a datagram from each of 64 ports, flows that spread over the queues of an interface, and wants each back.
pub(crate) fn ask(client: &Elsewhere, address: &'static str) {
    client.run(move || {
        for number in 0..64_u8 {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.connect(address).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.send(&[number; 20]).unwrap();
            let mut answer = [0; 100];
            let length = socket.recv(&mut answer).expect("an answer");
            assert_eq!(answer[..length], [number; 20]);
        }
    });
}

/// Takes back what was sent, puts frames into the TX ring as long as there is room, and wakes the kernel; returns how many.
pub(crate) fn send(raw: &mut FluxRaw, frames: &[Vec<u8>]) -> usize {
    raw.reap();
    let mut batch = PacketBatch::with_capacity(frames.len());
    for frame in frames {
        let Some(mut packet) = raw.alloc() else { break };
        packet.copy_from(frame).unwrap();
        batch.push(packet).unwrap();
    }
    let sent = raw.send(&mut batch).unwrap();
    raw.wake_tx().unwrap();
    // What did not fit goes back to the pool.
    sent as usize
}

/// Sends all frames from one socket to the other, never more than `window` at once, and sees that they arrive in order.
pub(crate) fn carry(from: &mut FluxRaw, to: &mut FluxRaw, frames: &[Vec<u8>], window: usize) {
    let deadline = Instant::now() + PATIENCE;
    let (mut sent, mut arrived) = (0, 0);
    while arrived < frames.len() {
        let end = frames.len().min(arrived + window);
        sent += send(from, &frames[sent..end]);
        to.refill();
        let count = to.inspect(64, |packet| {
            assert_eq!(
                packet.data(),
                frames[arrived],
                "frame {arrived} is damaged or out of order"
            );
            arrived += 1;
        });
        if count == 0 {
            assert!(
                Instant::now() < deadline,
                "{arrived} of {sent} arrived, {:?}",
                to.statistics()
            );
            to.wait_rx(Some(Duration::from_millis(5))).unwrap();
        }
    }
}

/// Receives until `count` packets are there, and gives them away.
pub(crate) fn receive(raw: &mut FluxRaw, count: usize) -> PacketBatch {
    let deadline = Instant::now() + PATIENCE;
    let mut batch = PacketBatch::with_capacity(count);
    while batch.room() > 0 {
        if raw.receive(&mut batch) == 0 {
            assert!(
                Instant::now() < deadline,
                "{} of {count} arrived, {:?}",
                batch.len(),
                raw.statistics()
            );
            raw.wait_rx(Some(Duration::from_millis(5))).unwrap();
        }
    }
    batch
}

/// Asserts that every frame has one owner, and that the kernel did not do anything strange.
pub(crate) fn assert_conserved(raw: &FluxRaw) {
    let rings = raw.debug_rings();
    assert!(rings.is_conserved(), "{rings}");
    for ring in [rings.fill, rings.rx, rings.tx, rings.completion] {
        assert_eq!((ring.violations, ring.refused), (0, 0), "{rings}");
    }
    let statistics = raw.statistics().unwrap();
    assert_eq!(
        (statistics.rx_invalid_descs, statistics.tx_invalid_descs),
        (0, 0)
    );
}

/// Asserts conservation before and after a socket is closed; at the end all frames are in the pool.
pub(crate) fn close(raw: FluxRaw) {
    assert_conserved(&raw);
    let umem = raw.umem().clone();
    drop(raw);
    assert_all_home(&umem);
}

/// Asserts that neither user nor kernel has a frame.
pub(crate) fn assert_all_home(umem: &UmemRegion) {
    umem.reclaim(Duration::from_secs(10));
    let accounting = umem.accounting();
    assert_eq!(accounting.pool, umem.frame_count(), "{accounting}");
    assert!(accounting.is_conserved(), "{accounting}");
}
