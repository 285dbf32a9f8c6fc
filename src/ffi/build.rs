//! Building frames in C, from one plain struct.

use std::ffi::{c_int, c_void};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::array::{bytes, bytes_room, check_len, clear};
use super::callback::fluxcap_packet_ref;
use super::error::{count, quick};
use super::packet::{Editable, fluxcap_packet};
use super::sized::{self, Sized32};
use super::tunnel::fluxcap_vlan_tag;
use crate::error::{FluxError, Result};
use crate::proto::build::{
    BuildError, FrameBuilder, IcmpMessage, Icmpv6Message, Ipv4Spec, Ipv6Spec, TcpSpec,
};
use crate::proto::{ArpOperation, EtherType, IpProtocol, MacAddr, Room, TcpFlags};

/// UDP over IP.
pub const FLUXCAP_FRAME_UDP: u32 = 0;
/// TCP over IP.
pub const FLUXCAP_FRAME_TCP: u32 = 1;
/// An echo request or reply, of ICMP over IPv4 or ICMPv6 over IPv6.
pub const FLUXCAP_FRAME_ECHO: u32 = 2;
/// ARP for IPv4, without a payload.
pub const FLUXCAP_FRAME_ARP: u32 = 3;
/// IP with the payload that `protocol` says, such as a message that you built.
pub const FLUXCAP_FRAME_IP: u32 = 4;
/// Ethernet with the payload that `ether_type` says.
pub const FLUXCAP_FRAME_ETHERNET: u32 = 5;

/// Zeros behind the end, up to the 60 bytes that Ethernet asks for. Network cards mostly do that by
/// themselves.
pub const FLUXCAP_BUILD_PADDED: u32 = 0x01;
/// Routers may fragment the IPv4 packet.
pub const FLUXCAP_BUILD_MAY_FRAGMENT: u32 = 0x02;
/// The UDP checksum is 0, none: right over IPv4; over IPv6 for tunnels alone (RFC 6935).
pub const FLUXCAP_BUILD_NO_CHECKSUM: u32 = 0x04;
/// The echo message is a reply.
pub const FLUXCAP_BUILD_REPLY: u32 = 0x08;

/// A frame to build, in host byte order: Ethernet, up to two VLAN tags, and what `kind` says.
/// Lengths, types and checksums are filled in. Fields that the kind does not need are not read.
///
/// What it does not do: MPLS, tunnels, LLC, IP options and extension headers, fragments, ICMP other
/// than echo, urgent data. Put such things into the payload of FLUXCAP_FRAME_IP or
/// FLUXCAP_FRAME_ETHERNET, or see fluxcap_packet_gre_encap() and the other functions for tunnels.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_frame_spec {
    /// sizeof(struct fluxcap_frame_spec).
    pub struct_size: u32,
    /// FLUXCAP_FRAME_….
    pub kind: u32,
    /// FLUXCAP_BUILD_…, joined with |.
    pub flags: u32,
    /// 4 or 6; 0: 4.
    pub ip_version: u32,
    /// How many of `vlans` there are, 0 to 2.
    pub vlan_count: u32,
    /// IPv6: which packets belong to one flow, 20 bits; 0 for none.
    pub flow_label: u32,
    /// TCP: number of the first byte of data.
    pub sequence_number: u32,
    /// TCP: number of the next byte expected, with FLUXCAP_TCP_ACK.
    pub acknowledgment_number: u32,
    /// FLUXCAP_FRAME_ETHERNET: what the payload is, 0x0600 at least.
    pub ether_type: u16,
    /// IPv4: groups fragments; without meaning where routers must not make any.
    pub identification: u16,
    /// UDP and TCP: from.
    pub source_port: u16,
    /// UDP and TCP: to.
    pub destination_port: u16,
    /// TCP: how many bytes there is room for, before scaling. 0 says that there is none.
    pub window: u16,
    /// Echo: who asks.
    pub echo_identifier: u16,
    /// Echo: which question.
    pub echo_sequence: u16,
    /// ARP: 1 request, 2 reply; 0: 1.
    pub arp_operation: u16,
    /// The tags, the outer one first.
    pub vlans: [fluxcap_vlan_tag; 2],
    /// IP: how many hops the packet may take; 0: 64.
    pub hops: u8,
    /// IP: differentiated services codepoint, 6 bits.
    pub dscp: u8,
    /// IP: explicit congestion notification, 2 bits.
    pub ecn: u8,
    /// FLUXCAP_FRAME_IP: what the payload is.
    pub protocol: u8,
    /// TCP: FLUXCAP_TCP_…, joined with |.
    pub tcp_flags: u8,
    /// TCP: how many bytes of `tcp_options` there are, 0 to 40.
    pub tcp_options_len: u8,
    /// Ethernet, and the sender in ARP: from.
    pub source_mac: [u8; 6],
    /// Ethernet: to.
    pub destination_mac: [u8; 6],
    /// The target in ARP; zeros in a request.
    pub arp_target_mac: [u8; 6],
    /// IP, and the sender in ARP: from. Of version 4, the first four bytes.
    pub source_ip: [u8; 16],
    /// IP, and the target in ARP: to. Of version 4, the first four bytes.
    pub destination_ip: [u8; 16],
    /// TCP: the options as on the wire. They are filled up with zeros to whole words.
    pub tcp_options: [u8; 40],
}

const _: () = assert!(size_of::<fluxcap_frame_spec>() == 156);

// SAFETY: `repr(C)`, plain numbers without padding, the first a `u32`.
unsafe impl Sized32 for fluxcap_frame_spec {
    const NAME: &'static str = "fluxcap_frame_spec";
}

/// Longer than all headers together, with padding, and as many TCP options as a spec can ask for in
/// vain.
const LONGEST_HEADERS: usize = 512;

/// Refuses a field whose value means nothing.
fn expect(is: bool, field: &str, value: u32, fix: &str) -> Result<()> {
    if is {
        return Ok(());
    }
    Err(FluxError::invalid(
        format_args!("{field} of {value:#x}"),
        "there is no such thing in this version",
        fix,
    ))
}

impl fluxcap_frame_spec {
    fn check(&self) -> Result<()> {
        let kinds = "set kind to one of FLUXCAP_FRAME_…";
        expect(
            self.kind <= FLUXCAP_FRAME_ETHERNET,
            "kind",
            self.kind,
            kinds,
        )?;
        let is_known = self.flags < FLUXCAP_BUILD_REPLY * 2;
        let join = "join FLUXCAP_BUILD_… with |";
        expect(is_known, "flags", self.flags, join)?;
        let is_version = matches!(self.ip_version, 0 | 4 | 6);
        let versions = "set ip_version to 4 or 6";
        expect(is_version, "ip_version", self.ip_version, versions)?;
        let two = "a frame has two tags at most";
        expect(self.vlan_count <= 2, "vlan_count", self.vlan_count, two)
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// All headers.
    fn headers<'a>(&self, frame: FrameBuilder<'a>) -> FrameBuilder<'a> {
        let frame = match self.has(FLUXCAP_BUILD_PADDED) {
            true => frame.padded(),
            false => frame,
        };
        let frame = frame.ethernet(MacAddr(self.source_mac), MacAddr(self.destination_mac));
        let tags = self.vlans.iter().take(self.vlan_count as usize);
        let frame = tags.fold(frame, |frame, &tag| frame.vlan(tag));
        match self.kind {
            FLUXCAP_FRAME_ARP => self.arp(frame),
            FLUXCAP_FRAME_ETHERNET => frame.ether_type(EtherType(self.ether_type)),
            _ => self.message(self.ip(frame)),
        }
    }

    fn arp<'a>(&self, frame: FrameBuilder<'a>) -> FrameBuilder<'a> {
        let operation = match self.arp_operation {
            0 => ArpOperation::REQUEST,
            other => ArpOperation(other),
        };
        let sender = (MacAddr(self.source_mac), ipv4(self.source_ip));
        let target = (MacAddr(self.arp_target_mac), ipv4(self.destination_ip));
        frame.arp(operation, sender, target)
    }

    fn ip<'a>(&self, frame: FrameBuilder<'a>) -> FrameBuilder<'a> {
        let hops = if self.hops == 0 { 64 } else { self.hops };
        if self.ip_version == 6 {
            return frame.ipv6_with(Ipv6Spec {
                hop_limit: hops,
                dscp: self.dscp,
                ecn: self.ecn,
                flow_label: self.flow_label,
                ..Ipv6Spec::new(
                    Ipv6Addr::from(self.source_ip),
                    Ipv6Addr::from(self.destination_ip),
                )
            });
        }
        frame.ipv4_with(Ipv4Spec {
            ttl: hops,
            dscp: self.dscp,
            ecn: self.ecn,
            identification: self.identification,
            dont_fragment: !self.has(FLUXCAP_BUILD_MAY_FRAGMENT),
            ..Ipv4Spec::new(ipv4(self.source_ip), ipv4(self.destination_ip))
        })
    }

    /// What is behind IP.
    fn message<'a>(&self, frame: FrameBuilder<'a>) -> FrameBuilder<'a> {
        let (source, destination) = (self.source_port, self.destination_port);
        let (identifier, sequence) = (self.echo_identifier, self.echo_sequence);
        let is_reply = self.has(FLUXCAP_BUILD_REPLY);
        match self.kind {
            FLUXCAP_FRAME_TCP => {
                let spec = TcpSpec {
                    sequence_number: self.sequence_number,
                    acknowledgment_number: self.acknowledgment_number,
                    window: self.window,
                    ..TcpSpec::new(source, destination, TcpFlags(self.tcp_flags))
                };
                let frame = frame.tcp_with(spec);
                // The builder refuses more than there are.
                let options = self.tcp_options.get(..self.tcp_options_len.into());
                frame.tcp_option_bytes(options.unwrap_or(&[0; 255]))
            }
            FLUXCAP_FRAME_ECHO if self.ip_version == 6 => frame.icmpv6(match is_reply {
                true => Icmpv6Message::EchoReply {
                    identifier,
                    sequence,
                },
                false => Icmpv6Message::EchoRequest {
                    identifier,
                    sequence,
                },
            }),
            FLUXCAP_FRAME_ECHO => frame.icmp(match is_reply {
                true => IcmpMessage::EchoReply {
                    identifier,
                    sequence,
                },
                false => IcmpMessage::EchoRequest {
                    identifier,
                    sequence,
                },
            }),
            FLUXCAP_FRAME_IP => frame.protocol(IpProtocol(self.protocol)),
            _ if self.has(FLUXCAP_BUILD_NO_CHECKSUM) => {
                frame.udp_without_checksum(source, destination)
            }
            _ => frame.udp(source, destination),
        }
    }

    // One function, of which a test sees that nothing in it can panic.
    #[inline(never)]
    fn build<'a>(
        &self,
        frame: FrameBuilder<'a>,
        payload: &[u8],
    ) -> Result<&'a mut [u8], BuildError> {
        let frame = self.headers(frame);
        if payload.is_empty() {
            return frame.finish();
        }
        frame.payload(payload)
    }
}

fn ipv4([a, b, c, d, ..]: [u8; 16]) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

/// The payload, which must not lie in the room that is written.
///
/// # Safety
///
/// `payload` is null or points to `len` readable bytes.
unsafe fn apart<'a>(payload: *const c_void, len: usize, room: (usize, usize)) -> Result<&'a [u8]> {
    check_len("payload", len)?;
    let (start, end) = room;
    let first = payload as usize;
    if len > 0 && first < end && first.saturating_add(len) > start {
        return Err(FluxError::invalid(
            "argument payload",
            "it lies where the frame is built",
            "copy it to another place first",
        ));
    }
    // SAFETY: as the caller promises.
    unsafe { bytes("payload", payload, len) }
}

/// Builds a frame with a payload into the `size` bytes at `buffer`.
///
/// NULL is no payload. It must not lie within the buffer.
///
/// Returns the length of the frame.
///
/// Errors, after which the buffer holds anything:
/// - -EMSGSIZE: the frame does not fit.
/// - -EINVAL: a spec that cannot be; the payload lies in the buffer.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_frame_build(
    spec: *const fluxcap_frame_spec,
    payload: *const c_void,
    payload_len: usize,
    buffer: *mut c_void,
    size: usize,
) -> c_int {
    quick(|| {
        let room = (buffer as usize, (buffer as usize).saturating_add(size));
        // SAFETY: as the header asks; they lie apart.
        let (spec, payload, buffer) = unsafe {
            (
                sized::read("spec", spec)?,
                apart(payload, payload_len, room)?,
                bytes_room("buffer", buffer, size)?,
            )
        };
        spec.check()?;
        // No frame is longer.
        let most = size.min(payload_len.saturating_add(LONGEST_HEADERS));
        let buffer = clear(&mut buffer[..most]);
        let frame = spec.build(FrameBuilder::new(buffer), payload)?;
        count(frame.len() as u32)
    })
}

/// # Safety
///
/// As [`Editable::change`]; `spec` is null or readable, and `payload` null or `payload_len`
/// readable bytes.
unsafe fn build_into<P: Editable>(
    packet: *mut P,
    spec: *const fluxcap_frame_spec,
    payload: *const c_void,
    payload_len: usize,
) -> c_int {
    quick(|| {
        // SAFETY: as the caller promises.
        let spec = unsafe { sized::read("spec", spec)? };
        spec.check()?;
        let build = |packet: &mut P::Packet<'_>| {
            let start = packet.bytes().as_ptr() as usize;
            let end = start + packet.bytes().len() + packet.tailroom();
            // SAFETY: as the caller promises.
            let payload = unsafe { apart(payload, payload_len, (start, end))? };
            crate::packet::build_into(packet, |frame| spec.build(frame, payload))?;
            count(packet.bytes().len() as u32)
        };
        // SAFETY: as the caller promises.
        unsafe { P::change(packet, build) }
    })
}

/// Replaces the content of a packet by a frame with a payload.
///
/// The frame begins where the packet does, so that the free bytes in front stay free. NULL is no
/// payload. It must not lie in the packet's own frame. Copies of the struct are stale then, also
/// after an error.
///
/// Returns the length of the frame.
///
/// Errors, after which the packet is empty, or as it was:
/// - -EMSGSIZE: the frame does not fit.
/// - -EINVAL: a spec that cannot be; the payload lies in the packet's frame; the packet has moved
///   away, or is a stale copy.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_build(
    packet: *mut fluxcap_packet,
    spec: *const fluxcap_frame_spec,
    payload: *const c_void,
    payload_len: usize,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { build_into(packet, spec, payload, payload_len) }
}

/// As fluxcap_packet_build(), of a packet of a callback: an answer in its place.
///
/// Set its verdict to send it.
///
/// Returns the length of the frame.
///
/// Errors:
/// - Those of fluxcap_packet_build(), and of fluxcap_packet_ref_adjust_head().
///
/// Threads: the one that the callback runs on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_packet_ref_build(
    packet: *mut fluxcap_packet_ref,
    spec: *const fluxcap_frame_spec,
    payload: *const c_void,
    payload_len: usize,
) -> c_int {
    // SAFETY: as the header asks.
    unsafe { build_into(packet, spec, payload, payload_len) }
}
