//! The user's cycles a packet: each mode in Rust and in C against libxdp's inline functions and against a plain checked loop.
//!
//! One process, pinned to one CPU. Each contender has a socket of its own (copy mode), on a veth pair of its own, with memory of the same
//! size and kind. In turn the kernel puts 256 packets of 60 bytes into its RX ring by [live frames](live), and the contender's loop handles
//! them in batches of 64, between two readings of the [time stamp counter](counter). No system call is inside, and no sender takes the
//! processor's time. A sample is some hundred turns in a row of one contender, after some that are not counted; the samples alternate. The
//! figure is the median of the samples, with the quartiles beside it: an interrupt falls into few samples, and another program's load hits
//! all contenders alike.
//!
//! A packet's time is mostly the way to its first line, so the size of the memory counts as much as the loop: with `--frames 4096` all
//! contenders take half as long again. Compare only figures of one run.
//!
//! - `rxdrop`, `l2fwd`: as in [`loops`]. Of `l2fwd` it is the part on the rings: descriptors into the TX ring, and those of the turn before
//!   from the completion ring into the fill ring. Before each turn the TX ring's flag that asks for a wake-up is cleared, as a zero-copy
//!   driver does that is awake; the kernel is made to send after the turn.
//! - `libxdp/…`: libxdp's functions, compiled by `cc -O2`. They check nothing.
//! - `plain/…`: the loop that one would write first, in C on the same rings: each descriptor copied once, its range, its chunk and one byte of
//!   a ledger of owners checked, the frame given back; one pass.
//!
//! ```text
//! cargo bench --bench cycles                                    41 samples of 300 turns
//! cargo bench --bench cycles -- --samples 5 --calls 50          a quick look
//! cargo bench --bench cycles -- --frames 4096                   memory that does not fit into caches and TLB; 1024 else
//! cargo bench --bench cycles -- --only rust/C                   those whose names contain it, beside the two peers
//! ```

#[path = "counter.rs"]
mod counter;
#[path = "kick.rs"]
mod kick;
#[path = "live.rs"]
mod live;
#[path = "../common/loops/mod.rs"]
mod loops;
#[path = "../common/native.rs"]
mod native;
#[path = "net.rs"]
mod net;
#[path = "../common/results.rs"]
mod results;

use std::env;
use std::error::Error;
use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::ptr::NonNull;
use std::time::Duration;

use fluxcap::{BindMode, FluxBuilder, PacketBatch, poller};
use kick::TxRings;
use live::LiveFrames;
use loops::{ENTRIES, Entry, Loop};
use results::{Better, Row};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const LOOPS: [&str; 2] = ["rxdrop", "l2fwd"];
const LIBXDP: &str = "libxdp";
const PLAIN: &str = "plain";
const SAMPLES: usize = 41;
/// Turns of each contender in one sample.
const CALLS: usize = 300;
/// Packets of one turn.
const PACKETS: u32 = 256;
/// Frames of each contender. Half of them are for receiving, and each ring has room for that many.
const FRAMES: u32 = 1024;

/// What the command line asks for.
struct Wish {
    samples: usize,
    calls: usize,
    frames: u32,
    only: String,
}

impl Wish {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let mut wish = Self {
            samples: SAMPLES,
            calls: CALLS,
            frames: FRAMES,
            only: String::new(),
        };
        let mut words = arguments.iter();
        while let Some(&word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word {
                "--samples" => wish.samples = value()?.parse()?,
                "--calls" => wish.calls = value()?.parse()?,
                "--frames" => wish.frames = value()?.parse()?,
                "--only" => wish.only = (*value()?).to_owned(),
                // Cargo's own.
                "--bench" => {}
                _ => {
                    return Err(format!(
                        "there are --samples, --calls, --frames and --only, not {word}"
                    )
                    .into());
                }
            }
        }
        if wish.samples == 0 || wish.calls == 0 {
            return Err("at least one sample of one turn".into());
        }
        if !wish.frames.is_power_of_two() || wish.frames < 4 * PACKETS {
            return Err(format!("--frames is a power of two, {} or more", 4 * PACKETS).into());
        }
        Ok(wish)
    }
}

pub(super) fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["--inside", ref rest @ ..] => Wish::parse(rest).and_then(|wish| measure(&wish)),
        _ => enter(&words),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cycles: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds what is needed and goes on in a new network namespace, with its own view of /sys.
fn enter(arguments: &[&str]) -> Result<()> {
    Wish::parse(arguments)?;
    let mut flags = native::pkg_config(&["--cflags", "libxdp", "libbpf"])?;
    flags.extend(native::pkg_config(&["--libs", "libxdp", "libbpf"])?);
    flags.extend(["-shared", "-fPIC"].map(str::to_owned));
    native::compile("libcycles-peer.so", &["peer/cycles.c"], &flags)?;
    loops::compile()?;
    let mut inside = vec!["--inside"];
    inside.extend(arguments);
    net::enter(&inside).map(drop)
}

/// Measures all cases, in the namespace.
fn measure(wish: &Wish) -> Result<()> {
    net::quiet();
    unlimit_memory();
    pin()?;
    let mut rows = Vec::new();
    println!(
        "{:16} {:>14} {:>16} {:>10} {:>10}",
        "case",
        counter::UNIT,
        "quartiles",
        "of libxdp",
        "of plain"
    );
    for what in LOOPS {
        let mut contenders = [LIBXDP, PLAIN]
            .iter()
            .map(|peer| Contender::peer(peer, what, wish.frames))
            .collect::<Result<Vec<_>>>()?;
        for entry in ENTRIES.iter().filter(|entry| entry.what() == what) {
            if entry.name.contains(&wish.only) {
                contenders.push(Contender::ours(entry, wish.frames)?);
            }
        }
        // One more, to warm up.
        for number in 0..=wish.samples {
            sample(&mut contenders, number, wish.calls)?;
        }
        for contender in &mut contenders {
            contender.samples.remove(0);
        }
        let [libxdp, plain] = [0, 1].map(|at: usize| contenders[at].samples.clone());
        for contender in &contenders {
            let against = |peer: &[f64]| {
                let pairs = contender.samples.iter().copied().zip(peer.iter().copied());
                let pairs: Vec<_> = pairs.collect();
                Row::samples(&contender.name, counter::UNIT, Better::Less, &pairs)
            };
            let row = against(&libxdp);
            let [low, high] = results::quartiles(&contender.samples);
            println!(
                "{:16} {:>14.2} {:>16} {:>10.3} {:>10.3}",
                row.case,
                row.ours,
                format!("{low:.2} to {high:.2}"),
                1.0 / row.ratio,
                1.0 / against(&plain).ratio,
            );
            if contender.name != format!("{LIBXDP}/{what}") {
                rows.push(row);
            }
        }
        for contender in contenders {
            contender.close()?;
        }
    }
    if wish.only.is_empty() {
        println!("saved in {}", results::save("cycles", &rows)?.display());
    }
    Ok(())
}

/// Some turns of each contender; nobody is always the first.
fn sample(contenders: &mut [Contender], number: usize, calls: usize) -> Result<()> {
    for turn in 0..contenders.len() {
        let at = (number + turn) % contenders.len();
        let contender = &mut contenders[at];
        // The first ones fetch what the contender before has pushed out of the caches.
        for _ in 0..calls.div_ceil(10) {
            contender.turn()?;
        }
        let mut cycles = 0;
        for _ in 0..calls {
            cycles += contender.turn()?;
        }
        let packets = calls as f64 * f64::from(PACKETS);
        contender.samples.push(cycles as f64 / packets);
    }
    Ok(())
}

/// A loop, with a socket and a source of packets of its own.
struct Contender {
    name: String,
    work: Box<dyn Loop>,
    source: LiveFrames,
    /// What it sends through, if it does.
    tx: Option<TxRings>,
    /// Cycles a packet in each sample.
    samples: Vec<f64>,
}

impl Contender {
    fn ours(entry: &Entry, frames: u32) -> Result<Self> {
        let interface = cable(entry.name)?;
        let source = LiveFrames::new(&interface)?;
        let socket = FluxBuilder::new(&*interface)
            .xskmap(source.map().try_clone()?)
            .frames(frames)
            .fill_size(frames / 2)
            .rx_size(frames / 2)
            .tx_size(frames / 2)
            .completion_size(frames / 2)
            .bind_mode(BindMode::Copy)
            .build()?;
        let fd = socket.fd()?.as_raw_fd();
        let work = entry.open(socket)?;
        Self::new(entry.name, work, source, fd)
    }

    fn peer(peer: &str, what: &str, frames: u32) -> Result<Self> {
        let name = format!("{peer}/{what}");
        let interface = cable(&name)?;
        let source = LiveFrames::new(&interface)?;
        let work = Peer::open(&format!("{peer}_{what}"), &interface, frames)?;
        let fd = work.fd;
        source.enter(fd)?;
        Self::new(&name, Box::new(work), source, fd)
    }

    fn new(name: &str, work: Box<dyn Loop>, source: LiveFrames, fd: i32) -> Result<Self> {
        let tx = name.ends_with("l2fwd").then(|| TxRings::of(fd));
        Ok(Self {
            name: name.to_owned(),
            work,
            source,
            tx: tx.transpose()?,
            samples: Vec::new(),
        })
    }

    /// The cycles of 256 packets.
    fn turn(&mut self) -> Result<u64> {
        self.source.deliver(&loops::PACKET, PACKETS)?;
        if let Some(tx) = &self.tx {
            tx.want_no_wakeup();
        }
        let mut due = PACKETS;
        let start = counter::read();
        while due > 0 {
            let count = self.work.batch();
            if count == 0 {
                break;
            }
            due -= count;
        }
        let cycles = counter::read() - start;
        if due > 0 {
            return Err(format!("{}: {due} of {PACKETS} packets did not arrive", self.name).into());
        }
        if let Some(tx) = &self.tx {
            tx.transmit()?;
        }
        Ok(cycles)
    }

    /// Looks whether it did what it was measured for.
    fn close(self) -> Result<()> {
        match self.work.rings() {
            Some(rings) if !rings.is_conserved() => {
                Err(format!("{}: frames were lost:\n{rings}", self.name).into())
            }
            _ => Ok(()),
        }
    }
}

/// A loop of `peer/cycles.c`.
struct Peer {
    handle: NonNull<c_void>,
    batch: unsafe extern "C" fn(NonNull<c_void>) -> u32,
    fd: i32,
}

impl Peer {
    /// Its socket stays open until the process ends.
    fn open(function: &str, interface: &str, frames: u32) -> Result<Self> {
        let path = results::directory()?.join("libcycles-peer.so");
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: a library of ours, made by `enter`; it is never unloaded.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        let library = NonNull::new(library).ok_or_else(|| format!("{path:?} can't be loaded"))?;
        let find = |name: &str| -> Result<NonNull<c_void>> {
            let symbol = CString::new(name)?;
            // SAFETY: the library is loaded, and the name ends with a zero byte.
            let found = unsafe { libc::dlsym(library.as_ptr(), symbol.as_ptr()) };
            NonNull::new(found).ok_or_else(|| format!("cycles.c has no function {name}").into())
        };
        // SAFETY: the functions have these types.
        let (open, fd, batch) = unsafe {
            (
                mem::transmute::<
                    NonNull<c_void>,
                    unsafe extern "C" fn(*const c_char, u32) -> Option<NonNull<c_void>>,
                >(find("peer_open")?),
                mem::transmute::<NonNull<c_void>, unsafe extern "C" fn(NonNull<c_void>) -> c_int>(
                    find("peer_fd")?,
                ),
                mem::transmute::<NonNull<c_void>, unsafe extern "C" fn(NonNull<c_void>) -> u32>(
                    find(function)?,
                ),
            )
        };
        let name = CString::new(interface)?;
        // SAFETY: the name ends with a zero byte.
        let handle = unsafe { open(name.as_ptr(), frames) };
        let handle = handle
            .ok_or_else(|| format!("{function} on {interface}: {}", io::Error::last_os_error()))?;
        Ok(Self {
            handle,
            batch,
            // SAFETY: the handle is open.
            fd: unsafe { fd(handle) },
        })
    }
}

impl Loop for Peer {
    fn batch(&mut self) -> u32 {
        // SAFETY: the handle is open, and this value alone uses it.
        unsafe { (self.batch)(self.handle) }
    }

    fn run_for(&mut self, _time: Duration) -> u64 {
        unreachable!("no benchmark lets it run by the clock")
    }

    fn receive(&mut self, _batch: &mut PacketBatch) -> u32 {
        0
    }
}

/// Lays a cable for one contender; returns the name of its end.
fn cable(contender: &str) -> Result<String> {
    // A name has room for 15 characters.
    let name = contender
        .to_lowercase()
        .replace('/', "-")
        .replace("_each", "e");
    let far = format!("{name}+");
    net::ip(&["link", "add", &name, "type", "veth", "peer", "name", &far])?;
    net::ip(&["link", "set", &name, "up"])?;
    net::ip(&["link", "set", &far, "up"])?;
    Ok(name)
}

/// Stays on the last CPU that this process may use.
fn pin() -> Result<()> {
    let cpus = poller::cpus()?;
    let last = cpus.last().ok_or("no CPU to run on")?;
    println!("on CPU {last}");
    Ok(poller::pin(*last)?)
}

/// libxdp does not do it by itself.
fn unlimit_memory() {
    let unlimited = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: reads one structure. Where it fails, registering memory says so.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited) };
}
