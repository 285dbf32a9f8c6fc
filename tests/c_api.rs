//! The C face, used by C programs: each is compiled as C11 and as C++17, with and without sanitizers, and run in a network namespace
//! of its own, also under valgrind. And the example programs do what they say.
#![cfg(all(target_os = "linux", feature = "capi"))]

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, id};

#[path = "c_api/examples.rs"]
mod examples;
#[allow(dead_code, reason = "the tests of `veth` use the rest")]
#[path = "veth/net.rs"]
mod net;
#[allow(dead_code, reason = "the tests of `veth` use the rest")]
#[path = "veth/process.rs"]
mod process;
#[path = "veth/tags.rs"]
mod tags;
#[allow(dead_code, reason = "the tests of `veth` use the rest")]
#[path = "veth/traffic.rs"]
mod traffic;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Runs a program in a new network namespace, where `fluxa` and `fluxb` are the ends of a cable. Exit code 77 means that it cannot run.
const IN_NAMESPACE: &str = r#"
PATH=$PATH:/usr/sbin:/sbin
skip() { echo "skipped: $1"; exit 77; }
[ "$(id -u)" -eq 0 ] || skip "needs root"
unshare --net true 2>/dev/null || skip "no network namespace can be made"
exec timeout --kill-after=5 300 unshare --net --pid --fork --kill-child --mount-proc sh -c '
    ip link add fluxa type veth peer name fluxb || { echo "skipped: no veth pair can be made"; exit 77; }
    # Without an IPv6 address there are no packets but ours.
    ip link set fluxa addrgenmode none up && ip link set fluxb addrgenmode none up || exit 1
    # Not in the place of this shell: with it goes whatever is still running.
    "$@"
    exit $?' - "$@"
"#;

/// How a program is compiled.
#[derive(Clone, Copy)]
enum Language {
    C11,
    Cpp17,
}

/// How a program is watched while it runs.
#[derive(Clone, Copy, PartialEq)]
enum Watch {
    Plain,
    Sanitizers,
    Valgrind,
}

macro_rules! programs {
    ($($name:ident: $sources:expr;)*) => {$(
        mod $name {
            use super::{Language::*, Watch::*, compile_and_run};

            #[test]
            fn as_c11() {
                compile_and_run(stringify!($name), &$sources, C11, Plain);
            }

            #[test]
            fn as_cpp17() {
                compile_and_run(stringify!($name), &$sources, Cpp17, Plain);
            }

            #[test]
            fn as_c11_with_sanitizers() {
                compile_and_run(stringify!($name), &$sources, C11, Sanitizers);
            }

            #[test]
            fn as_cpp17_with_sanitizers() {
                compile_and_run(stringify!($name), &$sources, Cpp17, Sanitizers);
            }

            #[test]
            fn under_valgrind() {
                compile_and_run(stringify!($name), &$sources, C11, Valgrind);
            }
        }
    )*};
}

programs! {
    build: ["build.c"];
    cancel: ["cancel.c"];
    cancel_over_veth: ["cancel.c"];
    edit: ["edit.c"];
    engine: ["engine.c"];
    fork: ["fork.c"];
    format: ["format.c"];
    group: ["group.c"];
    halves: ["halves.c"];
    memory: ["memory.c"];
    memory_over_veth: ["memory.c"];
    misuse: ["misuse.c", "twice.c"];
    packets: ["packets.c"];
    parse: ["parse.c"];
    refusals: ["refusals.c"];
    rewrite: ["rewrite.c"];
    simulate: ["simulate.c"];
    waits: ["waits.c"];
}

/// In C++ a function hides a struct of the same name: then only `struct fluxcap_x` names it, and `fluxcap_x x{}` does not compile.
#[test]
fn every_struct_of_the_header_is_a_type_in_cpp() {
    let header = fs::read_to_string(format!("{ROOT}/include/fluxcap.h")).unwrap();
    let declared = |line: &str| {
        let name = line.strip_prefix("struct ")?;
        let (name, rest) = name.split_at(name.find([' ', ';'])?);
        Some((name.to_owned(), rest == ";"))
    };
    let structs: Vec<(String, bool)> = header.lines().filter_map(declared).collect();
    assert!(structs.len() > 40, "{structs:?}");
    let mut source = "#include <fluxcap.h>\nint main() {\n".to_owned();
    for (number, (name, is_opaque)) in structs.iter().enumerate() {
        source += &match is_opaque {
            true => format!("    {name} *a{number} = nullptr;\n    (void)a{number};\n"),
            false => format!(
                "    {name} a{number}{{}};\n    struct {name} b{number}{{}};\n    (void)a{number}, (void)b{number};\n"
            ),
        };
    }
    source += "    return fluxcap_version() == nullptr;\n}\n";
    let place = Place::new();
    let file = place.0.join("structs.cpp");
    fs::write(&file, source).unwrap();
    let program = place.0.join("structs");
    place.compile(
        tool("CXX", "c++", &["-std=c++17", "-Wshadow"]).arg(&file),
        &program,
    );
    run(&mut Command::new(&program));
}

/// What waits for something else than packets, room and a stop, and is tested where that is.
const OTHER_WAITS: [&str; 1] = [
    // For the kernel to let go of a queue.
    "fluxcap_umem_reclaim",
];

#[test]
fn every_function_that_waits_has_a_row_in_the_table_of_waits() {
    let header = fs::read_to_string(format!("{ROOT}/include/fluxcap.h")).unwrap();
    let table = fs::read_to_string(format!("{ROOT}/tests/c/waits.c")).unwrap();
    let mut waiting = Vec::new();
    for declared in header.split_inclusive(");") {
        let Some((before, parameters)) = declared.rsplit_once('(') else {
            continue;
        };
        let name = before.rsplit([' ', '*', '\n']).next().unwrap();
        if name.starts_with("fluxcap_")
            && (parameters.contains(" timeout_ms") || name.ends_with("_run"))
        {
            waiting.push(name);
        }
    }
    assert!(waiting.len() > 8, "{waiting:?}");
    for name in waiting.iter().filter(|name| !OTHER_WAITS.contains(name)) {
        let row = format!("{{\"{}", &name["fluxcap_".len()..]);
        let has_row = ["\"", ","]
            .iter()
            .any(|end| table.contains(&format!("{row}{end}")));
        assert!(
            has_row,
            "{name} waits, and tests/c/waits.c has no row for it"
        );
    }
}

fn compile_and_run(name: &str, sources: &[&str], language: Language, watch: Watch) {
    let place = Place::new();
    let program = place.0.join(name);
    let mut compiler = match language {
        Language::C11 => tool("CC", "cc", &["-std=c11"]),
        Language::Cpp17 => tool("CXX", "c++", &["-std=c++17", "-x", "c++"]),
    };
    let directory = Path::new(ROOT).join("tests/c");
    compiler.args(sources.iter().map(|source| directory.join(source)));
    compiler.args(["-x", "none", "-pthread"]);
    // .ci/sanitize has built the library with one, too.
    let (sanitizers, proof) = match env::var("FLUXCAP_SANITIZER").as_deref() {
        Ok("thread") => ("-fsanitize=thread", "__tsan_init"),
        _ => ("-fsanitize=address,undefined", "__asan_init"),
    };
    if watch == Watch::Sanitizers {
        compiler.args([
            sanitizers,
            "-fno-sanitize-recover=all",
            "-fno-omit-frame-pointer",
            "-DSANITIZED",
            // For clang, which finds that of -x.
            "-Wno-unused-command-line-argument",
        ]);
    }
    place.compile(&mut compiler, &program);
    // That a sanitizer is asked for does not prove that it is there.
    let symbols = stdout(&run(Command::new("nm").arg(&program)));
    assert_eq!(
        symbols.contains(proof),
        watch == Watch::Sanitizers,
        "{proof}"
    );

    let mut words: Vec<&str> = Vec::new();
    if watch == Watch::Valgrind {
        if Command::new("valgrind").arg("--version").output().is_err() {
            println!("skipped: valgrind is not installed");
            return;
        }
        // It knows not all commands of bpf() and says so; what they write it takes as written.
        words.extend([
            "valgrind",
            "--quiet",
            "--error-exitcode=9",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite,indirect,possible",
        ]);
    }
    words.push(program.to_str().unwrap());
    let object = format!("{ROOT}/bpf/fluxcap.bpf.o");
    words.push(&object);
    // Those that work for everybody and everywhere.
    let alone = [
        "build", "cancel", "edit", "engine", "group", "halves", "memory", "misuse", "parse",
        "simulate",
    ];
    let mut command = if alone.contains(&name) {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        command
    } else {
        in_namespace(&words)
    };
    check(command.env("UBSAN_OPTIONS", "print_stacktrace=1"));
}

#[test]
fn the_pump_sends_receives_and_forwards() {
    let place = Place::new();
    let pump = place.example("manual_packet_pump");
    // The receiver starts first and ends last; the sender's packets come back from l2fwd, to nobody.
    let script = r#"
        pump=$1 work=$2
        rate() { awk -v way="$2" '/^average/ { for (i = 1; i < NF; i++) if ($i == way) print $(i + 1) }' "$work/$1"; }
        for mode in rxdrop l2fwd; do
            "$pump" -m $mode -i fluxb >"$work/$mode" 2>&1 &
            receiver=$!
            tries=0
            until grep -q '^TX budget' "$work/$mode"; do
                tries=$((tries + 1))
                [ $tries -lt 100 ] && kill -0 $receiver || { cat "$work/$mode"; exit 1; }
                sleep 0.05
            done
            "$pump" -m txonly -i fluxa -d 2 -b 32 -s 128 >"$work/txonly" 2>&1
            sender=$?
            kill -INT $receiver
            wait $receiver
            result=$?
            cat "$work/txonly" "$work/$mode"
            echo "exit codes $sender and $result"
            [ $sender -eq 0 ] && [ $result -eq 0 ] || exit 1
            [ "$(rate txonly tx)" -gt 1000 ] && [ "$(rate $mode rx)" -gt 1000 ] || exit 1
            # A second passed, so there was a line for it.
            grep -q '^txonly .* packets/s' "$work/txonly" && grep -q "^$mode .* packets/s" "$work/$mode" || exit 1
        done
        [ "$(rate l2fwd tx)" -gt 1000 ] || exit 1
        "$pump" -m rxdrop -i fluxb -d 1 -B --generic --copy -q 0 || exit 1
        # As many as were asked for, and no more.
        "$pump" -m txonly -i fluxa -n 1000 -b 7 -D 02:00:00:00:00:09 | grep 'sent 1000 ' || exit 1
    "#;
    check(&mut in_namespace(&[
        "sh",
        "-c",
        script,
        "-",
        pump.to_str().unwrap(),
        place.0.to_str().unwrap(),
    ]));
}

#[test]
fn the_responder_answers_the_kernels_pings() {
    let place = Place::new();
    let responder = place.example("ping_responder");
    if !is_root() {
        println!("skipped: needs root");
        return;
    }
    let demo = format!("{ROOT}/examples-c/demo.sh");
    let output = run(Command::new("bash").arg(demo).arg(&responder));
    let text = stdout(&output);
    for part in ["10000 received, 0% packet loss", "echo answered 10010"] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn without_what_it_needs_the_demo_shows_the_simulator_and_says_why() {
    let place = Place::new();
    let responder = place.example("ping_responder");
    let demo = format!("{ROOT}/examples-c/demo.sh");
    let script = |name: &str, lines: &str| {
        let path = place.0.join(name);
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        run(Command::new("chmod").arg("+x").arg(&path));
        path
    };
    let path = format!("{}:{}", place.0.display(), env::var("PATH").unwrap());
    let missing = |words: &str, responder: &Path| {
        let mut command = Command::new("bash");
        let text = stdout(&run(command.arg(&demo).arg(responder).env("PATH", &path)));
        for part in [words, "so this is the simulator", "echo answered 10000,"] {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
    };
    // Programs that stand in for those of the machine.
    script("id", "echo 1000");
    missing("root is missing", &responder);
    script("id", "echo 0");
    script(
        "ip",
        "[ \"$1\" = netns ] && [ \"$2\" = add ] && exit 1; exit 0",
    );
    script("ping", "exit 1");
    missing("network namespaces are missing", &responder);
    script(
        "ip",
        "[ \"$3\" = link ] && [ \"$4\" = add ] && exit 1; exit 0",
    );
    missing("veth interfaces are missing", &responder);
    script(
        "ip",
        "[ \"$1 $2\" = \"netns exec\" ] || exit 0; shift 3; exec \"$@\"",
    );
    for (says, words) in [
        ("no AF_XDP (CONFIG_XDP_SOCKETS is off)", "AF_XDP is missing"),
        ("CAP_NET_RAW", "capabilities are missing"),
    ] {
        let lines = format!(
            "[ \"$1\" = --sim ] && exec {} \"$@\"; echo '{says}'; exit 1",
            responder.display()
        );
        missing(words, &script("refused", &lines));
    }
    // Any other failure is one of the demo.
    let broken = script("broken", "exit 1");
    let output = Command::new("bash")
        .arg(&demo)
        .arg(&broken)
        .env("PATH", &path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(both(&output).contains("could not start"));
}

#[test]
fn the_examples_run_on_a_simulated_link() {
    let place = Place::new();
    let [pump, responder] =
        ["manual_packet_pump", "ping_responder"].map(|name| place.example(name));
    let sanitized = place.0.join("sanitized");
    place.compile(
        tool("CC", "cc", &["-std=c11", "-fsanitize=address,undefined"])
            .arg("-fno-sanitize-recover=all")
            .arg(format!("{ROOT}/examples-c/ping_responder.c")),
        &sanitized,
    );
    let file = |name: &str| place.0.join(name).to_str().unwrap().to_owned();
    let says = |program: &Path, words: &str, parts: &[&str]| {
        let text = stdout(&run(Command::new(program).args(words.split(' '))));
        for part in parts {
            assert!(text.contains(part), "{words}: no {part:?} in:\n{text}");
        }
    };
    let answered = ["echo answered 10000,", "10000 answered, 0 answers wrong"];
    for words in ["--sim", "--sim --copy -q 3 -a 192.0.2.1"] {
        says(&responder, words, &answered);
        says(&sanitized, words, &answered);
    }
    // What one program recorded, the others replay.
    let capture = file("pings.pcapng");
    let words = format!("--record {capture} --mac 02:00:00:00:00:77");
    says(&responder, &words, &answered);
    let words = format!("--pcap {capture} --mac 02:00:00:00:00:77");
    let parts = ["20002 packets", "echo answered 10000, ignored 10001"];
    says(&responder, &words, &parts);
    let forwarded = file("forwarded.pcap");
    let words = format!("-m l2fwd --pcap {capture} --record {forwarded}");
    says(&pump, &words, &["received 20002, sent 20002 "]);
    let words = format!("-m rxdrop --pcap {forwarded}");
    says(&pump, &words, &["replaying", "received 40004, sent 0 "]);
    // Again and again, until there are enough.
    let words = format!("-m l2fwd --pcap {capture} -n 50000");
    says(&pump, &words, &["received 50000, sent 50000 "]);
    for mode in ["rxdrop", "l2fwd", "txonly"] {
        let words = format!("-m {mode} --sim -n 50000 -s 100 -q 1");
        let count = match mode {
            "rxdrop" => "received 50000, sent 0 in",
            "l2fwd" => "received 50000, sent 50000 in",
            _ => "received 0, sent 50000 in",
        };
        says(&pump, &words, &[count]);
    }
    says(&pump, "-m rxdrop --sim -B --copy -d 1", &["average"]);

    let refused = |program: &Path, words: &str, code: i32, part: &str| {
        let words = words.split(' ');
        let output = Command::new(program).args(words).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    };
    let nowhere = file("nowhere.pcap");
    let source = format!("{ROOT}/Cargo.toml");
    for (program, mode) in [(&responder, ""), (&pump, "-m l2fwd ")] {
        let words = |rest: &str| format!("{mode}{rest}");
        let missing = words(&format!("--pcap {nowhere}"));
        refused(program, &missing, 1, "nowhere.pcap: No such file");
        let malformed = words(&format!("--pcap {source}"));
        refused(program, &malformed, 1, "no kind of pcap or pcapng");
        let unwritable = words(&format!("--pcap {capture} --record {nowhere}/file"));
        refused(program, &unwritable, 1, "nowhere.pcap/file");
        refused(program, &words("--sim -i lo"), 2, "usage: ");
        refused(program, &words("--sim --mac 02:00"), 2, "MAC address");
        refused(program, &words("--sim -q 300"), 1, "queues 301");
    }
    let endless = format!("-m l2fwd --sim --record {nowhere}");
    refused(&pump, &endless, 2, "without an end");
    refused(&pump, "-m txonly --pcap x", 2, "receives nothing");
}

#[test]
fn the_responder_answers_nothing_that_is_damaged_or_not_for_it() {
    let place = Place::new();
    let responder = place.example("ping_responder");
    let peer = place.0.join("strangers");
    let source = format!("{ROOT}/tests/c/strangers.c");
    place.compile(tool("CC", "cc", &["-std=c11"]).arg(source), &peer);
    let script = r#"
        responder=$1 strangers=$2 log=$3/log
        "$responder" -i fluxb -a 10.9.8.7 >"$log" 2>&1 &
        pid=$!
        tries=0
        until grep -q '^answering ' "$log"; do
            tries=$((tries + 1))
            [ $tries -lt 100 ] && kill -0 $pid || { cat "$log"; exit 1; }
            sleep 0.05
        done
        mac=$(ip -o link show fluxb | sed 's|.*link/ether \([^ ]*\) .*|\1|')
        "$strangers" fluxa "$mac" 10.9.8.7
        result=$?
        kill -TERM $pid
        wait $pid
        ended=$?
        cat "$log"
        echo "exit codes $result and $ended"
        [ $result -eq 0 ] && [ $ended -eq 0 ] || exit $result
        grep 'ARP answered 1, echo answered 3, ' "$log" | grep 'bad checksum 2;' || exit 1
    "#;
    check(&mut in_namespace(&[
        "sh",
        "-c",
        script,
        "-",
        responder.to_str().unwrap(),
        peer.to_str().unwrap(),
        place.0.to_str().unwrap(),
    ]));
}

#[test]
fn the_responder_outlives_a_line_that_goes_down_and_ends_with_its_interface() {
    let place = Place::new();
    let responder = place.example("ping_responder");
    let script = r#"
        responder=$1 log=$2/log
        ip address add 10.9.8.1/24 dev fluxa
        "$responder" -i fluxb -a 10.9.8.7 --copy --generic >"$log" 2>&1 &
        pid=$!
        tries=0
        until grep -q '^answering ' "$log"; do
            tries=$((tries + 1))
            [ $tries -lt 100 ] && kill -0 $pid || { cat "$log"; exit 1; }
            sleep 0.05
        done
        ping -c 2 -i 0.2 -W 3 -q 10.9.8.7 || exit 1
        ip link set fluxb down
        sleep 0.3
        ip link set fluxb up
        ping -c 2 -i 0.2 -W 3 -q 10.9.8.7 || exit 1
        ip link del fluxb
        wait $pid
        result=$?
        cat "$log"
        [ $result -eq 1 ] || exit 1
        grep -q 'was removed' "$log" && grep -q 'echo answered 4, ' "$log" || exit 1
        ! grep -q 'do not add up' "$log" || exit 1
    "#;
    check(&mut in_namespace(&[
        "sh",
        "-c",
        script,
        "-",
        responder.to_str().unwrap(),
        place.0.to_str().unwrap(),
    ]));
}

#[test]
fn the_responder_answers_on_all_queues() {
    let place = Place::new();
    let responder = place.example("ping_responder");
    let script = r#"
        responder=$1 log=$2/log
        ip link add four numrxqueues 4 numtxqueues 4 type veth peer name fore numrxqueues 4 numtxqueues 4
        ip link set four addrgenmode none up && ip link set fore addrgenmode none up || exit 1
        ip address add 10.9.4.1/24 dev fore
        "$responder" -i four -a 10.9.4.2 >"$log" 2>&1 &
        pid=$!
        tries=0
        until grep -q '^answering 10.9.4.2 on four queues 0 to 3' "$log"; do
            tries=$((tries + 1))
            [ $tries -lt 100 ] && kill -0 $pid || { cat "$log"; exit 1; }
            sleep 0.05
        done
        # Each is a flow of its own, for one of the queues.
        for _ in 1 2 3 4 5 6 7 8; do ping -c 1 -W 3 -q 10.9.4.2 || exit 1; done
        kill -TERM $pid
        wait $pid
        result=$?
        cat "$log"
        [ $result -eq 0 ] && grep -q 'echo answered 8, ' "$log" || exit 1
        ! grep -q 'note: *four has' "$log" || exit 1
    "#;
    check(&mut in_namespace(&[
        "sh",
        "-c",
        script,
        "-",
        responder.to_str().unwrap(),
        place.0.to_str().unwrap(),
    ]));
}

#[test]
fn the_pump_receives_on_all_queues() {
    let place = Place::new();
    let pump = place.example("manual_packet_pump");
    let script = r#"
        pump=$1 log=$2/log
        ip link add four numrxqueues 4 numtxqueues 4 type veth peer name fore numrxqueues 4 numtxqueues 4
        ip link set four addrgenmode none up && ip link set fore addrgenmode none up || exit 1
        "$pump" -m rxdrop -i four >"$log" 2>&1 &
        pid=$!
        tries=0
        until grep -q '^rxdrop' "$log"; do
            tries=$((tries + 1))
            [ $tries -lt 400 ] && kill -0 $pid || { cat "$log"; exit 1; }
            sleep 0.05
        done
        for queue in 0 1 2 3; do "$pump" -m txonly -i fore -q $queue -n 100 || exit 1; done
        kill -INT $pid
        wait $pid
        result=$?
        cat "$log"
        [ $result -eq 0 ] && grep -q '^received 400, ' "$log" || exit 1
    "#;
    check(&mut in_namespace(&[
        "sh",
        "-c",
        script,
        "-",
        pump.to_str().unwrap(),
        place.0.to_str().unwrap(),
    ]));
}

#[test]
fn the_pump_goes_on_when_its_link_flaps() {
    let place = Place::new();
    let pump = place.example("manual_packet_pump");
    let script = r#"
        pump=$1 work=$2
        for mode in txonly l2fwd; do
            log=$work/$mode.flap
            : >"$log"
            "$pump" -m $mode -i fluxa >"$log" 2>&1 &
            pid=$!
            # Until there is one more line of rates.
            line() {
                count=$(grep -c "^$mode" "$log")
                tries=0
                until [ "$(grep -c "^$mode" "$log")" -gt "$count" ]; do
                    tries=$((tries + 1))
                    [ $tries -lt 400 ] && kill -0 $pid || { cat "$log"; exit 1; }
                    sleep 0.05
                done
            }
            line
            ip link set fluxa down
            line
            line
            ip link set fluxa up
            line
            line
            kill -INT $pid
            wait $pid || { cat "$log"; exit 1; }
            # Packets leave again.
            [ $mode = l2fwd ] || tail -n +2 "$log" | grep "^$mode" | tail -n 1 | grep -v 'tx  *0 packets' || { cat "$log"; exit 1; }
        done
    "#;
    check(&mut in_namespace(&[
        "sh",
        "-c",
        script,
        "-",
        pump.to_str().unwrap(),
        place.0.to_str().unwrap(),
    ]));
}

#[test]
fn each_example_begins_with_the_line_that_builds_it() {
    let directory = Path::new(ROOT).join("examples-c");
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "c") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let line =
            format!("/* cc -O2 {name}.c -o {name} $(pkg-config --cflags --libs fluxcap) */\n");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&line), "{name}");
        // The test of an installation has those files built with these words.
        count += 1;
    }
    assert_eq!(count, 5);
}

#[test]
fn the_examples_explain_themselves() {
    let place = Place::new();
    for name in ["manual_packet_pump", "ping_responder"] {
        let program = place.example(name);
        let command = || {
            let mut command = Command::new(&program);
            command.env("LD_LIBRARY_PATH", &place.0);
            command
        };
        assert!(stdout(&run(command().arg("--help"))).starts_with("usage: "));
        // Missing, unknown and impossible options.
        for words in [
            &[][..],
            &["--unknown"],
            &["-i"],
            &["-i", "lo", "more"],
            &["-i", "lo", "-q", "many"],
            &["-i", "lo", "-q", "65536"],
            &["-i", "lo", "-m", "backwards"],
            &["-i", "lo", "-a", "10.0.0"],
        ] {
            let output = command().args(words).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{name} {words:?}");
            assert!(!output.stderr.is_empty(), "{name} {words:?}");
        }
        // What the library says is passed on.
        let words = match name {
            "ping_responder" => ["-i", "nosuch0", "-a", "10.0.0.1"],
            _ => ["-i", "nosuch0", "-m", "rxdrop"],
        };
        let output = command().args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("nosuch0"), "{text}");
    }
}

/// A directory with the library as programs look for it. It goes away with the value.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let place = Self(tmp.join(format!("c_api-{}-{number}", id())));
        fs::create_dir_all(&place.0).unwrap();
        // Cargo leaves the library beside this test.
        let library = env::current_exe().unwrap().with_file_name("libfluxcap.so");
        symlink(library, place.0.join("libfluxcap.so")).unwrap();
        place
    }

    /// Compiles what the command names, without a warning, and links it to the library.
    fn compile(&self, compiler: &mut Command, program: &Path) {
        compiler
            .args(["-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
            .args(["-I", &format!("{ROOT}/include")])
            .arg("-o")
            .arg(program)
            .arg("-L")
            .arg(&self.0)
            // Unlike a "runpath" it is searched before LD_LIBRARY_PATH, where cargo names a place in which an older build may have left a library.
            .arg("-Wl,--disable-new-dtags")
            .arg(format!("-Wl,-rpath,{}", self.0.display()))
            .arg("-lfluxcap");
        run(compiler);
    }

    fn example(&self, name: &str) -> PathBuf {
        let program = self.0.join(name);
        let source = format!("{ROOT}/examples-c/{name}.c");
        self.compile(tool("CC", "cc", &["-std=c11"]).arg(source), &program);
        program
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program that a variable names, or the usual one.
fn tool(variable: &str, usual: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env::var_os(variable).unwrap_or_else(|| usual.into()));
    command.args(words);
    command
}

fn is_root() -> bool {
    stdout(&run(Command::new("id").arg("-u"))).trim() == "0"
}

fn in_namespace(words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", IN_NAMESPACE, "-"]).args(words);
    command
}

/// Runs a test program: it succeeds, or says why it is skipped.
fn check(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = both(&output);
    match output.status.code() {
        // A program that skips a part of its tests says so, too.
        Some(0 | 77) => text
            .lines()
            .filter(|line| line.starts_with("skipped:"))
            .for_each(|line| println!("{line}")),
        _ => panic!("{}:\n{text}", output.status),
    }
    assert!(
        output.status.success() || text.contains("skipped:"),
        "skipped without a reason:\n{text}"
    );
}

/// Runs a command that has to succeed.
fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}:\n{}",
        output.status,
        both(&output)
    );
    output
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All that a program printed, but for one warning that valgrind repeats endlessly.
fn both(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = errors
        .lines()
        .filter(|line| !line.contains("WARNING: unhandled eBPF command"))
        .collect();
    format!("{}{}", stdout(output), errors.join("\n"))
}
