//! Two sockets, one at each end: what one sends, the other sends back.

use std::time::{Duration, Instant};

use fluxcap::proto::Ethernet;
use fluxcap::{BindMode, FluxRaw, Verdict, XdpMode};

use super::net::{Stack, in_namespace, ip, knows_multi_buffer};
use super::traffic::{PATIENCE, carry, close, frame, frames, large, send, small};

/// Sends all frames from `far` to `near`, which sends them back with swapped addresses, and compares.
fn echo(far: &mut FluxRaw, near: &mut FluxRaw, frames: &[Vec<u8>]) {
    const WINDOW: usize = 32;
    let deadline = Instant::now() + PATIENCE;
    let (mut sent, mut back) = (0, 0);
    while back < frames.len() {
        let end = frames.len().min(back + WINDOW);
        sent += send(far, &frames[sent..end]);
        near.refill();
        near.forward_each(64, |mut packet| {
            let (ethernet, _) = Ethernet::parse_mut(packet.data_mut()).unwrap();
            ethernet.swap_addresses();
            Verdict::Send
        });
        near.wake_tx().unwrap();
        far.refill();
        let count = far.recv_each(64, |mut packet| {
            let (ethernet, _) = Ethernet::parse_mut(packet.data_mut()).unwrap();
            ethernet.swap_addresses();
            let (is, should) = (packet.data(), &frames[back]);
            assert_eq!(is.len(), should.len(), "frame {back} has another length");
            assert!(is == should, "frame {back} is damaged or out of order");
            back += 1;
        });
        if count == 0 {
            assert!(Instant::now() < deadline, "{back} of {sent} came back");
            far.wait_rx(Some(Duration::from_millis(1))).unwrap();
        }
    }
}

fn sizes(sizes: impl Iterator<Item = usize>) -> Vec<Vec<u8>> {
    sizes
        .enumerate()
        .map(|(number, len)| frame(number, len))
        .collect()
}

#[test]
fn every_size_that_fits_a_frame_comes_back_intact_and_in_order() {
    in_namespace(|| {
        // Chunks of 4096 bytes, less the 256 that the kernel keeps. Before Linux 6.6 an AF_XDP socket gets none of a packet that the
        // driver holds in several pieces: veth has pages for it, in which 320 bytes are the kernel's, too, and drops what is longer.
        let longest = if knows_multi_buffer() { 3840 } else { 3520 };
        for end in ["near", "far"] {
            // Less Ethernet header and VLAN tag.
            ip(&format!("link set {end} mtu {}", longest - 18));
        }
        let [mut near, mut far] =
            ["near", "far"].map(|end| large(end).bind_mode(BindMode::Copy).build().unwrap());
        echo(&mut far, &mut near, &sizes(Ethernet::LEN..=longest));
        close(near);
        close(far);
    });
}

#[test]
fn small_chunks_with_headroom_take_every_size_that_the_mtu_allows() {
    in_namespace(|| {
        let [mut near, mut far] = ["near", "far"].map(|end| {
            let builder = large(end).chunk_size(2048).headroom(200);
            builder.build().unwrap()
        });
        echo(&mut far, &mut near, &sizes((60..=1518).rev()));
        let packet = near.alloc().unwrap();
        assert_eq!(packet.headroom(), 256 + 200);
        drop(packet);
        close(near);
        close(far);
    });
}

#[test]
fn generic_mode_echoes_as_well() {
    in_namespace(|| {
        let [mut near, mut far] =
            ["near", "far"].map(|end| large(end).xdp_mode(XdpMode::Generic).build().unwrap());
        echo(&mut far, &mut near, &sizes((60..=1518).step_by(7)));
        close(near);
        close(far);
    });
}

#[test]
fn without_need_wakeup_flags_packets_flow_as_well() {
    in_namespace(|| {
        let [mut near, mut far] =
            ["near", "far"].map(|end| small(end).need_wakeup(false).build().unwrap());
        echo(&mut far, &mut near, &frames(500, 60));
        close(near);
        close(far);
    });
}

#[test]
fn a_received_packet_that_grew_a_header_arrives_with_it() {
    in_namespace(|| {
        let mut near = small("near").headroom(64).build().unwrap();
        let mut far = small("far").build().unwrap();
        let original = frame(1, 100);
        send(&mut far, std::slice::from_ref(&original));
        let mut packet = super::traffic::receive(&mut near, 1).pop().unwrap();
        assert_eq!(packet.headroom(), 256 + 64);
        packet
            .push_front(20)
            .unwrap()
            .copy_from_slice(&original[..20]);
        near.send_one(packet).unwrap();
        near.wake_tx().unwrap();
        let grown = super::traffic::receive(&mut far, 1).pop().unwrap();
        assert_eq!(grown.data(), [&original[..20], &original[..]].concat());
        drop(grown);
        close(near);
        close(far);
    });
}

#[test]
fn a_socket_that_only_sends_needs_no_program_and_reaches_the_network_stack() {
    in_namespace(|| {
        let stack = Stack::of("far");
        let mut near = small("near").load_xdp(false).build().unwrap();
        assert_eq!(near.report().xdp_mode, None);
        assert_eq!(near.program_counters().unwrap(), None);
        assert!(!super::net::has_program("near"));
        let frames = frames(200, 100);
        let mut sent = 0;
        while sent < frames.len() {
            sent += send(&mut near, &frames[sent..]);
        }
        for frame in &frames {
            assert_eq!(stack.receive(Duration::from_secs(5)).as_ref(), Some(frame));
        }
        assert!(near.flush(Duration::from_secs(5)).unwrap());
        close(near);
    });
}

#[test]
fn packets_of_the_network_stack_are_received() {
    in_namespace(|| {
        let mut near = large("near").build().unwrap();
        let stack = Stack::of("far");
        let frames = frames(200, 64);
        for frame in &frames {
            stack.send(frame);
        }
        let batch = super::traffic::receive(&mut near, frames.len());
        for (packet, frame) in batch.iter().zip(&frames) {
            assert_eq!(packet.data(), frame);
        }
        let counters = near.program_counters().unwrap().unwrap();
        assert_eq!((counters.redirect, counters.drop), (200, 0));
        drop(batch);
        close(near);
    });
}

#[test]
fn two_sockets_over_one_umem_pass_packets_on_without_a_copy() {
    in_namespace(|| {
        super::net::add_pair("left", "right", "");
        let mut near = small("near").build().unwrap();
        let mut left = small("left").umem(near.umem()).build().unwrap();
        let mut far = small("far").build().unwrap();
        let mut right = small("right").build().unwrap();
        let frames = frames(40, 200);
        send(&mut far, &frames);
        let mut batch = super::traffic::receive(&mut near, frames.len());
        let place = batch.as_slice()[0].address();
        assert_eq!(left.send(&mut batch).unwrap(), 40);
        left.wake_tx().unwrap();
        let arrived = super::traffic::receive(&mut right, frames.len());
        assert!(
            arrived
                .iter()
                .zip(&frames)
                .all(|(is, frame)| is.data() == frame)
        );
        assert!(place < near.umem().memory().len() as u64);
        drop(arrived);
        carry(&mut right, &mut left, &frames, 32);
        let umem = near.umem().clone();
        drop((near, left));
        super::traffic::assert_all_home(&umem);
        close(far);
        close(right);
    });
}
