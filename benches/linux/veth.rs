//! Packets per second over a veth pair (native XDP, copy mode): Mode C in Rust and in C against the same loops on libxdp.
//!
//! One core each side: what is measured, with the kernel's receive work for its end of the cable, runs on core 0; the other end, which
//! sends or drops, on core 1. Where the kernel can't move the receive work (threaded NAPI), it is done on the core that sends, and this
//! is said. The runs alternate, ours and the peer's in each round; the ratio is that of one round, so that a change of the machine's
//! mood hits both. UMEM, rings, batch and the policy are the same on both sides: wake the kernel when it asks for it, as long as packets
//! leave; `poll` when nothing has arrived. Each side attaches its own XDP program.
//!
//! - `rxdrop`: look at one byte and the length of each packet, recycle.
//! - `txonly`: write 60 bytes, send, take sent frames back. What came back counts.
//! - `l2fwd`: swap the Ethernet addresses, send, take sent frames back to the fill ring.
//!
//! `…+cpu` is the same per second of processor time that the measured side took, in its process and in the kernel's receiving thread: it
//! says the same on an idle machine, and still says something on a busy one.
//!
//! Everything happens in a network namespace without a name, which ends with the last process in it, however that ends.
//!
//! ```text
//! cargo bench --bench veth [-- --rounds 8]
//! ```

#[path = "../common/face.rs"]
mod face;
#[path = "../common/native.rs"]
mod native;
#[path = "../common/results.rs"]
mod results;

use std::env;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::mem;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use face::CLoop;
use fluxcap::proto::Ethernet;
use fluxcap::{BindMode, FluxBuilder, FluxRaw, PacketBatch, Verdict, XdpMode};
use results::{Better, Row};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The measured end of the cable and the other one.
const ENDS: [&str; 2] = ["here", "there"];
const LOOPS: [&str; 3] = ["rxdrop", "txonly", "l2fwd"];
/// The peer first.
const SIDES: [&str; 3] = ["libxdp", "rust", "c"];
const BATCH: u32 = 64;
const WARM_UP: Duration = Duration::from_millis(300);
const RUN: Duration = Duration::from_millis(1500);
const ROUNDS: usize = 8;

/// A packet to send: to nobody in particular, of an experimental type. As in `c/packet.h`.
const PACKET: [u8; 60] = {
    let mut packet = [0; 60];
    packet[0] = 0x02;
    packet[5] = 0x0b;
    packet[6] = 0x02;
    packet[11] = 0x0a;
    packet[12] = 0x88;
    packet[13] = 0xb5;
    packet
};

pub(super) fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["--run", face, what] => run(face, what),
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
    native::require("unshare", "util-linux")?;
    native::require("taskset", "util-linux")?;
    if !Command::new("ip").arg("-V").output()?.status.success() {
        return Err("this benchmark needs ip: apt-get install iproute2".into());
    }
    let mut flags = native::pkg_config(&["--cflags", "libxdp", "libbpf"])?;
    flags.extend(native::pkg_config(&["--libs", "libxdp", "libbpf"])?);
    native::compile("veth-peer", &["peer/veth.c"], &flags)?;
    CLoop::compile()?;
    let error = Command::new("unshare")
        .args(["--net", "--mount", "--", "sh", "-c"])
        .arg("mount -t sysfs sysfs /sys && exec \"$@\"")
        .arg("sh")
        .arg(env::current_exe()?)
        .args(["--inside", rounds])
        .exec();
    Err(format!("no new network namespace (it needs root): {error}").into())
}

/// Measures all cases, in the namespace.
fn measure(rounds: usize) -> Result<()> {
    let [here, there] = ENDS;
    // Nothing but our packets on the cable.
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    ip(&["link", "add", here, "type", "veth", "peer", "name", there])?;
    ip(&["link", "set", here, "up"])?;
    ip(&["link", "set", there, "up"])?;

    let _drop = Running::start(peer(1, there, &["drop"])?)?;
    let drops = spread(there, 1);
    let mut threaded = drops.is_some();
    if let Some(thread) = drops {
        // Where a packet finds no room on the cable the send call fails, on both sides: the sender yields.
        prefer(&thread);
    }
    let mut rows = Vec::new();
    for what in LOOPS {
        let mut figures = Vec::new();
        let sender = match what {
            "txonly" => None,
            _ => Some(Running::start(peer(1, there, &["send"])?)?),
        };
        for round in 0..rounds {
            let mut figure = [Rate::default(); SIDES.len()];
            for turn in 0..SIDES.len() {
                // Nobody is always the first.
                let side = (round + turn) % SIDES.len();
                let run = Running::start(measured(SIDES[side], what)?)?;
                let thread = spread(here, 0);
                threaded &= thread.is_some();
                figure[side] = run.rate(thread.as_deref())?;
            }
            figures.push(figure);
        }
        drop(sender);
        for (side, face) in SIDES.iter().enumerate().skip(1) {
            let name = format!("{face}/C/{what}");
            let pairs = |rate: fn(&Rate) -> f64| -> Vec<_> {
                let pair = |round: &[Rate; 3]| (rate(&round[side]), rate(&round[0]));
                figures.iter().map(pair).collect()
            };
            let wall = pairs(|rate| rate.wall);
            rows.push(Row::rounds(&name, "packets/s", Better::More, &wall));
            let name = name + "+cpu";
            let cpu = pairs(|rate| rate.cpu);
            rows.push(Row::rounds(&name, "packets/cpu-s", Better::More, &cpu));
        }
    }
    results::print(&rows, "libxdp");
    if !threaded {
        println!("the kernel received on the core that sends: no threaded NAPI here");
    }
    println!("saved in {}", results::save("veth", &rows)?.display());
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("ip {}: {}", arguments.join(" "), said.trim()).into());
    }
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
fn measured(side: &str, what: &str) -> Result<Command> {
    if side == SIDES[0] {
        let [warm_up, time] = [WARM_UP, RUN].map(|time| time.as_millis().to_string());
        return peer(0, ENDS[0], &[what, &warm_up, &time]);
    }
    let mut command = on_core(0, &env::current_exe()?);
    command.args(["--run", side, what]);
    Ok(command)
}

fn on_core(core: u32, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    command
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

/// A process that has said that it is ready. It ends with this value.
struct Running {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn start(mut command: Command) -> Result<Self> {
        let stderr = fs::File::create(results::directory()?.join("veth.log"))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()?;
        let output = child.stdout.take().expect("asked for above");
        let mut this = Self {
            child,
            output: BufReader::new(output),
        };
        if this.line()? == "ready\n" {
            return Ok(this);
        }
        let log = fs::read_to_string(results::directory()?.join("veth.log"))?;
        Err(format!("{command:?} failed:\n{}", log.trim()).into())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line)
    }

    /// Waits for the end of a run. The kernel's receiving thread counts with the process.
    fn rate(mut self, thread: Option<&Path>) -> Result<Rate> {
        self.line()?;
        let before = nanoseconds(thread);
        let line = self.line()?;
        let receiving = nanoseconds(thread) - before;
        self.child.wait()?;
        let numbers: Vec<f64> = line.split_whitespace().flat_map(str::parse).collect();
        let [packets, wall, cpu] = numbers[..] else {
            return Err("a run ended without a result".into());
        };
        Ok(Rate {
            wall: packets * 1e9 / wall,
            cpu: packets * 1e9 / (cpu + receiving),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs one loop of ours.
fn run(face: &str, what: &str) -> Result<()> {
    let socket = FluxBuilder::new(ENDS[0])
        .frames(8192)
        .fill_size(4096)
        .rx_size(2048)
        .tx_size(2048)
        .completion_size(2048)
        .bind_mode(BindMode::Copy)
        .xdp_mode(XdpMode::Native)
        .build()?;
    let mut side = if face == "rust" {
        Side::Rust {
            socket: socket.into(),
            batch: PacketBatch::with_capacity(BATCH as usize),
        }
    } else {
        Side::C(CLoop::load(&format!("c_{what}"), socket)?)
    };
    println!("ready");
    let end = Instant::now() + WARM_UP;
    while Instant::now() < end {
        side.step(what);
    }
    println!("start");
    let cpu = processor_time();
    let start = Instant::now();
    let mut packets = 0;
    while start.elapsed() < RUN {
        packets += u64::from(side.step(what));
    }
    let wall = start.elapsed().as_nanos();
    println!("{packets} {wall} {}", processor_time() - cpu);
    // Whoever reads that looks at the kernel's thread now, which goes with the program.
    thread::sleep(Duration::from_millis(50));
    Ok(())
}

/// Nanoseconds that this process has run.
fn processor_time() -> u128 {
    // SAFETY: all zero is a value of it.
    let mut time: libc::timespec = unsafe { mem::zeroed() };
    // SAFETY: it writes one `timespec`.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "Linux has this clock");
    let time = Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
    time.as_nanos()
}

/// Who handles the packets.
enum Side {
    Rust {
        socket: Box<FluxRaw>,
        batch: PacketBatch,
    },
    C(CLoop),
}

impl Side {
    /// One batch, and what the kernel needs to be told.
    fn step(&mut self, what: &str) -> u32 {
        let wake = what != "rxdrop";
        let wait = what != "txonly";
        match self {
            Self::Rust { socket, batch } => {
                let count = match what {
                    "rxdrop" => rxdrop(socket),
                    "txonly" => txonly(socket, batch),
                    _ => l2fwd(socket),
                };
                if wake {
                    socket.wake_tx().expect("the interface is up");
                }
                if wait && count == 0 {
                    let timeout = Some(Duration::from_millis(100));
                    socket.wait_rx(timeout).expect("the interface is there");
                }
                count
            }
            Self::C(side) => {
                let count = side.batch();
                if wake {
                    side.wake_tx();
                }
                if wait && count == 0 {
                    side.wait_rx();
                }
                count
            }
        }
    }
}

fn rxdrop(socket: &mut FluxRaw) -> u32 {
    let mut sum = 0;
    let count = socket.inspect(BATCH, |packet| {
        if let [first, ..] = packet.data() {
            sum += u64::from(*first) + packet.len() as u64;
        }
    });
    std::hint::black_box(sum);
    count
}

fn txonly(socket: &mut FluxRaw, batch: &mut PacketBatch) -> u32 {
    let back = socket.reap();
    let left = batch.len();
    socket.alloc_batch(batch);
    for packet in batch.iter_mut().skip(left) {
        packet.copy_from(&PACKET).expect("a frame has room for it");
    }
    socket.send(batch).expect("they are of this socket");
    back
}

fn l2fwd(socket: &mut FluxRaw) -> u32 {
    socket.refill();
    socket.forward(BATCH, |packet| {
        match Ethernet::parse_mut(packet.data_mut()) {
            Ok((ethernet, _)) => {
                ethernet.swap_addresses();
                Verdict::Send
            }
            Err(_) => Verdict::Recycle,
        }
    })
}
