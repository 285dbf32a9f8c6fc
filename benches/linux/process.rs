//! The processes of a benchmark: one core each, ended with it.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read};
use std::mem;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Binds what `command` starts to a core.
pub(crate) fn on_core(core: u32, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    command
}

/// A process that has said that it is ready. It ends with this value, and with this process.
pub(crate) struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(command: Command) -> Result<Self> {
        Self::start_saying(command, "ready")
    }

    /// A process that says in a line of its own words, with `word` among them, that it is ready.
    pub(crate) fn start_saying(command: Command, word: &str) -> Result<Self> {
        let mut this = Self::spawn(command)?;
        while !this.line()?.contains(word) {}
        Ok(this)
    }

    /// A process that does not say when it is ready.
    pub(crate) fn spawn(mut command: Command) -> Result<Self> {
        // SAFETY: the function makes one system call.
        unsafe { command.pre_exec(end_with_parent) };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().expect("asked for above");
        Ok(Self {
            child,
            output: BufReader::new(output),
        })
    }

    #[allow(dead_code, reason = "not every benchmark needs a second namespace")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it by SIGTERM; returns what it has said since.
    #[allow(dead_code, reason = "most processes end by themselves")]
    pub(crate) fn stop(mut self) -> Result<String> {
        // SAFETY: plain numbers; the process is a child that nobody has waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let mut said = String::new();
        self.output.read_to_string(&mut said)?;
        self.child.wait()?;
        Ok(said)
    }

    /// The next line of its output.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? > 0 {
            return Ok(line);
        }
        let mut said = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            stderr.read_to_string(&mut said)?;
        }
        Err(format!("a process ended without a result: {}", said.trim()).into())
    }

    /// Waits until it has ended by itself.
    #[allow(dead_code, reason = "most processes are ended")]
    pub(crate) fn end(mut self) -> Result<()> {
        self.child.wait()?;
        Ok(())
    }

    /// The numbers of the next line.
    #[allow(dead_code, reason = "some say them only at the end")]
    pub(crate) fn numbers<const N: usize>(&mut self) -> Result<[f64; N]> {
        numbers(&self.line()?)
    }
}

/// The numbers of a line.
pub(crate) fn numbers<const N: usize>(line: &str) -> Result<[f64; N]> {
    let numbers: Vec<f64> = line.split_whitespace().flat_map(str::parse).collect();
    let numbers = <[f64; N]>::try_from(numbers);
    numbers.map_err(|_| format!("a process said {line:?} for {N} numbers").into())
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn end_with_parent() -> io::Result<()> {
    // SAFETY: plain numbers.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What this process has run on a processor so far.
#[allow(dead_code, reason = "not every benchmark counts it")]
pub(crate) fn processor_time() -> Duration {
    // SAFETY: all zero is a value of it.
    let mut time: libc::timespec = unsafe { mem::zeroed() };
    // SAFETY: it writes one `timespec`.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "Linux has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
