//! Lines about packets against those of tcpdump, over the corpus of tests/proto.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fluxcap::proto::summary;

/// Where the lines differ on purpose: how tcpdump's line goes on from the first word that is another, how ours does, and why. `~` is
/// for anywhere from there on; the marks of what is damaged may be in the word behind.
const EXPLAINED: &[(&str, &str, &str)] = &[
    (
        "",
        "[|",
        "we tell of a header that is cut off where tcpdump shows the fields that are left, or of another header",
    ),
    (
        "",
        "[bad",
        "we tell of a field that cannot be where tcpdump goes on",
    ),
    ("", "LLC, dsap", "tcpdump knows protocols behind LLC"),
    ("", "SNAP, oui", "tcpdump knows protocols behind SNAP"),
    ("", "~ethertype Unknown", "tcpdump knows more ether types"),
    (
        "NACK Reply",
        "Unknown (10)",
        "tcpdump knows more operations of ARP",
    ),
    ("NS (", "Unknown (", "the same"),
    (
        "(",
        "~), length",
        "tcpdump forgets the length, or shows bytes instead, of what is unknown in ARP and ICMPv6",
    ),
    ("", "ip-proto-", "tcpdump knows more IP protocols"),
    (
        "[|dccp]",
        "~[|dccp]",
        "tcpdump forgets the addresses where the header of DCCP is cut off",
    ),
    ("truncated-sctp", "~[|sctp]", "the same of SCTP"),
    ("~ (ack=", "~, length", "numbers of DCCP are not shown"),
    (
        "~ HBH truncated",
        "truncated-ip6",
        "of a jumbogram tcpdump tells what is missing behind its header",
    ),
    (
        "",
        "...",
        "deep tunnels are not looked into, nor more extension headers than a view takes",
    ),
    (
        "rsv=",
        "[",
        "reserved bytes of a routing header are not shown",
    ),
    (
        "segleft=",
        "segleft=",
        "nor are they if no address follows, nor that a type is unknown",
    ),
    ("flags=", "tag=", "flags of segment routing are not shown"),
    (
        "tag=9 (invalid length",
        "tag=9, [",
        "tcpdump takes segment routing with options for wrong",
    ),
    (
        "AH(",
        "AH(",
        "number and check value of an authentication header are not shown",
    ),
    (
        "[The Hop-by-Hop Options header",
        "HBH",
        "tcpdump ends at a hop-by-hop header that is not the first",
    ),
    ("[|hbhopt]", "", "options of IPv6 are not looked at"),
    ("(rtalert: invalid len", "", "the same"),
    ("(jumbo: invalid len", "", "the same"),
    ("(homeaddr: trunc", "", "the same"),
    ("", "[unknown-", "tcpdump knows more TCP options"),
    (
        "opt]",
        "opt]],",
        "tcpdump forgets a bracket behind a bad option, and the length",
    ),
    (
        "88: org",
        "88, length",
        "the times of ICMP timestamps are not shown",
    ),
    (
        "advertisement lifetime",
        "advertisement, length",
        "the routers of ICMP router advertisements are not shown",
    ),
    ("information re", "type-#", "no longer in use (RFC 6918)"),
    ("is 0x", "reply, length", "no longer in use (RFC 6918)"),
    (
        "[|icmp]",
        "ICMP ",
        "tcpdump shows nothing of an ICMP header that is not followed by a whole IP header",
    ),
    (
        "",
        "destination unreachable [bad icmp version",
        "tcpdump does not look at the version of the IP header in an ICMP error",
    ),
    (
        "5)",
        "5) length",
        "of what is no IP behind MPLS we tell the length",
    ),
    ("6)", "6) length", "the same"),
    (
        "port [|icmp6]",
        "port, ",
        "tcpdump wants more of the packet that an error quotes",
    ),
    ("problem [|icmp6]", "problem, ", "the same"),
    ("", "unknown icmp6 type", "tcpdump knows more messages"),
    ("querymax", "query max", "tcpdump forgets a blank"),
    ("reportmax", "report max", "the same"),
    ("donemax", "done max", "the same"),
    (
        "[ICMPv6 requires IPv6]",
        "ICMP6, ",
        "ICMPv6 in IPv4 is shown",
    ),
    ("[ICMP requires IPv4]", "ICMP ", "ICMP in IPv6 is shown"),
    ("64470 notify", "UDP, length", "DNS is not looked into"),
    ("12466 update", "UDP, length", "the same"),
    (
        "198.51.100.2.53 [length",
        "198.51.100.2.53: UDP",
        "the same",
    ),
    (
        "2001:db8:ffff::2.53 [length",
        "2001:db8:ffff::2.53: UDP",
        "the same",
    ),
    ("(length ", "UDP, length", "nor is QUIC"),
    (
        "BCM-LI-SHIM",
        "UDP, length",
        "nor is what tcpdump sees on port 49152",
    ),
    (
        "198.51.100.2.4790 VXLAN",
        "198.51.100.2.4790: UDP",
        "nor is the generic extension of VXLAN",
    ),
    (
        "2001:db8:ffff::2.4790 VXLAN",
        "2001:db8:ffff::2.4790: UDP",
        "the same",
    ),
];

/// Whether a line goes on as [`EXPLAINED`] says.
fn goes_on(line: &str, with: &str) -> bool {
    if let Some(part) = with.strip_prefix('~') {
        return line.contains(part);
    }
    if ["[|", "[bad"].contains(&with) {
        let mut words = line.splitn(3, ' ');
        return words.next().is_some_and(|word| word.contains(with))
            || words.next().is_some_and(|word| word.contains(with));
    }
    line.starts_with(with)
}

/// What is left of two lines from the first word that is another.
fn rests<'a>(one: &'a str, other: &'a str) -> (&'a str, &'a str) {
    let pairs = one.bytes().zip(other.bytes());
    let same = pairs.take_while(|(a, b)| a == b).count();
    let at = one.as_bytes()[..same]
        .iter()
        .rposition(|&byte| byte == b' ');
    let at = at.map_or(0, |at| at + 1);
    (&one[at..], &other[at..])
}

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
    let mut equal = 0;
    let mut uses = vec![0; EXPLAINED.len()];
    let mut wrong = Vec::new();
    for file in corpus() {
        let packets = packets(&file);
        let Some(lines) = tcpdump(&file) else {
            println!("SKIPPED: there is no tcpdump");
            return;
        };
        assert_eq!(lines.len(), packets.len(), "{}", file.display());
        for (packet, theirs) in packets.iter().zip(&lines) {
            let ours = summary(packet).to_string();
            let (ours, theirs) = (plain(&ours), plain(theirs));
            if ours == theirs {
                equal += 1;
                continue;
            }
            let (there, here) = rests(&theirs, &ours);
            let fits = |(theirs, ours, _): &(&str, &str, &str)| {
                goes_on(there, theirs) && goes_on(here, ours)
            };
            match EXPLAINED.iter().position(fits) {
                Some(at) => uses[at] += 1,
                None => wrong.push(format!("{theirs}\n{ours}\n")),
            }
        }
    }
    let explained: usize = uses.iter().sum();
    println!("{equal} lines are equal, {explained} differ:");
    for ((_, _, reason), uses) in EXPLAINED.iter().zip(&uses) {
        println!("{uses:5} times: {reason}");
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    let unused = EXPLAINED.iter().zip(&uses).find(|(_, uses)| **uses == 0);
    assert_eq!(unused, None, "explains nothing any more");
}
