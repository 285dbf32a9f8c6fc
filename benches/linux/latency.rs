//! Round trips over a veth pair: ours with each poller against a blocking UDP socket, and AF_PACKET doing the same.
//!
//! One core each side: the program that asks runs on core 0, the one that answers on core 1, each in a network namespace of its own. One
//! packet at a time, 64 bytes of payload, 106 on the cable. Both sides use the same kind of socket:
//!
//! - `udp`: a connected UDP socket, `send` and blocking `recv`.
//! - `packet`: an AF_PACKET socket, `sendto` and blocking `recvfrom`.
//! - `busy`, `wait`, `adaptive`: ours, the answer sent from the frame that the packet came in; native XDP, copy mode.
//! - `busy+kernel`: with preferred busy polling, so that each spin is a system call that runs the driver.
//!
//! The runs alternate; the ratio is that to UDP in the same round. `idle/…` is what a poller takes of a core while no packet comes, in
//! percent.
//!
//! ```text
//! cargo bench --bench latency [-- --rounds 8]
//! cargo bench --bench latency -- --check          and fail when a figure misses its aim
//! ```

#[path = "namespace.rs"]
mod namespace;
#[path = "../common/native.rs"]
mod native;
#[path = "net.rs"]
mod net;
#[path = "ports.rs"]
mod ports;
#[path = "process.rs"]
mod process;
#[path = "../common/results.rs"]
mod results;

use std::env;
use std::error::Error;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use namespace::Namespace;
use process::Running;
use results::{Better, Row};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ROUNDS: usize = 8;
const WARM_UP: u64 = 2000;
const TRIPS: u64 = 20_000;
/// How long a poller is watched while nothing comes.
const IDLE: Duration = Duration::from_secs(5);
const IDLE_LIMIT: f64 = 1.0;

struct Kind {
    name: &'static str,
    /// The ratio to UDP's median that is aimed at.
    aim: Option<f64>,
    /// Whether it sleeps when nothing comes.
    sleeps: bool,
}

/// The peer first.
const KINDS: [Kind; 6] = [
    Kind {
        name: "udp",
        aim: None,
        sleeps: false,
    },
    Kind {
        name: "packet",
        aim: None,
        sleeps: false,
    },
    Kind {
        name: "busy",
        aim: Some(5.0),
        sleeps: false,
    },
    Kind {
        name: "busy+kernel",
        aim: None,
        sleeps: false,
    },
    Kind {
        name: "wait",
        aim: Some(1.0),
        sleeps: true,
    },
    Kind {
        name: "adaptive",
        aim: None,
        sleeps: true,
    },
];

/// The interfaces, their addresses, and their cores.
const HERE: End = End {
    interface: "here",
    address: "10.0.0.1",
    core: 0,
};
const THERE: End = End {
    interface: "there",
    address: "10.0.0.2",
    core: 1,
};

/// One end of the cable.
pub(crate) struct End {
    interface: &'static str,
    address: &'static str,
    core: u32,
}

pub(super) fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let rounds = words.windows(2).find(|pair| pair[0] == "--rounds");
    let rounds = rounds.map_or_else(|| ROUNDS.to_string(), |pair| pair[1].to_owned());
    let check = if words.contains(&"--check") {
        "check"
    } else {
        ""
    };
    let result = match words[..] {
        ["--ask", kind] => ask(kind),
        ["--answer", kind] => answer(kind),
        ["--idle", kind] => idle(kind),
        ["--inside", rounds, check] => return inside(rounds, !check.is_empty()),
        _ => net::enter(&["--inside", &rounds, check]).map(drop),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

fn failed(error: &dyn Error) -> ExitCode {
    eprintln!("latency: {error}");
    ExitCode::FAILURE
}

fn inside(rounds: &str, check: bool) -> ExitCode {
    let rounds = rounds.parse().map_err(Into::into);
    match rounds.and_then(measure) {
        // All misses are told.
        Ok(rows) if all_hit(&rows) || !check => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => failed(&*error),
    }
}

/// Measures all cases, in the namespace of the side that asks.
fn measure(rounds: usize) -> Result<Vec<Row>> {
    let far = Namespace::new()?;
    net::quiet();
    let (here, there) = (HERE.interface, THERE.interface);
    net::ip(&["link", "add", here, "type", "veth", "peer", "name", there])?;
    let with_prefix = |address| format!("{address}/24");
    net::ip(&["addr", "add", &with_prefix(HERE.address), "dev", here])?;
    net::ip(&["link", "set", here, "up"])?;
    far.take(there, Some(&with_prefix(THERE.address)))?;

    // Microseconds of each round: of each kind, the median and the 99th percentile.
    let mut figures = Vec::new();
    for round in 0..rounds {
        let mut figure = [[0.0; 2]; KINDS.len()];
        for turn in 0..KINDS.len() {
            // Nobody is always the first.
            let kind = (round + turn) % KINDS.len();
            figure[kind] = round_trips(&far, KINDS[kind].name)?;
        }
        figures.push(figure);
    }
    let mut rows = Vec::new();
    for (kind, Kind { name, .. }) in KINDS.iter().enumerate().skip(1) {
        for (which, label) in ["p50", "p99"].into_iter().enumerate() {
            let pair = |round: &[[f64; 2]; KINDS.len()]| (round[kind][which], round[0][which]);
            let pairs: Vec<_> = figures.iter().map(pair).collect();
            let case = format!("latency/{name}/{label}");
            rows.push(Row::rounds(&case, "µs", Better::Less, &pairs));
        }
    }
    results::print(&rows, "udp");
    for Kind { name, sleeps, .. } in KINDS {
        if sleeps {
            let share =
                Running::start(this_program(HERE.core, "--idle", name)?)?.numbers::<1>()?[0];
            println!("{name}: {share:.3} % of a core while nothing comes");
            rows.push(Row::alone(&format!("idle/{name}"), "% of a core", share));
        }
    }
    println!("saved in {}", results::save("latency", &rows)?.display());
    Ok(rows)
}

/// Whether all figures are as good as they are meant to be; says which are not.
fn all_hit(rows: &[Row]) -> bool {
    let missed = rows.iter().filter(|row| {
        let kind = |case: &str| {
            KINDS
                .iter()
                .find(|kind| row.case == case.replace('*', kind.name))
        };
        let aim = kind("latency/*/p50").and_then(|kind| kind.aim);
        let idle = kind("idle/*").is_some();
        aim.is_some_and(|aim| row.ratio < aim) || (idle && row.ours >= IDLE_LIMIT)
    });
    let missed: Vec<&str> = missed.map(|row| row.case.as_str()).collect();
    if !missed.is_empty() {
        eprintln!("latency: missed its aim: {}", missed.join(", "));
    }
    missed.is_empty()
}

fn this_program(core: u32, task: &str, kind: &str) -> Result<Command> {
    let mut command = process::on_core(core, &env::current_exe()?);
    command.args([task, kind]);
    Ok(command)
}

/// One run: median and 99th percentile in microseconds.
fn round_trips(far: &Namespace, kind: &str) -> Result<[f64; 2]> {
    let answering = this_program(THERE.core, "--answer", kind)?;
    let mut inside = far.command(answering.get_program());
    inside.args(answering.get_args());
    let _answering = Running::start(inside)?;
    let mut asking = Running::start(this_program(HERE.core, "--ask", kind)?)?;
    let times = asking.numbers();
    times.map_err(|error| format!("{kind}: {error}").into())
}

fn ask(kind: &str) -> Result<()> {
    let mut port = ports::open(kind, &HERE, &THERE)?;
    println!("ready");
    let mut times = Vec::with_capacity(TRIPS as usize);
    for trip in 0..WARM_UP + TRIPS {
        let start = Instant::now();
        port.ask(trip)?;
        if trip >= WARM_UP {
            times.push(start.elapsed());
        }
    }
    times.sort_unstable();
    let part = |percent: usize| times[times.len() * percent / 100].as_nanos() as f64 / 1e3;
    println!("{} {}", part(50), part(99));
    Ok(())
}

/// Answers until it is killed.
fn answer(kind: &str) -> Result<()> {
    let mut port = ports::open(kind, &THERE, &HERE)?;
    println!("ready");
    loop {
        port.answer()?;
    }
}

/// Waits for a packet that does not come.
fn idle(kind: &str) -> Result<()> {
    let mut port = ports::open(kind, &HERE, &THERE)?;
    println!("ready");
    // What was on the way when the socket was opened is not counted.
    port.wait_for(Duration::from_millis(500))?;
    let (start, before) = (Instant::now(), process::processor_time());
    port.wait_for(IDLE)?;
    let used = process::processor_time() - before;
    println!(
        "{}",
        used.as_secs_f64() / start.elapsed().as_secs_f64() * 100.0
    );
    Ok(())
}
