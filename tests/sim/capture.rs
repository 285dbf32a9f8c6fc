//! Capture files: what a NIC carried is written, and played again.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use fluxcap::ErrorKind;
use fluxcap::capture::{Capture, Direction};
use fluxcap::sim::{Network, Nic, Playback, Speed};

use super::tools::{assert_conserved, drain, packet, small};

/// A temporary file. It goes away with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Records ten packets that come, a microsecond apart, to a socket that sends them back.
fn echo_recorded(file: &Scratch) -> (Network, Nic) {
    let network = Network::new();
    let nic = network.nic("echo").unwrap();
    let mut raw = small(&nic).build().unwrap();
    nic.record(&file.0).unwrap();
    for number in 0..10 {
        nic.inject(0, &packet(number, 60 + number)).unwrap();
        network.advance(Duration::from_micros(1));
        raw.forward_each(64, |_| fluxcap::Verdict::Send);
        raw.wake_tx().unwrap();
    }
    nic.end_recording().unwrap();
    raw.flush(Duration::from_secs(1)).unwrap();
    assert_conserved(&raw);
    (network, nic)
}

#[test]
fn a_recording_has_both_ways_with_names_and_times() {
    let file = Scratch::new("both.pcapng");
    let (_network, nic) = echo_recorded(&file);
    // What comes after the end is not in it, and a second end is harmless.
    nic.inject(0, &packet(99, 60)).unwrap();
    nic.end_recording().unwrap();
    let capture = Capture::read(&file.0).unwrap();
    assert_eq!(capture.interfaces.len(), 1);
    assert_eq!(capture.interfaces[0].name.as_deref(), Some("echo"));
    assert_eq!(capture.packets.len(), 20);
    for (place, captured) in capture.packets.iter().enumerate() {
        let number = place / 2;
        assert_eq!(captured.bytes, packet(number, 60 + number));
        let (direction, micros) = match place % 2 {
            0 => (Direction::In, number),
            _ => (Direction::Out, number + 1),
        };
        assert_eq!(captured.direction, Some(direction));
        assert_eq!(captured.time, Duration::from_micros(micros as u64));
    }
}

#[test]
fn a_recording_is_played_again_as_it_was() {
    let file = Scratch::new("again.pcap");
    echo_recorded(&file);
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let mut raw = small(&nic).build().unwrap();
    // A pcap file tells no direction: all 20 are there, the second two a microsecond later.
    let playback = Playback::read(&file.0).unwrap();
    assert_eq!(playback.packet_count(), 20);
    nic.play(playback.clone()).unwrap();
    assert_eq!(network.settle(), 1);
    network.advance(Duration::from_micros(1));
    assert_eq!(nic.counters().rx_packets, 3);
    network.advance(Duration::from_micros(9));
    let all = drain(&mut raw);
    assert_eq!(all.len(), 20);
    assert_eq!(all[19], packet(9, 69));
    nic.play(playback.speed(Speed::Paced).times(5)).unwrap();
    let mut count = 0;
    while raw.wait_rx(Some(Duration::from_secs(1))).unwrap() {
        count += drain(&mut raw).len();
        raw.refill();
    }
    assert_eq!((count, nic.is_playing()), (100, false));
    assert_conserved(&raw);
}

#[test]
fn what_cannot_be_played_or_recorded_is_refused() {
    let (file, other) = (Scratch::new("refused.pcapng"), Scratch::new("other.pcap"));
    echo_recorded(&file);
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    // Longer than the NIC takes, named by its number.
    nic.set_mtu(68).unwrap();
    nic.record(&other.0).unwrap();
    nic.set_mtu(1500).unwrap();
    nic.inject(0, &packet(0, 500)).unwrap();
    network.settle();
    assert_eq!(
        nic.record(&file.0).unwrap_err().kind(),
        ErrorKind::Busy,
        "one at a time"
    );
    nic.end_recording().unwrap();
    nic.set_mtu(68).unwrap();
    let error = nic.play(Playback::read(&other.0).unwrap()).unwrap_err();
    assert!(error.to_string().contains("packet 0"), "{error}");
    // No capture file, and a place where none can be.
    fs::write(&other.0, "not a capture").unwrap();
    let error = Playback::read(&other.0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let nowhere = other.0.join("file.pcap");
    assert!(nic.record(&nowhere).is_err());
    // It can still be recorded elsewhere.
    nic.record(&other.0).unwrap();
    nic.end_recording().unwrap();
    nic.remove();
    assert_eq!(
        nic.record(&other.0).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn packets_that_do_not_fit_are_left_out_when_asked_for() {
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    let lengths = [60, 13, 1518, 1519, 9000, 0, 61];
    let packets = lengths.map(|length| vec![7; length]);
    let late = Duration::from_micros(6);
    let times = (0..).map(Duration::from_micros);
    let playback = Playback::at(times.zip(packets));
    let error = nic.play(playback.clone()).unwrap_err();
    assert!(error.to_string().contains("packet 1"), "{error}");
    assert!(!nic.is_playing());
    assert_eq!(nic.play(playback.skip_unfit()).unwrap(), 4);
    network.settle();
    assert_eq!(nic.counters().rx_packets, 1);
    // Those that are left come at their times.
    network.advance(late - Duration::from_nanos(1));
    assert_eq!(nic.counters().rx_packets, 2);
    network.advance(Duration::from_nanos(1));
    assert_eq!(nic.counters().rx_packets, 3);
    // Of none that fits, the first is named; other errors are none of this.
    let long = Playback::of([vec![7; 9000], vec![7; 9001]]).skip_unfit();
    let error = nic.play(long).unwrap_err();
    assert!(error.to_string().contains("packet 0"), "{error}");
    let elsewhere = Playback::of([vec![7; 60]]).skip_unfit().queue(9);
    assert_eq!(nic.play(elsewhere).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn of_a_file_that_is_cut_off_the_whole_packets_can_be_played() {
    let file = Scratch::new("cut.pcap");
    echo_recorded(&file);
    let whole = fs::read(&file.0).unwrap();
    fs::write(&file.0, &whole[..whole.len() - 1]).unwrap();
    let error = Playback::read(&file.0).unwrap_err();
    assert!(error.to_string().contains("after 19 packets"), "{error}");
    let capture = Capture::read(&file.0).unwrap();
    assert_eq!(capture.damage, Some(error));
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    assert_eq!(nic.play(Playback::from(capture).speed(Speed::Full)), Ok(0));
    network.settle();
    assert_eq!(nic.counters().rx_packets, 19);
}

#[test]
fn what_a_full_disk_did_shows_at_the_end() {
    if !PathBuf::from("/dev/full").exists() {
        println!("skipped: there is no /dev/full");
        return;
    }
    let network = Network::new();
    let nic = network.nic("sim0").unwrap();
    nic.record("/dev/full").unwrap();
    for number in 0..100 {
        nic.inject(0, &packet(number, 1000)).unwrap();
    }
    assert_eq!(network.settle(), 100);
    let error = nic.end_recording().unwrap_err();
    assert_eq!(error.errno(), fluxcap::error::errno::ENOSPC);
    assert_eq!(nic.counters().rx_packets, 100);
}
