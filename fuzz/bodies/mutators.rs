//! Whole frames, changed: an error leaves them as they were, and a right checksum stays right.

use std::net::IpAddr;

use fluxcap::proto::checksum::{Completion, complete as complete_frame};
use fluxcap::proto::nat::Rewrite;
use fluxcap::proto::{EtherType, Ethernet, IpProtocol, Ipv4, Ipv6, Tcp, Udp, Vlan};

use super::split;

/// The checksums of a frame that are there and known, as right or wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Checksums {
    pub(super) header: Option<bool>,
    pub(super) message: Option<bool>,
}

pub(super) fn checksums(frame: &[u8]) -> Checksums {
    find(frame).unwrap_or_default()
}

fn find(frame: &[u8]) -> Option<Checksums> {
    let (ethernet, mut rest) = Ethernet::parse(frame).ok()?;
    let mut ether_type = ethernet.ether_type();
    for _ in 0..4 {
        if ether_type.is_vlan() {
            let (vlan, inner) = Vlan::parse(rest).ok()?;
            (ether_type, rest) = (vlan.ether_type(), inner);
        }
    }
    let (header, addresses, protocol, message) = match ether_type {
        EtherType::IPV4 => {
            let (ip, message) = Ipv4::parse(rest).ok()?;
            let protocol = (!ip.is_fragment()).then(|| ip.protocol());
            (
                Some(ip.verify_checksum()),
                ip.checksum_addresses(),
                protocol,
                message,
            )
        }
        EtherType::IPV6 => {
            let (ip, payload) = Ipv6::parse(rest).ok()?;
            let upper = ip.upper_layer(payload).ok()?;
            let addresses = ip.checksum_addresses(&upper);
            let known = upper.fragment.is_none() && addresses.is_some();
            (
                None,
                addresses.unwrap_or_else(|| ip.pseudo_header()),
                known.then_some(upper.protocol),
                payload.get(upper.offset..)?,
            )
        }
        _ => return None,
    };
    let message = match protocol {
        Some(IpProtocol::UDP) => Udp::parse(message)
            .ok()
            .map(|(udp, payload)| udp.verify_checksum(addresses, payload)),
        Some(IpProtocol::TCP) => Tcp::parse(message)
            .ok()
            .map(|(tcp, payload)| tcp.verify_checksum(addresses, payload)),
        _ => None,
    };
    Some(Checksums { header, message })
}

pub(crate) fn nat(data: &[u8]) {
    let (mut choices, frame) = split(data, 64);
    let which = choices.byte();
    let mut rewrite = Rewrite::new();
    let ips = if which & 0x80 == 0 {
        [
            IpAddr::from(choices.bytes::<4>()),
            choices.bytes::<4>().into(),
        ]
    } else {
        [
            IpAddr::from(choices.bytes::<16>()),
            choices.bytes::<16>().into(),
        ]
    };
    if which & 1 != 0 {
        rewrite = rewrite.source_ip(ips[0]);
    }
    if which & 2 != 0 {
        rewrite = rewrite.destination_ip(ips[1]);
    }
    if which & 4 != 0 {
        rewrite = rewrite.source_port(choices.word());
    }
    if which & 8 != 0 {
        rewrite = rewrite.destination_port(choices.word());
    }
    if which & 16 != 0 {
        rewrite = rewrite.source_mac(choices.bytes().into());
    }
    if which & 32 != 0 {
        rewrite = rewrite.destination_mac(choices.bytes().into());
    }
    let mut changed = frame.to_vec();
    let was = checksums(frame);
    if let Err(error) = rewrite.apply(&mut changed) {
        assert!(!error.to_string().is_empty());
        assert_eq!(changed, frame, "changed, and an error: {error}");
        return;
    }
    let is = checksums(&changed);
    if was.header == Some(true) {
        assert_eq!(is.header, Some(true));
    }
    if was.message == Some(true) {
        assert_eq!(is.message, Some(true));
    }
    // Doing it again changes nothing: all is as wanted already.
    let again = {
        let mut again = changed.clone();
        rewrite.apply(&mut again).unwrap();
        again
    };
    if was.message == Some(true) {
        assert_eq!(checksums(&again).message, Some(true));
    }
}

pub(crate) fn complete(data: &[u8]) {
    let mut frame = data.to_vec();
    match complete_frame(&mut frame) {
        Completion::Completed => {
            assert_eq!(checksums(&frame).message, Some(true));
            let differing = frame.iter().zip(data).filter(|(a, b)| a != b).count();
            assert!(differing > 0, "the checksum was right already");
            assert!(differing <= 2, "more than a checksum changed");
        }
        Completion::NotPartial | Completion::NotRecognised => assert_eq!(frame, data),
    }
}

pub(crate) fn hops(data: &[u8]) {
    let mut packet = data.to_vec();
    if let Ok((ip, _)) = Ipv4::parse_mut(&mut packet) {
        let (ttl, was) = (ip.ttl(), ip.verify_checksum());
        let more = ip.decrement_ttl();
        assert_eq!(more, ttl > 1);
        assert_eq!(ip.ttl(), if more { ttl - 1 } else { ttl });
        assert_eq!(ip.verify_checksum(), was);
    }
    let mut packet = data.to_vec();
    if let Ok((ip, _)) = Ipv6::parse_mut(&mut packet) {
        let hops = ip.hop_limit();
        let more = ip.decrement_hop_limit();
        assert_eq!(more, hops > 1);
        assert_eq!(ip.hop_limit(), if more { hops - 1 } else { hops });
    }
}
