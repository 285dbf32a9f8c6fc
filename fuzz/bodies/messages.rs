//! ICMP, ICMPv6 and neighbor discovery.

use std::hint::black_box;

use fluxcap::proto::{
    Icmp, IcmpError, IcmpType, Icmpv6, Icmpv6Echo, Icmpv6Error, Icmpv6Type, NdpOption, NdpOptions,
    NdpRedirect, NeighborAdvertisement, NeighborSolicitation, RouterAdvertisement,
    RouterSolicitation,
};

use super::views::{addresses, check_error, parse, read, read_options};
use super::{VALUES, split};

pub(crate) fn icmp_error(data: &[u8]) {
    let (mut values, packet) = split(data, VALUES);
    if let Some((view, payload)) = parse!(Icmp, packet) {
        read!(view: icmp_type, code, checksum);
        black_box(view.verify_checksum(payload));
        let mut copy = packet.to_vec();
        let (view, payload) = Icmp::parse_mut(&mut copy).unwrap();
        view.set_icmp_type(IcmpType(values.byte()));
        view.set_code(values.byte());
        view.set_checksum(values.word());
        view.fill_checksum(payload);
        assert!(view.verify_checksum(payload));
    }
    let Some((view, payload)) = parse!(IcmpError, packet) else {
        return;
    };
    read!(view: icmp_type, code, checksum, next_hop_mtu, gateway, pointer);
    let quoted = view.quoted(payload);
    assert_eq!(quoted, &payload[..quoted.len()]);
    let mut copy = packet.to_vec();
    let (view, payload) = IcmpError::parse_mut(&mut copy).unwrap();
    view.set_code(values.byte());
    view.set_next_hop_mtu(values.word());
    view.set_gateway(values.bytes::<4>().into());
    view.set_pointer(values.byte());
    read!(view: icmp_type, code, checksum, next_hop_mtu, gateway, pointer);
    view.fill_checksum(payload);
    assert!(view.verify_checksum(payload));
    assert!(IcmpError::parse(&copy).is_ok(), "a setter broke it");
}

pub(crate) fn icmpv6(data: &[u8]) {
    let (mut values, packet) = split(data, VALUES);
    let addresses = addresses(&mut values);
    if let Some((view, payload)) = parse!(Icmpv6, packet) {
        read!(view: icmp_type, code, checksum);
        black_box(view.verify_checksum(addresses, payload));
        let mut copy = packet.to_vec();
        let (view, payload) = Icmpv6::parse_mut(&mut copy).unwrap();
        view.set_icmp_type(Icmpv6Type(values.byte()));
        view.set_code(values.byte());
        view.set_checksum(values.word());
        view.fill_checksum(addresses, payload);
        assert!(view.verify_checksum(addresses, payload));
    }
    if let Some((view, payload)) = parse!(Icmpv6Echo, packet) {
        read!(view: icmp_type, code, checksum, identifier, sequence);
        let was_right = view.verify_checksum(addresses, payload);
        let mut copy = packet.to_vec();
        let (view, payload) = Icmpv6Echo::parse_mut(&mut copy).unwrap();
        if view.icmp_type() == Icmpv6Type::ECHO_REQUEST {
            view.into_reply();
            assert!(!was_right || view.verify_checksum(addresses, payload));
        }
        view.set_identifier(values.word());
        view.set_sequence(values.word());
        view.fill_checksum(addresses, payload);
        assert!(view.verify_checksum(addresses, payload));
        assert!(Icmpv6Echo::parse(&copy).is_ok(), "a setter broke it");
    }
    if let Some((view, payload)) = parse!(Icmpv6Error, packet) {
        read!(view: icmp_type, code, checksum, mtu, pointer);
        let quoted = view.quoted(payload);
        assert_eq!(quoted, &payload[..quoted.len()]);
        let mut copy = packet.to_vec();
        let (view, payload) = Icmpv6Error::parse_mut(&mut copy).unwrap();
        view.set_code(values.byte());
        view.set_mtu(values.double_word());
        view.set_pointer(values.double_word());
        read!(view: icmp_type, code, checksum, mtu, pointer);
        view.fill_checksum(addresses, payload);
        assert!(view.verify_checksum(addresses, payload));
        assert!(Icmpv6Error::parse(&copy).is_ok(), "a setter broke it");
    }
}

pub(crate) fn ndp(data: &[u8]) {
    let (mut values, packet) = split(data, VALUES);
    let addresses = addresses(&mut values);
    macro_rules! message {
        ($view:ident: $($getter:ident),*) => {
            if let Some((view, payload)) = parse!($view, packet) {
                read!(view: icmp_type, code, checksum $(, $getter)*);
                read_options(view.options(payload), $view::LEN);
                rewrite(view.options(payload), payload);
                let mut copy = packet.to_vec();
                let (view, payload) = $view::parse_mut(&mut copy).unwrap();
                view.set_checksum(values.word());
                view.fill_checksum(addresses, payload);
                assert!(view.verify_checksum(addresses, payload));
            }
        };
    }
    message!(RouterSolicitation:);
    message!(RouterAdvertisement: hop_limit, is_managed, has_other_configuration, flags, router_lifetime, reachable_time,
        retrans_timer);
    message!(NeighborSolicitation: target);
    message!(NeighborAdvertisement: flags, target);
    message!(NdpRedirect: target, destination);
}

/// Options written as they were read take the same room, and read the same.
fn rewrite(options: NdpOptions<'_>, bytes: &[u8]) {
    let Ok(options) = options.collect::<Result<Vec<NdpOption<'_>>, _>>() else {
        return;
    };
    assert_eq!(NdpOption::total_len(&options), bytes.len());
    let mut room = vec![0xee; bytes.len()];
    assert!(NdpOption::write_all(&options, &mut room));
}
