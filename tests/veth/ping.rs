//! The kernel in another namespace pings; a thread of this process answers.

use std::fs;
use std::net::Ipv4Addr;
use std::process::{Command, id};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fluxcap::proto::{
    Arp, ArpOperation, EtherType, Ethernet, IcmpEcho, IcmpType, IpProtocol, Ipv4, MacAddr,
};
use fluxcap::{FluxRaw, Verdict, XdpMode};

use super::net::{Elsewhere, in_namespace};
use super::process::{Program, is_installed, run};
use super::traffic::{close, large};

const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// Answers in place until told to stop; returns the number of pings.
fn answer(raw: &mut FluxRaw, stop: &AtomicBool) -> u32 {
    let mac = raw.interface().mac.unwrap();
    let mut pings = 0;
    while !stop.load(Ordering::Relaxed) {
        raw.refill();
        let count = raw.forward_each(64, |mut packet| match reply(packet.data_mut(), mac) {
            Some(is_ping) => {
                pings += u32::from(is_ping);
                Verdict::Send
            }
            None => Verdict::Recycle,
        });
        raw.wake_tx().unwrap();
        if count == 0 {
            raw.wait_rx(Some(Duration::from_millis(20))).unwrap();
        }
    }
    pings
}

/// Turns a request into its reply and says whether it was a ping; `None` if it was something else.
fn reply(frame: &mut [u8], mac: MacAddr) -> Option<bool> {
    let (ethernet, payload) = Ethernet::parse_mut(frame).ok()?;
    let is_ping = match ethernet.ether_type() {
        EtherType::ARP => {
            let (arp, _) = Arp::parse_mut(payload).ok()?;
            if arp.operation() != ArpOperation::REQUEST || arp.target_ip() != OURS {
                return None;
            }
            arp.into_reply(mac);
            false
        }
        EtherType::IPV4 => {
            let (ip, message) = Ipv4::parse_mut(payload).ok()?;
            if ip.protocol() != IpProtocol::ICMP || ip.destination() != OURS {
                return None;
            }
            let (echo, data) = IcmpEcho::parse_mut(message).ok()?;
            if echo.icmp_type() != IcmpType::ECHO_REQUEST {
                return None;
            }
            assert!(ip.verify_checksum() && echo.verify_checksum(data));
            echo.into_reply();
            ip.swap_addresses();
            true
        }
        _ => return None,
    };
    ethernet.swap_addresses();
    ethernet.set_source(mac);
    Some(is_ping)
}

/// Runs `work` while a thread answers on `raw`; returns the number of pings answered.
fn while_answering(raw: &mut FluxRaw, work: impl FnOnce()) -> u32 {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let responder = scope.spawn(|| answer(raw, &stop));
        let end = Stop(&stop);
        work();
        drop(end);
        responder.join().unwrap()
    })
}

fn ping(words: &str) -> String {
    run(Command::new("ping")
        .args(words.split_whitespace())
        .arg(OURS.to_string()))
}

#[test]
fn ten_thousand_flood_pings_are_answered_with_right_checksums() {
    in_namespace(|| {
        if !is_installed("ping") {
            println!("skipped: ping (iputils-ping) is not installed");
            return;
        }
        let elsewhere = Elsewhere::with("far", "10.0.0.1/24");
        let mut near = large("near").build().unwrap();
        let capture = is_installed("tcpdump").then(|| Capture::start(&elsewhere));
        let answered = while_answering(&mut near, || {
            let said = elsewhere.run(|| ping("-f -q -c 10000"));
            assert!(
                said.contains("10000 packets transmitted, 10000 received, 0% packet loss"),
                "{said}"
            );
        });
        assert_eq!(answered, 10_000);
        match capture {
            Some(capture) => capture.check(10_000),
            None => println!("skipped: tcpdump is not installed: checksums not compared with its"),
        }
        let statistics = near.statistics().unwrap();
        assert_eq!((statistics.rx_dropped, statistics.rx_ring_full), (0, 0));
        close(near);
    });
}

#[test]
fn pings_of_every_kind_are_answered_in_generic_mode() {
    in_namespace(|| {
        if !is_installed("ping") {
            println!("skipped: ping (iputils-ping) is not installed");
            return;
        }
        let elsewhere = Elsewhere::with("far", "10.0.0.1/24");
        let mut near = large("near").xdp_mode(XdpMode::Generic).build().unwrap();
        let answered = while_answering(&mut near, || {
            for words in [
                "-s 0",
                "-s 1",
                "-s 1400",
                "-s 1472",
                "-p deadbeef",
                "-Q 0x10",
            ] {
                let words = format!("-c 50 -f -q {words}");
                let said = elsewhere.run(move || ping(&words));
                assert!(said.contains("50 received, 0% packet loss"), "{said}");
                assert!(!said.contains("wrong data byte"), "{said}");
            }
        });
        assert_eq!(answered, 300);
        close(near);
    });
}

/// What the kernel sees of ICMP on `far`, written to a file by tcpdump.
struct Capture {
    program: Program,
    file: File,
}

/// The name of a file that is removed when dropped.
struct File(String);

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Capture {
    fn start(elsewhere: &Elsewhere) -> Self {
        let file = File(format!(
            "{}/fluxcap-veth-{}.pcap",
            std::env::temp_dir().display(),
            id()
        ));
        let name = file.0.clone();
        let program = elsewhere.run(move || {
            let words = format!("-i far -n -Z root -B 32768 -w {name} icmp");
            let mut program =
                Program::start(Command::new("tcpdump").args(words.split_whitespace()));
            program.wait_for("listening on");
            program
        });
        Self { program, file }
    }

    /// Ends it, and checks every reply by our views and by tcpdump's own eyes.
    fn check(self, replies: usize) {
        // It reads packets in blocks, the last of them after up to a second.
        thread::sleep(Duration::from_millis(1100));
        self.program.signal(libc::SIGINT);
        let (status, said) = self.program.finish();
        assert!(status.success(), "{said}");
        assert!(said.contains("\n0 packets dropped by kernel"), "{said}");

        let bytes = fs::read(&self.file.0).unwrap();
        let frames = frames(&bytes);
        let right = frames.iter().filter(|frame| is_right_reply(frame)).count();
        assert_eq!((right, frames.len()), (replies, 2 * replies));

        let text = run(Command::new("tcpdump").args(["-n", "-vv", "-r", &self.file.0]));
        assert_eq!(text.matches("ICMP echo reply").count(), replies);
        for complaint in ["bad cksum", "wrong icmp cksum"] {
            assert!(!text.contains(complaint), "{complaint}");
        }
    }
}

/// The frames of a capture file in this machine's byte order.
fn frames(file: &[u8]) -> Vec<&[u8]> {
    let number = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(number(0), 0xa1b2_c3d4);
    let mut frames = Vec::new();
    let mut at = 24;
    while at < file.len() {
        let (captured, length) = (number(at + 8), number(at + 12));
        assert_eq!(captured, length);
        frames.push(&file[at + 16..at + 16 + length]);
        at += 16 + length;
    }
    frames
}

fn is_right_reply(frame: &[u8]) -> bool {
    let (_, packet) = Ethernet::parse(frame).unwrap();
    let (ip, message) = Ipv4::parse(packet).unwrap();
    let (echo, data) = IcmpEcho::parse(message).unwrap();
    assert!(ip.verify_checksum(), "{ip}");
    assert!(echo.verify_checksum(data), "{echo}");
    echo.icmp_type() == IcmpType::ECHO_REPLY && ip.source() == OURS
}
