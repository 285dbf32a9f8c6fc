//! A user's shared library that has this crate in it is the user's own.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, id};
use std::sync::{Mutex, PoisonError};

#[test]
fn a_library_of_a_user_gets_no_name_and_no_flags_of_ours() {
    let user = User::new("default", "");
    let library = user.build();
    let dynamic = output(
        Command::new("readelf")
            .args(["--dynamic", "--wide"])
            .arg(&library),
    );
    assert!(dynamic.contains("(NEEDED)"), "{dynamic}");
    for ours in ["(SONAME)", "NODELETE"] {
        assert!(!dynamic.contains(ours), "{ours}:\n{dynamic}");
    }
    assert!(exported(&library).contains(&"user_version".to_owned()));
}

#[test]
fn a_library_of_a_user_without_the_c_interface_shows_only_its_own_functions() {
    let features = ", default-features = false, features = [\"vendored-libbpf\"]";
    let user = User::new("lean", features);
    assert_eq!(exported(&user.build()), ["user_version"]);
}

/// A crate that depends on this one by path. It goes away with the value.
struct User(PathBuf);

impl User {
    fn new(name: &str, features: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let user = Self(tmp.join(format!("dependents-{name}-{}", id())));
        fs::create_dir_all(user.0.join("src")).unwrap();
        let manifest = format!(
            "[package]\nname = \"user\"\nversion = \"7.8.9\"\nedition = \"2024\"\n\n[lib]\ncrate-type = [\"cdylib\"]\n\n\
             [dependencies]\nfluxcap = {{ path = {root:?}{features} }}\n\n[workspace]\n"
        );
        fs::write(user.0.join("Cargo.toml"), manifest).unwrap();
        // The very versions that are here already.
        fs::copy(root.join("Cargo.lock"), user.0.join("Cargo.lock")).unwrap();
        let source = "#[unsafe(no_mangle)]\npub extern \"C\" fn user_version() -> usize {\n    \
                      size_of::<fluxcap::Packet>()\n}\n";
        fs::write(user.0.join("src/lib.rs"), source).unwrap();
        user
    }

    fn build(&self) -> PathBuf {
        static BUILDS: Mutex<()> = Mutex::new(());
        let _one_at_a_time = BUILDS.lock().unwrap_or_else(PoisonError::into_inner);
        // Not where the tests themselves are built: Cargo gives the library of a crate that makes a shared one the same file name whatever
        // its features, and would take that of the other build.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dependents");
        forget_the_library(&target);
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--offline", "--quiet"])
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", &target);
        output(&mut cargo);
        let built = target.join("debug/libuser.so");
        // The next build writes there again.
        let library = self.0.join("libuser.so");
        fs::rename(built, &library).unwrap();
        library
    }
}

/// Lets Cargo build the library anew, with the features that are asked for now.
fn forget_the_library(target: &Path) {
    let Ok(built) = fs::read_dir(target.join("debug/.fingerprint")) else {
        return;
    };
    for entry in built.map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("fluxcap-") {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The functions that a library shows.
fn exported(library: &Path) -> Vec<String> {
    let mut nm = Command::new("nm");
    nm.args(["--dynamic", "--defined-only", "--format=posix"])
        .arg(library);
    let lines = output(&mut nm);
    let names = lines.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

/// What a command prints. It has to succeed.
fn output(command: &mut Command) -> String {
    let output = command
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
