#![forbid(unsafe_code)]

use super::*;
use crate::proto::samples::{Fill, ICMPV6, Random, Sample, TCP, UDP, UDP_LITE};

const TCP_AND_UDP: [(bool, u8); 4] = [(false, TCP), (false, UDP), (true, TCP), (true, UDP)];

/// A message of up to 61 bytes right behind the IP header.
fn simple(protocol: u8, is_ipv6: bool) -> Sample {
    let mut sample = Sample::random(&mut Random(7), is_ipv6, protocol);
    sample.cut(61);
    sample.tags = 0;
    sample.options = 0;
    sample.padding = 3;
    sample
}

/// Asserts that a frame stays as it is.
fn stays(mut frame: Vec<u8>, completion: Completion) {
    let before = frame.clone();
    assert_eq!(complete(&mut frame), completion);
    assert_eq!(frame, before);
}

#[test]
fn partial_checksums_become_the_full_ones() {
    let mut random = Random(1);
    for round in 0..1000 {
        for (is_ipv6, protocol) in TCP_AND_UDP {
            let sample = Sample::random(&mut random, is_ipv6, protocol);
            let mut frame = sample.frame(Fill::Partial);
            assert_eq!(complete(&mut frame), Completion::Completed, "{sample:?}");
            assert!(frame == sample.frame(Fill::Full), "{round} {sample:?}");
        }
    }
}

#[test]
fn other_checksums_stay_right_or_wrong() {
    let mut random = Random(2);
    for _ in 0..300 {
        for (is_ipv6, protocol) in TCP_AND_UDP {
            let sample = Sample::random(&mut random, is_ipv6, protocol);
            let partial = sample.partial();
            let other = u16::from_be_bytes([random.byte(), random.byte()]);
            for value in [
                0,
                !partial,
                partial ^ 1,
                partial.swap_bytes(),
                other,
                sample.full(),
            ] {
                if value != partial {
                    stays(sample.frame(Fill::Value(value)), Completion::NotPartial);
                }
            }
        }
    }
}

#[test]
fn full_checksums_that_look_partial_stay_and_wrong_ones_become_right() {
    for (is_ipv6, protocol) in TCP_AND_UDP {
        let mut sample = simple(protocol, is_ipv6);
        sample.coincide();
        stays(sample.frame(Fill::Full), Completion::NotPartial);

        let last = sample.message.len() - 1;
        sample.message[last] ^= 1;
        let mut damaged = sample.frame(Fill::Partial);
        assert_eq!(complete(&mut damaged), Completion::Completed);
        assert_eq!(damaged, sample.frame(Fill::Full));
    }
}

#[test]
fn ffff_that_looks_partial_stays_where_zero_is_the_same() {
    for (is_ipv6, protocol) in TCP_AND_UDP {
        let mut sample = simple(protocol, is_ipv6);
        // With this end of the source address the pseudo header sums up to 0xffff, and then
        // with this source port the message does.
        let end = sample.source.len() - 2;
        sample.source[end..].fill(0);
        let word = !sample.partial();
        sample.source[end..].copy_from_slice(&word.to_be_bytes());
        assert_eq!(sample.partial(), 0xffff);
        sample.message[..2].fill(0);
        let port = sample.full();
        sample.message[..2].copy_from_slice(&port.to_be_bytes());
        assert_eq!(sample.full(), if protocol == TCP { 0 } else { 0xffff });
        stays(sample.frame(Fill::Value(0xffff)), Completion::NotPartial);
    }
}

#[test]
fn a_udp_checksum_that_comes_out_as_zero_is_written_as_ffff() {
    let mut sample = simple(UDP, false);
    // With this source port the rest sums up to 0xffff.
    sample.message[..2].fill(0);
    let port = sample.full();
    sample.message[..2].copy_from_slice(&port.to_be_bytes());
    assert_eq!(sample.full(), 0xffff);
    let mut frame = sample.frame(Fill::Partial);
    assert_eq!(complete(&mut frame), Completion::Completed);
    assert_eq!(frame, sample.frame(Fill::Full));
}

#[test]
fn fragments_stay_as_they_are() {
    for protocol in [TCP, UDP] {
        for flags in [0x2000_u16, 0x2001, 0x0001, 0x1fff] {
            let mut frame = simple(protocol, false).frame(Fill::Partial);
            frame[20..22].copy_from_slice(&flags.to_be_bytes());
            stays(frame, Completion::NotRecognised);
        }
        let mut sample = simple(protocol, true);
        sample.options = 8;
        for (offset_and_flags, completion) in [
            (0x0000_u16, Completion::Completed),
            (0x0001, Completion::NotRecognised),
            (0x0008, Completion::NotRecognised),
            (0x0009, Completion::NotRecognised),
        ] {
            let mut frame = sample.frame(Fill::Partial);
            frame[20] = 44; // in place of the options
            frame[56..58].copy_from_slice(&offset_and_flags.to_be_bytes());
            if completion == Completion::Completed {
                assert_eq!(complete(&mut frame), completion);
            } else {
                stays(frame, completion);
            }
        }
    }
}

#[test]
fn packets_for_another_station_than_the_sum_is_of_stay_as_they_are() {
    let mut sample = simple(TCP, true);
    sample.options = 8;
    let mut frame = sample.frame(Fill::Partial);
    frame[20] = 43;
    frame[57] = 1; // segments left
    // There is no address in that header.
    stays(frame.clone(), Completion::NotRecognised);
    frame[57] = 0;
    assert_eq!(complete(&mut frame), Completion::Completed);
    for kind in [0x83, 0x89] {
        let mut sample = simple(TCP, false);
        sample.options = 8;
        let mut frame = sample.frame(Fill::Partial);
        frame[34..42].copy_from_slice(&[1, kind, 7, 4, 10, 9, 8, 7]);
        // The sum would have to be of the last address.
        stays(frame.clone(), Completion::NotPartial);
        frame[37] = 8;
        assert_eq!(complete(&mut frame), Completion::Completed);
    }
}

#[test]
fn other_protocols_stay_as_they_are() {
    for protocol in [1, ICMPV6, UDP_LITE, 47, 50, 132] {
        for is_ipv6 in [false, true] {
            let sample = simple(protocol, is_ipv6);
            stays(sample.frame(Fill::Partial), Completion::NotRecognised);
        }
    }
    let mut frame = simple(TCP, false).frame(Fill::Partial);
    frame[13] = 0x06;
    stays(frame, Completion::NotRecognised);
}

#[test]
fn truncated_and_malformed_frames_stay_as_they_are() {
    for (is_ipv6, protocol) in TCP_AND_UDP {
        let mut sample = simple(protocol, is_ipv6);
        sample.tags = 2;
        sample.options = 16;
        let frame = sample.frame(Fill::Partial);
        for len in 0..frame.len() - sample.padding {
            stays(frame[..len].to_vec(), Completion::NotRecognised);
        }
        // A data offset, or a UDP length, that cannot be.
        let mut frame = sample.frame(Fill::Partial);
        let at = sample.message_at() + if protocol == TCP { 12 } else { 4 };
        frame[at..at + 2].copy_from_slice(&[0x40, 0x00]);
        stays(frame, Completion::NotRecognised);
    }
}

#[test]
fn a_udp_datagram_shorter_than_its_packet_is_summed_to_its_own_end() {
    let mut sample = simple(UDP, false);
    sample.padding = 0;
    let full = sample.frame(Fill::Full);
    let mut frame = sample.frame(Fill::Partial);
    frame.extend([0xaa; 4]);
    let len = u16::try_from(frame.len() - 14).unwrap();
    frame[16..18].copy_from_slice(&len.to_be_bytes());
    assert_eq!(complete(&mut frame), Completion::Completed);
    assert_eq!(frame[34..full.len()], full[34..]);
    assert_eq!(frame[full.len()..], [0xaa; 4]);
}

#[test]
fn no_bytes_make_it_panic() {
    let mut random = Random(3);
    for _ in 0..5000 {
        let protocol = [TCP, UDP][random.below(2)];
        let is_ipv6 = random.below(2) == 1;
        let mut sample = Sample::random(&mut random, is_ipv6, protocol);
        sample.cut(60);
        let mut frame = sample.frame(Fill::Partial);
        for _ in 0..random.below(4) {
            let at = random.below(frame.len().min(120));
            frame[at] = random.byte();
        }
        frame.truncate(random.below(frame.len() + 1));
        let before = frame.clone();
        match complete(&mut frame) {
            Completion::Completed => assert_eq!(frame.len(), before.len()),
            Completion::NotPartial | Completion::NotRecognised => assert_eq!(frame, before),
        }
    }
}
