//! Times of the protocol layer against other crates that do the same: by criterion, and as ratios of rounds in turn, which what else
//! the machine does changes less.
//!
//! Every case is measured in the same process over the same bytes. A module of `proto/` has the cases of one kind.
//!
//! ```text
//! cargo bench --bench proto
//! cargo bench --bench proto -- headers     only cases with that in their name
//! ```

#[path = "common/results.rs"]
mod results;

#[path = "proto/builds.rs"]
mod builds;
#[path = "proto/checksums.rs"]
mod checksums;
#[path = "proto/edits.rs"]
mod edits;
#[path = "proto/headers.rs"]
mod headers;
#[path = "proto/lines.rs"]
mod lines;
#[path = "proto/nat.rs"]
mod nat;

use std::env;
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use results::{Better, Row};

/// How long a side runs in one round.
const ROUND: Duration = Duration::from_millis(20);
const ROUNDS: usize = 41;

/// What this library does, and how another does it.
pub(crate) struct Case {
    /// `WHAT/HOW/PEER`.
    name: &'static str,
    /// How many times as fast as the peer this library is to be.
    aim: f64,
    /// How many nanoseconds it may take.
    limit: f64,
    ours: Side,
    peer: Side,
}

/// Runs so many times, and tells how long that took.
type Side = Box<dyn FnMut(u64) -> Duration>;

impl Case {
    pub(crate) fn new<A: 'static, B: 'static>(
        name: &'static str,
        aim: f64,
        ours: impl FnMut() -> A + 'static,
        peer: impl FnMut() -> B + 'static,
    ) -> Self {
        Self {
            name,
            aim,
            limit: f64::INFINITY,
            ours: timed(ours),
            peer: timed(peer),
        }
    }

    /// The same, in at most so many nanoseconds.
    pub(crate) fn within(mut self, limit: f64) -> Self {
        self.limit = limit;
        self
    }

    fn criterion(&mut self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group(self.name);
        for (side, work) in [("ours", &mut self.ours), ("peer", &mut self.peer)] {
            group.bench_function(side, |bencher| bencher.iter_custom(&mut *work));
        }
        group.finish();
    }

    /// Nanoseconds in rounds, ours and the peer's in turn.
    fn compare(&mut self) -> Row {
        let probe = 10_000;
        let slower = (self.ours)(probe).max((self.peer)(probe));
        let times = (ROUND.as_nanos() * u128::from(probe)) / slower.as_nanos().max(1);
        let times = u64::try_from(times).unwrap_or(probe);
        let each = |time: Duration| time.as_nanos() as f64 / times as f64;
        let rounds: Vec<_> = (0..ROUNDS)
            .map(|_| (each((self.ours)(times)), each((self.peer)(times))))
            .collect();
        Row::rounds(self.name, "ns", Better::Less, &rounds)
    }
}

fn timed<T>(mut work: impl FnMut() -> T + 'static) -> Side {
    Box::new(move |times| {
        let start = Instant::now();
        for _ in 0..times {
            black_box(work());
        }
        start.elapsed()
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let filter = env::args().skip(1).find(|word| !word.starts_with('-'));
    let mut cases = headers::cases();
    cases.extend(checksums::cases());
    cases.extend(nat::cases());
    cases.extend(builds::cases());
    cases.extend(edits::cases());
    cases.extend(lines::cases());
    cases.retain(|case| filter.as_ref().is_none_or(|part| case.name.contains(part)));
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(20)
        .configure_from_args();
    for case in &mut cases {
        case.criterion(&mut criterion);
    }
    criterion.final_summary();
    let rows: Vec<Row> = cases.iter_mut().map(Case::compare).collect();
    results::print(&rows, "peer");
    for (case, row) in cases.iter().zip(&rows) {
        if row.ratio < case.aim {
            println!(
                "{} is below the aim of {} times the peer",
                case.name, case.aim
            );
        }
        if row.ours > case.limit {
            println!("{} takes more than {} ns", case.name, case.limit);
        }
    }
    // A part of them is no result.
    if filter.is_none() {
        println!("{}", results::save("proto", &rows)?.display());
    }
    Ok(())
}
