//! The shared library shows exactly what the header declares.
#![cfg(all(target_os = "linux", feature = "capi"))]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

/// The libraries that every machine with the library's packages has.
const MAY_NEED: [&str; 6] = [
    "libc.so.6",
    "libgcc_s.so.1",
    "libelf.so.1",
    "libz.so.1",
    "libm.so.6",
    "ld-linux-x86-64.so.2",
];

#[test]
fn the_library_exports_what_the_header_declares() {
    let header = concat!(env!("CARGO_MANIFEST_DIR"), "/include/fluxcap.h");
    let declared = declared(&std::fs::read_to_string(header).unwrap());
    let exported: BTreeSet<String> = run("nm", &["--dynamic", "--defined-only", "--format=posix"])
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(String::from)
        .collect();

    let missing: Vec<_> = declared.difference(&exported).collect();
    assert!(
        missing.is_empty(),
        "declared in include/fluxcap.h, but not exported: {missing:?}"
    );
    let undeclared: Vec<_> = exported.difference(&declared).collect();
    assert!(
        undeclared.is_empty(),
        "exported, but not declared in include/fluxcap.h: {undeclared:?}"
    );
    assert!(
        declared.contains("fluxcap_version"),
        "only these are declared: {declared:?}"
    );
}

#[test]
fn the_library_needs_only_what_every_machine_has() {
    let needed = dynamic("NEEDED");
    assert!(
        needed.contains(&"libc.so.6".to_owned()),
        "readelf says it needs only {needed:?}"
    );
    let others: Vec<_> = needed
        .iter()
        .filter(|name| !MAY_NEED.contains(&name.as_str()))
        .collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn declarations_are_told_from_comments_and_callbacks() {
    let header = "/* fluxcap_a() */ // fluxcap_b()\n#define F fluxcap_c()\nstruct fluxcap_d;\n\
        typedef int (*fluxcap_e)(void);\nint fluxcap_f (void);\nvoid fluxcap_g(struct fluxcap_d *d,\n int (*fluxcap_h)(int));";
    assert_eq!(
        declared(header),
        ["fluxcap_f", "fluxcap_g"].map(String::from).into()
    );
}

/// The functions that a header declares: the names before a parenthesis.
fn declared(header: &str) -> BTreeSet<String> {
    let mut code = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").expect("the comment ends").1;
    }
    code.push_str(rest);
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let code: Vec<&str> = lines.map(|line| line.split("//").next().unwrap()).collect();
    let code = code.join("\n");
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    code.match_indices('(')
        .map(|(at, _)| {
            let before = code[..at].trim_end();
            before.rsplit(|c| !is_word(c)).next().unwrap()
        })
        .filter(|word| word.starts_with("fluxcap_"))
        .map(String::from)
        .collect()
}

/// The values of a kind of entry in the library's dynamic section.
fn dynamic(kind: &str) -> Vec<String> {
    run("readelf", &["--dynamic", "--wide"])
        .lines()
        .filter(|line| line.contains(&format!("({kind})")))
        .filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned()))
        .collect()
}

/// Runs a tool on the shared library, which Cargo puts beside the tests.
fn run(tool: &str, words: &[&str]) -> String {
    let tests: PathBuf = std::env::current_exe().unwrap().parent().unwrap().into();
    let library = tests.join("libfluxcap.so");
    assert!(library.exists(), "there is no {}", library.display());
    let output = Command::new(tool)
        .args(words)
        .arg(&library)
        .env("LC_ALL", "C")
        .output();
    let output = output.unwrap_or_else(|error| panic!("{tool}, of binutils: {error}"));
    assert!(
        output.status.success(),
        "{tool}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
