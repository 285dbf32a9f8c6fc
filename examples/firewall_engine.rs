//! A firewall in a cable: passes packets on between two interfaces, both ways, as a small file of rules says.
//!
//! ```console
//! # cargo run --release --example firewall_engine -- veth0 veth2 --rules examples/firewall.rules
//! $ cargo run --release --example firewall_engine -- --sim
//! ```
//!
//! Mode A: it has a socket for each queue of both interfaces, unless one is named, and all are the ports of one engine. With one queue each,
//! the two sockets share their memory, so that a packet leaves from the frame that it came in; otherwise each has its own, and the engine copies
//! what passes. Nothing is allocated for a packet. The rules are looked through in the order of the file, which takes about a nanosecond for each
//! (measured in a virtual machine). So from sixteen rules on, the decisions about the last flows are remembered: ten nanoseconds, however long the
//! file is. Only the first packet of a flow pays for all rules then, and each packet of someone who makes up a new flow for each.
//!
//! A TCP or UDP packet of a stack on the same machine, in a container or a virtual machine, comes without its checksum: veth and virtio
//! promise to compute it, and the stack takes them at their word. Sent on from here it would arrive damaged. So unfinished checksums are
//! finished, unless `--keep-checksums` is given, which is right between two cables.
//!
//! It takes all packets of its queues: not on an interface that you are logged in through. Two cables to try it with are made by
//! `ip link add veth0 type veth peer name veth1`, the same for veth2 and veth3, and `ip link set … up` for the four.
//! With `--sim` it needs no root and no network: it stands between two simulated links, with a little traffic of every kind.

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
use world::World;

mod common;
#[path = "firewall_engine/firewall.rs"]
mod firewall;
#[path = "simulate/frames.rs"]
mod frames;
#[path = "firewall_engine/rules.rs"]
mod rules;
#[path = "firewall_engine/world.rs"]
mod world;

const USAGE: &str = "\
usage: firewall_engine INTERFACE INTERFACE --rules FILE [OPTION...]
       firewall_engine --sim [--rules FILE] [--pcap FILE] [--record FILE] [OPTION...]
Passes packets on between two interfaces, both ways, as the rules say.

  -r, --rules FILE       the rules, see below and examples/firewall.rules
  -q, --queue NUMBER     one queue to bind to, at both interfaces (all that they have)
  -p, --poller POLLER    how to wait for packets: busy, wait or adaptive (adaptive)
  -I, --interval SECONDS print statistics this often
      --keep-checksums   do not finish checksums that a stack has left to its card
      --copy             copy mode, even where the driver has zero-copy
      --generic          the XDP program in the network stack, not in the driver
      --sim              no interfaces and no root: two simulated links with traffic for the sample rules
      --pcap FILE        replay a capture file into the first simulated link instead, once
      --record FILE      write what the first simulated link carries into a capture file
  -h, --help             this text

It takes every packet of its queues: do not use an interface that you are logged in through.
A file of rules has a rule in each line. The first that matches a packet decides:
  allow|deny PROTOCOL [from ADDRESS [port PORTS]] [to ADDRESS [port PORTS]] [both ways]
  default allow|deny     what no rule matches; without this line: deny
PROTOCOL is tcp, udp, icmp, arp, other (neither IP nor ARP), any, or the number of an IP protocol; ADDRESS is any, an
IPv4 or IPv6 address or a prefix; PORTS is one port or a range, 1024-65535. With 'both ways' the answers match, too.
Fragments and packets that are cut short hide what they are: 'deny' takes them for what it denies, 'allow' never for what
it allows, if it names ports or, in IPv6, a protocol. What claims to be IP and is not never passes. VLAN tags are passed over.

SIGHUP reads the rules anew, and keeps the old ones when it cannot. SIGUSR1 prints the statistics. SIGINT and SIGTERM
end the program. Cards must take packets that are not for them, and leave VLAN tags alone:
  ip link set NAME promisc on; ethtool -K NAME gro off lro off rxvlan off txvlan off
and at the other end of a veth pair, where VLAN tags are sent: ethtool -K PEER tx-vlan-hw-insert off";

/// The rules of `--sim`.
const SAMPLE: &str = include_str!("firewall.rules");

/// Signals and intervals are looked after this often.
const SLICE: Duration = Duration::from_millis(100);

/// What signals ask for.
#[derive(Default)]
struct Wishes {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    print: Arc<AtomicBool>,
}

impl Wishes {
    fn listen() -> io::Result<Self> {
        let wishes = Self::default();
        flag::register(SIGINT, Arc::clone(&wishes.stop))?;
        flag::register(SIGTERM, Arc::clone(&wishes.stop))?;
        #[cfg(unix)] // elsewhere there are no such signals
        {
            use signal_hook::consts::{SIGHUP, SIGUSR1};
            flag::register(SIGHUP, Arc::clone(&wishes.reload))?;
            flag::register(SIGUSR1, Arc::clone(&wishes.print))?;
        }
        Ok(wishes)
    }
}

/// Whether that was wished for since the last time.
fn wished(wish: &AtomicBool) -> bool {
    wish.swap(false, Ordering::Relaxed)
}

struct Program {
    engine: FluxEngine,
    /// How many ports are queues of the one interface; those of the other come behind.
    queues: [u32; 2],
    firewall: Firewall,
    world: Option<World>,
    options: Options,
}

impl Program {
    /// Opens the sockets, and makes them the ports of an engine.
    fn open(options: Options, rules: Rules, world: Option<World>) -> Result<Self, FluxError> {
        let links = match &world {
            Some(world) => world.links(),
            None => options.interfaces.each_ref().map(Link::from),
        };
        let infos = [links[0].info()?, links[1].info()?];
        // Small chunks where packets fit into them: more packets stay in the cache.
        let small = infos.iter().all(|info| info.mtu <= 1500);
        let single = infos.iter().all(|info| info.rx_queues == Some(1));
        let single = single || options.bind.queue.is_some();
        let builder = |link| {
            FluxBuilder::new(link)
                .chunk_size(if small { 2048 } else { 4096 })
                // TCP sends some thousand packets in a row: they wait here while this thread does not run.
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
            world,
            options,
        })
    }

    /// Passes packets on until a signal comes, or a simulation is over.
    fn run(&mut self, wishes: &Wishes) -> Result<(), Failure> {
        let mut printed = Instant::now();
        while !wishes.stop.load(Ordering::Relaxed) {
            if wished(&wishes.reload) {
                self.reload();
            }
            let due = self
                .options
                .interval
                .is_some_and(|i| printed.elapsed() >= i);
            if wished(&wishes.print) || due {
                self.print_statistics()?;
                printed = Instant::now();
            }
            match self.turn() {
                Ok(true) => {}
                Ok(false) => break,
                // What waits in the TX ring leaves when the line is up again.
                Err(error) if error.kind() == ErrorKind::Down => thread::sleep(SLICE / 10),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A slice of time on interfaces, one turn of a simulation. False when the simulation is over.
    fn turn(&mut self) -> Result<bool, FluxError> {
        let (firewall, queues) = (&mut self.firewall, self.queues);
        let mut callback = |batch: &mut BatchRef<'_>| {
            let (from, exit) = way(queues, batch.port());
            batch.prefetch();
            batch.for_each(|packet| {
                if firewall.passes(from, packet.data_mut()) {
                    packet.send_to(exit).expect("a port of the engine");
                }
            });
        };
        let Some(world) = &mut self.world else {
            self.engine.run_for(SLICE, callback)?;
            return Ok(true);
        };
        let more = world.turn(self.options.bind.first_queue())?;
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

/// An engine with a port for each socket, of which there is one at least.
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

/// The interface that a port belongs to, and the port of the other one through which its packets leave: always the same, so that those of a
/// flow stay in order.
fn way([one, other]: [u32; 2], port: u32) -> (usize, u32) {
    match port.checked_sub(one) {
        None => (0, one + port % other),
        Some(queue) => (1, queue % one),
    }
}

/// Is a firewall until a signal comes.
fn protect(options: Options) -> Result<(), Failure> {
    let wishes = Wishes::listen()?;
    let rules = options.read_rules()?;
    let count = rules.count();
    let (pcap, record) = (options.pcap.as_deref(), options.record.as_deref());
    let world = options
        .sim
        .then(|| World::new(options.bind.first_queue(), pcap, record, options.completes))
        .transpose()?;
    let mut program = Program::open(options, rules, world)?;
    let ([one, other], queues) = (program.names(), program.queues);
    println!(
        "{count} rules between {one} and {other}, which have {} and {} queues here",
        queues[0], queues[1]
    );
    io::stdout().flush()?;

    let result = program.run(&wishes);
    program.print_statistics()?;
    result?;
    let mut ports = program.engine.into_ports();
    for port in &mut ports {
        // What still waits in the TX ring shall leave, if it can.
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
    let good = program.world.map(|world| world.finish(passed.iter().sum()));
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

/// Reads the command line; `None` when it asks for help.
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
    common::run(USAGE, parse, protect)
}
