//! Network cards instead of veth: what their drivers do at a close.
//!
//! `FLUXCAP_CARDS="eth0 eth1"` names two that are joined by a cable and that nobody else needs; without it each test prints `skipped:`.
//! `tests/kernels/cases` runs them in guests.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::time::{Duration, Instant};

use fluxcap::{BindMode, FluxRaw, Packet, PacketBatch, UmemRegion};

use super::net::{Stack, wait_until};
use super::traffic::{assert_conserved, close, frame, receive, small};

/// The card that is tested, and one at the other end of the cable, which the network stack has.
struct Cards {
    near: String,
    far: String,
}

impl Cards {
    fn named() -> Option<Self> {
        let names = env::var("FLUXCAP_CARDS").unwrap_or_default();
        match names.split_whitespace().collect::<Vec<_>>()[..] {
            [near, far] => Some(Self {
                near: near.to_owned(),
                far: far.to_owned(),
            }),
            _ => {
                println!("skipped: FLUXCAP_CARDS does not name two network cards");
                None
            }
        }
    }

    /// A card may take its link down when a program comes or a socket.
    fn wait_for_link(&self) {
        for card in [&self.near, &self.far] {
            wait_until("the link is up", || read(card, "carrier") == "1");
        }
    }
}

fn read(card: &str, file: &str) -> String {
    let text = fs::read_to_string(format!("/sys/class/net/{card}/{file}")).unwrap_or_default();
    text.trim().to_owned()
}

/// `count` frames to this card.
fn frames_to(card: &str, count: usize) -> Vec<Vec<u8>> {
    let address = read(card, "address");
    let octets: Vec<u8> = address
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16).unwrap())
        .collect();
    let to = |number| {
        let mut frame = frame(number, 1000);
        frame[..6].copy_from_slice(&octets);
        frame
    };
    (0..count).map(to).collect()
}

/// Packets of `socket` in which these frames stand.
fn packets(socket: &mut FluxRaw, frames: &[Vec<u8>]) -> PacketBatch {
    let mut batch = PacketBatch::with_capacity(frames.len());
    for frame in frames {
        let mut packet = socket.alloc().unwrap();
        packet.copy_from(frame).unwrap();
        batch.push(packet).unwrap();
    }
    batch
}

fn assert_received(stack: &Stack, frames: &[Vec<u8>]) {
    for (number, frame) in frames.iter().enumerate() {
        let received = stack.receive(Duration::from_secs(10));
        assert!(received.as_ref() == Some(frame), "frame {number}");
    }
}

/// Receives a few packets, and sends a few.
fn exchange(cards: &Cards, near: &mut FluxRaw, far: &Stack) {
    for frames in frames_to(&cards.near, 96).chunks(16) {
        frames.iter().for_each(|frame| far.send(frame));
        let batch = receive(near, frames.len());
        assert!(
            batch
                .iter()
                .zip(frames)
                .all(|(packet, frame)| packet.data() == frame)
        );
    }
    for frames in frames_to(&cards.far, 96).chunks(16) {
        near.reap();
        let mut batch = packets(near, frames);
        assert_eq!(near.send(&mut batch).unwrap() as usize, frames.len());
        near.wake_tx().unwrap();
        assert_received(far, frames);
    }
    assert_conserved(near);
}

/// Every frame that can be had, with a content of its own.
struct Held(Vec<Packet>);

impl Held {
    fn content(packet: &Packet) -> [u8; 1024] {
        [(packet.address() >> 12) as u8 ^ 0xa5; 1024]
    }

    fn take_all(&mut self, umem: &UmemRegion) {
        while let Some(mut packet) = umem.alloc() {
            let content = Self::content(&packet);
            packet.copy_from(&content).unwrap();
            self.0.push(packet);
        }
    }

    /// Nobody else has one of them, and nobody wrote to one.
    fn assert_ours(&self, umem: &UmemRegion) {
        let chunks: BTreeSet<u64> = self.0.iter().map(|packet| packet.address() >> 12).collect();
        assert_eq!(chunks.len(), self.0.len());
        assert!(
            self.0
                .iter()
                .all(|packet| packet.data() == Self::content(packet))
        );
        let accounting = umem.accounting();
        assert_eq!(accounting.user as usize, self.0.len(), "{accounting}");
        assert!(accounting.is_conserved(), "{accounting}");
    }
}

#[test]
fn frames_of_a_zero_copy_socket_come_home_once_while_packets_go_on_coming() {
    let Some(cards) = Cards::named() else { return };
    let far = Stack::of(&cards.far);
    let to_near = frames_to(&cards.near, 16);
    // Keeps the program on the card, where that has another queue.
    let keeper = fs::exists(format!("/sys/class/net/{}/queues/rx-1", cards.near)).unwrap();
    let keeper = keeper.then(|| {
        let keeper = small(&cards.near).queue(1).bind_mode(BindMode::ZeroCopy);
        keeper.build().unwrap()
    });
    let mut used: Option<UmemRegion> = None;
    for cycle in 0..4 {
        let mut builder = small(&cards.near).bind_mode(BindMode::ZeroCopy);
        if let Some(umem) = &used {
            builder = builder.umem(umem);
        }
        let mut near = builder.build().unwrap();
        let umem = near.umem().clone();
        cards.wait_for_link();
        exchange(&cards, &mut near, &far);

        // Both ways something is under way at the close.
        let mut batch = packets(&mut near, &frames_to(&cards.far, 16));
        near.send(&mut batch).unwrap();
        near.wake_tx().unwrap();
        to_near.iter().for_each(|frame| far.send(frame));
        drop((near, batch));
        let closed = Instant::now();
        let mut held = Held(Vec::new());
        held.take_all(&umem);
        let quarantined = umem.frame_count() - held.0.len() as u32;
        while umem.reclaim(Duration::ZERO) > 0 {
            to_near.iter().for_each(|frame| far.send(frame));
            held.take_all(&umem);
            held.assert_ours(&umem);
            assert!(closed.elapsed() < Duration::from_secs(20));
        }
        let elapsed = closed.elapsed();
        held.take_all(&umem);
        assert_eq!(held.0.len() as u32, umem.frame_count());
        to_near.iter().for_each(|frame| far.send(frame));
        held.assert_ours(&umem);
        drop(held);
        assert_eq!(umem.accounting().pool, umem.frame_count());
        println!("close {cycle}: {quarantined} frames in quarantine, for {elapsed:?}");
        used = Some(umem);
        while far.receive(Duration::from_millis(100)).is_some() {}
    }
    if let Some(keeper) = keeper {
        close(keeper);
    }
}

/// For a card that sends only after some seconds: QEMU's virtio with a timer, `--nic virtio-late`.
#[test]
fn packets_that_wait_in_a_driver_keep_their_frames_after_the_close() {
    let Some(cards) = Cards::named() else { return };
    let far = Stack::of(&cards.far);
    let frames = frames_to(&cards.far, 16);
    let mut near = small(&cards.near)
        .bind_mode(BindMode::Copy)
        .load_xdp(false)
        .build()
        .unwrap();
    let umem = near.umem().clone();
    // One before, so that the card does not wait for something else to be sent already.
    for frames in [&frames[..1], &frames] {
        let mut batch = packets(&mut near, frames);
        assert_eq!(near.send(&mut batch).unwrap() as usize, frames.len());
        near.wake_tx().unwrap();
        if frames.len() == 1 {
            assert_received(&far, frames);
        }
    }
    let closed = Instant::now();
    drop(near);
    let mut held = Held(Vec::new());
    // Some 25 ms are usual, and 500 would do if nothing were under way.
    let quarantined = umem.reclaim(Duration::from_millis(500));
    held.take_all(&umem);
    // A second packet may have made it look at the first.
    let early = std::iter::from_fn(|| far.receive(Duration::ZERO)).count();
    if early == frames.len() {
        println!("skipped: the card has sent at once");
        return;
    }
    assert!(
        quarantined as usize >= frames.len(),
        "{quarantined} in quarantine"
    );
    held.assert_ours(&umem);
    // They arrive as they were sent: nobody had their frames.
    assert_received(&far, &frames[early..]);
    assert_eq!(umem.reclaim(Duration::from_secs(20)), 0);
    println!(
        "{quarantined} frames in quarantine, for {:?}",
        closed.elapsed()
    );
    held.take_all(&umem);
    held.assert_ours(&umem);
    assert_eq!(held.0.len() as u32, umem.frame_count());
    drop(held);

    let mut near = small(&cards.near).umem(&umem).bind_mode(BindMode::Copy);
    near = near.load_xdp(false);
    let mut near = near.build().unwrap();
    let mut batch = packets(&mut near, &frames);
    near.send(&mut batch).unwrap();
    near.wake_tx().unwrap();
    assert_received(&far, &frames);
    close(near);
}
