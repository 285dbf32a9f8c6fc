//! Views of one protocol each: every getter, every setter, and what a view promises.

use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};

use fluxcap::proto::checksum::PseudoHeader;
use fluxcap::proto::{
    Arp, ArpOperation, Authentication, EtherType, Ethernet, Fault, Gre, GreFields, IcmpEcho,
    IcmpType, IpProtocol, Ipv4, Ipv4Option, Ipv6, Ipv6Extension, Ipv6FragmentHeader, Ipv6Option,
    Ipv6OptionsHeader, Ipv6Routing, Llc, MacAddr, Mpls, ParseError, Snap, Tcp, TcpFlags, TcpOption,
    Udp, Vlan, Vxlan,
};

use super::{Choices, VALUES, split};

/// Reads all of a view, as text too, and gives an error that is about these very bytes.
macro_rules! read {
    ($view:ident: $($getter:ident),*) => {{
        $(black_box($view.$getter());)*
        black_box(format!("{} {:?}", $view, $view));
    }};
}

/// Parses the packet both ways, which must be the same way; `None` where that is an error.
macro_rules! parse {
    ($view:ident, $packet:expr) => {{
        let mut copy = $packet.to_vec();
        match ($view::parse($packet), $view::parse_mut(&mut copy)) {
            (Ok((view, payload)), Ok((view_mut, payload_mut))) => {
                assert_eq!((view, payload), (&*view_mut, &*payload_mut));
                assert!(size_of_val(view) + payload.len() <= $packet.len());
                Some((view, payload))
            }
            (Err(error), Err(error_mut)) => {
                assert_eq!(error, error_mut);
                check_error($packet, error);
                None
            }
            (view, view_mut) => panic!("{view:?} but {view_mut:?}"),
        }
    }};
}

pub(super) use {parse, read};

pub(super) fn check_error(packet: &[u8], error: ParseError) {
    black_box(error.to_string());
    assert!(error.offset() <= packet.len(), "{error}");
    if let Fault::Truncated { needed, available } = error.fault() {
        assert!(needed > available, "{error}");
        assert!(available as usize <= packet.len(), "{error}");
    }
}

fn mac(values: &mut Choices<'_>) -> MacAddr {
    MacAddr(values.bytes())
}

fn v4(values: &mut Choices<'_>) -> Ipv4Addr {
    values.bytes::<4>().into()
}

fn v6(values: &mut Choices<'_>) -> Ipv6Addr {
    values.bytes::<16>().into()
}

pub(crate) fn ethernet(data: &[u8]) {
    let (mut values, packet) = split(data, VALUES);
    let Some((view, _)) = parse!(Ethernet, packet) else {
        return;
    };
    read!(view: destination, source, ether_type);
    let mut copy = packet.to_vec();
    let (view, _) = Ethernet::parse_mut(&mut copy).unwrap();
    let (to, from, kind) = (mac(&mut values), mac(&mut values), values.word());
    view.set_destination(to);
    view.set_source(from);
    view.set_ether_type(EtherType(kind));
    assert_eq!((view.destination(), view.source()), (to, from));
    view.swap_addresses();
    assert_eq!((view.destination(), view.source()), (from, to));
    assert_eq!(view.ether_type(), EtherType(kind));
    read!(view: destination, source, ether_type);
    assert_eq!(copy[Ethernet::LEN..], packet[Ethernet::LEN..]);
}

pub(crate) fn vlan(data: &[u8]) {
    let (mut values, packet) = split(data, VALUES);
    let Some((view, _)) = parse!(Vlan, packet) else {
        return;
    };
    read!(view: priority, drop_eligible, id, ether_type);
    let mut copy = packet.to_vec();
    let (view, _) = Vlan::parse_mut(&mut copy).unwrap();
    let (priority, drop, id) = (values.byte() % 8, values.flag(), values.word() % 4096);
    view.set_priority(priority);
    view.set_drop_eligible(drop);
    view.set_id(id);
    view.set_ether_type(EtherType(values.word()));
    assert_eq!(
        (view.priority(), view.drop_eligible(), view.id()),
        (priority, drop, id)
    );
    assert_eq!(copy[Vlan::LEN..], packet[Vlan::LEN..]);
}

pub(crate) fn arp(data: &[u8]) {
    let (mut values, packet) = split(data, VALUES);
    let Some((view, _)) = parse!(Arp, packet) else {
        return;
    };
    read!(view: operation, sender_mac, sender_ip, target_mac, target_ip);
    let mut copy = packet.to_vec();
    let (view, _) = Arp::parse_mut(&mut copy).unwrap();
    view.set_operation(ArpOperation(values.word()));
    view.set_sender_mac(mac(&mut values));
    view.set_sender_ip(v4(&mut values));
    view.set_target_mac(mac(&mut values));
    view.set_target_ip(v4(&mut values));
    let (asker, asked) = (view.sender_ip(), view.target_ip());
    view.into_reply(mac(&mut values));
    assert_eq!((view.sender_ip(), view.target_ip()), (asked, asker));
    read!(view: operation, sender_mac, sender_ip, target_mac, target_ip);
    assert!(Arp::parse(&copy).is_ok(), "a setter broke it");
}

pub(crate) fn ipv4(data: &[u8]) {
    let (mut values, packet) = split(data, VALUES);
    let Some((view, payload)) = parse!(Ipv4, packet) else {
        return;
    };
    read_ipv4(view);
    assert_eq!(
        usize::from(view.total_length()),
        view.header_len() + payload.len()
    );
    let len = view.header_len();
    assert_eq!(len, Ipv4::LEN + view.options_bytes().len());
    rewrite_ipv4_options(view);
    let mut copy = packet.to_vec();
    let (view, _) = Ipv4::parse_mut(&mut copy).unwrap();
    let total_length = view.total_length();
    view.set_total_length(values.word());
    view.set_identification(values.word());
    view.set_dscp(values.byte());
    view.set_ecn(values.byte());
    view.set_dont_fragment(values.flag());
    view.set_more_fragments(values.flag());
    view.set_fragment_offset(values.word());
    view.options_mut().fill(values.byte());
    view.set_ttl(values.byte());
    view.set_protocol(IpProtocol(values.byte()));
    view.set_header_checksum(values.word());
    view.set_source(v4(&mut values));
    view.set_destination(v4(&mut values));
    view.swap_addresses();
    read_ipv4(view);
    view.fill_checksum();
    assert!(view.verify_checksum());
    let ttl = view.ttl();
    assert_eq!(view.decrement_ttl(), ttl > 1);
    assert!(view.verify_checksum(), "off by a hop");
    view.set_total_length(total_length);
    assert_eq!(view.header_len(), len);
    assert!(Ipv4::parse(&copy).is_ok(), "a setter broke it");
    assert_eq!(copy[len..], packet[len..]);
}

fn read_ipv4(view: &Ipv4) {
    read!(view: header_len, dscp, ecn, total_length, identification, dont_fragment, more_fragments, fragment_offset,
        is_fragment, ttl, protocol, header_checksum, source, destination, pseudo_header, checksum_addresses, final_destination, options_bytes, verify_checksum);
    read_options(view.options(), Ipv4::LEN);
    for option in view.options().flatten() {
        black_box(option.to_string());
    }
}

/// Options written as they were read are the same.
fn rewrite_ipv4_options(view: &Ipv4) {
    let options: Vec<_> = view.options().map_while(Result::ok).collect();
    let bytes = view.options_bytes();
    let used: usize = options.iter().map(Ipv4Option::wire_len).sum();
    assert!(used <= bytes.len() && Ipv4Option::total_len(&options) <= bytes.len());
    let mut room = vec![0xee; bytes.len()];
    assert!(Ipv4Option::write_all(&options, &mut room));
    assert_eq!(room[..used], bytes[..used]);
    assert!(!Ipv4Option::write_all(&options, &mut room[..used.saturating_sub(1)]) || used == 0);
}

pub(crate) fn ipv6(data: &[u8]) {
    let (mut values, packet) = split(data, VALUES);
    let Some((view, payload)) = parse!(Ipv6, packet) else {
        return;
    };
    read_ipv6(view);
    assert_eq!(usize::from(view.payload_length()), payload.len());
    let upper = view.upper_layer(payload);
    match upper {
        Ok(upper) => {
            assert!(upper.offset <= payload.len());
            black_box(upper.is_later_fragment());
        }
        Err(error) => check_error(payload, error),
    }
    let mut extensions = view.extensions(payload);
    for extension in &mut extensions {
        match extension {
            Ok(extension) => read_extension(extension),
            Err(error) => assert_eq!(upper, Err(error)),
        }
    }
    let end = (extensions.protocol(), extensions.offset());
    assert!(upper.is_err() || upper.is_ok_and(|upper| (upper.protocol, upper.offset) == end));
    let mut copy = packet.to_vec();
    let (view, _) = Ipv6::parse_mut(&mut copy).unwrap();
    let payload_length = view.payload_length();
    let label = values.double_word() & 0xf_ffff;
    let (dscp, ecn) = (view.dscp(), view.ecn());
    view.set_flow_label(label);
    view.set_dscp(!dscp);
    view.set_ecn(!ecn);
    assert_eq!((view.dscp(), view.ecn()), (!dscp & 63, !ecn & 3));
    view.set_dscp(dscp);
    view.set_ecn(ecn);
    view.set_payload_length(values.word());
    view.set_next_header(IpProtocol(values.byte()));
    view.set_hop_limit(values.byte());
    view.set_source(v6(&mut values));
    view.set_destination(v6(&mut values));
    view.swap_addresses();
    assert_eq!(
        (view.flow_label(), view.dscp(), view.ecn()),
        (label, dscp, ecn)
    );
    let hops = view.hop_limit();
    assert_eq!(view.decrement_hop_limit(), hops > 1);
    read_ipv6(view);
    black_box(view.upper_layer(payload)).ok();
    view.set_payload_length(payload_length);
    assert!(Ipv6::parse(&copy).is_ok(), "a setter broke it");
}

fn read_extension(extension: Ipv6Extension<'_>) {
    black_box(extension.to_string());
    assert!(extension.header_len() >= 8);
    match extension {
        Ipv6Extension::HopByHop(view) | Ipv6Extension::Destination(view) => {
            read_options(view.options(), 2);
            let options: Vec<_> = view.options().map_while(Result::ok).collect();
            let bytes = view.options_bytes();
            let used: usize = options.iter().map(Ipv6Option::wire_len).sum();
            assert!(Ipv6Option::total_len(&options) <= bytes.len());
            let mut room = vec![0xee; bytes.len()];
            assert!(Ipv6Option::write_all(&options, &mut room));
            assert_eq!(room[..used], bytes[..used]);
        }
        Ipv6Extension::Routing(view) => {
            read!(view: routing_type, segments_left, specific, segments);
            black_box(view.final_destination(std::net::Ipv6Addr::LOCALHOST));
            assert!(view.addresses().len() * 16 <= view.segments().len());
        }
        Ipv6Extension::Fragment(view) => {
            read!(view: fragment_offset, more_fragments, identification, is_fragment, fragment);
        }
        Ipv6Extension::Authentication(view) => read!(view: spi, sequence_number, check_value),
        _ => {}
    }
}

fn read_ipv6(view: &Ipv6) {
    read!(view: dscp, ecn, flow_label, payload_length, next_header, hop_limit, source, destination, pseudo_header);
}

/// Each kind of extension header, whatever the bytes were meant to be.
pub(crate) fn extension(data: &[u8]) {
    let (mut values, packet) = split(data, VALUES);
    let next = IpProtocol(values.byte());
    if let Some((view, payload)) = parse!(Ipv6OptionsHeader, packet) {
        assert_eq!(view.header_len() + payload.len(), packet.len());
        read_extension(Ipv6Extension::Destination(view));
        let mut copy = packet.to_vec();
        let (view, _) = Ipv6OptionsHeader::parse_mut(&mut copy).unwrap();
        view.set_next_header(next);
        view.options_mut().fill(values.byte());
        read_extension(Ipv6Extension::HopByHop(view));
        assert_eq!(view.next_header(), next);
        assert!(Ipv6OptionsHeader::parse(&copy).is_ok(), "a setter broke it");
    }
    if let Some((view, payload)) = parse!(Ipv6Routing, packet) {
        assert_eq!(view.header_len() + payload.len(), packet.len());
        read_extension(Ipv6Extension::Routing(view));
        let mut copy = packet.to_vec();
        let (view, _) = Ipv6Routing::parse_mut(&mut copy).unwrap();
        view.set_next_header(next);
        view.set_routing_type(values.byte() % 6);
        view.set_segments_left(values.byte());
        view.set_specific(values.bytes());
        view.segments_mut().fill(values.byte());
        read_extension(Ipv6Extension::Routing(view));
        assert_eq!(view.next_header(), next);
        assert!(Ipv6Routing::parse(&copy).is_ok(), "a setter broke it");
    }
    if let Some((view, _)) = parse!(Ipv6FragmentHeader, packet) {
        read_extension(Ipv6Extension::Fragment(view));
        let mut copy = packet.to_vec();
        let (view, _) = Ipv6FragmentHeader::parse_mut(&mut copy).unwrap();
        let (offset, more, number) = (values.word() & !7, values.flag(), values.double_word());
        view.set_next_header(next);
        view.set_fragment_offset(offset);
        view.set_more_fragments(more);
        view.set_identification(number);
        let fragment = view.fragment();
        assert_eq!((fragment.offset, fragment.more_fragments), (offset, more));
        assert_eq!(
            (fragment.identification, view.next_header()),
            (number, next)
        );
        assert_eq!(view.is_fragment(), more || offset != 0);
    }
    if let Some((view, payload)) = parse!(Authentication, packet) {
        assert_eq!(view.header_len() + payload.len(), packet.len());
        read_extension(Ipv6Extension::Authentication(view));
        let mut copy = packet.to_vec();
        let (view, _) = Authentication::parse_mut(&mut copy).unwrap();
        view.set_next_header(next);
        view.set_spi(values.double_word());
        view.set_sequence_number(values.double_word());
        view.check_value_mut().fill(values.byte());
        read_extension(Ipv6Extension::Authentication(view));
        assert!(Authentication::parse(&copy).is_ok(), "a setter broke it");
    }
}

/// Behind the length of an Ethernet header.
pub(crate) fn llc(data: &[u8]) {
    let (mut values, frame) = split(data, VALUES);
    let length = EtherType(values.word() % 0x0700);
    let mut copy = frame.to_vec();
    match (length.cut(frame), length.cut_mut(&mut copy)) {
        (Ok(cut), Ok(cut_mut)) => {
            assert_eq!(cut, cut_mut);
            let kept = if length.is_length() {
                length.0.into()
            } else {
                frame.len()
            };
            assert_eq!(cut, &frame[..kept]);
        }
        (cut, cut_mut) => assert_eq!(cut.unwrap_err(), cut_mut.unwrap_err()),
    }
    let Some((view, rest)) = parse!(Llc, frame) else {
        return;
    };
    read!(view: header_len, destination_sap, source_sap, control, is_snap);
    assert_eq!(view.header_len() + rest.len(), frame.len());
    if let Some((snap, _)) = parse!(Snap, rest) {
        read!(snap: organization, protocol, ether_type);
    }
    let (view, rest) = Llc::parse_mut(&mut copy).unwrap();
    view.set_destination_sap(values.byte());
    view.set_source_sap(values.byte());
    if let Ok((snap, _)) = Snap::parse_mut(rest) {
        snap.set_organization(values.bytes());
        let number = values.word();
        snap.set_protocol(number);
        assert_eq!(snap.protocol(), number);
        snap.set_ether_type(length);
        assert_eq!(snap.ether_type(), Some(length));
    }
    assert!(Llc::parse(&copy).is_ok(), "a setter broke it");
    let sap = values.byte();
    let (view, _) = Llc::write(&mut copy, sap).unwrap();
    assert_eq!((view.destination_sap(), view.source_sap()), (sap, sap));
    assert_eq!(view.is_snap(), sap == Llc::SNAP);
    assert_eq!(Llc::parse(&copy).unwrap().0.header_len(), Llc::LEN);
}

pub(crate) fn udp(data: &[u8]) {
    let (mut values, packet) = split(data, VALUES);
    let Some((view, payload)) = parse!(Udp, packet) else {
        return;
    };
    read!(view: source_port, destination_port, length, checksum);
    assert_eq!(usize::from(view.length()), Udp::LEN + payload.len());
    let addresses = addresses(&mut values);
    black_box(view.verify_checksum(addresses, payload));
    let mut copy = packet.to_vec();
    let (view, payload) = Udp::parse_mut(&mut copy).unwrap();
    let length = view.length();
    view.set_source_port(values.word());
    view.set_destination_port(values.word());
    view.swap_ports();
    view.fill_checksum(addresses, payload);
    assert!(view.verify_checksum(addresses, payload));
    assert_ne!(view.checksum(), 0);
    view.set_length(values.word());
    view.set_checksum(values.word());
    black_box(view.verify_checksum(addresses, payload));
    read!(view: source_port, destination_port, length, checksum);
    view.set_length(length);
    assert!(Udp::parse(&copy).is_ok(), "a setter broke it");
}

pub(super) fn addresses(values: &mut Choices<'_>) -> PseudoHeader {
    if values.flag() {
        PseudoHeader::ipv4(v4(values), v4(values))
    } else {
        PseudoHeader::ipv6(v6(values), v4(values).to_ipv6_mapped())
    }
}

pub(crate) fn tcp(data: &[u8]) {
    let (mut values, packet) = split(data, VALUES);
    let Some((view, segment_data)) = parse!(Tcp, packet) else {
        return;
    };
    read_tcp(view);
    let len = view.header_len();
    assert_eq!(len, Tcp::LEN + view.options_bytes().len());
    rewrite_tcp_options(view);
    assert_eq!(len + segment_data.len(), packet.len());
    let addresses = addresses(&mut values);
    black_box(view.verify_checksum(addresses, segment_data));
    let mut copy = packet.to_vec();
    let (view, segment_data) = Tcp::parse_mut(&mut copy).unwrap();
    view.set_source_port(values.word());
    view.set_destination_port(values.word());
    view.set_sequence_number(values.double_word());
    view.set_acknowledgment_number(values.double_word());
    view.set_flags(TcpFlags(values.byte()));
    view.set_window(values.word());
    view.set_checksum(values.word());
    view.set_urgent_pointer(values.word());
    view.options_mut().fill(values.byte());
    view.swap_ports();
    read_tcp(view);
    view.fill_checksum(addresses, segment_data);
    assert!(view.verify_checksum(addresses, segment_data));
    assert_eq!(view.header_len(), len);
    assert!(Tcp::parse(&copy).is_ok(), "a setter broke it");
    assert_eq!(copy[len..], packet[len..]);
}

fn read_tcp(view: &Tcp) {
    read!(view: source_port, destination_port, sequence_number, acknowledgment_number, header_len, flags, window, checksum,
        urgent_pointer, options_bytes);
    read_options(view.options(), Tcp::LEN);
}

/// Reads a list of options or the like: at least a byte each, nothing after an error.
pub(super) fn read_options<T: std::fmt::Debug>(
    options: impl Iterator<Item = Result<T, ParseError>>,
    fixed: usize,
) {
    let mut failed = false;
    for (count, option) in options.enumerate() {
        assert!(!failed, "goes on after an error");
        assert!(count < 2048, "goes on for ever");
        black_box(format!("{option:?}"));
        if let Err(error) = option {
            failed = true;
            assert!(error.offset() >= fixed, "{error}");
        }
    }
}

/// Options written as they were read are the same, if none is longer than it need be.
fn rewrite_tcp_options(view: &Tcp) {
    let Ok(options) = view.options().collect::<Result<Vec<TcpOption<'_>>, _>>() else {
        return;
    };
    let bytes = view.options_bytes();
    let used: usize = options.iter().map(TcpOption::wire_len).sum();
    assert!(used <= bytes.len());
    assert!(TcpOption::total_len(&options) <= bytes.len());
    let mut room = vec![0xee; bytes.len()];
    assert!(TcpOption::write_all(&options, &mut room));
    assert_eq!(room[..used], bytes[..used]);
    assert!(!TcpOption::write_all(&options, &mut room[..used.saturating_sub(1)]) || used == 0);
}

pub(crate) fn icmp(data: &[u8]) {
    let (mut values, packet) = split(data, VALUES);
    let Some((view, echoed)) = parse!(IcmpEcho, packet) else {
        return;
    };
    read!(view: icmp_type, code, checksum, identifier, sequence);
    let was_right = view.verify_checksum(echoed);
    let mut copy = packet.to_vec();
    let (view, echoed) = IcmpEcho::parse_mut(&mut copy).unwrap();
    if view.icmp_type() == IcmpType::ECHO_REQUEST {
        view.into_reply();
        assert!(!was_right || view.verify_checksum(echoed));
    }
    view.set_checksum(values.word());
    view.set_identifier(values.word());
    view.set_sequence(values.word());
    view.set_icmp_type(IcmpType(values.byte()));
    read!(view: icmp_type, code, checksum, identifier, sequence);
    view.fill_checksum(echoed);
    assert!(view.verify_checksum(echoed));
}

pub(crate) fn mpls(data: &[u8]) {
    let (mut values, packet) = split(data, VALUES);
    let Some((view, payload)) = parse!(Mpls, packet) else {
        return;
    };
    read!(view: label, traffic_class, is_bottom, ttl);
    black_box(view.guess_payload(payload));
    let mut copy = packet.to_vec();
    match (Mpls::parse_stack(packet), Mpls::parse_stack_mut(&mut copy)) {
        (Ok((stack, behind)), Ok((stack_mut, behind_mut))) => {
            assert_eq!((stack, behind), (&*stack_mut, &*behind_mut));
            assert!(stack.len() <= Mpls::MAX_STACK);
            assert_eq!(stack.len() * Mpls::LEN + behind.len(), packet.len());
            let (last, before) = stack.split_last().unwrap();
            assert!(last.is_bottom() && !before.iter().any(Mpls::is_bottom));
        }
        (Err(error), Err(error_mut)) => {
            assert_eq!(error, error_mut);
            check_error(packet, error);
        }
        (stack, stack_mut) => panic!("{stack:?} but {stack_mut:?}"),
    }
    let mut copy = packet.to_vec();
    let (view, _) = Mpls::parse_mut(&mut copy).unwrap();
    let (label, class) = (values.double_word() & 0xf_ffff, values.byte() % 8);
    let (bottom, ttl) = (values.flag(), values.byte());
    view.set_label(label);
    view.set_traffic_class(class);
    view.set_bottom(bottom);
    view.set_ttl(ttl);
    assert_eq!((view.label(), view.traffic_class()), (label, class));
    assert_eq!((view.is_bottom(), view.ttl()), (bottom, ttl));
    assert_eq!(view.decrement_ttl(), ttl > 1);
    assert_eq!(copy[Mpls::LEN..], packet[Mpls::LEN..]);
}

pub(crate) fn gre(data: &[u8]) {
    let (mut values, packet) = split(data, VALUES);
    let Some((view, payload)) = parse!(Gre, packet) else {
        return;
    };
    read!(view: header_len, protocol_type, checksum, key, sequence_number);
    let len = view.header_len();
    assert_eq!(len + payload.len(), packet.len());
    black_box(view.verify_checksum(payload));
    // The same written anew.
    let fields = GreFields {
        checksum: view.checksum().is_some(),
        key: view.key(),
        sequence_number: view.sequence_number(),
    };
    assert_eq!(fields.header_len(), len);
    let mut anew = packet.to_vec();
    anew[..len].fill(0xee);
    let (written, _) = Gre::write(&mut anew, view.protocol_type(), fields).unwrap();
    assert_eq!(
        (written.key(), written.sequence_number()),
        (view.key(), view.sequence_number())
    );
    written.fill_checksum(payload);
    assert!(written.verify_checksum(payload));
    assert!(Gre::parse(&anew).is_ok());
    let mut short = vec![0xee; len - 1];
    assert!(Gre::write(&mut short, view.protocol_type(), fields).is_err());
    assert!(
        short.iter().all(|&byte| byte == 0xee),
        "changed, and an error"
    );
    // Setters write what is there, and nothing else.
    let mut copy = packet.to_vec();
    let (view, _) = Gre::parse_mut(&mut copy).unwrap();
    view.set_protocol_type(EtherType(values.word()));
    assert_eq!(view.set_checksum(values.word()), fields.checksum);
    assert_eq!(view.set_key(values.double_word()), fields.key.is_some());
    assert_eq!(
        view.set_sequence_number(values.double_word()),
        fields.sequence_number.is_some()
    );
    view.fill_checksum(payload);
    assert!(view.verify_checksum(payload));
    assert_eq!(view.header_len(), len);
    assert!(Gre::parse(&copy).is_ok(), "a setter broke it");
    assert_eq!(copy[len..], packet[len..]);
}

pub(crate) fn vxlan(data: &[u8]) {
    let (mut values, packet) = split(data, VALUES);
    let vni = values.double_word() & 0xff_ffff;
    let mut anew = packet.to_vec();
    match Vxlan::write(&mut anew, vni) {
        Ok((written, _)) => assert_eq!(written.vni(), vni),
        Err(error) => check_error(packet, error),
    }
    let Some((view, _)) = parse!(Vxlan, packet) else {
        return;
    };
    read!(view: flags, vni);
    let mut copy = packet.to_vec();
    let (view, _) = Vxlan::parse_mut(&mut copy).unwrap();
    view.set_vni(vni);
    assert_eq!(view.vni(), vni);
    assert!(Vxlan::parse(&copy).is_ok(), "a setter broke it");
    assert_eq!(copy[Vxlan::LEN..], packet[Vxlan::LEN..]);
}
