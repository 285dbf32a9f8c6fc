//! Lines about packets against those of tcpdump, over the corpus of tests/proto.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fluxcap::proto::summary;

/// Words of tcpdump about packets that it takes for damaged. How it says so differs from place to place.
const DAMAGED: [&str; 9] = [
    "invalid",
    "[|",
    "bad",
    "bogus",
    "truncated-udp",
    "too short",
    "unknown",
    "ERROR",
    "version error",
];

/// Where the lines differ on purpose: what tcpdump's line has, what ours has, and why.
const EXPLAINED: [(&str, &str, &str); 23] = [
    (
        "",
        "[|",
        "we tell of a header that is cut off where tcpdump shows the fields that are left",
    ),
    (
        "",
        "[bad",
        "we tell of a field that cannot be where tcpdump goes on",
    ),
    ("", "LLC, dsap", "tcpdump knows protocols behind LLC"),
    ("", "SNAP, oui", "tcpdump knows protocols behind SNAP"),
    ("", "ethertype Unknown", "tcpdump knows more ether types"),
    ("", "ARP, Unknown", "tcpdump knows more operations of ARP"),
    (
        "ARP, Unknown",
        "",
        "tcpdump shows the bytes instead of the length",
    ),
    ("", "ip-proto-", "tcpdump knows more IP protocols"),
    ("", ": ...", "deep tunnels are not looked into"),
    ("", "DSTOPT ...", "more extension headers than a view takes"),
    (
        "rsv=",
        "RT6",
        "reserved bytes of a routing header are not shown",
    ),
    ("flags=", "RT6", "flags of segment routing are not shown"),
    ("MPLS", "length", "of what is no IP the length is shown"),
    ("time stamp", "time stamp", "the times are not shown"),
    (
        "router advertisement",
        "router advertisement",
        "the routers are not shown",
    ),
    ("router solicitation", "router solicitation", "the same"),
    ("information re", "type-#", "no longer in use (RFC 6918)"),
    (
        "address mask",
        "address mask",
        "no longer in use (RFC 6918)",
    ),
    ("", "unknown-", "tcpdump knows more TCP options"),
    (
        "",
        "multicast listener",
        "tcpdump shows more of listener messages",
    ),
    (
        "ICMP6, ",
        "unknown icmp6 type",
        "tcpdump knows more messages",
    ),
    ("ICMP type-#", "ICMP ", "we know more messages"),
    (
        "VXLAN",
        "UDP, length",
        "tcpdump takes the source port for that of VXLAN, too",
    ),
];

/// The packets of a capture file as scapy writes it: little endian, nothing cut off.
fn packets(file: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(file).unwrap();
    let mut rest = &bytes[24..];
    let mut packets = Vec::new();
    while let Some((head, behind)) = rest.split_first_chunk::<16>() {
        let len = u32::from_le_bytes(head[8..12].try_into().unwrap()) as usize;
        packets.push(behind[..len].to_vec());
        rest = &behind[len..];
    }
    packets
}

/// A line of tcpdump for each packet; `None` if there is no tcpdump.
fn tcpdump(file: &Path) -> Option<Vec<String>> {
    let output = Command::new("tcpdump")
        .args(["-nn", "-t", "-S", "--number", "-r"])
        .arg(file)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let next = format!("{}  ", lines.len() + 1);
        if let Some(line) = line.trim_start().strip_prefix(&next) {
            lines.push(line.into());
        } else if let Some(last) = lines.last_mut()
            && !line.trim_start().starts_with("0x")
        {
            *last += " ";
            *last += line;
        }
    }
    Some(lines)
}

/// Without what differs everywhere: VLAN tags, which tcpdump shows with -e only, where an IPv4 fragment belongs, the unused
/// offset of GRE, names of programs behind the length, colons before what tcpdump puts into a new line, and doubled blanks.
fn plain(line: &str) -> String {
    let mut line = line.replace("missing!", "missing! ");
    cut(&mut line, ", off 0x", ",");
    cut(&mut line, " (frag ", ")");
    while line.contains("vlan ") {
        cut(&mut line, "vlan ", ", p");
        cut(&mut line, ", p ", ", ");
        line = line.replacen(", DEI, ", "", 1);
        line = line.trim_start_matches(", ").replace(": , ", ": ");
    }
    for name in [": HTTP", ": BGP", ": domain", ": SMTP"] {
        line = line.replace(name, "");
    }
    if line.contains("vni ") {
        line = line.replace(": ", " ");
    }
    let words: Vec<_> = line.split_whitespace().collect();
    words.join(" ").trim_end_matches(':').into()
}

/// Cuts what is from `start` up to `end`.
fn cut(line: &mut String, start: &str, end: &str) {
    if let Some(from) = line.find(start) {
        let behind = from + start.len();
        let len = line[behind..]
            .find(end)
            .map_or(line.len() - behind, |at| at + usize::from(end == ")"));
        line.replace_range(from..behind + len, "");
    }
}

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proto/corpus");
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "pcap")
    });
    files.sort();
    files
}

#[test]
fn lines_are_those_of_tcpdump_but_for_explained_differences() {
    let (mut equal, mut damaged, mut explained, mut wrong) = (0, 0, 0, Vec::new());
    for file in corpus() {
        let packets = packets(&file);
        let Some(lines) = tcpdump(&file) else {
            println!("SKIPPED: there is no tcpdump");
            return;
        };
        assert_eq!(lines.len(), packets.len(), "{}", file.display());
        for (packet, theirs) in packets.iter().zip(&lines) {
            let ours = summary(packet).to_string();
            if plain(&ours) == plain(theirs) {
                equal += 1;
            } else if DAMAGED.iter().any(|word| theirs.contains(word)) {
                damaged += 1;
            } else if EXPLAINED
                .iter()
                .any(|(there, here, _)| theirs.contains(there) && ours.contains(here))
            {
                explained += 1;
            } else {
                wrong.push(format!("{theirs}\n{ours}\n"));
            }
        }
    }
    println!(
        "{equal} lines are equal, {damaged} about damaged packets differ, {explained} otherwise"
    );
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(equal > damaged + explained);
}
