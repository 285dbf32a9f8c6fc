//! Answers ARP requests and pings for an IP address that the kernel does not have, each in the frame it came in (mode C).
//!
//! ```console
//! # cargo run --release --example ping_responder -- -i veth0 -a 10.0.0.2
//! $ cargo run --release --example ping_responder -- --sim
//! ```
//!
//! Opens a socket on each queue of the interface, or on the one that `-q` names; each has a thread. It drops everything else that arrives
//! on its queues: do not use an interface that you are logged in through. `ip link add veth0 type veth peer name veth1`, and
//! `ip link set … up` for both, make one to try it on. `--sim` needs no root and no network: it answers a neighbour on a simulated link.
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
use simulate::LinkOptions;

mod common;
#[path = "simulate/pinger.rs"]
mod pinger;
mod simulate;

const USAGE: &str = "\
usage: ping_responder -i INTERFACE -a ADDRESS [-q QUEUE] [--copy] [--generic]
       ping_responder --sim [--pcap FILE] [--record FILE] [OPTION...]
Answers ARP requests and pings for an IPv4 address.

  -i, --interface NAME   the interface to receive on
  -a, --address ADDRESS  the IPv4 address to answer for; the kernel must not have it
  -q, --queue NUMBER     receive on this queue only (default: all queues)
      --copy             use copy mode, even where the driver has zero-copy
      --generic          run the XDP program in the network stack, not in the driver
      --sim              use a simulated link: answer 10000 pings, then end; needs no root
      --pcap FILE        replay a capture file into a simulated link, once
      --record FILE      write what the simulated link carries into a capture file
      --mac MAC          the Ethernet address of the simulated link (02:00:00:00:00:01)
  -h, --help             this text

It takes every packet of its queues: do not use an interface that you are logged in through.
SIGUSR1 prints the counters, SIGINT and SIGTERM end the program.";

/// Packets handled before it looks at the signals again.
const BATCH: u32 = 64;

/// What was done with a received packet.
enum Outcome {
    ArpAnswered,
    EchoAnswered,
    Ignored,
    BadChecksum,
}

/// Turns a request to our addresses into its reply, and leaves everything else alone.
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
            // Swapping the addresses does not change the checksum of the header.
            ip.swap_addresses();
            Outcome::EchoAnswered
        }
        _ => Outcome::Ignored,
    }
}

/// The other end of a simulated link.
enum Simulation {
    /// A capture file is replayed.
    Replay(Nic),
    /// A neighbour pings.
    Pinger(Nic, Pinger),
}

impl Simulation {
    /// Moves packets. Returns false when no more will come.
    fn poll_once(&mut self) -> Result<bool, FluxError> {
        let (nic, more) = match self {
            Self::Replay(nic) => (&*nic, nic.is_playing()),
            Self::Pinger(nic, pinger) => (&*nic, pinger.poll_once()?),
        };
        nic.network().settle();
        Ok(more)
    }

    /// Returns whether all went well.
    fn finish(self) -> Result<bool, FluxError> {
        let (nic, good) = match self {
            Self::Replay(nic) => (nic, true),
            Self::Pinger(nic, pinger) => (nic, pinger.finish()),
        };
        nic.end_recording()?;
        Ok(good)
    }
}

/// Answers the packets of one queue.
struct Responder {
    raw: FluxRaw,
    /// Printed before its counters: the number of the queue, if there are several.
    label: String,
    /// Set by SIGUSR1.
    print: Arc<AtomicBool>,
    simulation: Option<Simulation>,
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
            simulation: None,
            mac,
            address,
            received: 0,
            arp_answered: 0,
            echo_answered: 0,
            ignored: 0,
            bad_checksum: 0,
        }
    }

    /// Runs until `stop` is set or the simulation ends, and prints the counters whenever `print` is set.
    fn run(&mut self, stop: &AtomicBool) -> Result<(), Failure> {
        while !stop.load(Ordering::Relaxed) {
            if self.print.swap(false, Ordering::Relaxed) {
                self.print_counters()?;
            }
            let over = match &mut self.simulation {
                Some(simulation) => !simulation.poll_once()?,
                None => false,
            };
            // The frames of sent answers go back to the fill ring.
            self.raw.refill();
            let received = self.answer_batch();
            let woken = self.raw.wake_rx().and_then(|()| self.raw.wake_tx());
            if is_down(&woken) {
                // The answers stay in the ring until the link is up again.
                thread::sleep(Duration::from_millis(10));
            } else {
                woken?;
            }
            if received == 0 && over {
                break;
            }
            if received == 0 {
                // A signal may come just before the wait, so the wait is short.
                self.raw.wait_rx(Some(Duration::from_millis(200)))?;
            }
        }
        // Packets in the TX ring leave now, if they can.
        let flushed = self.raw.flush(Duration::from_secs(1)).map(drop);
        if !is_down(&flushed) {
            flushed?;
        }
        Ok(())
    }

    /// Answers up to a batch of packets. Returns how many there were.
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

/// Opens a socket on each queue of the interface, or on the one that `-q` names.
fn open(options: &Options) -> Result<(Vec<FluxRaw>, Option<Nic>), Failure> {
    let (link_options, bind) = (&options.link_options, &options.bind);
    let (link, nic) = link_options.open(bind.first_queue(), link_options.pcap.is_none())?;
    let builder = FluxBuilder::new(&link)
        .bind_mode(bind.bind_mode)
        .xdp_mode(bind.xdp_mode);
    let sockets = match (bind.queue, &nic) {
        (None, None) => builder.frames(2048).build_queues(..)?,
        // On the simulated link packets arrive on one queue only.
        _ => vec![builder.queue(bind.first_queue()).build()?],
    };
    Ok((sockets, nic))
}

/// Runs until a signal comes.
fn respond(options: Options) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    flag::register(SIGINT, Arc::clone(&stop))?;
    flag::register(SIGTERM, Arc::clone(&stop))?;

    let (sockets, nic) = open(&options)?;
    let (address, link_options) = (options.address, &options.link_options);
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
    responders[0].simulation = match (nic, &link_options.pcap) {
        (Some(nic), Some(file)) => {
            simulate::replay(&nic, file, first, 1)?;
            Some(Simulation::Replay(nic))
        }
        (Some(nic), None) => Some(Simulation::Pinger(
            nic.clone(),
            Pinger::new(nic, first, address),
        )),
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
        if let Some(false) = responder
            .simulation
            .take()
            .map(Simulation::finish)
            .transpose()?
        {
            return Err("not every ping was answered as it should be".into());
        }
    }
    Ok(())
}

/// When one queue ends, all end.
fn run_or_stop_all(responder: &mut Responder, stop: &AtomicBool) -> Result<(), Failure> {
    let result = responder.run(stop);
    stop.store(true, Ordering::Relaxed);
    result
}

struct Options {
    link_options: LinkOptions,
    bind: BindOptions,
    address: Ipv4Addr,
}

/// Reads the command line; returns `None` if it asks for help.
fn parse(line: &mut CommandLine) -> Result<Option<Options>, String> {
    let (mut link_options, mut bind, mut address) =
        (LinkOptions::default(), BindOptions::default(), None);
    while let Some(word) = line.next()? {
        match word.as_str() {
            "-a" | "--address" => address = Some(line.parsed("IPv4 address")?),
            "-h" | "--help" => return Ok(None),
            _ if link_options.option(&word, line)? || bind.option(&word, line)? => {}
            _ => return Err(line.unknown()),
        }
    }
    link_options.check()?;
    if link_options.sim {
        address.get_or_insert(Ipv4Addr::new(10, 111, 0, 2));
    }
    Ok(Some(Options {
        link_options,
        bind,
        address: address.ok_or("an address is needed: -a ADDRESS")?,
    }))
}

fn main() -> ExitCode {
    common::run(USAGE, parse, respond)
}
