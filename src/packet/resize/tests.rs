//! Growing and shrinking at every edge of a frame.

use crate::error::{ErrorKind, errno};
use crate::packet::batch_ref::PacketSlot;
use crate::packet::resize::*;
use crate::umem::{UmemConfig, UmemRegion};

const FRAME: usize = 2048;

/// Three frames, of which the tests use the one in the middle: what lies in the others must never change.
fn umem() -> UmemRegion {
    UmemRegion::heap(UmemConfig {
        frames: 3,
        chunk_size: FRAME as u32,
        ..UmemConfig::default()
    })
    .unwrap()
}

/// Runs a test on an owned and on a borrowed packet of `len` bytes, `offset` bytes into its frame, and looks whether the other frames are as they were.
fn on_both(offset: usize, len: usize, test: impl Fn(&mut dyn Room)) {
    let umem = umem();
    let mut packets: Vec<Packet> = std::iter::from_fn(|| umem.alloc()).collect();
    packets.sort_by_key(Packet::address);
    for packet in &mut packets {
        packet.push_front(256).unwrap();
        packet.set_len(FRAME).unwrap();
        packet.data_mut().fill(0xA5);
    }
    let [before, packet, after] = &mut packets[..] else {
        panic!("three frames");
    };
    let set = |packet: &mut Packet| {
        let start = packet.headroom();
        packet.push_front(start).unwrap();
        packet.set_len(FRAME).unwrap();
        packet.pull_front(offset).unwrap();
        packet.set_len(len).unwrap();
        for (place, byte) in packet.data_mut().iter_mut().enumerate() {
            *byte = place as u8;
        }
    };
    set(packet);
    test(packet);
    set(packet);
    let mut slot = PacketSlot {
        data: packet.data_mut().as_mut_ptr(),
        len: len as u32,
        verdict: 0,
    };
    // SAFETY: the packet's own frame, which nobody else uses meanwhile.
    test(&mut unsafe { PacketRef::new(umem.frames(), &mut slot, 0) });
    assert_eq!(before.data(), [0xA5; FRAME]);
    assert_eq!(after.data(), [0xA5; FRAME]);
}

fn place(packet: &dyn Room) -> (usize, usize, usize) {
    let place = (packet.headroom(), packet.bytes().len(), packet.tailroom());
    assert_eq!(place.0 + place.1 + place.2, FRAME);
    place
}

#[track_caller]
fn refused(packet: &mut dyn Room, adjust: impl FnOnce(&mut dyn Room) -> Result<()>, most: usize) {
    let before = (place(packet), packet.bytes().to_vec());
    let error = adjust(packet).unwrap_err();
    assert_eq!(
        (error.kind(), error.errno()),
        (ErrorKind::Invalid, errno::EMSGSIZE)
    );
    let text = error.to_string();
    assert!(text.contains(&format!("room for {most};")), "{text}");
    assert_eq!((place(packet), packet.bytes().to_vec()), before);
}

#[test]
fn a_head_moves_both_ways_and_what_stays_in_view_keeps_its_values() {
    on_both(256, 60, |packet| {
        packet.adjust_head(-4).unwrap();
        assert_eq!(place(packet), (252, 64, 1732));
        assert_eq!(packet.bytes()[4..8], [0, 1, 2, 3]);
        packet.bytes_mut()[..4].fill(0xEE);
        packet.adjust_head(14).unwrap();
        assert_eq!(place(packet), (266, 50, 1732));
        assert_eq!(packet.bytes()[..2], [10, 11]);
        packet.adjust_head(0).unwrap();
        assert_eq!(place(packet), (266, 50, 1732));
        packet.adjust_head(50).unwrap();
        assert_eq!(place(packet), (316, 0, 1732));
        packet.adjust_head(-60).unwrap();
        assert_eq!(packet.bytes()[..2], [0, 1]);
        assert_eq!(packet.bytes()[58..], [58, 59]);
    });
}

#[test]
fn a_tail_moves_both_ways_and_what_stays_in_view_keeps_its_values() {
    on_both(256, 60, |packet| {
        packet.adjust_tail(4).unwrap();
        assert_eq!(place(packet), (256, 64, 1728));
        packet.adjust_tail(-14).unwrap();
        assert_eq!(place(packet), (256, 50, 1742));
        assert_eq!(packet.bytes()[48..], [48, 49]);
        packet.adjust_tail(0).unwrap();
        packet.adjust_tail(-50).unwrap();
        assert_eq!(place(packet), (256, 0, 1792));
        packet.adjust_tail(60).unwrap();
        assert_eq!(packet.bytes()[48..50], [48, 49]);
    });
}

#[test]
fn the_whole_headroom_and_tailroom_can_be_used_and_no_byte_more() {
    on_both(256, 60, |packet| {
        refused(packet, |packet| packet.adjust_head(-257), 256);
        refused(packet, |packet| packet.adjust_head(61), 60);
        refused(packet, |packet| packet.adjust_tail(1733), 1732);
        refused(packet, |packet| packet.adjust_tail(-61), 60);
        packet.adjust_head(-256).unwrap();
        packet.adjust_tail(1732).unwrap();
        assert_eq!(place(packet), (0, FRAME, 0));
        packet.bytes_mut().fill(1);
        refused(packet, |packet| packet.adjust_head(-1), 0);
        refused(packet, |packet| packet.adjust_tail(1), 0);
    });
}

#[test]
fn the_largest_numbers_are_refused() {
    for (offset, len) in [(0, FRAME), (256, 60), (1000, 0), (FRAME - 1, 1)] {
        on_both(offset, len, |packet| {
            let (head, tail) = (packet.headroom(), packet.tailroom());
            let most = len.min(FRAME - 1 - offset);
            refused(packet, |packet| packet.adjust_head(i32::MIN), head);
            refused(packet, |packet| packet.adjust_head(i32::MAX), most);
            refused(packet, |packet| packet.adjust_tail(i32::MAX), tail);
            refused(packet, |packet| packet.adjust_tail(i32::MIN), len);
        });
    }
}

#[test]
fn an_empty_packet_never_starts_in_the_next_frame() {
    on_both(FRAME - 10, 10, |packet| {
        refused(packet, |packet| packet.adjust_head(10), 9);
        packet.adjust_head(9).unwrap();
        assert_eq!(place(packet), (FRAME - 1, 1, 0));
        refused(packet, |packet| packet.adjust_head(1), 0);
        packet.adjust_tail(-1).unwrap();
        assert_eq!(place(packet), (FRAME - 1, 0, 1));
        refused(packet, |packet| packet.adjust_tail(2), 1);
    });
}

#[test]
fn every_adjustment_of_a_small_packet_is_as_the_arithmetic_says() {
    for (offset, len) in [(0, 3), (2, 0), (5, 8), (FRAME - 6, 4), (FRAME - 3, 3)] {
        for delta in -12..=12_i32 {
            on_both(offset, len, |packet| {
                let (start, end) = (offset as i32, (offset + len) as i32);
                let moved = start + delta;
                let fits = moved >= 0 && moved <= end && moved < FRAME as i32 || delta == 0;
                assert_eq!(
                    packet.adjust_head(delta).is_ok(),
                    fits,
                    "{offset} {len} {delta}"
                );
                let start = if fits { moved } else { start };
                assert_eq!(packet.headroom() as i32, start);
                assert_eq!(packet.bytes().len() as i32, end - start);
                let moved = end + delta;
                let fits = moved >= start && moved <= FRAME as i32;
                assert_eq!(
                    packet.adjust_tail(delta).is_ok(),
                    fits,
                    "{offset} {len} {delta}"
                );
                let end = if fits { moved } else { end };
                assert_eq!(packet.bytes().len() as i32, end - start);
            });
        }
    }
}
