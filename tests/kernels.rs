//! One guest with another kernel, where `make test-kernels` has left one; `tests/kernels/cases` has the others.

#![cfg(target_os = "linux")]

use std::env;
use std::path::PathBuf;
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn run(arguments: &[&str]) -> Output {
    Command::new(format!("{ROOT}/tests/kernels/run"))
        .args(arguments)
        .output()
        .expect("bash must be installed")
}

fn downloaded() -> bool {
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or(format!("{ROOT}/target").into(), PathBuf::from);
    target.join("kernels/bookworm-cloud-amd64").is_dir()
}

#[test]
fn a_guest_returns_the_output_and_the_exit_code_of_its_program() {
    if !downloaded() {
        println!("skipped: no kernel in target/kernels; `make test-kernels` downloads some");
        return;
    }
    let output = run(&[
        "--timeout",
        "100",
        "--",
        "sh",
        "-c",
        "printf 'a\\nb'; exit 7",
    ]);
    let text = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(77) => print!("{text}"),
        Some(124) => println!("skipped: no guest could boot within 100 s"),
        code => {
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert_eq!((code, &*text), (Some(7), "a\nb"), "{complaint}");
        }
    }
}

#[test]
fn wrong_options_are_told_from_exit_codes_of_programs() {
    for arguments in [
        &["--kernel", "none", "--", "true"][..],
        &["--nic", "virtio", "--queues", "2", "--", "true"],
        &[],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("--help"),
            "{output:?}"
        );
    }
}
