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
//! They show change, not who is ahead: a loop of fewer instructions can be the slower one. `--bench cycles` decides. Those that were agreed on
//! stand in `instructions.txt`; what differs from it is printed and wants an explanation in the commit that changes it.
//!
//! ```text
//! cargo bench --bench instructions               print and save the figures, and what has changed
//! cargo bench --bench instructions -- --record   and write them into instructions.txt
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
use std::fs;
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
/// The figures that were agreed on: a case and its figure a line.
const RECORD: &str = "benches/instructions.txt";
/// Less than this difference is a compiler's mood.
const NOTABLE: f64 = 0.01;
const UNIT: &str = "instructions/packet";

/// Entries of [`loops`], perhaps with [`HOLDING`].
const CASES: [&str; 16] = [
    "rust/A/rxdrop",
    "rust/A/l2fwd",
    "rust/A_each/rxdrop",
    "rust/A_each/l2fwd",
    "rust/C/rxdrop",
    "rust/C/l2fwd",
    "rust/B/rxdrop",
    "rust/B/l2fwd",
    "c/A/rxdrop",
    "c/A/l2fwd",
    "c/B/rxdrop",
    "c/B/l2fwd",
    "c/C/rxdrop",
    "c/C/l2fwd",
    "rust/C/rxdrop+held",
    "rust/C/l2fwd+held",
];

/// The loop of a case.
fn entry(case: &str) -> Result<Entry, Box<dyn Error>> {
    Entry::named(case.trim_end_matches(HOLDING))
}

pub(super) fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.iter().position(|word| word == "--run") {
        Some(at) => run(&arguments[at + 1]),
        None => measure(arguments.iter().any(|word| word == "--record")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Counts all cases.
fn measure(record: bool) -> Result<(), Box<dyn Error>> {
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
    for case in CASES {
        let entry = entry(case)?;
        let ours = count(&this, &entry.function(), &["--run", case])?;
        let theirs = count_peer(&peer, entry.what())?;
        rows.push(Row::exact(case, UNIT, Better::Less, ours, theirs));
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

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(RECORD);
    if record {
        let lines = rows
            .iter()
            .map(|row| format!("{} {:.2}\n", row.case, row.ours));
        fs::write(&path, lines.collect::<String>())?;
        println!("recorded in {}", path.display());
        return Ok(());
    }
    for line in changes(&rows, &fs::read_to_string(&path)?)? {
        println!("{line}");
    }
    Ok(())
}

/// What differs from the record, a line each.
fn changes(rows: &[Row], record: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let mut lines = Vec::new();
    for Row { case, ours, .. } in rows {
        let label = format!("{case} ");
        let recorded = record.lines().find_map(|line| line.strip_prefix(&label));
        let Some(recorded) = recorded else {
            lines.push(format!("new: {case} takes {ours:.2}"));
            continue;
        };
        let before: f64 = recorded.parse()?;
        if (ours - before).abs() > before * NOTABLE {
            let percent = (ours / before - 1.0) * 100.0;
            lines.push(format!(
                "changed: {case} takes {ours:.2}, recorded are {before:.2} ({percent:+.0} %): say why, and --record"
            ));
        }
    }
    Ok(lines)
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
    let total: f64 = number_after(&fs::read_to_string(profile)?, "totals: ")?;
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
