//! Answers ARP requests and pings for an address that the kernel does not know, each in the frame it came in.
//!
//! ```console
//! # cargo run --release --example ping_responder -- -i veth0 -a 10.0.0.2
//! $ cargo run --release --example ping_responder -- --sim
//! ```
//!
//! With `--sim` it needs no root and no network: it answers a neighbour of its own on a simulated link.
//! It has a socket and a thread for each queue, unless one is named. Everything else that reaches them is dropped, so try it on an interface that you are not logged in through.
//! `ip link add veth0 type veth peer name veth1`, and `ip link set … up` for both, make one.
//! Prints its counters on SIGUSR1 and at the end; SIGINT or SIGTERM ends it.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fluxcap::proto::{
    Arp, ArpOperation, EtherType, Ethernet, IcmpEcho, IcmpType, IpProtocol, Ipv4, MacAddr,
};
use fluxcap::sim::Nic;
use fluxcap::{ErrorKind, FluxBuilder, FluxError, FluxRaw, Verdict};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use common::{BindOptions, CommandLine, Failure};
use pinger::Pinger;
use simulate::Place;

mod common;
#[path = "simulate/pinger.rs"]
mod pinger;
mod simulate;

const USAGE: &str = "\
usage: ping_responder -i INTERFACE -a ADDRESS [-q QUEUE] [--copy] [--generic]
       ping_responder --sim [--pcap FILE] [--record FILE] [OPTION...]
Answers ARP requests and pings for an IPv4 address.

  -i, --interface NAME   the interface to receive on
  -a, --address ADDRESS  the address to answer for, one that the kernel does not have
  -q, --queue NUMBER     one queue to bind to (all that the interface has)
      --copy             copy mode, even where the driver has zero-copy
      --generic          the XDP program in the network stack, not in the driver
      --sim              no interface and no root: answer 10000 pings on a simulated link, and end
      --pcap FILE        replay a capture file into the simulated link instead, once
      --record FILE      write what the simulated link carries into a capture file
      --mac MAC          the Ethernet address of the simulated link (02:00:00:00:00:01)
  -h, --help             this text

It takes every packet of its queues: do not use an interface that you are logged in through.
SIGUSR1 prints the counters, SIGINT and SIGTERM end the program.";

/// Packets handled between two looks at the signals.
const BATCH: u32 = 64;

/// What became of a received packet.
enum Outcome {
    ArpAnswered,
    EchoAnswered,
    Ignored,
    BadChecksum,
}

/// Turns a request for us into its reply, and leaves everything else alone.
fn answer(frame: &mut [u8], mac: MacAddr, address: Ipv4Addr) -> Outcome {
    let Ok((ethernet, payload)) = Ethernet::parse_mut(frame) else {
        return Outcome::Ignored;
    };
    let to_us = ethernet.destination() == mac;
    let outcome = match ethernet.ether_type() {
        EtherType::ARP if to_us || ethernet.destination().is_broadcast() => {
            answer_arp(payload, mac, address)
        }
        EtherType::IPV4 if to_us => answer_echo(payload, address),
        _ => Outcome::Ignored,
    };
    if matches!(outcome, Outcome::ArpAnswered | Outcome::EchoAnswered) {
        ethernet.swap_addresses();
        ethernet.set_source(mac);
    }
    outcome
}

fn answer_arp(payload: &mut [u8], mac: MacAddr, address: Ipv4Addr) -> Outcome {
    match Arp::parse_mut(payload) {
        Ok((arp, _)) if arp.operation() == ArpOperation::REQUEST && arp.target_ip() == address => {
            arp.into_reply(mac);
            Outcome::ArpAnswered
        }
        _ => Outcome::Ignored,
    }
}

fn answer_echo(payload: &mut [u8], address: Ipv4Addr) -> Outcome {
    let Ok((ip, message)) = Ipv4::parse_mut(payload) else {
        return Outcome::Ignored;
    };
    if !ip.verify_checksum() {
        return Outcome::BadChecksum;
    }
    if ip.destination() != address || ip.protocol() != IpProtocol::ICMP || ip.is_fragment() {
        return Outcome::Ignored;
    }
    match IcmpEcho::parse_mut(message) {
        Ok((echo, data)) if echo.icmp_type() == IcmpType::ECHO_REQUEST => {
            if !echo.verify_checksum(data) {
                return Outcome::BadChecksum;
            }
            echo.into_reply();
            // The same words in another order: the header's checksum still holds.
            ip.swap_addresses();
            Outcome::EchoAnswered
        }
        _ => Outcome::Ignored,
    }
}

/// What is at the other end of a simulated link.
enum World {
    /// A capture file that is played.
    Replay(Nic),
    /// A neighbour who pings.
    Pinger(Nic, Pinger),
}

impl World {
    /// Lets packets move. False when no more will come.
    fn turn(&mut self) -> Result<bool, FluxError> {
        let (nic, more) = match self {
            Self::Replay(nic) => (&*nic, nic.is_playing()),
            Self::Pinger(nic, pinger) => (&*nic, pinger.turn()?),
        };
        nic.network().settle();
        Ok(more)
    }

    /// Whether all was well.
    fn finish(self) -> Result<bool, FluxError> {
        let (nic, good) = match self {
            Self::Replay(nic) => (nic, true),
            Self::Pinger(nic, pinger) => (nic, pinger.finish()),
        };
        nic.end_recording()?;
        Ok(good)
    }
}

/// The answers of one queue.
struct Responder {
    raw: FluxRaw,
    /// What stands before its counters, where there are several.
    label: String,
    /// Set by SIGUSR1.
    print: Arc<AtomicBool>,
    world: Option<World>,
    mac: MacAddr,
    address: Ipv4Addr,
    received: u64,
    arp_answered: u64,
    echo_answered: u64,
    ignored: u64,
    bad_checksum: u64,
}

impl Responder {
    fn new(raw: FluxRaw, mac: MacAddr, address: Ipv4Addr) -> Self {
        Self {
            raw,
            label: String::new(),
            print: Arc::default(),
            world: None,
            mac,
            address,
            received: 0,
            arp_answered: 0,
            echo_answered: 0,
            ignored: 0,
            bad_checksum: 0,
        }
    }

    /// Answers until `stop` is set, or a simulation is over, and prints the counters whenever `print` is set.
    fn run(&mut self, stop: &AtomicBool) -> Result<(), Failure> {
        while !stop.load(Ordering::Relaxed) {
            if self.print.swap(false, Ordering::Relaxed) {
                self.print_counters()?;
            }
            let over = match &mut self.world {
                Some(world) => !world.turn()?,
                None => false,
            };
            // The frames of sent answers go back to the kernel, for new packets.
            self.raw.refill();
            let received = self.answer_batch();
            let woken = self.raw.wake_rx().and_then(|()| self.raw.wake_tx());
            if is_down(&woken) {
                // The answers stay in the ring until the line is up again.
                thread::sleep(Duration::from_millis(10));
            } else {
                woken?;
            }
            if received == 0 && over {
                break;
            }
            if received == 0 {
                // A signal may come just before the wait: so it is short.
                self.raw.wait_rx(Some(Duration::from_millis(200)))?;
            }
        }
        // What still waits in the TX ring shall leave, if it can.
        let flushed = self.raw.flush(Duration::from_secs(1)).map(drop);
        if !is_down(&flushed) {
            flushed?;
        }
        Ok(())
    }

    /// Answers what there is, up to a batch; returns how many packets there were.
    fn answer_batch(&mut self) -> u32 {
        let (mac, address) = (self.mac, self.address);
        self.raw.forward(BATCH, |packet| {
            self.received += 1;
            let (counter, verdict) = match answer(packet.data_mut(), mac, address) {
                Outcome::ArpAnswered => (&mut self.arp_answered, Verdict::Send),
                Outcome::EchoAnswered => (&mut self.echo_answered, Verdict::Send),
                Outcome::Ignored => (&mut self.ignored, Verdict::Recycle),
                Outcome::BadChecksum => (&mut self.bad_checksum, Verdict::Recycle),
            };
            *counter += 1;
            verdict
        })
    }

    fn print_counters(&self) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "{}received {}: ARP answered {}, echo answered {}, ignored {}, bad checksum {}",
            self.label,
            self.received,
            self.arp_answered,
            self.echo_answered,
            self.ignored,
            self.bad_checksum
        )?;
        let kernel = self.raw.statistics()?;
        writeln!(
            out,
            "kernel: dropped {}, RX ring full {}, fill ring empty {}, invalid descriptors {}",
            kernel.rx_dropped,
            kernel.rx_ring_full,
            kernel.rx_fill_ring_empty_descs,
            kernel.rx_invalid_descs + kernel.tx_invalid_descs
        )?;
        if let Some(program) = self.raw.program_counters()? {
            writeln!(
                out,
                "program: redirected {}, passed on {}, dropped {}",
                program.redirect, program.pass, program.drop
            )?;
        }
        writeln!(out, "{}", self.raw.debug_rings())?;
        Ok(out.flush()?)
    }
}

fn is_down(result: &Result<(), FluxError>) -> bool {
    matches!(result, Err(error) if error.kind() == ErrorKind::Down)
}

/// A socket on the queue that was named, or on each.
fn open(options: &Options) -> Result<(Vec<FluxRaw>, Option<Nic>), Failure> {
    let (place, bind) = (&options.place, &options.bind);
    let (link, nic) = place.open(bind.first_queue(), place.pcap.is_none())?;
    let builder = FluxBuilder::new(&link)
        .bind_mode(bind.bind_mode)
        .xdp_mode(bind.xdp_mode);
    let sockets = match (bind.queue, &nic) {
        (None, None) => builder.frames(2048).build_queues(..)?,
        // The neighbour on the simulated link knows one.
        _ => vec![builder.queue(bind.first_queue()).build()?],
    };
    Ok((sockets, nic))
}

/// Answers until a signal comes.
fn respond(options: Options) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    flag::register(SIGINT, Arc::clone(&stop))?;
    flag::register(SIGTERM, Arc::clone(&stop))?;

    let (sockets, nic) = open(&options)?;
    let (address, place) = (options.address, &options.place);
    let interface = sockets[0].interface().name.clone();
    let Some(mac) = sockets[0].interface().mac else {
        return Err(format!("{interface} has no Ethernet address to answer from").into());
    };
    println!("{}", sockets[0].report());
    let (first, count) = (options.bind.first_queue(), sockets.len());
    let queues = options.bind.queues(count);
    println!("answering {address} on {interface} {queues}: ARP and ping");
    io::stdout().flush()?;

    let mut responders = Vec::new();
    for (queue, raw) in (first..).zip(sockets) {
        let mut responder = Responder::new(raw, mac, address);
        responder.label = BindOptions::label(queue, count);
        #[cfg(unix)] // elsewhere there is no such signal
        flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&responder.print))?;
        responders.push(responder);
    }
    responders[0].world = match (nic, &place.pcap) {
        (Some(nic), Some(file)) => {
            simulate::replay(&nic, file, first, 1)?;
            Some(World::Replay(nic))
        }
        (Some(nic), None) => Some(World::Pinger(nic.clone(), Pinger::new(nic, first, address))),
        (None, _) => None,
    };
    let results: Vec<_> = thread::scope(|scope| {
        let start = |responder| scope.spawn(|| run_or_stop_all(responder, &stop));
        let threads: Vec<_> = responders.iter_mut().map(start).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended
            .map(|result| result.expect("no thread panics"))
            .collect()
    });
    for responder in &responders {
        responder.print_counters()?;
    }
    results.into_iter().collect::<Result<(), _>>()?;
    for responder in &mut responders {
        if !responder.raw.debug_rings().is_conserved() {
            return Err("the frames do not add up".into());
        }
        if let Some(false) = responder.world.take().map(World::finish).transpose()? {
            return Err("not every ping was answered as it should be".into());
        }
    }
    Ok(())
}

/// When one queue fails, or is through, all end.
fn run_or_stop_all(responder: &mut Responder, stop: &AtomicBool) -> Result<(), Failure> {
    let result = responder.run(stop);
    stop.store(true, Ordering::Relaxed);
    result
}

struct Options {
    place: Place,
    bind: BindOptions,
    address: Ipv4Addr,
}

/// Reads the command line; `None` when it asks for help.
fn parse(line: &mut CommandLine) -> Result<Option<Options>, String> {
    let (mut place, mut bind, mut address) = (Place::default(), BindOptions::default(), None);
    while let Some(word) = line.next()? {
        match word.as_str() {
            "-a" | "--address" => address = Some(line.parsed("IPv4 address")?),
            "-h" | "--help" => return Ok(None),
            _ if place.option(&word, line)? || bind.option(&word, line)? => {}
            _ => return Err(line.unknown()),
        }
    }
    place.check()?;
    if place.sim {
        address.get_or_insert(Ipv4Addr::new(10, 111, 0, 2));
    }
    Ok(Some(Options {
        place,
        bind,
        address: address.ok_or("an address is needed: -a ADDRESS")?,
    }))
}

fn main() -> ExitCode {
    common::run(USAGE, parse, respond)
}
