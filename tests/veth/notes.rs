//! What the report tells of packets that do not come as they were sent, or not at all.

use std::fs::File;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::{Duration, Instant};

use fluxcap::proto::Headers;
use fluxcap::{FluxBuilder, FluxRaw, XdpMode};

use super::net::{add_pair, in_namespace, ip};
use super::traffic::{close, frame, receive, small};

/// The notes about one thing.
fn about<'a>(notes: &'a [String], what: &str) -> Vec<&'a String> {
    notes.iter().filter(|note| note.contains(what)).collect()
}

#[test]
fn tags_that_a_sender_left_to_its_device_are_named_with_the_words_to_type() {
    in_namespace(|| {
        let near = small("near").build().unwrap();
        let notes = &near.report().notes;
        let text = near.report().to_string();
        let [note] = about(notes, "VLAN")[..] else {
            panic!("{notes:?}");
        };
        assert!(
            note.contains("ethtool -K PEER tx-vlan-hw-insert off"),
            "{note}"
        );
        assert!(text.contains(&format!("note:        {note}")), "{text}");
        assert!(about(notes, "generic").is_empty(), "{notes:?}");
        close(near);
        // It receives nothing.
        let sender = small("near").load_xdp(false).build().unwrap();
        assert!(sender.report().notes.is_empty());
        close(sender);
    });
}

#[test]
fn a_tag_that_a_sender_left_to_its_device_arrives_once_the_words_are_typed() {
    in_namespace(|| {
        let tagging = Command::new("ip")
            .args("link add link far name tagged type vlan id 7".split(' '))
            .output();
        if !tagging.is_ok_and(|output| output.status.success()) {
            println!("skipped: this kernel has no VLAN devices");
            return;
        }
        ip("link set tagged up");
        ip("addr add 10.77.0.1/24 dev tagged");
        ip("neigh add 10.77.0.2 lladdr 02:00:00:00:00:77 dev tagged");
        let mut near = small("near").build().unwrap();
        let socket = UdpSocket::bind("10.77.0.1:0").unwrap();
        let tags_of_one = |near: &mut FluxRaw| {
            socket.send_to(b"tagged?", "10.77.0.2:9").unwrap();
            let packet = receive(near, 1).pop().unwrap();
            let headers = Headers::parse(packet.data()).unwrap();
            assert_eq!(headers.ports().unwrap().1, 9);
            (headers.vlan_tags(), headers.outer_tag())
        };
        assert_eq!(tags_of_one(&mut near), (0, None));
        let note = about(&near.report().notes, "VLAN")[0].clone();
        let (_, words) = note.split_once("ethtool ").expect("words to type");
        let words = words.replace("PEER", "far");
        let typed = Command::new("ethtool").args(words.split(' ')).output();
        match typed {
            Ok(output) if output.status.success() => {
                assert_eq!(tags_of_one(&mut near), (1, Some(7)))
            }
            _ => println!("skipped: there is no ethtool that could type the words"),
        }
        close(near);
    });
}

#[test]
fn merged_segments_are_named_in_generic_mode_and_come_singly_once_the_words_are_typed() {
    in_namespace(|| {
        ip("addr add 10.77.0.1/24 dev far");
        ip("neigh add 10.77.0.2 lladdr 02:00:00:00:00:77 dev far");
        let generic = small("near").xdp_mode(XdpMode::Generic);
        let mut near = generic.build().unwrap();
        let notes = near.report().notes.clone();
        let [note] = about(&notes, "generic XDP")[..] else {
            panic!("{notes:?}");
        };
        assert!(
            note.contains("ethtool -K PEER tso off gso off tx-udp-segmentation off"),
            "{note}"
        );

        let features = Command::new("ethtool").args(["-k", "far"]).output();
        if features.is_ok_and(|features| {
            String::from_utf8_lossy(&features.stdout).contains("tx-udp-segmentation: off")
        }) {
            println!("skipped: veth of this kernel takes no merged datagrams (Linux 5.11 does)");
            return close(near);
        }
        // Five datagrams in one piece.
        let socket = UdpSocket::bind("10.77.0.1:0").unwrap();
        let segment: libc::c_int = 1000;
        // SAFETY: reads one number.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_UDP,
                libc::UDP_SEGMENT,
                (&raw const segment).cast(),
                size_of_val(&segment) as libc::socklen_t,
            )
        };
        assert_eq!(result, 0, "UDP_SEGMENT");
        let arrived = |near: &mut FluxRaw, expected: u32| {
            socket.send_to(&[7; 5000], "10.77.0.2:9").unwrap();
            let end = Instant::now() + Duration::from_secs(10);
            let (mut whole, mut others) = (0, 0);
            while Instant::now() < end {
                near.recv_each(64, |packet| match packet.len() {
                    1042 => whole += 1,
                    _ => others += 1,
                });
                let dropped = near.statistics().unwrap().rx_dropped;
                if whole >= expected && (expected > 0 || dropped > 0) {
                    break;
                }
                near.refill();
            }
            whole
        };
        assert_eq!(arrived(&mut near, 0), 0);
        let words = [
            "-K",
            "far",
            "tso",
            "off",
            "gso",
            "off",
            "tx-udp-segmentation",
            "off",
        ];
        match Command::new("ethtool").args(words).output() {
            Ok(output) if output.status.success() => assert_eq!(arrived(&mut near, 5), 5),
            _ => println!("skipped: there is no ethtool that could type the words"),
        }
        close(near);
    });
}

#[test]
fn queues_without_a_socket_are_named_and_those_opened_together_are_not() {
    in_namespace(|| {
        add_pair("four", "fore", "numrxqueues 4 numtxqueues 4");
        let one = small("four").queue(1).build().unwrap();
        let notes = one.report().notes.clone();
        let [note] = about(&notes, "receive queues")[..] else {
            panic!("{notes:?}");
        };
        assert!(note.contains("packets of queues 0, 2, 3 do not"), "{note}");
        assert!(note.contains("ethtool -L four combined 1"), "{note}");
        close(one);
        for raw in small("four").build_queues(..).unwrap() {
            let notes = &raw.report().notes;
            assert!(about(notes, "receive queues").is_empty(), "{notes:?}");
            close(raw);
        }
    });
}

#[test]
fn a_device_without_ethernet_header_is_named() {
    in_namespace(|| {
        let Some(_open) = tun("hole") else {
            println!("skipped: this kernel has no tun");
            return;
        };
        ip("link set hole up");
        let hole = small("hole").build().unwrap();
        let notes = hole.report().notes.clone();
        assert_eq!(about(&notes, "IP header").len(), 1, "{notes:?}");
        close(hole);
        // It has an Ethernet header, of zeros.
        let lo = FluxBuilder::new("lo").frames(256).fill_size(64);
        ip("link set lo up mtu 1500");
        let lo = lo.build().unwrap();
        assert!(about(&lo.report().notes, "header").is_empty());
        close(lo);
    });
}

#[test]
fn what_a_device_drops_was_sent_for_the_socket_and_stands_in_the_devices_counters() {
    in_namespace(|| {
        let mut near = small("near").build().unwrap();
        let mut send = |len: usize| {
            let mut packet = near.alloc().unwrap();
            packet.copy_from(&frame(1, len)).unwrap();
            near.send_one(packet).unwrap();
            assert!(near.flush(Duration::from_secs(10)).unwrap(), "it has left");
        };
        send(1700);
        ip("link set far down");
        send(60);
        ip("link set far up");
        let statistics = near.statistics().unwrap();
        assert_eq!((near.totals().1, statistics.tx_invalid_descs), (2, 0));
        let told = ip("-s link show near");
        let (_, tx) = told.split_once("TX:").expect("ip shows what was sent");
        let mut numbers = tx.lines().nth(1).unwrap().split_whitespace();
        assert_eq!(numbers.nth(3), Some("2"), "dropped: {told}");
        close(near);
    });
}

/// A tun device, which is there as long as the file is open.
fn tun(name: &str) -> Option<File> {
    let file = File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .ok()?;
    // SAFETY: all zeros are a value of it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: reads and writes an `ifreq`.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &mut request) };
    (result == 0).then_some(file)
}
