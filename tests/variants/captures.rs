//! Capture files with the oddities that others write and read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fluxcap::capture::Capture;
use fluxcap::proto::checksum::{Verdict, verify};
use fluxcap::proto::{Arp, Headers, IcmpEcho, summary};

/// A packet as tshark and this library have it: nanoseconds since 1970, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    nanos: i128,
    bytes: usize,
    original: usize,
}

/// A file, how it is called, and what is to be read of it.
struct File {
    name: String,
    bytes: Vec<u8>,
    packets: Vec<Seen>,
    is_damaged: bool,
}

/// Numbers in either byte order.
#[derive(Debug, Clone, Copy)]
struct Order {
    is_big: bool,
}

impl Order {
    fn half(self, value: u16) -> Vec<u8> {
        let bytes = if self.is_big {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        };
        bytes.to_vec()
    }

    fn words(self, values: &[u32]) -> Vec<u8> {
        let bytes = |value: &u32| {
            if self.is_big {
                value.to_be_bytes()
            } else {
                value.to_le_bytes()
            }
        };
        values.iter().flat_map(bytes).collect()
    }

    fn block(self, kind: u32, parts: &[&[u8]]) -> Vec<u8> {
        let mut body = parts.concat();
        body.resize(body.len().next_multiple_of(4), 0);
        let len = body.len() as u32 + 12;
        [self.words(&[kind, len]), body, self.words(&[len])].concat()
    }

    fn section(self) -> Vec<u8> {
        let version = [self.half(1), self.half(0)].concat();
        self.block(
            0x0a0d_0d0a,
            &[&self.words(&[0x1a2b_3c4d]), &version, &[0xff; 8]],
        )
    }

    fn interface(self, link: u16, resolution: u8) -> Vec<u8> {
        let option = [self.half(9), self.half(1), vec![resolution, 0, 0, 0]].concat();
        let head = [self.half(link), self.half(0), self.words(&[0])].concat();
        self.block(1, &[&head, &option, &self.words(&[0])])
    }

    fn packet(self, interface: u32, ticks: u64, bytes: &[u8], original: u32) -> Vec<u8> {
        let ticks = [(ticks >> 32) as u32, ticks as u32];
        let head = self.words(&[interface, ticks[0], ticks[1], bytes.len() as u32, original]);
        self.block(6, &[&head, bytes])
    }
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| at as u8).collect()
}

fn seen(nanos: i128, bytes: usize, original: usize) -> Seen {
    Seen {
        nanos,
        bytes,
        original,
    }
}

const SECOND: i128 = 1_000_000_000;

/// pcap: every length and every fraction of a second, in both orders and resolutions.
fn pcap_files(order: Order) -> Vec<File> {
    let mut files = Vec::new();
    for (magic, unit) in [(0xa1b2_c3d4_u32, 1000_i128), (0xa1b2_3c4d, 1)] {
        let version = [order.half(2), order.half(4)].concat();
        let header = [
            order.words(&[magic]),
            version,
            order.words(&[0, 0, 65535, 1]),
        ]
        .concat();
        for captured in [14, 59, 60, 61] {
            for original in [20, 60, 1514] {
                for fraction in [0, 999_999, 1_000_000, 2_100_000] {
                    let record = |seconds, original| {
                        let head = order.words(&[seconds, fraction, captured as u32, original]);
                        [head, bytes(captured)].concat()
                    };
                    let nanos = |seconds| seconds * SECOND + i128::from(fraction) * unit;
                    let packets = vec![
                        seen(nanos(7), captured, captured.max(original as usize)),
                        seen(nanos(8), captured, captured.max(1514)),
                    ];
                    files.push(File {
                        name: format!("pcap {magic:#x} {captured} of {original} at {fraction}"),
                        bytes: [header.clone(), record(7, original), record(8, 1514)].concat(),
                        packets,
                        is_damaged: false,
                    });
                }
            }
        }
        // Cut off in the second record.
        for missing in [1, 59, 60, 61, 75] {
            let record = [order.words(&[7, 0, 60, 60]), bytes(60)].concat();
            let mut file = [&header[..], &record, &record].concat();
            file.truncate(file.len() - missing);
            files.push(File {
                name: format!("pcap {magic:#x} without {missing}"),
                bytes: file,
                packets: vec![seen(7 * SECOND, 60, 60)],
                is_damaged: true,
            });
        }
    }
    files
}

/// pcapng: interfaces of other links, resolutions, lengths, a cut end.
fn pcapng_files(order: Order) -> Vec<File> {
    let mut files = Vec::new();
    for (resolution, unit) in [(6, 1000), (9, 1), (0x80 | 30, 0)] {
        for foreign in [113, 1] {
            for original in [20, 60, 1514] {
                let ticks = 5_000_000_000;
                let nanos = match unit {
                    0 => (i128::from(ticks) * SECOND) >> 30,
                    unit => i128::from(ticks) * unit,
                };
                let mut file = [
                    order.section(),
                    order.interface(1, resolution),
                    order.interface(foreign, resolution),
                    order.packet(0, ticks, &bytes(60), original),
                ]
                .concat();
                let first = seen(nanos, 60, 60.max(original as usize));
                files.push(File {
                    name: format!("pcapng {resolution:#x} {foreign} {original}"),
                    bytes: file.clone(),
                    packets: vec![first],
                    is_damaged: false,
                });
                file.extend(order.packet(0, ticks, &bytes(60), 60));
                for missing in [1, 4, 40, 91] {
                    files.push(File {
                        name: format!(
                            "pcapng {resolution:#x} {foreign} {original} without {missing}"
                        ),
                        bytes: file[..file.len() - missing].to_vec(),
                        packets: vec![first],
                        is_damaged: true,
                    });
                }
            }
        }
    }
    files
}

fn files() -> Vec<File> {
    let mut files = Vec::new();
    for is_big in [false, true] {
        for mut file in [pcap_files(Order { is_big }), pcapng_files(Order { is_big })].concat_all()
        {
            let order = if is_big { "big" } else { "little" };
            file.name = format!("{} {order}", file.name);
            files.push(file);
        }
    }
    assert!(files.len() > 300, "{}", files.len());
    files
}

trait ConcatAll {
    fn concat_all(self) -> Vec<File>;
}

impl ConcatAll for [Vec<File>; 2] {
    fn concat_all(self) -> Vec<File> {
        self.into_iter().flatten().collect()
    }
}

fn ours(capture: &Capture) -> Vec<Seen> {
    let packets = capture.packets.iter();
    packets
        .map(|packet| Seen {
            nanos: i128::try_from(packet.time.as_nanos()).unwrap(),
            bytes: packet.bytes.len(),
            original: packet.original_len as usize,
        })
        .collect()
}

#[test]
fn odd_files_give_all_their_whole_packets() {
    for file in files() {
        let capture = Capture::from_reader(&file.bytes[..]).unwrap();
        assert_eq!(ours(&capture), file.packets, "{}", file.name);
        assert_eq!(capture.damage.is_some(), file.is_damaged, "{}", file.name);
        assert_eq!(
            capture.complete().is_err(),
            file.is_damaged,
            "{}",
            file.name
        );
    }
}

/// Seconds as tshark prints them, with more than a second behind the point where the file has that.
fn nanos(text: &str) -> i128 {
    let (seconds, fraction) = text.split_once('.').unwrap();
    seconds.parse::<i128>().unwrap() * SECOND + fraction.parse::<i128>().unwrap()
}

#[test]
fn tshark_reads_the_same_packets() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("odd.capture");
    // One run of it takes a while.
    for file in files().iter().step_by(23) {
        fs::write(&path, &file.bytes).unwrap();
        let output = Command::new("tshark")
            .args(["-n", "-r"])
            .arg(&path)
            .args([
                "-T",
                "fields",
                "-e",
                "frame.time_epoch",
                "-e",
                "frame.cap_len",
                "-e",
                "frame.len",
            ])
            .output();
        let Ok(output) = output else {
            println!("skipped: captures are not held against tshark, which is not here");
            break;
        };
        let text = String::from_utf8(output.stdout).unwrap();
        let theirs: Vec<Seen> = text
            .lines()
            .map(|line| {
                let fields: Vec<&str> = line.split('\t').collect();
                let captured = fields[1].parse().unwrap();
                let original: usize = fields[2].parse().unwrap();
                // It shows the length that is less than what was captured.
                seen(nanos(fields[0]), captured, original.max(captured))
            })
            .collect();
        assert_eq!(theirs, file.packets, "{}", file.name);
        assert_eq!(output.status.success(), !file.is_damaged, "{}", file.name);
    }
    let _ = fs::remove_file(&path);
}

fn committed(name: &str) -> Capture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/variants/captures");
    Capture::read(folder.join(name)).unwrap()
}

#[test]
fn files_that_once_were_refused_or_misread_are_not() {
    for (name, lengths, is_damaged) in [
        ("caplen_gt_len_le.pcap", &[46, 60][..], false),
        ("ng_caplen_gt_len_le.pcapng", &[46, 60], false),
        ("ng_eth_and_sll_le.pcapng", &[46, 60], false),
        ("usec_gt_million_le.pcap", &[46, 60], false),
        ("truncated_record_le.pcap", &[46], true),
    ] {
        let capture = committed(name);
        let found: Vec<usize> = ours(&capture).iter().map(|packet| packet.bytes).collect();
        assert_eq!(found, lengths, "{name}");
        assert_eq!(capture.damage.is_some(), is_damaged, "{name}");
    }
    let late = committed("usec_gt_million_le.pcap");
    let seconds = |at: usize| late.packets[at].time.as_secs_f64();
    assert_eq!((seconds(0), seconds(1)), (1_000_000_001.0, 1_000_000_002.0));

    let frame = |name: &str| committed(name).packets.remove(0).bytes;
    let mobile = frame("home-address-option.pcap");
    assert_eq!(verify(&mobile), Ok(Verdict::Right));
    let arp = frame("arp-hardware-6.pcap");
    assert_eq!(Arp::parse(&arp[22..]).unwrap().0.hardware_type(), 6);
    assert!(summary(&arp).to_string().starts_with("ARP, Re"));
    let echo = frame("echo-code-9.pcap");
    assert_eq!(IcmpEcho::parse(&echo[34..]).unwrap().0.code(), 9);
    assert!(summary(&echo).to_string().contains("ICMP echo re"));
    let (headers, error) = Headers::parse_partial(&frame("partial-tcp-8-bytes.pcap"));
    assert!(
        error.is_some() && headers.ports() == Some((49152, 80)),
        "{headers:?}"
    );
}
