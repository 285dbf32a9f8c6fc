//! A simulated network: NICs, cables between them, and who moves the packets.

use std::fmt;
use std::hint;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::config::NicConfig;
use super::faults::Faults;
use super::nic::Nic;
use super::port::Port;
use super::trace::Event;
use super::world::World;
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::mem::Process;

/// Packets that the thread handles before it lets others look.
const TURN: u32 = 256;
/// How long the thread looks for work before it sleeps.
const SPIN: Duration = Duration::from_micros(200);
/// How often it lets others in before it takes its own turn.
const POLITE: u32 = 8;
/// How long it sleeps at most: some work comes without a call.
const NAP: Duration = Duration::from_millis(1);
/// How long it sleeps while traffic waits for a receiver, which may be ready any moment.
const SHORT_NAP: Duration = Duration::from_micros(50);

/// A network without a kernel: NICs that sockets can be opened on, and cables between them.
///
/// A handle, cheap to clone. Any thread. Nothing moves by itself: packets move when the network is [stepped](Self::step), when its time
/// [advances](Self::advance), when a socket waits, or while its [thread](Self::run) runs.
///
/// ```
/// use fluxcap::FluxBuilder;
/// use fluxcap::sim::Network;
///
/// let network = Network::new();
/// let nic = network.nic("sim0")?;
/// let mut raw = FluxBuilder::new(&nic).build()?;
///
/// nic.inject(0, b"to all: from me: hello")?;
/// network.settle();
/// assert_eq!(raw.inspect(64, |packet| assert!(packet.data().ends_with(b"hello"))), 1);
/// # Ok::<(), fluxcap::FluxError>(())
/// ```
#[derive(Clone)]
pub struct Network {
    pub(super) shared: Arc<Shared>,
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Network {
    /// A network without NICs, with seed 0.
    #[must_use]
    pub fn new() -> Self {
        Self::with_seed(0)
    }

    /// A network whose [faults](Faults) follow from a seed: the same seed and the same calls on one thread give the same
    /// [trace](Self::trace), byte for byte. When a test panics, the seed is printed.
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                world: Mutex::new(World::new(seed)),
                work: Condvar::new(),
                news: Condvar::new(),
                sleepers: AtomicU32::new(0),
                queue: AtomicU32::new(0),
                has_thread: AtomicBool::new(false),
            }),
        }
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.shared.lock().seed
    }

    /// Adds an ordinary NIC: one queue, MTU 1500, up, without a cable.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn nic(&self, name: &str) -> Result<Nic> {
        self.add(NicConfig::new(name))
    }

    /// Adds a NIC. It is up, and without a cable.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid): a number out of its range, or a name that the network has already.
    pub fn add(&self, config: NicConfig) -> Result<Nic> {
        config.check()?;
        let mut world = self.shared.lock();
        let known = |port: &Port| !port.removed && port.config.name == config.name;
        if world.ports.iter().any(known) {
            return Err(FluxError::new(
                ErrorKind::Invalid,
                errno::EEXIST,
                format_args!("adding the simulated NIC {:?}", config.name),
                "the network has one of this name",
                "use another name",
            ));
        }
        let faults = world.faults;
        world.ports.push(Port::new(config, faults));
        world.assign();
        Ok(Nic {
            shared: Arc::clone(&self.shared),
            index: world.ports.len() - 1,
        })
    }

    /// The NIC of this name.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound).
    pub fn find(&self, name: &str) -> Result<Nic> {
        let world = self.shared.lock();
        let found = |port: &Port| !port.removed && port.config.name == name;
        match world.ports.iter().position(found) {
            Some(index) => Ok(Nic {
                shared: Arc::clone(&self.shared),
                index,
            }),
            None => Err(FluxError::new(
                ErrorKind::NotFound,
                errno::ENODEV,
                format_args!("looking for the simulated NIC {name:?}"),
                "the network has none of this name",
                "add it first",
            )),
        }
    }

    /// Joins two NICs by a cable: what one sends, the other receives, on the queue of the same number.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) when it is twice the same, or they belong to different networks; [`Busy`](ErrorKind::Busy)
    /// when one has a cable already; [`NotFound`](ErrorKind::NotFound) when one was removed.
    pub fn join(&self, one: &Nic, other: &Nic) -> Result<()> {
        let ours = |nic: &Nic| Arc::ptr_eq(&nic.shared, &self.shared);
        if !ours(one) || !ours(other) || one.index == other.index {
            return Err(FluxError::invalid(
                "joining two simulated NICs",
                "they must be two, both of this network",
                "add both to the network that joins them",
            ));
        }
        let far = other.index;
        one.with(|world, near| {
            if world.ports[far].removed {
                return Err(Nic::absent(&world.ports[far]));
            }
            for port in [near, far] {
                if world.ports[port].peer.is_some() {
                    return Err(FluxError::new(
                        ErrorKind::Busy,
                        errno::EBUSY,
                        format_args!("joining {}", world.ports[port].config.name),
                        "it has a cable already",
                        "add another NIC",
                    ));
                }
            }
            world.ports[near].peer = Some(far);
            world.ports[far].peer = Some(near);
            Ok(())
        })
    }

    /// Handles up to `budget` packets that are due and returns how many: those that leave a zero-copy socket, are played, arrive, or
    /// are completed late. 0 means that nothing is left to do at this time. Traffic at full speed comes as long as the budget lasts.
    pub fn step(&self, budget: u32) -> u32 {
        let mut world = self.shared.lock();
        world.paced = false;
        let done = world.step(budget);
        self.shared.announce(&mut world);
        done
    }

    /// Steps until nothing is left to do at this time; returns how many packets were handled. After a million it stops, for a playback
    /// without end.
    pub fn settle(&self) -> u64 {
        let mut total = 0;
        while total < 1_000_000 {
            match self.step(TURN) {
                0 => break,
                done => total += u64::from(done),
            }
        }
        total
    }

    /// Lets simulated time pass, in which all happens that is due: delayed packets arrive, recorded traffic is played.
    ///
    /// While the thread runs, real time counts, and this waits for it.
    pub fn advance(&self, time: Duration) {
        let _ = self.shared.advance(time);
    }

    /// The time since the network was made, as its packets see it.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.shared.lock().now
    }

    /// What goes wrong from now on, at all NICs, and at those to come.
    ///
    /// # Errors
    ///
    /// As [`Nic::set_faults`].
    pub fn set_faults(&self, faults: Faults) -> Result<()> {
        faults.check()?;
        let mut world = self.shared.lock();
        world.faults = faults;
        for port in &mut world.ports {
            port.faults = faults;
        }
        Ok(())
    }

    /// Notes down what happens from now on, up to `events` of it; 0 ends that. What was noted before is gone.
    pub fn start_trace(&self, events: usize) {
        self.shared.lock().trace.start(events);
    }

    /// What happened since [`start_trace`](Self::start_trace), in order.
    #[must_use]
    pub fn trace(&self) -> Vec<Event> {
        self.shared.lock().trace.events().to_vec()
    }

    /// Starts a thread that moves packets as they come, in real time, until the returned handle is dropped.
    ///
    /// With it, programs of several threads run as on a real machine; without it, a single thread sees the same happen each time.
    ///
    /// # Errors
    ///
    /// [`Busy`](ErrorKind::Busy) when there is such a thread; [`System`](ErrorKind::System) when no thread can be had.
    pub fn run(&self) -> Result<Running> {
        let mut world = self.shared.lock();
        if world.running.is_some() {
            return Err(FluxError::new(
                ErrorKind::Busy,
                errno::EBUSY,
                "running a simulated network",
                "it runs already",
                "keep the first handle",
            ));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, wanted) = (Arc::clone(&self.shared), Arc::clone(&stop));
        let thread = thread::Builder::new()
            .name("fluxcap-sim".to_owned())
            .spawn(move || shared.serve(&wanted))
            .map_err(|error| {
                FluxError::new(
                    ErrorKind::System,
                    error.raw_os_error().unwrap_or(errno::EAGAIN),
                    "starting the thread of a simulated network",
                    error,
                    "use fewer threads, or step the network by hand",
                )
            })?;
        world.paced = false;
        world.running = Some((Instant::now(), world.now));
        self.shared.has_thread.store(true, Ordering::Relaxed);
        Ok(Running {
            shared: Arc::clone(&self.shared),
            stop,
            thread: Some(thread),
            process: Process::current(),
        })
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let world = self.shared.lock();
        let names = world.ports.iter().map(|port| &port.config.name);
        f.debug_struct("Network")
            .field("seed", &world.seed)
            .field("now", &world.now)
            .field("nics", &names.collect::<Vec<_>>())
            .finish()
    }
}

/// A network's thread at work. Dropping it ends the thread.
#[derive(Debug)]
#[must_use = "the thread ends when this is dropped"]
pub struct Running {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    process: Process,
}

impl Drop for Running {
    fn drop(&mut self) {
        // A forked child has no such thread, and perhaps a lock that nobody opens.
        if !self.process.is_current() {
            return std::mem::forget(self.thread.take());
        }
        self.stop.store(true, Ordering::Release);
        self.shared.work.notify_all();
        let fault = self.thread.take().and_then(|thread| thread.join().err());
        let mut world = self.shared.lock();
        world.running = None;
        self.shared.has_thread.store(false, Ordering::Relaxed);
        drop(world);
        self.shared.news.notify_all();
        if let (Some(fault), false) = (fault, thread::panicking()) {
            resume_unwind(fault);
        }
    }
}

/// A network as its handles, sockets and thread share it.
#[derive(Debug)]
pub(super) struct Shared {
    world: Mutex<World>,
    /// The thread waits for it.
    work: Condvar,
    /// Programs wait for it.
    pub(super) news: Condvar,
    pub(super) sleepers: AtomicU32,
    /// Who stands in front of the lock: the thread lets them in.
    queue: AtomicU32,
    /// Whether a thread moves packets: for those who look without the lock.
    pub(super) has_thread: AtomicBool,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.queue.fetch_add(1, Ordering::Relaxed);
        // Counters and queues stay usable after a panic of a test that held it.
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        self.queue.fetch_sub(1, Ordering::Relaxed);
        world.tick();
        world
    }

    /// Tells the thread that there is work, and programs that there are news.
    pub(super) fn announce(&self, world: &mut World) {
        if world.running.is_some() {
            self.work.notify_one();
        }
        if std::mem::take(&mut world.news) && self.sleepers.load(Ordering::Relaxed) > 0 {
            self.news.notify_all();
        }
    }

    /// Lets simulated time pass, or waits while real time counts; returns how much has passed.
    pub(super) fn advance(&self, time: Duration) -> Duration {
        let mut world = self.lock();
        if world.running.is_some() {
            drop(world);
            let start = Instant::now();
            thread::sleep(time);
            return start.elapsed();
        }
        let end = world.now.saturating_add(time);
        loop {
            let done = world.running.is_some() || world.advance(end);
            self.announce(&mut world);
            if done {
                world.paced = false;
                return time;
            }
            world = self.let_in(world);
        }
    }

    /// Gives the lock away for a moment.
    pub(super) fn let_in<'a>(&'a self, world: MutexGuard<'a, World>) -> MutexGuard<'a, World> {
        drop(world);
        thread::yield_now();
        self.lock()
    }

    /// The thread.
    fn serve(&self, stop: &AtomicBool) {
        let mut idle_since = None;
        while !stop.load(Ordering::Acquire) {
            for _ in 0..POLITE {
                if self.queue.load(Ordering::Relaxed) == 0 {
                    break;
                }
                thread::yield_now();
            }
            let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
            world.tick();
            let done = world.step(TURN);
            if std::mem::take(&mut world.news) && self.sleepers.load(Ordering::Relaxed) > 0 {
                self.news.notify_all();
            }
            if done > 0 {
                idle_since = None;
                continue;
            }
            let since = *idle_since.get_or_insert_with(Instant::now);
            let idle = since.elapsed();
            if idle < SPIN {
                drop(world);
                // Who yields on a busy machine waits long for its next turn.
                if idle < SPIN / 4 {
                    hint::spin_loop();
                } else {
                    thread::yield_now();
                }
                continue;
            }
            let nap = if world.is_blocked() { SHORT_NAP } else { NAP };
            let nap = world.next_due().map_or(nap, |due| nap.min(due - world.now));
            let (guard, timeout) = self
                .work
                .wait_timeout(world, nap)
                .unwrap_or_else(PoisonError::into_inner);
            drop(guard);
            if !timeout.timed_out() {
                idle_since = None;
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if thread::panicking() {
            let world = self.world.get_mut().unwrap_or_else(PoisonError::into_inner);
            eprintln!("the simulated network had seed {}", world.seed);
        }
    }
}
