//! The shape of the sources: who may import whom, where unsafe code may be, who knows of the operating system, how long a file
//! may get.
//!
//! A module that is not in [`LAYERS`] fails the test: give it a layer there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use source::Source;

#[path = "layering/source.rs"]
mod source;

/// A module imports from its own layer and from those with a lower number.
const LAYERS: [&[&str]; 8] = [
    &["error", "stats", "report", "proto"],
    &[
        "mem",
        "mem::linux",
        "mem::elsewhere",
        "ring",
        "rule",
        "geometry",
        "sync",
    ],
    &["umem", "packet", "batch", "pool"],
    &[
        "kernel",
        "kernel::alarm",
        "kernel::company",
        "kernel::descriptor",
        "kernel::pace",
        "kernel::steering",
    ],
    &[
        "kernel::linux",
        "kernel::bpf",
        "kernel::elsewhere",
        "kernel::machine", // another name of linux or elsewhere
        "sim",
        "sim::backend",
    ],
    &[
        "link", "builder", "raw", "system", "program", "poller", "queues", "stopper",
    ],
    &["engine", "asynch", "doctor", "capture"],
    &["ffi"],
];

/// The modules that may hold unsafe code.
const UNSAFE: [&str; 10] = [
    "mem",
    "mem::linux",
    "ring",
    "packet",
    "kernel",            // the trait that all memory rests on,
    "kernel::elsewhere", // and those that keep its promise
    "sim::backend",
    "kernel::linux",
    "kernel::bpf",
    "ffi",
];

/// The modules that are Linux' own: everything else is the same on every system.
const LINUX: [&str; 3] = ["kernel::linux", "kernel::bpf", "mem::linux"];

/// The module that names what some systems have, and others lack.
const DESCRIPTORS: &str = "kernel::descriptor";

/// The modules that ask what system they are compiled for.
const CHOICES: [&str; 2] = ["kernel", "mem"];

/// The lines a file may have without its tests, if it is not in [`LONGER`].
const LINES: usize = 450;

/// The files that are one idea and longer, and why. An entry that is no longer needed fails the test.
const LONGER: &[(&str, &str)] = &[
    ("ffi/config.rs", MANUAL),
    ("ffi/edit.rs", MANUAL),
    ("ffi/engine.rs", MANUAL),
    ("ffi/group.rs", MANUAL),
    ("ffi/headers.rs", MANUAL),
    ("ffi/nic.rs", MANUAL),
    ("ffi/parse.rs", MANUAL),
    ("ffi/raw.rs", MANUAL),
    ("ffi/rx.rs", MANUAL),
    ("ffi/sim.rs", MANUAL),
    ("ffi/tx.rs", MANUAL),
];

const MANUAL: &str = "a topic of the C face: half of it is what the header says of its functions";

#[test]
fn modules_import_only_from_their_own_and_lower_layers() {
    hold(imports);
}

#[test]
fn unsafe_code_is_only_in_the_named_modules() {
    hold(safety);
}

#[test]
fn one_module_asks_for_the_operating_system_and_only_its_own_modules_call_it() {
    hold(portability);
}

#[test]
fn files_are_short_or_have_a_reason() {
    hold(|source| length(source, LONGER));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (name, reason) in LONGER {
        assert!(root.join(name).is_file(), "{name} of LONGER does not exist");
        assert!(!reason.is_empty(), "{name} of LONGER lacks a reason");
    }
}

/// So that each topic of the C face can be read without those that come after it.
#[test]
fn the_files_of_the_c_face_import_each_other_without_a_circle() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ffi");
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in rust_files(&folder) {
        let name = format!("ffi/{}", file.file_name().unwrap().to_str().unwrap());
        let source = Source::new(&name, &fs::read_to_string(&file).unwrap());
        let Some(own) = source.module.get(1).cloned() else {
            continue;
        };
        let others = source.paths().into_iter().map(|(path, _)| path);
        let others = others.filter(|path| path[0] == "ffi" && path.len() > 1);
        let others = others
            .map(|path| path[1].clone())
            .filter(|other| *other != own);
        imports.insert(own.clone(), others.collect());
    }
    assert!(imports.len() > 10 && imports.values().any(|others| !others.is_empty()));
    // What imports nothing that is left is no part of a circle.
    while let Some(free) = imports.iter().find(|(_, others)| others.is_empty()) {
        let free = free.0.clone();
        imports.remove(&free);
        for others in imports.values_mut() {
            others.remove(&free);
        }
    }
    assert!(
        imports.is_empty(),
        "these import each other, or those that do: {imports:?}"
    );
}

/// Applies a rule to every file of `src`; tests' files are free.
fn hold(rule: fn(&Source) -> Vec<String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&root);
    assert!(files.len() > 1, "no sources in {}", root.display());
    let mut faults = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
        let name = name.replace(MAIN_SEPARATOR, "/");
        let text = fs::read_to_string(&file).unwrap();
        let source = Source::new(&name, &text);
        if !source.is_test() {
            faults.extend(
                rule(&source)
                    .into_iter()
                    .map(|fault| format!("src/{name}: {fault}")),
            );
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

// The rules.

fn imports(source: &Source) -> Vec<String> {
    if source.module.is_empty() {
        return Vec::new(); // lib.rs shows what the others hold.
    }
    let Some((layer, unit)) = source.unit() else {
        return vec!["has no layer; add its module to LAYERS in tests/layering.rs".into()];
    };
    let mut faults = Vec::new();
    for (path, line) in source.paths() {
        let path_text = path.join("::");
        let Some((other_layer, other)) = place(&path) else {
            faults.push(format!(
                "line {line}: crate::{path_text} is in no module of LAYERS in tests/layering.rs; \
                 import a thing from the module that defines it"
            ));
            continue;
        };
        if other_layer > layer {
            faults.push(format!(
                "line {line}: {unit} (layer {layer}) imports crate::{path_text} (layer {other_layer})"
            ));
        } else if layer == other_layer && is_sim(unit) != is_sim(other) && layer == 4 {
            faults.push(format!(
                "line {line}: {unit} imports crate::{path_text}: the kernel and the simulator know nothing of each other"
            ));
        }
    }
    faults
}

fn is_sim(unit: &str) -> bool {
    unit.split("::").next() == Some("sim")
}

fn safety(source: &Source) -> Vec<String> {
    let Some((_, unit)) = source.unit() else {
        return source.unsafe_lines(); // lib.rs; the other rule tells of modules without a layer.
    };
    if UNSAFE.contains(&unit) {
        return Vec::new();
    }
    let mut faults = source.unsafe_lines();
    let is_root = source.module.join("::") == unit;
    let has_unsafe_child = UNSAFE
        .iter()
        .any(|name| name.starts_with(&format!("{unit}::")));
    let forbid = ["#", "!", "[", "forbid", "(", "unsafe_code", ")", "]"];
    if is_root && !has_unsafe_child && !source.contains(&forbid) {
        faults.push("lacks #![forbid(unsafe_code)]".into());
    }
    faults
}

fn portability(source: &Source) -> Vec<String> {
    let module = source.module.join("::");
    if source
        .unit()
        .is_some_and(|(_, unit)| LINUX.contains(&unit) || unit == DESCRIPTORS)
    {
        return Vec::new();
    }
    let mut faults = Vec::new();
    if !CHOICES.contains(&&*module) {
        for (condition, line) in source.system_conditions() {
            faults.push(format!(
                "line {line}: compiled only for some systems ({condition}); the places to choose are {}",
                CHOICES.join(", ")
            ));
        }
    }
    for (name, line) in source.system_calls() {
        faults.push(format!(
            "line {line}: uses {name}, which belongs into {}",
            LINUX.join(", ")
        ));
    }
    faults
}

fn length(source: &Source, longer: &[(&str, &str)]) -> Vec<String> {
    let lines = source.lines - source.test_lines;
    let is_listed = longer.iter().any(|(name, _)| *name == source.name);
    match (lines > LINES, is_listed) {
        (true, false) => vec![format!(
            "has {lines} lines without its tests, more than {LINES}: split it, or give the reason in LONGER in tests/layering.rs"
        )],
        (false, true) => vec![format!(
            "has {lines} lines without its tests: remove it from LONGER in tests/layering.rs"
        )],
        _ => Vec::new(),
    }
}

/// Layer and unit of LAYERS that a path belongs to.
fn place(path: &[String]) -> Option<(usize, &'static str)> {
    let units = || {
        LAYERS
            .iter()
            .enumerate()
            .flat_map(|(layer, units)| units.iter().map(move |unit| (layer, *unit)))
    };
    let find = |length: usize| {
        let name = path.get(..length)?.join("::");
        units().find(|(_, unit)| *unit == name)
    };
    find(2).or_else(|| find(1))
}

// The rules can fail, and not by mistake.

fn check(rule: fn(&Source) -> Vec<String>, name: &str, text: &str) -> usize {
    rule(&Source::new(name, text)).len()
}

#[test]
fn an_import_from_a_higher_layer_is_found_however_it_is_written() {
    for text in [
        "use crate::umem::UmemRegion;",
        "use crate::{error::Result, umem};",
        "use crate::{error::{self, Result as R}, umem::{UmemRegion}};",
        "use super::umem::UmemRegion;",
        "mod inner { use super::super::umem::UmemRegion; }",
        "fn f(x: crate::umem::UmemRegion) {}",
        "fn f() { let _ = '\"'; crate::umem::f(\"\"); }",
        "#[cfg(test)] use crate::{raw::Raw}; use crate::umem::UmemRegion;",
        "#[cfg(test)] mod tests; use crate::umem::UmemRegion;",
    ] {
        assert_eq!(check(imports, "mem.rs", text), 1, "{text}");
        assert_eq!(
            check(
                imports,
                "mem/deep.rs",
                &text.replace("super::", "super::super::")
            ),
            1,
            "{text}"
        );
        assert_eq!(check(imports, "pool.rs", text), 0, "{text}");
    }
}

#[test]
fn what_is_no_import_does_not_count() {
    for text in [
        "// use crate::umem::UmemRegion;",
        "/* /* */ use crate::umem::UmemRegion; */",
        "/// [`U`](crate::umem::UmemRegion)\npub(crate) fn f<'a>(x: &'a str) {}",
        "const A: &str = \"\\\" crate::umem::f\"; const B: &str = r#\"\" crate::umem::f\"#;",
        "#[cfg(test)] mod tests { use crate::umem::UmemRegion; }",
        "#[cfg(test)] fn f(x: [u8; 2]) { crate::umem::f(); }",
        "#[cfg(all(test, unix))] #[path = \"x\"] mod tests { use crate::umem::UmemRegion; }",
        "use std::{mem, umem};",
        "use self::umem::X;",
    ] {
        assert_eq!(check(imports, "mem.rs", text), 0, "{text}");
    }
}

#[test]
fn the_kernel_and_the_simulator_are_kept_apart() {
    assert_eq!(
        check(imports, "sim/nic.rs", "use crate::kernel::Socket;"),
        0
    );
    assert_eq!(
        check(imports, "sim/nic.rs", "use crate::kernel::bpf::Program;"),
        1
    );
    assert_eq!(
        check(
            imports,
            "sim/nic.rs",
            "use crate::kernel::{Socket, linux::Socket as S};"
        ),
        1
    );
    assert_eq!(
        check(imports, "kernel/linux/bind.rs", "use crate::sim::Nic;"),
        1
    );
    assert_eq!(
        check(
            imports,
            "kernel/linux/bind.rs",
            "use crate::kernel::bpf::Program;"
        ),
        0
    );
    assert_eq!(
        check(
            imports,
            "kernel/linux/bind.rs",
            "use super::super::bpf::Program;"
        ),
        0
    );
    assert_eq!(
        check(imports, "kernel/mod.rs", "mod linux; use linux::Socket;"),
        1
    );
    assert_eq!(
        check(imports, "raw.rs", "use crate::{kernel::linux, sim};"),
        0
    );
}

#[test]
fn nothing_imports_the_c_face() {
    assert_eq!(check(imports, "engine/mod.rs", "use crate::ffi::guard;"), 1);
    assert_eq!(check(imports, "ffi/umem.rs", "use crate::ffi::guard;"), 0);
}

#[test]
fn a_module_without_a_layer_is_refused() {
    assert_eq!(check(imports, "novelty.rs", ""), 1);
    assert_eq!(check(imports, "kernel/novelty.rs", ""), 1);
    assert_eq!(check(imports, "raw.rs", "use crate::FluxError;"), 1);
    assert_eq!(check(imports, "lib.rs", "pub use crate::novelty::X;"), 0);
}

#[test]
fn unsafe_code_in_a_safe_module_is_found() {
    let forbid = "#![forbid(unsafe_code)]\n";
    assert_eq!(
        check(
            safety,
            "umem.rs",
            &format!("{forbid}// unsafe\nfn f() {{ \"unsafe\"; }}")
        ),
        0
    );
    assert_eq!(
        check(
            safety,
            "umem.rs",
            &format!("{forbid}fn f() {{ unsafe {{ g() }} }}")
        ),
        1
    );
    assert_eq!(check(safety, "umem.rs", "fn f() {}"), 1);
    assert_eq!(
        check(safety, "proto/mod.rs", "// #![forbid(unsafe_code)]"),
        1
    );
    assert_eq!(check(safety, "proto/arp.rs", ""), 0);
    assert_eq!(check(safety, "kernel/mod.rs", ""), 0);
    assert_eq!(check(safety, "kernel/mod.rs", "unsafe trait Ring {}"), 0);
    assert_eq!(check(safety, "kernel/alarm.rs", "unsafe trait Ring {}"), 2);
    assert_eq!(
        check(safety, "sim/backend.rs", "unsafe impl Ring for A {}"),
        0
    );
    assert_eq!(check(safety, "sim/nic.rs", "unsafe impl Ring for A {}"), 1);
    assert_eq!(check(safety, "kernel/linux/bind.rs", "unsafe fn f() {}"), 0);
    assert_eq!(check(safety, "lib.rs", "unsafe fn f() {}"), 1);
}

#[test]
fn what_only_one_system_has_is_found_outside_its_modules() {
    for text in [
        "#[cfg(target_os = \"linux\")] mod x;",
        "#[cfg(not(unix))] fn f() {}",
        "#[cfg(all(feature = \"capi\", windows))] fn f() {}",
        "#[cfg_attr(target_os = \"linux\", path = \"x\")] mod x;",
        "#![cfg(target_family = \"unix\")]",
        "fn f() -> bool { cfg!(target_env = \"musl\") }",
        "fn f() { match X { _ if cfg!(windows) => {} _ => {} } }",
    ] {
        assert_eq!(check(portability, "pool.rs", text), 1, "{text}");
        assert_eq!(check(portability, "lib.rs", text), 1, "{text}");
        assert_eq!(check(portability, "sim/nic.rs", text), 1, "{text}");
        assert_eq!(check(portability, "kernel/elsewhere.rs", text), 1, "{text}");
        assert_eq!(check(portability, "kernel/mod.rs", text), 0, "{text}");
        assert_eq!(check(portability, "kernel/bpf/map.rs", text), 0, "{text}");
        assert_eq!(check(portability, "kernel/linux/mod.rs", text), 0, "{text}");
    }
    for text in [
        "use libc::c_int;",
        "use {libc as c};",
        "fn f() { libbpf_sys::bpf_map_create(); }",
        "use std::os::fd::RawFd;",
        "use std::{fmt, os::unix::fs::MetadataExt};",
        "fn f() -> std::os::fd::RawFd { 0 }",
    ] {
        assert_eq!(check(portability, "pool.rs", text), 1, "{text}");
        assert_eq!(check(portability, "kernel/mod.rs", text), 1, "{text}");
        assert_eq!(check(portability, "kernel/bpf/map.rs", text), 0, "{text}");
    }
}

#[test]
fn what_every_system_has_is_free() {
    for text in [
        "#[cfg(test)] mod tests { #[cfg(unix)] use std::os::fd::RawFd; }",
        "#[cfg(feature = \"capi\")] mod ffi;",
        "#[cfg(target_pointer_width = \"64\")] const A: u8 = 0;",
        "#[cfg(target_endian = \"big\")] const A: u8 = 0;",
        "// #[cfg(unix)] libc::poll",
        "fn f(x: &[u8]) { for (a, b) in x.windows(2) { unix(a, b); } }",
        "use std::{io, sync::Arc};",
    ] {
        assert_eq!(check(portability, "pool.rs", text), 0, "{text}");
    }
}

#[test]
fn a_long_file_is_found_and_its_tests_do_not_count() {
    let lines = "fn f() {}\n".repeat(LINES);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{lines}}}\n");
    let unlisted = |source: &Source| length(source, &[]);
    assert_eq!(check(unlisted, "mem.rs", &format!("{tests}{lines}")), 0);
    assert_eq!(
        check(unlisted, "mem.rs", &format!("{lines}{tests}fn g() {{}}\n")),
        1
    );
}

#[test]
fn a_listed_file_may_be_long_and_must_be() {
    let listed = |source: &Source| length(source, &[("mem.rs", "one idea")]);
    let long = "fn f() {}\n".repeat(LINES + 1);
    assert_eq!(check(listed, "mem.rs", &long), 0);
    assert_eq!(check(listed, "pool.rs", &long), 1);
    assert_eq!(check(listed, "mem.rs", "fn f() {}\n"), 1);
}
