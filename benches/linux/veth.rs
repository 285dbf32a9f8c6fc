//! Packets per second over a veth pair (native XDP, copy mode): each mode in Rust and in C against the same loops on libxdp.
//!
//! One core each side: what is measured, with the kernel's receive work for its end of the cable, runs on core 0; the other end, which
//! sends or drops, on core 1. Where the kernel can't move the receive work (threaded NAPI), it is done on the core that sends, and this
//! is said. The runs alternate, ours and the peer's in each round; the ratio is that of one round, so that a change of the machine's
//! mood hits both. UMEM, rings, batch and the policy are the same on both sides: wake the kernel when it asks for it, as long as packets
//! leave; `poll` when nothing has arrived. Each side attaches its own XDP program.
//!
//! The loops are those of [`loops`].
//!
//! `…+cpu` is the same per second of processor time that the measured side took, in its process and in the kernel's receiving thread: it
//! says the same on an idle machine, and still says something on a busy one.
//!
//! Everything happens in a network namespace without a name, which ends with the last process in it, however that ends.
//!
//! ```text
//! cargo bench --bench veth [-- --rounds 8]
//! ```

#[path = "../common/loops/mod.rs"]
mod loops;
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
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use fluxcap::{BindMode, FluxBuilder, XdpMode};
use loops::{ENTRIES, Entry};
use process::{Running, on_core, processor_time};
use results::{Better, Row};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The measured end of the cable and the other one.
const ENDS: [&str; 2] = ["here", "there"];
const LOOPS: [&str; 3] = ["rxdrop", "txonly", "l2fwd"];
const PEER: &str = "libxdp";
const WARM_UP: Duration = Duration::from_millis(300);
const RUN: Duration = Duration::from_millis(1500);
const ROUNDS: usize = 8;

pub(super) fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["--run", name] => run(name),
        ["--inside", rounds] => rounds.parse().map_err(Into::into).and_then(measure),
        ["--rounds", rounds, ..] => enter(rounds),
        _ => enter(&ROUNDS.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("veth: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds what is needed and goes on in a new network namespace, with its own view of /sys.
fn enter(rounds: &str) -> Result<()> {
    let mut flags = native::pkg_config(&["--cflags", "libxdp", "libbpf"])?;
    flags.extend(native::pkg_config(&["--libs", "libxdp", "libbpf"])?);
    native::compile("veth-peer", &["peer/veth.c"], &flags)?;
    loops::compile()?;
    net::enter(&["--inside", rounds]).map(drop)
}

/// Measures all cases, in the namespace.
fn measure(rounds: usize) -> Result<()> {
    let [here, there] = ENDS;
    net::quiet();
    net::ip(&["link", "add", here, "type", "veth", "peer", "name", there])?;
    net::ip(&["link", "set", here, "up"])?;
    net::ip(&["link", "set", there, "up"])?;

    let _drop = Running::start(peer(1, there, &["drop"])?)?;
    let drops = spread(there, 1);
    let mut threaded = drops.is_some();
    if let Some(thread) = drops {
        // Where a packet finds no room on the cable the send call fails, on both sides: the sender yields.
        prefer(&thread);
    }
    let mut rows = Vec::new();
    for what in LOOPS {
        let ours = ENTRIES.iter().filter(|entry| entry.what() == what);
        let names: Vec<&str> = [PEER]
            .into_iter()
            .chain(ours.map(|ours| ours.name))
            .collect();
        let sender = match what {
            "txonly" => None,
            _ => Some(Running::start(peer(1, there, &["send"])?)?),
        };
        let mut figures = Vec::new();
        for round in 0..rounds {
            let mut figure = vec![Rate::default(); names.len()];
            for turn in 0..names.len() {
                // Nobody is always the first.
                let side = (round + turn) % names.len();
                let run = Running::start(measured(names[side], what)?)?;
                let thread = spread(here, 0);
                threaded &= thread.is_some();
                figure[side] = rate(run, thread.as_deref())?;
            }
            figures.push(figure);
        }
        drop(sender);
        for (side, name) in names.iter().enumerate().skip(1) {
            let pairs = |rate: fn(&Rate) -> f64| -> Vec<_> {
                let pair = |round: &Vec<Rate>| (rate(&round[side]), rate(&round[0]));
                figures.iter().map(pair).collect()
            };
            let wall = pairs(|rate| rate.wall);
            rows.push(Row::rounds(name, "packets/s", Better::More, &wall));
            let name = format!("{name}+cpu");
            let cpu = pairs(|rate| rate.cpu);
            rows.push(Row::rounds(&name, "packets/cpu-s", Better::More, &cpu));
        }
    }
    results::print(&rows, PEER);
    if !threaded {
        println!("the kernel received on the core that sends: no threaded NAPI here");
    }
    println!("saved in {}", results::save("veth", &rows)?.display());
    Ok(())
}

/// The peer's program on a core.
fn peer(core: u32, interface: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = on_core(core, &results::directory()?.join("veth-peer"));
    command.arg(interface).args(arguments);
    // The dispatcher would cost a second program a packet, and pins files outside of the namespace.
    command.env("LIBXDP_SKIP_DISPATCHER", "1");
    Ok(command)
}

/// One loop of one side, on core 0.
fn measured(name: &str, what: &str) -> Result<Command> {
    if name == PEER {
        let [warm_up, time] = [WARM_UP, RUN].map(|time| time.as_millis().to_string());
        return peer(0, ENDS[0], &[what, &warm_up, &time]);
    }
    let mut command = on_core(0, &env::current_exe()?);
    command.args(["--run", name]);
    Ok(command)
}

/// Moves the kernel's receive work for an interface to a core; the directory of its thread, or `None` where it can't be moved.
fn spread(interface: &str, core: u32) -> Option<PathBuf> {
    fs::write(format!("/sys/class/net/{interface}/threaded"), "1").ok()?;
    let name = format!("napi/{interface}-");
    let thread = fs::read_dir("/proc").ok()?.flatten().find(|process| {
        let comm = fs::read_to_string(process.path().join("comm"));
        comm.is_ok_and(|comm| comm.starts_with(&name))
    })?;
    let output = Command::new("taskset")
        .args(["--pid", "--cpu-list", &core.to_string()])
        .arg(thread.file_name())
        .output();
    output.ok()?.status.success().then(|| thread.path())
}

/// Lets a thread of the kernel run before the program that it shares its core with.
fn prefer(thread: &Path) {
    let id = thread.file_name().unwrap_or_default();
    let _ = Command::new("renice").args(["-n", "-20"]).arg(id).output();
}

/// Nanoseconds that a thread has run.
fn nanoseconds(thread: Option<&Path>) -> f64 {
    let text = thread.map(|path| fs::read_to_string(path.join("schedstat")));
    let text = text.and_then(std::result::Result::ok).unwrap_or_default();
    let word = text.split_whitespace().next();
    word.and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// Packets per second, and per second on the processor.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    wall: f64,
    cpu: f64,
}

/// Waits for the end of a run. The kernel's receiving thread counts with the process.
fn rate(mut run: Running, thread: Option<&Path>) -> Result<Rate> {
    run.line()?;
    let before = nanoseconds(thread);
    let [packets, wall, cpu] = run.numbers()?;
    let receiving = nanoseconds(thread) - before;
    run.end()?;
    Ok(Rate {
        wall: packets * 1e9 / wall,
        cpu: packets * 1e9 / (cpu + receiving),
    })
}

/// Runs one loop of ours.
fn run(name: &str) -> Result<()> {
    let entry = Entry::named(name)?;
    let socket = FluxBuilder::new(ENDS[0])
        .frames(8192)
        .fill_size(4096)
        .rx_size(2048)
        .tx_size(2048)
        .completion_size(2048)
        .bind_mode(BindMode::Copy)
        .xdp_mode(XdpMode::Native)
        .build()?;
    let mut work = entry.open(socket)?;
    println!("ready");
    work.run_for(WARM_UP);
    println!("start");
    let cpu = processor_time();
    let start = Instant::now();
    let packets = work.run_for(RUN);
    let wall = start.elapsed().as_nanos();
    println!("{packets} {wall} {}", (processor_time() - cpu).as_nanos());
    // Whoever reads that looks at the kernel's thread now, which goes with the program.
    thread::sleep(Duration::from_millis(50));
    Ok(())
}
