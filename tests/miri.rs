//! A small program in each mode over simulated links, short enough for Miri, which looks at each access to memory: `make miri`.
//!
//! A program of yours can be tested in the same way: few frames, since Miri takes a microsecond for what takes a processor a nanosecond.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use fluxcap::sim::{Network, Nic};
use fluxcap::{FluxBuilder, FluxEngine, FluxRaw, PacketBatch, Poller, UmemRegion, Verdict};

const FRAMES: u32 = 16;

fn open(nic: &Nic) -> FluxBuilder {
    FluxBuilder::new(nic)
        .frames(FRAMES)
        .chunk_size(2048)
        .fill_size(8)
        .rx_size(8)
        .tx_size(8)
        .completion_size(8)
}

/// A NIC without a cable: what a socket sends can be taken out.
fn nic() -> Nic {
    Network::new().nic("sim0").unwrap()
}

/// Packets that arrive at once, of which each byte is its number.
fn arrive(nic: &Nic, packets: u8) {
    for number in 0..packets {
        nic.inject(0, &[number; 60]).unwrap();
    }
    nic.network().settle();
}

fn sent(nic: &Nic) -> Vec<Vec<u8>> {
    nic.network().settle();
    std::iter::from_fn(|| nic.take_sent()).collect()
}

#[track_caller]
fn assert_home(umem: &UmemRegion) {
    let accounting = umem.accounting();
    assert_eq!(accounting.pool, FRAMES, "{accounting}");
}

/// Writes to both ends of a packet, and to what comes into view in front.
fn change(packet: &mut [u8]) {
    let last = packet.len() - 1;
    (packet[0], packet[last]) = (0xaa, 0xbb);
}

#[test]
fn an_engine_shows_changes_sends_and_recycles() {
    let nic = nic();
    let raw = open(&nic).build().unwrap();
    let umem = raw.umem().clone();
    let mut engine = FluxEngine::new(raw);
    for _ in 0..4 {
        arrive(&nic, 5);
        let count = engine.run_once(|batch| {
            batch.prefetch();
            batch.packet(1).data_mut()[1] = 7;
            batch.for_each(|packet| {
                if packet.data()[2] % 2 == 0 {
                    packet.adjust_head(-4).unwrap();
                    packet.adjust_tail(2).unwrap();
                    change(packet.data_mut());
                    packet.send();
                }
            });
        });
        assert_eq!(count.unwrap(), 5);
        let sent = sent(&nic);
        assert_eq!(sent.len(), 3);
        for packet in sent {
            assert_eq!((packet.len(), packet[0], packet[65]), (66, 0xaa, 0xbb));
        }
    }
    drop(engine);
    assert_home(&umem);
}

#[test]
fn an_engine_passes_packets_between_its_ports() {
    let network = Network::new();
    let (left, right) = (network.nic("left").unwrap(), network.nic("right").unwrap());
    let here = open(&left).build().unwrap();
    let umem = here.umem().clone();
    let there = open(&right).umem(&umem).build().unwrap();
    let mut engine = FluxEngine::new(here);
    engine.add_port(there).unwrap();
    for _ in 0..3 {
        arrive(&left, 3);
        engine
            .run_once(|batch| {
                let other = 1 - batch.port();
                batch.for_each(|packet| {
                    change(packet.data_mut());
                    packet.send_to(other).unwrap();
                });
            })
            .unwrap();
        assert_eq!(sent(&right).len(), 3);
        engine.run_once(|_| ()).unwrap();
    }
    drop(engine);
    assert_home(&umem);
}

#[test]
fn an_engine_shows_packets_one_at_a_time_and_survives_a_panic() {
    let network = Network::new();
    let (left, right) = (network.nic("left").unwrap(), network.nic("right").unwrap());
    let here = open(&left).build().unwrap();
    let umem = here.umem().clone();
    let there = open(&right).umem(&umem).build().unwrap();
    let mut engine = FluxEngine::new(here);
    engine.add_port(there).unwrap();
    for _ in 0..3 {
        arrive(&left, 5);
        let mut number = 0;
        let result = engine.run_each_once(|packet| {
            number += 1;
            change(packet.data_mut());
            match number {
                1 => packet.send(),
                2 => packet.send_to(1).unwrap(),
                3 => panic!("at the third one"),
                _ => {}
            }
        });
        assert_eq!(result.unwrap_err().kind(), fluxcap::ErrorKind::Callback);
        assert_eq!((sent(&left).len(), sent(&right).len()), (1, 1));
        assert_eq!(engine.run_each_once(|_| ()).unwrap(), 2);
    }
    drop(engine);
    assert_home(&umem);
}

#[test]
fn packets_are_taken_out_of_a_closure_that_panics_and_out_of_one_within_another() {
    let nics = [nic(), nic()];
    let mut raws = [0, 1].map(|number| open(&nics[number]).build().unwrap());
    let umems = [0, 1].map(|number| raws[number].umem().clone());
    let mut kept = Vec::new();
    for _ in 0..3 {
        nics.iter().for_each(|nic| arrive(nic, 3));
        let [one, other] = &mut raws;
        let result = catch_unwind(AssertUnwindSafe(|| {
            one.forward_each(3, |mut packet| {
                change(packet.data_mut());
                let mut packet = Some(packet);
                other.recv_each(1, |mut within| {
                    change(within.data_mut());
                    let outer = packet.take().unwrap();
                    kept.extend([outer.into_packet(), within.into_packet()]);
                });
                assert!(kept.len() < 4, "as planned");
                Verdict::Send
            })
        }));
        assert!(result.is_err());
        kept.iter_mut().for_each(|packet| change(packet.data_mut()));
        assert_eq!(kept.len(), 4);
        let away = kept.split_off(2);
        thread::spawn(move || drop(away)).join().unwrap();
        kept.clear();
        for raw in &mut raws {
            assert_eq!(raw.recv_each(4, |_| ()), 1);
            raw.refill();
            assert!(raw.debug_rings().is_conserved());
        }
    }
    drop(raws);
    umems.iter().for_each(assert_home);
}

#[test]
fn halves_receive_send_and_forward_and_packets_end_on_other_threads() {
    let nic = nic();
    let (mut rx, mut tx) = open(&nic).build().unwrap().split();
    rx.set_poller(Poller::Busy);
    let umem = rx.umem().clone();
    let mut batch = PacketBatch::with_capacity(4);
    for _ in 0..3 {
        // Some are dropped here, some there.
        arrive(&nic, 4);
        assert_eq!(rx.try_recv(&mut batch), 4);
        batch
            .iter_mut()
            .for_each(|packet| change(packet.data_mut()));
        let away = batch.pop();
        let dropping = thread::spawn(move || drop(away));
        batch.clear();
        dropping.join().unwrap();

        arrive(&nic, 4);
        let mut kept = Vec::new();
        let count = rx.recv_each(4, |mut packet| {
            change(packet.data_mut());
            if packet.data()[1] == 2 {
                kept.push(packet.into_packet());
            }
        });
        assert_eq!((count, kept.len()), (4, 1));

        arrive(&nic, 4);
        let passed = rx.forward_each(&mut tx, 4, |mut packet| {
            change(packet.data_mut());
            Verdict::Send
        });
        assert_eq!(passed.unwrap(), 4);
        let given = tx.send_each(2, |outbox| {
            let packet = kept.pop().unwrap();
            assert!(outbox.put(packet).is_ok());
        });
        assert_eq!(given.unwrap(), 1);
        let mut fresh = tx.alloc().unwrap();
        fresh.copy_from(&[9; 60]).unwrap();
        tx.send_one(fresh).unwrap();
        tx.kick().unwrap();
        assert_eq!(sent(&nic).len(), 6);
        tx.reap();
    }
    drop((rx, batch));
    drop(tx);
    assert_home(&umem);
}

#[test]
fn a_raw_socket_moves_frames_by_each_of_its_calls() {
    let nic = nic();
    let mut raw = open(&nic).build().unwrap();
    let umem = raw.umem().clone();
    let mut batch = PacketBatch::with_capacity(4);
    for _ in 0..3 {
        arrive(&nic, 4);
        let peeked: Vec<_> = raw.peek(4).iter().map(|desc| desc.len).collect();
        assert_eq!(peeked, [60; 4]);
        let seen = raw.recv_each(2, |mut packet| change(packet.data_mut()));
        assert_eq!(seen, 2);
        let forwarded = raw.forward_each(2, |mut packet| {
            packet.adjust_head(14).unwrap();
            change(packet.data_mut());
            Verdict::Send
        });
        assert_eq!(forwarded, 2);
        raw.wake_tx().unwrap();
        assert_eq!(sent(&nic).len(), 2);
        raw.refill();

        arrive(&nic, 4);
        assert_eq!(raw.receive(&mut batch), 4);
        batch
            .iter_mut()
            .for_each(|packet| change(packet.data_mut()));
        let packet = batch.pop().unwrap();
        raw.send_one(packet).unwrap();
        raw.recycle(&mut batch).unwrap();
        raw.alloc_batch(&mut batch);
        batch
            .iter_mut()
            .for_each(|packet| packet.copy_from(&[5; 60]).unwrap());
        assert!(raw.send(&mut batch).unwrap() > 0);
        batch.clear();
        raw.wake_tx().unwrap();
        assert!(sent(&nic).len() > 1);
        raw.reap();
        raw.refill();
        assert!(raw.debug_rings().is_conserved());
    }
    close(raw);
    assert_home(&umem);
}

fn close(raw: FluxRaw) {
    let umem = raw.umem().clone();
    let packet = umem.copy(&[1; 60]).unwrap().unwrap();
    drop(raw);
    assert_eq!(packet.data(), [1; 60]);
}

/// The C face, whose arrays and buffers C need not have written before.
#[cfg(feature = "capi")]
mod c_face {
    use std::mem::MaybeUninit;

    use fluxcap::ffi::build::{FLUXCAP_FRAME_UDP, fluxcap_frame_build, fluxcap_frame_spec};
    use fluxcap::ffi::packet::{fluxcap_packet, fluxcap_packet_free, fluxcap_packets_free};
    use fluxcap::ffi::raw::{
        self, fluxcap_raw, fluxcap_raw_alloc, fluxcap_raw_free, fluxcap_raw_recv, fluxcap_raw_send,
    };
    use fluxcap::ffi::rewrite::fluxcap_arp_reply;

    use super::{arrive, assert_home, nic, open, sent};

    const EINVAL: i32 = 22;

    /// Places that nobody has written to.
    fn places<const N: usize>() -> [MaybeUninit<fluxcap_packet>; N] {
        [const { MaybeUninit::uninit() }; N]
    }

    /// Up to `N` received packets.
    fn receive<const N: usize>(raw: *mut fluxcap_raw) -> Vec<fluxcap_packet> {
        let mut places = places::<N>();
        // SAFETY: an open handle, and an array of as many places.
        let count = unsafe { fluxcap_raw_recv(raw, places.as_mut_ptr().cast(), N as u32) };
        let filled = &places[..usize::try_from(count).unwrap()];
        // SAFETY: as many were written.
        filled
            .iter()
            .map(|place| unsafe { place.assume_init() })
            .collect()
    }

    #[test]
    fn packets_go_into_places_that_nobody_wrote_and_come_back_once() {
        let nic = nic();
        let raw = open(&nic).build().unwrap();
        let umem = raw.umem().clone();
        let raw = raw::open(raw).unwrap();
        arrive(&nic, 3);
        let mut packets = receive::<4>(raw);
        assert_eq!(packets.len(), 3);
        let mut copy = packets[0];
        // SAFETY: an open handle, and packets that nobody else uses.
        unsafe {
            assert_eq!(fluxcap_raw_send(raw, packets.as_mut_ptr(), 1), 1);
            assert_eq!(fluxcap_packet_free(&mut copy), -EINVAL, "sent before");
            let mut copies = [packets[1], packets[1], packets[2]];
            assert_eq!(
                fluxcap_packets_free(copies.as_mut_ptr(), 3),
                -EINVAL,
                "one twice"
            );
            assert_eq!(
                fluxcap_packets_free(packets.as_mut_ptr(), 3),
                -EINVAL,
                "freed before"
            );
            let mut fresh = places::<2>();
            assert_eq!(fluxcap_raw_alloc(raw, fresh.as_mut_ptr().cast(), 2), 2);
            assert_eq!(fluxcap_packets_free(fresh.as_mut_ptr().cast(), 2), 0);
            fluxcap_raw_free(raw);
        }
        drop(sent(&nic));
        assert_home(&umem);
    }

    #[test]
    fn a_frame_is_built_in_a_buffer_that_nobody_wrote() {
        // SAFETY: plain numbers.
        let mut spec: fluxcap_frame_spec = unsafe { std::mem::zeroed() };
        (spec.struct_size, spec.kind) = (size_of_val(&spec) as u32, FLUXCAP_FRAME_UDP);
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 2048];
        // SAFETY: as many bytes.
        let length = unsafe {
            fluxcap_frame_build(
                &spec,
                b"payload".as_ptr().cast(),
                7,
                buffer.as_mut_ptr().cast(),
                buffer.len(),
            )
        };
        assert_eq!(length, 14 + 20 + 8 + 7);
        let end = &buffer[42..49];
        // SAFETY: as many were written.
        let end: Vec<u8> = end
            .iter()
            .map(|byte| unsafe { byte.assume_init() })
            .collect();
        assert_eq!(end, b"payload");
    }

    #[test]
    fn the_address_of_an_arp_reply_may_lie_in_the_request() {
        let mut packet = [0_u8; 42];
        packet[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        packet[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 7]);
        let start = packet.as_mut_ptr();
        // SAFETY: as many bytes, and six within them.
        let length = unsafe { fluxcap_arp_reply(start.cast(), 42, start.add(6)) };
        assert_eq!(length, 42);
        assert_eq!((packet[21], &packet[6..12]), (2, &[2, 0, 0, 0, 0, 7][..]));
    }
}
