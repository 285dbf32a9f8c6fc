//! Steps for UDP and TCP.

#![forbid(unsafe_code)]

use super::ip::copy;
use super::place::{Kind, Next, Step};
use super::{FrameBuilder, TcpSpec};
use crate::proto::{TcpFlags, TcpOption};

impl FrameBuilder<'_> {
    /// A UDP header (RFC 768), behind either version of IP.
    #[inline]
    pub fn udp(self, source_port: u16, destination_port: u16) -> Self {
        self.put_udp(source_port, destination_port, Kind::Udp)
    }

    /// A UDP header whose checksum is 0, none: right over IPv4; over IPv6 for tunnels alone (RFC 6935).
    #[inline]
    pub fn udp_without_checksum(self, source_port: u16, destination_port: u16) -> Self {
        self.put_udp(source_port, destination_port, Kind::UdpWithoutChecksum)
    }

    #[inline]
    fn put_udp(self, source_port: u16, destination_port: u16, kind: Kind) -> Self {
        self.then(|frame| {
            frame.place(Step::Udp)?;
            frame.open(kind)?;
            frame.next = Next::Data;
            let ports = [source_port.to_be_bytes(), destination_port.to_be_bytes()];
            frame.append("UDP", [ports.as_flattened(), &[0; 4]])
        })
    }

    /// A TCP header (RFC 9293) with the largest window and all else 0, behind either version of IP.
    #[inline]
    pub fn tcp(self, source_port: u16, destination_port: u16, flags: TcpFlags) -> Self {
        self.tcp_with(TcpSpec::new(source_port, destination_port, flags))
    }

    /// Like [`tcp`](Self::tcp), with all fields. Options come by a step of their own.
    #[inline]
    pub fn tcp_with(self, spec: TcpSpec) -> Self {
        self.then(|frame| {
            frame.place(Step::Tcp)?;
            frame.open(Kind::Tcp)?;
            frame.next = Next::Data;
            let parts = [
                &spec.source_port.to_be_bytes()[..],
                &spec.destination_port.to_be_bytes(),
                &spec.sequence_number.to_be_bytes(),
                &spec.acknowledgment_number.to_be_bytes(),
                &[0x50, spec.flags.0],
                &spec.window.to_be_bytes(),
                &[0; 2],
                &spec.urgent_pointer.to_be_bytes(),
            ];
            frame.append("TCP", parts)
        })
    }

    /// The options of the TCP header just before: at most 40 bytes. They are filled up with zeros, which end them, to whole
    /// words.
    #[inline]
    pub fn tcp_options(self, options: &[TcpOption<'_>]) -> Self {
        self.then(|frame| {
            let len = TcpOption::total_len(options);
            frame.put_options("TCP options", Kind::Tcp, len, |room| {
                // It has just the length that they take.
                let written = TcpOption::write_all(options, room);
                debug_assert!(written);
            })
        })
    }

    /// Like [`tcp_options`](Self::tcp_options), of bytes.
    #[inline]
    pub fn tcp_option_bytes(self, options: &[u8]) -> Self {
        self.then(|frame| {
            frame.put_options("TCP options", Kind::Tcp, options.len(), |room| {
                copy(options, room);
            })
        })
    }
}
