//! TCP through a forwarder between two veth pairs: ours against a loop on libxdp, both with one UMEM for the two interfaces.
//!
//! `iperf3` sends for some seconds from one network namespace to another; between them stands nothing but the forwarder, on core 0,
//! which passes on each packet from the frame that it came in (native XDP, copy mode). `iperf3` has core 1. The runs alternate, ours and
//! the peer's in each round; the ratio is that of one round.
//!
//! Checksum offload is off at both ends (`ethtool -K … tx off`), since otherwise TCP leaves its checksums to a device, and through a
//! veth pair they arrive unfinished. `…+offload` is ours with offload on, finishing the checksums itself; the peer it is compared with
//! has none to finish.
//!
//! Segments that TCP sends again although the sockets dropped nothing were lost in front of the forwarder: the cable holds 256 packets, and
//! counts what it drops at the sending end.
//!
//! ```text
//! cargo bench --bench forward [-- --rounds 5 --seconds 3]
//! cargo bench --bench forward -- --rounds 1 --seconds 60
//! cargo bench --bench forward -- --program "PROGRAM left right"
//! ```
//!
//! The last measures any program that passes packets on between these two interfaces until SIGTERM, with offload off and on. It is
//! started by a shell and counts as ready when both have an XDP program.

#[path = "forwarders.rs"]
mod forwarders;
#[path = "namespace.rs"]
mod namespace;
#[path = "../common/native.rs"]
mod native;
#[path = "net.rs"]
mod net;
#[path = "process.rs"]
mod process;
#[path = "../common/results.rs"]
mod results;

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use forwarders::OFFLOAD;
use namespace::Namespace;
use process::Running;
use results::{Better, Row};
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ROUNDS: &str = "5";
const SECONDS: &str = "3";
/// Addresses of the two ends, in one network: the forwarder is like a cable.
const CLIENT: &str = "10.0.0.1/24";
const SERVER: &str = "10.0.0.2/24";
/// The forwarder's interfaces, one to each end.
const PORTS: [&str; 2] = ["left", "right"];
/// The ends' interfaces.
const ENDS: [&str; 2] = ["client", "server"];
/// How long a program may take to attach its XDP programs, and iperf3 to end a run.
const PATIENCE: Duration = Duration::from_secs(5);
const PEER: Case<'static> = Case {
    forwarder: Forwarder::Peer,
    offload: false,
};

pub(super) fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let option = |name, default| {
        let given = words.windows(2).find(|pair| pair[0] == name);
        given.map_or(default, |pair| pair[1])
    };
    let result = match words[..] {
        ["--forward", name] => forwarders::run(name, PORTS),
        ["--inside", rounds, seconds, program] => inside(rounds, seconds, program),
        _ => enter([
            option("--rounds", ROUNDS),
            option("--seconds", SECONDS),
            option("--program", ""),
        ]),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forward: {error}");
            ExitCode::FAILURE
        }
    }
}

fn enter([rounds, seconds, program]: [&str; 3]) -> Result<()> {
    native::require("iperf3", "iperf3")?;
    native::require("ethtool", "ethtool")?;
    let mut flags = native::pkg_config(&["--cflags", "libxdp", "libbpf"])?;
    flags.extend(native::pkg_config(&["--libs", "libxdp", "libbpf"])?);
    native::compile("forward-peer", &["peer/forward.c"], &flags)?;
    net::enter(&["--inside", rounds, seconds, program]).map(drop)
}

fn inside(rounds: &str, seconds: &str, program: &str) -> Result<()> {
    let (rounds, seconds) = (rounds.parse()?, seconds.parse()?);
    if !program.is_empty() {
        let programs = [false, true].map(|offload| Case {
            forwarder: Forwarder::Program(program),
            offload,
        });
        let cases: Vec<Case<'_>> = [PEER].into_iter().chain(programs).collect();
        return measure(rounds, seconds, &cases).map(drop);
    }
    let ours = forwarders::names().map(|name| Case {
        forwarder: Forwarder::Ours(name),
        offload: name.ends_with(OFFLOAD),
    });
    let cases: Vec<Case<'_>> = [PEER].into_iter().chain(ours).collect();
    let rows = measure(rounds, seconds, &cases)?;
    println!("saved in {}", results::save("forward", &rows)?.display());
    Ok(())
}

/// What stands at the ends.
struct Ends {
    client: Namespace,
    server: Namespace,
    _listening: Running,
}

impl Ends {
    fn new() -> Result<Self> {
        net::quiet();
        let [left, right] = PORTS;
        let (client, server) = (Namespace::new()?, Namespace::new()?);
        for (port, end, name, address) in [
            (left, &client, ENDS[0], CLIENT),
            (right, &server, ENDS[1], SERVER),
        ] {
            net::ip(&["link", "add", port, "type", "veth", "peer", "name", name])?;
            net::ip(&["link", "set", port, "up"])?;
            end.take(name, Some(address))?;
        }
        let mut listening = server.command("taskset");
        listening.args(["--cpu-list", "1", "iperf3", "--server", "--forceflush"]);
        Ok(Self {
            client,
            server,
            _listening: Running::start_saying(listening, "listening")?,
        })
    }

    /// Lets TCP leave its checksums to the interfaces, or not.
    fn offload(&self, offload: bool) -> Result<()> {
        let state = if offload { "on" } else { "off" };
        for (end, name) in [&self.client, &self.server].into_iter().zip(ENDS) {
            net::run(end.command("ethtool").args(["-K", name, "tx", state]))?;
        }
        Ok(())
    }

    /// What iperf3 reports of a run.
    fn attempt(&self, seconds: u32) -> Result<Value> {
        let (address, _) = SERVER.split_once('/').unwrap_or((SERVER, ""));
        let output = self
            .client
            .command("timeout")
            .arg((seconds + 10).to_string())
            .args(["taskset", "--cpu-list", "1"])
            .args(["iperf3", "--json", "--connect-timeout", "2000"])
            .args(["--client", address, "--time", &seconds.to_string()])
            .output()?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Sends to the server as much as goes.
    fn transfer(&self, seconds: u32) -> Result<Transfer> {
        let patience = Instant::now() + PATIENCE;
        let report = loop {
            let report = self.attempt(seconds)?;
            match report["error"].as_str() {
                // It has not done with the run before.
                Some(error) if error.contains("busy") && Instant::now() < patience => {
                    thread::sleep(Duration::from_millis(100));
                }
                Some(error) => return Err(format!("iperf3: {error}").into()),
                None => break report,
            }
        };
        let number = |part: &str, name: &str| {
            let number = report["end"][part][name].as_f64();
            number.ok_or_else(|| format!("iperf3 reports no {name}"))
        };
        Ok(Transfer {
            rate: number("sum_received", "bits_per_second")? / 1e9,
            again: number("sum_sent", "retransmits")?,
            ..Transfer::default()
        })
    }
}

/// What one run came to.
#[derive(Debug, Clone, Copy, Default)]
struct Transfer {
    /// Gigabits a second.
    rate: f64,
    /// Segments that TCP sent again.
    again: f64,
    /// Packets that the forwarder's sockets dropped, if it says.
    dropped: Option<f64>,
}

fn measure(rounds: usize, seconds: u32, cases: &[Case<'_>]) -> Result<Vec<Row>> {
    let ends = Ends::new()?;
    let mut figures = Vec::new();
    for round in 0..rounds {
        let mut figure = vec![Transfer::default(); cases.len()];
        for turn in 0..cases.len() {
            // Nobody is always the first.
            let which = (round + turn) % cases.len();
            let case = &cases[which];
            ends.offload(case.offload)?;
            let running = case.forwarder.start()?;
            let transfer = ends.transfer(seconds);
            figure[which] = transfer.map_err(|error| format!("{}: {error}", case.name()))?;
            let said = running.stop()?;
            match case.forwarder {
                Forwarder::Program(_) => println!("{} says at its end:\n{said}", case.name()),
                _ => {
                    let last = said.lines().last().unwrap_or_default();
                    let [_, dropped] = process::numbers(last)?;
                    figure[which].dropped = Some(dropped);
                }
            }
        }
        figures.push(figure);
    }
    let mut rows = Vec::new();
    for (which, case) in cases.iter().enumerate().skip(1) {
        let pair = |round: &Vec<Transfer>| (round[which].rate, round[0].rate);
        let pairs: Vec<_> = figures.iter().map(pair).collect();
        let offload = if case.offload { OFFLOAD } else { "" };
        let name = format!("{}/forward{offload}", case.mode());
        rows.push(Row::rounds(&name, "Gbit/s", Better::More, &pairs));
    }
    results::print(&rows, PEER.mode());
    for (which, case) in cases.iter().enumerate() {
        let runs = || figures.iter().map(|round| round[which]);
        let again: f64 = runs().map(|run| run.again).sum();
        let dropped: Option<f64> = runs().map(|run| run.dropped).sum();
        let dropped = dropped.map_or_else(|| "unknown".to_owned(), |dropped| dropped.to_string());
        println!(
            "{}: segments that TCP sent again {again}, packets that the sockets dropped {dropped}",
            case.name()
        );
    }
    Ok(rows)
}

/// A forwarder, and what it has to cope with.
#[derive(Clone, Copy)]
struct Case<'a> {
    forwarder: Forwarder<'a>,
    /// Whether TCP leaves its checksums to the interfaces.
    offload: bool,
}

impl Case<'_> {
    /// What it is called, without what it copes with.
    fn mode(&self) -> &'static str {
        match self.forwarder {
            Forwarder::Peer => "libxdp",
            Forwarder::Ours(name) => name.strip_suffix(OFFLOAD).unwrap_or(name),
            Forwarder::Program(_) => "program",
        }
    }

    fn name(&self) -> String {
        let offload = if self.offload { OFFLOAD } else { "" };
        format!("{}{offload}", self.mode())
    }
}

/// What stands between the ends, on core 0.
#[derive(Clone, Copy)]
enum Forwarder<'a> {
    Peer,
    Ours(&'static str),
    /// Somebody's, by its command line.
    Program(&'a str),
}

impl Forwarder<'_> {
    fn start(self) -> Result<Running> {
        match self {
            Self::Peer => {
                let mut command = process::on_core(0, &results::directory()?.join("forward-peer"));
                command.args(PORTS);
                // The dispatcher would cost a second program a packet, and pins files outside of the namespace.
                command.env("LIBXDP_SKIP_DISPATCHER", "1");
                Running::start(command)
            }
            Self::Ours(name) => {
                let mut command = process::on_core(0, &env::current_exe()?);
                command.args(["--forward", name]);
                Running::start(command)
            }
            Self::Program(line) => {
                let mut command = process::on_core(0, Path::new("sh"));
                command.args(["-c", &format!("exec {line}")]);
                let running = Running::spawn(command)?;
                for port in PORTS {
                    let up = Instant::now() + PATIENCE;
                    while !net::has_xdp(port)? {
                        if Instant::now() > up {
                            let said = running.stop()?;
                            return Err(format!("{line} left {port} alone: {said}").into());
                        }
                        thread::sleep(Duration::from_millis(50));
                    }
                }
                Ok(running)
            }
        }
    }
}
