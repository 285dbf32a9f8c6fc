//! Protocol headers read and changed in place.
//!
//! A *view* is a struct laid over the packet's own bytes: nothing is copied or allocated, and
//! no input makes it panic. Every protocol has the same shape:
//!
//! - The struct documents the fields in wire order with the RFC they come from, is `#[repr(C)]`
//!   and made of byte arrays and big-endian integers, so that any address is aligned for it. Its
//!   fields are private. `LEN` is the length in bytes of its fixed part.
//! - `parse(&[u8])` and `parse_mut(&mut [u8])` give the view and the payload after it, or a
//!   [`ParseError`]. They check structure (lengths, versions) and nothing more.
//! - Getters carry the field's present-day RFC name, setters add `set_`; values are in host byte
//!   order. A setter changes its own field only, never a checksum.
//! - Checksums are checked and written by explicit calls (`verify_checksum`, `fill_checksum`),
//!   since hardware may already have done it. What a checksum covers beyond the view is passed in.
//! - `Display` is a one-line summary for people, `Debug` shows every field.
//!
//! A header of variable length, such as [`Ipv4`] or [`Tcp`] with options, is a view that covers
//! the whole header: its options are part of the view, and the payload starts after them. Their
//! `options()` are read one by one; an error among them, however the lengths lie, is the last item.
//!
//! [`Headers::parse`] finds all headers of a frame in one pass, with the fields that most programs look at, and the packet
//! within a tunnel when asked for; [`FlowKey::of`] makes a flow of them.
//!
//! [`FrameBuilder`] writes whole frames: see [`build`]. [`summary`](fn@summary) describes one in a line, as tcpdump does.
//!
//! Besides the views, [`checksum::complete`] finishes checksums that a sender on the same machine
//! left to its network card, [`nat::Rewrite`] changes addresses and ports of a whole frame, and [`edit`]
//! puts headers in front of packets and takes them off, and does what routers do: a hop less, a smaller MSS.
//!
//! # Example
//!
//! Answering a ping inside the buffer it arrived in:
//!
//! ```
//! use fluxcap::proto::{EtherType, Ethernet, IcmpEcho, IcmpType, IpProtocol, Ipv4, ParseError};
//!
//! /// Turns an echo request into its reply; `false` if the frame is something else.
//! fn answer(frame: &mut [u8]) -> Result<bool, ParseError> {
//!     let (ethernet, packet) = Ethernet::parse_mut(frame)?;
//!     if ethernet.ether_type() != EtherType::IPV4 {
//!         return Ok(false);
//!     }
//!     let (ip, message) = Ipv4::parse_mut(packet)?;
//!     if ip.protocol() != IpProtocol::ICMP || ip.is_fragment() || !ip.verify_checksum() {
//!         return Ok(false);
//!     }
//!     let (echo, data) = IcmpEcho::parse_mut(message)?;
//!     if echo.icmp_type() != IcmpType::ECHO_REQUEST || !echo.verify_checksum(data) {
//!         return Ok(false);
//!     }
//!     ethernet.swap_addresses();
//!     ip.swap_addresses(); // the same words in another order: the checksum still holds
//!     echo.into_reply();
//!     Ok(true)
//! }
//!
//! let mut frame = [
//!     0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, // Ethernet
//!     0x45, 0x00, 0x00, 0x20, 0x1c, 0x46, 0x40, 0x00, 0x40, 0x01, // IPv4
//!     0x0a, 0x95, 10, 0, 0, 1, 10, 0, 0, 2, //
//!     0x08, 0x00, 0x06, 0xfa, 0x12, 0x34, 0x00, 0x01, // ICMP echo request
//!     b'p', b'i', b'n', b'g', //
//! ];
//! assert!(answer(&mut frame)?);
//!
//! let (ethernet, packet) = Ethernet::parse(&frame)?;
//! let (ip, message) = Ipv4::parse(packet)?;
//! let (echo, data) = IcmpEcho::parse(message)?;
//! assert_eq!(ethernet.to_string(), "Ethernet 02:00:00:00:00:02 > 02:00:00:00:00:01 IPv4");
//! assert_eq!(ip.to_string(), "IPv4 10.0.0.2 > 10.0.0.1 ICMP ttl 64 length 32");
//! assert_eq!(echo.to_string(), "ICMP echo reply id 0x1234 seq 1");
//! assert!(ip.verify_checksum() && echo.verify_checksum(data));
//! # Ok::<(), ParseError>(())
//! ```

#![forbid(unsafe_code)]

// What lives where, and how data flows. A file imports from lines above its own; no two import each other.
//
//   error, fields, tlv   what views share: errors, macros for fixed parts and fields, lists of options
//   checksum             the Internet checksum; checksum/simd sums many bytes
//   ethernet … vxlan     a view for each header, one protocol a file: fields, view, accessors, setters, display, tests
//   walk                 bytes → Link → Carried → IpPacket: the one walk over a frame, by offsets
//   headers, flow        bytes → walk → Headers → FlowKey: what programs look at, and which packets belong together
//   summary              bytes → walk and views → one line for people
//   checksum/frame, nat, edit   bytes → walk → views, which change the bytes in place
//   build                steps → bytes; the end completes lengths and checksums from the innermost layer outwards
//   samples              random frames for the tests of all these

pub mod build;
pub mod checksum;
pub mod edit;
pub mod nat;

mod arp;
mod error;
mod ethernet;
mod fields;
mod flow;
mod gre;
mod headers;
mod icmp;
mod icmpv6;
mod ip;
mod ipv4;
mod ipv6;
mod llc;
mod mpls;
mod ndp;
#[cfg(test)]
mod samples;
mod summary;
mod tcp;
mod tlv;
mod udp;
mod vxlan;
mod walk;

pub use arp::{Arp, ArpOperation};
pub use build::{BuildError, FrameBuilder};
pub use edit::Room;
pub use error::{Fault, ParseError};
pub use ethernet::{EtherType, Ethernet, MacAddr, ParseMacAddrError, Vlan, VlanTag};
pub use flow::FlowKey;
pub use gre::{Gre, GreFields};
pub use headers::{Headers, Parser, Tunnel};
pub use icmp::{Icmp, IcmpEcho, IcmpError, IcmpType};
pub use icmpv6::{Icmpv6, Icmpv6Echo, Icmpv6Error, Icmpv6Type};
pub use ip::{Authentication, IpProtocol};
pub use ipv4::{Ipv4, Ipv4Option, Ipv4Options, Ipv4Route, Ipv4Timestamps};
pub use ipv6::{
    Ipv6, Ipv6Extension, Ipv6Extensions, Ipv6Fragment, Ipv6FragmentHeader, Ipv6Option, Ipv6Options,
    Ipv6OptionsHeader, Ipv6Routing, UpperLayer,
};
pub use llc::{Llc, Snap};
pub use mpls::Mpls;
pub use ndp::{
    NdpOption, NdpOptions, NdpRedirect, NeighborAdvertisement, NeighborSolicitation,
    PrefixInformation, RouterAdvertisement, RouterSolicitation,
};
pub use summary::{Summary, summary};
pub use tcp::{SackBlock, Tcp, TcpFlags, TcpOption, TcpOptions};
pub use udp::Udp;
pub use vxlan::Vxlan;
