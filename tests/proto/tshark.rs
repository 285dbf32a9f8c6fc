//! The views against tshark: field by field, over the corpus.

use fluxcap::proto::ParseError;

use crate::dissect::{self, Dissected, REMARKS};
use crate::fields::FIELDS;
use crate::packets;
use crate::tshark_quirks::QUIRKS;
use crate::value::{Value, read_as};
use crate::walk::Walk;

/// Remarks of something as wrong as an error of ours.
const COMPLAINTS: &[&str] = &[
    "_ws.malformed",
    "_ws.short",
    "Bogus IP version",
    "Bogus IP length",
    "Bogus IP header length",
    "Bogus IPv4 version",
    "Bogus IPv6 version",
    "Bogus TCP header length",
    "exceeds packet length",
    "exceeds framing length",
    "Bad length value",
    "Length is zero but payload",
    "option length should be",
    "too-short option length",
    "says option goes past end",
    "length byte past end",
    "(with option length = ",
    "Suboption would go past end",
    "(with too-short option length",
    "Length field value goes past the end",
];

/// What tshark has for a field of ours.
fn theirs(dissected: &Dissected, name: &str, joined: &[&str]) -> Vec<String> {
    let names = if joined.is_empty() {
        &[name][..]
    } else {
        joined
    };
    let values = names.iter().filter_map(|name| dissected.get(name));
    let values: Vec<String> = values.flatten().cloned().collect();
    if name == "padding" && !values.is_empty() {
        return vec![values.concat()];
    }
    values
}

/// All that tshark says besides.
fn remarks(dissected: &Dissected) -> String {
    let texts = REMARKS.iter().filter_map(|name| dissected.get(name));
    let texts: Vec<String> = texts.map(|texts| texts.join("; ")).collect();
    texts.join("; ")
}

/// Whether a field may be behind the place where our views end: tshark goes on there.
fn is_behind(end: ParseError, field: &str) -> bool {
    let starts: &[&str] = match (end.protocol(), end.field()) {
        ("IPv4", "option length") => &[
            "ip.opt.",
            "ip.rec_rt",
            "ip.cur_rt",
            "ip.src_rt",
            "ip.empty_rt",
        ],
        ("IPv6 options", "option length") => &["ipv6.opt."],
        ("TCP", "option length") => &["tcp.option"],
        ("ARP", _) => &["arp.", "padding"],
        ("UDP", _) => &["udp.", "data"],
        ("TCP", _) => &["tcp.", "data"],
        ("NDP" | "ICMPv6" | "ICMPv6 echo" | "ICMPv6 error", _) => &["icmpv6.", "data"],
        ("ICMP" | "ICMP echo" | "ICMP error", _) => &["icmp.", "data"],
        _ => &[""],
    };
    starts.iter().any(|start| field.starts_with(start))
}

fn same(ours: &[&Value], theirs: &[String]) -> bool {
    ours.iter()
        .zip(theirs)
        .all(|(ours, theirs)| read_as(ours, theirs).as_ref() == Some(*ours))
}

#[test]
fn every_field_is_as_tshark_has_it() {
    let Some(dissected) = dissect::all() else {
        return;
    };
    let mut compared = 0;
    let mut uses = vec![0; QUIRKS.len()];
    let mut differences = Vec::new();
    for (file, dissected) in dissected {
        let packets = packets::read(file);
        let family = file.file_stem().unwrap().display().to_string();
        assert_eq!(packets.len(), dissected.len(), "{family}");
        for (number, (packet, dissected)) in packets.iter().zip(dissected).enumerate() {
            let walk = Walk::as_tshark(packet);
            let error = walk.error.map(|error| error.to_string());
            let remarks = remarks(dissected);
            let mut differ = |what: &str| {
                let number = number + 1;
                differences.push(format!("{family} {number}: {what} ({remarks}); {error:?}"));
            };
            let mut fields = walk.by_name();
            for (name, joined) in FIELDS {
                let ours = fields.remove(name).unwrap_or_default();
                let theirs = theirs(dissected, name, joined);
                compared += ours.len();
                let may_go_on =
                    ours.len() < theirs.len() && walk.ends.iter().any(|&end| is_behind(end, name));
                if !same(&ours, &theirs) || ours.len() != theirs.len() && !may_go_on {
                    differ(&format!("{name}: {ours:?}, but tshark {theirs:?}"));
                }
            }
            assert!(fields.is_empty(), "{fields:?} are not compared");
            // What is wrong for one is wrong for the other.
            let is_wrong = COMPLAINTS.iter().any(|text| remarks.contains(text));
            if walk.complaint != is_wrong && !walk.is_behind {
                differ(&format!("wrong: {}, but tshark {is_wrong}", walk.complaint));
            }
            for quirk in &walk.quirks {
                let at = QUIRKS.iter().position(|(known, _)| known == quirk);
                uses[at.unwrap_or_else(|| panic!("no reason for {quirk:?}"))] += 1;
            }
        }
    }
    println!("{compared} values compared");
    for ((_, reason), uses) in QUIRKS.iter().zip(&uses) {
        println!("{uses:5} times: {reason}");
    }
    let count = differences.len();
    assert!(
        count == 0,
        "{count} differences:\n{}",
        differences.join("\n")
    );
    let unused = QUIRKS.iter().zip(&uses).find(|(_, uses)| **uses == 0);
    let unused = unused.map(|((_, reason), _)| reason);
    assert_eq!(unused, None, "explains nothing any more");
}
