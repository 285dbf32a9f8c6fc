//! Against tshark, run over the same files now.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::differences::{Case, EXPLAINED};
use crate::packets;
use crate::walk::{Value, Walk, read_as};

/// Every field that is compared. Where a name of ours stands for several of tshark's, they are joined.
const FIELDS: &[(&str, &[&str])] = &[
    ("eth.dst", &[]),
    ("eth.src", &[]),
    ("eth.type", &[]),
    ("eth.len", &[]),
    ("padding", &["eth.padding", "eth.trailer", "vlan.trailer"]),
    ("llc.dsap", &[]),
    ("llc.ssap", &[]),
    ("llc.control", &[]),
    ("llc.oui", &[]),
    ("llc.type", &[]),
    ("llc.pid", &["llc.pid", "llc.cisco_pid"]),
    ("vlan.priority", &[]),
    ("vlan.dei", &[]),
    ("vlan.id", &[]),
    ("vlan.etype", &[]),
    ("vlan.len", &[]),
    ("ieee8021ad.priority", &[]),
    ("ieee8021ad.dei", &[]),
    ("ieee8021ad.id", &[]),
    ("ieee8021ah.etype", &[]),
    ("mpls.label", &[]),
    ("mpls.exp", &[]),
    ("mpls.bottom", &[]),
    ("mpls.ttl", &[]),
    ("arp.opcode", &[]),
    ("arp.src.hw_mac", &[]),
    ("arp.src.proto_ipv4", &[]),
    ("arp.dst.hw_mac", &[]),
    ("arp.dst.proto_ipv4", &[]),
    ("ip.hdr_len", &[]),
    ("ip.dsfield.dscp", &[]),
    ("ip.dsfield.ecn", &[]),
    ("ip.len", &[]),
    ("ip.id", &[]),
    ("ip.flags.df", &[]),
    ("ip.flags.mf", &[]),
    ("ip.frag_offset", &[]),
    ("ip.ttl", &[]),
    ("ip.proto", &[]),
    ("ip.checksum", &[]),
    ("ip.checksum.status", &[]),
    ("ip.src", &[]),
    ("ip.dst", &[]),
    ("ip.opt.type", &[]),
    ("ip.opt.len", &[]),
    ("ip.opt.ra", &[]),
    ("ip.opt.ptr", &[]),
    ("ipv6.tclass.dscp", &[]),
    ("ipv6.tclass.ecn", &[]),
    ("ipv6.flow", &[]),
    ("ipv6.plen", &[]),
    ("ipv6.nxt", &[]),
    ("ipv6.hlim", &[]),
    ("ipv6.src", &[]),
    ("ipv6.dst", &[]),
    ("udp.srcport", &[]),
    ("udp.dstport", &[]),
    ("udp.length", &[]),
    ("udp.checksum", &[]),
    ("udp.checksum.status", &[]),
    ("udp.payload", &[]),
    ("vxlan.flags", &[]),
    ("vxlan.vni", &[]),
    ("tcp.srcport", &[]),
    ("tcp.dstport", &[]),
    ("tcp.seq_raw", &[]),
    ("tcp.ack_raw", &[]),
    ("tcp.hdr_len", &[]),
    ("tcp.flags", &[]),
    ("tcp.window_size_value", &[]),
    ("tcp.checksum", &[]),
    ("tcp.checksum.status", &[]),
    ("tcp.urgent_pointer", &[]),
    ("tcp.options", &[]),
    ("tcp.payload", &[]),
    ("tcp.option_kind", &[]),
    ("tcp.option_len", &[]),
    ("tcp.options.mss_val", &[]),
    ("tcp.options.wscale.shift", &[]),
    ("tcp.options.timestamp.tsval", &[]),
    ("tcp.options.timestamp.tsecr", &[]),
    ("tcp.options.sack_le", &[]),
    ("tcp.options.sack_re", &[]),
    ("gre.flags.checksum", &[]),
    ("gre.flags.key", &[]),
    ("gre.flags.sequence_number", &[]),
    ("gre.proto", &[]),
    ("gre.checksum", &[]),
    ("gre.checksum.status", &[]),
    ("gre.key", &[]),
    ("gre.sequence_number", &[]),
    ("icmp.type", &[]),
    ("icmp.code", &[]),
    ("icmp.checksum", &[]),
    ("icmp.checksum.status", &[]),
    ("icmp.mtu", &[]),
    ("icmp.redir_gw", &[]),
    ("icmp.pointer", &[]),
    ("icmp.ident", &[]),
    ("icmp.seq", &[]),
    ("icmpv6.type", &[]),
    ("icmpv6.code", &[]),
    ("icmpv6.checksum", &[]),
    ("icmpv6.checksum.status", &[]),
    ("icmpv6.mtu", &[]),
    ("icmpv6.pointer", &[]),
    ("icmpv6.echo.identifier", &[]),
    ("icmpv6.echo.sequence_number", &[]),
    ("icmpv6.nd.ra.cur_hop_limit", &[]),
    ("icmpv6.nd.ra.flag", &[]),
    ("icmpv6.nd.ra.flag.m", &[]),
    ("icmpv6.nd.ra.flag.o", &[]),
    ("icmpv6.nd.ra.router_lifetime", &[]),
    ("icmpv6.nd.ra.reachable_time", &[]),
    ("icmpv6.nd.ra.retrans_timer", &[]),
    ("icmpv6.nd.ns.target_address", &[]),
    ("icmpv6.nd.na.flag.r", &[]),
    ("icmpv6.nd.na.flag.s", &[]),
    ("icmpv6.nd.na.flag.o", &[]),
    ("icmpv6.nd.na.target_address", &[]),
    ("icmpv6.nd.rd.target_address", &[]),
    ("icmpv6.rd.na.destination_address", &[]),
    ("icmpv6.opt.type", &[]),
    ("icmpv6.opt.length", &[]),
    ("icmpv6.opt.src_linkaddr", &[]),
    ("icmpv6.opt.target_linkaddr", &[]),
    ("icmpv6.opt.prefix.length", &[]),
    ("icmpv6.opt.prefix.flag", &[]),
    ("icmpv6.opt.prefix.valid_lifetime", &[]),
    ("icmpv6.opt.prefix.preferred_lifetime", &[]),
    ("icmpv6.opt.prefix", &[]),
    ("icmpv6.opt.mtu", &[]),
    ("data.data", &[]),
];

/// What tshark says besides: what is wrong, and which headers it saw.
const REMARKS: &[&str] = &[
    "_ws.expert.message",
    "_ws.malformed",
    "_ws.short",
    "frame.protocols",
];

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

/// The protocols that may be dissected: all others are data, here as there.
const PROTOCOLS: &[&str] = &[
    "frame",
    "eth",
    "ethertype",
    "vlan",
    "ieee8021ad",
    "llc",
    "mpls",
    "arp",
    "ip",
    "ipv6",
    "ah",
    "udp",
    "tcp",
    "icmp",
    "icmpv6",
    "gre",
    "vxlan",
    "mptcp",
    "data",
];
const PREFIXES: &[&str] = &["_ws.", "ip.options.", "ipv6.", "tcp."];

/// Check all checksums, take every packet for itself, and do not guess at frame check sequences.
const PREFERENCES: &[&str] = &[
    "ip.check_checksum:TRUE",
    "udp.check_checksum:TRUE",
    "tcp.check_checksum:TRUE",
    "ip.defragment:FALSE",
    "ipv6.defragment:FALSE",
    "ip.tso_support:FALSE",
    "ip.use_geoip:FALSE",
    "ipv6.use_geoip:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
    "tcp.analyze_sequence_numbers:FALSE",
    "tcp.relative_sequence_numbers:FALSE",
    "arp.detect_duplicate_ips:FALSE",
    "eth.fcs:Never",
    "eth.padding:Any",
];

/// Values by field, in the order of the headers, and remarks.
type Dissected = BTreeMap<&'static str, Vec<String>>;

fn tshark() -> Command {
    let mut command = Command::new("tshark");
    command.env("LC_ALL", "C");
    command
}

/// A configuration of its own, in which only [`PROTOCOLS`] are dissected.
fn configure(directory: &Path) {
    let output = tshark().args(["-G", "protocols"]).output().unwrap();
    let all = String::from_utf8(output.stdout).unwrap();
    let names = all.lines().filter_map(|line| line.split('\t').nth(2));
    let others: Vec<&str> = names
        .filter(|name| !PROTOCOLS.contains(name))
        .filter(|name| !PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    assert!(
        others.len() > 100,
        "tshark knows few protocols: {}",
        others.len()
    );
    fs::write(directory.join("disabled_protos"), others.join("\n") + "\n").unwrap();
}

fn dissect(file: &Path, configuration: &Path) -> Vec<Dissected> {
    let names: Vec<&'static str> = FIELDS
        .iter()
        .flat_map(|(name, theirs)| {
            if theirs.is_empty() {
                vec![*name]
            } else {
                theirs.to_vec()
            }
        })
        .chain(REMARKS.iter().copied())
        .collect();
    let mut command = tshark();
    command.env("WIRESHARK_CONFIG_DIR", configuration);
    command.args([
        "-n",
        "-T",
        "fields",
        "-E",
        "separator=/t",
        "-E",
        "aggregator=;",
        "-r",
    ]);
    command.arg(file);
    for preference in PREFERENCES {
        command.args(["-o", preference]);
    }
    for name in &names {
        command.args(["-e", name]);
    }
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", file.display());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut packets = Vec::new();
    for line in text.lines() {
        let mut fields = Dissected::new();
        for (name, column) in names.iter().zip(line.split('\t')) {
            if !column.is_empty() {
                let values = column.split(';').map(str::to_owned).collect();
                fields.insert(*name, values);
            }
        }
        packets.push(fields);
    }
    packets
}

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

fn same(ours: &[&Value], theirs: &[String]) -> bool {
    ours.iter()
        .zip(theirs)
        .all(|(ours, theirs)| read_as(ours, theirs).as_ref() == Some(*ours))
}

#[test]
fn every_field_is_as_tshark_has_it() {
    if tshark().arg("--version").output().is_err() {
        println!("skipped: tshark is not installed");
        return;
    }
    let configuration = std::env::temp_dir().join(format!("fluxcap-tshark-{}", std::process::id()));
    fs::create_dir_all(&configuration).unwrap();
    configure(&configuration);
    let dissected: Vec<_> = packets::files()
        .iter()
        .map(|file| (file.clone(), dissect(file, &configuration)))
        .collect();
    fs::remove_dir_all(&configuration).unwrap();

    let mut compared = 0;
    let mut uses = vec![0; EXPLAINED.len()];
    let mut unexplained = Vec::new();
    for (file, dissected) in dissected {
        let packets = packets::read(&file);
        assert_eq!(packets.len(), dissected.len(), "{}", file.display());
        for (number, (packet, dissected)) in packets.iter().zip(&dissected).enumerate() {
            let walk = Walk::of(packet);
            let remark = |name: &str| dissected.get(name).map(|texts| texts.join("; "));
            let remarks: Vec<String> = REMARKS.iter().filter_map(|name| remark(name)).collect();
            let remarks = remarks.join("; ");
            let mut check = |field: &'static str, ours: Vec<&Value>, theirs: Vec<String>| {
                compared += ours.len();
                // Where we stopped at an error, tshark may go on.
                let may_go_on = walk.error.is_some() && ours.len() <= theirs.len();
                if same(&ours, &theirs) && (ours.len() == theirs.len() || may_go_on) {
                    return;
                }
                let case = Case {
                    packet,
                    field,
                    ours: &ours,
                    theirs: &theirs,
                    walk: &walk,
                    remarks: &remarks,
                };
                match EXPLAINED.iter().position(|explained| explained.is(&case)) {
                    Some(at) => uses[at] += 1,
                    None => unexplained.push(format!(
                        "{} {}: {field}: {ours:?}, but tshark {theirs:?} ({remarks}); {:?}",
                        file.file_stem().unwrap().to_str().unwrap(),
                        number + 1,
                        walk.error.map(|error| error.to_string()),
                    )),
                }
            };
            for (name, joined) in FIELDS {
                let ours: Vec<&Value> = walk
                    .fields
                    .iter()
                    .filter(|(field, _)| field == name)
                    .map(|(_, value)| value)
                    .collect();
                check(name, ours, theirs(dissected, name, joined));
            }
            for (name, _) in &walk.fields {
                assert!(
                    FIELDS.iter().any(|(field, _)| field == name),
                    "{name} is not compared"
                );
            }
            // What is wrong for one is wrong for the other.
            let malformed = COMPLAINTS
                .iter()
                .find(|text| remarks.contains(*text))
                .map(|text| (*text).to_owned());
            let error = walk.error.filter(|_| !walk.is_quoted);
            if error.is_some() != malformed.is_some() {
                let ours = error.map(|error| Value::Bytes(error.to_string().into_bytes()));
                check(
                    "error",
                    ours.iter().collect(),
                    malformed.into_iter().collect(),
                );
            }
        }
    }
    println!("{compared} values compared");
    for (explained, uses) in EXPLAINED.iter().zip(&uses) {
        println!("{uses:5} times: {}", explained.reason);
    }
    let shown = unexplained.join("\n");
    assert!(
        unexplained.is_empty(),
        "{} differences:\n{shown}",
        unexplained.len()
    );
    let unused = EXPLAINED.iter().zip(&uses).find(|(_, uses)| **uses == 0);
    let unused = unused.map(|(explained, _)| explained.reason);
    assert_eq!(unused, None, "explains nothing any more");
}
