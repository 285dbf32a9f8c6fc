//! Instructions per packet, exact, counted by callgrind: Mode C in Rust and in C against libxdp's inline functions at `-O2`.
//!
//! The rings lie in plain memory. What the kernel would do is done by a stand-in on both sides and is not counted; neither is a
//! warm-up. Batches of 64 packets, and not aligned to the ring's array, so that one batch in 32 goes across its end.
//!
//! - `rxdrop`: look at one byte and the length of each packet, recycle.
//! - `l2fwd`: swap the Ethernet addresses, send, take sent frames back to the fill ring.
//! - `…+held`: the program holds 16 packets meanwhile, so that each frame is looked up when it comes back from the kernel.
//!
//! The C loops are compiled by `cc -O2` into a library of their own and call the library's functions through one indirect
//! jump each, as through the procedure linkage table; nothing is inlined.
//!
//! ```text
//! cargo bench --bench instructions              print and save the figures
//! cargo bench --bench instructions -- --check   and fail when one is above its limit
//! ```

#[path = "../common/face.rs"]
mod face;
#[path = "../common/native.rs"]
mod native;
#[path = "../common/plain.rs"]
mod plain;
#[path = "../common/results.rs"]
mod results;

use std::env;
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};

use face::CLoop;
use fluxcap::proto::Ethernet;
use fluxcap::{FluxBuilder, FluxRaw, PacketBatch, Verdict};
use plain::PlainLink;
use results::{Better, Row};

const BATCH: u32 = 64;
const BATCHES: u32 = 1000;
const WARM_UP: u32 = 100;
/// Packets of the very first batch.
const FIRST: u32 = 40;
/// Packets that the program holds in the `+held` cases.
const HELD: usize = 16;
const UNIT: &str = "instructions/packet";

struct Case {
    name: &'static str,
    /// The function whose instructions count.
    counted: &'static str,
    peer: &'static str,
    limit: Option<f64>,
}

const CASES: [Case; 6] = [
    Case {
        name: "rust/C/rxdrop",
        counted: "rust_rxdrop",
        peer: "rxdrop",
        limit: Some(16.0),
    },
    Case {
        name: "rust/C/l2fwd",
        counted: "rust_l2fwd",
        peer: "l2fwd",
        limit: Some(32.0),
    },
    Case {
        name: "c/C/rxdrop",
        counted: "c_rxdrop",
        peer: "rxdrop",
        limit: Some(28.0),
    },
    Case {
        name: "c/C/l2fwd",
        counted: "c_l2fwd",
        peer: "l2fwd",
        limit: Some(46.0),
    },
    Case {
        name: "rust/C/rxdrop+held",
        counted: "rust_rxdrop",
        peer: "rxdrop",
        limit: None,
    },
    Case {
        name: "rust/C/l2fwd+held",
        counted: "rust_l2fwd",
        peer: "l2fwd",
        limit: None,
    },
];

pub(super) fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.iter().position(|word| word == "--run") {
        Some(at) => run(&arguments[at + 1]).map(|()| ExitCode::SUCCESS),
        None => measure(arguments.iter().any(|word| word == "--check")),
    };
    result.unwrap_or_else(|error| {
        eprintln!("instructions: {error}");
        ExitCode::FAILURE
    })
}

/// Counts all cases.
fn measure(check: bool) -> Result<ExitCode, Box<dyn Error>> {
    native::require("valgrind", "valgrind")?;
    let mut flags = native::pkg_config(&["--cflags", "libxdp", "libbpf"])?;
    let peer = native::compile("instructions-peer", &["peer/plain.c"], &flags)?;
    flags.push("-DLEAN".to_owned());
    let lean = native::compile("instructions-peer-lean", &["peer/plain.c"], &flags)?;
    CLoop::compile()?;
    let this = env::current_exe()?;

    let rounds = [WARM_UP, BATCHES, FIRST].map(|number| number.to_string());
    let [warm_up, batches, first] = rounds.each_ref().map(String::as_str);
    let count_peer = |program: &Path, name: &str| {
        let arguments = [name, warm_up, batches, first];
        count(program, &format!("peer_{name}"), &arguments)
    };
    let mut rows = Vec::new();
    for case in &CASES {
        let ours = count(&this, case.counted, &["--run", case.name])?;
        let theirs = count_peer(&peer, case.peer)?;
        rows.push(Row::exact(case.name, UNIT, Better::Less, ours, theirs));
    }
    results::print(&rows, "libxdp");
    println!(
        "libxdp without its functions for unaligned chunks: rxdrop {:.2}, l2fwd {:.2}",
        count_peer(&lean, "rxdrop")?,
        count_peer(&lean, "l2fwd")?
    );
    println!(
        "saved in {}",
        results::save("instructions", &rows)?.display()
    );

    let mut code = ExitCode::SUCCESS;
    for (case, row) in CASES.iter().zip(&rows) {
        match case.limit {
            Some(limit) if check && row.ours > limit => {
                let Row { case, ours, .. } = row;
                eprintln!("instructions: {case} takes {ours:.2}, its limit is {limit}");
                code = ExitCode::FAILURE;
            }
            _ => {}
        }
    }
    Ok(code)
}

/// Runs a program under callgrind: the instructions per packet that it spends in `function` and below.
fn count(program: &Path, function: &str, arguments: &[&str]) -> Result<f64, Box<dyn Error>> {
    let profile = results::directory()?.join("callgrind.out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={function}"))
        .arg("--zero-before=warmed_up")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .args(arguments)
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{} failed under valgrind:\n{said}{printed}",
            program.display()
        )
        .into());
    }
    let packets: f64 = number_after(&printed, "packets ")?;
    if packets != f64::from(BATCH * BATCHES) {
        return Err(format!("{function} handled {packets} packets").into());
    }
    let total: f64 = number_after(&std::fs::read_to_string(profile)?, "totals: ")?;
    if total == 0.0 {
        return Err(format!("callgrind found no function {function}").into());
    }
    Ok(total / packets)
}

fn number_after(text: &str, label: &str) -> Result<f64, Box<dyn Error>> {
    let line = text.lines().find_map(|line| line.strip_prefix(label));
    let word = line.and_then(|line| line.split_whitespace().next());
    Ok(word.ok_or_else(|| format!("no line {label:?}"))?.parse()?)
}

/// Runs one case, to be counted from outside.
fn run(case: &str) -> Result<(), Box<dyn Error>> {
    let plain = PlainLink::default();
    let socket = FluxBuilder::new(plain.link())
        .load_xdp(false)
        .frames(4096)
        .fill_size(2048)
        .rx_size(2048)
        .tx_size(2048)
        .completion_size(2048)
        .build()?;
    let mut side = Side::new(case, socket)?;
    let mut kernel = plain.kernel();

    let mut held = PacketBatch::with_capacity(HELD);
    if let (true, Side::Rust { socket, .. }) = (case.ends_with("+held"), &mut side) {
        kernel.deliver(HELD as u32, 60);
        assert_eq!(socket.receive(&mut held), HELD as u32);
    }

    let mut packets = 0;
    for round in 0..WARM_UP + BATCHES {
        if round == WARM_UP {
            warmed_up();
            packets = 0;
        }
        let mut due = if round == 0 { FIRST } else { BATCH };
        kernel.deliver(due, 60);
        while due > 0 {
            let handled = side.batch();
            assert!(handled > 0, "every packet arrives");
            due -= handled;
            packets += handled;
        }
        kernel.transmit();
    }
    println!("packets {packets}");
    drop(held);
    if let Side::Rust { socket, .. } = side {
        assert!(socket.debug_rings().is_conserved());
    }
    Ok(())
}

/// Who handles the packets.
enum Side {
    Rust {
        socket: Box<FluxRaw>,
        batch: fn(&mut FluxRaw) -> u32,
    },
    C(CLoop),
}

impl Side {
    fn new(case: &str, socket: FluxRaw) -> Result<Self, Box<dyn Error>> {
        Ok(match case {
            "rust/C/rxdrop" | "rust/C/rxdrop+held" => Self::Rust {
                socket: socket.into(),
                batch: rust_rxdrop,
            },
            "rust/C/l2fwd" | "rust/C/l2fwd+held" => Self::Rust {
                socket: socket.into(),
                batch: rust_l2fwd,
            },
            "c/C/rxdrop" => Self::C(CLoop::load("c_rxdrop", socket)?),
            "c/C/l2fwd" => Self::C(CLoop::load("c_l2fwd", socket)?),
            _ => return Err(format!("there is no case {case}").into()),
        })
    }

    fn batch(&mut self) -> u32 {
        match self {
            Self::Rust { socket, batch } => black_box(*batch)(socket),
            Self::C(side) => side.batch(),
        }
    }
}

/// Where counting starts anew.
// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn warmed_up() {
    black_box(());
}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn rust_rxdrop(socket: &mut FluxRaw) -> u32 {
    let mut sum = 0;
    let count = socket.inspect(BATCH, |packet| {
        if let [first, ..] = packet.data() {
            sum += u64::from(*first) + packet.len() as u64;
        }
    });
    black_box(sum);
    count
}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn rust_l2fwd(socket: &mut FluxRaw) -> u32 {
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
