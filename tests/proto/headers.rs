//! `Headers` against tshark and etherparse.

use etherparse::{LaxSlicedPacket, SlicedPacket};
use fluxcap::proto::{Headers, ParseError};

use crate::dissect;
use crate::outer::Outer;
use crate::packets;
use crate::tshark_quirks::Quirk;
use crate::value::Value;
use crate::walk::Walk;

/// A key of [`Outer`] that differs.
struct Case<'a> {
    key: &'a str,
    is_ours: bool,
    is_theirs: bool,
    ours: &'a Outer,
    theirs: &'a Outer,
    walk: &'a Walk,
}

impl Case<'_> {
    fn has(&self, quirks: &[Quirk]) -> bool {
        self.walk.quirks.iter().any(|quirk| quirks.contains(quirk))
    }

    /// Whether a view ends at one of these fields.
    fn ends_at(&self, protocols: &[&str], fields: &[&str]) -> bool {
        let is_one =
            |end: &ParseError| protocols.contains(&end.protocol()) && fields.contains(&end.field());
        self.walk.ends.iter().any(is_one)
    }

    fn is_of_ip(&self) -> bool {
        let keys = [
            "source",
            "destination",
            "protocol",
            "dscp",
            "ecn",
            "ttl",
            "fragment",
            "later",
        ];
        keys.contains(&self.key)
    }

    /// What is behind IP.
    fn is_behind(&self) -> bool {
        ["ports", "flags", "icmp"].contains(&self.key)
    }

    fn is(&self, key: &str, values: &[&str]) -> bool {
        self.ours
            .0
            .get(key)
            .is_some_and(|value| values.contains(&value.as_str()))
    }

    fn ours_ends(&self) -> bool {
        !self.is_ours && (self.is_of_ip() || self.is_behind())
    }

    fn theirs_ends(&self) -> bool {
        !self.is_theirs && (self.is_of_ip() || self.is_behind())
    }
}

type Explained = (fn(&Case<'_>) -> bool, &'static str);

/// Where a header of IPv6 extensions is wrong.
const EXTENSIONS: &[&str] = &["IPv6 options", "IPv6 routing", "IPv6 fragment", "AH"];

const TSHARK: &[Explained] = &[
    OLD_TAG,
    (
        |case| case.has(&[Quirk::ChannelLabel]) && case.theirs_ends(),
        "tshark does not guess what is behind the label of an associated channel",
    ),
    (
        |case| case.has(&[Quirk::LlcIp]) && case.ours_ends(),
        "IP over LLC without SNAP is data",
    ),
    EXTENSIONS_IN_IPV4,
    OTHER_ICMP,
    (
        |case| {
            case.has(&[Quirk::Ipv4SourceRoute, Quirk::Ipv4BrokenRoute]) && case.key == "destination"
        },
        "with a source route, tshark calls its last station the destination",
    ),
    (
        |case| {
            let stops = [
                Quirk::Ipv4OptionTooShort,
                Quirk::SegmentRouting,
                Quirk::MobileRouting,
                Quirk::CompactRouting,
                Quirk::Calipso,
            ];
            case.has(&stops)
                && (case.is_behind() && !case.is_theirs
                    || case.key == "protocol" && case.has(&[Quirk::Calipso]))
        },
        "tshark ends at contents of an option or routing header that it cannot read; they are not looked at",
    ),
    (
        |case| {
            (case.has(&[Quirk::NinthExtension, Quirk::Jumbogram]))
                && (case.key == "protocol"
                    || case.key == "cut"
                    || case.is_behind() && !case.is_ours)
        },
        "behind a ninth extension header, and in a jumbogram, nothing is looked for",
    ),
    (
        |case| {
            !case.is_ours && case.is_of_ip() && case.ends_at(&["IPv4", "IPv6"], &["header", "IHL"])
        },
        "of an IP header that is cut off in front of its protocol nothing is told; tshark has the fields that are there",
    ),
    (
        |case| case.theirs_ends() && case.ends_at(&["IPv4"], &["IHL"]),
        "tshark ends at an IPv4 header that is longer than its packet",
    ),
    (
        |case| {
            case.is_behind()
                && !case.is_theirs
                && case.ends_at(&["ICMP", "ICMPv6", "TCP"], &["header"])
                || case.key == "icmp" && !case.is_theirs && case.has(&[Quirk::IcmpTooShort])
        },
        "of a header of ICMP that is cut short, tshark shows nothing, nor the flags of TCP",
    ),
    (
        |case| {
            let keys = ["tags", "outer tag", "inner tag", "labels"];
            keys.contains(&case.key) && case.ends_at(&["VLAN", "MPLS"], &["header"])
        },
        "of a tag or a label stack that is cut short, tshark's is not counted",
    ),
    (
        |case| {
            case.is_behind()
                && !case.is_theirs
                && case.ends_at(&["IPv6 options"], &["option length"])
        },
        "tshark ends at an option that reaches out of the packet",
    ),
    (
        |case| case.theirs_ends() && case.ends_at(&["IPv4"], &["total length"]),
        "an IPv4 packet that says it is shorter than its header ends for tshark",
    ),
    (
        |case| case.key == "flags" && !case.is_theirs && case.ends_at(&["TCP"], &["data offset"]),
        "so does a TCP header that says so, before its flags",
    ),
    (
        |case| {
            case.key == "protocol"
                && case
                    .walk
                    .ends
                    .iter()
                    .any(|end| EXTENSIONS.contains(&end.protocol()))
        },
        "of an extension header that is wrong, tshark has the next header",
    ),
    (
        |case| case.is_behind() && !case.is_ours && case.ends_at(&["AH"], &["payload length"]),
        "tshark goes on behind an authentication header that is too short",
    ),
    OTHER_TRANSPORTS,
];
/// Of frames that are whole for both.
const ETHERPARSE: &[Explained] = &[
    OLD_TAG,
    THREE_EXTENSIONS,
    NEITHER_LLC_NOR_MPLS,
    EXTENSIONS_IN_IPV4,
    OTHER_ICMP,
    OTHER_TRANSPORTS,
    FIRST_FRAGMENT,
];

/// Of all frames.
const LAX: &[Explained] = &[
    OLD_TAG,
    THREE_EXTENSIONS,
    NEITHER_LLC_NOR_MPLS,
    EXTENSIONS_IN_IPV4,
    OTHER_ICMP,
    OTHER_TRANSPORTS,
    FIRST_FRAGMENT,
    (
        |case| case.is_behind() && !case.is_theirs && case.ends_at(&["TCP"], &["data offset"]),
        "of a TCP header whose length is wrong, etherparse tells nothing",
    ),
    (
        |case| {
            let is_short = |end: &ParseError| end.is_truncated() && end.field() == "header";
            let is_cut = case.is("short", &["true"])
                || case.walk.ends.iter().any(is_short)
                || case.has(&[Quirk::IcmpTooShort]);
            let is_tag = matches!(case.key, "tags" | "outer tag" | "inner tag" | "labels");
            is_cut && (is_tag || case.theirs_ends())
        },
        "of a header that is cut short, etherparse tells nothing",
    ),
    (
        |case| {
            case.theirs
                .0
                .get("protocol")
                .is_some_and(|protocol| protocol == "0")
                && (case.key == "protocol" || case.is_behind() && !case.is_theirs)
        },
        "etherparse ends at a hop-by-hop header that is not the first",
    ),
    (
        |case| case.has(&[Quirk::Ipv6InIpv4]) && !case.is_ours && case.is_of_ip(),
        "etherparse goes by the version in the IP header alone",
    ),
    (
        |case| {
            case.has(&[Quirk::NinthExtension])
                && (case.key == "protocol" || case.is_behind() && !case.is_ours)
        },
        "behind a ninth extension header nothing is looked for",
    ),
    (
        |case| {
            let fields = case.walk.by_name();
            let length = fields.get("ipv6.plen").and_then(|lengths| lengths.first());
            length.is_some_and(|length| **length == Value::Number(0))
                && (case.key == "protocol" || case.is_behind() && !case.is_ours)
        },
        "an IPv6 payload length of 0 is that of the frame for etherparse; here it is 0",
    ),
];

const OLD_TAG: Explained = (
    |case| {
        case.has(&[Quirk::OldTag]) && (!case.is_ours || matches!(case.key, "tags" | "inner tag"))
    },
    "0x9100 is no VLAN tag",
);

const EXTENSIONS_IN_IPV4: Explained = (
    |case| {
        case.has(&[Quirk::AuthenticationInIpv4, Quirk::ExtensionsInIpv4])
            && (case.is("protocol", &["0", "43", "44", "51", "60"]))
            && (matches!(case.key, "protocol" | "fragment" | "later")
                || case.is_behind() && !case.is_ours)
    },
    "behind IPv4, an authentication header or one of IPv6 is what the packet carries",
);

const OTHER_ICMP: Explained = (
    |case| case.has(&[Quirk::IcmpOfOtherVersion]) && case.key == "icmp" && !case.is_ours,
    "ICMP in IPv6, and ICMPv6 in IPv4, are data",
);

const OTHER_TRANSPORTS: Explained = (
    |case| case.key == "ports" && !case.is_theirs && case.is("protocol", &["33", "132", "136"]),
    "DCCP, SCTP and UDP-Lite are switched off in tshark, and unknown to etherparse",
);

const THREE_EXTENSIONS: Explained = (
    |case| {
        case.is("tags", &["4", "5", "6", "7", "8"])
            && case.theirs.0["tags"] == "3"
            && (matches!(case.key, "tags" | "inner tag") || case.theirs_ends())
    },
    "etherparse skips three VLAN tags, we eight",
);

const NEITHER_LLC_NOR_MPLS: Explained = (
    |case| {
        let is_llc = case.walk.by_name().contains_key("llc.dsap");
        case.theirs_ends() && (is_llc || case.ours.0["labels"] != "0")
    },
    "etherparse knows neither LLC nor MPLS",
);

const FIRST_FRAGMENT: Explained = (
    |case| case.is_behind() && !case.is_theirs && case.is("fragment", &["true"]),
    "etherparse looks at no header behind IP in a fragment, not even the first",
);

struct Comparison {
    explained: &'static [Explained],
    uses: Vec<usize>,
    compared: usize,
    differences: Vec<String>,
}

impl Comparison {
    fn new(explained: &'static [Explained]) -> Self {
        Self {
            explained,
            uses: vec![0; explained.len()],
            compared: 0,
            differences: Vec::new(),
        }
    }

    fn compare(&mut self, place: &str, ours: &Outer, theirs: &Outer, walk: &Walk, keys: &[&str]) {
        for &key in keys {
            let (a, b) = (
                ours.0.get(key).map(String::as_str),
                theirs.0.get(key).map(String::as_str),
            );
            // Not all say of each packet whether it is cut short.
            if key == "cut" && a.and(b).is_none() {
                continue;
            }
            self.compared += 1;
            if a == b {
                continue;
            }
            let case = Case {
                key,
                is_ours: a.is_some(),
                is_theirs: b.is_some(),
                ours,
                theirs,
                walk,
            };
            match self.explained.iter().position(|(when, _)| when(&case)) {
                Some(at) => self.uses[at] += 1,
                None => {
                    let ends: Vec<_> = walk.ends.iter().map(ToString::to_string).collect();
                    self.differences.push(format!(
                        "{place}: {key}: {a:?}, but there {b:?}; {ends:?} {:?}",
                        walk.quirks
                    ));
                }
            }
        }
    }

    fn finish(self) {
        println!("{} values compared", self.compared);
        for ((_, reason), uses) in self.explained.iter().zip(&self.uses) {
            println!("{uses:5} times: {reason}");
        }
        let count = self.differences.len();
        assert!(
            count == 0,
            "{count} differences:\n{}",
            self.differences.join("\n")
        );
        let unused = self
            .explained
            .iter()
            .zip(&self.uses)
            .find(|(_, uses)| **uses == 0);
        assert_eq!(
            unused.map(|((_, reason), _)| reason),
            None,
            "explains nothing any more"
        );
    }
}

/// etherparse knows no MPLS.
const KEYS: &[&str] = &[
    "labels",
    "later",
    "tags",
    "outer tag",
    "inner tag",
    "source",
    "destination",
    "protocol",
    "dscp",
    "ecn",
    "ttl",
    "fragment",
    "ports",
    "flags",
    "icmp",
    "cut",
];

#[test]
fn headers_are_those_of_tshark() {
    let Some(dissected) = dissect::all() else {
        return;
    };
    let mut comparison = Comparison::new(TSHARK);
    for (file, dissected) in dissected {
        let packets = packets::read(file);
        for (number, (packet, dissected)) in packets.iter().zip(dissected).enumerate() {
            let place = format!("{} {}", file.file_stem().unwrap().display(), number + 1);
            let walk = Walk::as_tshark(packet);
            comparison.compare(
                &place,
                &Outer::ours(packet),
                &Outer::of_tshark(dissected),
                &walk,
                KEYS,
            );
        }
    }
    comparison.finish();
}

#[test]
fn headers_are_those_of_etherparse() {
    let mut whole = Comparison::new(ETHERPARSE);
    let mut lax = Comparison::new(LAX);
    for file in packets::files() {
        for (number, packet) in packets::read(&file).iter().enumerate() {
            let place = format!("{} {}", file.file_stem().unwrap().display(), number + 1);
            let ours = Outer::ours(packet);
            let walk = Walk::as_tshark(packet);
            if let (Ok(packet), Ok(_)) =
                (SlicedPacket::from_ethernet(packet), Headers::parse(packet))
            {
                whole.compare(
                    &place,
                    &ours,
                    &Outer::of_etherparse(&packet),
                    &walk,
                    &KEYS[1..],
                );
            }
            if let Ok(packet) = LaxSlicedPacket::from_ethernet(packet) {
                lax.compare(
                    &place,
                    &ours,
                    &Outer::of_lax_etherparse(&packet),
                    &walk,
                    &KEYS[2..],
                );
            }
        }
    }
    whole.finish();
    lax.finish();
}
