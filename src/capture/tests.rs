use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Instant;

use super::*;
use crate::error::{ErrorKind, FluxError, Result, errno};

const LITTLE: Bytes = Bytes { big: false };
const BIG: Bytes = Bytes { big: true };

/// Files as other programs write them, in either byte order.
#[derive(Clone, Copy)]
struct Bytes {
    big: bool,
}

impl Bytes {
    fn half(self, value: u16) -> Vec<u8> {
        match self.big {
            true => value.to_be_bytes().into(),
            false => value.to_le_bytes().into(),
        }
    }

    fn word(self, value: u32) -> Vec<u8> {
        match self.big {
            true => value.to_be_bytes().into(),
            false => value.to_le_bytes().into(),
        }
    }

    fn words(self, values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| self.word(*value)).collect()
    }

    fn pcap_header(self, magic: u32, link: u32) -> Vec<u8> {
        let version = [self.half(2), self.half(4)].concat();
        [self.word(magic), version, self.words(&[0, 0, 65535, link])].concat()
    }

    fn pcap_record(self, seconds: u32, fraction: u32, bytes: &[u8], original: u32) -> Vec<u8> {
        let header = self.words(&[seconds, fraction, bytes.len() as u32, original]);
        [header, bytes.to_vec()].concat()
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let body = padded(body);
        let length = self.word(body.len() as u32 + 12);
        [self.word(kind), length.clone(), body, length].concat()
    }

    fn section(self) -> Vec<u8> {
        let length = [0xff; 8];
        let version = [self.half(1), self.half(0)].concat();
        self.block(
            0x0a0d_0d0a,
            &[self.word(0x1a2b_3c4d), version, length.to_vec()].concat(),
        )
    }

    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let head = [self.half(code), self.half(value.len() as u16)].concat();
        [head, padded(value)].concat()
    }

    fn interface(self, link: u16, snap_len: u32, options: &[Vec<u8>]) -> Vec<u8> {
        let head = [self.half(link), self.half(0), self.word(snap_len)].concat();
        self.block(1, &[head, options.concat()].concat())
    }

    fn enhanced(
        self,
        interface: u32,
        ticks: u64,
        bytes: &[u8],
        original: u32,
        options: &[Vec<u8>],
    ) -> Vec<u8> {
        let head = self.words(&[
            interface,
            (ticks >> 32) as u32,
            ticks as u32,
            bytes.len() as u32,
            original,
        ]);
        self.block(6, &[head, padded(bytes), options.concat()].concat())
    }

    fn simple(self, bytes: &[u8], original: u32) -> Vec<u8> {
        self.block(3, &[self.word(original), bytes.to_vec()].concat())
    }
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn read(file: &[u8]) -> Result<Capture> {
    Capture::from_reader(file)
}

/// Expects so many packets, and damage behind them that says all of `texts`.
fn damaged(file: &[u8], packets: usize, texts: &[&str]) {
    let capture = read(file).unwrap();
    assert_eq!(capture.packets.len(), packets);
    let damage = capture.damage.clone().unwrap();
    for text in texts {
        assert!(
            damage.to_string().contains(text),
            "{text:?} not in {damage}"
        );
    }
    assert_eq!(capture.complete().unwrap_err(), damage);
}

/// Expects a refusal that says all of `texts`.
fn refused(file: &[u8], texts: &[&str]) -> FluxError {
    let error = read(file).unwrap_err();
    for text in texts {
        assert!(error.to_string().contains(text), "{text:?} not in {error}");
    }
    error
}

fn packet(length: usize) -> Vec<u8> {
    (0..length).map(|i| i as u8).collect()
}

/// A small file of each kind, with a bit of everything.
fn files() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for order in [LITTLE, BIG] {
        for magic in [0xa1b2_c3d4, 0xa1b2_3c4d] {
            files.push(
                [
                    order.pcap_header(magic, 1),
                    order.pcap_record(10, 999_999, &packet(61), 61),
                    order.pcap_record(11, 0, &packet(60), 1514),
                ]
                .concat(),
            );
        }
        files.push(
            [
                order.section(),
                order.interface(
                    1,
                    0,
                    &[
                        order.option(2, b"left"),
                        order.option(9, &[9]),
                        order.option(0, b""),
                    ],
                ),
                order.interface(1, 64, &[order.option(2, b"right")]),
                order.block(0x0bad_cafe, &packet(33)),
                order.enhanced(0, 5, &packet(61), 61, &[order.option(2, &order.word(1))]),
                order.enhanced(1, 7, &packet(64), 1514, &[order.option(2, &order.word(2))]),
                order.simple(&packet(60), 60),
                order.block(5, &packet(12)),
            ]
            .concat(),
        );
    }
    files
}

// Round trips.

#[test]
fn pcapng_gives_back_packets_times_directions_and_interfaces() {
    let mut writer = CaptureWriter::new(Vec::new(), CaptureFormat::PcapNg).unwrap();
    let late = Duration::new(1_900_000_000, 123_456_789);
    writer.interface("idle").unwrap();
    writer
        .write(
            "left",
            Some(Direction::Out),
            Duration::from_nanos(1),
            &packet(61),
        )
        .unwrap();
    writer
        .write("right", Some(Direction::In), late, &packet(1514))
        .unwrap();
    writer.write("left", None, late, &[]).unwrap();
    let capture = read(&writer.finish().unwrap()).unwrap();
    let names: Vec<_> = capture.interfaces.iter().flat_map(|i| &i.name).collect();
    assert_eq!(names, ["idle", "left", "right"]);
    let expected = |time, length, interface, direction| CapturedPacket {
        time,
        bytes: packet(length),
        original_len: length as u32,
        interface,
        direction,
    };
    assert_eq!(
        capture.packets,
        [
            expected(Duration::from_nanos(1), 61, 1, Some(Direction::Out)),
            expected(late, 1514, 2, Some(Direction::In)),
            expected(late, 0, 1, None),
        ]
    );
}

#[test]
fn pcap_gives_back_packets_and_times_to_the_nanosecond() {
    let mut writer = CaptureWriter::new(Vec::new(), CaptureFormat::Pcap).unwrap();
    let time = Duration::new(u32::MAX.into(), 999_999_999);
    writer
        .write("left", Some(Direction::Out), time, &packet(61))
        .unwrap();
    writer
        .write("right", None, Duration::ZERO, &packet(0))
        .unwrap();
    let capture = read(&writer.finish().unwrap()).unwrap();
    assert_eq!(capture.interfaces, [CapturedInterface { name: None }]);
    assert_eq!(capture.start(), Duration::ZERO);
    let first = &capture.packets[0];
    assert_eq!((first.time, first.direction), (time, None));
    assert_eq!(first.bytes, packet(61));
    assert!(capture.packets[1].bytes.is_empty());
}

#[test]
fn a_cut_packet_stays_cut_when_copied_in_either_format() {
    let file = [
        LITTLE.pcap_header(0xa1b2_c3d4, 1),
        LITTLE.pcap_record(1, 2, &packet(60), 1514),
    ]
    .concat();
    let cut = read(&file).unwrap().packets.remove(0);
    for format in [CaptureFormat::Pcap, CaptureFormat::PcapNg] {
        let mut writer = CaptureWriter::new(Vec::new(), format).unwrap();
        writer.write_captured("left", &cut).unwrap();
        let copy = read(&writer.finish().unwrap()).unwrap();
        assert_eq!(copy.packets, std::slice::from_ref(&cut));
        assert_eq!(copy.packets[0].original_len, 1514);
    }
}

#[test]
fn the_longest_packet_makes_the_round_trip_and_a_longer_one_is_refused() {
    for format in [CaptureFormat::Pcap, CaptureFormat::PcapNg] {
        let mut writer = CaptureWriter::new(Vec::new(), format).unwrap();
        let longest = vec![7; MAX_PACKET];
        writer.write("l", None, Duration::ZERO, &longest).unwrap();
        let error = writer
            .write("l", None, Duration::ZERO, &vec![7; MAX_PACKET + 1])
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let capture = read(&writer.finish().unwrap()).unwrap();
        assert_eq!(capture.packets.len(), 1);
        assert_eq!(capture.packets[0].bytes, longest);
    }
}

// What others write.

#[test]
fn pcap_of_both_byte_orders_and_both_resolutions_is_read() {
    for order in [LITTLE, BIG] {
        for (magic, nanos) in [(0xa1b2_c3d4, 999_999_000), (0xa1b2_3c4d, 999_999)] {
            let file = [
                order.pcap_header(magic, 1),
                order.pcap_record(10, 999_999, &packet(61), 61),
                order.pcap_record(11, 0, &packet(60), 1514),
            ]
            .concat();
            let packets = read(&file).unwrap().packets;
            assert_eq!(packets.len(), 2);
            assert_eq!(packets[0].time, Duration::new(10, nanos));
            assert_eq!(packets[0].bytes, packet(61));
            assert_eq!(packets[1].original_len, 1514);
        }
    }
}

#[test]
fn pcapng_of_both_byte_orders_is_read_and_unknown_blocks_are_skipped() {
    for order in [LITTLE, BIG] {
        let file = [
            order.section(),
            order.interface(1, 0, &[order.option(2, b"left"), order.option(9, &[9])]),
            order.block(0x0bad_cafe, &[1; 5]),
            order.interface(1, 0, &[order.option(12, b"an OS"), order.option(0, b"")]),
            order.enhanced(
                0,
                1 << 40,
                &packet(61),
                61,
                &[order.option(2, &order.word(0x101))],
            ),
            order.block(4, &[1; 600_000]),
            order.enhanced(
                1,
                1 << 40,
                &packet(60),
                1514,
                &[
                    order.option(1, b"a comment"),
                    order.option(2, &order.word(2)),
                ],
            ),
            order.block(5, &[0; 12]),
        ]
        .concat();
        let capture = read(&file).unwrap();
        let [first, second] = &capture.packets[..] else {
            panic!("{capture:?}")
        };
        assert_eq!(first.time, Duration::from_nanos(1 << 40));
        assert_eq!((first.interface, first.direction), (0, Some(Direction::In)));
        assert_eq!(first.bytes, packet(61));
        assert_eq!(second.time, Duration::from_micros(1 << 40));
        assert_eq!(
            (second.interface, second.direction),
            (1, Some(Direction::Out))
        );
        assert_eq!((&second.bytes, second.original_len), (&packet(60), 1514));
        assert_eq!(capture.interfaces[0].name.as_deref(), Some("left"));
        assert_eq!(capture.interfaces[1].name, None);
    }
}

#[test]
fn times_follow_the_resolution_and_the_offset_of_the_interface() {
    for (resolution, ticks, time) in [
        (0, 7, Duration::from_secs(7)),
        (3, 7001, Duration::from_millis(7001)),
        (12, 7_000_000_001_999, Duration::new(7, 1)),
        (19, u64::MAX, Duration::new(1, 844_674_407)),
        (0x80, 7, Duration::from_secs(7)),
        (
            0x80 | 20,
            (7 << 20) | (1 << 19),
            Duration::from_millis(7500),
        ),
        (0x80 | 63, u64::MAX, Duration::new(1, 999_999_999)),
    ] {
        for order in [LITTLE, BIG] {
            for offset in [0i64, 1000, -1] {
                let bytes = match order.big {
                    true => offset.to_be_bytes(),
                    false => offset.to_le_bytes(),
                };
                let options = [order.option(9, &[resolution]), order.option(14, &bytes)];
                let file = [
                    order.section(),
                    order.interface(1, 0, &options),
                    order.enhanced(0, ticks, &packet(60), 60, &[]),
                ]
                .concat();
                let seconds = time.as_secs().checked_add_signed(offset).unwrap();
                let expected = Duration::new(seconds, time.subsec_nanos());
                assert_eq!(
                    read(&file).unwrap().packets[0].time,
                    expected,
                    "{resolution:#x}"
                );
            }
        }
    }
}

#[test]
fn a_simple_packet_has_the_time_before_and_the_length_that_the_interface_cuts_to() {
    let file = [
        BIG.section(),
        BIG.interface(1, 61, &[]),
        BIG.enhanced(0, 7, &packet(60), 60, &[]),
        BIG.simple(&padded(&packet(61)), 1514),
        BIG.simple(&padded(&packet(59)), 59),
    ]
    .concat();
    let packets = read(&file).unwrap().packets;
    assert_eq!(
        (packets[1].bytes.len(), packets[1].original_len),
        (61, 1514)
    );
    assert_eq!((packets[2].bytes.len(), packets[2].original_len), (59, 59));
    assert_eq!(packets[2].time, Duration::from_micros(7));
}

#[test]
fn each_section_has_its_own_interfaces_and_byte_order() {
    let section = |order: Bytes, name: &str| {
        [
            order.section(),
            order.interface(1, 0, &[order.option(2, name.as_bytes())]),
            order.enhanced(0, 7, &packet(60), 60, &[]),
        ]
        .concat()
    };
    let file = [
        section(LITTLE, "a"),
        section(BIG, "b"),
        section(LITTLE, "c"),
    ]
    .concat();
    let capture = read(&file).unwrap();
    let names: Vec<_> = capture
        .packets
        .iter()
        .map(|packet| {
            capture.interfaces[packet.interface]
                .name
                .as_deref()
                .unwrap()
        })
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
    let orphan = [
        section(LITTLE, "a"),
        BIG.section(),
        BIG.enhanced(0, 7, &[], 0, &[]),
    ]
    .concat();
    damaged(&orphan, 1, &["interface 0", "after 1 packets"]);
}

#[test]
fn a_file_without_packets_is_an_empty_capture() {
    assert_eq!(read(&LITTLE.section()).unwrap(), Capture::default());
    let capture = read(&BIG.pcap_header(0xa1b2_c3d4, 1)).unwrap();
    assert_eq!(
        (capture.packets.len(), capture.start()),
        (0, Duration::ZERO)
    );
}

#[test]
fn a_captured_frame_check_sequence_does_not_make_the_link_type_a_foreign_one() {
    let file = LITTLE.pcap_header(0xa1b2_c3d4, 0x2400_0001);
    assert!(read(&file).is_ok());
}

// What is damaged or foreign.

#[test]
fn what_is_no_capture_file_is_refused() {
    refused(b"", &["0 bytes"]);
    refused(b"\xd4\xc3", &["2 bytes"]);
    let error = refused(b"\x7fELF...", &["no kind of pcap or pcapng", "byte 0"]);
    assert_eq!(
        (error.kind(), error.errno()),
        (ErrorKind::Invalid, errno::EINVAL)
    );
    refused(b"\x1f\x8b\x08\x00", &["gzip", "gunzip"]);
    let mut old = LITTLE.pcap_header(0xa1b2_c3d4, 1);
    old[4] = 1;
    let error = refused(&old, &["version 1.4"]);
    assert_eq!(
        (error.kind(), error.errno()),
        (ErrorKind::Unsupported, errno::EOPNOTSUPP)
    );
    let mut new = LITTLE.section();
    new[12] = 2;
    refused(&new, &["version 2.0"]);
    let mut newer = LITTLE.pcap_header(0xa1b2_c3d4, 1);
    newer[6] = 5;
    refused(&newer, &["version 2.5"]);
}

#[test]
fn packet_blocks_of_old_are_read() {
    for order in [LITTLE, BIG] {
        let head = [order.half(1), order.half(7), order.words(&[0, 5, 60, 1514])].concat();
        let options = order.option(2, &order.word(2));
        let file = [
            order.section(),
            order.interface(1, 0, &[]),
            order.interface(1, 0, &[]),
            order.block(2, &[head, packet(60), options].concat()),
        ]
        .concat();
        let expected = CapturedPacket {
            time: Duration::from_micros(5),
            bytes: packet(60),
            original_len: 1514,
            interface: 1,
            direction: Some(Direction::Out),
        };
        assert_eq!(read(&file).unwrap().packets, [expected]);
    }
}

#[test]
fn older_pcap_files_and_those_of_a_patched_tcpdump_are_read() {
    for order in [LITTLE, BIG] {
        // Up to 2.2 the two lengths were exchanged, by some in 2.3 too.
        for (minor, lengths) in [
            (2, [1514, 60]),
            (3, [60, 1514]),
            (3, [1514, 60]),
            (4, [60, 1514]),
        ] {
            let mut header = order.pcap_header(0xa1b2_c3d4, 1);
            header[6..8].copy_from_slice(&order.half(minor));
            let record = order.words(&[1, 2, lengths[0], lengths[1]]);
            let packets = read(&[header, record, packet(60)].concat())
                .unwrap()
                .packets;
            assert_eq!(
                (packets[0].bytes.len(), packets[0].original_len),
                (60, 1514)
            );
        }
        let record = order.words(&[1, 2, 60, 60, 3, 0x0008_0000]);
        let patched = [order.pcap_header(0xa1b2_cd34, 1), record, packet(60)].concat();
        let file = [&patched[..], &patched[24..]].concat();
        let packets = read(&file).unwrap().packets;
        assert_eq!((packets.len(), &packets[1].bytes), (2, &packet(60)));
        assert_eq!(packets[1].time, Duration::new(1, 2000));
    }
}

#[test]
fn a_file_that_ends_too_early_gives_its_whole_packets_wherever_it_ends() {
    for file in files() {
        let whole = read(&file).unwrap().packets;
        let (mut complete, mut most) = (0, 0);
        for length in 0..file.len() {
            match read(&file[..length]) {
                Ok(capture) => {
                    let count = capture.packets.len();
                    assert_eq!(capture.packets, whole[..count]);
                    assert!(count >= most, "{count} of {length} bytes");
                    most = count;
                    match capture.damage {
                        None => complete += 1,
                        Some(damage) => {
                            assert!(count > 0);
                            let text = damage.to_string();
                            assert!(
                                text.contains("too early") || text.contains("within"),
                                "{text}"
                            );
                        }
                    }
                }
                Err(error) => {
                    assert_eq!((error.kind(), most), (ErrorKind::Invalid, 0), "{length}");
                    let text = error.to_string();
                    assert!(
                        length < 4 || text.contains("too early") || text.contains("within"),
                        "{text}"
                    );
                }
            }
        }
        // Only an end between two blocks is a good one.
        assert!((1..=7).contains(&complete), "{complete}");
        assert!(most > 0);
    }
}

#[test]
fn the_damage_names_the_place_and_how_many_packets_were_good() {
    let mut file = files().remove(0);
    file.truncate(file.len() - 1);
    damaged(
        &file,
        1,
        &[
            "byte 101 after 1 packets",
            "1 bytes too early",
            "Capture has them in Rust",
        ],
    );
}

#[test]
fn the_place_of_an_error_counts_skipped_blocks() {
    let section = LITTLE.section();
    let at = section.len() + 12 + 40;
    let file = [
        section,
        LITTLE.block(77, &[0; 40]),
        LITTLE.words(&[6, 0, 0]),
    ]
    .concat();
    refused(&file, &[&format!("at byte {at} ")]);
}

#[test]
fn what_comes_after_the_end_of_the_options_is_none() {
    let options = [
        LITTLE.option(2, b"caf\xe9"),
        LITTLE.option(2, b"second"),
        LITTLE.option(0, b""),
        LITTLE.option(9, &[99]),
    ];
    let file = [LITTLE.section(), LITTLE.interface(1, 0, &options)].concat();
    let name = read(&file).unwrap().interfaces.remove(0).name;
    assert_eq!(name.as_deref(), Some("caf\u{fffd}"));
}

#[test]
fn a_length_beyond_reason_is_refused_without_taking_memory() {
    for order in [LITTLE, BIG] {
        for length in [MAX_PACKET as u32 + 1, i32::MAX as u32, u32::MAX] {
            let file = [
                order.pcap_header(0xa1b2_c3d4, 1),
                order.words(&[1, 1, length, length]),
            ]
            .concat();
            refused(&file, &["the maximum is", &length.to_string()]);
        }
        for length in [u32::MAX - 3, 0x8000_0000, MAX_BLOCK_AND_MORE] {
            for kind in [1, 3, 6] {
                let file = [order.section(), order.words(&[kind, length, 0])].concat();
                refused(&file, &["the maximum is", &length.to_string()]);
            }
            let unknown = [order.section(), order.words(&[77, length, 0])].concat();
            refused(&unknown, &["within a block"]);
        }
        // An enhanced packet block whose packet is longer than itself.
        for length in [61, 4096, u32::MAX - 3, u32::MAX] {
            let mut file = [order.section(), order.interface(1, 0, &[])].concat();
            let at = file.len() + 20;
            file.extend(order.enhanced(0, 0, &packet(60), u32::MAX, &[]));
            file.extend(packet(8192));
            file[at..at + 4].copy_from_slice(&order.word(length));
            refused(&file, &["contradict each other"]);
        }
        let big = vec![0; MAX_PACKET + 1];
        let file = [
            order.section(),
            order.interface(1, 0, &[]),
            order.enhanced(0, 0, &big, big.len() as u32, &[]),
        ];
        refused(&file.concat(), &["the maximum is"]);
        let file = [
            order.section(),
            order.interface(1, 0, &[]),
            order.simple(&padded(&big), big.len() as u32),
        ];
        refused(&file.concat(), &["the maximum is"]);
    }
}

const MAX_BLOCK_AND_MORE: u32 = 2 * MAX_PACKET as u32 + 4;

#[test]
fn a_block_of_no_length_or_an_odd_one_is_refused() {
    for length in [0, 4, 8, 11, 13, 29] {
        for kind in [1, 3, 6, 77] {
            let file = [LITTLE.section(), LITTLE.words(&[kind, length, length])].concat();
            refused(&file, &["a block is", &format!("{length} bytes long")]);
        }
        let mut section = LITTLE.section();
        section[4..8].copy_from_slice(&length.to_le_bytes());
        refused(&section, &["a block is"]);
    }
    // Too short for what it has to hold.
    for kind in [0x0a0d_0d0a, 1, 3, 6] {
        let file = [LITTLE.section(), LITTLE.block(kind, &[])].concat();
        assert_eq!(read(&file).unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[test]
fn two_lengths_of_a_block_that_differ_are_refused() {
    let mut file = LITTLE.section();
    let end = file.len() - 4;
    file[end] += 4;
    refused(&file, &["lengths of a block differ"]);
}

#[test]
fn a_time_that_others_read_is_read() {
    let time = |options: &[Vec<u8>], ticks| {
        let file = [
            LITTLE.section(),
            LITTLE.interface(1, 0, options),
            LITTLE.enhanced(0, ticks, &packet(60), 60, &[]),
        ]
        .concat();
        read(&file).unwrap().packets[0].time
    };
    // Finer than any clock: what is left of it in nanoseconds.
    for (resolution, nanos) in [
        (20, 184_467_440),
        (21, 18_446_744),
        (38, 0),
        (39, 0),
        (127, 0),
    ] {
        let found = time(&[LITTLE.option(9, &[resolution])], u64::MAX);
        assert_eq!(found, Duration::from_nanos(nanos), "{resolution}");
    }
    for (resolution, nanos) in [(64, 999_999_999), (65, 499_999_999), (94, 0), (127, 0)] {
        let found = time(&[LITTLE.option(9, &[0x80 | resolution])], u64::MAX);
        assert_eq!(found, Duration::from_nanos(nanos), "{resolution}");
    }
    let offset = |offset: i64| {
        [
            LITTLE.option(9, &[0]),
            LITTLE.option(14, &offset.to_le_bytes()),
        ]
    };
    for (from, ticks, wanted) in [
        (i64::MIN, 0, Duration::ZERO),
        (-1, 0, Duration::ZERO),
        (-1, 1, Duration::ZERO),
        (-1, 2, Duration::from_secs(1)),
        (i64::MAX, u64::MAX, Duration::MAX),
    ] {
        assert_eq!(time(&offset(from), ticks), wanted, "{from} {ticks}");
    }
    // Options of a length that they cannot have are none.
    let wrong = [LITTLE.option(9, &[9, 9]), LITTLE.option(14, &[1; 7])];
    assert_eq!(time(&wrong, 7), Duration::from_micros(7));
    for order in [LITTLE, BIG] {
        for (magic, fraction) in [(0xa1b2_c3d4, 2_000_007), (0xa1b2_3c4d, 2_000_007_000)] {
            let record = order.pcap_record(10, fraction, &packet(60), 60);
            let file = [order.pcap_header(magic, 1), record].concat();
            let found = read(&file).unwrap().packets[0].time;
            assert_eq!(found, Duration::new(12, 7000));
        }
    }
}

#[test]
fn simple_packets_in_front_have_the_time_of_the_first_that_has_one() {
    let late = 1_700_000_000_000_000;
    for simple in 0..4 {
        let mut file = [LITTLE.section(), LITTLE.interface(1, 0, &[])].concat();
        for _ in 0..simple {
            file.extend(LITTLE.simple(&packet(60), 60));
        }
        let untimed = read(&file).unwrap().packets;
        assert!(untimed.iter().all(|packet| packet.time == Duration::ZERO));
        file.extend(LITTLE.enhanced(0, late, &packet(61), 61, &[]));
        file.extend(LITTLE.simple(&packet(60), 60));
        file.extend(LITTLE.enhanced(0, late + 9, &packet(61), 61, &[]));
        let capture = read(&file).unwrap();
        assert_eq!(capture.packets.len(), simple + 3);
        assert_eq!(capture.start(), Duration::from_micros(late));
        let (last, others) = capture.packets.split_last().unwrap();
        assert_eq!(last.time, Duration::from_micros(late + 9));
        assert!(others.iter().all(|packet| packet.time == capture.start()));
    }
}

#[test]
fn a_link_type_other_than_ethernet_is_refused_by_its_name() {
    let error = refused(
        &BIG.pcap_header(0xa1b2_c3d4, 113),
        &["link type 113 (LINUX_SLL), not", "(any)"],
    );
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    refused(&BIG.pcap_header(0xa1b2_c3d4, 281), &["link type 281, not"]);
    let file = [
        LITTLE.section(),
        LITTLE.interface(105, 0, &[]),
        LITTLE.enhanced(0, 0, &packet(60), 60, &[]),
    ];
    refused(&file.concat(), &["link type 105 (IEEE802_11), not"]);
}

#[test]
fn packets_of_another_link_type_are_skipped_and_counted() {
    for order in [LITTLE, BIG] {
        for foreign in 0..5_u64 {
            let mut file = [
                order.section(),
                order.interface(113, 0, &[order.option(2, b"any")]),
                order.interface(1, 0, &[order.option(2, b"eth0")]),
            ]
            .concat();
            for _ in 0..foreign {
                file.extend(order.enhanced(0, 1, &packet(40), 40, &[]));
                file.extend(order.simple(&packet(40), 40)); // of the first interface
            }
            file.extend(order.enhanced(1, 5, &packet(60), 60, &[]));
            let capture = read(&file).unwrap();
            assert_eq!((capture.packets.len(), capture.skipped), (1, 2 * foreign));
            let name = &capture.interfaces[capture.packets[0].interface].name;
            assert_eq!(name.as_deref(), Some("eth0"));
            assert_eq!(capture.packets[0].time, Duration::from_micros(5));
            match capture.complete() {
                Ok(_) => assert_eq!(foreign, 0),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported),
            }
            // Without the last block, there is none of Ethernet.
            let cut = file.len() - order.enhanced(1, 5, &packet(60), 60, &[]).len();
            match read(&file[..cut]) {
                Ok(capture) => assert_eq!((capture.packets.len(), foreign), (0, 0)),
                Err(error) => assert!(error.to_string().contains("113 (LINUX_SLL)"), "{error}"),
            }
        }
    }
}

#[test]
fn more_bytes_than_the_packet_had_are_its_length() {
    for order in [LITTLE, BIG] {
        for original in [0, 1, 20, 59, 60, 61, 1514] {
            let record = order.pcap_record(0, 0, &packet(60), original);
            let pcap = [order.pcap_header(0xa1b2_c3d4, 1), record].concat();
            let pcapng = [
                order.section(),
                order.interface(1, 0, &[]),
                order.enhanced(0, 0, &packet(60), original, &[]),
            ]
            .concat();
            for file in [pcap, pcapng] {
                let packets = read(&file).unwrap().packets;
                assert_eq!(packets[0].bytes, packet(60));
                assert_eq!(packets[0].original_len, original.max(60));
            }
        }
    }
}

#[test]
fn mutated_files_give_packets_or_an_error() {
    let seeds = files();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % below
    };
    let (begin, mut good) = (Instant::now(), 0);
    for _ in 0..20_000 {
        let mut file = seeds[random(seeds.len())].clone();
        for _ in 0..=random(3) {
            let at = random(file.len());
            match random(5) {
                0 => file[at] ^= 1 << random(8),
                1 => file[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)],
                2 => file.truncate(at + 1),
                3 => {
                    let end = at + random(file.len() - at);
                    let part = file[at..end].to_vec();
                    let to = random(file.len());
                    file.splice(to..to, part);
                }
                _ => {
                    let value = [0, 1, 12, 16, 28, 32, 0x4_0000, 0x8_0000, -1, -4, i32::MIN];
                    let value = value[random(11)];
                    let order = [i32::to_le_bytes, i32::to_be_bytes][random(2)];
                    for (to, byte) in file.iter_mut().skip(at & !3).zip(order(value)) {
                        *to = byte;
                    }
                }
            }
        }
        if let Ok(capture) = read(&file) {
            good += 1;
            for packet in &capture.packets {
                assert!(packet.interface < capture.interfaces.len());
                assert!(packet.bytes.len() <= packet.original_len as usize);
            }
            let bytes: usize = capture.packets.iter().map(|p| p.bytes.len()).sum();
            assert!(bytes <= file.len());
        }
    }
    assert!((1000..19_000).contains(&good), "{good} good ones");
    assert!(begin.elapsed() < Duration::from_secs(60));
}

// Files and what goes wrong with them.

/// A directory that goes away with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fluxcap-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_name_of_a_file_decides_the_format() {
    let directory = Directory::new("format");
    for (name, magic) in [
        ("a.pcap", 0x4d),
        ("b.PCAP", 0x4d),
        ("c.pcapng", 0x0a),
        ("d", 0x0a),
    ] {
        let path = directory.0.join(name);
        let mut writer = CaptureWriter::create(&path).unwrap();
        writer
            .write("left", Some(Direction::In), Duration::ZERO, &packet(60))
            .unwrap();
        writer.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap()[0], magic, "{name}");
        assert_eq!(Capture::read(&path).unwrap().packets.len(), 1);
    }
}

#[test]
fn a_dropped_writer_writes_what_it_holds() {
    let directory = Directory::new("dropped");
    let path = directory.0.join("a.pcapng");
    let mut writer = CaptureWriter::create(&path).unwrap();
    writer
        .write("l", None, Duration::ZERO, &packet(60))
        .unwrap();
    drop(writer);
    assert_eq!(Capture::read(&path).unwrap().packets.len(), 1);
}

#[test]
fn a_missing_file_or_directory_is_not_found_by_its_name() {
    let directory = Directory::new("missing");
    let path = directory.0.join("absent").join("a.pcap");
    for error in [
        Capture::read(&path).unwrap_err(),
        CaptureWriter::create(&path).unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::NotFound, errno::ENOENT)
        );
        assert!(error.to_string().contains("a.pcap"), "{error}");
    }
}

#[test]
fn a_damaged_file_is_named() {
    let directory = Directory::new("damaged");
    let path = directory.0.join("broken.pcap");
    fs::write(&path, &files()[0][..30]).unwrap();
    let error = Capture::read(&path).unwrap_err();
    assert!(
        error.to_string().contains("broken.pcap, at byte 24"),
        "{error}"
    );
}

#[test]
fn times_beyond_the_format_are_refused_and_the_file_stays_good() {
    for (format, good, bad) in [
        (CaptureFormat::Pcap, u64::from(u32::MAX), 1 << 32),
        (CaptureFormat::PcapNg, 18_446_744_073, 18_446_744_074),
    ] {
        let mut writer = CaptureWriter::new(Vec::new(), format).unwrap();
        let mut write = |seconds| writer.write("l", None, Duration::from_secs(seconds), &[1; 60]);
        write(good).unwrap();
        assert_eq!(write(bad).unwrap_err().kind(), ErrorKind::Invalid);
        write(good).unwrap();
        assert_eq!(read(&writer.finish().unwrap()).unwrap().packets.len(), 2);
    }
}

#[test]
fn what_the_writer_cannot_express_is_refused() {
    let mut writer = CaptureWriter::new(Vec::new(), CaptureFormat::PcapNg).unwrap();
    let name = "x".repeat(65536);
    assert_eq!(
        writer.interface(&name).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    writer.interface(&name[1..]).unwrap();
    let packet = CapturedPacket {
        bytes: packet(60),
        original_len: 59,
        ..CapturedPacket::default()
    };
    let error = writer.write_captured("left", &packet).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let capture = read(&writer.finish().unwrap()).unwrap();
    assert_eq!(capture.interfaces[0].name.as_deref(), Some(&name[1..]));
}

/// Takes so many bytes and no more.
#[derive(Debug)]
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(self.0);
        self.0 -= length;
        match length {
            0 => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(length),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_at_once_or_at_the_end_and_ever_after() {
    for room in [0, 10, 100, 10_000] {
        let mut writer = CaptureWriter::new(Full(room), CaptureFormat::PcapNg).unwrap();
        let mut write = || writer.write("l", None, Duration::ZERO, &packet(60));
        let mut results: Vec<_> = (0..1000).map(|_| write()).collect();
        results.push(writer.flush());
        let first = results.iter().position(Result::is_err).unwrap();
        for result in &results[first..] {
            let error = result.as_ref().unwrap_err();
            assert_eq!(
                (error.kind(), error.errno()),
                (ErrorKind::System, errno::ENOSPC)
            );
        }
        assert!(writer.finish().is_err());
    }
    let mut writer = CaptureWriter::new(Full(50), CaptureFormat::Pcap).unwrap();
    writer
        .write("l", None, Duration::ZERO, &packet(60))
        .unwrap();
    assert_eq!(writer.finish().unwrap_err().errno(), errno::ENOSPC);
}

#[test]
fn memory_that_the_system_has_not_is_memory_and_not_the_systems_fault() {
    struct Short;
    impl Read for Short {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::OutOfMemory.into())
        }
    }
    impl Write for Short {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::OutOfMemory.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let writer = CaptureWriter::new(Short, CaptureFormat::Pcap).unwrap();
    // Whole packets in front of it do not make a capture of it.
    let file = &files()[0][..];
    for error in [
        Capture::from_reader(Short).unwrap_err(),
        Capture::from_reader(file.chain(Short)).unwrap_err(),
        writer.finish().map(drop).unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Memory, errno::ENOMEM)
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_error_while_reading_keeps_its_number() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(errno::EIO))
        }
    }
    let file = &files()[0][..30];
    let error = Capture::from_reader(file.chain(Broken)).unwrap_err();
    assert_eq!(
        (error.kind(), error.errno()),
        (ErrorKind::System, errno::EIO)
    );
    assert!(error.to_string().contains("byte 24"), "{error}");
}

#[test]
fn a_writer_goes_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<CaptureWriter>();
    is_send::<CaptureWriter<Box<dyn Write + Send>>>();
}

#[cfg(target_os = "linux")]
#[test]
fn tcpdump_reads_what_is_written() {
    use std::process::Command;

    let found = Command::new("tcpdump").arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        println!("skipped: tcpdump is not installed");
        return;
    }
    let directory = Directory::new("tcpdump");
    let ping = [
        &[0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 8, 0][..],
        &[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0x66, 0xcd],
        &[10, 0, 0, 1, 10, 0, 0, 2],
        &[8, 0, 0xf7, 0xfd, 0, 1, 0, 1],
    ]
    .concat();
    for name in ["a.pcap", "a.pcapng"] {
        let path = directory.0.join(name);
        let mut writer = CaptureWriter::create(&path).unwrap();
        let time = Duration::new(1, 23);
        writer
            .write("left", Some(Direction::Out), time, &ping)
            .unwrap();
        writer
            .write("right", Some(Direction::In), time * 2, &ping)
            .unwrap();
        writer.finish().unwrap();
        let output = Command::new("tcpdump")
            .args(["-n", "-tt", "--nano", "-r"])
            .arg(&path)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {errors}");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{name}: {text}{errors}");
        for (line, time) in lines.iter().zip(["1.000000023 ", "2.000000046 "]) {
            assert!(line.starts_with(time), "{name}: {line}");
            assert!(
                line.contains("10.0.0.1 > 10.0.0.2: ICMP echo request"),
                "{name}: {line}"
            );
        }
    }
}
