//! No call that waits is missing in the tables: they are found in the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{TABLE, send};

/// What waits for something else than packets or room, and is tested where that is.
const OTHERS: [&str; 1] = [
    // For the kernel to let go of a queue.
    "UmemRegion::reclaim",
];

/// All public functions of a folder, as `Type::name`, and how each is declared.
fn functions(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Simulated networks, what systems have to offer, file formats, and the C face, which has a table of its own.
        let left_out = ["sim", "backend", "capture", "ffi"];
        if path.is_dir() && !left_out.iter().any(|name| path.ends_with(name)) {
            functions(&path, found);
        } else if path.extension().is_some_and(|name| name == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut of = "";
            let mut rest = text.as_str();
            while let Some((line, after)) = rest.split_once('\n') {
                if line.starts_with("impl") {
                    let words = line.trim_end_matches(" {").rsplit(' ').next().unwrap();
                    of = words.split('<').next().unwrap();
                }
                let line = line.trim_start();
                let name = ["pub fn ", "pub async fn "]
                    .iter()
                    .find_map(|start| line.strip_prefix(start));
                if let Some(name) = name {
                    let name = name.split(['(', '<']).next().unwrap();
                    let declared = rest.split_once('{').map_or(rest, |(head, _)| head);
                    found.push((format!("{of}::{name}"), declared.to_owned()));
                }
                rest = after;
            }
        }
    }
}

#[test]
fn every_call_that_waits_is_in_the_tables() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    if !sources.exists() {
        println!("skipped: the sources are not here");
        return;
    }
    let mut all = Vec::new();
    functions(&sources, &mut all);
    let names: BTreeSet<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    // It takes a time, or is a future, or there is a form of it that takes a time.
    let waits = |(name, declared): &&(String, String)| {
        let takes = ["timeout: ", "time: "].map(|name| format!("{name}Duration"));
        let may_take = ["timeout: ", "time: "].map(|name| format!("{name}Option<Duration>"));
        declared.contains("async fn")
            || takes
                .iter()
                .chain(&may_take)
                .any(|word| declared.contains(word))
            || ["_timeout", "_for"]
                .iter()
                .any(|end| names.contains(&*format!("{name}{end}")))
    };
    let waiting: BTreeSet<&str> = all.iter().filter(waits).map(|(name, _)| &**name).collect();
    assert!(waiting.len() > 15, "{waiting:?}");
    let mut rows: BTreeSet<&str> = OTHERS.into();
    for (name, ..) in TABLE.iter().chain(send::TABLE) {
        rows.insert(name.split(',').next().unwrap());
    }
    let missing = waiting.difference(&rows).collect::<Vec<_>>();
    #[cfg(not(feature = "async"))]
    let missing = (missing.into_iter())
        .filter(|name| !name.starts_with("Async"))
        .collect::<Vec<_>>();
    assert!(missing.is_empty(), "no row for {missing:?}");
}
