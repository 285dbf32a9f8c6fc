//! The C face of the library: a program in C that obeys commands, which come through a pipe.

use std::any::Any;
use std::cell::RefCell;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::place::{CYCLES, Place, VethPlace, cycles_over_veth};
use super::world::{Mode, Options, Pair, Program, Ready, Rings, Socket, Statistics, World, Wrong};

/// No answer takes longer, also under valgrind on a busy machine.
const PATIENCE: Duration = Duration::from_secs(100);
/// Over veth, in each of the ways that C is compiled.
const CYCLES_OVER_VETH: usize = 10;
/// Under valgrind.
const CYCLES_WATCHED: usize = 10;

/// How the agent is compiled and watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Build {
    C11,
    Cpp17,
    /// C11, with AddressSanitizer and UndefinedBehaviorSanitizer.
    Sanitized,
    /// C11, under valgrind.
    Valgrind,
}

/// The agent at work. It ends with the value.
pub(crate) struct Agent {
    build: Build,
    child: Child,
    commands: Option<BufWriter<ChildStdin>>,
    answers: BufReader<Patient>,
    complaints: Option<JoinHandle<String>>,
}

/// What comes from the agent, as long as it does not take for ever.
struct Patient(ChildStdout);

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut entry = libc::pollfd {
            fd: self.0.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: the kernel reads and writes one entry.
        if unsafe { libc::poll(&mut entry, 1, PATIENCE.as_millis() as i32) } != 1 {
            return Err(ErrorKind::TimedOut.into());
        }
        self.0.read(buffer)
    }
}

impl Agent {
    /// Starts the agent, in the network namespace of this thread. The reason where that cannot be.
    pub(crate) fn start(build: Build) -> Result<Self, String> {
        check_compiler()?;
        let program = program(build);
        let mut command = if build == Build::Valgrind {
            if Command::new("valgrind").arg("--version").output().is_err() {
                return Err("valgrind is not installed".to_owned());
            }
            let mut command = Command::new("valgrind");
            command.args([
                "--quiet",
                "--error-exitcode=9",
                "--leak-check=full",
                "--errors-for-leak-kinds=definite,indirect,possible",
                // Threads have their turns in order; otherwise one that polls keeps the others out.
                "--fair-sched=yes",
            ]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        let mut child = command
            .env("UBSAN_OPTIONS", "print_stacktrace=1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut errors = child.stderr.take().expect("piped");
        let complaints = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Ok(Self {
            build,
            commands: child.stdin.take().map(BufWriter::new),
            answers: BufReader::new(Patient(child.stdout.take().expect("piped"))),
            child,
            complaints: Some(complaints),
        })
    }

    /// Gives a command with packets; the answer's numbers, or an errno.
    fn ask(&mut self, command: &str, packets: &[Vec<u8>]) -> Result<Vec<u64>, i32> {
        match self.try_ask(command, packets) {
            Ok(answer) => answer,
            Err(error) => {
                let _ = self.child.kill();
                panic!("{command}: {error}; the agent says: {}", self.complaints());
            }
        }
    }

    fn try_ask(
        &mut self,
        command: &str,
        packets: &[Vec<u8>],
    ) -> std::io::Result<Result<Vec<u64>, i32>> {
        let commands = self.commands.as_mut().expect("taken at the end alone");
        writeln!(commands, "{command}")?;
        for packet in packets {
            commands.write_all(&(packet.len() as u32).to_ne_bytes())?;
            commands.write_all(packet)?;
        }
        commands.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let (verdict, rest) = line.trim_end().split_once(' ').unwrap_or((&line, ""));
        match verdict {
            "ok" => Ok(Ok(rest
                .split(' ')
                .map(|number| number.parse().expect("a number"))
                .collect())),
            "error" => {
                println!("{rest}");
                let errno = rest.split(' ').next().and_then(|word| word.parse().ok());
                Ok(Err(errno.expect("an errno")))
            }
            _ => Err(std::io::Error::other(format!("no answer: {line:?}"))),
        }
    }

    /// The packets that follow an answer.
    fn packets(&mut self, count: u64) -> Vec<Vec<u8>> {
        let mut packet = || {
            let mut len = [0; 4];
            self.answers.read_exact(&mut len)?;
            let mut bytes = vec![0; u32::from_ne_bytes(len) as usize];
            self.answers.read_exact(&mut bytes)?;
            Ok::<_, std::io::Error>(bytes)
        };
        (0..count).map(|_| packet().expect("a packet")).collect()
    }

    /// What it wrote to its standard error, but for one warning that valgrind repeats endlessly.
    fn complaints(&mut self) -> String {
        let text = self.complaints.take().map(|thread| thread.join());
        let text = text.and_then(Result::ok).unwrap_or_default();
        let lines = text
            .lines()
            .filter(|line| !line.contains("WARNING: unhandled eBPF command"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Ends it, which it does without a complaint.
    pub(crate) fn end(mut self) {
        drop(self.commands.take());
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            if Instant::now() >= deadline {
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(1));
        };
        let complaints = self.complaints();
        assert!(
            status.success(),
            "{:?}: {status}:\n{complaints}",
            self.build
        );
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Nothing happens where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A place, seen through the C face: veth pairs, or the simulated network that the agent has.
pub(crate) struct CWorld {
    agent: Rc<RefCell<Agent>>,
    veth: Option<VethPlace>,
    stepped: bool,
    next: u32,
}

impl CWorld {
    pub(crate) fn over_veth(agent: Agent) -> Self {
        Self {
            agent: Rc::new(RefCell::new(agent)),
            veth: Some(VethPlace::default()),
            stepped: false,
            next: 0,
        }
    }

    pub(crate) fn over_sim(agent: Agent, stepped: bool) -> Self {
        let world = Self {
            agent: Rc::new(RefCell::new(agent)),
            veth: None,
            stepped,
            next: 0,
        };
        let thread = u32::from(!stepped);
        world.ask(&format!("sim {thread}")).expect("a network");
        world
    }

    fn ask(&self, command: &str) -> Result<Vec<u64>, i32> {
        self.agent.borrow_mut().ask(command, &[])
    }

    /// Ends the scenario; the agent can serve another one.
    pub(crate) fn into_agent(mut self) -> Agent {
        self.ask("reset").expect("all closed");
        if let Some(place) = &mut self.veth
            && self.agent.borrow().build == Build::Valgrind
        {
            place.clear();
        }
        let agent = Rc::into_inner(self.agent).expect("all sockets are gone");
        agent.into_inner()
    }
}

impl World for CWorld {
    fn cycles(&self) -> usize {
        match (&self.veth, self.agent.borrow().build) {
            (_, Build::Valgrind) => CYCLES_WATCHED,
            (Some(_), _) => cycles_over_veth(CYCLES_OVER_VETH),
            (None, _) => CYCLES,
        }
    }

    fn add_pair(&mut self, one: &str, other: &str, pair: Pair) {
        match &mut self.veth {
            Some(place) => place.add_pair(one, other, pair),
            None => {
                let Pair { queues, mtu } = pair;
                self.ask(&format!("pair {one} {other} {queues} {mtu}"))
                    .expect("a pair");
            }
        }
    }

    fn open(
        &mut self,
        link: &str,
        mode: Mode,
        options: &Options,
        umem: Option<&dyn Socket>,
    ) -> Result<Box<dyn Socket>, i32> {
        let Options {
            queue,
            frames,
            chunk,
            headroom,
            fill,
            rx,
            tx,
            completion,
            tx_budget,
            need_wakeup,
            program,
            generic,
            patience_ms,
        } = *options;
        let id = self.next;
        let budget = tx_budget.unwrap_or(0);
        let (wakeup, program) = (u32::from(!need_wakeup), u32::from(!program));
        let xdp = if generic { 2 } else { 0 };
        let mode = match mode {
            Mode::Engine => "engine",
            Mode::Halves => "halves",
            Mode::Raw => "raw",
        };
        let owner = umem.map_or(id, |other| {
            let other: &CSocket = other.as_any().downcast_ref().expect("of this face");
            other.id
        });
        self.ask(&format!(
            "open {id} {mode} {link} {queue} {frames} {chunk} {headroom} {fill} {rx} {tx} {completion} \
             {budget} {wakeup} {program} {xdp} {patience_ms} {owner}"
        ))?;
        // The numbers of sockets that are gone are free.
        self.next = (self.next + 1) % 64;
        Ok(Box::new(CSocket {
            agent: Rc::clone(&self.agent),
            id,
        }))
    }

    fn listen(&mut self, link: &str) {
        match &mut self.veth {
            Some(place) => place.listen(link),
            None => while self.hear(link, 0).is_some() {},
        }
    }

    fn hear(&mut self, link: &str, ms: u32) -> Option<Vec<u8>> {
        if let Some(place) = &mut self.veth {
            return place.hear(link, ms);
        }
        let deadline = Instant::now() + Duration::from_millis(ms.into());
        loop {
            let mut agent = self.agent.borrow_mut();
            let count = agent
                .ask(&format!("host_take {link}"), &[])
                .expect("a host")[0];
            if let Some(packet) = agent.packets(count).pop() {
                return Some(packet);
            }
            drop(agent);
            if Instant::now() >= deadline {
                return None;
            }
            self.pass();
        }
    }

    fn host_send(&mut self, link: &str, frame: &[u8]) {
        match &mut self.veth {
            Some(place) => place.host_send(link, frame),
            None => {
                let mut agent = self.agent.borrow_mut();
                agent
                    .ask(&format!("host_send {link}"), &[frame.to_vec()])
                    .expect("sent");
            }
        }
    }

    fn set_up(&mut self, link: &str, up: bool) {
        match &mut self.veth {
            Some(place) => place.set_up(link, up),
            None => {
                let up = u32::from(up);
                self.ask(&format!("set_up {link} {up}")).expect("set");
            }
        }
    }

    fn set_mtu(&mut self, link: &str, mtu: u32) {
        match &mut self.veth {
            Some(place) => place.set_mtu(link, mtu),
            None => {
                self.ask(&format!("set_mtu {link} {mtu}")).expect("set");
            }
        }
    }

    fn pass(&mut self) {
        match &mut self.veth {
            Some(place) => place.pass(),
            None if self.stepped => {
                self.ask("settle").expect("settled");
            }
            None => thread::sleep(Duration::from_micros(200)),
        }
    }
}

/// A socket of the agent.
struct CSocket {
    agent: Rc<RefCell<Agent>>,
    id: u32,
}

impl CSocket {
    fn try_ask(&self, command: &str, rest: &str) -> Result<Vec<u64>, i32> {
        let command = format!("{command} {} {rest}", self.id);
        self.agent.borrow_mut().ask(&command, &[])
    }

    fn ask(&self, command: &str, rest: &str) -> Vec<u64> {
        self.try_ask(command, rest)
            .unwrap_or_else(|errno| panic!("{command} {rest}: errno {errno}"))
    }

    fn ask_with(&self, command: &str, packets: &[Vec<u8>]) -> u64 {
        let command = format!("{command} {} {}", self.id, packets.len());
        let answer = self.agent.borrow_mut().ask(&command, packets);
        answer.unwrap_or_else(|errno| panic!("{command}: errno {errno}"))[0]
    }

    fn packets(&self, command: &str, max: u32) -> Vec<Vec<u8>> {
        let count = self.ask(command, &max.to_string())[0];
        self.agent.borrow_mut().packets(count)
    }
}

impl Socket for CSocket {
    fn put(&mut self, frames: &[Vec<u8>]) -> usize {
        self.ask_with("put", frames) as usize
    }

    fn wake(&mut self) -> Result<(), i32> {
        self.try_ask("wake", "").map(drop)
    }

    fn receive(&mut self, max: u32) -> Vec<Vec<u8>> {
        self.packets("receive", max)
    }

    fn hold(&mut self, max: u32) -> Vec<Vec<u8>> {
        self.packets("hold", max)
    }

    fn release(&mut self, count: usize) {
        self.ask("release", &count.to_string());
    }

    fn send_held(&mut self, count: usize, grow: usize) -> usize {
        self.ask("send_held", &format!("{count} {grow}"))[0] as usize
    }

    fn give(&mut self, count: usize) -> Box<dyn Any> {
        Box::new((self.id, count))
    }

    fn adopt(&mut self, packets: Box<dyn Any>) -> usize {
        let (giver, count): (u32, usize) = *packets.downcast().expect("of this face");
        let command = format!("pass {giver} {count} {}", self.id);
        let answer = self.agent.borrow_mut().ask(&command, &[]);
        answer.unwrap_or_else(|errno| panic!("{command}: errno {errno}"))[0] as usize
    }

    fn echo(&mut self, max: u32) -> usize {
        self.ask("echo", &max.to_string())[0] as usize
    }

    fn send_wrong(&mut self, wrong: Wrong) -> i32 {
        self.ask("wrong", &format!("{wrong:?}"))[0] as i32
    }

    fn bridge(&mut self, other: &mut dyn Socket, max: u32) -> usize {
        let other: &Self = other.as_any().downcast_ref().expect("of this face");
        self.ask("bridge", &format!("{} {max}", other.id))[0] as usize
    }

    fn refill(&mut self) {
        self.ask("refill", "");
    }

    fn wait(&mut self, interest: u32, ms: u32) -> Result<Ready, i32> {
        let bits = self.try_ask("wait", &format!("{interest} {ms}"))?[0];
        Ok(Ready {
            receive: bits & 1 != 0,
            send: bits & 2 != 0,
        })
    }

    fn has_descriptor(&mut self) -> bool {
        self.ask("has_descriptor", "")[0] == 1
    }

    fn flush(&mut self, ms: u32) -> bool {
        self.ask("flush", &ms.to_string())[0] == 1
    }

    fn flood(&mut self, frames: &[Vec<u8>]) {
        self.ask_with("flood", frames);
    }

    fn flooded(&mut self) -> u64 {
        self.ask("flooded", "")[0]
    }

    fn serve(&mut self) {
        self.ask("serve", "");
    }

    fn calm(&mut self) {
        self.ask("calm", "");
    }

    fn statistics(&mut self) -> Statistics {
        let numbers = self.ask("statistics", "");
        let numbers: [u64; 8] = numbers.try_into().expect("eight");
        let [
            received,
            sent,
            rx_dropped,
            rx_invalid,
            tx_invalid,
            rx_ring_full,
            fill_empty,
            tx_empty,
        ] = numbers;
        Statistics {
            received,
            sent,
            rx_dropped,
            rx_invalid,
            tx_invalid,
            rx_ring_full,
            fill_empty,
            tx_empty,
        }
    }

    fn program(&mut self) -> Option<Program> {
        let numbers: [u64; 4] = self.ask("program", "").try_into().expect("four");
        let [attached, drop, redirect, pass] = numbers;
        (attached == 1).then_some(Program {
            drop,
            redirect,
            pass,
        })
    }

    fn rings(&mut self) -> Rings {
        let numbers = self
            .ask("rings", "")
            .into_iter()
            .map(|number| number as u32);
        let numbers: [u32; 7] = numbers.collect::<Vec<_>>().try_into().expect("seven");
        let [fill, rx, tx, completion, pool, user, kernel] = numbers;
        Rings {
            occupied: [fill, rx, tx, completion],
            frames: [pool, user, kernel],
        }
    }

    fn close(&mut self) {
        self.ask("close", "");
    }

    fn prove_all_home(&mut self) {
        self.ask("forget", "");
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// A program that the C compiler makes cannot use the library where the tests were built for another processor, and are emulated.
fn check_compiler() -> Result<(), String> {
    static MACHINE: OnceLock<String> = OnceLock::new();
    let machine = MACHINE.get_or_init(|| {
        let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
        run(Command::new(compiler).arg("-dumpmachine"))
    });
    let (machine, wanted) = (machine.trim_end(), env::consts::ARCH);
    if machine.starts_with(wanted) || wanted == "x86" {
        return Ok(());
    }
    Err(format!(
        "the C compiler is one for {machine}, not for {wanted}"
    ))
}

/// The agent's program, compiled once a process.
fn program(build: Build) -> PathBuf {
    static PROGRAMS: [OnceLock<PathBuf>; 3] = [const { OnceLock::new() }; 3];
    let (number, compiler, words) = match build {
        Build::C11 | Build::Valgrind => (0, ("CC", "cc"), &["-std=c11", "-x", "c"][..]),
        Build::Cpp17 => (1, ("CXX", "c++"), &["-std=c++17", "-x", "c++"][..]),
        Build::Sanitized => (
            2,
            ("CC", "cc"),
            &[
                "-std=c11",
                "-x",
                "c",
                "-fsanitize=address,undefined",
                "-fno-sanitize-recover=all",
                "-fno-omit-frame-pointer",
            ][..],
        ),
    };
    let program = PROGRAMS[number].get_or_init(|| {
        let directory = directory();
        let program = directory.join(format!("agent{number}"));
        let compiler = env::var_os(compiler.0).unwrap_or_else(|| compiler.1.into());
        let mut command = Command::new(compiler);
        command
            .args(words)
            .args(["-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
            .arg(directory.join("agent.c"))
            .args(["-x", "none", "-pthread", "-o"])
            .arg(&program)
            .arg("-I")
            .arg(&directory)
            .arg("-L")
            .arg(&directory)
            // Unlike a "runpath" it is searched before LD_LIBRARY_PATH, where cargo names a place in which an older build may have left a library.
            .arg("-Wl,--disable-new-dtags")
            .arg(format!("-Wl,-rpath,{}", directory.display()))
            .arg("-lfluxcap");
        run(&mut command);
        // That a sanitizer is asked for does not prove that it is there.
        let symbols = run(Command::new("nm").arg(&program));
        let sanitized = symbols.contains("__asan_init");
        assert_eq!(sanitized, build == Build::Sanitized, "AddressSanitizer");
        program
    });
    program.clone()
}

/// A directory with the sources, the header, and the library as programs look for it. It goes away with the process.
fn directory() -> PathBuf {
    static DIRECTORY: Mutex<Option<PathBuf>> = Mutex::new(None);
    extern "C" fn remove() {
        let directory = DIRECTORY.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = &*directory {
            let _ = fs::remove_dir_all(directory);
        }
    }

    let mut known = DIRECTORY.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(directory) = &*known {
        return directory.clone();
    }
    let name = format!("scenarios-{}", std::process::id());
    let mut places = [PathBuf::from(env!("CARGO_TARGET_TMPDIR")), env::temp_dir()]
        .into_iter()
        .map(|place| place.join(&name));
    let directory = places
        .find(|place| fs::create_dir_all(place).is_ok())
        .expect("a directory for temporary files");
    *known = Some(directory.clone());
    // SAFETY: a function without arguments, which is there until the end.
    unsafe { libc::atexit(remove) };
    for (file, text) in [
        ("agent.c", include_str!("agent.c")),
        ("fluxcap.h", include_str!("../../include/fluxcap.h")),
    ] {
        fs::write(directory.join(file), text).unwrap();
    }
    // Cargo leaves the library beside this test.
    let library = env::current_exe().unwrap().with_file_name("libfluxcap.so");
    symlink(library, directory.join("libfluxcap.so")).unwrap();
    directory
}

/// Runs a command that has to succeed, and returns what it prints.
fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
