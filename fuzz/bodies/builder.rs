//! Frames built from steps in any order: an error, or a frame of which all lengths and checksums are right.

use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};

use fluxcap::proto::build::{
    BuildError, FrameBuilder, IcmpMessage, Icmpv6Message, Ipv4Spec, Ipv6Spec, TcpSpec, VlanTag,
};
use fluxcap::proto::{
    EtherType, GreFields, Headers, IpProtocol, Ipv6Fragment, Ipv6Option, MacAddr, TcpFlags,
    TcpOption,
};

use super::Choices;
use super::mutators::checksums;

/// One step more, chosen by a byte.
fn step<'a>(builder: FrameBuilder<'a>, which: u8, choices: &mut Choices<'_>) -> FrameBuilder<'a> {
    let (mac, ip4) = (
        MacAddr(choices.bytes()),
        Ipv4Addr::from(choices.bytes::<4>()),
    );
    let ip6 = Ipv6Addr::from(choices.bytes::<16>());
    let word = choices.word();
    let [byte, other] = choices.bytes();
    let bytes = [byte; 44];
    let some = &bytes[..usize::from(other) % 45];
    match which % 32 {
        0 | 1 => builder.ethernet(mac, MacAddr::BROADCAST),
        2 => builder.vlan(word),
        3 => builder.vlan(VlanTag::service(word)),
        4 => builder.llc(byte, other, word),
        5 if byte & 1 == 0 => builder.snap_with([byte; 3], word),
        5 => builder.snap(),
        6 => builder.mpls_with(u32::from(word) << (byte % 8), other % 9, byte),
        7 => builder.arp_request(mac, ip4, ip4),
        8 | 9 => builder.ipv4(ip4, Ipv4Addr::LOCALHOST),
        10 => builder.ipv4_with(Ipv4Spec {
            ttl: byte,
            dscp: other,
            ecn: byte,
            identification: word,
            dont_fragment: byte & 1 == 0,
            more_fragments: byte & 6 == 0,
            fragment_offset: if other & 3 == 0 { word } else { 0 },
            ..Ipv4Spec::new(ip4, ip4)
        }),
        11 => builder.ipv4_option_bytes(some),
        12 | 13 => builder.ipv6(ip6, Ipv6Addr::LOCALHOST),
        14 => builder.ipv6_with(Ipv6Spec {
            hop_limit: byte,
            ..Ipv6Spec::new(ip6, ip6)
        }),
        15 if byte & 1 == 0 => builder.hop_by_hop(&[Ipv6Option::RouterAlert(word)]),
        15 => builder.hop_by_hop_bytes(some),
        16 if byte & 1 == 0 => builder.destination_options(&[Ipv6Option::Other {
            kind: byte,
            data: some,
        }]),
        16 => builder.destination_option_bytes(some),
        17 => builder.routing(byte, other, some),
        18 => builder.fragment(Ipv6Fragment {
            offset: word,
            more_fragments: byte & 1 == 0,
            identification: 7,
        }),
        19 => builder.authentication(word.into(), 1, some),
        20 | 21 => builder.udp(word, 4789),
        22 => builder.udp_without_checksum(word, 4789),
        23 | 24 => builder.tcp(word, 80, TcpFlags(byte)),
        25 => builder.tcp_with(TcpSpec {
            reserved: byte % 17,
            sequence_number: word.into(),
            ..TcpSpec::new(word, word, TcpFlags(other))
        }),
        26 => builder.tcp_options(&[
            TcpOption::MaximumSegmentSize(word),
            TcpOption::Other {
                kind: 254,
                data: some,
            },
        ]),
        27 => builder.tcp_option_bytes(some),
        28 if byte & 1 == 0 => builder.icmp(IcmpMessage::EchoRequest {
            identifier: word,
            sequence: word,
        }),
        28 => builder.icmp(IcmpMessage::FragmentationNeeded { mtu: word }),
        29 if byte & 1 == 0 => builder.icmpv6(Icmpv6Message::PacketTooBig { mtu: word.into() }),
        29 => builder.icmpv6(Icmpv6Message::EchoReply {
            identifier: word,
            sequence: word,
        }),
        30 => builder.gre_with(GreFields {
            checksum: byte & 1 == 0,
            key: (byte & 2 == 0).then_some(word.into()),
            sequence_number: (byte & 4 == 0).then_some(word.into()),
        }),
        _ => match byte % 4 {
            0 => builder.vxlan(u32::from(word) << (other % 16)),
            1 => builder.ether_type(EtherType(word)),
            2 => builder.protocol(IpProtocol(other)),
            _ => builder.padded(),
        },
    }
}

pub(crate) fn builder(data: &[u8]) {
    let mut choices = Choices(data);
    let steps = choices.byte() % 12;
    let room = usize::from(choices.word()) % 2048;
    let payload_len = usize::from(choices.word()) % 1024;
    let mut buffer = vec![0xee; room];
    let mut builder = FrameBuilder::new(&mut buffer);
    let mut whole = true;
    for number in 0..steps {
        let which = choices.byte();
        // The checksums are looked for behind Ethernet.
        whole &= number > 0 || matches!(which % 32, 0 | 1);
        // What takes the upper layer's checksum somewhere else, or leaves it to the caller.
        whole &= !matches!(which % 32, 10 | 11 | 17 | 18 | 22 | 31);
        builder = step(builder, which, &mut choices);
        assert!(builder.written() <= room);
    }
    let payload = vec![choices.byte(); payload_len];
    let result: Result<&mut [u8], BuildError> = builder.payload(&payload);
    match result {
        Ok(frame) => {
            assert!(frame.len() <= room);
            let headers = Headers::parse_partial(frame);
            black_box(format!("{headers:?}"));
            let checksums = checksums(frame);
            if whole {
                assert_ne!(checksums.header, Some(false));
                assert_ne!(checksums.message, Some(false));
            }
        }
        Err(error) => {
            black_box((error.step(), error.fault(), error.is_no_room()));
            assert!(!error.to_string().is_empty());
        }
    }
}
