#![forbid(unsafe_code)]

use super::*;
use crate::proto::Icmpv6;
use crate::proto::checksum::PseudoHeader;

const HOST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const NEIGHBOR: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 3);
const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const SERVER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

const RS: [u8; 16] = [
    0x85, 0x00, 0x7a, 0x2c, 0x00, 0x00, 0x00, 0x00, // router solicitation
    0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, // source address
];

const RA: [u8; 64] = [
    0x86, 0x00, 0xb1, 0xfe, 0x40, 0xc0, 0x07, 0x08, // router advertisement, 64 hops, 1800 s
    0x00, 0x00, 0x75, 0x30, 0x00, 0x00, 0x03, 0xe8, // reachable 30 s, solicitations 1 s apart
    0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, // source address
    0x05, 0x01, 0x00, 0x00, 0x00, 0x00, 0x05, 0xdc, // MTU 1500
    0x03, 0x04, 0x40, 0xc0, 0x00, 0x01, 0x51, 0x80, // prefix of 64 bits, valid a day
    0x00, 0x00, 0x38, 0x40, 0x00, 0x00, 0x00, 0x00, // preferred four hours
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, //
];

const NS: [u8; 32] = [
    0x87, 0x00, 0x7a, 0x97, 0x00, 0x00, 0x00, 0x00, // neighbor solicitation
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, //
    0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, // source address
];

const NA: [u8; 32] = [
    0x88, 0x00, 0x98, 0x19, 0xe0, 0x00, 0x00, 0x00, // neighbor advertisement, all flags
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, //
    0x02, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, // target address
];

const REDIRECT: [u8; 96] = [
    0x89, 0x00, 0x1f, 0x2a, 0x00, 0x00, 0x00, 0x00, // redirect
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // target
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // destination
    0x02, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, // target address
    0x04, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // redirected header
    0x60, 0x00, 0x00, 0x00, 0x00, 0x00, 0x3b, 0x40, // IPv6 without payload
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, //
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, //
];

const HOST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const NEIGHBOR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

#[test]
fn a_router_is_asked_for() {
    let (message, payload) = RouterSolicitation::parse(&RS).unwrap();
    assert_eq!(RouterSolicitation::LEN, 8);
    assert_eq!(message.icmp_type(), Icmpv6Type::ROUTER_SOLICITATION);
    assert_eq!((message.code(), message.checksum()), (0, 0x7a2c));
    assert!(message.verify_checksum(PseudoHeader::ipv6(HOST, ALL_ROUTERS), payload));
    let source = NdpOption::SourceLinkLayerAddress(HOST_MAC);
    assert!(message.options(payload).eq([Ok(source)]));
    assert_eq!(message.to_string(), "ICMPv6 router solicitation");
}

#[test]
fn a_router_advertises_itself_and_its_link() {
    let (message, payload) = RouterAdvertisement::parse(&RA).unwrap();
    assert_eq!(RouterAdvertisement::LEN, 16);
    assert_eq!((message.hop_limit(), message.flags()), (64, 0xc0));
    assert!(message.is_managed() && message.has_other_configuration());
    assert_eq!(message.router_lifetime(), 1800);
    assert_eq!(message.reachable_time(), 30_000);
    assert_eq!(message.retrans_timer(), 1000);
    assert!(message.verify_checksum(PseudoHeader::ipv6(NEIGHBOR, ALL_NODES), payload));
    let network = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);
    let flags = PrefixInformation::ON_LINK | PrefixInformation::AUTONOMOUS;
    let prefix = PrefixInformation::new(network, 64, flags, (86400, 14400));
    assert_eq!((prefix.prefix(), prefix.prefix_length()), (network, 64));
    assert_eq!(prefix.flags(), 0xc0);
    assert_eq!(prefix.valid_lifetime(), 86400);
    assert_eq!(prefix.preferred_lifetime(), 14400);
    let expected = [
        NdpOption::SourceLinkLayerAddress(NEIGHBOR_MAC),
        NdpOption::Mtu(1500),
        NdpOption::PrefixInformation(&prefix),
    ];
    assert!(message.options(payload).eq(expected.map(Ok)));
    let text: Vec<_> = expected.iter().map(ToString::to_string).collect();
    assert_eq!(
        text.join(", "),
        "source address 02:00:00:00:00:02, MTU 1500, prefix 2001:db8::/64"
    );
    assert_eq!(
        message.to_string(),
        "ICMPv6 router advertisement hops 64 lifetime 1800"
    );
}

#[test]
fn a_neighbor_is_asked_for_and_answers() {
    let (question, payload) = NeighborSolicitation::parse(&NS).unwrap();
    assert_eq!(NeighborSolicitation::LEN, 24);
    assert_eq!(question.target(), NEIGHBOR);
    let group = "ff02::1:ff00:2".parse().unwrap();
    assert!(question.verify_checksum(PseudoHeader::ipv6(HOST, group), payload));
    let source = NdpOption::SourceLinkLayerAddress(HOST_MAC);
    assert!(question.options(payload).eq([Ok(source)]));
    let text = "ICMPv6 neighbor solicitation for fe80::2";
    assert_eq!(question.to_string(), text);

    let (answer, payload) = NeighborAdvertisement::parse(&NA).unwrap();
    assert_eq!(NeighborAdvertisement::LEN, 24);
    assert_eq!(answer.target(), NEIGHBOR);
    let all = NeighborAdvertisement::ROUTER
        | NeighborAdvertisement::SOLICITED
        | NeighborAdvertisement::OVERRIDE;
    assert_eq!(answer.flags(), all);
    assert!(answer.verify_checksum(PseudoHeader::ipv6(NEIGHBOR, HOST), payload));
    let target = NdpOption::TargetLinkLayerAddress(NEIGHBOR_MAC);
    assert!(answer.options(payload).eq([Ok(target)]));
    let text = "ICMPv6 neighbor advertisement of fe80::2";
    assert_eq!(answer.to_string(), text);
}

#[test]
fn a_router_tells_of_a_better_one() {
    let (message, payload) = NdpRedirect::parse(&REDIRECT).unwrap();
    assert_eq!(NdpRedirect::LEN, 40);
    assert_eq!(
        (message.target(), message.destination()),
        (NEIGHBOR, SERVER)
    );
    assert!(message.verify_checksum(PseudoHeader::ipv6(ROUTER, GLOBAL), payload));
    let expected = [
        NdpOption::TargetLinkLayerAddress(NEIGHBOR_MAC),
        NdpOption::RedirectedHeader(&REDIRECT[56..]),
    ];
    assert!(message.options(payload).eq(expected.map(Ok)));
    assert_eq!(expected[0].to_string(), "target address 02:00:00:00:00:02");
    assert_eq!(expected[1].to_string(), "redirected length 40");
    assert_eq!(
        message.to_string(),
        "ICMPv6 redirect of 2001:db8::2 to fe80::2"
    );
}

/// Cut short anywhere, of another type, or with a code: refused as such by both ways to parse.
macro_rules! refuses {
    ($View:ident, $name:literal, $sample:expr) => {
        for available in 0..$View::LEN {
            let mut bytes = $sample;
            let place = ($name, "header", 0);
            let error = ParseError::truncated(place, $View::LEN, available);
            assert_eq!($View::parse(&bytes[..available]), Err(error));
            assert_eq!($View::parse_mut(&mut bytes[..available]), Err(error));
        }
        for number in 0..=u8::MAX {
            let mut bytes = $sample;
            if bytes[0] != number {
                bytes[0] = number;
                let error = ParseError::malformed(($name, "type", 0), number.into());
                assert_eq!($View::parse(&bytes), Err(error));
                assert_eq!($View::parse_mut(&mut bytes), Err(error));
            }
            let mut bytes = $sample;
            if number > 0 {
                bytes[1] = number;
                let error = ParseError::malformed(($name, "code", 1), number.into());
                assert_eq!($View::parse(&bytes), Err(error));
                assert_eq!($View::parse_mut(&mut bytes), Err(error));
            }
        }
    };
}

#[test]
fn truncated_and_other_messages_are_refused_by_field() {
    refuses!(RouterSolicitation, "ICMPv6 router solicitation", RS);
    refuses!(RouterAdvertisement, "ICMPv6 router advertisement", RA);
    refuses!(NeighborSolicitation, "ICMPv6 neighbor solicitation", NS);
    refuses!(NeighborAdvertisement, "ICMPv6 neighbor advertisement", NA);
    refuses!(NdpRedirect, "ICMPv6 redirect", REDIRECT);
}

/// Zeros of which the type alone is known, and the options.
fn blank<const LEN: usize>(wanted: [u8; LEN], options: usize) -> [u8; LEN] {
    let mut bytes = wanted;
    bytes[..options].fill(0);
    let (icmp, _) = Icmpv6::parse_mut(&mut bytes).unwrap();
    icmp.set_icmp_type(Icmpv6Type(wanted[0]));
    bytes
}

#[test]
fn built_messages_are_those_on_the_wire() {
    let mut bytes = blank(RS, 8);
    let (message, payload) = RouterSolicitation::parse_mut(&mut bytes).unwrap();
    message.set_checksum(9);
    message.fill_checksum(PseudoHeader::ipv6(HOST, ALL_ROUTERS), payload);
    assert_eq!(bytes, RS);

    let mut bytes = blank(RA, 16);
    let (message, payload) = RouterAdvertisement::parse_mut(&mut bytes).unwrap();
    message.set_hop_limit(64);
    message.set_flags(0xc0);
    message.set_router_lifetime(1800);
    message.set_reachable_time(30_000);
    message.set_retrans_timer(1000);
    message.fill_checksum(PseudoHeader::ipv6(NEIGHBOR, ALL_NODES), payload);
    assert_eq!(bytes, RA);

    let mut bytes = blank(NS, 24);
    let (message, payload) = NeighborSolicitation::parse_mut(&mut bytes).unwrap();
    message.set_target(NEIGHBOR);
    let group = "ff02::1:ff00:2".parse().unwrap();
    message.fill_checksum(PseudoHeader::ipv6(HOST, group), payload);
    assert_eq!(bytes, NS);

    let mut bytes = blank(NA, 24);
    let (message, payload) = NeighborAdvertisement::parse_mut(&mut bytes).unwrap();
    message.set_flags(0xe0);
    message.set_target(NEIGHBOR);
    message.fill_checksum(PseudoHeader::ipv6(NEIGHBOR, HOST), payload);
    assert_eq!(bytes, NA);

    let mut bytes = blank(REDIRECT, 40);
    let (message, payload) = NdpRedirect::parse_mut(&mut bytes).unwrap();
    message.set_target(NEIGHBOR);
    message.set_destination(SERVER);
    message.fill_checksum(PseudoHeader::ipv6(ROUTER, GLOBAL), payload);
    assert_eq!(bytes, REDIRECT);
}

mod options {
    use super::super::*;
    use crate::proto::samples::Random;

    /// As they stand behind a neighbor solicitation.
    fn options(bytes: &[u8]) -> NdpOptions<'_> {
        NdpOptions::new(24, bytes)
    }

    #[test]
    fn a_message_without_options_has_none() {
        assert_eq!(options(&[]).next(), None);
    }

    #[test]
    fn a_length_of_zero_ends_the_options() {
        for kind in 0..=u8::MAX {
            let bytes = [5, 1, 0, 0, 0, 0, 5, 220, kind, 0, 1, 1, 1, 1, 1, 1];
            let error = ParseError::malformed(("NDP", "option length", 33), 0);
            assert!(options(&bytes).eq([Ok(NdpOption::Mtu(1500)), Err(error)]));
        }
    }

    #[test]
    fn an_option_that_ends_behind_the_message_is_named_and_the_last() {
        let bytes = [
            5, 1, 0, 0, 0, 0, 5, 220, 77, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
        ];
        for available in 9..bytes.len() {
            let needed = if available < 10 { 34 } else { 48 };
            let place = ("NDP", "option length", 33);
            let error = ParseError::truncated(place, needed, 24 + available);
            let expected = [Ok(NdpOption::Mtu(1500)), Err(error)];
            assert!(options(&bytes[..available]).eq(expected), "{available}");
        }
        let last = NdpOption::Other {
            kind: 77,
            data: &bytes[10..],
        };
        assert!(options(&bytes).eq([Ok(NdpOption::Mtu(1500)), Ok(last)]));
        assert_eq!(last.to_string(), "type 77 length 16");
    }

    #[test]
    fn a_length_that_its_type_cannot_have_is_refused() {
        for (kind, right) in [(PREFIX_INFORMATION, 4), (MTU, 1)] {
            for units in 1..=255 {
                let mut bytes = [0; MAX_OPTION_LEN];
                bytes[..2].copy_from_slice(&[kind, units]);
                let first = options(&bytes).next().unwrap();
                if units == right {
                    assert_eq!(first.unwrap().kind(), kind);
                } else {
                    let error = ParseError::malformed(("NDP", "option length", 25), units.into());
                    assert_eq!(first, Err(error));
                }
            }
        }
    }

    #[test]
    fn addresses_of_other_links_are_given_as_they_stand() {
        let bytes = [1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0];
        let data = &bytes[2..];
        let expected = NdpOption::Other { kind: 1, data };
        assert!(options(&bytes).eq([Ok(expected)]));
    }

    #[test]
    fn any_bytes_give_options_that_are_written_as_they_stood() {
        let mut random = Random(7);
        for _ in 0..20_000 {
            let len = random.below(120);
            let mut bytes = random.bytes(len);
            for byte in &mut bytes {
                // Small numbers are types and lengths.
                if random.below(3) > 0 {
                    *byte %= 6;
                }
            }
            let all: Vec<_> = options(&bytes).collect();
            let good: Vec<_> = all.iter().copied().map_while(Result::ok).collect();
            assert!(good.len() + 1 >= all.len(), "nothing comes after an error");
            let used = NdpOption::total_len(&good);
            let mut written = vec![0xee; used];
            assert!(NdpOption::write_all(&good, &mut written));
            // The same but for reserved bytes, which are zero when written.
            assert!(options(&written).eq(good.into_iter().map(Ok)));
        }
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let mtu = NdpOption::Mtu(1500);
        for room in [0, 7, 9, 16] {
            let mut bytes = vec![0xee; room];
            assert!(!NdpOption::write_all(&[mtu], &mut bytes));
            assert_eq!(bytes, vec![0xee; room]);
        }
        let longest = NdpOption::RedirectedHeader(&[7; MAX_OPTION_LEN - 8]);
        assert!(NdpOption::write_all(&[longest], &mut [0; MAX_OPTION_LEN]));
        let longer = NdpOption::RedirectedHeader(&[7; MAX_OPTION_LEN - 7]);
        assert!(!NdpOption::write_all(
            &[longer],
            &mut [0; MAX_OPTION_LEN + 8]
        ));
    }

    #[test]
    fn a_redirected_packet_of_any_length_is_padded() {
        let mut bytes = [0xee; 16];
        assert!(NdpOption::write_all(
            &[NdpOption::RedirectedHeader(&[1, 2, 3])],
            &mut bytes
        ));
        assert_eq!(bytes, [4, 2, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0]);
    }
}
