//! The figures of a benchmark: a table for people, `target/bench/results.json` for programs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// What is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    #[allow(dead_code, reason = "not every benchmark has such a unit")]
    Less,
    #[allow(dead_code, reason = "not every benchmark has such a unit")]
    More,
}

/// One case, measured for this library and for the peer.
#[derive(Debug)]
pub(crate) struct Row {
    /// `FACE/MODE/LOOP`.
    pub(crate) case: String,
    pub(crate) unit: &'static str,
    pub(crate) ours: f64,
    pub(crate) peer: f64,
    /// Above 1: ours is better.
    pub(crate) ratio: f64,
    /// The smallest and the largest ratio of one round, or the quartiles of many; `None` for an exact figure.
    pub(crate) spread: Option<[f64; 2]>,
}

impl Row {
    /// A case with figures that come out the same each time.
    #[allow(dead_code, reason = "not every benchmark has exact figures")]
    pub(crate) fn exact(
        case: &str,
        unit: &'static str,
        better: Better,
        ours: f64,
        peer: f64,
    ) -> Self {
        Self {
            case: case.to_owned(),
            unit,
            ours,
            peer,
            ratio: ratio(better, ours, peer),
            spread: None,
        }
    }

    /// A case measured in rounds, ours and the peer's in turn: the medians, and the ratios of the rounds.
    #[allow(dead_code, reason = "not every benchmark is measured in rounds")]
    pub(crate) fn rounds(
        case: &str,
        unit: &'static str,
        better: Better,
        rounds: &[(f64, f64)],
    ) -> Self {
        let ratios: Vec<f64> = rounds
            .iter()
            .map(|&(ours, peer)| ratio(better, ours, peer))
            .collect();
        Self {
            case: case.to_owned(),
            unit,
            ours: median(rounds.iter().map(|round| round.0)),
            peer: median(rounds.iter().map(|round| round.1)),
            ratio: median(ratios.iter().copied()),
            spread: Some([
                ratios.iter().copied().fold(f64::INFINITY, f64::min),
                ratios.iter().copied().fold(0.0, f64::max),
            ]),
        }
    }

    /// A case measured in many samples, ours and the peer's in turn: the medians, and the quartiles of the samples' ratios.
    #[allow(dead_code, reason = "not every benchmark takes samples")]
    pub(crate) fn samples(
        case: &str,
        unit: &'static str,
        better: Better,
        samples: &[(f64, f64)],
    ) -> Self {
        let ratios: Vec<f64> = samples
            .iter()
            .map(|&(ours, peer)| ratio(better, ours, peer))
            .collect();
        Self {
            spread: Some(quartiles(&ratios)),
            ..Self::rounds(case, unit, better, samples)
        }
    }

    /// A case that there is no peer for.
    #[allow(dead_code, reason = "most benchmarks have a peer")]
    pub(crate) fn alone(case: &str, unit: &'static str, ours: f64) -> Self {
        Self {
            case: case.to_owned(),
            unit,
            ours,
            // JSON shows null.
            peer: f64::NAN,
            ratio: f64::NAN,
            spread: None,
        }
    }

    fn json(&self, bench: &str) -> Value {
        json!({
            "bench": bench,
            "case": self.case,
            "unit": self.unit,
            "ours": rounded(self.ours),
            "peer": rounded(self.peer),
            "ratio": rounded(self.ratio),
            "spread": self.spread.map(|[least, most]| [rounded(least), rounded(most)]),
        })
    }
}

fn ratio(better: Better, ours: f64, peer: f64) -> f64 {
    match better {
        Better::Less => peer / ours,
        Better::More => ours / peer,
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

/// The values that a quarter of all lie below, and above.
#[allow(dead_code, reason = "not every benchmark takes samples")]
pub(crate) fn quartiles(values: &[f64]) -> [f64; 2] {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    [values[last / 4], values[last - last / 4]]
}

fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// Prints a table of the rows.
#[allow(dead_code, reason = "figures without a peer are printed otherwise")]
pub(crate) fn print(rows: &[Row], peer: &str) {
    println!(
        "{:22} {:>12} {:>12} {:>7}  {:15} unit",
        "case", "ours", peer, "ratio", "spread"
    );
    for row in rows {
        let places = if row.ours < 1000.0 { 2 } else { 0 };
        let spread = row.spread.map_or_else(
            || "exact".to_owned(),
            |[least, most]| format!("{least:.3} to {most:.3}"),
        );
        println!(
            "{:22} {:>12.places$} {:>12.places$} {:>7.3}  {spread:15} {}",
            row.case, row.ours, row.peer, row.ratio, row.unit
        );
    }
}

/// Puts the rows into the file, in place of those that `bench` left there before.
pub(crate) fn save(bench: &str, rows: &[Row]) -> io::Result<PathBuf> {
    let path = directory()?.join("results.json");
    let mut all: Vec<Value> = match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).unwrap_or_default(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    all.retain(|row| row["bench"] != bench);
    all.extend(rows.iter().map(|row| row.json(bench)));
    // One row a line: readable, and a difference shows the case.
    let lines: Vec<String> = all.iter().map(|row| format!("  {row}")).collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    let new = path.with_extension("json.new");
    fs::write(&new, text)?;
    fs::rename(&new, &path)?;
    Ok(path)
}

/// `bench` in Cargo's target directory.
pub(crate) fn directory() -> io::Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("Cargo makes it below the target directory");
    let directory = target.join("bench");
    fs::create_dir_all(&directory)?;
    Ok(directory)
}
