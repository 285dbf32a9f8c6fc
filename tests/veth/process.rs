//! Programs that the tests start, and that end with them.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// A program in the network namespace of this thread, killed when dropped and when this thread ends.
pub(crate) struct Program {
    child: Child,
    name: String,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    /// Starts it and listens to what it prints, on either stream.
    pub(crate) fn start(command: &mut Command) -> Self {
        let name = format!("{command:?}");
        // SAFETY: the closure makes one system call with plain numbers, and allocates nothing.
        unsafe {
            command.pre_exec(
                || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                },
            )
        };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let (tell, lines) = channel();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for stream in streams {
            let tell = tell.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if tell.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Self {
            child,
            name,
            lines,
            seen: Vec::new(),
        }
    }

    /// Reads on until a line contains `text`, and returns that line.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.lines.recv_timeout(deadline - Instant::now()) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("{}: no {text:?} in {:#?}", self.name, self.seen),
            }
        }
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: plain numbers; the process was not waited for, so the number is still its own.
        let result = unsafe { libc::kill(self.child.id() as i32, signal) };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
    }

    /// Waits for its end, and returns all that it printed.
    pub(crate) fn finish(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match self.lines.recv_timeout(deadline - Instant::now()) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{} does not end: {:#?}", self.name, self.seen)
                }
            }
        }
        let status = self.child.wait().unwrap();
        (status, self.seen.join("\n"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end, which must be a good one, and returns what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let name = format!("{command:?}");
    let (status, output) = Program::start(command).finish();
    assert!(status.success(), "{name}: {status}: {output}");
    output
}

/// A program of `examples/`, to be started with these words.
///
/// `cargo test` has built it; it is built here when only this test was asked for.
pub(crate) fn example(name: &str, words: &str) -> Command {
    let executable = env::current_exe().unwrap();
    let profile = executable.ancestors().nth(2).unwrap();
    let program = profile.join("examples").join(name);
    if !is_up_to_date(&program, name) {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--quiet", "--example", name])
            .args(cfg!(feature = "async").then_some("--features=async"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("CARGO_TARGET_DIR", profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let status = cargo.status().unwrap();
        assert!(status.success() && program.exists(), "{cargo:?}: {status}");
    }
    let mut command = Command::new(program);
    command.args(words.split_whitespace());
    command
}

fn is_up_to_date(program: &Path, name: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = vec![
        root.join("examples").join(name).with_extension("rs"),
        root.join("Cargo.toml"),
    ];
    let mut directories = ["src", "bpf", "examples/common", "examples/simulate"]
        .map(|name| root.join(name))
        .to_vec();
    directories.extend(Some(root.join("examples").join(name)).filter(|own| own.exists()));
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                sources.push(path);
            }
        }
    }
    let time = |path: &PathBuf| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    match time(&program.to_owned()) {
        Some(built) => sources.iter().filter_map(time).all(|time| time <= built),
        None => false,
    }
}

/// Whether a program is installed.
pub(crate) fn is_installed(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(name).exists())
}
