//! The dissection of the corpus by tshark, which the test runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::fields::FIELDS;
use crate::packets;

/// What tshark says besides: what is wrong, and which headers it saw.
pub(crate) const REMARKS: &[&str] = &[
    "_ws.expert.message",
    "_ws.malformed",
    "_ws.short",
    "frame.protocols",
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
pub(crate) type Dissected = BTreeMap<&'static str, Vec<String>>;

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

/// Each file, and what tshark says of its packets.
type Files = Vec<(PathBuf, Vec<Dissected>)>;

/// Of each file; `None` if there is no tshark.
pub(crate) fn all() -> Option<&'static Files> {
    static ALL: OnceLock<Option<Files>> = OnceLock::new();
    ALL.get_or_init(|| {
        if tshark().arg("--version").output().is_err() {
            println!("skipped: tshark is not installed");
            return None;
        }
        let name = format!("fluxcap-tshark-{}", std::process::id());
        let configuration = std::env::temp_dir().join(name);
        fs::create_dir_all(&configuration).unwrap();
        configure(&configuration);
        let files = packets::files().into_iter();
        let all = files.map(|file| {
            let packets = dissect(&file, &configuration);
            (file, packets)
        });
        let all = all.collect();
        fs::remove_dir_all(&configuration).unwrap();
        Some(all)
    })
    .as_ref()
}
