//! The Rust examples on a simulated link: no root, and no network.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::PathBuf;
use std::process::{Stdio, id};

use process::{example, run};

#[path = "examples_sim/balance.rs"]
mod balance;
#[path = "examples_sim/filter.rs"]
mod filter;
#[path = "../examples/simulate/frames.rs"]
mod frames;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "veth/process.rs"]
mod process;

/// A directory for capture files. It goes away with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let directory = format!("examples-sim-{}-{name}", id());
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(directory);
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// In the report of a program that binds to the last of several queues.
const OTHER_QUEUE: &str = "receive queues: packets of queues 0";

/// Runs an example, which succeeds and says all of that.
fn says(name: &str, words: &str, parts: &[&str]) {
    let said = run(&mut example(name, words));
    for part in parts {
        assert!(said.contains(part), "{words}: no {part:?} in:\n{said}");
    }
    assert!(!said.contains("WRONG"), "{said}");
}

/// Runs an example, which fails with that code and says that.
fn refuses(name: &str, words: &str, code: i32, part: &str) {
    let mut command = example(name, words);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words}: {said}");
    assert!(said.contains(part), "{words}: no {part:?} in:\n{said}");
}

#[test]
fn the_ping_responder_answers_its_own_pings_and_replays_what_it_recorded() {
    let scratch = Scratch::new("responder");
    let answered = ["echo answered 10000,", "10000 answered, 0 answers wrong"];
    says("ping_responder", "--sim", &answered);
    let words = "--sim --copy -q 3 -a 192.0.2.1";
    says("ping_responder", words, &answered);
    // Values may follow without a space.
    says("ping_responder", "--sim -q3 --address=192.0.2.1", &answered);
    let file = scratch.file("pings.pcapng");
    let mac = "--mac 02:00:00:00:00:77";
    says(
        "ping_responder",
        &format!("--record {file} {mac}"),
        &answered,
    );
    let replayed = ["20002 packets", "echo answered 10000, ignored 10001"];
    says("ping_responder", &format!("--pcap {file} {mac}"), &replayed);
    // To another address than the recorded one nobody answers.
    let ignored = ["ARP answered 1, echo answered 0, ignored 20001"];
    says("ping_responder", &format!("--pcap {file}"), &ignored);
}

#[test]
fn the_packet_pump_pumps_simulated_packets() {
    let scratch = Scratch::new("pump");
    for (mode, counted) in [
        ("rxdrop", "received 50000, sent 0 in"),
        ("l2fwd", "received 50000, sent 50000 in"),
        ("txonly", "received 0, sent 50000 in"),
    ] {
        let words = format!("-m {mode} --sim -n 50000 -s 100 -q 1");
        says("manual_packet_pump", &words, &[counted]);
    }
    let words = "-m rxdrop --sim -B --copy -d 1";
    says("manual_packet_pump", words, &["average"]);
    let [sent, forwarded] = ["sent.pcapng", "forwarded.pcap"].map(|name| scratch.file(name));
    let words = format!("-m txonly --sim -n 5000 --record {sent}");
    says("manual_packet_pump", &words, &["received 0, sent 5000 "]);
    let words = format!("-m l2fwd --pcap {sent} --record {forwarded}");
    says("manual_packet_pump", &words, &["received 5000, sent 5000 "]);
    let words = format!("-m rxdrop --pcap {forwarded}");
    says("manual_packet_pump", &words, &["received 10000, sent 0 "]);
    let words = format!("-m l2fwd --pcap {sent} -n 12345");
    says(
        "manual_packet_pump",
        &words,
        &["received 12345, sent 12345 "],
    );
}

#[test]
fn the_firewall_lets_through_what_the_rules_allow_and_nothing_else() {
    let scratch = Scratch::new("firewall");
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/firewall.rules");
    let expected = [
        "2000 of 2000  TCP 10.0.0.2:80 > 198.51.100.7",
        "2000 of 2000  TCP 10.0.0.1 > 10.0.0.2:80, checksum left to the card",
        "   0 of 2000  TCP 198.51.100.7 > 10.0.0.2:22",
        "   0 of 2000  TCP 192.0.2.66 > 10.0.0.2:80",
        "2000 of 2000  TCP 2001:db8::7 > fd00::2:443",
        "   0 of 2000  LLDP",
        "2000            108000  line 20: deny any from 192.0.2.0/24",
        "in0 > out0: passed 12000 (3830000 bytes), denied 8000, checksums completed 2000",
    ];
    says("firewall_engine", "--sim", &expected);
    let file = scratch.file("in.pcapng");
    for poller in ["busy", "wait", "adaptive"] {
        let words = format!("--record {file} --rules {sample} -q 1 --copy --poller {poller}");
        says("firewall_engine", &words, &expected);
        says("firewall_engine", &words, &[OTHER_QUEUE]);
    }
    let words = "--sim --keep-checksums";
    says("firewall_engine", words, &["checksums completed 0"]);
    // What the first link carried, in both directions, now comes in there.
    let replayed = ["26000 packets", "let through: 18000 packets"];
    says("firewall_engine", &format!("--pcap {file}"), &replayed);
    let rules = scratch.file("rules");
    fs::write(&rules, "default allow\ndeny arp\n").unwrap();
    let words = format!("--sim --rules {rules}");
    let other = ["   0 of 2000  ARP reply", "2000 of 2000  LLDP"];
    says("firewall_engine", &words, &other);
    says("firewall_engine", "--help", &["usage:", "both ways"]);
    for (words, code, part) in [
        ("", 2, "two interfaces are needed"),
        ("near", 2, "two interfaces are needed"),
        ("near far", 2, "rules are needed"),
        ("near near -r x", 2, "the two interfaces are one"),
        ("near far --sim", 2, "not both"),
        ("--sim --poller lazy", 2, "no poller 'lazy'"),
        ("--sim -I soon", 2, "--interval"),
        ("--sim -x", 2, "what is '-x'?"),
        ("--sim --rules", 2, "needs a value"),
        ("--sim --rules /nowhere", 1, "/nowhere: No such file"),
    ] {
        refuses("firewall_engine", words, code, part);
    }
    fs::write(&rules, "allow arp\nallow everything\n").unwrap();
    let complaint = "rules, line 2: 'everything' is no protocol";
    refuses(
        "firewall_engine",
        &format!("--sim -r {rules}"),
        1,
        complaint,
    );
}

#[cfg(feature = "async")]
#[test]
fn the_echo_in_a_task_loses_nothing_when_futures_are_dropped() {
    for words in ["--sim", "--sim --copy --cancel -q 2 --seed 9"] {
        let counted = [
            "sent 10000, came back 10000, lost 0, wrong 0",
            "received 10000: datagrams 6666, pings 3334, ignored 0",
            "pool 8192 + user 0 + kernel 0",
        ];
        says("async_echo", words, &counted);
    }
    let many = "--sim --cancel --packets 100000";
    says("async_echo", many, &["came back 100000, lost 0, wrong 0"]);
    says("async_echo", "--sim -q 1", &[OTHER_QUEUE]);
    says("async_echo", "--help", &["usage:", "--cancel"]);
    for (words, part) in [
        ("", "an interface is needed"),
        ("--sim -i lo", "not both"),
        ("-i lo --packets 5", "goes with --sim"),
        ("--sim --packets 0", "between 1 and"),
        ("--sim --packets many", "is a number, not 'many'"),
        ("--sim -q", "needs a value"),
        ("--sim -x", "what is '-x'?"),
    ] {
        refuses("async_echo", words, 2, part);
    }
}

#[test]
fn the_load_balancer_moves_the_flows_of_a_silent_backend_alone() {
    let scratch = Scratch::new("balancer");
    let good = [
        "10.0.0.13:8080 is down",
        " 0 others moved, 0 were lost, 0 packets wrong",
        "ARP answered 1",
    ];
    says("load_balancer_system", "--sim", &good);
    let file = scratch.file("flows.pcapng");
    for poller in ["busy", "wait", "adaptive"] {
        let words = format!("--record {file} -q 2 --copy --poller {poller}");
        says("load_balancer_system", &words, &good);
        says("load_balancer_system", &words, &[OTHER_QUEUE]);
    }
    let replayed = [
        "3 backends serve 10.0.0.2:80",
        "flows moved 0, ARP answered 1",
    ];
    says("load_balancer_system", &format!("--pcap {file}"), &replayed);
    let words = "--sim -s 203.0.113.9:443 -b 203.0.113.1:1 -b 203.0.113.2:2";
    let other = ["203.0.113.2:2 served", "203.0.113.2:2 is down", good[1]];
    says("load_balancer_system", words, &other);
    says("load_balancer_system", "--help", &["usage:", "--backend"]);
    for (words, code, part) in [
        ("", 2, "an interface is needed"),
        ("-i near", 2, "a service is needed"),
        ("-i near -s 10.0.0.1:80", 2, "backends are needed"),
        (
            "-i near -s 10.0.0.1:80 -b 10.0.0.1:81",
            2,
            "an address of its own",
        ),
        (
            "--sim -b 10.0.0.3:80 -b 10.0.0.3:81",
            2,
            "an address of its own",
        ),
        (
            "--sim -s 10.0.0.1",
            2,
            "'10.0.0.1' is no IPv4 address with a port",
        ),
        ("--sim -s 10.0.0.1:0", 2, "no IPv4 address with a port"),
        ("--sim -s [::1]:80", 2, "no IPv4 address with a port"),
        ("--sim -s 10.0.0.1:32768", 2, "the ports from 32768 on"),
        ("--sim --down-after never", 2, "--down-after"),
        ("--sim --poller lazy", 2, "no poller 'lazy'"),
        ("--sim -x", 2, "what is '-x'?"),
        ("--sim -b", 2, "needs a value"),
        ("--pcap /nowhere", 1, "/nowhere: No such file"),
    ] {
        refuses("load_balancer_system", words, code, part);
    }
}

#[test]
fn files_and_options_that_cannot_work_are_explained() {
    let scratch = Scratch::new("mistakes");
    let nowhere = scratch.file("nowhere.pcap");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for (name, mode) in [("ping_responder", ""), ("manual_packet_pump", "-m l2fwd ")] {
        let refuses =
            |words: &str, code, part| refuses(name, &format!("{mode}{words}"), code, part);
        refuses(
            &format!("--pcap {nowhere}"),
            1,
            "nowhere.pcap: No such file",
        );
        refuses(&format!("--pcap {source}"), 1, "no kind of pcap or pcapng");
        let unwritable = format!("--pcap {source} --record {nowhere}/file");
        refuses(&unwritable, 1, "nowhere.pcap/file");
        refuses("--sim -i lo", 2, "not both");
        refuses("--sim --mac 02:00", 2, "--mac");
        refuses("--sim -q 300", 1, "queues 301");
        refuses("--pcap", 2, "needs a value");
        refuses("--sim=7", 2, "unexpected argument for option '--sim'");
        refuses("--sim more", 2, "what is 'more'?");
    }
    let endless = format!("-m l2fwd --sim --record {nowhere}");
    refuses("manual_packet_pump", &endless, 2, "without an end");
    let useless = "-m txonly --pcap x";
    refuses("manual_packet_pump", useless, 2, "receives nothing");
}
