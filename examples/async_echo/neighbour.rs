//! A neighbour on a simulated link: sends datagrams and pings, all different, and checks that each comes back, once and in order.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fluxcap::FluxError;
use fluxcap::proto::checksum::checksum;
use fluxcap::proto::{Ethernet, IpProtocol, MacAddr};
use fluxcap::sim::Nic;

use super::frames;

/// The Ethernet address that the packets go to.
pub(crate) const ECHO: MacAddr = MacAddr([2, 0, 0, 0, 0x99, 2]);
/// The number of different packets.
pub(crate) const MOST: u32 = 1 << 24;
/// Packets that have not come back yet.
const IN_FLIGHT: u32 = 512;
/// It gives up when nothing came back for so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Offset of the UDP or ICMP header.
const MESSAGE: usize = Ethernet::LEN + 20;

pub(crate) struct Neighbour {
    nic: Nic,
    queue: u32,
    packets: u32,
    sent: u32,
    back: u32,
    wrong: u32,
}

impl Neighbour {
    pub(crate) fn new(nic: Nic, queue: u32, packets: u32) -> Self {
        Self {
            nic,
            queue,
            packets,
            sent: 0,
            back: 0,
            wrong: 0,
        }
    }

    /// Runs until all packets came back, none has for a while, or `stop` is set; then it sets `stop`. Returns whether all went well.
    pub(crate) fn talk(mut self, stop: &AtomicBool) -> Result<bool, FluxError> {
        let result = self.exchange(stop);
        stop.store(true, Ordering::Relaxed);
        println!(
            "neighbour: sent {}, came back {}, lost {}, wrong {}",
            self.sent,
            self.back,
            self.sent.saturating_sub(self.back),
            self.wrong
        );
        result?;
        Ok((self.sent, self.back, self.wrong) == (self.packets, self.packets, 0))
    }

    fn exchange(&mut self, stop: &AtomicBool) -> Result<(), FluxError> {
        let mut moved = Instant::now();
        while self.back < self.packets && !stop.load(Ordering::Relaxed) {
            let before = (self.sent, self.back);
            while let Some(frame) = self.nic.take_sent() {
                self.wrong += u32::from(frame != answer(self.back));
                self.back += 1;
            }
            let end = self.packets.min(self.back.saturating_add(IN_FLIGHT));
            while self.sent < end {
                self.nic.inject(self.queue, &question(self.sent))?;
                self.sent += 1;
            }
            if before != (self.sent, self.back) {
                moved = Instant::now();
            } else if moved.elapsed() > PATIENCE {
                break;
            } else {
                thread::sleep(Duration::from_micros(50));
            }
        }
        Ok(())
    }
}

/// Protocol, addresses and length of packet `number`. No other packet has its source address.
fn ends(number: u32) -> (IpProtocol, [SocketAddr; 2], usize) {
    let [_, a, b, c] = number.to_be_bytes();
    let protocol = match number % 3 {
        0 => IpProtocol::ICMP,
        _ => IpProtocol::UDP,
    };
    let here = (Ipv4Addr::new(10, a, b, c), 40_000).into();
    let there = (Ipv4Addr::new(11, 0, 0, 2), 7).into();
    (protocol, [here, there], 18 + number as usize % 64)
}

fn question(number: u32) -> Vec<u8> {
    let (protocol, [here, there], data) = ends(number);
    frames::datagram(protocol, here, there, data)
}

fn answer(number: u32) -> Vec<u8> {
    let (protocol, [here, there], data) = ends(number);
    let mut frame = frames::datagram(protocol, there, here, data);
    let (destination, source) = frame[..12].split_at_mut(6);
    destination.swap_with_slice(source);
    if protocol == IpProtocol::ICMP {
        let message = &mut frame[MESSAGE..];
        message[..4].fill(0); // an echo reply
        let sum = checksum(message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    frame
}
