//! Small sockets, packets, and the proof that no frame is lost.

use fluxcap::sim::Nic;
use fluxcap::{FluxBuilder, FluxRaw, PacketBatch};

/// A socket on queue 0 with small rings.
pub(crate) fn small(nic: &Nic) -> FluxBuilder {
    FluxBuilder::new(nic)
        .frames(256)
        .chunk_size(2048)
        .fill_size(64)
        .rx_size(64)
        .tx_size(64)
        .completion_size(64)
}

/// A packet that tells its number.
pub(crate) fn packet(number: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = (number + place) as u8;
    }
    bytes
}

/// Puts packets into the TX ring, without a wake-up; returns how many had room.
pub(crate) fn put(raw: &mut FluxRaw, packets: impl IntoIterator<Item = Vec<u8>>) -> usize {
    let mut done = 0;
    for bytes in packets {
        let Some(mut packet) = raw.alloc() else { break };
        packet.copy_from(&bytes).unwrap();
        if raw.send_one(packet).is_err() {
            break;
        }
        done += 1;
    }
    done
}

/// All packets that are there, as bytes; their frames go back.
pub(crate) fn drain(raw: &mut FluxRaw) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while raw.recv_each(64, |packet| all.push(packet.data().to_vec())) > 0 {}
    all
}

/// Takes all that is there into the user's hands.
pub(crate) fn hold(raw: &mut FluxRaw, most: usize) -> PacketBatch {
    let mut batch = PacketBatch::with_capacity(most);
    raw.receive(&mut batch);
    batch
}

/// Asserts that every frame has one owner.
pub(crate) fn assert_conserved(raw: &FluxRaw) {
    let rings = raw.debug_rings();
    assert!(rings.is_conserved(), "{rings}");
    for ring in [rings.fill, rings.rx, rings.tx, rings.completion] {
        assert_eq!((ring.violations, ring.refused), (0, 0), "{rings}");
    }
}

/// Closes a socket; all frames are in the pool then.
pub(crate) fn close(raw: FluxRaw) {
    assert_conserved(&raw);
    let umem = raw.umem().clone();
    drop(raw);
    let accounting = umem.accounting();
    assert_eq!(accounting.pool, umem.frame_count(), "{accounting}");
}
