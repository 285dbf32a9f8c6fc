//! A load balancer: spreads the flows of clients over backends, through one interface (mode B).
//!
//! ```console
//! # cargo run --release --example load_balancer_system -- -i veth0 -s 10.0.0.100:80 -b 10.0.0.11:8080 -b 10.0.0.12:8080
//! $ cargo run --release --example load_balancer_system -- --sim
//! ```
//!
//! Opens a socket on each queue of the interface, or on the one that `-q` names; each has a thread. A socket is split into a receiving
//! and a sending half. Received packets belong to the program: it rewrites them in place and sends them from the frame they came in, or
//! drops them, which frees the frame. The answers of a flow often arrive on another queue than its requests, so all threads share one
//! session table, behind a lock that is taken once a batch.
//!
//! The balancer has an IP address of its own, which the kernel must not have, and answers ARP requests for it. It does full NAT: a
//! request goes to the backend from the balancer's address, and from a port that stands for the flow. So the answer returns to the
//! balancer, whatever the routes of the backend are. The price: backends do not see the address of the client. Checksums are adjusted,
//! not recomputed; those that a sender on the same machine left to its device are finished.
//!
//! Backends are chosen by consistent hashing: when one goes down, only its own flows move. Once a second the balancer sends an ARP
//! request to each backend; one that has sent nothing for a while is down. This notices a machine that is gone, but not a service on it
//! that has ended.
//!
//! IPv4, TCP and UDP; no VLANs, no fragments. It drops everything else that arrives on its queues: do not use an interface that you are
//! logged in through. `--sim` needs no root and no network: clients and backends are simulated.

use std::io::{self, Write};
use std::net::SocketAddrV4;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use fluxcap::sim::Nic;
use fluxcap::{ErrorKind, FluxBuilder, FluxError, FluxRaw, FluxRx, FluxTx, PacketBatch, Poller};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use balancer::Balancer;
use common::{BindOptions, CommandLine, Failure};
use sessions::FIRST_PORT;
use simulate::LinkOptions;
use simulation::{Neighbours, Simulation};

#[path = "load_balancer_system/balancer.rs"]
mod balancer;
mod common;
#[path = "simulate/frames.rs"]
mod frames;
#[path = "load_balancer_system/sessions.rs"]
mod sessions;
mod simulate;
#[path = "load_balancer_system/simulation.rs"]
mod simulation;
#[path = "load_balancer_system/table.rs"]
mod table;

const USAGE: &str = "\
usage: load_balancer_system -i INTERFACE -s SERVICE -b BACKEND [-b BACKEND...] [OPTION...]
       load_balancer_system --sim [--pcap FILE] [--record FILE] [OPTION...]
Spreads the TCP and UDP flows of IPv4 clients over backends in the same network.

  -i, --interface NAME   the interface, towards clients and backends
  -s, --service ADDRESS  where clients find the service: an address that the kernel does not have, and a port below 32768
  -b, --backend ADDRESS  address and port of a backend; repeat it for each
      --down-after SECS  seconds of silence after which a backend is down and its flows move (3)
  -q, --queue NUMBER     receive on this queue only (default: all queues)
  -p, --poller POLLER    how to wait for packets: busy, wait or adaptive (adaptive)
  -I, --interval SECONDS print statistics this often
      --copy             use copy mode, even where the driver has zero-copy
      --generic          run the XDP program in the network stack, not in the driver
      --sim              use a simulated link with clients and backends; needs no root
      --pcap FILE        replay a capture file into a simulated link, once
      --record FILE      write what the simulated link carries into a capture file
      --mac MAC          the Ethernet address of the simulated link (02:00:00:00:00:01)
  -h, --help             this text

It takes every packet of its queues: do not use an interface that you are logged in through.
SIGUSR1 prints the statistics, SIGINT and SIGTERM end the program.";

/// Packets handled before it looks at signals and the clock again.
const BATCH: usize = 64;
/// How often it looks at signals, backends and intervals.
const SLICE: Duration = Duration::from_millis(100);

/// What all queues share.
struct Shared {
    balancer: Mutex<Balancer>,
    start: Instant,
}

impl Shared {
    fn balancer(&self) -> MutexGuard<'_, Balancer> {
        self.balancer.lock().expect("no thread panics")
    }
}

/// Handles the packets of one queue.
struct Worker<'a> {
    shared: &'a Shared,
    /// The first one also probes the backends, and prints the statistics of the balancer.
    is_first: bool,
    /// Printed before its counters: the number of the queue, if there are several.
    label: String,
    /// Set by SIGUSR1.
    print: Arc<AtomicBool>,
    rx: FluxRx,
    tx: FluxTx,
    received: PacketBatch,
    outgoing: PacketBatch,
    simulation: Option<Simulation>,
}

impl<'a> Worker<'a> {
    fn new(raw: FluxRaw, shared: &'a Shared, options: &Options) -> Self {
        let (mut rx, tx) = raw.split();
        rx.set_poller(options.poller);
        Self {
            shared,
            is_first: false,
            label: String::new(),
            print: Arc::default(),
            rx,
            tx,
            received: PacketBatch::with_capacity(BATCH),
            outgoing: PacketBatch::with_capacity(BATCH),
            simulation: None,
        }
    }

    /// Runs until `stop` is set, or the simulation ends.
    fn run(&mut self, interval: Option<Duration>, stop: &AtomicBool) -> Result<(), Failure> {
        let mut printed = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let due = interval.is_some_and(|interval| printed.elapsed() >= interval);
            if self.print.swap(false, Ordering::Relaxed) || due {
                self.print_statistics()?;
                printed = Instant::now();
            }
            let over = match &mut self.simulation {
                Some(simulation) => !simulation.poll_once()?,
                None => false,
            };
            match self.poll_once() {
                Ok(0) if over => break,
                Ok(_) => {}
                // Packets in the TX ring leave when the link is up again.
                Err(error) if error.kind() == ErrorKind::Down => thread::sleep(SLICE / 10),
                Err(error) => return Err(error.into()),
            }
        }
        let flushed = self.tx.flush(Duration::from_secs(1));
        match flushed {
            Err(error) if error.kind() != ErrorKind::Down => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Waits for packets, and forwards them. Returns how many there were.
    fn poll_once(&mut self) -> Result<u32, FluxError> {
        if self.is_first {
            self.probe_backends()?;
        }
        // Receives nothing before these have left, so that no packet is dropped here when the TX ring is full.
        if !self.outgoing.is_empty() {
            self.tx.send(&mut self.outgoing)?;
            if !self.outgoing.is_empty() {
                self.tx.wait(Some(SLICE))?;
                return Ok(self.outgoing.len() as u32);
            }
        }
        let count = self.rx.recv_timeout(&mut self.received, SLICE)?;
        let now = self.now();
        let mut balancer = self.shared.balancer();
        for mut packet in self.received.drain() {
            if balancer.handle(packet.data_mut(), now) {
                // It is empty before, and has room for all that one turn receives.
                let _ = self.outgoing.push(packet);
            }
        }
        drop(balancer);
        self.tx.send(&mut self.outgoing)?;
        Ok(count)
    }

    /// Sends an ARP request to each backend when it is time.
    fn probe_backends(&mut self) -> Result<(), FluxError> {
        let mut balancer = self.shared.balancer();
        let (news, probe) = balancer.update_backends(self.now());
        for text in news {
            println!("{text}");
        }
        let probes = probe.then(|| balancer.probes().collect::<Vec<_>>());
        drop(balancer);
        for probe in probes.into_iter().flatten() {
            // If there is no free frame now, the next request follows in a second.
            if let Some(packet) = self.tx.copy(&probe)?
                && let Err(unsent) = self.tx.send_one(packet)
                && unsent.error().kind() == ErrorKind::Gone
            {
                return Err(unsent.into());
            }
        }
        Ok(())
    }

    /// Milliseconds since the start, simulated or real.
    fn now(&self) -> u64 {
        let time = match &self.simulation {
            Some(simulation) => simulation.now(),
            None => self.shared.start.elapsed(),
        };
        time.as_millis() as u64
    }

    fn print_statistics(&self) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        if self.is_first {
            writeln!(out, "{}", self.shared.balancer().report(self.now()))?;
        }
        let (received, sent) = (self.rx.total(), self.tx.total());
        writeln!(out, "{}received {received}, sent {sent}", self.label)?;
        let kernel = self.rx.statistics()?;
        writeln!(
            out,
            "kernel: dropped {}, RX ring full {}, fill ring empty {}",
            kernel.rx_dropped, kernel.rx_ring_full, kernel.rx_fill_ring_empty_descs
        )?;
        Ok(out.flush()?)
    }
}

/// When one queue ends, all end.
fn run_or_stop_all(
    worker: &mut Worker<'_>,
    interval: Option<Duration>,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let result = worker.run(interval, stop);
    stop.store(true, Ordering::Relaxed);
    result
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

/// Runs until a signal comes, or the simulation ends.
fn balance(options: Options) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    flag::register(SIGINT, Arc::clone(&stop))?;
    flag::register(SIGTERM, Arc::clone(&stop))?;

    let (sockets, nic) = open(&options)?;
    let (service, link_options, backends) =
        (options.service, &options.link_options, &options.backends);
    let interface = sockets[0].interface().name.clone();
    let Some(mac) = sockets[0].interface().mac else {
        return Err(format!("{interface} has no Ethernet address to answer from").into());
    };
    println!("{}", sockets[0].report());
    let (first, count) = (options.bind.first_queue(), sockets.len());
    println!(
        "{} backends serve {service} on {interface} {}",
        backends.len(),
        options.bind.queues(count)
    );
    io::stdout().flush()?;

    let shared = Shared {
        balancer: Mutex::new(Balancer::new(
            service,
            mac,
            backends,
            options.down_after.as_millis() as u64,
        )),
        start: Instant::now(),
    };
    let mut workers = Vec::new();
    for (queue, raw) in (first..).zip(sockets) {
        let mut worker = Worker::new(raw, &shared, &options);
        worker.label = BindOptions::label(queue, count);
        #[cfg(unix)] // elsewhere there is no such signal
        flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&worker.print))?;
        workers.push(worker);
    }
    workers[0].is_first = true;
    workers[0].simulation = match (nic, &link_options.pcap) {
        (Some(nic), Some(file)) => {
            simulate::replay(&nic, file, first, 1)?;
            Some(Simulation::Replay(nic))
        }
        (Some(nic), None) => {
            let neighbours = Neighbours::new(nic, first, mac, service, backends);
            Some(Simulation::Neighbours(neighbours))
        }
        (None, _) => None,
    };
    let results: Vec<_> = thread::scope(|scope| {
        let start = |worker| scope.spawn(|| run_or_stop_all(worker, options.interval, &stop));
        let threads: Vec<_> = workers.iter_mut().map(start).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended
            .map(|result| result.expect("no thread panics"))
            .collect()
    });
    for worker in &workers {
        worker.print_statistics()?;
    }
    results.into_iter().collect::<Result<(), _>>()?;
    for worker in &mut workers {
        if !worker.rx.umem().accounting().is_conserved() {
            return Err("the frames do not add up".into());
        }
        if let Some(false) = worker
            .simulation
            .take()
            .map(Simulation::finish)
            .transpose()?
        {
            return Err("not every flow went where it should".into());
        }
    }
    Ok(())
}

struct Options {
    link_options: LinkOptions,
    bind: BindOptions,
    service: SocketAddrV4,
    backends: Vec<SocketAddrV4>,
    down_after: Duration,
    poller: Poller,
    interval: Option<Duration>,
}

/// Reads the command line; returns `None` if it asks for help.
fn parse(line: &mut CommandLine) -> Result<Option<Options>, String> {
    let (mut link_options, mut bind) = (LinkOptions::default(), BindOptions::default());
    let (mut service, mut backends, mut down_after) = (None, Vec::new(), Duration::from_secs(3));
    let (mut poller, mut interval) = (Poller::default(), None);
    while let Some(word) = line.next()? {
        match word.as_str() {
            "-s" | "--service" => service = Some(address(&line.text()?)?),
            "-b" | "--backend" => backends.push(address(&line.text()?)?),
            "--down-after" => down_after = line.seconds()?,
            "-I" | "--interval" => interval = Some(line.seconds()?),
            "-p" | "--poller" => poller = line.poller()?,
            "-h" | "--help" => return Ok(None),
            _ if link_options.option(&word, line)? || bind.option(&word, line)? => {}
            _ => return Err(line.unknown()),
        }
    }
    link_options.check()?;
    if link_options.sim && backends.is_empty() {
        backends.extend([11, 12, 13].map(|host| SocketAddrV4::new([10, 0, 0, host].into(), 8080)));
    }
    if link_options.sim {
        service.get_or_insert(SocketAddrV4::new([10, 0, 0, 2].into(), 80));
    }
    let service = service.ok_or("a service is needed: -s ADDRESS:PORT")?;
    if service.port() >= FIRST_PORT {
        return Err(format!("the ports from {FIRST_PORT} on stand for flows"));
    }
    let mut hosts: Vec<_> = backends.iter().map(SocketAddrV4::ip).collect();
    hosts.sort();
    hosts.dedup();
    if hosts.is_empty() || hosts.len() < backends.len() || hosts.contains(&service.ip()) {
        return Err("backends are needed, each with an address of its own: -b ADDRESS:PORT".into());
    }
    if hosts.len() > 250 {
        return Err("more than 250 backends".into());
    }
    Ok(Some(Options {
        link_options,
        bind,
        service,
        backends,
        down_after,
        poller,
        interval,
    }))
}

fn address(text: &str) -> Result<SocketAddrV4, String> {
    match text.parse::<SocketAddrV4>() {
        Ok(address) if address.port() > 0 => Ok(address),
        _ => Err(format!(
            "'{text}' is no IPv4 address with a port, as 10.0.0.2:80 is"
        )),
    }
}

fn main() -> ExitCode {
    common::run(USAGE, parse, balance)
}
