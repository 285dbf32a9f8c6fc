//! The firewall example's rules, packet by packet.

use std::net::SocketAddr;

use fluxcap::proto::{ArpOperation, EtherType, FlowKey, IpProtocol};

use super::frames;
use firewall::Firewall;
use rules::{Action, Rules};

#[path = "../../examples/firewall_engine/firewall.rs"]
mod firewall;
#[path = "../../examples/firewall_engine/rules.rs"]
mod rules;

const SAMPLE: &str = include_str!("../../examples/firewall.rules");

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn tcp(source: &str, destination: &str) -> Vec<u8> {
    frames::datagram(IpProtocol::TCP, address(source), address(destination), 20)
}

fn udp(source: &str, destination: &str) -> Vec<u8> {
    frames::datagram(IpProtocol::UDP, address(source), address(destination), 20)
}

/// Whether the rules let a frame through.
fn allows(rules: &str, frame: &[u8]) -> bool {
    let rules = Rules::parse(rules).unwrap();
    rules.decide(&FlowKey::parse(frame)).action == Action::Allow
}

fn mistake(rules: &str) -> String {
    Rules::parse(rules).unwrap_err()
}

/// Makes a later fragment of a packet.
fn fragment(mut frame: Vec<u8>) -> Vec<u8> {
    frame[14 + 7] = 1;
    frame
}

/// Puts a fragment header into a packet of IPv6.
fn ipv6_fragment(mut frame: Vec<u8>) -> Vec<u8> {
    let protocol = std::mem::replace(&mut frame[14 + 6], 44);
    frame[14 + 5] += 8;
    frame.splice(54..54, [protocol, 0, 0, 9, 0, 0, 0, 1]);
    frame
}

#[test]
fn the_first_rule_that_matches_decides_and_else_the_default() {
    let to_web = tcp("10.0.0.1:1000", "10.0.0.2:80");
    assert!(!allows("", &to_web));
    assert!(allows("default allow", &to_web));
    assert!(!allows("deny tcp # no\nallow tcp", &to_web));
    assert!(allows("\n  allow tcp\ndeny tcp", &to_web));
    assert!(!allows("default deny\nallow udp", &to_web));
}

#[test]
fn prefixes_match_to_the_bit() {
    for (prefix, inside, outside) in [
        ("10.0.0.4/30", "10.0.0.7:1", "10.0.0.8:1"),
        ("10.0.0.0/8", "10.255.0.0:1", "11.0.0.0:1"),
        ("10.0.0.1", "10.0.0.1:1", "10.0.0.0:1"),
        ("0.0.0.0/0", "255.1.2.3:1", "[::1]:1"),
        ("0.0.0.0/1", "127.1.2.3:1", "128.0.0.0:1"),
        (
            "2001:db8::/33",
            "[2001:db8:7fff::]:1",
            "[2001:db8:8000::]:1",
        ),
        ("::/0", "[ff02::1]:1", "10.0.0.1:1"),
        ("::1/128", "[::1]:1", "[::]:1"),
    ] {
        let other = |address: &str| match address.starts_with('[') {
            true => "[fd00::9]:9",
            false => "9.9.9.9:9",
        };
        for address in [inside, outside] {
            let (there, back) = (udp(address, other(address)), udp(other(address), address));
            let rule = format!("allow udp from {prefix}");
            assert_eq!(
                allows(&rule, &there),
                address == inside,
                "{rule}: {address}"
            );
            let rule = format!("allow any to {prefix}");
            assert_eq!(allows(&rule, &back), address == inside, "{rule}: {address}");
        }
        assert!(!allows(
            &format!("allow any from {prefix}"),
            &udp(outside, other(outside))
        ));
    }
}

#[test]
fn ports_protocols_and_both_ways_narrow_a_rule() {
    let there = tcp("10.0.0.1:1000", "10.0.0.2:80");
    let back = tcp("10.0.0.2:80", "10.0.0.1:1000");
    for (rule, first, second) in [
        ("allow tcp to any port 80", true, false),
        ("allow tcp from any port 80", false, true),
        ("allow tcp to any port 80 both ways", true, true),
        (
            "allow tcp from 10.0.0.1 to 10.0.0.2 port 79-80 both ways",
            true,
            true,
        ),
        ("allow tcp to any port 81-65535", false, true),
        (
            "allow tcp from any port 1000 to 10.0.0.2 port 80",
            true,
            false,
        ),
        ("allow udp to any port 80", false, false),
        ("allow 6 to any port 80", true, false),
        ("allow 47", false, false),
        ("allow other", false, false),
        ("allow arp", false, false),
        ("allow any", true, true),
    ] {
        assert_eq!(allows(rule, &there), first, "{rule}");
        assert_eq!(allows(rule, &back), second, "{rule}");
    }
    let ping = frames::datagram(
        IpProtocol::ICMP,
        address("10.0.0.1:0"),
        address("10.0.0.2:0"),
        56,
    );
    assert!(allows("allow icmp", &ping) && !allows("allow 58", &ping));
    let ping = frames::datagram(
        IpProtocol::ICMPV6,
        address("[::1]:0"),
        address("[::2]:0"),
        8,
    );
    assert!(allows("allow icmp", &ping) && !allows("allow 1", &ping));
    let request = frames::arp(ArpOperation::REQUEST);
    assert!(allows("allow arp", &request) && !allows("allow other", &request));
    let lldp = frames::ethernet(EtherType(0x88cc), 50);
    assert!(allows("allow other", &lldp) && !allows("allow any to 0.0.0.0/0", &lldp));
}

#[test]
fn what_a_fragment_hides_is_denied_and_never_allowed() {
    let whole = tcp("10.0.0.1:1000", "10.0.0.2:80");
    let piece = fragment(whole.clone());
    assert!(allows("allow tcp to any port 80", &whole));
    assert!(!allows("allow tcp to any port 80", &piece));
    assert!(allows("deny tcp to any port 22\ndefault allow", &whole));
    assert!(!allows("deny tcp to any port 22\ndefault allow", &piece));
    assert!(allows("allow tcp\n", &piece));
    assert!(allows(
        "deny tcp to 10.0.0.3 port 22\ndefault allow",
        &piece
    ));
    // Too short for its ports.
    let short = &whole[..14 + 20 + 2];
    assert!(!allows("allow tcp to any port 0-65535", short));

    let whole = tcp("[fd00::1]:1000", "[fd00::2]:80");
    let piece = ipv6_fragment(whole.clone());
    assert!(allows("allow tcp", &whole) && !allows("allow tcp", &piece));
    assert!(!allows("deny udp\ndefault allow", &piece));
    assert!(allows("allow 44", &piece) && allows("allow any from fd00::/64", &piece));
}

#[test]
fn mistakes_name_their_line() {
    for (rules, complaint) in [
        (
            "allow tcp\n\npermit tcp",
            "line 3: a line starts with allow, deny or default, not 'permit'",
        ),
        ("allow", "line 1: a protocol is missing"),
        ("allow tpc", "'tpc' is no protocol"),
        ("allow 256", "'256' is no protocol"),
        ("allow tcp form any", "what is 'form'?"),
        ("allow tcp to", "an address is missing"),
        ("allow tcp to 10.0.0.300", "'10.0.0.300' is no IP address"),
        ("allow tcp to 10.0.0.0/33", "a length from 0 to 32"),
        ("allow tcp to 10.0.0.0/x", "a length from 0 to 32"),
        ("allow tcp to fd00::/129", "a length from 0 to 128"),
        ("allow tcp to 10.0.0.1/8", "bits behind its prefix"),
        ("allow tcp from 10.0.0.1 to fd00::1", "of another kind"),
        ("allow arp from 10.0.0.1", "of another kind"),
        ("allow tcp to any port", "a port is missing"),
        ("allow tcp to any port 80-70", "'80-70' is no port"),
        ("allow tcp to any port 65536", "'65536' is no port"),
        ("allow icmp to any port 80", "have ports"),
        ("allow any to any port 80", "have ports"),
        ("allow tcp to any from any", "what is 'from'?"),
        ("allow tcp both", "what is 'both'?"),
        ("allow tcp both ways again", "what is 'again'?"),
        ("default", "the default is allow or deny"),
        ("default allow tcp", "what is 'tcp'?"),
        (
            "default allow\ndefault deny",
            "line 2: there is a default already",
        ),
    ] {
        let said = mistake(rules);
        assert!(
            said.starts_with("line ") && said.contains(complaint),
            "{rules}: {said}"
        );
    }
    assert!(mistake(&"allow tcp\n".repeat(65_537)).contains("more than 65536 rules"));
}

#[test]
fn the_sample_file_is_a_file_of_rules() {
    let rules = Rules::parse(SAMPLE).unwrap();
    assert_eq!(rules.count(), 8);
    assert_eq!(rules.default(), Action::Deny);
    assert_eq!(rules.line(0).unwrap().1, "allow arp");
    assert!(rules.line(8).is_none());
}

#[test]
fn remembered_decisions_are_those_of_the_rules() {
    let mut text = "default allow\n".to_owned();
    for port in 0..100 {
        text += &format!("deny udp to any port {}\n", 3 * port);
    }
    let mut firewall = Firewall::new(Rules::parse(&text).unwrap(), true);
    for round in 0..3 {
        for port in 0..300_u16 {
            // More flows than are remembered.
            for host in 0..20 {
                let mut frame = udp(
                    &format!("10.0.{round}.{host}:9"),
                    &format!("10.0.0.1:{port}"),
                );
                let passes = firewall.passes(0, &mut frame);
                assert_eq!(passes, port % 3 != 0, "{port}");
            }
        }
    }
    let [there, back] = firewall.totals();
    assert_eq!(
        (there.passed, there.denied, there.malformed),
        (12_000, 6000, 0)
    );
    assert_eq!((back.passed, back.denied), (0, 0));
    let said = firewall.to_string();
    assert!(said.contains(&format!(
        "{:>14} {:>17}  line 2: deny udp to any port 0\n",
        60,
        60 * 62
    )));
    assert!(
        said.contains("12000") && said.ends_with("default allow\n"),
        "{said}"
    );

    // Nothing is left of old rules.
    firewall.replace(Rules::parse("deny udp").unwrap());
    assert!(!firewall.passes(1, &mut udp("10.0.0.1:9", "10.0.0.1:1")));
}

#[test]
fn what_claims_to_be_ip_and_is_not_never_passes() {
    let mut firewall = Firewall::new(Rules::parse("default allow").unwrap(), true);
    let whole = tcp("10.0.0.1:1000", "10.0.0.2:80");
    let mut version = whole.clone();
    version[14] = 0x65;
    for frame in [&whole[..10], &whole[..14 + 19], &version] {
        assert!(!firewall.passes(0, &mut frame.to_vec()));
    }
    assert!(firewall.passes(0, &mut whole.clone()));
    assert!(firewall.passes(0, &mut frames::ethernet(EtherType(0x88cc), 0)));
    let [totals, _] = firewall.totals();
    assert_eq!((totals.denied, totals.malformed, totals.passed), (3, 3, 2));
}

#[test]
fn checksums_that_were_left_to_a_card_are_finished_if_wished() {
    let whole = tcp("10.0.0.1:1000", "10.0.0.2:80");
    let mut unfinished = whole.clone();
    frames::leave_checksum(&mut unfinished);
    for (completes, expected) in [(true, &whole), (false, &unfinished)] {
        let mut firewall = Firewall::new(Rules::parse("allow tcp").unwrap(), completes);
        let mut frame = unfinished.clone();
        assert!(firewall.passes(0, &mut frame));
        assert!(frame == *expected);
        assert_eq!(firewall.totals()[0].completed, u64::from(completes));
    }
    assert!(whole != unfinished);
}
