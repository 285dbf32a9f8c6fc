//! The short way, for the frames that most are.

#![forbid(unsafe_code)]

use super::{Headers, flag, offset};
use crate::proto::{EtherType, IpProtocol};

impl Headers {
    /// IPv4 without options, fragments and tags, with TCP or UDP: what most frames are. `None` for all else, and all that is wrong.
    #[inline]
    pub(super) fn parse_plain(frame: &[u8]) -> Option<Self> {
        let bytes: &[u8; 42] = frame.first_chunk()?;
        let [.., e0, e1, version_and_len, traffic_class] = *bytes.first_chunk::<16>()?;
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let is_plain = [e0, e1, version_and_len] == [0x08, 0x00, 0x45] && word(20) & 0x3fff == 0;
        let ip_end = 14 + usize::from(word(16));
        if !is_plain || ip_end > frame.len() {
            return None;
        }
        let (kind, payload, payload_end, tcp_flags) = match IpProtocol(bytes[23]) {
            IpProtocol::UDP => {
                let udp_end = 34 + usize::from(word(38));
                if udp_end < 42 || udp_end > ip_end {
                    return None;
                }
                (0, 42, udp_end, 0)
            }
            IpProtocol::TCP => {
                let tcp: &[u8; 20] = frame.get(34..)?.first_chunk()?;
                let payload = 34 + usize::from(tcp[12] >> 4) * 4;
                if payload < 54 || payload > ip_end {
                    return None;
                }
                (flag::TCP, payload, ip_end, tcp[13])
            }
            _ => return None,
        };
        Some(Self {
            start: 0,
            l3: 14,
            l4: 34,
            payload: offset(payload),
            payload_end: offset(payload_end),
            end: offset(ip_end),
            ether_type: EtherType::IPV4.0,
            outer_tag: 0,
            inner_tag: 0,
            flags: flag::ETHERNET | flag::IPV4 | flag::L4 | flag::PORTS | kind,
            traffic_class,
            ttl: bytes[22],
            protocol: bytes[23],
            tcp_flags,
            first: [bytes[34], bytes[35], bytes[36], bytes[37]],
            vlan_tags: 0,
            mpls_labels: 0,
            tunnel: None,
        })
    }
}
