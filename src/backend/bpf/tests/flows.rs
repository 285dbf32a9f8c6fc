//! The program's hash of flows, which must be that of `proto::FlowKey` to the bit.

use crate::backend::MEMBERS;
use crate::backend::bpf::tests::net::{bound_socket, in_namespace};
use crate::backend::bpf::tests::*;
use crate::proto::{FlowKey, IpProtocol};
use strange::{Random, packet};

#[path = "../../../../tests/common/strange.rs"]
mod strange;

const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;

/// The loaded program, which runs on packets that are given to it. They arrive at queue 0.
struct Bench {
    program: OwnedFd,
    sockets: map::SocketMap,
    fanouts: map::FanoutMap,
}

impl Bench {
    fn new() -> Self {
        let object = load(true).unwrap();
        Self {
            program: object.program,
            sockets: map::SocketMap::new(object.sockets, MEMBERS),
            fanouts: map::FanoutMap::new(object.fanouts),
        }
    }

    fn run(&self, packet: &[u8]) -> u32 {
        let mut options = libbpf_sys::bpf_test_run_opts {
            sz: size_of::<libbpf_sys::bpf_test_run_opts>() as _,
            data_in: packet.as_ptr().cast(),
            data_size_in: packet.len() as u32,
            repeat: 1,
            ..Default::default()
        };
        // SAFETY: the descriptor is open; the options name a packet of the stated size.
        let result =
            unsafe { libbpf_sys::bpf_prog_test_run_opts(self.program.as_raw_fd(), &mut options) };
        assert_eq!(result, 0, "{packet:02x?}");
        options.retval
    }

    /// The member that each packet is for: the one without which it is passed on.
    fn members(&self, packets: &[Vec<u8>], fanout: FanOut) -> Vec<u32> {
        self.fanouts.set(0, fanout).unwrap();
        let socket = bound_socket("near");
        let mut found = vec![None; packets.len()];
        for member in 0..MEMBERS {
            let place = MapKey { queue: 0, member };
            self.sockets.insert(place, socket.as_fd()).unwrap();
            for (packet, found) in packets.iter().zip(&mut found) {
                match self.run(packet) {
                    XDP_REDIRECT => assert_eq!(found.replace(member), None),
                    action => assert_eq!(action, XDP_PASS, "{packet:02x?}"),
                }
            }
            self.sockets.remove(place).unwrap();
        }
        found.into_iter().map(|member| member.unwrap()).collect()
    }
}

#[test]
fn the_program_finds_the_member_that_the_library_finds() {
    in_namespace(|| {
        let bench = Bench::new();
        let mut random = Random::new(7);
        let packets: Vec<_> = (0..3000).map(|_| packet(&mut random)).collect();
        let keys = || packets.iter().map(|packet| FlowKey::parse(packet));
        for protocol in [1, 6, 17, 44, 132] {
            let such = keys().filter(|key| key.protocol() == Some(IpProtocol(protocol)));
            assert!(such.count() > 100, "protocol {protocol}");
        }
        assert!(keys().filter(|key| key.vlan().is_some()).count() > 500);
        assert!(keys().filter(|key| key.ports().is_some()).count() > 500);
        for (count, symmetric) in [(16, false), (16, true), (2, true), (3, false), (13, true)] {
            let found = bench.members(
                &packets,
                FanOut {
                    sockets: count,
                    symmetric,
                },
            );
            for (packet, member) in packets.iter().zip(found) {
                let key = FlowKey::parse(packet);
                let hash = if symmetric {
                    key.symmetric_hash()
                } else {
                    key.hash()
                };
                assert_eq!(member, FlowKey::member(hash, count), "{key}: {packet:02x?}");
            }
        }
    });
}

#[test]
fn with_fewer_than_two_members_the_first_gets_everything() {
    in_namespace(|| {
        let bench = Bench::new();
        let mut random = Random::new(8);
        let packets: Vec<_> = (0..100).map(|_| packet(&mut random)).collect();
        for count in [0, 1] {
            let fanout = FanOut {
                sockets: count,
                symmetric: true,
            };
            assert_eq!(bench.members(&packets, fanout), vec![0; packets.len()]);
        }
    });
}

#[test]
fn the_library_does_not_share_out_more_than_there_are_places() {
    in_namespace(|| {
        let bench = Bench::new();
        let set = |queue, count| {
            let fanout = FanOut {
                sockets: count,
                symmetric: false,
            };
            bench.fanouts.set(queue, fanout)
        };
        set(0, MEMBERS).unwrap();
        for error in [set(0, MEMBERS + 1), set(1, 2), set(u32::MAX, 2)] {
            assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid);
        }
        let socket = bound_socket("near");
        for (queue, member) in [(0, MEMBERS), (1, 0), (u32::MAX, 1), (u32::MAX / 16, 15)] {
            let place = MapKey { queue, member };
            let error = bench.sockets.insert(place, socket.as_fd()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            bench.sockets.remove(place).unwrap();
        }
    });
}
