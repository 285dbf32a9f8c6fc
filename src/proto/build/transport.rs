//! Steps for UDP and TCP.

#![forbid(unsafe_code)]

use super::ip::copy;
use super::place::{Kind, Next, Step};
use super::{Failed, FrameBuilder, TcpSpec};
use crate::proto::{IpProtocol, TcpFlags, TcpOption};

impl FrameBuilder<'_> {
    /// A UDP header (RFC 768), behind either version of IP.
    #[inline(always)]
    pub fn udp(self, source_port: u16, destination_port: u16) -> Self {
        self.then_udp(source_port, destination_port, Kind::Udp)
    }

    /// A UDP header whose checksum is 0, none: right over IPv4; over IPv6 for tunnels alone (RFC 6935).
    #[inline(always)]
    pub fn udp_without_checksum(self, source_port: u16, destination_port: u16) -> Self {
        self.then_udp(source_port, destination_port, Kind::UdpWithoutChecksum)
    }

    #[inline(always)]
    fn then_udp(mut self, source_port: u16, destination_port: u16, kind: Kind) -> Self {
        if self.goes_on() {
            let outcome = self.put_udp(source_port, destination_port, kind);
            self.settle(outcome);
        }
        self
    }

    #[inline(always)]
    fn put_udp(
        &mut self,
        source_port: u16,
        destination_port: u16,
        kind: Kind,
    ) -> Result<(), Failed> {
        self.place(Step::Udp)?;
        self.open(kind)?;
        self.next = Next::Data;
        let checksum = match kind {
            Kind::Udp => self.checksum_of_addresses(IpProtocol::UDP),
            _ => [0; 2],
        };
        let ports = [source_port.to_be_bytes(), destination_port.to_be_bytes()];
        self.append("UDP", [ports.as_flattened(), &[0; 2], &checksum])
    }

    /// A TCP header (RFC 9293) with the largest window and all else 0, behind either version of IP.
    #[inline(always)]
    pub fn tcp(self, source_port: u16, destination_port: u16, flags: TcpFlags) -> Self {
        self.tcp_with(TcpSpec::new(source_port, destination_port, flags))
    }

    /// Like [`tcp`](Self::tcp), with all fields. Options come by a step of their own.
    ///
    /// More than the four reserved bits are an error.
    #[inline(always)]
    pub fn tcp_with(mut self, spec: TcpSpec) -> Self {
        if self.goes_on() {
            let outcome = self.put_tcp(spec);
            self.settle(outcome);
        }
        self
    }

    #[inline(always)]
    fn put_tcp(&mut self, spec: TcpSpec) -> Result<(), Failed> {
        self.check("TCP", "reserved bits", spec.reserved.into(), 15)?;
        self.place(Step::Tcp)?;
        self.open(Kind::Tcp)?;
        self.next = Next::Data;
        let parts = [
            &spec.source_port.to_be_bytes()[..],
            &spec.destination_port.to_be_bytes(),
            &spec.sequence_number.to_be_bytes(),
            &spec.acknowledgment_number.to_be_bytes(),
            &[0x50 | spec.reserved, spec.flags.0],
            &spec.window.to_be_bytes(),
            &self.checksum_of_addresses(IpProtocol::TCP),
            &spec.urgent_pointer.to_be_bytes(),
        ];
        self.append("TCP", parts)
    }

    /// What a checksum field holds until the end sums up the message: addresses and protocol.
    #[inline]
    pub(super) fn checksum_of_addresses(&self, protocol: IpProtocol) -> [u8; 2] {
        self.addresses.partial(protocol, 0).to_be_bytes()
    }

    /// The options of the TCP header just before: at most 40 bytes. They are filled up with zeros, which end them, to whole
    /// words.
    #[inline(always)]
    pub fn tcp_options(self, options: &[TcpOption<'_>]) -> Self {
        self.then(move |frame| {
            let len = TcpOption::total_len(options);
            frame.put_options("TCP options", Kind::Tcp, len, |room| {
                // It has just the length that they take.
                let written = TcpOption::write_all(options, room);
                debug_assert!(written);
            })
        })
    }

    /// Like [`tcp_options`](Self::tcp_options), of bytes.
    #[inline(always)]
    pub fn tcp_option_bytes(self, options: &[u8]) -> Self {
        self.then(move |frame| {
            frame.put_options("TCP options", Kind::Tcp, options.len(), |room| {
                copy(options, room);
            })
        })
    }
}
