//! Why our views and tshark do not say the same of some packets.

use fluxcap::proto::Fault;

use crate::walk::{Value, Walk, read_as};

/// A field of a packet that differs.
pub(crate) struct Case<'a> {
    pub(crate) packet: &'a [u8],
    pub(crate) field: &'static str,
    pub(crate) ours: &'a [&'a Value],
    pub(crate) theirs: &'a [String],
    pub(crate) walk: &'a Walk,
    /// tshark's.
    pub(crate) remarks: &'a str,
}

/// Differences with one reason.
pub(crate) struct Explained {
    fields: &'static [&'static str],
    when: fn(&Case<'_>) -> bool,
    pub(crate) reason: &'static str,
}

impl Explained {
    pub(crate) fn is(&self, case: &Case<'_>) -> bool {
        (self.fields.is_empty() || self.fields.contains(&case.field)) && (self.when)(case)
    }
}

impl Case<'_> {
    /// tshark has what we have, and more.
    fn theirs_go_on(&self) -> bool {
        self.ours.len() < self.theirs.len() && self.all_same()
    }

    /// We have what tshark has, and more.
    fn ours_go_on(&self) -> bool {
        self.theirs.len() < self.ours.len() && self.all_same()
    }

    fn all_same(&self) -> bool {
        let mut pairs = self.ours.iter().zip(self.theirs);
        pairs.all(|(ours, theirs)| read_as(ours, theirs).as_ref() == Some(*ours))
    }

    /// The headers that tshark saw: the last of its remarks.
    fn saw(&self, headers: &str) -> bool {
        let protocols = self.remarks.rsplit("; ").next().unwrap_or_default();
        format!(":{protocols}:").contains(&format!(":{headers}:"))
    }

    fn error(&self, start: &str) -> bool {
        self.walk
            .error
            .is_some_and(|error| error.to_string().starts_with(start))
    }

    fn number(&self, field: &str) -> Option<u64> {
        let mut fields = self.walk.fields.iter().filter(|(name, _)| *name == field);
        match fields.next()? {
            (_, Value::Number(number)) => Some(*number),
            _ => None,
        }
    }
}

/// The reasons. The first that fits a case counts.
pub(crate) const EXPLAINED: &[Explained] = &[
    Explained {
        fields: ANY,
        when: |case| {
            (case.theirs_go_on() || case.field == "data.data")
                && (case.saw("vlan") || case.saw("ieee8021ad"))
                && has_old_tag(case.packet)
        },
        reason: "0x9100 and 0x9200 were no standard's VLAN tags: no EtherTypes of ours",
    },
    Explained {
        fields: ANY,
        when: |case| case.theirs_go_on() && case.saw("llc:ip"),
        reason: "IP over LLC without SNAP was never standardised for Ethernet (RFC 1042): data for us",
    },
    Explained {
        fields: &["data.data", "error"],
        when: |case| case.saw("llc:ip"),
        reason: "the same",
    },
    Explained {
        fields: &["llc.control"],
        when: |case| {
            case.number("llc.control").is_some_and(|control| {
                control > 0xff || case.theirs.iter().all(|text| text.ends_with("00"))
            })
        },
        reason: "tshark reads a control field of two bytes as little-endian",
    },
    Explained {
        fields: ANY,
        when: |case| case.number("eth.len").is_some_and(|length| length > 1500),
        reason: "1501 to 1535 are neither lengths nor EtherTypes in IEEE 802.3; a frame so long is none of tshark's",
    },
    Explained {
        fields: ANY,
        when: |case| {
            case.theirs.is_empty() && case.number("vlan.len").is_some_and(|length| length > 1500)
        },
        reason: "the same behind a VLAN tag",
    },
    Explained {
        fields: ANY,
        when: |case| case.theirs_go_on() && case.saw("ip:ah"),
        reason: "tshark looks behind an authentication header in IPv4; for us it is what the packet carries",
    },
    Explained {
        fields: &["data.data", "error"],
        when: |case| case.saw("ip:ah"),
        reason: "the same",
    },
    Explained {
        fields: ANY,
        when: |case| {
            case.saw("ip:ipv6.dstopts")
                || case.saw("ip:ipv6.hopopts")
                || case.saw("ip:ipv6.routing")
                || case.saw("ip:ipv6.fraghdr")
        },
        reason: "tshark takes IPv6 extension headers behind IPv4 for such; for us they are data",
    },
    Explained {
        fields: ANY,
        when: |case| case.saw("ipv6:icmp") || case.saw("ip:icmpv6"),
        reason: "ICMP in an IPv6 packet, or ICMPv6 in IPv4, is none for us: its checksum is not defined",
    },
    Explained {
        fields: ANY,
        when: |case| case.saw("ip:mpls"),
        reason: "MPLS in IP (RFC 4023) is not looked into by this test",
    },
    Explained {
        fields: ANY,
        when: |case| {
            case.number("mpls.label")
                .is_some_and(|label| matches!(label, 1 | 3..=15))
        },
        reason: "tshark does not guess what is behind a reserved label; behind a label that is at the bottom we do",
    },
    Explained {
        fields: &["ip.dst"],
        when: |case| case.ours.len() >= case.theirs.len() && has_source_route(case.packet),
        reason: "with a source route, tshark calls its last station the destination, we what the field holds",
    },
    Explained {
        fields: &["udp.checksum.status"],
        when: |case| has_source_route(case.packet),
        reason: "with a source route, the checksum covers its last station: `Ipv4::pseudo_header` has the field's",
    },
    Explained {
        fields: &["udp.checksum.status", "tcp.checksum.status"],
        when: |case| case.theirs_go_on() && case.saw("ipv6.routing"),
        reason: "with a routing header, the checksum covers its last station, which this test does not look for",
    },
    Explained {
        fields: ANY,
        when: |case| case.ours_go_on() && STOPS.iter().any(|stop| case.remarks.contains(stop)),
        reason: "tshark stops at contents of an IPv4 option or IPv6 extension header that it cannot read; we go by its length",
    },
    Explained {
        fields: &["error"],
        when: |case| {
            case.ours.is_empty()
                && (STOPS.iter().any(|stop| case.remarks.contains(stop))
                    || case.remarks.contains("Router alert: Invalid Length"))
        },
        reason: "the same",
    },
    Explained {
        fields: ANY,
        when: |case| {
            case.ours_go_on()
                && case.remarks.contains("Malformed Packet: ICMP]")
                && case.error("ICMP")
        },
        reason: "tshark shows nothing of an ICMP header that is not whole; of its first four bytes there is a view",
    },
    Explained {
        fields: &["udp.payload"],
        when: |case| case.number("udp.length").is_some() && case.ours.len() == case.theirs.len(),
        reason: "tshark's UDP payload goes on behind the datagram, to the end of the IP packet",
    },
    Explained {
        fields: &[
            "udp.payload",
            "data.data",
            "eth.dst",
            "eth.src",
            "eth.type",
            "vxlan.flags",
            "vxlan.vni",
        ],
        when: |case| case.number("udp.srcport") == Some(4789),
        reason: "tshark looks for VXLAN from port 4789, too; it goes to that port",
    },
    Explained {
        fields: &["tcp.option_kind"],
        when: |case| {
            case.theirs_go_on()
                && case.theirs[case.ours.len()..]
                    .iter()
                    .all(|kind| kind == "0")
        },
        reason: "what is behind the end of the options is padding; tshark calls every byte of it an end",
    },
    Explained {
        fields: &["tcp.payload", "data.data"],
        when: |case| {
            case.theirs.is_empty() && case.number("tcp.flags").is_some_and(|flags| flags & 4 != 0)
        },
        reason: "tshark shows the data of a reset as its cause",
    },
    Explained {
        fields: ANY,
        when: |case| {
            case.walk.is_quoted
                && (case.theirs.is_empty()
                    || case.ours_go_on()
                    || case.field == "udp.checksum.status")
        },
        reason: "of a packet that an ICMP error quotes, tshark often reads the ports or sequence number only",
    },
    Explained {
        fields: &["icmp.pointer"],
        when: |case| {
            case.ours.is_empty()
                && case.number("icmp.type") == Some(12)
                && case.number("icmp.code") != Some(0)
        },
        reason: "only code 0 has a pointer (RFC 792); tshark shows the byte with any code",
    },
    Explained {
        fields: &["icmp.ident", "icmp.seq", "data.data"],
        when: |case| {
            case.ours.is_empty()
                && case
                    .number("icmp.type")
                    .is_some_and(|kind| !matches!(kind, 0 | 3 | 4 | 5 | 8 | 11 | 12))
        },
        reason: "of ICMP messages other than echo and errors there is the general view alone",
    },
    Explained {
        fields: &[
            "icmpv6.opt.type",
            "icmpv6.opt.length",
            "icmpv6.opt.target_linkaddr",
            "icmpv6.opt.src_linkaddr",
            "error",
        ],
        when: |case| {
            case.ours.is_empty()
                && case
                    .number("icmpv6.type")
                    .is_some_and(|kind| !matches!(kind, 1..=4 | 128 | 129 | 133..=137))
        },
        reason: "of ICMPv6 messages other than echo, errors and neighbor discovery there is the general view alone",
    },
    Explained {
        fields: &["icmpv6.opt.src_linkaddr", "icmpv6.opt.target_linkaddr"],
        when: |case| case.ours.is_empty() && case.theirs.iter().all(|address| address.len() != 12),
        reason: "an address that is not one of Ethernet is another option",
    },
    Explained {
        fields: &["icmpv6.opt.prefix", "icmpv6.opt.prefix.length"],
        when: |case| case.theirs_go_on() && case.packet.len() > 60,
        reason: "tshark has the same name for the prefix of the option of RFC 4191, which is another for us",
    },
    Explained {
        fields: &["error"],
        when: |case| {
            case.ours.is_empty() && case.saw("icmpv6") && case.number("icmpv6.opt.type").is_some()
        },
        reason: "tshark reads into options that are others for us, and finds them too short for what they should be",
    },
    Explained {
        fields: &["error"],
        when: |case| case.ours.is_empty() && case.remarks.contains("option length should be"),
        reason: "a TCP option of a length that its kind cannot have is another option for us",
    },
    Explained {
        fields: &["error"],
        when: |case| {
            case.ours.is_empty()
                && (case.remarks.contains("nvalid length")
                    || case.remarks.contains("nvalid Length"))
                && case.number("ipv6.nxt").is_some()
        },
        reason: "the lengths of options in IPv6 extension headers are not looked at when they are passed over",
    },
    Explained {
        fields: &["error"],
        when: |case| {
            case.ours.is_empty()
                && case.number("ip.opt.type").is_some()
                && case.remarks.contains("(with option length = ")
        },
        reason: "an IPv4 option that is another for us may have any length",
    },
    Explained {
        fields: &["error"],
        when: |case| case.ours.is_empty() && case.remarks.contains("Malformed Packet: MPLS"),
        reason: "what follows the bottom label is read by its first bits; behind a pseudowire tshark wants a control word",
    },
    Explained {
        fields: &["tcp.option_kind", "error"],
        when: |case| case.remarks.contains("Malformed Packet: MPTCP"),
        reason: "tshark gives up on an option of multipath TCP that is too short",
    },
    Explained {
        fields: &["tcp.flags"],
        when: |case| {
            case.ours.len() == case.theirs.len()
                && case
                    .ours
                    .iter()
                    .zip(case.theirs)
                    .all(|(ours, theirs)| low_byte(theirs) == Some((*ours).clone()))
        },
        reason: "tshark's flags are twelve bits, with the four that are reserved",
    },
    Explained {
        fields: &["arp.dst.proto_ipv4"],
        when: |case| case.theirs.is_empty() && case.number("arp.opcode") == Some(7),
        reason: "of a DRARP error, tshark shows the number of the error in the place of this address",
    },
    Explained {
        fields: &["error"],
        when: |case| {
            case.theirs.is_empty() && (case.error("ARP hardware") || case.error("ARP protocol"))
        },
        reason: "our view of ARP is that for IPv4 over Ethernet",
    },
    Explained {
        fields: &["error"],
        when: |case| case.theirs.is_empty() && case.error("GRE version"),
        reason: "our view of GRE is that of version 0 without routing (RFC 2784, RFC 2890)",
    },
    Explained {
        fields: &["error"],
        when: |case| case.theirs.is_empty() && case.error("VXLAN flags"),
        reason: "a VXLAN header must have its flag (RFC 7348); tshark does not look at it",
    },
    Explained {
        fields: &["error"],
        when: |case| {
            case.theirs.is_empty()
                && (case.error("ICMP echo code")
                    || case.error("ICMPv6 echo code")
                    || case.error("ICMPv6 router advertisement code"))
        },
        reason: "the code of these messages is 0; tshark takes any",
    },
    Explained {
        fields: &["error"],
        when: |case| case.theirs.is_empty() && case.error("IPv6 extension next header"),
        reason: "we look behind eight extension headers, tshark behind more",
    },
    Explained {
        fields: &["error", "eth.len"],
        when: |case| {
            case.walk
                .error
                .is_some_and(|error| matches!(error.fault(), Fault::Truncated { available: 0, .. }))
        },
        reason: "of a header of which there is no byte, tshark says nothing",
    },
    Explained {
        fields: &["error"],
        when: |case| {
            case.theirs.is_empty()
                && case.error("UDP length")
                && (case.number("ip.flags.mf") == Some(1) || case.saw("ipv6.fraghdr"))
        },
        reason: "the first fragment of a datagram is shorter than that: whoever asks for the view knows that it is one",
    },
];

/// Flags as tshark has them, without the reserved ones.
fn low_byte(text: &str) -> Option<Value> {
    match read_as(&Value::Number(0), text)? {
        Value::Number(number) => Some(Value::Number(number & 0xff)),
        other => Some(other),
    }
}

/// Of every field.
const ANY: &[&str] = &[];

/// What tshark says where it stops in an option or extension header.
const STOPS: [&str; 5] = [
    "Malformed Packet: IPv4]",
    "Malformed Packet: IPv6 Routing",
    "Malformed Packet: IPv6 Hop-by-Hop",
    "Malformed Packet: IPv6 Destination",
    "Malformed Packet: AH",
];

fn has_old_tag(frame: &[u8]) -> bool {
    frame
        .windows(2)
        .skip(12)
        .take(16)
        .any(|pair| matches!(pair, [0x91 | 0x92, 0x00]))
}

/// Of an IPv4 packet in an Ethernet frame.
fn has_source_route(frame: &[u8]) -> bool {
    let Some((_, packet)) = frame.split_at_checked(14) else {
        return false;
    };
    fluxcap::proto::Ipv4::parse(packet).is_ok_and(|(ip, _)| {
        let options = ip.options_bytes();
        options.iter().any(|kind| matches!(kind, 131 | 137))
    })
}
