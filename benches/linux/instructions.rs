//! Instructions per packet, exact, counted by callgrind: each mode in Rust and in C against libxdp's inline functions at `-O2`.
//!
//! The rings lie in plain memory. What the kernel would do is done by a stand-in on both sides and is not counted; neither is a
//! warm-up. Batches of 64 packets, and not aligned to the ring's array, so that one batch in 32 goes across its end.
//!
//! - `rxdrop`, `l2fwd`: as in [`loops`].
//! - `…+held`: the program holds 16 packets meanwhile, so that each frame is looked up when it comes back from the kernel.
//!
//! The C loops are compiled by `cc -O2` into a library of their own and call the library's functions through one indirect
//! jump each, as through the procedure linkage table; nothing is inlined.
//!
//! ```text
//! cargo bench --bench instructions              print and save the figures
//! cargo bench --bench instructions -- --check   and fail when one is above its limit
//! ```

#[path = "../common/loops/mod.rs"]
mod loops;
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

use fluxcap::{FluxBuilder, PacketBatch};
use loops::{BATCH, Entry};
use plain::PlainLink;
use results::{Better, Row};

const BATCHES: u32 = 1000;
const WARM_UP: u32 = 100;
/// Packets of the very first batch.
const FIRST: u32 = 40;
/// Packets that the program holds in the `+held` cases.
const HELD: usize = 16;
const HOLDING: &str = "+held";
/// What a loop of Mode A in C may take, of what its twin in Rust takes: the C face is to be thin.
const TWIN: f64 = 1.1;
const UNIT: &str = "instructions/packet";

struct Case {
    /// An entry of [`loops`], perhaps with [`HOLDING`].
    name: &'static str,
    limit: Option<f64>,
}

const CASES: [Case; 14] = [
    Case::limited("rust/A/rxdrop", 21.0),
    Case::limited("rust/A/l2fwd", 40.0),
    Case::limited("rust/C/rxdrop", 16.0),
    Case::limited("rust/C/l2fwd", 32.0),
    Case::limited("rust/B/rxdrop", 34.0),
    Case::limited("rust/B/l2fwd", 58.0),
    // Held to their twins in Rust.
    Case::free("c/A/rxdrop"),
    Case::free("c/A/l2fwd"),
    Case::free("c/B/rxdrop"),
    Case::free("c/B/l2fwd"),
    Case::limited("c/C/rxdrop", 28.0),
    Case::limited("c/C/l2fwd", 46.0),
    Case::free("rust/C/rxdrop+held"),
    Case::free("rust/C/l2fwd+held"),
];

impl Case {
    const fn limited(name: &'static str, limit: f64) -> Self {
        let limit = Some(limit);
        Self { name, limit }
    }

    const fn free(name: &'static str) -> Self {
        Self { name, limit: None }
    }
}

/// The loop of a case.
fn entry(case: &str) -> Result<Entry, Box<dyn Error>> {
    Entry::named(case.trim_end_matches(HOLDING))
}

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
    loops::compile()?;
    let this = env::current_exe()?;

    let rounds = [WARM_UP, BATCHES, FIRST].map(|number| number.to_string());
    let [warm_up, batches, first] = rounds.each_ref().map(String::as_str);
    let count_peer = |program: &Path, name: &str| {
        let arguments = [name, warm_up, batches, first];
        count(program, &format!("peer_{name}"), &arguments)
    };
    let mut rows = Vec::new();
    for case in &CASES {
        let entry = entry(case.name)?;
        let ours = count(&this, &entry.function(), &["--run", case.name])?;
        let theirs = count_peer(&peer, entry.what())?;
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
    for (
        case,
        Row {
            case: name, ours, ..
        },
    ) in CASES.iter().zip(&rows)
    {
        let twin = name
            .strip_prefix("c/A/")
            .map(|what| format!("rust/A/{what}"));
        let twin = rows.iter().find(|row| Some(&row.case) == twin.as_ref());
        let limits = [case.limit, twin.map(|twin| twin.ours * TWIN)];
        for limit in limits.into_iter().flatten() {
            if check && *ours > limit {
                eprintln!("instructions: {name} takes {ours:.2}, its limit is {limit:.2}");
                code = ExitCode::FAILURE;
            }
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
    let mut work = entry(case)?.open(socket)?;
    let mut kernel = plain.kernel();

    let mut held = PacketBatch::with_capacity(HELD);
    if case.ends_with(HOLDING) {
        kernel.deliver(HELD as u32, 60);
        assert_eq!(work.receive(&mut held), HELD as u32);
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
            let handled = work.batch();
            assert!(handled > 0, "every packet arrives");
            due -= handled;
            packets += handled;
        }
        kernel.transmit();
    }
    println!("packets {packets}");
    drop(held);
    if let Some(rings) = work.rings() {
        assert!(rings.is_conserved(), "frames were lost:\n{rings}");
    }
    Ok(())
}

/// Where counting starts anew.
// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn warmed_up() {
    black_box(());
}
