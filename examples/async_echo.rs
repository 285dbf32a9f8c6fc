//! Sends UDP datagrams and pings back to their senders, in tasks of a tokio runtime, each packet in the frame it came in (mode B).
//!
//! ```console
//! # cargo run --release --features async --example async_echo -- -i veth0
//! $ cargo run --release --features async --example async_echo -- --sim --cancel
//! ```
//!
//! Opens a socket on each queue of the interface, or on the one that `-q` names; each has a task. `--sim` needs no root and no network:
//! it echoes what a neighbour sends over a simulated link, and counts at the end whether anything was lost. `--cancel` drops futures at
//! random while they wait, which loses nothing.
//!
//! It drops everything else that arrives on its queues: do not use an interface that you are logged in through.
//! `ip link add veth0 type veth peer name veth1`, and `ip link set … up` for both, make one to try it on.
//! Prints its counters on SIGUSR1 and at the end; SIGINT or SIGTERM ends it.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fluxcap::proto::{
    EtherType, Ethernet, IcmpEcho, IcmpType, IpProtocol, Ipv4, Ipv6, MacAddr, Udp, checksum,
};
use fluxcap::sim::{Network, NicConfig};
use fluxcap::{
    AsyncFluxRx, AsyncFluxTx, ErrorKind, FluxBuilder, FluxError, FluxRaw, Link, PacketBatch,
};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use canceller::Canceller;
use common::{BindOptions, CommandLine, Failure};
use neighbour::Neighbour;

#[path = "async_echo/cancel.rs"]
mod canceller;
mod common;
#[path = "simulate/frames.rs"]
mod frames;
#[path = "async_echo/neighbour.rs"]
mod neighbour;

const USAGE: &str = "\
usage: async_echo -i INTERFACE [-q QUEUE] [--copy] [--generic] [--cancel]
       async_echo --sim [--packets NUMBER] [--seed NUMBER] [--cancel] [-q QUEUE] [--copy]
Sends back the UDP datagrams and pings that come to the Ethernet address of the interface, in tasks of a tokio runtime.

  -i, --interface NAME   the interface to receive on
  -q, --queue NUMBER     receive on this queue only (default: all queues)
      --copy             use copy mode, even where the driver has zero-copy
      --generic          run the XDP program in the network stack, not in the driver
      --cancel           drop futures at random while they wait; this loses nothing
      --seed NUMBER      the seed of the random numbers (1)
      --sim              use a simulated link; needs no root, ends by itself
      --packets NUMBER   with --sim: how many packets to echo (10000)
  -h, --help             this text

It takes every packet of its queues: do not use an interface that you are logged in through.
SIGUSR1 prints the counters, SIGINT and SIGTERM end the program.";

/// Packets received and sent together.
const BATCH: usize = 64;
/// How often it looks at the signals.
const LOOK: Duration = Duration::from_millis(50);
/// Packets that the simulated link holds for the neighbour. When it is full, sending waits.
const KEEP: u32 = 64;

/// What was done with a received packet.
enum Outcome {
    Datagram,
    Ping,
    Ignored,
}

/// Turns a packet to our MAC address into its echo, and leaves everything else alone.
fn echo_frame(frame: &mut [u8], mac: MacAddr) -> Outcome {
    // A sender on the same machine leaves checksums to its device; nobody else would finish them.
    checksum::complete(frame);
    let Ok((ethernet, payload)) = Ethernet::parse_mut(frame) else {
        return Outcome::Ignored;
    };
    if ethernet.destination() != mac {
        return Outcome::Ignored;
    }
    let outcome = match ethernet.ether_type() {
        EtherType::IPV4 => echo_ipv4(payload),
        EtherType::IPV6 => echo_ipv6(payload),
        _ => Outcome::Ignored,
    };
    if !matches!(outcome, Outcome::Ignored) {
        ethernet.swap_addresses();
    }
    outcome
}

fn echo_ipv4(payload: &mut [u8]) -> Outcome {
    let Ok((ip, message)) = Ipv4::parse_mut(payload) else {
        return Outcome::Ignored;
    };
    if ip.is_fragment() {
        return Outcome::Ignored;
    }
    let outcome = match ip.protocol() {
        IpProtocol::UDP => echo_datagram(message),
        IpProtocol::ICMP => match IcmpEcho::parse_mut(message) {
            Ok((echo, _)) if echo.icmp_type() == IcmpType::ECHO_REQUEST => {
                echo.into_reply();
                Outcome::Ping
            }
            _ => Outcome::Ignored,
        },
        _ => Outcome::Ignored,
    };
    if !matches!(outcome, Outcome::Ignored) {
        // Swapping addresses and ports does not change any checksum.
        ip.swap_addresses();
    }
    outcome
}

fn echo_ipv6(payload: &mut [u8]) -> Outcome {
    match Ipv6::parse_mut(payload) {
        Ok((ip, message)) if ip.next_header() == IpProtocol::UDP => {
            let outcome = echo_datagram(message);
            if !matches!(outcome, Outcome::Ignored) {
                ip.swap_addresses();
            }
            outcome
        }
        _ => Outcome::Ignored,
    }
}

fn echo_datagram(message: &mut [u8]) -> Outcome {
    match Udp::parse_mut(message) {
        Ok((udp, _)) => {
            udp.swap_ports();
            Outcome::Datagram
        }
        Err(_) => Outcome::Ignored,
    }
}

/// Echoes the packets of one queue.
struct Echo {
    rx: AsyncFluxRx,
    tx: AsyncFluxTx,
    /// Printed before its counters: the number of the queue, if there are several.
    label: String,
    /// Set by SIGUSR1.
    print: Arc<AtomicBool>,
    mac: MacAddr,
    canceller: Canceller,
    received: u64,
    datagrams: u64,
    pings: u64,
    ignored: u64,
    since: Instant,
}

impl Echo {
    fn new(raw: FluxRaw, mac: MacAddr, canceller: Canceller) -> Result<Self, FluxError> {
        let (rx, tx) = raw.split();
        Ok(Self {
            rx: AsyncFluxRx::new(rx)?,
            tx: AsyncFluxTx::new(tx)?,
            label: String::new(),
            print: Arc::default(),
            mac,
            canceller,
            received: 0,
            datagrams: 0,
            pings: 0,
            ignored: 0,
            since: Instant::now(),
        })
    }

    /// Runs, and stops all others at its end. Returns itself and its result.
    async fn run_or_stop_all(mut self, stop: Arc<AtomicBool>) -> (Self, Result<(), Failure>) {
        let result = self.run(&stop).await;
        stop.store(true, Ordering::Relaxed);
        (self, result)
    }

    /// Runs until `stop` is set, and prints the counters whenever `print` is set.
    async fn run(&mut self, stop: &AtomicBool) -> Result<(), Failure> {
        let mut batch = PacketBatch::with_capacity(BATCH);
        let mut answers = PacketBatch::with_capacity(BATCH);
        let mut look = tokio::time::interval(LOOK);
        while !stop.load(Ordering::Relaxed) {
            tokio::select! {
                received = self.canceller.run(self.rx.recv(&mut batch)) => {
                    if let Some(received) = received {
                        self.received += u64::from(received?);
                    }
                }
                _ = look.tick() => {
                    if self.print.swap(false, Ordering::Relaxed) {
                        self.print_counters()?;
                    }
                }
            }
            self.answer(&mut batch, &mut answers);
            self.send(&mut answers).await?;
        }
        Ok(())
    }

    /// Moves the packets to be sent from `batch` to `answers`.
    fn answer(&mut self, batch: &mut PacketBatch, answers: &mut PacketBatch) {
        for mut packet in batch.drain() {
            let counter = match echo_frame(packet.data_mut(), self.mac) {
                Outcome::Datagram => &mut self.datagrams,
                Outcome::Ping => &mut self.pings,
                Outcome::Ignored => {
                    self.ignored += 1;
                    continue;
                }
            };
            *counter += 1;
            // Both batches have the same capacity.
            drop(answers.push(packet));
        }
    }

    async fn send(&mut self, answers: &mut PacketBatch) -> Result<(), FluxError> {
        while !answers.is_empty() {
            // Packets that a dropped future has not sent are still in the batch.
            match self.canceller.run(self.tx.send(answers)).await {
                Some(Err(error)) if error.kind() == ErrorKind::Down => {
                    // The answers stay in the ring until the link is up again.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Some(result) => result?,
                None => {}
            }
        }
        Ok(())
    }

    fn print_counters(&self) -> Result<(), Failure> {
        println!(
            "{}received {}: datagrams {}, pings {}, ignored {}; {:.0} packets a second",
            self.label,
            self.received,
            self.datagrams,
            self.pings,
            self.ignored,
            self.received as f64 / self.since.elapsed().as_secs_f64()
        );
        println!(
            "futures dropped while they waited: {}",
            self.canceller.dropped()
        );
        let kernel = self.rx.get_ref().statistics()?;
        println!(
            "kernel: dropped {}, RX ring full {}, fill ring empty {}, invalid descriptors {}",
            kernel.rx_dropped,
            kernel.rx_ring_full,
            kernel.rx_fill_ring_empty_descs,
            kernel.rx_invalid_descs + kernel.tx_invalid_descs
        );
        Ok(io::stdout().flush()?)
    }

    /// Closes the socket, and checks that every frame is back in the pool.
    async fn close(mut self) -> Result<(), Failure> {
        match tokio::time::timeout(Duration::from_secs(2), self.tx.flush()).await {
            Ok(Err(error)) if error.kind() != ErrorKind::Down => return Err(error.into()),
            _ => {}
        }
        let umem = self.rx.get_ref().umem().clone();
        drop(self);
        umem.reclaim(Duration::from_secs(1));
        let accounting = umem.accounting();
        println!("frames: {accounting}");
        if !accounting.is_conserved() || accounting.pool != umem.frame_count() {
            return Err("the frames do not add up".into());
        }
        Ok(())
    }
}

/// Opens a socket on each queue of the interface, or on the one that `-q` names.
fn open(link: &Link, options: &Options) -> Result<Vec<FluxRaw>, FluxError> {
    let bind = &options.bind;
    let builder = FluxBuilder::new(link)
        .bind_mode(bind.bind_mode)
        .xdp_mode(bind.xdp_mode);
    match (bind.queue, &options.interface) {
        (None, Some(_)) => builder.frames(2048).build_queues(..),
        // On the simulated link packets arrive on one queue only.
        _ => Ok(vec![builder.queue(bind.first_queue()).build()?]),
    }
}

/// Runs until a signal comes, or the simulation ends.
async fn echo(options: &Options) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    flag::register(SIGINT, Arc::clone(&stop))?;
    flag::register(SIGTERM, Arc::clone(&stop))?;

    let first = options.bind.first_queue();
    let network = Network::new();
    let (link, nic) = match &options.interface {
        Some(interface) => (Link::from(interface), None),
        None => {
            let nic = network.add(NicConfig {
                queues: first.saturating_add(1),
                mac: Some(neighbour::ECHO),
                zero_copy: true,
                keep: KEEP,
                ..NicConfig::new("sim0")
            })?;
            (Link::from(&nic), Some(nic))
        }
    };
    let sockets = open(&link, options)?;
    let interface = sockets[0].interface().name.clone();
    let Some(mac) = sockets[0].interface().mac else {
        return Err(format!("{interface} has no Ethernet address to answer from").into());
    };
    println!("{}", sockets[0].report());
    let count = sockets.len();
    let queues = options.bind.queues(count);
    println!("echoing on {interface} {queues}: UDP and ping");
    io::stdout().flush()?;

    let mut tasks = Vec::new();
    for (queue, raw) in (first..).zip(sockets) {
        let seed = options.seed.wrapping_add(queue.into());
        let mut echo = Echo::new(raw, mac, Canceller::new(options.cancel.then_some(seed)))?;
        echo.label = BindOptions::label(queue, count);
        #[cfg(unix)] // elsewhere there is no such signal
        flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&echo.print))?;
        tasks.push(tokio::spawn(echo.run_or_stop_all(Arc::clone(&stop))));
    }
    let running = nic.as_ref().map(|_| network.run()).transpose()?;
    let neighbour = nic.map(|nic| {
        let (packets, stop) = (options.packets, Arc::clone(&stop));
        std::thread::spawn(move || Neighbour::new(nic, first, packets).talk(&stop))
    });
    let mut ended = Vec::new();
    for task in tasks {
        let (echo, result) = task.await?;
        echo.print_counters()?;
        ended.push((echo, result));
    }
    let all_well = match neighbour.map(|thread| thread.join()) {
        Some(Ok(ended)) => ended?,
        Some(Err(_)) => return Err("the neighbour panicked".into()),
        None => true,
    };
    for (echo, result) in ended {
        result?;
        echo.close().await?;
    }
    drop(running);
    if !all_well {
        return Err("not every packet came back as it should be".into());
    }
    Ok(())
}

struct Options {
    /// `None`: a simulated link.
    interface: Option<String>,
    bind: BindOptions,
    cancel: bool,
    seed: u64,
    packets: u32,
}

/// Reads the command line; returns `None` if it asks for help.
fn parse(line: &mut CommandLine) -> Result<Option<Options>, String> {
    let (mut interface, mut sim, mut bind) = (None, false, BindOptions::default());
    let (mut cancel, mut seed, mut packets) = (false, 1, None);
    while let Some(word) = line.next()? {
        match word.as_str() {
            "-i" | "--interface" => interface = Some(line.text()?),
            "--cancel" => cancel = true,
            "--seed" => seed = line.number()?,
            "--sim" => sim = true,
            "--packets" => packets = Some(line.number()?),
            "-h" | "--help" => return Ok(None),
            _ if bind.option(&word, line)? => {}
            _ => return Err(line.unknown()),
        }
    }
    match (&interface, sim) {
        (None, false) => {
            return Err("an interface is needed: -i INTERFACE, or --sim".to_owned());
        }
        (Some(_), true) => {
            return Err("an interface, or a simulated link: not both".to_owned());
        }
        (Some(_), false) if packets.is_some() => {
            return Err("--packets goes with --sim".to_owned());
        }
        _ => {}
    }
    let packets = packets.unwrap_or(10_000);
    if packets == 0 || packets > neighbour::MOST {
        return Err(format!("--packets is between 1 and {}", neighbour::MOST));
    }
    Ok(Some(Options {
        interface,
        bind,
        cancel,
        seed,
        packets,
    }))
}

fn main() -> ExitCode {
    common::run(USAGE, parse, |options| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(echo(&options))
    })
}
