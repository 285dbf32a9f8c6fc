//! The properties.

use std::env;
use std::net::Ipv6Addr;
use std::ops::Range;
use std::path::Path;

use fluxcap::capture::Capture;
use fluxcap::proto::{FrameBuilder, Headers, IpProtocol, Ipv6Option, Ipv6OptionsHeader, TcpOption};

use super::layers::{Layer, build, build_into};
use super::random::{self, Random};
use super::read::{read, read_packet};

/// How many seeds are tried unless told otherwise.
const FEW: u64 = 3000;

fn seeds() -> Range<u64> {
    let number = |name| env::var(name).ok().and_then(|text| text.parse().ok());
    match number("FLUXCAP_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FLUXCAP_SOAK").unwrap_or(FEW),
    }
}

/// A random frame of each seed, told of when the property does not hold.
#[track_caller]
fn for_each_seed(property: impl Fn(u64, &mut Random)) {
    struct Failing(u64);
    impl Drop for Failing {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let seed = self.0;
                eprintln!("failed with seed {seed}: try FLUXCAP_SEED={seed}");
            }
        }
    }
    for seed in seeds() {
        let _failing = Failing(seed);
        property(seed, &mut Random::new(seed));
    }
}

#[test]
fn what_is_built_reads_as_what_was_asked_for() {
    for_each_seed(|_, random| {
        let layers = random::frame(random);
        let frame = build(&layers).unwrap();
        assert_eq!(read(&frame).as_ref(), Ok(&layers), "{frame:02x?}");
    });
}

#[test]
fn a_packet_without_ethernet_reads_as_what_was_asked_for() {
    for_each_seed(|_, random| {
        let layers = random::frame(random);
        let is_ip = |layer: &Layer| matches!(layer, Layer::Ipv4(_) | Layer::Ipv6(_));
        if let Some(start) = layers.iter().position(is_ip) {
            let packet = build(&layers[start..]).unwrap();
            assert_eq!(read_packet(&packet).as_deref(), Ok(&layers[start..]));
        }
    });
}

#[test]
fn padding_changes_nothing_else() {
    for_each_seed(|_, random| {
        let mut layers = random::frame(random);
        let bare = build(&layers).unwrap();
        layers.insert(random.below(layers.len() as u64) as usize, Layer::Padded);
        let padded = build(&layers).unwrap();
        assert_eq!(padded.len(), bare.len().max(60));
        let (same, padding) = padded.split_at(bare.len());
        assert_eq!(same, bare);
        assert!(padding.iter().all(|&byte| byte == 0));
    });
}

#[test]
fn all_headers_of_a_built_frame_are_found() {
    for_each_seed(|_, random| {
        let frame = build(&random::frame(random)).unwrap();
        // A tunnel may be deeper than is followed, but nothing is wrong.
        assert_eq!(Headers::parse(&frame).err(), None, "{frame:02x?}");
    });
}

#[test]
fn a_buffer_of_any_size_is_enough_or_an_error() {
    for_each_seed(|_, random| {
        let layers = random::frame(random);
        let frame = build(&layers).unwrap();
        let mut buffer = vec![0xee; frame.len() + 1];
        for room in 0..=buffer.len() {
            match build_into(&mut buffer[..room], &layers) {
                Ok(len) => assert!(room >= frame.len() && buffer[..len] == frame),
                Err(error) => assert!(room < frame.len() && error.is_no_room(), "{error}"),
            }
        }
        assert_eq!(buffer[frame.len()], 0xee);
    });
}

#[test]
fn a_frame_cut_anywhere_is_an_error_or_what_is_left_of_it() {
    for_each_seed(|_, random| {
        let frame = build(&random::frame(random)).unwrap();
        for len in 0..frame.len() {
            let cut = &frame[..len];
            if let Ok(layers) = read(cut) {
                assert_eq!(build(&layers).as_deref(), Ok(cut));
            }
            let _ = Headers::parse(cut);
            let _ = Headers::parse_partial(cut);
        }
    });
}

#[test]
fn steps_in_any_order_are_a_frame_or_an_error() {
    let mut frames = 0;
    for seed in seeds() {
        let random = &mut Random::new(seed);
        let steps = random::steps(random);
        let mut buffer = vec![0xee; random.below(4000) as usize];
        if let Ok(len) = build_into(&mut buffer, &steps) {
            frames += 1;
            assert!(len <= buffer.len());
        }
    }
    assert!(
        frames > seeds().count() / 50 || seeds().count() < FEW as usize,
        "{frames}"
    );
}

/// An IPv6 packet with hop-by-hop options and nothing else.
fn with_options(options: &[Ipv6Option<'_>]) -> Vec<u8> {
    let mut buffer = vec![0xee; 4096];
    let ip = Ipv6Addr::LOCALHOST;
    let frame = FrameBuilder::new(&mut buffer).ipv6(ip, ip);
    let frame = frame.hop_by_hop(options);
    let packet = frame.protocol(IpProtocol::IPV6_NO_NEXT).finish();
    packet.unwrap().to_vec()
}

#[test]
fn ipv6_options_that_are_built_are_read_and_built_again() {
    for_each_seed(|_, random| {
        let data: Vec<Vec<u8>> = (0..random.below(6)).map(|_| random.data(255)).collect();
        let options: Vec<Ipv6Option<'_>> = data
            .iter()
            .map(|data| match random.below(6) {
                0 => Ipv6Option::RouterAlert(random.u16()),
                1 => Ipv6Option::JumboPayload(random.u32()),
                2 => Ipv6Option::TunnelEncapsulationLimit(random.u8()),
                3 => Ipv6Option::HomeAddress(random.ipv6()),
                _ => Ipv6Option::Other { kind: 0x1e, data },
            })
            .collect();
        let packet = with_options(&options);
        let (header, rest) = Ipv6OptionsHeader::parse(&packet[40..]).unwrap();
        assert!(rest.is_empty());
        let read: Vec<_> = header.options().collect::<Result<_, _>>().unwrap();
        let is_padding =
            |option: &Ipv6Option<'_>| matches!(option, Ipv6Option::Pad1 | Ipv6Option::PadN(_));
        let given: Vec<_> = read.iter().filter(|option| !is_padding(option)).collect();
        assert!(given.into_iter().eq(&options));
        assert!(read.len() <= options.len() + 1);
        assert_eq!(with_options(&read), packet);
    });
}

#[test]
fn tcp_options_that_are_read_can_be_written_again() {
    for_each_seed(|_, random| {
        for layer in random::frame(random) {
            let Layer::TcpOptions(bytes) = layer else {
                continue;
            };
            let segment = [
                &[0; 12][..],
                &[0x50 + (bytes.len() as u8) * 4],
                &[0; 7],
                &bytes,
            ]
            .concat();
            let (tcp, _) = fluxcap::proto::Tcp::parse(&segment).unwrap();
            let read: Result<Vec<TcpOption<'_>>, _> = tcp.options().collect();
            let Ok(options) = read else { continue };
            let mut written = vec![0xee; bytes.len()];
            assert!(TcpOption::write_all(&options, &mut written));
            let (end, _) = bytes.split_at(options.iter().map(TcpOption::wire_len).sum());
            assert!(written.starts_with(end));
        }
    });
}

/// Of the packets that scapy made, those without a fault are built again byte by byte.
#[test]
fn frames_of_others_that_are_read_are_built_again_byte_by_byte() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proto/corpus");
    let (mut all, mut again) = (0, 0);
    for entry in corpus.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "pcap") {
            continue;
        }
        for packet in Capture::read(&path).unwrap().packets {
            all += 1;
            if let Ok(layers) = read(&packet.bytes) {
                again += 1;
                let built = build(&layers);
                assert_eq!(built.as_deref(), Ok(&packet.bytes[..]), "{layers:?}");
            }
        }
    }
    assert!(all > 4000 && again > all * 6 / 10, "{again} of {all}");
}
