//! A neighbour on a simulated link: resolves an address by ARP, pings it, and checks every answer.

use std::net::Ipv4Addr;

use fluxcap::FluxError;
use fluxcap::proto::{
    Arp, ArpOperation, EtherType, Ethernet, IcmpEcho, IcmpType, IpProtocol, Ipv4, MacAddr,
};
use fluxcap::sim::Nic;

/// The number of pings.
pub(crate) const PINGS: u32 = 10_000;
const IN_FLIGHT: u32 = 64;
/// It gives up after so many turns without an answer.
const PATIENCE: u32 = 1000;
const HEADERS: usize = 14 + 20 + 8;
const IDENTIFIER: u16 = 0x5050;
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0x99, 1]);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 111, 0, 1);

pub(crate) struct Pinger {
    nic: Nic,
    queue: u32,
    /// The address to ping.
    address: Ipv4Addr,
    /// Learned by ARP.
    mac: Option<MacAddr>,
    asked: bool,
    sent: u32,
    answered: u32,
    wrong: u32,
    patience: u32,
}

impl Pinger {
    pub(crate) fn new(nic: Nic, queue: u32, address: Ipv4Addr) -> Self {
        Self {
            nic,
            queue,
            address,
            mac: None,
            asked: false,
            sent: 0,
            answered: 0,
            wrong: 0,
            patience: 0,
        }
    }

    /// Takes the answers, and sends more pings. Returns false at the end, good or bad.
    pub(crate) fn poll_once(&mut self) -> Result<bool, FluxError> {
        self.patience += 1;
        while let Some(frame) = self.nic.take_sent() {
            self.patience = 0;
            let good = match self.mac {
                None => {
                    self.mac = self.arp_reply(&frame);
                    self.mac.is_some()
                }
                // Answers come in the order of the requests.
                Some(mac) => {
                    let good = is_echo_reply(&frame, &self.echo_request(mac, self.answered));
                    self.answered += u32::from(good);
                    good
                }
            };
            self.wrong += u32::from(!good);
        }
        if !self.asked {
            self.nic.inject(self.queue, &self.arp_request())?;
            self.asked = true;
        }
        while let Some(mac) = self.mac
            && self.sent < PINGS
            && self.sent - self.answered < IN_FLIGHT
        {
            let request = self.echo_request(mac, self.sent);
            self.nic.inject(self.queue, &request)?;
            self.sent += 1;
        }
        Ok(self.answered < PINGS && self.wrong == 0 && self.patience < PATIENCE)
    }

    /// Prints the result. Returns whether every ping was answered.
    pub(crate) fn finish(&self) -> bool {
        println!(
            "pinged {} times, {} answered, {} answers wrong",
            self.sent, self.answered, self.wrong
        );
        self.answered == PINGS && self.wrong == 0
    }

    fn arp_request(&self) -> Vec<u8> {
        let mut frame = vec![0; 60];
        let payload = ethernet(&mut frame, MacAddr::BROADCAST, EtherType::ARP);
        // Ethernet and IPv4 addresses, and their lengths.
        payload[..6].copy_from_slice(&[0, 1, 8, 0, 6, 4]);
        let (arp, _) = Arp::parse_mut(payload).expect("long enough");
        arp.set_operation(ArpOperation::REQUEST);
        arp.set_sender_mac(MAC);
        arp.set_sender_ip(ADDRESS);
        arp.set_target_ip(self.address);
        frame
    }

    fn arp_reply(&self, frame: &[u8]) -> Option<MacAddr> {
        let (ethernet, payload) = Ethernet::parse(frame).ok()?;
        let (arp, _) = Arp::parse(payload).ok()?;
        let good = ethernet.destination() == MAC
            && ethernet.ether_type() == EtherType::ARP
            && arp.operation() == ArpOperation::REPLY
            && (arp.sender_ip(), arp.target_ip()) == (self.address, ADDRESS)
            && arp.target_mac() == MAC;
        good.then(|| arp.sender_mac())
    }

    /// A ping like those of `ping`; every hundredth is a long one.
    fn echo_request(&self, mac: MacAddr, number: u32) -> Vec<u8> {
        let data = if number % 100 == 99 { 1400 } else { 56 };
        let mut frame: Vec<u8> = (0..HEADERS + data)
            .map(|place| (number as usize + place) as u8)
            .collect();
        let payload = ethernet(&mut frame, mac, EtherType::IPV4);
        let total = payload.len() as u16;
        payload[..20].fill(0);
        payload[0] = 0x45; // version 4, a header of 5 words
        payload[2..4].copy_from_slice(&total.to_be_bytes());
        let (ip, message) = Ipv4::parse_mut(payload).expect("a whole header");
        ip.set_identification(number as u16);
        ip.set_ttl(64);
        ip.set_protocol(IpProtocol::ICMP);
        ip.set_source(ADDRESS);
        ip.set_destination(self.address);
        ip.fill_checksum();
        message[..8].copy_from_slice(&[8, 0, 0, 0, 0, 0, 0, 0]);
        let (echo, data) = IcmpEcho::parse_mut(message).expect("an echo request");
        echo.set_identifier(IDENTIFIER);
        echo.set_sequence(number as u16);
        echo.fill_checksum(data);
        frame
    }
}

/// Writes the Ethernet header. Returns the rest of the frame.
fn ethernet(frame: &mut [u8], to: MacAddr, ether_type: EtherType) -> &mut [u8] {
    let (ethernet, payload) = Ethernet::parse_mut(frame).expect("long enough");
    ethernet.set_destination(to);
    ethernet.set_source(MAC);
    ethernet.set_ether_type(ether_type);
    payload
}

/// Whether a frame is the answer to a request: the same data, swapped addresses, valid checksums.
fn is_echo_reply(frame: &[u8], request: &[u8]) -> bool {
    let parse = |frame: &[u8]| {
        let (ethernet, payload) = Ethernet::parse(frame).ok()?;
        let (ip, message) = Ipv4::parse(payload).ok()?;
        let (echo, data) = IcmpEcho::parse(message).ok()?;
        let right = ip.verify_checksum() && echo.verify_checksum(data);
        right.then(|| {
            (
                (ethernet.destination(), ethernet.source()),
                (ip.destination(), ip.source()),
                echo.icmp_type(),
                (echo.identifier(), echo.sequence(), data.to_vec()),
            )
        })
    };
    let (Some(reply), Some(request)) = (parse(frame), parse(request)) else {
        return false;
    };
    reply.0 == (request.0.1, request.0.0)
        && reply.1 == (request.1.1, request.1.0)
        && reply.2 == IcmpType::ECHO_REPLY
        && reply.3 == request.3
}
