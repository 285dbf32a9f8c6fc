//! What README, documentation and programs tell people to type does no harm to a machine that they are logged in to.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// What starts a program on the interface that most machines are reached through.
const HARMFUL: [&str; 5] = [
    "FluxBuilder::new(\"eth",
    "EngineGroup::open(\"eth",
    ".ifname = \"eth",
    "-i eth",
    "-- eth",
];

#[test]
fn no_example_takes_the_interface_that_people_are_logged_in_through() {
    let mut found = Vec::new();
    for file in files(&["src", "examples", "examples-c", "include", "README.md"]) {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().filter(|line| is_shown(line, &file));
        found.extend(
            lines
                .filter(|line| HARMFUL.iter().any(|start| line.contains(start)))
                // An example of an error; nothing is opened.
                .filter(|line| !line.contains("unwrap_err"))
                .map(|line| format!("{}: {line}", file.display())),
        );
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn each_program_says_that_it_takes_the_queue() {
    let programs = files(&["examples", "examples-c"]).into_iter();
    let programs: Vec<_> = programs
        .map(|file| (fs::read_to_string(&file).unwrap(), file))
        .filter(|(text, _)| text.contains("this text"))
        .collect();
    assert_eq!(programs.len(), 10);
    for (text, file) in programs {
        let warning = "do not use an interface that you are logged in through";
        assert!(text.contains(warning), "{}", file.display());
    }
}

#[test]
fn nothing_that_keeps_its_verdict_is_said_to_reach_the_network_stack() {
    for file in files(&["src", "include", "README.md"]) {
        let text = fs::read_to_string(&file).unwrap();
        for words in [
            "verdict goes back to the kernel",
            "packet goes back to the kernel",
        ] {
            assert!(!text.contains(words), "{}: {words}", file.display());
        }
    }
}

/// Whether a reader sees a line: documentation, not code, and none of the lines that rustdoc hides.
fn is_shown(line: &str, file: &Path) -> bool {
    let line = line.trim_start();
    let hidden = ["/// #", "//! #"].iter().any(|start| {
        line.strip_prefix(start)
            .is_some_and(|rest| !rest.contains("cargo run"))
    });
    let is_code = file.extension().is_some_and(|extension| extension == "rs");
    !hidden && (!is_code || line.starts_with("///") || line.starts_with("//!"))
}

fn files(places: &[&str]) -> Vec<PathBuf> {
    let mut waiting: Vec<PathBuf> = places
        .iter()
        .map(|place| Path::new(ROOT).join(place))
        .collect();
    let mut files = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(path).unwrap();
            waiting.extend(entries.map(|entry| entry.unwrap().path()));
        } else {
            files.push(path);
        }
    }
    files
}
