//! What IP packets carry but for ICMP: UDP, TCP, and the tunnels GRE and VXLAN.

use std::ops::RangeInclusive;

use fluxcap::proto::checksum::PseudoHeader;
use fluxcap::proto::{EtherType, Gre, Tcp, TcpFlags, TcpOption, Udp, Vxlan};

use super::{End, ILLEGAL, NONE, Parsed, Walk};
use crate::tshark_quirks::Quirk;

/// How long TCP options may be, that tshark reads.
const LENGTHS: [(u8, RangeInclusive<usize>); 13] = [
    (2, 4..=4),
    (3, 3..=3),
    (4, 2..=2),
    (5, 0..=0), // another for us, so wrong
    (6, 6..=6),
    (7, 6..=6),
    (8, 10..=10),
    (11, 6..=6),
    (12, 6..=6),
    (13, 6..=6),
    (19, 18..=18),
    (28, 4..=4),
    (29, 4..=40),
];

impl Walk {
    pub(super) fn udp(&mut self, addresses: PseudoHeader, bytes: &[u8]) -> Parsed {
        let (udp, payload) = Udp::parse(bytes)?;
        self.number("udp.srcport", udp.source_port());
        self.number("udp.dstport", udp.destination_port());
        self.number("udp.length", udp.length());
        self.number("udp.checksum", udp.checksum());
        let is_right = udp.verify_checksum(addresses, payload);
        match (udp.checksum(), addresses.is_ipv6()) {
            (0, false) => self.number("udp.checksum.status", NONE),
            (0, true) if !is_right => self.number("udp.checksum.status", ILLEGAL),
            _ => self.checked("udp.checksum.status", is_right),
        }
        let behind = &bytes[Udp::LEN..];
        if behind.len() > payload.len() && !payload.is_empty() && self.is_tshark(Quirk::UdpPayload)
        {
            self.bytes("udp.payload", behind);
        } else {
            self.bytes("udp.payload", payload);
        }
        let is_reply = udp.source_port() == Vxlan::PORT;
        if udp.destination_port() == Vxlan::PORT || is_reply && self.is_tshark(Quirk::VxlanSource) {
            return self.vxlan(payload);
        }
        self.data(payload);
        Ok(())
    }

    fn vxlan(&mut self, bytes: &[u8]) -> Parsed {
        let (vxlan, frame) = Vxlan::parse(bytes)?;
        self.number("vxlan.flags", u16::from_be_bytes([vxlan.flags(), bytes[1]]));
        self.number("vxlan.vni", vxlan.vni());
        self.ethernet(frame)
    }

    pub(super) fn tcp(&mut self, addresses: PseudoHeader, bytes: &[u8]) -> Parsed {
        let (tcp, data) = Tcp::parse(bytes)?;
        self.number("tcp.srcport", tcp.source_port());
        self.number("tcp.dstport", tcp.destination_port());
        self.number("tcp.seq", tcp.sequence_number());
        self.number("tcp.ack", tcp.acknowledgment_number());
        self.number("tcp.hdr_len", tcp.header_len() as u64);
        let reserved = bytes[12] & 15;
        if reserved != 0 && self.is_tshark(Quirk::TcpReserved) {
            self.number("tcp.flags", u16::from_be_bytes([reserved, tcp.flags().0]));
        } else {
            self.number("tcp.flags", tcp.flags().0);
        }
        self.number("tcp.window_size_value", tcp.window());
        self.number("tcp.checksum", tcp.checksum());
        self.checked("tcp.checksum.status", tcp.verify_checksum(addresses, data));
        self.number("tcp.urgent_pointer", tcp.urgent_pointer());
        self.bytes("tcp.options", tcp.options_bytes());
        if let Err(End::Fault(error)) = self.tcp_options(tcp) {
            self.ends_at(error);
        }
        let is_reset = tcp.flags().contains(TcpFlags::RST) && !data.is_empty();
        if !(is_reset && self.is_tshark(Quirk::TcpReset)) {
            self.bytes("tcp.payload", data);
            self.data(data);
        }
        Ok(())
    }

    fn tcp_options(&mut self, tcp: &Tcp) -> Parsed {
        let mut left = tcp.options_bytes().len();
        for option in tcp.options() {
            let option = option?;
            left -= option.wire_len();
            self.number("tcp.option_kind", option.kind());
            if !matches!(option, TcpOption::EndOfList | TcpOption::NoOperation) {
                self.number("tcp.option_len", option.wire_len() as u64);
            }
            match option {
                TcpOption::MaximumSegmentSize(size) => self.number("tcp.options.mss_val", size),
                TcpOption::WindowScale(shift) => self.number("tcp.options.wscale.shift", shift),
                TcpOption::Timestamps { value, echo } => {
                    self.number("tcp.options.timestamp.tsval", value);
                    self.number("tcp.options.timestamp.tsecr", echo);
                }
                TcpOption::Sack(blocks) => {
                    for block in blocks {
                        self.number("tcp.options.sack_le", block.left());
                        self.number("tcp.options.sack_re", block.right());
                    }
                }
                TcpOption::EndOfList
                    if left > 0
                        && tcp
                            .options_bytes()
                            .iter()
                            .rev()
                            .take(left)
                            .all(|&byte| byte == 0)
                        && self.is_tshark(Quirk::TcpPadding) =>
                {
                    for _ in 0..left {
                        self.number("tcp.option_kind", 0u8);
                    }
                }
                TcpOption::Other { kind: 30, data: [] } if self.goes_as_tshark => {
                    self.complain(Quirk::MultipathTcp);
                    break;
                }
                TcpOption::Other { kind, data } => {
                    let is_wrong = LENGTHS.iter().any(|(known, lengths)| {
                        *known == kind && !lengths.contains(&(data.len() + 2))
                    });
                    if is_wrong {
                        self.complain(Quirk::TcpOptionLength);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn gre(&mut self, bytes: &[u8]) -> Parsed {
        let (gre, payload) = Gre::parse(bytes)?;
        self.number("gre.flags.checksum", gre.checksum().is_some());
        self.number("gre.flags.key", gre.key().is_some());
        self.number("gre.flags.sequence_number", gre.sequence_number().is_some());
        self.number("gre.proto", gre.protocol_type().0);
        if let Some(checksum) = gre.checksum() {
            self.number("gre.checksum", checksum);
            self.checked("gre.checksum.status", gre.verify_checksum(payload));
        }
        if let Some(key) = gre.key() {
            self.number("gre.key", key);
        }
        if let Some(number) = gre.sequence_number() {
            self.number("gre.sequence_number", number);
        }
        match gre.protocol_type() {
            EtherType::ETHERNET => self.ethernet(payload),
            ether_type => self.network(ether_type, payload),
        }
    }
}
