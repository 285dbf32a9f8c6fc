//! `include/fluxcap.h` is what `src/ffi` says it is. `BLESS=1 cargo test --test header` writes it anew.

use std::fs;
use std::path::Path;

/// Only these files speak C. cbindgen reads exactly them, so that nothing else of the crate leaks into the header.
const SOURCES: [&str; 33] = [
    "error.rs",
    "handle.rs",
    "link.rs",
    "umem.rs",
    "config.rs",
    "queues.rs",
    "packet.rs",
    "raw.rs",
    "info.rs",
    "text.rs",
    "poller.rs",
    "rx.rs",
    "tx.rs",
    "callback.rs",
    "engine_config.rs",
    "engine.rs",
    "counters.rs",
    "group.rs",
    "tally.rs",
    "proto.rs",
    "headers.rs",
    "parser.rs",
    "parse.rs",
    "rewrite.rs",
    "tunnel.rs",
    "edit.rs",
    "build.rs",
    "format.rs",
    "checksum.rs",
    "sim.rs",
    "nic.rs",
    "capture.rs",
    "trace.rs",
];

/// The table of the Rust documentation as lines of a C comment.
fn rights() -> String {
    let rows = include_str!("../src/rights.md").lines().skip(2);
    let line = |row: &str| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [what, linux, capabilities] = cells[..] else {
            panic!("{row}");
        };
        format!(" *   {what} (Linux {linux}): {capabilities}.\n")
    };
    rows.map(line).collect()
}

fn generate() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config =
        cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    config.after_includes = Some(format!(
        "\n/// The version of this header.\n#define FLUXCAP_VERSION \"{}\"\n\
         #define FLUXCAP_VERSION_MAJOR {}\n\
         #define FLUXCAP_VERSION_MINOR {}\n\
         #define FLUXCAP_VERSION_PATCH {}",
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
    ));
    let header = config.header.take().expect("a header in cbindgen.toml");
    assert!(header.contains(" * RIGHTS\n"), "a place for the rights");
    config.header = Some(header.replace(" * RIGHTS\n", &rights()));
    let builder = SOURCES.iter().fold(
        cbindgen::Builder::new().with_config(config),
        |builder, file| builder.with_src(root.join("src/ffi").join(file)),
    );
    let mut text = Vec::new();
    builder.generate().expect("src/ffi parses").write(&mut text);
    String::from_utf8(text).expect("UTF-8")
}

#[test]
fn the_committed_header_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/fluxcap.h");
    let generated = generate();
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
    assert!(generate().lines().any(|other| other == line));
}
