//! Large pieces of memory that are refused, one after the other: each is an error, and whoever asks again gets what it asked for.
//!
//! Small pieces are never refused: a library for which there is no room for the text of an error has other worries.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;
use std::time::Duration;

use fluxcap::sim::{Capture, CaptureFormat, CaptureWriter, Network, Playback};
use fluxcap::{ErrorKind, Result};

/// A piece of this size is large.
const LARGE: usize = 16 * 1024;
/// The length of packets and names that are large themselves.
const LONG: usize = 20_000;

thread_local! {
    /// How many large pieces this thread gets before one is refused; `None`: all.
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

struct Sparing;

/// Whether a piece of this size is refused, once.
fn is_refused(size: usize) -> bool {
    if size < LARGE {
        return false;
    }
    let left = LEFT.get();
    LEFT.set(left.and_then(|left| left.checked_sub(1)));
    left == Some(0)
}

#[global_allocator]
static ALLOCATOR: Sparing = Sparing;

// SAFETY: that of the system, or nothing.
unsafe impl GlobalAlloc for Sparing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match is_refused(layout.size()) {
            true => ptr::null_mut(),
            // SAFETY: as the caller promises.
            false => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match is_refused(layout.size()) {
            true => ptr::null_mut(),
            // SAFETY: as the caller promises.
            false => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // A piece becomes smaller where it is.
        match size > layout.size() && is_refused(size) {
            true => ptr::null_mut(),
            // SAFETY: as the caller promises.
            false => unsafe { System.realloc(piece, layout, size) },
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises; all pieces are the system's.
        unsafe { System.dealloc(piece, layout) }
    }
}

/// Does it once for each large piece of memory that it takes, and has that one refused; and then once with all. Returns what it makes
/// then, and how many pieces that takes.
#[track_caller]
fn with_each_refused<T>(mut act: impl FnMut() -> Result<T>) -> (T, u32) {
    for pieces in 0.. {
        LEFT.set(Some(pieces));
        let result = act();
        let was_refused = LEFT.take().is_none();
        match result {
            Ok(made) if !was_refused => return (made, pieces),
            Ok(_) => panic!("it does without piece {pieces}"),
            Err(error) => {
                assert!(was_refused, "{error}");
                assert_eq!(error.kind(), ErrorKind::Memory, "piece {pieces}: {error}");
                assert_eq!(error.errno(), 12, "{error}");
            }
        }
    }
    unreachable!()
}

/// A capture with short packets and long ones, and in pcapng with many interfaces, one of which has a long name.
fn capture(format: CaptureFormat) -> Vec<u8> {
    let mut writer = CaptureWriter::new(Vec::new(), format).unwrap();
    for number in 0..2000_u32 {
        let name = format!("eth{number}");
        let length = if number % 500 == 99 { LONG } else { 60 };
        let time = Duration::from_secs(number.into());
        writer.write(&name, None, time, &vec![7; length]).unwrap();
    }
    writer.interface(&"x".repeat(LONG)).unwrap();
    writer.finish().unwrap()
}

#[test]
fn a_capture_is_read_whole_or_there_is_an_error() {
    // Lists of packets, of interfaces and of their clocks, each of which doubles a few times; packets; what is at hand; and a name.
    for (format, least) in [(CaptureFormat::Pcap, 8), (CaptureFormat::PcapNg, 14)] {
        let file = capture(format);
        let (capture, pieces) = with_each_refused(|| Capture::from_reader(&file[..])?.complete());
        assert_eq!(capture.packets.len(), 2000);
        assert!(pieces >= least, "{format:?}: {pieces} pieces");
    }
}

#[test]
fn a_capture_is_played_or_there_is_an_error() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    for format in [CaptureFormat::Pcap, CaptureFormat::PcapNg] {
        let file = capture(format);
        let (unfit, pieces) = with_each_refused(|| {
            let playback = Playback::from(Capture::from_reader(&file[..])?);
            nic.play(playback.skip_unfit())
        });
        assert_eq!(unfit, 4);
        assert!(pieces >= 8, "{pieces} pieces");
        assert!(nic.is_playing());
        nic.stop_playing();
    }
}

#[test]
fn a_packet_is_written_whole_or_not_at_all() {
    let write = |writer: &mut CaptureWriter<Vec<u8>>| {
        writer.write("eth0", None, Duration::from_secs(1), &[7; LONG])
    };
    for format in [CaptureFormat::Pcap, CaptureFormat::PcapNg] {
        // The vector itself has room for all.
        let new = || CaptureWriter::new(Vec::with_capacity(1 << 20), format).unwrap();
        let mut plain = new();
        write(&mut plain).unwrap();
        let mut writer = new();
        let ((), pieces) = with_each_refused(|| write(&mut writer));
        assert_eq!(pieces, 1);
        assert_eq!(writer.finish().unwrap(), plain.finish().unwrap());
    }
}

#[test]
fn an_interface_is_written_and_known_or_neither() {
    let long = "x".repeat(LONG);
    let names: Vec<_> = (0..5000).map(|number| number.to_string()).collect();
    for (format, expected) in [(CaptureFormat::Pcap, 0), (CaptureFormat::PcapNg, 5001)] {
        let mut writer = CaptureWriter::new(Vec::with_capacity(1 << 20), format).unwrap();
        let ((), pieces) = with_each_refused(|| writer.interface(&long));
        assert!(pieces >= 1, "{pieces} pieces");
        // The list of them grows a few times.
        let ((), pieces) =
            with_each_refused(|| names.iter().try_for_each(|name| writer.interface(name)));
        assert!(pieces >= 3, "{pieces} pieces");
        let file = writer.finish().unwrap();
        let capture = Capture::from_reader(&file[..]).unwrap();
        match format {
            CaptureFormat::Pcap => assert_eq!(file.len(), 24),
            CaptureFormat::PcapNg => assert_eq!(capture.interfaces.len(), expected),
        }
    }
}

#[test]
fn many_packets_arrive_at_once_or_there_is_an_error() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let packets = vec![[0; 60]; 2000];
    // The cable has room for them, once they were there.
    nic.inject_batch(0, &packets).unwrap();
    network.settle();
    let (count, pieces) = with_each_refused(|| nic.inject_batch(0, &packets));
    assert_eq!((count, pieces), (2000, 1));
}
