//! What an interface takes away from packets before an AF_XDP socket gets them, with the words against it.

use crate::backend::linux::interface::{IoctlSocket, Offloads};
use crate::report::XdpMode;

/// `ARPHRD_ETHER` and `ARPHRD_LOOPBACK`: packets begin with an Ethernet header.
const WITH_ETHERNET_HEADER: [u16; 2] = [1, 772];
/// `ARPHRD_NONE`, as tun has it.
const NO_HEADER: u16 = 0xfffe;

/// The notes for a socket that receives on `name`. `mode` is where the library's own program runs.
pub(super) fn notes(ioctl: &IoctlSocket, name: &str, mode: Option<XdpMode>) -> Vec<String> {
    let driver = ioctl.driver(name).unwrap_or_default();
    let offloads = ioctl.offloads(name);
    let mut notes = Vec::new();
    notes.extend(ioctl.device_type(name).and_then(|kind| header(name, kind)));
    notes.extend(vlan(name, &driver, offloads));
    if mode == Some(XdpMode::Generic) {
        notes.extend(merged(name, &driver, offloads));
    }
    notes
}

fn header(name: &str, kind: u16) -> Option<String> {
    if WITH_ETHERNET_HEADER.contains(&kind) {
        return None;
    }
    let first = match kind {
        NO_HEADER => "with their IP header".to_owned(),
        _ => format!("with another header (device type {kind} in /sys/class/net/{name}/type)"),
    };
    Some(format!(
        "packets of {name} begin {first}, not with an Ethernet header, which the parsers and edits of this library expect; \
         use an Ethernet device (for tun: a tap)"
    ))
}

fn vlan(name: &str, driver: &str, offloads: Offloads) -> Option<String> {
    if driver == "veth" {
        return Some(format!(
            "a VLAN tag that the sender at the other end of {name} left to its device is not in the packet; \
             at that end: ethtool -K PEER tx-vlan-hw-insert off"
        ));
    }
    offloads.rx_vlan.then(|| {
        format!(
            "{name} takes VLAN tags out of packets before they come here; to keep them: ethtool -K {name} rxvlan off"
        )
    })
}

/// What generic mode gets in one piece, and has to fit into one frame.
fn merged(name: &str, driver: &str, offloads: Offloads) -> Option<String> {
    let mut words = Vec::new();
    if offloads.gro || offloads.lro {
        words.push(format!("ethtool -K {name} gro off lro off"));
    }
    if driver == "veth" {
        words.push(
            "at the other end: ethtool -K PEER tso off gso off tx-udp-segmentation off".to_owned(),
        );
    }
    (!words.is_empty()).then(|| {
        format!(
            "generic XDP gets segments that were merged into one packet, and drops those that no frame has room for (TCP becomes \
             very slow); {}",
            words.join("; ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Offloads = Offloads {
        rx_vlan: false,
        gro: false,
        lro: false,
    };

    #[test]
    fn a_device_without_ethernet_header_is_named() {
        assert_eq!((header("eth0", 1), header("lo", 772)), (None, None));
        let tun = header("tun0", NO_HEADER).unwrap();
        assert!(tun.contains("tun0") && tun.contains("IP header"), "{tun}");
        let other = header("ib0", 32).unwrap();
        assert!(other.contains("device type 32"), "{other}");
    }

    #[test]
    fn what_takes_vlan_tags_away_is_named_with_the_words_against_it() {
        assert_eq!(vlan("eth0", "igb", NONE), None);
        let offloads = Offloads {
            rx_vlan: true,
            ..NONE
        };
        let igb = vlan("eth0", "igb", offloads).unwrap();
        assert!(igb.contains("ethtool -K eth0 rxvlan off"), "{igb}");
        // The receiver's switch does not help there.
        let veth = vlan("veth0", "veth", offloads).unwrap();
        assert!(
            veth.contains("ethtool -K PEER tx-vlan-hw-insert off"),
            "{veth}"
        );
        assert!(!veth.contains("rxvlan"), "{veth}");
    }

    #[test]
    fn what_merges_packets_for_generic_mode_is_named() {
        assert_eq!(merged("eth0", "igb", NONE), None);
        let offloads = Offloads { gro: true, ..NONE };
        let igb = merged("eth0", "igb", offloads).unwrap();
        assert!(igb.contains("ethtool -K eth0 gro off lro off"), "{igb}");
        assert!(merged("veth0", "veth", NONE).unwrap().contains("PEER"));
    }
}
