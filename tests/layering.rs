//! The shape of the sources: which module imports which, where unsafe code is, what depends on the operating system, how long
//! a file is.
//!
//! A new module needs a layer in [`LAYERS`].

use std::collections::BTreeSet;
use std::fs;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::sync::LazyLock;

use source::Source;

#[path = "layering/source.rs"]
mod source;

/// One line a layer: a module imports from its own layer and from those above.
const LAYERS: &str = "error stats report proto capture
    ring rule sync umem::geometry umem::memory umem::memory::linux umem::memory::unsupported
    umem packet
    backend backend::wait backend::descriptor backend::steering
    backend::linux backend::bpf backend::unsupported backend::machine sim sim::backend sim::kernel_rings
    link builder socket program poller queues stopper
    engine asynch doctor
    ffi";

/// The layer whose two sides, the kernel and the simulator, know nothing of each other. `backend::machine` is another name of
/// the kernel's side.
const SIDES: usize = 4;

/// The modules that may hold unsafe code. All memory rests on the trait of `backend`; `backend::unsupported`, `sim::backend` and
/// `sim::kernel_rings` keep its promise.
const UNSAFE: &str = "umem::memory umem::memory::linux ring packet backend \
    backend::unsupported sim::backend sim::kernel_rings backend::linux backend::bpf ffi";

/// The modules that call the operating system; everything else is the same on every system.
const SYSTEM: &str = "backend::linux backend::bpf backend::descriptor umem::memory::linux";

/// The modules that may choose code by the system they are compiled for.
const CHOICES: &str = "backend umem::memory";

/// The lines a file may have without its tests, if it is not in [`LONGER`].
const LINES: usize = 450;

/// Why a file of the C face is long: it is the text of the header, in 100 columns.
const MANUAL: &str = "the manual of a topic: most of it is documentation of the header";

/// The files that are longer, and why.
const LONGER: &[(&str, &str)] = &[
    (
        "packet/ledger/mod.rs",
        "the owner of each chunk and every way it changes",
    ),
    (
        "packet/transfer/accept.rs",
        "one check of what the kernel returns, plain and by SIMD",
    ),
    (
        "socket/tx.rs",
        "a half's calls, each with the contract that its users read",
    ),
    (
        "socket/rx.rs",
        "a half's calls, each with the contract that its users read",
    ),
    (
        "proto/build.rs",
        "one builder: which step may follow which, and how the end completes them",
    ),
    (
        "proto/build/ip.rs",
        "both versions of IP are built alike, with options and extension headers",
    ),
    (
        "proto/build/transport.rs",
        "the messages of ICMP and ICMPv6 are two long lists of names",
    ),
    (
        "proto/headers/parse.rs",
        "what is kept of a walk, strict and partial, is one pass",
    ),
    (
        "proto/ipv4.rs",
        "the header and its options, which checksums and addresses need",
    ),
    (
        "proto/ipv6/extensions.rs",
        "the chain of extension headers and each kind in it",
    ),
    (
        "proto/nat.rs",
        "one change, by the fast path and the general one, which must agree",
    ),
    (
        "proto/ndp.rs",
        "five messages of one shape, and their options",
    ),
    (
        "proto/summary.rs",
        "one line, from Ethernet to IP, which tunnels bring back to Ethernet",
    ),
    (
        "proto/summary/messages.rs",
        "the words of tcpdump for each message, protocol by protocol",
    ),
    ("proto/tcp.rs", "the header and its options"),
    (
        "packet/transfer/each.rs",
        "one loop: what it shows, what it writes to, and what puts the counts right",
    ),
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

/// The files that import each other, directly or through others of the circle, and why.
const CIRCLES: &[(&str, &str)] = &[
    (
        "backend/mod.rs backend/steering.rs",
        "the seam: the program takes sockets, the backend gives programs",
    ),
    (
        "builder/mod.rs builder/open.rs",
        "the builder: its settings and the order of the steps, and the steps",
    ),
    (
        "engine/mod.rs engine/port.rs engine/queue_monitor.rs engine/stats.rs",
        "to cut: what a queue monitor tells as plain data below the statistics",
    ),
    (
        "packet/batch_ref.rs packet/packet_ref.rs packet/transfer/each.rs",
        "to cut: the slot of a packet as plain data below those that use it",
    ),
    (
        "packet/ledger/free.rs packet/ledger/lease.rs packet/ledger/mod.rs \
         packet/ledger/quarantine.rs packet/ledger/registry.rs packet/mod.rs",
        "to cut: the ledger knows chunk numbers, no packets, and is told of the registry",
    ),
    (
        "ring/area.rs ring/consumer.rs ring/producer.rs",
        "the shared memory of a ring makes its two ends, which work on it",
    ),
    (
        "sim/backend.rs sim/network.rs sim/nic.rs sim/play.rs sim/port.rs sim/record.rs sim/shared.rs \
         sim/socket.rs sim/steering.rs sim/world.rs",
        "to cut: handles of users above the network that they act on",
    ),
    (
        "socket/peek.rs socket/raw.rs socket/rings.rs socket/rx_side.rs socket/waiting.rs",
        "to cut: results of the sides below the rings",
    ),
    (
        "umem/memory/linux.rs umem/memory/mod.rs",
        "the memory and its two sources, of which one system has one",
    ),
];

#[test]
fn modules_import_only_from_their_own_and_lower_layers() {
    hold(imports);
}

#[test]
fn unsafe_code_is_only_in_the_named_modules() {
    hold(safety);
}

#[test]
fn only_the_named_modules_choose_by_the_operating_system_and_call_it() {
    hold(portability);
}

#[test]
fn files_are_short_or_have_a_reason_to_be_long() {
    hold(|source| length(source, LONGER));
    for (name, _) in LONGER {
        let exists = sources().iter().any(|source| source.name == *name);
        assert!(
            exists,
            "src/{name} of LONGER in tests/layering.rs does not exist"
        );
    }
}

#[test]
fn files_import_each_other_in_a_circle_only_for_a_reason() {
    let faults = circle_faults(sources(), CIRCLES);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Applies a rule to every file of `src` but those of tests.
fn hold(rule: impl Fn(&Source) -> Vec<String>) {
    let mut faults = Vec::new();
    for source in sources() {
        let found = rule(source).into_iter();
        faults.extend(found.map(|fault| format!("src/{}: {fault}", source.name)));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The files of `src` but those of tests, read once.
fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(read_sources);
    &SOURCES
}

fn read_sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |file: PathBuf| {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
        let name = name.replace(MAIN_SEPARATOR, "/");
        Source::new(&name, &fs::read_to_string(&file).unwrap())
    };
    let sources = rust_files(&root).into_iter().map(read);
    let sources: Vec<_> = sources.filter(|source| !source.is_test()).collect();
    assert!(sources.len() > 1, "no sources in {}", root.display());
    sources
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
    let Some((layer, unit)) = unit(source) else {
        return vec!["has no layer; add its module to LAYERS in tests/layering.rs".into()];
    };
    let is_sim = |unit: &str| unit.split("::").next() == Some("sim");
    let fault = |path: &source::Path| {
        let (line, name) = (path.line, path.segments.join("::"));
        match place(&path.segments) {
            None => Some(format!(
                "line {line}: crate::{name} is in no module of LAYERS in tests/layering.rs; \
                 import a thing from the module that defines it"
            )),
            Some((other, _)) if other > layer => Some(format!(
                "line {line}: {unit} (layer {layer}) imports crate::{name} (layer {other})"
            )),
            Some((SIDES, other)) if layer == SIDES && is_sim(unit) != is_sim(other) => {
                Some(format!(
                    "line {line}: {unit} imports crate::{name}: \
                 the kernel and the simulator know nothing of each other"
                ))
            }
            Some(_) => None,
        }
    };
    source.paths.iter().filter_map(fault).collect()
}

fn safety(source: &Source) -> Vec<String> {
    let unit = unit(source).map(|(_, unit)| unit);
    if unit.is_some_and(|unit| has(UNSAFE, unit)) {
        return Vec::new();
    }
    let lines = source.unsafe_lines().into_iter();
    let fault = |line| format!("line {line}: unsafe code, which belongs into {UNSAFE}");
    let mut faults: Vec<_> = lines.map(fault).collect();
    let is_root = unit.is_some_and(|unit| source.module.join("::") == unit);
    // A forbidden thing cannot be allowed in a child.
    let is_inside = |child: &str| unit.is_some_and(|unit| child.starts_with(&format!("{unit}::")));
    if is_root && !UNSAFE.split(' ').any(is_inside) && !source.forbids_unsafe() {
        faults.push("lacks #![forbid(unsafe_code)]".into());
    }
    faults
}

fn portability(source: &Source) -> Vec<String> {
    if unit(source).is_some_and(|(_, unit)| has(SYSTEM, unit)) {
        return Vec::new();
    }
    let call = |(name, line)| format!("line {line}: uses {name}, which belongs into {SYSTEM}");
    let choice = |(condition, line)| {
        format!(
            "line {line}: compiled only for some systems ({condition}), which belongs into {CHOICES}"
        )
    };
    let mut faults: Vec<_> = source.system_calls().into_iter().map(call).collect();
    if !has(CHOICES, &source.module.join("::")) {
        faults.extend(source.system_conditions().into_iter().map(choice));
    }
    faults
}

fn length(source: &Source, longer: &[(&str, &str)]) -> Vec<String> {
    let lines = source.lines - source.test_lines;
    let is_listed = longer.iter().any(|(name, _)| *name == source.name);
    let advice = match (lines > LINES, is_listed) {
        (true, false) => "split it, or give the reason in LONGER in tests/layering.rs",
        (false, true) => "remove it from LONGER in tests/layering.rs",
        _ => return Vec::new(),
    };
    vec![format!(
        "has {lines} lines without its tests, {LINES} are usual: {advice}"
    )]
}

fn circle_faults(sources: &[Source], listed: &[(&str, &str)]) -> Vec<String> {
    let found = circles(sources);
    let is_listed = |circle: &String| listed.iter().any(|(files, _)| files == circle);
    let new = found.iter().filter(|circle| !is_listed(circle));
    let gone = listed.iter().filter(|(files, _)| !found.contains(*files));
    let new = new.map(|files| {
        format!(
            "{files} import each other: cut it, or give the reason in CIRCLES in tests/layering.rs"
        )
    });
    let gone = gone.map(|(files, _)| format!("{files} of CIRCLES are no circle, or not the whole"));
    new.chain(gone).collect()
}

/// The greatest sets of files of which each imports each, directly or through others.
fn circles(sources: &[Source]) -> BTreeSet<String> {
    let imports = |source: &Source| -> BTreeSet<usize> {
        // A name that a file only shows to others is no import of its own.
        let is_own = |path: &&source::Path| !path.is_public || source.repeats(&path.name);
        let paths = source.paths.iter().filter(is_own);
        let file = |path: &source::Path| defining_file(sources, &path.segments, 0);
        paths.filter_map(file).collect()
    };
    let imports: Vec<_> = sources.iter().map(imports).collect();
    let reach = |from: usize| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            open.extend(imports[file].iter().filter(|other| reached.insert(**other)));
        }
        reached
    };
    let reached: Vec<_> = (0..sources.len()).map(reach).collect();
    let circle = |from: usize| {
        let is_back = |other: &&usize| reached[**other].contains(&from);
        let files = reached[from].iter().filter(is_back);
        let names: Vec<_> = files.map(|file| &*sources[*file].name).collect();
        (names.len() > 1).then(|| names.join(" "))
    };
    (0..sources.len()).filter_map(circle).collect()
}

/// The file that a path leads to, through the names that files show again.
fn defining_file(sources: &[Source], path: &[String], depth: usize) -> Option<usize> {
    let is_start = |source: &&Source| path.starts_with(&source.module);
    let source = sources
        .iter()
        .filter(is_start)
        .max_by_key(|source| source.module.len())?;
    let (_, rest) = path.split_at(source.module.len());
    if let [name, rest @ ..] = rest
        && depth < 8
    {
        let is_it = |path: &&source::Path| path.is_use && path.name == *name;
        if let Some(again) = source.paths.iter().find(is_it) {
            return defining_file(sources, &[&again.segments, rest].concat(), depth + 1);
        }
    }
    sources.iter().position(|other| other.name == source.name)
}

/// Layer and unit of a file. A file below `backend` belongs to one of its sides; only `backend/mod.rs` is the seam itself.
fn unit(source: &Source) -> Option<(usize, &'static str)> {
    place(&source.module).filter(|(_, unit)| *unit != "backend" || source.module.len() == 1)
}

fn has(list: &str, word: &str) -> bool {
    list.split(' ').any(|other| other == word)
}

/// Layer and unit of LAYERS that a path belongs to.
fn place(path: &[String]) -> Option<(usize, &'static str)> {
    let find = |length: usize| {
        let name = path.get(..length)?.join("::");
        let mut layers = LAYERS.lines().enumerate();
        layers.find_map(|(layer, units)| {
            let mut units = units.split_whitespace();
            Some((layer, units.find(|unit| *unit == name)?))
        })
    };
    (1..=3).rev().find_map(find)
}

// The rules find what they should, and nothing else.

/// Each line has the number of faults, the file, and its text.
fn samples(rule: impl Fn(&Source) -> Vec<String>, lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (count, rest) = line.split_once(' ').unwrap();
        let (name, text) = rest.split_once(": ").unwrap();
        let faults = rule(&Source::new(name, &text.replace("\\n", "\n")));
        assert_eq!(faults.len().to_string(), count, "{line}: {faults:?}");
    }
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
        "fn f() { println!(\"{}\", crate::umem::f()); }",
        "#[cfg(test)] use crate::{socket::Raw}; use crate::umem::UmemRegion;",
        "#[cfg(test)] mod tests; use crate::umem::UmemRegion;",
    ] {
        let deep = text.replace("super::", "super::super::");
        let files = format!("1 sync.rs: {text}\n1 sync/deep.rs: {deep}\n0 packet.rs: {text}");
        samples(imports, &files);
    }
}

#[test]
fn what_is_no_import_does_not_count() {
    let lines = r###"
        0 sync.rs: // use crate::umem::UmemRegion;
        0 sync.rs: /* /* */ use crate::umem::UmemRegion; */
        0 sync.rs: /// [`U`](crate::umem::UmemRegion)\npub(crate) fn f<'a>(x: &'a str) {}
        0 sync.rs: const A: &str = "\" crate::umem::f"; const B: &str = r#"" crate::umem::f"#;
        0 sync.rs: #[cfg(test)] mod tests { use crate::umem::UmemRegion; }
        0 sync.rs: #[cfg(test)] fn f(x: [u8; 2]) { crate::umem::f(); }
        0 sync.rs: #[cfg(all(test, unix))] #[path = "x"] mod tests { use crate::umem::UmemRegion; }
        0 sync.rs: use std::{mem, umem};
        0 sync.rs: use self::umem::X;
    "###;
    samples(imports, lines);
}

#[test]
fn the_kernel_and_the_simulator_are_kept_apart() {
    let lines = "
        0 sim/nic.rs: use crate::backend::Socket;
        1 sim/nic.rs: use crate::backend::bpf::Program;
        1 sim/nic.rs: use crate::backend::{Socket, linux::Socket as S};
        1 backend/linux/bind.rs: use crate::sim::Nic;
        0 backend/linux/bind.rs: use crate::backend::bpf::Program;
        0 backend/linux/bind.rs: use super::super::bpf::Program;
        1 backend/mod.rs: mod linux; use linux::Socket;
        0 socket/raw.rs: use crate::{backend::linux, sim};
    ";
    samples(imports, lines);
}

#[test]
fn nothing_imports_the_c_face() {
    let lines = "
        1 engine/mod.rs: use crate::ffi::guard;
        0 ffi/umem.rs: use crate::ffi::guard;
    ";
    samples(imports, lines);
}

#[test]
fn a_module_without_a_layer_is_refused() {
    let lines = "
        1 novelty.rs: \\n
        1 backend/novelty.rs: \\n
        1 socket/raw.rs: use crate::FluxError;
        0 lib.rs: pub use crate::novelty::X;
    ";
    samples(imports, lines);
}

#[test]
fn unsafe_code_in_a_safe_module_is_found() {
    let lines = r#"
        0 link.rs: #![forbid(unsafe_code)]\n// unsafe\nfn f() { "unsafe"; }
        1 link.rs: #![forbid(unsafe_code)]\nfn f() { unsafe { g() } }
        1 link.rs: #![forbid(unsafe_code)]\n#[cfg(test)] mod tests { fn f() { unsafe { g() } } }
        1 link.rs: fn f() {}
        1 proto/mod.rs: // #![forbid(unsafe_code)]
        0 proto/arp.rs: \n
        0 umem/mod.rs: \n
        0 backend/mod.rs: unsafe trait Ring {}
        2 backend/wait.rs: unsafe trait Ring {}
        0 sim/backend.rs: unsafe impl Ring for A {}
        1 sim/nic.rs: unsafe impl Ring for A {}
        0 backend/linux/bind.rs: unsafe fn f() {}
        0 umem/memory/linux.rs: unsafe fn f() {}
        1 lib.rs: unsafe fn f() {}
    "#;
    samples(safety, lines);
}

#[test]
fn what_only_one_system_has_is_found_outside_its_modules() {
    // 1 everywhere, but not in the modules of one system; `seam` in the one that may choose.
    let everywhere = |text: &str, seam: usize| {
        for name in [
            "packet/mod.rs",
            "lib.rs",
            "sim/nic.rs",
            "backend/unsupported.rs",
        ] {
            samples(portability, &format!("1 {name}: {text}"));
        }
        samples(portability, &format!("{seam} backend/mod.rs: {text}"));
        for name in [
            "backend/bpf/map.rs",
            "backend/linux/mod.rs",
            "umem/memory/linux.rs",
        ] {
            samples(portability, &format!("0 {name}: {text}"));
        }
    };
    for text in [
        "#[cfg(target_os = \"linux\")] mod x;",
        "#[cfg(not(unix))] fn f() {}",
        "#[cfg(all(feature = \"capi\", windows))] fn f() {}",
        "#[cfg_attr(target_os = \"linux\", path = \"x\")] mod x;",
        "#![cfg(target_family = \"unix\")]",
        "fn f() -> bool { cfg!(target_env = \"musl\") }",
        "fn f() { match X { _ if cfg!(windows) => {} _ => {} } }",
    ] {
        everywhere(text, 0);
    }
    for text in [
        "use libc::c_int;",
        "use {libc as c};",
        "fn f() { libbpf_sys::bpf_map_create(); }",
        "use std::os::fd::RawFd;",
        "use std::{fmt, os::unix::fs::MetadataExt};",
        "fn f() -> std::os::fd::RawFd { 0 }",
    ] {
        everywhere(text, 1);
    }
}

#[test]
fn what_every_system_has_is_free() {
    let lines = r#"
        0 packet/mod.rs: #[cfg(test)] mod tests { #[cfg(unix)] use std::os::fd::RawFd; }
        0 packet/mod.rs: #[cfg(feature = "capi")] mod ffi;
        0 packet/mod.rs: #[cfg(target_pointer_width = "64")] const A: u8 = 0;
        0 packet/mod.rs: #[cfg(target_endian = "big")] const A: u8 = 0;
        0 packet/mod.rs: // #[cfg(unix)] libc::poll
        0 packet/mod.rs: fn f(x: &[u8]) { for (a, b) in x.windows(2) { unix(a, b); } }
        0 packet/mod.rs: use std::{io, sync::Arc};
    "#;
    samples(portability, lines);
}

#[test]
fn a_long_file_is_found_and_its_tests_do_not_count() {
    let lines = "fn f() {}\\n".repeat(LINES);
    let tests = format!("#[cfg(test)]\\nmod tests {{\\n{lines}}}\\n");
    let length = |source: &Source| length(source, &[("listed.rs", "one idea")]);
    samples(
        length,
        &format!("0 sync.rs: {tests}{lines}\n1 sync.rs: {lines}{tests}fn g() {{}}"),
    );
    samples(
        length,
        &format!("0 listed.rs: {lines}fn g() {{}}\n1 listed.rs: {lines}"),
    );
}

#[test]
fn a_circle_is_found_through_the_names_that_files_show_again() {
    let files = |shown: &str| {
        let c = Source::new("a/c.rs", "struct C; use crate::d::D;");
        let d = Source::new("d.rs", "use crate::a::B;");
        [
            Source::new("a/mod.rs", shown),
            Source::new("a/b.rs", "use super::C;"),
            c,
            d,
        ]
    };
    let circle = files("mod b; mod c; pub use b::B; pub(crate) use c::C;");
    assert_eq!(
        circle_faults(&circle, &[("a/b.rs a/c.rs d.rs", "")]),
        [""; 0]
    );
    assert_eq!(circle_faults(&circle, &[]).len(), 1);
    assert_eq!(circle_faults(&circle, &[("a/b.rs d.rs", "")]).len(), 2);
    // B is here a thing of its own, which needs nothing.
    let none = files("mod c; pub struct B; pub(crate) use c::C;");
    assert_eq!(circle_faults(&none, &[]), [""; 0]);
    assert_eq!(circle_faults(&none, &[("a/b.rs d.rs", "")]).len(), 1);
}
