//! A firewall between two interfaces: forwards packets both ways if a file of rules allows them (mode A).
//!
//! ```console
//! # cargo run --release --example firewall_engine -- veth0 veth2 --rules examples/firewall.rules
//! $ cargo run --release --example firewall_engine -- --sim
//! ```
//!
//! Opens a socket on each queue of both interfaces, or on the one that `-q` names; all sockets are ports of one engine. With one queue
//! each, the two sockets share one UMEM and packets are forwarded without a copy. With several queues each socket has a UMEM of its own,
//! and the engine copies what it forwards. Nothing is allocated for a packet.
//!
//! The rules are tried in the order of the file, about a nanosecond each (measured in a virtual machine). With sixteen rules or more, the
//! decisions about recent flows are cached: ten nanoseconds, however long the file is.
//!
//! A sender on the same machine (a container, a virtual machine) leaves TCP and UDP checksums to its device. The device here is veth or
//! virtio, which leaves them unfinished, so the firewall finishes them before it forwards a packet. Between two cards `--keep-checksums`
//! saves that work.
//!
//! It takes all packets of its queues: do not use an interface that you are logged in through. Two cables to try it on:
//! `ip link add veth0 type veth peer name veth1`, the same for veth2 and veth3, and `ip link set … up` for the four.
//! `--sim` needs no root and no network: the firewall stands between two simulated links, with a little traffic of every kind.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fluxcap::{
    BatchRef, ErrorKind, FluxBuilder, FluxEngine, FluxError, FluxRaw, Link, Poller, Queues,
};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use common::{BindOptions, CommandLine, Failure};
use firewall::Firewall;
use rules::Rules;
use simulation::Simulation;

mod common;
#[path = "firewall_engine/firewall.rs"]
mod firewall;
#[path = "simulate/frames.rs"]
mod frames;
#[path = "firewall_engine/rules.rs"]
mod rules;
#[path = "firewall_engine/simulation.rs"]
mod simulation;

const USAGE: &str = "\
usage: firewall_engine INTERFACE INTERFACE --rules FILE [OPTION...]
       firewall_engine --sim [--rules FILE] [--pcap FILE] [--record FILE] [OPTION...]
Forwards packets between two interfaces, both ways, if the rules allow them.

  -r, --rules FILE       the rules, see below and examples/firewall.rules
  -q, --queue NUMBER     receive on this queue only, at both interfaces (default: all queues)
  -p, --poller POLLER    how to wait for packets: busy, wait or adaptive (adaptive)
  -I, --interval SECONDS print statistics this often
      --keep-checksums   do not finish checksums that a sender left to its device
      --copy             use copy mode, even where the driver has zero-copy
      --generic          run the XDP program in the network stack, not in the driver
      --sim              use two simulated links with traffic for the sample rules; needs no root
      --pcap FILE        replay a capture file into the first simulated link, once
      --record FILE      write what the first simulated link carries into a capture file
  -h, --help             this text

It takes every packet of its queues: do not use an interface that you are logged in through.
The file has a rule a line. The first rule that matches a packet decides:
  allow|deny PROTOCOL [from ADDRESS [port PORTS]] [to ADDRESS [port PORTS]] [both ways]
  default allow|deny     for packets that no rule matches; without this line: deny
PROTOCOL is tcp, udp, icmp, arp, other (neither IP nor ARP), any, or the number of an IP protocol; ADDRESS is any, an
IPv4 or IPv6 address or a prefix; PORTS is one port or a range, 1024-65535. With 'both ways' the answers match, too.
Fragments and truncated packets may hide ports or, in IPv6, the protocol: a deny rule that asks for these then matches, an
allow rule does not. Malformed IP packets never pass. Rules look behind VLAN tags.

SIGHUP reloads the rules; if they are wrong, the old ones stay. SIGUSR1 prints the statistics, SIGINT and SIGTERM
end the program. Cards must take packets that are not for them, and leave VLAN tags in the packets, or tagged packets
are forwarded without their tag:
  ip link set NAME promisc on; ethtool -K NAME gro off lro off rxvlan off txvlan off
and at the other end of a veth pair, if VLAN tags are sent there: ethtool -K PEER tx-vlan-hw-insert off";

/// The rules of `--sim`.
const SAMPLE: &str = include_str!("firewall.rules");

/// How often it looks at signals and intervals.
const SLICE: Duration = Duration::from_millis(100);

/// Set by signals.
#[derive(Default)]
struct Signals {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    print: Arc<AtomicBool>,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let signals = Self::default();
        flag::register(SIGINT, Arc::clone(&signals.stop))?;
        flag::register(SIGTERM, Arc::clone(&signals.stop))?;
        #[cfg(unix)] // elsewhere there are no such signals
        {
            use signal_hook::consts::{SIGHUP, SIGUSR1};
            flag::register(SIGHUP, Arc::clone(&signals.reload))?;
            flag::register(SIGUSR1, Arc::clone(&signals.print))?;
        }
        Ok(signals)
    }
}

/// Returns whether a signal came since the last call.
fn taken(signal: &AtomicBool) -> bool {
    signal.swap(false, Ordering::Relaxed)
}

struct Program {
    engine: FluxEngine,
    /// How many ports each interface has; those of the first come first.
    queues: [u32; 2],
    firewall: Firewall,
    simulation: Option<Simulation>,
    options: Options,
}

impl Program {
    /// Opens the sockets, and makes them the ports of an engine.
    fn open(
        options: Options,
        rules: Rules,
        simulation: Option<Simulation>,
    ) -> Result<Self, FluxError> {
        let links = match &simulation {
            Some(simulation) => simulation.links(),
            None => options.interfaces.each_ref().map(Link::from),
        };
        let infos = [links[0].info()?, links[1].info()?];
        // With small chunks more packets fit into the cache.
        let small = infos.iter().all(|info| info.mtu <= 1500);
        let single = infos.iter().all(|info| info.rx_queues == Some(1));
        let single = single || options.bind.queue.is_some();
        let builder = |link| {
            FluxBuilder::new(link)
                .chunk_size(if small { 2048 } else { 4096 })
                // TCP sends thousands of packets in a row: there is room for them while this thread does not run.
                .frames(if single { 16_384 } else { 8192 })
                .fill_size(4096)
                .rx_size(4096)
                .bind_mode(options.bind.bind_mode)
                .xdp_mode(options.bind.xdp_mode)
        };
        let queues = options.bind.queue.map_or(Queues::All, Queues::from);
        let one = builder(&links[0]).build_queues(queues.clone())?;
        let mut other = builder(&links[1]);
        if single {
            other = other.umem(one[0].umem());
        }
        let other = other.build_queues(queues)?;
        println!("{}\n{}", one[0].report(), other[0].report());
        let queues = [one.len() as u32, other.len() as u32];
        Ok(Self {
            engine: engine(one.into_iter().chain(other), options.poller)?,
            queues,
            firewall: Firewall::new(rules, options.completes),
            simulation,
            options,
        })
    }

    /// Forwards packets until a signal comes, or the simulation ends.
    fn run(&mut self, signals: &Signals) -> Result<(), Failure> {
        let mut printed = Instant::now();
        while !signals.stop.load(Ordering::Relaxed) {
            if taken(&signals.reload) {
                self.reload();
            }
            let due = self
                .options
                .interval
                .is_some_and(|i| printed.elapsed() >= i);
            if taken(&signals.print) || due {
                self.print_statistics()?;
                printed = Instant::now();
            }
            match self.poll_once() {
                Ok(true) => {}
                Ok(false) => break,
                // Packets in the TX ring leave when the link is up again.
                Err(error) if error.kind() == ErrorKind::Down => thread::sleep(SLICE / 10),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Forwards packets for a short time. Returns false when the simulation is over.
    fn poll_once(&mut self) -> Result<bool, FluxError> {
        let (firewall, queues) = (&mut self.firewall, self.queues);
        let mut callback = |batch: &mut BatchRef<'_>| {
            let (from, exit) = route(queues, batch.port());
            batch.prefetch();
            batch.for_each(|packet| {
                if firewall.passes(from, packet.data_mut()) {
                    packet.send_to(exit).expect("a port of the engine");
                }
            });
        };
        let Some(simulation) = &mut self.simulation else {
            self.engine.run_for(SLICE, callback)?;
            return Ok(true);
        };
        let more = simulation.poll_once(self.options.bind.first_queue())?;
        let received = self.engine.run_once(&mut callback)?;
        if received == 0 && more {
            self.engine.wait(Some(SLICE))?;
        }
        Ok(received > 0 || more)
    }

    fn reload(&mut self) {
        match self.options.read_rules() {
            Ok(rules) => {
                println!("new rules: {}", rules.count());
                self.firewall.replace(rules);
            }
            Err(mistake) => eprintln!("firewall_engine: the old rules stay: {mistake}"),
        }
    }

    fn print_statistics(&self) -> Result<(), Failure> {
        print!("{}", self.firewall);
        let names = self.names();
        let [there, back] = self.firewall.totals();
        println!(
            "{} > {}: {there}\n{} > {}: {back}",
            names[0], names[1], names[1], names[0]
        );
        println!("{}", self.engine.statistics());
        let first = self.queues[0];
        for (ports, name) in [0..first, first..self.engine.ports()]
            .into_iter()
            .zip(names)
        {
            let (mut dropped, mut full, mut empty) = (0, 0, 0);
            for port in ports {
                let kernel = self.engine.port(port).statistics()?;
                dropped += kernel.rx_dropped;
                full += kernel.rx_ring_full;
                empty += kernel.rx_fill_ring_empty_descs;
            }
            println!(
                "kernel, {name}: dropped {dropped}, RX ring full {full}, fill ring empty {empty}"
            );
        }
        Ok(io::stdout().flush()?)
    }

    /// The names of the two interfaces.
    fn names(&self) -> [&str; 2] {
        [0, self.queues[0]].map(|port| self.engine.port(port).interface().name.as_str())
    }
}

/// An engine with a port for each socket.
fn engine(
    mut sockets: impl Iterator<Item = FluxRaw>,
    poller: Poller,
) -> Result<FluxEngine, FluxError> {
    let mut engine = FluxEngine::new(sockets.next().expect("an interface has a queue"));
    engine.set_copying(true);
    for socket in sockets {
        engine.add_port(socket)?;
    }
    engine.set_poller(poller);
    Ok(engine)
}

/// The interface (0 or 1) that a port belongs to, and the port of the other one that its packets leave through. It is always the same port,
/// so the packets of a flow stay in order.
fn route([one, other]: [u32; 2], port: u32) -> (usize, u32) {
    match port.checked_sub(one) {
        None => (0, one + port % other),
        Some(queue) => (1, queue % one),
    }
}

/// Runs until a signal comes, or the simulation ends.
fn run_firewall(options: Options) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let rules = options.read_rules()?;
    let count = rules.count();
    let (pcap, record) = (options.pcap.as_deref(), options.record.as_deref());
    let simulation = options
        .sim
        .then(|| Simulation::new(options.bind.first_queue(), pcap, record, options.completes))
        .transpose()?;
    let mut program = Program::open(options, rules, simulation)?;
    let ([one, other], queues) = (program.names(), program.queues);
    println!(
        "{count} rules between {one} and {other}, which have {} and {} queues here",
        queues[0], queues[1]
    );
    io::stdout().flush()?;

    let result = program.run(&signals);
    program.print_statistics()?;
    result?;
    let mut ports = program.engine.into_ports();
    for port in &mut ports {
        // Packets in the TX ring leave now, if they can.
        match port.flush(Duration::from_secs(1)) {
            Err(error) if error.kind() != ErrorKind::Down => return Err(error.into()),
            _ => {}
        }
    }
    if !ports
        .iter()
        .all(|port| port.umem().accounting().is_conserved())
    {
        return Err("the frames do not add up".into());
    }
    let passed = program.firewall.totals().map(|totals| totals.passed);
    let good = program
        .simulation
        .map(|simulation| simulation.finish(passed.iter().sum()));
    match good.transpose()? {
        Some(false) => Err("what came out is not what was let through".into()),
        _ => Ok(()),
    }
}

struct Options {
    interfaces: [String; 2],
    rules: Option<PathBuf>,
    bind: BindOptions,
    poller: Poller,
    interval: Option<Duration>,
    completes: bool,
    sim: bool,
    pcap: Option<PathBuf>,
    record: Option<PathBuf>,
}

impl Options {
    fn read_rules(&self) -> Result<Rules, String> {
        let Some(path) = &self.rules else {
            return Rules::parse(SAMPLE);
        };
        let name = path.display();
        let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
        Rules::parse(&text).map_err(|mistake| format!("{name}, {mistake}"))
    }
}

/// Reads the command line; returns `None` if it asks for help.
fn parse(line: &mut CommandLine) -> Result<Option<Options>, String> {
    let mut interfaces = Vec::new();
    let mut options = Options {
        interfaces: Default::default(),
        rules: None,
        bind: BindOptions::default(),
        poller: Poller::default(),
        interval: None,
        completes: true,
        sim: false,
        pcap: None,
        record: None,
    };
    while let Some(word) = line.next()? {
        match word.as_str() {
            "-r" | "--rules" => options.rules = Some(line.value()?.into()),
            "-I" | "--interval" => options.interval = Some(line.seconds()?),
            "-p" | "--poller" => options.poller = line.poller()?,
            "--keep-checksums" => options.completes = false,
            "--sim" => options.sim = true,
            "--pcap" => options.pcap = Some(line.value()?.into()),
            "--record" => options.record = Some(line.value()?.into()),
            "-h" | "--help" => return Ok(None),
            _ if options.bind.option(&word, line)? => {}
            _ if word.starts_with('-') => return Err(line.unknown()),
            _ => interfaces.push(word),
        }
    }
    options.sim |= options.pcap.is_some() || options.record.is_some();
    match (options.sim, interfaces.len()) {
        (true, 0) => {}
        (true, _) => return Err("two interfaces, or simulated links: not both".into()),
        (false, 2) if options.rules.is_none() => {
            return Err("rules are needed: --rules FILE".into());
        }
        (false, 2) if interfaces[0] == interfaces[1] => {
            return Err("the two interfaces are one".into());
        }
        (false, 2) => options.interfaces = interfaces.try_into().expect("two"),
        (false, _) => return Err("two interfaces are needed, or --sim".into()),
    }
    Ok(Some(options))
}

fn main() -> ExitCode {
    common::run(USAGE, parse, run_firewall)
}
