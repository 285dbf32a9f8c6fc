//! `include/fluxcap.h` is what `src/ffi` says it is, and reads as a manual. `BLESS=1 cargo test --test header` writes it anew.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

#[path = "header/items.rs"]
mod items;
#[path = "header/manual.rs"]
mod manual;

use manual::{LINE, generate};

#[test]
fn the_committed_header_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/fluxcap.h");
    let generated = generate().text;
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &generated).expect("include/fluxcap.h is writable");
        return;
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = committed
        .lines()
        .zip(generated.lines())
        .position(|(old, new)| old != new)
        .unwrap_or(committed.lines().count().min(generated.lines().count()));
    assert!(
        committed == generated,
        "include/fluxcap.h differs from src/ffi at line {}:\n  is        {}\n  should be {}\nrun `make header` and commit the result",
        differs + 1,
        committed.lines().nth(differs).unwrap_or("(end)"),
        generated.lines().nth(differs).unwrap_or("(end)"),
    );
}

#[test]
fn the_header_carries_the_version_of_the_crate() {
    let line = format!("#define FLUXCAP_VERSION \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(generate().text.lines().any(|other| other == line));
}

#[test]
fn every_line_of_the_header_fits_into_a_window() {
    let text = generate().text;
    let long = |line: &&str| line.chars().count() > LINE;
    let long: Vec<&str> = text.lines().filter(long).collect();
    assert!(long.is_empty(), "longer than {LINE} columns: {long:#?}");
}

/// Each function says in one line what it does, then what it returns, which errors there are, and on which threads it may be called.
#[test]
fn every_function_is_described_by_the_same_skeleton() {
    let mut faults = Vec::new();
    for item in generate().items.iter().filter(|item| item.is_function()) {
        let comment = item.comment();
        let code = item.code();
        let mut need = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("{}: {what}", item.name));
            }
        };
        let one_line = comment.get(1).is_none_or(|line| line.is_empty());
        need(
            one_line && comment[0].ends_with(['.', ':']),
            "no line of its own says what it does",
        );
        let starts = |start: &str| comment.iter().any(|line| line.starts_with(start));
        let is_void = code.starts_with("void ");
        need(is_void || starts("Returns "), "lacks the line: Returns");
        need(
            !code.starts_with("int ") || starts("Errors"),
            "lacks the list: Errors",
        );
        need(starts("Threads: "), "lacks the line: Threads");
        // Errors stand in the list alone.
        let prose = comment.iter().filter(|line| !line.starts_with(['-', ' ']));
        let tells = |line: &&str| line.contains(": -E") || line.starts_with("-E");
        need(
            !prose.clone().any(tells),
            "has an error outside of the list",
        );
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_examples_of_the_header_compile_as_c_and_as_cpp() {
    let text = generate().text;
    let blocks = text.split("/// ```c\n").skip(1);
    let examples = blocks.map(|block| block.split("/// ```\n").next().expect("it ends"));
    let examples: Vec<String> = examples
        .map(|block| {
            block
                .lines()
                .map(|line| format!("{}\n", &line[3..]))
                .collect()
        })
        .collect();
    assert!(examples.len() > 10, "{examples:?}");
    let source = format!("{INCLUDES}{}", examples.join("\n"));
    for (compiler, standard, language) in [("cc", "c11", "c"), ("c++", "c++17", "c++")] {
        compile(compiler, standard, language, &source);
    }
}

const INCLUDES: &str = "\
#include <errno.h>
#include <fluxcap.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

";

/// Has a compiler look at a source, and wants no warning.
fn compile(compiler: &str, standard: &str, language: &str, source: &str) {
    let mut running = Command::new(compiler)
        .args([&format!("-std={standard}"), "-x", language, "-fsyntax-only"])
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        // They are called by the reader, who sets more fields than the first.
        .args(["-Wno-unused-function", "-Wno-missing-field-initializers"])
        .arg(concat!("-I", env!("CARGO_MANIFEST_DIR"), "/include"))
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    let mut input = running.stdin.take().expect("a pipe");
    input.write_all(source.as_bytes()).expect("it reads");
    drop(input);
    let output = running.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler}: {errors}");
}
