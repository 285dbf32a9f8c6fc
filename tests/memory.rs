//! Large pieces of memory that are refused, one after the other: each is an error, and whoever asks again gets what it asked for.
//!
//! Small pieces are never refused: a library for which there is no room for the text of an error has other worries.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;
use std::time::Duration;

use fluxcap::{
    ErrorKind, FanOut, FluxBuilder, FluxEngine, FluxError, Result, UmemConfig, UmemRegion,
};
use fluxcap::{
    capture::{Capture, CaptureFormat, CaptureWriter},
    sim::{Network, Playback},
};

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

/// Of 4096 frames.
fn umem() -> UmemRegion {
    let config = UmemConfig {
        frames: 4096,
        ..UmemConfig::default()
    };
    UmemRegion::heap(config).unwrap()
}

#[test]
fn a_socket_has_all_its_rings_or_there_is_an_error() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let umem = umem();
    let (raw, pieces) = with_each_refused(|| {
        let sizes = FluxBuilder::new(&nic).fill_size(4096).rx_size(2048);
        let sizes = sizes.tx_size(4096).completion_size(8192);
        sizes.umem(&umem).build()
    });
    // Each ring, and room for the descriptors that are peeked at.
    assert_eq!(pieces, 5);
    drop(raw);
    let accounting = umem.accounting();
    assert_eq!(accounting.pool, accounting.frames);
}

#[test]
fn a_group_of_sockets_has_all_its_rings_or_there_is_an_error() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let umem = umem();
    let (group, pieces) = with_each_refused(|| {
        let fan_out = FanOut {
            sockets: 3,
            ..FanOut::default()
        };
        let sizes = FluxBuilder::new(&nic).fill_size(4096).rx_size(2048);
        let sizes = sizes.tx_size(2048).completion_size(4096);
        sizes.umem(&umem).fan_out(fan_out).build_group()
    });
    // Fill and completion ring; and for each socket the twins of both, its RX and TX ring, and room for descriptors that are peeked at.
    assert_eq!(pieces, 2 + 3 * 5);
    drop(group);
    let accounting = umem.accounting();
    assert_eq!(accounting.pool, accounting.frames);
}

#[test]
fn an_engine_has_room_for_its_batches_or_there_is_an_error() {
    let network = Network::new();
    let umem = umem();
    let open = |name: &str| {
        let nic = network.nic(name).unwrap();
        let sizes = FluxBuilder::new(&nic).fill_size(64).rx_size(64);
        let sizes = sizes.tx_size(64).completion_size(64);
        sizes.umem(&umem).build().unwrap()
    };
    let mut engine = FluxEngine::new(open("sim0"));
    engine.add_port(open("sim1")).unwrap();
    let ((), pieces) = with_each_refused(|| {
        let result = engine.set_batch(4096);
        assert_eq!(engine.batch(), if result.is_ok() { 4096 } else { 64 });
        result
    });
    // Slots, the descriptors behind them, and for each port the packets that shall leave through it.
    assert_eq!(pieces, 2 + 2);
    let mut third = Some(open("sim2"));
    let (number, pieces) = with_each_refused(|| {
        let added = engine.add_port(third.take().expect("it came back"));
        added.map_err(|refused| {
            let (raw, error) = refused.into_parts();
            third = Some(raw);
            error
        })
    });
    assert_eq!((number, pieces, engine.ports()), (2, 1, 3));
    assert_eq!(engine.run_once(|_| Ok::<(), FluxError>(())).unwrap(), 0);
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
