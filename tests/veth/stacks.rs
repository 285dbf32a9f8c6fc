//! Two network stacks of the kernel talk TCP through a forwarder of this process. They leave their checksums to the veth pair,
//! which they take for a network card that can compute them.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fluxcap::proto::checksum::{Completion, complete};
use fluxcap::proto::nat::Rewrite;
use fluxcap::proto::{EtherType, Ethernet, IpProtocol, Ipv4, Ipv6, MacAddr, Tcp};
use fluxcap::{FluxRaw, PacketBatch};

use super::net::{Elsewhere, add_pair, in_namespace, ip};
use super::traffic::{PATIENCE, assert_all_home, large};

const CLIENT: &str = "10.0.0.1/24";
const SERVER: &str = "10.0.0.2/24";
const SERVER_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 2]);
const SERVICE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 8080);

/// Where the load balancer pretends to be.
const VIRTUAL_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 100]);
const VIRTUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100)), 80);

/// What the client sends and expects back.
const BYTES: usize = 300_000;

/// Client and server, each in a namespace of its own, and the ports between them.
struct Line {
    client: Elsewhere,
    server: Elsewhere,
    ports: [FluxRaw; 2],
}

impl Line {
    fn new() -> Self {
        add_pair("left", "right", "");
        ip(&format!("link set right address {SERVER_MAC}"));
        let client = Elsewhere::with("far", CLIENT);
        let server = Elsewhere::with("right", SERVER);
        let near = large("near").frames(8192).build().unwrap();
        let left = large("left").umem(near.umem()).build().unwrap();
        Self {
            client,
            server,
            ports: [near, left],
        }
    }

    /// Runs `work` while a thread passes packets on, each after `change`, which is told where it came from.
    fn while_forwarding<R>(
        &mut self,
        mut change: impl FnMut(usize, &mut [u8]) + Send,
        work: impl FnOnce(&Elsewhere, &Elsewhere) -> R,
    ) -> R {
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let stop = AtomicBool::new(false);
        let ports = &mut self.ports;
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    forward(ports, &mut change);
                }
            });
            let _end = Stop(&stop);
            work(&self.client, &self.server)
        })
    }

    fn close(self) {
        let umem = self.ports[0].umem().clone();
        let accounting = umem.accounting();
        assert!(accounting.is_conserved(), "{accounting}");
        drop(self.ports);
        assert_all_home(&umem);
    }
}

/// Passes on what there is in both directions.
fn forward(ports: &mut [FluxRaw; 2], change: &mut impl FnMut(usize, &mut [u8])) {
    let mut batch = PacketBatch::with_capacity(64);
    for from in [0, 1] {
        ports[1 - from].reap();
        ports[from].receive(&mut batch);
        for packet in batch.iter_mut() {
            change(from, packet.data_mut());
        }
        ports[1 - from].send(&mut batch).unwrap();
        ports[1 - from].wake_tx().unwrap();
        // TCP sends again what there was no room for.
        batch.clear();
    }
    ports[0].wait_rx(Some(Duration::from_millis(1))).unwrap();
}

/// Answers one connection with the bytes it brings; ends by itself, too, when there is none.
pub(crate) fn serve(server: &Elsewhere, address: SocketAddr, bytes: usize) -> JoinHandle<()> {
    server.run(move || {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        thread::spawn(move || {
            let deadline = Instant::now() + PATIENCE;
            let mut stream = loop {
                match listener.accept() {
                    Ok((stream, _)) => break stream,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => panic!("{error}"),
                }
                assert!(Instant::now() < deadline, "nobody connected");
                thread::sleep(Duration::from_millis(5));
            };
            stream.set_nonblocking(false).unwrap();
            be_patient(&stream);
            let mut question = vec![0; bytes];
            stream.read_exact(&mut question).unwrap();
            stream.write_all(&question).unwrap();
        })
    })
}

fn be_patient(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
}

/// Connects to `address`, sends so many bytes and gets them back.
pub(crate) fn talk(client: &Elsewhere, address: SocketAddr, bytes: usize) {
    client.run(move || {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        be_patient(&stream);
        let question = super::traffic::frame(1, bytes);
        stream.write_all(&question).unwrap();
        let mut answer = vec![0; bytes];
        stream.read_exact(&mut answer).unwrap();
        assert!(answer == question, "damaged");
    });
}

/// How many TCP segments a stack has refused because of their checksums.
pub(crate) fn refused(stack: &Elsewhere) -> u64 {
    stack.run(|| {
        let text = fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
        let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
        let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
        let (_, value) = names
            .split(' ')
            .zip(values.split(' '))
            .find(|(name, _)| *name == "InCsumErrors")
            .unwrap();
        value.parse().unwrap()
    })
}

/// Whether the checksums of a TCP packet are right; `None` if it is something else.
fn is_right(frame: &[u8]) -> Option<bool> {
    let (ethernet, packet) = Ethernet::parse(frame).ok()?;
    let (is_right, protocol, addresses, segment) = match ethernet.ether_type() {
        EtherType::IPV4 => {
            let (ip, segment) = Ipv4::parse(packet).ok()?;
            let is_right = ip.verify_checksum();
            (is_right, ip.protocol(), ip.pseudo_header(), segment)
        }
        EtherType::IPV6 => {
            let (ip, segment) = Ipv6::parse(packet).ok()?;
            (true, ip.next_header(), ip.pseudo_header(), segment)
        }
        _ => return None,
    };
    if protocol != IpProtocol::TCP {
        return None;
    }
    let (tcp, data) = Tcp::parse(segment).ok()?;
    Some(is_right && tcp.verify_checksum(addresses, data))
}

/// Gives an interface an IPv6 address at once; false where the kernel has no IPv6.
fn add_ipv6(stack: &Elsewhere, interface: &'static str, address: &'static str) -> bool {
    stack.run(move || {
        let switch = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
        let is_there = fs::write(switch, "0").is_ok();
        if is_there {
            ip(&format!("-6 address add {address} dev {interface} nodad"));
        }
        is_there
    })
}

#[test]
fn a_stack_refuses_partial_checksums_and_takes_completed_ones() {
    in_namespace(|| {
        let mut line = Line::new();
        let serving = serve(&line.server, SERVICE, BYTES);

        let mut wrong = 0;
        let look = |_: usize, frame: &mut [u8]| wrong += u32::from(is_right(frame) == Some(false));
        line.while_forwarding(look, |client, server| {
            let patience = Duration::from_millis(300);
            let connected =
                client.run(move || TcpStream::connect_timeout(&SERVICE, patience).is_ok());
            assert!(!connected, "the stack takes partial checksums");
            assert!(refused(server) > 0);
        });
        assert!(wrong > 0);

        let before = refused(&line.server);
        let mut completed = [0; 2];
        let finish = |from: usize, frame: &mut [u8]| {
            completed[from] += u32::from(complete(frame) == Completion::Completed);
            assert_ne!(is_right(frame), Some(false));
        };
        line.while_forwarding(finish, |client, server| {
            talk(client, SERVICE, BYTES);
            assert_eq!((refused(client), refused(server)), (0, before));
        });
        assert!(completed.iter().all(|&count| count > 100), "{completed:?}");
        serving.join().unwrap();
        line.close();
    });
}

#[test]
fn partial_checksums_over_ipv6_are_completed_as_well() {
    in_namespace(|| {
        let mut line = Line::new();
        if !add_ipv6(&line.client, "far", "fd00::1/64")
            || !add_ipv6(&line.server, "right", "fd00::2/64")
        {
            println!("skipped: the kernel has no IPv6");
            return;
        }
        let service = "[fd00::2]:8080".parse().unwrap();
        let serving = serve(&line.server, service, BYTES);
        let mut completed = [0; 2];
        let finish = |from: usize, frame: &mut [u8]| {
            completed[from] += u32::from(complete(frame) == Completion::Completed);
            assert_ne!(is_right(frame), Some(false));
        };
        line.while_forwarding(finish, |client, server| {
            talk(client, service, BYTES);
            assert_eq!((refused(client), refused(server)), (0, 0));
        });
        assert!(completed.iter().all(|&count| count > 100), "{completed:?}");
        serving.join().unwrap();
        line.close();
    });
}

#[test]
fn connections_through_a_load_balancer_work() {
    in_namespace(|| {
        let mut line = Line::new();
        line.client.run(|| {
            let (ip_address, mac) = (VIRTUAL.ip(), VIRTUAL_MAC);
            ip(&format!(
                "neighbour add {ip_address} lladdr {mac} dev far nud permanent"
            ));
        });
        let serving = serve(&line.server, SERVICE, BYTES);
        let to_server = Rewrite::new()
            .destination_mac(SERVER_MAC)
            .destination(SERVICE);
        let from_server = Rewrite::new().source_mac(VIRTUAL_MAC).source(VIRTUAL);
        let mut rewritten = [0; 2];
        let balance = |from: usize, frame: &mut [u8]| {
            if is_right(frame).is_some() {
                [&to_server, &from_server][from].apply(frame).unwrap();
                rewritten[from] += 1;
            }
            complete(frame);
            assert_ne!(is_right(frame), Some(false));
        };
        line.while_forwarding(balance, |client, server| {
            talk(client, VIRTUAL, BYTES);
            assert_eq!((refused(client), refused(server)), (0, 0));
        });
        assert!(rewritten.iter().all(|&count| count > 100), "{rewritten:?}");
        serving.join().unwrap();
        line.close();
    });
}
