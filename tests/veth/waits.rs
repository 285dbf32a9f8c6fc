//! What ends a call that waits: every one of them × everything that can happen meanwhile, as a table, and each cell is run.
//!
//! A column more is a variant of [`Event`] and what it does; a row more is a function that makes a [`Waiter`]. That a thread is cancelled is
//! a matter of C programs: `tests/c/waits.c`. Calls that wait to send are in [`send`]. That no call is missing is a test, too.

#[path = "waits/complete.rs"]
mod complete;
#[path = "waits/send.rs"]
mod send;

use std::fs;
use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::ptr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fluxcap::{
    EngineGroup, ErrorKind, FluxEngine, FluxRaw, FluxRx, Interest, PacketBatch, Poller, Result,
};

use super::net::{Elsewhere, add_pair, in_empty_namespace, in_namespace, ip, wait_until};
use super::traffic::{frames, small};

/// Longer than any test.
const HOUR: Duration = Duration::from_secs(3600);

/// Nothing takes that long but a call that hangs.
const WATCHDOG: Duration = Duration::from_secs(60);

/// What happens while a call waits.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    /// The interface is deleted.
    Deleted,
    /// The interface gets another name.
    Renamed,
    /// The interface is moved to another network namespace.
    Moved,
    /// Somebody takes the XDP program off.
    ProgramGone,
    /// Somebody puts another XDP program in the place of ours.
    Replaced,
    /// The process makes a child, which ends at once.
    Forked,
    /// A stopper stops it, or the future is dropped.
    Stop,
    /// The thread gets a signal that it has a handler for.
    Signalled,
}

/// What becomes of the call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    /// An error of kind `Gone`.
    Gone,
    /// It waits on, and gets the next packet.
    Packet,
    /// It waits on, until what is to be sent has left.
    Sent,
    /// It comes back without a packet, so that the caller can look at what has happened.
    Nothing,
    /// An error of kind `Stopped`, or the end of a run.
    Stopped,
    /// Any other error.
    Error(ErrorKind),
    /// It does not come back.
    Hangs,
}

use Event::*;
use Outcome::*;

const EVENTS: [Event; 8] = [
    Deleted,
    Renamed,
    Moved,
    ProgramGone,
    Replaced,
    Forked,
    Stop,
    Signalled,
];

type Row = (&'static str, fn(FluxRaw) -> Waiter, [Outcome; 8]);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // call                                       Deleted Renamed Moved ProgramGone Replaced Forked Stop Signalled
    ("FluxRaw::wait_rx",      raw_wait_rx,      [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Nothing]),
    ("FluxRaw::wait",         raw_wait,         [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Nothing]),
    ("FluxRx::recv",          rx_recv,          [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Nothing]),
    ("FluxRx::recv, spinning", rx_recv_busy,    [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Packet]),
    ("FluxRx::recv_timeout",  rx_recv_timeout,  [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Nothing]),
    ("FluxRx::recv_one",      rx_recv_one,      [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Nothing]),
    ("FluxRx::recv_one_timeout", rx_recv_one_timeout, [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Nothing]),
    ("FluxRx::wait",          rx_wait,          [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Nothing]),
    ("FluxEngine::run",       engine_run,       [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Packet]),
    ("FluxEngine::run_for",   engine_run_for,   [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Packet]),
    ("FluxEngine::run_each",  engine_run_each,  [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Packet]),
    ("FluxEngine::run_each_for", engine_run_each_for, [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Packet]),
    ("FluxEngine::wait",      engine_wait,      [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Nothing]),
    ("EngineGroup::run",      group_run,        [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Packet]),
    ("EngineGroup::run_for",  group_run_for,    [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Packet]),
    ("Pacer::idle",           pacer_idle,       [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Nothing]),
    #[cfg(feature = "async")]
    ("AsyncFluxRx::recv",     async_recv,       [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Packet]),
    #[cfg(feature = "async")]
    ("AsyncFluxRx::recv_one", async_recv_one,   [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Packet]),
    ("poll on FluxRx::fd",    poll_rx_fd,       [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Packet]),
    ("poll on FluxRaw::rx_fd", poll_raw_rx_fd,  [Gone, Packet, Gone, Gone, Gone, Packet, Stopped, Packet]),
];

/// A call that is about to wait, and how to stop it.
struct Waiter {
    call: Box<dyn FnOnce() -> Outcome + Send>,
    stop: Box<dyn Fn() + Send>,
}

fn waiter(
    stop: impl Fn() + Send + 'static,
    call: impl FnOnce() -> Outcome + Send + 'static,
) -> Waiter {
    Waiter {
        call: Box::new(call),
        stop: Box::new(stop),
    }
}

fn outcome(result: Result<bool>) -> Outcome {
    match result {
        Ok(true) => Packet,
        Ok(false) => Nothing,
        Err(error) => match error.kind() {
            ErrorKind::Gone => Gone,
            ErrorKind::Stopped => Stopped,
            kind => Error(kind),
        },
    }
}

// The rows.

fn raw_wait_rx(mut raw: FluxRaw) -> Waiter {
    let stopper = raw.stopper();
    waiter(move || stopper.stop(), move || outcome(raw.wait_rx(None)))
}

fn raw_wait(mut raw: FluxRaw) -> Waiter {
    let stopper = raw.stopper();
    let call = move || outcome(raw.wait(Interest::Receive, None).map(|ready| ready.receive));
    waiter(move || stopper.stop(), call)
}

fn rx_with(
    raw: FluxRaw,
    poller: Poller,
    call: impl FnOnce(&mut FluxRx) -> Result<bool> + Send + 'static,
) -> Waiter {
    let (mut rx, tx) = raw.split();
    rx.set_poller(poller);
    let stopper = rx.stopper();
    let call = move || {
        let result = call(&mut rx);
        drop(tx);
        outcome(result)
    };
    waiter(move || stopper.stop(), call)
}

fn recv_batch(rx: &mut FluxRx) -> Result<bool> {
    let mut batch = PacketBatch::with_capacity(8);
    rx.recv(&mut batch).map(|count| count > 0)
}

fn rx_recv(raw: FluxRaw) -> Waiter {
    rx_with(raw, Poller::Wait, recv_batch)
}

fn rx_recv_busy(raw: FluxRaw) -> Waiter {
    rx_with(raw, Poller::Busy, recv_batch)
}

fn rx_recv_timeout(raw: FluxRaw) -> Waiter {
    rx_with(raw, Poller::Wait, |rx| {
        let mut batch = PacketBatch::with_capacity(8);
        rx.recv_timeout(&mut batch, HOUR).map(|count| count > 0)
    })
}

fn rx_recv_one(raw: FluxRaw) -> Waiter {
    rx_with(raw, Poller::Wait, |rx| {
        rx.recv_one().map(|packet| packet.is_some())
    })
}

fn rx_recv_one_timeout(raw: FluxRaw) -> Waiter {
    rx_with(raw, Poller::Wait, |rx| {
        rx.recv_one_timeout(HOUR).map(|packet| packet.is_some())
    })
}

fn rx_wait(raw: FluxRaw) -> Waiter {
    rx_with(raw, Poller::Wait, |rx| rx.wait(None))
}

fn pacer_idle(mut raw: FluxRaw) -> Waiter {
    let stopper = raw.stopper();
    let call = move || {
        let mut batch = PacketBatch::with_capacity(8);
        let waited = Poller::Wait.pacer().idle(&mut raw, None);
        outcome(waited.map(|()| raw.receive(&mut batch) > 0))
    };
    waiter(move || stopper.stop(), call)
}

/// The outcome of a run: a packet stops it, too.
fn ran<T>(result: Result<T>, packets: u64) -> Outcome {
    match outcome(result.map(|_| packets > 0)) {
        Nothing => Stopped,
        other => other,
    }
}

fn engine_run(raw: FluxRaw) -> Waiter {
    engine_run_within(raw, None)
}

fn engine_run_for(raw: FluxRaw) -> Waiter {
    engine_run_within(raw, Some(HOUR))
}

fn engine_run_within(raw: FluxRaw, time: Option<Duration>) -> Waiter {
    let mut engine = FluxEngine::new(raw);
    engine.set_poller(Poller::Wait);
    engine.set_patience(Duration::MAX);
    let (stopper, own) = (engine.stopper(), engine.stopper());
    let call = move || {
        let mut packets = 0;
        let callback = |batch: &mut fluxcap::BatchRef<'_>| {
            packets += batch.len() as u64;
            own.stop();
        };
        let result = match time {
            None => engine.run(callback),
            Some(time) => engine.run_for(time, callback),
        };
        ran(result, packets)
    };
    waiter(move || stopper.stop(), call)
}

fn engine_run_each(raw: FluxRaw) -> Waiter {
    engine_run_each_within(raw, None)
}

fn engine_run_each_for(raw: FluxRaw) -> Waiter {
    engine_run_each_within(raw, Some(HOUR))
}

fn engine_run_each_within(raw: FluxRaw, time: Option<Duration>) -> Waiter {
    let mut engine = FluxEngine::new(raw);
    engine.set_poller(Poller::Wait);
    engine.set_patience(Duration::MAX);
    let (stopper, own) = (engine.stopper(), engine.stopper());
    let call = move || {
        let mut packets = 0;
        let look = |_: &mut fluxcap::PortPacket<'_>| {
            packets += 1;
            own.stop();
        };
        let result = match time {
            None => engine.run_each(look),
            Some(time) => engine.run_each_for(time, look),
        };
        ran(result, packets)
    };
    waiter(move || stopper.stop(), call)
}

/// As a loop of one's own would use it.
fn engine_wait(raw: FluxRaw) -> Waiter {
    let mut engine = FluxEngine::new(raw);
    engine.set_poller(Poller::Wait);
    let stopper = engine.stopper();
    let own = stopper.clone();
    let call = move || {
        if let Err(error) = engine.wait(None) {
            return outcome(Err(error));
        }
        let packets = engine.run_once(|_| ());
        match outcome(packets.map(|count| count > 0)) {
            // It leaves the stop to a run.
            Nothing if own.is_stopping() => Stopped,
            other => other,
        }
    };
    waiter(move || stopper.stop(), call)
}

fn group_run(raw: FluxRaw) -> Waiter {
    group_run_within(raw, None)
}

fn group_run_for(raw: FluxRaw) -> Waiter {
    group_run_within(raw, Some(HOUR))
}

fn group_run_within(raw: FluxRaw, time: Option<Duration>) -> Waiter {
    let mut engine = FluxEngine::new(raw);
    engine.set_poller(Poller::Wait);
    let mut group = EngineGroup::new([engine]).unwrap();
    let (stopper, own) = (group.stopper(), group.stopper());
    let call = move || {
        let packets = Arc::new(Mutex::new(0));
        let counted = packets.clone();
        let make = |_| {
            let (packets, own) = (counted.clone(), own.clone());
            move |batch: &mut fluxcap::BatchRef<'_>| {
                *packets.lock().unwrap() += batch.len() as u64;
                own.stop();
            }
        };
        let result = match time {
            None => group.run(make),
            Some(time) => group.run_for(time, make),
        };
        let packets = *packets.lock().unwrap();
        ran(result, packets)
    };
    waiter(move || stopper.stop(), call)
}

/// Runs a future until it is stopped, which drops it.
#[cfg(feature = "async")]
fn task<F: Future<Output = Result<Outcome>>>(make: impl FnOnce() -> F + Send + 'static) -> Waiter {
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let call = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            tokio::select! {
                result = make() => result.unwrap_or_else(|error| outcome(Err(error))),
                _ = stopped.changed() => Stopped,
            }
        })
    };
    let stop = move || {
        let _ = stop.send(true);
    };
    waiter(stop, call)
}

#[cfg(feature = "async")]
fn async_recv(raw: FluxRaw) -> Waiter {
    task(move || async {
        let (rx, _tx) = raw.split();
        let mut rx = fluxcap::AsyncFluxRx::new(rx)?;
        let mut batch = PacketBatch::with_capacity(8);
        rx.recv(&mut batch)
            .await
            .map(|count| outcome(Ok(count > 0)))
    })
}

#[cfg(feature = "async")]
fn async_recv_one(raw: FluxRaw) -> Waiter {
    task(move || async {
        let (rx, _tx) = raw.split();
        let mut rx = fluxcap::AsyncFluxRx::new(rx)?;
        rx.recv_one().await.map(|_| Packet)
    })
}

/// An event loop: it sleeps on a descriptor alone, and looks without waiting.
fn event_loop(fd: OwnedFd, mut look: impl FnMut() -> Result<bool> + Send + 'static) -> Waiter {
    let (stopped, stop) = io::pipe().unwrap();
    let call = move || {
        loop {
            let mut entries = [fd.as_raw_fd(), stopped.as_raw_fd()].map(|fd| libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            });
            // SAFETY: the kernel reads and writes two entries. There is no timeout: the descriptor alone ends it.
            unsafe { libc::poll(entries.as_mut_ptr(), 2, -1) };
            if entries[1].revents != 0 {
                return Stopped;
            }
            match look() {
                Ok(false) => {}
                other => return outcome(other),
            }
        }
    };
    let stop = Mutex::new(Some(stop));
    waiter(move || drop(stop.lock().unwrap().take()), call)
}

fn poll_rx_fd(raw: FluxRaw) -> Waiter {
    let (mut rx, tx) = raw.split();
    let fd = rx.fd().unwrap().try_clone_to_owned().unwrap();
    event_loop(fd, move || {
        let _keep = &tx;
        let mut batch = PacketBatch::with_capacity(8);
        rx.recv_timeout(&mut batch, Duration::ZERO)
            .map(|count| count > 0)
    })
}

fn poll_raw_rx_fd(mut raw: FluxRaw) -> Waiter {
    let fd = raw.rx_fd().unwrap().try_clone_to_owned().unwrap();
    event_loop(fd, move || {
        let mut batch = PacketBatch::with_capacity(8);
        let received = raw.receive(&mut batch) > 0;
        if !received {
            raw.check()?;
        }
        Ok(received)
    })
}

// The columns.

/// A thread that waits.
struct Waiting {
    thread: i32,
    ended: Receiver<Outcome>,
}

/// Starts a call on a thread of its own, and returns when it sleeps there, or spins.
fn start(call: Box<dyn FnOnce() -> Outcome + Send>) -> Waiting {
    let (tell, told) = channel();
    let (end, ended): (Sender<Outcome>, _) = channel();
    thread::spawn(move || {
        // SAFETY: it takes nothing, and returns a number.
        tell.send(unsafe { libc::gettid() }).unwrap();
        let outcome = call();
        let _ = end.send(outcome);
    });
    let thread = told.recv().unwrap();
    // It may be looked at before it is in the call: a moment more does no harm, and a moment less neither, but for what is tried.
    thread::sleep(Duration::from_millis(30));
    wait_until("the call waits", || {
        let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
        stat.is_ok_and(|stat| {
            let state = stat.rsplit(") ").next().unwrap_or_default();
            state.starts_with(['S', 'R'])
        })
    });
    Waiting { thread, ended }
}

/// Does it to the interface `near`, or to a thread.
fn happen(event: Event, waiting: &Waiting, waiter: &dyn Fn()) -> Option<Elsewhere> {
    match event {
        Deleted => drop(ip("link del near")),
        Renamed => drop(ip("link set near name other")),
        Moved => return Some(Elsewhere::with("near", "10.99.0.1/24")),
        ProgramGone => detach("near"),
        Replaced => replace("near"),
        Forked => fork(),
        Stop => waiter(),
        Signalled => {
            on_signal();
            let process = std::process::id();
            // SAFETY: it takes numbers, and is an error when the thread has ended.
            unsafe { libc::syscall(libc::SYS_tgkill, process, waiting.thread, libc::SIGUSR1) };
        }
    }
    None
}

/// A handler that does nothing, and lets calls come back.
fn on_signal() {
    extern "C" fn handle(_signal: libc::c_int) {}
    // SAFETY: zeros are a valid action; the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut()), 0);
    }
}

fn fork() {
    // SAFETY: the child does nothing but end.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    assert!(child > 0);
    let mut status = 0;
    // SAFETY: the kernel writes one number; the child is ours.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
}

/// Takes the XDP program off an interface of this namespace, as an administrator would with `bpftool link detach`.
fn detach(interface: &str) {
    const LINK_DETACH: i32 = 34;
    let link = link_of(interface);
    assert_eq!(bpf(LINK_DETACH, &mut [link.as_raw_fd() as u32]), 0);
}

/// Puts a program that passes every packet on to the kernel's network stack in the place of the one on an interface of this namespace.
fn replace(interface: &str) {
    const PROG_LOAD: i32 = 5;
    const LINK_UPDATE: i32 = 29;
    const PROG_TYPE_XDP: u32 = 6;
    const ATTACH_TYPE_XDP: u32 = 37;
    // r0 = XDP_PASS; exit
    let code = [0xb7_u64 | 2 << 32, 0x95];
    let halves = |address: u64| [address as u32, (address >> 32) as u32];
    let mut load = [0; 18];
    load[..2].copy_from_slice(&[PROG_TYPE_XDP, code.len() as u32]);
    load[2..4].copy_from_slice(&halves(code.as_ptr() as u64));
    load[4..6].copy_from_slice(&halves(c"GPL".as_ptr() as u64));
    load[17] = ATTACH_TYPE_XDP;
    let program = bpf(PROG_LOAD, &mut load);
    assert!(program >= 0, "{}", io::Error::last_os_error());
    // SAFETY: a new descriptor, which nobody else knows.
    let program = unsafe { OwnedFd::from_raw_fd(program) };
    let link = link_of(interface);
    let mut update = [link.as_raw_fd() as u32, program.as_raw_fd() as u32, 0, 0];
    let updated = bpf(LINK_UPDATE, &mut update);
    assert_eq!(updated, 0, "{}", io::Error::last_os_error());
}

/// The link that holds the XDP program of an interface of this namespace.
fn link_of(interface: &str) -> OwnedFd {
    const LINK_GET_FD_BY_ID: i32 = 30;
    const LINK_GET_NEXT_ID: i32 = 31;
    const OBJ_GET_INFO_BY_FD: i32 = 15;
    let shown = ip(&format!("-d link show dev {interface}"));
    let id = shown
        .split("prog/xdp id ")
        .nth(1)
        .expect("it has a program");
    // Unlike the index of the interface, it is one of its kind on the whole machine.
    let program: u32 = id.split_whitespace().next().unwrap().parse().unwrap();
    let mut start = 0;
    loop {
        let mut next = [start, 0, 0, 0];
        assert!(bpf(LINK_GET_NEXT_ID, &mut next) >= 0, "no link has it");
        start = next[1];
        let mut by_id = [start, 0, 0, 0];
        let fd = bpf(LINK_GET_FD_BY_ID, &mut by_id);
        if fd < 0 {
            continue;
        }
        // SAFETY: a new descriptor, which nobody else knows.
        let link = unsafe { OwnedFd::from_raw_fd(fd) };
        let info = [0_u32; 16];
        let address = info.as_ptr() as u64;
        let mut by_fd = [
            fd as u32,
            size_of_val(&info) as u32,
            address as u32,
            (address >> 32) as u32,
        ];
        assert_eq!(bpf(OBJ_GET_INFO_BY_FD, &mut by_fd), 0);
        // SAFETY: the kernel wrote there.
        let found = unsafe { ptr::read_volatile(&info[2]) };
        if found == program {
            return link;
        }
    }
}

fn bpf(command: i32, words: &mut [u32]) -> i32 {
    // SAFETY: the kernel reads and writes as many bytes as there are.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            words.as_mut_ptr(),
            size_of_val(words),
        )
    };
    result as i32
}

// The cells.

/// Does it again until the call has ended: a signal may fall between two sleeps.
fn happen_until_it_ends(event: Event, waiting: &Waiting, stop: &dyn Fn()) -> Outcome {
    const PAUSE: Duration = Duration::from_millis(20);
    for _ in 0..WATCHDOG.as_millis() / PAUSE.as_millis() {
        happen(event, waiting, stop);
        if let Ok(ended) = waiting.ended.recv_timeout(PAUSE) {
            return ended;
        }
    }
    Hangs
}

/// What becomes of one call when one thing happens; `feed` gives a call that waits on what it waits for.
fn run(waiter: Waiter, event: Event, expected: Outcome, feed: impl FnOnce()) -> Outcome {
    let Waiter { call, stop } = waiter;
    let waiting = start(call);
    if event == Signalled && expected == Nothing {
        return happen_until_it_ends(event, &waiting, &*stop);
    }
    let _elsewhere = happen(event, &waiting, &*stop);
    if [Packet, Sent].contains(&expected) {
        // Whatever it does by itself, it has had time for.
        let early = waiting.ended.recv_timeout(Duration::from_millis(250));
        if let Ok(outcome) = early {
            return outcome;
        }
        feed();
    }
    waiting.ended.recv_timeout(WATCHDOG).unwrap_or(Hangs)
}

fn column(event: Event) {
    let index = EVENTS.iter().position(|other| *other == event).unwrap();
    for &(name, make, outcomes) in TABLE {
        in_namespace(move || {
            let near = small("near").build().unwrap();
            let mut far = small("far").build().unwrap();
            let feed = || assert_eq!(super::traffic::send(&mut far, &frames(3, 60)), 3);
            let found = run(make(near), event, outcomes[index], feed);
            assert_eq!(found, outcomes[index], "{name}, {event:?}");
        });
    }
    for &(name, make, outcomes) in send::TABLE {
        in_namespace(move || {
            let Some(jam) = send::Jam::new() else { return };
            let mut near = small("near").build().unwrap();
            jam.fill_up(&mut near);
            let found = run(make(near), event, outcomes[index], || jam.open());
            // On its way out an interface is down first; who calls the kernel in that moment is told so.
            let is_down = outcomes[index] == Gone && found == Error(ErrorKind::Down);
            assert!(
                found == outcomes[index] || is_down,
                "{name}, {event:?}: {found:?}, not {:?}",
                outcomes[index]
            );
        });
    }
}

#[test]
fn a_wait_ends_with_an_error_when_the_interface_is_deleted() {
    column(Deleted);
}

#[test]
fn a_wait_goes_on_when_the_interface_gets_another_name() {
    let renames = in_empty_namespace(|| {
        add_pair("near", "far", "");
        let mut rename = Command::new("ip");
        rename.args(["link", "set", "near", "name", "other"]);
        rename.output().unwrap().status.success()
    });
    if renames == Ok(false) {
        println!("skipped: this kernel renames no interface that is up (Linux 6.2 does)");
        return;
    }
    column(Renamed);
}

#[test]
fn a_wait_ends_with_an_error_when_the_interface_is_moved_to_another_namespace() {
    column(Moved);
}

#[test]
fn a_wait_ends_with_an_error_when_the_program_is_taken_off() {
    column(ProgramGone);
}

#[test]
fn a_wait_ends_with_an_error_when_the_program_is_replaced() {
    column(Replaced);
}

#[test]
fn a_wait_goes_on_when_the_process_makes_a_child() {
    column(Forked);
}

#[test]
fn a_wait_ends_when_it_is_stopped() {
    column(Stop);
}

#[test]
fn a_wait_comes_back_after_a_signal_and_a_run_goes_on() {
    column(Signalled);
}

/// Frames that are held make waits short, one after the other.
#[test]
fn a_signal_or_a_stop_ends_a_wait_while_frames_are_short() {
    in_namespace(|| {
        for (make, event) in [
            (raw_wait_rx as fn(FluxRaw) -> Waiter, Signalled),
            (rx_recv, Signalled),
            (raw_wait_rx, Stop),
            (rx_recv, Stop),
        ] {
            let mut near = small("near").build().unwrap();
            let mut far = small("far").build().unwrap();
            let mut batch = PacketBatch::with_capacity(256);
            wait_until("all frames are held", || {
                super::traffic::send(&mut far, &frames(16, 60));
                near.receive(&mut batch);
                batch.len() == 256
            });
            let Waiter { call, stop } = make(near);
            let waiting = start(call);
            let ended = happen_until_it_ends(event, &waiting, &*stop);
            let expected = if event == Stop { Stopped } else { Nothing };
            assert_eq!(ended, expected);
        }
    });
}
