//! Whole frames, read.

use std::hint::black_box;

use fluxcap::proto::{EtherType, FlowKey, Headers, Ipv4, Ipv6, ParseError, Parser, summary};

pub(crate) fn flow(data: &[u8]) {
    let key = FlowKey::parse(data);
    black_box((
        key.vlan(),
        key.ether_type(),
        key.addresses(),
        key.protocol(),
        key.ports(),
    ));
    black_box(format!("{key} {key:?}"));
    let back = key.reversed();
    assert_eq!(back.reversed(), key);
    assert_eq!(back.symmetric_hash(), key.symmetric_hash());
    for members in 1..=3 {
        assert!(FlowKey::member(key.hash(), members) < members);
    }
    // What follows the packet, padding for example, changes nothing.
    if key.ports().is_some() {
        assert_eq!(FlowKey::parse(&[data, &[0xee; 8]].concat()), key);
    }
}

pub(crate) fn headers(data: &[u8]) {
    let (partial, first) = Headers::parse_partial(data);
    read(&partial, data);
    match Headers::parse(data) {
        Ok(headers) => {
            assert_eq!((partial, first), (headers, None));
            agree_with_views(&headers, data);
        }
        Err(error) => {
            assert_eq!(first, Some(error));
            assert!(partial.is_partial());
            check(data, error);
        }
    }
    // Tunnels, from the outside inwards.
    let mut outer = Some(partial);
    let mut depth = 0;
    while let Some(headers) = outer {
        let whole = headers.inner(data);
        outer = headers.inner_partial(data).map(|(inner, error)| {
            assert_eq!(whole, error.map_or(Ok(Some(inner)), Err));
            assert!(inner.start() >= headers.payload_offset());
            assert!(inner.end() <= headers.payload_end());
            read(&inner, data);
            inner
        });
        depth += 1;
        assert!(depth <= data.len() + 1, "tunnels without end");
    }
    parse_otherwise(data);
    match Headers::parse_tunnels(data) {
        Ok(innermost) => {
            read(&innermost, data);
            agree_with_views(&innermost, data);
        }
        Err(error) => check(data, error),
    }
}

/// With a tag and ports that are common in the inputs.
fn parse_otherwise(data: &[u8]) {
    let parser = Parser::new()
        .vlan_types(&[EtherType(0x9100), EtherType::ARP])
        .vxlan_ports(&[53, 8472])
        .gre_ports(&[80, 4754]);
    let (partial, error) = parser.parse_partial(data);
    read(&partial, data);
    assert_eq!(parser.parse(data), error.map_or(Ok(partial), Err));
    let mut outer = Some(partial);
    for _ in 0..Headers::MAX_TUNNELS {
        let Some(headers) = outer else {
            break;
        };
        outer = parser.inner_partial(&headers, data).map(|(inner, _)| inner);
        if let Some(inner) = &outer {
            assert!(inner.start() >= headers.payload_offset());
            read(inner, data);
        }
    }
    black_box(parser.parse_tunnels(data).is_ok());
}

fn check(data: &[u8], error: ParseError) {
    black_box(error.to_string());
    assert!(error.offset() <= data.len(), "{error}");
}

/// All getters; offsets are in order and in the frame.
fn read(headers: &Headers, data: &[u8]) {
    black_box((
        headers.ether_type(),
        headers.vlan_tags(),
        headers.outer_tag(),
        headers.inner_tag(),
        headers.vlan(),
        headers.mpls_labels(),
        headers.is_source_routed(),
    ));
    black_box((
        headers.tunnel(),
        headers.ports(),
        headers.tcp_flags(),
        headers.icmp(),
    ));
    black_box((headers.source_ip(data), headers.destination_ip(data)));
    black_box(format!("{headers:?}"));
    let l3 = headers.l3_offset().unwrap_or(headers.start());
    let l4 = headers.l4_offset().unwrap_or(l3);
    assert!(headers.start() <= l3 && l3 <= l4 && l4 <= headers.payload_offset());
    assert!(headers.payload_offset() <= headers.payload_end());
    assert!(headers.payload_end() <= headers.end() && headers.end() <= data.len());
    assert_eq!(
        headers.payload(data).len(),
        headers.payload_end() - headers.payload_offset()
    );
    assert_eq!(
        headers.l3_offset().is_some(),
        headers.ip_version().is_some()
    );
    assert!(!headers.is_later_fragment() || headers.is_fragment() && headers.l4_offset().is_none());
}

/// The view made at the offset says the same.
fn agree_with_views(headers: &Headers, data: &[u8]) {
    let Some(l3) = headers.l3_offset() else {
        return;
    };
    let packet = &data[l3..headers.end()];
    if headers.ip_version() == Some(4) {
        let (ip, _) = Ipv4::parse(packet).unwrap();
        assert_eq!(headers.source_ip(data), Some(ip.source().into()));
        assert_eq!(headers.destination_ip(data), Some(ip.destination().into()));
        assert_eq!(
            (headers.dscp(), headers.ecn(), headers.ttl()),
            (ip.dscp(), ip.ecn(), ip.ttl())
        );
        assert_eq!(headers.protocol(), Some(ip.protocol()));
        assert_eq!(headers.is_fragment(), ip.is_fragment());
        assert_eq!(headers.is_later_fragment(), ip.fragment_offset() != 0);
        assert_eq!(headers.is_source_routed(), ip.is_source_routed());
    } else {
        let (ip, payload) = Ipv6::parse(packet).unwrap();
        let upper = ip.upper_layer(payload).unwrap();
        assert_eq!(headers.source_ip(data), Some(ip.source().into()));
        assert_eq!(headers.destination_ip(data), Some(ip.destination().into()));
        assert_eq!(
            (headers.dscp(), headers.ecn(), headers.ttl()),
            (ip.dscp(), ip.ecn(), ip.hop_limit())
        );
        assert_eq!(headers.protocol(), Some(upper.protocol));
        assert_eq!(headers.is_fragment(), upper.fragment.is_some());
        assert_eq!(headers.is_later_fragment(), upper.is_later_fragment());
        assert_eq!(headers.is_source_routed(), upper.is_source_routed);
    }
}

/// The text form: one line, whatever the bytes are.
pub(crate) fn text(data: &[u8]) {
    for line in [
        summary(data).to_string(),
        summary(data).with_ethernet().to_string(),
    ] {
        assert!(!line.contains(['\n', '\r']), "{line:?}");
        assert!(line.len() < 16_384, "{line}");
    }
}
