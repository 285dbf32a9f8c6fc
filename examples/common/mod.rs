//! What the example programs share: the command line, and how they end.

#![allow(dead_code, reason = "not every program has all options")]

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use fluxcap::{BindMode, Poller, XdpMode};
use lexopt::Arg;

/// The name of the program.
const NAME: &str = env!("CARGO_BIN_NAME");

/// An error that a program, or one of its threads, ends with.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The whole of `main`: reads the options with `parse`, which returns `None` for `--help`, and does the work.
///
/// Exit code 2 is a mistake on the command line, 1 any other failure.
pub(crate) fn run<T>(
    usage: &str,
    parse: impl FnOnce(&mut CommandLine) -> Result<Option<T>, String>,
    work: impl FnOnce(T) -> Result<(), Failure>,
) -> ExitCode {
    let options = match parse(&mut CommandLine::new()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{usage}");
            return ExitCode::SUCCESS;
        }
        Err(mistake) => {
            eprintln!("{NAME}: {mistake}\n\n{usage}");
            return ExitCode::from(2);
        }
    };
    match work(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{NAME}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The words that the program was called with.
pub(crate) struct CommandLine {
    parser: lexopt::Parser,
    /// The option that was read last.
    option: String,
}

impl CommandLine {
    fn new() -> Self {
        Self {
            parser: lexopt::Parser::from_env(),
            option: String::new(),
        }
    }

    /// The next option, such as `-q` or `--queue`, or the next word that is no option.
    pub(crate) fn next(&mut self) -> Result<Option<String>, String> {
        self.option = match self.parser.next().map_err(|error| error.to_string())? {
            Some(Arg::Short(letter)) => format!("-{letter}"),
            Some(Arg::Long(name)) => format!("--{name}"),
            Some(Arg::Value(word)) => word.to_string_lossy().into_owned(),
            None => return Ok(None),
        };
        Ok(Some(self.option.clone()))
    }

    /// The value of the option, such as the name of a file.
    pub(crate) fn value(&mut self) -> Result<OsString, String> {
        let value = self.parser.value();
        value.map_err(|_| format!("{} needs a value", self.option))
    }

    pub(crate) fn text(&mut self) -> Result<String, String> {
        Ok(self.value()?.to_string_lossy().into_owned())
    }

    pub(crate) fn number<T: FromStr>(&mut self) -> Result<T, String> {
        let text = self.text()?;
        let number = text.parse();
        number.map_err(|_| format!("{} is a number, not '{text}'", self.option))
    }

    /// A value of another kind; `what` names the kind, such as "IPv4 address".
    pub(crate) fn parsed<T: FromStr>(&mut self, what: &str) -> Result<T, String> {
        let text = self.text()?;
        let value = text.parse();
        value.map_err(|_| format!("{} '{text}' is no {what}", self.option))
    }

    /// A time in seconds, at least one.
    pub(crate) fn seconds(&mut self) -> Result<Duration, String> {
        Ok(Duration::from_secs(self.number::<u32>()?.max(1).into()))
    }

    pub(crate) fn poller(&mut self) -> Result<Poller, String> {
        match self.text()?.as_str() {
            "busy" => Ok(Poller::Busy),
            "wait" => Ok(Poller::Wait),
            "adaptive" => Ok(Poller::default()),
            other => Err(format!("there is no poller '{other}'")),
        }
    }

    /// The error for an unknown option.
    pub(crate) fn unknown(&self) -> String {
        format!("what is '{}'?", self.option)
    }
}

/// The options for binding, which all programs have.
#[derive(Clone, Copy, Default)]
pub(crate) struct BindOptions {
    /// `None`: all.
    pub(crate) queue: Option<u32>,
    pub(crate) bind_mode: BindMode,
    pub(crate) xdp_mode: XdpMode,
}

impl BindOptions {
    /// Reads the value of `word` if it is one of these options, and otherwise returns false.
    pub(crate) fn option(&mut self, word: &str, line: &mut CommandLine) -> Result<bool, String> {
        match word {
            "-q" | "--queue" => self.queue = Some(line.number()?),
            "--copy" => self.bind_mode = BindMode::Copy,
            "--generic" => self.xdp_mode = XdpMode::Generic,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The queue that was named, or the first one.
    pub(crate) fn first_queue(&self) -> u32 {
        self.queue.unwrap_or(0)
    }

    /// The queues of `count` sockets, as text.
    pub(crate) fn queues(&self, count: usize) -> String {
        match count {
            1 => format!("queue {}", self.first_queue()),
            count => format!("queues 0 to {}", count - 1),
        }
    }

    /// What to print before the lines of one of `count` queues.
    pub(crate) fn label(queue: u32, count: usize) -> String {
        match count {
            1 => String::new(),
            _ => format!("queue {queue}: "),
        }
    }
}
