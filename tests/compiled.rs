//! What the compiler made of the path that every packet takes: nothing in it can panic. Nor can what builds and changes packets.
#![cfg(all(target_os = "linux", target_arch = "x86_64", feature = "capi"))]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The functions of `src/ffi/parse.rs` that are all of parsing a packet, as their names are mangled.
const ROOTS: [&str; 2] = ["13parse_headers", "18read_what_is_there"];

/// What builds a frame from the struct of `src/ffi/build.rs`, and what of the modules that change packets is a function of its own.
/// The rest of [`edit`](fluxcap::proto::edit) is within the C functions, which turn panics of whatever they call into errors.
const CHANGES: [&str; 5] = [
    "18fluxcap_frame_spec5build",
    "fluxcap5proto5build",
    "fluxcap5proto4edit",
    "fluxcap5proto3nat",
    "fluxcap5proto8checksum",
];

/// What is not looked behind where packets are changed: the standard library finds out once what the CPU can do; and the error of a
/// packet without room has a text, for which memory may run out.
const BEYOND: [&str; 3] = ["4sync4once", "12format_inner", "18handle_alloc_error"];

/// What a function calls or jumps to, by name.
type Calls = BTreeMap<String, BTreeSet<String>>;

#[test]
fn parsing_a_packet_cannot_panic() {
    if Command::new("objdump").arg("--version").output().is_err() {
        println!("skipped: objdump is not installed (binutils)");
        return;
    }
    let calls = disassembled();
    // Other functions of the library can, so that this would be seen.
    let all = calls.values().flatten();
    assert!(all.filter(|name| can_panic(name)).count() > 10);
    for root in ROOTS {
        let reached = reached(&calls, root, &[]);
        // The long way is among them, not only the short one.
        let is_whole = reached.keys().any(|name| name.contains("4ipv6"));
        assert!(is_whole, "{root} reaches only {reached:?}");
        for (function, caller) in reached {
            assert!(!can_panic(&function), "{caller} calls {function}");
        }
    }
}

#[test]
fn building_and_changing_a_packet_cannot_panic() {
    if Command::new("objdump").arg("--version").output().is_err() {
        println!("skipped: objdump is not installed (binutils)");
        return;
    }
    let calls = disassembled();
    for root in CHANGES {
        for (function, caller) in reached(&calls, root, &BEYOND) {
            assert!(!can_panic(&function), "{caller} calls {function}");
        }
    }
    // All steps are there, and the sum of long payloads.
    let built = reached(&calls, CHANGES[0], &BEYOND);
    assert!(built.keys().any(|name| name.contains("4simd3sum")));
}

#[test]
fn calls_and_jumps_are_read_from_a_disassembly() {
    let text = "\
00000000000010a0 <_ZN1a1fE>:
    10a0:\tpush   %rbp
    10a1:\tlea    0x123(%rip),%rax        # 2000 <_ZN1a4dataE>
    10a8:\tja     10b0 <_ZN1a1fE+0x10>
    10aa:\tcall   10c0 <_ZN1a1gE>
    10b0:\tjmp    10d0 <_ZN4core9panicking5panicE+0x4>

00000000000010c0 <_ZN1a1gE>:
    10c0:\tcall   *0x55(%rip)        # 3000 <memcpy@GLIBC_2.14>
    10c6:\tret

00000000000010d0 <_ZN1a1hE>:
    10d0:\tmov    0x55(%rip),%r12        # 3000 <memcpy@GLIBC_2.14>
    10d7:\tcall   *%r12
    10da:\txor    %r12d,%r12d
    10dd:\tcall   *%r12

00000000000010e0 <_ZN1a1iE>:
    10e0:\tmov    0x55(%rip),%rbx        # 3000 <memcpy@GLIBC_2.14>
    10e7:\tmov    %rbx,(%rsp)
    10ea:\tcall   *%rbx

00000000000010f0 <_ZN1a1jE>:
    10f0:\tcall   1100 <memcmp@plt>

0000000000001100 <memcmp@plt>:
    1100:\tjmp    *0x2fe2(%rip)        # 40e8 <memcmp@GLIBC_2.2.5>
    1106:\tpush   $0x0
    110b:\tjmp    1000 <_init+0x20>
";
    let calls = calls(text);
    let called = |name: &str| -> Vec<&str> { calls[name].iter().map(String::as_str).collect() };
    assert_eq!(
        called("_ZN1a1fE"),
        ["_ZN1a1gE", "_ZN4core9panicking5panicE"]
    );
    assert_eq!(called("_ZN1a1gE"), ["memcpy@GLIBC_2.14"]);
    assert_eq!(called("_ZN1a1hE"), ["indirect", "memcpy@GLIBC_2.14"]);
    assert_eq!(called("_ZN1a1iE"), ["memcpy@GLIBC_2.14"]);
    let behind = reached(&calls, "1a1f", &["1a1g"]);
    assert!(behind.contains_key("_ZN1a1gE") && !behind.contains_key("memcpy@GLIBC_2.14"));
    let by_the_linker = reached(&calls, "1a1j", &[]);
    assert!(by_the_linker.keys().eq(["memcmp@plt"]));
    let reached = reached(&calls, "1a1f", &[]);
    assert_eq!(reached["memcpy@GLIBC_2.14"], "_ZN1a1gE");
    assert!(reached.keys().any(|name| can_panic(name)));
}

/// Whether a function is one that panics, or may be any.
fn can_panic(function: &str) -> bool {
    ["panic", "_fail", "indirect"]
        .iter()
        .any(|word| function.contains(word))
}

/// Builds the shared library as `make install` does, which takes no time if that was done.
fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut cargo = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["rustc", "--release", "--lib", "--crate-type", "cdylib"])
        .arg("--target-dir")
        .arg(target)
        // Not for the machine that the tests may be built for.
        .env_remove("CARGO_BUILD_TARGET");
    let output = cargo.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    target.join("release/libfluxcap.so")
}

/// What calls what in the library.
fn disassembled() -> Calls {
    let library = build();
    let output = Command::new("objdump")
        .args(["--disassemble", "--no-show-raw-insn"])
        .arg(&library)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    calls(&String::from_utf8_lossy(&output.stdout))
}

fn calls(disassembly: &str) -> Calls {
    let mut calls = Calls::new();
    let mut function = String::new();
    let mut loaded = BTreeMap::new();
    for line in disassembly.lines() {
        if let Some(name) = line.strip_suffix(">:") {
            function = name.split_once('<').unwrap().1.to_owned();
            calls.insert(function.clone(), BTreeSet::new());
            loaded.clear();
            continue;
        }
        let Some((_, instruction)) = line.split_once(":\t") else {
            continue;
        };
        // "10c0 <name+0x4>"; a jump to a place in a table names nothing.
        let name = instruction.split_once('<').map(|(_, rest)| rest);
        let name = name
            .and_then(|rest| rest.rsplit_once('>'))
            .map(|(name, _)| name);
        let is_call = instruction.starts_with("call");
        if !is_call && !instruction.starts_with('j') {
            if let Some(register) = written(instruction) {
                match name.filter(|name| name.contains("@GLIBC")) {
                    Some(name) if instruction.starts_with("mov ") => loaded.insert(register, name),
                    _ => loaded.remove(register),
                };
            }
            continue;
        }
        let callee = match name {
            Some(name) => name.rsplit_once("+0x").map_or(name, |(name, _)| name),
            None if is_call => {
                let by = instruction.split_once('*').map(|(_, by)| register(by));
                // A function of libc that is called more than once may lie in a register.
                by.and_then(|by| loaded.get(by)).unwrap_or(&"indirect")
            }
            None => continue,
        };
        if callee != function {
            calls.get_mut(&function).unwrap().insert(callee.to_owned());
        }
    }
    calls
}

/// The register that an instruction writes to, if it does: its last operand.
fn written(instruction: &str) -> Option<&str> {
    let (instruction, _) = instruction.split_once('#').unwrap_or((instruction, ""));
    let last = instruction.trim_end().rsplit([',', ' ']).next()?;
    last.starts_with('%').then(|| register(last))
}

/// The name that "%rbx" and "%ebx", "%r12" and "%r12d" share.
fn register(name: &str) -> &str {
    name.trim_start_matches(['%', 'r', 'e'])
        .trim_end_matches(['d', 'w', 'b'])
}

/// All functions that those with `root` in their name call, and those that they call, each with one that does; but not what is behind
/// those with a word of `beyond` in theirs.
fn reached(calls: &Calls, root: &str, beyond: &[&str]) -> BTreeMap<String, String> {
    let mut reached = BTreeMap::new();
    let mut rest: Vec<&String> = calls.keys().filter(|name| name.contains(root)).collect();
    assert!(!rest.is_empty(), "there is no {root} in the library");
    while let Some(caller) = rest.pop() {
        for callee in calls.get(caller).into_iter().flatten() {
            if !reached.contains_key(callee) {
                reached.insert(callee.clone(), caller.clone());
                // What is behind a panic says no more, nor does the linker's way to a function of libc.
                let is_end = can_panic(callee) || callee.ends_with("@plt");
                if !is_end && !beyond.iter().any(|word| callee.contains(word)) {
                    rest.push(callee);
                }
            }
        }
    }
    reached
}
